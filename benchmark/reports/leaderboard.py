"""`rsvqa leaderboard`: runs and published scores in one table, where they are the same measurement.

A run stands among the published scores only when its tasks and questions are theirs; else it stands apart, and says
why. Published scores come from several harnesses, so each keeps its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rsvqa.benchmark.reports.published import PublishedScore, read_published, why_not_comparable
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.intervals import Interval
from rsvqa.benchmark.scores.results import Average, Results


class Standing(BaseModel):
    """One row: a run, or a published score. Scores are shares in 0–1.

    Attributes:
        model, variant, source: what was scored, how, and by whom.
        macro: macro-13 as published, or by the official extraction.
        macro_high: upper end where sources disagree.
        interval: of a run's macro.
        strict: macro-13 by the strict parser; None for published scores.
        micro: as published, or by the official extraction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["run", "published"]
    model: str
    variant: str
    source: str
    macro: float | None
    macro_high: float | None = None
    interval: Interval | None = None
    strict: float | None = None
    micro: float | None = None


class Apart(BaseModel):
    """A run that cannot be compared with published scores.

    Attributes:
        why: in words.
        average: the name of the average that `standing.macro` and `standing.strict` are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: str
    average: str
    standing: Standing


class Leaderboard(BaseModel):
    """Runs and published scores.

    Attributes:
        data: what the scores in `standings` were taken on.
        standings: highest macro first.
        apart: other runs, as given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    data: str
    standings: tuple[Standing, ...]
    apart: tuple[Apart, ...]


def rank_runs(folders: Sequence[Path]) -> Leaderboard:
    """Return the table of the runs in these folders, scored anew, and all published scores.

    Raises:
        RunError: when a folder is not that of a run, or its replies cannot be read.
    """
    return leaderboard([score_run(folder).results for folder in folders])


def leaderboard(runs: Sequence[Results]) -> Leaderboard:
    """Return the table of these runs and all published scores."""
    comparable = [results for results in runs if not why_not_comparable(results)]
    standings = [_published(score) for score in read_published().scores]
    standings += [_standing(results, results.average("macro_13")) for results in comparable]
    return Leaderboard(
        data=read_published().data.name,
        standings=tuple(_ordered(standings)),
        apart=tuple(_apart(results, why) for results in runs if (why := why_not_comparable(results))),
    )


def _ordered(standings: Iterable[Standing]) -> list[Standing]:
    return sorted(standings, key=lambda one: (-(one.macro or 0.0), one.kind, one.model, one.variant))


def _published(score: PublishedScore) -> Standing:
    return Standing(
        kind="published",
        model=score.model,
        variant=score.variant,
        source=score.source,
        macro=_share(score.macro),
        macro_high=_share(score.macro_high),
        micro=_share(score.micro),
    )


def _share(percent: float | None) -> float | None:
    return None if percent is None else round(percent / 100, 6)


def _standing(results: Results, average: Average | None) -> Standing:
    micro = results.average("micro")
    return Standing(
        kind="run",
        model=results.run.model_name,
        variant=_variant(results),
        source=f"rsvqa {results.rsvqa_version}, official extraction",
        macro=average.official.value if average else None,
        interval=average.official.interval if average else None,
        strict=average.strict.value if average else None,
        micro=micro.official.value if micro else None,
    )


def _apart(results: Results, why: str) -> Apart:
    average = results.average("macro")
    return Apart(
        why=why, average=average.name if average else "no questions with options", standing=_standing(results, average)
    )


def _variant(results: Results) -> str:
    """Return what tells this run from another of the same model."""
    settings, costs = results.run.settings, results.costs
    facts = [
        "" if settings.look == "none" else f"look {settings.look} at {settings.look_side:,} px",
        f"{costs.calls_per_question:.3g} calls per question" if costs.calls_per_question is not None else "",
        f"{costs.visual_tokens_per_image:,.0f} visual tokens" if costs.visual_tokens_per_image is not None else "",
        f"at most {settings.max_pixels:,} px" if settings.max_pixels is not None else "",
        f"{costs.seconds_per_question:.3g} s per question" if costs.seconds_per_question is not None else "",
        f"{settings.max_new_tokens} new tokens" if settings.max_new_tokens != 64 else "",
    ]
    return ", ".join(fact for fact in facts if fact) or "–"
