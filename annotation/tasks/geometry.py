"""Long axes, pixel boxes and discs: the plane geometry that several tasks share.

Image axes: x to the right, y DOWN. Angles are degrees clockwise from "up" in the image, as north is given in the facts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryCollection, MultiPolygon, Point, Polygon
from shapely.affinity import scale
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, Circle, Gsd, TileObject


class LongAxis(NamedTuple):
    """The smallest rectangle around an outline: its sides and the direction of the longer one.

    `length` and `width` are metres when a ground sampling distance was given, else pixels; `angle_deg` is in [0, 180),
    clockwise from "up" in the image, on the ground where pixels are not square.
    """

    length: float
    width: float
    angle_deg: float

    @property
    def ratio(self) -> float:
        """Length over width; infinite for a line."""
        return self.length / self.width if self.width > 0 else math.inf


def long_axis(geometry: BaseGeometry, gsd_m: Gsd | None = None) -> LongAxis:
    """Return the long axis of the minimum rotated rectangle; all zero for a point."""
    outline = geometry if gsd_m is None else scale(geometry, gsd_m.x_m, gsd_m.y_m, origin=(0, 0))
    rectangle = shapely.oriented_envelope(outline)
    if not isinstance(rectangle, Polygon):  # a point, or a line whose envelope has no area
        return _longer_side(list(rectangle.coords), width=0.0)
    corners = list(rectangle.exterior.coords)
    first, second = corners[:2], corners[1:3]
    longer, shorter = sorted((first, second), key=lambda side: math.dist(*side), reverse=True)
    return _longer_side(longer, width=math.dist(*shorter))


def _longer_side(ends: list[tuple[float, ...]], *, width: float) -> LongAxis:
    (x_1, y_1), (x_2, y_2) = ends[0][:2], ends[-1][:2]
    length = math.hypot(x_2 - x_1, y_2 - y_1)
    if length == 0:
        return LongAxis(0.0, 0.0, 0.0)
    angle = math.degrees(math.atan2(x_2 - x_1, y_1 - y_2)) % 180  # y points down, so "up" is the smaller y
    return LongAxis(length, width, 0.0 if angle >= 180 else angle)  # -1e-17 % 180 is 180.0


def direction_on_ground(angle_deg: float, gsd_m: Gsd) -> float:
    """Return a direction in the image (degrees clockwise from "up") as it is on the ground, in [0, 360).

    The two differ only where pixels are not square.
    """
    radians = math.radians(angle_deg)
    return math.degrees(math.atan2(math.sin(radians) * gsd_m.x_m, math.cos(radians) * gsd_m.y_m)) % 360


def box_text(box: Box, *, width: int, height: int) -> list[int]:
    """Return `[x_min, y_min, x_max, y_max]` in whole pixels, rounded outwards and kept inside the image.

    The maximum stays exclusive and at least one pixel above the minimum, for points too.
    """
    x_min, x_max = _whole_pixels(box.x_min, box.x_max, width)
    y_min, y_max = _whole_pixels(box.y_min, box.y_max, height)
    return [x_min, y_min, x_max, y_max]


def _whole_pixels(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the whole-pixel interval inside `[0, size]` that covers `[low, high]`."""
    first = min(max(math.floor(low), 0), size - 1)
    return first, min(max(math.ceil(high), first + 1), size)


def bounds_of(objects: Sequence[TileObject]) -> NDArray[np.float64]:
    """Return the (N, 4) boxes of objects in tile pixels; (0, 4) for none. Far faster than box by box."""
    return np.asarray(shapely.bounds([found.geometry for found in objects]), dtype=np.float64).reshape(-1, 4)


SHOWN_PX = 0.5
"""Geometries that are only shown are true to this."""


def shown(geometries: Sequence[BaseGeometry]) -> BaseGeometry:
    """Return at least one geometry as one, for a reader of evidence: a MultiPolygon of polygons, else a collection.

    Outlines are simplified and rounded: as text, a large area would be longer than all else in its record.
    """
    parts = shapely.get_parts(shapely.simplify(np.array(geometries, dtype=object), SHOWN_PX))
    rounded: list[BaseGeometry] = list(shapely.transform(parts, lambda points: np.round(points, 1)))
    if len(rounded) == 1:
        return rounded[0]
    polygons = [part for part in rounded if isinstance(part, Polygon)]
    return MultiPolygon(polygons) if len(polygons) == len(rounded) else GeometryCollection(rounded)


def circle_polygon(circle: Circle) -> Polygon:
    """Return the disc as a polygon of 128 corners; its area is 0.04 % below the true one."""
    return Point(circle.x, circle.y).buffer(circle.radius, quad_segs=32)
