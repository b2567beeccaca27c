"""What models cost and how they count pictures: a small table that users may replace or add to."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rsvqa.annotation.errors import RsvqaError


class PricesError(RsvqaError):
    """A table of prices cannot be read, or lacks a model whose price is needed."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tiles(_Entry):
    """A picture costs `base` tokens and `tile` for each 512-pixel square, after reduction to 768 on the short side."""

    base: int = Field(ge=0)
    tile: int = Field(ge=0)


class Patches(_Entry):
    """A picture costs `times` tokens for each square of `patch` pixels, reduced to at most `most` squares."""

    patch: int = Field(ge=1)
    most: int = Field(ge=1)
    times: float = Field(default=1.0, gt=0)


UNKNOWN_PICTURE = Patches(patch=28, most=16_384)
"""An estimate for models that are not in the table: as Qwen2-VL counts, 14-pixel patches merged two by two."""


class ModelPrice(_Entry):
    """One model.

    Attributes:
        input, output: US dollars for a million tokens.
        batch_share: what the batch API costs of that.
        picture: how pictures are counted.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    batch_share: float = Field(default=1.0, gt=0, le=1)
    picture: Tiles | Patches = UNKNOWN_PICTURE

    def cost(self, input_tokens: int, output_tokens: int, *, batch: bool = False) -> float:
        """Return US dollars."""
        full = (input_tokens * self.input + output_tokens * self.output) / 1e6
        return full * self.batch_share if batch else full


class Prices(_Entry):
    """Prices by model."""

    models: dict[str, ModelPrice]

    def find(self, model: str) -> ModelPrice | None:
        """Return the price of a model; a dated release (`gpt-4o-2024-08-06`) costs what its model costs."""
        return self.models.get(model) or self.models.get(re.sub(r"-\d{4}-?\d{2}-?\d{2}$", "", model))


def read_prices(path: Path | None = None) -> Prices:
    """Return the table that comes with rsvqa, with the entries of a file of the same form over it.

    Raises:
        PricesError: the file is not TOML, or an entry is not a price.
    """
    ours = tomllib.loads(files("rsvqa.annotation.llm").joinpath("prices.toml").read_text(encoding="utf-8"))
    theirs = {} if path is None else _read_toml(path)
    try:
        added = Prices.model_validate({"models": {}, **theirs})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PricesError(f"{path}: {place}: {first['msg']}") from None
    return Prices(models={**Prices.model_validate(ours).models, **added.models})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PricesError(f"{path}: not a readable table of prices: {error}") from error
