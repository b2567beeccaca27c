"""Captions of a run → figures; empty until there are captions."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.measures import Measured
from benchmark.results import TextResult


def text_results(questions: Sequence[Measured]) -> dict[str, TextResult]:
    """Return the metrics of captions by language."""
    return {}
