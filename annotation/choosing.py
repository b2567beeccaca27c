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
   Then options are swapped until no two that stand together tell of each other (`option_pairs`).
3. *How many are right*, where several can be: a set is drawn from all that can be an answer, and a text is shown as
   often right as wrong.

What surprises: a number does not know its wrong options. They are drawn from its pool and accepted by a test of any two
options, the right one or not.
"""

from __future__ import annotations

import bisect
import math
import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.balance import Balance
from rsvqa.annotation.offer_columns import (
    MAX_TEXTS,
    Choosable,
    GroupTemplate,
    OfferBatch,
    OfferColumns,
    OfferTemplate,
    ShownColumns,
    numbered,
)
from rsvqa.annotation.option_drawing import Offer, OptionDrawer
from rsvqa.annotation.option_pairs import settle_pairs
from rsvqa.annotation.questions import Option

Result = TypeVar("Result")

TOO_FREQUENT = "answer would be too frequent"
BEYOND_LIMIT = "beyond the limit per tile"
TOO_COARSE = "too large beside the share of what vanishes in a reduced image"
NO_OPTIONS = "too few wrong options that are right elsewhere"
PAIR_TELLS = "options would tell of each other"


@dataclass(frozen=True, slots=True)
class ChosenQuestions:
    """What was decided of each candidate, by the order in which they were added.

    Attributes:
        not_chosen: by task, how many candidates are not asked, by reason.
        never_right: by task, how many options are offered though they are never right in their stratum.
    """

    not_chosen: Mapping[str, Mapping[str, int]]
    never_right: Mapping[str, int]
    _texts: Sequence[str]
    _shown: ShownColumns

    def without(self, indices: Iterable[int]) -> ChosenQuestions:
        """Return the choices without some candidates; what is told of tasks stays that of all that were chosen."""
        return replace(self, _shown=self._shown.without(indices))

    def is_asked(self, index: int) -> bool:
        """Return whether a candidate is asked."""
        return self._shown.is_asked(index)

    def asked_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some candidates that are asked."""
        return indices[self._shown.first[indices] >= 0]

    def num_options(self, indices: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return how many options candidates that are asked show."""
        return self._shown.num[indices]

    def num_right(self, indices: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return how many of them are right."""
        return self._shown.num_right[indices]

    def options_of(self, index: int) -> tuple[Option, ...] | None:
        """Return the options of a candidate, right ones first and without letters; None when it is not asked."""
        if not self._shown.is_asked(index):
            return None
        num_right = int(self._shown.num_right[index])
        return tuple(
            Option(self._texts[text], place < num_right) for place, text in enumerate(self._shown.shown(index))
        )


class OfferGroup(NamedTuple):
    """The candidates of one task and split, and what else decides which of them are asked.

    Attributes:
        task: its name.
        seed: of the group's own chances.
        columns: the candidates.
        elsewhere: right answers by pool, text → value.
        limit: the most questions per tile.
        balance, fine_share: see `Chooser`.
        texts: of all options, by their index.
    """

    task: str
    seed: str
    columns: OfferColumns
    elsewhere: Mapping[int, Mapping[int, float]]
    limit: int
    balance: Balance
    fine_share: float
    texts: Sequence[str]

    @property
    def weight(self) -> int:
        """Return how much work it is: one for each candidate."""
        return len(self.columns)


class GroupChoice(NamedTuple):
    """What is asked of a group: options of each candidate by its place there, and counts as in `ChosenQuestions`."""

    shown: ShownColumns
    not_chosen: Counter[str]
    num_never_right: int


class HasWeight(Protocol):
    """Something to do in one piece."""

    @property
    def weight(self) -> int:
        """How much work it is: about one for each candidate."""
        ...


Weighed = TypeVar("Weighed", bound=HasWeight)


class Spread(Protocol):
    """Calls a function for each item, in other processes for one; the items know nothing of each other."""

    def __call__(self, function: Callable[[Weighed], Result], items: Sequence[Weighed], /) -> Iterable[Result]:
        """Return the results in order."""
        ...


class Chooser:
    """Collects the candidates of a data set, in the order of its plan, and then chooses among them.

    Holds numbers for each candidate and each text once (see `offer_columns`).
    """

    def __init__(self, *, limits: Mapping[str, int], balance: Balance, seed: int, fine_share: float = 0.0) -> None:
        """Begin without candidates.

        Args:
            limits: the most questions per tile by task.
            balance: how even answers are made.
            seed: of the data set.
            fine_share: the least share of fine questions per task and split; of a task without any, none is dropped.
        """
        self._limits = limits
        self._fine_share = fine_share
        self._balance = balance
        self._seed = seed
        self._texts: dict[str, int] = {}
        self._kinds: dict[int, int] = {}
        self._names: dict[tuple[str, ...], int] = {}
        self._groups: dict[tuple[str, str], OfferColumns] = {}
        self._indices: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
        self._num_taken = 0
        self._added, self._added_splits = OfferBatch(), array("i")
        self._splits: dict[str, int] = {}

    def add(self, candidate: Choosable, *, split: str, tile: int, is_fine: bool = False) -> int:
        """Take a candidate in and return its index for `ChosenQuestions.options_of`; many are better taken by `take`.

        Args:
            candidate: the next of the plan.
            split: of its tile.
            tile: number of its tile.
            is_fine: what it asks about vanishes in a reduced image.
        """
        self._added.append(candidate, tile=tile, is_fine=is_fine)
        self._added_splits.append(self._splits.setdefault(split, len(self._splits)))
        return self._num_taken + len(self._added) - 1

    def take(self, batch: OfferBatch, splits: Sequence[str], split_of: NDArray[np.int32]) -> NDArray[np.int64]:
        """Take many candidates in; return the index of each, or -1 of one that is left out.

        Args:
            batch: the next of the plan.
            splits: names of splits.
            split_of: number of each candidate's split, or -1 where its tile is left out.
        """
        is_kept = split_of >= 0
        index = np.where(is_kept, np.cumsum(is_kept) - 1 + self._num_taken, -1)
        self._num_taken += int(is_kept.sum())
        columns = batch.kept(is_kept)
        split_of = split_of[is_kept]
        columns["texts"], bins = self._number_texts(batch, columns)
        template, split = columns["template"], split_of
        # a task and split becomes a group, and a template one of that group, when its first candidate comes
        templates = list(batch.templates)
        pairs = [(split_name, one) for split_name in splits for one in templates]
        local: dict[Any, int] = {}
        numbers = numbered(pairs, local, split * len(templates) + template)[split * len(templates) + template]
        groups = [self._group(*pair) for pair in local]
        columns["kind"] = self._kinds_of(columns, bins, np.array([pool for *_, pool in groups], np.int64)[numbers])
        keys = [key for key, *_ in groups]
        columns["template"] = np.array([number for _, number, _ in groups], np.int32)[numbers]
        distinct = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        group_of = np.array([distinct[key] for key in keys], np.int64)[numbers]
        for key, place in distinct.items():
            is_own = group_of == place
            own = {name: column[is_own] for name, column in columns.items() if name != "texts"}
            own["texts"] = columns["texts"][np.repeat(is_own, columns["num_texts"])]
            self._groups[key].extend(own)
            self._indices[key].append(index[is_kept][is_own])
        return index

    def _number_texts(
        self, batch: OfferBatch, columns: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the numbers of the texts of candidates and of their bins, new ones in the order of the candidates."""
        num, num_texts = len(columns["tile"]), columns["num_texts"]
        in_order = np.empty(len(columns["texts"]) + num, np.int64)  # the bin of a candidate follows its texts
        at_texts = np.arange(len(columns["texts"])) + np.repeat(np.arange(num), num_texts)
        at_bins = np.cumsum(num_texts) + np.arange(num)
        in_order[at_texts], in_order[at_bins] = columns["texts"], columns["bin"]
        numbers = numbered(batch.texts, self._texts, in_order[in_order >= 0])
        bins = np.full(num, -1, np.int32)
        has_bin = columns["bin"] >= 0
        bins[has_bin] = numbers[columns["bin"][has_bin]]
        return numbers[columns["texts"]], bins

    def _kinds_of(
        self, columns: Mapping[str, NDArray[Any]], bins: NDArray[np.int32], pools: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Return what is to be even of each candidate: its answer, or the bin of its number."""
        starts = np.cumsum(columns["num_texts"]) - columns["num_texts"]
        padded = np.append(columns["texts"], -1)  # a candidate at the end may have no text
        kinds: NDArray[np.int32] = np.where(columns["num_right"] > 0, padded[starts], -1).astype(np.int32)
        of_bins = np.flatnonzero(bins >= 0)
        keys = pools[of_bins] * MAX_TEXTS + kinds[of_bins]
        distinct, first, which = np.unique(keys, return_index=True, return_inverse=True)
        found = [
            self._kinds.setdefault(key, own)
            for key, own in zip(distinct.tolist(), bins[of_bins][first].tolist(), strict=True)
        ]
        kinds[of_bins] = np.array(found, np.int32)[which]
        return kinds

    def _group(self, split: str, template: OfferTemplate) -> tuple[tuple[str, str], int, int]:
        """Return the group of a template, the template's number there, and the number of its pool."""
        task, form, strata, pool_name, min_ratio = template
        key = (split, task)
        if key not in self._groups:
            self._groups[key], self._indices[key] = OfferColumns(), []
        pool = -1 if pool_name is None else self._name((task, pool_name))
        # the whole task, too: one answer may be the most frequent of every template
        depths = range(len(strata) + 1 if strata else 0)
        levels = tuple(self._name((split, task, form.value, *strata[:depth])) for depth in depths)
        known = self._groups[key].templates
        return key, known.setdefault(GroupTemplate(form, levels, pool, min_ratio), len(known)), pool

    def choose(self, run: Spread = map) -> ChosenQuestions:
        """Return what is asked; the same candidates in the same order give the same choices.

        Args:
            run: has chosen from each group.
        """
        if len(self._added):
            self.take(self._added, list(self._splits), np.array(self._added_splits, np.int32))
            self._added, self._added_splits = OfferBatch(), array("i")
        elsewhere: dict[int, dict[int, float]] = {}
        for columns in self._groups.values():
            for pool, text, value in columns.right_values():
                elsewhere.setdefault(pool, {})[text] = value
        texts = list(self._texts)
        groups = [
            OfferGroup(
                task=task,
                seed=f"{self._seed}/{split}/{task}/choice",
                columns=columns,
                elsewhere={pool: elsewhere[pool] for pool in columns.pools()},
                limit=self._limits.get(task, 0),
                balance=self._balance,
                fine_share=self._fine_share,
                texts=texts,
            )
            for (split, task), columns in self._groups.items()
        ]
        not_chosen: dict[str, Counter[str]] = {}
        never_right: Counter[str] = Counter()
        chosen: list[ShownColumns] = []
        for group, choice in zip(groups, run(choose_from_group, groups), strict=True):
            not_chosen.setdefault(group.task, Counter()).update(choice.not_chosen)
            never_right[group.task] += choice.num_never_right
            chosen.append(choice.shown)
        shown = ShownColumns.of_none(self._num_taken)
        shown.ask(zip(map(np.concatenate, self._indices.values()), chosen, strict=True))
        return ChosenQuestions(
            not_chosen={task: dict(+counts) for task, counts in not_chosen.items()},
            never_right=dict(never_right),
            _texts=texts,
            _shown=shown,
        )

    def _name(self, name: tuple[str, ...]) -> int:
        return self._names.setdefault(name, len(self._names))


def choose_from_group(group: OfferGroup) -> GroupChoice:
    """Return which candidates of a task and split are asked, and with which options."""
    rng = random.Random(group.seed)
    reasons: Counter[str] = Counter()
    offers = list(group.columns.offers())
    kept = _fine_enough(_kept(offers, group, rng, reasons), group, rng, reasons)
    num_offers = len(offers)
    del offers  # those that are not kept
    drawer = OptionDrawer(kept, group.elsewhere, rng, has_fallback=group.balance is not Balance.STRICT)
    for offer in rng.sample(kept, len(kept)):
        drawer.draw(offer)
    reasons[NO_OPTIONS] += sum(bool(offer.num_shown and not offer.shown) for offer in kept)
    if group.balance is not Balance.OFF:
        reasons[PAIR_TELLS] += settle_pairs(kept, group.texts, rng)
    asked = [offer for offer in kept if offer.shown or not offer.num_shown]
    return GroupChoice(ShownColumns.of(asked, num_offers), reasons, drawer.num_never_right)


def _kept(offers: Sequence[Offer], group: OfferGroup, rng: random.Random, reasons: Counter[str]) -> list[Offer]:
    """Return the candidates that limit and quotas leave, and count the others."""
    kept = _within_limit(offers, group.limit, rng, is_fine_first=group.fine_share > 0)
    reasons[BEYOND_LIMIT] += len(offers) - len(kept)
    if group.balance is Balance.OFF:
        return kept
    is_strict = group.balance is Balance.STRICT
    even = _within_chances(_within_quotas(kept, rng, is_strict=is_strict), rng, is_strict=is_strict)
    reasons[TOO_FREQUENT] += len(kept) - len(even)
    return even


def _fine_enough(offers: list[Offer], group: OfferGroup, rng: random.Random, reasons: Counter[str]) -> list[Offer]:
    """Return the candidates without so many coarse ones that the rest has too few fine ones."""
    coarse = [offer for offer in offers if not offer.is_fine]
    num_fine = len(offers) - len(coarse)
    if not group.fine_share or not num_fine:
        return offers
    most = math.floor(num_fine * (1 - group.fine_share) / group.fine_share + 1e-9)
    surplus = {offer.index for offer in rng.sample(coarse, max(0, len(coarse) - most))}
    reasons[TOO_COARSE] += len(surplus)
    return [offer for offer in offers if offer.index not in surplus]


# --- which candidates -------------------------------------------------------------------------------------------------


def _within_limit(
    offers: Sequence[Offer], limit: int, rng: random.Random, *, is_fine_first: bool = False
) -> list[Offer]:
    """Return at most `limit` candidates per tile: first those whose answers have the smallest share in their strata.

    With `is_fine_first` fine ones go before all others.

    Candidates without strata are taken in their order, the best first.
    """
    kept: list[Offer] = []
    taken: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    totals: defaultdict[int, int] = defaultdict(int)
    for group in _by_tile(offers):
        left = [
            (is_fine_first and not offer.is_fine, rng.random() if offer.has_quota else place, place)
            for place, offer in enumerate(group)
        ]
        for _ in range(min(limit, len(left))):
            best = left[0]
            if len(left) > 1:
                *_, best = min(
                    (is_later, _share_so_far(group[place], taken, totals), order, place, (is_later, order, place))
                    for is_later, order, place in left
                )
            left.remove(best)
            offer = group[best[-1]]
            kept.append(offer)
            if offer.has_quota:
                for level in offer.levels:
                    taken[level][offer.kind] += 1
                    totals[level] += 1
    return kept


def _by_tile(offers: Sequence[Offer]) -> Iterator[list[Offer]]:
    group: list[Offer] = []
    for offer in offers:
        if group and offer.tile != group[0].tile:
            yield group
            group = []
        group.append(offer)
    if group:
        yield group


def _share_so_far(offer: Offer, taken: Mapping[int, Mapping[int, int]], totals: Mapping[int, int]) -> float:
    """Return how frequent an answer has become, summed over its strata; 0 for what has no quota."""
    if not offer.has_quota:
        return 0.0
    kind = offer.kind
    return sum([taken[level][kind] / (1 + totals[level]) for level in offer.levels])


def _within_quotas(offers: Sequence[Offer], rng: random.Random, *, is_strict: bool) -> list[Offer]:
    """Return the candidates without those whose answer would be too frequent, in their order.

    Fine strata come first: what is even there is nearly even in the coarse ones. Dropping in a coarse one can make a
    fine one uneven again, which a strict balance does not accept.
    """
    kept = list(offers)
    while True:
        before = len(kept)
        for depth in range(max((len(offer.levels) for offer in kept), default=0), 0, -1):
            kept = _even_at(kept, depth - 1, rng, is_strict=is_strict)
        if not is_strict or len(kept) == before:
            return kept


def _even_at(offers: Sequence[Offer], depth: int, rng: random.Random, *, is_strict: bool) -> list[Offer]:
    by_stratum: dict[int, dict[int, list[Offer]]] = {}
    for offer in offers:
        if offer.has_quota and len(offer.levels) > depth:
            by_stratum.setdefault(offer.levels[depth], {}).setdefault(offer.kind, []).append(offer)
    surplus: set[int] = set()
    for answers in by_stratum.values():
        num_shown = next(iter(answers.values()))[0].num_shown
        counts = [len(group) for group in answers.values()]
        cap = largest_cap(counts, num_shown, is_strict=is_strict)
        if not is_strict and max(counts) > cap:
            # what is more than even is as often less: else the frequent answer would stay the better guess
            cap -= min(cap - 1, rng.randint(0, round(2 * (cap - sum(min(n, cap) for n in counts) / num_shown))))
        for group in answers.values():
            if len(group) > cap:
                surplus.update(offer.index for offer in rng.sample(group, len(group) - cap))
    return [offer for offer in offers if offer.index not in surplus]


def _within_chances(offers: Sequence[Offer], rng: random.Random, *, is_strict: bool) -> list[Offer]:
    """Return the candidates without those whose answer cannot be a wrong option often enough.

    A text that is right must be wrong k - 1 times elsewhere, and where it may be so is given by the tiles: a conclusion
    that is silent wherever it does not hold would be right whenever it is shown.
    """
    kept = list(offers)
    while True:
        right: dict[int, list[Offer]] = {}
        chances: Counter[int] = Counter()
        for offer in kept:
            if offer.has_quota and offer.pool < 0 and len(offer.wrong) >= offer.num_shown:
                right.setdefault(offer.answer, []).append(offer)
                chances.update(offer.wrong)
        surplus: set[int] = set()
        for answer, group in right.items():
            cap = chances[answer] // (group[0].num_shown - 1)
            cap = cap if is_strict else max(1, cap)
            if len(group) > cap:
                surplus.update(offer.index for offer in rng.sample(group, len(group) - cap))
        if not surplus:
            return kept
        kept = [offer for offer in kept if offer.index not in surplus]


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
