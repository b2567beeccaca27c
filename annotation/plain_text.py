"""Texts of models made fit for files and screens: whatever a reply holds, it can be stored, read again and shown."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All control characters but tab and line ends: NUL ends a text for some readers, ESC moves a terminal's cursor."""


def storable(text: str) -> str:
    """Return a text with U+FFFD for what no file or screen can take: halves of characters and control characters.

    Two halves that belong together (surrogates, as JSON escapes them) become their character.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROL.sub(REPLACEMENT, whole)
