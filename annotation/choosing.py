"""Choose over a whole data set which candidates are asked, with which options, so that text alone tells nothing.

Tasks make more candidates than are wanted, each with every option that is certainly right or certainly wrong on its
tile, or with a number whose wrong options are right answers of other questions. Three things are decided here, for each
split by itself and in the order of the plan:

1. *Which candidates.* A tile has a limit per task; rare answers go first. Then no answer may be right more often than
   1/k of the questions of its stratum (k options are shown), within a tolerance; the surplus goes.
2. *Which options.* Each text should be wrong k - 1 times for each time that it is right, in the finest stratum in which
   that can be. What a text still lacks, divided by the questions left that could show it, is the chance with which it
   is drawn. Since the chance of a text follows from how often it is right, either of two texts of a pair is the right
   one equally often.
3. *How many are right*, where several can be: a set is drawn from all that can be an answer, and a text is shown as
   often right as wrong.

What surprises: a number does not know its wrong options. They are drawn from its pool and accepted by a test of any two
options, the right one or not.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.balance import Balance
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import NUM_OPTIONS, AnswerForm

TOO_FREQUENT = "answer would be too frequent"
BEYOND_LIMIT = "beyond the limit per tile"
NO_OPTIONS = "too few wrong options that are right elsewhere"

MIN_JUDGED = 30
"""Questions that a stratum must have for its best guess to be told: of fewer, chance makes one answer the best."""

_CERTAIN = 1e9
"""Weight of an option that must be taken now: there are no more questions left than it needs."""


class Choosable(Protocol):
    """What is looked at of a candidate."""

    @property
    def task(self) -> str:
        """Name in the taxonomy."""
        ...

    @property
    def form(self) -> AnswerForm:
        """One of the task's."""
        ...

    @property
    def options(self) -> tuple[Option, ...]:
        """All that may be offered."""
        ...

    @property
    def strata(self) -> tuple[str, ...]:
        """See `questions.Question`, as for all below."""
        ...

    @property
    def pool(self) -> str | None:
        """Name of the pool of its number."""
        ...

    @property
    def value(self) -> float | None:
        """Its number."""
        ...

    @property
    def min_ratio(self) -> float:
        """Of two options."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BestGuess:
    """What is gained by always choosing the offered text that is right most often for the share that it is offered.

    Attributes:
        chance: share right of a blind choice.
        share: share right of that guess, the strata of templates told apart.
        worst: the stratum in which it gains most, of those with `MIN_JUDGED` questions or more; empty without any.
        worst_share: share right there.
    """

    chance: float
    share: float
    worst: tuple[str, ...] = ()
    worst_share: float | None = None


@dataclass(frozen=True, slots=True)
class ChosenQuestions:
    """What was decided of each candidate, by the order in which they were added.

    Attributes:
        not_chosen: by task, how many candidates are not asked, by reason.
        never_right: by task, how many options are offered though they are never right in their stratum.
        best_guesses: by task with choices, over all splits.
    """

    not_chosen: Mapping[str, Mapping[str, int]]
    never_right: Mapping[str, int]
    best_guesses: Mapping[str, BestGuess]
    _texts: Sequence[str]
    _shown: Sequence[tuple[int, ...] | None]
    _num_right: Sequence[int]

    def options_of(self, index: int) -> tuple[Option, ...] | None:
        """Return the options of a candidate, right ones first and without letters; None when it is not asked."""
        shown = self._shown[index]
        if shown is None:
            return None
        num_right = self._num_right[index]
        return tuple(Option(self._texts[text], place < num_right) for place, text in enumerate(shown))


@dataclass(slots=True, kw_only=True)
class _Item:
    """A candidate in numbers: `right` and `wrong` are indices of texts, `levels` of strata, coarse to fine.

    `kind` is what is to be even: the answer itself, but one for all numbers of a pool that are too near to each other
    to be offered together. Where most cars are about 4.5 m long, no single length is frequent, and yet all are known.
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
    shown: tuple[int, ...] = ()
    num_right: int = 0

    @property
    def num_shown(self) -> int:
        return NUM_OPTIONS[self.form]

    @property
    def answer(self) -> int:
        return self.right[0]

    @property
    def has_quota(self) -> bool:
        """Whether its answer is one of those that are to be even."""
        return bool(self.levels) and self.form in (AnswerForm.ONE_OF, AnswerForm.YES_NO)


