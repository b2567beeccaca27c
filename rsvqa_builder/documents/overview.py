"""What the documents tell of all questions: statistics, samples and audit.

A data set may hold more records than memory, and each takes a while to make; so they are made once, and each document
takes what it needs as they pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rsvqa.rsvqa_builder.auditing.short import ShortAudit
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.documents.preview import SampleChooser
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics, StatisticsCounter


class Overview:
    """Looks at each tile of a data set once."""

    def __init__(self, *, seed: int, has_audit: bool) -> None:
        """Begin without a tile.

        Args:
            seed: of the samples and of the audit.
            has_audit: whether questions are guessed.
        """
        self._counter = StatisticsCounter()
        self._samples = SampleChooser(seed=seed)
        self._audit = ShortAudit(seed=seed) if has_audit else None

    def look(self, rows: TileRows) -> None:
        """Take what is needed of a tile and its records."""
        for record in rows.records:
            self._counter.add_record(record)
            self._samples.offer(record)
            if self._audit is not None:
                self._audit.add(record)
        self._counter.add_tile(rows.tile, len(rows.records))

    def statistics(self) -> DatasetStatistics:
        """Return what was counted."""
        return self._counter.finish()

    def samples(self) -> tuple[Record, ...]:
        """Return the questions to be shown, see `preview.choose_samples`."""
        return self._samples.chosen()

    def audit(self, tiles: Iterable[TileRecord]) -> Mapping[str, Any]:
        """Return what rules guess, see `short.short_audit`; empty without an audit.

        Args:
            tiles: all that were looked at.
        """
        return {} if self._audit is None else self._audit.finish(tiles)
