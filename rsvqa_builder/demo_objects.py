"""The objects of an example place: buildings along the roads, parked and moving vehicles, ships, tanks, pools, courts.

Every object is an exact polygon in scene pixels. No two of one date overlap, and all stay `SCENE_MARGIN` pixels inside the
scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from shapely import LineString, Polygon

from rsvqa_builder.demo_layout import Frame, Layout, RoadPiece

SCENE_MARGIN = 6.0
GAP = 3.0
"""Pixels kept free between objects, so that no pixel belongs to two of them."""

BOTH_DATES = (True, True)
LANE_OFFSETS = {"main_road": 9.0, "street": 6.5}  # pixels from the centre line, right-hand traffic
ROAD_TRAFFIC = {"main_road": 1 / 300, "street": 1 / 620}  # vehicles a pixel of road
BAY_WIDTH, BAY_LENGTH, AISLE = 9.0, 18.0, 20.0
LARGE_BAY_WIDTH, LARGE_BAY_LENGTH, LARGE_AISLE = 14.0, 46.0, 34.0

ROOFS = {
    "house": (("red", 30), ("brown", 22), ("grey", 20), ("black", 8), ("orange", 14), ("blue", 4), ("green", 2)),
    "office_building": (("grey", 45), ("white", 35), ("brown", 12), ("blue", 8)),
    "warehouse": (("white", 40), ("grey", 28), ("blue", 18), ("green", 8), ("red", 6)),
}
PAINTS = {
    "car": (("white", 28), ("grey", 24), ("black", 20), ("red", 12), ("blue", 12), ("yellow", 4)),
    "truck": (("white", 50), ("blue", 18), ("red", 16), ("green", 8), ("orange", 8)),
    "bus": (("red", 40), ("white", 30), ("yellow", 20), ("blue", 10)),
    "ship": (("red", 25), ("blue", 25), ("white", 25), ("green", 10), ("black", 15)),
    "storage_tank": (("white", 75), ("grey", 25)),
    "tennis_court": (("green", 40), ("blue", 40), ("orange", 20)),
}


class BuildingPlan(NamedTuple):
    """How one kind of building stands along a road; pixels, (least, most)."""

    class_name: str
    length: tuple[float, float]
    width: tuple[float, float]
    setback: tuple[float, float]
    spacing: tuple[float, float]
    height: float


BUILDINGS = {
    "residential": BuildingPlan("house", (32, 46), (25, 33), (14, 24), (18, 34), 9),
    "commercial": BuildingPlan("office_building", (90, 150), (44, 60), (20, 34), (34, 70), 30),
    "industrial": BuildingPlan("warehouse", (120, 210), (75, 125), (26, 44), (40, 100), 16),
}


@dataclass(frozen=True, slots=True)
class DemoObject:
    """One object as it is painted and labelled.

    Attributes:
        object_id: unique in the place; the same at both dates for what stays.
        polygon: exact outline in scene pixels.
        frame: the rectangle around it along its own axis; the axis of a vehicle or ship points where it heads.
        colour: name of the paint that covers most of it; None where it has none.
        moving: for vehicles and ships.
        damage: for buildings: "none" or "damaged roof".
        dates: whether it is there at the earlier and at the later date.
        height: pixels that its shadow is long.
    """

    object_id: str
    class_name: str
    polygon: Polygon
    frame: Frame
    colour: str | None = None
    moving: bool | None = None
    damage: str | None = None
    dates: tuple[bool, bool] = BOTH_DATES
    height: float = 0.0


class Stroke(NamedTuple):
    """A painted line that is no object: kind is "path", "fence", "bay" or "track"; width in pixels."""

    kind: str
    line: LineString
    width: float


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands on the ground plan."""

    objects: tuple[DemoObject, ...]
    strokes: tuple[Stroke, ...]


def place_objects(layout: Layout, rng: np.random.Generator, *, with_later: bool, traffic: float = 1.0) -> Contents:
    """Return all objects of both dates.

    Args:
        layout: the ground plan.
        rng: the only source of chance.
        with_later: a second date is wanted: some buildings are new or gone then, vehicles have moved.
        traffic: factor on the number of moving vehicles and on occupied bays.
    """
    placer = _Placer(layout, rng, with_later=with_later)
    placer.add_buildings()
    placer.add_tanks()
    placer.add_courts()
    for date in (0, 1) if with_later else (0,):
        placer.add_parked(date, traffic)
        placer.add_moving(date, traffic)
        placer.add_ships(date)
    placer.add_bays()
    return Contents(tuple(placer.objects), tuple(placer.strokes))


class _Occupied:
    """What ground is taken, by a coarse grid of cells."""

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


