"""Letters read from a reply exactly as lmms-eval 0.7.3 reads them, faults included, so that scores can be compared.

Its rules stand in `lmms_eval/tasks/xlrs/mcq_utils.py` (`extract_characters_regex`); before them its command line cuts
out reasoning (`lmms_eval/api/reasoning.py`, with the default of `--reasoning_tags`). What surprises is what they make
of a reply that is more than a letter:

- Its second pattern has optional boundaries on both sides, so it finds the letters a to e ANYWHERE: "B. Red" is read
  as B, D and E, "Answer: B" as A, B and E. Only letters in parentheses are read alone: "(B) Red" is B.
- Two pairs of prefixes are glued together by missing commas; "Best answer:" alone is therefore not taken off.
- Without a capital A to E somewhere, nothing is read: "b" has no answer.
- Letters beyond the question's options are read too, up to E.

The letters are compared as a set; upstream gives them in no fixed order, here they are sorted.
"""

from __future__ import annotations

import re

_REASONING_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
_CAPITALS = frozenset("ABCDE")
_LETTERS = frozenset("abcdeABCDE")
_IN_PARENTHESES = re.compile(r"\(([a-eA-E])\)")


def official_letters(reply: str) -> str:
    """Return the sorted capital letters that lmms-eval reads in `reply`; empty where it reads none."""
    text = strip_reasoning(reply).strip()
    for prefix in _PREFIXES:
        text = text.replace(prefix, "")
    if _CAPITALS.isdisjoint(text):
        return ""
    found = _IN_PARENTHESES.findall(text) or _LETTERS.intersection(text)
    return "".join(sorted({letter.upper() for letter in found}))


def strip_reasoning(reply: str) -> str:
    """Return `reply` without the blocks between reasoning tags, as lmms-eval's command line cuts them out.

    A block that is never closed stays, and its letters are read; of a reply with only a closing tag, what follows the
    last one is kept.
    """
    text = reply
    for opening, closing in _REASONING_TAGS:
        text = _without_blocks(text, opening, closing)
        if closing in text and opening not in text:
            text = text.rsplit(closing, 1)[-1]
    return text.strip()


def _without_blocks(text: str, opening: str, closing: str) -> str:
    start = text.find(opening)
    while start >= 0 and (end := text.find(closing, start)) >= 0:
        text = text[:start] + text[end + len(closing) :]
        # upstream looks from the beginning again: what a cut has brought together may be an opening tag
        start = text.find(opening, max(0, start - len(opening) + 1))
    return text
