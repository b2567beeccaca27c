"""Swap wrong options until neither two that stand together nor their words tell which is right.

Each text may be right as often as chance says and still give an answer away: where one conclusion implies another, the
first is never right beside the second; where an object is white, grey is not offered. So of each two texts offered
together each is to be right in 1/k of the questions. What surprises: of two texts of which neither is ever right beside
the other, the search learns not to offer them together.

What is true of one tile is said in like words: "mostly built over" goes with "most of the ground is built over". Only
one of these may be offered, so the right option would be the one that is least like the others. So each place in the
order of likeness is to be right equally often, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from rsvqa.annotation.likeness import overlap, words_of
from rsvqa.annotation.option_drawing import Offer
from rsvqa.annotation.taxonomy import AnswerForm

_SWAPS = 60_000
"""Questions looked at in all, which bounds the time: few are looked at several times, many once."""
_MAX_PASSES = 8
_TRIED = 6
"""Other options that are tried in the place of one."""

_Key = tuple[int, int, int]


class PairTally:
    """Counts, for each two texts of a template, how often they are offered and which is right.

    The cost of a pair is the squared distance of both counts from 1/k of the questions that offer it. That of a text
    alone, in each stratum, is added, so that swapping does not undo what was drawn; and that of each place in the order
    of likeness.

    Args:
        offers: with the options they show.
        words: of each text that they may show, by its index.
    """

    def __init__(self, offers: Sequence[Offer], words: Mapping[int, frozenset[str]]) -> None:
        self._words = words
        self._overlaps: dict[tuple[int, int], float] = {}  # of pairs met so far: most are met many times
        self._places = [0.0] * max(offer.num_shown for offer in offers)  # right at a place, less what is due to it
        self._offered: dict[_Key, int] = {}
        self._right: dict[_Key, int] = {}
        self._excess: dict[tuple[int, int], float] = {}  # of a text of a stratum: times right less its due
        for offer in offers:
            for text in offer.shown:
                self._add_alone(offer, text, 1)
            for one, other in combinations(offer.shown, 2):
                self._add(offer, one, other, 1)
            self._add_places(self._moves(offer, offer.shown), 1)

    def changes(self, offer: Offer, place: int, texts: Sequence[int]) -> Iterator[tuple[float, int]]:
        """Yield how much greater the cost becomes when an option gives way to each of other texts, and the text.

        Most of the time of choosing is spent here, so what `_gain` does is done in the loop.
        """
        old = offer.shown[place]
        due = 1 / offer.num_shown
        template = _template(offer)
        kept = [
            (other, (other == offer.answer) - due, self._gain(offer, other, old, -1))
            for at, other in enumerate(offer.shown)
            if at != place
        ]
        excess, offered, right = self._excess, self._offered, self._right
        relieved = [due * (due + 2 * excess.get((level, old), 0.0)) for level in offer.levels[1:]]
        old_places = self._moves(offer, offer.shown)
        for text in texts:
            moved_text = (text == offer.answer) - due
            change = 0.0
            for other, moved, gain in kept:
                even = due * offered.get((template, other, text) if other < text else (template, text, other), 0)
                off = right.get((template, other, text), 0) - even
                off_text = right.get((template, text, other), 0) - even
                change += moved * (2 * off + moved) + moved_text * (2 * off_text + moved_text) + gain
            new_places = self._moves(offer, (*offer.shown[:place], text, *offer.shown[place + 1 :]))
            for now, was, new in zip(self._places, old_places, new_places, strict=False):
                change += (now - was + new) ** 2 - now**2
            for level, relief in zip(offer.levels[1:], relieved, strict=True):
                change += due * (due - 2 * excess.get((level, text), 0.0))
                change += relief
            yield change, text

    def swap(self, offer: Offer, place: int, text: int) -> None:
        """Let an option give way to another text."""
        old = offer.shown[place]
        self._add_alone(offer, old, -1)
        self._add_alone(offer, text, 1)
        for at, other in enumerate(offer.shown):
            if at != place:
                self._add(offer, other, old, -1)
                self._add(offer, other, text, 1)
        self._add_places(self._moves(offer, offer.shown), -1)
        offer.shown = (*offer.shown[:place], text, *offer.shown[place + 1 :])
        self._add_places(self._moves(offer, offer.shown), 1)

    def relief(self, offer: Offer) -> float:
        """Return how much less the cost would be without a question."""
        return -sum(self._gain(offer, one, other, -1) for one, other in combinations(offer.shown, 2))

    def drop(self, offer: Offer) -> None:
        """Take the options of a question away."""
        for text in offer.shown:
            self._add_alone(offer, text, -1)
        for one, other in combinations(offer.shown, 2):
            self._add(offer, one, other, -1)
        self._add_places(self._moves(offer, offer.shown), -1)
        offer.shown = ()

    def _moves(self, offer: Offer, shown: Sequence[int]) -> list[float]:
        """Return what a question adds to each place in the order of likeness; places of equals share it."""
        likeness = [
            round(max((self._likeness(text, other) for other in shown if other != text), default=0.0), 9)
            for text in shown
        ]
        own = likeness[shown.index(offer.answer)]
        first, num = sum(value < own for value in likeness), likeness.count(own)
        return [(first <= place < first + num) / num - 1 / len(shown) for place in range(len(shown))]

    def _likeness(self, one: int, other: int) -> float:
        key = (one, other) if one < other else (other, one)
        if key not in self._overlaps:
            self._overlaps[key] = overlap(self._words[one], self._words[other])
        return self._overlaps[key]

    def _add_places(self, moves: Sequence[float], step: int) -> None:
        for place, move in enumerate(moves):
            self._places[place] += step * move

    def _add_alone(self, offer: Offer, text: int, step: int) -> None:
        moved = step * ((text == offer.answer) - 1 / offer.num_shown)
        for level in offer.levels[1:]:
            self._excess[level, text] = self._excess.get((level, text), 0.0) + moved

    def _gain(self, offer: Offer, one: int, other: int, step: int) -> float:
        key = _key(offer, one, other)
        offered = self._offered.get(key, 0)
        share = 1 / offer.num_shown
        total = 0.0
        for text in (one, other):
            off = self._right.get((key[0], text, one + other - text), 0) - share * offered
            moved = step * ((text == offer.answer) - share)
            total += moved * (2 * off + moved)
        return total

    def _add(self, offer: Offer, one: int, other: int, step: int) -> None:
        key = _key(offer, one, other)
        self._offered[key] = self._offered.get(key, 0) + step
        if offer.answer in (one, other):
            right = (key[0], offer.answer, one + other - offer.answer)
            self._right[right] = self._right.get(right, 0) + step


def _template(offer: Offer) -> int:
    return offer.levels[1] if len(offer.levels) > 1 else -1


def _key(offer: Offer, one: int, other: int) -> _Key:
    template = _template(offer)
    return (template, one, other) if one < other else (template, other, one)


def settle_pairs(offers: Sequence[Offer], texts: Sequence[str], rng: random.Random) -> int:
    """Swap wrong options of the questions that have some to spare; return how many keep two texts uneven even so.

    Those are left without options.

    Args:
        offers: of one task and split, with the options they show; swapped in place.
        texts: by their index.
        rng: of the order, and of what is tried.
    """
    movable = [offer for offer in offers if _is_movable(offer)]
    if not movable:
        return 0
    used = {text for offer in movable for text in (*offer.right, *offer.wrong)}
    tally = PairTally(movable, {text: frozenset(words_of(texts[text])) for text in used})
    for _ in range(max(1, min(_MAX_PASSES, _SWAPS // len(movable)))):
        num_swapped = sum(_improve(tally, offer, rng) for offer in rng.sample(movable, len(movable)))
        if not num_swapped:
            break
    return sum(_drops(tally, movable, rng))


def _is_movable(offer: Offer) -> bool:
    return (
        offer.form is AnswerForm.ONE_OF
        and offer.has_quota
        and offer.pool < 0
        and bool(offer.shown)
        and len(offer.wrong) >= offer.num_shown
    )


def _improve(tally: PairTally, offer: Offer, rng: random.Random) -> int:
    """Swap the options of a question one by one where that makes pairs more even; return how many."""
    num = 0
    for place in range(1, offer.num_shown):
        spare = [text for text in offer.wrong if text not in offer.shown]
        tried = rng.sample(spare, min(_TRIED, len(spare)))
        change, best = min(tally.changes(offer, place, tried), default=(0.0, -1))
        if change < -1e-9:
            tally.swap(offer, place, best)
            num += 1
    return num


_NOISE = 3.0
"""Relief that a question without any fault may bring: its six pairs, each half a question off. Chosen on the example
scenes of seeds 0 and 1: with twice as much, conclusions were guessed 13 points (sure) over chance in one of them."""


def _drops(tally: PairTally, offers: Sequence[Offer], rng: random.Random) -> Iterator[bool]:
    for offer in rng.sample(offers, len(offers)):
        if tally.relief(offer) > _NOISE:
            tally.drop(offer)
            yield True
