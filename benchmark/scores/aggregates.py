"""From measured questions to figures: sub-tasks, levels, micro and the three macro averages, each with its interval.

The averages that are called macro differ. lmms-eval takes the mean over the 13 `category` values of the benchmark and
counts one without questions as 0; VLMEvalKit over the pairs of `category` and `l2-category` that occur. Both are given
as they are defined, the first only when all 13 are there, beside the plain mean over the sub-tasks of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.protocol.official_boxes import BOX_EVALUATIONS
from rsvqa.benchmark.protocol.task_file import TaskFile
from rsvqa.benchmark.scores.caption_figures import text_results
from rsvqa.benchmark.scores.figures import INTERVAL_SEED, make_figure, no_figure, rounded
from rsvqa.benchmark.scores.intervals import ImageSums, make_part, mean_intervals
from rsvqa.benchmark.scores.labels import TaskLabel, in_order, label_of
from rsvqa.benchmark.scores.measures import OFFICIAL_THRESHOLDS, Measure, Measured
from rsvqa.benchmark.scores.results import Average, BoxResult, ChoiceResult, Figure, TaskResult
from rsvqa.benchmark.scores.score import AnswerOutcome, Score

BENCHMARK_TASKS = tuple(
    name for name, info in TASKS.items() if not info.is_own and not {AnswerForm.TEXT, AnswerForm.BOX} & {*info.forms}
)
"""The 13 sub-tasks with options that the published averages are taken over."""

_CHOICE_MEASURES = (
    Measure.STRICT,
    Measure.OFFICIAL,
    Measure.PERMISSIVE,
    Measure.JUDGE,
    Measure.STRICT_CIRCULAR,
    Measure.OFFICIAL_CIRCULAR,
)
_OFFICIAL_BOX = frozenset({*OFFICIAL_THRESHOLDS, Measure.OFFICIAL_IOU})
_BOX_MEASURES = (Measure.ACC_50, Measure.ACC_70, Measure.IOU, Measure.IOU_VALID)

_ALL_BOXES = ""
"""Key of the figures over all boxes; no task has it."""

Groups = Mapping[str, Sequence[Measured]]
"""Questions by the name of the part of an average that they belong to."""


class Aggregates(NamedTuple):
    """All figures of a run."""

    tasks: tuple[TaskResult, ...]
    averages: tuple[Average, ...]
    boxes: BoxResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageSpec:
    """An average before it is computed; see `results.Average`."""

    key: str
    name: str
    groups: Groups
    missing: str = ""


def aggregate(questions: Sequence[Measured], rules: TaskFile | None = None) -> Aggregates:
    """Return the figures of a run, empty for one without questions; `rules` are those of its task file."""
    by_task = _grouped(questions, lambda one: one.reply.task)
    by_task = {name: by_task[name] for name in in_order(by_task)}
    choices = {name: kept for name, group in by_task.items() if (kept := [one for one in group if one.is_judged])}
    specs = list(average_specs(choices, rules))
    boxes = _all_boxes(by_task) if rules is not None else []
    measures = (*_BOX_MEASURES, *_official_box_measures(rules))
    figures = _figures(
        {
            **{(name, measure): {name: group} for name, group in by_task.items() for measure in measures},
            **{(_ALL_BOXES, measure): {"all": boxes} for measure in measures if boxes},
            **{(name, measure): {name: group} for name, group in choices.items() for measure in _CHOICE_MEASURES},
            **{(spec.key, measure): spec.groups for spec in specs for measure in _CHOICE_MEASURES},
        }
    )
    if rules is not None and rules.official.missing:
        unknown = no_figure(rules.official.missing)
        figures = {key: unknown if key[1] is Measure.OFFICIAL else figure for key, figure in figures.items()}
    tasks = tuple(_task_result(label_of(group[0].reply), group, figures) for group in by_task.values())
    return Aggregates(
        tasks,
        tuple(_average(spec, figures) for spec in specs),
        _box_result(_ALL_BOXES, boxes, figures) if boxes else None,
    )


def _all_boxes(by_task: Groups) -> list[Measured]:
    """Return all box questions where they are of several groups."""
    groups = [kept for group in by_task.values() if (kept := [one for one in group if _asks_a_box(one)])]
    return [one for group in groups for one in group] if len(groups) > 1 else []


def _asks_a_box(one: Measured) -> bool:
    return one.reply.form is AnswerForm.BOX


def _official_box_measures(rules: TaskFile | None) -> tuple[Measure, ...]:
    """Return what the published evaluation of a task file's boxes gives."""
    if rules is None or rules.official.boxes is None:
        return ()
    thresholds = BOX_EVALUATIONS[rules.official.boxes].thresholds
    accuracies = (measure for measure, threshold in OFFICIAL_THRESHOLDS.items() if threshold in thresholds)
    return (*accuracies, Measure.OFFICIAL_IOU)


