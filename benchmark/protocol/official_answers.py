"""Letters read from a reply exactly as published harnesses read them, faults included, so that scores can be compared.

XLRS-Bench's rules stand in `lmms_eval/tasks/xlrs/mcq_utils.py` (`extract_characters_regex`) of lmms-eval 0.7.3; before
them its command line cuts out reasoning (`lmms_eval/api/reasoning.py`, with the default of `--reasoning_tags`). What
surprises is what they make of a reply that is more than a letter:

- Their second pattern has optional boundaries on both sides, so it finds the letters a to e ANYWHERE: "B. Red" is read
  as B, D and E, "Answer: B" as A, B and E. Only letters in parentheses are read alone: "(B) Red" is B.
- Two pairs of prefixes are glued together by missing commas; "Best answer:" alone is therefore not taken off.
- Without a capital A to E somewhere, nothing is read: "b" has no answer.
- Letters beyond the question's options are read too, up to E.

The letters are compared as a set; upstream gives them in no fixed order, here they are sorted. OmniEarth-Bench has the
same rules with other prefixes and letters. MME-RealWorld's first capital counts: "A yellow car, so B" is A.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rsvqa.annotation.lettering import LETTERS

_REASONING_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
_COMMON = ("The best answer is", "The correct answer is", "The answer is", "The answer")
_GLUED = (*_COMMON, "The best option isThe correct option is", "Best answer:Best option:")
_APART = (*_COMMON, "The best option is", "The correct option is", "Best answer:", "Best option:")
_MME_WORDS = 10
"""Words of a reply above which, without a capital, no option is looked for."""


def official_letters(reply: str) -> str:
    """Return the sorted capital letters that lmms-eval reads in `reply` for XLRS-Bench; empty where it reads none."""
    return _letters_anywhere(strip_reasoning(reply), _GLUED, "E")


def mme_letter(reply: str) -> str:
    """Return the letter that lmms-eval reads for MME-RealWorld (`tasks/mme_realworld/utils.py`); empty for none.

    Without a capital it is the first of "(A)" to "(E)" that holds the whole reply, so "b" is B, and an empty reply A.
    """
    text = _without_prefixes(strip_reasoning(reply), _APART)
    if capital := re.search("[ABCDE]", text):
        return capital[0]
    if len(text.split()) > _MME_WORDS:
        return ""
    return next((letter for letter in "ABCDE" if text.lower() in f"({letter.lower()})"), "")


def omniearth_letters(reply: str) -> str:
    """Return what OmniEarth-Bench's own `evaluation/task_config/mcq_utils.py` (9e7c047) reads: A to E only."""
    return _letters_anywhere(reply, _APART, "E")


def omniearth_vlmevalkit_letters(reply: str) -> str:
    """Return what VLMEvalKit's `OmniEarthMCQBench` (`vlmeval/dataset/image_mcq.py`) reads: A to G."""
    return _letters_anywhere(reply, _GLUED, "G")


EXTRACTORS: Mapping[str, Callable[[str], str]] = {
    "xlrs": official_letters,
    "mme": mme_letter,
    "omniearth": omniearth_letters,
    "omniearth-vlmevalkit": omniearth_vlmevalkit_letters,
}
"""Published extractions by their names in task files."""


def _letters_anywhere(reply: str, prefixes: tuple[str, ...], last: str) -> str:
    text = _without_prefixes(reply, prefixes)
    letters = LETTERS[: LETTERS.index(last) + 1]
    if set(letters).isdisjoint(text):
        return ""
    found = re.findall(rf"\(([{letters}{letters.lower()}])\)", text) or set(letters + letters.lower()).intersection(
        text
    )
    return "".join(sorted({letter.upper() for letter in found}))


def _without_prefixes(reply: str, prefixes: tuple[str, ...]) -> str:
    text = reply.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    return text


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
