"""A data set as a review sees it: its questions, and its images by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from rsvqa.annotation.review.content import EditableContent, ReviewQuestion
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import RowGroup, list_shards, read_row_group, split_of

_COLUMNS = (*TEXT_COLUMNS, Column.EVIDENCE)


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
                    names = reader.read_image_names(number, Column.IMAGE)
                    for row, images in zip(reader.read_row_group(number, _COLUMNS), names, strict=True):
                        self._groups.update({name: RowGroup(path, number) for name in images})
                        yield question_of(decode(row, decode_tile(row, split_of(path))), tuple(images))

    def load_image(self, name: str) -> bytes:
        """Return the encoded bytes of one image of a question that was yielded."""
        rows = read_row_group(self._groups[name], [Column.IMAGE])
        data: bytes = next(image.data for row in rows for image in row[Column.IMAGE] if image.path == name)
        return data


def question_of(record: Record, images: tuple[str, ...]) -> ReviewQuestion:
    """Return a record as a question to review; `images` are the names of what it shows."""
    tile = record.tile
    return ReviewQuestion(
        question_id=record.question_id,
        task=record.task,
        split=tile.split,
        scene=tile.scene,
        source=record.source,
        review=record.review,
        language=record.language,
        images=images,
        width=tile.window.width,
        height=tile.window.height,
        content=EditableContent(
            question=record.question, options=record.options, answer=record.answer, bbox=record.bbox
        ),
        gsd=tile.gsd,
        dates=(tile.date, tile.later_date)[: len(images)],
        evidence=record.evidence,
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
