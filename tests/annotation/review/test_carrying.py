"""Decisions belong to the content of a question: they stand where it is the same, and nowhere else."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.agreement import ReviewVerdict
from rsvqa.annotation.review.binding import Bound
from rsvqa.annotation.review.content import CONTENT, QUESTION, EditableContent, ReviewQuestion, content_key, kin_key
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COLOUR, COUNTING, Clock, make_question

MOVED = dataclasses.replace(COUNTING, options=("(A) 6", "(B) 3", "(C) 5", "(D) 4"), answer="B")
"""`COUNTING` (3, 4, 5, 6; A is right) with its options in another order."""
OTHER_WRONG = dataclasses.replace(COUNTING, options=("(A) 3", "(B) 4", "(C) 5", "(D) 9"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as opened:
        yield opened


def bind(store: ReviewStore, *questions: ReviewQuestion) -> Bound:
    bound = store.bind("any", questions)
    store.fill([])
    return bound


def decide(store: ReviewStore, question: ReviewQuestion, verdict: ReviewVerdict, **values: Any) -> None:
    store.fill([QueueEntry(question, 0, 1, 1)])
    after = values.pop("after", question.content if verdict == "accepted" else None)
    store.decide(question.question_id, "ann", verdict, request_id=f"{verdict} {values}", after=after, **values)


def test_an_accepted_question_stays_so_when_its_letters_move(store: ReviewStore) -> None:
    decide(store, make_question(), "accepted")
    assert bind(store, make_question(content=MOVED)) == Bound(kept=1, changed=(), gone=0)
    decision = store.final_decisions()["a:0_0/OC1"]
    assert (decision.verdict, decision.before, decision.after) == ("accepted", MOVED, MOVED)


def test_letters_of_a_fix_move_with_their_options(store: ReviewStore) -> None:
    # the key was 3 and became 5, and the option 6 became 7
    fix = EditableContent(question="How many cars?", options=("(A) 3", "(B) 4", "(C) 5", "(D) 7"), answer="C")
    decide(store, make_question(), "fixed", after=fix)
    bind(store, make_question(content=MOVED))
    # 7 stands where 6 stands now, and 5 is C here too
    assert store.final_decisions()["a:0_0/OC1"].after == EditableContent(
        question="How many cars?", options=("(A) 7", "(B) 3", "(C) 5", "(D) 4"), answer="C"
    )


def test_a_fix_with_an_option_less_stays_as_it_was_left(store: ReviewStore) -> None:
    fix = dataclasses.replace(COUNTING, options=("(A) 4", "(B) 3"), answer="B")
    decide(store, make_question(), "fixed", after=fix)
    bind(store, make_question(content=MOVED))
    assert store.final_decisions()["a:0_0/OC1"].after == fix


def test_opinions_agree_whatever_the_letters_were(store: ReviewStore) -> None:
    store.fill([QueueEntry(make_question(), 0, 1, 2)])
    store.decide("a:0_0/OC1", "ann", "accepted", request_id="1", after=COUNTING)
    bind(store, make_question(content=MOVED))
    store.fill([QueueEntry(make_question(content=MOVED), 0, 1, 2)])
    store.decide("a:0_0/OC1", "ben", "accepted", request_id="2", after=MOVED)
    assert store.final_decisions()["a:0_0/OC1"].after == MOVED


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"content": OTHER_WRONG}, ("options",)),
        ({"content": dataclasses.replace(COUNTING, answer="B")}, ("answer",)),
        ({"content": dataclasses.replace(COUNTING, question="How many cars are parked?")}, ("question",)),
        ({"image_digests": ("another picture",)}, ("image",)),
        ({"evidence": {"rule": "by_hand", "feature_ids": ["a:1"], "values": {"count": 4}}}, ("evidence",)),
    ],
)
def test_what_changed_comes_again_with_the_old_decision(
    store: ReviewStore, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    decide(store, make_question(), "rejected", reason="wrong answer")
    assert bind(store, make_question(**changes)) == Bound(kept=0, changed=("a:0_0/OC1",), gone=0)
    assert store.final_decisions() == {}
    assignment = store.next_question("ann")
    assert assignment is not None
    assert assignment.former is not None
    assert assignment.former.changes == parts
    assert [(old.verdict, old.reason, old.before) for old in assignment.former.opinions] == [
        ("rejected", "wrong answer", COUNTING)
    ]


def test_names_of_labels_and_what_models_did_do_not_count(store: ReviewStore) -> None:
    decide(store, make_question(), "accepted")
    evidence = {"rule": "by_hand", "feature_ids": ["a:7"], "values": {"count": 3}, "annotation": {"agreement": 1}}
    assert bind(store, make_question(evidence=evidence)).kept == 1


def test_a_moved_box_is_another_content() -> None:
    question = make_question(task="object_colour", content=COLOUR)
    moved = dataclasses.replace(COLOUR, bbox=Box(0.1, 0.2, 0.3, 0.5))
    assert content_key(dataclasses.replace(question, content=moved)) != content_key(question)


def test_a_decision_follows_its_question_to_another_number(store: ReviewStore) -> None:
    first = make_question("a:0_0/OC1")
    second = make_question("a:0_0/OC2", content=dataclasses.replace(COUNTING, question="How many ships are there?"))
    decide(store, second, "accepted")
    # the first question went, so the second has its number, and a new one has that of the second
    renumbered = dataclasses.replace(second, question_id=first.question_id)
    new = dataclasses.replace(first, question_id="a:0_0/OC2")
    assert bind(store, renumbered, new) == Bound(kept=1, changed=(), gone=0)
    assert set(store.final_decisions()) == {"a:0_0/OC1"}
    assert store.next_question("ann") is None


def test_a_question_that_is_gone_keeps_its_decision_until_it_is_back(store: ReviewStore) -> None:
    decide(store, make_question(), "accepted")
    assert bind(store) == Bound(kept=0, changed=(), gone=1)
    assert store.decisions() == ()
    assert bind(store, dataclasses.replace(make_question(), question_id="a:0_0/OC5")) == Bound(
        kept=1, changed=(), gone=0
    )
    assert set(store.final_decisions()) == {"a:0_0/OC5"}


def test_what_was_decided_anew_does_not_come_a_third_time(store: ReviewStore) -> None:
    decide(store, make_question(), "accepted")
    new = make_question(content=OTHER_WRONG)
    bind(store, new)
    store.decide("a:0_0/OC1", "ann", "rejected", request_id="again", reason="several options are right")
    assert bind(store, new) == Bound(kept=1, changed=(), gone=0)
    assert store.next_question("ann") is None
    assert store.final_decisions()["a:0_0/OC1"].verdict == "rejected"


def test_what_was_skipped_only_is_no_decision(store: ReviewStore) -> None:
    decide(store, make_question(), "skipped")
    assert bind(store, make_question(content=OTHER_WRONG)) == Bound(kept=0, changed=(), gone=0)


def test_an_empty_store_and_an_empty_data_set_bind(store: ReviewStore) -> None:
    assert bind(store) == Bound(kept=0, changed=(), gone=0)
    assert bind(store, make_question()) == Bound(kept=0, changed=(), gone=0)


def test_a_shard_s_images_are_read_once(store: ReviewStore) -> None:
    reads: list[str] = []

    def read() -> dict[str, str]:
        reads.append("read")
        return {"a/0_0.jpg": "1234"}

    assert [dict(store.image_digests("train 10 bytes", read)) for _ in range(2)] == [{"a/0_0.jpg": "1234"}] * 2
    assert reads == ["read"]


# --- stores of the first version --------------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE questions (question_id TEXT PRIMARY KEY, position INTEGER NOT NULL, priority INTEGER NOT NULL,
    task TEXT NOT NULL, source TEXT NOT NULL, split TEXT NOT NULL, is_disputed INTEGER NOT NULL,
    wanted INTEGER NOT NULL, missing INTEGER NOT NULL, is_queued INTEGER NOT NULL, question TEXT NOT NULL);
CREATE INDEX open_questions ON questions (priority, position) WHERE is_queued AND missing > 0;
CREATE TABLE decisions (number INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE,
    question_id TEXT NOT NULL REFERENCES questions, reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'fixed', 'rejected', 'skipped')), before TEXT NOT NULL,
    after TEXT, reason TEXT NOT NULL, decided_at REAL NOT NULL, withdrawn_at REAL);
CREATE UNIQUE INDEX one_standing ON decisions (question_id, reviewer) WHERE withdrawn_at IS NULL;
CREATE INDEX of_reviewer ON decisions (reviewer, number) WHERE withdrawn_at IS NULL;
CREATE TABLE claims (question_id TEXT NOT NULL REFERENCES questions, reviewer TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (question_id, reviewer)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """Write a store of the first version with one accepted question and one withdrawn decision."""
    path = tmp_path / "old.sqlite"
    question = dataclasses.replace(make_question(), image_digests=())
    content = CONTENT.dump_json(COUNTING).decode()
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute("INSERT INTO facts VALUES ('data_set', 'the data set')")
    row = (
        question.question_id,
        0,
        1,
        question.task,
        "rule",
        "train",
        0,
        1,
        0,
        1,
        QUESTION.dump_json(question).decode(),
    )
    connection.execute("INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    decision = "INSERT INTO decisions VALUES (?, ?, ?, 'ann', ?, ?, ?, ?, 5.0, ?)"
    connection.execute(decision, (1, "one", question.question_id, "rejected", content, None, "wrong answer", 6.0))
    connection.execute(decision, (2, "two", question.question_id, "accepted", content, content, "", None))
    connection.commit()
    connection.close()
    return path


def test_a_store_of_the_first_version_keeps_its_decisions(old_store: Path) -> None:
    with ReviewStore(old_store) as store:
        assert store.bind("the data set", [make_question()]) == Bound(kept=1, changed=(), gone=0)
        assert store.final_decisions()["a:0_0/OC1"].number == 2
        assert store.knows_request("one")
    with ReviewStore(old_store) as store:  # and again, when it is of this version
        assert store.bind("any", [make_question()]) == Bound(kept=1, changed=(), gone=0)


def test_a_store_of_the_first_version_does_not_know_what_images_it_was_about(old_store: Path) -> None:
    with ReviewStore(old_store) as store:
        assert store.bind("another data set", [make_question()]) == Bound(kept=0, changed=("a:0_0/OC1",), gone=0)
        store.fill([])
        assignment = store.next_question("ann")
        assert assignment is not None
        assert assignment.former is not None
        assert assignment.former.changes == ("image",)
        assert [old.verdict for old in assignment.former.opinions] == ["accepted"]


# --- stores of the second version -------------------------------------------------------------------------------------

VERSION_2 = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE questions (key TEXT PRIMARY KEY, question_id TEXT NOT NULL, kin TEXT NOT NULL, former TEXT,
    is_present INTEGER NOT NULL, position INTEGER NOT NULL, priority INTEGER NOT NULL, task TEXT NOT NULL,
    source TEXT NOT NULL, split TEXT NOT NULL, is_disputed INTEGER NOT NULL, wanted INTEGER NOT NULL,
    missing INTEGER NOT NULL, is_queued INTEGER NOT NULL, question TEXT NOT NULL);
CREATE UNIQUE INDEX present_questions ON questions (question_id) WHERE is_present;
CREATE INDEX open_questions ON questions (priority, position) WHERE is_queued AND missing > 0;
CREATE TABLE decisions (number INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE, reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'fixed', 'rejected', 'skipped')), before TEXT NOT NULL,
    after TEXT, reason TEXT NOT NULL, decided_at REAL NOT NULL, withdrawn_at REAL);
CREATE UNIQUE INDEX one_standing ON decisions (key, reviewer) WHERE withdrawn_at IS NULL;
CREATE INDEX of_reviewer ON decisions (reviewer, number) WHERE withdrawn_at IS NULL;
CREATE TABLE claims (key TEXT NOT NULL REFERENCES questions ON UPDATE CASCADE, reviewer TEXT NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (key, reviewer)) WITHOUT ROWID;
CREATE TABLE shard_images (shard TEXT NOT NULL, image TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (shard, image))
    WITHOUT ROWID;
PRAGMA user_version = 2;
"""


