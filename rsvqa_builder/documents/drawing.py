"""Geometries as SVG: in pixels of what is shown, to a tenth of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import shapely
from shapely.geometry.base import BaseGeometry

MAX_DRAWN_POINTS = 2_000
"""A geometry with more vertices than this is outlined by its bounds: thousands of roofs would hide the picture."""


def rectangle(window: tuple[float, float, float, float], css_class: str) -> str:
    """Return a rectangle of (x, y, width, height)."""
    x, y, width, height = (number(value) for value in window)
    return f'<rect class="{css_class}" x="{x}" y="{y}" width="{width}" height="{height}"/>'


def path_data(geometry: BaseGeometry) -> str:
    """Return the lines of any geometry as SVG path data; points become short strokes with round ends."""
    return "".join(_subpath(points) for points in lines_of(geometry))


def lines_of(geometry: BaseGeometry) -> list[list[tuple[float, ...]]]:
    """Return the coordinates of each line, ring and point of a geometry; of its bounds where there are too many."""
    if shapely.get_num_coordinates(geometry) > MAX_DRAWN_POINTS:
        geometry = shapely.box(*geometry.bounds)
    return list(_lines(geometry))


def _lines(geometry: BaseGeometry) -> Iterator[list[tuple[float, ...]]]:
    """Yield the coordinates of each line, ring and point of a geometry."""
    for part in shapely.get_parts(geometry):
        if part.geom_type.startswith("Multi") or part.geom_type == "GeometryCollection":
            yield from _lines(part)
        elif part.geom_type == "Polygon":
            yield from (list(ring.coords) for ring in (part.exterior, *part.interiors))
        elif not part.is_empty:
            yield list(part.coords)


def _subpath(points: Sequence[tuple[float, ...]]) -> str:
    pairs = [f"{number(point[0])} {number(point[1])}" for point in points]
    return "M" + "L".join(pairs if len(pairs) > 1 else pairs * 2)


def number(value: float) -> str:
    """Return a coordinate to a tenth of a pixel, without a trailing ".0"."""
    return f"{value:.1f}".removesuffix(".0")
