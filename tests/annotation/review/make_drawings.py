"""A tile to draw on, for tests of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from rsvqa.annotation.authoring.writing import identity_of
from rsvqa.annotation.facts import Box, ClassInfo, Role
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawing import Computed, DrawingTile, Proposal
from rsvqa.annotation.review.drawn_store import TileDrawing
from rsvqa.annotation.review.looks import OtherScene
from tests.annotation.review.make_questions import make_question

TILE = DrawingTile(
    key="tile1",
    tile_id="a:0_0",
    scene="a",
    split="train",
    image="a/0_0.jpg",
    width=100,
    height=80,
    gsd=0.5,
    image_digest="digest",
)
PROPOSAL = Proposal(
    key="a:0_0/FVG1", name="car", description="the red car", class_name="car", box=Box(10, 20, 40, 50), model="a-model"
)


class FakeDrawings:
    """One tile of 100 x 80 px, three classes, a proposal, and one question as soon as anything is drawn."""

    def __init__(self, *, second_date: OtherScene | None = None) -> None:
        self.second_date = second_date
        self.tiles: Mapping[str, DrawingTile] = {TILE.key: TILE}

    def classes(self, tile: DrawingTile) -> Mapping[str, ClassInfo]:  # noqa: ARG002  the protocol's
        roles = {"car": Role.OBJECT, "field": Role.AREA, "road": Role.ROAD}
        return {name: ClassInfo(name=name, singular=name, plural=f"{name}s", role=role) for name, role in roles.items()}

    def compute(self, tile: DrawingTile, drawing: TileDrawing) -> Computed:  # noqa: ARG002
        questions = (make_question("a:0_0/OC-1"),) if drawing.objects else ()
        return Computed(questions, {"route_planning": "no roads"})

    def asked(self, tile: DrawingTile) -> Set[str]:  # noqa: ARG002
        return {identity_of("How many boats are there?", ("1", "2", "3", "4"))}

    def guessed(self, question: ReviewQuestion, others: Iterable[ReviewQuestion]) -> tuple[str, ...]:
        return (f"{question.content.answer} beside {len(list(others))} others",)

    def later(self, tile: DrawingTile) -> OtherScene | None:  # noqa: ARG002
        return self.second_date

    def proposals(self, tile: DrawingTile) -> tuple[Proposal, ...]:  # noqa: ARG002
        return (PROPOSAL,)
