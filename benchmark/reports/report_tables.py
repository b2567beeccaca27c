"""A run's figures as rows (`tasks.csv`) and as Markdown (`results.md`); the page takes its wording from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rsvqa.benchmark.reports.published import why_not_comparable
from rsvqa.benchmark.scores.figures import rounded
from rsvqa.benchmark.scores.intervals import FEW_IMAGES
from rsvqa.benchmark.scores.measures import OFFICIAL_THRESHOLDS, Measure
from rsvqa.benchmark.scores.results import (
    Accuracies,
    Average,
    BoxResult,
    ChoiceResult,
    Figure,
    JudgeResult,
    Results,
    TaskResult,
    TextResult,
)

TABLE_COLUMNS = (
    "scope",
    "key",
    "name",
    "measure",
    "value",
    "low",
    "high",
    "interval",
    "num_questions",
    "num_images",
    "num_not_scored",
    "no_answer",
    "chance",
    "majority_letter",
    "majority_answer",
    "note",
)

BOX_FIGURES: Mapping[str, str] = {
    "acc_50": "Acc@0.5",
    "acc_70": "Acc@0.7",
    "mean_iou": "mean IoU, invalid as 0",
    "mean_iou_valid": "mean IoU of valid boxes",
}
"""Fields of `BoxResult` and their names."""
_OFFICIAL_BOX_NAMES: Mapping[Measure, str] = {
    **{measure: f"official Acc@{threshold}" for measure, threshold in OFFICIAL_THRESHOLDS.items()},
    Measure.OFFICIAL_IOU: "official mean IoU",
}


class NamedFigure(NamedTuple):
    """A figure of boxes; `key` is stable."""

    key: str
    name: str
    figure: Figure


def box_figures(box: BoxResult) -> list[NamedFigure]:
    """Return the figures of boxes in their order, those of a published evaluation last."""
    ours = [NamedFigure(field, name, getattr(box, field)) for field, name in BOX_FIGURES.items()]
    return ours + [NamedFigure(str(key), _OFFICIAL_BOX_NAMES[key], figure) for key, figure in box.official.items()]


class BoxRow(NamedTuple):
    """A row of a table of boxes."""

    name: str
    short: str
    box: BoxResult


def box_rows(results: Results) -> list[BoxRow]:
    """Return the sub-tasks that ask for boxes, and all of them together where that is a figure."""
    rows = [BoxRow(task.title, task.short, task.box) for task in results.tasks if task.box is not None]
    return rows if results.boxes is None else [*rows, BoxRow("all", "", results.boxes)]


_CIRCULAR = (Measure.STRICT_CIRCULAR, Measure.OFFICIAL_CIRCULAR)


# --- numbers in words -------------------------------------------------------------------------------------------------


def percent(share: float | None) -> str:
    """Return e.g. "51.5"; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f}"


def spread(figure: Figure) -> str:
    """Return the 95 % interval, e.g. "48.9–54.0", or that there is none and why."""
    has_none = figure.interval.method == "none" and figure.value is not None
    return f"no interval: {figure.interval.reason}" if has_none else range_or_reason(figure)


def range_or_reason(figure: Figure) -> str:
    """Return the 95 % interval, e.g. "48.9–54.0", or in its place why there is none."""
    low, high = figure.interval.low, figure.interval.high
    return figure.interval.reason if low is None or high is None else f"{percent(low)}–{percent(high)}"


def notices(results: Results) -> Iterator[str]:
    """Yield what a reader of the figures must know, a sentence each."""
    run = results.run
    if run.state != "complete":
        done, planned = results.num_questions, run.data.num_samples
        yield f"This run is not finished ({run.state}): {done:,} of {planned:,} questions have been asked."
    if missing := sum(results.not_scored.values()):
        reasons = ", ".join(f"{reason} × {count:,}" for reason, count in results.not_scored.items())
        yield f"{missing:,} of {results.num_questions:,} questions have no reply and are in no figure: {reasons}."
        yield "The same command asks for missing replies again."
    yield from _lost_words(results)
    if run.data.left_out:
        reasons = ", ".join(f"{reason} × {count:,}" for reason, count in run.data.left_out.items())
        yield f"{sum(run.data.left_out.values()):,} rows of the data were left out: {reasons}."
    if results.judged is not None:
        yield from _judge_notices(results.judged, run.model_name)
    if run.contamination is not None:
        yield run.contamination.sentence
    if run.data.num_not_drawn:
        yield f"The settings limit or per_task left out {run.data.num_not_drawn:,} good questions."
    if 0 < results.num_images < FEW_IMAGES:
        yield f"Only {results.num_images} image(s): the figures say little about others."
    shrunk = sum(task.num_scaled_down for task in results.tasks)
    if shrunk and run.model.get("adapter") == "openai":
        yield f"{shrunk:,} replies are to smaller images: the endpoint refused them in full size as too large."
    if run.data.rules is not None:
        yield f"{run.data.rules.title}: {run.data.rules.source}. Licence: {run.data.rules.licence}."
        yield from run.data.rules.notes
        if missing_score := run.data.rules.official.missing:
            yield f"There is no official score: {missing_score}."
    elif why := why_not_comparable(results):
        yield f"This run is not compared with published averages: {why}."


