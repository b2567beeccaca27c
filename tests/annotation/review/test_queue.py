"""Needed questions all, a sample of the rest, and a share for two people; each drawn for itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rsvqa.annotation.review.queue import QueueSettings, plan_queue
from tests.annotation.review.make_questions import make_question

QUESTIONS = [make_question(f"q{number}") for number in range(2_000)]


def chosen(sample: float, seed: int = 0) -> set[str]:
    return {entry.question.question_id for entry in plan_queue(QUESTIONS, QueueSettings(sample=sample, seed=seed))}


def test_a_sample_has_about_its_share_and_follows_from_the_seed() -> None:
    # 2,000 draws of 0.05: 100 on average, standard deviation 9.7
    assert 65 <= len(chosen(0.05)) <= 135
    assert chosen(0.05) == chosen(0.05)
    assert chosen(0.05) != chosen(0.05, seed=1)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    assert chosen(0.05) < chosen(0.2) < chosen(1)
    assert len(chosen(1)) == 2_000
    assert chosen(0) == set()


def test_needed_questions_are_all_there_and_first() -> None:
    questions = [make_question("a"), make_question("b", review="needed"), make_question("c", review="accepted")]
    entries = {e.question.question_id: (e.position, e.priority) for e in plan_queue(questions, QueueSettings(sample=1))}
    assert entries == {"a": (0, 1), "b": (1, 0)}


def test_a_share_of_the_queue_wants_two_opinions() -> None:
    wanted = [entry.wanted for entry in plan_queue(QUESTIONS, QueueSettings(sample=1, double=0.1))]
    # 2,000 draws of 0.1: 200 on average, standard deviation 13
    assert 150 <= wanted.count(2) <= 250
    assert set(wanted) == {1, 2}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValidationError):
        QueueSettings(sample=share)
