"""What must survive when a model rewords, redrafts or translates a text: numbers, boxes, what is named, and the sense.

All checks are mechanical and strict: the price of a false alarm is that the rule's wording stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from rsvqa.annotation.checks import normalise
from rsvqa.annotation.reading.number_words import number_words_in
from rsvqa.annotation.tasks.colours import COLOURS
from rsvqa.annotation.wording.phrases import load_phrases

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_SLOT = re.compile(r"\{(\w+)\}")
_SENTENCE = re.compile(r"[A-Z{].* .*[?.}]")
_PLACE = re.compile(r"Image resolution|\d|\[")

_COLOUR = re.compile(rf"(?<!\w)(?:{'|'.join((*COLOURS, 'gray'))})(?!\w)(?! circle)", re.IGNORECASE)
"""All circles are red, so that may be said."""

_ORIGIN = (
    r"(?<!\w)(?:from|at|beside|m of|relative to|respect to|relation to|reference to|compared (?:with|to)|nearest to)"
)
_DATE = re.compile(
    r"(?<!\w)(?:(?P<earlier>earlier|first|before)|(?P<later>later|second|after)|(?P<contrast>not|than|only))(?!\w)",
    re.IGNORECASE,
)

_SENSES: Mapping[str, str] = {
    "negation": r"not|no|none|never|without|cannot|n't|neither|nor|except|excluding|hardly|barely|other than|apart from"
    r"|besides|rather than|instead of|absent|absence|lacks?|lacking|missing|free of|devoid",
    "denial": r"false|wrong|incorrect|untrue|unlikely|unsupported|contradicted|worst|(?<!at )least",
    "only": r"only|just|sole|solely|single|exactly",
    "most": r"most|mostly|mainly|main|dominant|prevails|prevailing|predominantly|predominant|majority|primarily",
    "few": r"few|fewer|little|scarcely",
    "at least": r"at least|or more|minimum",
    "at most": r"at most|or less|no farther|no further|maximum|within|up to",
    "beyond": r"more than|beyond|farther than|further than|over",
    "inside": r"inside|within|in",
    "outside": r"outside",
    "near": r"nearest|closest",
    "far": r"farthest|furthest",
    "large": r"largest|biggest",
    "small": r"smallest|tiniest",
    "long": r"longest|longer|long",
    "short": r"shortest|shorter",
    "still": r"stationary|standing still|parked|motionless|at rest|not moving|stopped|immobile|stand still",
    "moving": r"moving|in motion|driving|motion",
    "more": r"risen|increased|increase|grown|added|new|gained|more|additional|appeared|built|rise|gain",
    "less": r"fallen|decreased|decrease|removed|gone|disappeared|lost|less|fewer|vanished|fall|loss|torn down|dropped",
    "earlier": r"earlier|before|first date",
    "later": r"later|after|second date",
    "left": r"left|leftmost",
    "right": r"right|rightmost",
    "upper": r"upper|top|topmost|above",
    "lower": r"lower|bottom|bottommost|below",
    "north": r"north|northern|northernmost",
    "south": r"south|southern|southernmost",
    "east": r"east|eastern|easternmost",
    "west": r"west|western|westernmost",
    "northeast": r"northeast|northeastern",
    "northwest": r"northwest|northwestern",
    "southeast": r"southeast|southeastern",
    "southwest": r"southwest|southwestern",
    "every": r"every|all|each",
    "straight": r"straight",
}
"""Words that turn the sense of a question, grouped by what they say."""

_LOOSE = frozenset({"inside", "every", "long", "right", "at most", "beyond", "earlier", "later", "more", "only"})
"""Senses that good rewordings add or drop by the way ("in", "the right one"): compared only where they must stay."""

_MUST_STAY = frozenset({"only", "at most", "beyond", "more", "earlier", "later"})
"""Loose senses that may come but not go."""


def numbers_in(text: str) -> Counter[str]:
    """Return the numbers written in digits, by value ("1,000" and "1000" are the same)."""
    return Counter(normalise(found) for found in _NUMBER.findall(text))


def brackets_in(text: str) -> Counter[str]:
    """Return what stands in square brackets: boxes, points and the form of an answer."""
    return Counter(_BRACKETS.findall(text))


@cache
def _senses() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)) for name, words in _SENSES.items())


def senses_in(text: str) -> frozenset[str]:
    """Return which senses of `_SENSES` the words of `text` carry."""
    plain = text.replace("n't", " n't")
    return frozenset(name for name, pattern in _senses() if pattern.search(plain))


def _num_negations(text: str) -> int:
    return len(dict(_senses())["negation"].findall(text.replace("n't", " n't")))


def has_same_sense(old: str, new: str) -> bool:
    """Return whether the words that turn the sense are the same in both texts."""
    before, after = senses_in(old), senses_in(new)
    strict_before, strict_after = before - _LOOSE, after - _LOOSE
    if _num_negations(old) != _num_negations(new):
        return False
    return strict_before == strict_after and before & _MUST_STAY <= after


def keeps_sense(old: str, new: str) -> bool:
    """Return whether all words that turn the sense stay, where a text may only grow; no negation may come."""
    before, after = senses_in(old), senses_in(new)
    return before <= after and ("negation" in before) == ("negation" in after)


def contains_phrase(text: str, phrase: str) -> bool:
    """Return whether `phrase` stands in `text` as whole words, case ignored."""
    return re.search(rf"(?<!\w){re.escape(phrase.casefold())}(?!\w)", text.casefold()) is not None


# --- what a rule's wording names --------------------------------------------------------------------------------------


def _templates_below(entry: Any) -> Iterator[str]:  # noqa: ANN401  TOML of any depth
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, Mapping):
        for value in entry.values():
            yield from _templates_below(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from _templates_below(value)


@cache
def _patterns(task: str, language: str) -> tuple[re.Pattern[str], ...]:
    """Return the task's question templates as patterns; what a slot stands for is a group."""
    templates = [text for text in _templates_below(load_phrases(language).table(task)) if _SENTENCE.fullmatch(text)]
    return tuple(_pattern(template) for template in sorted(templates, key=len, reverse=True))


