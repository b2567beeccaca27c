"""What can be told of a Chinese text without a model: its script, and whether it denies."""

from __future__ import annotations

import re

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_OTHER_LETTER = re.compile(r"[^\W\d_a-zA-Z\u3400-\u9fff²³°×µ]")
_NEUTRAL = re.compile(
    r"不同|不少|不断|不仅|不透水|不动产|是否|能否|有没有|是不是|可否|非常|无人机|未来|未知|否定|没入|除以"
)
"""Words with a sign of denial that deny nothing."""

_DENIAL = re.compile(r"不|没|无|非|未|否|莫|勿|别(?!墅)|除了|除外|除开|以外|之外|缺(?!口)|毫|几乎没|而不是|absent|not")

SIMPLIFIED = "gb2312"
"""The character set of Simplified Chinese: what it cannot hold is Traditional, Japanese or rare."""


def script_fault(text: str) -> str | None:
    """Return why a text is not written in Simplified Chinese characters; None when it is, or has no letters at all."""
    if _OTHER_LETTER.search(text):
        return "letters of another script"  # kana, hangul, Cyrillic, full-width Latin
    for character in _CHINESE.findall(text):
        try:
            character.encode(SIMPLIFIED)
        except UnicodeEncodeError:
            return "not Simplified Chinese"
    return None


def denies(text: str) -> bool:
    """Return whether a Chinese text has a word that denies or leaves out."""
    return _DENIAL.search(_NEUTRAL.sub("", text)) is not None
