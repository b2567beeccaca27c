"""What is taken of records while they pass is what all of them together tell."""

from __future__ import annotations

import random

from rsvqa.rsvqa_builder.auditing.short import short_audit
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.documents.overview import Overview
from rsvqa.rsvqa_builder.documents.preview import choose_samples
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from tests.rsvqa_builder.make_records import make_record, make_tile


def test_one_pass_gives_what_a_pass_for_each_does() -> None:
    rng = random.Random(0)
    tiles = [make_tile(f"s{number % 9}/{number}_0", scene=f"s{number % 9}") for number in range(40)]
    rows = [
        TileRows(
            tile,
            tuple(
                make_record(tile, rng.choice(["overall_counting", "object_colour"]), number=number)
                for number in range(rng.randrange(4))
            ),
        )
        for tile in tiles
    ]
    overview = Overview(seed=3, has_audit=True)
    for one in rows:
        overview.look(one)
    records = [record for one in rows for record in one.records]
    assert {one.records == () for one in rows} == {True, False}
    assert overview.statistics() == dataset_statistics(records, tiles)
    assert overview.samples() == choose_samples(records, seed=3)
    assert overview.audit(tiles) == short_audit(records, tiles, seed=3)
    assert overview.audit(tiles)["overall_counting"]


def test_nothing_was_looked_at() -> None:
    overview = Overview(seed=0, has_audit=True)
    assert overview.statistics() == dataset_statistics([], [])
    assert overview.samples() == ()
    assert overview.audit([]) == {}
    assert Overview(seed=0, has_audit=False).audit([]) == {}
