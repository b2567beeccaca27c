"""Which content words one text has and another has not, paraphrases and words that say nothing left aside.

A white list again: a word of the new text that is in neither the old one, nor a paraphrase of a word of it, nor
harmless by class (articles, auxiliaries, "please", "in the image") is an addition, whatever it means. English only. The
tables are in `paraphrases.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from functools import cache
from importlib import resources
from typing import NamedTuple

ADDED = "says more than the question"
MISSING = "says less than the question"

_MAY_GO = frozenset({"inside", "enclos", "enclosing", "along", "follow", "run", "stretch"})
"""Words for which "in", "on" or "of" may come: what they stand before is compared on its own."""

_WORD = re.compile(r"[^\W\d_]+")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")


class WordDifference(NamedTuple):
    """Content words that only one of two texts has, as they are compared."""

    added: frozenset[str]
    missing: frozenset[str]

    @property
    def reason(self) -> str | None:
        """Why the new text cannot stand for the old one; None when it can."""
        return ADDED if self.added else MISSING if self.missing else None


@cache
def _table() -> Mapping[str, list[str]]:
    text = resources.files("rsvqa.annotation.reading").joinpath("paraphrases.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def _groups() -> Mapping[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for line in _table()["paraphrases"]:
        words = [_stem(word) for word in line.split()]
        for word in words:
            groups.setdefault(word, set()).add(words[0])
    return {word: frozenset(names) for word, names in groups.items()}


@cache
def _harmless() -> frozenset[str]:
    return frozenset(_stem(word) for line in _table()["harmless"] for word in line.split()) - _groups().keys()


def _stem(word: str) -> str:
    """Return a word without the ending of a plural, a past or a present participle, roughly."""
    for ending in ("ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) > 2 and not word.endswith("ss"):
            return word.removesuffix(ending) + ("y" if ending == "ies" else "")
    return word


def content_words(text: str) -> Counter[str]:
    """Return the content words of a text, stemmed, with how often each stands there."""
    words = (_stem(word) for word in _WORD.findall(_BRACKETED.sub(" ", text).casefold()))
    return Counter(word for word in words if word not in _harmless())


def content_order(text: str) -> tuple[str, ...]:
    """Return the content words of a text in their order, paraphrases alike."""
    words = (_stem(word) for word in _WORD.findall(_BRACKETED.sub(" ", text).casefold()))
    return tuple(min(_groups().get(word, {word})) for word in words if word not in _harmless())


def difference(old: str, new: str, also: Iterable[str] = ()) -> WordDifference:
    """Return which content words come and go from `old` to `new`; those of `also` may come."""
    before, after = content_words(old), content_words(new)
    known = before.keys() | {word for text in also for word in content_words(text)}
    often_before, often_after = _by_group(before), _by_group(after)
    repeated = frozenset(word for word in after.keys() & before.keys() if _rises(word, often_before, often_after))
    return WordDifference(_not_in(after.keys(), known) | repeated, _not_in(before.keys() - _MAY_GO, after.keys()))


def _by_group(words: Counter[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        counts[min(_groups().get(word, {word}))] += count
    return counts


def _rises(word: str, before: Counter[str], after: Counter[str]) -> bool:
    name = min(_groups().get(word, {word}))
    return after[name] > before[name]


def _not_in(words: Set[str], others: Set[str]) -> frozenset[str]:
    groups = _groups()
    names = {name for word in others for name in groups.get(word, ())}
    return frozenset(word for word in words - others if not groups.get(word, frozenset()) & names)
