"""Settings of `rsvqa annotate`: what decides its result, and how the job runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rsvqa.annotation.llm.endpoint import OPENAI_URL, BaseUrl, Endpoint
from rsvqa.annotation.llm.sender import ClientSettings
from rsvqa.annotation.task_names import parse_task_names
from rsvqa.rsvqa_builder.config import COMMAS, STRIPPED, SettingsError, StageSettings

AnnotateStep = Literal["propose", "word", "draft", "verify", "translate"]
STEPS: tuple[AnnotateStep, ...] = ("propose", "word", "draft", "verify", "translate")
"""In the order in which they are done, whatever the order of the setting."""

_Pixels = Annotated[int, Field(ge=64, le=8_192)]


class AnnotateSettings(StageSettings):
    """What decides the result of an annotation, together with the models' replies."""

    model: Annotated[str, Field(min_length=1)]
    """Model that words, drafts and translates, as the endpoint calls it."""
    verifier: str | None = None
    """Model that answers blind to the key: another one than writes, better of another family."""
    same_model: bool = False
    """Let the model that writes verify too; the provenance of each question says so."""
    steps: Annotated[tuple[Annotated[AnnotateStep, STRIPPED], ...], COMMAS] = ("word", "draft", "verify")
    """Work to do."""
    tasks: Annotated[tuple[str, ...], COMMAS] | None = None
    """Tasks whose questions are worked on (default: all)."""
    only: Literal["needed"] | None = None
    """`needed`: questions that wait for a review (default: all that no person has decided on)."""
    keep_decided: bool = False
    """Leave alone the questions on which people have decided in the data set's review."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most questions that are worked on, drawn by chance: a pilot before the bill."""
    overview_px: _Pixels = 1_024
    """Longer side of the reduced tile, pixels."""
    part_px: _Pixels = 768
    """Longer side of each of its nine parts, pixels."""
    crop_px: _Pixels = 1_024
    """Longer side of the part in question, pixels."""

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...] | None) -> tuple[str, ...] | None:
        parse_task_names(tasks or ())
        return tasks

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[AnnotateStep, ...]) -> tuple[AnnotateStep, ...]:
        if not steps:
            raise ValueError(f"expected at least one of {', '.join(STEPS)}")
        if "propose" in steps and len(set(steps)) > 1:
            raise ValueError("propose is done alone: people decide on proposals before anything else is done with them")
        return tuple(step for step in STEPS if step in steps)

    @property
    def is_proposing(self) -> bool:
        """Whether tiles without questions are worked on, and not questions."""
        return self.steps == ("propose",)

    @property
    def models(self) -> frozenset[str]:
        """The models that the steps ask."""
        writers = {self.model} if set(self.steps) - {"verify"} else set()
        return frozenset(writers | ({self.verifier or self.model} if "verify" in self.steps else set()))


def require_two_models(settings: AnnotateSettings) -> None:
    """Refuse that one model writes and verifies, unless `same_model` says so.

    Raises:
        SettingsError: it does.
    """
    is_both = "verify" in settings.steps and len(settings.steps) > 1
    if is_both and not settings.same_model and settings.verifier in (None, settings.model):
        raise SettingsError(
            "a model that verifies its own texts finds few of its errors: give another `verifier`, or `same_model`"
        )


class JobSettings(ClientSettings):
    """What bears on how a job runs, not on its result."""

    base_url: BaseUrl = Field(default=OPENAI_URL, repr=False)
    """OpenAI-compatible endpoint; its key is in OPENAI_API_KEY."""
    max_cost: Annotated[float, Field(ge=0)] | None = None
    """US dollars that the job may cost."""
    max_requests: Annotated[int, Field(ge=0)] | None = None
    """Replies that the job may take."""
    prices: Path | None = None
    """Table of prices, TOML (default: the one that comes with rsvqa)."""
    batch_api: bool = False
    """Send through OpenAI's batch files: half the price, a day at most."""
    finish: bool = False
    """Send nothing; write what has been answered so far, and the other questions as they were."""
    replies: Path | None = None
    """File that keeps the replies (default: beside the new data set)."""

    @model_validator(mode="after")
    def _no_retries_in_batches(self) -> Self:
        if self.batch_api and self.retry_failed:
            raise ValueError("`retry_failed` asks the direct way: leave out `batch_api`")
        return self

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go."""
        return Endpoint(self.base_url)

    def replies_beside(self, out: Path) -> Path:
        """Return where replies are kept: they outlive the job, for they have been paid for."""
        return self.replies or out.resolve().with_name(f"{out.resolve().name}.replies.sqlite")
