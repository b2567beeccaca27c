"""Guessers that never see an image: each learns from the questions of some places how likely each option is right.

Two kinds need nothing but numpy. A rank guesser sorts the options by one measure (the number, the length, how many
words they share) and learns which rank is right. A table guesser learns how often a key was right (what the option
says, alone or with the wording or the shape of the box). The third kind, classifiers, are in `classifiers.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.auditing.option_tables import Floats, Ints, OptionTable, numbered

_PSEUDO_COUNT = 2.0
"""Times that a key counts as offered before it was seen, so that one case proves nothing."""
_ASPECT_BIN, _AREA_BIN, _NUMBER_BIN = 0.35, 0.7, 0.3
"""Widths of bins of logarithms: a factor of 1.4, 2 and 1.35."""


class Guesser(Protocol):
    """A way to guess."""

    @property
    def name(self) -> str:
        """For people: what gives the answer away."""
        ...

    def probabilities(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        """Return how likely each option is right, learnt from the questions of `train`; counts where `test` holds."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class TableGuesser:
    """Learns how often each key was right when it was offered; new keys have the share of `backoff`, or of all.

    Attributes:
        name: see `Guesser`.
        table: the options.
        keys: a number per option, below 0 where it has none.
        backoff: coarser keys, likewise.
    """

    name: str
    table: OptionTable
    keys: Ints
    backoff: Ints | None = None

    def probabilities(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:  # noqa: ARG002  all are cheap
        """See `Guesser`."""
        seen = train[self.table.question_of]
        base = float(self.table.is_right[seen].mean()) if seen.any() else 0.0
        prior = np.full(len(self.keys), base)
        for keys in (self.backoff, self.keys):
            if keys is not None:
                prior = self._shares(keys, seen, prior)
        return prior

    def _shares(self, keys: Ints, seen: NDArray[np.bool_], prior: Floats) -> Floats:
        has_key = keys >= 0
        counted = seen & has_key
        size = int(keys.max(initial=0)) + 1
        offered = np.bincount(keys[counted], minlength=size)
        right = np.bincount(keys[counted], weights=self.table.is_right[counted], minlength=size)
        at = np.where(has_key, keys, 0)
        shares = (right[at] + _PSEUDO_COUNT * prior) / (offered[at] + _PSEUDO_COUNT)
        return np.where(has_key, shares, prior)


def _by_keys(name: str, table: OptionTable, keys: Ints, backoff: Ints | None = None) -> TableGuesser:
    return TableGuesser(name=name, table=table, keys=keys, backoff=backoff)


def rule_guessers(table: OptionTable) -> list[Guesser]:
    """Return all guessers that need numpy alone, the simplest first."""
    contents = numbered(table.contents)
    found: list[Guesser] = [_by_keys("the option alone", table, contents)]
    for name, values in table.measures.items():
        found.append(_by_keys(f"rank by {name}", table, _ranks(table, values)))
    wordings = [table.wordings[number] for number in table.question_of]
    by_wording = _joined(wordings, contents)
    found.append(_by_keys("option and wording", table, by_wording, contents))
    offered = [frozenset(item.options) for item in table.items]
    sets = _joined([offered[number] for number in table.question_of], contents)
    found.append(_by_keys("option and what else is offered", table, sets, contents))
    return [*found, *_number_guessers(table, wordings), *_box_guessers(table, contents)]


def _number_guessers(table: OptionTable, wordings: Sequence[str]) -> Iterable[Guesser]:
    bins = _bins(table.log_numbers, _NUMBER_BIN)
    if np.any(bins >= 0):
        yield _by_keys("size of the number", table, bins)
        yield _by_keys("size of the number and wording", table, _joined(wordings, bins), bins)
        ranks = _ranks(table, table.numbers)
        yield _by_keys("size of the number and its rank", table, _joined(ranks.tolist(), bins), bins)


def _box_guessers(table: OptionTable, contents: Ints) -> Iterable[Guesser]:
    areas, aspects = (table.box_sides[table.question_of, column] for column in (0, 1))
    if not np.any(np.isfinite(areas)):
        return
    area_bins, aspect_bins = _bins(areas, _AREA_BIN), _bins(aspects, _ASPECT_BIN)
    yield _by_keys("option and shape of the box", table, _joined(aspect_bins.tolist(), contents), contents)
    by_area = _joined(area_bins.tolist(), contents)
    yield _by_keys("option and size of the box", table, by_area, contents)
    both = _joined(list(zip(area_bins.tolist(), aspect_bins.tolist(), strict=True)), contents)
    yield _by_keys("option, size and shape of the box", table, both, by_area)
    if np.any(np.isfinite(table.log_numbers)):
        for what, power in (("side", 0.5), ("area", 1.0)):
            bins = _bins(table.log_numbers - power * areas, _NUMBER_BIN)
            yield _by_keys(f"number per {what} of the box", table, bins)


def _bins(values: Floats, width: float) -> Ints:
    """Return the number of each value's bin, from 0; −1 for NaN."""
    known = np.isfinite(values)
    floors = np.floor(np.where(known, values, 0) / width).astype(np.int64)
    least = int(floors[known].min()) if known.any() else 0
    return np.where(known, floors - least, -1)


def _joined(keys: Sequence[Hashable], others: Ints) -> Ints:
    """Return a number per pair of keys; −1 where one is below 0."""
    pairs = numbered(zip(keys, others.tolist(), strict=True))
    lacks = np.array([isinstance(key, int) and key < 0 for key in keys]) | (others < 0)
    return np.where(lacks, -1, pairs)


def _ranks(table: OptionTable, values: Floats) -> Ints:
    """Return the rank of each option in its question, by number of options; equal values share the lowest rank."""
    ranks = np.full(len(values), -1, dtype=np.int64)
    for span in table.spans():
        own = values[span]
        if np.all(np.isfinite(own)):
            ranks[span] = 100 * len(own) + (own[None, :] < own[:, None] - 1e-12).sum(axis=1)
    return ranks
