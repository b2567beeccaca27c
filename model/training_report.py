"""`training_report.json` and `curves.svg`: what a run saw, what it left out, and how it went."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.checkpoints import Inherited
from rsvqa.model.data import SampleList
from rsvqa.model.evaluation import TaskScore
from rsvqa.model.ordering import Draw, num_draws
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.files import write_atomically

REPORT_NAME = "training_report.json"
CURVES_NAME = "curves.svg"
SCHEMA_VERSION = 1
_PACKAGES = ("rsvqa", "torch", "transformers", "accelerate")
_MOST_NAMES = 20

Curve = Sequence[tuple[float, float]]
"""Points (step, value)."""


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


def write_report(out: Path, facts: RunFacts) -> dict[str, Any]:
    """Write report and curves into `out` and return the report."""
    report = make_report(facts)
    write_atomically(out / REPORT_NAME, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    panels = [
        Panel("training loss", pick_curve(facts.curve, "loss")),
        Panel("accuracy on val", pick_curve(facts.curve, "eval_accuracy")),
        Panel("learning rate of the LLM", pick_curve(facts.curve, "learning_rate")),
    ]
    write_atomically(out / CURVES_NAME, draw_curves([panel for panel in panels if panel.curve]).encode())
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
        "timings": {"seconds": round(facts.seconds, 1), "peak_memory_mib": facts.peak_memory_mib},
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


def print_outcome(report: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    """Print what a run ended with to stdout; as JSON it is the whole report. One process of several does so."""
    if not PartialState().is_main_process:
        return
    if as_json:
        print(json.dumps({"out": str(out), **report}, ensure_ascii=False))
        return
    for line in (*inherited_lines(report["inherited"]), *lost_lines(report)):
        print(line)
    if report["evaluation"]:
        print(render_scores({task: TaskScore(**entry) for task, entry in report["evaluation"].items()}))
    seconds, memory = report["timings"]["seconds"], report["timings"]["peak_memory_mib"]
    print(f"{report['steps']} steps in {seconds:.0f} s, {memory:.0f} MiB; model: {out}, report: {out / REPORT_NAME}")


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
    if not report["evaluation"]:
        yield "not evaluated: no questions in split val, or eval_questions is 0"


# --- curves ---


class Panel(NamedTuple):
    """One plot."""

    title: str
    curve: Curve


_WIDTH, _HEIGHT, _MARGIN = 640, 180, 44
"""Size of a panel and margin around its plot, SVG units."""


def pick_curve(figures: Iterable[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """Return (step, value) where the figure was logged."""
    return [(entry["step"], entry[name]) for entry in figures if name in entry]


def draw_curves(panels: Sequence[Panel]) -> str:
    """Return the panels one below the other as an SVG image, each scaled to its own values."""
    height = _HEIGHT * max(1, len(panels))
    body = "".join(_draw_panel(panel, top=_HEIGHT * number) for number, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{_WIDTH}" height="{height}" fill="white"/>{body}</svg>\n'
    )


def _draw_panel(panel: Panel, *, top: int) -> str:
    steps, values = zip(*panel.curve, strict=True)
    low, high = min(values), max(values)
    left, right, bottom = _MARGIN, _WIDTH - 12, top + _HEIGHT - 24
    inner_top = top + 24

    def point(step: float, value: float) -> str:
        x = left + (right - left) * (step - steps[0]) / ((steps[-1] - steps[0]) or 1)
        y = bottom - (bottom - inner_top) * (value - low) / ((high - low) or 1)
        return f"{x:.1f},{y:.1f}"

    points = " ".join(point(step, value) for step, value in panel.curve)
    return (
        f'<text x="{left}" y="{top + 14}" font-weight="bold">{panel.title}</text>'
        f'<path d="M{left},{inner_top}V{bottom}H{right}" fill="none" stroke="#999"/>'
        f'<text x="{left - 4}" y="{inner_top + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{left - 4}" y="{bottom + 4}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{left}" y="{bottom + 16}">{steps[0]:g}</text>'
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">step {steps[-1]:g}</text>'
        f'<polyline points="{points}" fill="none" stroke="#0b62a4" stroke-width="1.5"/>'
    )
