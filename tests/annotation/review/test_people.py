"""People come in by links of their own: each acts in his own name, does what his role allows, and sees his own work."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rsvqa.annotation.review.attempts import TOO_MANY, Attempts, NoEntry
from rsvqa.annotation.review.filters import Filters
from rsvqa.annotation.review.people import FRESH_S, Duty, People, PersonSettings, Visitor
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import Clock, make_question, make_store
from tests.annotation.review.running_server import running

EVERYBODY = {
    "ann": PersonSettings(),
    "ben": PersonSettings(tasks=("object_presence",)),
    "eva": PersonSettings(role="expert"),
    "lea": PersonSettings(role="lead"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with make_store(tmp_path) as opened:
        yield opened


def rejection(question_id: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    request = {"question_id": question_id, "request_id": f"request-{number:012d}"}
    return {"reviewer": "lea", "action": "reject", "reason": "not useful", **request, **fields}


def test_a_link_is_known_by_its_token_which_is_stored_nowhere(store: ReviewStore, tmp_path: Path) -> None:
    people = People(store.database)
    tokens = people.update(EVERYBODY)
    assert list(tokens) == [visitor.name for visitor in people.all()] == ["ann", "ben", "eva", "lea"]
    assert people.find(tokens["ben"]) == Visitor(name="ben", duty=Duty(tasks=("object_presence",)))
    assert people.find(tokens["lea"]) == Visitor(name="lea", role="lead")
    wrong = ("", "x", tokens["ann"][:-1], tokens["ann"].swapcase(), "\ud800")
    assert [people.find(token) for token in wrong] == [None] * 5
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(token.encode() in stored for token in tokens.values())


def test_links_stay_until_they_are_renewed_or_taken_away(store: ReviewStore) -> None:
    people = People(store.database)
    first = people.update(EVERYBODY)
    assert people.update({**EVERYBODY, "ann": PersonSettings(role="expert")}) == {}
    assert people.find(first["ann"]) == Visitor(name="ann", role="expert")
    second = people.update(EVERYBODY, renew=["ann"])
    assert list(second) == ["ann"]
    assert people.find(first["ann"]) is None
    assert people.find(second["ann"]) == Visitor(name="ann")
    people.update({"lea": EVERYBODY["lea"]})
    assert people.find(second["ann"]) is None
    assert people.all() == (Visitor(name="lea", role="lead"),)


def test_a_running_server_hears_of_a_link_that_another_process_takes_away(store: ReviewStore, tmp_path: Path) -> None:
    clock = Clock()
    people = People(store.database, now=clock)
    tokens = people.update(EVERYBODY)
    assert people.find(tokens["ann"]) is not None
    with ReviewStore(tmp_path / "review.sqlite") as other:
        People(other.database).update({})
    assert people.find(tokens["ann"]) is not None  # not yet
    clock.seconds += FRESH_S
    assert people.find(tokens["ann"]) is None


@pytest.mark.parametrize(
    "wrong", [{"role": "king"}, {"tasks": ["cars"]}, {"queue": "x"}, {"task": "overall_counting"}, {"scenes": 1}]
)
def test_a_person_is_described_in_known_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PersonSettings(**wrong)


def test_nobody_acts_in_the_name_of_another(store: ReviewStore) -> None:
    """On every route: whatever name the body holds, it is the link's that counts."""
    people = People(store.database)
    tokens = people.update(EVERYBODY)
    with running(store, people=people) as client:
        ann, lea = client.of(tokens["ann"]), client.of(tokens["lea"])
        assert lea.post("next", {"reviewer": "ann"}).json["question"]["question_id"] == "q1"
        assert ann.post("next", {"reviewer": "lea"}).json["question"]["question_id"] == "q2"
        assert ann.post("decide", rejection("q2")).json["progress"]["mine"] == 1
        assert [(d.reviewer, d.question_id) for d in store.decisions()] == [("ann", "q2")]
        assert lea.post("undo", {"reviewer": "ann", "number": 1}).status == 404
        assert lea.post("forget-skips", {"reviewer": "ann"}).json == {"count": 0}
        ann.post("release", {"reviewer": "lea"})
        ann.post("renew", {"reviewer": "lea", "question_id": "q1"})
        assert lea.post("next", {"reviewer": "ann"}).json["question"]["question_id"] == "q1"  # still hers
        assert ann.post("undo", {"reviewer": "lea", "number": 1}).json["question"]["question_id"] == "q2"
        assert store.decisions() == ()
        assert (ann.post("session", {}).json["person"], lea.post("session", {}).json["role"]) == ("ann", "lead")


