"""What a shard holds: one `Record` per question, one `TileRecord` per tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rsvqa.annotation.facts import Box
from rsvqa.annotation.lettering import LetteringError, option_texts
from rsvqa.annotation.questions import marked_options
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.scenes.tiling import Window

SPLITS = ("train", "val", "test")
"""In the order in which they are written and listed."""

QuestionSource = Literal["rule", "llm", "human"]
Review = Literal["none", "needed", "accepted", "fixed", "rejected"]
HELD_BACK: Mapping[str, str] = {"needed": "review still needed", "rejected": "rejected in review"}
"""Reviews that keep a question out of exports, training and benchmark, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecord:
    """One tile: where it lies and the images that its records show.

    Attributes:
        image_id: unique in the data set: scene id and window.
        split: "train", "val" or "test".
        scene: the scene's id.
        window: the tile's place in the scene, pixels.
        crs: "EPSG:32618" where the CRS has a code, else WKT2; None without one.
        gsd: metres per pixel, the mean of both axes; None without a georeference.
        footprint: WKB of the tile's outline in EPSG:4326; None without a georeference.
        date, later_date: ISO days of acquisition; None when unknown.
        scene_source: name of the source that the scene comes from; None in data sets that were built before there was
            one.
        licence: terms of the source's images and labels; None when unknown.
        images: encoded size in bytes of each of the tile's images, by key: "tile", "tile_marked", and for a pair
            "later", "later_marked". Every tile has "tile".
    """

    image_id: str
    split: str
    scene: str
    window: Window
    crs: str | None = None
    gsd: float | None = None
    footprint: bytes | None = None
    date: str | None = None
    later_date: str | None = None
    scene_source: str | None = None
    licence: str | None = None
    images: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One question after all filters, as a row of a shard.

    Attributes:
        question_id: unique in the data set.
        tile: the tile that it is about.
        images: keys into `tile.images` of what the question shows, in order.
        options: "(A) …" texts; empty for free text and boxes.
        answer: letters without separators ("A", "ACD"), the text, or for a box the same numbers as in `bbox`,
            "[0.1234, 0.2, 0.3, 0.4]".
        bbox: normalised (x_min, y_min, x_max, y_max) in 0–1: the answer of grounding tasks, or the box in the text.
        evidence: JSON object: rule, feature ids, geometry (WKT, tile pixels), values.
    """

    question_id: str
    tile: TileRecord
    task: str
    language: str
    question: str
    images: tuple[str, ...]
    options: tuple[str, ...] = ()
    answer: str = ""
    bbox: Box | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    source: QuestionSource = "rule"
    review: Review = "none"

    @property
    def option_texts(self) -> tuple[str, ...]:
        """The options without their letters.

        Raises:
            LetteringError: they are not lettered (A), (B), … in order.
        """
        try:
            return option_texts(self.options)
        except LetteringError as error:
            raise LetteringError(f"question {self.question_id}: {error}") from error

    @property
    def right_options(self) -> tuple[str, ...]:
        """Texts of the right options; empty without options."""
        return tuple(option.text for option in marked_options(self.option_texts, self.answer) if option.is_right)

    @property
    def num_dates(self) -> int:
        """Images that the question shows."""
        return TASKS[self.task].num_dates

    @property
    def form(self) -> AnswerForm:
        """What the answer looks like."""
        return TASKS[self.task].form_of(len(self.options))
