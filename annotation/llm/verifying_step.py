"""The step `verify`: what gives itself away is mended or dropped, and a model answers the rest blind to the key.

Three passes. `guess` shows a question without its image, twice, with the choices in two orders; a model that is right
and sure both times needs no image. Then the rule's wording is put back, or numbers get new wrong choices; `guess_again`
drops what still tells its answer. `answer` shows the pictures and compares with the key. Disagreement never changes a
key: it sends the question to a person.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rsvqa.annotation.facts import Box, iou
from rsvqa.annotation.lettering import LETTERS, lettered, moved_letters, read_letters
from rsvqa.annotation.llm.crops import CropSettings, CropWindow, Shown, focus_of, frame_around, show, show_whole
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import ACCEPTED, Note
from rsvqa.annotation.llm.passes import NO_REPLY, Asker, ChatResult, parsed_as
from rsvqa.annotation.llm.requests import ChatReply, ChatRequest
from rsvqa.annotation.tasks.distractors import number_distractors
from rsvqa.annotation.taxonomy import AnswerForm

GIVEN_AWAY = "gives itself away without the image"
DISAGREES = "blind answer is not the key"
NOT_AN_OPTION = "blind answer is not an option"
WRONG_BOX = "blind answer is no box in the picture"
CONTRADICTED = "a statement is contradicted by the image"

MIN_IOU = 0.5
"""From here on, a box found blind counts as the same: the benchmark's own threshold."""

THOUSANDTHS = 1_000
_CHOICES = (AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF, AnswerForm.YES_NO)
_WHOLE_NUMBER = re.compile(r"[1-9]\d{0,3}")


class Guess(BaseModel):
    """A guess without the image."""

    model_config = ConfigDict(extra="forbid")

    letters: str
    certain: bool


class Choice(BaseModel):
    """The letters that a model takes for right."""

    model_config = ConfigDict(extra="forbid")

    letters: str


class FoundBox(BaseModel):
    """A box in thousandths of a picture's width and height."""

    model_config = ConfigDict(extra="forbid")

    box: Annotated[list[float], Field(min_length=4, max_length=4)]


class Objections(BaseModel):
    """Statements of a description that the pictures contradict."""

    model_config = ConfigDict(extra="forbid")

    contradicted: list[str]


# --- without the image ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GuessPass:
    """Finds questions that tell their answer without the image.

    Attributes:
        model: to ask.
        is_second: only questions that were mended after the first pass are asked; what still tells its answer is
            dropped.
    """

    model: str
    is_second: bool = False

    @property
    def name(self) -> str:
        """Name of the pass."""
        return "guess_again" if self.is_second else "guess"

    @property
    def _asker(self) -> Asker:
        return Asker(step=self.name, model=self.model, prompt_name="guess", schema=Guess, max_tokens=200)

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return two requests, with the choices in the item's order and in reverse."""
        is_due = item.form in _CHOICES and (not self.is_second or GIVEN_AWAY in item.outcome.reasons)
        if not is_due:
            return ()
        orders = (item, _reversed(item))
        return tuple(
            self._asker.request(order, {"question": order.text, "options": order.lettered}, number=number)
            for number, order in enumerate(orders)
        )

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item as it is, mended, or rejected."""
        if not replies:
            return (item,)
        guesses = [parsed_as(reply, Guess) for reply in replies]
        tells = all(
            isinstance(guess, Guess)
            and guess.certain
            and read_letters(guess.letters, len(order.options)) == order.answer
            for guess, order in zip(guesses, (item, _reversed(item)), strict=True)
        )
        failed = next((guess for guess in guesses if isinstance(guess, str)), None)
        noted = item.noted(self._asker.note(replies[0], GIVEN_AWAY if tells else failed or ACCEPTED))
        if tells:
            return (noted.rejected(GIVEN_AWAY) if self.is_second else mended(noted),)
        return (noted if failed else noted.settled(GIVEN_AWAY).checked("needs its image"),)


def mended(item: QuestionItem) -> QuestionItem:
    """Return an item that told its answer with the rule's wording or with new wrong numbers, else rejected."""
    if item.former:
        return (
            item.as_written_by_rule().for_review(GIVEN_AWAY).noted(Note(step="mend", result="rule's wording put back"))
        )
    if item.form is AnswerForm.ONE_OF and all(_WHOLE_NUMBER.fullmatch(option) for option in item.options):
        return _with_new_numbers(item).for_review(GIVEN_AWAY).noted(Note(step="mend", result="new wrong numbers"))
    return item.rejected(GIVEN_AWAY)


