"""The roads of an example place: winding lines each way, streets through residential blocks, the zones between.

All coordinates are scene pixels (x right, y DOWN). Pieces of road share exact end points at junctions, and the network
is connected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np
import shapely
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.demo.character import BUILT_ZONES, SPECIAL_ZONES, Character

GRID = 1 / 16
"""Vertices of roads and areas are multiples of this many pixels, so that shared borders stay shared."""

BLOCK_SPACING = 820.0
"""Wanted distance between neighbouring roads, pixels (about 250 m)."""

MIN_BLOCKS = 3
MAIN_ROAD_WIDTH = 54.0  # pixels, pavements included: 16 m
STREET_WIDTH = 36.0
PAVEMENT_WIDTH = 5.0
KERB_RADIUS = 10.0

CELLS_A_TOWN = 36
MIN_LANE_SPACING = 500.0
"""Blocks of fewer pixels have no street through their middle."""

SHARE_WITH_LANE = 0.5
"""Share of the commercial and industrial blocks with a street through them."""

SHARE_DIAGONAL = 0.6
"""Share of those streets that run across a corner of the block: roads follow all directions."""

_RURAL = ("farmland", *SPECIAL_ZONES, "forest")
"""Zones outside the town, in the order in which they follow each other across the place."""

_STEMS = (
    *("Mill", "Church", "Station", "Orchard", "Harbour", "Castle", "Meadow", "Market", "Bridge", "Garden", "Linden"),
    *("Quarry", "Park", "School", "Windmill", "Abbey", "Chapel", "Poplar", "Willow", "Cedar", "Heron", "Juniper"),
    *("Lark", "Maple", "Elm", "Swan", "Falcon", "Copper", "Silver", "King", "Queen", "Canal", "Ferry", "Forge"),
)
_SUFFIXES = {"main_road": ("Road", "Avenue", "Boulevard"), "street": ("Street", "Lane", "Way", "Row", "Close", "Drive")}

RoadPoint = tuple[float, float]
EdgeKey = tuple[str, int, int]  # axis of the line ("x" runs down, "y" runs right), its number, the piece along it


@dataclass(frozen=True, slots=True)
class RoadPiece:
    """One piece of a road between two junctions; `width` in pixels includes the pavements."""

    road_id: str
    class_name: str
    name: str
    line: LineString
    width: float


@dataclass(frozen=True, slots=True)
class WindingLine:
    """A gently winding line: the position across its axis as a function of the position along it."""

    base: float
    waves: tuple[tuple[float, float, float], ...]  # amplitude and wavelength in pixels, phase in radians

    def at(self, along: float) -> float:
        """Return the position across."""
        return self.base + sum(a * math.sin(2 * math.pi * along / length + phase) for a, length, phase in self.waves)


class Network:
    """The plan of roads and zones; every random choice comes from the one generator, in a fixed order.

    Attributes:
        num: blocks along each side of the scene.
        spacing: pixels from road to road, on average.
        curves: the lines running down ("x": across the x axis) and right ("y"), in order.
        river_axis, river_lane: the river runs along the lines of this axis, in the blocks of this number; no number
            without a river.
        zones: land use of every cell (column, row) of the net of lines.
        roads: pieces between junctions.
    """

    def __init__(self, size: int, rng: np.random.Generator, character: Character) -> None:
        self.size = size
        self.rng = rng
        self.character = character
        self.num = max(MIN_BLOCKS, round(size / BLOCK_SPACING))
        self.spacing = size / self.num
        self.curves = {axis: [self._curve(k) for k in range(1, self.num)] for axis in ("x", "y")}
        self.river_axis = "x" if rng.random() < 0.5 else "y"
        lane = int(rng.integers(self.num // 2, self.num - 1)) if self.num > MIN_BLOCKS else 1
        self.river_lane = lane if character.has_water else None
        self._names = self._street_names()
        self.zones = self._zones()
        self.roads = self._roads()

    def _curve(self, number: int) -> WindingLine:
        jitter, phase = self.rng.uniform(-0.1, 0.1) * self.spacing, self.rng.uniform(0, 2 * math.pi, 2)
        long, short = self.rng.uniform(2.2, 3.6) * self.spacing, self.rng.uniform(1.1, 1.7) * self.spacing
        waves = ((0.09 * self.spacing, long, float(phase[0])), (0.025 * self.spacing, short, float(phase[1])))
        return WindingLine(number * self.spacing + jitter, waves)

    def _street_names(self) -> dict[str, Iterator[str]]:
        names: dict[str, Iterator[str]] = {}
        for class_name, suffixes in _SUFFIXES.items():
            pool = [f"{stem} {suffix}" for suffix in suffixes for stem in _STEMS]
            order = self.rng.permutation(len(pool))
            pool = [pool[k] for k in order]
            names[class_name] = iter(pool + [f"{name} {k}" for k in range(2, 40) for name in pool])
        return names

    def _node(self, i: int, j: int) -> RoadPoint:
        """Return where line `i` running down meets line `j` running right; 0 and `num` are the scene's borders."""
        x = 0.0 if i == 0 else float(self.size) if i == self.num else self.curves["x"][i - 1].base
        y = 0.0 if j == 0 else float(self.size) if j == self.num else self.curves["y"][j - 1].base
        for _ in range(30):  # the slopes are far below 1, so this converges
            if 0 < i < self.num:
                x = self.curves["x"][i - 1].at(y)
            if 0 < j < self.num:
                y = self.curves["y"][j - 1].at(x)
        return _snap(x), _snap(y)

    def _edge(self, key: EdgeKey) -> list[RoadPoint]:
        """Return the points of one edge, an even number of segments, so that the middle is a vertex."""
        axis, number, _ = key
        start, end = (self._node(i, j) for i, j in _ends(key))
        curve, along = self.curves[axis][number - 1], 1 if axis == "x" else 0
        num = max(2, 2 * round(math.dist(start, end) / 120))
        inner = [start[along] + (end[along] - start[along]) * k / num for k in range(1, num)]
        points = [(curve.at(t), t) if axis == "x" else (t, curve.at(t)) for t in inner]
        return [start, *((_snap(x), _snap(y)) for x, y in points), end]

    def _zones(self) -> dict[tuple[int, int], str]:
        """Return the zone of every cell (column, row): town in the middle, fields and forest around."""
        cells = [(i, j) for j in range(self.num) for i in range(self.num)]
        num_towns = max(1, round(len(cells) / CELLS_A_TOWN))
        margin = 0.3 if num_towns == 1 else 0.1
        towns = self.rng.uniform(margin, 1 - margin, (num_towns, 2)) * self.num
        jitter = self.rng.uniform(0, 0.8, len(cells))
        distance = [min(math.dist((i + 0.5, j + 0.5), town) for town in towns) for i, j in cells]
        order = sorted(range(len(cells)), key=lambda k: distance[k] + jitter[k])
        counts = self._counts(len(cells))
        urban = [zone for zone, num in counts.items() if zone not in _RURAL for _ in range(num)]
        zones = {cells[k]: zone for k, zone in zip(order, urban, strict=False)}
        # woods lie together, and so do fields: each zone further than the one before in one direction
        heading = self.rng.uniform(0, 2 * math.pi)
        ahead = {cell: cell[0] * math.cos(heading) + cell[1] * math.sin(heading) for cell in cells}
        outside = sorted((cells[k] for k in order[len(urban) :]), key=ahead.__getitem__)
        rural = [zone for zone in _RURAL for _ in range(counts.get(zone, 0))]
        zones.update(zip(outside, rural, strict=True))
        return zones

    def _counts(self, num_cells: int) -> dict[str, int]:
        """Return how many cells each zone has, at least one; the sum is `num_cells`."""
        counts = {zone: max(1, round(share * num_cells)) for zone, share in self.character.zone_shares.items()}
        while sum(counts.values()) > num_cells:
            counts[max(counts, key=counts.__getitem__)] -= 1
        filler = "farmland" if "farmland" in counts else "forest"
        counts[filler] += num_cells - sum(counts.values())
        return counts

    def _roads(self) -> list[RoadPiece]:
        keys = [(axis, k, piece) for axis in ("x", "y") for k in range(1, self.num) for piece in range(self.num)]
        keys = self._thin_out(keys)
        main = {(axis, int(k)) for axis in ("x", "y") for k in self.rng.choice(range(1, self.num), 1 + self.num // 8)}
        names = {
            (axis, k): next(self._names["main_road" if (axis, k) in main else "street"])
            for axis in ("x", "y")
            for k in range(1, self.num)
        }
        lanes, split = self._lanes(set(keys))
        pieces: list[tuple[str, str, list[RoadPoint]]] = []
        for key in keys:
            points, class_name = self._edge(key), "main_road" if key[:2] in main else "street"
            middle = len(points) // 2
            parts = [points[: middle + 1], points[middle:]] if key in split else [points]
            pieces += [(class_name, names[key[:2]], part) for part in parts]
        pieces += [("street", next(self._names["street"]), lane) for lane in lanes]
        width = {"main_road": MAIN_ROAD_WIDTH, "street": STREET_WIDTH}
        return [
            RoadPiece(f"road-{number}", class_name, name, LineString(points), width[class_name])
            for number, (class_name, name, points) in enumerate(pieces)
        ]

    def _thin_out(self, keys: list[EdgeKey]) -> list[EdgeKey]:
        """Take away some roads between two fields or two woods; the network stays connected, without dead ends."""
        graph: nx.Graph[tuple[int, int]] = nx.Graph()
        ends = {key: _ends(key) for key in keys}
        graph.add_edges_from(ends.values())
        for key in keys:
            axis, number, piece = key
            sides = [(number - 1, piece), (number, piece)] if axis == "x" else [(piece, number - 1), (piece, number)]
            is_rural = self.zones[sides[0]] == self.zones[sides[1]] and self.zones[sides[0]] in _RURAL
            if self.rng.random() > 0.45 or not is_rural:
                continue
            graph.remove_edge(*ends[key])
            stubs = [node for node in ends[key] if graph.degree(node) == 0]
            is_dead_end = any(graph.degree(node) == 1 and min(node) > 0 and max(node) < self.num for node in ends[key])
            graph.remove_nodes_from(stubs)
            if is_dead_end or not nx.is_connected(graph):
                graph.add_edge(*ends[key])
        return [key for key in keys if graph.has_edge(*ends[key])]

    def _lanes(self, keys: set[EdgeKey]) -> tuple[list[list[RoadPoint]], set[EdgeKey]]:
        """Return streets through the middle of blocks, or across a corner, and the edges that they meet half-way.

        Every residential block has one, and some of the other built-up ones. A street across a corner is a diagonal.
        """
        lanes: list[list[RoadPoint]] = []
        split: set[EdgeKey] = set()
        for (i, j), zone in sorted(self.zones.items()):
            lane = i if self.river_axis == "x" else j
            is_wanted = zone == "residential" or (zone in BUILT_ZONES and self.rng.random() < SHARE_WITH_LANE)
            if not is_wanted or lane == self.river_lane or self.spacing < MIN_LANE_SPACING:
                continue
            around: list[EdgeKey] = [("x", i, j), ("y", j, i), ("x", i + 1, j), ("y", j + 1, i)]
            first = int(self.rng.integers(4))
            is_diagonal = self.rng.random() < SHARE_DIAGONAL
            sides = [around[first], around[(first + (1 if is_diagonal else 2)) % 4]]
            ends = [self._half_way(key) for key in sides]
            bend = self.rng.uniform(-0.05, 0.05) * self.spacing
            x, y = (ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2
            middle = (x, y + bend) if sides[0][0] == "x" else (x + bend, y)
            lanes.append([ends[0], (_snap(middle[0]), _snap(middle[1])), ends[1]])
            split.update(key for key in sides if key in keys)
        return lanes, split

    def _half_way(self, key: EdgeKey) -> RoadPoint:
        """Return the middle vertex of an edge; of one on the scene's border, the middle of its ends."""
        _, number, _ = key
        if 0 < number < self.num:
            points = self._edge(key)
            return points[len(points) // 2]
        (x, y), (end_x, end_y) = (self._node(i, j) for i, j in _ends(key))
        return _snap((x + end_x) / 2), _snap((y + end_y) / 2)

    def surface(self, less: float) -> Polygon | MultiPolygon:
        """Return the ground under the roads, `less` pixels narrower than their full width, kerbs rounded."""
        strips = [
            _beyond_border(road.line, self.size).buffer((road.width - less) / 2, quad_segs=4) for road in self.roads
        ]
        joined = shapely.union_all(strips).buffer(KERB_RADIUS, quad_segs=4).buffer(-KERB_RADIUS, quad_segs=4)
        surface = shapely.set_precision(joined.intersection(shapely.box(0, 0, self.size, self.size)), GRID)
        return surface if isinstance(surface, Polygon | MultiPolygon) else MultiPolygon(polygons_of(surface))

    def centre(self, cell: tuple[int, int]) -> Point:
        """Return the middle of a cell (column, row)."""
        corners = [self._node(cell[0] + i, cell[1] + j) for i in (0, 1) for j in (0, 1)]
        return Point(np.mean(corners, axis=0))


def polygons_of(geometry: BaseGeometry) -> list[Polygon]:
    """Return the polygons in `geometry`; points, lines and empty parts are left out."""
    return [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon" and not part.is_empty]


def _ends(key: EdgeKey) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the nodes (line down, line right) of an edge."""
    axis, number, piece = key
    return ((number, piece), (number, piece + 1)) if axis == "x" else ((piece, number), (piece + 1, number))


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
