"""A data set as a review sees it: its questions, and its images by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.shards import COLUMNS, RowGroup, list_shards, read_row_group, split_of

_TEXT_COLUMNS = [name for name in COLUMNS if name not in ("image", "footprint", "crs")]


class ReviewSource:
    """The questions of a data set's folder, read once, and where its images are.

    Raises:
        ShardError: when the folder has no whole set of shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = list_shards(folder)
        self._groups: dict[str, RowGroup] = {}

    @property
    def image_names(self) -> tuple[str, ...]:
        """Names of the images of all questions that `questions` has yielded."""
        return tuple(self._groups)

    def questions(self) -> Iterator[ReviewQuestion]:
        """Yield every question in the order of the data set; no image is read, only where each is."""
        for path in self._shards:
            with TableReader(path) as reader:
                for number in range(reader.info.num_row_groups):
                    names = reader.read_image_names(number, "image")
                    for row, images in zip(reader.read_row_group(number, _TEXT_COLUMNS), names, strict=True):
                        self._groups.update({name: RowGroup(path, number) for name in images})
                        yield question_of(row, tuple(images), split_of(path))

    def load_image(self, name: str) -> bytes:
        """Return the encoded bytes of one image of a question that was yielded."""
        rows = read_row_group(self._groups[name], ["image"])
        data: bytes = next(image.data for row in rows for image in row["image"] if image.path == name)
        return data


def question_of(row: Mapping[str, Any], images: tuple[str, ...], split: str) -> ReviewQuestion:
    """Return a row of a shard as a question to review; `images` are the names of what it shows."""
    return ReviewQuestion(
        question_id=row["question_id"],
        task=row["task"],
        split=split,
        scene=row["scene"],
        source=row["source"],
        review=row["review"],
        language=row["language"],
        images=images,
        width=row["image_width"],
        height=row["image_height"],
        content=EditableContent(
            question=row["question"],
            options=tuple(row["multi-choice options"]),
            answer=row["answer"],
            bbox=None if row["bbox"] is None else Box(*row["bbox"]),
        ),
        gsd=row["gsd"],
        dates=(row["date"], row["later_date"])[: len(images)],
        evidence=json.loads(row["evidence"]),
    )


def data_set_fingerprint(folder: Path) -> str:
    """Return a SHA-256 of all questions of a data set, by which a store knows that it is still the same.

    Raises:
        ShardError: when the folder has no whole set of shards.
    """
    digest = hashlib.sha256()
    for path in list_shards(folder):
        with TableReader(path) as reader:
            # a shard of another maker has no fingerprint, but a size
            mark = reader.metadata.get("rsvqa.fingerprint", f"{reader.info.num_bytes} bytes")
            digest.update(f"{path.name} {reader.info.num_rows} {mark}\n".encode())
    return digest.hexdigest()
