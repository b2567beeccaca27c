"""A data set opened in Python: `rsvqa.read`.

Nothing is held but the paths of its shards and how many rows each has: a question is read when it is asked for, one row
group at a time, so a data set may be larger than memory. What surprises: `len` of a data set that is narrowed to tasks
reads their column once, and `data["id"]` looks through the column of ids up to where it stands.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from rich.table import Table

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.task_names import parse_task_names
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.config import SettingsError
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.dataset.rows import Column, decode_question
from rsvqa.rsvqa_builder.dataset.shards import list_shards, split_of
from rsvqa.rsvqa_builder.opened.question import OpenedQuestion
from rsvqa.rsvqa_builder.shown import ShownResult

if TYPE_CHECKING:
    from pandas import DataFrame


class NoSuchQuestionError(RsvqaError, LookupError):
    """An opened data set has no question of this number or id."""


@dataclass(frozen=True)
class DataSet(ShownResult):
    """The questions of a data set, in the order of its shards: train, val, test.

    Attributes:
        path: its folder, or one shard.
        shards: that are read.
        tasks: names of the tasks whose questions are in it; None for all, also those that are not known here.
    """

    path: Path
    shards: tuple[Path, ...]
    tasks: frozenset[str] | None = field(default=None)

    def __len__(self) -> int:
        """Return the number of questions."""
        return self._starts[-1] if self._starts else 0

    def __iter__(self) -> Iterator[OpenedQuestion]:
        """Yield the questions, with one row group in memory."""
        for shard in self.shards:
            with TableReader(shard) as reader:
                for number in range(reader.info.num_row_groups):
                    if (places := self._places(reader, number)) is None or places:
                        rows = reader.read_row_group(number)
                        for place in range(len(rows)) if places is None else places:
                            yield _opened(rows[place], shard)

    @overload
    def __getitem__(self, which: int | str) -> OpenedQuestion: ...

    @overload
    def __getitem__(self, which: slice) -> list[OpenedQuestion]: ...

    def __getitem__(self, which: int | str | slice) -> OpenedQuestion | list[OpenedQuestion]:
        """Return the question of a number, from 0, or from the end below 0, or the one with this id; a list of a slice.

        Raises:
            NoSuchQuestionError: there is none.
        """
        if isinstance(which, str):
            return self._of_id(which)
        if isinstance(which, slice):
            return self._of_slice(range(len(self))[which])
        which = operator.index(which)
        place = which + len(self) if which < 0 else which
        if not 0 <= place < len(self):
            raise _NumberError(f"{self.path}: no question {which}: it has {len(self):,}, numbered from 0")
        shard = next(number for number, end in enumerate(self._starts) if place < end)
        place -= self._starts[shard - 1] if shard else 0
        with TableReader(self.shards[shard]) as reader:
            for number in range(reader.info.num_row_groups):
                places = self._places(reader, number)
                count = reader.num_rows_of(number) if places is None else len(places)
                if place < count:
                    row = reader.read_row_group(number)[place if places is None else places[place]]
                    return _opened(row, self.shards[shard])
                place -= count
        raise AssertionError("the shard was counted before")

    def _of_slice(self, numbers: range) -> list[OpenedQuestion]:
        if not numbers:
            return []
        first, last = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
        found = list(islice(self, first, last + 1, abs(numbers.step)))
        return found if numbers.step > 0 else found[::-1]

    def _of_id(self, question_id: str) -> OpenedQuestion:
        for shard in self.shards:
            with TableReader(shard) as reader:
                for number in range(reader.info.num_row_groups):
                    if not reader.may_hold(number, Column.QUESTION_ID, question_id):
                        continue
                    found = [row[Column.QUESTION_ID] for row in reader.read_row_group(number, [Column.QUESTION_ID])]
                    if question_id in found:
                        question = _opened(reader.read_row_group(number)[found.index(question_id)], shard)
                        if self.tasks is None or question.task in self.tasks:
                            return question
        raise NoSuchQuestionError(f"{self.path}: no question {question_id!r}")

    def filter(self, *, tasks: str | Sequence[str] | None = None, split: str | None = None) -> DataSet:
        """Return the questions of some tasks, or of one split, of these; nothing is read.

        Args:
            tasks: names, short names or levels, as in `tasks` of the commands.
            split: train, val or test.

        Raises:
            SettingsError: no such task or split.
        """
        names = self.tasks
        if tasks is not None:
            words = tasks.split(",") if isinstance(tasks, str) else tasks
            try:
                named = frozenset(parse_task_names(words))
            except ValueError as error:
                raise SettingsError(str(error)) from error
            names = named if names is None else names & named
        if split is not None and split not in SPLITS:
            raise SettingsError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
        shards = tuple(shard for shard in self.shards if split in (None, split_of(shard)))
        return replace(self, tasks=names, shards=shards)

    def to_pandas(self, columns: Sequence[str] | None = None) -> DataFrame:
        """Return the questions as a table, by default every column but the images, and the split of each.

        Raises:
            TableError: there is no such column.
        """
        import pandas as pd

        names = list(columns) if columns is not None else [name.value for name in Column if name is not Column.IMAGE]
        rows: list[dict[str, Any]] = []
        for shard in self.shards:
            with TableReader(shard) as reader:
                held = names if columns is not None else [name for name in names if name in reader.columns]
                for number in range(reader.info.num_row_groups):
                    places = self._places(reader, number)
                    read = reader.read_row_group(number, held)
                    kept = read if places is None else [read[place] for place in places]
                    rows += [{**row, "split": split_of(shard)} for row in kept]
        return pd.DataFrame(rows, columns=[*names, "split"])

    @cached_property
    def _starts(self) -> list[int]:
        """Questions up to the end of each shard."""
        return list(accumulate(map(self._count, self.shards)))

    def _count(self, shard: Path) -> int:
        with TableReader(shard) as reader:
            if self.tasks is None:
                return reader.info.num_rows
            return sum(len(self._places(reader, number) or ()) for number in range(reader.info.num_row_groups))

    def _places(self, reader: TableReader, number: int) -> list[int] | None:
        """Return which rows of a row group are of the tasks; None for all."""
        if self.tasks is None:
            return None
        rows = reader.read_row_group(number, [Column.TASK])
        return [place for place, row in enumerate(rows) if row[Column.TASK] in self.tasks]

    @cached_property
    def num_questions(self) -> dict[str, dict[str, int]]:
        """Questions of each task by split, in the order of the taxonomy, then of tasks that are not known here."""
        counts: Counter[tuple[str, str]] = Counter()
        for shard in self.shards:
            with TableReader(shard) as reader:
                for number in range(reader.info.num_row_groups):
                    named = (row[Column.TASK] for row in reader.read_row_group(number, [Column.TASK]))
                    counts.update((name, split_of(shard)) for name in named if self.tasks is None or name in self.tasks)
        names = {name for name, _ in counts}
        ordered = [*(name for name in TASKS if name in names), *sorted(names - TASKS.keys())]
        return {name: {split: counts[name, split] for split in SPLITS if counts[name, split]} for name in ordered}

    @property
    def unknown_tasks(self) -> tuple[str, ...]:
        """Tasks of a package that is not installed here; their questions can be read all the same."""
        return tuple(name for name in self.num_questions if name not in TASKS)

    def parts(self) -> Iterator[str | Table]:
        """Yield what the data set holds."""
        by_task = self.num_questions
        splits = [split for split in SPLITS if any(split in counts for counts in by_task.values())]
        if unknown := self.unknown_tasks:
            yield f"tasks of a package that is not installed here: {', '.join(unknown)}"
        total = sum(sum(counts.values()) for counts in by_task.values())
        table = Table(title=f"{self.path.resolve().name}: {total:,} questions of {len(by_task)} tasks")
        table.add_column("task", no_wrap=True)
        table.add_column("short")
        for split in splits:
            table.add_column(split, justify="right")
        for name, counts in by_task.items():
            short = TASKS[name].short if name in TASKS else ""
            table.add_row(name, short, *(f"{counts.get(split, 0):,}" for split in splits))
        yield table

    def as_json(self) -> dict[str, Any]:
        """Return the questions of each task by split."""
        return {"path": str(self.path), "questions": self.num_questions}

    def __repr__(self) -> str:
        """Return name and size."""
        return f"<DataSet {self.path}: {len(self):,} questions>"


class _NumberError(NoSuchQuestionError, IndexError):
    """No question of this number: an `IndexError`, so that whatever counts up to the end of a sequence ends there."""


def _opened(row: dict[str, Any], shard: Path) -> OpenedQuestion:
    return OpenedQuestion(decode_question(row, split_of(shard)))


def open_data_set(path: Path) -> DataSet:
    """Return the data set in a folder, or that of one shard.

    Raises:
        ShardError: there is no whole set of shards.
    """
    # read later, wherever the program is by then
    return DataSet(path, tuple(shard.absolute() for shard in list_shards(path)))
