"""Which objects a question may point at by a box or a point, in which order they are tried, and how it is written.

Objects are tried class by class and part by part of the tile, not largest first, so that rare classes and quiet corners
are asked about too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar

import numpy as np
import shapely
from shapely import Point
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, Outline, TileFacts, TileObject
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.tasks.geometry import bounds_of, box_text
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile

T = TypeVar("T")

MIN_BOX_SIDE_PX = 8.0
"""Objects with a shorter box side are too small to be recognised."""

MAX_SHARED_SHARE = 0.1
"""A box is of one object when no other shares more than this of the box or of itself with it."""

POINT_CLEARANCE_PX = 4.0
"""A point on an object keeps so far from every other one: half of the smallest side that can be recognised."""

TRIES_A_QUESTION = 8
"""Candidates tried for each question wanted; bounds the time on tiles where nearly every one is doubtful."""

CLOSE_OUTLINES = frozenset({Outline.POLYGON, Outline.ORIENTED_BOX})
"""Outlines that follow the object closely enough for its colour, its direction and its size."""


class BoxedObject(NamedTuple):
    """An object and the whole-pixel box, inside the image, that a question names it by."""

    found: TileObject
    box: Box


class PointedObject(NamedTuple):
    """An object and a point on it in whole pixels, its centre where that is on it, that a question names it by.

    Unlike a box, a point says nothing of the object's size and direction.
    """

    found: TileObject
    x: int
    y: int


class ObjectFinder:
    """Tells which objects of one tile have a box, or a point, to themselves."""

    def __init__(self, facts: TileFacts) -> None:
        self._facts = facts
        self._geometries = [found.geometry for found in facts.objects]
        self._tree = shapely.STRtree(self._geometries)

    def boxed(self, found: TileObject, *, outlines: Collection[Outline]) -> BoxedObject | NotAsked:
        """Return the object with its box, or why no question may name it by one.

        Args:
            found: an object of the tile.
            outlines: the outlines that the question can do with.
        """
        doubt = _doubt(found, outlines)
        if doubt is not None:
            return doubt
        box = Box(*box_text(found.box, width=self._facts.width, height=self._facts.height))
        if not self._is_alone(found, shapely.box(*box)):
            return NotAsked("another object is in the box")
        return BoxedObject(found, box)

    def pointed(self, found: TileObject, *, outlines: Collection[Outline]) -> PointedObject | NotAsked:
        """Return the object with a point on it, or why no question may name it by one.

        Args:
            found: an object of the tile.
            outlines: the outlines that the question can do with.
        """
        doubt = _doubt(found, outlines)
        if doubt is not None:
            return doubt
        point = next((point for point in _points_of(found.geometry) if found.geometry.contains(point)), None)
        if point is None:
            return NotAsked("no point is clearly on the object")
        if not self._is_alone(found, found.geometry):
            return NotAsked("another object is in the same place")
        if len(self._tree.query(point, predicate="dwithin", distance=POINT_CLEARANCE_PX)) > 1:
            return NotAsked("another object is near the point")
        return PointedObject(found, int(point.x), int(point.y))

    def _is_alone(self, found: TileObject, outline: BaseGeometry) -> bool:
        """Return whether no other object shares more of an outline, or of itself, than a corner."""
        for index in sorted(self._tree.query(outline, predicate="intersects")):
            other = self._facts.objects[index]
            if other.object_id == found.object_id:
                continue
            if other.outline is Outline.POINT:
                return False
            shared = shapely.intersection(other.geometry, outline).area
            if shared > MAX_SHARED_SHARE * min(outline.area, other.geometry.area):
                return False
        return True


def _points_of(outline: BaseGeometry) -> Iterator[Point]:
    """Yield points in whole pixels that may be on an outline: its centre, and one that takes longer to find."""
    yield Point(round(outline.centroid.x), round(outline.centroid.y))
    inside = outline.representative_point()
    yield Point(round(inside.x), round(inside.y))


@once_a_tile
def object_finder(context: TaskContext) -> ObjectFinder:
    """Return what tells which objects of a tile have a place to themselves."""
    return ObjectFinder(context.facts)


def _doubt(found: TileObject, outlines: Collection[Outline]) -> NotAsked | None:
    """Return why no question may be about an object, however it is named."""
    if not found.is_askable:
        return NotAsked("the object is uncertain or mostly hidden")
    if found.outline not in outlines:
        return NotAsked("the label does not follow the object closely enough")
    if min(found.box.x_max - found.box.x_min, found.box.y_max - found.box.y_min) < MIN_BOX_SIDE_PX:
        return NotAsked("the object is too small")
    return None


def spread(facts: TileFacts, objects: Sequence[TileObject], rng: random.Random) -> list[TileObject]:
    """Return the objects in the order to try them: classes take turns, and in a class the nine parts of the tile."""
    by_class: dict[str, dict[int, list[TileObject]]] = {}
    for found, part in zip(objects, _parts(facts, objects), strict=True):
        by_class.setdefault(found.class_name, {}).setdefault(part, []).append(found)
    turns = [take_turns(shuffled([shuffled(part, rng) for part in parts.values()], rng)) for parts in by_class.values()]
    return take_turns(shuffled(turns, rng))


def _parts(facts: TileFacts, objects: Sequence[TileObject]) -> list[int]:
    """Return for each object which of the tile's nine parts holds the centre of its box, 0 to 8."""
    bounds = bounds_of(objects)
    centres = (bounds[:, :2] + bounds[:, 2:]) / 2
    columns_and_rows = np.minimum(3 * centres // (facts.width, facts.height), 2).astype(int)
    parts: list[int] = (columns_and_rows @ (1, 3)).tolist()
    return parts


def shuffled(items: Sequence[T], rng: random.Random) -> list[T]:
    """Return the items in an order drawn by `rng`."""
    return rng.sample(items, len(items))


def take_turns(groups: Sequence[Sequence[T]]) -> list[T]:
    """Return the first of each group, then the second of each that has one, and so on."""
    nobody: Any = object()
    return [item for turn in zip_longest(*groups, fillvalue=nobody) for item in turn if item is not nobody]


def ask_each(
    context: TaskContext, candidates: Iterable[T], ask: Callable[[T], Question | NotAsked]
) -> Iterator[Question | NotAsked]:
    """Yield what `ask` returns for the candidates until the limit of questions or of tries is reached."""
    num_asked = 0
    for num_tried, candidate in enumerate(candidates):
        if num_asked >= context.limit or num_tried >= context.limit * TRIES_A_QUESTION:
            return
        result = ask(candidate)
        num_asked += isinstance(result, Question)
        yield result


def ask_in_turns(
    context: TaskContext,
    candidates: Sequence[T],
    ask: Callable[[T], Question | NotAsked],
    answer_of: Callable[[Question], Hashable],
) -> Iterator[Question | NotAsked]:
    """Yield questions up to the limit whose answers take turns, chosen from all tries that the limit allows.

    Where most objects share an answer (roofs are grey, streets run north), one guess would be right for most of them.
    """
    by_answer: dict[Hashable, list[Question]] = {}
    for candidate in candidates[: context.limit * TRIES_A_QUESTION]:
        result = ask(candidate)
        if isinstance(result, NotAsked):
            yield result
        else:
            by_answer.setdefault(answer_of(result), []).append(result)
    yield from take_turns(shuffled(list(by_answer.values()), context.rng))[: context.limit]


def box_question(context: TaskContext, key: str, boxed: BoxedObject, **values: object) -> str:
    """Return a wording of `key` that names an object by its box, with the image's size stated."""
    where = context.phrases.text(
        "object_box.where",
        width=context.facts.width,
        height=context.facts.height,
        box=[int(side) for side in boxed.box],
    )
    name = context.facts.classes[boxed.found.class_name].singular
    return context.phrases.pick(context.rng, key, where=where, name=name, **values)


def point_question(context: TaskContext, key: str, pointed: PointedObject, **values: object) -> str:
    """Return a wording of `key` that names an object by a point on it, with the image's size stated."""
    where = context.phrases.text(
        "object_point.where", width=context.facts.width, height=context.facts.height, x=pointed.x, y=pointed.y
    )
    name = context.facts.classes[pointed.found.class_name].singular
    return context.phrases.pick(context.rng, key, where=where, name=name, **values)
