"""The objects of an example place, and the site that they are put on.

Every object is an exact polygon in scene pixels. No two of one date overlap, and all stay `SCENE_MARGIN` pixels inside
the scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from shapely import LineString, Polygon

from rsvqa.rsvqa_builder.demo.ground import Layout, TurnedRectangle
from rsvqa.rsvqa_builder.demo.roads import RoadPoint

SCENE_MARGIN = 6.0
GAP = 3.0
"""Pixels kept free between objects, so that no pixel belongs to two of them."""

BOTH_DATES = (True, True)

Weighted = Sequence[tuple[str, int]]
"""Names with how often each is wanted."""


PAINTS: Weighted = tuple(
    (name, 1) for name in ("white", "grey", "black", "red", "blue", "green", "yellow", "brown", "orange")
)
"""Of what is built or made, whatever it is: a class must not tell its colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What can be seen of an object apart from its outline.

    Attributes:
        colour: name of the paint that covers most of it.
        moving: for vehicles and ships.
        damage: for buildings: "none" or "damaged roof".
        height: pixels that its shadow is long.
    """

    colour: str
    moving: bool | None = None
    damage: str | None = None
    height: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoObject:
    """One object as it is painted and labelled.

    Attributes:
        object_id: unique in the place; the same at both dates for what stays.
        polygon: exact outline in scene pixels.
        frame: the rectangle around it along its own axis; the axis of a vehicle or ship points where it heads.
        dates: whether it is there at the earlier and at the later date.
    """

    object_id: str
    class_name: str
    polygon: Polygon
    frame: TurnedRectangle
    look: Look
    dates: tuple[bool, bool] = BOTH_DATES


class PaintedDetail(NamedTuple):
    """Something painted that is no object: a path, fence, parking bay's line, lane dash, hedge, field track or tree.

    `dates` tells whether it is there at the earlier and at the later date.
    """

    kind: str
    shape: Polygon
    dates: tuple[bool, bool] = BOTH_DATES


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands on the ground plan."""

    objects: tuple[DemoObject, ...]
    marks: tuple[PaintedDetail, ...]


class _Occupied:
    """The objects of one date, by a coarse grid of cells."""

    CELL = 256.0

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[Polygon]] = {}

    def _keys(self, polygon: Polygon, gap: float) -> Iterator[tuple[int, int]]:
        x_min, y_min, x_max, y_max = (value / self.CELL for value in polygon.bounds)
        pad = gap / self.CELL
        for i in range(math.floor(x_min - pad), math.floor(x_max + pad) + 1):
            for j in range(math.floor(y_min - pad), math.floor(y_max + pad) + 1):
                yield i, j

    def is_free(self, polygon: Polygon, gap: float) -> bool:
        return not any(
            shapely.dwithin(polygon, np.array(self._cells[key], dtype=object), gap).any()
            for key in self._keys(polygon, gap)
            if key in self._cells
        )

    def add(self, polygon: Polygon) -> None:
        for key in self._keys(polygon, 0.0):
            self._cells.setdefault(key, []).append(polygon)


class Site:
    """The ground plan while objects are put on it, each only where it fits."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self.layout = layout
        self.rng = rng
        self.objects: list[DemoObject] = []
        self.marks: list[PaintedDetail] = []
        self._occupied = (_Occupied(), _Occupied())  # earlier and later date
        self._counts: dict[str, int] = {}
        self._inside = shapely.box(0, 0, layout.size, layout.size).buffer(-SCENE_MARGIN, join_style="mitre")
        self.areas = [layout.areas(date) for date in (0, 1)]
        self._trees = [shapely.STRtree([polygon for _, polygon in areas]) for areas in self.areas]
        shapely.prepare(layout.carriageway)

    def class_at(self, polygon: Polygon, date: int, gap: float) -> str | None:
        """Return the land use that `polygon` and `gap` pixels around it lie in at `date`; None when it is not one."""
        grown = polygon.buffer(gap, quad_segs=2)
        numbers = self._trees[date].query(grown, predicate="covered_by")
        return self.layout.styles[self.areas[date][int(numbers[0])][0]].class_name if len(numbers) else None

    def is_in(self, class_name: str, polygon: Polygon, gap: float, dates: tuple[bool, bool] = BOTH_DATES) -> bool:
        """Return whether `polygon` and `gap` pixels around it lie in one area of a land use at all of the dates."""
        return all(self.class_at(polygon, date, gap) == class_name for date in (0, 1) if dates[date])

    def use_at(self, point: tuple[float, float], date: int) -> str | None:
        """Return the land use at a point; None outside the scene."""
        numbers = self._trees[date].query(shapely.Point(point), predicate="intersects")
        return self.layout.styles[self.areas[date][int(numbers[0])][0]].class_name if len(numbers) else None

    def areas_of(self, class_name: str) -> list[Polygon]:
        """Return the areas of a land use at the earlier date."""
        styles = self.layout.styles
        return [polygon for style, polygon in self.areas[0] if styles[style].class_name == class_name]

    def add(
        self,
        class_name: str,
        polygon: Polygon,
        frame: TurnedRectangle,
        look: Look,
        *,
        gap: float = GAP,
        dates: tuple[bool, bool] = BOTH_DATES,
    ) -> bool:
        """Add the object and return True when it is inside the scene and `gap` pixels around it are free."""
        taken = [occupied for occupied, is_there in zip(self._occupied, dates, strict=True) if is_there]
        if not self._inside.contains(polygon) or not all(occupied.is_free(polygon, gap) for occupied in taken):
            return False
        for occupied in taken:
            occupied.add(polygon)
        number = self._counts[class_name] = self._counts.get(class_name, 0) + 1
        self.objects.append(
            DemoObject(
                object_id=f"{class_name}-{number}",
                class_name=class_name,
                polygon=polygon,
                frame=frame,
                look=look,
                dates=dates,
            )
        )
        return True

    def mark(self, kind: str, line: LineString, width: float, dates: tuple[bool, bool] = BOTH_DATES) -> None:
        """Paint a line `width` pixels wide."""
        self.marks.append(PaintedDetail(kind, line.buffer(width / 2, cap_style="flat"), dates))

    def one_of(self, choices: Weighted) -> str:
        """Return one of the names by its weight."""
        weights = np.array([weight for _, weight in choices], dtype=float)
        return choices[int(self.rng.choice(len(choices), p=weights / weights.sum()))][0]

    def between(self, limits: tuple[float, float]) -> float:
        """Return a number between the limits."""
        return float(self.rng.uniform(*limits))


def point_along(line: LineString, along: float) -> tuple[float, float, float]:
    """Return the position (x, y) at `along` pixels on the line and its heading there in radians."""
    before, here, after = (line.interpolate(max(0.0, along + step)) for step in (-4.0, 0.0, 4.0))
    return here.x, here.y, math.atan2(after.y - before.y, after.x - before.x)


def beside(x: float, y: float, heading: float, distance: float) -> RoadPoint:
    """Return the position `distance` pixels to the right of the heading (y runs down)."""
    return x - distance * math.sin(heading), y + distance * math.cos(heading)
