"""Gold questions are sown as the seed says and bear on people alone; agreement, time and haste are as by hand."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.annotation.review.agreement import ReviewVerdict
from rsvqa.annotation.review.oversight import Search, find, mark_gold
from rsvqa.annotation.review.quality import Work, is_hasty, read_work, work_csv
from rsvqa.annotation.review.queue import QueueEntry, draw
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COUNTING, Clock, make_question

QUESTIONS = [make_question(f"q{i}", task="object_presence" if i > 8 else "overall_counting") for i in range(12)]
GOLD = 4
"""q0 to q3 are gold: q0 accepted, q1 rejected, q2 fixed, q3 accepted."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[ReviewStore]:
    with ReviewStore(tmp_path / "review.sqlite", now=clock) as store:
        store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(QUESTIONS)])
        for number, letter in enumerate("arfa"):
            decide(store, f"q{number}", "lea", letter)
            mark_gold(store, f"q{number}", "lea", is_gold=True)
        yield store


def decide(store: ReviewStore, question_id: str, reviewer: str, letter: str, *, seconds: float | None = None) -> int:
    """Accept, fix, reject or skip."""
    names: dict[str, ReviewVerdict] = {"a": "accepted", "f": "fixed", "r": "rejected", "s": "skipped"}
    after = {"a": COUNTING, "f": dataclasses.replace(COUNTING, answer="B")}.get(letter)
    request_id = f"{question_id} {reviewer} {letter} {store.now()}"
    return store.decide(question_id, reviewer, names[letter], request_id=request_id, after=after, seconds=seconds)


def sow(store: ReviewStore, rate: float, seed: int = 0) -> None:
    store.fill([QueueEntry(question, i, 1, 1) for i, question in enumerate(QUESTIONS)], gold=rate, seed=seed)


def work_through(store: ReviewStore, reviewer: str) -> list[str]:
    """Reject all that comes, and return it."""
    found = []
    while (assignment := store.next_question(reviewer)) is not None:
        found.append(assignment.question.question_id)
        decide(store, found[-1], reviewer, "r")
    return found


def test_without_a_rate_no_gold_comes(store: ReviewStore) -> None:
    assert work_through(store, "ann") == [f"q{i}" for i in range(4, 12)]


def test_at_the_full_rate_all_gold_comes_before_anything_else(store: ReviewStore) -> None:
    sow(store, 1.0)
    found = work_through(store, "ann")
    assert sorted(found[:GOLD]) == ["q0", "q1", "q2", "q3"]
    assert found[GOLD:] == [f"q{i}" for i in range(4, 12)]


def test_when_gold_comes_follows_from_seed_and_person(store: ReviewStore) -> None:
    sow(store, 0.4, seed=5)
    turns = [draw(5, "gold", f"ann/{taken}") < 0.4 for taken in range(8)]
    assert True in turns
    assert False in turns
    for turn in turns:
        first = store.next_question("ann")
        again = store.next_question("ann")  # a reload
        assert first is not None
        assert again is not None
        assert first.question == again.question
        assert (first.question.question_id in ("q0", "q1", "q2", "q3")) == turn
        decide(store, first.question.question_id, "ann", "r")


def test_people_get_gold_in_orders_of_their_own(store: ReviewStore) -> None:
    sow(store, 1.0)
    orders = set()
    for reviewer in ("ann", "ben", "cem", "dan", "eva"):
        order = []
        for _ in range(GOLD):
            assignment = store.next_question(reviewer)
            assert assignment is not None
            order.append(assignment.question.question_id)
            decide(store, order[-1], reviewer, "a")
        orders.add(tuple(order))
    assert len(orders) > 1


def test_what_people_say_to_gold_changes_nothing_about_it(store: ReviewStore) -> None:
    before = store.final_decisions()
    for number, letter in enumerate("rafs"):
        decide(store, f"q{number}", "ann", letter)
    assert store.final_decisions() == before
    assert find(store, Search(state="contested")).total == 0
    assert find(store, Search(state="decided")).total == GOLD
    assert [decision.reviewer for decision in store.decisions()] == ["lea"] * GOLD
    assert [decision.verdict for decision in store.gold_decisions()] == ["rejected", "accepted", "fixed", "skipped"]


