"""What a task returns: a candidate question with its options, boxes, region and evidence, or the reason for none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.lettering import LETTERS
from rsvqa.annotation.taxonomy import AnswerForm

REGION_SLOT = "{region}"
"""Stands in a question's and an answer's text where the number of its circle is put once circles have numbers."""


def fill_regions(text: str, number: int) -> str:
    """Return `text` with the number of its circle in place of `REGION_SLOT`."""
    return text.replace(REGION_SLOT, str(number))


def with_region_slot(text: str, number: int | None) -> str:
    """Return `text` with `REGION_SLOT` in place of the number of its circle, where it has one."""
    return text if number is None else re.sub(rf"(?<!\d){number}(?!\d)", REGION_SLOT, text, count=1)


@dataclass(frozen=True, slots=True)
class Option:
    """One choice, without its letter: letters are dealt when the whole data set is known."""

    text: str
    is_right: bool


def marked_options(texts: Sequence[str], answer: str) -> tuple[Option, ...]:
    """Return the texts of options, in the order of their letters, with what an answer in letters says of each."""
    return tuple(Option(text, letter in answer) for letter, text in zip(LETTERS, texts, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why the answer is right, so that a person or another program can check it.

    Attributes:
        rule: the rule applied, as a stable identifier, e.g. "count_whole_objects".
        feature_ids: objects, areas and roads that the answer rests on.
        geometry: in tile pixels, where one says more than the ids.
        values: the numbers that went into the rule; JSON types only.
        needs_px: the smallest extent that must be seen, pixels of the tile (see `visibility`); None without one.
    """

    rule: str
    feature_ids: tuple[str, ...] = ()
    geometry: BaseGeometry | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    needs_px: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A candidate: a question with its computed answer.

    Attributes:
        task: name in `taxonomy.TASKS`.
        form: one of the task's forms.
        text: the question; holds `REGION_SLOT` when `region` is given, and boxes as absolute pixels with the image's
            size.
        options: all that may be offered, each certainly right or certainly wrong on this tile; `choosing` draws the
            four that are shown. For ONE_OF exactly one right and three wrong ones or more, for SEVERAL_OF at least
            one of either, for YES_NO the two; else empty.
        answer: for TEXT the answer itself, else empty (options or box hold it).
        box: for BOX the answer, in tile pixels; else the box named in the text, if any.
        region: the circle that the question is about; drawn and numbered on the marked copy of the tile.
        num_dates: 2 when the question shows the earlier and the later tile.
        strata: what the text tells a reader who does not see the image, from coarse to fine: the template, then such
            things as the class. Answers are balanced in each stratum; without any they are not.
        pool: for a number, the name of what it is taken from (template and unit): right answers of other questions of
            the pool are its wrong options. Wrong ones in `options`, none or three, are for a pool that is too small.
        value: the number of the right option; positive.
        min_ratio: the larger of two numbers offered together is at least so many times the smaller.
    """

    task: str
    form: AnswerForm
    text: str
    evidence: Evidence
    options: tuple[Option, ...] = ()
    answer: str = ""
    box: Box | None = None
    region: Circle | None = None
    num_dates: int = 1
    strata: tuple[str, ...] = ()
    pool: str | None = None
    value: float | None = None
    min_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class NotAsked:
    """Why a task did not ask, counted in the report.

    `reason` is one short sentence part from a fixed set per task ("no roads", "no GSD"): no numbers, no names.
    """

    reason: str
