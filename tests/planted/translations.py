"""Chinese versions of questions: true ones, and kinds of wrong ones, with what each says in English.

The Chinese is made word for word of a made-up lexicon, so that a scripted reader can say in English exactly what stands
there, in other words where a true translator would use others. What is measured is the procedure, not a model.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.translating_step import Translated
from tests.knowing_model import in_chinese, in_english

SYNONYMS: Mapping[str, str] = {
    "locate": "find", "contain": "show", "image": "picture", "lie": "stand", "located": "placed", "Estimate": "State",
    "Which": "What", "kind": "type", "approximate": "rough", "main": "dominant", "visible": "seen", "stationary": "parked",
}  # fmt: skip
"""How one who translates back puts things otherwise; "rough" and "State" are not in the table of paraphrases."""


@dataclass(frozen=True)
class Version:
    """A Chinese version and what it says in English."""

    chinese: Translated
    english: Translated


Kind = Callable[[QuestionItem, Version, random.Random], "Version | None"]


def true_version(item: QuestionItem, rng: random.Random) -> Version:
    """Return a version that says the same; told back, one word in six is another one."""
    meanings: dict[str, str] = {}
    chinese = Translated(
        question=in_chinese(item.text, meanings),
        options=[in_chinese(option, meanings) for option in item.options],
        answer=in_chinese(item.answer, meanings) if not item.options and item.box is None else "",
    )
    told = {
        code: SYNONYMS[word] if word in SYNONYMS and rng.random() < 1 / 6 else word for code, word in meanings.items()
    }
    return Version(chinese, _told(chinese, told))


def _told(chinese: Translated, meanings: Mapping[str, str]) -> Translated:
    return Translated(
        question=in_english(chinese.question, meanings),
        options=[in_english(option, meanings) for option in chinese.options],
        answer=in_english(chinese.answer, meanings),
    )


def _question(change: Callable[[str], str], says: Callable[[str], str]) -> Kind:
    def kind(item: QuestionItem, version: Version, rng: random.Random) -> Version | None:
        del rng
        chinese, english = change(version.chinese.question), says(item.text)
        if english == item.text:
            return None
        return Version(
            version.chinese.model_copy(update={"question": chinese}),
            version.english.model_copy(update={"question": english}),
        )

    return kind


def _meant(old: str, new: str) -> Kind:
    """Return the kind that translates one word as if it were another one."""

    def kind(item: QuestionItem, version: Version, rng: random.Random) -> Version | None:
        del version
        changed = re.sub(old, new, item.text, count=1)
        return None if changed == item.text else true_version(replace(item, text=changed), rng)

    return kind


def _swapped(item: QuestionItem, version: Version, rng: random.Random) -> Version | None:
    del rng
    if len(item.options) < 2 or item.options[0] == item.options[1]:
        return None
    one, two, *rest = version.chinese.options
    said, other, *told = version.english.options
    return Version(
        version.chinese.model_copy(update={"options": [two, one, *rest]}),
        version.english.model_copy(update={"options": [other, said, *told]}),
    )


def _first_option(text: str, says: str) -> Kind:
    def kind(item: QuestionItem, version: Version, rng: random.Random) -> Version | None:
        del rng
        if not item.options or item.options[0][0].isdigit():
            return None
        return Version(
            version.chinese.model_copy(update={"options": [text, *version.chinese.options[1:]]}),
            version.english.model_copy(update={"options": [says, *version.english.options[1:]]}),
        )

    return kind


# that something is in the image, or in the box whose numbers follow, may be left out
FALSE_VERSIONS: Mapping[str, Kind] = {
    "nonsense": _question(lambda zh: re.sub(r"词[\u4e00-\u9fff]+", "猫狗", zh), lambda _: "Cat dog cat dog?"),
    "denied question": _question(lambda zh: f"不{zh}", lambda en: f"Not: {en}"),
    "Japanese": _question(lambda zh: f"{zh}はどこですか", lambda en: f"{en}"[:-1] + " where?"),
    "Traditional": _question(lambda zh: f"請問圖像{zh}", lambda en: f"Please: {en}"),
    "choices change places": _swapped,
    "a number changes": _question(lambda zh: re.sub(r"\d", "7", zh, count=1), lambda en: re.sub(r"\d", "7", en, count=1)),
    "another thing": _meant(r"cars?|houses?|ships?", "lighthouse"),
    "something added": _question(lambda zh: f"地震后{zh}", lambda en: f"After the earthquake, {en}"),
    "a choice means something else": _first_option("教堂", "church"),
    "English stays": _question(lambda zh: f"{zh} Look at the picture", lambda en: f"{en} Look at it after the flood."),
    "another question": _meant(r"How many|What|Which|Where", "Why"),
    "condition lost": _meant(r" (?:inside|within|in) (?!this|the (?:whole |entire )?image|(?:the )?(?:given )?bounding|it)[^?.]+(?=[?.])", ""),
    "another relation": _meant(r"within|inside|nearest|largest|above|lower|upper|left", "around"),
    "two choices are one": _first_option("词", "one and the same"),
    "half of it Traditional": _question(lambda zh: zh + "（見圖）", lambda en: f"{en} (see the map)"),
    "denial in other words": _question(lambda zh: f"哪里谈不上{zh}", lambda en: f"Far from it: {en}"),
}  # fmt: skip
HELD_OUT_VERSIONS = frozenset(
    {"condition lost", "another relation", "two choices are one", "half of it Traditional", "denial in other words"}
)