def _with_new_numbers(item: QuestionItem) -> QuestionItem:
    """Return an item with other wrong counts; the right one keeps its letter."""
    rng = random.Random(f"{item.question_id}/mend")
    (right,) = item.right_options
    wrong = number_distractors(int(right), rng)
    rng.shuffle(wrong)
    options = tuple(option if option == right else str(wrong.pop()) for option in item.options)
    return replace(item, options=options)


def _reversed(item: QuestionItem) -> QuestionItem:
    """Return the item with its choices in reverse order, and the letters of the same ones."""
    answer = moved_letters(item.answer, range(len(item.options))[::-1])
    return replace(item, options=item.options[::-1], answer=answer)


# --- with the image ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPass:
    """Has a model answer each question blind to the key.

    Attributes:
        model: to ask.
        crops: what it is shown.
        name: of the pass.
        language: of the questions that it is asked: versions are made late, of what has been verified.
    """

    model: str
    crops: CropSettings
    name: str = "answer"
    language: str = "en"

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return the one request that fits the form of the answer."""
        if item.language != self.language:
            return ()
        if item.form is AnswerForm.BOX:
            return (self._box_request(item),)
        if item.form is AnswerForm.TEXT:
            return (self._text_request(item),)
        return (self._choice_request(item),)

    def _choice_request(self, item: QuestionItem) -> ChatRequest:
        shown = show(item, self.crops)
        several = item.form is AnswerForm.SEVERAL_OF
        values = {
            "legend": shown.legend,
            "width": item.width,
            "height": item.height,
            "outline": " The box is outlined in red." if item.box is not None else "",
            "question": item.text,
            "options": item.lettered,
            "instruction": _SEVERAL if several else _ONE,
        }
        return self._asker(item).request(item, values, pictures=shown.pictures)

    def _box_request(self, item: QuestionItem) -> ChatRequest:
        shown = show(item, self.crops)
        values = {"legend": shown.legend, "last": len(shown.pictures), "question": item.text}
        return self._asker(item).request(item, values, pictures=shown.pictures)

    def _text_request(self, item: QuestionItem) -> ChatRequest:
        shown = _shown_of_text(item, self.crops)
        values = {"legend": shown.legend, "question": item.text, "answer": item.answer}
        return self._asker(item).request(item, values, pictures=shown.pictures)

    def _asker(self, item: QuestionItem) -> Asker:
        prompt, schema = _ASKED.get(item.form, ("answer_choice", Choice))
        return Asker(step=self.name, model=self.model, prompt_name=prompt, schema=schema)

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return the item with the agreement; it goes to a person unless the blind answer is the key."""
        if not replies:
            return (item,)
        (reply,) = replies
        reason = self._reason_against(item, reply)
        answer = answer_in_words(item, reply, self.crops)
        noted = item.noted(self._asker(item).note(reply, reason or ACCEPTED, answer=answer))
        is_answered = reason in (None, DISAGREES, CONTRADICTED)
        agreement = (0.0 if reason else 1.0) if is_answered else None
        agreed = replace(noted, outcome=replace(noted.outcome, agreement=agreement))
        if reason:
            return (agreed.for_review(reason),)
        check = SAME_MODEL if self.model in _writers(item) else "blind answer is the key"
        return (agreed.settled(DRAFTED, NOT_AN_OPTION, WRONG_BOX, *NO_REPLY).checked(check),)

    def _reason_against(self, item: QuestionItem, reply: ChatResult) -> str | None:
        if item.form is AnswerForm.BOX:
            found = parsed_as(reply, FoundBox)
            return found if isinstance(found, str) else self._box_disagrees(item, found)
        if item.form is AnswerForm.TEXT:
            objections = parsed_as(reply, Objections)
            if isinstance(objections, str):
                return objections
            return CONTRADICTED if objections.contradicted else None
        choice = parsed_as(reply, Choice)
        if isinstance(choice, str):
            return choice
        letters = read_letters(choice.letters, len(item.options))
        if letters is None:
            return NOT_AN_OPTION
        return None if letters == item.answer else DISAGREES

    def _box_disagrees(self, item: QuestionItem, found: FoundBox) -> str | None:
        """Return why the box found is not the key; its window follows from the question alone."""
        box = in_tile(found.box, box_frame(item, self.crops))
        if box is None:
            return WRONG_BOX
        return None if item.box is not None and iou(box, item.box) >= MIN_IOU else DISAGREES


