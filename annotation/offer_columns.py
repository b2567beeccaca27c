"""The candidates of a data set in columns, and what was chosen of them: about 100 bytes for each.

Candidates as objects take five times as much, so only those of one task and split become objects, while they are
chosen from.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rsvqa.annotation.option_drawing import Offer
from rsvqa.annotation.taxonomy import AnswerForm

_FORMS = tuple(AnswerForm)
_FORM_NUMBERS = {form: number for number, form in enumerate(_FORMS)}


@dataclass(slots=True, kw_only=True)
class OfferColumns:
    """The candidates of one task and split, a column per attribute of `Offer`; `ends` are those of each one's texts."""

    index: array[int] = field(default_factory=lambda: array("q"))
    tile: array[int] = field(default_factory=lambda: array("q"))
    form: array[int] = field(default_factory=lambda: array("b"))
    texts: array[int] = field(default_factory=lambda: array("i"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    num_right: array[int] = field(default_factory=lambda: array("i"))
    kind: array[int] = field(default_factory=lambda: array("i"))
    levels: array[int] = field(default_factory=lambda: array("i"))
    pool: array[int] = field(default_factory=lambda: array("i"))
    value: array[float] = field(default_factory=lambda: array("d"))
    min_ratio: array[float] = field(default_factory=lambda: array("d"))
    is_fine: array[int] = field(default_factory=lambda: array("b"))
    level_numbers: dict[tuple[int, ...], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def append(self, offer: Offer) -> None:
        """Take a candidate in."""
        self.index.append(offer.index)
        self.tile.append(offer.tile)
        self.form.append(_FORM_NUMBERS[offer.form])
        self.texts.extend(offer.right)
        self.texts.extend(offer.wrong)
        self.ends.append(len(self.texts))
        self.num_right.append(len(offer.right))
        self.kind.append(offer.kind)
        self.levels.append(self.level_numbers.setdefault(offer.levels, len(self.level_numbers)))
        self.pool.append(offer.pool)
        self.value.append(offer.value)
        self.min_ratio.append(offer.min_ratio)
        self.is_fine.append(offer.is_fine)

    def offers(self) -> Iterator[Offer]:
        """Yield the candidates as objects, in their order."""
        levels = list(self.level_numbers)
        start = 0
        for place, end in enumerate(self.ends):
            middle = start + self.num_right[place]
            yield Offer(
                index=self.index[place],
                tile=self.tile[place],
                form=_FORMS[self.form[place]],
                right=tuple(self.texts[start:middle]),
                wrong=tuple(self.texts[middle:end]),
                kind=self.kind[place],
                levels=levels[self.levels[place]],
                pool=self.pool[place],
                value=self.value[place],
                min_ratio=self.min_ratio[place],
                is_fine=bool(self.is_fine[place]),
            )
            start = end

    def right_values(self) -> Iterator[tuple[int, int, float]]:
        """Yield pool, right text and value of each candidate that has a pool, in their order."""
        start = 0
        for pool, end, value in zip(self.pool, self.ends, self.value, strict=True):
            if pool >= 0:
                yield pool, self.texts[start], value
            start = end


@dataclass(slots=True, kw_only=True)
class ShownColumns:
    """The options of those candidates that are asked; `first` of another candidate is -1."""

    texts: array[int] = field(default_factory=lambda: array("i"))
    first: array[int] = field(default_factory=lambda: array("q"))
    num: array[int] = field(default_factory=lambda: array("b"))
    num_right: array[int] = field(default_factory=lambda: array("b"))

    @classmethod
    def of_none(cls, num_candidates: int) -> ShownColumns:
        """Return columns in which no candidate is asked yet."""
        nothing = bytes(num_candidates)
        first = array("q", [-1]) * num_candidates
        return cls(first=first, num=array("b", nothing), num_right=array("b", nothing))

    def ask(self, index: int, texts: Sequence[int], num_right: int) -> None:
        """Note that a candidate is asked with these options, the right ones first."""
        self.first[index] = len(self.texts)
        self.num[index] = len(texts)
        self.num_right[index] = num_right
        self.texts.extend(texts)

    def drop(self, index: int) -> None:
        """Note that a candidate is not asked after all."""
        self.first[index] = -1

    def copy(self) -> ShownColumns:
        """Return columns of its own for what is dropped later."""
        return ShownColumns(texts=self.texts, first=self.first[:], num=self.num, num_right=self.num_right)

    def is_asked(self, index: int) -> bool:
        """Return whether a candidate is asked."""
        return self.first[index] >= 0

    def shown(self, index: int) -> array[int]:
        """Return the texts of a candidate that is asked, right ones first."""
        return self.texts[self.first[index] : self.first[index] + self.num[index]]
