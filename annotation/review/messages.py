"""What the page sends: checked here before anything else sees it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import EditableContent
from rsvqa.annotation.review.store import Filters

MAX_TEXT = 20_000
"""Characters; more than any check lets pass, so that the check gives the reason."""


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("expected printable characters")
    return name


ReviewerName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), AfterValidator(_printable)
]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Word = Annotated[str, StringConstraints(max_length=200)]
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{16,64}$")]
"""Unlike any other: what is sent twice is stored once."""
BoxShare = Annotated[float, Field(allow_inf_nan=False, ge=-10, le=10)]


class Body(BaseModel):
    """Anything that a page sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FiltersBody(Body):
    """Which questions are wanted; empty means all."""

    task: Word = ""
    source: Word = ""
    split: Word = ""
    disputed_only: bool = False

    def filters(self) -> Filters:
        """Return them as the store knows them."""
        return Filters(task=self.task, source=self.source, split=self.split, disputed_only=self.disputed_only)


class ReviewerBody(Body):
    """Who asks, and what he works on."""

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
    bbox: tuple[BoxShare, BoxShare, BoxShare, BoxShare] | None = None

    def content(self) -> EditableContent:
        """Return it as the store knows it."""
        return EditableContent(
            question=self.question,
            options=self.options,
            answer=self.answer,
            bbox=None if self.bbox is None else Box(*self.bbox),
        )


class CheckBody(QuestionBody):
    """Asks whether a question may stand like this."""

    content: ContentBody


class DecideBody(QuestionBody):
    """A decision: "save" accepts or fixes, as the content is unchanged or not."""

    action: Literal["save", "reject", "skip"]
    content: ContentBody | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    request_id: RequestId


class UndoBody(ReviewerBody):
    """Withdraws a decision of the reviewer."""

    number: int
