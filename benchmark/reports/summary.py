"""What `rsvqa bench` and `rsvqa score` print of a run: what went wrong, then its sub-tasks and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.reports.report_page import PAGE_FILE
from rsvqa.benchmark.reports.report_tables import notices, percent, spread
from rsvqa.benchmark.scores.results import RESULTS_FILE, Accuracies, Results, TaskResult
from rsvqa.rsvqa_builder.shown import Part, ShownResult, TextTable

_NOTHING = "–"
_ROTATIONS = "all rotations"
"""A column of runs whose options were rotated: right in every one of them, by the strict parser."""
_HEAD = ("", "strict", "95 % interval", "official", "permissive", _ROTATIONS, "chance", "constant", "questions")
_SHOWN_AVERAGES = ("micro", "macro", "macro_13", "macro_vlmevalkit")


@dataclass(frozen=True, slots=True)
class BenchResult(ShownResult):
    """What `rsvqa.bench` and `rsvqa.score` end with: the figures and the folder of each run, one for each data set.

    There is none in all processes of a run but the first.
    """

    runs: tuple[tuple[Results, Path], ...]

    @property
    def results(self) -> Results:
        """The figures of the only run.

        Raises:
            RunError: there are several, or none.
        """
        if len(self.runs) != 1:
            raise RunError(f"{len(self.runs)} data sets were asked, not one: the figures of each are in runs")
        return self.runs[0][0]

    def parts(self) -> Iterator[Part]:
        """Yield each run's figures, what went wrong first; of several also a table of all."""
        for results, folder in self.runs:
            yield from _parts(results, folder)
            if len(self.runs) > 1:
                yield ""
        if len(self.runs) > 1:
            yield TextTable([_BOARD_HEAD, *(_board_row(results) for results, _ in self.runs)])

    def as_json(self) -> object:
        """Return the main figures of the only run, else a list."""
        each = [_as_json(results, folder) for results, folder in self.runs]
        return each[0] if len(each) == 1 else each

    def print(self, *, as_json: bool = False, spell: Callable[[str], str] = str) -> None:
        """Print it to stdout; nothing where there is none."""
        if self.runs:
            ShownResult.print(self, as_json=as_json, spell=spell)


_BOARD_HEAD = ("", "strict", "95 % interval", "official", "chance", "constant", "boxes, Acc@0.5", "questions", "images")


def _board_row(results: Results) -> tuple[str, ...]:
    """Return one run's main figures: its macro average where it has options or words, and its boxes."""
    data, average = results.run.data, results.average("macro") or results.average("micro")
    boxes = [task.box.acc_50.value for task in results.tasks if task.box is not None]
    known = [value for value in boxes if value is not None]
    figures: tuple[str, ...] = (_NOTHING,) * 5
    if average is not None and average.strict.value is not None:
        figures = (*_row("", average, 0)[1:4], percent(average.chance), percent(average.constant))
    return (
        data.name,
        *figures,
        percent(sum(known) / len(known)) if known else _NOTHING,
        f"{results.num_questions:,}",
        f"{data.num_images:,}",
    )


def _as_json(results: Results, run: Path) -> dict[str, object]:
    return {
        "results": str(run / RESULTS_FILE),
        "page": str(run / PAGE_FILE),
        "state": results.run.state,
        "num_questions": results.num_questions,
        "num_not_scored": sum(results.not_scored.values()),
        "averages": {
            average.key: {"strict": average.strict.value, "official": average.official.value}
            for average in results.averages
        },
    }


def _parts(results: Results, run: Path) -> Iterator[Part]:
    data = results.run.data
    where = f"{data.name}, split {data.split}" if data.split else data.name
    yield f"{results.run.model_name} on {where} (questions: {results.num_questions:,}, images: {results.num_images:,})"
    yield from (*_unread(results), *notices(results), "")
    yield TextTable(_choice_table(results))
    for task in results.tasks:
        if task.box is not None:
            figures = (("Acc@0.5", task.box.acc_50), ("Acc@0.7", task.box.acc_70), ("mean IoU", task.box.mean_iou))
            shown = ", ".join(f"{name} {percent(figure.value)}" for name, figure in figures)
            yield f"{task.level_3}: {shown}; {task.box.num_invalid:,} of {task.num_questions:,} boxes invalid"
        for language, text in task.texts.items():
            shown = ", ".join(f"{name} {percent(figure.value)}" for name, figure in text.metrics.items())
            yield f"{task.level_3} ({language}): {shown}"
    yield from ("", f"Report: {run / PAGE_FILE}")


def _unread(results: Results) -> Iterator[str]:
    """Yield how many replies hold no answer; they are in the figures, and right in none."""
    counts = [(task, _num_unread(task)) for task in results.tasks]
    if total := sum(count for _, count in counts):
        by_task = ", ".join(f"{task.level_3} × {count:,}" for task, count in counts if count)
        yield f"{total:,} replies hold no answer: {by_task}."


def _num_unread(task: TaskResult) -> int:
    no_letter = task.choice.strict_letters.get("", 0) if task.choice else 0
    no_box = task.box.num_invalid if task.box else 0
    return no_letter + no_box + sum(text.num_empty for text in task.texts.values())


def _choice_table(results: Results) -> list[tuple[str, ...]]:
    """Return head and rows; the column for rotations only where there are some."""
    rows = [_HEAD, *_choice_rows(results)]
    column = _HEAD.index(_ROTATIONS)
    if all(row[column] == _NOTHING for row in rows[1:]):
        rows = [row[:column] + row[column + 1 :] for row in rows]
    return rows


def _choice_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for task in results.tasks:
        if task.choice is not None:
            yield _row(task.level_3, task.choice, task.num_questions)
    for average in results.averages:
        if average.key in _SHOWN_AVERAGES and not average.missing:
            yield _row(average.name, average, average.strict.num_questions)


def _row(name: str, figures: Accuracies, num_questions: int) -> tuple[str, ...]:
    interval = spread(figures.strict)
    return (
        name,
        percent(figures.strict.value),
        _NOTHING if figures.strict.interval.low is None else interval,
        percent(figures.official.value),
        _NOTHING if figures.permissive is None else percent(figures.permissive.value),
        _NOTHING if figures.strict_circular is None else percent(figures.strict_circular.value),
        percent(figures.chance),
        percent(figures.constant),
        f"{num_questions:,}",
    )
