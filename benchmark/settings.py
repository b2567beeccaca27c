"""The settings of a benchmark run, and of `ask`: for the command line, settings files and the copy in `run.json`.

No secret stands here: keys of endpoints come from the environment, and a URL with a password in it is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from rsvqa.annotation.llm.endpoint import BaseUrl
from rsvqa.annotation.plugins import has_plugin
from rsvqa.annotation.task_names import parse_task_names
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.config import COMMAS, STRIPPED, StageSettings
from rsvqa.rsvqa_builder.settings import StretchMode

BLIND = "blind:"
"""Prefix of a model that is asked without images."""
OPENAI = "openai:"
"""Prefix of a model behind an OpenAI-compatible endpoint."""
VLLM = "vllm:"
"""Prefix of a checkpoint that vLLM runs in this process."""
REPLIES = "replies:"
"""Prefix of a file of replies that another harness stored."""
_WITHOUT_IMAGES = ("random", "majority")

_NOT_BEARING = (
    "batch_size",
    "concurrency",
    "reuse",
    "data",
    "split",
    "tasks",
    "limit",
    "per_task",
    "seed",
    "trained_on",
)
"""How fast a run works and what it asks: a reply is the same, and data are known by the hashes of each request."""


_OUR_KEYS = ("model", "messages", "max_tokens", "max_completion_tokens", "n", "stream", "chat_template_kwargs")
"""What the harness writes into a request itself."""
_ENGINE_KEYS = ("model", "trust_remote_code", "dtype", "limit_mm_per_prompt", "enable_prefix_caching")
"""Likewise, into the arguments of vLLM's engine."""
_LATER = ("box_units", "system", "template_args", "extra_body", "weight_bits", "attention", "engine_args")
"""Came when runs were stored already: at their defaults they are left out, and those runs go on."""


_LOOK = ("look", "max_calls", "look_side")
"""Bear on nothing where a model does not look."""


def _canonical(value: object) -> object:
    """Return a table, or JSON of one, as JSON with its keys in order."""
    if isinstance(value, str):
        value = json.loads(value)  # a ValueError where it is none
    if not isinstance(value, dict):
        raise ValueError('expected a JSON object like {"enable_thinking": false}')
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


JsonObject = Annotated[str, BeforeValidator(_canonical)]
"""Type of a setting that is a table in TOML and JSON on the command line."""