def test_a_store_of_the_second_version_keeps_its_decisions_and_who_decided(tmp_path: Path) -> None:
    question = make_question()
    content, fixed = (CONTENT.dump_json(one).decode() for one in (COUNTING, dataclasses.replace(COUNTING, answer="B")))
    connection = sqlite3.connect(tmp_path / "old.sqlite")
    connection.executescript(VERSION_2)
    row = (content_key(question), question.question_id, kin_key(question), None, 1, 0, 1, question.task, "rule")
    rest = ("train", 0, 2, 0, 1, QUESTION.dump_json(question).decode())
    connection.execute("INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *rest))
    opinions = [("ann", "accepted", content), ("ben", "rejected", None), ("cem", "fixed", fixed)]
    for number, (reviewer, verdict, after) in enumerate(opinions, 1):
        values = (number, str(number), content_key(question), reviewer, verdict, content, after, "", 5.0)
        connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", values)
    connection.execute("INSERT INTO claims VALUES (?, 'ann', 9e9)", (content_key(question),))
    connection.commit()
    connection.close()
    for _ in range(2):  # and again, when it is of this version
        with ReviewStore(tmp_path / "old.sqlite") as store:
            assert store.bind("any", [question]) == Bound(kept=1, changed=(), gone=0)
            store.fill([QueueEntry(question, 0, 1, 2)])
            # all three differ: the third, who was asked to decide, stands
            assert store.final_decisions()["a:0_0/OC1"].number == 3
            assert [(d.is_adjudication, d.seconds) for d in store.decisions()] == [
                (False, None),
                (False, None),
                (True, None),
            ]
