"""`rsvqa compare`: is one run better than another on the same questions, and how sure is that.

Both runs answered the same questions, so what is judged is the difference question by question, which is far less noisy
than two scores side by side. Intervals come from the bootstrap over images of `intervals.py`, p-values from a sign-flip
test: were both models equally good, then the two replies to each question could change places, which turns the sign of
an image's difference; p is the share of such changes that give a mean difference as large as the one seen. All
questions of an image change together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.aggregates import BENCHMARK_TASKS
from rsvqa.benchmark.scores.caption_figures import CAPTION_MEASURES, with_caption_values
from rsvqa.benchmark.scores.figures import INTERVAL_SEED, make_figure
from rsvqa.benchmark.scores.intervals import FEW_IMAGES, ImageSums, make_part, mean_intervals
from rsvqa.benchmark.scores.labels import in_order
from rsvqa.benchmark.scores.measures import Measure, Measured, image_clusters
from rsvqa.benchmark.scores.power import PowerPlan, measure_assumptions, plan_power
from rsvqa.benchmark.scores.results import Costs, Figure, Results

NUM_FLIPS = 10_000
MAX_EXACT = 13
"""Images that differ up to which all 2^n changes of sign are tried, fewer than `NUM_FLIPS` of random ones."""
MAX_SIGNS = 2**22
"""Signs held at a time."""

MEASURES = (
    Measure.STRICT,
    Measure.OFFICIAL,
    Measure.PERMISSIVE,
    Measure.JUDGE,
    Measure.STRICT_CIRCULAR,
    Measure.OFFICIAL_CIRCULAR,
    Measure.ACC_50,
    Measure.ACC_70,
    Measure.IOU,
    Measure.OFFICIAL_ACC_50,
    Measure.OFFICIAL_ACC_70,
    Measure.OFFICIAL_IOU,
    Measure.ROUGE_L,
    Measure.CIDER_D,
    Measure.METEOR,
)


class SignFlipTest(BaseModel):
    """A sign-flip test.

    Attributes:
        p: two-sided.
        p_holm: p after Holm's correction for asking each sub-task (Holm 1979); None for averages.
        is_exact: whether all changes of sign were tried, not a random choice of them.
        num_images: in which the runs differ; with n of them p is never below 2^(1-n).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    p: float
    p_holm: float | None = None
    is_exact: bool
    num_images: int


