"""What the documents tell of all questions: statistics, samples and audit.

A data set may hold more records than memory, and each takes a while to make. So whoever writes a shard looks at its
records as they pass, and tells of them in counts and names. The names of few questions are left once all shards have
told; their records are made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rsvqa.rsvqa_builder.auditing.shard_items import record_item
from rsvqa.rsvqa_builder.auditing.short import QUESTIONS_PER_TASK, AuditDrawer, audit_drawn
from rsvqa.rsvqa_builder.auditing.shortcuts import BoundedDraw
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.documents.preview import SampleChooser, SampleName
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics, StatisticsCounter


class ShardOverview:
    """Looks at each tile of a shard once."""

    def __init__(self, *, seed: int, has_audit: bool) -> None:
        """Begin without a tile.

        Args:
            seed: of the samples and of the audit.
            has_audit: whether questions are guessed.
        """
        self._counter = StatisticsCounter()
        self._samples: SampleChooser[None] = SampleChooser(seed=seed)
        self._audit = AuditDrawer(seed=seed) if has_audit else None

    def look(self, rows: TileRows) -> None:
        """Take what is needed of a tile and its records."""
        for record in rows.records:
            self._counter.add_record(record)
            self._samples.offer(SampleName.of(record), None)
            if self._audit is not None:
                self._audit.add(record)

    def told(self) -> dict[str, Any]:
        """Return what `Overview.join` takes, for JSON."""
        return {
            "records": self._counter.told(),
            "samples": self._samples.candidates(),
            "audit": None if self._audit is None else self._audit.sample.told(lambda item: item.where),
        }


class ShardQuestion(NamedTuple):
    """A question by the number of its shard and its id."""

    shard: int
    question_id: str


class Overview:
    """What the shards of a data set told, in their order."""

    def __init__(self, *, seed: int) -> None:
        """Begin without a shard; `seed` as in `ShardOverview`."""
        self._seed = seed
        self._num_shards = 0
        self._counter = StatisticsCounter()
        self._samples: SampleChooser[ShardQuestion] = SampleChooser(seed=seed)
        self._audit: BoundedDraw[ShardQuestion] = BoundedDraw(QUESTIONS_PER_TASK)

    def join(self, told: Mapping[str, Any]) -> None:
        """Take in what `ShardOverview.told` says of the next shard."""
        shard, self._num_shards = self._num_shards, self._num_shards + 1
        self._counter.join(told["records"])
        for name in told["samples"]:
            sample = SampleName(*name)
            self._samples.offer(sample, ShardQuestion(shard, sample.question_id))
        if told["audit"] is not None:
            self._audit.join(told["audit"], lambda question_id: ShardQuestion(shard, question_id))

    def add_tile(self, tile: TileRecord, num_questions: int) -> None:
        """Count a tile."""
        self._counter.add_tile(tile, num_questions)

    def statistics(self) -> DatasetStatistics:
        """Return what was counted."""
        return self._counter.finish()

    def wanted(self) -> set[ShardQuestion]:
        """Return the questions of which the records are wanted, by `samples` and `audit`."""
        return {question for _, question in self._samples.chosen()} | set(self._audit.held())

    def samples(self, records: Mapping[ShardQuestion, Record]) -> tuple[Record, ...]:
        """Return the questions to be shown, see `preview.choose_samples`."""
        return tuple(records[question] for _, question in self._samples.chosen())

    def audit(self, records: Mapping[ShardQuestion, Record], tiles: Iterable[TileRecord]) -> Mapping[str, Any]:
        """Return what rules guess, see `short.short_audit`; empty without an audit.

        Args:
            records: those that are wanted.
            tiles: all of the data set.
        """
        sample = self._audit.changed(lambda question: record_item(records[question], ""))
        return audit_drawn(sample, tiles, seed=self._seed)
