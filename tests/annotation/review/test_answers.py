"""Who answers before he sees the key gets nothing that tells it; and what models answered stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.answers import answer_fault, guesses_of, hidden, is_key
from rsvqa.annotation.review.content import CONTENT, EditableContent, ReviewQuestion
from rsvqa.annotation.review.evidence import opens_whole
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COLOUR, COUNTING, GROUNDING, Clock, make_question
from tests.annotation.review.running_server import Client, running

ANN = {"reviewer": "ann"}
TELLING = {
    "rule": "a telling rule",
    "feature_ids": ["a telling label"],
    "values": {"count": 3},
    "geometry": "POLYGON ((0 0, 9 0, 9 9, 0 0))",
    "region": {"number": 1, "x": 50, "y": 50, "radius": 20},
    "annotation": {"agreement": 0.5, "notes": [{"step": "verify", "result": "disagreed", "answer": "(B) 4"}]},
}
COUNTED = make_question("q1", evidence=TELLING, review="needed")
FOUND = make_question("q2", task="fine_grained_grounding", content=GROUNDING, evidence=TELLING)
SEVERAL = make_question(
    "q3",
    task="overall_land_use",
    content=EditableContent(question="Which?", options=("(A) a", "(B) b", "(C) c", "(D) d"), answer="AC"),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(COUNTED, 0, 1, 2), QueueEntry(FOUND, 1, 1, 1)], blind="overlap")
        yield store


@pytest.fixture
def client(store: ReviewStore) -> Iterator[Client]:
    with running(store) as client:
        yield client


def saved(content: Any, number: int = 1) -> dict[str, Any]:
    request = {"request_id": f"request-{number:012d}", "question_id": "q1"}
    return {**ANN, **request, "action": "save", "content": content}


@pytest.mark.parametrize("question", [COUNTED, FOUND])
def test_nothing_that_is_sent_before_the_answer_tells_it(question: ReviewQuestion, tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "own.sqlite", now=Clock()) as store:
        store.fill([QueueEntry(question, 0, 1, 1)], blind="all")
        with running(store) as client:
            sent = client.post("next", ANN).json
    shown = sent["question"]
    assert sent["is_blind"]
    assert (shown["content"]["answer"], shown["lines"], shown["values"], shown["guesses"]) == ("", [], [], [])
    assert (shown["models"], shown["feature_ids"], shown["rule"], shown["is_disputed"]) == (None, [], "", False)
    assert "telling" not in json.dumps(sent)
    assert shown["region"] == TELLING["region"]  # it is drawn into the image
    # the circle of 20 px around 50, 50, and not the box of 100 to 300 px
    assert shown["focus"] == [30, 30, 70, 70]
    assert shown["content"]["bbox"] is None


def test_a_box_that_the_question_is_about_is_seen(tmp_path: Path) -> None:
    asked = make_question("q1", task="object_colour", content=COLOUR)
    assert hidden(asked).content.bbox == COLOUR.bbox


def test_the_key_comes_after_the_answer_which_is_kept(client: Client, store: ReviewStore) -> None:
    store_clock = store.now
    assert client.post("next", ANN).json["is_blind"]
    content = CONTENT.dump_python(COUNTING, mode="json")
    for path, body in (("decide", saved(content)), ("check", {**ANN, "question_id": "q1", "content": content})):
        refused = client.post(path, body)
        assert refused.status == 422
        assert refused.json["problems"] == ["answer the question first; its key is shown after that"]
    assert isinstance(store_clock, Clock)
    store_clock.seconds += 12
    told = client.post("answer", {**ANN, "question_id": "q1", "answer": "B"}).json
    assert (told["is_blind"], told["own"]) == (False, {"answer": "B", "bbox": None, "is_key": False})
    assert told["question"]["content"]["answer"] == "A"
    assert told["question"]["guesses"] == [{"model": "", "letters": "B", "box": None, "text": "(B) 4", "is_key": False}]
    # the first answer stands, also after a reload
    client.post("answer", {**ANN, "question_id": "q1", "answer": "A"})
    assert client.post("next", ANN).json["own"]["answer"] == "B"
    store_clock.seconds += 5
    assert client.post("decide", saved(content)).status == 200
    assert [decision.seconds for decision in store.decisions()] == [17]
    own = store.open_question("ann", "q1").own
    assert own is not None
    assert (own.answer, own.seconds) == ("B", 12)
    assert store.open_question("ben", "q1").own is None


def test_only_what_several_people_review_is_answered_blind(client: Client) -> None:
    client.post("next", ANN)
    client.post("decide", {**saved(None), "action": "skip", "content": None})
    sent = client.post("next", ANN).json
    assert (sent["question"]["question_id"], sent["is_blind"]) == ("q2", False)


def test_a_question_may_be_rejected_and_skipped_unanswered(client: Client, store: ReviewStore) -> None:
    client.post("next", ANN)
    body = {**saved(None), "action": "reject", "reason": "ambiguous question", "content": None}
    assert client.post("decide", body).status == 200


def test_who_decides_between_others_sees_all(client: Client, store: ReviewStore) -> None:
    for number, reviewer in enumerate(("ben", "cem")):
        store.decide("q1", reviewer, "rejected" if number else "accepted", request_id=reviewer, after=None)
    assert not client.post("next", ANN).json["is_blind"]


@pytest.mark.parametrize(
    ("question", "answer", "box", "fault", "right"),
    [
        (COUNTED, "A", None, None, True),
        (COUNTED, "B", None, None, False),
        (COUNTED, "", None, "choose an option first", None),
        (COUNTED, "AB", None, "choose an option first", None),
        (COUNTED, "Z", None, "choose an option first", None),
        (SEVERAL, "CA", None, None, True),
        (SEVERAL, "A", None, None, False),
        (SEVERAL, "AA", None, "choose an option first", None),
        (FOUND, "", None, "draw a box first", None),
        (FOUND, "", Box(0.1, 0.2, 0.1, 0.4), "draw a box first", None),
        (FOUND, "", Box(0.1, 0.2, 0.3, 1.4), "draw a box first", None),
        # half of the key and nothing else: 0.5
        (FOUND, "", Box(0.1, 0.2, 0.2, 0.4), None, True),
        # less than half: 0.45
        (FOUND, "", Box(0.1, 0.2, 0.19, 0.4), None, False),
        (FOUND, "", Box(0.5, 0.5, 0.6, 0.6), None, False),
    ],
)
def test_an_answer_has_the_form_of_the_question(
    question: ReviewQuestion, answer: str, box: Box | None, fault: str | None, right: bool | None
) -> None:
    assert answer_fault(question, answer, box) == fault
    if fault is None:
        assert is_key(question, answer, box) == right


def test_texts_are_not_compared() -> None:
    told = make_question("q1", task="detailed_captioning", content=EditableContent(question="What?", answer="A field."))
    assert answer_fault(told, " ", None) == "write an answer first"
    assert (answer_fault(told, "A road.", None), is_key(told, "A road.", None)) == (None, None)


@pytest.mark.parametrize(
    ("question", "answer", "guess"),
    [
        (COUNTED, "(C) 4", ("B", None, False)),  # its letter was C when the model was asked
        (COUNTED, "(A) 3", ("A", None, True)),
        (COUNTED, "none of these", ("", None, None)),
        (SEVERAL, "(A) c; (B) a", ("AC", None, True)),
        # the key is 100, 100, 300, 200 of 1000 x 500 px
        (FOUND, "[100, 100, 300, 180]", ("", [100, 100, 300, 180], True)),
        (FOUND, "[0, 0, 5, 5]", ("", [0, 0, 5, 5], False)),
        (FOUND, "the red one", ("", None, None)),
    ],
)
def test_what_a_model_answered_is_found_in_the_question(
    question: ReviewQuestion, answer: str, guess: tuple[str, list[int] | None, bool | None]
) -> None:
    notes = [{"step": "word", "result": "accepted"}, {"step": "verify", "model": "m", "answer": answer}, "broken"]
    asked = make_question("q", task=question.task, content=question.content, evidence={"annotation": {"notes": notes}})
    letters, box, right = guess
    assert guesses_of(asked) == [{"model": "m", "letters": letters, "box": box, "text": answer, "is_key": right}]


def test_nobody_asked_nothing_guessed() -> None:
    assert guesses_of(make_question("q1")) == []


def test_what_is_counted_on_a_whole_tile_opens_at_the_whole_tile() -> None:
    assert opens_whole(make_question("q1", evidence={"geometry": TELLING["geometry"]}))
    assert not opens_whole(COUNTED)  # in a circle
    assert not opens_whole(make_question("q1", task="object_colour", content=COLOUR))
    assert not opens_whole(make_question("q1", task="a task of somebody else"))
