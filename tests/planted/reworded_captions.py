"""True captions made of the sentences that rules write: each put another way, as a model would that rewords them.

A style is a table of rewritings, tried in order; a sentence that none of them fits stays as it is. The styles of
`HELD_OUT_REWRITINGS` were written before the reader of claims knew the sentences, and not looked at while it learnt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rsvqa.annotation.llm.crops import PART_NAMES
from rsvqa.annotation.llm.items import QuestionItem
from tests.planted.true_captions import upper

Rewriting = tuple[str, str]
"""A pattern of a whole sentence, and what stands for it."""

_PART = r"the (?:(?:top|middle|bottom) (?:left|centre|right)|centre) part|this part|the scene|this area|the area inside circle \d+"
_P = rf"(?P<p>(?i:{_PART}))"
_I = r"(?P<i>[^()]+? \((?:about|at least) \d+ %\))"
_REST = r"(?:, the rest being (?P<rest>.+))?"

OTHER_ORDER: Sequence[Rewriting] = (
    (rf"{_I} fills? almost all of {_P}{_REST}\.", r"Almost all of {p} is taken up by {i}{, the rest being rest}."),
    (
        rf"Almost all of {_P} is taken up by {_I}{_REST}\.",
        r"{P} consists almost entirely of {i}{, the rest being rest}.",
    ),
    (rf"{_P} consists mostly of {_I}{_REST}\.", r"{I} dominates {p}{, the rest being rest}."),
    (rf"Most of {_P} is taken up by {_I}{_REST}\.", r"{P} consists mostly of {i}{, the rest being rest}."),
    (rf"In {_P}, (?P<o>.+) lie side by side\.", r"{P} is divided between {o}."),
    (rf"(?P<o>.+) share {_P} between them\.", r"In {p}, {o} lie side by side."),
    (rf"{_P} contains (?P<o>.+)\.", r"In {p} one can see {o}."),
    (rf"(?P<o>.+) can be made out in {_P}\.", r"{P} contains {o}."),
    (r"The roads have a length of about (?P<o>.+) in all\.", r"About {o} of road runs through the scene."),
    (r"The (?P<o>.+) lies? mainly in the (?P<h>\w+) half\.", r"The {o} can mainly be found in the {h} half."),
    (
        r"Nearly all of the (?P<o>.+) can be found in the (?P<h>\w+) half\.",
        r"Almost all of the {o} is in the {h} half.",
    ),
    (r"(?P<o>.+) are (?P<g>(?:on|in) the .+)\.", r"{G} there are {o}."),
)
MERGED: Sequence[Rewriting] = (
    (
        rf"{_I} fills? almost all of {_P}, the rest being (?P<rest>.+)\.",
        r"{P} consists almost entirely of {i}; the rest is {rest}.",
    ),
    (
        rf"Most of {_P} is taken up by {_I}, the rest being (?P<rest>.+)\.",
        r"Most of {p} is taken up by {i}, and the rest is {rest}.",
    ),
    (rf"{_P} is divided between (?P<o>.+)\.", r"{P} shows {o}, lying side by side."),
    (
        r"The houses line the roads: each stands within (?P<o>\d+) m of one\.",
        r"The houses line the roads, each within {o} m of one.",
    ),
    (
        r"The scene measures about (?P<o>.+) by (?P<h>.+) \((?P<g>.+)\)\.",
        r"The scene is about {o} wide and {h} high, and covers about {g}.",
    ),
    (
        r"About (?P<o>.+) of road runs through the scene\.",
        r"Roads run through the scene, and their total length is about {o}.",
    ),
    (r"Along the edge of the (?P<o>.+) lies? (?P<h>the .+)\.", r"The {o} borders on {h}."),
    (r"A road crosses (?P<p>.+)\.", r"{P} is crossed by a road."),
    (r"This area is about (?P<o>.+) across \((?P<h>.+)\)\.", r"The circle is about {o} across and covers about {h}."),
)
SYNONYMS: Sequence[Rewriting] = (
    (
        rf"{_P} consists almost entirely of {_I}{_REST}\.",
        r"{P} is almost entirely covered by {i}{, with the rest being rest}.",
    ),
    (rf"{_P} consists mostly of {_I}{_REST}\.", r"{P} is mostly {i}{, with the rest being rest}."),
    (rf"{_I} dominates? {_P}{_REST}\.", r"{P} is dominated by {i}{, with the rest being rest}."),
    (rf"In {_P}, (?P<o>.+) lie side by side\.", r"{P} is split between {o}."),
    (rf"There (?:is|are) (?P<o>.+) in {_P}\.", r"{O} can be found in {p}."),
    (r"The (?P<o>.+) lies? mainly in the (?P<h>\w+) half\.", r"Most of the {o} lies in the {h} half."),
    (r"The roads have a length of about (?P<o>.+) in all\.", r"The total length of the roads is about {o}."),
    (r"Each of the (?P<o>\w+) has a road within (?P<h>\d+) m\.", r"All of the {o} stand within {h} m of a road."),
    (r"On the (?P<g>.+) there are (?P<o>.+)\.", r"There are {o} on the {g}."),
    (
        r"About (?P<g>.+) of ground is shown, (?P<o>.+) from left to right and (?P<h>.+) from top to bottom\.",
        r"The image shows about {g} of ground, {o} wide and {h} high.",
    ),
)
PASSIVE: Sequence[Rewriting] = (
    (rf"{_I} fills? almost all of {_P}{_REST}\.", r"{P} is occupied almost wholly by {i}{, the remainder being rest}."),
    (
        rf"Most of {_P} is taken up by {_I}{_REST}\.",
        r"More than half of {p} is occupied by {i}{, the remainder being rest}.",
    ),
    (rf"(?P<o>.+) share {_P} between them\.", r"{P} is shared by {o}."),
    (rf"{_P} is divided between (?P<o>.+)\.", r"{O} make up nearly all of {p}."),
    (rf"{_P} contains (?P<o>.+)\.", r"{O} are located in {p}."),
    (r"The (?P<o>.+) (?:is|are) surrounded by (?P<h>.+)\.", r"{H} encloses the {o}."),
    (
        r"The (?P<o>\w+) line the roads: each stands within (?P<h>\d+) m of one\.",
        r"No house is farther than {h} m from a road.",
    ),
    (r"About (?P<o>.+) of road runs through the scene\.", r"The scene is crossed by about {o} of road."),
    (r"The ground is a mixture, mainly of (?P<o>.+)\.", r"The ground is mainly made up of {o}."),
)
REWRITINGS: Mapping[str, Sequence[Rewriting]] = {
    "rule, other order": OTHER_ORDER,
    "rule, merged": MERGED,
    "rule, synonyms": SYNONYMS,
    "rule, passive": PASSIVE,
}  # fmt: skip
HELD_OUT_REWRITINGS = frozenset({"rule, synonyms", "rule, passive"})

_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z\d])")


def reworded(text: str, table: Sequence[Rewriting]) -> str:
    """Return a paragraph with each sentence put another way where the table has one."""
    return " ".join(_one(sentence, table) for sentence in _SENTENCES.split(text))


def _one(sentence: str, table: Sequence[Rewriting]) -> str:
    for pattern, new in table:
        if found := re.fullmatch(pattern, sentence):
            return _filled(new, found.groupdict(default=""))
    return sentence


def _filled(new: str, groups: Mapping[str, str]) -> str:
    """Return a text with its slots filled: a capital slot begins a sentence, one with "rest" may be empty."""

    def value(slot: re.Match[str]) -> str:
        name = slot[1]
        if name.endswith("rest"):
            rest = groups.get("rest", "")
            return name.removesuffix("rest") + rest if rest else ""
        text = groups[name.lower()]
        return upper(text) if name.isupper() else text if _is_name(text) else text[0].lower() + text[1:]

    return re.sub(r"\{([^}]+)\}", value, new)


def _is_name(text: str) -> bool:
    return text[0].isdigit()


def reworded_region(item: QuestionItem, table: Sequence[Rewriting]) -> str:
    """Return the caption of a circle, reworded."""
    return reworded(item.answer, table)


def reworded_caption(item: QuestionItem, table: Sequence[Rewriting], rng: random.Random) -> dict[str, Any]:
    """Return a detailed caption, reworded: overall, parts, inference."""
    del rng
    overall, told, inference = item.answer.split("\n")
    texts: dict[str, list[str]] = {name: [] for name in PART_NAMES}
    last = ""
    for sentence in _SENTENCES.split(told):
        named = re.search(r"\b[Tt]he ((?:(?:top|middle|bottom) (?:left|centre|right)|centre)) part\b", sentence)
        last = named[1] if named else last
        texts[last].append(sentence)
    parts = [
        reworded(" ".join(texts[name]), table) if texts[name] else f"The {name} part is part of the scene."
        for name in PART_NAMES
    ]
    return {"overall": reworded(overall, table), "parts": parts, "inference": inference}
