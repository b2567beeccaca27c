"""The settings of a benchmark run: one model for the command line, `--config` and the copy in `run.json`.

No secret stands here: keys of endpoints come from the environment, and a URL with a password in it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from rsvqa.annotation.task_names import parse_task_names
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.config import SettingsError, nearest, read_config

BLIND = "blind:"
"""Prefix of a model that is asked without images."""
_WITHOUT_IMAGES = ("random", "majority")

_NOT_BEARING = ("batch_size", "concurrency", "reuse", "data", "split", "tasks", "limit", "sample", "seed")
"""How fast a run works and what it asks: a reply is the same, and data are known by the hashes of each request."""


class BenchSettings(BaseModel):
    """All that decides what is asked of which model, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: Annotated[str, Field(min_length=1)]
    """Directory or hub id; `openai:NAME`; `random`, `majority`, `blind:MODEL`, `fake:FILE`."""
    data: str = "xlrs-lite"
    """Hub name (`datasets.HUB_NAMES`), a local copy of one, or a folder that `rsvqa build` wrote."""
    split: str | None = None
    """None takes "test" where there is one, else the data set's only split."""
    tasks: tuple[str, ...] = ("all",)
    limit: PositiveInt | None = None
    """Most questions, the first ones in the data set's order, after `sample`."""
    sample: PositiveInt | None = None
    """Most questions a task, drawn by `seed`."""
    seed: int = 0

    base_url: str | None = None
    """Of an OpenAI-compatible endpoint; None is OpenAI's own."""
    concurrency: PositiveInt = 8
    """Most requests at a time to an endpoint."""
    image_detail: Literal["auto", "low", "high"] = "auto"
    trust_remote_code: bool = False
    max_pixels: PositiveInt | None = None
    """Most pixels of an image that the model sees; None leaves it to the model's own processor."""
    rewrite_boxes: bool = True
    """Put boxes in questions into pixels of what the model sees, where its family wants that (`families.py`)."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    """Of torch: "cpu", "cuda", "cuda:1"; "auto" is a GPU where there is one."""
    batch_size: PositiveInt = 8
    """Most questions at a time in a model of this process."""
    reuse: bool = True
    """Encode an image, and the beginning that its prompts share, once for all its questions."""

    max_new_tokens: PositiveInt = 64
    """Of a reply to a question with options; the published protocol's number."""
    max_new_tokens_box: PositiveInt = 128
    max_new_tokens_caption: PositiveInt = 1024
    circular: bool = False
    """Ask each question with its options in every rotation; right only when right in all."""
    caption_prompt: str | None = None
    """File with the text that asks for a caption; None is the wording of `protocol.py`."""

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        parse_task_names(tasks)
        return tasks

    @field_validator("base_url")
    @classmethod
    def _url_holds_no_password(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("expected a URL such as http://127.0.0.1:8000/v1")
            if parts.username or parts.password or parts.query:
                raise ValueError("credentials do not belong into a URL; set OPENAI_API_KEY in the environment")
        return url

    @model_validator(mode="after")
    def _url_has_an_endpoint(self) -> Self:
        if self.base_url is not None and not self.model.removeprefix(BLIND).startswith("openai:"):
            raise ValueError(f"base_url is for models named openai:NAME, not for {self.model!r}")
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks to ask, in the order of the taxonomy."""
        return parse_task_names(self.tasks)

    @property
    def run_folder(self) -> Path:
        """Where the run goes when nobody names a folder: `runs/MODEL-DATA`, by the last part of either's name."""
        *kinds, model = self.model.split(":")
        names = (*kinds, *(name.rstrip("/").rsplit("/", 1)[-1] for name in (model, self.data)))
        return Path("runs") / "-".join(re.sub(r"[^\w.]+", "-", name).strip("-.") or "here" for name in names)

    @property
    def shows_images(self) -> bool:
        """Whether the model gets images at all."""
        return not self.model.startswith(BLIND) and self.model not in _WITHOUT_IMAGES

    @property
    def is_checkpoint(self) -> bool:
        """Whether the model is one that transformers loads."""
        name = self.model.removeprefix(BLIND)
        return name not in _WITHOUT_IMAGES and not name.startswith(("openai:", "fake:"))

    def max_new_tokens_of(self, form: AnswerForm) -> int:
        """Return the bound of a reply of this form."""
        return {AnswerForm.TEXT: self.max_new_tokens_caption, AnswerForm.BOX: self.max_new_tokens_box}.get(
            form, self.max_new_tokens
        )

    def bearing_on_replies(self) -> dict[str, Any]:
        """Return the settings that decide a reply, as JSON; a run's folder holds replies of one such set only."""
        return self.model_dump(mode="json", exclude=set(_NOT_BEARING))


def make_bench_settings(values: Mapping[str, Any], *, config: Path | None = None) -> BenchSettings:
    """Return the settings of `config` (TOML) overridden by `values`.

    Raises:
        SettingsError: for an unknown key, naming the nearest known one, or a value out of range.
    """
    given = {**(read_config(config) if config else {}), **values}
    for key in given:
        if key not in BenchSettings.model_fields:
            where = f" in {config}" if config else ""
            raise SettingsError(f"unknown setting {key!r}{where}{nearest(key, list(BenchSettings.model_fields))}")
    try:
        return BenchSettings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    name = "-".join(str(first["loc"][0]).split("_")) if first["loc"] else "settings"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"--{name} is needed: on the command line, or in the file of --config"
    if not first["loc"] or name == "base-url":  # the input may hold a password
        return f"{name}: {message}"
    return f"{name} = {first['input']!r}: {message}"
