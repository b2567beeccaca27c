"""What the page for drawing sends: checked here before anything else sees it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rsvqa.annotation.review.drawn import MAX_POINTS, DrawnForm, DrawnObject, PixelPoint
from rsvqa.annotation.review.messages import Body, RequestId, Word
from rsvqa.annotation.review.people import ReviewerName

MAX_CHANGES = 500
"""In one request; a page that pastes more sends several."""

ThingId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Version = Annotated[int, Field(ge=0, lt=2**53)]
Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e7, le=1e7)]


class ReviewerOfTileBody(Body):
    """Who asks, and about which tile."""

    reviewer: ReviewerName
    tile: ThingId


class ObjectBody(Body):
    """An object as it stands on the page."""

    class_name: Word
    form: DrawnForm
    points: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(max_length=MAX_POINTS)]
    attributes: Annotated[dict[Word, bool | Word], Field(max_length=12)] = Field(default_factory=dict)
    is_certain: bool = True
    proposal: Word = ""

    def drawn(self) -> DrawnObject:
        """Return it as the store knows it."""
        return DrawnObject(
            class_name=self.class_name,
            form=self.form,
            points=tuple(PixelPoint(*point) for point in self.points),
            attributes=self.attributes,
            is_certain=self.is_certain,
            proposal=self.proposal,
        )


class ObjectChangeBody(Body):
    """An object as it is to be; without content it is taken away."""

    object_id: ThingId
    before: Version = 0
    content: ObjectBody | None = None


class CompleteBody(Body):
    """Whether every instance of a class on the tile is drawn."""

    class_name: Word
    is_complete: bool


class ChangeBody(ReviewerOfTileBody):
    """Changes what is drawn on a tile; all of it, or nothing where one thing may not stand."""

    request_id: RequestId
    objects: Annotated[tuple[ObjectChangeBody, ...], Field(max_length=MAX_CHANGES)] = ()
    complete: Annotated[tuple[CompleteBody, ...], Field(max_length=MAX_CHANGES)] = ()


class JudgeBody(ReviewerOfTileBody):
    """Says what becomes of a computed question; "open" takes a former word back."""

    request_id: RequestId
    question_id: Word
    verdict: Literal["accepted", "discarded", "open"]
