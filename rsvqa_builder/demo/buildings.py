"""Buildings along the roads of an example place with their yards, new and vanished groups, tanks and tennis courts."""

from __future__ import annotations

import math
from typing import NamedTuple

import shapely
from shapely import LineString, Point, Polygon

from rsvqa.rsvqa_builder.demo.ground import Development, TurnedRectangle
from rsvqa.rsvqa_builder.demo.layout import DEVELOPED
from rsvqa.rsvqa_builder.demo.objects import PAINTS, Look, Site, Weighted, beside, point_along
from rsvqa.rsvqa_builder.demo.roads import RoadPiece, RoadPoint

POOL_PAINTS: Weighted = (("cyan", 3), ("blue", 3), ("green", 2), ("grey", 2), ("white", 2))
"""Clean, deep, neglected, covered and empty ones."""

SHARE_CHANGED = 0.04
"""Share of the buildings along the roads that are new or gone at the later date."""

SHARE_TURNED = 0.7
"""Share of the sides of roads along which the buildings stand at an angle of their own to the road."""

SHARE_OF_GROUP = 0.95
"""Share of the places in a development that are taken."""

SHARE_DAMAGED = 0.03
SHARE_WITH_POOL = 0.07
COURT_LENGTH, COURT_WIDTH, COURT_SPACING = 112.0, 52.0, 62.0  # pixels; 33.5 × 15.6 m with the run-off


class BuildingPlan(NamedTuple):
    """How one kind of building stands along a road; (least, most) in pixels, height in pixels of shadow."""

    class_name: str
    length: tuple[float, float]
    width: tuple[float, float]
    setback: tuple[float, float]
    spacing: tuple[float, float]
    drive_width: float
    height: float


BUILDINGS = {
    "residential": BuildingPlan("house", (28, 54), (22, 34), (14, 24), (18, 34), 9, 9),
    "commercial": BuildingPlan("office_building", (56, 150), (32, 60), (20, 34), (34, 70), 22, 30),
    "industrial": BuildingPlan("warehouse", (64, 200), (40, 110), (26, 44), (40, 100), 22, 16),
}


GROUP_CELLS = {
    "house": (66.0, 74.0),
    "office_building": (164.0, 96.0),
    "warehouse": (172.0, 140.0),
    "storage_tank": (78.0, 78.0),
}
"""Pixels along and across from one to the next in a development."""

LANE_WIDTH = 16.0


