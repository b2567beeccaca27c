"""The columns of a shard, and the one way between its rows and records.

Rows have the shape of XLRS-Bench-lite (`index`, `path`, `image`, `question`, `multi-choice options`, `answer`,
`category`, `l2-category`) followed by where and how a question came to be. Whoever writes or reads a column names it by
`Column`; from here on a question is a `Record`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.image_tables import IMAGES, EncodedImage
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.scenes.tiling import Window

Row = Mapping[str, Any]
"""Values by column, as they stand in a file."""


class Column(StrEnum):
    """Names of columns; the first eight are those of XLRS-Bench-lite, byte for byte."""

    INDEX = "index"
    PATH = "path"
    IMAGE = "image"
    QUESTION = "question"
    OPTIONS = "multi-choice options"
    ANSWER = "answer"
    CATEGORY = "category"
    L2_CATEGORY = "l2-category"
    TASK = "task"
    QUESTION_ID = "question_id"
    IMAGE_ID = "image_id"
    LANGUAGE = "language"
    SCENE = "scene"
    TILE = "tile"
    CRS = "crs"
    GSD = "gsd"
    FOOTPRINT = "footprint"
    DATE = "date"
    LATER_DATE = "later_date"
    SCENE_SOURCE = "scene_source"
    LICENCE = "licence"
    BBOX = "bbox"
    IMAGE_WIDTH = "image_width"
    IMAGE_HEIGHT = "image_height"
    EVIDENCE = "evidence"
    SOURCE = "source"
    REVIEW = "review"


CAPTION_ID = "id"
"""What XLRS-Bench's caption files call the number of a row."""

_TYPES: Mapping[Column, pa.DataType] = {
    Column.INDEX: pa.int64(),
    Column.IMAGE: IMAGES,
    Column.OPTIONS: pa.list_(pa.string()),
    Column.TILE: pa.struct([(name, pa.int32()) for name in Window._fields]),
    Column.GSD: pa.float64(),
    Column.FOOTPRINT: pa.binary(),
    Column.BBOX: pa.list_(pa.float64()),
    Column.IMAGE_WIDTH: pa.int32(),
    Column.IMAGE_HEIGHT: pa.int32(),
}
COLUMNS: Mapping[str, pa.DataType] = {name.value: _TYPES.get(name, pa.string()) for name in Column}
"""Every column of a shard, in order; `docs/data-format.md` says what each holds."""

TEXT_COLUMNS = (
    Column.QUESTION,
    Column.OPTIONS,
    Column.ANSWER,
    Column.TASK,
    Column.QUESTION_ID,
    Column.IMAGE_ID,
    Column.LANGUAGE,
    Column.SCENE,
    Column.TILE,
    Column.GSD,
    Column.DATE,
    Column.LATER_DATE,
    Column.BBOX,
    Column.SOURCE,
    Column.REVIEW,
)
"""The small ones of which a record is made; one read from these has no evidence, its tile no CRS, footprint and source.

All stand in every shard there is, the oldest included.
"""


