"""Does each thing that a caption says follow from the facts of its place? Supported, contradicted, or not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import singledispatch
from math import floor, inf, log10, pi

from rsvqa.annotation.reading.said import (
    HERE,
    ROAD,
    WHOLE,
    AlongRoads,
    Amount,
    Bordering,
    Compared,
    InRows,
    Largest,
    Lying,
    NoneHalf,
    OnePiece,
    OnGround,
    RoadsSaid,
    Said,
    Sizes,
    Statement,
    Together,
)

NUMBERS_WORTH = 1
NAMES_WORTH = 2
"""Weights of the facts that a draft keeps: that something is there, and how much of it."""


class Verdict(StrEnum):
    """What the facts say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimScope:
    """What is known of the place that a text is about.

    Attributes:
        counts: objects by class; None where there are some, but nobody knows how many.
        shares: of the area, 0 to 1, by class, the largest land uses only.
        has_road: a road is there; False where nobody knows.
        absent: classes that are certainly not there.
        colours: of a class, where all of its objects are known to be of these.
        parts: what is known of the nine parts; empty when the place has no parts.
        is_by_part: the text goes from part to part, so a sentence is about the part named last.
        at_least: the classes of `shares` of which there may be more than is labelled.
        labelled: the share of the area that has a label of ground; 0 where nobody knows.
        in_one_piece: the classes of ground that are there in one piece.
        rows: how the objects of a class stand, "row" or "rows".
        within: the ground that all objects of a class are on.
        is_crossed: a road comes in on one side and goes out on another.
        lying: the part, the half or "everywhere" in which nearly all ground of a class lies.
        border: a class of ground, and what lies along most of its edge; empty where nothing is known.
        is_surrounded: the one class of `border` is all around the other.
        along_roads_m: metres within which all of a class have a road.
        road_length_m: of all roads; None where nobody knows.
        roads_form_a_grid: they are known to.
        metres: lengths of the place: width and height, or its diameter.
        circle: number of the circle that the text is about.
        numbers: other numbers that may be said, e.g. a width in metres.
        nouns: singular and plural of each class.
    """

    counts: Mapping[str, int | None] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    has_road: bool = False
    absent: frozenset[str] = frozenset()
    colours: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parts: Mapping[str, ClaimScope] = field(default_factory=dict)
    is_by_part: bool = False
    at_least: frozenset[str] = frozenset()
    labelled: float = 0.0
    in_one_piece: frozenset[str] = frozenset()
    rows: Mapping[str, str] = field(default_factory=dict)
    within: Mapping[str, str] = field(default_factory=dict)
    is_crossed: bool = False
    lying: Mapping[str, str] = field(default_factory=dict)
    border: tuple[str, tuple[str, ...]] = ("", ())
    is_surrounded: bool = False
    along_roads_m: Mapping[str, int] = field(default_factory=dict)
    road_length_m: float | None = None
    roads_form_a_grid: bool = False
    metres: tuple[float, ...] = ()
    circle: int | None = None
    numbers: frozenset[float] = frozenset()
    nouns: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def places(self) -> tuple[ClaimScope, ...]:
        """The place and its parts."""
        return (self, *self.parts.values())


def place_of(said: Said, scope: ClaimScope, last: ClaimScope | None) -> ClaimScope | None:
    """Return what is known of the place that is spoken of; None when nothing is."""
    if said.place == HERE:
        return last
    if said.place == WHOLE:
        return scope if scope.circle is None else None
    if said.place.startswith("circle "):
        return scope if said.place == f"circle {scope.circle}" else None
    return scope.parts.get(said.place)


def judge(said: Said, place: ClaimScope | None, scope: ClaimScope) -> Verdict:
    """Return what the facts of `place`, a part of `scope` or itself, say of one thing said."""
    return Verdict.NOT_KNOWN if place is None else _judge(said, place, scope)


@singledispatch
def _judge(said: Said, place: ClaimScope, scope: ClaimScope) -> Verdict:  # noqa: ARG001  each kind has its judge
    raise TypeError(type(said))


def _verdict(*, is_true: bool, is_false: bool = False) -> Verdict:
    return Verdict.SUPPORTED if is_true else Verdict.CONTRADICTED if is_false else Verdict.NOT_KNOWN