class Chooser:
    """Collects the candidates of a data set, in the order of its plan, and then chooses among them.

    Holds numbers for each candidate and each text once, so that a million candidates need about a GB.
    """

    def __init__(self, *, limits: Mapping[str, int], balance: Balance, seed: int) -> None:
        """`limits`: the most questions per tile by task."""
        self._limits = limits
        self._balance = balance
        self._seed = seed
        self._texts: dict[str, int] = {}
        self._kinds: dict[tuple[int, int], int] = {}
        self._names: dict[tuple[str, ...], int] = {}
        self._groups: dict[tuple[str, str], list[_Item]] = {}
        self._num_added = 0

    def add(self, candidate: Choosable, *, split: str, tile: int) -> int:
        """Take a candidate in and return its index for `ChosenQuestions.options_of`."""
        task, form = candidate.task, candidate.form
        here = (split, task, form.value)
        strata = candidate.strata
        right = tuple(self._text(option.text) for option in candidate.options if option.is_right)
        pool = -1 if candidate.pool is None else self._name((task, candidate.pool))
        self._groups.setdefault((split, task), []).append(
            _Item(
                index=self._num_added,
                tile=tile,
                form=form,
                right=right,
                wrong=tuple(self._text(option.text) for option in candidate.options if not option.is_right),
                levels=tuple(self._name((*here, *strata[: depth + 1])) for depth in range(len(strata))),
                pool=pool,
                kind=self._kind(candidate, right, pool),
                value=math.nan if candidate.value is None else candidate.value,
                min_ratio=candidate.min_ratio,
            )
        )
        self._num_added += 1
        return self._num_added - 1

    def choose(self) -> ChosenQuestions:
        """Return what is asked; the same candidates in the same order give the same choices."""
        shown: list[tuple[int, ...] | None] = [None] * self._num_added
        num_right = array("b", bytes(self._num_added))
        not_chosen: dict[str, Counter[str]] = {}
        never_right: Counter[str] = Counter()
        asked: dict[str, list[_Item]] = {}
        elsewhere = _right_values(self._groups.values())
        for (split, task), items in self._groups.items():
            reasons = not_chosen.setdefault(task, Counter())
            rng = random.Random(f"{self._seed}/{split}/{task}/choice")
            kept = _within_limit(items, self._limits.get(task, 0), rng)
            reasons[BEYOND_LIMIT] += len(items) - len(kept)
            if self._balance is not Balance.OFF:
                is_strict = self._balance is Balance.STRICT
                even = _within_quotas(kept, rng, is_strict=is_strict)
                even = _within_chances(even, rng, is_strict=is_strict)
                reasons[TOO_FREQUENT] += len(kept) - len(even)
                kept = even
            drawer = _Drawer(kept, elsewhere, rng, has_fallback=self._balance is not Balance.STRICT)
            for item in rng.sample(kept, len(kept)):
                drawer.draw(item)
            never_right[task] += drawer.num_never_right
            for item in kept:
                if item.shown or not item.num_shown:
                    shown[item.index] = item.shown
                    num_right[item.index] = item.num_right
                    asked.setdefault(task, []).append(item)
                else:
                    reasons[NO_OPTIONS] += 1
        names = list(self._names)
        return ChosenQuestions(
            {task: {why: count for why, count in counts.items() if count} for task, counts in not_chosen.items()},
            dict(never_right),
            {
                task: guess
                for task, items in asked.items()
                if (guess := _best_guess(items, names, self._kinds)) is not None
            },
            list(self._texts),
            shown,
            num_right,
        )

    def _kind(self, candidate: Choosable, right: Sequence[int], pool: int) -> int:
        """Return what is to be even of a candidate: its answer, or the bin of its number."""
        if candidate.value is None or candidate.min_ratio <= 1:
            return right[0] if right else -1
        number = round(math.log(candidate.value) / math.log(candidate.min_ratio))
        return self._kinds.setdefault((pool, right[0]), self._text(f"\n{number}"))

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _name(self, name: tuple[str, ...]) -> int:
        return self._names.setdefault(name, len(self._names))


# --- which candidates -------------------------------------------------------------------------------------------------


