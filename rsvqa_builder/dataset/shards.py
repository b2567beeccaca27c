"""The data set's shards: the plan of which tile goes where, the writer and the reader.

What surprises: a row group holds the rows of one tile that share images, so a tile fills one row group with its plain
views and another with its marked ones. What a row holds says `rows.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from rsvqa.annotation.errors import NothingUsableError, RsvqaError
from rsvqa.annotation.images import ImageError, read_header
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.image_tables import (
    EncodedImage,
    TableReader,
    TableWriter,
    read_images,
    split_rows,
    table_schema,
)
from rsvqa.rsvqa_builder.dataset.output import why_unfinished
from rsvqa.rsvqa_builder.dataset.records import SPLITS, Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS, encode, encode_texts, encode_tile

FORMAT_VERSION = 1
"""The version of the columns and their meaning; stored in each shard."""

TableKind = Literal["data", "tiles"]
"""Folder of a shard: "data" holds questions, "tiles" holds tiles about which nothing was asked."""

Tile = TypeVar("Tile")

_TEXT_BYTES = 1_000  # of a row beside its images, compressed; only steers the size of shards
_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.parquet")


class ShardError(RsvqaError):
    """Shards cannot be planned, written or read; the message names the tile, record or file."""


class NoShardsError(ShardError, NothingUsableError):
    """A folder holds no data set, or no question of the split that is wanted."""


@dataclass(frozen=True, slots=True)
class TileRows:
    """A tile and its records; none for a tile about which nothing was asked."""

    tile: TileRecord
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """One planned shard.

    Attributes:
        name: below the data set's folder, e.g. "data/train-00000-of-00003.parquet".
        first_index: `index` of its first row.
        tiles: in plan order.
    """

    name: str
    first_index: int
    tiles: Sequence[TileRows]


class ShardInfo(NamedTuple):
    """One shard on disk; `num_bytes` is the size of the file."""

    name: str
    split: str
    num_rows: int
    num_row_groups: int
    num_bytes: int


class RowGroup(NamedTuple):
    """One row group on disk: what can be read at once, and shuffled without reading the rest."""

    path: Path
    number: int


# --- plan ---


def plan_shards(tiles: Iterable[TileRows], *, shard_mb: float = 1_000) -> tuple[Shard, ...]:
    """Return which tile goes into which shard: a pure function of the tiles, their records and image sizes.

    Tiles keep their order within a split. A shard is closed before the tile that would take it beyond `shard_mb` (10^6
    bytes); a tile that is larger alone gets a shard of its own. `index` runs through the shards of "data" in the order
    train, val, test, and from 0 again through those of "tiles".

    Raises:
        ShardError: when a record belongs to another tile, shows an image the tile has not, or the split is unknown.
    """
    return tuple(
        Shard(name, first_index, tuple(run))
        for name, first_index, run in plan_runs(map(_plan_tile, tiles), shard_mb=shard_mb)
    )


class PlannedTile(NamedTuple, Generic[Tile]):
    """The least that decides where a tile goes.

    Attributes:
        tile: whatever the caller knows it by.
        split: its split.
        num_records: its questions.
        num_bytes: about how many bytes it takes, see `count_bytes`.
    """

    tile: Tile
    split: str
    num_records: int
    num_bytes: int


class PlannedRun(NamedTuple, Generic[Tile]):
    """The tiles of one shard; fields as in `Shard`."""

    name: str
    first_index: int
    tiles: Sequence[Tile]


def plan_runs(tiles: Iterable[PlannedTile[Tile]], *, shard_mb: float) -> list[PlannedRun[Tile]]:
    """Return what `plan_shards` does, of tiles of which only the sizes are known."""
    if shard_mb <= 0:
        raise ShardError(f"shard size must be above 0 MB, found {shard_mb}")
    groups: dict[tuple[TableKind, str], list[PlannedTile[Tile]]] = {
        (kind, split): [] for kind in ("data", "tiles") for split in SPLITS
    }
    for planned in tiles:
        groups["data" if planned.num_records else "tiles", planned.split].append(planned)
    shards: list[PlannedRun[Tile]] = []
    next_index = {"data": 0, "tiles": 0}
    for (kind, split), members in groups.items():
        runs = split_rows(((planned, planned.num_bytes) for planned in members), max_bytes=int(shard_mb * 1_000_000))
        for number, run in enumerate(runs):
            name = f"{kind}/{split}-{number:05d}-of-{len(runs):05d}.parquet"
            shards.append(PlannedRun(name, next_index[kind], [planned.tile for planned in run]))
            next_index[kind] += sum(max(1, planned.num_records) for planned in run)
    return shards


def _plan_tile(rows: TileRows) -> PlannedTile[TileRows]:
    _check_tile(rows)
    num_bytes = count_bytes(rows.tile.images, rows.records)
    return PlannedTile(rows, rows.tile.split, len(rows.records), num_bytes)


def _check_tile(rows: TileRows) -> None:
    tile = rows.tile
    if tile.split not in SPLITS:
        raise ShardError(f"tile {tile.image_id}: split {tile.split!r} is not one of {', '.join(SPLITS)}")
    # beside questions the plain view may be missing: read back from shards, a tile has the images that are shown
    if "tile" not in tile.images and not rows.records:
        raise ShardError(f"tile {tile.image_id}: no image 'tile' among {', '.join(tile.images) or 'none'}")
    for record in rows.records:
        if record.tile.image_id != tile.image_id:
            raise ShardError(f"record {record.question_id} is about {record.tile.image_id}, not {tile.image_id}")
        if record.task not in TASKS:
            raise ShardError(f"record {record.question_id}: {record.task!r} is not a task of the taxonomy")
        if not record.images or not set(record.images) <= set(tile.images):
            shown, held = ", ".join(record.images) or "no image", ", ".join(tile.images)
            raise ShardError(f"record {record.question_id} shows {shown}, but its tile has {held}")


class Showing(Protocol):
    """Whatever shows images of a tile."""

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of the images, in order."""
        ...


