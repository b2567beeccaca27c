"""Which objects of a class can be counted, by which rule; a doubtful count is refused, never rounded.

What surprises: one cut object changes the rule for its whole class. Then those of which at least half is visible are
counted, and the question must say so. Where one is about half visible, only those count that the edge does not cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import MIN_VISIBLE_SHARE, Outline, Role, TileFacts, TileObject
from rsvqa.annotation.questions import NotAsked
from rsvqa.annotation.tasks.class_names import has_same_name as has_same_name
from rsvqa.annotation.tasks.class_names import is_counted_as
from rsvqa.annotation.tasks.geometry import bounds_of

DOUBTFUL_VISIBLE_SHARES = (0.4, 0.6)
"""Between these a person cannot tell on which side of one half the visible share lies."""

CLEARLY_CUT_SHARE = 0.9
"""An object of which more is visible may seem whole."""

EDGE_PX = 1.0
"""An outline that ends so near to the tile's edge may be that of a whole object, or of one that was cut before."""

CROSSING_SHARES = (0.05, 0.95)
"""An object with a share between these inside a region is neither inside nor outside to a person's eye."""

POINT_MARGIN_SHARE = 0.05
"""A point label nearer to a region's edge than this share of the region's radius may be an object that crosses it."""

MIN_COUNTED_SIDE_PX = 3.0
"""Objects shorter than this along their longer side cannot be made out, so they cannot be counted."""


class CountRule(StrEnum):
    """What a count includes; a question states it unless every object is whole."""

    WHOLE = "whole"
    AT_LEAST_HALF = "at_least_half"
    WHOLLY_INSIDE = "wholly_inside"


@dataclass(frozen=True, slots=True)
class Countable:
    """The objects of one class that count, in the order of the facts, and the rule that chose them."""

    objects: tuple[TileObject, ...]
    rule: CountRule


def countable_objects(facts: TileFacts, class_name: str) -> Countable | NotAsked:
    """Return the objects of a class that a count of the whole tile includes (none: an empty tuple).

    Refused when a person could arrive at another number: the class is not fully labelled, a member is uncertain or too
    small to be seen, or members of a narrower class are here as well. Where a member is about half visible, those that
    lie `WHOLLY_INSIDE` are counted, and refused when one hardly is. A point label says nothing of the object's extent,
    so a class with points is counted by `AT_LEAST_HALF`.
    """
    doubt = _class_doubt(facts, class_name)
    if doubt is not None:
        return doubt
    members = facts.objects_by_class.get(class_name, ())
    narrower = _narrower_or_same(facts, class_name)
    if not narrower.isdisjoint(facts.objects_by_class):
        return NotAsked("members of a narrower class are on the tile")
    if not all(member.is_certain for member in members):
        return NotAsked("an uncertain member of the class is on the tile")
    rule = _rule_for(facts, members)
    if isinstance(rule, NotAsked):
        return rule
    least = 1.0 if rule is CountRule.WHOLLY_INSIDE else MIN_VISIBLE_SHARE
    counted = tuple(member for member in members if member.is_whole or member.visible_share > least)
    if _any_too_small(counted):
        return NotAsked("objects too small to be counted")
    return Countable(counted, rule)


def _rule_for(facts: TileFacts, members: Sequence[TileObject]) -> CountRule | NotAsked:
    """Return by which rule nobody doubts which of the members count."""
    has_points = any(member.outline is Outline.POINT for member in members)
    low, high = DOUBTFUL_VISIBLE_SHARES
    if not any(low <= member.visible_share <= high for member in members):
        is_whole = not has_points and all(member.is_whole for member in members)
        return CountRule.WHOLE if is_whole else CountRule.AT_LEAST_HALF
    if has_points:
        return NotAsked("an object is about half visible")
    is_at_edge = _reaches_edge(facts, members)
    for member, reaches_edge in zip(members, is_at_edge, strict=True):
        if not member.is_whole and not reaches_edge:
            return NotAsked("an object is hidden, but not by the image's edge")
        if member.is_whole == reaches_edge or (not member.is_whole and member.visible_share > CLEARLY_CUT_SHARE):
            return NotAsked("an object is about half visible, and another hardly cut")
    return CountRule.WHOLLY_INSIDE


