"""The ground that each land-use class covers on a tile, dissolved once for all tasks that measure it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, STRtree

from rsvqa.annotation.facts import Area
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile


@once_a_tile
def certain_areas(context: TaskContext) -> dict[str, list[Area]]:
    """Return the certain areas by class name, in the order of the facts."""
    by_class: dict[str, list[Area]] = {}
    for area in context.facts.areas:
        if area.is_certain:
            by_class.setdefault(area.class_name, []).append(area)
    return by_class


@once_a_tile
def cover_of(context: TaskContext, class_name: str) -> Polygon | MultiPolygon:
    """Return the ground that the certain areas of a class cover; an empty polygon where there are none."""
    return dissolved([area.geometry for area in certain_areas(context).get(class_name, ())])


def dissolved(geometries: Sequence[Polygon | MultiPolygon]) -> Polygon | MultiPolygon:
    """Return the union of geometries. What meets no other is kept as it is: a union of everything takes far longer."""
    shapes: NDArray[np.object_] = np.array(geometries, dtype=object)
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    meets = np.zeros(len(shapes), dtype=bool)
    meets[first[first != second]] = True
    parts = shapely.get_parts([*shapes[~meets], shapely.union_all(shapes[meets])])
    polygons = [part for part in parts if isinstance(part, Polygon) and not part.is_empty]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
