"""What the ground plan of an example place consists of: faces with their uses at two dates, and what lies on them.

All coordinates are scene pixels (x right, y DOWN).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import shapely
from shapely import LineString, MultiPolygon, Polygon

from rsvqa.rsvqa_builder.demo.character import Character
from rsvqa.rsvqa_builder.demo.roads import RoadPiece, RoadPoint, polygons_of

GSD_M = 0.3
"""Metres per drawn pixel: sizes in the plans of roads and things are in these."""


class TurnedRectangle(NamedTuple):
    """A rectangle at any angle: centre, extents along and across its axis (pixels), angle of the axis (radians)."""

    x: float
    y: float
    length: float
    width: float
    angle: float

    def to_scene(self, u: float, v: float) -> RoadPoint:
        """Return the scene position of (u, v): pixels along and across the axis from the centre."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def polygon(self) -> Polygon:
        """Return the rectangle."""
        half, across = self.length / 2, self.width / 2
        return Polygon(
            [self.to_scene(u, v) for u, v in ((-half, -across), (half, -across), (half, across), (-half, across))]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How one area is used and painted: `variant` picks colours, `angle` (radians) the direction of crop rows.

    `look` is how it is painted when that differs from what is usual for the class.
    """

    class_name: str
    variant: int = 0
    angle: float = 0.0
    look: str = ""


@dataclass(frozen=True, slots=True)
class Face:
    """A piece of ground that no border crosses, with the numbers of its styles at the earlier and the later date."""

    polygon: Polygon
    styles: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something out of the ordinary at the later date."""

    class_name: str
    cause: str | None
    polygon: Polygon


class Development(NamedTuple):
    """A group of objects of one class, at one date only, alone in its block.

    Attributes:
        class_name: of the objects.
        ground: what is of their land use at that date; nothing else is built there.
        middle: the square that holds them.
        dates: when they are there.
    """

    class_name: str
    ground: Polygon
    middle: TurnedRectangle
    dates: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Layout:
    """The ground of one place at both dates.

    Attributes:
        size: pixels along both axes.
        character: what the place has.
        roads: pieces that share exact end points at junctions.
        corridor: road surface with pavements; carriageway: without.
        faces: cover the scene without gap or overlap.
        styles: what `Face.styles` refers to.
        anomalies: of the later date.
        developments: what was built or taken down as a whole.
        car_parks: frames of the car parks' rectangles.
        river: centre line points (x, y) with the width there, pixels; empty without a river.
        boundaries: lines between fields, for hedges and paths.
    """

    size: int
    character: Character
    roads: tuple[RoadPiece, ...]
    corridor: Polygon | MultiPolygon
    carriageway: Polygon | MultiPolygon
    faces: tuple[Face, ...]
    styles: tuple[Style, ...]
    anomalies: tuple[Anomaly, ...]
    developments: tuple[Development, ...]
    car_parks: tuple[TurnedRectangle, ...]
    river: tuple[tuple[float, float, float], ...]
    boundaries: tuple[LineString, ...]

    def areas(self, date: int) -> list[tuple[int, Polygon]]:
        """Return (style number, polygon) of every area at `date` (0 earlier, 1 later), faces of one style joined."""
        groups: dict[int, list[Polygon]] = {}
        for face in self.faces:
            groups.setdefault(face.styles[date], []).append(face.polygon)
        return [
            (style, part) for style in sorted(groups) for part in polygons_of(shapely.coverage_union_all(groups[style]))
        ]
