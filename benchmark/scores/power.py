"""How many images and questions show a difference between two models: planned before, not argued about after.

Both models answer the same questions, so what varies is the difference per question: 1, 0 or -1. With a share q of
questions on which they differ and a true difference d, its variance is q - d². Questions about one image share its
difficulties; with m of them per image and a correlation r of their differences, a mean over n images has the variance
(q - d²) (1 + (m - 1) r) / (n m) (Donner and Klar 2000, Design and Analysis of Cluster Randomization Trials). That is
what the bootstrap of `intervals.py` estimates, and `tests/benchmark/scores/test_power.py` simulates it.

Where images have different numbers of questions, m is the number that a question finds about its image, on average: the
mean of the squares by the mean (Kish 1965, Survey Sampling).

What surprises: more questions per image help little. Beyond 1 / r of them, only more images do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from rsvqa.benchmark.errors import NothingToScoreError
from rsvqa.benchmark.scores.intervals import MIN_FREEDOM, MISSED_SHARE

QUESTIONS_PER_IMAGE = (1, 2, 5, 10, 20, 50)
"""For which a plan is given beside the one that is asked for."""


class Assumptions(BaseModel):
    """What is taken for true of two models.

    Attributes:
        disagreement: share of questions that just one of them answers rightly.
        correlation: of the differences of two questions about one image, in 0–1.
        questions_per_image: mean.
        unevenness: by how much the mean over questions of how many are about their image is larger; 1 where all images
            have as many.
        source: whether they were measured, and on what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    disagreement: float
    correlation: float
    questions_per_image: float
    unevenness: float = 1.0
    source: str


class Need(BaseModel):
    """How many are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions_per_image: float
    num_images: int
    num_questions: int


class PowerPlan(BaseModel):
    """What is needed to see a difference.

    Attributes:
        difference: to be seen, a share.
        power: chance to see it (the 95 % interval leaves out 0).
        assumptions: see there.
        needs: the first is for the questions per image of the assumptions.
        seen: the least difference that the measured runs can show with this power; None without runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    difference: float
    power: float
    assumptions: Assumptions
    needs: tuple[Need, ...]
    seen: float | None = None


def measure_assumptions(differences: ArrayLike, clusters: Sequence[int], *, source: str) -> Assumptions:
    """Return what two runs show of each other.

    Args:
        differences: one run less the other, question by question.
        clusters: number of the image of each.
        source: the runs' names.

    Raises:
        NothingToScoreError: without questions, or the runs never differ.
    """
    values = np.asarray(differences, np.float64)
    if not np.any(values):
        raise NothingToScoreError("the runs answer no question differently, which tells nothing of the variance")
    _, places, counts = np.unique(np.asarray(clusters, np.intp), return_inverse=True, return_counts=True)
    return Assumptions(
        disagreement=round(float(np.mean(np.abs(values))), 6),
        correlation=round(_correlation(values, places, counts.astype(np.float64)), 6),
        questions_per_image=round(float(counts.mean()), 6),
        unevenness=round(float(np.mean(counts.astype(np.float64) ** 2) / counts.mean() ** 2), 6),
        source=source,
    )


def _correlation(values: ArrayLike, places: ArrayLike, counts: ArrayLike) -> float:
    """Return the intraclass correlation by the analysis of variance, at least 0; 0 with one question per image."""
    values, places, counts = np.asarray(values), np.asarray(places), np.asarray(counts)
    total, num_images = values.size, counts.size
    if num_images < 2 or total == num_images:
        return 0.0
    means = np.bincount(places, weights=values) / counts
    between = float(counts @ (means - values.mean()) ** 2) / (num_images - 1)
    within = float(((values - means[places]) ** 2).sum()) / (total - num_images)
    size = (total - float((counts**2).sum()) / total) / (num_images - 1)
    scale = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / scale)) if scale > 0 else 0.0


def plan_power(
    assumptions: Assumptions, *, difference: float, power: float, num_images: int | None = None
) -> PowerPlan:
    """Return how many images and questions show `difference`, a share, with the chance `power`.

    `num_images` is how many the measured runs have.

    Raises:
        NothingToScoreError: the models differ on fewer questions than the difference takes.
    """
    if difference > assumptions.disagreement:
        raise NothingToScoreError(
            f"a difference of {100 * difference:g} points needs at least as many per cent of questions that one model "
            f"alone answers rightly; here these are {100 * assumptions.disagreement:.1f} %"
        )
    sizes = dict.fromkeys((assumptions.questions_per_image, *map(float, QUESTIONS_PER_IMAGE)))
    return PowerPlan(
        difference=difference,
        power=power,
        assumptions=assumptions,
        needs=tuple(_need(assumptions, size, difference, power) for size in sizes),
        seen=None if num_images is None else _seen(assumptions, num_images, power),
    )


def _reach(power: float) -> float:
    """Return how many standard errors the difference must be from 0."""
    return NormalDist().inv_cdf(1 - MISSED_SHARE / 2) + NormalDist().inv_cdf(power)


def _variance(assumptions: Assumptions, size: float, difference: float) -> float:
    """Return the variance of an image's mean difference, `size` questions per image.

    A size that is not that of the assumptions is a plan, with as many questions for each image.
    """
    found = size * assumptions.unevenness if size == assumptions.questions_per_image else size
    inflation = 1 + max(0.0, found - 1) * assumptions.correlation
    return (assumptions.disagreement - difference**2) * inflation / size


def _need(assumptions: Assumptions, size: float, difference: float, power: float) -> Need:
    # for Student's t instead of the normal: half the square of its quantile more (Guenther 1981)
    extra = NormalDist().inv_cdf(1 - MISSED_SHARE / 2) ** 2 / 2
    images = (_reach(power) / difference) ** 2 * _variance(assumptions, size, difference) + extra
    num_images = max(math.ceil(images), MIN_FREEDOM + 1)
    return Need(questions_per_image=size, num_images=num_images, num_questions=math.ceil(num_images * size))


def _seen(assumptions: Assumptions, num_images: int, power: float) -> float:
    """Return the difference d with reach² (q - d²) f = n d²."""
    factor = _reach(power) ** 2 * _variance(assumptions, assumptions.questions_per_image, 0.0)
    share = factor / assumptions.disagreement
    return round(math.sqrt(factor / (num_images + share)), 6)
