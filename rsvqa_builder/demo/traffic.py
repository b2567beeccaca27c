"""Parked and moving vehicles, and ships, of an example place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from shapely import LineString, Polygon

from rsvqa.rsvqa_builder.demo.ground import TurnedRectangle
from rsvqa.rsvqa_builder.demo.objects import PAINTS, Look, Site, beside, point_along
from rsvqa.rsvqa_builder.demo.roads import RoadPoint

LANE_OFFSETS = {"main_road": 9.0, "street": 6.5}  # pixels from the centre line, right-hand traffic
ROAD_TRAFFIC = {"main_road": 1 / 300, "street": 1 / 620}  # vehicles per pixel of road
BAY_WIDTH, BAY_LENGTH, AISLE = 9.0, 18.0, 20.0
LARGE_BAY_WIDTH, LARGE_BAY_LENGTH, LARGE_AISLE = 14.0, 46.0, 34.0

VEHICLE_SIZES = {
    "car": ((13.0, 18.0), (6.2, 7.2)),
    "truck": ((20.0, 40.0), (7.6, 9.2)),
    "bus": ((22.0, 42.0), (7.8, 9.2)),
}
"""Pixels along and across, (least, most); short trucks and buses are alike, and not far from long cars."""


def add_parked(site: Site, date: int, traffic: float) -> None:
    """Fill some of the bays of every car park at one date."""
    for park in site.layout.car_parks:
        share = min(0.9, site.between((0.4, 0.75)) * traffic)
        for bay, is_large in _bays(park):
            if site.rng.random() > (share * 0.6 if is_large else share):
                continue
            kind = ("truck" if site.rng.random() < 0.6 else "bus") if is_large else "car"
            turn = math.pi if site.rng.random() < 0.4 else 0.0
            _add_vehicle(site, kind, (bay.x, bay.y), bay.angle + turn, moving=False, date=date)


def add_moving(site: Site, date: int, traffic: float) -> None:
    """Put vehicles on the right-hand lanes of the roads at one date."""
    for road in site.layout.roads:
        for _ in range(int(site.rng.poisson(road.line.length * ROAD_TRAFFIC[road.class_name] * traffic))):
            draw = site.rng.random()
            kind = "car" if draw < 0.78 else "truck" if draw < 0.9 else "bus"
            x, y, heading = point_along(road.line, site.between((0, road.line.length)))
            heading += math.pi if site.rng.random() < 0.5 else 0.0
            place = beside(x, y, heading, LANE_OFFSETS[road.class_name])
            _add_vehicle(site, kind, place, heading, moving=True, date=date)


def _add_vehicle(site: Site, kind: str, place: RoadPoint, heading: float, *, moving: bool, date: int) -> None:
    if not site.layout.character.allows(kind):
        return
    length, width = (site.between(limits) for limits in VEHICLE_SIZES[kind])
    frame = TurnedRectangle(*place, length, width, heading)
    polygon = _vehicle_outline(frame)
    if not moving or site.layout.carriageway.contains(polygon):
        colour, dates = site.one_of(PAINTS), (date == 0, date == 1)
        site.add(kind, polygon, frame, Look(colour=colour, moving=moving, height=3), gap=2.0, dates=dates)


def add_ships(site: Site, date: int) -> None:
    """Put ships on the river at one date: those under way follow it, those at anchor lie at any angle."""
    if not site.layout.character.allows("ship"):
        return
    river = site.layout.river
    for (x, y, width), (next_x, next_y, _) in list(pairwise(river))[2:-2:5]:
        if site.rng.random() > 0.4:
            continue
        flow = math.atan2(next_y - y, next_x - x)
        length = site.between((0.22, 0.5)) * width
        is_moving = bool(site.rng.random() < 0.55)
        turn = site.between((-0.15, 0.15)) if is_moving else site.between((-0.9, 0.9))
        heading = flow + turn + (math.pi if site.rng.random() < 0.5 else 0.0)
        place = beside(x, y, flow, site.between((-0.28, 0.28)) * width)
        frame = TurnedRectangle(*place, length, length * site.between((0.2, 0.26)), heading)
        polygon = _ship_outline(frame)
        if site.class_at(polygon, date, 8.0) == "water":
            colour, dates = site.one_of(PAINTS), (date == 0, date == 1)
            site.add("ship", polygon, frame, Look(colour=colour, moving=is_moving), gap=14, dates=dates)


def mark_bays(site: Site) -> None:
    """Paint the lines between parking bays."""
    for park in site.layout.car_parks:
        for bay, _ in _bays(park):
            for side in (-1, 1):
                ends = [bay.to_scene(u, side * bay.width / 2) for u in (-bay.length / 2, bay.length / 2)]
                site.mark("bay", LineString(ends), 1.0)


def _bays(park: TurnedRectangle) -> Iterator[tuple[TurnedRectangle, bool]]:
    """Yield the bays of a car park, and whether each is for trucks and buses: the first row is when there is room."""
    v = -park.width / 2 + 5
    if park.width > 130:
        yield from ((bay, True) for bay in _row(park, v, LARGE_BAY_WIDTH, LARGE_BAY_LENGTH))
        v += LARGE_BAY_LENGTH + LARGE_AISLE
    while v + BAY_LENGTH < park.width / 2 - 4:
        yield from ((bay, False) for bay in _row(park, v, BAY_WIDTH, BAY_LENGTH))
        v += BAY_LENGTH + AISLE
        if v + BAY_LENGTH < park.width / 2 - 4:
            yield from ((bay, False) for bay in _row(park, v, BAY_WIDTH, BAY_LENGTH))
            v += BAY_LENGTH


def _row(park: TurnedRectangle, v: float, width: float, length: float) -> Iterator[TurnedRectangle]:
    num = int((park.length - 16) // width)
    for k in range(num):
        u = (k - (num - 1) / 2) * width
        yield TurnedRectangle(*park.to_scene(u, v + length / 2), length, width, park.angle + math.pi / 2)


def _vehicle_outline(frame: TurnedRectangle) -> Polygon:
    """Return a rectangle with its corners taken off."""
    half, across, cut = frame.length / 2, frame.width / 2, 1.0
    points = [(half, across - cut), (half - cut, across), (cut - half, across), (-half, across - cut)]
    points += [(-u, -v) for u, v in points]
    return Polygon([frame.to_scene(u, v) for u, v in points])


def _ship_outline(frame: TurnedRectangle) -> Polygon:
    """Return a hull with a pointed bow and a straight stern."""
    half, across = frame.length / 2, frame.width / 2
    shares = [(1.0, 0.0), (0.86, 0.52), (0.68, 0.86), (0.45, 1.0), (-0.9, 1.0), (-1.0, 0.8)]
    points = [(u * half, v * across) for u, v in shares]
    points += [(u * half, -v * across) for u, v in reversed(shares[1:])]
    return Polygon([frame.to_scene(u, v) for u, v in points])
