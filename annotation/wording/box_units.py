"""The units in which a question wants its box: how they are said, and which ones a text states.

A question that states its units must not get others put behind it, and the box that answers it is read in them. What
surprises: "0 to 1,000" is not "0 to 1", and numbers without a word for units say something only as a range; a range of
metres, a score or a count of images is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

BoxUnits = Literal["pixels", "0-1", "0-100", "0-1000"]
"""Pixels, or shares of the image's (width, height) scaled to 1, 100 or 1,000."""

UNITS_SAID: Mapping[BoxUnits, str] = {
    "pixels": "in pixels of the image",
    "0-1": "shares of the image's width and height from 0 to 1",
    "0-100": "percentages of the image's width and height from 0 to 100",
    "0-1000": "in thousandths of the image's width and height from 0 to 1000",
}
"""How a prompt of training data says units; `stated_units` understands each."""

_UNITS_UP_TO: dict[str, BoxUnits] = {"1": "0-1", "100": "0-100", "999": "0-1000", "1000": "0-1000"}
_ZERO = r"(?<![A-Za-z\d_.,-])0(?:\.0+)?\s?%?"
_NO_METRES = r"(?!\s?(?:[kcm]?m|km|metres?|meters?|°|degrees?|公里|米)\b)"
_TOP = rf"(1[, \u202f]?000|999|100|1)(?:\.0+)?(?![.,:]?\d){_NO_METRES}"
_BETWEEN = r"\s{0,3}(?:(?:up\s)?to|through|until|-|–|—|~|～|\.{2,3}|…|到|至)\s{0,3}"
_RANGES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_ZERO}{_BETWEEN}{_TOP}",  # from 0 to 1, 0 up to 1, 0–1, 0到1
        rf"\bbetween\s{_ZERO}\sand\s{_TOP}",
        rf"{_ZERO}\s?[和与]\s?{_TOP}\s?之间",
        rf"{_ZERO}\s?(?:<=?|≤)\s?\w{{1,10}}\s?(?:<=?|≤)\s?{_TOP}",
        rf"[\[(（]\s?{_ZERO}\s?[,，]\s?{_TOP}\s?[\])）]",  # [0, 1]
    )
)
_NUMBERED = re.compile(r"\b(?:images?|pictures?|dates?|tiles?|zones?|piers?|numbers?|nos?\.)\s*$", re.IGNORECASE)
"""What stands before a range that counts things."""

_WORDS: dict[BoxUnits, tuple[str, ...]] = {
    "0-1000": (r"\b(?:in|as)\sthousandths\b", r"千分比|千分之"),
    "0-100": (r"\b(?:in|as)\s(?:a\s)?(?:percent(?:ages?)?\b|%)", r"取值.{0,12}百分比|以百分比"),
    "0-1": (
        r"\bnormali[sz]ed\s(?:\w+\s){0,2}?(?:coordinates?|bounding|box|bbox|values?|[\[(])",
        r"\b(?:coordinates?|box|bbox|values?)\b[^.?!\[]{0,24}\bnormali[sz]ed(?!\s(?:difference|burn|to\s\d))",
        r"\bnormali[sz]ed\s(?:by|to)\s(?:the\s)?(?:image|width|height|side)",
        r"\b(?:in|as)\s(?:a\s)?(?:shares?|fractions?)\sof\s(?:the\s)?(?:image|width|height|side)",
        r"归一化(?!植被|差)|取值.{0,12}比例",
    ),
    # not where it belongs to a box that is given: "[60, 20, 110, 40] in pixels"
    "pixels": (
        r"(?<!\d\]\s)(?<!\d\]\s\()\bin\s(?:absolute\s)?pixels?\b|\bpixel\scoordinates?\b",
        r"像素坐标|像素为单位|单位为.{0,4}像素",
    ),
}
"""Searched in this order."""


_FORM = re.compile(r"\[x_?(?:1|min), ?y_?(?:1|min), ?x_?(?:2|max), ?y_?(?:2|max)\]")
"""What a box is to look like, as questions of our own say it."""
_TO_ONE = r"0(?:–|-| to )1\b"
_SAID_AS_SHARES = (
    # whatever stands for the units comes in the place of `{}`
    (re.compile(rf"\bnormali[sz]ed ({_FORM.pattern}) with values from {_TO_ONE}"), r"\1, {}"),
    (re.compile(r"\beach value as a share of the image's width or height between 0 and 1\b"), "{}"),
    (re.compile(rf"\bin normali[sz]ed coordinates (?:from {_TO_ONE}|\({_TO_ONE}\))"), "{}"),
    (re.compile(rf"\bnormali[sz]ed coordinates (?:from {_TO_ONE}|\({_TO_ONE}\))"), "coordinates {}"),
    (re.compile(rf"\bnormali[sz]ed to (?:values from )?{_TO_ONE}"), "{}"),
)


def ask_in_units(question: str, units: BoxUnits, form: str) -> str | None:
    """Return a question of our own with other words for the units of the box it asks for, and for the box's form.

    A question that says nothing of them gets a sentence that does.

    Args:
        question: asks for a box, as shares from 0 to 1 where it says so.
        units: in which the box is wanted.
        form: what the answer is to look like, with x1, y1, x2 and y2 in it.

    Returns:
        None where the question says its units in words that are not known here: it must not be asked with others.
    """
    if stated_units(question) is None:
        return f"{question}\nAnswer with {form}, {UNITS_SAID[units]}."
    for pattern, said in _SAID_AS_SHARES:
        question = pattern.sub(said.replace("{}", UNITS_SAID[units]), question)
    asked, count = _FORM.subn(lambda _: form, question)
    if not count:
        asked = f"{question}\nAnswer with {form}."
    return asked if stated_units(asked) == units else None


def stated_units(text: str) -> BoxUnits | None:
    """Return the units that a text states for the box it asks for; None where it says nothing, or several things.

    A range goes before words: "normalised to 0–1000" is 0–1000.
    """
    ranges = {
        _UNITS_UP_TO[re.sub(r"\D", "", match[1])]
        for pattern in _RANGES
        for match in pattern.finditer(text)
        if not _NUMBERED.search(text, 0, match.start())
    }
    if ranges:
        return ranges.pop() if len(ranges) == 1 else None
    return next((units for units, words in _WORDS.items() if re.search("|".join(words), text, re.IGNORECASE)), None)
