"""Colour, motion, names and the like of labels, from the words of a source to the words that tasks know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rsvqa.annotation.tasks.colours import COLOURS as COLOUR_NAMES
from rsvqa.rsvqa_builder.labels.classes import NEGATIVE_TAGS, normalised

COLOURS: Mapping[str, str] = {name: name for name in COLOUR_NAMES} | {
    "gray": "grey",
    "silver": "grey",
    "cream": "beige",
    "tan": "beige",
    "violet": "purple",
    "turquoise": "cyan",
    "teal": "cyan",
}
"""The canonical colour of each colour word that sources use."""

MOTION: Mapping[str, bool] = {
    "yes": True,
    "true": True,
    "1": True,
    "moving": True,
    "in motion": True,
    "no": False,
    "false": False,
    "0": False,
    "parked": False,
    "static": False,
    "stationary": False,
}
"""Whether an object moves, by the words that sources use."""

_NO_ATTRIBUTES: Mapping[str, str | bool | float] = {}


class ParsedAttributes(NamedTuple):
    """The attributes of each label, and the values that were dropped because no task knows them, with counts."""

    attributes: tuple[Mapping[str, str | bool | float], ...]
    dropped: Mapping[str, int]


def parse_attributes(columns: Mapping[str, Sequence[str]], count: int) -> ParsedAttributes:
    """Return the attributes of `count` labels.

    Args:
        columns: texts as the source says them, by attribute, as in `AttributeColumns`; "" where it says nothing.
        count: the number of labels.
    """
    dropped: Counter[str] = Counter()
    parsed: list[dict[str, str | bool | float]] = [{} for _ in range(count)] if columns else []
    for name, texts in columns.items():
        parse = _PARSERS[name]
        known = {text: parse(text) for text in dict.fromkeys(texts) if text}
        for attributes, text in zip(parsed, texts, strict=True):
            value = known.get(text)
            if value is not None:
                attributes[name] = value
            elif text:
                dropped[f"{name}: {text}"] += 1
    return ParsedAttributes(tuple(parsed) if columns else (_NO_ATTRIBUTES,) * count, dict(dropped))


_PARSERS: Mapping[str, Callable[[str], str | bool | None]] = {
    "colour": lambda text: COLOURS.get(normalised(text)),
    "moving": lambda text: MOTION.get(normalised(text)),
    "damage": lambda text: normalised(text) or None,
    "name": lambda text: text.strip() or None,
    "oneway": lambda text: normalised(text) not in NEGATIVE_TAGS,
    "cause": lambda text: normalised(text) or None,
}