Shower = TypeVar("Shower", bound=Showing)


def count_bytes(sizes: Mapping[str, int], questions: Sequence[Showing]) -> int:
    """Return about how many bytes the row groups of a tile take on disk: with these images and questions."""
    total = 0
    for group in _row_groups(sizes, questions):
        keys = {key for question in group for key in _view(sizes, question)}
        total += sum(sizes[key] for key in keys) + _TEXT_BYTES * len(group)
    return total


def _view(sizes: Mapping[str, int], question: Showing | None) -> tuple[str, ...]:
    """Return what a row shows; without a question the tile, and its later date if there is one."""
    return question.images if question else tuple(key for key in ("tile", "later") if key in sizes)


def _row_groups(sizes: Mapping[str, int], questions: Sequence[Shower]) -> list[list[Shower | None]]:
    """Return a tile's questions by row group; `None` stands for the row of a tile without questions."""
    if not questions:
        return [[None]]
    return [
        [*run]
        for group in group_by_shared_images(questions)
        for run in split_rows((question, sum(sizes[key] for key in question.images)) for question in group)
    ]


def group_by_shared_images(records: Iterable[Shower]) -> list[list[Shower]]:
    """Return the records in groups that have no image in common, by first appearance; equal views stand together."""
    views: dict[tuple[str, ...], list[Shower]] = {}
    for record in records:
        views.setdefault(record.images, []).append(record)
    groups: list[dict[tuple[str, ...], list[Shower]]] = []
    for view, members in views.items():
        touching = [group for group in groups if any(set(view) & set(other) for other in group)]
        groups = [group for group in groups if group not in touching]
        merged = {other: rows for group in touching for other, rows in group.items()}
        groups.append({**merged, view: members})
    order = {view: position for position, view in enumerate(views)}
    groups.sort(key=lambda group: min(order[view] for view in group))
    return [[record for view in sorted(group, key=order.__getitem__) for record in group[view]] for group in groups]


# --- write ---


def write_shards(
    folder: Path,
    shards: Sequence[Shard],
    *,
    load_images: Callable[[TileRecord], Mapping[str, bytes]],
) -> tuple[ShardInfo, ...]:
    """Write the planned shards below `folder`; a shard that is already there with the same rows is kept.

    Holds the records of one shard at a time, and the images of one tile, as `load_images` returns them: encoded bytes
    by the keys of `tile.images`.

    Raises:
        ShardError: when a shard of another plan lies in the folder, or an image is not what the tile's record says.
    """
    _refuse_foreign_shards(folder, shards)
    for shard in shards:
        if not _is_written(folder / shard.name, shard):
            write_shard(folder / shard.name, shard.first_index, shard.tiles, load_images=load_images)
    return tuple(shard_info(folder / shard.name) for shard in shards)


