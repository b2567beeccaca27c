"""What the page sends of questions that people write: checked here before anything else sees it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from rsvqa.annotation.authoring.writing import EvidenceShape, WrittenQuestion, tidied
from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.review.drawing_messages import Coordinate, ReviewerOfTileBody, ThingId, Version
from rsvqa.annotation.review.drawn import MAX_POINTS, DrawnForm, PixelPoint
from rsvqa.annotation.review.messages import Body, RequestId, Text, Word

MAX_SHAPES = 50
"""Of the evidence of one question."""

Place = Annotated[int, Field(strict=True, ge=0, lt=26)]
"""Of an option; there are letters for so many."""


class ShapeBody(Body):
    """A piece of evidence as it is drawn on the page."""

    form: DrawnForm
    points: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(max_length=MAX_POINTS)]

    def shape(self) -> EvidenceShape:
        """Return it as the store knows it."""
        return EvidenceShape(form=self.form, points=tuple(PixelPoint(*point) for point in self.points))


class WrittenBody(Body):
    """A question as it stands on the page."""

    task: Word
    template: Word = ""
    question: Text
    options: Annotated[tuple[Text, ...], Field(max_length=26)] = ()
    right: Annotated[tuple[Place, ...], Field(max_length=26)] = ()
    answer: Text = ""
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    shapes: Annotated[tuple[ShapeBody, ...], Field(max_length=MAX_SHAPES)] = ()
    circle: tuple[Coordinate, Coordinate, Coordinate] | None = None

    def written(self) -> WrittenQuestion:
        """Return it as the store knows it, its texts tidied."""
        return WrittenQuestion(
            task=self.task,
            template=self.template,
            question=tidied(self.question),
            options=tuple(map(tidied, self.options)),
            right=tuple(sorted(set(self.right))),
            answer=tidied(self.answer),
            box=None if self.box is None else Box(*self.box),
            shapes=tuple(shape.shape() for shape in self.shapes),
            circle=None if self.circle is None else Circle(*self.circle),
        )


class CheckWrittenBody(ReviewerOfTileBody):
    """Asks whether a question may stand like this; `key` is its own, with which it is not compared."""

    key: ThingId
    content: WrittenBody


class WriteBody(ReviewerOfTileBody):
    """Stores a question as it is to be; without content it is taken away."""

    request_id: RequestId
    key: ThingId
    before: Version = 0
    content: WrittenBody | None = None


class ProposalBody(ReviewerOfTileBody):
    """Turns a model's proposal down, or takes that back."""

    request_id: RequestId
    proposal: Word
    is_deleted: StrictBool