def _pattern(template: str) -> re.Pattern[str]:
    parts = _SLOT.split(template)  # literal, slot, literal, ...
    body = "".join("(.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    # sentences on the image's size, the box or north may follow
    return re.compile(rf"{body}(?: [A-Z].*)?")


def named_things(text: str, task: str, language: str = "en") -> tuple[str, ...] | None:
    """Return what the slots of the rule's wording were filled with; None when the text is of no known wording.

    Numbers, boxes and the image's size are left out: they are compared on their own.
    """
    for pattern in _patterns(task, language):
        if match := pattern.fullmatch(text):
            return tuple(dict.fromkeys(value for value in match.groups() if not _PLACE.match(value)))
    return None


def lost(old: str, new: str, keep: Iterable[str]) -> str | None:
    """Return what did not survive from `old` to `new`, as a reason; None when all did."""
    if brackets_in(old) != brackets_in(new):
        return "boxes or answer form changed"
    if numbers_in(old) != numbers_in(new):
        return "numbers changed"
    if number_words_in(new) - number_words_in(old):
        return "numbers changed"
    if not all(contains_phrase(new, phrase) for phrase in keep):
        return "what is asked about is not named"
    if not has_same_sense(old, new) or _colours_in(new) - _colours_in(old):
        return "sense changed"
    return None


def _colours_in(text: str) -> frozenset[str]:
    return frozenset(found.lower() for found in _COLOUR.findall(text))


# --- who is what ------------------------------------------------------------------------------------------------------


def has_same_roles(old: str, new: str, things: Iterable[str]) -> bool:
    """Return whether the things have the same parts in both texts: who is where, seen from whom.

    What stands after "from" and the like is the same, and where nothing does, the things are named in the same order:
    "the car nearest to the house" is another one than "the house nearest to the car".
    """
    named = tuple(things)
    before, after = _origins(old, named), _origins(new, named)
    return before == after and (bool(before) or _order(old, named) == _order(new, named))


def _order(text: str, things: Iterable[str]) -> list[str]:
    """Return the things in the order in which a text names them first."""
    found = [
        (match.start(), thing)
        for thing in things
        if (match := re.search(rf"(?<!\w){re.escape(thing)}(?!\w)", text, re.IGNORECASE)) is not None
    ]
    return [thing for _, thing in sorted(found)]


def _origins(text: str, things: Iterable[str]) -> frozenset[str]:
    return frozenset(
        thing for thing in things if re.search(rf"{_ORIGIN}\s+{re.escape(thing)}(?!\w)", text, re.IGNORECASE)
    )


def has_same_dates(old: str, new: str) -> bool:
    """Return whether two texts set the earlier and the later date against each other in the same way.

    A text that names no date may become one that goes from the earlier to the later.
    """
    before, after = _dates_said(old), _dates_said(new)
    return after == before or (not before and after == ("earlier", "later"))


def _dates_said(text: str) -> tuple[str, ...]:
    """Return the dates of a text in their order, with what sets one against the other."""
    said = tuple(str(found.lastgroup) for found in _DATE.finditer(text.replace("n't", " not")))
    return said if {"earlier", "later"} & set(said) else ()
