"""`run.json`: what a run is, beside its replies: settings, model, versions, data with all that was left out, timings.

Written when a run starts and again when it ends or stops, so a run that was killed has one too. What differs between
two runs that give the same replies is in `sessions`, `state` and `versions` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.protocol.task_file import TaskFile
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.files import write_atomically

SCHEMA_VERSION: Literal[1] = 1
"""The version of `run.json` and of the lines of `samples.jsonl`."""

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl"
THUMBNAILS_FOLDER = "thumbnails"
"""Holds `<sha256 of the image file>.jpg`."""


class UnaskedRow(BaseModel):
    """One row of the data that was not asked.

    Attributes:
        where: file and row, or the question's id.
        reason: short and the same for all rows with this defect: rows are counted by it.
        detail: what was found in this row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str
    reason: str
    detail: str = ""


class DataRecord(BaseModel):
    """The data of a run.

    Attributes:
        name: as in the settings; of a folder its last part only.
        layout: which reader read it.
        split: None where the layout has none.
        fingerprint: SHA-256 of all that is asked: ids, questions, options, right answers, keys of images.
        num_rows: all rows of the files.
        num_other_tasks: good rows of tasks that were not chosen.
        num_not_drawn: good rows that `limit` and `per_task` leave out.
        num_samples, num_images: that are asked.
        left_out: rows with a defect, counted by reason.
        left_out_rows: each of them.
        rules: the task file of another benchmark than XLRS-Bench, whole: scoring again needs no other file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    layout: str
    split: str | None
    fingerprint: str
    num_rows: int
    num_other_tasks: int
    num_not_drawn: int
    num_samples: int
    num_images: int
    left_out: Mapping[str, int]
    left_out_rows: tuple[UnaskedRow, ...]
    rules: TaskFile | None = None


class Session(BaseModel):
    """One process's work between a start and an end; a run that was resumed, or had several processes, has several.

    Attributes:
        rank: number of the process.
        num_replies: that came in this time; those stored before are not counted.
        num_images: whose questions it asked.
        start_up_seconds: opening data and model.
        seconds: asking, without the start.
        peak_memory_mb: of the process, 10⁶ bytes.
        peak_device_memory_mb: of its GPU; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    num_replies: int
    num_images: int
    start_up_seconds: float
    seconds: float
    peak_memory_mb: float
    peak_device_memory_mb: float | None = None


class SeenImage(BaseModel):
    """An image of the benchmark that is in the training set.

    Attributes:
        question: id of the first question about it.
        image: of the training set.
        by: by what it was known again, see `dedup.Criterion`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    image: str
    by: str


class Contamination(BaseModel):
    """The benchmark's images that are in the training set named by `trained_on`.

    Attributes:
        num_trained_on: images of the training set.
        num_unreadable: of these, such as are compared by their bytes alone.
        unreadable: the first of them.
        num_images: of the benchmark that were compared.
        num_plain: of these, without contrast, so that a copy is found only where no pixel has changed.
        num_questions: about images that were found.
        by: how many images were found by each criterion.
        seen: each of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trained_on: tuple[str, ...]
    num_trained_on: int
    num_unreadable: int = 0
    unreadable: str = ""
    num_images: int
    num_plain: int = 0
    num_questions: int
    by: Mapping[str, int]
    seen: tuple[SeenImage, ...]

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        trained_on = f"{self.num_trained_on:,} of {', '.join(self.trained_on)}"
        compared = f"{self.num_images:,} image(s) were compared with {trained_on}"
        if self.num_unreadable:
            compared += f", of which {self.num_unreadable:,} cannot be decoded (the first is {self.unreadable})"
        if self.num_plain:
            compared += f"; {self.num_plain:,} have no contrast, and copies of them that were changed are not found"
        if not self.seen:
            return f"No image was trained on: {compared}."
        ways = ", ".join(f"{count:,} by {way}" for way, count in self.by.items())
        return (
            f"{len(self.seen):,} image(s) with {self.num_questions:,} questions were trained on ({ways}), so the "
            f"figures say less about new ones: {compared}."
        )


RunState = Literal["running", "stopped", "complete"]
"""A run that was killed stays "running"; "complete" runs have a result for each prompt, be it a failure."""


class RunRecord(BaseModel):
    """The content of `run.json`.

    Attributes:
        settings: `BenchSettings`.
        model_name: for tables.
        model: what the model says of itself (`BenchModel.describe`).
        prompts: which wording asks what, by form of answer; see `protocol.py`.
        fingerprint: of what decides replies: model, settings, prompts.
        versions: of python and the packages that bear on replies.
        num_prompts: planned; with rotations more than there are samples.
        sessions: in the order in which they ended; a killed one is missing, its replies are not.
        contamination: None when no training set was named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    state: RunState
    settings: BenchSettings
    model_name: str
    model: Mapping[str, Any]
    prompts: Mapping[str, str]
    fingerprint: str
    versions: Mapping[str, str]
    data: DataRecord
    num_prompts: int
    sessions: tuple[Session, ...] = ()
    contamination: Contamination | None = None

    @property
    def images_per_second(self) -> float | None:
        """Images whose questions were asked, per second of asking, over all sessions and processes; None before any."""
        busiest: dict[int, float] = {}
        for session in self.sessions:
            busiest[session.rank] = busiest.get(session.rank, 0.0) + session.seconds
        seconds = max(busiest.values(), default=0.0)  # processes work side by side
        return sum(session.num_images for session in self.sessions) / seconds if seconds else None

    @property
    def peak_memory_mb(self) -> float | None:
        """Peak memory of the largest process, 10⁶ bytes."""
        return max((session.peak_memory_mb for session in self.sessions), default=None)

    @property
    def peak_device_memory_mb(self) -> float | None:
        """Peak memory of the fullest GPU, 10⁶ bytes; None without a GPU."""
        known = [session.peak_device_memory_mb for session in self.sessions]
        return max((peak for peak in known if peak is not None), default=None)


def write_run_record(run: Path, record: RunRecord) -> None:
    """Write `run.json` into the run's folder."""
    write_atomically(run / RUN_FILE, record.model_dump_json(indent=1).encode() + b"\n")


def read_run_record(run: Path) -> RunRecord:
    """Return the record of a run's folder.

    Raises:
        NothingToScoreError: when the folder holds none.
        RunError: when it holds one of another version.
    """
    try:
        content = (run / RUN_FILE).read_bytes()
    except OSError as error:
        raise NothingToScoreError(
            f"{run} is not the folder of a benchmark run: no {RUN_FILE} ({error.strerror})"
        ) from error
    try:
        return RunRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(f"{run / RUN_FILE}: {where}: {first['msg']}; written by another version of rsvqa?") from error
