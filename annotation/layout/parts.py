"""The nine parts of a tile, left to right and top to bottom, as XLRS-Bench's captions name them."""

from __future__ import annotations

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box

PARTS = (
    "top_left",
    "top_centre",
    "top_right",
    "middle_left",
    "centre",
    "middle_right",
    "bottom_left",
    "bottom_centre",
    "bottom_right",
)
"""The parts in reading order; the names are keys of `part` in the wording."""


def part_boxes(width: int, height: int) -> tuple[Box, ...]:
    """Return the boxes of the nine parts in the order of `PARTS`, tile pixels; they cover the tile without overlap."""
    columns = [width * step / 3 for step in range(4)]
    rows = [height * step / 3 for step in range(4)]
    return tuple(
        Box(columns[column], rows[row], columns[column + 1], rows[row + 1]) for row in range(3) for column in range(3)
    )


def part_polygons(width: int, height: int) -> tuple[Polygon, ...]:
    """Return the nine parts as polygons, in the order of `PARTS`."""
    return tuple(shapely.box(*box) for box in part_boxes(width, height))


def shares_by_part(geometry: BaseGeometry, width: int, height: int) -> tuple[float, ...]:
    """Return what share of a geometry's area lies in each part, in the order of `PARTS`; zeros for no area."""
    if not geometry.area:
        return (0.0,) * len(PARTS)
    pieces = shapely.intersection(geometry, np.array(part_polygons(width, height), dtype=object))
    return tuple(float(area) / geometry.area for area in shapely.area(pieces))
