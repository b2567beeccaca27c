"""Settings of `rsvqa annotate` that decide its result, and the passes that they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.crops import CropSettings
from rsvqa.annotation.llm.drafting_step import TASKS_WITH_DRAFTED_QUESTION, DraftPass
from rsvqa.annotation.llm.passes import Pass
from rsvqa.annotation.llm.prompt_files import load_prompt, prompt_names
from rsvqa.annotation.llm.rule_check import RuleCheckPass
from rsvqa.annotation.llm.translating_step import TranslatePass
from rsvqa.annotation.llm.verifying_step import AnswerPass, GuessPass
from rsvqa.annotation.llm.wording_step import WordingPass

AnnotateStep = Literal["word", "draft", "verify", "translate"]
STEPS: tuple[AnnotateStep, ...] = ("word", "draft", "verify", "translate")
"""In the order in which they are done, whatever the order of the option."""

_Pixels = Annotated[int, Field(ge=64, le=8_192)]


class AnnotateSettingsError(RsvqaError):
    """Settings of an annotation are unknown or out of range."""

    exit_code = 2


class AnnotateSettings(BaseModel):
    """What decides the result of an annotation, together with the models' replies.

    Attributes:
        model: drafts, words and translates; as the endpoint calls it.
        verifier: answers blind to the key; `model` itself when None.
        steps: what is done.
        overview_px, part_px, crop_px: bounds of the pictures' longer sides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1)]
    verifier: str | None = None
    steps: tuple[AnnotateStep, ...] = ("word", "draft", "verify")
    overview_px: _Pixels = 1_024
    part_px: _Pixels = 768
    crop_px: _Pixels = 1_024

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[AnnotateStep, ...]) -> tuple[AnnotateStep, ...]:
        if not steps:
            raise ValueError(f"expected at least one of {', '.join(STEPS)}")
        return tuple(step for step in STEPS if step in steps)

    @property
    def crops(self) -> CropSettings:
        """What models are shown."""
        return CropSettings(overview_px=self.overview_px, part_px=self.part_px, crop_px=self.crop_px)

    @property
    def models(self) -> frozenset[str]:
        """The models that the steps ask."""
        writers = {self.model} if set(self.steps) - {"verify"} else set()
        return frozenset(writers | ({self.verifier or self.model} if "verify" in self.steps else set()))

    def prompt_labels(self) -> list[str]:
        """Return names and versions of all prompts: another wording is another annotation."""
        return [load_prompt(name).label for name in prompt_names()]


def make_annotate_settings(values: Mapping[str, Any]) -> AnnotateSettings:
    """Return settings of what the command line gives.

    Raises:
        AnnotateSettingsError: for a value out of range.
    """
    try:
        return AnnotateSettings.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        raise AnnotateSettingsError(first_error(error)) from error


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong with settings, as one line that names its option."""
    first = error.errors()[0]
    where = str(first["loc"][0]).replace("_", "-") if first["loc"] else "settings"
    return f"--{where} {first['input']!r}: {first['msg']}"


def passes_of(settings: AnnotateSettings, *, translated: Collection[str] = ()) -> Sequence[Pass]:
    """Return the passes of the settings' steps, in order; `translated` are ids that must not be made again."""
    verifier = settings.verifier or settings.model
    passes: dict[AnnotateStep, tuple[Pass, ...]] = {
        "word": (
            WordingPass(
                model=settings.model,
                skip_tasks=TASKS_WITH_DRAFTED_QUESTION if "draft" in settings.steps else frozenset(),
            ),
        ),
        "draft": (DraftPass(model=settings.model, crops=settings.crops),),
        "verify": (
            RuleCheckPass(),
            GuessPass(verifier),
            GuessPass(verifier, is_second=True),
            AnswerPass(verifier, settings.crops),
        ),
        "translate": (TranslatePass(settings.model, frozenset(translated)),),
    }
    return [work for step in settings.steps for work in passes[step]]
