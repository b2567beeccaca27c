"""The formats that know no model: tables of XLRS-Bench, COCO boxes.

Each writer takes questions that have passed the checks of `export.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.dataset.image_tables import IMAGE, TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import CAPTION_ID, COLUMNS, Column, Row, StoredQuestion, encode
from rsvqa.rsvqa_builder.dataset.shards import split_of
from rsvqa.rsvqa_builder.exporting.pictures import PictureFolder

UNNAMED_CLASS = "object"
"""COCO category of a box whose class no question states."""


# --- XLRS-Bench ---

_TEXT = pa.string()
_XLRS_TABLES: Mapping[str, Mapping[str, pa.DataType]] = {
    # columns of XLRS-Bench-lite, XLRS-Bench_caption_en and XLRS-Bench_visual_grounding_en
    "vqa": dict(list(COLUMNS.items())[:8]),
    "caption": {
        CAPTION_ID: pa.int64(),
        Column.QUESTION_ID: _TEXT,
        Column.QUESTION: _TEXT,
        Column.ANSWER: pa.list_(_TEXT),
        Column.IMAGE: IMAGE,
    },
    "grounding": {
        Column.IMAGE_WIDTH: pa.int64(),
        Column.IMAGE_HEIGHT: pa.int64(),
        Column.QUESTION_ID: _TEXT,
        Column.IMAGE: IMAGE,
        Column.QUESTION: _TEXT,
        Column.ANSWER: _TEXT,
        Column.BBOX: pa.list_(pa.float64()),
        Column.CATEGORY: _TEXT,
        Column.PATH: _TEXT,
    },
}


def _table_of(record: Record) -> str:
    if record.form is AnswerForm.BOX:
        return "grounding"
    return "vqa" if record.options else "caption"


class XlrsExporter:
    """Tables in `vqa/`, `caption/` and `grounding/`, and a card that tells `datasets` of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str], list[Path]] = {}
        self._writers: dict[str, TableWriter] = {}
        self._open = ExitStack()

    def begin_shard(self, shard: Path) -> None:
        """Begin new tables: each has at most the rows of one shard."""
        self._open.close()
        self._writers = {}
        self._split = split_of(shard)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse two images where the table has one."""
        if _table_of(question.record) != "vqa" and len(question.images) > 1:
            return "caption or box of two images"
        return None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Write one row group in each table that has rows here."""
        for table in _XLRS_TABLES:
            if members := [_xlrs_row(table, one) for one in questions if _table_of(one.record) == table]:
                self._writer(table).write_row_group(members)

    def _writer(self, table: str) -> TableWriter:
        if table not in self._writers:
            files = self._files.setdefault((table, self._split), [])
            # how many there will be is known at the end
            files.append(self._folder / table / f"{self._split}-{len(files):05d}.parquet")
            writer = TableWriter(files[-1], table_schema(_XLRS_TABLES[table]))
            self._writers[table] = self._open.enter_context(writer)
        return self._writers[table]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open.close()
        for files in self._files.values():
            for file in files:
                file.rename(file.with_name(f"{file.stem}-of-{len(files):05d}.parquet"))

    def card(self) -> str:
        """Return the card that tells `datasets` which files hold which table and split."""
        return _xlrs_card(self._files)


def _xlrs_row(table: str, question: StoredQuestion) -> Row:
    record = question.record
    row = encode(question.index, record.tile, record, question.images)
    if table == "vqa":
        return row
    single = {**row, Column.IMAGE: question.images[0]}
    return single if table == "grounding" else {**single, CAPTION_ID: question.index, Column.ANSWER: [record.answer]}


def _xlrs_card(tables: Collection[tuple[str, str]]) -> str:
    """Return the card that tells `datasets` which files hold which table and split."""
    lines = ["---", "configs:"]
    for table in _XLRS_TABLES:
        if splits := [split for name, split in tables if name == table]:
            lines += [f"- config_name: {table}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f'    path: "{table}/{split}-*.parquet"']
    return "\n".join([*lines, "---", "", "Tables with the columns of XLRS-Bench.", ""])


# --- COCO ---


@dataclass(slots=True)
class _Annotation:
    image: str
    box: Box
    category: str


class _CocoSplit:
    """The boxes of one split; an object that several questions are about is one annotation."""

    def __init__(self) -> None:
        self.sizes: dict[str, tuple[int, int]] = {}
        self.annotations: dict[tuple[str, str], _Annotation] = {}

    def add(self, question: StoredQuestion, box: Box) -> None:
        image = question.images[0].path
        self.sizes[image] = question.size
        evidence = question.record.evidence
        # the object of the box comes first in its evidence; without ids the box stands for itself
        object_id = next(iter(evidence.get("feature_ids", [])), str(box))
        known = self.annotations.setdefault((image, object_id), _Annotation(image, box, UNNAMED_CLASS))
        if known.category == UNNAMED_CLASS:
            known.category = str(evidence.get("values", {}).get("class", UNNAMED_CLASS))

    def document(self) -> dict[str, Any]:
        image_ids = {path: number for number, path in enumerate(self.sizes, start=1)}
        names = {annotation.category for annotation in self.annotations.values()}
        categories = {name: number for number, name in enumerate(sorted(names), start=1)}
        return {
            "info": {"description": "Boxes that questions are about; other objects of a class may have none."},
            "licenses": [],
            "images": [
                {"id": image_ids[path], "file_name": path, "width": width, "height": height}
                for path, (width, height) in self.sizes.items()
            ],
            "annotations": [
                {
                    "id": number,
                    "image_id": image_ids[annotation.image],
                    "category_id": categories[annotation.category],
                    **_coco_box(annotation.box),
                    "iscrowd": 0,
                }
                for number, annotation in enumerate(self.annotations.values(), start=1)
            ],
            "categories": [{"id": number, "name": name} for name, number in categories.items()],
        }


def _coco_box(box: Box) -> dict[str, Any]:
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    corner_and_size = [round(value, 2) for value in (box.x_min, box.y_min, width, height)]
    return {"bbox": corner_and_size, "area": round(width * height, 2)}


class CocoExporter:
    """`{split}.json`, boxes in absolute pixels, and `images/`, to which `file_name` is relative."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = PictureFolder(folder / "images")
        self._splits: dict[str, _CocoSplit] = {}

    def begin_shard(self, shard: Path) -> None:
        """Go on with the boxes of the shard's split."""
        self._split = self._splits.setdefault(split_of(shard), _CocoSplit())

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse rows without a box, or without one image that it lies in."""
        if question.record.bbox is None:
            return "no box"
        return "box of two images" if len(question.images) > 1 else None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Add boxes, and the images that are new."""
        for question in questions:
            if question.record.bbox is not None:
                self._split.add(question, in_pixels(question.record.bbox, *question.size))
                self._images.add(question.images[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for split, boxes in self._splits.items():
            (self._folder / f"{split}.json").write_text(
                json.dumps(boxes.document(), ensure_ascii=False, indent=1), encoding="utf-8"
            )

    def card(self) -> str:
        """Return what the boxes are."""
        return (
            "# Boxes that questions are about\n\nIn COCO's layout, in pixels; `file_name` is relative to `images/`.\n"
        )
