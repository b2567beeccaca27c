"""The ground plan of an example place: a river, blocks of land use between the roads, what changes by a second date.

All coordinates are scene pixels (x right, y DOWN). The land-use partition comes from one noded set of lines, never from
differences of polygons: it has no gap and no overlap by construction.
"""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import polygonize

from rsvqa.rsvqa_builder.demo.character import WILD_ZONES, AnomalyKind, Character
from rsvqa.rsvqa_builder.demo.ground import Anomaly, Development, Face, Layout, Style, TurnedRectangle
from rsvqa.rsvqa_builder.demo.roads import GRID, PAVEMENT_WIDTH, Network, RoadPoint, polygons_of

MAX_RIVER_WIDTH = 330.0

FIELDS = ("farmland", "orchard", "vineyard")
"""Zones whose blocks are divided."""

SHARE_FALLOW = 0.12
"""Share of the fields that are grassland."""

SHARE_OTHER_CROP = 0.4
"""Share of the fields with another crop at the later date."""

DEVELOPED = {
    "house": "residential",
    "warehouse": "industrial",
    "storage_tank": "industrial",
    "office_building": "commercial",
}
"""What is built, or taken down, as a whole between the dates, and the land use that it makes of its block."""

BLOCKS_A_DEVELOPMENT = 4
DEVELOPED_GROUND, DEVELOPED_MIDDLES = 1.7, (0.3, 1.0)
"""Sides of a development's ground and (least and most) of the square for its objects, in radii of the block's widest
place: a circle has room around the objects, and small groups fit into the circles of small tiles."""

MAX_DEVELOPED_RADIUS = 350.0  # pixels; of a widest place that counts

TREELESS = ("bare_ground", "grassland", "farmland")
"""What ground is used as before trees are planted and after they are felled, the first that the place has."""

ANOMALY_SHARE = 0.85
"""Share of the widest place's radius that an anomaly fills."""

MIN_ANOMALY_RADIUS = 60.0

SITES_AN_ANOMALY = 2
"""Blocks at most that one kind of anomaly lies in, and one for each three that it could."""


def make_layout(size: int, rng: np.random.Generator, character: Character | None = None) -> Layout:
    """Return the ground plan of a square place of `size` pixels, of the usual character unless another is given."""
    return _Planner(size, rng, character or Character()).plan()


@dataclass(slots=True)
class _Inset:
    polygon: Polygon
    styles: tuple[Style | None, Style | None]  # None: as the ground around it
    anomaly: AnomalyKind | None = None


@dataclass(slots=True, kw_only=True)
class _Block:
    """A part of the ground enclosed by roads and the scene's border."""

    polygon: Polygon
    zone: str
    angle: float
    origin: RoadPoint
    cuts: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())  # offsets of field borders along both own axes
    insets: list[_Inset] = field(default_factory=list)
    fields: dict[tuple[int, int], tuple[Style, Style]] = field(default_factory=dict)

    def field_of(self, point: Point) -> tuple[int, int]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = point.x - self.origin[0], point.y - self.origin[1]
        return bisect(self.cuts[0], dx * cos + dy * sin), bisect(self.cuts[1], dy * cos - dx * sin)

    def borders(self) -> list[LineString]:
        reach = math.dist(self.polygon.bounds[:2], self.polygon.bounds[2:])
        frame = TurnedRectangle(*self.origin, 0.0, 0.0, self.angle)
        lines = [LineString([frame.to_scene(cut, -reach), frame.to_scene(cut, reach)]) for cut in self.cuts[0]]
        lines += [LineString([frame.to_scene(-reach, cut), frame.to_scene(reach, cut)]) for cut in self.cuts[1]]
        return [part for line in lines for part in shapely.get_parts(line.intersection(self.polygon))]


