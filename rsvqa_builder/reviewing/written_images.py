"""The images that written questions show and no build has made: copies with a circle, and tiles at a second date.

A question has a marked copy to itself, or shares it with those about the same circle: what others write moves no
number in its text. What surprises: a copy is made from the stored image, so one that is JPEG is encoded twice.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsvqa.annotation.authoring.writing import later_image
from rsvqa.annotation.images import Pixels, decode_image
from rsvqa.annotation.marks import Mark, draw_marks
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.looks import OtherScene
from rsvqa.annotation.review.pictures import NoSuchPictureError, PicturePlace, picture_key
from rsvqa.annotation.stored_evidence import decode_mark
from rsvqa.rsvqa_builder.dataset.output import MARKER
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, SourceTile
from rsvqa.rsvqa_builder.settings import BuildSettings, ImageFormat
from rsvqa.rsvqa_builder.tiles.tile_work import encode

_CHARS = 8


class WrittenView(NamedTuple):
    """An image that a written question shows: its key among those of its tile, the date, and the circle drawn in."""

    key: str
    is_later: bool
    mark: Mark | None


def views_of(question: ReviewQuestion) -> tuple[WrittenView, ...]:
    """Return the images that a written question shows, in order; the plain one of the tile is "tile"."""
    mark = decode_mark(question.evidence)
    found = []
    for number in range(len(question.images)):
        plain = ("tile", "later")[number]
        key = plain if mark is None else f"{'later_' if number else ''}marked_w{_digest(mark)}"
        found.append(WrittenView(key, bool(number), mark))
    return tuple(found)


def _digest(mark: Mark) -> str:
    return hashlib.sha256(json.dumps(mark).encode()).hexdigest()[:_CHARS]


class WrittenImages:
    """Makes those images.

    Args:
        source: of the data set.
        views: the scenes behind its images.
    """

    def __init__(self, source: ReviewSource, views: TileViews) -> None:
        self._source, self._views = source, views
        self._plain = {later_image(tile.image): tile for tile in source.tiles if tile.image is not None}

    @property
    def later_names(self) -> tuple[str, ...]:
        """Names of the images of second dates, where there are any."""
        return tuple(self._plain)

    @property
    def later_places(self) -> Mapping[str, PicturePlace]:
        """Of which tile each of those is."""
        return {name: PicturePlace(tile.tile.scene, tile.tile.image_id) for name, tile in self._plain.items()}

    def load(self, name: str) -> bytes:
        """Return the encoded bytes of an image of the data set, or of a tile at its second date.

        Raises:
            NoSuchPictureError: there is no second date.
        """
        known = self._plain.get(name)
        if known is None or name in self._source.image_names:
            return self._source.load_image(name)
        return self._encoded(self._later(known))

    def second_date(self, tile: SourceTile) -> OtherScene | None:
        """Return the scene of a tile's second date; None without one."""
        return None if tile.image is None else self._views.later(picture_key(tile.image))

    def make(self, tile: SourceTile, wanted: Iterable[WrittenView]) -> dict[str, bytes]:
        """Return images of a tile by key, encoded as the build's are.

        Raises:
            NoSuchPictureError: there is no second date.
        """
        assert tile.image is not None  # of a tile that people write about
        made = {}
        for view in sorted(set(wanted)):
            if view.is_later:
                pixels = self._later(tile)
            elif view.mark is not None:
                pixels = np.require(decode_image(self._source.load_image(tile.image)), requirements="W")
            else:
                continue
            if view.mark is not None:
                draw_marks(pixels, [view.mark])
            made[view.key] = self._encoded(pixels)
        return made

    def _later(self, tile: SourceTile) -> Pixels:
        assert tile.image is not None
        found = self.second_date(tile)
        if found is None:
            raise NoSuchPictureError(f"no second date of {tile.tile.image_id}")
        return self._views.whole(picture_key(tile.image), found.number)

    def _encoded(self, pixels: Pixels) -> bytes:
        return encode(pixels, ImageFormat(self._settings["image_format"]), int(self._settings["quality"]))

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        path: Path = self._source.folder / MARKER
        stored = tomllib.loads(path.read_text("utf-8")).get("settings", {}) if path.exists() else {}
        usual = BuildSettings.model_fields
        return {name: stored.get(name, usual[name].default) for name in ("image_format", "quality")}
