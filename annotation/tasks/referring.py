"""Descriptions in words that are true of exactly one object of a tile.

A description may only rest on a class of which every member is labelled and certain. What surprises: objects that are
cut by the tile's edge still count as members, because a reader sees them too; they are only never the one described.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import ClassInfo, Outline, Role, TileFacts, TileObject
from rsvqa.annotation.tasks.class_names import has_same_name, may_mean_the_same
from rsvqa.annotation.tasks.colours import COLOURS, measure_colour
from rsvqa.annotation.tasks.directions import BearingFrame, frame_of
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile
from rsvqa.annotation.wording.phrases import Phrases

Rule = Literal["unique_class", "unique_colour", "largest", "extreme_position"]

SIZE_MARGIN = 1.2
"""The largest object is so many times the area of the next one, at least: a difference that the eye sees."""

POSITION_MARGIN = 0.05
"""The outermost object lies this share of the tile's shorter side beyond the next one, at least."""

OUTLINES_THAT_FIT = (Outline.POLYGON, Outline.ORIENTED_BOX)
"""Outlines whose area and pixels are the object's own."""

MAX_REFERENCES = 120
"""Descriptions that are made on one tile; bounds the time."""

MAX_MEASURED = 60
"""Classes with more members are not told apart by colour: with so many, some colour is always doubtful."""


@dataclass(frozen=True, slots=True)
class Members:
    """Every object of one class on the tile, those of its narrower classes included; all certain.

    Attributes:
        info: the class.
        objects: n objects.
        centres: (n, 2) centres of what is visible, tile pixels.
        bounds: (n, 4) boxes, tile pixels.
    """

    info: ClassInfo
    objects: tuple[TileObject, ...]
    centres: NDArray[np.float64]
    bounds: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.objects)

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """(n,) which objects are whole."""
        return np.array([item.is_whole for item in self.objects])

    def subset(self, indices: Sequence[int]) -> Members:
        """Return the objects at `indices`."""
        chosen = tuple(self.objects[index] for index in indices)
        return Members(self.info, chosen, self.centres[indices], self.bounds[indices])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A description of one object.

    Attributes:
        target: the only object that the description is true of.
        text: the description with its article, e.g. "the red car".
        rule: what makes it the only one.
        values: the numbers and words that the rule rests on.
    """

    target: TileObject
    text: str
    rule: Rule
    values: Mapping[str, Any] = field(default_factory=dict)


@once_a_tile
def describable_classes(context: TaskContext) -> tuple[Members, ...]:
    """Return each object class of which the members on the tile are known for sure, in the order of the class table."""
    facts = context.facts
    known: list[Members] = []
    by_class: dict[str, list[TileObject]] = defaultdict(list)
    for item in facts.objects:
        by_class[item.class_name].append(item)
    for info in facts.classes.values():
        if info.role is not Role.OBJECT or info.name not in facts.complete_classes:
            continue
        within = _names_within(facts, info)
        if any(name not in within and may_mean_the_same(info, facts.classes[name]) for name in by_class):
            continue  # a "vehicle" may be a car: with such labels around, the cars are not known
        objects = [item for name in within for item in by_class.get(name, ())]
        if objects and all(item.is_certain for item in objects):
            known.append(members_of(info, objects))
    return tuple(known)


def members_of(info: ClassInfo, objects: Sequence[TileObject]) -> Members:
    """Return objects of one class with their centres and bounds; at least one."""
    geometries = np.array([item.geometry for item in objects], dtype=object)
    centres = shapely.get_coordinates(shapely.centroid(geometries))
    return Members(info, tuple(objects), centres, shapely.bounds(geometries))


def _names_within(facts: TileFacts, info: ClassInfo) -> list[str]:
    """Return the classes whose members are also members of `info`: itself, narrower ones, those that read the same."""
    return [
        other.name
        for other in facts.classes.values()
        if other.role is Role.OBJECT and (info.name in other.broader or has_same_name(info, other))
    ]


class SeenColour(NamedTuple):
    """The colour name of an object, and all names that a person might give it."""

    name: str
    possible: frozenset[str]


def seen_colour(context: TaskContext, item: TileObject) -> SeenColour | None:
    """Return an object's colour, of its label, else measured; None where neither is sure or none can be seen."""
    if not context.facts.has_true_colours:
        return None
    if "colour" in item.attributes:
        name = str(item.attributes["colour"]).casefold()
        return SeenColour(name, frozenset({name})) if name in COLOURS else None
    if item.outline not in OUTLINES_THAT_FIT:
        return None
    measured = measure_colour(context.pixels, item.geometry)
    return SeenColour(measured.name, measured.possible) if measured.name else None


