"""The step `translate`: a Chinese version of each question, to be reviewed until it is verified.

Mechanically: script, numbers, boxes, denial and letters survive, or there is no version. What it means is told by a
model that translates it back without the original; the two English texts are compared word by word. Only a version that
says the same there, and whose blind answer is the key, is accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from rsvqa.annotation.checks import normalise
from rsvqa.annotation.llm.claims import MIN_KEPT, caption_claims, kept_share
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import ACCEPTED, QuestionOutcome
from rsvqa.annotation.llm.passes import Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.wording_step import fault_of, why_not_reworded
from rsvqa.annotation.reading.chinese import denies, script_fault
from rsvqa.annotation.reading.same_words import difference
from rsvqa.annotation.reading.survival import brackets_in, contains_phrase, has_same_sense, numbers_in, senses_in
from rsvqa.annotation.taxonomy import AnswerForm

LANGUAGE = "zh"

TRANSLATED = "translated by a model"
"""Why a version is to be reviewed until it is translated back, and its blind answer is the key."""

QUESTION_DIFFERS = "translated back, the question is another one"
CHOICES_DIFFER = "translated back, the choices are others"
ANSWER_DIFFERS = "translated back, the answer is another one"

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_LATIN_WORD = re.compile(r"[A-Za-z]{3,}")


class Translated(BaseModel):
    """A translated question; `answer` is empty unless the answer is a text."""

    model_config = ConfigDict(extra="forbid")

    question: str
    options: list[str]
    answer: str


@dataclass(frozen=True, slots=True)
class TranslatePass:
    """Adds a Chinese version to each English question that is not rejected.

    Attributes:
        model: to ask.
        existing: ids of questions that are there already.
        name: of the step.
    """

    model: str
    existing: Collection[str] = ()
    name: str = "translate"

    @property
    def _asker(self) -> Asker:
        return Asker(step=self.name, model=self.model, prompt_name="translate_zh", schema=Translated, max_tokens=2_000)

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return the one request of an English question without a Chinese version."""
        if item.language != "en" or version_id(item) in self.existing:
            return ()
        answer = item.answer if item.form is AnswerForm.TEXT else ""
        return (self._asker.request(item, {"question": item.text, "options": item.lettered, "answer": answer}),)

    def stand_in(self, item: QuestionItem) -> QuestionItem:
        """Return a version as long as its original, for an estimate of what comes after."""
        named = replace(item, question_id=version_id(item), translation_of=item.question_id, original=item)
        return replace(named, language=LANGUAGE).for_review(TRANSLATED)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item and its version, or the item alone with the reason why there is no version."""
        if not replies:
            return (item,)
        (reply,) = replies
        found = parsed_as(reply, Translated)
        version = found if isinstance(found, str) else _version(item, found)
        reason = version if isinstance(version, str) else fault_of(version)
        if reason is not None or isinstance(version, str):
            return (item.noted(self._asker.note(reply, reason or ACCEPTED)),)
        return item, version.noted(self._asker.note(reply, ACCEPTED)).for_review(TRANSLATED)


@dataclass(frozen=True, slots=True)
class BackTranslatePass:
    """Has a model translate each new Chinese version back, and compares what it says with the original.

    Attributes:
        model: to ask.
        name: of the pass.
    """

    model: str
    name: str = "translate_back"

    @property
    def _asker(self) -> Asker:
        return Asker(
            step=self.name, model=self.model, prompt_name="back_translate", schema=Translated, max_tokens=2_000
        )

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return the one request of a version that nobody has read yet."""
        if TRANSLATED not in item.outcome.reasons or item.original is None:
            return ()
        answer = item.answer if item.form is AnswerForm.TEXT else ""
        return (self._asker.request(item, {"question": item.text, "options": item.lettered, "answer": answer}),)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item, for review where what it says is not what the original says."""
        if not replies:
            return (item,)
        (reply,) = replies
        found = parsed_as(reply, Translated)
        reason = found if isinstance(found, str) else _differs(item, found)
        noted = item.noted(self._asker.note(reply, reason or ACCEPTED))
        return (noted.for_review(reason) if reason else noted.settled(TRANSLATED).checked("translated back the same"),)


def _differs(item: QuestionItem, back: Translated) -> str | None:
    """Return why a version, told in English again, is not its original; None when it says the same."""
    original = item.original
    assert original is not None
    if len(back.options) != len(original.options) or not all(map(_is_same_choice, original.options, back.options)):
        return CHOICES_DIFFER
    if back.question != original.text and why_not_reworded(original, back.question) is not None:
        return QUESTION_DIFFERS
    return _answer_differs(original, back.answer.strip()) if original.form is AnswerForm.TEXT else None


def _is_same_choice(old: str, new: str) -> bool:
    if normalise(old) == normalise(new):
        return True
    is_same = numbers_in(old) == numbers_in(new) and has_same_sense(old, new)
    return is_same and difference(old, new).reason is None


def _answer_differs(original: QuestionItem, back: str) -> str | None:
    """Return why a caption that was translated back is not accepted: the facts must bear it out like a draft."""
    if back.count("\n") != original.answer.count("\n"):
        return ANSWER_DIFFERS
    told = original.worded(answer=back)
    claims = caption_claims(told)
    is_borne_out = not claims.contradicted and not claims.unsupported and kept_share(told) >= MIN_KEPT
    return None if back == original.answer or is_borne_out else ANSWER_DIFFERS


def version_id(item: QuestionItem) -> str:
    """Return the id of an item's Chinese version."""
    return f"{item.question_id}-{LANGUAGE}"


