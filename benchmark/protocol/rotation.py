"""Options in another order, so that a model which likes a letter can be told from one that knows the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rsvqa.annotation.lettering import LETTERS, lettered, moved_letters, option_texts
from rsvqa.benchmark.errors import BenchmarkDataError


class Rotated(NamedTuple):
    """Options with new letters, "(A) …", and the letters of the right ones in the order of the alphabet."""

    options: tuple[str, ...]
    answer: str


def rotate(options: Sequence[str], answer: str, rotation: int) -> Rotated:
    """Move each option `rotation` places down, the last ones to the top, and give letters anew.

    With rotation 1 the text of (A) becomes (B), and that of the last option (A). Rotation 0 gives the same bytes, and
    `len(options)` rotations show each text once at each letter.

    Raises:
        LetteringError: options that are not lettered (A), (B), … in order.
        BenchmarkDataError: an answer that is not among them.
    """
    if rotation == 0:
        return Rotated(tuple(options), answer)
    texts = option_texts(options)
    letters = LETTERS[: len(texts)]
    if not set(answer) <= set(letters):
        raise BenchmarkDataError(f"the answer {answer!r} names a letter beyond the options {', '.join(letters)}")
    order = [(place - rotation) % len(texts) for place in range(len(texts))]
    return Rotated(lettered(texts[old] for old in order), moved_letters(answer, order))
