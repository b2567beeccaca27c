"""What the page asks for is answered from the store, and a decision is on disk before its answer."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import CONTENT
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.running import open_socket
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COLOUR, COUNTING, GROUNDING, Clock, make_question
from tests.annotation.review.running_server import TILE, Client, FakePictures, running

ANN = {"reviewer": "ann"}
QUESTIONS = (
    make_question("q1"),
    make_question("q2", task="fine_grained_grounding", content=GROUNDING),
    make_question("q3", task="object_colour", content=COLOUR),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(QUESTIONS)])
        with running(store) as client:
            yield client


def stored(tmp_path: Path) -> list[tuple[str, str, str]]:
    """Return the standing decisions as another process sees them on disk."""
    connection = sqlite3.connect(tmp_path / "review.sqlite")
    try:
        return connection.execute(
            "SELECT question_id, verdict, reason FROM decisions JOIN questions USING (key) "
            "WHERE withdrawn_at IS NULL ORDER BY number"
        ).fetchall()
    finally:
        connection.close()


def decision(question_id: str, action: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    return {**ANN, "question_id": question_id, "action": action, "request_id": f"request-{number:012d}", **fields}


def content(**changes: Any) -> dict[str, Any]:
    return dict(CONTENT.dump_python(dataclasses.replace(COUNTING, **changes), mode="json"))


def test_the_page_and_its_files_are_served(client: Client) -> None:
    page = client.get("")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for name in ("main.js", "app.css", "icon.svg", "vendor/openseadragon.min.js"):
        assert client.get(name).status == 200, name
    assert client.get("vendor/README.md").status == 404


def test_every_file_that_the_page_names_is_served(client: Client) -> None:
    seen: set[str] = set()
    wanted = {"main.js", "lead.js"}
    while wanted - seen:
        name = min(wanted - seen)
        answer = client.get(name)
        assert answer.status == 200, name
        seen.add(name)
        wanted |= set(re.findall(r'from "\./([\w./]+)"', answer.body.decode()))
    assert {"api.js", "blind.js", "drawing.js", "editor.js", "panels.js", "viewer.js"} < seen


def test_a_tile_is_served_and_may_be_kept(client: Client) -> None:
    tile = client.get(f"tiles/{picture_key('a/0_0.jpg')}/3/0_0.jpg")
    assert (tile.status, tile.headers["content-type"], tile.body) == (200, "image/jpeg", TILE)
    assert "immutable" in tile.headers["cache-control"]
    assert client.get(f"tiles/{picture_key('a/0_0.jpg')}/3/1_0.jpg").status == 404


def test_the_images_of_the_next_question_are_prepared(tmp_path: Path) -> None:
    names = [("a",), ("b", "c"), ("d",)]
    questions = [make_question(f"q{i}", images=images) for i, images in enumerate(names)]
    pictures = FakePictures()
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(questions)])
        with running(store, pictures=pictures) as client:
            client.post("next", ANN)
    assert pictures.prepared == [picture_key("b"), picture_key("c")]


def test_a_question_comes_with_all_that_is_shown(client: Client) -> None:
    shown = client.post("next", ANN).json["question"]
    assert shown["content"] == content()
    assert shown["values"] == [["count", "3"]]
    assert shown["pictures"] == [{"key": picture_key("a/0_0.jpg"), "date": None}]


def test_unchanged_is_accepted_and_changed_is_fixed(client: Client, tmp_path: Path) -> None:
    assert client.post("decide", decision("q1", "save", 1, content=content())).status == 200
    assert stored(tmp_path) == [("q1", "accepted", "")]
    assert client.post("decide", decision("q1", "save", 2, content=content(answer="B"))).status == 200
    assert stored(tmp_path) == [("q1", "fixed", "")]


def test_a_fix_that_fails_a_check_is_refused_with_the_reason(client: Client, tmp_path: Path) -> None:
    doubled = content(options=("(A) 3", "(B) 3", "(C) 5", "(D) 6"))
    answer = client.post("decide", decision("q1", "save", content=doubled))
    assert (answer.status, answer.json["problems"]) == (422, ["options not distinct"])
    assert stored(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"question": "how many cars are in the image?"}, "question does not begin with a capital"),
        ({"question": "How many of the 3 cars are in the image?"}, "answer told in the question"),
        ({"options": ("(A) 3", "(B) 4", "(C) 5")}, "wrong number of options"),
        ({"options": ("A: 3", "(B) 4", "(C) 5", "(D) 6")}, "options without their letters"),
        ({"options": ("(A) 3", "(C) 4", "(B) 5", "(D) 6")}, "options without their letters"),
        ({"answer": "E"}, "answer names no option"),
        ({"answer": ""}, "answer names no option"),
        ({"answer": "AB"}, "wrong number of right options"),
        ({"question": "How many **cars** are in the image?"}, "markdown in the text"),
        ({"bbox": Box(0.1, 0.1, 0.05, 0.2)}, "box added or taken away"),
    ],
)
def test_an_edit_is_checked_at_once(client: Client, changes: dict[str, Any], problem: str) -> None:
    answer = client.post("check", {**ANN, "question_id": "q1", "content": content(**changes)})
    assert problem in answer.json["problems"]


def test_a_moved_box_is_the_answer_of_a_grounding_question(client: Client, tmp_path: Path) -> None:
    moved = CONTENT.dump_python(dataclasses.replace(GROUNDING, bbox=Box(0.12341, 0.2, 0.3, 0.4)), mode="json")
    answer = client.post("check", {**ANN, "question_id": "q2", "content": moved}).json
    assert (answer["problems"], answer["content"]["answer"]) == ([], "[0.1234, 0.2, 0.3, 0.4]")
    client.post("decide", decision("q2", "save", content=moved))
    assert stored(tmp_path) == [("q2", "fixed", "")]


def test_a_moved_box_is_written_into_its_question(client: Client) -> None:
    moved = CONTENT.dump_python(dataclasses.replace(COLOUR, bbox=Box(0.2, 0.2, 0.4, 0.4)), mode="json")
    answer = client.post("check", {**ANN, "question_id": "q3", "content": moved}).json
    # shares of 1000 x 500 px
    assert answer["content"]["question"].endswith("Bounding box: [200, 100, 400, 200].")
    assert answer["problems"] == []


@pytest.mark.parametrize(
    ("question_id", "box", "problem"),
    [
        ("q2", [0.1, 0.2, 1.3, 0.4], "box outside the image or not ordered"),
        ("q2", None, "box added or taken away"),
        ("q3", None, "box added or taken away"),
    ],
)
def test_a_box_stays_and_stays_in_the_image(
    client: Client, question_id: str, box: list[float] | None, problem: str
) -> None:
    shown = CONTENT.dump_python(GROUNDING if question_id == "q2" else COLOUR, mode="json")
    answer = client.post("decide", decision(question_id, "save", content={**shown, "bbox": box}))
    assert (answer.status, answer.json) == (422, {"problems": [problem]})


def test_the_answer_of_a_grounding_question_is_its_box_whatever_is_sent(client: Client, tmp_path: Path) -> None:
    sent = {**CONTENT.dump_python(GROUNDING, mode="json"), "answer": "[0.5, 0.5, 0.6, 0.6]"}
    client.post("decide", decision("q2", "save", content=sent))
    assert stored(tmp_path) == [("q2", "accepted", "")]


def test_a_rejection_needs_a_reason(client: Client, tmp_path: Path) -> None:
    refused = client.post("decide", decision("q1", "reject", reason="  "))
    assert (refused.status, refused.json["problems"]) == (422, ["a rejection needs a reason"])
    assert client.post("decide", decision("q1", "reject", reason="wrong answer")).status == 200
    assert stored(tmp_path) == [("q1", "rejected", "wrong answer")]


def test_a_decision_that_is_sent_twice_is_stored_once(client: Client, tmp_path: Path) -> None:
    numbers = [client.post("decide", decision("q1", "skip")).json["number"] for _ in range(2)]
    assert numbers == [1, 1]
    assert stored(tmp_path) == [("q1", "skipped", "")]


def test_who_has_not_seen_what_others_said_gives_one_opinion_more(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(QUESTIONS[0], 0, 1, 2)])
        with running(store) as client:
            sent = {"content": content(), "reason": "blurred"}
            for number, (name, action, saw) in enumerate(
                [("ben", "reject", False), ("cem", "save", False), ("ann", "save", False)]
            ):
                body = decision("q1", action, number, **sent, reviewer=name, saw_opinions=saw)
                assert client.post("decide", body).status == 200
            assert [one.is_adjudication for one in store.decisions()] == [False] * 3
            assert store.final_decisions()["q1"].reviewer == "cem"  # two of three, and nobody has decided alone
            number = store.decisions()[2].number
            client.post("undo", {"reviewer": "ann", "number": number})
            body = decision("q1", "reject", 9, **sent, reviewer="ann", saw_opinions=True)
            assert client.post("decide", body).status == 200
            assert store.decisions()[2].is_adjudication


def test_undo_brings_back_what_was_decided(client: Client, tmp_path: Path) -> None:
    number = client.post("decide", decision("q1", "save", content=content(answer="B"))).json["number"]
    answer = client.post("undo", {**ANN, "number": number}).json
    assert (answer["question"]["question_id"], answer["undone"]["content"]["answer"]) == ("q1", "B")
    assert stored(tmp_path) == []
    assert client.post("undo", {"reviewer": "ben", "number": number}).status == 404


def test_progress_counts_and_tells_the_pace(tmp_path: Path) -> None:
    clock = Clock()
    with ReviewStore(tmp_path / "review.sqlite", now=clock) as store:
        store.fill([QueueEntry(make_question(f"q{i}"), i, 1, 1) for i in range(10)])
        with running(store) as client:
            for number in range(4):
                # 10 s, 20 s and 30 s between the decisions: the median is 20 s
                clock.seconds += 10 * number
                answer = client.post("decide", decision(f"q{number}", "save", number, content=content())).json
    progress = answer["progress"]
    assert (progress["done"], progress["total"], progress["seconds_each"]) == (4, 10, 20.0)
    assert progress["seconds_left"] == 6 * 20.0


def test_the_summary_counts_by_task(client: Client) -> None:
    client.post("decide", decision("q1", "reject", 1, reason="wrong answer"))
    client.post("decide", decision("q2", "skip", 2))
    summary = client.post("summary", ANN).json
    assert summary["tasks"]["overall_counting"]["verdicts"]["rejected"] == 1
    assert summary["overall"]["reasons"] == {"wrong answer": 1}
    assert summary["reviewers"] == {"ann": 1}


def test_an_open_page_keeps_its_question_and_hears_of_progress(client: Client) -> None:
    client.post("next", ANN)
    client.post("decide", {**decision("q2", "skip"), "reviewer": "ben"})
    client.post("decide", {**decision("q3", "reject", 2, reason="wrong answer"), "reviewer": "ben"})
    assert client.post("renew", {**ANN, "question_id": "q1"}).json["progress"]["done"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reviewer": ""},
        {"reviewer": "x" * 41},
        {"reviewer": "line\nbreak"},
        {"reviewer": "ann", "more": 1},
        {"reviewer": "ann", "filters": {"task": ["a"]}},
        {"reviewer": None},
    ],
)
def test_a_body_of_another_shape_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("next", body).status == 422


def test_a_question_that_is_not_there_is_refused(client: Client) -> None:
    answer = client.post("check", {**ANN, "question_id": "../../etc/passwd", "content": content()})
    assert (answer.status, answer.json["problems"]) == (404, ["no question '../../etc/passwd' in this review"])


@pytest.mark.parametrize(("page", "module"), [("index.html", "main.js"), ("draw.html", "draw_main.js")])
def test_a_page_asks_for_all_its_modules_at_once(page: str, module: str) -> None:
    folder = resources.files("rsvqa.annotation.review").joinpath("page")

    def reached(name: str, seen: set[str]) -> set[str]:
        for found in re.findall(r'^import .*from "\./(.+)";$', folder.joinpath(name).read_text("utf-8"), re.MULTILINE):
            if found not in seen:
                seen |= {found} | reached(found, seen | {found})
        return seen

    named = re.findall(r'<link rel="modulepreload" href="(.+)">', folder.joinpath(page).read_text("utf-8"))
    assert set(named) == reached(module, set()) - {module}
    assert len(set(named)) == len(named) > 5


def test_answers_go_out_at_once_and_wait_for_no_acknowledgement() -> None:
    """Head and body of an answer are two packets: without TCP_NODELAY the second waits for word of the first."""

    async def no_delay() -> int:
        told = asyncio.get_running_loop().create_future()

        class Told(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                own = transport.get_extra_info("socket")
                told.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        listening = open_socket("127.0.0.1", 0)
        port = listening.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(Told, sock=listening)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        found = int(await told)
        writer.close()
        server.close()
        return found

    assert asyncio.run(no_delay()) != 0
