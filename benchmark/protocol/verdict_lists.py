"""Replies that go through the options one by one: "A: no, B: yes", "A ✗ B ✓", "- [ ] A"; and what is struck out.

To call one option wrong does not name another.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rsvqa.benchmark.protocol.letter_lists import Reading

_TICK, _CROSS = r"[✓✔✅☑🗸]|\[[xX]\]", r"[✗✘❌☐✕✖×]|\[\s?\]"
_YES = r"(?:yes|true|correct|right|present|visible)"
_NO = (
    r"(?:(?:no|false|incorrect|wrong|absent|impossible|unlikely|doubtful|out|ruled out|excluded|eliminated)"
    r"|not\s(?:present|visible|correct|right|true|there|seen|possible|likely))"
)
_ITEM = re.compile(
    rf"(?:({_TICK})|({_CROSS}))?\s{{0,3}}(?:(?:option|choice)\s)?[(\[]?([A-H])[)\]]?(?![A-Za-z0-9'])(.{{0,200}}?)"
    rf"(?:({_TICK}|(?<![A-Za-z]){_YES})|({_CROSS}|(?<![A-Za-z]){_NO}))?[).|\s]*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*[-•+]\s+(?=\[)", re.MULTILINE)
_HEADING = re.compile(
    r"^(?=[^\n]*\|)(?:[\s|?]|\b(?:options?|choices?|letters?|labels?|texts?|colou?rs?|class(?:es)?|is|it|correct"
    r"|right|answer|true"
    r"|verdict|present|visible|match(?:es)?|result|selected|judge?ment|assessment|evaluation|status)\b){2,12}\n",
    re.IGNORECASE,
)
"""The first row of a table whose other columns say what is right; under any other words a tick may mean "excluded"."""
_SEPARATOR = re.compile(r"[;\n]|,\s|(?<=[a-z])\.\s(?=[(\[]?[A-H])")
_COPULA = re.compile(r"[\s.:=|(–—-]{1,8}(?:(?:is|are)\s)?$|\s(?:is|are)\s$")
_CALLED_WRONG = re.compile(
    rf"[\s?:.,)=(–—-]{{0,4}}(?:(?:however|though|clearly|obviously|of course|in fact|surely),?\s)?(?:(?:is|are"
    rf"|was)\s)?(?:{_NO}|{_CROSS})(?=\s{{0,3}}(?:[.,;:!)\n]|$))",
    re.IGNORECASE,
)
_STRUCK = re.compile(
    r"~~[^~]{1,2000}~~|<(s|del|strike)>[^<>]{1,2000}</\1>|\\(?:x?cancel|bcancel|sout|st)\s?\{[^{}]{0,200}\}",
    re.IGNORECASE,
)


def without_struck(text: str) -> str:
    """Return a text without what is struck out; "<s>B</s>" alone is a reply between two tokens."""
    rest = _STRUCK.sub(" ", text)
    return rest if rest.strip(" .\n") or not text.strip().startswith("<s>") else text


def holds_crosses(text: str) -> bool:
    """Return whether a text holds a cross, or several ticks: it says more than which one option is right."""
    return re.search(rf"(?!×)(?:{_CROSS})", text) is not None or len(re.findall(_TICK, text)) > 1


def called_wrong(rest: str) -> bool:
    """Return whether a text begins with nothing but the verdict that what stands before it is wrong."""
    return _CALLED_WRONG.match(rest) is not None


def called_right(text: str, equal_to: Callable[[str], str | None]) -> Reading | None:
    """Return the letters that a list of verdicts calls right; None for a text that is no such list.

    Args:
        text: plain.
        equal_to: returns the letter of the option whose text it is given.
    """
    text = _HEADING.sub("", _BULLET.sub("", text.strip()), count=1)
    if re.match(rf"{_TICK}|{_CROSS}", text):
        text = re.sub(rf"(?={_TICK}|{_CROSS})", "\n", text)
    else:
        text = re.sub(rf"({_TICK}|{_CROSS})", r"\1\n", text)
    found: dict[str, bool] = {}
    for part in filter(str.strip, _SEPARATOR.split(text)):
        match = _ITEM.fullmatch(part.strip())
        if match is None:
            return None
        tick, cross, letter, between, yes, no = match.groups()
        option = _COPULA.sub("", between).strip(" .:=|(–—-")
        is_right, is_wrong = bool(tick or yes), bool(cross or no)
        if is_right == is_wrong or (option and equal_to(option) != letter.upper()):
            return None
        if found.setdefault(letter.upper(), is_right) != is_right:
            return None
    return frozenset(letter for letter, is_right in found.items() if is_right) if found else None
