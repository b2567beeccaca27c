"""Cohen's kappa by hand, and what several opinions come to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rsvqa.annotation.review.agreement import (
    Decision,
    ReviewVerdict,
    cohens_kappa,
    final_decision,
    fleiss_kappa,
    is_contested,
    num_missing,
)
from rsvqa.annotation.review.progress import pace, read_choices, read_summary
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_questions import COUNTING, Clock, make_question


def test_kappa_is_cohens() -> None:
    # 50 cases, both yes 20, both no 15, only the first yes 5, only the second yes 10: observed (20 + 15) / 50 = 0.7;
    # yes of the first 25 / 50, of the second 30 / 50: expected 0.5 x 0.6 + 0.5 x 0.4 = 0.5; kappa (0.7 - 0.5) / 0.5
    pairs = [("yes", "yes")] * 20 + [("no", "no")] * 15 + [("yes", "no")] * 5 + [("no", "yes")] * 10
    assert cohens_kappa(pairs) == pytest.approx(0.4)


def test_fleiss_kappa_is_that_of_the_worked_example() -> None:
    # 14 raters, 10 subjects, 5 categories: https://en.wikipedia.org/wiki/Fleiss%27_kappa#Worked_example
    # mean agreement 0.378, expected 0.213: (0.378 - 0.213) / (1 - 0.213) = 0.210
    counts = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    items = [[label for label, count in zip("abcde", row, strict=True) for _ in range(count)] for row in counts]
    assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_of_different_numbers_of_opinions() -> None:
    # one of three pairs agrees, then one of one: 2/3; a 4/5 and b 1/5 of the labels: expected 0.68; one is no pair
    assert fleiss_kappa([["a", "a", "b"], ["a", "a"], ["b"]]) == pytest.approx((2 / 3 - 0.68) / 0.32)
    assert fleiss_kappa([["a", "a", "a"]]) is None
    assert fleiss_kappa([["a"]]) is None
    assert fleiss_kappa([]) is None


def test_kappa_of_full_disagreement_is_negative() -> None:
    # observed 0; each label is half of each rater's: expected 0.5; kappa (0 - 0.5) / 0.5
    assert cohens_kappa([("a", "b"), ("b", "a")]) == pytest.approx(-1)


@pytest.mark.parametrize("pairs", [[], [("a", "a")], [("a", "a")] * 9])
def test_kappa_is_undefined_without_variety(pairs: list[tuple[str, str]]) -> None:
    assert cohens_kappa(pairs) is None


def test_nobody_is_missing_when_nobody_is_wanted() -> None:
    assert num_missing([], wanted=2) == 2
    assert num_missing([], wanted=1) == 1


def opinion(number: int, verdict: ReviewVerdict, answer: str = "A", *, decides: bool = False) -> Decision:
    return Decision(
        number=number,
        question_id="q1",
        reviewer=f"reviewer {number}",
        verdict=verdict,
        before=COUNTING,
        after=None if verdict == "rejected" else dataclasses.replace(COUNTING, answer=answer),
        reason=f"reason {number}",
        decided_at=0,
        is_adjudication=decides,
    )


@pytest.mark.parametrize(
    ("opinions", "number"),
    [
        ([opinion(1, "accepted"), opinion(2, "accepted")], 1),
        ([opinion(1, "accepted"), opinion(2, "rejected"), opinion(3, "rejected")], 2),
        ([opinion(1, "accepted"), opinion(2, "rejected"), opinion(3, "accepted")], 1),
        # the first two agree by now: the last is a former first opinion, decided anew
        ([opinion(1, "rejected"), opinion(2, "rejected"), opinion(3, "accepted")], 1),
        # all differ: the third, who was asked, decides
        ([opinion(1, "accepted"), opinion(2, "rejected"), opinion(3, "fixed", "B", decides=True)], 3),
        ([opinion(1, "fixed", "B"), opinion(2, "fixed", "C"), opinion(3, "fixed", "D", decides=True)], 3),
        # one of the first comes to agree with the other after a third has decided
        ([opinion(2, "rejected"), opinion(3, "accepted", decides=True), opinion(4, "rejected")], 3),
    ],
)
def test_what_two_share_stands_and_else_the_third_decides(opinions: list[Decision], number: int) -> None:
    final = final_decision(opinions, wanted=2)
    assert final is not None
    assert final.number == number


@pytest.mark.parametrize(
    ("verdicts", "wanted", "missing", "contested"),
    [
        ("", 3, 3, False),
        ("a", 3, 2, False),
        ("aa", 3, 1, False),
        ("ar", 3, 1, False),  # a third may settle it before anybody must decide
        ("aar", 3, 0, False),
        ("arf", 3, 1, True),
        ("aarr", 4, 1, True),  # half is not more than half
        ("aaarr", 5, 0, False),
        ("aarrf", 5, 1, True),
        ("arfA", 3, 0, False),
        ("aarrF", 4, 0, False),  # who decides may think as nobody did
        ("ar", 1, 1, True),  # a decision that came late
        ("arf", 1, 1, True),
    ],
)
def test_more_than_half_settle_a_question_and_else_one_decides(
    verdicts: str, wanted: int, missing: int, contested: bool
) -> None:
    names: dict[str, ReviewVerdict] = {"a": "accepted", "r": "rejected", "f": "fixed"}
    opinions = [opinion(i, names[one.lower()], decides=one.isupper()) for i, one in enumerate(verdicts)]
    assert num_missing(opinions, wanted=wanted) == missing
    assert is_contested(opinions, wanted=wanted) == contested
    final = final_decision(opinions, wanted=wanted)
    assert (final is None) == (missing > 0)
    if verdicts[-1:].isupper():
        assert final is opinions[-1]


def test_the_time_for_a_decision_is_known_where_its_opening_is() -> None:
    timed = dataclasses.replace(opinion(1, "accepted"), opened_at=10.0, decided_at=42.5)
    assert timed.seconds == 32.5
    assert opinion(1, "accepted").seconds is None


def test_pace_is_the_median_without_breaks() -> None:
    # gaps 10, 20, 3000 (a break) and 60 s
    assert pace([0, 10, 30, 3030, 3090]) == 20
    assert pace([0, 10]) is None
    assert pace([]) is None


def test_the_summary_tells_agreement_by_task(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        tasks = ["overall_counting"] * 4 + ["object_presence"]
        store.fill([QueueEntry(make_question(f"q{i}", task=task), i, 1, 2) for i, task in enumerate(tasks)])
        opinions = {"ann": "aara.", "ben": "aarra"}  # accepted, rejected, none
        for reviewer, letters in opinions.items():
            for number, letter in enumerate(letters):
                if letter != ".":
                    verdict: ReviewVerdict = "accepted" if letter == "a" else "rejected"
                    after = COUNTING if letter == "a" else None
                    store.decide(f"q{number}", reviewer, verdict, request_id=f"{reviewer}{number}", after=after)
        summary = read_summary(store)
    counting = summary.tasks["overall_counting"]
    # three of four alike; expected: accepted 3/4 x 2/4 + rejected 1/4 x 2/4 = 0.5; kappa (0.75 - 0.5) / 0.5
    assert (counting.num_double, counting.agreement) == (4, 0.75)
    assert counting.kappa == pytest.approx(0.5)
    assert (counting.queued, counting.done, counting.num_disputed) == (4, 3, 1)
    presence = summary.tasks["object_presence"]
    assert (presence.done, presence.num_double, presence.kappa) == (0, 0, None)
    assert summary.reviewers == {"ann": 4, "ben": 5}


def test_choices_count_the_queue(tmp_path: Path) -> None:
    with ReviewStore(tmp_path / "review.sqlite", now=Clock()) as store:
        disputed = make_question("q2", source="llm", split="val", evidence={"annotation": {"agreement": 0}})
        store.fill([QueueEntry(make_question("q1"), 0, 1, 1), QueueEntry(disputed, 1, 0, 1)])
        choices = read_choices(store)
    assert choices.tasks == {"overall_counting": 2}
    assert (choices.sources, choices.splits, choices.num_disputed) == ({"llm": 1, "rule": 1}, {"train": 1, "val": 1}, 1)