@once_a_tile
def references(context: TaskContext) -> tuple[Reference, ...]:
    """Return descriptions of single objects that hold on this tile, by class, the plainest first."""
    frame = frame_of(context.facts)
    found = (each for members in describable_classes(context) for each in _references_in(context, members, frame))
    return tuple(itertools.islice(found, MAX_REFERENCES))


def _references_in(context: TaskContext, members: Members, frame: BearingFrame) -> Iterator[Reference]:
    noun, phrases = members.info.singular, context.phrases
    if len(members) == 1:
        if may_be_target(members.objects[0]):
            text = phrases.text("referring.plain", noun=noun)
            yield Reference(target=members.objects[0], text=text, rule="unique_class", values={"members": 1})
        return
    yield from _by_size(phrases, noun, members)
    yield from _by_position(context, noun, members, frame)
    for colour, indices in groups_by_colour(context, members).items():
        coloured = members.subset(indices)
        noun_in_colour = phrases.text("referring.coloured", colour=phrases.text(f"colour.{colour}"), noun=noun)
        if len(coloured) > 1:
            yield from _by_position(context, noun_in_colour, coloured, frame)
        elif may_be_target(coloured.objects[0]):
            text = phrases.text("referring.plain", noun=noun_in_colour)
            yield Reference(
                target=coloured.objects[0],
                text=text,
                rule="unique_colour",
                values={"members": len(members), "colour": colour},
            )


def may_be_target(item: TileObject) -> bool:
    """Return whether a question may be about this very object, all of it."""
    return item.is_askable and item.is_whole


def groups_by_colour(context: TaskContext, members: Members) -> dict[str, list[int]]:
    """Return the indices of members by colour; empty unless every colour is known.

    A colour that a person might also give to a member of another group is left out.
    """
    if len(members) > MAX_MEASURED:
        return {}
    seen: list[SeenColour] = []
    for item in members.objects:
        colour = seen_colour(context, item)
        if colour is None:
            return {}
        seen.append(colour)
    groups: dict[str, list[int]] = {}
    for name in dict.fromkeys(colour.name for colour in seen):
        could_be = [index for index, colour in enumerate(seen) if name in colour.possible]
        if all(seen[index].name == name for index in could_be):
            groups[name] = could_be
    return groups


def _by_size(phrases: Phrases, noun: str, members: Members) -> Iterator[Reference]:
    """Yield the largest object, when it is so by a clear margin."""
    if any(item.outline not in OUTLINES_THAT_FIT for item in members.objects):
        return
    # What an object cut off would measure whole, so that the largest is also the largest in truth.
    areas = np.array([item.geometry.area / item.visible_share for item in members.objects])
    first, second = two_greatest(areas)
    if may_be_target(members.objects[first]) and areas[first] >= SIZE_MARGIN * areas[second]:
        values = {"area_px": round(float(areas[first]), 1), "next_area_px": round(float(areas[second]), 1)}
        yield Reference(
            target=members.objects[first],
            text=phrases.text("referring.largest", noun=noun),
            rule="largest",
            values=values,
        )


def _by_position(context: TaskContext, noun: str, members: Members, frame: BearingFrame) -> Iterator[Reference]:
    """Yield the outermost object on each of the four sides, when it is so by a clear margin."""
    facts = context.facts
    margin = POSITION_MARGIN * min(facts.width * frame.scale.x_m, facts.height * frame.scale.y_m)
    table = "referring.compass" if frame.is_compass else "referring.image"
    for side, reach in _reach_by_side(members, frame).items():
        first, second = two_greatest(reach)
        lead = float(reach[first] - reach[second])
        if lead < margin or not may_be_target(members.objects[first]):
            continue
        values = {"side": side, "lead": round(lead, 1), "margin": round(margin, 1)}
        text = context.phrases.text(f"{table}.{side}", noun=noun)
        yield Reference(target=members.objects[first], text=text, rule="extreme_position", values=values)


def _reach_by_side(members: Members, frame: BearingFrame) -> dict[str, NDArray[np.float64]]:
    """Return how far out each object's centre lies to the four sides; of a cut object, how far any of it does."""
    centres = frame.east_north(members.centres)
    corners = np.stack([frame.east_north(members.bounds[:, pair]) for pair in ([0, 1], [0, 3], [2, 1], [2, 3])])
    highest = np.where(members.is_whole[:, None], centres, corners.max(axis=0))
    lowest = np.where(members.is_whole[:, None], centres, corners.min(axis=0))
    return {"n": highest[:, 1], "e": highest[:, 0], "s": -lowest[:, 1], "w": -lowest[:, 0]}


def two_greatest(values: NDArray[np.float64]) -> tuple[int, int]:
    """Return the indices of the greatest and the second greatest of at least two values."""
    order = np.argsort(-values, kind="stable")
    return int(order[0]), int(order[1])
