"""The ground that each land-use class covers on a tile, dissolved once for all tasks that measure it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Point, Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, Outline, TileFacts, TileObject
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile

MAPPED_SHARE = 0.6
OVERLYING_SHARE = 0.05
"""Outlines of objects are regions of a map where they and the areas cover the first share of the tile, and the areas
the second share of the outlines at most."""


@once_a_tile
def ground_areas(context: TaskContext) -> tuple[Area, ...]:
    """Return the areas of a tile, and as areas the regions of objects that nobody can tell apart.

    In a mask or a land cover map touching houses are one region, so they are uncertain as houses; but that there are
    buildings is as sure as that there is water beside them.
    """
    facts = context.facts
    by_class: dict[str, list[TileObject]] = {}
    for item in facts.objects:
        by_class.setdefault(item.class_name, []).append(item)
    regions = [
        Area(area_id=item.object_id, class_name=name, geometry=item.geometry, attributes=item.attributes)
        for name, members in by_class.items()
        if _are_regions(facts, name, members)
        for item in members
        if not isinstance(item.geometry, Point)
    ]
    return (*facts.areas, *regions)


def _are_regions(facts: TileFacts, class_name: str, members: Sequence[TileObject]) -> bool:
    """Return whether the outlines of a class tell its ground, though not which of it is one object.

    They do where all ground of the class is labelled, and where they share most of the tile with areas without lying
    over them, as the regions of a map do. An object that a model is not sure of lies over the ground that it stands on.
    """
    if all(item.is_certain for item in members) or any(item.outline is not Outline.POLYGON for item in members):
        return False
    if class_name in facts.complete_classes:
        return True
    outlines = np.array([item.geometry for item in members], dtype=object)
    ground = np.array([area.geometry for area in facts.areas if area.is_certain], dtype=object)
    total = float(shapely.area(outlines).sum())
    if total + float(shapely.area(ground).sum()) < MAPPED_SHARE * facts.width * facts.height:
        return False
    # What asks is prepared, what is found is not: ground may be one polygon with thousands of corners.
    under, which = STRtree(outlines).query(ground, predicate="intersects")
    return float(shapely.area(shapely.intersection(outlines[which], ground[under])).sum()) <= OVERLYING_SHARE * total


@once_a_tile
def certain_areas(context: TaskContext) -> dict[str, list[Area]]:
    """Return the certain areas by class name, in the order of the facts; regions of objects among them."""
    by_class: dict[str, list[Area]] = {}
    for area in ground_areas(context):
        if area.is_certain:
            by_class.setdefault(area.class_name, []).append(area)
    return by_class


@once_a_tile
def cover_of(context: TaskContext, class_name: str) -> Polygon | MultiPolygon:
    """Return the ground that the certain areas of a class cover; an empty polygon where there are none."""
    return dissolved([area.geometry for area in certain_areas(context).get(class_name, ())])


@once_a_tile
def share_ground(context: TaskContext) -> bool:
    """Return whether certain areas of two classes lie over each other: where none do, what they cover adds up.

    To see that nothing of any two is in the same place takes far less time than the union of a map.
    """
    areas = [area for members in certain_areas(context).values() for area in members]
    shapes = np.array([area.geometry for area in areas], dtype=object)
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    number = {name: index for index, name in enumerate(certain_areas(context))}
    of_class = np.array([number[area.class_name] for area in areas], dtype=int)
    differs = of_class[first] < of_class[second]
    return bool(shapely.relate_pattern(shapes[first[differs]], shapes[second[differs]], "T********").any())


def dissolved(geometries: Sequence[BaseGeometry]) -> Polygon | MultiPolygon:
    """Return the union of geometries. What meets no other is kept as it is: a union of everything takes far longer."""
    shapes: NDArray[np.object_] = np.array(geometries, dtype=object)
    meets = np.zeros(len(shapes), dtype=bool)
    if len(shapes) > 1:
        first, second = STRtree(shapes).query(shapes, predicate="intersects")
        meets[first[first != second]] = True
    alone, joined = shapes[~meets], shapely.union_all(shapes[meets]) if meets.any() else Polygon()
    parts = shapely.get_parts([*alone, joined])
    polygons = [part for part in parts if isinstance(part, Polygon) and not part.is_empty]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
