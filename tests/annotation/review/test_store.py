"""The store loses nothing, doubles nothing, and lets several people work at once."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.annotation.review.agreement import ReviewVerdict
from rsvqa.annotation.review.database import Database, StoreError
from rsvqa.annotation.review.filters import NO_FILTERS, Filters
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import CLAIM_S, ReviewStore
from tests.annotation.review.make_questions import COUNTING, Clock, make_question, make_store

FIXED = dataclasses.replace(COUNTING, answer="B")


@pytest.fixture(autouse=True)
def _close_databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test opens, which from Python 3.13 on is a warning otherwise."""
    opened: list[Database] = []
    original = Database.__init__

    def remembered(self: Database, path: Path) -> None:
        original(self, path)
        opened.append(self)

    monkeypatch.setattr(Database, "__init__", remembered)
    yield
    for database in opened:
        database.close()


def shown(store: ReviewStore, reviewer: str, filters: Filters = NO_FILTERS) -> str | None:
    """Return the id of the question that a reviewer is given next."""
    assignment = store.next_question(reviewer, filters)
    return None if assignment is None else assignment.question.question_id


def decide(store: ReviewStore, question_id: str, reviewer: str, verdict: ReviewVerdict = "accepted") -> int:
    after = {"accepted": COUNTING, "fixed": FIXED, "rejected": None, "skipped": None}[verdict]
    number = len(store.decisions())
    return store.decide(
        question_id, reviewer, verdict, request_id=f"{reviewer}/{question_id}/{verdict}/{number}", after=after
    )


def upcoming(store: ReviewStore, reviewer: str) -> list[str]:
    return [question.question_id for question in store.upcoming(reviewer)]


def test_what_comes_next_is_neither_open_nor_decided(tmp_path: Path) -> None:
    store = make_store(tmp_path, 5)
    assert shown(store, "ann") == "q1"
    assert upcoming(store, "ann") == ["q2"]
    decide(store, "q2", "ann")
    assert upcoming(store, "ann") == ["q3"]
    # two are at work: each may take either of the first two that are free
    assert shown(store, "ben") == "q3"
    assert upcoming(store, "ann") == upcoming(store, "ben") == ["q4", "q5"]


def test_a_question_for_two_is_upcoming_for_the_second_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path, 2, wanted=2)
    assert shown(store, "ann") == "q1"
    assert upcoming(store, "ann") == ["q2"]
    assert upcoming(store, "ben") == ["q1"]