class ModelSettings(StageSettings):
    """Which model is asked, where it runs, and what it sees."""

    model: Annotated[str, Field(min_length=1)]
    """Folder or hub id, vllm:NAME, openai:NAME, random, majority, blind:MODEL (no images), a file.

    A file is fake:FILE, or replies:FILE that lmms-eval or VLMEvalKit stored.
    """

    base_url: BaseUrl | None = Field(default=None, repr=False)
    """OpenAI-compatible; its key is in OPENAI_API_KEY (default: OpenAI's)."""
    concurrency: PositiveInt = 8
    """Requests in flight, to an endpoint or in vLLM."""
    image_detail: Literal["auto", "low", "high"] = "auto"
    """Detail of images that the endpoint is asked for."""
    extra_body: JsonObject | None = None
    """More of each request to the endpoint, a JSON object; no secrets, it is recorded."""
    system: str | None = None
    """The system's turn of each prompt (default: none, as published)."""
    template_args: JsonObject | None = None
    """Arguments of the chat template, a JSON object.

    As in '{"enable_thinking": false}'.
    """
    engine_args: JsonObject | None = None
    """More arguments of vLLM's engine, a JSON object.

    As in '{"tensor_parallel_size": 4, "max_model_len": 32768}'.
    """
    trust_remote_code: bool = False
    """Run code that comes with the checkpoint."""
    max_pixels: PositiveInt | None = None
    """Most pixels of an image that the model sees (default: its own)."""
    rewrite_boxes: bool = True
    """Turn boxes in questions into pixels of what the model sees.

    Only where its family wants that, see `families.py`.
    """
    box_units: Literal["pixels", "view_pixels", "0-1", "0-100", "0-1000"] | None = None
    """Units of the boxes that the model writes.

    `view_pixels` are those of the resized image that it sees (default: of its family, else 0-1).
    """
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights."""
    device: str = "auto"
    """A torch device: auto, cpu, cuda, cuda:1, or spread: layer by layer over all GPUs.

    auto is a GPU where there is one.
    """
    weight_bits: Literal["8", "4"] | None = None
    """Bits of the weights of linear layers, by bitsandbytes (default: those of `dtype`)."""
    attention: Literal["eager", "sdpa", "flash_attention_2", "flex_attention"] | None = None
    """How attention is computed (default: transformers' choice)."""
    batch_size: PositiveInt = 8
    """Most questions at a time in a model of this process."""
    reuse: bool = True
    """Encode an image once for all its questions.

    So is the beginning that its prompts share.
    """
    look: Literal["none", "overview", "tiles", "fovea", "zoom"] = "none"
    """What is shown before a question is answered.

    The image as it is; reduced; reduced and its quarters; reduced and one part that the model names; reduced and part
    after part.
    """
    max_calls: PositiveInt = 4
    """Most calls per question of a model that zooms."""
    look_side: Annotated[int, Field(ge=32)] = 1024
    """Longest side of the reduced image and of each part, pixels."""

    @model_validator(mode="after")
    def _url_has_an_endpoint(self) -> Self:
        if self.base_url is not None and not self.model.removeprefix(BLIND).startswith("openai:"):
            raise ValueError(f"`base_url` is for models named openai:NAME, not for {self.model!r}")
        return self

    @model_validator(mode="after")
    def _is_told_to_a_model(self) -> Self:
        is_endpoint = self.model.removeprefix(BLIND).startswith("openai:")
        if self.extra_body is not None and not is_endpoint:
            raise ValueError(f"`extra_body` is for models named openai:NAME, not for {self.model!r}")
        if taken := [key for key in json.loads(self.extra_body or "{}") if key in _OUR_KEYS]:
            raise ValueError(f"`extra_body` must not hold {', '.join(taken)}: other settings decide on that")
        for name in ("system", "template_args"):
            if getattr(self, name) is not None and not (is_endpoint or self.is_checkpoint or self.is_vllm):
                raise ValueError(f"`{name}` is for models that read prompts, not for {self.model!r}")
        return self

    @model_validator(mode="after")
    def _can_look(self) -> Self:
        if self.look != "none" and not self.shows_images:
            raise ValueError(f"`look` is for models that see images, not for {self.model!r}")
        if self.look in ("fovea", "zoom") and self.max_calls < 2:
            raise ValueError(f"`look` {self.look} needs 2 calls, one to look and one to answer; `max_calls` is 1")
        return self

    @model_validator(mode="after")
    def _has_an_engine(self) -> Self:
        if self.engine_args is not None and not self.is_vllm:
            raise ValueError(f"`engine_args` is for models named vllm:NAME, not for {self.model!r}")
        if taken := [key for key in self.engine_arguments if key in _ENGINE_KEYS]:
            raise ValueError(f"`engine_args` must not hold {', '.join(taken)}: other settings decide on that")
        return self

    @property
    def engine_arguments(self) -> dict[str, Any]:
        """More arguments of vLLM's engine."""
        return dict(json.loads(self.engine_args or "{}"))

    @property
    def most_pictures(self) -> int:
        """Most pictures that a call shows per image of a question."""
        return {"tiles": 5, "fovea": 2, "zoom": self.max_calls}.get(self.look, 1)

    @property
    def template_arguments(self) -> dict[str, Any]:
        """Arguments of the chat template."""
        return dict(json.loads(self.template_args or "{}"))

    @model_validator(mode="after")
    def _loads_weights(self) -> Self:
        for name in ("weight_bits", "attention"):
            if getattr(self, name) is not None and not self.is_checkpoint:
                raise ValueError(f"`{name}` is for checkpoints that are loaded here, not for {self.model!r}")
        return self

    @model_validator(mode="after")
    def _endpoint_has_no_view(self) -> Self:
        if self.box_units == "view_pixels" and not (self.is_checkpoint or self.is_vllm):
            raise ValueError("`box_units` view_pixels is for checkpoints: what an endpoint's model sees is not known")
        return self

    @property
    def shows_images(self) -> bool:
        """Whether the model gets images at all."""
        return not self.model.startswith((BLIND, REPLIES)) and self.model not in _WITHOUT_IMAGES

    @property
    def is_checkpoint(self) -> bool:
        """Whether the model is one that transformers loads."""
        name = self.model.removeprefix(BLIND)
        others = ("openai:", "fake:", REPLIES, VLLM)
        return name not in _WITHOUT_IMAGES and not name.startswith(others) and not self.adapter

    @property
    def is_vllm(self) -> bool:
        """Whether the model is one that vLLM loads in this process."""
        return self.model.removeprefix(BLIND).startswith(VLLM)

    @property
    def adapter(self) -> str | None:
        """The adapter of an installed package that `model` names, as NAME:WHAT; None for all others."""
        name, colon, _ = self.model.partition(":")
        is_ours = name in _WITHOUT_IMAGES or self.model.startswith((BLIND, REPLIES, VLLM, "openai:", "fake:"))
        return name if colon and not is_ours and has_plugin("model", name) else None


class BenchSettings(ModelSettings):
    """All that decides what is asked of which model, and how it is asked."""

    data: str = "xlrs-lite"
    """xlrs-lite, xlrs-caption-en|zh, xlrs-grounding-en|zh, a copy, a built set, a task file.

    A task file is NAME:FOLDER, such as lrs-vqa:LRS_VQA, or FILE.toml. Several, with commas between them, are asked one
    after the other.
    """
    split: str | None = None
    """Split of the data (default: test, or the only one)."""
    tasks: Annotated[tuple[str, ...], COMMAS] = ("all",)
    """Names, short names or levels: OCL,Counting,Reasoning."""
    limit: PositiveInt | None = None
    """Number of questions: the first ones only, after `per_task`."""
    per_task: Annotated[PositiveInt | None, Field(validation_alias=AliasChoices("per_task", "sample"))] = None
    """Most questions per task, drawn by the seed."""
    seed: int = 0
    """Seed of everything random."""
    trained_on: Annotated[tuple[str, ...], COMMAS] = ()
    """Training set whose images the benchmark's are compared with: data sets, folders, files."""

    max_new_tokens: PositiveInt = 64
    """Most tokens of a reply with options."""
    max_new_tokens_box: PositiveInt = 128
    """Most tokens of a reply with a box."""
    max_new_tokens_caption: PositiveInt = 1024
    """Most tokens of a caption."""
    circular: bool = False
    """Ask with the options in every rotation.

    Right only when right in all.
    """
    caption_prompt: str | None = None
    """File with the text that asks for a caption (default: our own)."""

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        parse_task_names(tasks)
        return tasks

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks to ask, in the order of the taxonomy."""
        return parse_task_names(self.tasks)

    @property
    def data_label(self) -> str:
        """What the data are called in names of folders: the last part of a path, of NAME:FOLDER the name."""
        return _as_file_name(self.data.partition(":")[0])

    @property
    def run_folder(self) -> Path:
        """Where the run goes when nobody names a folder: `runs/MODEL-DATA`, by the last part of either's name."""
        *kinds, model = self.model.split(":")
        looks = () if self.look == "none" else (self.look,)
        return Path("runs") / "-".join([*map(_as_file_name, (*kinds, model)), self.data_label, *looks])

    def max_new_tokens_of(self, form: AnswerForm, published: int | None = None) -> int:
        """Return the bound of a reply of this form: as set, else as its benchmark publishes it, else the default."""
        name = {AnswerForm.TEXT: "max_new_tokens_caption", AnswerForm.BOX: "max_new_tokens_box"}.get(
            form, "max_new_tokens"
        )
        bound: int = getattr(self, name)
        return bound if published is None or bound != type(self).model_fields[name].default else published

    def bearing_on_replies(self) -> dict[str, Any]:
        """Return the settings that decide a reply, as JSON; a run's folder holds replies of one such set only."""
        unused = {"none": _LOOK, "zoom": ()}.get(self.look, ("max_calls",))
        settings = self.model_dump(mode="json", exclude={*_NOT_BEARING, *unused})
        return {name: value for name, value in settings.items() if value or name not in _LATER}


def _as_file_name(name: str) -> str:
    """Return the last part of a path or of a hub id, as a part of a file's name."""
    return re.sub(r"[^\w.]+", "-", name.rstrip("/").rsplit("/", 1)[-1]).strip("-.") or "here"


Protocol = Literal["strict", "official", "permissive", "judge"]
"""A way to tell whether a reply is right."""


class ScoreSettings(StageSettings):
    """How stored replies are scored."""

    protocol: Annotated[tuple[Annotated[Protocol, STRIPPED], ...], COMMAS] | None = None
    """Scores to print, each with its interval: strict, official, permissive, judge.

    The reports hold all of them (default: those of the reports).
    """
    judge: str | None = None
    """Model that judges the replies: openai:NAME."""
    judge_wording: Literal["ours", "vrsbench"] = "ours"
    """Wording of what the judge is asked.

    VRSBench's own is for its runs, and for replies that its rules leave open.
    """
    judge_tokens: Annotated[int, Field(ge=8)] = 512
    """Most tokens of a verdict, reasoning among them."""
    judge_extra_body: JsonObject | None = None
    """More of each request to the judge, a JSON object; no secrets, it is recorded."""

    @field_validator("judge")
    @classmethod
    def _is_an_endpoint(cls, judge: str | None) -> str | None:
        if judge is not None and not (judge.startswith(OPENAI) and judge.removeprefix(OPENAI).strip()):
            raise ValueError(f"expected openai:NAME, with the name of a model behind an endpoint, not {judge!r}")
        return judge


class AskModelSettings(ModelSettings):
    """Which model is asked about an image, and how the image is shown to it."""

    bands: Annotated[tuple[int, int, int], COMMAS] | None = None
    """Red, green and blue, such as 3,2,1 (default: colour interpretation)."""
    stretch: StretchMode = "percentile"
    """How values become 8 bits (percentile: 2 to 98)."""
    window: Annotated[tuple[NonNegativeInt, NonNegativeInt, PositiveInt, PositiveInt], COMMAS] | None = None
    """Part of the image: x,y,width,height in pixels (default: all of it)."""
    max_new_tokens: PositiveInt = 512
    """Most tokens of a reply."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        is_endpoint = self.model.removeprefix(BLIND).startswith("openai:")
        if not (self.is_checkpoint or self.is_vllm or self.adapter or is_endpoint):
            raise ValueError(f"{self.model!r} cannot be asked freely; expected a checkpoint, vllm:NAME or openai:NAME")
        return self
