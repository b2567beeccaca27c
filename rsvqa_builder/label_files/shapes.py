"""Geometries as annotation tools store them: boxes with a turn, rings that are not closed."""

from __future__ import annotations

import struct

import numpy as np
from shapely import MultiPolygon, Polygon

_POLYGON, _MULTI_POLYGON = 3, 6
_HEADER_BYTES, _POINT_BYTES = 9, 16


def turned_box(centre: tuple[float, float], size: tuple[float, float], angle: float) -> Polygon:
    """Return a box of (width, height) about its centre, turned clockwise on the picture by `angle`, radians."""
    width, height = size
    corners = np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    # y runs down, so this is clockwise for the eye
    turned = corners @ np.array([(cos, sin), (-sin, cos)])
    return Polygon(turned + np.array(centre))


def closed_rings(wkb: bytes) -> Polygon | MultiPolygon | None:
    """Return the polygon of a two-dimensional WKB with its open rings closed; None where that is not what ails it.

    GEOS reads no ring whose last point is not its first; GDAL hands them on as the file has them.
    """
    try:
        _, kind, count = _header(wkb, 0)
        if kind == _POLYGON:
            return _polygon(wkb, 0)[0]
        if kind != _MULTI_POLYGON:
            return None
        parts: list[Polygon] = []
        at = _HEADER_BYTES
        for _ in range(count):
            part, at = _polygon(wkb, at)
            parts.append(part)
        return MultiPolygon(parts)
    except (struct.error, ValueError):
        return None


def _header(wkb: bytes, start: int) -> tuple[str, int, int]:
    """Return the byte order, the type and the number of parts of the geometry that starts at a byte."""
    order = "<" if wkb[start : start + 1] == b"\1" else ">"
    kind, count = struct.unpack_from(f"{order}II", wkb, start + 1)
    return order, kind, count


def _polygon(wkb: bytes, start: int) -> tuple[Polygon, int]:
    """Return the polygon that starts at a byte, and the byte after it."""
    order, _, count = _header(wkb, start)
    at = start + _HEADER_BYTES
    rings = []
    for _ in range(count):
        (size,) = struct.unpack_from(f"{order}I", wkb, at)
        rings.append(np.frombuffer(wkb, f"{order}f8", count=2 * size, offset=at + 4).reshape(-1, 2))
        at += 4 + size * _POINT_BYTES
    return (Polygon(rings[0], rings[1:]) if rings else Polygon()), at
