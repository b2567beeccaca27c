"""What shards tell of their records is what all records together tell."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

from rsvqa.rsvqa_builder.auditing.short import QUESTIONS_PER_TASK, short_audit
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.documents.overview import Overview, ShardOverview, ShardQuestion
from rsvqa.rsvqa_builder.documents.preview import choose_samples
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from tests.rsvqa_builder.make_records import make_record, make_tile


def rows_of(num_tiles: int, most: int) -> list[TileRows]:
    """Return tiles of nine scenes with less than so many questions each."""
    rng = random.Random(0)
    tiles = [make_tile(f"s{number % 9}/{number}_0", scene=f"s{number % 9}") for number in range(num_tiles)]
    return [
        TileRows(
            tile,
            tuple(
                make_record(tile, rng.choice(["overall_counting", "object_colour"]), number=number)
                for number in range(rng.randrange(most))
            ),
        )
        for tile in tiles
    ]


def overview_of(shards: Sequence[Sequence[TileRows]], *, has_audit: bool = True) -> Overview:
    """Return what is told of shards, after it has been stored."""
    overview = Overview(seed=3)
    for shard in shards:
        looker = ShardOverview(seed=3, has_audit=has_audit)
        for rows in shard:
            looker.look(rows)
        overview.join(json.loads(json.dumps(looker.told())))
    for shard in shards:
        for rows in shard:
            overview.add_tile(rows.tile, len(rows.records))
    return overview


def wanted_of(overview: Overview, shards: Sequence[Sequence[TileRows]]) -> Mapping[ShardQuestion, Record]:
    """Return the records that are wanted."""
    records = {
        ShardQuestion(number, record.question_id): record
        for number, shard in enumerate(shards)
        for rows in shard
        for record in rows.records
    }
    return {question: records[question] for question in overview.wanted()}


def test_shards_tell_what_all_records_do() -> None:
    rows = rows_of(40, 4)
    records = [record for one in rows for record in one.records]
    tiles = [one.tile for one in rows]
    assert {one.records == () for one in rows} == {True, False}
    for shards in ([rows], [rows[:7], rows[7:8], [], rows[8:]], [[one] for one in rows]):
        overview = overview_of(shards)
        wanted = wanted_of(overview, shards)
        assert overview.statistics() == dataset_statistics(records, tiles)
        assert overview.samples(wanted) == choose_samples(records, seed=3)
        assert overview.audit(wanted, tiles) == short_audit(records, tiles, seed=3)
        assert overview.audit(wanted, tiles)["overall_counting"]


def test_of_many_questions_those_are_drawn_that_one_draw_would_keep() -> None:
    rows = rows_of(900, 7)
    records = [record for one in rows for record in one.records]
    shards = [rows[:300], rows[300:500], rows[500:]]
    overview = overview_of(shards)
    wanted = wanted_of(overview, shards)
    assert 2 * QUESTIONS_PER_TASK <= len(wanted) <= 2 * QUESTIONS_PER_TASK + 6 < len(records)
    tiles = [one.tile for one in rows]
    assert overview.audit(wanted, tiles) == short_audit(records, tiles, seed=3)


def test_without_an_audit_only_the_samples_are_wanted() -> None:
    rows = rows_of(40, 4)
    overview = overview_of([rows], has_audit=False)
    wanted = wanted_of(overview, [rows])
    assert len(wanted) == 6  # three of each task
    assert overview.audit(wanted, [one.tile for one in rows]) == {}


def test_nothing_was_looked_at() -> None:
    for overview in (Overview(seed=3), overview_of([[]])):
        assert overview.statistics() == dataset_statistics([], [])
        assert overview.wanted() == set()
        assert overview.samples({}) == ()
        assert overview.audit({}, []) == {}
