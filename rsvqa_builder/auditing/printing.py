"""What an audit prints: what is wrong first, then a table of tasks, the easiest to guess first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.audit import reasons_to_fail
from rsvqa.rsvqa_builder.shown import ShownResult

NO_CLASSIFIERS = "without scikit-learn only rules guessed, and a classifier may find more: install the extra `audit`"

_FORM_NAMES = {"one_of": "choice", "several_of": "choices", "yes_no": "yes/no", "text": "text", "box": "box"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult(ShownResult):
    """What `rsvqa.audit` found.

    Attributes:
        report: the content of `audit.json`.
        fail_over: points above chance from which a task fails; None when none was set.
        out: folder of the page; None without one.
    """

    report: Mapping[str, Any]
    fail_over: float | None = None
    out: Path | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the data set fails; nothing when no limit was set."""
        return () if self.fail_over is None else tuple(reasons_to_fail(self.report, self.fail_over))

    def parts(self) -> Iterator[str | Table]:
        """Yield defects first, then the tasks, the easiest to guess first."""
        yield from defect_lines(self.report)
        yield shortcut_table(self.report)
        yield from closing_lines(self.report, self.fail_over)
        if self.out is not None:
            yield f"page: {self.out / 'audit.html'}"

    def as_json(self) -> dict[str, Any]:
        """Return the whole report."""
        return dict(self.report)


def defect_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line per kind of defect."""
    for defect in report["defects"]:
        examples = f", e.g. {defect['examples'][0]}" if defect["examples"] else ""
        yield f"{defect['count']:,} {defect['of']}: {defect['kind']}{examples}"


def by_ease(shortcuts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tasks, the one with most points above chance first; what has none last."""
    return sorted(shortcuts, key=lambda found: (found["points"] is None, -(found["points"] or 0)))


def shortcut_table(report: Mapping[str, Any]) -> Table:
    """Return what guessing reaches in each task."""
    data = report["data"]
    table = Table(
        title=f"{data['name']}: {data['questions']:,} questions, answered without their images", box=SIMPLE_HEAD
    )
    for column in ("task", "asked", "chance", "guess", "95 %", "points", "given away by"):
        is_text = column in ("task", "given away by")
        table.add_column(
            column, justify="left" if is_text else "right", overflow="fold", no_wrap=column != "given away by"
        )
    for found in by_ease(report["shortcuts"]):
        table.add_row(*cells(found))
    return table


def cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a task's row of the table."""
    best = found["best"]
    return (
        task_name(found),
        f"{found['questions']:,}",
        percent(found["chance"]),
        "" if best is None else percent(best["value"]),
        "" if best is None else f"{100 * best['low']:.0f}–{100 * best['high']:.0f}",
        "" if found["points"] is None else f"{found['points']:+.0f}".replace("-", "−"),
        found["by"] or found["why_not"],
    )


def task_name(found: Mapping[str, Any]) -> str:
    """Return a task's short name where it has one, with its answer form and language where there are several."""
    info = TASKS.get(found["task"])
    name = found["task"] if info is None else info.short
    if info is None or len(info.forms) > 1:
        name += f" {_FORM_NAMES[found['form']]}"
    return f"{name} ({found['language']})" if found["language"] else name


def percent(share: float | None) -> str:
    """Return a share in percent; nothing for None."""
    return "" if share is None else f"{100 * share:.0f}"


def closing_lines(report: Mapping[str, Any], fail_over: float | None) -> Iterator[str]:
    """Yield what to know of the table, a line each."""
    held_out = sorted({found["held_out"] for found in report["shortcuts"] if found["held_out"]})
    if held_out:
        yield f"guessed with whole {' or '.join(f'{what}s' for what in held_out)} held out; points are above chance"
    for task, counts in report["resolution"].items():
        if counts["under_8_px"] >= counts["boxes"] / 100:
            name = TASKS[task].short if task in TASKS else task
            shares = ", ".join(
                f"{counts[key] / counts['boxes']:.0%} under {key.split('_')[1]} px" for key in counts if key != "boxes"
            )
            yield f"{name}: at 1,024 px {shares} of {counts['boxes']:,} boxes"
    if not report["method"]["scikit_learn"]:
        yield NO_CLASSIFIERS
    if fail_over is not None:
        reasons = list(reasons_to_fail(report, fail_over))
        yield from (f"fails: {reason}" for reason in reasons)
        if not reasons:
            yield f"passes: no defect, and no task is surely more than {fail_over:g} points above chance"