def _within_limit(items: Sequence[_Item], limit: int, rng: random.Random) -> list[_Item]:
    """Return at most `limit` candidates per tile: first those whose answers have the smallest share in their strata.

    Candidates without strata are taken in their order, the best first.
    """
    kept: list[_Item] = []
    taken: Counter[tuple[int, int]] = Counter()
    totals: Counter[int] = Counter()
    for group in _by_tile(items):
        left = list(group)
        order = {item.index: rng.random() if item.has_quota else place for place, item in enumerate(left)}
        for _ in range(min(limit, len(left))):
            best = min(left, key=lambda item: (_share_so_far(item, taken, totals), order[item.index]))
            left.remove(best)
            kept.append(best)
            if best.has_quota:
                for level in best.levels:
                    taken[level, best.kind] += 1
                    totals[level] += 1
    return kept


def _by_tile(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    group: list[_Item] = []
    for item in items:
        if group and item.tile != group[0].tile:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _share_so_far(item: _Item, taken: Mapping[tuple[int, int], int], totals: Mapping[int, int]) -> float:
    """Return how frequent an answer has become, summed over its strata; 0 for what has no quota."""
    if not item.has_quota:
        return 0.0
    return sum(taken[level, item.kind] / (1 + totals[level]) for level in item.levels)


def _within_quotas(items: Sequence[_Item], rng: random.Random, *, is_strict: bool) -> list[_Item]:
    """Return the candidates without those whose answer would be too frequent, in their order.

    Fine strata come first: what is even there is nearly even in the coarse ones. Dropping in a coarse one can make a
    fine one uneven again, which a strict balance does not accept.
    """
    kept = list(items)
    while True:
        before = len(kept)
        for depth in range(max((len(item.levels) for item in kept), default=0), 0, -1):
            kept = _even_at(kept, depth - 1, rng, is_strict=is_strict)
        if not is_strict or len(kept) == before:
            return kept


def _even_at(items: Sequence[_Item], depth: int, rng: random.Random, *, is_strict: bool) -> list[_Item]:
    by_stratum: dict[int, dict[int, list[_Item]]] = {}
    for item in items:
        if item.has_quota and len(item.levels) > depth:
            by_stratum.setdefault(item.levels[depth], {}).setdefault(item.kind, []).append(item)
    surplus: set[int] = set()
    for answers in by_stratum.values():
        num_shown = next(iter(answers.values()))[0].num_shown
        cap = largest_cap([len(group) for group in answers.values()], num_shown, is_strict=is_strict)
        for group in answers.values():
            if len(group) > cap:
                surplus.update(item.index for item in rng.sample(group, len(group) - cap))
    return [item for item in items if item.index not in surplus]


def _within_chances(items: Sequence[_Item], rng: random.Random, *, is_strict: bool) -> list[_Item]:
    """Return the candidates without those whose answer cannot be a wrong option often enough.

    A text that is right must be wrong k - 1 times elsewhere, and where it may be so is given by the tiles: a conclusion
    that is silent wherever it does not hold would be right whenever it is shown.
    """
    kept = list(items)
    while True:
        right: dict[int, list[_Item]] = {}
        chances: Counter[int] = Counter()
        for item in kept:
            if item.has_quota and item.pool < 0 and len(item.wrong) >= item.num_shown:
                right.setdefault(item.answer, []).append(item)
                chances.update(item.wrong)
        surplus: set[int] = set()
        for answer, group in right.items():
            cap = chances[answer] // (group[0].num_shown - 1)
            cap = cap if is_strict else max(1, cap)
            if len(group) > cap:
                surplus.update(item.index for item in rng.sample(group, len(group) - cap))
        if not surplus:
            return kept
        kept = [item for item in kept if item.index not in surplus]


def largest_cap(counts: Iterable[int], num_options: int, *, is_strict: bool) -> int:
    """Return how often an answer may be right, at most: 1/k of what is then left of all, and in a soft balance more.

    More is what chance alone would give one of k even answers, one standard deviation and at least one question, so a
    small data set is not emptied.

    Args:
        counts: how often each answer is right.
        num_options: k.
        is_strict: nothing more.
    """
    counts = list(counts)
    share = 1 / num_options

    def is_too_much(cap: int) -> bool:
        num = sum(min(count, cap) for count in counts)
        tolerance = 0.0 if is_strict else max(1.0, math.sqrt(num * share * (1 - share)))
        return cap > num * share + tolerance

    # N(c) / k falls behind c for good once it does: each step adds an answer less, or as many
    return bisect.bisect_left(range(1, max(counts, default=0) + 1), True, key=is_too_much)


# --- which options ----------------------------------------------------------------------------------------------------


def _right_values(groups: Iterable[Sequence[_Item]]) -> dict[int, dict[int, float]]:
    """Return by pool the right answers of all splits, text → value."""
    pools: dict[int, dict[int, float]] = {}
    for items in groups:
        for item in items:
            if item.pool >= 0:
                pools.setdefault(item.pool, {})[item.answer] = item.value
    return pools


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


class _Drawer:
    """Draws the options of the questions of one task and split."""

    def __init__(
        self,
        items: Sequence[_Item],
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
        for item in items:
            self._count(item)
        for (_, _, num_wrong), tally in self._tallies.items():
            tally.close(num_wrong)

    def draw(self, item: _Item) -> None:
        """Give a question its options; it stays without any where there are too few."""
        num_wrong = item.num_shown - 1
        if item.form is AnswerForm.SEVERAL_OF:
            self._draw_several(item)
        elif not item.num_shown:
            return
        else:
            wrong = item.wrong if self._is_fixed(item) else self._draw_wrong(item, num_wrong)
            if len(wrong) == num_wrong:
                item.shown, item.num_right = (item.answer, *wrong), 1
            self._note(item, item.shown[1:])

    @staticmethod
    def _is_fixed(item: _Item) -> bool:
        return item.pool < 0 and len(item.wrong) == item.num_shown - 1

    def _keys(self, item: _Item) -> Iterator[tuple[int, int, int]]:
        """Yield the strata of a question, fine to coarse, the whole pool or task last."""
        num_wrong = item.num_shown - 1
        for level in reversed(item.levels):
            yield level, item.pool, num_wrong
        yield -1, item.pool, num_wrong

    def _count(self, item: _Item) -> None:
        if item.form is AnswerForm.SEVERAL_OF:
            for level in (*item.levels, -1):
                for text in item.right:
                    self._several.setdefault((level, text), [0, 0, 0])[0] += 1
                for text in item.wrong:
                    self._several.setdefault((level, text), [0, 0, 0])[1] += 1
            return
        if not item.num_shown:
            return
        for key in self._keys(item):
            tally = self._tallies.setdefault(key, _Tally(is_pool=item.pool >= 0))
            tally.num_left += 1
            tally.right[tally.place(item.answer)] += 1
            if item.pool < 0:
                for text in item.wrong:
                    tally.chances[tally.place(text)] += 1

    def _note(self, item: _Item, wrong: Sequence[int]) -> None:
        """Count a question as done, with the wrong options that it shows."""
        for key in self._keys(item):
            tally = self._tallies[key]
            if item.pool >= 0:
                tally.left -= 1
                tally.left[tally.place_of[item.answer]] += 1
            else:
                tally.left[[tally.place_of[text] for text in item.wrong]] -= 1
            for text in wrong:
                place = tally.place_of.get(text)
                if place is not None:
                    tally.lacks[place] -= 1

    def _draw_wrong(self, item: _Item, num_wrong: int) -> tuple[int, ...]:
        keys = list(self._keys(item))
        accept = _Accept(item, self._elsewhere.get(item.pool, {}))
        needed = (text for key in keys for text in self._by_need(self._tallies[key], item))
        whole = self._tallies[keys[-1]]
        others = itertools.chain(needed, self._by_excess(whole, item))
        chosen = tuple(itertools.islice(filter(accept, others), num_wrong))
        if len(chosen) == num_wrong:
            self.num_never_right += sum(not whole.is_right(text) for text in chosen)
            return chosen
        if item.pool < 0 or not self._has_fallback:
            return ()
        self.num_never_right += num_wrong
        return item.wrong[:num_wrong]

    def _by_need(self, tally: _Tally, item: _Item) -> Iterator[int]:
        """Yield the texts that are shown as wrong less often than they should, in an order drawn by their need."""
        if item.pool >= 0:
            places = np.flatnonzero(tally.lacks > 0)
        else:
            listed = np.array([tally.place_of[text] for text in item.wrong], np.intp)
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

    def _by_excess(self, tally: _Tally, item: _Item) -> Iterator[int]:
        """Yield what is left: texts shown as wrong too often already, the least so first; those never right last."""
        if item.pool >= 0:
            texts = [text for text in self._elsewhere[item.pool] if text != item.answer]
        else:
            texts = list(item.wrong)
        self._rng.shuffle(texts)

        def excess(text: int) -> tuple[bool, float]:
            return (not tally.is_right(text), -tally.lacks[tally.place_of[text]] if text in tally.place_of else 0.0)

        yield from sorted(texts, key=excess)

    def _draw_several(self, item: _Item) -> None:
        """Draw how many options are right, then which: a text is shown as often right as wrong."""
        if len(item.right) + len(item.wrong) == item.num_shown:
            item.shown, item.num_right = (*item.right, *item.wrong), len(item.right)
        else:
            right, wrong = self._told_apart(item.right, item), self._told_apart(item.wrong, item)
            nums = [num for num in range(1, item.num_shown) if num <= len(right) and item.num_shown - num <= len(wrong)]
            if not nums:
                return
            (num_right,) = self._rng.choices(nums, [math.comb(item.num_shown, num) for num in nums])
            right.sort(key=lambda text: self._surplus(text, item))
            wrong.sort(key=lambda text: self._surplus(text, item), reverse=True)
            item.shown = (*right[:num_right], *wrong[: item.num_shown - num_right])
            item.num_right = num_right
        for level in (*item.levels, -1):
            for place, text in enumerate(item.shown):
                self._several[level, text][2] += 1 if place < item.num_right else -1

    def _told_apart(self, texts: Sequence[int], item: _Item) -> list[int]:
        """Return the texts that are right of some questions and wrong of others, in random order."""
        level = item.levels[0] if item.levels else -1
        fair = [text for text in texts if all(self._several[level, text][:2])]
        return self._rng.sample(fair, len(fair))

    def _surplus(self, text: int, item: _Item) -> tuple[int, ...]:
        """Return how much oftener a text was shown as right than as wrong, in the finest stratum first."""
        return tuple(self._several[level, text][2] for level in (*reversed(item.levels), -1))


class _Accept:
    """Tells whether a text may stand beside those accepted before: a new one, and a number far enough from each."""

    def __init__(self, item: _Item, values: Mapping[int, float]) -> None:
        self._taken = {item.answer}
        self._values = [item.value]
        self._value_of = values
        self._min_ratio = item.min_ratio
        self._is_number = item.pool >= 0

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


# --- what is left -----------------------------------------------------------------------------------------------------


def _best_guess(
    items: Sequence[_Item], names: Sequence[tuple[str, ...]], kinds: Mapping[tuple[int, int], int]
) -> BestGuess | None:
    """Return what always choosing the most promising text gains; None without questions of one right option."""
    judged = [item for item in items if item.num_right == 1 and item.form in (AnswerForm.ONE_OF, AnswerForm.YES_NO)]
    if not judged:
        return None
    strata: dict[tuple[str, ...], list[_Item]] = {}
    templates: dict[tuple[str, ...], list[_Item]] = {}
    for item in judged:
        # the name of a level begins with the split, which a guesser does not care about
        for depth, level in enumerate(item.levels):
            name = names[level][3:]
            strata.setdefault(name, []).append(item)
            if not depth:
                templates.setdefault(name, []).append(item)
        if not item.levels:
            templates.setdefault((), []).append(item)
    share = sum(_num_guessed(group, kinds) for group in templates.values()) / len(judged)
    gains = {
        name: _num_guessed(group, kinds) / len(group) for name, group in strata.items() if len(group) >= MIN_JUDGED
    }
    worst = max(gains, key=lambda name: (gains[name], name), default=())
    return BestGuess(
        chance=sum(1 / len(item.shown) for item in judged) / len(judged),
        share=share,
        worst=worst,
        worst_share=gains.get(worst),
    )


def _num_guessed(items: Sequence[_Item], kinds: Mapping[tuple[int, int], int]) -> float:
    """Return how many questions the best guess by the options' kinds gets right; ties count by their share."""
    offered: Counter[int] = Counter()
    right: Counter[int] = Counter()
    shown = [[kinds.get((item.pool, text), text) for text in item.shown] for item in items]
    for options in shown:
        offered.update(options)
        right[options[0]] += 1
    num = 0.0
    for options in shown:
        shares = [right[kind] / offered[kind] for kind in options]
        best = max(shares)
        num += (shares[0] == best) / shares.count(best)
    return num
