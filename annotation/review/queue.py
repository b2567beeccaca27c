"""Which questions are reviewed, in which order, and by how many people.

Questions that need a review come first, then a sample of the rest. Each question's fate hangs on its id and the seed
alone, so a larger sample holds the smaller one, and nothing moves when the data set grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:  # the command line reads the settings' defaults, and must not wait for the rest
    from rsvqa.annotation.review.content import ReviewQuestion

Blind = Literal["overlap", "all", "none"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class QueueSettings(BaseModel):
    """What is put before reviewers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sample: Share = 0.05
    """Share of the questions that need no review, reviewed all the same."""
    double: Share = 0.0
    """Share of the queue that several people review."""
    opinions: Annotated[int, Field(ge=2, le=9)] = 2
    """People who review each question of that share."""
    blind: Blind = "overlap"
    """Questions answered before their key is shown: overlap (those of several people), all, none."""
    gold: Share = 0.0
    """Share of the questions put before a person that are gold: decided before, to compare."""
    seed: int = 0
    """Seed of all draws."""


class QueueEntry(NamedTuple):
    """A question that is to be reviewed.

    Attributes:
        question: as it stands.
        position: its place in the data set; the order within a priority.
        priority: 0 for those that need a review, 1 for the sample.
        wanted: opinions asked for.
    """

    question: ReviewQuestion
    position: int
    priority: int
    wanted: int


def plan_queue(questions: Iterable[ReviewQuestion], settings: QueueSettings) -> Iterator[QueueEntry]:
    """Yield the questions to review, in the order of the data set; what people have decided before is left out."""
    for position, question in enumerate(questions):
        is_needed = question.review == "needed"
        if is_needed or (question.review == "none" and _draw("sample", question, settings) < settings.sample):
            wanted = settings.opinions if _draw("overlap", question, settings) < settings.double else 1
            yield QueueEntry(question, position, 0 if is_needed else 1, wanted)


def _draw(purpose: str, question: ReviewQuestion, settings: QueueSettings) -> float:
    return draw(settings.seed, purpose, question.question_id)


def draw(seed: int, purpose: str, name: str) -> float:
    """Return a number in [0, 1) that follows from seed, purpose and name alone."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56
