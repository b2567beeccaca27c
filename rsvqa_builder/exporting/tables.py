"""Tables with the columns of XLRS-Bench."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.dataset.image_tables import IMAGE
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import CAPTION_ID, COLUMNS, Column, Row, StoredQuestion, encode
from rsvqa.rsvqa_builder.exporting.split_tables import SplitTables

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
        self._tables = SplitTables(folder, _XLRS_TABLES)

    def begin_shard(self, shard: Path) -> None:
        """Begin new files: each has at most the rows of one shard."""
        self._tables.begin_shard(shard)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse two images where the table has one."""
        if _table_of(question.record) != "vqa" and len(question.images) > 1:
            return "caption or box of two images"
        return None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Write one row group in each table that has rows here."""
        for table in _XLRS_TABLES:
            self._tables.write(table, [_xlrs_row(table, one) for one in questions if _table_of(one.record) == table])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tables.close()
        for files in self._tables.files.values():
            for file in files:  # how many there are is known now
                file.rename(file.with_name(f"{file.stem}-of-{len(files):05d}.parquet"))

    def card(self) -> str:
        """Return the card that tells `datasets` which files hold which table and split."""
        return _xlrs_card(self._tables.files)


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
