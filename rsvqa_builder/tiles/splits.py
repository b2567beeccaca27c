"""Train, validation and test by place: tiles that overlap or touch on the ground are never in different splits.

Tiles are joined into places by their footprints, by sharing a scene, and by being near-duplicates of each other; a
place goes whole into one split. So one contiguous scene is one place, and a small build may have nothing in val and
test: that is said in the report, never mended by cutting through a place.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.dataset.records import SPLITS

TOUCH_TOLERANCE_DEG = 1e-6
"""Footprints nearer than this touch: about 0.1 m, far below a pixel's error, far above that of reprojection."""


_ASKED_AT_ONCE = 100_000
"""Tiles of which neighbours are looked up at once; they may have many."""


def group_places(
    scenes: Sequence[str], footprints: Sequence[BaseGeometry | None], alike: Iterable[tuple[int, int]]
) -> list[list[int]]:
    """Return the places as lists of tile indices, each sorted, in the order of their first tile.

    Args:
        scenes: the scene of each tile; both dates of a pair count by their footprints.
        footprints: outline of each tile in EPSG:4326, None without a georeference.
        alike: pairs of tiles with (nearly) the same content.
    """
    first_in = list(range(len(scenes)))  # a tile of the same place that stands before each, or itself

    def first(index: int) -> int:
        while first_in[index] != index:
            first_in[index] = first_in[first_in[index]]
            index = first_in[index]
        return index

    def join(one: int, other: int) -> None:
        low, high = sorted((first(one), first(other)))
        first_in[high] = low

    for one, other in alike:
        join(one, other)
    first_of_scene: dict[str, int] = {}
    for index, scene in enumerate(scenes):
        join(first_of_scene.setdefault(scene, index), index)
    for one, other in _touching(footprints, [first(index) for index in range(len(scenes))]):
        join(one, other)
    places: dict[int, list[int]] = {}
    for index in range(len(scenes)):
        places.setdefault(first(index), []).append(index)
    return list(places.values())


def assign_splits(places: Sequence[Sequence[int]], shares: tuple[float, float, float], *, seed: int) -> dict[int, str]:
    """Return the split of each tile: places in seeded order, each to the split that lacks most tiles.

    A split with share 0 gets nothing.
    """
    order = list(range(len(places)))
    random.Random(f"{seed}/splits").shuffle(order)
    lacking = [share * sum(len(place) for place in places) for share in shares]
    result: dict[int, str] = {}
    for number in order:
        place = places[number]
        chosen = max((i for i in range(len(SPLITS)) if shares[i] > 0), key=lambda i: (lacking[i], -i))
        lacking[chosen] -= len(place)
        result.update(dict.fromkeys(place, SPLITS[chosen]))
    return result


def overlapping_footprints(
    scenes: Sequence[str], footprints: Sequence[BaseGeometry | None]
) -> list[tuple[str, str, float]]:
    """Return pairs of scenes that share ground: (scene, scene, shared share of the smaller one), sorted by name.

    Args:
        scenes: scene ids.
        footprints: of the scenes, EPSG:4326; areas are compared in degrees, so the share is exact only for small
            scenes.
    """
    located, shapes = _located(footprints)
    found: list[tuple[str, str, float]] = []
    for a, b in STRtree(shapes).query(shapes, predicate="intersects").T if shapes else ():
        smaller = min(shapely.area(shapes[a]), shapely.area(shapes[b]))
        shared = shapely.area(shapely.intersection(shapes[a], shapes[b]))
        if a < b and smaller > 0 and shared / smaller > 1e-3:
            found.append((*sorted((scenes[located[a]], scenes[located[b]])), round(shared / smaller, 4)))
    return sorted(found)


def _touching(footprints: Sequence[BaseGeometry | None], places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of tiles that touch and are not of one place yet; the others need not be measured."""
    located, shapes = _located(footprints)
    bounds = shapely.bounds(shapes).reshape(-1, 4) + TOUCH_TOLERANCE_DEG * np.array([-1, -1, 1, 1])
    tree = STRtree(shapes)
    place_of = np.array([places[index] for index in located], np.int64)
    for start in range(0, len(shapes), _ASKED_AT_ONCE):
        one, other = tree.query(shapely.box(*bounds[start : start + _ASKED_AT_ONCE].T))
        one += start
        is_open = (one < other) & (place_of[one] != place_of[other])
        one, other = one[is_open], other[is_open]
        near = shapely.dwithin(tree.geometries[one], tree.geometries[other], TOUCH_TOLERANCE_DEG)
        for a, b in zip(one[near].tolist(), other[near].tolist(), strict=True):
            yield located[a], located[b]


def _located(footprints: Sequence[BaseGeometry | None]) -> tuple[list[int], list[BaseGeometry]]:
    """Return the positions and shapes of the footprints that are there."""
    found = [(index, footprint) for index, footprint in enumerate(footprints) if footprint is not None]
    return [index for index, _ in found], [footprint for _, footprint in found]