def test_two_reviewers_are_given_different_questions(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert [shown(store, "ann"), shown(store, "ben"), shown(store, "cem"), shown(store, "dan")] == [
        "q1",
        "q2",
        "q3",
        None,
    ]


def test_a_reload_shows_the_same_question(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert [shown(store, "ann"), shown(store, "ben"), shown(store, "ben"), shown(store, "ann")] == [
        "q1",
        "q2",
        "q2",
        "q1",
    ]


def test_a_claim_that_runs_out_passes_the_question_on(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, clock=clock)
    assert shown(store, "ann") == "q1"
    clock.seconds += CLAIM_S - 1
    assert shown(store, "ben") == "q2"
    clock.seconds += 1
    assert shown(store, "cem") == "q1"


def test_a_renewed_claim_holds(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, clock=clock)
    assert shown(store, "ann") == "q1"
    clock.seconds += CLAIM_S - 1
    store.renew("ann", "q1")
    clock.seconds += 2
    assert shown(store, "ben") == "q2"


def test_a_decision_knows_when_its_question_was_opened(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, clock=clock)
    shown(store, "ann")
    clock.seconds += 20
    shown(store, "ann")  # a reload: it was open before
    store.renew("ann", "q1")
    clock.seconds += 12
    decide_once(store, "q1", "ann")
    store.decide("q2", "ann", "skipped", request_id="nobody knows when q2 was opened")
    shown(store, "ben")
    clock.seconds += 3
    store.decide("q3", "ben", "skipped", request_id="measured elsewhere", seconds=8.5)
    assert [decision.seconds for decision in store.decisions()] == [32, None, 8.5]


def test_a_claim_that_ran_out_and_came_back_was_opened_anew(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, clock=clock)
    shown(store, "ann")
    clock.seconds += CLAIM_S + 50
    shown(store, "ben")
    store.release("ben")
    shown(store, "ann")
    clock.seconds += 7
    decide_once(store, "q1", "ann")
    assert [decision.seconds for decision in store.decisions()] == [7]


def test_a_released_question_is_free(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert shown(store, "ann") == "q1"
    store.release("ann")
    assert shown(store, "ben") == "q1"


def test_a_late_decision_is_one_opinion_more_and_a_third_decides(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, 1, clock=clock)
    assert shown(store, "ann") == "q1"
    clock.seconds += CLAIM_S + 1
    assert shown(store, "ben") == "q1"
    decide(store, "q1", "ben", "rejected")
    assert store.final_decisions()["q1"].verdict == "rejected"
    decide(store, "q1", "ann", "fixed")
    assert store.final_decisions() == {}
    third = store.next_question("cem")
    assert third is not None
    assert [(opinion.reviewer, opinion.verdict) for opinion in third.opinions] == [
        ("ben", "rejected"),
        ("ann", "fixed"),
    ]
    decide(store, "q1", "cem", "accepted")
    assert store.final_decisions()["q1"].reviewer == "cem"


def test_double_review_is_blind_and_ends_when_two_agree(tmp_path: Path) -> None:
    store = make_store(tmp_path, 1, wanted=2)
    decide(store, "q1", "ann")
    assert store.final_decisions() == {}
    assert shown(store, "ann") is None
    second = store.next_question("ben")
    assert second is not None
    assert second.opinions == ()
    decide(store, "q1", "ben")
    assert store.final_decisions()["q1"].reviewer == "ann"
    assert shown(store, "cem") is None


def test_two_reviewers_may_hold_a_question_that_wants_two(tmp_path: Path) -> None:
    store = make_store(tmp_path, 2, wanted=2)
    assert [shown(store, name) for name in ("ann", "ben", "cem")] == ["q1", "q1", "q2"]


def test_fixes_that_differ_are_a_disagreement(tmp_path: Path) -> None:
    store = make_store(tmp_path, 1, wanted=2)
    store.decide("q1", "ann", "fixed", request_id="1", after=FIXED)
    store.decide("q1", "ben", "fixed", request_id="2", after=dataclasses.replace(COUNTING, answer="C"))
    assert store.final_decisions() == {}


def test_the_same_request_is_stored_once(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    first = store.decide("q1", "ann", "accepted", request_id="1", after=COUNTING)
    again = store.decide("q1", "ann", "accepted", request_id="1", after=COUNTING)
    assert (first, again, len(store.decisions())) == (1, 1, 1)


def test_a_repeated_request_does_not_revive_what_was_undone(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    number = store.decide("q1", "ann", "accepted", request_id="1", after=COUNTING)
    store.undo("ann", number)
    store.decide("q1", "ann", "accepted", request_id="1", after=COUNTING)
    assert store.decisions() == ()


def test_undo_opens_the_question_again_and_keeps_the_row(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    number = decide(store, "q1", "ann", "fixed")
    assert shown(store, "ann") == "q2"
    undone = store.undo("ann", number)
    assert (undone.question_id, undone.after) == ("q1", FIXED)
    assert store.undo("ann", number).question_id == "q1"
    assert store.final_decisions() == {}
    store.release("ann")
    assert shown(store, "ann") == "q1"
    with sqlite3.connect(tmp_path / "review.sqlite") as connection:
        rows = connection.execute("SELECT verdict, withdrawn_at IS NULL FROM decisions").fetchall()
    connection.close()
    assert rows == [("fixed", 0)]


def test_an_annotators_undo_does_not_keep_a_dispute_from_who_decides(tmp_path: Path) -> None:
    store = make_store(tmp_path, 1, wanted=2)
    number = decide(store, "q1", "ann")  # open for longer than it was kept for her: one opinion more
    decide(store, "q1", "ben", "rejected")
    store.decide("q1", "cem", "fixed", request_id="c", after=FIXED, may_adjudicate=False)
    store.undo("ann", number)
    assert store.open_question("ann", "q1", may_adjudicate=False).opinions == ()
    assert shown(store, "eva") == "q1"
    # who may decide himself keeps it as ever
    store.release("eva")
    assert len(store.open_question("fay", "q1").opinions) == 2
    assert shown(store, "eva") is None


def test_nobody_undoes_the_decision_of_another(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    number = decide(store, "q1", "ann")
    with pytest.raises(StoreError, match="ben took no decision number 1"):
        store.undo("ben", number)


def test_deciding_again_withdraws_the_former_decision(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    decide(store, "q1", "ann")
    decide(store, "q1", "ann", "rejected")
    assert [(d.verdict, d.number) for d in store.decisions()] == [("rejected", 2)]


def test_what_was_skipped_comes_again_when_asked_for(tmp_path: Path) -> None:
    store = make_store(tmp_path, 1)
    decide(store, "q1", "ann", "skipped")
    assert shown(store, "ann") is None
    assert shown(store, "ben") == "q1"
    store.release("ben")
    assert store.forget_skips("ann") == 1
    assert shown(store, "ann") == "q1"


def test_filters_choose_what_is_shown(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "review.sqlite", now=Clock())
    disputed = {"annotation": {"agreement": 0.5}}
    questions = [
        make_question("plain"),
        make_question("colour", task="object_colour"),
        make_question("written", source="llm"),
        make_question("held out", split="val"),
        make_question("disputed", evidence=disputed),
    ]
    store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(questions)])
    found = {}
    for name, filters in {
        "colour": Filters(task="object_colour"),
        "written": Filters(source="llm"),
        "held out": Filters(split="val"),
        "disputed": Filters(disputed_only=True),
        "plain": Filters(),
        "none": Filters(task="object_colour", split="val"),
    }.items():
        store.release("ann")
        found[name] = shown(store, "ann", filters)
    assert found == {
        "colour": "colour",
        "written": "written",
        "held out": "held out",
        "disputed": "disputed",
        "plain": "plain",
        "none": None,
    }


def test_needed_questions_come_before_the_sample(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "review.sqlite", now=Clock())
    store.fill([QueueEntry(make_question("sampled"), 0, 1, 1), QueueEntry(make_question("needed"), 9, 0, 1)])
    assert [shown(store, "ann"), shown(store, "ben")] == ["needed", "sampled"]


def test_a_smaller_queue_keeps_the_decisions(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    decide(store, "q3", "ann")
    store.fill([QueueEntry(make_question("q1"), 0, 1, 1)])
    assert set(store.final_decisions()) == {"q3"}
    assert [shown(store, "ann"), shown(store, "ben")] == ["q1", None]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="cannot be used as the store of a review"):
        ReviewStore(path)


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99; this rsvqa knows version 3"):
        ReviewStore(path)


def test_an_unknown_question_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    with pytest.raises(StoreError, match="no question 'q9'"):
        decide(store, "q9", "ann")


def test_eight_threads_share_the_queue_without_doubling(tmp_path: Path) -> None:
    store = make_store(tmp_path, 64)
    taken: list[str] = []

    def work(reviewer: str) -> None:
        while question_id := shown(store, reviewer):
            taken.append(question_id)
            decide_once(store, question_id, reviewer)

    threads = [threading.Thread(target=work, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"q{number}" for number in range(1, 65))
    assert len(store.final_decisions()) == 64


def decide_once(store: ReviewStore, question_id: str, reviewer: str) -> None:
    store.decide(question_id, reviewer, "accepted", request_id=f"{reviewer}/{question_id}", after=COUNTING)


_WRITER = """
import sys
from pathlib import Path
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COUNTING
store = ReviewStore(Path(sys.argv[1]))
for number in range(1, 100_000):
    question = store.next_question("ann").question.question_id
    store.decide(question, "ann", "accepted", request_id=str(number), after=COUNTING)
    print(question, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path: Path) -> None:
    make_store(tmp_path, 2_000).database.close()
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "review.sqlite")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert writer.stdout is not None
    reported = [writer.stdout.readline().strip() for _ in range(20)]
    os.kill(writer.pid, signal.SIGKILL)
    reported += writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()
    stored = [decision.question_id for decision in ReviewStore(tmp_path / "review.sqlite").decisions()]
    # one decision may be on disk that the writer had no time to report
    assert stored[: len(reported)] == reported
    assert len(stored) - len(reported) in (0, 1)
