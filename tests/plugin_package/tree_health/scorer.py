"""A scorer of open answers: right where the reply has the letters of the right word, in any order."""

from __future__ import annotations

from collections import Counter


def same_letters(reply: str, right: str, *, most_extra: int = 0) -> bool:
    """Return whether the reply holds all letters of the right word, and at most `most_extra` more."""
    said, wanted = (Counter(filter(str.isalpha, text.lower())) for text in (reply, right))
    return not wanted - said and (said - wanted).total() <= most_extra
