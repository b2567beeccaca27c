"""Settings of an audit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rsvqa.rsvqa_builder.config import StageSettings


class AuditSettings(StageSettings):
    """What an audit looks for; a result depends on the data and these alone."""

    against: tuple[str, ...] = ()
    """Images of a benchmark, not to be repeated: a folder, a parquet or an arrow file."""
    images: bool = True
    """Read every image: missing, unreadable, of another size, in two splits."""
    questions_per_task: Annotated[int, Field(ge=100)] = 5_000
    """Most questions per task that are guessed; drawn by the seed where there are more."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of what is drawn and held out."""
    fail_over: Annotated[float, Field(ge=0)] | None = None
    """Points above chance that no task may surely have; exit code 3 else, or with a defect."""