def add_developments(site: Site, dates: tuple[bool, bool]) -> None:
    """Put the groups of objects of one of the dates into the middle of their grounds, with a lane to the next road."""
    roads = [road.line for road in site.layout.roads]
    for group in site.layout.developments:
        if not any(a and b for a, b in zip(group.dates, dates, strict=True)):
            continue
        middle = group.middle
        cell = GROUP_CELLS[group.class_name]
        columns, rows = (max(1, int(middle.length // side)) for side in cell)
        line = roads[int(shapely.STRtree(roads).nearest(Point(middle.x, middle.y)))]
        for row in range(rows):
            v = (row - (rows - 1) / 2) * cell[1]
            for column in range(columns):
                place = middle.to_scene((column - (columns - 1) / 2) * cell[0], v)
                if site.rng.random() < SHARE_OF_GROUP:
                    _add_to_group(site, group, place)
        ends = [
            middle.to_scene(side * columns * cell[0] / 2, (0.0 if rows % 2 == 0 else cell[1] / 2)) for side in (-1, 1)
        ]
        site.mark("path", LineString(ends), LANE_WIDTH, group.dates)
        near = shapely.shortest_line(LineString(ends), line)
        site.mark("path", near, LANE_WIDTH, group.dates)


def _add_to_group(site: Site, group: Development, place: RoadPoint) -> None:
    """Put one object at a place of a development, where the ground is of its use."""
    angle = group.middle.angle + site.between((-0.03, 0.03))
    if group.class_name == "storage_tank":
        frame = TurnedRectangle(*place, 50.0, 50.0, 0.0)
        outline, look = _circle(frame, 48), Look(colour=site.one_of(PAINTS), height=14)
    else:
        plan = next(plan for plan in BUILDINGS.values() if plan.class_name == group.class_name)
        frame = TurnedRectangle(*place, site.between(plan.length), site.between(plan.width), angle)
        frame = frame._replace(length=min(frame.length, GROUP_CELLS[group.class_name][0] - 20))
        outline = _outline(site, plan.class_name, frame)
        look = Look(colour=site.one_of(PAINTS), damage="none", height=plan.height)
    if site.is_in(DEVELOPED[group.class_name], outline, 6.0, group.dates):
        site.add(group.class_name, outline, frame, look, gap=8, dates=group.dates)


def add_buildings(site: Site, dates: tuple[bool, bool]) -> None:
    """Line both sides of every road with the buildings of the land use there; some only at one of two dates."""
    for road in site.layout.roads:
        for side in (-1, 1):
            along = 20.0
            turn = math.pi / 4 * int(site.rng.integers(4)) if site.rng.random() < SHARE_TURNED else 0.0
            while along < road.line.length - 20:
                along += _build(site, road, along, side, turn, dates)


def _build(site: Site, road: RoadPiece, along: float, side: int, turn: float, wanted: tuple[bool, bool]) -> float:
    """Put one building at `along` on one side of the road where it fits; return the way to the next place.

    Its longer side is turned out of the road's direction by `turn`.
    """
    probe = beside(*point_along(road.line, along), side * (road.width / 2 + 30))
    plan = BUILDINGS.get(site.use_at(probe, 0) or "")
    if plan is None or any(group.ground.contains(Point(probe)) for group in site.layout.developments):
        return 40.0
    length, width = site.between(plan.length), site.between(plan.width)
    x, y, heading = point_along(road.line, along + length / 2)
    setback = site.between(plan.setback)
    reach = (length * abs(math.sin(turn)) + width * abs(math.cos(turn))) / 2
    centre = beside(x, y, heading, side * (road.width / 2 + setback + reach))
    frame = TurnedRectangle(*centre, length, width, heading + turn + site.between((-0.03, 0.03)))
    polygon = _outline(site, plan.class_name, frame)
    if not site.is_in(site.use_at(probe, 0) or "", polygon, 6.0):
        return 24.0
    dates = wanted
    if all(wanted) and site.rng.random() < SHARE_CHANGED:
        dates = (True, False) if site.rng.random() < 0.4 else (False, True)
    colour = site.one_of(PAINTS)
    damage = "damaged roof" if site.rng.random() < SHARE_DAMAGED else "none"
    look = Look(colour=colour, damage=damage, height=plan.height)
    if not site.add(plan.class_name, polygon, frame, look, gap=12, dates=dates):
        return 24.0
    if turn == 0.0:
        _add_yard(site, plan, frame, setback, side, dates)
    if plan.class_name == "house":
        _add_pool(site, frame, side, dates)
    return length * abs(math.cos(turn)) + width * abs(math.sin(turn)) + site.between(plan.spacing)


def _outline(site: Site, class_name: str, frame: TurnedRectangle) -> Polygon:
    """Return a rectangle, or for some houses an L."""
    if class_name != "house" or site.rng.random() > 0.2:
        return frame.polygon()
    half, across = frame.length / 2, frame.width / 2
    cut = site.between((-0.1, 0.2)) * frame.length
    inner = 0.1 * across
    points = [(-half, -across), (half, -across), (half, inner), (cut, inner), (cut, across), (-half, across)]
    return Polygon([frame.to_scene(u, v) for u, v in points])


def _add_yard(
    site: Site, plan: BuildingPlan, frame: TurnedRectangle, setback: float, side: int, dates: tuple[bool, bool]
) -> None:
    """Add what comes with a building that faces the road: a drive, and for houses a fence."""
    front = -side  # the road lies on this side across the frame
    u = (frame.length / 2 - 7) * (1 if site.rng.random() < 0.5 else -1)
    ends = [frame.to_scene(u, front * (frame.width / 2 + reach)) for reach in (0.0, setback)]
    site.mark("path", LineString(ends), plan.drive_width, dates)
    if plan.class_name != "house":
        return
    edge = frame.length / 2 + 12
    site.mark("fence", LineString([frame.to_scene(edge, front * 40), frame.to_scene(edge, -front * 75)]), 2.0, dates)


def _add_pool(site: Site, frame: TurnedRectangle, side: int, dates: tuple[bool, bool]) -> None:
    """Put a pool behind some of the houses."""
    if site.layout.character.allows("swimming_pool") and site.rng.random() < SHARE_WITH_POOL:
        centre = frame.to_scene(site.between((-6, 6)), side * (frame.width / 2 + 26))
        pool = TurnedRectangle(*centre, site.between((18, 40)), site.between((11, 20)), frame.angle)
        if site.is_in("residential", pool.polygon(), 3.0):
            site.add("swimming_pool", pool.polygon(), pool, Look(colour=site.one_of(POOL_PAINTS)), gap=8, dates=dates)


def add_tanks(site: Site) -> None:
    """Put rows of storage tanks on the free ground of some industrial areas."""
    areas = site.areas_of("industrial") if site.layout.character.allows("storage_tank") else []
    for area in areas[: 1 + len(areas) // 3]:
        x, y = shapely.maximum_inscribed_circle(area, tolerance=4.0).coords[0]
        radius = site.between((14, 36))
        grid = TurnedRectangle(x, y, 0.0, 0.0, site.between((0, math.pi)))
        places = [(column, row) for row in range(-2, 3) for column in range(-3, 4)]
        for column, row in places:
            place = grid.to_scene(column * radius * 2.9, row * radius * 2.9)
            tank = TurnedRectangle(*place, 2 * radius, 2 * radius, 0.0)
            outline = _circle(tank, 48)
            if site.rng.random() < 0.75 and site.is_in("industrial", outline, 10.0):
                site.add("storage_tank", outline, tank, Look(colour=site.one_of(PAINTS), height=14), gap=12)


def add_courts(site: Site) -> None:
    """Put one to three tennis courts side by side into some of the parks."""
    areas = site.areas_of("grassland") if site.layout.character.allows("tennis_court") else []
    for number, area in enumerate(areas):
        circle = shapely.maximum_inscribed_circle(area, tolerance=4.0)
        if circle.length < 90 or (number and site.rng.random() < 0.3):
            continue
        x, y = circle.coords[0]
        grid = TurnedRectangle(x, y, 0.0, 0.0, site.between((0, math.pi)))
        colour = site.one_of(PAINTS)
        for k in range(int(site.rng.integers(1, 4))):
            place = grid.to_scene(0, (k - 1) * COURT_SPACING)
            court = TurnedRectangle(*place, COURT_LENGTH, COURT_WIDTH, grid.angle)
            if site.is_in("grassland", court.polygon(), 6.0):
                site.add("tennis_court", court.polygon(), court, Look(colour=colour), gap=6)


def _circle(frame: TurnedRectangle, num: int) -> Polygon:
    angles = [2 * math.pi * k / num for k in range(num)]
    radius = frame.length / 2
    return Polygon([frame.to_scene(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles])
