"""What the land use, water, roads and buildings of a tile measure, for the rules of environmental reasoning.

Every measure is a range, since what is not labelled may be anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple, get_args

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, STRtree

from rsvqa.annotation.facts import ClassKind, Role
from rsvqa.annotation.layout.arrangement import points_along
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of, dissolved
from rsvqa.annotation.tasks.registry import TaskContext

FARMED: tuple[ClassKind, ...] = ("cropland",)
WOODED: tuple[ClassKind, ...] = ("forest",)
WATER: tuple[ClassKind, ...] = ("water",)
BUILT_OVER: tuple[ClassKind, ...] = (
    "residential",
    "commercial",
    "industrial",
    "parking",
    "building",
    "road",
    "railway",
)
PLANTED: tuple[ClassKind, ...] = ("forest", "grass", "cropland", "wetland", "tree")
COOLING: tuple[ClassKind, ...] = ("forest", "water", "wetland", "tree")
UNFARMED_PLANTS: tuple[ClassKind, ...] = ("forest", "grass", "wetland", "tree")
GRASSY: tuple[ClassKind, ...] = ("grass",)
USES = (FARMED, WOODED, BUILT_OVER, WATER, GRASSY)
COVERS = (*USES, *((kind,) for kind in get_args(ClassKind) if not any(kind in use for use in USES)))
"""All that may cover the ground; a use leads only where it also covers more than bare ground or snow."""

PAVED_SHARES: Mapping[ClassKind, float] = MappingProxyType(
    {"residential": 0.38, "commercial": 0.85, "industrial": 0.72, "parking": 0.98, "building": 0.98, "road": 0.98}
)
"""Impervious share of built-up ground: USDA 1986, Technical Release 55, table 2-2a (residential: quarter-acre lots)."""

GREEN_SPACE_M = 300.0
GREEN_SPACE_M2 = 5000.0
"""How far the nearest green space may be, and its least size, for the World Health Organization to count it."""

MIN_BUILDINGS = 10
"""A share of fewer buildings says little about a settlement."""

BESIDE_ROAD_M = 15.0
"""A road with forest on both sides so near to its centre line runs through the forest, whatever the labels say of its
own ground."""

SHORE_POINTS = 600
MIN_SHORE_M = 200.0
"""Shores of this length are looked at, at so many points: captions tell the share in whole percent."""

NO_SHARE = 0.005
"""Labels that leave out less than this leave out nothing but seams."""

OUTLINE_SHARE = 1 / 4000
"""Shores are followed to this share of the tile's longer side: 2 pixels of 8,192."""

PLACES_A_SIDE = 64
"""Overlaps are looked for at this number of places, squared: what is missed changes a share by a thousandth at most."""

_GOLDEN = (math.sqrt(5) - 1) / 2
_OVERLAP_SHARE = 1e-6
"""Less overlap than this share of the tile is rounding: then areas are added, which saves many unions."""

_TILE_EDGE_PX = 1.0
"""What lies nearer to the tile's edge is where an area was cut, not its shore."""


class Range(NamedTuple):
    """The least and the greatest value that a measure may have."""

    low: float
    high: float


UNKNOWN = Range(0.0, 1.0)


