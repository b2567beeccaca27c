"""Parquet tables of a format, by name and split: `TABLE/SPLIT-NUMBER.parquet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from rsvqa.rsvqa_builder.dataset.image_tables import TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.rows import Row
from rsvqa.rsvqa_builder.dataset.shards import split_of


class SplitTables:
    """Writes tables of which each file holds at most the rows of one shard.

    Attributes:
        files: those written so far, in order, by table and split.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Mapping[str, pa.DataType]]) -> None:
        """Write nothing yet.

        Args:
            folder: of the tables.
            columns: names and types, by table.
        """
        self.files: dict[tuple[str, str], list[Path]] = {}
        self._folder = folder
        self._columns = columns
        self._writers: dict[str, TableWriter] = {}
        self._open = ExitStack()

    def begin_shard(self, shard: Path) -> None:
        """Begin new files."""
        self.close()
        self._split = split_of(shard)

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Write one row group, where there are rows."""
        if not rows:
            return
        if table not in self._writers:
            files = self.files.setdefault((table, self._split), [])
            files.append(self._folder / table / f"{self._split}-{len(files):05d}.parquet")
            writer = TableWriter(files[-1], table_schema(self._columns[table]))
            self._writers[table] = self._open.enter_context(writer)
        self._writers[table].write_row_group(rows)

    def close(self) -> None:
        """Complete the files that are open."""
        self._open.close()
        self._writers = {}
