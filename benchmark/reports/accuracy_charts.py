"""The accuracy charts of the report page: averages, sub-tasks, and the run among published scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

from rsvqa.benchmark.reports.published import PublishedScore, compared_tasks, read_published, why_not_comparable
from rsvqa.benchmark.reports.report_tables import optional_columns, optional_figures, percent, range_or_reason
from rsvqa.benchmark.scores.intervals import Interval
from rsvqa.benchmark.scores.measures import Measure
from rsvqa.benchmark.scores.results import Accuracies, Average, ChoiceResult, Figure, Results, TaskResult

_MAIN_AVERAGES = ("micro", "macro", "macro_13", "macro_vlmevalkit")
_COLUMNS = (("num", "strict"), ("range", "95 %"), ("num", "official"), ("num", "permissive"))
_WIDE_COLUMNS = (
    ("num wide", "chance"),
    ("num wide", "constant"),
    ("num wide", "no answer"),
    ("num wide", "questions"),
)


Optional = Mapping[Measure, str]
"""Columns that only some runs have, see `optional_columns`."""


# --- averages and sub-tasks -------------------------------------------------------------------------------------------


def accuracy_section(results: Results) -> str:
    """Return the table of averages and sub-tasks with their bars; empty for a run without options."""
    tasks = [task for task in results.tasks if task.choice is not None]
    if not tasks:
        return ""
    beside = [score for score in read_published().scores if score.tasks] if compared_tasks(results) else []
    optional = optional_columns(results)
    main = [one for one in results.averages if one.key in _MAIN_AVERAGES and not _is_repeated(one, results)]
    levels = [one for one in results.averages if one.key not in _MAIN_AVERAGES]
    head = _head(optional)
    rows = [*_average_rows(main, optional), *_task_rows(tasks, beside, compared_tasks(results), optional)]
    return (
        '<section id="accuracy"><header><h2>Accuracy</h2><p class="facts">per cent right, bars by the strict parser; '
        "95 % intervals by drawing images; images of one question are drawn and counted as one</p></header>"
        f"{_legend(beside)}"
        f"<table>{head}<tbody>{''.join(rows)}</tbody></table><details><summary>Averages of levels</summary>"
        f"<table>{head}<tbody>{''.join(_average_rows(levels, optional))}</tbody></table></details></section>"
    )


def _is_repeated(average: Average, results: Results) -> bool:
    """Tell whether the plain macro is macro-13: the run has these sub-tasks and no others."""
    thirteen = results.average("macro_13")
    return average.key == "macro" and thirteen is not None and not thirteen.missing and len(average.parts) == 13


def _head(optional: Optional) -> str:
    columns = [*_COLUMNS, *(("num", name) for name in optional.values()), *_WIDE_COLUMNS]
    axis = '<span class="axis"><i>0</i><i>50</i><i>100</i></span>'
    titles = "".join(f'<th class="{kind}" scope="col">{name}</th>' for kind, name in columns)
    return f'<thead><tr><th scope="col"></th><th class="chart" scope="col">{axis}</th>{titles}</tr></thead>'


def _legend(beside: Sequence[PublishedScore]) -> str:
    keys = [
        ("bar", "strict"),
        ("whisker", "95 % interval"),
        ("official", "official"),
        ("chance", "chance"),
        ("constant", "one constant answer"),
        *((f"peer p{number}", f"{score.model}, published") for number, score in enumerate(beside)),
    ]
    items = "".join(f'<span><i class="{kind}"></i>{escape(name)}</span>' for kind, name in keys)
    return f'<p class="legend">{items}</p>'


def _average_rows(averages: Sequence[Average], optional: Optional) -> Iterator[str]:
    yield _group("Averages")
    for average in averages:
        name, _, words = average.name.partition(": ")
        title = f"<td>{escape(name)}<small>{escape(words)}</small></td>"
        if average.missing:
            yield f'<tr class="none">{title}<td class="chart" colspan="10">{escape(average.missing)}</td></tr>'
        else:
            cells = _cells(average, {}, optional)
            yield f"<tr>{title}{cells}{_questions(average.strict)}</tr>"


def _group(name: str) -> str:
    return f'<tr class="group"><th colspan="11" scope="rowgroup">{escape(name)}</th></tr>'


def _task_rows(
    tasks: Sequence[TaskResult],
    beside: Sequence[PublishedScore],
    compared: frozenset[str],
    optional: Optional,
) -> Iterator[str]:
    for level_1, group in groupby(sorted(tasks, key=lambda task: task.level_1), key=lambda task: task.level_1):
        yield _group(level_1)
        for task in group:
            shown = enumerate(beside if task.short in compared else ())
            peers = {number: score.tasks[task.short] / 100 for number, score in shown}
            if task.choice is not None:
                yield _task_row(task, task.choice, peers, optional)


def _task_row(task: TaskResult, choice: ChoiceResult, peers: Mapping[int, float], optional: Optional) -> str:
    return (
        f"<tr><td>{escape(task.title)} <abbr>{escape(task.short)}</abbr></td>{_cells(choice, peers, optional)}"
        f"{_questions(choice.strict)}</tr>"
    )


def _cells(accuracies: Accuracies, peers: Mapping[int, float], optional: Optional) -> str:
    strict = accuracies.strict
    more = "".join(f'<td class="num">{cell}</td>' for cell in optional_figures(accuracies, optional))
    return (
        f'<td class="chart">{_track(accuracies, peers)}</td><td class="num main">{percent(strict.value)}</td>'
        f'<td class="range">{escape(range_or_reason(strict))}</td>'
        f'<td class="num">{percent(accuracies.official.value)}</td>'
        f'<td class="num">{percent(accuracies.permissive.value if accuracies.permissive else None)}</td>{more}'
        f'<td class="num wide">{percent(accuracies.chance)}</td>'
        f'<td class="num wide">{percent(accuracies.constant)}</td>'
        f'<td class="num wide">{percent(accuracies.strict_no_answer)}</td>'
    )


def _questions(figure: Figure) -> str:
    return f'<td class="num wide">{figure.num_questions:,}<small>{figure.num_images:,} images</small></td>'


def _track(accuracies: Accuracies, peers: Mapping[int, float]) -> str:
    """Return the bar of one row: strict with its interval, and marks for what it is compared with."""
    points = [
        ("chance", accuracies.chance, "chance"),
        ("constant", accuracies.constant, "one constant answer"),
        ("official", accuracies.official.value, "official"),
        *((f"peer p{number}", share, "published") for number, share in peers.items()),
    ]
    marks = "".join(
        f'<i class="{kind}" style="left:{100 * share:.2f}%" title="{name} {percent(share)}"></i>'
        for kind, share, name in points
        if share is not None
    )
    return f'<span class="track">{_bar(accuracies.strict.value)}{_whisker(accuracies.strict.interval)}{marks}</span>'


def _bar(share: float | None) -> str:
    return "" if share is None else f'<i class="bar" style="width:{100 * share:.2f}%"></i>'


def _whisker(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    low, width = 100 * interval.low, 100 * (interval.high - interval.low)
    return f'<i class="whisker" style="left:{low:.2f}%;width:{width:.2f}%"></i>'


# --- among published scores -------------------------------------------------------------------------------------------


def standing_section(results: Results) -> str:
    """Return this run among the published macro averages, or why it is not among them."""
    average = results.average("macro_13")
    if average is None:
        return ""
    head = '<section id="published"><header><h2>Beside published scores</h2><p class="facts">'
    if why := why_not_comparable(results):
        return f"{head}This run is not among them: {escape(why)}.</p></header></section>"
    rows = [
        *(_standing_row(score.model, _about(score), score.macro) for score in read_published().scores),
        *(_own_row(results, name, figure) for name, figure in _own_figures(average)),
    ]
    listed = "".join(row for _, row in sorted(rows, key=lambda row: -row[0]))
    return (
        f"{head}macro-13 on {escape(read_published().data.name)}, per cent; neighbours are mostly within each other's "
        f"interval</p></header><table>{listed}</table></section>"
    )


def _own_figures(average: Average) -> Sequence[tuple[str, Figure]]:
    return ("official", average.official), ("strict", average.strict)


def _own_row(results: Results, name: str, figure: Figure) -> tuple[float, str]:
    about = f"this run, {name}, {range_or_reason(figure)}"
    whisker = _whisker(figure.interval)
    return _standing_row(results.run.model_name, about, 100 * (figure.value or 0.0), kind="own", whisker=whisker)


def _standing_row(model: str, about: str, value: float, *, kind: str = "", whisker: str = "") -> tuple[float, str]:
    """Return a score in per cent, to sort by, and its row."""
    return value, (
        f'<tr class="{kind}"><td>{escape(model)}<small>{escape(about)}</small></td><td class="chart">'
        f'<span class="track">{_bar(value / 100)}{whisker}</span></td><td class="num main">{value:.1f}</td></tr>'
    )


def _about(score: PublishedScore) -> str:
    disputed = f" (up to {score.macro_high:.1f})" if score.macro_high is not None else ""
    return f"{score.variant}; {score.source}{disputed}"
