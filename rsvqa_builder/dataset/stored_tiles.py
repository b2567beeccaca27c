"""A finished data set read back: its tiles with their records, and the images that they show.

What surprises: an image that no question shows is in no shard, so a tile whose questions are all about circles comes
back without its plain view.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.dataset.rows import Column, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import (
    RowGroup,
    ShardError,
    TableKind,
    TileRows,
    list_row_groups,
    list_shards,
    read_row_group,
    split_of,
)
from rsvqa.rsvqa_builder.scenes.tiling import Window

_KEY_OF = {"": "tile", "marked": "tile_marked"}
"""Keys of `TileRecord.images` by what follows the tile's place in an image's name; others are their own key."""


@dataclass(frozen=True, slots=True)
class StoredTile:
    """A tile as stored: its rows, and the row groups that hold its images."""

    rows: TileRows
    groups: tuple[RowGroup, ...]

    def load_images(self) -> dict[str, bytes]:
        """Return the tile's encoded images by their keys in `TileRecord.images`."""
        images: dict[str, bytes] = {}
        for group in self.groups:
            for row in read_row_group(group, [Column.IMAGE, Column.IMAGE_ID]):
                if row[Column.IMAGE_ID] == self.rows.tile.image_id:
                    images.update(
                        {image_key(image.path, self.rows.tile.window): image.data for image in row[Column.IMAGE]}
                    )
        return images


class ImageLoader:
    """Reads the encoded images of stored tiles, those of the last one kept."""

    def __init__(self, tiles: Iterable[StoredTile]) -> None:
        self._tiles = {tile.rows.tile.image_id: tile for tile in tiles}
        self._last: tuple[str, Mapping[str, bytes]] = ("", {})

    def all(self, tile: TileRecord) -> Mapping[str, bytes]:
        """Return all images of a tile, by key."""
        if self._last[0] != tile.image_id:
            self._last = (tile.image_id, self._tiles[tile.image_id].load_images())
        return self._last[1]

    def one(self, tile: TileRecord, key: str) -> bytes:
        """Return one image of a tile."""
        return self.all(tile)[key]


def read_tiles(folder: Path) -> list[StoredTile]:
    """Return every tile of a data set, in the order of its shards: train, val, test, then those without questions.

    Holds the images of one row group at a time, to learn their sizes.

    Raises:
        ShardError: when the folder has no whole set of shards.
    """
    tiles: dict[str, StoredTile] = {}
    kinds: tuple[TableKind, ...] = ("data", "tiles")
    present = [kind for kind in kinds if any((folder / kind).glob("*.parquet"))]
    for kind in present or kinds[:1]:
        list_shards(folder, kind=kind)  # says what is missing
        for group in list_row_groups(folder, kind=kind):
            _add_rows(tiles, group)
    return list(tiles.values())


def _add_rows(tiles: dict[str, StoredTile], group: RowGroup) -> None:
    for row in read_row_group(group):
        stored = tiles.get(row[Column.IMAGE_ID]) or StoredTile(TileRows(decode_tile(row, split_of(group.path))), ())
        tile = replace(
            stored.rows.tile, images={**stored.rows.tile.images, **_sizes(row[Column.IMAGE], stored.rows.tile)}
        )
        records = stored.rows.records
        if row[Column.QUESTION_ID] is not None:
            shown = (image_key(image.path, tile.window) for image in row[Column.IMAGE])
            records = (*records, decode(row, tile, images=shown))
        groups = stored.groups if group in stored.groups else (*stored.groups, group)
        tiles[tile.image_id] = StoredTile(TileRows(tile, records), groups)


def image_key(path: str, window: Window) -> str:
    """Return the key of an image in `TileRecord.images`, from its name in the data set.

    Raises:
        ShardError: when the name is not that of an image of a tile at `window`.
    """
    stem, place = PurePosixPath(path).stem, f"{window.x}_{window.y}"
    variant = stem.removeprefix(place)
    if not stem.startswith(place) or (variant and not variant.startswith("_")):
        raise ShardError(f"image {path}: expected a name that begins with {place}, the tile's place")
    return _KEY_OF.get(variant[1:], variant[1:])


def _sizes(images: list[EncodedImage], tile: TileRecord) -> dict[str, int]:
    return {image_key(image.path, tile.window): len(image.data) for image in images}
