"""Draw the options that questions show, so that each text is right as often as blind choice says.

The arithmetic of `choosing`, on numbers alone: a text is an index, and so is a stratum. A text should be wrong k - 1
times for each time that it is right. What it still lacks, divided by the questions left that could show it, is the
chance with which it is drawn.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.taxonomy import NUM_OPTIONS, AnswerForm

_CERTAIN = 1e9
"""Weight of an option that must be taken now: there are no more questions left than it needs, most first."""
_DRAWN_AT_ONCE = 4_096
_FEW = 21
"""Texts up to which `random.sample` draws from a list of what is left, however many are drawn."""


@dataclass(slots=True, kw_only=True)
class Offer:
    """A candidate in numbers: `right` and `wrong` are indices of texts, `levels` of strata, coarse to fine.

    `kind` is what is to be even: the answer itself, but one for all numbers of a pool that are too near to each other
    to be offered together. Where most cars are about 4.5 m long, no single length is frequent, and yet all are known.
    `is_fine` says that what it asks about vanishes in a reduced image.
    """

    index: int
    tile: int
    form: AnswerForm
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    kind: int
    levels: tuple[int, ...]
    pool: int
    value: float
    min_ratio: float
    is_fine: bool = False
    shown: tuple[int, ...] = ()
    num_right: int = 0

    @property
    def num_shown(self) -> int:
        """Options that are shown."""
        return NUM_OPTIONS[self.form]

    @property
    def answer(self) -> int:
        """The right text, of those with one."""
        return self.right[0]

    @property
    def has_quota(self) -> bool:
        """Whether its answer is one of those that are to be even."""
        return bool(self.levels) and self.form in (AnswerForm.ONE_OF, AnswerForm.YES_NO)


def draw_some(rng: random.Random, texts: Sequence[int], most: int) -> list[int]:
    """Return as many texts in random order, or all: what `rng.sample` draws, in a third of its time for a few."""
    num = min(most, len(texts))
    if len(texts) > _FEW:
        return rng.sample(texts, num)
    left, drawn, draw_bits = list(texts), [], rng.getrandbits
    for num_left in range(len(left), len(left) - num, -1):
        num_bits = num_left.bit_length()
        place = draw_bits(num_bits)
        while place >= num_left:
            place = draw_bits(num_bits)
        drawn.append(left[place])
        left[place] = left[num_left - 1]
    return drawn


class _Exponentials:
    """Standard exponential numbers one by one: the ones that numpy's generator gives, drawn many at a time."""

    def __init__(self, seed: int) -> None:
        self._numbers = np.random.Generator(np.random.PCG64(seed))
        self._drawn = np.empty(0)

    def take(self, num: int) -> NDArray[np.float64]:
        """Return the next numbers."""
        if num > len(self._drawn):
            more = self._numbers.standard_exponential(max(num, _DRAWN_AT_ONCE))
            self._drawn = np.concatenate([self._drawn, more])
        taken, self._drawn = self._drawn[:num], self._drawn[num:]
        return taken


class _Tally:
    """How often each text of a stratum is right, is wrong so far, and could still be shown as a wrong one.

    This one is of texts that each question lists: few, and plain numbers are fastest.
    """

    def __init__(self) -> None:
        self.right: defaultdict[int, int] = defaultdict(int)
        self._lacks: dict[int, int] = {}
        self._left: defaultdict[int, int] = defaultdict(int)

    def is_right(self, text: int) -> bool:
        """Return whether a text is ever right here."""
        return self.right.get(text, 0) > 0

    def lack(self, text: int) -> float:
        """Return how much less often a text was shown as wrong than it should be; 0 of a text from elsewhere."""
        return float(self._lacks.get(text, 0))

    def count(self, offer: Offer) -> None:
        """Count a question that is going to be asked."""
        self.right[offer.answer] += 1
        left = self._left
        for text in offer.wrong:
            left[text] += 1

    def close(self, num_wrong: int) -> None:
        """Begin drawing: all questions are counted."""
        self._lacks = dict.fromkeys(self._left, 0) | {text: num_wrong * num for text, num in self.right.items()}

    def by_need(self, offer: Offer, exponentials: _Exponentials) -> Iterator[int]:
        """Yield the texts that are shown as wrong less often than they should, in an order drawn by their need."""
        lacks, left = self._lacks, self._left
        texts = [text for text in offer.wrong if lacks[text] > 0]
        turns = []
        for text, number in zip(texts, exponentials.take(len(texts)).tolist(), strict=True):
            lack = lacks[text]
            chance = lack / max(left[text], 1)
            odds = chance / max(1 - chance, 1e-9) if chance < 1 else _CERTAIN * (1 + lack)
            turns.append((number / odds, text))
        for _, text in sorted(turns, key=itemgetter(0)):
            yield text

    def note(self, offer: Offer, wrong: Sequence[int]) -> None:
        """Count a question as done, with the wrong options that it shows."""
        left = self._left
        for text in {*offer.wrong}:
            left[text] -= 1
        for text in wrong:
            self._lacks[text] -= 1


