"""The questions of a data set that `rsvqa build` wrote, as an audit looks at them; no image is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import shapely

from rsvqa.annotation.lettering import LETTERS
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import list_shards, split_of
from rsvqa.rsvqa_builder.tiles.splits import group_places


def record_item(record: Record, place: str) -> AuditItem:
    """Return a record as an audit looks at it."""
    tile = record.tile
    return AuditItem(
        where=record.question_id,
        task=record.task,
        form=record.form,
        question=record.question,
        options=record.option_texts,
        right=tuple(LETTERS.index(letter) for letter in record.answer) if record.options else (),
        reference="" if record.options else record.answer,
        box=record.bbox,
        size=(tile.window.width, tile.window.height),
        split=tile.split,
        place=place,
        image=tile.image_id,
        language=record.language,
    )


def places_of(tiles: Iterable[TileRecord]) -> dict[str, str]:
    """Return the place of each tile by its id; tiles that share a scene or touch on the ground are one place."""
    known = {tile.image_id: tile for tile in tiles}
    footprints = [None if tile.footprint is None else shapely.from_wkb(tile.footprint) for tile in known.values()]
    ids = list(known)
    places = group_places([tile.scene for tile in known.values()], footprints, [])
    return {ids[number]: ids[place[0]] for place in places for number in place}


def shard_places(source: Path) -> Mapping[str, str]:
    """Return the place of each tile with a question."""
    columns = [Column.IMAGE_ID, Column.SCENE, Column.TILE, Column.FOOTPRINT, Column.GSD, Column.DATE, Column.LATER_DATE]
    tiles = []
    for path in list_shards(source):
        with TableReader(path) as reader:
            for number in range(reader.info.num_row_groups):
                rows = reader.read_row_group(number, columns)
                tiles += [decode_tile(row, split_of(path)) for row in rows[:1]]  # a row group is of one tile
    return places_of(tiles)


def read_shard_items(source: Path) -> Iterator[AuditItem]:
    """Yield the questions of a data set's folder in order."""
    places = shard_places(source)
    for path in list_shards(source):
        split = split_of(path)
        with TableReader(path) as reader:
            for number in range(reader.info.num_row_groups):
                for row in reader.read_row_group(number, TEXT_COLUMNS):
                    record = decode(row, decode_tile(row, split))
                    yield record_item(record, places[record.tile.image_id])
