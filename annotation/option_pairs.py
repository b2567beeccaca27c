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

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from rsvqa.annotation.likeness import overlap, words_of
from rsvqa.annotation.option_drawing import Offer, draw_some
from rsvqa.annotation.taxonomy import NUM_OPTIONS, AnswerForm

_SWAPS = 60_000
"""Questions looked at in all, which bounds the time: few are looked at several times, many once."""
_MAX_PASSES = 8
_TRIED = 6
"""Other options that are tried in the place of one."""
_OTHERS = {1: (2, 3), 2: (1, 3), 3: (1, 2)}
"""By the place of a wrong option, those of the two others."""

_SHOWN = NUM_OPTIONS[AnswerForm.ONE_OF]
_DUE = 1 / _SHOWN
"""Share of the questions that offer two texts in which each is to be right."""
_BESIDE_RIGHT = 2 * _DUE**2 - 2 * _DUE + 1
_BOTH_WRONG = 2 * _DUE**2
_WRONG_ALONE = _DUE**2
"""How much the cost grows with the first question that offers a wrong text beside a right one, beside another wrong
one, and with that text in a stratum."""
_TO_RIGHT, _TO_WRONG = 2 * (1 - 2 * _DUE + 2 * _DUE**2), 4 * (_DUE**2 - _DUE)
_AGAINST, _TOGETHER = 2 * _DUE * (1 - 2 * _DUE), 4 * _DUE**2
_RIGHT_ALONE, _OFTEN_ALONE = 2 * _DUE * (1 - _DUE), 2 * _DUE**2
"""How much each question that is counted moves that growth, by what it has of two texts or one."""
_EQUAL, _BELOW = 1, 8
"""A rank in the order of likeness: 1 for each text that is as much like another one, itself too, 8 for each less so."""
_MOVES = {
    num * _EQUAL + first * _BELOW: tuple((first <= place < first + num) / num - _DUE for place in range(_SHOWN))
    for first in range(_SHOWN)
    for num in range(1, _SHOWN + 1 - first)
}
"""What a question adds to each place in that order, by the rank of its right text; equals share their places."""

_Row = dict[int, float]


class _Likeness(dict[int, float]):
    """How much other texts are like one; most are asked for many times."""

    def __init__(self, own: int, words: Mapping[int, frozenset[str]]) -> None:
        super().__init__()
        self._own, self._words = words[own], words

    def __missing__(self, text: int) -> float:
        likeness = self[text] = round(overlap(self._own, self._words[text]), 9)
        return likeness


class _Growth:
    """How much the cost of a template grows with one more question, by two texts that it offers.

    `beside_right` goes from the right text to the wrong one, `both_wrong` from either to the other.
    """

    def __init__(self) -> None:
        self.beside_right: defaultdict[int, _Row] = defaultdict(dict)
        self.both_wrong: defaultdict[int, _Row] = defaultdict(dict)

    def add_beside(self, answer: int, wrong: int, step: int) -> None:
        """Count the right and a wrong text of a question; with `step` -1 take them away."""
        # one more right answer, and one more offer of both: 1 - 1/k more than its due for one, 1/k less for the other
        row = self.beside_right[answer]
        row[wrong] = row.get(wrong, _BESIDE_RIGHT) + _TO_RIGHT * step
        row = self.beside_right[wrong]
        row[answer] = row.get(answer, _BESIDE_RIGHT) + _TO_WRONG * step
        row = self.both_wrong[answer]
        row[wrong] = row.get(wrong, _BOTH_WRONG) - _AGAINST * step
        row = self.both_wrong[wrong]
        row[answer] = row.get(answer, _BOTH_WRONG) - _AGAINST * step

    def add_wrong(self, first: int, second: int, step: int) -> None:
        """Count two wrong texts of a question; with `step` -1 take them away."""
        row = self.beside_right[first]
        row[second] = row.get(second, _BESIDE_RIGHT) - _AGAINST * step
        row = self.beside_right[second]
        row[first] = row.get(first, _BESIDE_RIGHT) - _AGAINST * step
        row = self.both_wrong[first]
        row[second] = row.get(second, _BOTH_WRONG) + _TOGETHER * step
        row = self.both_wrong[second]
        row[first] = row.get(first, _BOTH_WRONG) + _TOGETHER * step


