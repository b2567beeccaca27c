"""The candidates of a data set in columns, and what was chosen of them: about 60 bytes for each.

They come in batches, each with tables of its own texts, so batches can be made apart, by as many processes as there
are. Candidates as objects take ten times as much, so only those of one task and split become objects, while they are
chosen from.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.option_drawing import Offer
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm

_MADE_AT_ONCE = 65_536
MAX_TEXTS = 1 << 32
_OF_OFFERS = ("tile", "template", "num_texts", "num_right", "value", "is_fine")


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


class OfferTemplate(NamedTuple):
    """What many candidates have in common, see `Choosable`."""

    task: str
    form: AnswerForm
    strata: tuple[str, ...]
    pool: str | None
    min_ratio: float


class GroupTemplate(NamedTuple):
    """The same of a group, in numbers, see `Offer`."""

    form: AnswerForm
    levels: tuple[int, ...]
    pool: int
    min_ratio: float


class OfferBatch:
    """Candidates of some tiles in their order, as a worker collects them.

    Attributes:
        texts: each text of an option, or of the bin of a number, with its number here.
        templates: the same of templates.
        columns: what is kept of each candidate, once `finish` has been called.
    """

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.templates: dict[OfferTemplate, int] = {}
        self.columns = BatchColumns()

    def __len__(self) -> int:
        return len(self.columns.tile)

    def kept(self, is_kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Return the columns without some candidates."""
        columns = {name: np.array(getattr(self.columns, name)) for name in BatchColumns.__slots__}
        kept = {name: column[is_kept] for name, column in columns.items() if name != "texts"}
        kept["texts"] = columns["texts"][np.repeat(is_kept, columns["num_texts"])]
        return kept

    def append(self, candidate: Choosable, *, tile: int, is_fine: bool) -> None:
        """Take a candidate in; fields as in `Chooser.add`."""
        template = OfferTemplate(candidate.task, candidate.form, candidate.strata, candidate.pool, candidate.min_ratio)
        right = [option.text for option in candidate.options if option.is_right]
        wrong = [option.text for option in candidate.options if not option.is_right]
        self.append_plain(template, candidate.value, right, wrong, tile=tile, is_fine=is_fine)

    def append_plain(
        self,
        template: OfferTemplate,
        value: float | None,
        right: Sequence[str],
        wrong: Sequence[str],
        *,
        tile: int,
        is_fine: bool,
    ) -> None:
        """Take a candidate in of which the right and the wrong texts are told apart already."""
        texts, columns = self.texts, self.columns
        for text in (*right, *wrong):
            columns.texts.append(texts.setdefault(text, len(texts)))
        columns.num_texts.append(len(right) + len(wrong))
        columns.num_right.append(len(right))
        columns.template.append(self.templates.setdefault(template, len(self.templates)))
        columns.tile.append(tile)
        columns.is_fine.append(is_fine)
        columns.value.append(math.nan if value is None else value)
        number = -1
        if value is not None and template.min_ratio > 1:
            text = f"\n{round(math.log(value) / math.log(template.min_ratio))}"
            number = texts.setdefault(text, len(texts))
        columns.bin.append(number)


@dataclass(slots=True, kw_only=True)
class BatchColumns:
    """What is kept of each candidate of a batch; `bin` is the text that stands for numbers near to its own, or -1."""

    tile: array[int] = field(default_factory=lambda: array("i"))
    template: array[int] = field(default_factory=lambda: array("i"))
    texts: array[int] = field(default_factory=lambda: array("i"))
    num_texts: array[int] = field(default_factory=lambda: array("i"))
    num_right: array[int] = field(default_factory=lambda: array("i"))
    bin: array[int] = field(default_factory=lambda: array("i"))
    value: array[float] = field(default_factory=lambda: array("d"))
    is_fine: array[int] = field(default_factory=lambda: array("b"))