@_judge.register
def _judge_statement(said: Statement, place: ClaimScope, scope: ClaimScope) -> Verdict:
    is_area = said.unit == "share" or (said.unit == "any" and not _is_counted(said.name, scope))
    claimed = said.amount
    if said.unit == "any" and is_area and claimed.high > 0:
        claimed = Amount(1e-9, 100)
    known = _known_share(said.name, place) if is_area else _known_count(said.name, place)
    verdict = _compared(claimed, known)
    is_elsewhere = said.name in scope.counts and said.name not in place.counts and scope.counts[said.name] is not None
    if verdict is Verdict.NOT_KNOWN and place is not scope and is_elsewhere and claimed.low > 0:
        return Verdict.CONTRADICTED  # all of them are known, and they are elsewhere
    if said.colour and verdict is Verdict.SUPPORTED:
        return _judge_colour(said, scope)
    return verdict


def _is_counted(name: str, scope: ClaimScope) -> bool:
    return name == ROAD or any(name in place.counts for place in scope.places)


def _compared(claimed: Amount, known: Amount) -> Verdict:
    if claimed.low <= known.low and known.high <= claimed.high:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if known.high < claimed.low or claimed.high < known.low else Verdict.NOT_KNOWN


def _known_count(name: str, place: ClaimScope) -> Amount:
    if name == ROAD:
        return Amount(1 if place.has_road else 0, inf)
    if name in place.counts:
        count = place.counts[name]
        return Amount(2, inf) if count is None else Amount(count, count)
    if name in place.absent:
        return Amount(0, 0)
    return Amount(1 if any(name in part.counts for part in place.parts.values()) else 0, inf)


def _known_share(name: str, place: ClaimScope) -> Amount:
    if name in place.shares:
        share = 100 * place.shares[name]
        return Amount(share, min(100.0, share + 100 * (1 - place.labelled)) if name in place.at_least else share)
    if name in place.absent:
        return Amount(0, 0)
    return Amount(1e-6 if any(name in part.shares for part in place.parts.values()) else 0, 100)


def _judge_colour(said: Statement, scope: ClaimScope) -> Verdict:
    known = scope.colours.get(said.name)
    if known is None:
        return Verdict.NOT_KNOWN
    return Verdict.SUPPORTED if known == {said.colour} else Verdict.CONTRADICTED


