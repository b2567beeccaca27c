"""`training_report.json` and `curves.svg`: what a run saw, what it left out, and how it went."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import PartialState

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.checkpoints import Inherited
from rsvqa.model.data import SampleList
from rsvqa.model.evaluation import TaskScore
from rsvqa.model.ordering import Draw, num_draws
from rsvqa.model.training_curves import draw_panels, run_panels
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.files import write_atomically
from rsvqa.rsvqa_builder.shown import ShownResult

REPORT_NAME = "training_report.json"
CURVES_NAME = "curves.svg"
SCHEMA_VERSION = 1
_PACKAGES = ("rsvqa", "torch", "transformers", "accelerate")
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the report tells of.

    Attributes:
        settings: of the run.
        samples: of the train split.
        draws: of the whole run.
        order: fingerprint of the draws.
        unreadable: names of the samples whose images could not be read.
        unreadable_val: questions of the evaluation that were not asked for that reason.
        inherited: settings that came with the checkpoint and differ from the recipe.
        steps: optimizer steps done.
        curve: the logged figures, by step.
        scores: of the last evaluation, by task.
        seconds: of this process, without what a resumed run has done before.
        peak_memory_mib: MiB, of the device or the process.
        expected_memory_mib: MiB, what `training_memory.py` makes of the settings for a device.
    """

    settings: TrainingSettings
    samples: SampleList
    draws: Sequence[Draw]
    order: str
    unreadable: Sequence[str]
    unreadable_val: int
    inherited: Mapping[str, Inherited]
    steps: int
    curve: Sequence[Mapping[str, float]]
    scores: Mapping[str, TaskScore]
    seconds: float
    peak_memory_mib: float
    expected_memory_mib: float


def write_report(out: Path, facts: RunFacts) -> dict[str, Any]:
    """Write report and curves into `out` and return the report."""
    report = make_report(facts)
    write_atomically(out / REPORT_NAME, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomically(out / CURVES_NAME, draw_panels(run_panels(facts.curve, facts.scores)).encode())
    return report


def make_report(facts: RunFacts) -> dict[str, Any]:
    """Return `training_report.json`."""
    samples = facts.samples.samples
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": facts.settings.model_dump(mode="json"),
        "versions": {name: version(name) for name in _PACKAGES},
        "inherited": {name: value._asdict() for name, value in facts.inherited.items()},
        "order": facts.order,
        "samples": {
            "used": len(samples),
            "drawn_by_task": num_draws(facts.draws, [sample.task for sample in samples]),
            "left_out": {
                reason: {"number": len(names), "first": list(names[:_MOST_NAMES])}
                for reason, names in facts.samples.left_out.items()
            },
            "unreadable": {"number": len(facts.unreadable), "first": list(facts.unreadable[:_MOST_NAMES])},
            "unreadable_val": facts.unreadable_val,
        },
        "steps": facts.steps,
        "evaluation": {task: _score_entry(score) for task, score in facts.scores.items()},
        "curve": [dict(figures) for figures in facts.curve],
        "timings": {
            "seconds": round(facts.seconds, 1),
            "peak_memory_mib": facts.peak_memory_mib,
            "expected_memory_mib": facts.expected_memory_mib,
        },
    }


def _score_entry(score: TaskScore) -> dict[str, float | int | None]:
    return {
        name: value if value is None or isinstance(value, int) else round(value, 4)
        for name, value in score._asdict().items()
    }


def render_scores(scores: Mapping[str, TaskScore]) -> str:
    """Return the scores as a table for a terminal or a Markdown file."""
    lines = ["| task | questions | right | majority answer | gain, points |", "|---|---:|---:|---:|---:|"]
    for task, score in scores.items():
        if score.accuracy is None or score.majority is None:
            lines.append(f"| {TASKS[task].short} {task} | {score.num_questions} | loss {score.loss:.3f} | | |")
            continue
        gain = 100 * (score.accuracy - score.majority)
        lines.append(
            f"| {TASKS[task].short} {task} | {score.num_questions} | {100 * score.accuracy:.1f} % "
            f"| {100 * score.majority:.1f} % | {gain:+.1f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class TrainResult(ShownResult):
    """What `rsvqa.train` ended with: the content of `training_report.json`, and the folder `out` of run and model."""

    report: Mapping[str, Any]
    out: Path

    @property
    def scores(self) -> dict[str, TaskScore]:
        """The last evaluation, by task."""
        return {task: TaskScore(**entry) for task, entry in self.report["evaluation"].items()}

    def parts(self) -> Iterator[str]:
        """Yield what was lost first, then the scores."""
        yield from (*inherited_lines(self.report["inherited"]), *lost_lines(self.report))
        if self.report["evaluation"]:
            yield render_scores(self.scores)
        seconds, memory = self.report["timings"]["seconds"], self.report["timings"]["peak_memory_mib"]
        yield (
            f"{self.report['steps']} steps in {seconds:.0f} s, {memory:.0f} MiB; model: {self.out}, "
            f"report: {self.out / REPORT_NAME}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return folder and report."""
        return {"out": str(self.out), **self.report}

    def print(self, *, as_json: bool = False, spell: Callable[[str], str] = str) -> None:
        """Print it to stdout; one process of several does so."""
        if PartialState().is_main_process:
            ShownResult.print(self, as_json=as_json, spell=spell)


def inherited_lines(inherited: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what a run has taken from its checkpoint that differs from the recipe."""
    for name, value in inherited.items():
        yield f"from the checkpoint, unlike the recipe: {name} = {value['checkpoint']} (recipe: {value['recipe']})"


def lost_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what taught nothing, and that nothing was evaluated."""
    samples = report["samples"]
    lost = {**samples["left_out"], "image cannot be read": samples["unreadable"]}
    yield from (f"left out: {found['number']:,} x {reason}" for reason, found in lost.items() if found["number"])
    if samples["unreadable_val"]:
        yield f"not evaluated: {samples['unreadable_val']:,} x image cannot be read"
    elif not report["evaluation"]:
        yield "not evaluated: no questions in split val, or eval_questions is 0"