def _reaches_edge(facts: TileFacts, members: Sequence[TileObject]) -> list[bool]:
    """Return which of the objects end at the tile's edge."""
    boxes = [member.box for member in members]
    right, bottom = facts.width - EDGE_PX, facts.height - EDGE_PX
    return [min(x0, y0) <= EDGE_PX or x1 >= right or y1 >= bottom for x0, y0, x1, y1 in boxes]


def objects_in_region(facts: TileFacts, class_name: str, region: BaseGeometry) -> tuple[TileObject, ...] | NotAsked:
    """Return the objects of a class that lie inside `region` (tile pixels; a convex outline such as a circle).

    Refused when the class is not fully labelled, or when an object at the region is uncertain, not whole, too small to
    be seen, crosses the region's edge, or belongs to a narrower class.
    """
    doubt = _class_doubt(facts, class_name)
    if doubt is not None:
        return doubt
    relevant = {class_name} | _narrower_or_same(facts, class_name)
    near = [
        found for name in sorted(relevant & facts.objects_by_class.keys()) for found in _touching(facts, name, region)
    ]
    if not near:
        return ()
    shares = _shares_inside(near, region)
    low, high = CROSSING_SHARES
    touched = [found for found, share in zip(near, shares, strict=True) if share >= low]
    if any(found.class_name != class_name for found in touched):
        return NotAsked("members of a narrower class are in the region")
    if not all(found.is_certain for found in touched):
        return NotAsked("an uncertain member of the class is in the region")
    if not all(found.is_whole for found in touched):
        return NotAsked("a cut object is in the region")
    if np.any((shares >= low) & (shares <= high)):
        return NotAsked("an object crosses the edge of the region")
    if _any_too_small(touched):
        return NotAsked("objects too small to be counted")
    return tuple(touched)


def _class_doubt(facts: TileFacts, class_name: str) -> NotAsked | None:
    """Return why a class cannot be counted at all, whatever its members."""
    if facts.classes[class_name].role is not Role.OBJECT:
        return NotAsked("not a class of countable objects")
    if class_name not in facts.complete_classes:
        return NotAsked("not every instance of the class is labelled")
    return None


def _narrower_or_same(facts: TileFacts, class_name: str) -> frozenset[str]:
    """Return the other classes whose members a reader would count as this one."""
    counted = facts.classes[class_name]
    return frozenset(
        name for name, info in facts.classes.items() if name != class_name and is_counted_as(info, counted)
    )


def _any_too_small(objects: Sequence[TileObject]) -> bool:
    """Return whether the outline of any of the objects is too small to be made out; points have no size."""
    bounds = bounds_of([found for found in objects if found.outline is not Outline.POINT])
    sides = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    return bool(np.any(sides < MIN_COUNTED_SIDE_PX))


def _touching(facts: TileFacts, class_name: str, region: BaseGeometry) -> list[TileObject]:
    """Return the objects of a class of which some part lies in the region, in their order."""
    objects, bounds = facts.objects_by_class[class_name], facts.object_bounds[class_name]
    margin = _point_margin(region)
    x_min, y_min, x_max, y_max = region.bounds
    # a look at the boxes leaves few of several thousand for the exact test
    is_near_x = (bounds[:, 0] <= x_max + margin) & (bounds[:, 2] >= x_min - margin)
    is_near_y = (bounds[:, 1] <= y_max + margin) & (bounds[:, 3] >= y_min - margin)
    near = [objects[index] for index in np.flatnonzero(is_near_x & is_near_y)]
    return [found for found in near if _reach(found, region).intersects(region)]


def _point_margin(region: BaseGeometry) -> float:
    """Return the radius in pixels within which the unknown extent of a point label may lie."""
    return POINT_MARGIN_SHARE * math.sqrt(region.area / math.pi)


def _reach(found: TileObject, region: BaseGeometry) -> BaseGeometry:
    """Return the object's geometry; for a point a disc, since the object around it has an unknown extent."""
    if found.outline is not Outline.POINT and found.geometry.area > 0:
        return found.geometry
    return found.geometry.buffer(_point_margin(region))


def _shares_inside(objects: list[TileObject], region: BaseGeometry) -> NDArray[np.float64]:
    """Return which share of each object's area lies inside the region, in [0, 1]."""
    geometries = [_reach(found, region) for found in objects]
    inside = shapely.area(shapely.intersection(geometries, region))
    return np.asarray(inside / shapely.area(geometries), dtype=np.float64)
