"""The ground plan of an example place: winding roads, a river, blocks of land use, and what changes by a second date.

All coordinates are scene pixels (x right, y DOWN) on a fine grid, so borders that two areas share have the same vertices.
The land-use partition comes from one noded set of lines, never from differences of polygons: it has no gap and no
overlap by construction.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import networkx as nx
import numpy as np
import shapely
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import polygonize

GSD_M = 0.3
"""Metres a pixel of every example scene."""

GRID = 1 / 16
"""Vertices of roads and areas are multiples of this many pixels."""

BLOCK_SPACING = 820.0
"""Wanted distance between neighbouring roads, pixels (about 250 m)."""

MIN_BLOCKS = 3
MAIN_ROAD_WIDTH = 54.0  # pixels, pavements included: 16 m
STREET_WIDTH = 36.0
PAVEMENT_WIDTH = 5.0
KERB_RADIUS = 10.0
MAX_RIVER_WIDTH = 330.0

ZONE_SHARES = {
    "commercial": 0.10,
    "residential": 0.26,
    "industrial": 0.13,
    "grassland": 0.10,
    "farmland": 0.25,
    "forest": 0.16,
}
"""Share of the blocks by zone, in the order in which they surround the middle of the town."""

_RURAL = ("farmland", "forest")
_STEMS = (
    *("Mill", "Church", "Station", "Orchard", "Harbour", "Castle", "Meadow", "Market", "Bridge", "Garden", "Linden"),
    *("Quarry", "Park", "School", "Windmill", "Abbey", "Chapel", "Poplar", "Willow", "Cedar", "Heron", "Juniper"),
    *("Lark", "Maple", "Elm", "Swan", "Falcon", "Copper", "Silver", "King", "Queen", "Canal", "Ferry", "Forge"),
)
_SUFFIXES = {"main_road": ("Road", "Avenue", "Boulevard"), "street": ("Street", "Lane", "Way", "Row", "Close", "Drive")}

Node = tuple[float, float]
EdgeKey = tuple[str, int, int]  # axis of the line ("x" runs down, "y" runs right), its number, the piece along it


class Frame(NamedTuple):
    """A rectangle at any angle: centre, extents along and across its axis (pixels), angle of the axis (radians)."""

    x: float
    y: float
    length: float
    width: float
    angle: float

    def to_scene(self, u: float, v: float) -> Node:
        """Return the scene position of (u, v): pixels along and across the axis from the centre."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def polygon(self) -> Polygon:
        """Return the rectangle."""
        half, across = self.length / 2, self.width / 2
        return Polygon(
            [self.to_scene(u, v) for u, v in ((-half, -across), (half, -across), (half, across), (-half, across))]
        )


@dataclass(frozen=True, slots=True)
class RoadPiece:
    """One piece of a road between two junctions; `width` in pixels includes the pavements."""

    road_id: str
    class_name: str
    name: str
    line: LineString
    width: float


