"""The questions of a data set that `rsvqa build` wrote, as an audit looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import shapely

from rsvqa.annotation.images import ImageError
from rsvqa.annotation.lettering import LETTERS, LETTERS_LOST, letters_fault
from rsvqa.rsvqa_builder.auditing.items import AuditImage, AuditItem
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage, TableReader
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK, Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, Row, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import list_shards, split_of
from rsvqa.rsvqa_builder.tiles.splits import group_places


def record_item(record: Record, place: str, images: tuple[AuditImage, ...] = ()) -> AuditItem:
    """Return a record as an audit looks at it."""
    tile = record.tile
    fault = letters_fault(record.options, record.answer) if record.options else None
    options = () if fault == LETTERS_LOST else record.option_texts
    return AuditItem(
        where=record.question_id,
        task=record.task,
        form=record.form,
        question=record.question,
        options=options,
        right=tuple(LETTERS.index(letter) for letter in record.answer) if options and not fault else (),
        reference="" if record.options else record.answer,
        box=record.bbox,
        size=(tile.window.width, tile.window.height),
        split=tile.split,
        place=place,
        image=tile.image_id,
        language=record.language,
        images=images,
        problem=fault or "" if fault == LETTERS_LOST else "",
    )


def places_of(tiles: Iterable[TileRecord]) -> dict[str, str]:
    """Return the place of each tile by its id; tiles that share a scene or touch on the ground are one place."""
    known = {tile.image_id: tile for tile in tiles}
    footprints = [None if tile.footprint is None else shapely.from_wkb(tile.footprint) for tile in known.values()]
    ids = list(known)
    places = group_places(
        [tile.scene for tile in known.values()], lambda indices: [footprints[index] for index in indices], []
    )
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


def read_shard_items(source: Path, *, images: bool = False) -> Iterator[AuditItem]:
    """Yield the questions of a data set's folder in order, those that review holds back left out.

    Args:
        source: the folder, or one shard.
        images: read the images too.
    """
    places = shard_places(source)
    columns = (*TEXT_COLUMNS, Column.IMAGE, Column.IMAGE_WIDTH, Column.IMAGE_HEIGHT) if images else TEXT_COLUMNS
    for path in list_shards(source):
        split = split_of(path)
        with TableReader(path) as reader:
            for number in range(reader.info.num_row_groups):
                for row in reader.read_row_group(number, columns):
                    record = decode(row, decode_tile(row, split))
                    if record.review not in HELD_BACK:
                        shown = tuple(_images(row)) if images else ()
                        yield record_item(record, places[record.tile.image_id], shown)


def _images(row: Row) -> Iterator[AuditImage]:
    stated = row[Column.IMAGE_WIDTH], row[Column.IMAGE_HEIGHT]
    for image in row[Column.IMAGE]:
        yield AuditImage(name=image.path, read=partial(_bytes_of, image), stated=stated)


def _bytes_of(image: EncodedImage) -> bytes:
    if not image.data:
        raise ImageError("has no bytes")
    return image.data
