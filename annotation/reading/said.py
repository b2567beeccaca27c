"""What a clause of a caption can say: numbers and shares of a class, and how things lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

ROAD = "\0road"
"""Stands for roads of any class: facts tell that there are some, not which."""

WHOLE = "whole"
HERE = "here"
"""The place that is spoken of."""

Unit = Literal["count", "share", "any"]
Axis = Literal["", "width", "height"]


class Amount(NamedTuple):
    """A closed range of numbers, of percents for a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing that a clause says of a class at a place.

    Attributes:
        name: the class, or `ROAD`.
        unit: of the amount; "any" where a land use or an object may be meant.
        amount: what is said.
        colour: that all of them are said to be of; empty without one.
        place: `WHOLE`, `HERE`, the key of a part, or "circle 3".
        words: of the clause, for people.
    """

    name: str
    unit: Unit
    amount: Amount
    colour: str = ""
    place: str = HERE
    words: str = ""


@dataclass(frozen=True, slots=True)
class Largest:
    """That these are the largest land uses of a place."""

    names: tuple[str, ...]
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Together:
    """That these land uses cover at least this percentage of a place together."""

    names: tuple[str, ...]
    percent: float
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class NoneHalf:
    """That no land use covers half of a place."""

    place: str
    words: str


@dataclass(frozen=True, slots=True)
class OnePiece:
    """That the ground of a class is one piece at a place ("an orchard"); true of objects, whose number says it."""

    name: str
    place: str
    words: str


class SideLength(NamedTuple):
    """A length in metres, and of which side it is."""

    metres: float
    axis: Axis


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of a place in the order in which they are said, and areas in square metres."""

    lengths: tuple[SideLength, ...]
    areas: tuple[float, ...]
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Compared:
    """That there is more of the first than of the second."""

    more: str
    less: str
    place: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """That ground of a class lies in a half ("left"), a part, or "everywhere"; all but a little of it, or some."""

    name: str
    where: str
    least: float
    place: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bordering:
    """What lies along the edge of some ground.

    Attributes:
        name: of the ground.
        others: what is there.
        is_around: that it is all around.
        is_mutual: that it may be told of either ("A borders on B"), and not that it is most of the edge.
    """

    name: str
    others: tuple[str, ...]
    is_around: bool
    is_mutual: bool
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class InRows:
    """That objects stand in a "row", or in "rows"."""

    name: str
    rows: str
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class OnGround:
    """That all objects of a class are on one kind of ground."""

    name: str
    ground: str
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class AlongRoads:
    """That all objects of a class are beside roads, within so many metres where a number is told."""

    name: str
    metres: float | None
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class RoadsSaid:
    """Of the roads of a place: that one crosses it, that they form a grid, or how long they are in metres."""

    what: Literal["crosses", "grid", "length"]
    metres: float
    place: str
    words: str


Said = (
    Statement
    | Largest
    | Together
    | NoneHalf
    | OnePiece
    | Sizes
    | Compared
    | Lying
    | Bordering
    | InRows
    | OnGround
    | AlongRoads
    | RoadsSaid
)
