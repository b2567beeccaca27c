"""What on a tile objects can be near to, inside of, or on a side of: areas, roads, the only one of its class, rivers.

A landmark is only used where all of it is labelled, so that "the nearest" and "within" are true. What surprises: it is
known inside the tile alone, so the words say "in the image" unless there is only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, Gsd, Outline, Role, TileFacts, TileObject
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.directions import SECTORS, Sector, TilePoint, frame_of
from rsvqa.annotation.tasks.geometry import shown
from rsvqa.annotation.tasks.referring import describable_classes
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile
from rsvqa.annotation.wording.phrases import Phrases

INSIDE_SHARE = 0.95
"""An object with this share of its area in an area is inside it, with one minus this it is outside; else neither."""

ROAD_EDGE_M = 10.0
"""Half the width of a road of five or six lanes; most are narrower."""


DIVIDING_KINDS = frozenset({"water", "railway"})
BRIDGED_M, BRIDGED_PX = 15.0, 40.0
"""Half the width of what may interrupt a river: its label often stops at a bridge. Pixels where there are no metres."""

MIN_SIDE_SHARE, MAX_REST_SHARE = 0.15, 0.01
"""A tile is divided in two where each side has so much of it, and beside both nearly nothing is left."""

SIDE_DEG = 30.0
"""A side is called the western one where the way to it from the other differs by no more from west."""

CLEAR_PX = 2.0
"""What is on a side keeps so far from what divides the tile."""

MIN_WIDTH_PX = 2.0
"""Areas that are thinner on average cannot be made out: the tile's edge may leave such a sliver of a forest."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Landmark:
    """Something that lies at a distance from objects. Not slotted: it keeps its indices.

    Attributes:
        name: of its class; "" for all roads.
        text: with its article, e.g. "the lake", "a road in the image", "water in the image".
        any_text: after a negation or a comparison, where "a road" might be a certain one: "any road in the image".
        geometries: its parts, tile pixels.
        feature_ids: of its parts.
        scale: metres per pixel along both axes, or (1, 1): what distances are measured in.
        is_area: objects can be inside it.
        edge_m: how far its true edge may lie from its geometry, metres: roads are labelled by their centre lines.
    """

    name: str
    text: str
    any_text: str
    geometries: NDArray[np.object_]
    feature_ids: tuple[str, ...]
    scale: Gsd
    is_area: bool
    edge_m: float = 0.0

    def distances(self, objects: Sequence[TileObject]) -> NDArray[np.float64]:
        """Return the distance of each object's outline from the landmark, in units of `scale`; 0 for touching.

        Several tasks and conditions ask for the same objects of the tile, so each is measured once.
        """
        unknown = [item for item in objects if item.object_id not in self._measured]
        if unknown:
            found = self.distances_of(_outlines(unknown)).tolist()
            self._measured.update(zip((item.object_id for item in unknown), found, strict=True))
        return np.array([self._measured[item.object_id] for item in objects], dtype=np.float64)

    def distances_of(self, outlines: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return the distance of each geometry, tile pixels, from the landmark, in units of `scale`."""
        nearest, found = self._edges.query_nearest(
            _scaled(outlines, self.scale), return_distance=True, all_matches=False
        )
        distances = np.zeros(len(outlines))
        distances[nearest[0]] = found
        distances[self._tree.query(outlines, predicate="intersects")[0]] = 0.0  # wholly inside, no edge is near
        return distances

    def sides(self, objects: Sequence[TileObject]) -> NDArray[np.int8]:
        """Return for each object 1 inside, −1 outside, 0 where a person could not be sure."""
        outlines = _outlines(objects)
        is_inside, meets = np.zeros((2, len(objects)), dtype=bool)
        is_inside[self._tree.query(outlines, predicate="covered_by")[0]] = True
        which, part = self._tree.query(outlines, predicate="intersects")
        meets[which] = True
        is_outside = ~meets
        is_point = np.array([item.outline is Outline.POINT for item in objects], dtype=bool)
        for index in np.flatnonzero(meets & ~is_inside & ~is_point):
            outline = outlines[index]
            inside = shapely.union_all(shapely.intersection(self.geometries[part[which == index]], outline))
            share = inside.area / max(outline.area, 1e-9)
            is_inside[index], is_outside[index] = share >= INSIDE_SHARE, share <= 1 - INSIDE_SHARE
        return np.where(is_point, 0, is_inside.astype(np.int8) - is_outside.astype(np.int8)).astype(np.int8)

    @cached_property
    def shown(self) -> BaseGeometry:
        """All of it as one geometry, for a reader of evidence."""
        return shown(self.geometries.tolist())

    @cached_property
    def _measured(self) -> dict[str, float]:
        """Distances that are known, by the object's id."""
        return {}

    @cached_property
    def _tree(self) -> STRtree:
        return STRtree(self.geometries)

    @cached_property
    def _edges(self) -> STRtree:
        """An index over single edges: a search among whole outlines walks along all of each."""
        return STRtree(_edges_of(_scaled(self.geometries, self.scale)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Divider:
    """Something that runs across the tile and divides it in two.

    Attributes:
        text: with its article, "the water that runs across the image".
        feature_ids: of its class.
        sides: the ground on both sides by the direction that they lie in, tile pixels.
    """

    text: str
    feature_ids: tuple[str, ...]
    sides: Mapping[Sector, BaseGeometry]


@once_a_tile
def dividers(context: TaskContext) -> tuple[Divider, ...]:
    """Return each class of water and railway ground of which one part, and no other, divides the tile in two."""
    facts = context.facts
    reach = BRIDGED_PX if facts.gsd_m is None else BRIDGED_M / max(facts.gsd_m)
    found = []
    for thing in area_landmarks(context):
        if facts.classes[thing.name].kind not in DIVIDING_KINDS:
            continue
        ground = shapely.union_all(thing.geometries).buffer(reach).buffer(-reach)
        divided = [sides for part in shapely.get_parts(ground) if (sides := _sides(facts, part))]
        named = _named_sides(context, divided[0]) if len(divided) == 1 else None
        if named is not None:
            text = context.phrases.text("landmark.across", noun=facts.classes[thing.name].singular)
            found.append(Divider(text=text, feature_ids=thing.feature_ids, sides=named))
    return tuple(found)


def _sides(facts: TileFacts, part: BaseGeometry) -> tuple[BaseGeometry, BaseGeometry] | None:
    """Return the two parts that something leaves of the tile; None where it leaves one or several."""
    rest = shapely.get_parts(shapely.box(0, 0, facts.width, facts.height).difference(part.buffer(CLEAR_PX)))
    shares = shapely.area(rest) / (facts.width * facts.height)
    large = rest[shares >= MIN_SIDE_SHARE]
    if len(large) != 2 or shares[shares < MIN_SIDE_SHARE].sum() > MAX_REST_SHARE:
        return None
    return large[0], large[1]


def _named_sides(context: TaskContext, sides: tuple[BaseGeometry, BaseGeometry]) -> dict[Sector, BaseGeometry] | None:
    """Return two sides by the direction that each lies in from the other; None where no cardinal one is near."""
    here, there = (TilePoint(side.centroid.x, side.centroid.y) for side in sides)
    bearing = frame_of(context.facts).bearing_deg(here, there)
    nearest = round(bearing / 90)
    if abs(bearing - 90 * nearest) > SIDE_DEG:
        return None
    cardinal = SECTORS[::2]
    return {cardinal[nearest % 4]: sides[1], cardinal[(nearest + 2) % 4]: sides[0]}


@once_a_tile
def landmarks(context: TaskContext) -> tuple[Landmark, ...]:
    """Return the landmarks of a tile: areas by class, roads, then objects that are the only ones of their class."""
    scale = frame_of(context.facts).scale
    found = [*area_landmarks(context), *road_landmarks(context)]
    for members in describable_classes(context):
        if len(members) == 1 and members.objects[0].is_whole and members.objects[0].is_askable:
            (only,) = members.objects
            text = the(context.phrases, members.info.singular)
            shape = _array([only.geometry])
            found.append(
                Landmark(
                    name=members.info.name,
                    text=text,
                    any_text=text,
                    geometries=shape,
                    feature_ids=(only.object_id,),
                    scale=scale,
                    is_area=False,
                )
            )
    return tuple(found)


@once_a_tile
def area_landmarks(context: TaskContext) -> tuple[Landmark, ...]:
    """Return the land-use classes that are fully labelled and certain, and that no other class could be taken for."""
    facts, phrases, scale = context.facts, context.phrases, frame_of(context.facts).scale
    by_class: dict[str, list[Area]] = {}
    for area in facts.areas:
        by_class.setdefault(area.class_name, []).append(area)
    found = []
    for info in facts.classes.values():
        areas = by_class.get(info.name)
        if not areas or info.role is not Role.AREA or info.name not in facts.complete_classes:
            continue
        others = (facts.classes[name] for name in by_class if name != info.name)
        if not all(area.is_certain for area in areas) or any(may_mean_the_same(info, other) for other in others):
            continue
        geometries = _array([area.geometry for area in areas])
        if not _can_be_seen(geometries):
            continue
        is_one = len(areas) == 1 and not isinstance(areas[0].geometry, MultiPolygon)
        text = the(phrases, info.singular) if is_one else some(phrases, info.singular, info.plural)
        found.append(
            Landmark(
                name=info.name,
                text=text,
                any_text=text if is_one else phrases.text("landmark.any", noun=info.singular),
                geometries=geometries,
                feature_ids=tuple(area.area_id for area in areas),
                scale=scale,
                is_area=True,
            )
        )
    return tuple(found)


@once_a_tile
def road_landmarks(context: TaskContext) -> tuple[Landmark, ...]:
    """Return all roads together as one landmark, when every class of them is fully labelled."""
    facts = context.facts
    if not facts.roads or not {road.class_name for road in facts.roads} <= facts.complete_classes:
        return ()
    ids = tuple(road.road_id for road in facts.roads)
    lines = _array([road.geometry for road in facts.roads])
    road = context.phrases.text("landmark.road")
    return (
        Landmark(
            name="",
            text=some(context.phrases, road),
            any_text=context.phrases.text("landmark.any", noun=road),
            geometries=lines,
            feature_ids=ids,
            scale=frame_of(facts).scale,
            is_area=False,
            edge_m=ROAD_EDGE_M,
        ),
    )


def the(phrases: Phrases, noun: str) -> str:
    """Return the words for the only one of its class."""
    return phrases.text("landmark.one", noun=noun)


def some(phrases: Phrases, singular: str, plural: str = "") -> str:
    """Return the words for one of several of a class: "a lake in the image"; no article where the class has no plural.

    Such are "water" and "farmland", and "trees" or "buildings", of which there is no singular.
    """
    if singular == plural:
        return phrases.text("landmark.mass", noun=singular)
    return phrases.text(f"landmark.{'an' if singular[0].lower() in 'aeiou' else 'a'}", noun=singular)


def _can_be_seen(geometries: NDArray[np.object_]) -> bool:
    """Return whether every part of some areas is wide enough to be made out."""
    parts = shapely.get_parts(geometries)
    # of a long strip the area is its width times half its outline
    return bool((2 * shapely.area(parts) >= MIN_WIDTH_PX * shapely.length(parts)).all())


def _array(geometries: Sequence[shapely.Geometry]) -> NDArray[np.object_]:
    return np.array(geometries, dtype=object)


def _outlines(objects: Sequence[TileObject]) -> NDArray[np.object_]:
    return _array([item.geometry for item in objects])


def _scaled(geometries: NDArray[np.object_], scale: Gsd) -> NDArray[np.object_]:
    if scale == (1.0, 1.0):
        return geometries
    scaled: NDArray[np.object_] = shapely.transform(geometries, lambda points: points * np.array(scale))
    return scaled


def _edges_of(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return every edge of outlines and lines as a line of its own, and points as they are."""
    parts = shapely.get_parts(geometries)
    dimensions = shapely.get_dimensions(parts)
    lines = np.concatenate([shapely.get_rings(parts[dimensions == 2]), parts[dimensions == 1]])
    corners, line = shapely.get_coordinates(lines, return_index=True)
    follows = line[1:] == line[:-1]
    edges = shapely.linestrings(np.stack([corners[:-1][follows], corners[1:][follows]], axis=1))
    return np.concatenate([edges, parts[dimensions == 0]])