def test_without_links_people_type_their_names_and_one_on_his_own_machine_is_his_own_lead(store: ReviewStore) -> None:
    with running(store) as client:
        session = client.post("session", {}).json
        assert (session["person"], session["role"]) == ("", "lead")


def test_who_shares_a_password_leads_nobody(store: ReviewStore) -> None:
    with running(store, password="correct horse battery") as client:
        # ann:correct horse battery
        right = {"Authorization": "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==", "Content-Type": "application/json"}
        answer = client.send("POST", f"/{client.token}/api/session", body=b"{}", headers=right)
        assert answer.json["role"] == "annotator"


def test_where_people_have_links_there_is_no_other_way_in(store: ReviewStore) -> None:
    people = People(store.database)
    people.update(EVERYBODY)
    with running(store, people=people) as client:
        assert client.access.url == f"http://{client.host}/"
        assert client.get("").status == 404  # of the token that a review without links would have
        assert client.send("GET", "/").status == 404


def test_each_gets_the_part_of_the_work_that_is_his(tmp_path: Path) -> None:
    questions = [
        make_question("q1", scene="berlin_1"),
        make_question("q2", task="object_presence", scene="berlin_2"),
        make_question("q3", scene="rome"),
    ]
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(question, i, int(i != 2), 1) for i, question in enumerate(questions)])

        def work(**duty: Any) -> list[str]:
            filters = Filters(duty=Duty(**duty))
            found = []
            while (assignment := store.next_question("ann", filters)) is not None:
                found.append(assignment.question.question_id)
                store.decide(found[-1], "ann", "skipped", request_id=f"{duty} {len(found)}")
            store.forget_skips("ann")
            return found

        assert work() == ["q3", "q1", "q2"]
        assert work(tasks=("object_presence",)) == ["q2"]
        assert work(scenes=("berlin_?", "paris")) == ["q1", "q2"]
        assert work(scenes=("BERLIN*",)) == []
        assert work(queue="needed") == ["q3"]
        assert work(queue="sample", tasks=("overall_counting",)) == ["q1"]


def test_who_has_an_area_gets_the_questions_of_its_tiles(tmp_path: Path) -> None:
    ids = ["a/0_0/OC-1", "a/0_512/OC-1", "b:0_0/OC-1", "x/a/0_0/OC-1"]
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(make_question(name), i, 1, 1) for i, name in enumerate(ids)])
        filters = Filters(duty=Duty(tiles=("a/0_0", "b:0_0")))
        found = []
        while (assignment := store.next_question("ann", filters)) is not None:
            found.append(assignment.question.question_id)
            store.decide(found[-1], "ann", "skipped", request_id=found[-1])
        assert found == ["a/0_0/OC-1", "b:0_0/OC-1"]