@dataclass(frozen=True, slots=True)
class Style:
    """How one area is used and painted: `variant` picks colours, `angle` (radians) the direction of crop rows."""

    class_name: str
    variant: int = 0
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Face:
    """A piece of ground that no border crosses, with the numbers of its styles at the earlier and the later date."""

    polygon: Polygon
    styles: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something out of the ordinary at the later date."""

    class_name: str
    cause: str
    polygon: Polygon | MultiPolygon


@dataclass(frozen=True, slots=True)
class Layout:
    """The ground of one place at both dates.

    Attributes:
        size: pixels along both axes.
        roads: pieces that share exact end points at junctions.
        corridor: road surface with pavements; carriageway: without.
        faces: cover the scene without gap or overlap.
        styles: what `Face.styles` refers to.
        anomalies: of the later date.
        car_parks: frames of the car parks' rectangles.
        river: centre line points (x, y) with the width there, pixels; empty without a river.
        boundaries: lines between fields, for hedges and paths.
    """

    size: int
    roads: tuple[RoadPiece, ...]
    corridor: Polygon | MultiPolygon
    carriageway: Polygon | MultiPolygon
    faces: tuple[Face, ...]
    styles: tuple[Style, ...]
    anomalies: tuple[Anomaly, ...]
    car_parks: tuple[Frame, ...]
    river: tuple[tuple[float, float, float], ...]
    boundaries: tuple[LineString, ...]

    def areas(self, date: int) -> list[tuple[int, Polygon]]:
        """Return (style number, polygon) of every area at `date` (0 earlier, 1 later), faces of one style joined."""
        groups: dict[int, list[Polygon]] = {}
        for face in self.faces:
            groups.setdefault(face.styles[date], []).append(face.polygon)
        return [
            (style, part) for style in sorted(groups) for part in polygons_of(shapely.coverage_union_all(groups[style]))
        ]


def polygons_of(geometry: BaseGeometry) -> list[Polygon]:
    """Return the polygons in `geometry`, points and lines left out."""
    return [part for part in shapely.get_parts(geometry, return_index=False) if part.geom_type == "Polygon"]


def make_layout(size: int, rng: np.random.Generator, *, anomaly: str | None = None) -> Layout:
    """Return the ground plan of a square place of `size` pixels; `anomaly` is a class of the later date, or None."""
    return _Planner(size, rng).plan(anomaly)


@dataclass(frozen=True, slots=True)
class _Curve:
    """A gently winding line: the position across its axis as a function of the position along it."""

    base: float
    waves: tuple[tuple[float, float, float], ...]  # amplitude and wavelength in pixels, phase in radians

    def at(self, along: float) -> float:
        return self.base + sum(a * math.sin(2 * math.pi * along / length + phase) for a, length, phase in self.waves)


@dataclass(slots=True)
class _Inset:
    polygon: Polygon
    styles: tuple[Style | None, Style | None]  # None: as the ground around it
    anomaly: tuple[str, str] | None = None  # class and cause


@dataclass(slots=True)
class _Block:
    """A part of the ground enclosed by roads and the scene's border."""

    polygon: Polygon
    zone: str
    angle: float
    origin: Node
    cuts: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())  # offsets of field borders along both own axes
    insets: list[_Inset] = field(default_factory=list)

    def field_of(self, point: Point) -> tuple[int, int]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = point.x - self.origin[0], point.y - self.origin[1]
        return bisect(self.cuts[0], dx * cos + dy * sin), bisect(self.cuts[1], dy * cos - dx * sin)

    def borders(self) -> list[LineString]:
        reach = math.dist(self.polygon.bounds[:2], self.polygon.bounds[2:])
        frame = Frame(*self.origin, 0.0, 0.0, self.angle)
        lines = [LineString([frame.to_scene(cut, -reach), frame.to_scene(cut, reach)]) for cut in self.cuts[0]]
        lines += [LineString([frame.to_scene(-reach, cut), frame.to_scene(reach, cut)]) for cut in self.cuts[1]]
        return [part for line in lines for part in shapely.get_parts(line.intersection(self.polygon))]


