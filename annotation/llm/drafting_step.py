"""The step `draft`: where rules are thin, a model writes from the computed facts and the right pictures.

Captions, conclusions on the environment, anomalies, routes and referring expressions. A draft that loses a fact or
contradicts one is dropped and the rule's text stays; what is taken is to be reviewed until the step `verify` settles
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rsvqa.annotation.llm.claims import MIN_KEPT, caption_claims, check_claims, find_mentions, kept_share
from rsvqa.annotation.llm.crops import PART_NAMES, CropSettings, CropWindow, Shown, show, show_part
from rsvqa.annotation.llm.items import QuestionItem, bounds_of
from rsvqa.annotation.llm.outcomes import ACCEPTED
from rsvqa.annotation.llm.passes import NO_REPLY, Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.verifying_step import DRAFTED, UNSUPPORTED
from rsvqa.annotation.llm.wording_step import fault_of
from rsvqa.annotation.reading.same_words import difference
from rsvqa.annotation.reading.support import ClaimScope
from rsvqa.annotation.reading.survival import (
    brackets_in,
    contains_phrase,
    has_same_sense,
    keeps_sense,
    lost,
    named_things,
    numbers_in,
)

CONTRADICTS = "claims contradict the facts"
LOSES_FACTS = "tells too few of the facts"

MAX_LENGTH_RATIO = 1.6
"""The right choice may be this much longer than the longest wrong one; longer ones are known to be right unseen."""

_TURNS = re.compile(
    r"\b(?:left|right|straight|north(?:east|west)?|south(?:east|west)?|east|west|up|down"
    r"|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
    r"|(?:one|two|three|four|five|six|seven|eight|nine)(?= junction)"
    r"|\d+|[A-Z][\w'-]*(?: [A-Z][\w'-]*)+|(?<=[a-z,] )[^\W\d_a-z][\w'-]*)\b"
)
"""What makes a route: headings, turns, ordinals, numbers and names of roads (capitals inside a sentence)."""


class DraftedCaption(BaseModel):
    """A detailed caption."""

    model_config = ConfigDict(extra="forbid")

    overall: str
    parts: Annotated[list[str], Field(min_length=9, max_length=9)]
    inference: str


class DraftedText(BaseModel):
    """A caption of a region."""

    model_config = ConfigDict(extra="forbid")

    text: str


class DraftedChoices(BaseModel):
    """A question with its choices, in the order of the old ones."""

    model_config = ConfigDict(extra="forbid")

    question: str
    options: list[str]


class DraftedQuestion(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")

    question: str


_Apply = Callable[[QuestionItem, BaseModel], "QuestionItem | str"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one kind of question is drafted: its prompt, what a reply is, and how it is taken over (or why not)."""

    prompt: str
    schema: type[BaseModel]
    apply: _Apply
    max_tokens: int = 800
    has_pictures: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPass:
    """Drafts the texts of the tasks in `_KINDS`, for which rules are thin.

    Attributes:
        model: to ask.
        crops: what it is shown.
        temperature: above 0 for variety.
        name: of the step.
    """

    model: str
    crops: CropSettings
    temperature: float = 0.4
    name: str = "draft"

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return the one request of a question that is drafted."""
        kind = _KINDS.get(item.task)
        if kind is None or item.language != "en" or _is_drafted(item, self.name):
            return ()
        shown = self._shown(item) if kind.has_pictures else _NOTHING_SHOWN
        return (self._asker(kind).request(item, _values(item, shown), pictures=shown.pictures),)

    def _shown(self, item: QuestionItem) -> Shown:
        """Return the pictures; who drafts may know the answer, so of an anomaly it is the place itself."""
        focus = bounds_of(item) if item.task == "anomaly_detection" else None
        return show(item, self.crops) if focus is None else show_part(item, focus, self.crops)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item with what was drafted, to be reviewed until verified, or as it was."""
        if not replies:
            return (item,)
        (reply,) = replies
        kind = _KINDS[item.task]
        draft = parsed_as(reply, kind.schema)
        drafted = draft if isinstance(draft, str) else kind.apply(item, draft)
        reason = drafted if isinstance(drafted, str) else _UNCHANGED if _is_as_before(drafted) else fault_of(drafted)
        note = self._asker(kind).note(reply, reason or ACCEPTED)
        if reason is not None or isinstance(drafted, str):
            return (item.noted(note),)
        return (drafted.noted(note).checked("draft keeps the facts", "question checks").for_review(DRAFTED),)

    def _asker(self, kind: _Kind) -> Asker:
        return Asker(
            step=self.name,
            model=self.model,
            prompt_name=kind.prompt,
            schema=kind.schema,
            max_tokens=kind.max_tokens,
            temperature=self.temperature,
        )


