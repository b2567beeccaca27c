"""How much two texts are alike by their words."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

_WORD = re.compile(r"[一-鿿]|[^\W一-鿿]+")
"""A Chinese character, or a word of any other script."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, and its Chinese characters."""
    return _WORD.findall(text.casefold())


def overlap(one: Set[str], other: Set[str]) -> float:
    """Return the share of the words of two texts that both have, 0 to 1."""
    return len(one & other) / max(1, len(one | other))


def nearest_overlaps(bags: Sequence[Set[str]]) -> list[float]:
    """Return for each of some texts, given by their words, its overlap with the one that is most like it."""
    return [
        max((overlap(bag, other) for place, other in enumerate(bags) if place != own), default=0.0)
        for own, bag in enumerate(bags)
    ]