def _lost_words(results: Results) -> Iterator[str]:
    """Yield how many replies were cut or are empty, and what to turn so that they are not."""
    if cut := sum(task.num_cut for task in results.tasks):
        yield f"{cut:,} replies were cut at the bound of new tokens."
    if empty := sum(task.num_cut_empty for task in results.tasks):
        yield (
            f"{empty:,} of them are empty: reasoning took all the tokens. Raise `max_new_tokens`, or turn it off, with "
            "`template_args` or `extra_body` as the model's card says."
        )
    if silent := sum(task.num_silent for task in results.tasks):
        said = f"{silent:,} replies are empty, and were not cut"
        if results.run.model.get("adapter") == "openai":
            yield (
                f"{said}: a server that takes the answer for reasoning sends it beside the reply, as "
                "`reasoning_content`. Start it without its reasoning parser, or turn reasoning off, with "
                "`template_args` or `extra_body` as the model's card says, and ask into another folder."
            )
        else:
            yield f"{said}: the model said nothing."


def _judge_notices(judged: JudgeResult, model_name: str) -> Iterator[str]:
    judge = judged.judge
    yield f"The judge is {judge.model} at {judge.base_url}, wording {judge.prompt}: {judged.num_judged:,} verdicts."
    if judged.num_unreadable:
        yield f"{judged.num_unreadable:,} verdicts of the judge cannot be read; its figures leave these questions out."
    if judged.num_missing:
        yield f"{judged.num_missing:,} replies have no verdict; the same `rsvqa score` asks the judge for them."
    if judge.model == model_name:
        yield "The judge is the model under test, and models judge their own replies kindly."


# --- rows -------------------------------------------------------------------------------------------------------------