# --- which averages there are -----------------------------------------------------------------------------------------


def average_specs(choices: Groups, rules: TaskFile | None = None) -> Iterator[AverageSpec]:
    """Yield every average over questions with options, or of words; `choices` are these questions by task."""
    if not choices:
        return
    everything = [one for group in choices.values() for one in group]
    if rules is not None:
        yield AverageSpec(key="micro", name="micro: mean over all questions", groups={"all": everything})
        yield AverageSpec(key="macro", name=f"macro: mean over {len(choices)} group(s)", groups=choices)
        yield from _levels("level_1", choices, lambda label: label.level_1)
        return
    yield AverageSpec(key="micro", name="micro: mean over all questions with options", groups={"all": everything})
    yield AverageSpec(key="macro", name=f"macro: mean over the {len(choices)} sub-task(s) of this run", groups=choices)
    yield _macro_13(choices)
    pairs = _grouped(everything, lambda one: f"{one.reply.category}/{one.reply.l2_category}")
    name = f"VLMEvalKit's macro: mean over the {len(pairs)} pairs of category and l2-category"
    yield AverageSpec(key="macro_vlmevalkit", name=name, groups=pairs)
    yield from _levels("level_1", choices, lambda label: label.level_1)
    yield from _levels("level_2", choices, lambda label: label.level_2)


def _macro_13(choices: Groups) -> AverageSpec:
    """Return lmms-eval's macro, without a value unless all its sub-tasks are there."""
    groups = {TASKS[name].category: choices[name] for name in BENCHMARK_TASKS if name in choices}
    missing = [TASKS[name].short for name in BENCHMARK_TASKS if name not in choices]
    why = f"no questions of {', '.join(missing)}, which lmms-eval would count as 0" if missing else ""
    return AverageSpec(
        key="macro_13",
        name="macro-13: mean over the 13 category values (lmms-eval's macro)",
        groups=groups,
        missing=why,
    )


def _levels(key: str, choices: Groups, level_of: Callable[[TaskLabel], str]) -> Iterator[AverageSpec]:
    """Yield two averages for each level: over its questions and, where it has several, over its sub-tasks."""
    levels = {name: level_of(label_of(group[0].reply)) for name, group in choices.items()}
    for level in dict.fromkeys(levels.values()):
        tasks = {name: group for name, group in choices.items() if levels[name] == level}
        if tasks:
            pooled = [one for group in tasks.values() for one in group]
            yield AverageSpec(
                key=f"{key}/{level}/micro", name=f"{level}: mean over its questions", groups={level: pooled}
            )
            if len(tasks) > 1:
                yield AverageSpec(
                    key=f"{key}/{level}/macro", name=f"{level}: mean over its {len(tasks)} sub-tasks", groups=tasks
                )