_UNCHANGED = "unchanged"


def _is_drafted(item: QuestionItem, step: str) -> bool:
    """Return whether a model's draft has been judged before; one that never arrived has not."""
    return any(note.step == step and note.result not in NO_REPLY for note in item.outcome.notes)


def _is_as_before(drafted: QuestionItem) -> bool:
    return all(getattr(drafted, name) == text for name, text in drafted.former.items())


_NOTHING_SHOWN = Shown((), (), CropWindow(0, 0, 0, 0))


def _values(item: QuestionItem, shown: Shown) -> dict[str, object]:
    """Return what prompts of drafts are filled with; each takes what it names."""
    keep = named_things(item.text, item.task) or ()
    return {
        "legend": shown.legend,
        "last": len(shown.pictures),
        "question": item.text,
        "options": item.lettered,
        "number": item.region_number,
        "keep": "; ".join(f'"{thing}"' for thing in keep) or "none in particular",
        "box": "" if item.box is None else ", ".join(str(round(side)) for side in item.box),
        "facts": json.dumps({"rule": item.evidence.rule, **item.evidence.values}, ensure_ascii=False, sort_keys=True),
    }


# --- taking a draft over ----------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Return a text on one line with single spaces."""
    return " ".join(text.split())


def _take_caption(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedCaption)
    parts = [_plain(part) for part in draft.parts]
    if not all(contains_phrase(part, f"{name} part") for part, name in zip(parts, PART_NAMES, strict=True)):
        return "a part is not named"
    answer = "\n".join((_plain(draft.overall), " ".join(parts), _plain(draft.inference)))
    return _unless_contradicted(item.worded(answer=answer))


def _take_region(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedText)
    text = _plain(draft.text)
    if not contains_phrase(text, f"circle {item.region_number}"):
        return "the circle is not named"
    return _unless_contradicted(item.worded(answer=text))


def _unless_contradicted(drafted: QuestionItem) -> QuestionItem | str:
    """Return a drafted caption, or why it is not taken; what it says beyond the facts is for a person to judge."""
    claims = caption_claims(drafted)
    if claims.contradicted:
        return CONTRADICTS
    if kept_share(drafted) < MIN_KEPT:
        return LOSES_FACTS
    doubts = tuple(claim.words for claim in claims.unsupported)
    return drafted.for_review(UNSUPPORTED).with_doubts(*doubts) if doubts else drafted


def _for_review_if_changed(drafted: QuestionItem) -> QuestionItem:
    """Return a drafted question, to be reviewed where a text says more or less than the rule's."""
    rule = drafted.as_written_by_rule()
    pairs = zip((rule.text, *rule.options), (drafted.text, *drafted.options), strict=True)
    changed = tuple(new for old, new in pairs if difference(old, new).reason)
    return drafted.for_review(UNSUPPORTED).with_doubts(*changed) if changed else drafted


def _take_choices(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedChoices)
    if len(draft.options) != len(item.options):
        return "wrong number of choices"
    old, new = (item.text, *item.options), (draft.question, *draft.options)
    if any(numbers_in(before) != numbers_in(after) for before, after in zip(old, new, strict=True)):
        return "numbers changed"
    if not all(has_same_sense(before, after) for before, after in zip(old, new, strict=True)):
        return "sense changed"
    drafted = item.worded(text=draft.question, options=tuple(draft.options))
    return "the right choice stands out by its length" if _stands_out(drafted) else _for_review_if_changed(drafted)


