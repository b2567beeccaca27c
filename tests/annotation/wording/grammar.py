"""Every question template filled in with nouns of all sorts, and rules that a reader of English would not forgive.

`python -m tests.annotation.wording.grammar` prints them all, to be read aloud.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from string import Formatter
from typing import NamedTuple

from rsvqa.annotation.tasks.landmarks import some, the
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.wording.test_wordings import question_lists

PHRASES = load_phrases()


class Noun(NamedTuple):
    """A class as the table names it; the same word twice where there is no singular, or no plural."""

    singular: str
    plural: str


COUNTED = (Noun("car", "cars"), Noun("office building", "office buildings"), Noun("aircraft", "aircraft"))
GROUND = (Noun("orchard", "orchards"), Noun("water", "water"), Noun("trees", "trees"), Noun("car park", "car parks"))
ANOMALIES = (
    Noun("burnt area", "burnt areas"),
    Noun("patch of dead trees", "patches of dead trees"),
    Noun("oil spill", "oil spills"),
)


def landmarks() -> list[tuple[str, str]]:
    """Return things to be near to, in words: "a road in the image" and, after a negation, "any road in the image"."""
    road = (some(PHRASES, "road"), PHRASES.text("landmark.any", noun="road"))
    several = [(some(PHRASES, *noun), PHRASES.text("landmark.any", noun=noun.singular)) for noun in GROUND]
    return [road, *several, (the(PHRASES, "lake"), the(PHRASES, "lake"))]


def _clauses(table: str, *, is_met: bool) -> list[str]:
    near, any_near = landmarks()[1 if is_met else 2]
    values = {"colour": "red", "half": "left", "metres": "50", "landmark": near, "any_landmark": any_near}
    values |= {"side": "western", "divider": PHRASES.text("landmark.across", noun="water")}
    return [PHRASES.text(f"{table}.{key}", **values) for key in PHRASES.table("conditional_counting")["condition"]]


def conditioned() -> list[str]:
    """Return descriptions of one object by a condition, with an article."""
    texts = []
    for key, entry in PHRASES.table("condition_based_grounding").items():
        if isinstance(entry, str):
            for near, any_near in landmarks():
                slots = {"noun": "house", "landmark": near, "any_landmark": any_near, "metres": "50"}
                texts.append(PHRASES.text(f"condition_based_grounding.{key}", **slots))
    return texts


def _values(task: str, key: str, *, many: bool) -> dict[str, Sequence[str]]:
    """Return what may stand in each slot of a task's questions."""
    near = landmarks()
    nouns = [noun.plural if many else noun.singular for noun in ANOMALIES]
    verbs = {name: [pair[many]] for name, pair in PHRASES.table("anomaly_detection")["verb"].items()}
    texts = ["the red car", "the largest office building", "the westernmost aircraft", "the bus"]
    if task == "condition_based_grounding":
        texts += conditioned()
    table = "conditional_counting.condition"
    return {
        **verbs,
        "plural": [noun.plural for noun in (ANOMALIES if key.endswith(".number") else COUNTED)],
        "others": ["ships", "storage tanks"],
        "singular": [noun.singular for noun in COUNTED],
        "name": [noun.singular for noun in COUNTED],
        "noun": nouns,
        "landmark": [words for words, _ in near],
        "any_landmark": [words for _, words in near],
        "first": _clauses(table, is_met=True),
        "second": list(reversed(_clauses(f"{table}_not" if key.endswith("but_not") else table, is_met=False))),
        "colour": ["red", "orange"],
        "half": ["left", "upper"],
        "other": ["right", "lower"],
        "side": ["left", "upper"],
        "divider": [PHRASES.text("landmark.across", noun=noun) for noun in ("water", "railway")],
        "metres": ["20", "300"],
        "percent": ["2"],
        "region": ["3"],
        "closed": ["the point [300, 400]"],
        "via": ["the blue bus", "the northernmost ship"],
        "north": ["North is at the top of the image."],
        "where": [PHRASES.text("object_box.where", width=900, height=800, box=[3, 4, 50, 60])],
        "description": texts,
        "start": texts[: len(texts) // 2],
        "end": texts[len(texts) // 2 :],
        "goal": texts[len(texts) // 2 :],
    }


def rendered() -> Iterator[tuple[str, str]]:
    """Yield (key, question) for every template of every task, once for each noun that may stand in it."""
    for task in TASKS:
        for key, texts in question_lists(task, PHRASES.language).items():
            for text in texts:
                slots = {slot for _, slot, _, _ in Formatter().parse(text) if slot}
                for many in (False, True) if "noun" in slots and slots & {"be", "do"} else (False,):
                    values = _values(task, key, many=many)
                    for number in range(max((len(values[slot]) for slot in slots), default=1)):
                        filled = {slot: values[slot][number % len(values[slot])] for slot in slots}
                        yield key, text.format(**filled)


IMPERATIVES = (
    "Answer", "Choose", "Describe", "Draw", "Estimate", "Find", "Give", "Identify", "Look", "Mark", "Name", "Please",
    "Point", "Report", "Return", "Select", "Work", "Write", "Determine",
)  # fmt: skip
_ALLOWED_TWICE = {"that", "had"}
_SILENT_OR_SPELT = re.compile(r"\ba (?=[aeio]|u(?!n[ir]|s|t|b))|\ban (?=[^aeiouh8])", re.IGNORECASE)
_BEFORE_ANY = re.compile(r"\b\d+ m (?:of|from|away from) any\b|\binside any\b|\bnearest to any\b")
_NEGATED = re.compile(
    r"(?:do not lie|never comes|ithout coming) (?:within \d+ m of|inside) any\b"
    r"|not inside any\b|more than \d+ m (?:away )?from any\b"
)
_LONG_NUMBER = re.compile(r"(?<![\d,])\b(?:\d{5,}|\d{1,3}(?:,\d{3}){2,}) (?:m|m²|px)(?!\w)")


def faults(text: str, nouns: Iterable[Noun] = (*COUNTED, *GROUND, *ANOMALIES)) -> list[str]:
    """Return what is wrong with the English of a question, as far as a rule can tell."""
    nouns = [noun for noun in nouns if noun.singular != noun.plural]
    singular, plural = ("|".join(re.escape(name) for name in names) for names in zip(*nouns, strict=True))
    words = [word.casefold() for word in re.findall(r"[\w'-]+|[.?!:,]", text)]
    found = [f"{word} {word}" for word, after in itertools.pairwise(words) if word == after != "."]
    rules = {
        "two spaces, or a space before a stop": r" {2}| [,.?!:](?!\d)",
        "a slot that is not filled": r"[{}]",
        "an article before the plural": rf"\b(?:an?|one) (?:\w+ )?(?:{plural})\b",
        "one where many are meant": rf"\b(?:many|more|fewer|all|both|these) (?:{singular})\b(?! \w+ are)",
        "a verb in the singular": rf"\b(?:is|does|was) the (?:{plural})\b",
        "a verb in the plural": rf"\b(?:are|do|were) the (?:{singular})\b",
        "a singular without an article": rf"\b(?:of|from|inside|to|show|shows) (?:{singular})\b",
    }
    found += [name for name, rule in rules.items() if re.search(rule, text)]
    if _SILENT_OR_SPELT.search(text):
        found.append("a or an")
    if _BEFORE_ANY.search(_NEGATED.sub("", text)):
        found.append("any of several")
    if _LONG_NUMBER.search(text):
        found.append("a measure that wants a larger unit")
    if not text[0].isupper():
        found.append("no capital at the beginning")
    sentences = re.split(r"(?<=[.?!:]) (?=[A-Z])", text)
    if not any(sentence.endswith("?") or sentence.startswith(IMPERATIVES) for sentence in sentences):
        found.append("it asks nothing")
    return [fault for fault in found if fault.split(" ")[0] not in _ALLOWED_TWICE or " " not in fault]


if __name__ == "__main__":
    for key, question in rendered():
        print(f"{key:45} {question}")
