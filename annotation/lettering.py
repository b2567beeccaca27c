"""Letters of options: "(A) red", and answers that name them, "A" or "ACD".

The one place that puts letters before texts and takes them off again, moves an answer along with its options, and reads
an answer that somebody else wrote. What surprises: a key is stored without separators, and prompts ask for letters
separated by spaces, so a reply to "ACD" is "A C D".
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence

from rsvqa.annotation.errors import RsvqaError

LETTERS = string.ascii_uppercase

LETTERS_LOST = "options without their letters"
UNKNOWN_LETTER = "answer names no option"

OPTION_MARK = re.compile(r"\(([A-Z])\)\s*")
"""What an option begins with; other makers' files may have no space behind it, or several."""

_ANY_MARK = r"(?:([(（\[【])\s?([A-ZＡ-Ｚ])\s?[)）\]】]|()([A-ZＡ-Ｚ])[.)．）、:：])\s*"
_OTHER_MARK = re.compile(rf"\s*{_ANY_MARK}")
"""What other makers' options begin with: "A. red", "A) red", "（A）red", "[A] red"."""
_SEPARATED_MARK = re.compile(rf"(?:^|(?<=[\s,;，；、。])){_ANY_MARK}")

_SEPARATORS = re.compile(r"[\s,;.()、，；（）\[\]【】<>\"'“”‘’/|+&\u200b\ufeff]+")


class LetteringError(RsvqaError):
    """Options do not begin with (A), (B), … in order."""


def lettered(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts with letters in their order: "(A) …"."""
    return tuple(f"({letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False))


def option_texts(options: Sequence[str]) -> tuple[str, ...]:
    """Return the options' texts without their letters, and without white space around them.

    Raises:
        LetteringError: options that are not lettered (A), (B), … in order.
    """
    if len(options) > len(LETTERS):
        raise LetteringError(f"{len(options)} options are more than there are letters")
    texts = []
    for letter, option in zip(LETTERS, options, strict=False):
        match = OPTION_MARK.match(option)
        if match is None or match[1] != letter:
            raise LetteringError(f"the option {option!r} does not begin with ({letter})")
        texts.append(option[match.end() :].strip())
    return tuple(texts)


def read_options(options: Sequence[str]) -> tuple[str, ...]:
    """Return other makers' options as they are if they begin with (A), (B), …, else lettered so: "A. red", "（A）red".

    Raises:
        LetteringError: options that are not lettered in order, or not all in one way.
    """
    try:
        option_texts(options)
    except LetteringError:
        texts = [_text_behind(option, letter) for option, letter in zip(options, LETTERS, strict=False)]
        if len(texts) < len(options) or None in texts or len({_way_of(option) for option in options}) > 1:
            raise
        return lettered(text for text in texts if text is not None)
    return tuple(options)


def cut_options(text: str) -> list[str]:
    """Return the options that a text holds, one a line, each behind its letter; a line without a letter goes on.

    Several may share a line where all letters stand apart, once each and in order: "A. red B. blue". Lines before the
    first option that end in a colon announce them. With any other line there, or where lines and letters disagree on
    how many options there are, the text is one option.
    """
    options: list[str] = []
    for line in text.splitlines():
        if _text_behind(line, LETTERS[len(options) : len(options) + 1]) is not None:
            options.append(line.strip())
        elif options:
            options[-1] += f"\n{line}"
        elif line.strip() and not line.rstrip().endswith((":", "：")):
            return [text]
    apart = _cut_at_letters("\n".join(options))
    if len(apart) <= len(options):
        return options
    return apart if len(options) == 1 else [text]


def _cut_at_letters(text: str) -> list[str]:
    """Return the options of a text in which each letter that could begin one does; nothing where one does not."""
    marks = list(_SEPARATED_MARK.finditer(text))
    letters = "".join(unicodedata.normalize("NFKC", mark[2] or mark[4]) for mark in marks)
    if not marks or letters != LETTERS[: len(letters)]:
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    options = [text[mark.start() : end].rstrip().rstrip(",;，；、") for mark, end in zip(marks, ends, strict=True)]
    try:
        is_whole = all(option_texts(read_options(options)))
    except LetteringError:
        return []
    return options if is_whole else []


def has_letter(option: str) -> bool:
    """Tell whether a text begins with a letter in any way of lettering."""
    return _OTHER_MARK.match(option) is not None


def _text_behind(option: str, letter: str) -> str | None:
    """Return what follows a letter in any way of lettering; None where the option does not begin with it."""
    mark = _OTHER_MARK.match(option)
    found = None if mark is None else unicodedata.normalize("NFKC", mark[2] or mark[4])
    return option[mark.end() :].strip() if mark is not None and found == letter else None


def _way_of(option: str) -> str:
    """Return how an option is lettered, without its letter."""
    mark = _OTHER_MARK.match(option)
    return "" if mark is None else re.sub(r"[A-ZＡ-Ｚ\s]", "", mark[0])


def right_letters(are_right: Iterable[bool]) -> str:
    """Return the answer that names the options which are right."""
    return "".join(letter for letter, is_right in zip(LETTERS, are_right, strict=False) if is_right)


def moved_letters(answer: str, order: Sequence[int]) -> str:
    """Return the answer that names the same options when the one at place `order[n]` stands at place n."""
    return right_letters(LETTERS[old] in answer for old in order)


def spaced(answer: str) -> str:
    """Return an answer as prompts ask for it: "A C D"."""
    return " ".join(answer)


def read_letters(text: str, num_options: int) -> str | None:
    """Return the letters in "A C D", "A, C" or "ACD" as an answer; None when one is of no option, or stands twice.

    Small letters count where they stand alone ("b", "a c"): "bad" is a word.
    """
    parts = [part for part in _SEPARATORS.split(text) if part]
    letters = "".join(parts)
    if letters.islower() and all(len(part) == 1 for part in parts):
        letters = letters.upper()
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(LETTERS[:num_options]):
        return None
    return "".join(sorted(letters))


def letters_fault(options: Sequence[str], answer: str) -> str | None:
    """Return what is wrong with the letters of stored options and their key; None when nothing is, or without options.

    Stored options are "(A) …" with one space, stored keys have no separators and stand in the order of the alphabet.
    """
    try:
        is_lettered = lettered(option_texts(options)) == tuple(options)
    except LetteringError:
        is_lettered = False
    if not is_lettered:
        return LETTERS_LOST
    return UNKNOWN_LETTER if options and read_letters(answer, len(options)) != answer else None
