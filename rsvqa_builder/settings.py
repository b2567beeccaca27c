"""The settings of a build: one model for the command line, `--config` and the `build.toml` that a build writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from rsvqa.annotation.task_names import parse_task_weights
from rsvqa.annotation.wording.phrases import LANGUAGES
from rsvqa.rsvqa_builder.config import SettingsError, nearest, read_config

MAX_JPEG_SIDE = 65_500
"""libjpeg's limit for a side, pixels."""


StretchMode = Literal["none", "percentile", "minmax"]
"""How a scene's values become 8 bits."""


class Profile(StrEnum):
    """Tile sizes of the two published sets: SuperRS-VQA (8K) and HighRS-VQA (2K)."""

    SUPERRS = "superrs"
    HIGHRS = "highrs"


class ImageFormat(StrEnum):
    """How tiles are encoded."""

    JPEG = "jpeg"
    PNG = "png"


class Dedup(StrEnum):
    """Which repeated tiles are dropped; all of them are reported in any case."""

    IDENTICAL = "identical"
    NEAR = "near"
    OFF = "off"


class CompleteLabels(StrEnum):
    """Whether the labels name every instance of their classes."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"

    @property
    def as_override(self) -> bool | None:
        """None leaves it to the class table and the labels' extent."""
        return {"auto": None, "yes": True, "no": False}[self.value]


TILE_SIZES: Mapping[Profile, int] = {Profile.SUPERRS: 8192, Profile.HIGHRS: 2048}
WHOLE_UP_TO = 10_000
"""The superrs profile keeps a scene whole up to this long side, pixels: XLRS-Bench's own images reach it."""

DEFAULT_PER_TASK = 4


class BuildSettings(BaseModel):
    """All that decides what a build writes; anything else (workers, progress) does not change a byte of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)

    src: str
    """Directory, file, glob, text list or GDAL virtual path."""
    bands: tuple[int, int, int] | None = None
    stretch: StretchMode = "percentile"
    strict: bool = False
    mosaic: bool = False
    labels: tuple[str, ...] = ()
    classes: str = "auto"
    complete: CompleteLabels = CompleteLabels.AUTO
    profile: Profile = Profile.SUPERRS
    tile_size: Annotated[int, Field(ge=64, le=MAX_JPEG_SIDE)] | None = None
    overlap: NonNegativeInt = 0
    min_valid: Annotated[float, Field(ge=0, le=1)] = 0.6
    dedup: Dedup = Dedup.IDENTICAL
    exclude: tuple[str, ...] = ()
    split: tuple[float, float, float] = (0.9, 0.05, 0.05)
    tasks: tuple[str, ...] = ("all",)
    per_task: Annotated[int, Field(ge=1, le=100)] = DEFAULT_PER_TASK
    language: str = "en"
    image_format: ImageFormat = ImageFormat.JPEG
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    shard_mb: PositiveInt = 1000
    seed: int = 0

    @field_validator("split")
    @classmethod
    def _shares_sum_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        # written so that "nan" fails it
        if not (min(split) >= 0 and abs(sum(split) - 1) <= 1e-6):
            raise ValueError("expected three shares train,val,test of 0 or more that sum to 1, e.g. 0.9,0.05,0.05")
        return split

    @field_validator("language")
    @classmethod
    def _language_has_a_wording(cls, language: str) -> str:
        if language not in LANGUAGES:
            raise ValueError(f"expected one of {', '.join(LANGUAGES)}")
        return language

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        parse_task_weights(tasks)
        return tasks

    @model_validator(mode="after")
    def _overlap_leaves_a_stride(self) -> Self:
        if self.overlap >= self.tile_px:
            raise ValueError(f"overlap {self.overlap} px must be less than the tile's {self.tile_px} px")
        return self

    @property
    def tile_px(self) -> int:
        """Side of a tile, pixels."""
        return self.tile_size or TILE_SIZES[self.profile]

    @property
    def whole_up_to(self) -> int:
        """Long side up to which a scene stays one tile, pixels."""
        is_default = self.profile is Profile.SUPERRS and self.tile_size is None
        return WHOLE_UP_TO if is_default else self.tile_px

    @property
    def task_limits(self) -> dict[str, int]:
        """The most questions of each task on one tile, in the order of the taxonomy; tasks left out are not here.

        A weight is a share of `per_task`, rounded up.
        """
        weights = parse_task_weights(self.tasks).tasks
        return {name: math.ceil(self.per_task * weight) for name, weight in weights.items() if weight}


def make_settings(values: Mapping[str, Any], *, config: Path | None = None) -> BuildSettings:
    """Return settings from `config` (a TOML file, or a build's `build.toml`) overridden by `values`.

    Raises:
        SettingsError: for an unknown key (naming the nearest known one) or a value out of range.
    """
    merged = {**(read_config(config) if config else {}), **values}
    for key in merged:
        if key not in BuildSettings.model_fields:
            raise SettingsError(f"unknown setting {key!r} in {config}{nearest(key, list(BuildSettings.model_fields))}")
    try:
        return BuildSettings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:1]) or "settings"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise SettingsError(f"--{where} is needed: on the command line, or in the file of --config") from error
        raise SettingsError(f"{where.replace('_', '-')} = {first['input']!r}: {message}") from error
