"""What is painted on an example place without being labelled: lane dashes, hedges, field tracks and single trees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from rsvqa.rsvqa_builder.demo.ground import Layout
from rsvqa.rsvqa_builder.demo.objects import DemoObject, PaintedDetail, Site

TREES_PER_MPIX = {"residential": 190, "grassland": 90, "commercial": 40}
"""Trees per million pixels of land use; 11 per hectare in gardens is 90."""

TREES_A_CLUMP = 5
TREE_RADIUS = (5.0, 11.0)
HEDGE_WIDTH, TRACK_WIDTH = 10.0, 4.0
DASH, DASH_SPACING, DASH_WIDTH = 10.0, 26.0, 1.4
JUNCTION_CLEARANCE = 44.0
"""Pixels of road before a junction without a centre line."""


def add_marks(site: Site) -> None:
    """Add all of them; trees last, since they keep away from objects."""
    for road in site.layout.roads:
        for dash in _dashes(road.line):
            site.mark("dash", dash, DASH_WIDTH)
    for number, line in enumerate(site.layout.boundaries):
        is_hedge = number % 2 == 0
        site.mark("hedge" if is_hedge else "track", line, HEDGE_WIDTH if is_hedge else TRACK_WIDTH)
    for crown in _crowns(site):
        site.marks.append(PaintedDetail("tree", crown))


def _dashes(line: LineString) -> Iterator[LineString]:
    for along in np.arange(JUNCTION_CLEARANCE, line.length - JUNCTION_CLEARANCE - DASH, DASH_SPACING).tolist():
        yield LineString([line.interpolate(along), line.interpolate(along + DASH)])


def _crowns(site: Site) -> list[Polygon]:
    """Return the outlines of single trees, in clumps, off the roads, water and all objects of both dates."""
    places, radii = [], []
    for use, density in TREES_PER_MPIX.items():
        for area in site.areas_of(use):
            num = int(site.rng.poisson(area.area / 1e6 * density / TREES_A_CLUMP))
            x_min, y_min, x_max, y_max = area.bounds
            clumps = site.rng.uniform((x_min, y_min), (x_max, y_max), (_in_box(area, num), 2))
            spread = site.rng.normal(0, 45, (len(clumps), TREES_A_CLUMP, 2))
            places.append((clumps[:, None] + spread).reshape(-1, 2))
            radii.append(site.rng.uniform(*TREE_RADIUS, len(places[-1])))
    points, radius = np.concatenate(places), np.concatenate(radii)
    is_free = _is_in_uses(site, points) & _is_clear(site.layout, site.objects, points, radius)
    turns = site.rng.uniform(0.78, 1.0, (len(points), 12))
    return [_crown(points[k, 0], points[k, 1], radius[k] * turns[k]) for k in np.flatnonzero(is_free)]


def _in_box(area: Polygon, num: int) -> int:
    """Return how many points in the area's bounding box give `num` in the area."""
    x_min, y_min, x_max, y_max = area.bounds
    return round(num * (x_max - x_min) * (y_max - y_min) / area.area)


def _is_in_uses(site: Site, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    wanted = [area for use in TREES_PER_MPIX for area in site.areas_of(use)]
    inside = np.zeros(len(points), dtype=bool)
    inside[shapely.STRtree(wanted).query(shapely.points(points), predicate="within")[0]] = True
    return inside


def _is_clear(
    layout: Layout, objects: Sequence[DemoObject], points: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which trees keep clear of objects, of roads and of what is no place for trees at either date."""
    uses = {"water", "car_park", "farmland", "forest", "bare_ground", "orchard", "vineyard", "industrial"}
    kept_off = [
        face.polygon for face in layout.faces if any(layout.styles[style].class_name in uses for style in face.styles)
    ]
    tree = shapely.STRtree([*kept_off, *(item.polygon for item in objects)])
    trees = np.asarray(shapely.points(points), dtype=object)
    is_clear = np.ones(len(points), dtype=bool)
    is_clear[tree.query(trees, predicate="dwithin", distance=radius + 2)[0]] = False
    # asked the other way round: the roads of a large scene are one polygon, which is prepared once
    is_clear[shapely.STRtree(trees).query(layout.corridor, predicate="dwithin", distance=TREE_RADIUS[1] + 2)] = False
    return is_clear


def _crown(x: float, y: float, radii: NDArray[np.float64]) -> Polygon:
    angles = np.arange(len(radii)) * (2 * math.pi / len(radii))
    return Polygon(np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1))
