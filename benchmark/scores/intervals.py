"""How far a mean may be off: 95 % intervals from a bootstrap that draws images, not questions.

Questions about one image share its difficulties, so images are what is drawn (with replacement, all questions of an
image together). For a mean over tasks they are drawn once for all tasks, so that it keeps what these have in common; a
replicate that happens to hold no image of a task has no such mean and is left out.

What surprises: two cases have no bootstrap interval. From fewer than five images it would claim too much (with three,
70 % of "95 %" intervals hold the truth), so there is none. And where every image gives the same value, replicates do
not differ, which must not read as certainty: there the interval is what an exact binomial bound allows for images that
were not seen.

scipy.stats.bootstrap (1.17) would replace the drawing, twenty lines, for 140 MB: it can draw images (paired sums and
counts), but not the same ones for tasks of which each has some; it has no wider limits for few images, and gives NaN
where all values are equal. Where both have an interval their percentiles agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_REPLICATES = 4_000
"""Ends of the interval are then known to about a twentieth of the standard error."""
MISSED_SHARE = 0.05
"""One minus the confidence."""
MAX_WEIGHTS = 2**21
"""Weights held at a time, whatever the number of images: 16 MiB, and as much again a few times while they are drawn."""

MIN_FREEDOM = 4
"""Degrees of freedom below which there is no interval; five images have four."""

FEW_IMAGES = 20
"""Images of a run, or of a comparison, below which it is called rough."""

_T_DEGREES = np.array([4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 60, 120, np.inf])
_T_QUANTILES = np.array([2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98, 1.96])
"""Student's t at 0.975, from the usual table; between its entries it is nearly linear in 1 / degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where the mean of many more images like these would probably be.

    Attributes:
        low, high: 95 %; None without an interval.
        method: `bootstrap`, `exact` (every image gave the same value), or `none`.
        reason: why there is none.
    """

    low: float | None
    high: float | None
    method: Literal["bootstrap", "exact", "none"]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSums:
    """Values that are averaged, one per question, summed up by image.

    Attributes:
        clusters: numbers of the images that have a value, ascending.
        sums, counts: of the values of each of these images.
        low, high: the least and the largest value that a question can have.
    """

    clusters: NDArray[np.intp]
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]
    low: float = 0.0
    high: float = 1.0

    @property
    def mean(self) -> float:
        """The mean over the questions."""
        return float(self.sums.sum() / self.counts.sum())


def make_part(values: ArrayLike, clusters: ArrayLike, *, low: float = 0.0, high: float = 1.0) -> ImageSums:
    """Return the values of questions summed up by image; `clusters` numbers the image of each.

    Raises:
        ValueError: without values; a mean over nothing is not 0.
    """
    known, places = np.unique(np.asarray(clusters, np.intp), return_inverse=True)
    if not known.size:
        raise ValueError("no values to average")
    sums = np.bincount(places, weights=np.asarray(values, np.float64)).astype(np.float64)
    return ImageSums(clusters=known, sums=sums, counts=np.bincount(places).astype(np.float64), low=low, high=high)


def mean_intervals(
    figures: Sequence[Sequence[ImageSums]], *, seed: int, num_replicates: int = NUM_REPLICATES
) -> list[Interval]:
    """Return the interval of each figure, where a figure is the mean over the means of its parts.

    Percentiles are widened for few images (the expanded percentile interval of Hesterberg 2015, The American
    Statistician 69(4)): Student's t instead of the normal, on Welch's degrees of freedom for several parts.
    """
    shared = [part for figure in figures if len(figure) > 1 for part in figure]
    rows = iter(_replicate_means(shared, seed, num_replicates))
    return [
        _interval(
            figure,
            np.stack([next(rows) for _ in figure])
            if len(figure) > 1
            else _replicate_means([_alone(figure[0])], seed, num_replicates),
        )
        for figure in figures
    ]


def _alone(part: ImageSums) -> ImageSums:
    """Return the part with its own images only, so that each replicate draws as many of them as there are."""
    return replace(part, clusters=np.arange(part.clusters.size))


def statistic_intervals(
    counts: NDArray[np.int64],
    clusters: Sequence[int],
    statistic: Callable[[NDArray[np.int64]], Sequence[float]],
    *,
    seed: int,
    num_replicates: int = NUM_REPLICATES,
) -> list[Interval]:
    """Return an interval for each value of a statistic that is no mean, such as BLEU.

    Args:
        counts: (question, count); the statistic of a set is a function of their sums.
        clusters: number of the image of each question.
        statistic: from summed counts to values.
        seed: of the drawing.
        num_replicates: sets that are drawn.
    """
    known, places = np.unique(np.asarray(clusters, np.intp), return_inverse=True)
    if known.size - 1 < MIN_FREEDOM:
        return [_too_few(known.size)] * len(statistic(counts.sum(axis=0)))
    sums = np.zeros((known.size, counts.shape[1]))
    np.add.at(sums, places, counts)
    generator = np.random.default_rng(seed)
    step = max(1, MAX_WEIGHTS // known.size)
    drawn = [
        _draw(generator, known.size, min(step, num_replicates - start)).T @ sums
        for start in range(0, num_replicates, step)
    ]
    values = np.array([statistic(row) for row in np.concatenate(drawn).round().astype(np.int64)])
    return [_percentiles(column, known.size) for column in values.T]


def _percentiles(values: NDArray[np.float64], num_images: int) -> Interval:
    """Return the interval of a statistic from its replicates."""
    if np.ptp(values) < 1e-12:
        return Interval(low=None, high=None, method="none", reason="every set of images gives the same value")
    missed = _expanded_share(num_images - 1)
    low, high = np.quantile(values, [missed / 2, 1 - missed / 2])
    return Interval(low=float(low), high=float(high), method="bootstrap")


def _replicate_means(parts: Sequence[ImageSums], seed: int, num_replicates: int) -> NDArray[np.float64]:
    """Return the mean of each part in each replicate, (part, replicate); NaN where none of its images was drawn."""
    num_clusters = max((int(part.clusters[-1]) + 1 for part in parts), default=0)
    generator = np.random.default_rng(seed)
    means = np.full((len(parts), num_replicates), np.nan)
    step = max(1, MAX_WEIGHTS // max(1, num_clusters))
    for start in range(0, num_replicates, step):
        block = slice(start, min(start + step, num_replicates))
        weights = _draw(generator, num_clusters, block.stop - block.start)
        for number, part in enumerate(parts):
            drawn = weights[part.clusters]
            counts = part.counts @ drawn
            np.divide(part.sums @ drawn, counts, out=means[number, block], where=counts > 0)
    return means


def _draw(generator: np.random.Generator, num_clusters: int, num_replicates: int) -> NDArray[np.float64]:
    """Return how often each image is drawn, (image, replicate); each replicate draws as many as there are."""
    drawn = generator.integers(0, num_clusters, (num_clusters, num_replicates))
    cells = (drawn * num_replicates + np.arange(num_replicates)).ravel()
    counts = np.bincount(cells, minlength=num_clusters * num_replicates)
    return counts.reshape(num_clusters, num_replicates).astype(np.float64)


def _interval(figure: Sequence[ImageSums], replicates: NDArray[np.float64]) -> Interval:
    """Return the interval of the mean over parts from their replicates, (part, replicate).

    Parts in which every image gives the same value do not vary between replicates; what other images may hold is added
    to the bootstrap's limits as by Zou and Donner (2008, Statistics in Medicine 27(10)): distances of independent parts
    from the mean add up in squares.
    """
    fewest = min(part.clusters.size for part in figure)
    what = "" if len(figure) == 1 else "a part of it has "
    if fewest < 2:
        return _too_few(fewest, what=what)
    mean = low = high = float(np.mean([part.mean for part in figure]))
    constant = [part for part in figure if _is_constant(part)]
    if len(constant) < len(figure):
        freedom = _freedom(figure, replicates)
        if freedom < MIN_FREEDOM:
            return _too_few(fewest, what=what)
        missed = _expanded_share(freedom)
        low, high = np.nanquantile(replicates.mean(axis=0), [missed / 2, 1 - missed / 2])
    below, above = zip(*(_unseen_distances(part) for part in constant), strict=True) if constant else ((), ())
    return Interval(
        low=mean - math.hypot(mean - low, *(distance / len(figure) for distance in below)),
        high=mean + math.hypot(high - mean, *(distance / len(figure) for distance in above)),
        method="exact" if len(constant) == len(figure) else "bootstrap",
    )


def _too_few(num_images: int, *, what: str = "") -> Interval:
    return Interval(low=None, high=None, method="none", reason=f"{what}too few images: {num_images}")


def _is_constant(part: ImageSums) -> bool:
    """Tell whether every image has the same mean."""
    return bool(np.ptp(part.sums / part.counts) < 1e-12)


def _unseen_distances(part: ImageSums) -> tuple[float, float]:
    """Return how far the mean may lie below and above that of n images that all gave the same value.

    By Clopper and Pearson (1934) at least a share p = 0.025^(1/n) of all images gives that value; the others may give
    the least or the largest possible.
    """
    unseen = 1 - (MISSED_SHARE / 2) ** (1 / part.clusters.size)
    return unseen * (part.mean - part.low), unseen * (part.high - part.mean)


def _freedom(figure: Sequence[ImageSums], replicates: NDArray[np.float64]) -> float:
    """Return the degrees of freedom of the mean over parts (Welch 1947); images less one for a single part."""
    variances = np.nanvar(replicates, axis=1)
    degrees = np.array([part.clusters.size - 1 for part in figure])
    return round(float(variances.sum() ** 2 / (variances**2 / degrees).sum()), 6)  # n - 1, not a hair less


def _expanded_share(freedom: float) -> float:
    """Return the share of replicates to leave outside, less than 0.05 for few images."""
    quantile = float(np.interp(1 / freedom, (1 / _T_DEGREES)[::-1], _T_QUANTILES[::-1]))
    # drawing gives n images the variance s²(n-1)/n / n where s²/n is wanted; n = freedom + 1
    return 2 * NormalDist().cdf(-quantile * ((freedom + 1) / freedom) ** 0.5)
