"""One question of an opened data set, with the images that it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from rsvqa.annotation.images import decode_image
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.documents.preview import render_question

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class OpenedQuestion:
    """A question as `rsvqa.read` gives it; `stored` holds all of it, `images` are decoded when they are looked at."""

    stored: StoredQuestion

    @property
    def record(self) -> Record:
        """The whole record: the tile, evidence, review."""
        return self.stored.record

    @property
    def question_id(self) -> str:
        """Unique in the data set."""
        return self.record.question_id

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.record.task

    @property
    def split(self) -> str:
        """Where it is for: train, val or test."""
        return self.record.tile.split

    @property
    def question(self) -> str:
        """What is asked."""
        return self.record.question

    @property
    def options(self) -> tuple[str, ...]:
        """The options with their letters; none for free text and boxes."""
        return self.record.options

    @property
    def answer(self) -> str:
        """Letters, the text, or the box."""
        return self.record.answer

    @property
    def evidence(self) -> Mapping[str, Any]:
        """Why the answer is right."""
        return self.record.evidence

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """What the question shows, in order.

        Raises:
            ImageError: one cannot be decoded.
        """
        from PIL.Image import fromarray

        return tuple(fromarray(decode_image(image.data)) for image in self.stored.images)

    def __repr__(self) -> str:
        """Return the question on one line."""
        return f"<{self.task} {self.question_id}: {self.question!r} → {self.answer!r}>"

    def _repr_html_(self) -> str:
        """Return the question with its pictures, its evidence drawn on them."""
        if self.task not in TASKS:
            return f"<p>{escape(repr(self))}</p>"
        return render_question(self.record, tuple(image.data for image in self.stored.images))
