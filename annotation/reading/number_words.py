"""Numbers written in English words, from "no" to "ninety-nine"."""

from __future__ import annotations

import re

_UNITS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {"zero": 0}
_VALUES |= {word: 10 * number for number, word in enumerate(_TENS, start=2)}

NUMBER_WORD = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_UNITS[1:10])}))?|{'|'.join((*_UNITS[::-1], 'zero'))})"
"""Pattern of one number in words; case is not looked at."""

_WHOLE = re.compile(rf"(?<!\w){NUMBER_WORD}(?!\w)|(?<!\w)(?:dozen|hundred|thousand)s?(?!\w)", re.IGNORECASE)


def value_of(words: str) -> int:
    """Return the value of what `NUMBER_WORD` has matched."""
    return sum(_VALUES[word] for word in re.split("[- ]", words.lower()))


def number_words_in(text: str) -> frozenset[str]:
    """Return the numbers in words of a text, without "no" and "one", which mostly count nothing."""
    return frozenset(found.lower() for found in _WHOLE.findall(text)) - {"no", "one"}
