"""A lead finds, returns, reopens and rejects; nobody else may; and nothing is lost by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.review import oversight
from rsvqa.annotation.review.database import StoreError
from rsvqa.annotation.review.oversight import Search, find
from rsvqa.annotation.review.people import People, PersonSettings
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COUNTING, Clock, make_question
from tests.annotation.review.running_server import Client, running

BROKEN = {"rule": "by_hand", "feature_ids": ["roofs:7", "roofs:8"], "values": {}}
QUESTIONS = (
    make_question("a:0_0/OC1", evidence=BROKEN),
    make_question("a:0_0/OP1", task="object_presence"),
    make_question("b:0_0/OC1", evidence=BROKEN),
    make_question("b:0_0/OC2", evidence={**BROKEN, "feature_ids": ["roofs:77"]}),
)
REQUEST = "request-0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(QUESTIONS)])
        store.decide("a:0_0/OC1", "ann", "accepted", request_id="1", after=COUNTING)
        store.decide("b:0_0/OC1", "ben", "rejected", request_id="2", reason="not useful")
        yield store


def ids(store: ReviewStore, **search: Any) -> list[str]:
    found = find(store, Search(**search))
    assert found.total == len(found.rows)
    return [row.question_id for row in found.rows]


def test_questions_are_found_by_what_is_known_of_them(store: ReviewStore) -> None:
    assert len(ids(store)) == 4
    assert ids(store, text="A:0_0/oc") == ["a:0_0/OC1"]
    assert ids(store, text="%") == []  # no wildcard
    assert len(ids(store, text="how MANY cars")) == 4
    assert ids(store, task="object_presence") == ["a:0_0/OP1"]
    assert ids(store, person="ann") == ids(store, verdict="accepted") == ["a:0_0/OC1"]
    assert ids(store, person="ann", verdict="rejected") == []
    assert ids(store, state="open") == ["a:0_0/OP1", "b:0_0/OC2"]
    assert ids(store, state="decided") == ["a:0_0/OC1", "b:0_0/OC1"]
    assert ids(store, label="roofs:7") == ["a:0_0/OC1", "b:0_0/OC1"]
    assert ids(store, state="gold") == ids(store, state="contested") == ids(store, state="commented") == []


def test_the_list_comes_in_pages(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "own.sqlite") as store:
        assert find(store, Search()) == (0, ())
        store.fill([QueueEntry(make_question(f"q{i:03d}"), i, 1, 1) for i in range(70)])
        assert [len(find(store, Search(offset=offset)).rows) for offset in (0, 50, 100)] == [50, 20, 0]
        assert find(store, Search(offset=50)).rows[0].question_id == "q050"


def test_a_returned_decision_comes_to_its_author_again_with_the_note(store: ReviewStore, tmp_path: Path) -> None:
    assert oversight.give_back(store, [1], "lea", "look at the shadows", request_id="r") == 1
    assert oversight.give_back(store, [1], "lea", "look at the shadows", request_id="r") == 0
    again = store.next_question("ann")
    assert again is not None
    assert again.question.question_id == "a:0_0/OC1"
    (note,) = oversight.comments_for(store, "a:0_0/OC1", "ann", sees_all=False)
    assert (note.author, note.recipient, note.text) == ("lea", "ann", "look at the shadows")
    assert oversight.comments_for(store, "a:0_0/OC1", "ben", sees_all=False) == ()
    with pytest.raises(StoreError, match="no decision number 9"):
        oversight.give_back(store, [2, 9], "lea", "", request_id="r2")
    assert [decision.number for decision in store.decisions()] == [2]  # all or none
    connection = sqlite3.connect(tmp_path / "review.sqlite")
    assert connection.execute("SELECT count(*) FROM decisions").fetchone() == (2,)  # every row is kept
    connection.close()


def test_a_returned_question_comes_to_its_author_next_and_to_nobody_else(store: ReviewStore) -> None:
    oversight.give_back(store, [2], "lea", "", request_id="r")

    def next_of(reviewer: str) -> str | None:
        assignment = store.next_question(reviewer)
        store.release(reviewer)
        return None if assignment is None else assignment.question.question_id

    assert [next_of(name) for name in ("ann", "ben")] == ["a:0_0/OP1", "b:0_0/OC1"]
    for number, question_id in enumerate(("a:0_0/OP1", "b:0_0/OC2")):
        store.decide(question_id, "ann", "rejected", request_id=f"ann {number}", reason="not useful")
    assert [next_of(name) for name in ("ann", "ben")] == [None, "b:0_0/OC1"]
    (note,) = oversight.comments_for(store, "b:0_0/OC1", "ben", sees_all=False)
    assert (note.text, note.is_settled) == ("please look again", False)
    store.decide("b:0_0/OC1", "ben", "skipped", request_id="not now")
    assert next_of("ann") is None
    store.decide("b:0_0/OC1", "ben", "accepted", request_id="anew", after=COUNTING)
    assert oversight.comments_for(store, "b:0_0/OC1", "ben", sees_all=False)[0].is_settled


def test_a_settled_note_lets_others_have_the_question(store: ReviewStore) -> None:
    oversight.give_back(store, [1], "lea", "look", request_id="r")
    (note,) = oversight.comments_for(store, "a:0_0/OC1", "lea", sees_all=True)
    oversight.settle(store, note.number)
    found = store.next_question("cem")
    assert found is not None
    assert found.question.question_id == "a:0_0/OC1"


def test_a_reopened_question_is_nobodys(store: ReviewStore) -> None:
    store.decide("a:0_0/OC1", "cem", "rejected", request_id="3", reason="not useful")
    assert ids(store, state="contested") == ["a:0_0/OC1"]
    assert oversight.reopen(store, "a:0_0/OC1", "lea", "the scene was wrong", request_id="r") == 2
    found = store.next_question("dan")
    assert found is not None
    assert found.question.question_id == "a:0_0/OC1"
    store.release("dan")
    assert ids(store, state="open")[0] == "a:0_0/OC1"
    assert find(store, Search(text="a:0_0/OC1")).rows[0].decisions == ()


def test_the_list_tells_what_was_decided(store: ReviewStore) -> None:
    store.decide("a:0_0/OP1", "ann", "rejected", request_id="3", reason="not useful", seconds=7)
    (row,) = find(store, Search(text="OP1")).rows
    told = {"number": 3, "reviewer": "ann", "verdict": "rejected", "reason": "not useful", "seconds": 7.0}
    assert row.decisions == ({**told, "is_gold": False},)
    assert (row.is_queued, row.missing, row.is_contested, row.is_gold, row.labels) == (True, 0, False, False, ("a:1",))


def test_a_broken_label_is_rejected_with_all_its_questions_whatever_was_decided(store: ReviewStore) -> None:
    for _ in range(2):  # sent twice
        assert oversight.reject_label(store, "roofs:7", "lea", "no roof", request_id="r") == 2
    finals = store.final_decisions()
    assert {key: (d.reviewer, d.verdict, d.reason) for key, d in finals.items()} == {
        "a:0_0/OC1": ("lea", "rejected", "no roof"),
        "b:0_0/OC1": ("lea", "rejected", "no roof"),
    }
    assert [d.reviewer for d in store.decisions()] == ["ann", "ben", "lea", "lea"]
    assert oversight.reject_label(store, "roofs", "lea", "no roof", request_id="r2") == 0


def test_only_what_is_decided_can_be_gold(store: ReviewStore) -> None:
    with pytest.raises(StoreError, match="a:0_0/OP1 is not decided: decide it first"):
        oversight.mark_gold(store, "a:0_0/OP1", "lea", is_gold=True)
    oversight.mark_gold(store, "a:0_0/OC1", "lea", is_gold=True)
    assert ids(store, state="gold") == ["a:0_0/OC1"]
    oversight.mark_gold(store, "a:0_0/OC1", "lea", is_gold=False)
    assert ids(store, state="gold") == []


def test_a_comment_is_stored_once_read_by_its_author_and_by_leads_and_settled(store: ReviewStore) -> None:
    for _ in range(2):
        oversight.comment(store, "a:0_0/OP1", "ann", "which car?", request_id="c")
    (seen,) = oversight.comments_for(store, "a:0_0/OP1", "ann", sees_all=False)
    assert oversight.comments_for(store, "a:0_0/OP1", "ben", sees_all=False) == ()
    assert oversight.comments_for(store, "a:0_0/OP1", "lea", sees_all=True) == (seen,)
    assert ids(store, state="commented") == ["a:0_0/OP1"]
    oversight.settle(store, seen.number)
    assert ids(store, state="commented") == []
    assert oversight.comments_for(store, "a:0_0/OP1", "ann", sees_all=False)[0].is_settled


# --- routes -----------------------------------------------------------------------------------------------------------

ASKED = {"reviewer": "x"}
ON_ONE = {**ASKED, "question_id": "a:0_0/OC1"}
LEADS: dict[str, dict[str, Any]] = {
    "lead/find": ASKED,
    "lead/people": {},
    "lead/give-back": {**ASKED, "numbers": [1], "request_id": REQUEST},
    "lead/reopen": {**ON_ONE, "request_id": REQUEST},
    "lead/reject-label": {**ASKED, "label": "roofs:7", "reason": "no roof", "request_id": REQUEST},
    "lead/gold": {**ON_ONE, "is_gold": True},
    "lead/settle": {**ASKED, "number": 1},
}
"""Every route that a lead alone may use, with a body that it takes."""


@pytest.fixture
def clients(store: ReviewStore) -> Iterator[dict[str, Client]]:
    people = People(store.database)
    roles = {"ann": PersonSettings(), "eva": PersonSettings(role="expert"), "lea": PersonSettings(role="lead")}
    tokens = people.update(roles)
    with running(store, people=people) as client:
        yield {name: client.of(token) for name, token in tokens.items()}


def test_every_route_of_the_lead_is_a_leads_alone(clients: dict[str, Client], store: ReviewStore) -> None:
    for name in ("ann", "eva"):
        for route, body in LEADS.items():
            answer = clients[name].post(route, body)
            assert (answer.status, answer.json) == (403, {"problems": ["only a lead may do this"]}), route
        assert clients[name].get("work.csv").status == 403
    assert len(store.decisions()) == 2
    for route, body in {**LEADS, "lead/gold": {**ON_ONE, "is_gold": False}}.items():
        assert clients["lea"].post(route, body).status == 200, route


def test_a_question_is_opened_by_its_id_by_those_who_see_all(clients: dict[str, Client]) -> None:
    assert clients["ann"].post("open", ON_ONE).status == 403
    assert clients["eva"].post("open", ON_ONE).json["question"]["question_id"] == "a:0_0/OC1"
    assert clients["lea"].post("open", {**ON_ONE, "question_id": "nowhere"}).status == 404


def test_a_comment_is_shown_to_its_author_and_to_the_lead(clients: dict[str, Client]) -> None:
    said = {**ON_ONE, "question_id": "a:0_0/OP1", "text": " which car? ", "request_id": REQUEST}
    opened = clients["ann"].post("next", {**ASKED, "filters": {"task": "object_presence"}})
    assert opened.json["question"]["question_id"] == "a:0_0/OP1"
    (seen,) = clients["ann"].post("comment", said).json["comments"]
    assert (seen["author"], seen["text"]) == ("ann", "which car?")
    assert len(clients["lea"].post("open", said_of("a:0_0/OP1")).json["comments"]) == 1
    found = clients["lea"].post("lead/find", {**ASKED, "state": "commented"}).json
    assert [row["comments"][0]["text"] for row in found["rows"]] == ["which car?"]


def said_of(question_id: str) -> dict[str, Any]:
    return {**ASKED, "question_id": question_id}


def test_peoples_work_comes_as_a_table_and_as_csv(clients: dict[str, Client]) -> None:
    seen = clients["lea"].post("lead/people", {}).json
    assert [(row["person"], row["task"]) for row in seen["work"]][:2] == [("ann", ""), ("ann", "overall_counting")]
    assert seen["people"][2] == {"name": "lea", "role": "lead"}
    assert seen["seconds_left"] is None
    table = clients["lea"].get("work.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.body.decode().splitlines()[1].startswith("ann,,1,1,0,0,0,")


def test_guidelines_come_with_the_session(store: ReviewStore) -> None:
    with running(store, guidelines="# All tasks\n<b>Look</b>") as client:
        assert client.post("session", {}).json["guidelines"] == "# All tasks\n<b>Look</b>"


def test_an_id_of_a_request_stands_for_one_word_of_one_person(clients: dict[str, Client]) -> None:
    lea, other = clients["lea"], clients["ann"]
    first = {**ON_ONE, "text": "which car?", "request_id": REQUEST}
    assert lea.post("comment", first).status == lea.post("comment", first).status == 200
    other.post("next", ASKED)
    opened = other.post("next", ASKED).json["question"]["question_id"]
    stolen = other.post("comment", {**said_of(opened), "text": "mine", "request_id": REQUEST})
    assert (stolen.status, len(stolen.json["problems"])) == (404, 1)
    skip = {**said_of(opened), "action": "skip", "request_id": "skip" * 5}
    assert other.post("decide", skip).status == 200
    assert other.post("decide", skip).status == 200
    assert lea.post("decide", skip).status == 404
