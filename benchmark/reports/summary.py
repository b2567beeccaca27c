"""What `rsvqa bench` and `rsvqa score` print of a run: what went wrong, then its sub-tasks and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.reports.report_page import PAGE_FILE
from rsvqa.benchmark.reports.report_tables import (
    box_figures,
    box_rows,
    notices,
    optional_columns,
    optional_figures,
    percent,
    spread,
)
from rsvqa.benchmark.scores.measures import Measure
from rsvqa.benchmark.scores.results import RESULTS_FILE, Accuracies, BoxResult, Figure, Results, TaskResult
from rsvqa.benchmark.settings import Protocol
from rsvqa.rsvqa_builder.shown import Part, ShownResult, TextTable

_NOTHING = "–"
_INTERVAL = "95 % interval"
_SHOWN_AVERAGES = ("micro", "macro", "macro_13", "macro_vlmevalkit")


@dataclass(frozen=True, slots=True)
class BenchResult(ShownResult):
    """What `rsvqa.bench` and `rsvqa.score` end with: the figures and the folder of each run, one for each data set.

    There is none in all processes of a run but the first.

    Attributes:
        runs: figures and folder of each.
        protocols: scores to show, each with its interval; None for the columns of the reports.

    Raises:
        RunError: the judge is among the protocols, and nobody has judged a run.
    """

    runs: tuple[tuple[Results, Path], ...]
    protocols: tuple[Protocol, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse to show verdicts that nobody has given."""
        for results, folder in self.runs:
            if "judge" in (self.protocols or ()) and results.judged is None:
                raise RunError(f"nobody has judged the replies in {folder}: name a model as `judge`, openai:NAME")

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
            yield from _parts(results, folder, self.protocols)
            if len(self.runs) > 1:
                yield ""
        if len(self.runs) > 1:
            yield TextTable([_BOARD_HEAD, *(_board_row(results) for results, _ in self.runs)])

    def as_json(self) -> object:
        """Return the main figures of the only run, else a list."""
        each = [_as_json(results, folder, self.protocols) for results, folder in self.runs]
        return each[0] if len(each) == 1 else each

    def print(self, *, as_json: bool = False, spell: Callable[[str], str] = str) -> None:
        """Print it to stdout; nothing where there is none."""
        if self.runs:
            ShownResult.print(self, as_json=as_json, spell=spell)


_BOARD_HEAD = ("", "strict", _INTERVAL, "official", "chance", "constant", "boxes, Acc@0.5", "questions", "images")


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


def _as_json(results: Results, run: Path, protocols: Sequence[Protocol] | None = None) -> dict[str, object]:
    return {
        "results": str(run / RESULTS_FILE),
        "page": str(run / PAGE_FILE),
        "state": results.run.state,
        "num_questions": results.num_questions,
        "num_not_scored": sum(results.not_scored.values()),
        "averages": {
            average.key: {name: _value(average, name) for name in protocols or ("strict", "official")}
            for average in results.averages
        },
    }


def _value(figures: Accuracies, protocol: Protocol) -> float | None:
    figure: Figure | None = getattr(figures, protocol)
    return None if figure is None else figure.value


def _parts(results: Results, run: Path, protocols: Sequence[Protocol] | None) -> Iterator[Part]:
    data = results.run.data
    where = f"{data.name}, split {data.split}" if data.split else data.name
    yield f"{results.run.model_name} on {where} (questions: {results.num_questions:,}, images: {results.num_images:,})"
    yield from (*_unread(results), *notices(results), "")
    yield TextTable(_choice_table(results) if protocols is None else _protocol_table(results, protocols))
    if protocols is not None:
        yield from _protocol_gap(results, protocols)
    for name, _, box in box_rows(results):
        yield f"{name}: {_box_line(box)}"
    for task in results.tasks:
        for language, text in task.texts.items():
            shown = ", ".join(f"{name} {percent(figure.value)}" for name, figure in text.metrics.items())
            yield f"{task.title} ({language}): {shown}"
    yield from ("", f"Report: {run / PAGE_FILE}")


def _box_line(box: BoxResult) -> str:
    figures = [("Acc@0.5", box.acc_50), ("Acc@0.7", box.acc_70), ("mean IoU", box.mean_iou)]
    figures += [(one.name, one.figure) for one in box_figures(box) if one.key in box.official]
    shown = ", ".join(f"{name} {percent(figure.value)}" for name, figure in figures)
    return f"{shown}; {box.num_invalid:,} of {box.acc_50.num_questions:,} boxes invalid"


def _unread(results: Results) -> Iterator[str]:
    """Yield how many replies hold no answer; they are in the figures, and right in none."""
    counts = [(task, _num_unread(task)) for task in results.tasks]
    if total := sum(count for _, count in counts):
        by_task = ", ".join(f"{task.title} × {count:,}" for task, count in counts if count)
        yield f"{total:,} replies hold no answer: {by_task}."


def _num_unread(task: TaskResult) -> int:
    choice = task.choice
    unread = round((choice.strict_no_answer or 0) * choice.strict.num_questions) if choice else 0
    no_box = task.box.num_invalid if task.box else 0
    return unread + no_box + sum(text.num_empty for text in task.texts.values())


def _protocol_table(results: Results, protocols: Sequence[Protocol]) -> list[tuple[str, ...]]:
    """Return head and rows: the same replies by each protocol."""
    head = ("", *(cell for name in protocols for cell in (name, _INTERVAL)), "chance", "constant", "questions")
    rows = [head]
    for name, figures, num_questions in _shown(results):
        cells = [cell for protocol in protocols for cell in _with_interval(getattr(figures, protocol))]
        rows.append((name, *cells, percent(figures.chance), percent(figures.constant), f"{num_questions:,}"))
    return rows


def _with_interval(figure: Figure | None) -> tuple[str, str]:
    if figure is None:
        return _NOTHING, _NOTHING
    return percent(figure.value), _NOTHING if figure.interval.low is None else spread(figure)


def _protocol_gap(results: Results, protocols: Sequence[Protocol]) -> Iterator[str]:
    """Yield how far the protocols lie apart."""
    micro = results.average("micro")
    values = [] if micro is None else [_value(micro, protocol) for protocol in protocols]
    known = [value for value in values if value is not None]
    if len(known) > 1:
        yield f"The same replies differ by {percent(max(known) - min(known))} points between these protocols (micro)."


def _choice_table(results: Results) -> list[tuple[str, ...]]:
    """Return head and rows; the columns that only some runs have where there is something in them."""
    optional = optional_columns(results)
    head = ("", "strict", _INTERVAL, "official", "permissive", *optional.values(), "chance", "constant", "questions")
    return [head, *(_row(name, figures, count, optional) for name, figures, count in _shown(results))]


class _Shown(NamedTuple):
    """A row of the table of accuracies."""

    name: str
    figures: Accuracies
    num_questions: int


def _shown(results: Results) -> Iterator[_Shown]:
    for task in results.tasks:
        if task.choice is not None:
            yield _Shown(task.title, task.choice, task.choice.strict.num_questions)
    for average in results.averages:
        if average.key in _SHOWN_AVERAGES and not average.missing:
            yield _Shown(average.name, average, average.strict.num_questions)


def _row(name: str, figures: Accuracies, num_questions: int, optional: Iterable[Measure] = ()) -> tuple[str, ...]:
    return (
        name,
        *_with_interval(figures.strict),
        percent(figures.official.value),
        percent(figures.permissive.value if figures.permissive else None),
        *optional_figures(figures, optional),
        percent(figures.chance),
        percent(figures.constant),
        f"{num_questions:,}",
    )
