"""What a selection tells: how much was kept of what, how sure the ranks are, and what the letters say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.data import TrainingSample
from rsvqa.model.selecting.gradients import SampleRow
from rsvqa.model.selecting.ranking import Scored, mutual_information, rank_correlation
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.rsvqa_builder.shown import ShownResult

_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Upper ends of the classes of a reply's length, tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSample:
    """A candidate with its score; `rank` counts from 1, `row` has no numbers of the gradient any more."""

    sample: TrainingSample
    row: SampleRow
    scored: Scored
    rank: int
    kept: bool
    decided_by: TrainingSample | None

    @property
    def letters(self) -> str:
        """Of the answer; "" without options."""
        return self.sample.record.answer if self.sample.record.options else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedCandidates:
    """All candidates, ranked.

    Attributes:
        ranked: from the best to the worst.
        left_out: candidates without a score, and why.
        num_flipped: candidates that another projection would have decided otherwise; None for measures without one.
        num_target: questions of the target.
        target_left_out: of the target, without a finite gradient.
    """

    ranked: Sequence[RankedSample]
    left_out: Sequence[tuple[TrainingSample, str]]
    num_flipped: int | None
    num_target: int
    target_left_out: int

    def table(self) -> list[dict[str, Any]]:
        """Return a row of `kept.parquet` per candidate."""
        return [*map(_row, self.ranked), *(_row_without(one, why) for one, why in self.left_out)]


def _row(one: RankedSample) -> dict[str, Any]:
    return {
        **_names(one.sample),
        "kept": one.kept,
        "rank": one.rank,
        "score": one.scored.score,
        "decided_by": None if one.decided_by is None else one.decided_by.name,
        "norm": one.row.norm or None,
        "loss": one.row.loss,
        "left_out": None,
    }


def _row_without(sample: TrainingSample, why: str) -> dict[str, Any]:
    blank = dict.fromkeys(("rank", "score", "decided_by", "norm", "loss"))
    return {**_names(sample), **blank, "kept": False, "left_out": why}


def _names(sample: TrainingSample) -> dict[str, str]:
    return {
        "name": sample.name,
        "source": sample.source,
        "question_id": sample.record.question_id,
        "task": sample.task,
    }


def make_report(selection: RankedCandidates, settings: SelectionSettings, *, folder: str) -> dict[str, Any]:
    """Return the report of a selection; the same selection gives the same report."""
    ranked = selection.ranked
    lettered = [one for one in ranked if one.letters]
    report: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "run": folder,
        "num_candidates": len(ranked),
        "num_kept": sum(one.kept for one in ranked),
        "num_target": selection.num_target,
        "target_left_out": selection.target_left_out,
        "left_out": dict(Counter(why for _, why in selection.left_out).most_common()),
        "scores": _spread([one.scored.score for one in ranked]),
        "kept_by": {
            "task": _shares(ranked, lambda one: TASKS[one.sample.task].short),
            "source": _shares(ranked, lambda one: one.sample.source),
            "reply_tokens": _shares(ranked, lambda one: _length_class(one.row.num_tokens)),
            "letter": _shares(lettered, lambda one: one.letters),
        },
        "letter_bits": round(mutual_information([one.kept for one in lettered], [one.letters for one in lettered]), 6),
        "noise": None,
    }
    again = [one.scored.again for one in ranked if one.scored.again is not None]
    if again and selection.num_flipped is not None:
        scores = [one.scored.score for one in ranked]
        report["noise"] = {
            "spread": round(float(np.std(np.subtract(scores, again)) / 2**0.5), 6),
            "rank_correlation": round(rank_correlation(scores, again), 6),
            "flipped": round(selection.num_flipped / len(ranked), 6),
        }
    return report


def _shares(ranked: Sequence[RankedSample], kind: Callable[[RankedSample], str]) -> dict[str, dict[str, float]]:
    """Return how many candidates of each kind there are, and the share that is kept."""
    counts = Counter(map(kind, ranked))
    kept = Counter(kind(one) for one in ranked if one.kept)
    return {name: {"candidates": counts[name], "kept": round(kept[name] / counts[name], 4)} for name in sorted(counts)}


def _length_class(num_tokens: int) -> str:
    below = next((end for end in _LENGTHS if num_tokens <= end), None)
    return f"more than {_LENGTHS[-1]}" if below is None else f"up to {below:>3}"


def _spread(scores: Sequence[float]) -> dict[str, float]:
    if not scores:
        return {}
    shares = (0, 10, 50, 90, 100)
    names = ("lowest", "10 %", "median", "90 %", "highest")
    return {name: round(float(value), 6) for name, value in zip(names, np.percentile(scores, shares), strict=True)}


def summary_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is printed of a selection: losses first."""
    for reason, count in report["left_out"].items():
        yield f"{count:,} questions have no score: {reason}"
    if report["target_left_out"]:
        yield f"{report['target_left_out']:,} questions of the target are left out: no finite gradient"
    settings = report["settings"]
    yield (
        f"{report['num_kept']:,} of {report['num_candidates']:,} questions kept by {settings['by']}, compared with "
        f"{report['num_target']:,} of the target"
    )
    for kind, title in (("task", "task"), ("source", "data set"), ("letter", "answer")):
        shares = report["kept_by"][kind]
        yield f"kept by {title}: " + ", ".join(f"{name} {100 * one['kept']:.0f} %" for name, one in shares.items())
    yield f"the answer's letter tells {report['letter_bits']:.4f} bits of what is kept"
    if noise := report["noise"]:
        yield (
            f"with another projection {100 * noise['flipped']:.1f} % would be decided otherwise (scores differ by "
            f"{noise['spread']:.4f}, ranks correlate by {noise['rank_correlation']:.3f})"
        )


def estimate_line(estimate: Mapping[str, Any]) -> str:
    """Return what a dry run found, in a sentence."""
    return (
        f"{estimate['num_candidates']:,} candidates, {estimate['num_target']:,} questions of the target; "
        f"{estimate['num_missing']:,} to compute in {estimate['num_passes']:,} passes: about "
        f"{estimate['seconds']:,.0f} s from {estimate['num_timed']} timed here, {estimate['disk_mb']:,.0f} MB on disk"
    )


@dataclass(frozen=True, slots=True)
class SelectResult(ShownResult):
    """What `rsvqa.select` found, or what its dry run counted.

    Attributes:
        report: as it is written beside the selection; empty in all processes of a run but the first.
        out: the selection.
    """

    report: Mapping[str, Any]
    out: Path

    def parts(self) -> Iterator[str]:
        """Yield losses first, then what is kept; nothing in processes that do not speak."""
        if "num_passes" in self.report:
            yield estimate_line(self.report)
        elif self.report:
            yield from (*summary_lines(self.report), f"Selection: {self.out}", f"Page: {self.out.with_suffix('.html')}")

    def as_json(self) -> dict[str, Any]:
        """Return the whole report."""
        return dict(self.report)

    def print(self, *, as_json: bool = False, spell: Callable[[str], str] = str) -> None:
        """Print it to stdout; nothing in processes that do not speak."""
        if self.report:
            ShownResult.print(self, as_json=as_json, spell=spell)