def _grouped(questions: Iterable[Measured], key: Callable[[Measured], str]) -> dict[str, list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for one in questions:
        groups.setdefault(key(one), []).append(one)
    return dict(sorted(groups.items()))


# --- figures ----------------------------------------------------------------------------------------------------------

MeasureKey = tuple[str, Measure]


def _figures(wanted: Mapping[MeasureKey, Groups]) -> dict[MeasureKey, Figure]:
    """Return the mean over the means of each entry's parts; all intervals come from the same replicates."""
    known = {key: _parts(groups, key[1]) for key, groups in wanted.items()}
    whole = {key: parts for key, parts in known.items() if parts and None not in parts.values()}
    present = {key: [part for part in parts.values() if part is not None] for key, parts in whole.items()}
    intervals = dict(zip(present, mean_intervals(list(present.values()), seed=INTERVAL_SEED), strict=True))
    return {
        key: make_figure(present[key], intervals[key]) if key in present else _no_figure(parts)
        for key, parts in known.items()
    }


def _parts(groups: Groups, measure: Measure) -> dict[str, ImageSums | None]:
    """Return the values of each group; None for a group without any."""
    parts: dict[str, ImageSums | None] = {}
    for name, group in groups.items():
        valued = [one for one in group if measure in one.values]
        parts[name] = (
            make_part([one.values[measure] for one in valued], [one.cluster for one in valued]) if valued else None
        )
    return parts


def _no_figure(parts: Mapping[str, ImageSums | None]) -> Figure:
    empty = [name for name, part in parts.items() if part is None]
    return no_figure(f"nothing to average in {', '.join(empty)}" if empty else "nothing to average")


# --- what needs no look at the image ----------------------------------------------------------------------------------


def chance(one: Measured) -> float | None:
    """Return the expected share right of a uniform guess at a question; None without options."""
    num_options = len(one.reply.options)
    if not num_options:
        return None
    return 1 / (2**num_options - 1) if one.reply.form is AnswerForm.SEVERAL_OF else 1 / num_options


def majority_letter(questions: Iterable[Measured]) -> float | None:
    """Return the share right of the best constant answer of each task, in letters; None without options."""
    return _majority((one for one in questions if one.reply.options), lambda one: one.reply.answer)


def majority_answer(questions: Iterable[Measured]) -> float | None:
    """Return the share right of the best constant answer of each task, in words; None without questions."""
    return _majority(questions, lambda one: one.words)


def _majority(questions: Iterable[Measured], answer_of: Callable[[Measured], str]) -> float | None:
    counts: dict[str, Counter[str]] = {}
    for one in questions:
        counts.setdefault(one.reply.task, Counter())[answer_of(one)] += 1
    total = sum(counter.total() for counter in counts.values())
    return sum(max(counter.values()) for counter in counts.values()) / total if total else None


# --- putting it together ----------------------------------------------------------------------------------------------


def _accuracies(key: str, groups: Groups, figures: Mapping[MeasureKey, Figure]) -> dict[str, Any]:
    """Return the fields of `results.Accuracies`; references are taken over the same questions as the figures."""
    scored = [[one for one in group if one.is_scored] for group in groups.values()]
    circular = {
        measure.value: figures[key, measure] if figures[key, measure].value is not None else None
        for measure in (Measure.STRICT_CIRCULAR, Measure.OFFICIAL_CIRCULAR)
    }
    is_judged = any(one.score.judge is not None for group in groups.values() for one in group)
    return {
        "strict": figures[key, Measure.STRICT],
        "official": figures[key, Measure.OFFICIAL],
        "permissive": figures[key, Measure.PERMISSIVE],
        "judge": figures[key, Measure.JUDGE] if is_judged else None,
        **circular,
        "strict_no_answer": _mean_or_none([_share(group, lambda score: score.strict) for group in scored]),
        "official_no_answer": _mean_or_none([_share(group, lambda score: score.official) for group in scored]),
        "chance": _mean_or_none([_mean_or_none([chance(one) for one in group]) for group in scored]),
        "majority_letter": _mean_or_none([majority_letter(group) for group in scored]),
        "majority_answer": _mean_or_none([majority_answer(group) for group in scored]),
    }


def _share(group: Sequence[Measured], outcome_of: Callable[[Score], AnswerOutcome | None]) -> float | None:
    """Return the share of replies without an answer."""
    return fmean(outcome_of(one.score) is AnswerOutcome.NO_ANSWER for one in group) if group else None


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    """Return the mean; None when one of the values is, as the figure beside it has none either."""
    known = [value for value in values if value is not None]
    return rounded(fmean(known)) if known and len(known) == len(values) else None


def _average(spec: AverageSpec, figures: Mapping[MeasureKey, Figure]) -> Average:
    fields = _accuracies(spec.key, spec.groups, figures)
    if spec.missing:
        nothing = no_figure(spec.missing)
        fields = {name: nothing if name in ("strict", "official", "permissive") else None for name in fields}
    strict = fields["strict"]
    missing = spec.missing or ("" if strict.value is not None else strict.interval.reason)
    return Average(key=spec.key, name=spec.name, parts=tuple(spec.groups), missing=missing, **fields)


def _task_result(info: TaskLabel, questions: Sequence[Measured], figures: Mapping[MeasureKey, Figure]) -> TaskResult:
    choices = [one for one in questions if one.is_judged]
    boxes = [one for one in questions if _asks_a_box(one)]
    return TaskResult(
        task=info.name,
        short=info.short,
        level_1=info.level_1,
        level_2=info.level_2,
        level_3=info.level_3,
        is_own=info.is_own,
        num_questions=len(questions),
        num_not_scored=sum(not one.is_scored for one in questions),
        num_cut=sum(one.is_scored and not one.reply.ended for one in questions),
        num_cut_empty=sum(_is_empty(one) and not one.reply.ended for one in questions),
        num_silent=sum(_is_empty(one) and one.reply.ended for one in questions),
        num_scaled_down=sum(one.is_scored and _is_scaled_down(one.reply) for one in questions),
        choice=_choice_result(info.name, choices, figures) if choices else None,
        box=_box_result(info.name, boxes, figures) if boxes else None,
        texts=text_results([one for one in questions if one.reply.form is AnswerForm.TEXT]),
    )


def _is_empty(one: Measured) -> bool:
    return one.is_scored and not (one.reply.reply or "").strip()


def _is_scaled_down(reply: StoredReply) -> bool:
    return any(image.scale_x is not None and image.scale_x < 1 for image in reply.images)


def _choice_result(name: str, questions: Sequence[Measured], figures: Mapping[MeasureKey, Figure]) -> ChoiceResult:
    scores = [one.score for one in questions if one.is_scored and one.reply.options]
    confusion: dict[str, Counter[str]] = {}
    for score in scores:
        confusion.setdefault(score.reply.answer, Counter())[score.strict_letters] += 1
    return ChoiceResult(
        **_accuracies(name, {name: questions}, figures),
        right_letters=_by_key(Counter(score.reply.answer for score in scores)),
        strict_letters=_by_key(Counter(score.strict_letters for score in scores)),
        official_letters=_by_key(Counter(score.official_letters for score in scores)),
        confusion={right: _by_key(said) for right, said in sorted(confusion.items())},
    )


def _box_result(name: str, questions: Sequence[Measured], figures: Mapping[MeasureKey, Figure]) -> BoxResult:
    return BoxResult(
        acc_50=figures[name, Measure.ACC_50],
        acc_70=figures[name, Measure.ACC_70],
        mean_iou=figures[name, Measure.IOU],
        mean_iou_valid=figures[name, Measure.IOU_VALID],
        num_invalid=sum(one.is_scored and one.score.iou is None for one in questions),
        official={measure: figures[key] for key in figures if key[0] == name and (measure := key[1]) in _OFFICIAL_BOX},
    )


def _by_key(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts)}
