"""Published scores on XLRS-Bench-lite, from `published.toml`, and whether a run may stand beside them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from rsvqa.benchmark.scores.results import Results

OWN_LAYOUT = "rsvqa build"
"""Layout (`run_record.DataRecord`) of data that `rsvqa build` wrote."""


class PublishedScore(BaseModel):
    """One model's published scores, per cent.

    Attributes:
        model, variant: what was scored.
        source: who or what scored it, as far as it is known.
        macro: mean over the 13 sub-tasks; up to `macro_high` where sources disagree.
        micro: computed from published sub-task scores; None where there are none.
        tasks: by short name; empty where only averages are published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    variant: str
    source: str
    macro: float
    macro_high: float | None = None
    micro: float | None = None
    tasks: Mapping[str, float] = Field(default_factory=dict)


class PublishedData(BaseModel):
    """What the published scores were taken on; `num_questions` by short name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    paper: str
    num_questions: Mapping[str, int]


class Published(BaseModel):
    """The content of `published.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: PublishedData
    scores: tuple[PublishedScore, ...]


@cache
def read_published() -> Published:
    """Return the published scores, highest macro first."""
    content = tomllib.loads(resources.files("rsvqa.benchmark.reports").joinpath("published.toml").read_text("utf-8"))
    published = Published.model_validate(content)
    ordered = sorted(published.scores, key=lambda score: (-score.macro, score.model))
    return published.model_copy(update={"scores": tuple(ordered)})


def why_not_comparable(results: Results) -> str:
    """Return why a run's macro may not stand beside the published ones; empty when it may.

    The same data is told by its layout and by the number of questions of each of the 13 sub-tasks, so that a local copy
    counts whatever it is called. Rows that were left out as broken make it other data, too: it says how many.
    """
    if (rules := results.run.data.rules) is not None:
        return f"another benchmark, {rules.title}"
    if results.run.data.layout == OWN_LAYOUT:
        return "other data, built with rsvqa build"
    expected = read_published().data.num_questions
    found = {task.short: task.num_questions for task in results.tasks if task.choice is not None}
    if absent := [short for short in expected if short not in found]:
        return f"other tasks: no questions of {_first_few(absent)}"
    if other := [f"{short} {found[short]} of {num}" for short, num in expected.items() if found[short] != num]:
        return f"other questions: {_first_few(other)}"
    if missing := sum(task.num_not_scored for task in results.tasks if task.short in expected):
        return f"{missing} of its questions have no reply"
    return ""


def _first_few(words: Sequence[str], count: int = 4) -> str:
    more = f" and {len(words) - count} more" if len(words) > count else ""
    return ", ".join(words[:count]) + more


def compared_tasks(results: Results) -> frozenset[str]:
    """Return short names of the sub-tasks that the run has whole, as published: those scores may stand side by side."""
    if results.run.data.layout == OWN_LAYOUT or results.run.data.rules is not None:
        return frozenset()
    expected = read_published().data.num_questions
    return frozenset(
        task.short
        for task in results.tasks
        if task.num_questions == expected.get(task.short) and not task.num_not_scored
    )
