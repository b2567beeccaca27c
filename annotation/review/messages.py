"""What the page sends: checked here before anything else sees it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import EditableContent
from rsvqa.annotation.review.filters import Filters
from rsvqa.annotation.review.oversight import Search, State
from rsvqa.annotation.review.people import ReviewerName, Visitor

MAX_TEXT = 20_000
"""Characters; more than any check lets pass, so that the check gives the reason."""


def _without_controls(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in text):
        raise ValueError("expected no control characters")
    return text


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_without_controls)]
Word = Annotated[str, StringConstraints(max_length=200), AfterValidator(_without_controls)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(_without_controls)]
Said = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(_without_controls)
]
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{16,64}$")]
"""Unlike any other: what is sent twice is stored once."""
BoxShare = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-10, le=10)]
BoxShares = tuple[BoxShare, BoxShare, BoxShare, BoxShare]
DecisionNumber = Annotated[int, Field(strict=True, ge=1, lt=2**63)]  # SQLite's integers end there


class Body(BaseModel):
    """Anything that a page sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FiltersBody(Body):
    """Which questions are wanted; empty means all."""

    task: Word = ""
    source: Word = ""
    split: Word = ""
    disputed_only: StrictBool = False

    def filters(self, visitor: Visitor) -> Filters:
        """Return them as the store knows them, within what a visitor works on."""
        return Filters(
            task=self.task,
            source=self.source,
            split=self.split,
            disputed_only=self.disputed_only,
            duty=visitor.duty,
            may_adjudicate=visitor.may_adjudicate,
        )


class ReviewerBody(Body):
    """Who asks, where people type their names, and what he wants to work on."""

    reviewer: ReviewerName
    filters: FiltersBody = FiltersBody()


class QuestionBody(ReviewerBody):
    """Asks about one question."""

    question_id: Text


class ContentBody(Body):
    """A question as it stands on the page."""

    question: Text
    options: Annotated[tuple[Text, ...], Field(max_length=26)] = ()
    answer: Text = ""
    bbox: BoxShares | None = None

    def content(self) -> EditableContent:
        """Return it as the store knows it."""
        return EditableContent(
            question=self.question,
            options=self.options,
            answer=self.answer,
            bbox=None if self.bbox is None else Box(*self.bbox),
        )


class AnswerBody(QuestionBody):
    """Answers a question whose key is not seen yet."""

    answer: Text = ""
    bbox: BoxShares | None = None


class CheckBody(QuestionBody):
    """Asks whether a question may stand like this."""

    content: ContentBody


class DecideBody(QuestionBody):
    """A decision: "save" accepts or fixes, as the content is unchanged or not.

    Who had the question open before others came to differ has not seen what they said, so he does not decide between
    them: his is one opinion more.
    """

    action: Literal["save", "reject", "skip"]
    content: ContentBody | None = None
    reason: Reason = ""
    saw_opinions: StrictBool = True
    request_id: RequestId


class OpenBody(QuestionBody):
    """Asks for one question, whatever its state."""


class CommentBody(QuestionBody):
    """Says something about a question."""

    text: Said
    request_id: RequestId


class SearchBody(ReviewerBody):
    """Asks for a page of the list of questions."""

    text: Word = ""
    task: Word = ""
    person: Word = ""
    verdict: Literal["", "accepted", "fixed", "rejected", "skipped"] = ""
    state: State = ""
    label: Word = ""
    offset: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0

    def search(self) -> Search:
        """Return it as the store knows it."""
        return Search(**self.model_dump(exclude={"reviewer", "filters"}))


class GiveBackBody(ReviewerBody):
    """Returns decisions to their authors."""

    numbers: Annotated[tuple[DecisionNumber, ...], Field(min_length=1, max_length=1_000)]
    note: Reason = ""
    request_id: RequestId


class ReopenBody(QuestionBody):
    """Withdraws all decisions on a question."""

    note: Reason = ""
    request_id: RequestId


class LabelBody(ReviewerBody):
    """Rejects all questions that rest on a labelled object."""

    label: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_without_controls)]
    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
        AfterValidator(_without_controls),
    ]
    request_id: RequestId


class GoldBody(QuestionBody):
    """Makes a question gold, or no longer."""

    is_gold: StrictBool


class SettleBody(ReviewerBody):
    """Marks a comment as done with."""

    number: DecisionNumber


class UndoBody(ReviewerBody):
    """Withdraws a decision of the reviewer."""

    number: DecisionNumber


MAX_PROBLEM_CHARS = 300


def in_one_line(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the first of pydantic's errors as a line that can be sent, whatever was in the body."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    line = f"{place or 'the body'}: {first['msg']}"
    return line.encode("ascii", "backslashreplace").decode()[:MAX_PROBLEM_CHARS]
