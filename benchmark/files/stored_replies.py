"""One line of `samples.jsonl`: a reply with all that scoring it again needs: no model and no data set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.models import BoxConvention


class StoredImage(BaseModel):
    """One image that a question showed, and the view of it that the model had (None where unknown)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    width: int
    height: int
    view_width: int | None = None
    view_height: int | None = None
    scale_x: float | None = None
    scale_y: float | None = None
    offset_x: float | None = None
    offset_y: float | None = None


class StoredLook(BaseModel):
    """One call of a model that looked before it answered; see `models.LookCall`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: tuple[tuple[int, int, int, int], ...]
    sent: str
    text: str
    num_prompt_tokens: int | None = None
    num_visual_tokens: int | None = None
    num_new_tokens: int | None = None
    seconds: float = 0.0


class StoredReply(BaseModel):
    """A reply and its question; see `samples.Sample`, `models.Prompt` and `models.Reply` for the fields.

    Attributes:
        fingerprint: of model, settings that bear on replies, prompt and images; what is stored is not asked again.
        prompt: as the model got it.
        options, answer: after rotation, as the model got them.
        reply: None when there is none, then `failure` says why.
        looks: every call, of a run that looks before it answers; tokens and seconds are those of all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    sample_id: str
    rotation: int = 0
    task: str
    category: str
    l2_category: str
    language: str
    form: AnswerForm
    question: str
    options: tuple[str, ...] = ()
    answer: str = ""
    references: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    images: tuple[StoredImage, ...] = ()
    prompt: str
    boxes_rewritten: bool = False
    box_convention: BoxConvention = "pixels"
    reply: str | None = None
    failure: str | None = None
    ended: bool = True
    num_prompt_tokens: int | None = None
    num_visual_tokens: int | None = None
    num_new_tokens: int | None = None
    seconds: float = 0.0
    looks: tuple[StoredLook, ...] = ()

    @model_serializer(mode="wrap")
    def _without_empty_looks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `looks` away where nothing was looked at, which is in most runs."""
        fields: dict[str, Any] = handler(self)
        if not self.looks:
            fields.pop("looks", None)
        return fields