def test_who_knows_what_is_right_may_decide_it_anew(store: ReviewStore) -> None:
    decide(store, "q0", "ann", "r")
    decide(store, "q0", "lea", "r")
    assert store.final_decisions()["q0"].verdict == "rejected"
    (ann,) = [row for row in read_work(store) if (row.person, row.task) == ("ann", "")]
    assert ann.gold_agreement == 1.0


def test_work_is_counted_by_hand(store: ReviewStore, clock: Clock) -> None:
    # on gold: accepted as known, accepted though rejected, and the same fix: two of three
    for number, letter in enumerate("aaf"):
        decide(store, f"q{number}", "ann", letter, seconds=20)
    # 10, 30 and 1 s, and a break of 400 s
    for number, seconds in ((4, 10.0), (5, 30.0), (6, 1.0), (7, 400.0)):
        decide(store, f"q{number}", "ann", "r", seconds=seconds)
    decide(store, "q9", "ann", "s", seconds=0.1)
    decide(store, "q10", "ann", "f", seconds=2.0)
    rows = {(row.person, row.task): row for row in read_work(store)}
    assert list(rows) == [
        ("ann", ""),
        ("ann", "object_presence"),
        ("ann", "overall_counting"),
        ("lea", ""),
        ("lea", "overall_counting"),
    ]
    ann = rows["ann", ""]
    assert (ann.decided, ann.accepted, ann.fixed, ann.rejected, ann.skipped) == (8, 2, 2, 4, 1)
    assert ann.fix_rate == 0.25
    # 1, 2, 10, 20, 20, 20, 30: the break is none
    assert ann.seconds == 20
    assert ann.hours == pytest.approx(103 / 3600)
    # counting usually takes 20 s: 1 s is under a quarter; presence has too few times, and 2 s are above 1.5 s
    assert (ann.hasty, rows["ann", "object_presence"].hasty) == (1, 0)
    assert ann.num_gold == 3
    assert ann.gold_agreement == pytest.approx(2 / 3)
    assert (rows["lea", ""].num_gold, rows["lea", ""].gold_agreement, rows["lea", ""].seconds) == (0, None, None)


def test_blind_answers_and_second_opinions_are_compared(store: ReviewStore) -> None:
    store.fill([QueueEntry(question, i, 1, 2) for i, question in enumerate(QUESTIONS)], blind="all")
    for question_id, answer in (("q4", "A"), ("q5", "B"), ("q6", "A")):
        store.answer(question_id, "ann", answer, None)
    for question_id, ann, ben in (("q4", "a", "a"), ("q5", "a", "r"), ("q6", "r", "r"), ("q7", "r", "r")):
        decide(store, question_id, "ann", ann)
        decide(store, question_id, "ben", ben)
    of_ann = next(row for row in read_work(store) if row.person == "ann")
    assert of_ann.num_blind == 3
    assert of_ann.blind_agreement == pytest.approx(2 / 3)
    # three of four alike; expected 2/4 x 1/4 + 2/4 x 3/4 = 0.5; kappa (0.75 - 0.5) / 0.5
    assert of_ann.num_double == 4
    assert of_ann.kappa == pytest.approx(0.5)


def test_nobody_has_worked_yet(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "own.sqlite") as store:
        assert read_work(store) == []
        assert work_csv([]).startswith("person,task,decided,")


@pytest.mark.parametrize(
    ("seconds", "usual", "hasty"),
    [
        (None, None, False),
        (1.4, None, True),
        (1.5, None, False),
        (4.9, 20.0, True),
        (5.0, 20.0, False),
        (1.4, 2.0, True),
    ],
)
def test_haste_is_less_than_a_quarter_of_the_usual_time(
    seconds: float | None, usual: float | None, hasty: bool
) -> None:
    assert is_hasty(seconds, usual) == hasty


def test_csv_has_a_line_per_person_and_task_and_no_formula(store: ReviewStore) -> None:
    decide(store, "q4", '=HYPERLINK("x")', "r", seconds=10)
    rows = list(csv.DictReader(io.StringIO(work_csv(read_work(store)))))
    assert list(rows[0]) == [field.name for field in dataclasses.fields(Work)]
    assert (rows[0]["person"], rows[0]["task"], rows[0]["seconds"], rows[0]["kappa"]) == (
        '\'=HYPERLINK("x")',
        "",
        "10.0",
        "",
    )
