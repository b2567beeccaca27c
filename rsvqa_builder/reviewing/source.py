"""A data set as a review sees it: its questions, and its images by name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from rsvqa.annotation.review.content import EditableContent, ReviewQuestion, content_key
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader, read_images
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

    def image_digests(self, store: ReviewStore) -> Mapping[str, str]:
        """Return the SHA-256 of each image's bytes, by name; a store knows those of shards that have not changed."""
        digests: dict[str, str] = {}
        for path in self._shards:
            state = path.stat()
            shard = f"{path.name} {state.st_size} {state.st_mtime_ns}"
            digests.update(store.image_digests(shard, partial(_digests_of, path)))
        return digests

    def questions(self, digests: Mapping[str, str] | None = None) -> Iterator[ReviewQuestion]:
        """Yield every question in the order of the data set; no image is read, only where each is.

        Args:
            digests: of `image_digests`; without them, the questions are not told from those about other images.
        """
        seen: Counter[str] = Counter()
        for question in self._questions(digests or {}):
            key = content_key(question)
            yield replace(question, twin=seen[key]) if seen[key] else question
            seen[key] += 1

    def _questions(self, digests: Mapping[str, str]) -> Iterator[ReviewQuestion]:
        for path in self._shards:
            with TableReader(path) as reader:
                for number in range(reader.info.num_row_groups):
                    names = reader.read_image_names(number, Column.IMAGE)
                    for row, images in zip(reader.read_row_group(number, _COLUMNS), names, strict=True):
                        self._groups.update({name: RowGroup(path, number) for name in images})
                        question = question_of(decode(row, decode_tile(row, split_of(path))), tuple(images))
                        yield replace(question, image_digests=tuple(digests[name] for name in images if digests))

    def load_image(self, name: str) -> bytes:
        """Return the encoded bytes of one image of a question that was yielded."""
        rows = read_row_group(self._groups[name], [Column.IMAGE])
        data: bytes = next(image.data for row in rows for image in row[Column.IMAGE] if image.path == name)
        return data


def _digests_of(shard: Path) -> dict[str, str]:
    return {image.path: hashlib.sha256(image.data).hexdigest() for image in read_images(shard)}


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
    """Return a SHA-256 of all questions of a data set, by which an applied review knows that it is still the same.

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