class OfferColumns:
    """The candidates of one task and split, in their order: a column per attribute of `Offer`, whose index is a place.

    Attributes:
        templates: each with its number here.
    """

    def __init__(self) -> None:
        self.templates: dict[GroupTemplate, int] = {}
        self._parts: list[Mapping[str, NDArray[Any]]] = []
        self._num = 0

    def __len__(self) -> int:
        return self._num

    def extend(self, part: Mapping[str, NDArray[Any]]) -> None:
        """Take candidates in, with a column of each of their numbers: `texts` of all, one behind the other."""
        self._parts.append(part)
        self._num += len(part["tile"])

    def pools(self) -> set[int]:
        """Return the pools of numbers."""
        return {template.pool for template in self.templates if template.pool >= 0}

    def offers(self) -> Iterator[Offer]:
        """Yield the candidates as objects, in their order; what many have in common is in memory once."""
        templates = list(self.templates)
        most = max(int(self._column(name).max(initial=-1)) for name in ("texts", "kind"))
        text_objects = np.arange(most + 2).astype(object)
        text_objects[-1] = -1  # no text
        alone: dict[int, tuple[int, ...]] = {}
        last_tile = -1
        ends = np.cumsum(self._column("num_texts"))
        for first in range(0, len(self), _MADE_AT_ONCE):
            some = slice(first, first + _MADE_AT_ONCE)
            start, before = 0, int(ends[first - 1]) if first else 0
            texts = text_objects[self._column("texts")[before : ends[some][-1]]].tolist()
            kinds = text_objects[self._column("kind")[some]].tolist()
            columns = (self._column(name)[some].tolist() for name in _OF_OFFERS)
            for place, (kind, tile, template, num_texts, num_right, value, is_fine) in enumerate(
                zip(kinds, *columns, strict=True), start=first
            ):
                middle, end = start + num_right, start + num_texts
                form, levels, pool, min_ratio = templates[template]
                right = tuple(texts[start:middle])
                last_tile = last_tile if tile == last_tile else tile
                yield Offer(
                    index=place,
                    tile=last_tile,
                    form=form,
                    right=alone.setdefault(right[0], right) if num_right == 1 else right,
                    wrong=tuple(texts[middle:end]),
                    kind=kind,
                    levels=levels,
                    pool=pool,
                    value=math.nan if value != value else value,  # the one object
                    min_ratio=min_ratio,
                    is_fine=bool(is_fine),
                )
                start = end

    def right_values(self) -> Iterator[tuple[int, int, float]]:
        """Yield pool, text and last value of each right text of a pool, in the order in which they come first."""
        pools = np.array([template.pool for template in self.templates], np.int64)[self._column("template")]
        of_pool = np.flatnonzero(pools >= 0)
        starts = np.cumsum(self._column("num_texts")) - self._column("num_texts")
        keys = pools[of_pool] * MAX_TEXTS + self._column("texts")[starts[of_pool]]
        values = self._column("value")[of_pool][::-1]
        unique, first = np.unique(keys, return_index=True)
        _, last = np.unique(keys[::-1], return_index=True)
        for place in np.argsort(first).tolist():
            pool, text = divmod(int(unique[place]), MAX_TEXTS)
            yield pool, text, float(values[last[place]])

    def _column(self, name: str) -> NDArray[Any]:
        if len(self._parts) > 1:
            self._parts = [{one: np.concatenate([part[one] for part in self._parts]) for one in self._parts[0]}]
        return self._parts[0][name]


@dataclass(slots=True, kw_only=True)
class ShownColumns:
    """The options of those candidates that are asked; `first` of another candidate is -1."""

    texts: NDArray[np.int32]
    first: NDArray[np.int64]
    num: NDArray[np.int8]
    num_right: NDArray[np.int8]

    @classmethod
    def of_none(cls, num_candidates: int) -> ShownColumns:
        """Return columns in which no candidate is asked yet."""
        return cls(
            texts=np.empty(0, np.int32),
            first=np.full(num_candidates, -1, np.int64),
            num=np.zeros(num_candidates, np.int8),
            num_right=np.zeros(num_candidates, np.int8),
        )

    @classmethod
    def of(cls, asked: Sequence[Offer], num_candidates: int) -> ShownColumns:
        """Return the columns of a group of which these are asked, with the options they show."""
        columns = cls.of_none(num_candidates)
        places = np.array([offer.index for offer in asked], np.int64)
        columns.num[places] = [len(offer.shown) for offer in asked]
        columns.num_right[places] = [offer.num_right for offer in asked]
        columns.texts = np.fromiter(chain.from_iterable(offer.shown for offer in asked), np.int32)
        ends = np.cumsum(columns.num[places], dtype=np.int64)
        columns.first[places] = ends - columns.num[places]
        return columns

    def ask(self, groups: Iterable[tuple[NDArray[np.int64], ShownColumns]]) -> None:
        """Note what is asked of groups, each with the index of each of its candidates."""
        texts, num_texts = [self.texts], len(self.texts)
        for index, shown in groups:
            self.first[index] = np.where(shown.first < 0, -1, shown.first + num_texts)
            self.num[index] = shown.num
            self.num_right[index] = shown.num_right
            texts.append(shown.texts)
            num_texts += len(shown.texts)
        self.texts = np.concatenate(texts)

    def without(self, indices: Iterable[int]) -> ShownColumns:
        """Return columns in which some candidates are not asked after all."""
        first = self.first.copy()
        first[np.fromiter(indices, np.int64)] = -1
        return ShownColumns(texts=self.texts, first=first, num=self.num, num_right=self.num_right)

    def is_asked(self, index: int) -> bool:
        """Return whether a candidate is asked."""
        return bool(self.first[index] >= 0)

    def shown(self, index: int) -> list[int]:
        """Return the texts of a candidate that is asked, right ones first."""
        first = self.first[index]
        texts: list[int] = self.texts[first : first + self.num[index]].tolist()
        return texts


def numbered(table: Iterable[Hashable], known: dict[Any, int], order: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Return the number that each entry of a table has among those that are known, or -1 of one that is not seen.

    Args:
        table: its entries by their number in a batch.
        known: of all batches so far; those that are new get the next numbers, in the order in which they are seen.
        order: the entries that are seen, by their number in the batch; again and again.
    """
    entries = list(table)
    seen_at = np.full(len(entries), -1, np.int64)
    seen_at[order[::-1]] = np.arange(len(order))[::-1]  # of several the last is kept: the first
    seen = np.flatnonzero(seen_at >= 0)
    numbers = np.full(len(entries), -1, np.int32)
    for place in seen[np.argsort(seen_at[seen])].tolist():
        numbers[place] = known.setdefault(entries[place], len(known))
    return numbers