class _PoolTally(_Tally):
    """The same of a pool, in which each question could show all texts but its answer: many, so they are in arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.place_of: dict[int, int] = {}
        self.texts: list[int] = []
        self._num_right: list[int] = []
        self._num_left = 0
        self._pool_lacks = self._pool_answers = np.empty(0)

    def is_right(self, text: int) -> bool:
        """Return whether a text is ever right here."""
        return text in self.place_of

    def lack(self, text: int) -> float:
        """Return how much less often a text was shown as wrong than it should be; 0 of a text from elsewhere."""
        place = self.place_of.get(text)
        return 0.0 if place is None else float(self._pool_lacks[place])

    def count(self, offer: Offer) -> None:
        """Count a question that is going to be asked."""
        place = self.place_of.setdefault(offer.answer, len(self.texts))
        if place == len(self.texts):
            self.texts.append(offer.answer)
            self._num_right.append(0)
        self._num_right[place] += 1
        self._num_left += 1

    def close(self, num_wrong: int) -> None:
        """Begin drawing: all questions are counted."""
        self._pool_answers = np.array(self._num_right, np.float64)  # of what is left
        self._pool_lacks = num_wrong * self._pool_answers

    def by_need(self, offer: Offer, exponentials: _Exponentials) -> Iterator[int]:  # noqa: ARG002  any may be shown
        """Yield the texts that are shown as wrong less often than they should, in an order drawn by their need."""
        places = np.flatnonzero(self._pool_lacks > 0)
        if not len(places):
            return
        lacks = self._pool_lacks[places]
        chance = lacks / np.maximum(self._num_left - self._pool_answers[places], 1)
        odds = np.where(chance < 1, chance / np.maximum(1 - chance, 1e-9), _CERTAIN * (1 + lacks))
        order = np.argsort(exponentials.take(len(places)) / odds, kind="stable")
        for place in places[order].tolist():
            yield self.texts[place]

    def note(self, offer: Offer, wrong: Sequence[int]) -> None:
        """Count a question as done, with the wrong options that it shows."""
        self._num_left -= 1
        self._pool_answers[self.place_of[offer.answer]] -= 1
        for text in wrong:
            if (place := self.place_of.get(text)) is not None:
                self._pool_lacks[place] -= 1


class OptionDrawer:
    """Draws the options of the questions of one task and split."""

    def __init__(
        self,
        offers: Sequence[Offer],
        elsewhere: Mapping[int, Mapping[int, float]],
        rng: random.Random,
        *,
        has_fallback: bool,
    ) -> None:
        self._elsewhere = elsewhere
        self._has_fallback = has_fallback
        self._rng = rng
        self._exponentials = _Exponentials(rng.getrandbits(64))
        self._tallies: dict[tuple[int, int, int], _Tally] = {}
        self._several: defaultdict[int, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(_never))
        self.num_never_right = 0
        for offer in offers:
            self._count(offer)
        for (_, _, num_wrong), tally in self._tallies.items():
            tally.close(num_wrong)

    def draw(self, offer: Offer) -> None:
        """Give a question its options; it stays without any where there are too few."""
        num_wrong = offer.num_shown - 1
        if offer.form is AnswerForm.SEVERAL_OF:
            self._draw_several(offer)
        elif not offer.num_shown:
            return
        else:
            wrong = offer.wrong if self._is_fixed(offer) else self._draw_wrong(offer, num_wrong)
            if len(wrong) == num_wrong:
                offer.shown, offer.num_right = (offer.answer, *wrong), 1
            self._note(offer, offer.shown[1:])

    @staticmethod
    def _is_fixed(offer: Offer) -> bool:
        return offer.pool < 0 and len(offer.wrong) == offer.num_shown - 1

    def _keys(self, offer: Offer) -> Iterator[tuple[int, int, int]]:
        """Yield the strata of a question, fine to coarse, the whole pool or task last."""
        num_wrong = offer.num_shown - 1
        for level in reversed(offer.levels):
            yield level, offer.pool, num_wrong
        yield -1, offer.pool, num_wrong

    def _count(self, offer: Offer) -> None:
        if offer.form is AnswerForm.SEVERAL_OF:
            for level in (*offer.levels, -1):
                row = self._several[level]
                for text in offer.right:
                    row[text][0] += 1
                for text in offer.wrong:
                    row[text][1] += 1
            return
        if not offer.num_shown:
            return
        for key in self._keys(offer):
            if key not in self._tallies:
                self._tallies[key] = _Tally() if offer.pool < 0 else _PoolTally()
            self._tallies[key].count(offer)

    def _note(self, offer: Offer, wrong: Sequence[int]) -> None:
        """Count a question as done, with the wrong options that it shows."""
        for key in self._keys(offer):
            self._tallies[key].note(offer, wrong)

    def _draw_wrong(self, offer: Offer, num_wrong: int) -> tuple[int, ...]:
        keys = list(self._keys(offer))
        accept = _Accept(offer, self._elsewhere.get(offer.pool, {}))
        needed = (text for key in keys for text in self._tallies[key].by_need(offer, self._exponentials))
        whole = self._tallies[keys[-1]]
        others = itertools.chain(needed, self._by_excess(whole, offer))
        chosen = tuple(itertools.islice(filter(accept, others), num_wrong))
        if len(chosen) == num_wrong:
            self.num_never_right += sum(not whole.is_right(text) for text in chosen)
            return chosen
        if offer.pool < 0 or not self._has_fallback:
            return ()
        self.num_never_right += num_wrong
        return offer.wrong[:num_wrong]

    def _by_excess(self, tally: _Tally, offer: Offer) -> Iterator[int]:
        """Yield what is left: texts shown as wrong too often already, the least so first; those never right last."""
        if offer.pool >= 0:
            texts = [text for text in self._elsewhere[offer.pool] if text != offer.answer]
        else:
            texts = list(offer.wrong)
        self._rng.shuffle(texts)

        def excess(text: int) -> tuple[bool, float]:
            return (not tally.is_right(text), -tally.lack(text))

        yield from sorted(texts, key=excess)

    def _draw_several(self, offer: Offer) -> None:
        """Draw how many options are right, then which: a text is shown as often right as wrong."""
        if len(offer.right) + len(offer.wrong) == offer.num_shown:
            offer.shown, offer.num_right = (*offer.right, *offer.wrong), len(offer.right)
        else:
            right, wrong = self._told_apart(offer.right, offer), self._told_apart(offer.wrong, offer)
            nums = [
                num for num in range(1, offer.num_shown) if num <= len(right) and offer.num_shown - num <= len(wrong)
            ]
            if not nums:
                return
            (num_right,) = self._rng.choices(nums, [math.comb(offer.num_shown, num) for num in nums])
            rows = [self._several[level] for level in (*reversed(offer.levels), -1)]

            def surplus(text: int) -> list[int]:
                """Return how much oftener a text was shown as right than as wrong, in the finest stratum first."""
                return [row[text][2] for row in rows]

            right.sort(key=surplus)
            wrong.sort(key=surplus, reverse=True)
            offer.shown = (*right[:num_right], *wrong[: offer.num_shown - num_right])
            offer.num_right = num_right
        for level in (*offer.levels, -1):
            row = self._several[level]
            for place, text in enumerate(offer.shown):
                row[text][2] += 1 if place < offer.num_right else -1

    def _told_apart(self, texts: Sequence[int], offer: Offer) -> list[int]:
        """Return the texts that are right of some questions and wrong of others, in random order."""
        level = offer.levels[1] if offer.levels else -1  # of one template what is right may be wrong of another
        row = self._several[level]
        fair = [text for text in texts if row[text][0] and row[text][1]]
        return draw_some(self._rng, fair, len(fair))


def _never() -> list[int]:
    """Return how often a text is right and wrong, and how much oftener it was shown as right: not at all."""
    return [0, 0, 0]


class _Accept:
    """Tells whether a text may stand beside those accepted before: a new one, and a number far enough from each."""

    def __init__(self, offer: Offer, values: Mapping[int, float]) -> None:
        self._taken = {offer.answer}
        self._values = [offer.value]
        self._value_of = values
        self._min_ratio = offer.min_ratio
        self._is_number = offer.pool >= 0

    def __call__(self, text: int) -> bool:
        """Accept a text, or refuse it."""
        if text in self._taken:
            return False
        if self._is_number:
            value = self._value_of[text]
            if any(max(value, other) < self._min_ratio * min(value, other) for other in self._values):
                return False
            self._values.append(value)
        self._taken.add(text)
        return True