class _Planner:
    """Draws the plan step by step; every random choice comes from the one generator, in a fixed order."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        self.num = max(MIN_BLOCKS, round(size / BLOCK_SPACING))
        self.spacing = size / self.num
        self.scene = shapely.box(0, 0, size, size)
        self.curves = {axis: [self._curve(k) for k in range(1, self.num)] for axis in ("x", "y")}
        self.river_axis = "x" if rng.random() < 0.5 else "y"
        self.river_lane = int(rng.integers(self.num // 2, self.num - 1)) if self.num > MIN_BLOCKS else 1
        self.names = self._names()

    def plan(self, anomaly: str | None) -> Layout:
        zones = self._zones()
        roads = self._roads(zones)
        corridor = self._surface(roads, 0.0)
        river_line = self._river_line()
        river = self._river(river_line)
        blocks = self._blocks(roads, zones)
        car_parks = self._add_insets(blocks, corridor, river, anomaly)
        faces, styles, anomalies = self._partition(blocks, corridor, river)
        borders = [line for block in blocks for line in block.borders()]
        open_ground = shapely.difference(self.scene, shapely.union_all([corridor, river]))
        return Layout(
            size=self.size,
            roads=tuple(roads),
            corridor=corridor,
            carriageway=self._surface(roads, 2 * PAVEMENT_WIDTH),
            faces=tuple(faces),
            styles=tuple(styles),
            anomalies=tuple(anomalies),
            car_parks=tuple(car_parks),
            river=tuple(river_line),
            boundaries=tuple(
                part
                for line in borders
                for part in shapely.get_parts(line.intersection(open_ground))
                if part.geom_type == "LineString"
            ),
        )

    # Roads

    def _curve(self, number: int) -> _Curve:
        jitter, phase = self.rng.uniform(-0.1, 0.1) * self.spacing, self.rng.uniform(0, 2 * math.pi, 2)
        long, short = self.rng.uniform(2.2, 3.6) * self.spacing, self.rng.uniform(1.1, 1.7) * self.spacing
        waves = ((0.09 * self.spacing, long, float(phase[0])), (0.025 * self.spacing, short, float(phase[1])))
        return _Curve(number * self.spacing + jitter, waves)

    def _names(self) -> dict[str, Iterator[str]]:
        names: dict[str, Iterator[str]] = {}
        for class_name, suffixes in _SUFFIXES.items():
            pool = [f"{stem} {suffix}" for suffix in suffixes for stem in _STEMS]
            order = self.rng.permutation(len(pool))
            pool = [pool[k] for k in order]
            names[class_name] = iter(pool + [f"{name} {k}" for k in range(2, 40) for name in pool])
        return names

    def _node(self, i: int, j: int) -> Node:
        """Return where line `i` running down meets line `j` running right; 0 and `num` are the scene's borders."""
        x = 0.0 if i == 0 else float(self.size) if i == self.num else self.curves["x"][i - 1].base
        y = 0.0 if j == 0 else float(self.size) if j == self.num else self.curves["y"][j - 1].base
        for _ in range(30):  # the slopes are far below 1, so this converges
            if 0 < i < self.num:
                x = self.curves["x"][i - 1].at(y)
            if 0 < j < self.num:
                y = self.curves["y"][j - 1].at(x)
        return _snap(x), _snap(y)

    def _edge(self, key: EdgeKey) -> list[Node]:
        """Return the points of one edge, an even number of segments, so that the middle is a vertex."""
        axis, number, piece = key
        start, end = (self._node(number, k) if axis == "x" else self._node(k, number) for k in (piece, piece + 1))
        curve, along = self.curves[axis][number - 1], 1 if axis == "x" else 0
        num = max(2, 2 * round(math.dist(start, end) / 120))
        inner = [start[along] + (end[along] - start[along]) * k / num for k in range(1, num)]
        points = [(curve.at(t), t) if axis == "x" else (t, curve.at(t)) for t in inner]
        return [start, *((_snap(x), _snap(y)) for x, y in points), end]

    def _zones(self) -> dict[tuple[int, int], str]:
        """Return the zone of every cell (column, row): town in the middle, fields and forest around."""
        cells = [(i, j) for j in range(self.num) for i in range(self.num)]
        num_towns = max(1, round(len(cells) / 36))
        towns = (
            self.rng.uniform(0.3 if num_towns == 1 else 0.1, 0.7 if num_towns == 1 else 0.9, (num_towns, 2)) * self.num
        )
        jitter = self.rng.uniform(0, 0.8, len(cells))
        distance = [min(math.dist((i + 0.5, j + 0.5), town) for town in towns) for i, j in cells]
        order = sorted(range(len(cells)), key=lambda k: distance[k] + jitter[k])
        counts = {zone: max(1, round(share * len(cells))) for zone, share in ZONE_SHARES.items()}
        counts["farmland"] += len(cells) - sum(counts.values())
        rural = [zone for zone in ZONE_SHARES if zone not in _RURAL for _ in range(counts[zone])]
        zones = {cells[k]: zone for k, zone in zip(order, rural, strict=False)}
        # forest lies together: the rural cells furthest in one direction
        heading = self.rng.uniform(0, 2 * math.pi)
        outside = sorted(
            (cells[k] for k in order[len(rural) :]), key=lambda c: c[0] * math.cos(heading) + c[1] * math.sin(heading)
        )
        for k, cell in enumerate(outside):
            zones[cell] = "farmland" if k < counts["farmland"] else "forest"
        return zones

    def _roads(self, zones: dict[tuple[int, int], str]) -> list[RoadPiece]:
        keys = [(axis, k, piece) for axis in ("x", "y") for k in range(1, self.num) for piece in range(self.num)]
        keys = self._thin_out(keys, zones)
        main = {(axis, int(k)) for axis in ("x", "y") for k in self.rng.choice(range(1, self.num), 1 + self.num // 8)}
        names = {
            (axis, k): next(self.names["main_road" if (axis, k) in main else "street"])
            for axis in ("x", "y")
            for k in range(1, self.num)
        }
        lanes, split = self._lanes(set(keys), zones)
        pieces: list[tuple[str, str, list[Node]]] = []
        for key in keys:
            points, class_name = self._edge(key), "main_road" if key[:2] in main else "street"
            middle = len(points) // 2
            parts = [points[: middle + 1], points[middle:]] if key in split else [points]
            pieces += [(class_name, names[key[:2]], part) for part in parts]
        pieces += [("street", next(self.names["street"]), lane) for lane in lanes]
        width = {"main_road": MAIN_ROAD_WIDTH, "street": STREET_WIDTH}
        return [
            RoadPiece(f"road-{number}", class_name, name, LineString(points), width[class_name])
            for number, (class_name, name, points) in enumerate(pieces)
        ]

    def _thin_out(self, keys: list[EdgeKey], zones: dict[tuple[int, int], str]) -> list[EdgeKey]:
        """Take away some roads between two fields or two woods; the network stays connected, without dead ends."""
        graph = nx.Graph()
        ends = {key: tuple((key[1], k) if key[0] == "x" else (k, key[1]) for k in (key[2], key[2] + 1)) for key in keys}
        graph.add_edges_from(ends.values())
        for key in keys:
            axis, number, piece = key
            sides = [(number - 1, piece), (number, piece)] if axis == "x" else [(piece, number - 1), (piece, number)]
            is_rural = zones[sides[0]] == zones[sides[1]] and zones[sides[0]] in _RURAL
            if self.rng.random() > 0.45 or not is_rural:
                continue
            graph.remove_edge(*ends[key])
            stubs = [node for node in ends[key] if graph.degree(node) == 0]
            is_dead_end = any(graph.degree(node) == 1 and 0 < min(node) and max(node) < self.num for node in ends[key])
            graph.remove_nodes_from(stubs)
            if is_dead_end or not nx.is_connected(graph):
                graph.add_edge(*ends[key])
        return [key for key in keys if graph.has_edge(*ends[key])]

    def _lanes(self, keys: set[EdgeKey], zones: dict[tuple[int, int], str]) -> tuple[list[list[Node]], set[EdgeKey]]:
        """Return streets through the middle of residential blocks and the edges that they meet half-way."""
        lanes: list[list[Node]] = []
        split: set[EdgeKey] = set()
        for (i, j), zone in sorted(zones.items()):
            lane = i if self.river_axis == "x" else j
            if zone != "residential" or lane == self.river_lane or self.spacing < 500:
                continue
            axis = "x" if self.rng.random() < 0.5 else "y"
            sides: list[EdgeKey] = [("x", i, j), ("x", i + 1, j)] if axis == "x" else [("y", j, i), ("y", j + 1, i)]
            if not all(key in keys for key in sides):
                continue
            ends = [points[len(points) // 2] for points in map(self._edge, sides)]
            bend = self.rng.uniform(-0.05, 0.05) * self.spacing
            middle = ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)
            middle = (middle[0], middle[1] + bend) if axis == "x" else (middle[0] + bend, middle[1])
            lanes.append([ends[0], (_snap(middle[0]), _snap(middle[1])), ends[1]])
            split.update(sides)
        return lanes, split

    def _surface(self, roads: list[RoadPiece], less: float) -> Polygon | MultiPolygon:
        """Return the ground under the roads, `less` pixels narrower than their full width, kerbs rounded."""
        strips = [_beyond_border(road.line, self.size).buffer((road.width - less) / 2, quad_segs=4) for road in roads]
        joined = shapely.union_all(strips).buffer(KERB_RADIUS, quad_segs=4).buffer(-KERB_RADIUS, quad_segs=4)
        surface = shapely.set_precision(joined.intersection(self.scene), GRID)
        return surface if isinstance(surface, Polygon | MultiPolygon) else MultiPolygon(polygons_of(surface))

    # Water, blocks and what lies in them

    def _river_line(self) -> list[tuple[float, float, float]]:
        """Return points along the river, half-way between two roads, with its width there."""
        left, right = (self.curves[self.river_axis][k] for k in (self.river_lane - 1, self.river_lane))
        width, phase = min(MAX_RIVER_WIDTH, 0.4 * self.spacing), self.rng.uniform(0, 2 * math.pi)
        points = []
        for along in np.arange(-80.0, self.size + 81.0, 40.0).tolist():
            across = (left.at(along) + right.at(along)) / 2 + 0.02 * self.spacing * math.sin(along / 190 + phase)
            here = width * (1 + 0.12 * math.sin(along / 310 + phase) + 0.05 * math.sin(along / 87 + 2 * phase))
            points.append((across, along, here) if self.river_axis == "x" else (along, across, here))
        return points

    def _river(self, line: list[tuple[float, float, float]]) -> Polygon:
        is_down = self.river_axis == "x"
        banks = [[(x + side * w / 2, y) if is_down else (x, y + side * w / 2) for x, y, w in line] for side in (-1, 1)]
        (river,) = polygons_of(Polygon(banks[0] + banks[1][::-1]).intersection(self.scene))
        return river

    def _blocks(self, roads: list[RoadPiece], zones: dict[tuple[int, int], str]) -> list[_Block]:
        border = self.scene.exterior
        lines = shapely.union_all([border, *(road.line for road in roads)])
        polygons = sorted(polygonize(shapely.get_parts(lines)), key=lambda p: p.bounds)
        centres = {cell: self._centre(cell) for cell in zones}
        tree = shapely.STRtree(polygons)
        blocks: dict[int, _Block] = {}
        for cell in sorted(zones):
            # a lane may pass just there: take the block at hand
            number = int(tree.nearest(centres[cell]))
            if number not in blocks:
                blocks[number] = self._block(polygons[number], zones[cell])
        for number, polygon in enumerate(polygons):
            if number not in blocks:
                nearest = min(centres, key=lambda cell: (polygon.centroid.distance(centres[cell]), cell))
                blocks[number] = self._block(polygon, zones[nearest])
        return [blocks[number] for number in sorted(blocks)]

    def _centre(self, cell: tuple[int, int]) -> Point:
        corners = [self._node(cell[0] + i, cell[1] + j) for i in (0, 1) for j in (0, 1)]
        return Point(np.mean(corners, axis=0))

    def _block(self, polygon: Polygon, zone: str) -> _Block:
        angle = _long_axis(polygon) + self.rng.uniform(-0.06, 0.06)
        block = _Block(polygon, zone, angle, (polygon.centroid.x, polygon.centroid.y))
        if zone == "farmland":
            half = math.sqrt(polygon.area) / 2
            first = sorted(float(self.rng.uniform(-0.45, 0.45)) * half for _ in range(1 + (half > 350) + (half > 600)))
            second = (float(self.rng.uniform(-0.3, 0.3)) * half,) if self.rng.random() < 0.7 else ()
            block.cuts = (tuple(first), second)
        return block

    def _add_insets(
        self, blocks: list[_Block], corridor: BaseGeometry, river: Polygon, anomaly: str | None
    ) -> list[Frame]:
        """Put car parks, a lake, clearings and the anomaly into the blocks; return the car parks' frames."""
        taken = shapely.union_all([corridor.buffer(24), river.buffer(30)])
        by_zone: dict[str, list[_Block]] = {zone: [] for zone in ZONE_SHARES}
        for block in blocks:
            by_zone[block.zone].append(block)
        car_parks: list[Frame] = []
        for block in by_zone["commercial"] + by_zone["industrial"][::2]:
            car_parks += self._add_car_park(block, taken)
        for block in by_zone["grassland"][::2]:
            self._add_blob(block, taken, 0.45, (Style("water"), Style("water")))
        woods = sorted(by_zone["forest"], key=lambda block: (-block.polygon.area, block.polygon.bounds))
        bare = self._style("bare_ground")
        if anomaly == "burnt_area" and woods:
            self._add_blob(woods[0], taken, 0.8, (None, self._style("burnt_land")), (anomaly, "wildfire"))
        if woods:
            self._add_blob(woods[-1], taken, 0.45, (None, bare))
        if anomaly == "flooded_area":
            fields = min(by_zone["farmland"], key=lambda block: (block.polygon.distance(river), block.polygon.bounds))
            self._add_blob(fields, taken, 0.9, (None, Style("water", 1)), (anomaly, "river flood"))
        return car_parks

    def _add_car_park(self, block: _Block, taken: BaseGeometry) -> list[Frame]:
        centre, radius = _widest_place(block, taken)
        length, width = min(330.0, 1.5 * radius), min(210.0, 1.0 * radius)
        if width < 80:
            return []
        frame = Frame(centre.x, centre.y, length, width, block.angle)
        style = self._style("car_park", frame.angle)
        block.insets.append(_Inset(frame.polygon(), (style, style)))
        return [frame]

    def _add_blob(
        self,
        block: _Block,
        taken: BaseGeometry,
        share: float,
        styles: tuple[Style | None, Style | None],
        anomaly: tuple[str, str] | None = None,
    ) -> None:
        """Put an irregular patch of `share` of the widest place's radius into the block."""
        centre, radius = _widest_place(block, taken)
        if radius < 40:
            return
        angles = np.arange(64) * (2 * math.pi / 64)
        radii = np.ones(64)
        for wave in range(2, 9):
            radii += (
                self.rng.uniform(0.2, 0.8) / wave**1.4 * 0.4 * np.sin(wave * angles + self.rng.uniform(0, 2 * math.pi))
            )
        radii *= share * radius / radii.max()
        points = np.stack([centre.x + radii * np.cos(angles), centre.y + radii * np.sin(angles)], axis=1)
        block.insets.append(_Inset(Polygon(points), styles, anomaly))

    def _style(self, class_name: str, angle: float = 0.0) -> Style:
        return Style(class_name, int(self.rng.integers(1 << 16)), angle)

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
        styles: dict[Style, int] = {Style("road_surface"): 0, Style("water"): 1}
        fields = self._field_styles(blocks)
        faces: list[Face] = []
        burnt: dict[tuple[str, str], list[Polygon]] = {}
        for polygon, point in zip(polygons, points, strict=True):
            if corridor.contains(point):
                faces.append(Face(polygon, (0, 0)))
            elif river.contains(point):
                faces.append(Face(polygon, (1, 1)))
            else:
                number = int(tree.nearest(point))
                pair = fields(number, point)
                inset = next((inset for inset in blocks[number].insets if inset.polygon.contains(point)), None)
                if inset is not None:
                    pair = (inset.styles[0] or pair[0], inset.styles[1] or pair[1])
                    if inset.anomaly:
                        burnt.setdefault(inset.anomaly, []).append(polygon)
                first, second = (styles.setdefault(style, len(styles)) for style in pair)
                faces.append(Face(polygon, (first, second)))
        anomalies = [Anomaly(*kind, shapely.coverage_union_all(parts)) for kind, parts in burnt.items()]
        return faces, list(styles), anomalies

    def _field_styles(self, blocks: list[_Block]) -> Callable[[int, Point], tuple[Style, Style]]:
        """Return what gives the styles at both dates of a point in a block, insets apart."""
        known: dict[tuple[int, int, int], tuple[Style, Style]] = {}
        farms = [number for number, block in enumerate(blocks) if block.zone == "farmland"]
        built_up = farms[len(farms) // 2] if len(farms) > 1 else None
        bare = farms[0]

        def style_of(number: int, point: Point) -> tuple[Style, Style]:
            block = blocks[number]
            key = (number, *block.field_of(point))
            if key not in known:
                first = self._style(block.zone, block.angle + (math.pi / 2 if self.rng.random() < 0.4 else 0))
                second = first
                if block.zone == "farmland":
                    second = self._style("farmland", first.angle) if self.rng.random() < 0.4 else first
                    if number == bare and key[1:] == (0, 0):
                        first = second = self._style("bare_ground")
                    elif self.rng.random() < 0.12:
                        first = second = self._style("grassland")
                    elif number == built_up:
                        second = self._style("residential")
                known[key] = (first, second)
            return known[key]

        return style_of


def _snap(value: float) -> float:
    return round(value / GRID) * GRID


def _beyond_border(line: LineString, size: int) -> LineString:
    """Return `line` with ends on the scene's border carried on outside, so that its buffer has no rounded end there."""
    points = list(line.coords)
    for end, inner in ((0, 1), (-1, -2)):
        (x, y), (px, py) = points[end], points[inner]
        if x in (0, size) or y in (0, size):
            scale = 80 / math.dist((x, y), (px, py))
            outside = (x + (x - px) * scale, y + (y - py) * scale)
            points = [outside, *points] if end == 0 else [*points, outside]
    return LineString(points)


def _long_axis(polygon: Polygon) -> float:
    """Return the angle (radians) of the longer side of the smallest rectangle around `polygon`."""
    corners = list(shapely.minimum_rotated_rectangle(polygon).exterior.coords)
    sides = [
        (math.dist(a, b), math.atan2(b[1] - a[1], b[0] - a[0])) for a, b in zip(corners[:2], corners[1:3], strict=True)
    ]
    return max(sides)[1]


def _widest_place(block: _Block, taken: BaseGeometry) -> tuple[Point, float]:
    """Return centre and radius (pixels) of the largest free circle in the block."""
    used = shapely.union_all([taken, *(inset.polygon.buffer(30) for inset in block.insets)])
    free = block.polygon.difference(used)
    if free.is_empty:
        return block.polygon.centroid, 0.0
    circle = shapely.maximum_inscribed_circle(free, tolerance=2.0)
    return Point(circle.coords[0]), circle.length
