"""The errors that every command knows, and how a message helps with a mistyped word."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence


class RsvqaError(Exception):
    """Something outside our control is wrong; the message says what, on which item, and what to do.

    The command line prints the message as one line and exits with `exit_code`. Subclasses stand beside the code
    that raises them.
    """

    exit_code = 1


class NothingUsableError(RsvqaError):
    """What was given holds nothing to work on, or nothing is left of it; no result has been written."""

    exit_code = 2


def nearest(word: str, known: Collection[str], *, listed: Sequence[str] | None = None) -> str:
    """Return the end of a message about an unknown word: the known one most like it, or all of them as in `listed`."""
    match = nearest_word(word, known)
    return f"; did you mean {match!r}?" if match else f"; known: {', '.join(listed or known)}"


def nearest_word(word: str, known: Collection[str], *, likeness: float = 0.5) -> str | None:
    """Return the known word most like this one, None when none is, on difflib's scale of 0 to 1."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=likeness)), None)
