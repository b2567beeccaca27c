"""Scores, ranks and what is kept, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rsvqa.model.selecting.gradients import SampleRow
from rsvqa.model.selecting.ranking import Scored, Scorer, choose, mutual_information, rank, rank_correlation


def row(name: str, *vectors: Sequence[float], **changes: Any) -> SampleRow:
    rows = np.array(vectors, np.float32) if vectors else None
    return SampleRow(**{"name": name, "rows": rows, "norm": 1.0, "loss": 0.5, "num_tokens": 3, **changes})


TARGET = [row("x", (1, 0)), row("y", (0.6, 0.8)), row("z", (0, -1))]
TASKS = ["OC", "OC", "AD"]


def scored(candidates: Sequence[SampleRow], *, measure: Any = "influence", by_task: bool = False) -> list[Scored]:
    return Scorer(TARGET, TASKS, measure=measure, by_task=by_task, seed=0).score(candidates)


def test_the_best_question_of_the_target_gives_the_score() -> None:
    first, second, third = scored([row("a", (1, 0)), row("b", (0, 1)), row("c", (0, -1))])
    assert [one.score for one in (first, second, third)] == pytest.approx([1, 0.8, 1])
    assert [one.decided_by for one in (first, second, third)] == [0, 1, 2]
    assert first.again is None


def test_the_best_task_gives_the_score_by_the_mean_of_its_questions() -> None:
    first, second = scored([row("a", (1, 0)), row("b", (0, 1))], by_task=True)
    assert [first.score, second.score] == pytest.approx([0.8, 0.4])  # (1 + 0.6) / 2, (0 + 0.8) / 2
    assert [first.decided_by, second.decided_by] == [0, 1]


def test_a_second_projection_gives_a_score_of_its_own() -> None:
    target = [row("x", (1, 0), (0, 1))]
    (one,) = Scorer(target, ["OC"], measure="influence", by_task=False, seed=0).score([row("a", (1, 0), (1, 0))])
    assert (one.score, one.again) == (1, 0)


def test_measures_that_look_at_the_candidate_alone() -> None:
    short, long = row("a", num_tokens=2, loss=0.25), row("b", num_tokens=9, loss=4.0)
    assert [one.score for one in scored([short, long], measure="length")] == [2, 9]
    assert [one.score for one in scored([short, long], measure="loss")] == [-0.25, -4]
    chances = [one.score for one in scored([short, long], measure="random")]
    assert chances == [one.score for one in scored([short, long], measure="random")]
    assert chances[0] != chances[1]
    assert all(0 <= chance < 1 for chance in chances)
    assert scored([], measure="loss") == []


def test_equal_scores_are_ranked_by_name() -> None:
    assert rank(["b", "a", "c"], [0.5, 0.5, 0.9]) == [2, 1, 0]


def test_the_share_is_rounded_up_over_all_or_in_each_task() -> None:
    order, tasks = [4, 3, 2, 1, 0], ["OC", "AD", "AD", "OC", "OC"]
    assert choose(order, tasks, share=0.5, per_task=False) == {4, 3, 2}
    assert choose(order, tasks, share=0.5, per_task=True) == {4, 3, 2}  # 2 of 3, and 1 of 2
    assert choose(order, tasks, share=0.2, per_task=False) == {4}
    assert choose(order, tasks, share=0.2, per_task=True) == {4, 2}
    # 0.7 × 10 is 7.000000000000001 in floating point
    assert len(choose(list(range(10)), ["OC"] * 10, share=0.7, per_task=False)) == 7
    assert choose([], [], share=0.7, per_task=True) == set()


def test_what_letters_tell_of_what_is_kept() -> None:
    assert mutual_information([True, True, False, False], list("ABAB")) == 0
    assert mutual_information([True, True, False, False], list("AABB")) == 1
    # three of A kept, one of B: H(kept) − H(kept | letter) = 1 − 0.8113
    kept = [True, True, True, False, True, False, False, False]
    assert mutual_information(kept, list("AAAABBBB")) == pytest.approx(0.18872, abs=1e-5)
    assert mutual_information([], []) == 0


def test_the_correlation_of_ranks() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4
    assert rank_correlation([1, 5, 5, 9], [1, 2, 3, 4]) == pytest.approx(0.948683, abs=1e-6)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == 0