@_judge.register
def _judge_sizes(said: Sizes, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    if not place.metres:
        return Verdict.NOT_KNOWN
    sides = dict(zip(("width", "height"), place.metres, strict=False))
    named = [sides.get(side.axis) for side in said.lengths if side.axis]
    if None in named or 0 < len(named) < len(said.lengths):
        return Verdict.NOT_KNOWN
    true = named or place.metres[: len(said.lengths)]
    if len(said.lengths) > len(true) or (len(said.lengths) == 1 and not named and len(set(place.metres)) > 1):
        return Verdict.NOT_KNOWN
    fits = [is_rounded(side.metres, length or 0.0) for side, length in zip(said.lengths, true, strict=True)]
    fits += [is_rounded(area, area_of(place)) for area in said.areas]
    return _verdict(is_true=all(fits), is_false=True)


def is_rounded(said: float, true: float) -> bool:
    """Return whether a positive number may be told for another one: within 1 %, or rounded to two digits."""
    return true > 0 and abs(said - true) <= max(0.01 * true, 0.501 * 10 ** (floor(log10(true)) - 1))


def area_of(place: ClaimScope) -> float:
    """Return the square metres of a rectangle of two lengths or a circle of one; 0 where no length is known."""
    width, height = (place.metres * 2)[:2] if place.metres else (0.0, 0.0)
    return width * height * (pi / 4 if place.circle is not None else 1.0)


@_judge.register
def _judge_largest(said: Largest, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    if not set(said.names) <= place.shares.keys() or place.at_least:
        return Verdict.NOT_KNOWN
    least = min(place.shares[name] for name in said.names)
    others = [share for name, share in place.shares.items() if name not in said.names]
    return _verdict(is_true=all(share <= least for share in others), is_false=True)


@_judge.register
def _judge_together(said: Together, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    if not set(said.names) <= place.shares.keys():
        return Verdict.NOT_KNOWN
    known = [_known_share(name, place) for name in dict.fromkeys(said.names)]
    return _verdict(
        is_true=sum(share.low for share in known) >= said.percent,
        is_false=sum(share.high for share in known) < said.percent,
    )


@_judge.register
def _judge_none_half(said: NoneHalf, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del said, scope
    known = [_known_share(name, place) for name in place.shares]
    # what is not named covers no more than the least that is named, but for what has no label
    others = 100 * (min(place.shares.values(), default=1.0) + 1 - place.labelled)
    return _verdict(
        is_true=all(share.high < 50 for share in known) and others < 50,
        is_false=any(share.low > 50 for share in known),
    )


@_judge.register
def _judge_one_piece(said: OnePiece, place: ClaimScope, scope: ClaimScope) -> Verdict:
    if _is_counted(said.name, scope) or said.name in place.in_one_piece:
        return Verdict.SUPPORTED
    return Verdict.NOT_KNOWN


@_judge.register
def _judge_compared(said: Compared, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    for known, key in ((_known_count, place.counts), (_known_share, place.shares)):
        if said.more in key or said.less in key:
            more, less = known(said.more, place), known(said.less, place)
            return _verdict(is_true=more.low > less.high, is_false=more.high <= less.low)
    return Verdict.NOT_KNOWN


# --- how things lie ---------------------------------------------------------------------------------------------------

_ALL_LYING = 0.9
_PART_LYING = 0.8
"""What is known to lie in a half, and in a part, has this share of it there (`layout.arrangement`)."""

_OPPOSITE = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}
_IN_HALF = {"left": "left", "right": "right", "top": "upper", "bottom": "lower"}


@_judge.register
def _judge_lying(said: Lying, place: ClaimScope, scope: ClaimScope) -> Verdict:
    known = scope.lying.get(said.name)
    if known is None or place is not scope:
        return Verdict.NOT_KNOWN
    if known == "everywhere" or said.where == "everywhere":
        is_some = known == "everywhere" and (said.where == "everywhere" or said.least == 0)
        return _verdict(is_true=is_some, is_false=said.least >= 0.5 or said.where == "everywhere")
    halves = {known, *(_IN_HALF[word] for word in known.split("_") if word in _IN_HALF)}
    is_half = known in _OPPOSITE
    share = _ALL_LYING if is_half else _PART_LYING
    is_there = said.where in halves and said.least <= share
    is_elsewhere = said.least >= 0.5 and bool({_OPPOSITE.get(half) for half in halves} & {said.where})
    is_other_part = not is_half and said.where not in _OPPOSITE and said.where != known and said.least >= 0.5
    return _verdict(is_true=is_there, is_false=is_elsewhere or is_other_part)


@_judge.register
def _judge_bordering(said: Bordering, place: ClaimScope, scope: ClaimScope) -> Verdict:
    name, others = scope.border
    if place is not scope or not name:
        return Verdict.NOT_KNOWN
    if said.is_around:
        is_turned = scope.is_surrounded and said.others == (name,) and said.name in others
        is_true = scope.is_surrounded and said.name == name and said.others == others
        return _verdict(is_true=is_true, is_false=is_turned)
    is_of_it = said.name == name and set(said.others) <= set(others)
    return _verdict(is_true=is_of_it or (said.is_mutual and said.name in others and said.others == (name,)))


@_judge.register
def _judge_rows(said: InRows, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    return _verdict(is_true=place.rows.get(said.name) == said.rows)


@_judge.register
def _judge_standing(said: OnGround, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del scope
    known = place.within.get(said.name)
    return _verdict(is_true=known == said.ground, is_false=known is not None)


@_judge.register
def _judge_along(said: AlongRoads, place: ClaimScope, scope: ClaimScope) -> Verdict:
    del place  # what is true of all is true of those of a part
    known = scope.along_roads_m.get(said.name, inf)
    return _verdict(is_true=known < inf and (said.metres is None or known <= said.metres))


@_judge.register
def _judge_roads(said: RoadsSaid, place: ClaimScope, scope: ClaimScope) -> Verdict:
    if said.what == "crosses":
        return _verdict(is_true=place.has_road and (place.is_crossed or (place is scope and place.circle is None)))
    if place is not scope:
        return Verdict.NOT_KNOWN
    if said.what == "grid":
        return _verdict(is_true=scope.roads_form_a_grid)
    length_m = scope.road_length_m
    return _verdict(is_true=length_m is not None and is_rounded(said.metres, length_m), is_false=length_m is not None)


# --- what a text keeps ------------------------------------------------------------------------------------------------


def facts_of(scope: ClaimScope) -> Iterator[tuple[str, str, int]]:
    """Yield the facts of one place, parts left out, as (class, "is there" or "number") with what each is worth."""
    for name, count in scope.counts.items():
        yield name, "is there", NAMES_WORTH
        if count is not None:
            yield name, "number", NUMBERS_WORTH
    for name in scope.shares:
        yield name, "is there", NAMES_WORTH
        yield name, "number", NUMBERS_WORTH
    if scope.has_road:
        yield ROAD, "is there", NAMES_WORTH


def told_by(said: Said) -> Iterator[tuple[str, str]]:
    """Yield which facts of its place a supported claim tells."""
    if isinstance(said, Statement) and said.amount.high > 0:
        yield said.name, "is there"
        if said.unit == "share" or said.amount.low == said.amount.high:
            yield said.name, "number"
