"""Small questions and queues for tests of a review."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore

COUNTING = EditableContent(
    question="How many cars are in the image?", options=("(A) 3", "(B) 4", "(C) 5", "(D) 6"), answer="A"
)
GROUNDING = EditableContent(
    question="Please locate the only red house.",
    options=(),
    answer="[0.1, 0.2, 0.3, 0.4]",
    bbox=Box(0.1, 0.2, 0.3, 0.4),
)
COLOUR = EditableContent(
    question="What colour does the car have? Image resolution: 1000 x 500. Bounding box: [100, 100, 300, 200].",
    options=("(A) white", "(B) blue", "(C) red", "(D) black"),
    answer="C",
    bbox=Box(0.1, 0.2, 0.3, 0.4),
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def make_question(question_id: str = "a:0_0/OC1", **changes: Any) -> ReviewQuestion:
    """Return a counting question on an image of 1000 x 500 px."""
    question = ReviewQuestion(
        question_id=question_id,
        task="overall_counting",
        split="train",
        scene="a",
        source="rule",
        review="none",
        language="en",
        images=("a/0_0.jpg",),
        width=1000,
        height=500,
        content=COUNTING,
        image_digests=(f"digest of the image of {question_id}",),
        evidence={"rule": "by_hand", "feature_ids": ["a:1"], "values": {"count": 3}},
    )
    return dataclasses.replace(question, **changes)


def make_store(path: Path, num_questions: int = 3, *, wanted: int = 1, clock: Clock | None = None) -> ReviewStore:
    """Return a store whose queue is q1, q2 and so on."""
    store = ReviewStore(path / "review.sqlite", now=clock or Clock())
    questions = [make_question(f"q{number}") for number in range(1, num_questions + 1)]
    store.fill([QueueEntry(question, i, 1, wanted) for i, question in enumerate(questions)])
    return store
