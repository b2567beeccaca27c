"""Does each thing that a caption says follow from the facts of its place? Supported, contradicted, or not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isclose

from rsvqa.annotation.reading.claim_reader import (
    HERE,
    ROAD,
    WHOLE,
    Amount,
    Compared,
    Largest,
    Lengths,
    Said,
    Statement,
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
    if place is None:
        return Verdict.NOT_KNOWN
    if isinstance(said, Lengths):
        return _judge_measures(said, place)
    if isinstance(said, Largest):
        return _judge_largest(said, place)
    if isinstance(said, Compared):
        return _judge_compared(said, place)
    return _judge_statement(said, place, scope)


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
        return Amount(100 * place.shares[name], 100 * place.shares[name])
    if name in place.absent:
        return Amount(0, 0)
    return Amount(1e-6 if any(name in part.shares for part in place.parts.values()) else 0, 100)


def _judge_colour(said: Statement, scope: ClaimScope) -> Verdict:
    known = scope.colours.get(said.name)
    if known is None:
        return Verdict.NOT_KNOWN
    return Verdict.SUPPORTED if known == {said.colour} else Verdict.CONTRADICTED


def _judge_measures(said: Lengths, place: ClaimScope) -> Verdict:
    is_same = len(said.metres) == len(place.metres) and all(
        isclose(one, other, rel_tol=0.01) for one, other in zip(said.metres, place.metres, strict=True)
    )
    return Verdict.SUPPORTED if is_same else Verdict.CONTRADICTED if place.metres else Verdict.NOT_KNOWN


def _judge_largest(said: Largest, place: ClaimScope) -> Verdict:
    if not set(said.names) <= place.shares.keys():
        return Verdict.NOT_KNOWN
    least = min(place.shares[name] for name in said.names)
    others = [share for name, share in place.shares.items() if name not in said.names]
    return Verdict.SUPPORTED if all(share <= least for share in others) else Verdict.CONTRADICTED


def _judge_compared(said: Compared, place: ClaimScope) -> Verdict:
    for known, key in ((_known_count, place.counts), (_known_share, place.shares)):
        if said.more in key or said.less in key:
            more, less = known(said.more, place), known(said.less, place)
            if more.low > less.high:
                return Verdict.SUPPORTED
            return Verdict.CONTRADICTED if more.high <= less.low else Verdict.NOT_KNOWN
    return Verdict.NOT_KNOWN


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