def _stands_out(item: QuestionItem) -> bool:
    wrong = [len(option) for option in item.options if option not in item.right_options]
    return any(len(option) > MAX_LENGTH_RATIO * max(wrong) for option in item.right_options)


def _take_route(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedChoices)
    if len(draft.options) != len(item.options):
        return "wrong number of choices"
    if any(turns_in(old) != turns_in(new) for old, new in zip(item.options, draft.options, strict=True)):
        return "turns changed"
    return _for_review_if_changed(item.worded(options=tuple(draft.options)))


def turns_in(route: str) -> list[str]:
    """Return headings, turns, ordinals, numbers and road names of a route, in order."""
    return [found.casefold() for found in _TURNS.findall(route)]


def _take_reference(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedQuestion)
    if brackets_in(item.text) != brackets_in(draft.question) or numbers_in(item.text) != numbers_in(draft.question):
        return "boxes, numbers or answer form changed"
    keep = named_things(item.text, item.task)
    if keep is None or not all(contains_phrase(draft.question, thing) for thing in keep):
        return "what is asked about is not named"
    if not keeps_sense(item.text, draft.question):
        return "sense changed"
    if _first_named(item, item.text) != _first_named(item, draft.question):
        return "another object is named first"
    scope = _target_scope(item, numbers=frozenset(float(number) for number in numbers_in(item.text)))
    if check_claims(draft.question, scope).contradicted:
        return CONTRADICTS
    return _for_review_if_changed(item.worded(text=draft.question))


def _first_named(item: QuestionItem, text: str) -> str | None:
    """Return the class that a text names first: what is to be found comes before what it is told by."""
    return next((mention.name for mention in find_mentions(text, item.knowledge.nouns)), None)


def _target_scope(item: QuestionItem, *, numbers: frozenset[float]) -> ClaimScope:
    """Return what is known of the object that a grounding question is about, and of the tile."""
    values, knowledge = item.evidence.values, item.knowledge
    colours = {values["class"]: frozenset({values["colour"]})} if "colour" in values else {}
    return ClaimScope(
        counts={**dict.fromkeys(sorted(knowledge.present)), **knowledge.counts},
        absent=knowledge.absent,
        colours=colours,
        numbers=numbers,
        nouns=knowledge.nouns,
    )


def _take_anomaly(item: QuestionItem, draft: BaseModel) -> QuestionItem | str:
    assert isinstance(draft, DraftedQuestion)
    reason = lost(item.text, draft.question, named_things(item.text, item.task) or ())
    return reason or _for_review_if_changed(item.worded(text=draft.question))


_KINDS: Mapping[str, _Kind] = {
    "detailed_captioning": _Kind(prompt="draft_caption", schema=DraftedCaption, apply=_take_caption, max_tokens=2_000),
    "regional_captioning": _Kind(prompt="draft_region", schema=DraftedText, apply=_take_region),
    "environmental_reasoning": _Kind(prompt="draft_choices", schema=DraftedChoices, apply=_take_choices),
    "anomaly_detection": _Kind(prompt="draft_anomaly", schema=DraftedQuestion, apply=_take_anomaly),
    "route_planning": _Kind(
        prompt="draft_route", schema=DraftedChoices, apply=_take_route, max_tokens=1_200, has_pictures=False
    ),
    "fine_grained_grounding": _Kind(prompt="draft_reference", schema=DraftedQuestion, apply=_take_reference),
    "condition_based_grounding": _Kind(prompt="draft_reference", schema=DraftedQuestion, apply=_take_reference),
}

TASKS_WITH_DRAFTED_QUESTION = frozenset(
    {"environmental_reasoning", "anomaly_detection", "fine_grained_grounding", "condition_based_grounding"}
)
"""Tasks whose question is drafted too: rewording it before would be paid for nothing."""