class _Placer:
    """Puts objects on the plan, each only where it fits."""

    def __init__(self, layout: Layout, rng: np.random.Generator, *, with_later: bool) -> None:
        self.layout = layout
        self.rng = rng
        self.with_later = with_later
        self.objects: list[DemoObject] = []
        self.strokes: list[Stroke] = []
        self._occupied = (_Occupied(), _Occupied())  # earlier and later date
        self._counts: dict[str, int] = {}
        self._inside = shapely.box(0, 0, layout.size, layout.size).buffer(-SCENE_MARGIN, join_style="mitre")
        self._areas = [layout.areas(date) for date in (0, 1)]
        self._trees = [shapely.STRtree([polygon for _, polygon in areas]) for areas in self._areas]
        shapely.prepare([polygon for areas in self._areas for _, polygon in areas])

    def class_at(self, polygon: Polygon, date: int, gap: float) -> str | None:
        """Return the land use that `polygon` and `gap` pixels around it lie in at `date`; None when it is not one."""
        grown = polygon.buffer(gap, quad_segs=2)
        numbers = self._trees[date].query(grown, predicate="covered_by")
        return self.layout.styles[self._areas[date][int(numbers[0])][0]].class_name if len(numbers) else None

    def add(
        self,
        class_name: str,
        polygon: Polygon,
        frame: Frame,
        *,
        gap: float = GAP,
        colour: str | None = None,
        moving: bool | None = None,
        damage: str | None = None,
        dates: tuple[bool, bool] = BOTH_DATES,
        height: float = 0.0,
    ) -> bool:
        """Add the object and return True when it is inside the scene and its place is free."""
        taken = [occupied for occupied, is_there in zip(self._occupied, dates, strict=True) if is_there]
        if not self._inside.contains(polygon) or not all(occupied.is_free(polygon, gap) for occupied in taken):
            return False
        for occupied in taken:
            occupied.add(polygon)
        number = self._counts[class_name] = self._counts.get(class_name, 0) + 1
        name = f"{class_name}-{number}"
        self.objects.append(DemoObject(name, class_name, polygon, frame, colour, moving, damage, dates, height))
        return True

    def colour_of(self, choices: tuple[tuple[str, int], ...]) -> str:
        weights = np.array([weight for _, weight in choices], dtype=float)
        return choices[int(self.rng.choice(len(choices), p=weights / weights.sum()))][0]

    def between(self, limits: tuple[float, float]) -> float:
        return float(self.rng.uniform(*limits))

    # Buildings and what belongs to them

    def add_buildings(self) -> None:
        for road in self.layout.roads:
            for side in (-1, 1):
                along = 20.0
                while along < road.line.length - 20:
                    along += self._build(road, along, side)

    def _build(self, road: RoadPiece, along: float, side: int) -> float:
        """Put one building at `along` on one side of the road where it fits; return the way to the next place."""
        x, y, heading = _point_along(road.line, along)
        probe = _beside(x, y, heading, side * (road.width / 2 + 30))
        uses = [self._use_at(probe, date) for date in (0, 1)]
        plan = next((BUILDINGS[use] for use in uses if use in BUILDINGS), None)
        if plan is None:
            return 40.0
        length, width = self.between(plan.length), self.between(plan.width)
        setback = self.between(plan.setback)
        x, y, heading = _point_along(road.line, along + length / 2)
        distance = road.width / 2 + setback + width / 2
        centre = _beside(x, y, heading, side * distance)
        frame = Frame(*centre, length, width, heading + self.rng.uniform(-0.03, 0.03))
        polygon = self._outline(plan.class_name, frame)
        fits = [self.class_at(polygon, date, 6.0) in BUILDINGS for date in (0, 1)]
        dates = (fits[0], fits[1])
        if self.with_later and all(fits) and self.rng.random() < 0.10:
            dates = (True, False) if self.rng.random() < 0.4 else (False, True)
        if not any(dates) or not (self.with_later or dates[0]):
            return 24.0
        damage = "damaged roof" if self.rng.random() < 0.03 else "none"
        colour = self.colour_of(ROOFS[plan.class_name])
        if not self.add(
            plan.class_name, polygon, frame, gap=12, colour=colour, damage=damage, dates=dates, height=plan.height
        ):
            return 24.0
        self._add_yard(road, plan, frame, side, dates)
        return length + self.between(plan.spacing)

    def _use_at(self, point: tuple[float, float], date: int) -> str | None:
        numbers = self._trees[date].query(shapely.Point(point), predicate="intersects")
        return self.layout.styles[self._areas[date][int(numbers[0])][0]].class_name if len(numbers) else None

    def _outline(self, class_name: str, frame: Frame) -> Polygon:
        """Return a rectangle, or for some houses an L."""
        if class_name != "house" or self.rng.random() > 0.2:
            return frame.polygon()
        half, across = frame.length / 2, frame.width / 2
        cut = float(self.rng.uniform(-0.1, 0.2)) * frame.length
        points = [
            (-half, -across),
            (half, -across),
            (half, 0.1 * across),
            (cut, 0.1 * across),
            (cut, across),
            (-half, across),
        ]
        return Polygon([frame.to_scene(u, v) for u, v in points])

    def _add_yard(self, road: RoadPiece, plan: BuildingPlan, frame: Frame, side: int, dates: tuple[bool, bool]) -> None:
        """Add what comes with a building: a drive to the road, a fence, sometimes a pool."""
        front = side * -1.0
        u = (frame.length / 2 - 7) * (1 if self.rng.random() < 0.5 else -1)
        start = frame.to_scene(u, front * frame.width / 2)
        end = frame.to_scene(u, front * (frame.width / 2 + 70))
        drive = LineString([start, end]).difference(self.layout.corridor)
        drive = shapely.get_parts(drive)[0]
        if drive.length < 60:
            self.strokes.append(Stroke("path", drive, 9.0 if plan.class_name == "house" else 22.0))
        if plan.class_name != "house":
            return
        edge = frame.length / 2 + 12
        fence = LineString([frame.to_scene(edge, front * 40), frame.to_scene(edge, -front * 75)])
        self.strokes.append(Stroke("fence", fence, 2.0))
        if self.rng.random() < 0.07:
            centre = frame.to_scene(self.rng.uniform(-6, 6), -front * (frame.width / 2 + 26))
            pool = Frame(*centre, self.between((22, 34)), self.between((12, 17)), frame.angle)
            polygon = pool.polygon()
            if all(self.class_at(polygon, date, 3.0) == "residential" for date in (0, 1) if dates[date]):
                self.add("swimming_pool", polygon, pool, gap=8, colour="cyan", dates=dates)

    def add_tanks(self) -> None:
        """Put rows of storage tanks on the free ground of industrial areas."""
        areas = [polygon for number, polygon in self._areas[0] if self._is(number, "industrial")]
        for polygon in areas[: 1 + len(areas) // 3]:
            circle = shapely.maximum_inscribed_circle(polygon, tolerance=4.0)
            x, y = circle.coords[0]
            radius = float(self.rng.uniform(20, 34))
            grid = Frame(x, y, 0, 0, float(self.rng.uniform(0, math.pi)))
            for row in range(-2, 3):
                for column in range(-3, 4):
                    centre = grid.to_scene(column * radius * 2.9, row * radius * 2.9)
                    tank = Frame(*centre, 2 * radius, 2 * radius, 0.0)
                    outline = Polygon(_circle_points(tank, 48))
                    if self.rng.random() < 0.75 and self.class_at(outline, 0, 10.0) == "industrial":
                        self.add(
                            "storage_tank",
                            outline,
                            tank,
                            gap=12,
                            colour=self.colour_of(PAINTS["storage_tank"]),
                            height=14,
                        )

    def add_courts(self) -> None:
        """Put tennis courts side by side into parks."""
        areas = [polygon for number, polygon in self._areas[0] if self._is(number, "grassland")]
        for polygon in areas:
            circle = shapely.maximum_inscribed_circle(polygon, tolerance=4.0)
            if circle.length < 90 or self.rng.random() < 0.3:
                continue
            grid = Frame(*circle.coords[0], 0, 0, float(self.rng.uniform(0, math.pi)))
            colour = self.colour_of(PAINTS["tennis_court"])
            for number in range(int(self.rng.integers(1, 4))):
                court = Frame(*grid.to_scene(0, (number - 1) * 62.0), 112.0, 52.0, grid.angle)
                if self.class_at(court.polygon(), 0, 6.0) == "grassland":
                    self.add("tennis_court", court.polygon(), court, gap=6, colour=colour)

    def _is(self, style: int, class_name: str) -> bool:
        return self.layout.styles[style].class_name == class_name

    # Vehicles and ships

    def add_parked(self, date: int, traffic: float) -> None:
        dates = (date == 0, date == 1)
        for park in self.layout.car_parks:
            share = min(0.9, float(self.rng.uniform(0.4, 0.75)) * traffic)
            for bay, is_large in _bays(park):
                if self.rng.random() > (share * 0.6 if is_large else share):
                    continue
                kind = ("truck" if self.rng.random() < 0.6 else "bus") if is_large else "car"
                turn = math.pi if self.rng.random() < 0.4 else 0.0
                self._add_vehicle(kind, (bay.x, bay.y), bay.angle + turn, moving=False, dates=dates)

    def add_moving(self, date: int, traffic: float) -> None:
        dates = (date == 0, date == 1)
        for road in self.layout.roads:
            num = int(self.rng.poisson(road.line.length * ROAD_TRAFFIC[road.class_name] * traffic))
            for _ in range(num):
                draw = self.rng.random()
                kind = "car" if draw < 0.78 else "truck" if draw < 0.9 else "bus"
                x, y, heading = _point_along(road.line, self.rng.uniform(0, road.line.length))
                heading += math.pi if self.rng.random() < 0.5 else 0.0
                # y runs down, so a quarter turn clockwise on the ground adds to the angle: traffic keeps right
                place = _beside(x, y, heading, LANE_OFFSETS[road.class_name])
                self._add_vehicle(kind, place, heading, moving=True, dates=dates)

    def _add_vehicle(
        self, kind: str, place: tuple[float, float], heading: float, *, moving: bool, dates: tuple[bool, bool]
    ) -> None:
        length, width = {"car": (15.0, 6.6), "truck": (32.0, 8.6), "bus": (40.0, 8.6)}[kind]
        scale = float(self.rng.uniform(0.94, 1.06))
        frame = Frame(*place, length * scale, width, heading)
        polygon = _vehicle_outline(frame)
        if moving and not self.layout.carriageway.contains(polygon):
            return
        self.add(
            kind, polygon, frame, gap=2.0, colour=self.colour_of(PAINTS[kind]), moving=moving, dates=dates, height=3
        )

    def add_ships(self, date: int) -> None:
        dates = (date == 0, date == 1)
        river = self.layout.river
        for x, y, width in river[2:-2:5]:
            if self.rng.random() > 0.4:
                continue
            number = min(range(len(river) - 1), key=lambda k: math.dist(river[k][:2], (x, y)))
            flow = math.atan2(river[number + 1][1] - y, river[number + 1][0] - x)
            length = float(self.rng.uniform(0.22, 0.5)) * width
            is_moving = self.rng.random() < 0.55
            turn = float(self.rng.uniform(-0.15, 0.15)) if is_moving else float(self.rng.uniform(-0.9, 0.9))
            heading = flow + turn + (math.pi if self.rng.random() < 0.5 else 0.0)
            place = _beside(x, y, flow, float(self.rng.uniform(-0.28, 0.28)) * width)
            frame = Frame(*place, length, length * float(self.rng.uniform(0.2, 0.26)), heading)
            polygon = _ship_outline(frame)
            if self.class_at(polygon, date, 8.0) == "water":
                self.add(
                    "ship", polygon, frame, gap=14, colour=self.colour_of(PAINTS["ship"]), moving=is_moving, dates=dates
                )

    def add_bays(self) -> None:
        for park in self.layout.car_parks:
            for bay, _ in _bays(park):
                for side in (-1, 1):
                    ends = [bay.to_scene(u, side * bay.width / 2) for u in (-bay.length / 2, bay.length / 2)]
                    self.strokes.append(Stroke("bay", LineString(ends), 1.0))


def _bays(park: Frame) -> Iterator[tuple[Frame, bool]]:
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


def _row(park: Frame, v: float, width: float, length: float) -> Iterator[Frame]:
    num = int((park.length - 16) // width)
    for k in range(num):
        u = (k - (num - 1) / 2) * width
        yield Frame(*park.to_scene(u, v + length / 2), length, width, park.angle + math.pi / 2)


def _vehicle_outline(frame: Frame) -> Polygon:
    """Return a rectangle with its corners taken off."""
    half, across, cut = frame.length / 2, frame.width / 2, 1.0
    points = [(half, across - cut), (half - cut, across), (cut - half, across), (-half, across - cut)]
    points += [(-u, -v) for u, v in points]
    return Polygon([frame.to_scene(u, v) for u, v in points])


def _ship_outline(frame: Frame) -> Polygon:
    """Return a hull with a pointed bow and a straight stern."""
    half, across = frame.length / 2, frame.width / 2
    shares = [(1.0, 0.0), (0.86, 0.52), (0.68, 0.86), (0.45, 1.0), (-0.9, 1.0), (-1.0, 0.8)]
    points = [(u * half, v * across) for u, v in shares]
    points += [(u * half, -v * across) for u, v in reversed(shares[1:])]
    return Polygon([frame.to_scene(u, v) for u, v in points])


def _circle_points(frame: Frame, num: int) -> list[tuple[float, float]]:
    angles = [2 * math.pi * k / num for k in range(num)]
    return [frame.to_scene(frame.length / 2 * math.cos(a), frame.width / 2 * math.sin(a)) for a in angles]


def _point_along(line: LineString, along: float) -> tuple[float, float, float]:
    """Return the position (x, y) at `along` pixels on the line and its heading there in radians."""
    before, here, after = (line.interpolate(max(0.0, along + step)) for step in (-4.0, 0.0, 4.0))
    return here.x, here.y, math.atan2(after.y - before.y, after.x - before.x)


def _beside(x: float, y: float, heading: float, distance: float) -> tuple[float, float]:
    """Return the position `distance` pixels to the right of the heading (y runs down)."""
    return x - distance * math.sin(heading), y + distance * math.cos(heading)
