"""The settings of a selection: one model for the command line and the copy that the report holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from rsvqa.annotation.task_names import parse_task_names
from rsvqa.rsvqa_builder.config import ADDRESSES, COMMAS, FILE_ONLY, StageSettings

Measure = Literal["influence", "similarity", "loss", "length", "random"]
"""What candidates are ranked by; all but `influence` are there to be compared with it."""


class SelectionSettings(StageSettings):
    """All that decides which questions are kept."""

    data: Annotated[tuple[str, ...], COMMAS, ADDRESSES, Field(min_length=1)]
    """Data sets of candidates (also s3://, gs://, az://), whose split train is ranked."""
    target: Annotated[tuple[str, ...], COMMAS, ADDRESSES, Field(min_length=1)]
    """Data sets whose questions shall be answered better.

    Their split val, or train where there is none.
    """
    model: str
    """A run of `rsvqa train` with `lora_rank`, or with `warm_up` any GeoLLaVA checkpoint."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Share of the candidates to keep."""
    per_task: bool = False
    """Keep that share of each task, not of all together."""
    by: Measure = "influence"
    """What candidates are ranked by: influence, similarity, loss, length, random."""
    aggregate: Literal["max", "task-mean-max"] = "max"
    """What of the target gives the score.

    Its best question, or the best task by the mean of its questions.
    """
    deals: PositiveInt = 2
    """Times that letters are dealt anew, whose gradients are added; 1 leaves them."""
    warm_up: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the candidates that adapters are trained on first."""
    lora_rank: PositiveInt = 16
    """Rank of the adapters that `warm_up` trains."""
    tasks: Annotated[tuple[str, ...], COMMAS] = ("all",)
    """Names, short names or levels: OCL,Counting."""
    target_questions: NonNegativeInt = 50
    """Most questions per task of the target, drawn by the seed; 0 takes all."""
    benchmarks: Annotated[tuple[str, ...], COMMAS] = ()
    """Data sets that no selection may look at: a target with one of their images is refused."""
    dimensions: Annotated[PositiveInt, FILE_ONLY] = 8192
    """Numbers that a gradient is projected to."""
    max_length: PositiveInt = 32_768
    """Most tokens of a chat; longer ones are left out and counted."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of everything random."""

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        parse_task_names(tasks)
        return tasks

    @model_validator(mode="after")
    def _names_folders(self) -> Self:
        for name in (*self.data, *self.target):
            if not name.strip():
                raise ValueError("a data set without a name; expected folders that `rsvqa build` wrote")
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the taxonomy."""
        return parse_task_names(self.tasks)

    @property
    def folders(self) -> tuple[list[Path], list[Path]]:
        """Folders of candidates and of the target."""
        return [Path(name) for name in self.data], [Path(name) for name in self.target]
