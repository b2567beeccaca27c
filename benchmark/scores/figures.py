"""Means and intervals as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rsvqa.benchmark.scores.intervals import ImageSums, Interval
from rsvqa.benchmark.scores.results import Figure

INTERVAL_SEED = 0
DIGITS = 6
"""Decimals of stored figures: fewer than the last bits in which machines differ."""


def make_figure(parts: Sequence[ImageSums], interval: Interval) -> Figure:
    """Return the mean over the means of `parts` with its interval."""
    return Figure(
        value=rounded(fmean(part.mean for part in parts)),
        num_questions=round(sum(part.counts.sum() for part in parts)),
        num_images=len({cluster for part in parts for cluster in part.clusters.tolist()}),
        interval=rounded_interval(interval),
    )


def no_figure(reason: str) -> Figure:
    """Return the figure of what has no value."""
    return Figure(
        value=None, num_questions=0, num_images=0, interval=Interval(low=None, high=None, method="none", reason=reason)
    )


def rounded(value: float | None) -> float | None:
    """Return a stored number; None stays None."""
    return None if value is None else round(value, DIGITS)


def rounded_interval(interval: Interval) -> Interval:
    """Return an interval with stored numbers as its ends."""
    return Interval(
        low=rounded(interval.low), high=rounded(interval.high), method=interval.method, reason=interval.reason
    )