class Difference(BaseModel):
    """The second run less the first by one measure.

    Attributes:
        name: of the task, or of the average in words.
        first, second: means over the shared questions.
        difference: with its interval.
        num_first_only, num_second_only: questions by which one run is ahead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    measure: Measure
    first: float
    second: float
    difference: Figure
    test: SignFlipTest
    num_first_only: int
    num_second_only: int


class Comparison(BaseModel):
    """What `rsvqa compare` finds.

    Attributes:
        num_shared: questions compared: asked of both with the same options, and answered by both.
        num_first_only, num_second_only: questions that only one of the runs asked.
        num_unanswered: shared questions to which a run has no reply; not compared.
        averages, tasks: differences, by measure; averages are over all sub-tasks compared.
        notes: what to keep in mind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    first: str
    second: str
    num_shared: int
    num_first_only: int
    num_second_only: int
    num_unanswered: int
    averages: tuple[Difference, ...]
    tasks: tuple[Difference, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairedQuestion:
    """One question in both runs; `cluster` numbers its images."""

    first: Measured
    second: Measured
    cluster: int

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.first.reply.task

    def has(self, measure: Measure) -> bool:
        """Tell whether both replies have a value."""
        return measure in self.first.values and measure in self.second.values


def compare_runs(first: Path, second: Path, *, shared: bool = False) -> Comparison:
    """Compare the runs in two folders, scored anew; see `compare`."""
    runs = [score_run(folder) for folder in (first, second)]
    names = [run_label(run.results, folder) for run, folder in zip(runs, (first, second), strict=True)]
    judges = [run.results.judged.judge if run.results.judged else None for run in runs]
    measures = [one for one in MEASURES if one is not Measure.JUDGE or judges[0] == judges[1]]
    found = compare(runs[0].questions, runs[1].questions, names=(names[0], names[1]), shared=shared, measures=measures)
    if judges[0] != judges[1]:
        known = " and ".join(f"{judge.model}, wording {judge.prompt}" if judge else "nobody" for judge in judges)
        differing = f"A and B were judged by {known}: what judges say is not compared"
        found = found.model_copy(update={"notes": (*found.notes, differing)})
    if note := _other_processor(runs[0].results.run.model, runs[1].results.run.model):
        found = found.model_copy(update={"notes": (note, *found.notes)})
    if note := _costs_of_looking(runs[0].results.costs, runs[1].results.costs):
        found = found.model_copy(update={"notes": (*found.notes, note)})
    if len({run.results.samples_sha256 for run in runs}) == 1:
        return found.model_copy(update={"notes": ("A and B hold the same replies, to the byte", *found.notes)})
    return found


def run_label(results: Results, folder: Path) -> str:
    """Return what a run is called beside another."""
    return f"{results.run.model_name} ({folder.absolute().name})"


def _costs_of_looking(first: Costs, second: Costs) -> str | None:
    """Return what the replies of each run took, where one of them looks before it answers."""
    if first.calls_per_question is None and second.calls_per_question is None:
        return None
    parts = []
    for name, costs in (("A", first), ("B", second)):
        facts = [f"{costs.calls_per_question or 1:.3g} calls"]
        if costs.prompt_tokens_per_question is not None:
            facts.append(f"{costs.prompt_tokens_per_question:,.0f} prompt tokens")
        if costs.seconds_per_question is not None:
            facts.append(f"{costs.seconds_per_question:.3g} s")
        parts.append(f"{name}: {', '.join(facts)}")
    return f"per question {'; '.join(parts)}"


def _other_processor(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """Return a note when the runs read images by different code, which is no difference between the models.

    Models of different types have different processors; only that one of them is Pillow's tells of the environment.
    """
    ours, theirs = (str(model.get("image_processor", "")) for model in (first, second))
    is_one_model = first.get("model_type") == second.get("model_type")
    if not (ours and theirs) or not (
        ours.endswith("Pil") != theirs.endswith("Pil") or (is_one_model and ours != theirs)
    ):
        return None
    return (
        f"images went through {ours} in A and {theirs} in B, which resize differently: part of the difference may come "
        "from that; transformers takes another class with and without torchvision, so run both in one environment"
    )


def plan_from_runs(first: Path, second: Path, *, difference: float, power: float) -> PowerPlan:
    """Return how many images show a difference between models that differ as two runs do, by the strict parser.

    Raises:
        NothingToScoreError: the runs share no answered question, or never differ.
        RunError: a folder is not that of a run, or one id is another question in each.
    """
    runs = [{one.reply.sample_id: one for one in score_run(folder).questions} for folder in (first, second)]
    common = [key for key in runs[0] if key in runs[1]]
    check_same_questions(runs[0], runs[1], common, shared=True)
    pairs = [(runs[0][key], runs[1][key]) for key in common]
    valued = [both for both in pairs if all(Measure.STRICT in one.values for one in both)]
    if not valued:
        raise NothingToScoreError("the two runs share no answered question with options, or of words")
    clusters = image_clusters([(one if one.reply.images else other).reply for one, other in valued])
    gaps = [other.values[Measure.STRICT] - one.values[Measure.STRICT] for one, other in valued]
    source = f"measured on {len(valued):,} questions of {first.name} and {second.name}"
    assumptions = measure_assumptions(gaps, clusters, source=source)
    return plan_power(assumptions, difference=difference, power=power, num_images=len(set(clusters)))


def compare(
    first: Sequence[Measured],
    second: Sequence[Measured],
    *,
    names: tuple[str, str],
    shared: bool = False,
    measures: Sequence[Measure] = MEASURES,
) -> Comparison:
    """Compare two runs over the same questions.

    Args:
        first: questions of one run.
        second: questions of the other; differences are the second less the first.
        names: of the runs, for the table.
        shared: compare what both asked when they did not ask the same.
        measures: to compare by.

    Raises:
        NothingToScoreError: no question, or no reply, in common.
        RunError: not the same questions without `shared`; or one id with different questions.
    """
    left, right = ({one.reply.sample_id: one for one in run} for run in (first, second))
    common = [key for key in left if key in right]
    check_same_questions(left, right, common, shared=shared)
    answered = [key for key in common if left[key].is_scored and right[key].is_scored]
    if not answered:
        raise NothingToScoreError(
            f"none of {len(common)} shared questions has a reply in both runs; the same `rsvqa bench` asks again"
        )
    # a run that could not read an image does not know it; the other may
    clusters = image_clusters([(left[key] if left[key].reply.images else right[key]).reply for key in answered])
    ours, theirs = (with_caption_values([run[key] for key in answered]) for run in (left, right))
    pairs = [PairedQuestion(*both) for both in zip(ours, theirs, clusters, strict=True)]
    averages, tasks = _differences(pairs, measures)
    return Comparison(
        first=names[0],
        second=names[1],
        num_shared=len(pairs),
        num_first_only=len(left) - len(common),
        num_second_only=len(right) - len(common),
        num_unanswered=len(common) - len(answered),
        averages=averages,
        tasks=tasks,
        notes=tuple(_notes(pairs, len(common), len(left), len(right))),
    )


def check_same_questions(
    left: Mapping[str, Measured], right: Mapping[str, Measured], common: Sequence[str], *, shared: bool
) -> None:
    """Refuse runs that did not ask the same; with `shared`, only what both asked must be the same.

    Args:
        left: questions of one run by id.
        right: those of the other.
        common: ids in both.
        shared: let each have questions that the other has not.

    Raises:
        NothingToScoreError: no question in common.
        RunError: questions that only one asked, or one id with another question or image in each.
    """
    if not common:
        raise NothingToScoreError("the two runs have no question in common; compare runs over the same data")
    for key in common:
        if _question(left[key]) != _question(right[key]):
            raise RunError(f"{key} is another question in each run; compare runs over the same data")
        ours, theirs = left[key].reply.images, right[key].reply.images
        if ours and theirs and [image.sha256 for image in ours] != [image.sha256 for image in theirs]:
            raise RunError(f"{key} shows another image in each run; compare runs over the same data")
    if not shared and not len(common) == len(left) == len(right):
        raise RunError(
            f"the runs did not ask the same: {len(common)} questions are shared, {len(left) - len(common)} only in the "
            f"first, {len(right) - len(common)} only in the second; `shared` compares the shared ones"
        )


def _question(one: Measured) -> tuple[object, ...]:
    """Return what must be the same in both runs, beside the images where both know them."""
    reply = one.reply
    return reply.task, reply.question, reply.options, reply.answer, reply.references, reply.box


def _notes(pairs: Sequence[PairedQuestion], num_shared: int, num_first: int, num_second: int) -> Iterator[str]:
    if num_shared < max(num_first, num_second):
        yield f"only the {num_shared} shared questions are compared"
    if num_shared > len(pairs):
        yield f"{num_shared - len(pairs)} shared questions have no reply in one of the runs and are not compared"
    num_images = len({pair.cluster for pair in pairs})
    if num_images < FEW_IMAGES:
        yield f"only {num_images} image(s): intervals and p-values are rough, small differences cannot be seen"
    if any(one.first.reply.boxes_rewritten != one.second.reply.boxes_rewritten for one in pairs):
        yield "boxes in the questions were rewritten for one of the models and not for the other"
    elif differing := sum(one.first.reply.prompt != one.second.reply.prompt for one in pairs):
        yield f"{differing} questions were worded differently: model and prompt are compared together"


# --- differences ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spec:
    """A difference before it is computed: the mean over the means of groups of pairs."""

    name: str
    measure: Measure
    groups: Sequence[Sequence[PairedQuestion]]


def _differences(
    pairs: Sequence[PairedQuestion], measures: Sequence[Measure]
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return the differences of averages and of tasks."""
    averages, tasks = [], []
    names = in_order(pair.task for pair in pairs)
    for measure in measures:
        by_task = {name: [pair for pair in pairs if pair.task == name and pair.has(measure)] for name in names}
        by_task = {name: group for name, group in by_task.items() if group}
        if by_task:
            averages += _average_specs(measure, by_task)
            tasks += [_Spec(name, measure, [group]) for name, group in by_task.items()]
    found = _compute([*averages, *tasks])
    return tuple(found[: len(averages)]), _with_holm(found[len(averages) :])


def _average_specs(measure: Measure, by_task: Mapping[str, Sequence[PairedQuestion]]) -> list[_Spec]:
    groups = list(by_task.values())
    if len(groups) == 1:
        return []
    specs = [
        _Spec("micro: mean over all questions", measure, [[pair for group in groups for pair in group]]),
        _Spec(f"macro: mean over {len(groups)} sub-tasks", measure, groups),
    ]
    if by_task.keys() > set(BENCHMARK_TASKS):  # else it is the macro
        thirteen = [by_task[name] for name in BENCHMARK_TASKS]
        specs.append(_Spec("macro-13: mean over the 13 category values", measure, thirteen))
    return specs


def _compute(specs: Sequence[_Spec]) -> list[Difference]:
    parts = [[_part(group, spec.measure) for group in spec.groups] for spec in specs]
    intervals = mean_intervals(parts, seed=INTERVAL_SEED)
    return [
        _difference(spec, known, make_figure(known, interval))
        for spec, known, interval in zip(specs, parts, intervals, strict=True)
    ]


def _part(group: Sequence[PairedQuestion], measure: Measure) -> ImageSums:
    gaps = [pair.second.values[measure] - pair.first.values[measure] for pair in group]
    largest = CAPTION_MEASURES.get(measure, 1.0)
    return make_part(gaps, [pair.cluster for pair in group], low=-largest, high=largest)


def _difference(spec: _Spec, parts: Sequence[ImageSums], figure: Figure) -> Difference:
    def mean(values: Sequence[Sequence[float]]) -> float:
        return round(fmean(map(fmean, values)), 6)

    first = [[pair.first.values[spec.measure] for pair in group] for group in spec.groups]
    second = [[pair.second.values[spec.measure] for pair in group] for group in spec.groups]
    gaps = np.concatenate([np.subtract(b, a) for a, b in zip(first, second, strict=True)])
    return Difference(
        name=spec.name,
        measure=spec.measure,
        first=mean(first),
        second=mean(second),
        difference=figure,
        test=sign_flip_test(contributions(parts)),
        num_first_only=int((gaps < 0).sum()),
        num_second_only=int((gaps > 0).sum()),
    )


# --- the test ---------------------------------------------------------------------------------------------------------


def contributions(parts: Sequence[ImageSums]) -> NDArray[np.float64]:
    """Return what each image adds to the mean over the parts' means; their sum is that mean."""
    total = np.zeros(max(int(part.clusters[-1]) for part in parts) + 1)
    for part in parts:
        total[part.clusters] += part.sums / part.counts.sum() / len(parts)
    return total


def sign_flip_test(
    values: NDArray[np.float64], *, seed: int = INTERVAL_SEED, num_flips: int = NUM_FLIPS
) -> SignFlipTest:
    """Test whether the sum of `values`, one per image, is farther from 0 than chance makes it.

    Images without a difference do not matter. Up to `MAX_EXACT` images all changes of sign are tried; else
    `num_flips` random ones and the one seen, so that p is never 0 (Phipson and Smyth 2010).
    """
    differing = values[np.abs(values) > 1e-12]
    reached = abs(differing.sum()) - 1e-12  # sums in another order differ in their last bits
    if differing.size <= MAX_EXACT:
        codes = np.arange(2**differing.size)[:, None] >> np.arange(differing.size)
        sums = (1.0 - 2.0 * (codes & 1)) @ differing
        return SignFlipTest(p=float(np.mean(np.abs(sums) >= reached)), is_exact=True, num_images=differing.size)
    num_reached = _count_reached(differing, reached, np.random.default_rng(seed), num_flips)
    return SignFlipTest(p=(num_reached + 1) / (num_flips + 1), is_exact=False, num_images=differing.size)


def _count_reached(values: NDArray[np.float64], reached: float, generator: np.random.Generator, num_flips: int) -> int:
    """Return how many of `num_flips` random changes of sign give a sum of at least `reached`."""
    step = max(1, MAX_SIGNS // values.size)
    count = 0
    for start in range(0, num_flips, step):
        rows = min(step, num_flips - start)
        signs = 1.0 - 2.0 * generator.integers(0, 2, (rows, values.size), np.int8)
        count += int((np.abs(signs @ values) >= reached).sum())
    return count


def _with_holm(tasks: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return the differences with p-values corrected for the number of sub-tasks of each measure."""
    corrected: dict[int, float] = {}
    for measure in MEASURES:
        ordered = sorted(
            (number for number, task in enumerate(tasks) if task.measure is measure),
            key=lambda number: tasks[number].test.p,
        )
        highest = 0.0
        for rank, number in enumerate(ordered):
            highest = max(highest, min(1.0, (len(ordered) - rank) * tasks[number].test.p))
            corrected[number] = highest
    return tuple(
        task.model_copy(update={"test": task.test.model_copy(update={"p_holm": corrected[number]})})
        for number, task in enumerate(tasks)
    )
