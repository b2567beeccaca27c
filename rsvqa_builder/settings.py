"""The settings of a build: one model for the command line, settings files and the `build.toml` that a build writes."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from rsvqa.annotation.balance import Balance
from rsvqa.annotation.task_names import parse_task_weights
from rsvqa.annotation.wording.phrases import LANGUAGES
from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.config import ADDRESSES, COMMAS, FILE_ONLY, PATH_OR_NAME, PATHS, StageSettings

MAX_JPEG_SIDE = 65_500
"""libjpeg's limit for a side, pixels."""


StretchMode = Literal["none", "percentile", "minmax"]
"""How a scene's values become 8 bits."""


Nodata = float | Literal["auto", "none"]
"""Which value pixels without data have."""


Bands = Annotated[tuple[int, int, int], COMMAS]
"""Red, green and blue, numbered from 1."""


def _known_crs(crs: str) -> str:
    from pyproj import CRS  # heavy, and needed for this alone
    from pyproj.exceptions import CRSError

    try:
        CRS.from_user_input(crs)
    except CRSError as error:
        raise ValueError("expected a coordinate reference system such as EPSG:32636") from error
    return crs


Crs = Annotated[str, AfterValidator(_known_crs)]
"""A coordinate reference system that PROJ knows."""


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


def _alone(src: object) -> object:
    """Return the only one of a list as it is: settings with one source say so in one text."""
    if isinstance(src, list | tuple) and len(src) < 2:
        if not src:
            raise ValueError("expected at least one source")
        src = src[0]
    if "" in (src if isinstance(src, list | tuple) else [src]):
        raise ValueError("expected a path or an address, found an empty text")
    return src


def _sources_name(src: str | Sequence[str]) -> str:
    """Return the last parts of the paths of sources; empty where they have none."""
    known = map(without_keys, (src,) if isinstance(src, str) else src)
    # "." has the name of its folder; an address stays
    absolute = (one if ":/" in one else os.path.abspath(one) for one in known)  # noqa: PTH100
    named = (next((part for part in reversed(PurePath(one).parts) if _NAMED.fullmatch(part)), "") for one in absolute)
    names = list(dict.fromkeys(part.rpartition(".")[0] or part for part in named if part))
    return " + ".join(names[:3]) + (f" + {len(names) - 3} more" if len(names) > 3 else "")


_NAMED = re.compile(r"[^*?\[\]]*\w[^*?\[\]]*")
"""A part of a path that is neither a pattern nor a way up."""


class BuildSettings(StageSettings):
    """All that decides what a build writes; anything else (workers, progress) does not change a byte of it."""

    src: Annotated[tuple[str, ...] | str, BeforeValidator(_alone), PATHS, ADDRESSES]
    """Folder (also s3://, gs://, az://), file, glob, list, STAC, sources file (TOML)."""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What the data set is called in its card and pages (default: the name of its sources)."""
    bands: Bands | None = None
    """Red, green and blue, such as 3,2,1 (default: colour interpretation)."""
    stretch: StretchMode = "percentile"
    """How values become 8 bits (percentile: 2 to 98)."""
    nodata: Nodata = "auto"
    """Value of pixels without data: a number, none, or auto (declared, else looked for)."""
    crs: Crs | None = None
    """CRS of scenes that have a transform and state none, such as EPSG:32636."""
    strict: bool = False
    """A scene that cannot be used ends the build."""
    mosaic: bool = False
    """Join neighbouring sheets."""
    labels: Annotated[tuple[str, ...], PATHS] = ()
    """File or folder of labels, beside those found with the scenes."""
    classes: Annotated[str, PATH_OR_NAME] = "auto"
    """Class table: a preset or a TOML file."""
    complete: CompleteLabels = CompleteLabels.AUTO
    """Whether every instance of a class is labelled."""
    profile: Profile = Profile.SUPERRS
    """Size of the tiles: superrs 8,192 px, highrs 2,048 px."""
    tile_size: Annotated[int, Field(ge=64, le=MAX_JPEG_SIDE)] | None = None
    """Side of a tile, pixels (default: the profile's)."""
    overlap: NonNegativeInt = 0
    """Pixels that neighbouring tiles share."""
    min_valid: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Smallest share of valid pixels of a tile."""
    dedup: Dedup = Dedup.IDENTICAL
    """Repeated tiles to drop."""
    exclude: Annotated[tuple[str, ...], PATHS] = ()
    """Images to keep out: a folder, a parquet or an arrow file."""
    split_shares: Annotated[
        tuple[float, float, float],
        COMMAS,
        Field(validation_alias=AliasChoices("split_shares", "split"), serialization_alias="split"),
    ] = (0.9, 0.05, 0.05)
    """Shares of train,val,test, by place.

    `build.toml` calls it "split", as it always has: data sets that were built before are still known by it.
    """
    tasks: Annotated[tuple[str, ...], COMMAS] = ("all",)
    """Names, short names or levels, with weights: all,OCL=0.5; or none."""
    per_task: Annotated[int, Field(ge=1, le=100)] = DEFAULT_PER_TASK
    """Most questions of a task per tile."""
    balance: Balance = Balance.SOFT
    """How even answers are made: soft (but for chance), strict (fewer questions), or off."""
    fine_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least share, per task, of questions about what is under 8 px in an image of 1,024 px."""
    language: Annotated[str, FILE_ONLY] = "en"
    """Language of the questions."""
    image_format: ImageFormat = ImageFormat.JPEG
    """How tiles are encoded."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Quality of JPEG, 1 to 100."""
    shard_mb: PositiveInt = 1000
    """Size of a shard, 10⁶ bytes."""
    seed: int = 0
    """Seed of everything random."""
    audit: bool = True
    """End with how well each task is guessed without its images."""

    @field_validator("split_shares")
    @classmethod
    def _shares_sum_to_one(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        # written so that "nan" fails it
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):
            raise ValueError("expected three shares train,val,test of 0 or more that sum to 1, e.g. 0.9,0.05,0.05")
        return shares

    @field_validator("name")
    @classmethod
    def _name_is_one_line(cls, name: str | None) -> str | None:
        if name is not None and not (name.isprintable() and name == name.strip()):
            raise ValueError("expected one line of text without spaces around it")
        return name

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
    def data_set_name(self) -> str:
        """What the data set is called; the output folder's name would make the bytes depend on it."""
        return self.name or _sources_name(self.src) or self.profile.value

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
