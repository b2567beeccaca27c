"""The options of many questions as flat arrays, and measures of each option that need no image.

A flat array has one entry per option; those of one question stand together. What surprises: a guess is not one option
but the share of it that is right, so that equal scores need no coin.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.likeness import nearest_overlaps, overlap, words_of
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.items import AuditItem, folded, wording_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NUMBER = re.compile(r"(-?\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?)\s*(km²|km2|km|m²|m2|m|cm|ha)?(?![\w²])")
_UNITS = {"km²": 1e6, "km2": 1e6, "km": 1e3, "ha": 1e4, "cm": 1e-2}
_DIRECTIONS = {
    name: 45.0 * number
    for number, names in enumerate(
        (
            ("north", "n", "top", "above", "up", "upper", "上", "北"),
            ("northeast", "ne", "topright", "upperright", "右上", "东北"),
            ("east", "e", "right", "右", "东"),
            ("southeast", "se", "bottomright", "lowerright", "右下", "东南"),
            ("south", "s", "bottom", "below", "down", "lower", "下", "南"),
            ("southwest", "sw", "bottomleft", "lowerleft", "左下", "西南"),
            ("west", "w", "left", "左", "西"),
            ("northwest", "nw", "topleft", "upperleft", "左上", "西北"),
        )
    )
    for name in names
}
STEP_SHARES = (0.1, 0.15, 0.2, 0.25, 0.5)
"""Steps in which wrong numbers often surround a right one."""


def number_of(text: str) -> float | None:
    """Return the first number in a text in base units: "1.2 km" is 1200."""
    match = _NUMBER.search(text)
    if match is None:
        return None
    return float(match[1].replace(",", "").replace(" ", "")) * _UNITS.get(match[2] or "", 1.0)


def direction_of(text: str) -> float | None:
    """Return the bearing that a text names, degrees clockwise from north; None when it names none."""
    return _DIRECTIONS.get(re.sub(r"[\s\W_]+", "", folded(text)))


def numbered(keys: Iterable[Hashable]) -> Ints:
    """Return a number per key, equal for equal keys, in the order of their first appearance."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class OptionTable:
    """Questions with options, all of one task and form.

    Attributes:
        items: the questions.
    """

    items: Sequence[AuditItem]

    @cached_property
    def form(self) -> AnswerForm:
        """Of all its questions."""
        return self.items[0].form

    @cached_property
    def counts(self) -> Ints:
        """Options of each question."""
        return np.array([len(item.options) for item in self.items], dtype=np.int64)

    @cached_property
    def starts(self) -> Ints:
        """Place of the first option of each question in flat arrays."""
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)

    @cached_property
    def question_of(self) -> Ints:
        """Number of the question of each option."""
        return np.repeat(np.arange(len(self.items)), self.counts)

    @cached_property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether each option is right."""
        return np.array([place in item.right for item in self.items for place in range(len(item.options))])

    @cached_property
    def contents(self) -> list[str]:
        """What each option says, see `folded`."""
        return [folded(option) for item in self.items for option in item.options]

    @cached_property
    def wordings(self) -> list[str]:
        """Of each question, see `wording_of`."""
        return [wording_of(item.question) for item in self.items]

    def spans(self) -> Iterable[slice]:
        """Yield where the options of each question stand."""
        return (slice(start, start + count) for start, count in zip(self.starts, self.counts, strict=True))

    # --- measures ---

    @cached_property
    def numbers(self) -> Floats:
        """The number in each option; NaN for all of a question where one has none."""
        values = np.full(len(self.contents), np.nan)
        for span, item in zip(self.spans(), self.items, strict=True):
            found = [number_of(option) for option in item.options]
            if None not in found:
                values[span] = np.array(found, dtype=np.float64)
        return values

    @cached_property
    def log_numbers(self) -> Floats:
        """Logarithms of the numbers, of 1 more where one of a question is 0; NaN below."""
        values = self.numbers.copy()
        for span in self.spans():
            if np.any(values[span] == 0):
                values[span] += 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(values > 0, np.log(np.where(values > 0, values, 1)), np.nan)

    @cached_property
    def box_sides(self) -> Floats:
        """(question, 2): logarithm of the area and of width over height of its box, pixels; NaN without a box."""
        sides = np.full((len(self.items), 2), np.nan)
        for number, item in enumerate(self.items):
            if item.box is None:
                continue
            across, down = item.size or (1, 1)
            width, height = (item.box[2] - item.box[0]) * across, (item.box[3] - item.box[1]) * down
            if width > 0 and height > 0:
                sides[number] = math.log(width * height), math.log(width / height)
        return sides

    @cached_property
    def measures(self) -> dict[str, Floats]:
        """A number per option by the name of what it measures; those that say nothing here are left out."""
        lengths = np.array([len(content) for content in self.contents], dtype=np.float64)
        found = {"number": self.numbers, "length": lengths}
        found |= dict(zip(_WORD_MEASURES, self._word_measures(), strict=True))
        found |= dict(zip(_DIRECTION_MEASURES, self._direction_measures(), strict=True))
        found |= dict(zip(_NUMBER_MEASURES, self._number_measures(), strict=True))
        return {name: values for name, values in found.items() if self._tells_apart(values)}

    def _tells_apart(self, values: Floats) -> bool:
        """Whether a measure differs between the options of some question."""
        least, most = np.minimum.reduceat(values, self.starts), np.maximum.reduceat(values, self.starts)
        return bool(np.any(most > least))

    def _word_measures(self) -> Floats:
        """Return words that an option shares with the others and with the question, its words, and how odd it is."""
        rows = np.zeros((len(_WORD_MEASURES), len(self.contents)))
        for span, item in zip(self.spans(), self.items, strict=True):
            bags = [set(words_of(option)) for option in item.options]
            asked = set(words_of(item.question))
            nearest = nearest_overlaps(bags)
            for place, bag in enumerate(bags, start=span.start):
                shared = [overlap(bag, other) for other in bags if other is not bag]
                rows[:, place] = (
                    sum(shared) / max(1, len(shared)),
                    nearest[place - span.start],
                    len(bag & asked) / max(1, len(bag)),
                    len(bag),
                )
        return rows

    def _direction_measures(self) -> Floats:
        """Return the angle to the nearest other direction, and whether it is 90° or more."""
        rows = np.full((len(_DIRECTION_MEASURES), len(self.contents)), np.nan)
        for span, item in zip(self.spans(), self.items, strict=True):
            angles = [direction_of(option) for option in item.options]
            if None in angles or len(angles) < 2:
                continue
            turns = np.array(angles, dtype=np.float64)
            apart = np.abs((turns[:, None] - turns[None, :] + 180) % 360 - 180)
            np.fill_diagonal(apart, 360)
            rows[:, span] = apart.min(axis=1), apart.min(axis=1) >= 90
        return rows

    def _number_measures(self) -> Floats:
        """Return how an option's number lies among the others."""
        rows = np.full((len(_NUMBER_MEASURES), len(self.contents)), np.nan)
        for span in self.spans():
            values = self.numbers[span]
            if len(values) < 2 or not np.all(np.isfinite(values)):
                continue
            logs = self.log_numbers[span]
            others = np.abs(values[:, None] - values[None, :]) + np.diag(np.full(len(values), np.inf))
            rows[:5, span] = (
                np.abs(values - np.median(values)),
                np.abs(values - values.mean()),
                np.abs(logs - logs.mean()),
                others.min(axis=1),
                [_roundness(value) for value in values],
            )
            rows[5:, span] = [
                [_off_step(values, place, share) for place in range(len(values))] for share in STEP_SHARES
            ]
        return rows


