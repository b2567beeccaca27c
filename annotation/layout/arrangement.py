"""How things lie on a tile: in which half or part, along what, in rows, as a grid; said only where nobody doubts it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Road, TileFacts, TileObject
from rsvqa.annotation.layout.parts import PARTS, shares_by_part

IN_PART_SHARE = 0.8
IN_HALF_SHARE = 0.9
EVERYWHERE_SHARE = 0.05
"""Ground lies in a part or a half with this share of it, and everywhere with this share of it in each of nine parts."""

MIN_ROW = 4
MAX_OFF_LINE = 0.35
MAX_SPACING_RATIO = 1.6
IN_ROWS_SHARE = 0.85
"""A row has so many objects, off its line by this share of their shorter side at most, gaps that differ by this ratio
at most; objects stand in rows when this share of them does."""

MAX_SIZE_RATIO = 1.5
"""Objects of equal size differ in area by this ratio at most."""

MAX_IN_ROWS = 80
"""Rows of more objects are not looked for; bounds the time."""

GRID_DEG = 8.0
GRID_SHARE = 0.9
MIN_GRID_SHARE = 0.25
MIN_GRID_CROSSINGS = 4
"""Streets are a grid when this share of their length runs within so many degrees of two directions at right angles,
at least the smaller share along each of the two, and they cross so often."""

EDGE_STEPS = 400
TOUCH_PX = 3.0
AROUND_SHARE = 0.9
BORDER_SHARE = 0.3
BORDERS_SHARE = 0.85
"""An outline is looked at in so many places for what is within some pixels; what has the greatest share of it lies all
around, what has the second share borders on it, and all that is named has the last share together."""

Rows = Literal["none", "row", "rows"]
"""How objects stand; keys of `caption.rows` in the wording."""


def place_of(ground: BaseGeometry, facts: TileFacts) -> str | None:
    """Return the part (a name of `PARTS`) or the half in which nearly all of some ground lies; None where neither."""
    shares = shares_by_part(ground, facts.width, facts.height)
    if max(shares) >= IN_PART_SHARE:
        return PARTS[int(np.argmax(shares))]
    if min(shares) >= EVERYWHERE_SHARE:
        return "everywhere"
    halves = {
        "left": shapely.box(0, 0, facts.width / 2, facts.height),
        "right": shapely.box(facts.width / 2, 0, facts.width, facts.height),
        "upper": shapely.box(0, 0, facts.width, facts.height / 2),
        "lower": shapely.box(0, facts.height / 2, facts.width, facts.height),
    }
    inside = {name: shapely.intersection(ground, half).area / max(ground.area, 1e-9) for name, half in halves.items()}
    best = max(inside, key=lambda name: inside[name])
    return best if inside[best] >= IN_HALF_SHARE else None


class Neighbours(NamedTuple):
    """What borders on some ground: the classes, the longest border first, and whether one of them is all around."""

    names: tuple[str, ...]
    is_around: bool


def neighbours(ground: Polygon | MultiPolygon, others: Mapping[str, BaseGeometry], facts: TileFacts) -> Neighbours:
    """Return the classes along whose ground most of an outline runs; the tile's edge is no outline.

    Args:
        ground: whose outline is followed, tile pixels.
        others: the ground of the other classes by name.
        facts: the size of the tile.
    """
    inner = shapely.box(0, 0, facts.width, facts.height).buffer(-TOUCH_PX, join_style="mitre")
    edge = shapely.intersection(ground.boundary, inner)
    if not others or edge.length < 2 * TOUCH_PX:
        return Neighbours((), False)
    beside = dict(zip(others, _beside(edge, list(others.values())), strict=True))
    shares = {name: float(is_there.mean()) for name, is_there in beside.items()}
    order = sorted((name for name in shares if shares[name] >= BORDER_SHARE), key=lambda name: (-shares[name], name))
    if not order or np.any([beside[name] for name in order], axis=0).mean() < BORDERS_SHARE:
        return Neighbours((), False)
    first = order[0]
    is_around = len(order) == 1 and shares[first] >= AROUND_SHARE and bool(shapely.covers(inner, ground))
    if is_around:  # what fills holes is inside the ground, not around it
        is_around = float(_beside(without_holes(ground).boundary, [others[first]]).mean()) >= AROUND_SHARE
    return Neighbours(tuple(order), is_around)


def _beside(edge: BaseGeometry, others: Sequence[BaseGeometry]) -> NDArray[np.bool_]:
    """Return at which places along an edge each of some grounds touches it, (grounds, places)."""
    places = points_along(edge, min(EDGE_STEPS, math.ceil(edge.length)))
    found = np.zeros((len(others), len(places)), dtype=bool)
    # What asks is prepared, what is found is not: a ground may have thousands of corners.
    points: NDArray[np.object_] = np.array(shapely.points(places), dtype=object)
    which, near = STRtree(points).query(list(others), predicate="dwithin", distance=TOUCH_PX)
    found[which, near] = True
    return found


def without_holes(ground: BaseGeometry) -> BaseGeometry:
    """Return some ground with all that lies inside it."""
    parts = [part for part in shapely.get_parts(ground) if isinstance(part, Polygon)]
    return shapely.union_all([Polygon(part.exterior) for part in parts])


def points_along(line: BaseGeometry, num: int) -> NDArray[np.float64]:
    """Return the (num, 2) middles of as many equal lengths of a line; its parts count as one after the other."""
    parts = [shapely.get_coordinates(part) for part in shapely.get_parts(line)]
    starts, ends = np.concatenate([part[:-1] for part in parts]), np.concatenate([part[1:] for part in parts])
    lengths = np.hypot(*(ends - starts).T)
    reached = np.cumsum(lengths)
    places = (np.arange(num) + 0.5) * reached[-1] / num
    index = np.searchsorted(reached, places)
    on_the_way = (places - reached[index] + lengths[index]) / lengths[index]
    points: NDArray[np.float64] = starts[index] + on_the_way[:, None] * (ends - starts)[index]
    return points


def rows_of(objects: Sequence[TileObject]) -> Rows:
    """Return whether nearly all of some objects of like size stand evenly spaced in a straight row, or in several."""
    if not MIN_ROW <= len(objects) <= MAX_IN_ROWS or not are_of_one_size(objects):
        return "none"
    shapes = np.array([item.geometry for item in objects], dtype=object)
    centres, bounds = shapely.get_coordinates(shapely.centroid(shapes)), shapely.bounds(shapes)
    reach = MAX_OFF_LINE * float(np.minimum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]).min())
    rows = _rows(centres, reach)
    if max(map(len, rows), default=0) >= IN_ROWS_SHARE * len(objects):
        return "row"
    return "rows" if len(set(chain.from_iterable(rows))) >= IN_ROWS_SHARE * len(objects) else "none"


def are_of_one_size(objects: Sequence[TileObject]) -> bool:
    """Return whether the largest of some outlines is hardly larger than the smallest."""
    areas = shapely.area(np.array([item.geometry for item in objects], dtype=object))
    return bool(areas.min() > 0 and areas.max() <= MAX_SIZE_RATIO * areas.min())


def _rows(centres: NDArray[np.float64], reach: float) -> list[list[int]]:
    """Return the rows that each object and its nearest ones begin: indices along a line, evenly spaced."""
    rows = []
    for index, centre in enumerate(centres):
        away = np.hypot(*(centres - centre).T)
        for other in np.argsort(away, kind="stable")[1:4]:
            row = _row_along(centres, index, int(other), reach)
            if len(row) >= MIN_ROW:
                rows.append(row)
    return rows


def _row_along(centres: NDArray[np.float64], start: int, other: int, reach: float) -> list[int]:
    """Return the evenly spaced objects on the line through two of them; the two among them, or nothing."""
    step = centres[other] - centres[start]
    length = float(np.hypot(*step))
    if length <= reach:
        return []
    ahead = step / length
    along = (centres - centres[start]) @ ahead
    across = (centres - centres[start]) @ np.array([-ahead[1], ahead[0]])
    order = [int(index) for index in np.argsort(along, kind="stable") if abs(across[index]) <= reach]
    runs: list[list[int]] = [[]]
    for first, second in pairwise(order):
        gap = along[second] - along[first]
        if not length / MAX_SPACING_RATIO**0.5 <= gap <= length * MAX_SPACING_RATIO**0.5:
            runs.append([])
            continue
        runs[-1] = [*(runs[-1] or [first]), second]
    return next((run for run in runs if start in run and other in run), [])


def form_a_grid(roads: Sequence[Road]) -> bool:
    """Return whether nearly all road runs in two directions at right angles, and the roads cross several times."""
    lines = [road.geometry for road in roads]
    steps = [np.diff(shapely.get_coordinates(line), axis=0) for line in lines]
    if not steps:
        return False
    vectors = np.concatenate(steps)
    lengths = np.hypot(*vectors.T)
    angles = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 180
    turn = 4 * np.radians(angles)  # directions at right angles fall together
    main = np.degrees(np.angle((lengths * np.exp(1j * turn)).sum())) / 4
    off = [np.abs((angles - main - quarter + 90) % 180 - 90) <= GRID_DEG for quarter in (0, 90)]
    along = [float(lengths[is_along].sum()) / float(lengths.sum()) for is_along in off]
    if sum(along) < GRID_SHARE or min(along) < MIN_GRID_SHARE:
        return False
    return _num_crossings(lines) >= MIN_GRID_CROSSINGS


def _num_crossings(lines: Sequence[shapely.LineString]) -> int:
    """Return at how many places one line meets the inside of another."""
    shapes = np.array(lines, dtype=object)
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    is_pair = first < second
    met = shapely.intersection(shapes[first[is_pair]], shapes[second[is_pair]])
    points = [part for part in shapely.get_parts(met) if isinstance(part, shapely.Point)]
    ends = shapely.multipoints([point for line in lines for point in (line.coords[0], line.coords[-1])])
    return len({(round(point.x), round(point.y)) for point in points if point.distance(ends) > TOUCH_PX})
