"""The step `translate`: a Chinese version of each question; numbers, boxes and letters survive or there is none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import ACCEPTED, QuestionOutcome
from rsvqa.annotation.llm.passes import Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.survival import brackets_in, contains_phrase, numbers_in
from rsvqa.annotation.llm.wording_step import fault_of
from rsvqa.annotation.taxonomy import AnswerForm

LANGUAGE = "zh"
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
        return item, version.noted(self._asker.note(reply, ACCEPTED))


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
    if _LATIN_WORD.search(old) and not _is_chinese(new):
        return "not Chinese"
    if not _latin_words(new) <= _latin_words(old):
        return "words that the original has not"
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
