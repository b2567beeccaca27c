"""Options in another order, so that a model which likes a letter can be told from one that knows the answer."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from rsvqa.benchmark.errors import BenchmarkDataError

_OPTION = re.compile(r"\(([A-Z])\)\s*(.*)", re.DOTALL)


class Rotated(NamedTuple):
    """Options with new letters, "(A) …", and the letters of the right ones in the order of the alphabet."""

    options: tuple[str, ...]
    answer: str


def rotate(options: Sequence[str], answer: str, rotation: int) -> Rotated:
    """Move each option `rotation` places down, the last ones to the top, and give letters anew.

    With rotation 1 the text of (A) becomes (B), and that of the last option (A). Rotation 0 gives the same bytes, and
    `len(options)` rotations show each text once at each letter.

    Raises:
        DataError: options that are not lettered (A), (B), … in order, or an answer that is not among them.
    """
    if rotation == 0:
        return Rotated(tuple(options), answer)
    texts = option_texts(options)
    places = range(len(texts))
    letters = string.ascii_uppercase[: len(texts)]
    if not set(answer) <= set(letters):
        raise BenchmarkDataError(f"the answer {answer!r} names a letter beyond the options {', '.join(letters)}")
    moved = [f"({letters[place]}) {texts[(place - rotation) % len(texts)]}" for place in places]
    right = {letters[(letters.index(letter) + rotation) % len(texts)] for letter in answer}
    return Rotated(tuple(moved), "".join(sorted(right)))


def option_texts(options: Sequence[str]) -> list[str]:
    """Return the options' texts without their letters.

    Raises:
        DataError: options that are not lettered (A), (B), … in order.
    """
    if len(options) > len(string.ascii_uppercase):
        raise BenchmarkDataError(f"{len(options)} options are more than there are letters")
    texts = []
    for letter, option in zip(string.ascii_uppercase, options, strict=False):
        match = _OPTION.fullmatch(option)
        if match is None or match[1] != letter:
            raise BenchmarkDataError(f"the option {option!r} does not begin with ({letter})")
        texts.append(match[2].strip())
    return texts