_WORD_MEASURES = ("words shared with the others", "likeness to another", "words shared with the question", "words")
_DIRECTION_MEASURES = ("angle to the others", "only direction 90° or more from all others")
_NUMBER_MEASURES = (
    "distance from the median",
    "distance from the mean",
    "distance from the geometric mean",
    "distance from the nearest",
    "roundness",
    *(f"others in steps of {share:.0%} of it" for share in STEP_SHARES),
)


def _roundness(value: float) -> float:
    """Return the factors of ten in a number, those behind the point as negative ones."""
    for power in range(6, -4, -1):
        if abs(value / 10**power - round(value / 10**power)) < 1e-9:
            return power
    return -4


def _off_step(values: Floats, place: int, share: float) -> float:
    """Return how badly the others fit into whole steps of a share of one number, 0 for perfectly.

    Steps are moved outwards by less than half a step where makers of wrong numbers avoid even spacing, so that much is
    half a fault only.
    """
    step = (
        max(1.0, round(abs(values[place]) * share)) if values[place] == round(values[place]) else values[place] * share
    )
    if step <= 0:
        return 9.0
    steps = np.abs(np.delete(values, place) - values[place]) / step
    part = steps % 1
    return float(np.where((steps < 1) | (part >= 0.5) | (steps >= 5), 1.0, part / 2).mean())