def _refuse_foreign_shards(folder: Path, shards: Sequence[Shard]) -> None:
    planned = {folder / shard.name for shard in shards}
    found = sorted(path for kind in ("data", "tiles") for path in (folder / kind).glob("*.parquet"))
    if foreign := [path for path in found if path not in planned]:
        raise ShardError(f"{foreign[0]} is not a shard of this data set; remove it or build into an empty folder")


def _is_written(path: Path, shard: Shard) -> bool:
    if not path.exists():
        return False
    return fingerprint_in(path) == fingerprint(shard)


def fingerprint_in(path: Path) -> str | None:
    """Return what `fingerprint` said of a shard when it was written."""
    with TableReader(path) as reader:
        return reader.metadata.get("rsvqa.fingerprint")


def fingerprint(shard: Shard) -> str:
    """Return a SHA-256 of all that a shard holds but the pixels, of which it knows the sizes."""
    digest = _digest_from(shard.first_index)
    for rows in shard.tiles:
        digest.update(_content(rows))
    return digest.hexdigest()


def _digest_from(first_index: int) -> hashlib._Hash:
    return hashlib.sha256(json.dumps([FORMAT_VERSION, first_index]).encode())


def _content(rows: TileRows) -> bytes:
    content = [sorted(rows.tile.images.items()), encode_tile(rows.tile), [encode_texts(r) for r in rows.records]]
    return json.dumps(content, sort_keys=True, default=bytes.hex).encode()


def write_shard(
    path: Path,
    first_index: int,
    tiles: Iterable[TileRows],
    *,
    load_images: Callable[[TileRecord], Mapping[str, bytes]],
) -> str:
    """Write one shard and return its fingerprint; one tile at a time is looked at and held.

    Raises:
        ShardError: when an image is not what the tile's record says.
    """
    index = first_index
    digest = _digest_from(first_index)
    metadata = {"rsvqa.format_version": str(FORMAT_VERSION)}
    with TableWriter(path, table_schema(COLUMNS), metadata=metadata) as writer:
        for rows in tiles:
            digest.update(_content(rows))
            images = _named_images(rows.tile, load_images(rows.tile))
            for group in _row_groups(rows.tile.images, rows.records):
                writer.write_row_group(
                    [
                        encode(index + i, rows.tile, record, [images[key] for key in _view(rows.tile.images, record)])
                        for i, record in enumerate(group)
                    ]
                )
                index += len(group)
        writer.metadata["rsvqa.fingerprint"] = digest.hexdigest()
    return digest.hexdigest()


def _named_images(tile: TileRecord, loaded: Mapping[str, bytes]) -> dict[str, EncodedImage]:
    images = {}
    for key, size in tile.images.items():
        if key not in loaded or len(loaded[key]) != size:
            found = f"{len(loaded[key])} bytes" if key in loaded else "none"
            raise ShardError(f"tile {tile.image_id}: image {key!r} has {found}, expected {size} bytes")
        images[key] = EncodedImage(image_path(tile, key, loaded[key]), loaded[key])
    return images


def image_path(tile: TileRecord, key: str, data: bytes) -> str:
    """Return an image's name in the data set, e.g. "city/8192_0_marked.jpg", with the suffix of what it holds.

    Raises:
        ShardError: when it is no image, or its size is not the tile's.
    """
    try:
        header = read_header(data)
    except ImageError as error:
        raise ShardError(f"tile {tile.image_id}: image {key!r}: {error}") from error
    window = tile.window
    if (header.width, header.height) != (window.width, window.height):
        sizes = f"{header.width} x {header.height} px, expected {window.width} x {window.height}"
        raise ShardError(f"tile {tile.image_id}: image {key!r} has {sizes}")
    variant = key.removeprefix("tile").removeprefix("_")
    return f"{tile.scene}/{window.x}_{window.y}{'_' if variant else ''}{variant}{header.suffix}"


# --- read ---


