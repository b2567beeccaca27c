"""Train, validation and test by place: tiles that overlap or touch on the ground are never in different splits.

Tiles are joined into places by their footprints, by sharing a scene, and by being near-duplicates of each other; a
place goes whole into one split. So one contiguous scene is one place, and a small build may have nothing in val and
test: that is said in the report, never mended by cutting through a place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.dataset.records import SPLITS

TOUCH_TOLERANCE_DEG = 1e-6
"""Footprints nearer than this touch: about 0.1 m, far below a pixel's error, far above that of reprojection."""


_LOOKED_AT_ONCE = 16_384
"""Tiles of which outlines are held, and neighbours are looked up, at once."""

Outlines = Callable[[Sequence[int]], Sequence[BaseGeometry | None]]
"""Gives the outlines of tiles by index in EPSG:4326, None without a georeference; those of a million take 3 GB."""


def group_places(scenes: Sequence[str], outlines: Outlines, alike: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the places as lists of tile indices, each sorted, in the order of their first tile.

    Args:
        scenes: the scene of each tile; both dates of a pair count by their footprints.
        outlines: of the tiles.
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
    for one, other in _touching(outlines, [first(index) for index in range(len(scenes))]):
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


def _touching(outlines: Outlines, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of tiles that touch and are not of one place yet; the others need not be measured."""
    chunks = [
        range(start, min(start + _LOOKED_AT_ONCE, len(places))) for start in range(0, len(places), _LOOKED_AT_ONCE)
    ]
    bounds = np.concatenate(
        [np.empty((0, 4)), *(shapely.bounds(np.array(outlines(chunk), object)) for chunk in chunks)]
    )
    located = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    boxes = np.array(shapely.box(*(bounds[located] + TOUCH_TOLERANCE_DEG * np.array([-1, -1, 1, 1])).T), object)
    tree, place_of = STRtree(boxes), np.array(places, np.int64)
    for start in range(0, len(located), _LOOKED_AT_ONCE):
        pairs = tree.query(boxes[start : start + _LOOKED_AT_ONCE])
        one, other = located[pairs[0] + start], located[pairs[1]]
        is_open = (one < other) & (place_of[one] != place_of[other])
        one, other = one[is_open], other[is_open]
        needed, where = np.unique(np.concatenate([one, other]), return_inverse=True)
        shapes = np.array(outlines(needed.tolist()), object)
        near = shapely.dwithin(shapes[where[: len(one)]], shapes[where[len(one) :]], TOUCH_TOLERANCE_DEG)
        yield from zip(one[near].tolist(), other[near].tolist(), strict=True)


def _located(footprints: Sequence[BaseGeometry | None]) -> tuple[list[int], list[BaseGeometry]]:
    """Return the positions and shapes of the footprints that are there."""
    found = [(index, footprint) for index, footprint in enumerate(footprints) if footprint is not None]
    return [index for index, _ in found], [footprint for _, footprint in found]
