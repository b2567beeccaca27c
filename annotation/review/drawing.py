"""What the server must know of tiles to draw on them: which there are, their classes, and what follows from objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rsvqa.annotation.facts import Box, ClassInfo
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawn_store import TileDrawing
from rsvqa.annotation.review.looks import OtherScene


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingTile:
    """A tile that people may draw on.

    Attributes:
        key: names it in the log of changes (see `drawn_store.tile_key`).
        tile_id: unique in the data set.
        scene, split: as in its rows.
        image: name of its plain image.
        width, height: pixels.
        gsd: metres per pixel; None when unknown.
        date: ISO day; None when unknown.
        num_questions: about it in the data set.
        region: where it lies on its scene: x, y, in scene pixels.
        language: of the questions about it.
        image_digest: SHA-256 of the bytes of its plain image.
    """

    key: str
    tile_id: str
    scene: str
    split: str
    image: str
    width: int
    height: int
    gsd: float | None = None
    date: str | None = None
    num_questions: int = 0
    region: tuple[int, int] = (0, 0)
    language: str = "en"
    image_digest: str = ""


class Computed(NamedTuple):
    """The questions that the rules compute from what is drawn, and why other tasks ask nothing, by task."""

    questions: tuple[ReviewQuestion, ...]
    not_asked: Mapping[str, str]


class Proposal(NamedTuple):
    """An object that a model proposes: nothing is known of it until a person accepts it.

    Attributes:
        key: id of the question that proposes it.
        name: what the model calls it.
        description: in its words.
        class_name: of the class table, where the name is that of a class; else empty.
        box: tile pixels.
        model: that proposes it.
    """

    key: str
    name: str
    description: str
    class_name: str
    box: Box
    model: str


class Drawings(Protocol):
    """The tiles of a data set, and the rules that turn objects into questions."""

    @property
    def tiles(self) -> Mapping[str, DrawingTile]:
        """Every tile that has a plain image, by key, in the order of the data set: those without questions first."""
        ...

    def classes(self, tile: DrawingTile) -> Mapping[str, ClassInfo]:
        """Return the class table of the tile's source."""
        ...

    def compute(self, tile: DrawingTile, drawing: TileDrawing) -> Computed:
        """Return what the rules ask about a tile; takes seconds on a large one, and may be called by many threads."""
        ...

    def asked(self, tile: DrawingTile) -> Set[str]:
        """Return `writing.identity_of` each question about a tile that the data set holds."""
        ...

    def guessed(self, question: ReviewQuestion, others: Iterable[ReviewQuestion]) -> tuple[str, ...]:
        """Return why a question could be answered without its image, given those of the data set and `others`."""
        ...

    def later(self, tile: DrawingTile) -> OtherScene | None:
        """Return the scene of a later date, known and the nearest, that covers the whole tile; None without one."""
        ...

    def proposals(self, tile: DrawingTile) -> tuple[Proposal, ...]:
        """Return the objects that a model proposes on a tile, in the order of the data set."""
        ...
