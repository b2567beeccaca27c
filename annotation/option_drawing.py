"""Draw the options that questions show, so that each text is right as often as blind choice says.

The arithmetic of `choosing`, on numbers alone: a text is an index, and so is a stratum. A text should be wrong k - 1
times for each time that it is right. What it still lacks, divided by the questions left that could show it, is the
chance with which it is drawn.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.taxonomy import NUM_OPTIONS, AnswerForm

_CERTAIN = 1e9
"""Weight of an option that must be taken now: there are no more questions left than it needs."""


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


@dataclass(slots=True, kw_only=True)
class _Tally:
    """How often each text of a stratum is right, is wrong so far, and could still be shown as a wrong one."""

    place_of: dict[int, int] = field(default_factory=dict)
    texts: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    chances: list[int] = field(default_factory=list)
    is_pool: bool = False
    num_left: int = 0
    lacks: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    left: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def place(self, text: int) -> int:
        """Return the place of a text, a new one at first sight."""
        place = self.place_of.setdefault(text, len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
            self.right.append(0)
            self.chances.append(0)
        return place

    def is_right(self, text: int) -> bool:
        """Return whether a text is ever right here."""
        place = self.place_of.get(text)
        return place is not None and self.right[place] > 0

    def close(self, num_wrong: int) -> None:
        """Begin drawing: all questions are counted."""
        right = np.array(self.right, np.float64)
        self.lacks = num_wrong * right
        self.left = self.num_left - right if self.is_pool else np.array(self.chances, np.float64)


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
        self._numbers = np.random.Generator(np.random.PCG64(rng.getrandbits(64)))
        self._tallies: dict[tuple[int, int, int], _Tally] = {}
        self._several: dict[tuple[int, int], list[int]] = {}
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
                for text in offer.right:
                    self._several.setdefault((level, text), [0, 0, 0])[0] += 1
                for text in offer.wrong:
                    self._several.setdefault((level, text), [0, 0, 0])[1] += 1
            return
        if not offer.num_shown:
            return
        for key in self._keys(offer):
            tally = self._tallies.setdefault(key, _Tally(is_pool=offer.pool >= 0))
            tally.num_left += 1
            tally.right[tally.place(offer.answer)] += 1
            if offer.pool < 0:
                for text in offer.wrong:
                    tally.chances[tally.place(text)] += 1

    def _note(self, offer: Offer, wrong: Sequence[int]) -> None:
        """Count a question as done, with the wrong options that it shows."""
        for key in self._keys(offer):
            tally = self._tallies[key]
            if offer.pool >= 0:
                tally.left -= 1
                tally.left[tally.place_of[offer.answer]] += 1
            else:
                tally.left[[tally.place_of[text] for text in offer.wrong]] -= 1
            for text in wrong:
                place = tally.place_of.get(text)
                if place is not None:
                    tally.lacks[place] -= 1

    def _draw_wrong(self, offer: Offer, num_wrong: int) -> tuple[int, ...]:
        keys = list(self._keys(offer))
        accept = _Accept(offer, self._elsewhere.get(offer.pool, {}))
        needed = (text for key in keys for text in self._by_need(self._tallies[key], offer))
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

    def _by_need(self, tally: _Tally, offer: Offer) -> Iterator[int]:
        """Yield the texts that are shown as wrong less often than they should, in an order drawn by their need."""
        if offer.pool >= 0:
            places = np.flatnonzero(tally.lacks > 0)
        else:
            listed = np.array([tally.place_of[text] for text in offer.wrong], np.intp)
            places = listed[tally.lacks[listed] > 0]
        if not len(places):
            return
        lacks = tally.lacks[places]
        chance = lacks / np.maximum(tally.left[places], 1)
        # where the need is as great as what is left, it is taken now, the greatest first
        odds = np.where(chance < 1, chance / np.maximum(1 - chance, 1e-9), _CERTAIN * (1 + lacks))
        order = np.argsort(self._numbers.standard_exponential(len(places)) / odds, kind="stable")
        for place in places[order].tolist():
            yield tally.texts[place]

    def _by_excess(self, tally: _Tally, offer: Offer) -> Iterator[int]:
        """Yield what is left: texts shown as wrong too often already, the least so first; those never right last."""
        if offer.pool >= 0:
            texts = [text for text in self._elsewhere[offer.pool] if text != offer.answer]
        else:
            texts = list(offer.wrong)
        self._rng.shuffle(texts)

        def excess(text: int) -> tuple[bool, float]:
            return (not tally.is_right(text), -tally.lacks[tally.place_of[text]] if text in tally.place_of else 0.0)

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
            right.sort(key=lambda text: self._surplus(text, offer))
            wrong.sort(key=lambda text: self._surplus(text, offer), reverse=True)
            offer.shown = (*right[:num_right], *wrong[: offer.num_shown - num_right])
            offer.num_right = num_right
        for level in (*offer.levels, -1):
            for place, text in enumerate(offer.shown):
                self._several[level, text][2] += 1 if place < offer.num_right else -1

    def _told_apart(self, texts: Sequence[int], offer: Offer) -> list[int]:
        """Return the texts that are right of some questions and wrong of others, in random order."""
        level = offer.levels[1] if offer.levels else -1  # of one template what is right may be wrong of another
        fair = [text for text in texts if all(self._several[level, text][:2])]
        return self._rng.sample(fair, len(fair))

    def _surplus(self, text: int, offer: Offer) -> tuple[int, ...]:
        """Return how much oftener a text was shown as right than as wrong, in the finest stratum first."""
        return tuple(self._several[level, text][2] for level in (*reversed(offer.levels), -1))


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
