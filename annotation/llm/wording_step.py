"""The step `word`: a model rewords what a rule has asked; what does not survive mechanically is not taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import ACCEPTED
from rsvqa.annotation.llm.passes import Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.reading.same_words import difference
from rsvqa.annotation.reading.survival import has_same_dates, has_same_roles, lost, named_things
from rsvqa.annotation.taxonomy import TASKS

MAX_GROWTH = 2.5
"""A rewording may be this much longer, and 60 characters more: beyond, something was added."""


_ALIKE_BOTH_WAYS = frozenset({"object_distance"})
"""Tasks whose answer stays when the two things that are named change places."""

_ORDER = re.compile(
    r"(?<!\w)(?:answer(?:s|ed)?|ignore|disregard|instructions?|prompts?|assistant|https?|www|json)(?!\w)", re.IGNORECASE
)


class Reworded(BaseModel):
    """A reworded question."""

    model_config = ConfigDict(extra="forbid")

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordingPass:
    """Rewords English questions of known wording.

    Attributes:
        model: to ask.
        skip_tasks: tasks whose questions are drafted anyway.
        temperature: above 0 for variety; each question is worded once, so the result stays repeatable.
        name: of the step.
    """

    model: str
    skip_tasks: frozenset[str] = frozenset()
    temperature: float = 0.7
    name: str = "word"

    @property
    def _asker(self) -> Asker:
        return Asker(
            step=self.name,
            model=self.model,
            prompt_name="word",
            schema=Reworded,
            max_tokens=400,
            temperature=self.temperature,
        )

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return the one request of a question whose wording is known."""
        keep = _things_to_keep(item)
        if keep is None or item.task in self.skip_tasks:
            return ()
        listed = "; ".join(f'"{thing}"' for thing in keep) or "none in particular"
        return (self._asker.request(item, {"question": item.text, "keep": listed}),)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item with its new wording, or with the rule's when the new one is not sound."""
        if not replies:
            return (item,)
        (reply,) = replies
        worded = parsed_as(reply, Reworded)
        reason = worded if isinstance(worded, str) else why_not_reworded(item, worded.question)
        note = self._asker.note(reply, reason or ACCEPTED)
        if reason is not None or isinstance(worded, str):
            return (item.noted(note),)
        return (item.worded(text=worded.question).noted(note).checked("wording survives", "question checks"),)


def _things_to_keep(item: QuestionItem) -> tuple[str, ...] | None:
    if item.language != "en" or item.source != "rule":
        return None
    return named_things(item.text, item.task)


def why_not_reworded(item: QuestionItem, text: str) -> str | None:
    """Return why `text` cannot stand for the item's question; None when it can."""
    if text == item.text:
        return "unchanged"
    if len(text) > MAX_GROWTH * len(item.text) + 60:
        return "much longer than the question"
    things = named_things(item.text, item.task) or ()
    if reason := lost(item.text, text, things):
        return reason
    if item.task not in _ALIKE_BOTH_WAYS and not has_same_roles(item.text, text, things):
        return "the things change places"
    if TASKS[item.task].num_dates > 1 and not has_same_dates(item.text, text):
        return "dates changed"
    return fault_of(item.worded(text=text)) or difference(item.text, text).reason


def fault_of(item: QuestionItem) -> str | None:
    """Return the first reason that the checks of every question give against the item; None when it passes."""
    reasons = check_question(item.as_question(), width=item.width, height=item.height)
    if not reasons and item.source == "llm" and _has_tags(item):
        return "angle brackets in the text"
    if not reasons and item.source == "llm" and _speaks_of_itself(item):
        return "speaks of answers or instructions"
    return reasons[0] if reasons else None


def _speaks_of_itself(item: QuestionItem) -> bool:
    """Return whether a model's text has words of one who gives answers, orders or addresses, and the rule's had not."""
    before = item.as_written_by_rule()
    return bool(item.former) and bool(_orders_in(item) - _orders_in(before))


def _orders_in(item: QuestionItem) -> frozenset[str]:
    return frozenset(
        found.lower() for text in (item.text, *item.options, item.answer) for found in _ORDER.findall(text)
    )


def _has_tags(item: QuestionItem) -> bool:
    """Return whether a text could be taken for one of the tags that part data from instructions in prompts."""
    return any(mark in text for text in (item.text, *item.options, item.answer) for mark in "<>")
