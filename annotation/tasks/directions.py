"""Directions between two points of a tile: compass directions where north is known, else those of the image.

A `BearingFrame` answers for one tile. Bearings are degrees clockwise from north (or from "up" where the tile has no
north), in [0, 360), on the ground: with different metres per pixel along the two axes a diagonal of the image is not
north-east.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.facts import Gsd, TileFacts

Sector = Literal["n", "ne", "e", "se", "s", "sw", "w", "nw"]
SECTORS: tuple[Sector, ...] = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
"""The eight directions clockwise; the names are keys of `direction.*` in the wording."""

SECTOR_DEG = 45.0
BORDER_DEG = 8.0
"""A bearing closer than this to the border between two sectors has no sure direction."""


class TilePoint(NamedTuple):
    """A point in tile pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class BearingFrame:
    """How bearings are taken on one tile.

    Attributes:
        north_deg: true north, degrees clockwise from "up" as seen in the image; None without a georeference.
        scale: metres per pixel along both axes, or (1, 1) where they are unknown.
    """

    north_deg: float | None
    scale: Gsd

    @property
    def is_compass(self) -> bool:
        """True when the words of the compass may be used."""
        return self.north_deg is not None

    @property
    def words(self) -> str:
        """The table of the wording that holds this frame's words."""
        return "direction.compass" if self.is_compass else "direction.image"

    def bearing_deg(self, start: TilePoint, end: TilePoint) -> float:
        """Return the bearing of `end` as seen from `start`; the two must differ."""
        bearing = self._ground_angle(end.x - start.x, end.y - start.y) - self._north_angle()
        return bearing % 360.0 % 360.0  # a tiny negative angle modulo 360 rounds to 360 itself

    def east_north(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far east and north (or right and up) points lie, in units of `scale`; differences mean something.

        Args:
            points: (n, 2) x and y in tile pixels.
        """
        north = math.radians(self._north_angle())
        ground = points * np.array([self.scale.x_m, -self.scale.y_m])
        turn = np.array([[math.cos(north), math.sin(north)], [-math.sin(north), math.cos(north)]])
        turned: NDArray[np.float64] = ground @ turn
        return turned

    def _north_angle(self) -> float:
        """Return north as an angle on the ground; `north_deg` is an angle in the image."""
        if not self.north_deg:
            return 0.0
        north = math.radians(self.north_deg)
        return self._ground_angle(math.sin(north), -math.cos(north))

    def _ground_angle(self, x: float, y: float) -> float:
        """Return the angle of an image vector on the ground, degrees clockwise from "up"; y points down."""
        return math.degrees(math.atan2(x * self.scale.x_m, -y * self.scale.y_m))


def frame_of(facts: TileFacts) -> BearingFrame:
    """Return the frame of a tile: the compass where north is known, else the image."""
    return BearingFrame(facts.north_deg, facts.gsd_m or Gsd(1.0, 1.0))


def sector_of(bearing_deg: float, *, border_deg: float = BORDER_DEG) -> Sector | None:
    """Return the direction of a bearing; None closer than `border_deg` to the border of two sectors."""
    turns = bearing_deg / SECTOR_DEG
    nearest = round(turns)
    if abs(turns - nearest) * SECTOR_DEG > SECTOR_DEG / 2 - border_deg:
        return None
    return SECTORS[nearest % len(SECTORS)]


def sectors_like(sector: Sector) -> tuple[Sector, ...]:
    """Return the four directions at right angles of which `sector` is one: of these each may as well be right.

    They are north, east, south and west, or the four between them. Among four of all eight, the right one would be the
    only one that is clearly away from the others.
    """
    return SECTORS[SECTORS.index(sector) % 2 :: 2]
