"""What on a tile objects can be near to or inside of: areas of one class, the roads, and the only object of its class.

A landmark is only used where all of it is labelled, so that "the nearest" and "within" are true. What surprises: it is
known inside the tile alone, so the words say "in the image" unless there is only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, STRtree

from annotation.facts import Area, Gsd, Outline, Role, TileFacts, TileObject
from annotation.tasks.distractors import may_mean_the_same
from annotation.tasks.referring import describable_classes
from annotation.wording.phrases import Phrases

INSIDE_SHARE = 0.95
"""An object with this share of its area in an area is inside it, with one minus this it is outside; else neither."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """Something that lies at a distance from objects.

    Attributes:
        name: of its class; "" for all roads.
        text: with its article, e.g. "the lake", "any road in the image".
        geometries: its parts, tile pixels.
        feature_ids: of its parts.
        is_area: objects can be inside it.
        edge_m: how far its true edge may lie from its geometry, metres: roads are labelled by their centre lines.
    """

    name: str
    text: str
    geometries: NDArray[np.object_]
    feature_ids: tuple[str, ...]
    is_area: bool
    edge_m: float = 0.0

    def distances(self, objects: Sequence[TileObject], scale: Gsd) -> NDArray[np.float64]:
        """Return the distance of each object's outline from the landmark, in units of `scale`; 0 for touching."""
        tree = STRtree(_scaled(self.geometries, scale))
        outlines = _scaled(np.array([item.geometry for item in objects], dtype=object), scale)
        _, distances = tree.query_nearest(outlines, return_distance=True, all_matches=False)
        return np.asarray(distances, dtype=np.float64)

    def sides(self, objects: Sequence[TileObject]) -> NDArray[np.int8]:
        """Return for each object 1 inside, −1 outside, 0 where a person could not be sure."""
        union = shapely.union_all(self.geometries)
        shapely.prepare(union)
        outlines = np.array([item.geometry for item in objects], dtype=object)
        is_inside = shapely.covers(union, outlines)
        is_outside = shapely.disjoint(union, outlines)
        for index in np.flatnonzero(~is_inside & ~is_outside):
            share = shapely.intersection(union, outlines[index]).area / max(outlines[index].area, 1e-9)
            is_inside[index], is_outside[index] = share >= INSIDE_SHARE, share <= 1 - INSIDE_SHARE
        is_point = np.array([item.outline is Outline.POINT for item in objects])
        return np.where(is_point, 0, is_inside.astype(np.int8) - is_outside.astype(np.int8)).astype(np.int8)


ROAD_EDGE_M = 10.0
"""Half the width of a road of five or six lanes; most are narrower."""


def landmarks(facts: TileFacts, phrases: Phrases) -> Iterator[Landmark]:
    """Yield the landmarks of a tile: areas by class, roads, then objects that are the only ones of their class."""
    yield from area_landmarks(facts, phrases)
    yield from road_landmarks(facts, phrases)
    for members in describable_classes(facts):
        if len(members) == 1 and members.objects[0].is_whole and members.objects[0].is_askable:
            (only,) = members.objects
            text = phrases.text("landmark.one", noun=members.info.singular)
            yield Landmark(members.info.name, text, _array([only.geometry]), (only.object_id,), is_area=False)


def area_landmarks(facts: TileFacts, phrases: Phrases) -> Iterator[Landmark]:
    """Yield the land-use classes that are fully labelled and certain, and that no other class could be taken for."""
    by_class: dict[str, list[Area]] = {}
    for area in facts.areas:
        by_class.setdefault(area.class_name, []).append(area)
    for info in facts.classes.values():
        areas = by_class.get(info.name)
        if not areas or info.role is not Role.AREA or info.name not in facts.complete_classes:
            continue
        others = (facts.classes[name] for name in by_class if name != info.name)
        if not all(area.is_certain for area in areas) or any(may_mean_the_same(info, other) for other in others):
            continue
        is_one = len(areas) == 1 and not isinstance(areas[0].geometry, MultiPolygon)
        text = phrases.text(f"landmark.{'one' if is_one else 'any'}", noun=info.singular)
        ids = tuple(area.area_id for area in areas)
        yield Landmark(info.name, text, _array([area.geometry for area in areas]), ids, is_area=True)


def road_landmarks(facts: TileFacts, phrases: Phrases) -> Iterator[Landmark]:
    """Yield all roads together, when every class of them is fully labelled."""
    if facts.roads and {road.class_name for road in facts.roads} <= facts.complete_classes:
        ids = tuple(road.road_id for road in facts.roads)
        lines = _array([road.geometry for road in facts.roads])
        yield Landmark("", phrases.text("landmark.roads"), lines, ids, is_area=False, edge_m=ROAD_EDGE_M)


def _array(geometries: Sequence[shapely.Geometry]) -> NDArray[np.object_]:
    return np.array(geometries, dtype=object)


def _scaled(geometries: NDArray[np.object_], scale: Gsd) -> NDArray[np.object_]:
    if scale == (1.0, 1.0):
        return geometries
    scaled: NDArray[np.object_] = shapely.transform(geometries, lambda points: points * np.array(scale))
    return scaled