def list_shards(source: Path, *, split: str | None = None, kind: TableKind = "data") -> tuple[Path, ...]:
    """Return the shards of a data set's folder in reading order (train, val, test); `source` may be one shard.

    Raises:
        NoShardsError: when there is none.
        ShardError: when some of a split are missing, or the data set is not finished.
    """
    if source.is_file():
        return (source,)
    found: dict[str, list[tuple[int, int, Path]]] = {}
    for path in sorted((source / kind).glob("*.parquet")):
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match["split"], []).append((int(match["number"]), int(match["total"]), path))
    wanted = [name for name in SPLITS if name in found and split in (None, name)]
    if not wanted:
        raise NoShardsError(_why_no_shards(source, split, kind, sorted(found)))
    for name in wanted:
        _check_complete(source / kind, name, found[name])
    paths = tuple(path for name in wanted for _, _, path in found[name])
    if reason := why_unfinished(source, [f"{kind}/{path.name}" for path in paths]):
        raise ShardError(reason)
    return paths


def _why_no_shards(source: Path, split: str | None, kind: TableKind, held: Sequence[str]) -> str:
    if not source.exists():
        return f"{source}: no such folder; expected a data set that `rsvqa build` wrote"
    if not held and (reason := why_unfinished(source, ())):
        return reason
    if split is not None and split not in SPLITS:
        return f"no shards of split {split!r} in {source / kind}: expected one of {', '.join(SPLITS)}"
    if held:
        return f"no shards of split {split!r} in {source / kind}: it has {', '.join(held)}"
    if kind == "data" and any((source / "tiles").glob("*.parquet")):
        return f"{source} holds no question: nothing was asked of any of its tiles, README.md says why"
    which = "shards" if split is None else f"shards of split {split!r}"
    return f"no {which} in {source / kind}: expected e.g. {split or 'train'}-00000-of-00001.parquet"


def _check_complete(folder: Path, split: str, found: Sequence[tuple[int, int, Path]]) -> None:
    total = found[0][1]
    if [(number, total) for number in range(total)] != [(number, of) for number, of, _ in found]:
        names = ", ".join(path.name for _, _, path in found)
        raise ShardError(f"{folder}: the shards of {split!r} are not one whole set of {total}: {names}")


def shard_info(path: Path, name: str = "") -> ShardInfo:
    """Return what a shard's footer says; `name` is its name below the data set's folder where it is not there yet."""
    with TableReader(path) as reader:
        info = reader.info
    name = name or f"{path.parent.name}/{path.name}"
    return ShardInfo(name, split_of(Path(name)), *info)


def split_of(path: Path) -> str:
    """Return the split that a shard's name states.

    Raises:
        ShardError: when the file is not named like a shard.
    """
    if match := _NAME.fullmatch(path.name):
        return match["split"]
    raise ShardError(f"{path} is not named like a shard, e.g. train-00000-of-00001.parquet")


def list_row_groups(source: Path, *, split: str | None = None, kind: TableKind = "data") -> Iterator[RowGroup]:
    """Yield the row groups of a data set's folder or of one shard, in reading order."""
    for path in list_shards(source, split=split, kind=kind):
        with TableReader(path) as reader:
            count = reader.info.num_row_groups
        yield from (RowGroup(path, number) for number in range(count))


def read_row_group(group: RowGroup, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the rows of one row group; see `read_records`."""
    with TableReader(group.path) as reader:
        return reader.read_row_group(group.number, columns)


def read_records(
    source: Path, *, columns: Sequence[str] | None = None, split: str | None = None, kind: TableKind = "data"
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set's folder or of one shard as mappings of column to value, in order.

    Reads only `columns` (all by default), one row group at a time. `image` is a list of `EncodedImage`; rows of a row
    group share their bytes. `evidence` is JSON text.

    Raises:
        ShardError: when there are no shards, or some are missing.
        TableError: when a file is broken or has no such column.
    """
    for path in list_shards(source, split=split, kind=kind):
        with TableReader(path) as reader:
            for number in range(reader.info.num_row_groups):
                yield from reader.read_row_group(number, columns)


def iter_images(source: Path, *, split: str | None = None, kind: TableKind = "data") -> Iterator[EncodedImage]:
    """Yield each image of a data set's folder, or of one parquet or arrow file of any maker, once."""
    seen: set[tuple[str, bytes]] = set()
    for path in list_shards(source, split=split, kind=kind):
        for image in read_images(path):
            # a name alone does not tell: other makers call every image the same
            key = (image.path, hashlib.blake2b(image.data, digest_size=16).digest())
            if key not in seen:
                seen.add(key)
                yield image