def table_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Yield one row per measure of each sub-task, then of each average; keys are among `TABLE_COLUMNS`."""
    for task in results.tasks:
        base = {"scope": "task", "key": task.task, "name": task.level_3, "num_not_scored": task.num_not_scored}
        yield from ({**base, **row} for row in _task_rows(task))
    if results.boxes is not None:
        for key, name, figure in box_figures(results.boxes):
            yield {"scope": "average", "key": "boxes", "name": "all boxes: " + name, **_figure_row(key, figure)}
    for average in results.averages:
        base = {"scope": "average", "key": average.key, "name": average.name}
        yield from ({**base, **row} for row in _accuracy_rows(average))


def _task_rows(task: TaskResult) -> Iterator[dict[str, Any]]:
    if task.choice is not None:
        yield from _accuracy_rows(task.choice)
    if task.box is not None:
        invalid = _share(task.box.num_invalid, task.box.acc_50.num_questions)
        for key, _, figure in box_figures(task.box):
            yield {**_figure_row(key, figure), "no_answer": invalid}
    for language, text in task.texts.items():
        for metric, figure in text.metrics.items():
            row = _figure_row(f"{metric} ({language})", figure)
            note = "; ".join(filter(None, (figure.interval.reason, text.implementation)))
            yield {**row, "no_answer": _share(text.num_empty, figure.num_questions), "note": note}


def _accuracy_rows(accuracies: Accuracies) -> Iterator[dict[str, Any]]:
    references = {name: getattr(accuracies, name) for name in ("chance", "majority_letter", "majority_answer")}
    no_answer = {
        Measure.STRICT: {"no_answer": accuracies.strict_no_answer},
        Measure.OFFICIAL: {"no_answer": accuracies.official_no_answer},
    }
    for name in (Measure.STRICT, Measure.OFFICIAL, Measure.PERMISSIVE, Measure.JUDGE, *_CIRCULAR):
        figure: Figure | None = getattr(accuracies, name)
        if figure is not None:
            # chance and majority are those of one reply, not of right ones in all rotations
            yield {**_figure_row(name, figure), **({} if name in _CIRCULAR else references | no_answer.get(name, {}))}


def _share(count: int, total: int) -> float | None:
    return rounded(count / total) if total else None


def _figure_row(measure: str, figure: Figure) -> dict[str, Any]:
    return {
        "measure": str(measure),
        "value": figure.value,
        "low": figure.interval.low,
        "high": figure.interval.high,
        "interval": figure.interval.method,
        "num_questions": figure.num_questions,
        "num_images": figure.num_images,
        "note": figure.interval.reason,
    }


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown_report(results: Results) -> str:
    """Return `results.md`."""
    run = results.run
    blocks = [
        f"# {_escaped(run.model_name)}",
        f"Data: {_escaped(run.data.name)}{f', split {_escaped(run.data.split)}' if run.data.split else ''}; "
        f"{results.num_questions:,} questions on {results.num_images:,} images. Accuracies in per cent, with bootstrap "
        "95 % intervals over images. *strict*: the strict parser; *official*: the published extraction; *permissive*: "
        "whatever reading makes the most of a reply; *chance*: uniform guesses; *constant*: the best answer that is "
        "always the same.",
        "\n".join(f"- {_escaped(notice)}" for notice in notices(results)),
        _choice_blocks(results),
        _box_block(box_rows(results)),
        *(_text_block(task, language, text) for task in results.tasks for language, text in task.texts.items()),
        _published_block(results),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _choice_blocks(results: Results) -> str:
    if not results.averages:
        return ""
    beside_permissive = optional_columns(results)
    head = ["strict", "95 %", "official", "95 %", "permissive", *beside_permissive.values(), "chance", "constant"]
    averages = [[_escaped(average.name), *_accuracy_cells(average, beside_permissive)] for average in results.averages]
    tasks = [_task_cells(task, task.choice, beside_permissive) for task in results.tasks if task.choice is not None]
    beside = ["no answer: strict / official", "questions on images", "not scored"]
    return (
        "## Averages\n\n"
        + _table(["average", *head], averages)
        + "\n\n## Sub-tasks\n\n"
        + _table(["sub-task", *head, *beside], tasks)
    )


def optional_columns(results: Results) -> dict[Measure, str]:
    """Return the measures of accuracy that only some runs have, and their headings."""
    found = {}
    for measure, name in {Measure.JUDGE: "judge", Measure.STRICT_CIRCULAR: "all rotations"}.items():
        if any(getattr(average, measure) is not None for average in results.averages):
            found[measure] = name
    return found


def optional_figures(accuracies: Accuracies, columns: Iterable[Measure]) -> Iterator[str]:
    """Yield the cells of these columns."""
    for measure in columns:
        figure: Figure | None = getattr(accuracies, measure)
        yield percent(figure.value if figure else None)


def _task_cells(task: TaskResult, choice: ChoiceResult, optional: Iterable[Measure]) -> list[str]:
    return [
        _escaped(f"{task.short} {task.title}"),
        *_accuracy_cells(choice, optional),
        f"{percent(choice.strict_no_answer)} / {percent(choice.official_no_answer)}",
        f"{choice.strict.num_questions} on {choice.strict.num_images}",
        str(task.num_not_scored),
    ]


def _accuracy_cells(accuracies: Accuracies, optional: Iterable[Measure]) -> list[str]:
    cells = []
    for figure in (accuracies.strict, accuracies.official):
        cells += [percent(figure.value), _escaped(spread(figure))]
    if isinstance(accuracies, Average) and accuracies.missing:
        cells[3] = ""  # the same reason again
    cells.append(percent(accuracies.permissive.value if accuracies.permissive else None))
    cells += optional_figures(accuracies, optional)
    return [*cells, percent(accuracies.chance), percent(accuracies.constant)]


def _box_block(rows: Sequence[BoxRow]) -> str:
    if not rows:
        return ""
    cells = []
    for name, short, box in rows:
        figures = [f"{percent(one.figure.value)} ({_escaped(spread(one.figure))})" for one in box_figures(box)]
        cells.append([_escaped(f"{short} {name}"), *figures, str(box.num_invalid), str(box.acc_50.num_questions)])
    names = [one.name for one in box_figures(rows[0].box)]
    return "## Grounding\n\n" + _table(["sub-task", *names, "invalid boxes", "questions"], cells)


def _published_block(results: Results) -> str:
    """Return the published rows of the run's task file."""
    rows = results.run.data.rules.published if results.run.data.rules else ()
    if not rows:
        return ""
    cells = [[_escaped(row.model), _escaped(row.metric), f"{row.score:.1f}", _escaped(row.source)] for row in rows]
    return "## Published\n\n" + _table(["model", "metric", "score", "source"], cells)


def _text_block(task: TaskResult, language: str, text: TextResult) -> str:
    rows = [
        [name, "–" if figure.value is None else f"{figure.value:.4f}", _escaped(raw_spread(figure))]
        for name, figure in text.metrics.items()
    ]
    return (
        f"## {_escaped(task.title)} ({_escaped(language)})\n\nComputed by {_escaped(text.implementation)}. "
        f"Empty replies: {text.num_empty}.\n\n" + _table(["metric", "value", "95 %"], rows)
    )


def raw_spread(figure: Figure) -> str:
    """Return the 95 % interval of a metric that is not a share, e.g. "0.1200–0.1530", or why there is none."""
    low, high = figure.interval.low, figure.interval.high
    if low is None or high is None:
        return f"no interval: {figure.interval.reason}"
    return f"{low:.4f}–{high:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Return text as Markdown shows it: names of models and reasons come from outside."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