class StoredRowError(RsvqaError):
    """A row of a shard is not as the format has it: another program has changed it, or it is damaged."""

    def __init__(self, item: str, column: Column, found: object, expected: str) -> None:
        super().__init__(
            f"the row of {item} has {found!r} in column {str(column)!r}; expected {expected}: build the data set again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuestion:
    """A record as it stands in a shard.

    Attributes:
        index: number of its row in the data set.
        record: without keys of `TileRecord.images`.
        images: what it shows, in order.
    """

    index: int
    record: Record
    images: tuple[EncodedImage, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each image as the row states them, pixels."""
        return self.record.tile.window.width, self.record.tile.window.height


# --- a record as a row ---


def encode(index: int, tile: TileRecord, record: Record | None, images: Sequence[EncodedImage]) -> dict[str, Any]:
    """Return the row of a question, or that of a tile about which nothing was asked; columns without a value lack."""
    return {
        Column.INDEX: index,
        Column.PATH: images[0].path,
        Column.IMAGE: list(images),
        **encode_tile(tile),
        **({} if record is None else encode_texts(record)),
    }


def encode_tile(tile: TileRecord) -> dict[str, Any]:
    """Return the columns that say where a tile lies."""
    return {
        Column.IMAGE_ID: tile.image_id,
        Column.SCENE: tile.scene,
        Column.TILE: tile.window._asdict(),
        Column.CRS: tile.crs,
        Column.GSD: tile.gsd,
        Column.FOOTPRINT: tile.footprint,
        Column.DATE: tile.date,
        Column.LATER_DATE: tile.later_date,
        Column.SCENE_SOURCE: tile.scene_source,
        Column.LICENCE: tile.licence,
        Column.IMAGE_WIDTH: tile.window.width,
        Column.IMAGE_HEIGHT: tile.window.height,
    }


def encode_texts(record: Record) -> dict[str, Any]:
    """Return the columns that belong to a question alone."""
    info = TASKS[record.task]
    return {
        Column.QUESTION: record.question,
        Column.OPTIONS: list(record.options),
        Column.ANSWER: record.answer,
        Column.CATEGORY: info.category,
        Column.L2_CATEGORY: info.l2_category,
        Column.TASK: record.task,
        Column.QUESTION_ID: record.question_id,
        Column.LANGUAGE: record.language,
        Column.BBOX: None if record.bbox is None else list(record.bbox),
        Column.EVIDENCE: json.dumps(dict(record.evidence), sort_keys=True, ensure_ascii=False, allow_nan=False),
        Column.SOURCE: record.source,
        Column.REVIEW: record.review,
    }


# --- a row as a record ---


def decode_tile(row: Row, split: str) -> TileRecord:
    """Return the tile of a row, without its images.

    Raises:
        StoredRowError: when the row says nothing of its place.
    """
    place = row[Column.TILE]
    if not isinstance(place, Mapping) or None in place.values() or min(place["width"], place["height"]) < 1:
        raise StoredRowError(
            f"tile {row[Column.IMAGE_ID]!r}", Column.TILE, place, "x, y, width and height, with pixels in it"
        )
    return TileRecord(
        image_id=row[Column.IMAGE_ID],
        split=split,
        scene=row[Column.SCENE],
        window=Window(**place),
        crs=row.get(Column.CRS),
        gsd=row[Column.GSD],
        footprint=row.get(Column.FOOTPRINT),
        date=row[Column.DATE],
        later_date=row[Column.LATER_DATE],
        scene_source=row.get(Column.SCENE_SOURCE),
        licence=row.get(Column.LICENCE),
    )


def decode(row: Row, tile: TileRecord, *, images: Iterable[str] = ()) -> Record:
    """Return the question of a row; its evidence is empty where that column was not read.

    Args:
        row: with at least `TEXT_COLUMNS`.
        tile: that it is about.
        images: keys of `tile.images`, where the caller knows them.

    Raises:
        StoredRowError: when the row lacks a text, or holds an option or a box that is none.
    """
    item, evidence = f"question {row[Column.QUESTION_ID]!r}", row.get(Column.EVIDENCE)
    options, box = row[Column.OPTIONS] or (), row[Column.BBOX]  # other writers store no option as null
    for column in (Column.QUESTION, Column.ANSWER):
        if not isinstance(row[column], str):
            raise StoredRowError(item, column, row[column], "text")
    if not all(isinstance(option, str) for option in options):
        raise StoredRowError(item, Column.OPTIONS, options, "texts")
    if box is not None and (len(box) != len(Box._fields) or None in box):
        raise StoredRowError(item, Column.BBOX, box, "four numbers, or null")
    return Record(
        question_id=row[Column.QUESTION_ID],
        tile=tile,
        task=row[Column.TASK],
        language=row[Column.LANGUAGE],
        question=row[Column.QUESTION],
        images=tuple(images),
        options=tuple(options),
        answer=row[Column.ANSWER],
        bbox=None if box is None else Box(*box),
        evidence={} if evidence is None else json.loads(evidence),
        source=row[Column.SOURCE],
        review=row[Column.REVIEW],
    )


def decode_question(row: Row, split: str) -> StoredQuestion:
    """Return a row, read whole, with its images."""
    record = decode(row, decode_tile(row, split))
    return StoredQuestion(index=row[Column.INDEX], record=record, images=tuple(row[Column.IMAGE]))