def _version(item: QuestionItem, found: Translated) -> QuestionItem | str:
    """Return the version, in the state of its original; or what did not survive."""
    if reason := untranslated(item, found):
        return reason
    before = item.outcome
    return replace(
        item,
        question_id=version_id(item),
        translation_of=item.question_id,
        original=item,
        language=LANGUAGE,
        text=found.question,
        options=tuple(found.options),
        answer=found.answer if item.form is AnswerForm.TEXT else item.answer,
        source="llm",
        former={},
        outcome=QuestionOutcome(
            state=before.state,
            reasons=before.reasons,
            notes=(),
            checks=("translation survives",),
            agreement=before.agreement,
        ),
    )


def untranslated(item: QuestionItem, found: Translated) -> str | None:
    """Return what did not survive, as a reason; None when all did."""
    if len(found.options) != len(item.options):
        return "wrong number of choices"
    answer = item.answer if item.form is AnswerForm.TEXT else ""
    if bool(answer) != bool(found.answer.strip()) or answer.count("\n") != found.answer.strip().count("\n"):
        return "answer missing, added or of other paragraphs"
    pairs = [
        (item.text, found.question),
        *zip(item.options, found.options, strict=True),
        *([(answer, found.answer)] if answer else []),
    ]
    return next((reason for old, new in pairs if (reason := _pair_fault(old, new))), None)


def _pair_fault(old: str, new: str) -> str | None:
    if brackets_in(old) != brackets_in(new):
        return "boxes or answer form changed"
    if numbers_in(old) != numbers_in(new):
        return "numbers changed"
    if fault := script_fault(new):
        return fault
    if _LATIN_WORD.search(old) and not _is_chinese(new):
        return "not Chinese"
    if not _latin_words(new) <= _latin_words(old):
        return "words that the original has not"
    if _LATIN_WORD.search(old) and ("negation" in senses_in(old)) != denies(new):
        return "denial added or lost"
    if any(contains_phrase(old, word) and not any(term in new for term in terms) for word, terms in glossary().items()):
        return "a term of the glossary is missing"
    return None


def _latin_words(text: str) -> set[str]:
    return {word.casefold() for word in _LATIN_WORD.findall(text)}


def _is_chinese(text: str) -> bool:
    """Return whether a text is Chinese for the most part; names of roads and the like may stay."""
    outside = _BRACKETED.sub(" ", text)
    return len(_CHINESE.findall(outside)) >= 2 * len(_LATIN_WORD.findall(outside)) and bool(_CHINESE.search(outside))


@cache
def glossary() -> Mapping[str, tuple[str, ...]]:
    """Return English words whose Chinese must be one of the given terms: colours, directions, yes and no."""
    text = resources.files("rsvqa.annotation.llm").joinpath("prompts", "glossary", "zh.toml").read_text("utf-8")
    return {word: tuple(terms) for table in tomllib.loads(text).values() for word, terms in table.items()}