class _Planner:
    """Draws the plan step by step; every random choice comes from the one generator, in a fixed order."""

    def __init__(self, size: int, rng: np.random.Generator, character: Character) -> None:
        self.size = size
        self.rng = rng
        self.character = character
        self.scene = shapely.box(0, 0, size, size)
        self.network = Network(size, rng, character)

    def plan(self) -> Layout:
        corridor = self.network.surface(0.0)
        river_line = self._river_line()
        river = self._river(river_line)
        blocks = self._blocks()
        taken = shapely.union_all([corridor.buffer(24), river.buffer(30)])
        car_parks = self._add_insets(blocks, taken)
        for kind in self.character.anomalies:
            self._add_anomaly(kind, blocks, taken)
        developments = self._develop(blocks, taken)
        faces, styles, anomalies = self._partition(blocks, corridor, river)
        return Layout(
            size=self.size,
            character=self.character,
            roads=tuple(self.network.roads),
            corridor=corridor,
            carriageway=self.network.surface(2 * PAVEMENT_WIDTH),
            faces=tuple(faces),
            styles=tuple(styles),
            anomalies=tuple(anomalies),
            developments=tuple(developments),
            car_parks=tuple(car_parks),
            river=tuple(river_line),
            boundaries=tuple(line for block in blocks for line in block.borders()),
        )

    # Water, blocks and what lies in them

    def _river_line(self) -> list[tuple[float, float, float]]:
        """Return points along the river, half-way between two roads, with its width there; none without a river."""
        if self.network.river_lane is None:
            return []
        lanes = (self.network.river_lane, self.network.river_lane + 1)
        left, right = (self.network.curves[self.network.river_axis][k - 1] for k in lanes)
        width, phase = min(MAX_RIVER_WIDTH, 0.4 * self.network.spacing), self.rng.uniform(0, 2 * math.pi)
        points = []
        for along in np.arange(-80.0, self.size + 81.0, 40.0).tolist():
            across = (left.at(along) + right.at(along)) / 2 + 0.02 * self.network.spacing * math.sin(
                along / 190 + phase
            )
            here = width * (1 + 0.12 * math.sin(along / 310 + phase) + 0.05 * math.sin(along / 87 + 2 * phase))
            points.append((across, along, here) if self.network.river_axis == "x" else (along, across, here))
        return points

    def _river(self, line: list[tuple[float, float, float]]) -> Polygon:
        if not line:
            return Polygon()
        is_down = self.network.river_axis == "x"
        banks = [[(x + side * w / 2, y) if is_down else (x, y + side * w / 2) for x, y, w in line] for side in (-1, 1)]
        (river,) = polygons_of(Polygon(banks[0] + banks[1][::-1]).intersection(self.scene))
        return river

    def _blocks(self) -> list[_Block]:
        """Return what the roads and the scene's border enclose, each with the zone of the nearest cell."""
        lines = shapely.union_all([self.scene.exterior, *(road.line for road in self.network.roads)])
        polygons = sorted(polygonize(shapely.get_parts(lines)), key=lambda polygon: polygon.bounds)
        zones = self.network.zones
        centres = {cell: self.network.centre(cell) for cell in sorted(zones)}
        tree = shapely.STRtree(list(centres.values()))
        zone_of = [zones[list(centres)[int(tree.nearest(polygon.representative_point()))]] for polygon in polygons]
        return [self._block(polygon, zone) for polygon, zone in zip(polygons, zone_of, strict=True)]

    def _block(self, polygon: Polygon, zone: str) -> _Block:
        angle = _long_axis(polygon) + self.rng.uniform(-0.06, 0.06)
        block = _Block(polygon=polygon, zone=zone, angle=angle, origin=(polygon.centroid.x, polygon.centroid.y))
        if zone in FIELDS:
            side = math.sqrt(polygon.area)
            num = 2 + (side > 700) + (side > 1200)
            first = [((k + self.rng.uniform(-0.25, 0.25)) / num - 0.5) * side for k in range(1, num)]
            second = [float(self.rng.uniform(-0.15, 0.15)) * side] if self.rng.random() < 0.7 else []
            block.cuts = (tuple(first), tuple(second))
        return block

    def _add_insets(self, blocks: list[_Block], taken: BaseGeometry) -> list[TurnedRectangle]:
        """Put car parks and ponds into the blocks; return the car parks' frames."""
        by_zone: dict[str, list[_Block]] = {}
        for block in blocks:
            by_zone.setdefault(block.zone, []).append(block)
        car_parks: list[TurnedRectangle] = []
        paved = by_zone.get("commercial", []) + by_zone.get("industrial", [])[::2]
        for block in paved if self.character.has_car_parks else []:
            car_parks += self._add_car_park(block, taken)
        for block in by_zone.get("grassland", [])[::2] if self.character.has_water else []:
            centre, radius = _widest_place(block, taken)
            self._add_blob(block, centre, 0.45 * radius, (Style(class_name="water"), Style(class_name="water")))
        return car_parks

    def _add_anomaly(self, kind: AnomalyKind, blocks: list[_Block], taken: BaseGeometry) -> None:
        """Put an anomaly into the blocks where most of it can lie in one of the nine parts of the scene."""
        free = [block for block in blocks if not any(inset.anomaly for inset in block.insets)]
        zones = {block.zone for block in free}
        zone = next((zone for zone in kind.zones if zone in zones), None)
        fits: list[tuple[float, _Block, Point]] = []
        for block in free:
            if block.zone == zone:
                centre, radius = _widest_place(block, taken)
                room = max(
                    MIN_ANOMALY_RADIUS, min(abs(v - k * self.size / 3) for v in centre.coords[0] for k in (1, 2))
                )
                fits.append((min(ANOMALY_SHARE * radius, room), block, centre))
        fits.sort(key=lambda fit: -fit[0])
        for radius, block, centre in fits[: max(1, min(SITES_AN_ANOMALY, len(fits) // 3))]:
            style = Style(
                class_name=kind.use, variant=int(self.rng.integers(1 << 16)), angle=block.angle, look=kind.look
            )
            self._add_blob(block, centre, radius, (None, style), kind)

    def _develop(self, blocks: list[_Block], taken: BaseGeometry) -> list[Development]:
        """Change the use of most of some blocks outside the town; return what is built or taken down in them.

        Each change happens in both directions: where land only ever becomes residential, the words "from residential"
        tell that an answer is wrong.
        """
        zones = self.character.zone_shares
        free = [block for block in blocks if block.zone in WILD_ZONES and not block.insets]
        widest = {id(block): _widest_place(block, taken) for block in free}
        free.sort(key=lambda block: -widest[id(block)][1])
        free = free[: max(1, min(len(blocks) // BLOCKS_A_DEVELOPMENT, 2 * len(free) // 3))]
        names = [name for name, use in DEVELOPED.items() if use in zones and self.character.allows(name)]
        names = [names[k] for k in self.rng.permutation(len(names))]
        treeless = next((name for name in TREELESS if name in zones), None)
        first_is_new, is_planted = self.rng.random(2) < 0.5
        has_wood = False
        developments: list[Development] = []
        for block in free:
            centre, radius = widest[id(block)]
            radius = min(radius, MAX_DEVELOPED_RADIUS)
            if block.zone == "forest" and not has_wood and treeless is not None:
                bare = self._style(treeless)
                self._add_blob(block, centre, radius, (bare, None) if is_planted else (None, bare))
                has_wood = True
                continue
            name, is_new = names[len(developments) % len(names)], bool((len(developments) % 2 == 0) == first_is_new)
            used = self._style(DEVELOPED[name])
            ground, middle = (
                TurnedRectangle(centre.x, centre.y, side * radius, side * radius, block.angle)
                for side in (DEVELOPED_GROUND, float(self.rng.uniform(*DEVELOPED_MIDDLES)))
            )
            block.insets.append(_Inset(ground.polygon(), (None, used) if is_new else (used, None)))
            developments.append(Development(name, ground.polygon(), middle, (not is_new, is_new)))
        return developments

    def _add_car_park(self, block: _Block, taken: BaseGeometry) -> list[TurnedRectangle]:
        centre, radius = _widest_place(block, taken)
        length, width = min(330.0, 1.5 * radius), min(210.0, 1.0 * radius)
        if width < 80:
            return []
        # it lies within the circle at any angle, and what is parked on it does so in any direction
        frame = TurnedRectangle(centre.x, centre.y, length, width, self.rng.uniform(0, math.pi))
        style = self._style("car_park", frame.angle)
        block.insets.append(_Inset(frame.polygon(), (style, style)))
        return [frame]

    def _add_blob(
        self,
        block: _Block,
        centre: Point,
        radius: float,
        styles: tuple[Style | None, Style | None],
        anomaly: AnomalyKind | None = None,
    ) -> None:
        """Put an irregular patch of at most `radius` pixels around a point into the block, if it is worth it."""
        if radius < 20:
            return
        angles = np.arange(64) * (2 * math.pi / 64)
        radii = np.ones(64)
        for wave in range(2, 9):
            radii += (
                self.rng.uniform(0.2, 0.8) / wave**1.4 * 0.4 * np.sin(wave * angles + self.rng.uniform(0, 2 * math.pi))
            )
        radii *= radius / radii.max()
        points = np.stack([centre.x + radii * np.cos(angles), centre.y + radii * np.sin(angles)], axis=1)
        block.insets.append(_Inset(Polygon(points), styles, anomaly))

    def _style(self, class_name: str, angle: float = 0.0) -> Style:
        return Style(class_name=class_name, variant=int(self.rng.integers(1 << 16)), angle=angle)

    # The partition

    def _partition(
        self, blocks: list[_Block], corridor: BaseGeometry, river: Polygon
    ) -> tuple[list[Face], list[Style], list[Anomaly]]:
        """Return the faces between all borders, each with its styles, and the anomalies as unions of faces."""
        lines: list[BaseGeometry] = [self.scene.exterior, corridor.boundary, river.boundary]
        for block in blocks:
            lines += [*block.borders(), *(inset.polygon.exterior for inset in block.insets), block.polygon.exterior]
        noded = shapely.union_all(lines, grid_size=GRID)
        polygons = sorted(polygonize(shapely.get_parts(noded)), key=lambda p: p.bounds)
        points = [polygon.representative_point() for polygon in polygons]
        tree = shapely.STRtree([block.polygon for block in blocks])
        shapely.prepare([corridor, river])
        styles: dict[Style, int] = {Style(class_name="road_surface"): 0, Style(class_name="water"): 1}
        faces: list[Face] = []
        anomalous: dict[AnomalyKind, list[Polygon]] = {}
        for polygon, point in zip(polygons, points, strict=True):
            if corridor.contains(point):
                faces.append(Face(polygon, (0, 0)))
            elif river.contains(point):
                faces.append(Face(polygon, (1, 1)))
            else:
                block = blocks[int(tree.nearest(point))]
                pair = self._field_styles(block, point)
                inset = next((inset for inset in block.insets if inset.polygon.contains(point)), None)
                if inset is not None:
                    pair = (inset.styles[0] or pair[0], inset.styles[1] or pair[1])
                    if inset.anomaly:
                        anomalous.setdefault(inset.anomaly, []).append(polygon)
                first, second = (styles.setdefault(style, len(styles)) for style in pair)
                faces.append(Face(polygon, (first, second)))
        anomalies = [
            Anomaly(kind.class_name, kind.cause, part)
            for kind, parts in anomalous.items()
            for part in polygons_of(shapely.coverage_union_all(parts))
        ]
        return faces, list(styles), anomalies

    def _field_styles(self, block: _Block, point: Point) -> tuple[Style, Style]:
        """Return the styles at both dates of the field (or the whole block) around a point, insets apart."""
        key = block.field_of(point)
        if key not in block.fields:
            block.fields[key] = self._new_field(block)
        return block.fields[key]

    def _new_field(self, block: _Block) -> tuple[Style, Style]:
        turn = math.pi / 2 if self.rng.random() < 0.4 else 0.0
        first = self._style(block.zone, block.angle + turn)
        if block.zone != "farmland":
            return first, first
        if "grassland" in self.character.zone_shares and self.rng.random() < SHARE_FALLOW:
            first = self._style("grassland")
            return first, first
        return first, self._style("farmland", first.angle) if self.rng.random() < SHARE_OTHER_CROP else first


def _long_axis(polygon: Polygon) -> float:
    """Return the angle (radians) of the longer side of the smallest rectangle around `polygon`."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon)).tolist()
    sides = [(math.dist(a, b), math.atan2(b[1] - a[1], b[0] - a[0])) for a, b in pairwise(corners)]
    return max(sides[:2])[1]


def _widest_place(block: _Block, taken: BaseGeometry) -> tuple[Point, float]:
    """Return centre and radius (pixels) of the largest free circle in the block; `taken` may reach far beyond it."""
    near = shapely.clip_by_rect(taken, *block.polygon.buffer(8).bounds)
    used = shapely.union_all([near, *(inset.polygon.buffer(30) for inset in block.insets)])
    free = polygons_of(block.polygon.difference(used))
    if not free:
        return block.polygon.centroid, 0.0
    circle = shapely.maximum_inscribed_circle(shapely.MultiPolygon(free), tolerance=2.0)
    return Point(circle.coords[0]), circle.length