class Measures:
    """What rules look at on one tile; each measure is taken when first asked for.

    Shares are in [0, 1]; metres need a ground sampling distance.
    """

    def __init__(self, context: TaskContext) -> None:
        facts = context.facts
        self._context = context
        self._facts = facts
        self._tile_area = float(facts.width * facts.height)
        self._shares: dict[tuple[ClassKind, ...], Range] = {}
        self._near_buildings: dict[tuple[ClassKind, ...], dict[float, NDArray[np.bool_]]] = {}

    def share(self, kinds: tuple[ClassKind, ...]) -> Range:
        """Return the share of the tile that areas of some kinds cover."""
        if kinds not in self._shares:
            low = self._covered([kind for kind in kinds if kind in self._ground_by_kind])
            high = low if self._is_known(kinds) else min(1.0, low + self._unlabelled_share)
            self._shares[kinds] = Range(low, high)
        return self._shares[kinds]

    def _covered(self, kinds: Sequence[ClassKind]) -> float:
        """Return the share of the tile that the ground of some kinds covers."""
        grounds = [self._ground_by_kind[kind] for kind in kinds]
        if self._overlap_area > _OVERLAP_SHARE * self._tile_area:
            return dissolved(grounds).area / self._tile_area
        return sum(ground.area for ground in grounds) / self._tile_area

    def lead(self, kinds: tuple[ClassKind, ...]) -> Range:
        """Return what one use covers as a share of that and the largest other of `COVERS`: 0.5 is a tie."""
        own = self.share(kinds)
        others = [self.share(other) for other in COVERS if other != kinds]
        least, most = max(other.low for other in others), max(other.high for other in others)
        if not own.high + least:
            return UNKNOWN
        return Range(own.low / (own.low + most) if own.low else 0.0, own.high / (own.high + least))

    @cached_property
    def paved(self) -> Range:
        """The share of the tile that lets no water in."""
        shares = {kind: self._covered([kind]) for kind in PAVED_SHARES if kind in self._ground_by_kind}
        paved = sum(PAVED_SHARES[kind] * share for kind, share in shares.items())
        twice = self._overlap_area / self._tile_area  # what two kinds cover counts in both
        unseen = 0.0 if self._is_known(tuple(PAVED_SHARES)) else self._unlabelled_share
        return Range(max(0.0, paved - twice), min(1.0, paved + unseen))

    def buildings_near(self, kinds: tuple[ClassKind, ...], distance_m: float) -> Range:
        """Return the share of buildings within some metres of areas of some kinds."""
        buildings = self._buildings_in_metres
        if buildings is None:
            return UNKNOWN
        found = self._near_buildings.setdefault(kinds, {})
        if distance_m not in found:
            # Rules ask for two distances: what is within the smaller one need not be looked at again.
            nearer = max((distance for distance in found if distance < distance_m), default=None)
            is_near = np.zeros(len(buildings), dtype=bool) if nearer is None else found[nearer].copy()
            others = np.flatnonzero(~is_near)
            is_near[others] = _are_near(buildings[others], self._areas_in_metres(kinds), distance_m)
            found[distance_m] = is_near
        return self._share_near(found[distance_m], kinds)

    @cached_property
    def buildings_near_green(self) -> Range:
        """The share of buildings within `GREEN_SPACE_M` of a green space of at least `GREEN_SPACE_M2`."""
        if self._buildings_in_metres is None:
            return UNKNOWN
        green = dissolved([self._ground_by_kind[kind] for kind in UNFARMED_PLANTS if kind in self._ground_by_kind])
        spaces = self._in_metres(shapely.get_parts(green))
        spaces = spaces[shapely.area(spaces) >= GREEN_SPACE_M2]
        return self._share_near(_are_near(self._buildings_in_metres, spaces, GREEN_SPACE_M), UNFARMED_PLANTS)

    def shore_along(self, kinds: tuple[ClassKind, ...], distance_m: float) -> Range:
        """Return the share of the water's shores within some metres of areas of some kinds."""
        shore = self._shore_in_metres
        if shore is None:
            return UNKNOWN
        return self._share_near(_are_near(shore, self._areas_in_metres(kinds), distance_m), kinds)

    def _share_near(self, is_near: NDArray[np.bool_], kinds: tuple[ClassKind, ...]) -> Range:
        low = float(np.count_nonzero(is_near) / len(is_near))
        return Range(low, low if self._is_known(kinds) else 1.0)

    @cached_property
    def road_km_per_km2_of_forest(self) -> Range | None:
        """The length of road in each square kilometre of forest; None where it is not known or there is no forest."""
        forest = self._ground_by_kind.get("forest")
        if forest is None or self._roads_in_metres is None or not self._is_known(WOODED):
            return None
        ground = self._in_metres(np.array([forest], dtype=object))[0]
        # Where a road has its own ground, the forest ends beside it: narrow strips between forest belong to it.
        closed = shapely.buffer(shapely.buffer(ground, BESIDE_ROAD_M, quad_segs=4), -BESIDE_ROAD_M, quad_segs=4)
        return _km_per_km2(shapely.intersection(self._roads_in_metres, closed), ground.area)

    @cached_property
    def road_km_per_km2(self) -> Range | None:
        """The length of road in each square kilometre of the tile; None where it is not known."""
        gsd_m = self._facts.gsd_m
        if gsd_m is None or self._roads_in_metres is None:
            return None
        return _km_per_km2(self._roads_in_metres, self._tile_area * gsd_m.x_m * gsd_m.y_m)

    @cached_property
    def _roads_in_metres(self) -> NDArray[np.object_] | None:
        """The centre lines of all roads; None when they are not all labelled."""
        facts = self._facts
        known = {info.name for info in facts.classes.values() if info.role is Role.ROAD} & facts.complete_classes
        if facts.gsd_m is None or not known or not {road.class_name for road in facts.roads} <= known:
            return None
        return self._in_metres(np.array([road.geometry for road in facts.roads], dtype=object))

    def _is_known(self, kinds: tuple[ClassKind, ...]) -> bool:
        """Return whether all areas of these kinds are labelled: each kind's classes are complete, or all land is."""
        facts = self._facts
        infos = [info for info in facts.classes.values() if info.role is Role.AREA and info.kind in kinds]
        if not all(area.is_certain for area in facts.areas if facts.classes[area.class_name].kind in kinds):
            return False
        if {info.kind for info in infos} == set(kinds) and all(i.name in facts.complete_classes for i in infos):
            return True
        return self._unlabelled_share < NO_SHARE

    @cached_property
    def _ground_by_kind(self) -> dict[ClassKind, Polygon | MultiPolygon]:
        by_kind: dict[ClassKind, list[Polygon | MultiPolygon]] = {}
        for name in certain_areas(self._context):
            by_kind.setdefault(self._facts.classes[name].kind, []).append(cover_of(self._context, name))
        return {kind: parts[0] if len(parts) == 1 else dissolved(parts) for kind, parts in by_kind.items()}

    @cached_property
    def _labelled_area(self) -> float:
        """The area with a label that tells the kind, in pixels."""
        grounds = [ground for kind, ground in self._ground_by_kind.items() if kind != "other"]
        # The union of a whole map takes longer than all else here, and on most maps nothing overlaps.
        if self._are_apart(grounds):
            return sum(ground.area for ground in grounds)
        return dissolved(grounds).area

    def _are_apart(self, grounds: Sequence[Polygon | MultiPolygon]) -> bool:
        """Return whether at none of some thousand places two of the grounds lie over each other."""
        number = np.arange(PLACES_A_SIDE**2)
        # One place in each cell of a grid, never in line with the next: streets and fields are.
        x = (number % PLACES_A_SIDE + number * _GOLDEN % 1) * self._facts.width / PLACES_A_SIDE
        y = (number // PLACES_A_SIDE + number * math.sqrt(2) % 1) * self._facts.height / PLACES_A_SIDE
        layers = np.zeros(len(number), dtype=int)
        for ground in grounds:
            shapely.prepare(ground)
            layers += shapely.contains_xy(ground, x, y)
        return bool((layers < 2).all())

    @cached_property
    def _overlap_area(self) -> float:
        """How much more the grounds of all kinds measure each than together: nothing on a map without overlaps."""
        each = sum(ground.area for kind, ground in self._ground_by_kind.items() if kind != "other")
        return each - self._labelled_area

    @property
    def _unlabelled_share(self) -> float:
        """The share of the tile without a label that tells the kind."""
        return max(0.0, 1.0 - self._labelled_area / self._tile_area)

    @cached_property
    def _buildings_in_metres(self) -> NDArray[np.object_] | None:
        """The outlines of all buildings; None when they are not all labelled and certain, or too few."""
        facts = self._facts
        infos = [info for info in facts.classes.values() if info.role is Role.OBJECT and info.kind == "building"]
        buildings = [item for item in facts.objects if facts.classes[item.class_name].kind == "building"]
        is_known = all(info.name in facts.complete_classes for info in infos)
        if facts.gsd_m is None or not is_known or not all(item.is_certain for item in buildings):
            return None
        if len(buildings) < MIN_BUILDINGS:
            return None
        return self._in_metres(np.array([item.geometry for item in buildings], dtype=object))

    @cached_property
    def _shore_in_metres(self) -> NDArray[np.object_] | None:
        """Points along the shores; None when water is not all labelled, or its shore is too short."""
        water = self._ground_by_kind.get("water")
        if water is None or self._facts.gsd_m is None or not self._is_known(WATER):
            return None
        inner = shapely.box(0, 0, self._facts.width, self._facts.height).buffer(-_TILE_EDGE_PX, join_style="mitre")
        tolerance = OUTLINE_SHARE * max(self._facts.width, self._facts.height)
        outline = shapely.intersection(shapely.simplify(water, tolerance).boundary, inner)
        shore = self._in_metres(np.array([outline], dtype=object))[0]
        if shore.length < MIN_SHORE_M:
            return None
        return np.array(shapely.points(points_along(shore, SHORE_POINTS)), dtype=object)

    def _areas_in_metres(self, kinds: tuple[ClassKind, ...]) -> NDArray[np.object_]:
        parts = [
            area.geometry
            for area in self._facts.areas
            if area.is_certain and self._facts.classes[area.class_name].kind in kinds
        ]
        return self._in_metres(np.array(parts, dtype=object))

    def _in_metres(self, geometries: NDArray[np.object_]) -> NDArray[np.object_]:
        assert self._facts.gsd_m is not None
        scale = np.array(self._facts.gsd_m)
        scaled: NDArray[np.object_] = shapely.transform(geometries, lambda points: points * scale)
        return scaled


def _are_near(places: NDArray[np.object_], grounds: NDArray[np.object_], distance_m: float) -> NDArray[np.bool_]:
    """Return which places lie within some metres of any of the grounds."""
    is_near = np.zeros(len(places), dtype=bool)
    # What asks is prepared, what is found is not: a ground may have thousands of corners.
    is_near[STRtree(places).query(grounds, predicate="dwithin", distance=distance_m)[1]] = True
    return is_near


def _km_per_km2(lines: NDArray[np.object_], area_m2: float) -> Range:
    value = float(shapely.length(lines).sum()) / 1e3 / (area_m2 / 1e6)
    return Range(value, value)