def answer_in_words(item: QuestionItem, reply: ChatResult, crops: CropSettings) -> str:
    """Return what a model has answered as a person reads it beside the key; empty without an answer."""
    parsed = reply.parsed if isinstance(reply, ChatReply) else None
    if isinstance(parsed, FoundBox):
        box = in_tile(parsed.box, box_frame(item, crops))
        return str([round(value) for value in box] if box else parsed.box)
    if isinstance(parsed, Objections):
        return "; ".join(parsed.contradicted)
    if not isinstance(parsed, Choice):
        return ""
    letters = read_letters(parsed.letters, len(item.options))
    options = lettered(item.options)
    return parsed.letters if letters is None else "; ".join(options[LETTERS.index(letter)] for letter in letters)


SAME_MODEL = "blind answer is the key, by the model that wrote the text"


def _writers(item: QuestionItem) -> frozenset[str]:
    """Return the models whose texts the item has."""
    if item.source != "llm":
        return frozenset()
    steps = ("word", "draft", "translate")
    return frozenset(note.model for note in item.outcome.notes if note.step in steps and note.result == ACCEPTED)


DRAFTED = "written by a model"
"""Why a drafted question is to be reviewed until it is verified."""

UNSUPPORTED = "claims that the facts do not support"
"""Why a text that says more than is known is to be reviewed; that a verifier objects to nothing does not settle it."""

_ASKED: dict[AnswerForm, tuple[str, type[BaseModel]]] = {
    AnswerForm.BOX: ("answer_box", FoundBox),
    AnswerForm.TEXT: ("judge_text", Objections),
}
_ONE = 'Give the letter of the one right choice, for instance "B".'
_SEVERAL = 'Give the letters of all right choices, for instance "AC". There may be more than one.'


def _shown_of_text(item: QuestionItem, crops: CropSettings) -> Shown:
    return show(item, crops) if item.region is not None else show_whole(item, crops)


def box_frame(item: QuestionItem, crops: CropSettings) -> CropWindow:
    """Return the window of the last picture of a question for a box."""
    focus = focus_of(item)
    return CropWindow(0, 0, item.width, item.height) if focus is None else frame_around(item, focus, crops.context)


def in_tile(thousandths: Sequence[float], frame: CropWindow) -> Box | None:
    """Return a box given in thousandths of a window in tile pixels; None when it is outside or not ordered."""
    x_min, y_min, x_max, y_max = thousandths
    if not (0 <= x_min < x_max <= THOUSANDTHS and 0 <= y_min < y_max <= THOUSANDTHS):
        return None
    width, height = frame.size
    return Box(
        frame.x_min + x_min * width / THOUSANDTHS,
        frame.y_min + y_min * height / THOUSANDTHS,
        frame.x_min + x_max * width / THOUSANDTHS,
        frame.y_min + y_max * height / THOUSANDTHS,
    )
