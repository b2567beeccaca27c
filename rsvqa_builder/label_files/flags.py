"""Flags of labels as tools write them: 0 and 1, words, or nothing at all."""

from __future__ import annotations

_UNSET = frozenset({"", "0", "0.0", "no", "false", "none", "null", "n/a", "nan", "unspecified", "unknown"})


def is_set(value: object) -> bool:
    """Tell whether a flag says yes; an empty one, or a word for "not said", does not."""
    return value is not None and str(value).strip().casefold() not in _UNSET
