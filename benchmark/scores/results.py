"""`results.json`: what a run is worth. A function of `run.json` and `samples.jsonl` alone, so rescoring repeats it.

Shares are in 0–1. Nothing is hidden in a mean: each figure says over how many questions and images it is taken, and
replies that are wrong, hold no answer, or are missing are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.run_record import RunRecord
from rsvqa.benchmark.files.verdicts import Judge
from rsvqa.benchmark.scores.intervals import Interval
from rsvqa.benchmark.scores.labels import title_of
from rsvqa.benchmark.scores.measures import Measure
from rsvqa.rsvqa_builder.files import write_atomically

SCHEMA_VERSION: Literal[1] = 1
RESULTS_FILE = "results.json"


def without_none(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return fields without those of these names that are None: what came later is not in results that lack it."""
    return {name: value for name, value in fields.items() if value is not None or name not in names}


class Figure(BaseModel):
    """A mean and how far it may be off.

    Attributes:
        value: None when there is nothing to average; then the interval's reason says why.
        num_questions, num_images: that it is taken over; images that share questions count as one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    num_questions: int
    num_images: int
    interval: Interval


class Accuracies(BaseModel):
    """Shares of questions with options, or of words, that were answered right, and what needs no look at the image.

    Attributes:
        strict, official: by the strict parser and by the published extraction; where no scorer is published,
            `official` has no value and says why.
        permissive: by whatever reading makes the most of a reply; None in results of before.
        judge: by a judge's verdicts, over the questions whose verdict can be read; None where nobody has judged.
        strict_circular, official_circular: right in all rotations of the options; None without rotations.
        strict_no_answer, official_no_answer: shares of replies in which no answer was found; they are not right.
        chance: expected share of uniform guesses (for several answers over the non-empty subsets); None for words.
        majority_letter, majority_answer: share that one constant answer a task gets right, in letters ("B") and in
            words ("yes"), chosen with the right answers in view; words have no letter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strict: Figure
    official: Figure
    permissive: Figure | None = None
    judge: Figure | None = None
    strict_circular: Figure | None = None
    official_circular: Figure | None = None
    strict_no_answer: float | None
    official_no_answer: float | None
    chance: float | None
    majority_letter: float | None
    majority_answer: float | None

    @property
    def constant(self) -> float | None:
        """What the better of the two constant answers gets right."""
        return max((one for one in (self.majority_letter, self.majority_answer) if one is not None), default=None)

    @model_serializer(mode="wrap")
    def _without_judge(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `judge` away where nobody has judged."""
        return without_none(handler(self), "judge")


class ChoiceResult(Accuracies):
    """The questions with options, or of words, of one task; see `Accuracies`. Words have no letters.

    Attributes:
        right_letters: how often each answer is right ("A", "ACD").
        strict_letters, official_letters: how often each was read; "" where none was.
        confusion: right answer → answer read by the strict parser → count.
    """

    right_letters: Mapping[str, int]
    strict_letters: Mapping[str, int]
    official_letters: Mapping[str, int]
    confusion: Mapping[str, Mapping[str, int]]


class BoxResult(BaseModel):
    """The box questions of one task.

    Attributes:
        acc_50, acc_70: shares with IoU ≥ 0.5 and ≥ 0.7; an invalid box is not right.
        mean_iou: an invalid box counts as 0.
        mean_iou_valid: over valid boxes only.
        num_invalid: replies without a valid box.
        official: by the published evaluation, by measure; empty where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    acc_50: Figure
    acc_70: Figure
    mean_iou: Figure
    mean_iou_valid: Figure
    num_invalid: int
    official: Mapping[Measure, Figure] = {}

    @model_serializer(mode="wrap")
    def _without_official(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `official` away where there is no such evaluation."""
        fields: dict[str, Any] = handler(self)
        if not self.official:
            del fields["official"]
        return fields


class TextResult(BaseModel):
    """The captions of one task in one language.

    Attributes:
        implementation: what computed the metrics.
        metrics: by name, in the implementation's units.
        num_empty: empty replies; they are scored like any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    implementation: str
    metrics: Mapping[str, Figure]
    num_empty: int


class TaskResult(BaseModel):
    """One sub-task.

    Attributes:
        task, short, level_1, level_2, level_3, is_own: see `labels.TaskLabel`.
        num_questions: asked.
        num_not_scored: of these, without a reply; in no figure.
        num_cut: replies that ran into the bound of new tokens.
        num_cut_empty: of these, without a word: reasoning that the endpoint keeps to itself took all tokens.
        num_silent: replies without a word that did not run into it.
        num_scaled_down: replies to images that the model is known to have seen smaller than they are.
        choice, box: None where the task has no such questions.
        texts: by language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    short: str
    level_1: str
    level_2: str
    level_3: str
    is_own: bool
    num_questions: int
    num_not_scored: int
    num_cut: int
    num_cut_empty: int = 0
    num_silent: int = 0
    num_scaled_down: int = 0
    choice: ChoiceResult | None = None
    box: BoxResult | None = None
    texts: Mapping[str, TextResult] = {}

    @property
    def title(self) -> str:
        """What pages call the sub-task; `level_3` stays as it was published."""
        return title_of(self.task, self.level_3)


class Average(Accuracies):
    """An accuracy over several tasks; see `Accuracies`.

    Attributes:
        key: short and stable: `micro`, `macro`, `macro_13`, `macro_vlmevalkit`, `level_1/…`, `level_2/…`.
        name: what it is, in words.
        parts: what it is taken over; one part is a mean over questions, several are a mean over the parts' means.
        missing: why it has no value; empty when it has.
    """

    key: str
    name: str
    parts: tuple[str, ...]
    missing: str = ""


class Costs(BaseModel):
    """What the replies took; None where the model does not say.

    Attributes:
        seconds_per_question: mean, of the model's work alone.
        prompt_tokens_per_question, new_tokens_per_question, visual_tokens_per_image: means.
        images_per_second: see `RunRecord`.
        peak_memory_mb, peak_device_memory_mb: 10⁶ bytes.
        calls_per_question: mean, of a model that looks before it answers; None for others, which are called once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds_per_question: float | None
    prompt_tokens_per_question: float | None
    new_tokens_per_question: float | None
    visual_tokens_per_image: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    peak_device_memory_mb: float | None
    calls_per_question: float | None = None


class JudgeResult(BaseModel):
    """Who judged a run's replies, and what came of it.

    Attributes:
        judge: see there.
        num_judged: questions with a verdict that can be read, or whose reply says nothing.
        num_unreadable: the judge wrote something else than a verdict; in no figure of it.
        num_missing: it was not asked about these replies, or gave none; likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: Judge
    num_judged: int
    num_unreadable: int
    num_missing: int


class Results(BaseModel):
    """The content of `results.json`.

    Attributes:
        rsvqa_version: that scored.
        run: `run.json` as it was found.
        samples_sha256: of `samples.jsonl`.
        interval_seed: of the bootstrap.
        num_questions: in the file of replies; `run.num_prompts` were planned (rotations count there).
        not_scored: questions without a reply, by reason.
        tasks: in the order of the taxonomy, those without questions left out.
        averages: over questions with options.
        judged: None for a run that nobody has judged.
        boxes: over all box questions of a task file, where these are of several groups; else None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    rsvqa_version: str
    run: RunRecord
    samples_sha256: str
    interval_seed: int
    num_questions: int
    num_images: int
    not_scored: Mapping[str, int]
    costs: Costs
    tasks: tuple[TaskResult, ...]
    averages: tuple[Average, ...]
    judged: JudgeResult | None = None
    boxes: BoxResult | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave away what most runs do not have."""
        return without_none(handler(self), "judged", "boxes")

    def average(self, key: str) -> Average | None:
        """Return the average of this key; None when the run has no such questions."""
        return next((average for average in self.averages if average.key == key), None)


def write_results(run: Path, results: Results) -> None:
    """Write `results.json` into the run's folder."""
    write_atomically(run / RESULTS_FILE, results.model_dump_json(indent=1).encode() + b"\n")


def read_results(run: Path) -> Results:
    """Return what `write_results` wrote.

    Raises:
        RunError: when the folder holds none, or one of another version.
    """
    path = run / RESULTS_FILE
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); `rsvqa score {run}` writes it") from error
    except ValidationError as error:
        raise RunError(f"{path} is of another version of rsvqa; `rsvqa score {run}` writes it anew") from error
