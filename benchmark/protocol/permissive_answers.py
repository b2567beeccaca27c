"""The letters that a well-meaning reader would take from a reply that the strict parser refuses.

Shown beside the strict and the official score, so that a reader sees how far scores of one set of replies lie apart by
protocol alone. It guesses, so it is no score to rank models by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsvqa.annotation.lettering import LETTERS, option_texts
from rsvqa.benchmark.protocol.thinking import final_text


def permissive_letters(reply: str, options: Sequence[str], *, several: bool) -> str:
    """Return what the end of a reply most likely answers; empty where it names no option.

    Letters that stand alone count, where one is asked for the last of them; else options whose texts stand in the
    reply, if one is asked for only when it is one. Unfinished reasoning is read as well.
    """
    text = final_text(reply) or reply
    letters = LETTERS[: len(options)]
    if found := re.findall(rf"(?<![\w'’])([{letters}])(?![\w'’])", text):
        return "".join(sorted(set(found))) if several else str(found[-1])
    named = [
        letter
        for letter, option in zip(letters, option_texts(options), strict=True)
        if re.search(rf"(?<!\w){re.escape(option.lower())}(?!\w)", text.lower())
    ]
    return "".join(named) if several or len(named) == 1 else ""