class PairTally:
    """Counts, for each two texts of a template, how often they are offered and which is right.

    The cost of a pair is the squared distance of both counts from 1/k of the questions that offer it. That of a text
    alone, in each stratum, is added, so that swapping does not undo what was drawn; and that of each place in the order
    of likeness.

    What is held is not the counts, but how much the cost grows with one more question: offering two texts moves that by
    a constant, and giving them up saves as much as offering them last cost. All but the places are multiples of 1/16,
    whose sums are exact in any order.

    Args:
        offers: with the options they show, the right one first.
        words: of each text that they may show, by its index.
    """

    def __init__(self, offers: Sequence[Offer], words: Mapping[int, frozenset[str]]) -> None:
        self._likeness = {text: _Likeness(text, words) for text in words}
        self._places = [0.0] * _SHOWN  # right at a place, less what is due to it
        self._templates: defaultdict[int, _Growth] = defaultdict(_Growth)
        self._alone: defaultdict[int, _Row] = defaultdict(dict)  # of a wrong text of a stratum
        for offer in offers:
            self._count(offer, 1)

    def best_change(self, offer: Offer, place: int, texts: Sequence[int], moves: Sequence[float]) -> tuple[float, int]:
        """Return how much greater the cost becomes when an option gives way to the best of other texts, and that text.

        `moves` is what `moves` says of the question.

        Most of the time of choosing is spent here, so the loop calls nothing.
        """
        answer, old = offer.shown[0], offer.shown[place]
        first, second = (offer.shown[at] for at in _OTHERS[place])
        growth = self._templates[_template(offer)]
        beside_right = growth.beside_right[answer]
        beside_first, beside_second = growth.both_wrong[first], growth.both_wrong[second]
        given_up = 2 * _BESIDE_RIGHT - beside_right[old] + 4 * _BOTH_WRONG - beside_first[old] - beside_second[old]
        strata = [(row, 2 * _WRONG_ALONE - row[old]) for row in map(self._alone.__getitem__, offer.levels[1:])]
        likeness_of = self._likeness
        like_answer, like_first, like_second = likeness_of[answer], likeness_of[first], likeness_of[second]
        one, two, three = like_answer[first], like_answer[second], like_first[second]
        answer_least = one if one > two else two
        first_least = one if one > three else three
        second_least = two if two > three else three
        growths: dict[int, list[float]] = {}  # of the places, by the rank of the right text
        best, best_text = math.inf, -1
        for text in texts:
            to_answer, to_first, to_second = like_answer[text], like_first[text], like_second[text]
            own = to_answer if to_answer > answer_least else answer_least
            rank = _EQUAL  # of the right text
            likeness = to_first if to_first > first_least else first_least
            if likeness <= own:
                rank += _EQUAL if likeness == own else _BELOW
            likeness = to_second if to_second > second_least else second_least
            if likeness <= own:
                rank += _EQUAL if likeness == own else _BELOW
            if to_answer <= own and to_first <= own and to_second <= own:
                rank += _EQUAL if own in (to_answer, to_first, to_second) else _BELOW
            if rank not in growths:
                growths[rank] = [
                    (so_far - was + becomes) ** 2 - so_far**2
                    for so_far, was, becomes in zip(self._places, moves, _MOVES[rank], strict=True)
                ]
            one, two, three, four = growths[rank]
            change = (
                given_up
                + beside_right.get(text, _BESIDE_RIGHT)
                + beside_first.get(text, _BOTH_WRONG)
                + beside_second.get(text, _BOTH_WRONG)
                + one
                + two
                + three
                + four
            )
            for row, relief in strata:
                change += row.get(text, _WRONG_ALONE)
                change += relief
            if change < best or (change == best and text < best_text):
                best, best_text = change, text
        return best, best_text

    def swap(self, offer: Offer, place: int, text: int, moves: Sequence[float]) -> tuple[float, ...]:
        """Let an option give way to another text, and return what `moves` says then; it is given what it said before.

        What the other options are to each other stays as it is.
        """
        answer, old = offer.shown[0], offer.shown[place]
        first, second = (offer.shown[at] for at in _OTHERS[place])
        growth = self._templates[_template(offer)]
        offer.shown = (*offer.shown[:place], text, *offer.shown[place + 1 :])
        becomes = self.moves(offer)
        for one, step in ((old, -1), (text, 1)):
            growth.add_beside(answer, one, step)
            growth.add_wrong(first, one, step)
            growth.add_wrong(second, one, step)
            for level in offer.levels[1:]:
                _grow(self._alone[level], one, _OFTEN_ALONE * step)
        # one after the other: these are no multiples of 1/16
        self._places = [so_far - was + now for so_far, was, now in zip(self._places, moves, becomes, strict=True)]
        return becomes

    def relief(self, offer: Offer) -> float:
        """Return how much less the cost would be without a question."""
        answer, *wrong = offer.shown
        growth = self._templates[_template(offer)]
        beside_right = growth.beside_right[answer]
        return sum(beside_right[text] - 2 * _BESIDE_RIGHT for text in wrong) + sum(
            growth.both_wrong[one][other] - 2 * _BOTH_WRONG for one, other in combinations(wrong, 2)
        )

    def drop(self, offer: Offer) -> None:
        """Take the options of a question away."""
        self._count(offer, -1)
        offer.shown = ()

    def _count(self, offer: Offer, step: int) -> None:
        """Count a question with the options that it shows; with `step` -1 take it away."""
        answer, *wrong = offer.shown
        growth = self._templates[_template(offer)]
        for text in wrong:
            growth.add_beside(answer, text, step)
        for one, other in combinations(wrong, 2):
            growth.add_wrong(one, other, step)
        for level in offer.levels[1:]:
            row = self._alone[level]
            _grow(row, answer, -_RIGHT_ALONE * step)
            for text in wrong:
                _grow(row, text, _OFTEN_ALONE * step)
        for place, move in enumerate(self.moves(offer)):
            self._places[place] += step * move

    def moves(self, offer: Offer) -> tuple[float, ...]:
        """Return what a question adds to each place in the order of likeness."""
        answer, first, second, third = offer.shown
        like_answer, like_first = self._likeness[answer], self._likeness[first]
        second_third = self._likeness[second][third]
        to_first, to_second, to_third = like_answer[first], like_answer[second], like_answer[third]
        first_second, first_third = like_first[second], like_first[third]
        own = max(to_first, to_second, to_third)
        rank = _EQUAL
        for likeness in (
            max(to_first, first_second, first_third),
            max(to_second, first_second, second_third),
            max(to_third, first_third, second_third),
        ):
            if likeness <= own:
                rank += _EQUAL if likeness == own else _BELOW
        return _MOVES[rank]


def _grow(row: _Row, text: int, growth: float) -> None:
    row[text] = row.get(text, _WRONG_ALONE) + growth


def _template(offer: Offer) -> int:
    return offer.levels[1] if len(offer.levels) > 1 else -1


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
    moves = tally.moves(offer)
    for place in _OTHERS:
        spare = [text for text in offer.wrong if text not in offer.shown]
        change, best = tally.best_change(offer, place, draw_some(rng, spare, _TRIED), moves)
        if change < -1e-9:
            moves = tally.swap(offer, place, best, moves)
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