def test_where_opinions_differ_an_expert_is_asked_and_no_annotator(tmp_path: Path) -> None:
    store = make_store(tmp_path, 1, wanted=2)
    people = People(store.database)
    tokens = people.update({**EVERYBODY, "ben": PersonSettings(), "cem": PersonSettings()})
    with store, running(store, people=people) as client:
        content = client.of(tokens["ann"]).post("next", {"reviewer": "x"}).json["question"]["content"]
        client.of(tokens["cem"]).post("next", {"reviewer": "x"})
        store.release("cem")  # as after ten minutes
        client.of(tokens["ben"]).post("next", {"reviewer": "x"})
        accepted = {**rejection("q1", 1), "action": "save", "content": content}
        client.of(tokens["ann"]).post("decide", accepted)
        client.of(tokens["ben"]).post("decide", rejection("q1", 2))
        assert client.of(tokens["cem"]).post("next", {"reviewer": "x"}).json["question"] is None
        # late: his page was open before; he is one opinion more, and decides nothing
        fixed = {**accepted, "content": {**content, "answer": "B"}, "request_id": "request-of-the-late"}
        assert client.of(tokens["cem"]).post("decide", fixed).status == 200
        assert store.final_decisions() == {}
        asked = client.of(tokens["eva"]).post("next", {"reviewer": "x"}).json
        assert [(o["reviewer"], o["verdict"]) for o in asked["opinions"]] == [
            ("", "accepted"),
            ("", "rejected"),
            ("", "fixed"),
        ]
        client.of(tokens["eva"]).post("decide", rejection("q1", 4, reason="wrong answer"))
        assert store.final_decisions()["q1"].reviewer == "eva"


def test_guesses_wait_in_line_and_right_ones_gain_nothing_by_haste() -> None:
    looked: list[str] = []

    async def run() -> list[object]:
        attempts = Attempts(hold_s=0.0, free=3)

        def look(name: str) -> NoEntry | str:
            looked.append(name)
            return name if name == "right" else NoEntry(404, is_guess=True)

        for _ in range(3):
            await attempts.slowed("far", lambda: look("wrong"))
        looked.clear()
        found = await asyncio.gather(*(attempts.slowed("far", lambda: look("wrong")) for _ in range(60)))
        other = await attempts.slowed("near", lambda: look("right"))
        return [found.count(TOO_MANY), len(looked), other, await attempts.slowed("far", lambda: look("right"))]

    # of 60 at once 50 may wait, and are looked at one after the other; another address is served at once
    assert asyncio.run(run()) == [10, 51, "right", "right"]


def test_a_browser_that_does_not_know_the_password_yet_makes_no_guess(store: ReviewStore) -> None:
    with running(store, password="correct horse battery") as client:
        assert {client.send("GET", f"/{client.token}/").status for _ in range(100)} == {401}


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"],
    ids=["nothing", "headers", "body"],
)
def test_who_does_not_send_his_whole_request_is_hung_up_on(store: ReviewStore, beginning: bytes) -> None:
    with running(store, patience_s=0.1) as client, socket.create_connection(("127.0.0.1", client.access.port)) as one:
        one.settimeout(20)
        one.sendall(beginning)
        while one.recv(1_000):  # ends when the server hangs up
            pass
        assert client.get("").status == 200


def test_who_lacks_patience_waits_for_a_slow_answer(store: ReviewStore) -> None:
    with running(store, patience_s=0.05) as client:
        one = socket.create_connection(("127.0.0.1", client.access.port), timeout=20)
        request = f"GET /{client.token}/ HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode()
        for _ in range(2):
            one.sendall(request)
            assert one.recv(100).startswith(b"HTTP/1.1 200")
            while b"</html>" not in one.recv(65_536):
                pass
        one.close()


def test_hostile_names_in_the_file_of_people_cannot_be(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        people = People(store.database)
        people.update({"'; DROP TABLE people; --": PersonSettings()})
        assert [visitor.name for visitor in people.all()] == ["'; DROP TABLE people; --"]
    connection = sqlite3.connect(tmp_path / "review.sqlite")
    assert json.loads(connection.execute("SELECT duty FROM people").fetchone()[0])["queue"] == "all"
    connection.close()


def test_a_name_is_one_name_however_a_keyboard_writes_its_accents(tmp_path: Path) -> None:
    """Else one person would give both of two opinions."""
    with make_store(tmp_path, 1, wanted=2) as store, running(store) as client:
        composed, apart = "Jos\u00e9", "Jose\u0301"
        assert client.post("next", {"reviewer": composed}).json["question"]["question_id"] == "q1"
        assert client.post("decide", rejection("q1", reviewer=composed)).status == 200
        assert client.post("next", {"reviewer": apart}).json["question"] is None
        assert client.post("decide", rejection("q1", 2, reviewer=f" {apart} ")).status == 200
        assert [decision.reviewer for decision in store.decisions()] == [composed]
