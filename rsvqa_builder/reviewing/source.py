"""A data set as a review sees it: its questions, and its images by name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from rsvqa.annotation.review.content import EditableContent, ReviewQuestion, content_key
from rsvqa.annotation.review.pictures import PicturePlace
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader, read_images
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, Row, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import RowGroup, ShardError, TableKind, list_shards, read_row_group, split_of
from rsvqa.rsvqa_builder.dataset.stored_tiles import image_key

STORE = "review.sqlite"
"""Name of the store in the data set's folder; builds and exports never touch it."""
_COLUMNS = (*TEXT_COLUMNS, Column.EVIDENCE)
_TILE_COLUMNS = (
    *(Column.IMAGE_ID, Column.SCENE, Column.TILE, Column.CRS, Column.GSD, Column.FOOTPRINT, Column.DATE),
    *(Column.LATER_DATE, Column.SCENE_SOURCE, Column.LICENCE, Column.QUESTION_ID),
)


def store_path(folder: Path, store: Path | None) -> Path:
    """Return where the decisions on a data set are kept."""
    return folder / STORE if store is None else store


class SourceTile(NamedTuple):
    """A tile of a data set: where it lies, the name of its plain image, and how many questions are about it."""

    tile: TileRecord
    image: str | None
    num_questions: int


class ReviewSource:
    """The questions and tiles of a data set's folder, read once, and where its images are.

    Raises:
        ShardError: when the folder has no whole set of shards; one without questions has its tiles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = _shards_of(folder)
        self._groups: dict[str, RowGroup] = {}
        self._places: dict[str, PicturePlace] = {}

    @property
    def image_names(self) -> tuple[str, ...]:
        """Names of the images of all questions and tiles that `questions` and `tiles` have shown."""
        return tuple(self._groups)

    def image_digests(self, store: ReviewStore) -> Mapping[str, str]:
        """Return the SHA-256 of each image's bytes, by name; a store knows those of shards that have not changed."""
        digests: dict[str, str] = {}
        for path in self._shards:
            state = path.stat()
            name = path.name if path.parent.name != "tiles" else f"tiles/{path.name}"
            shard = f"{name} {state.st_size} {state.st_mtime_ns}"
            digests.update(store.image_digests(shard, partial(_digests_of, path)))
        return digests

    def questions(self, digests: Mapping[str, str] | None = None) -> Iterator[ReviewQuestion]:
        """Yield every question in the order of the data set; no image is read, only where each is.

        Args:
            digests: of `image_digests`; without them, the questions are not told from those about other images.
        """
        seen: Counter[str] = Counter()
        for question in self._questions(digests or {}):
            key = content_key(question)
            yield replace(question, twin=seen[key]) if seen[key] else question
            seen[key] += 1

    def _questions(self, digests: Mapping[str, str]) -> Iterator[ReviewQuestion]:
        for row, split, images in self._rows(_COLUMNS):
            if row[Column.QUESTION_ID] is not None:
                question = question_of(decode(row, decode_tile(row, split)), images)
                yield replace(question, image_digests=tuple(digests[name] for name in images if digests))

    @cached_property
    def tiles(self) -> tuple[SourceTile, ...]:
        """Every tile that has a plain image, in the order of the data set; no image is read.

        A tile whose questions are all about circles has none: its marks cannot be taken out of the pixels.
        """
        return tuple(tile for tile in self.all_tiles if tile.image is not None)

    @cached_property
    def all_tiles(self) -> tuple[SourceTile, ...]:
        """Every tile, with a plain image or without, in the order of the data set; no image is read."""
        found: dict[str, SourceTile] = {}
        for row, split, images in self._rows(_TILE_COLUMNS):
            tile = decode_tile(row, split)
            known = found.setdefault(tile.image_id, SourceTile(tile, None, 0))
            self._places.update({name: PicturePlace(tile.scene, tile.image_id) for name in images})
            plain = next((name for name in images if _is_plain(name, tile)), known.image)
            asked = row[Column.QUESTION_ID] is not None
            found[tile.image_id] = SourceTile(known.tile, plain, known.num_questions + asked)
        return tuple(found.values())

    @property
    def image_places(self) -> Mapping[str, PicturePlace]:
        """Of which tile each image is, by the image's name."""
        return self._places if self.all_tiles else {}

    def _rows(self, columns: Sequence[str]) -> Iterator[tuple[Row, str, tuple[str, ...]]]:
        """Yield each row with its split and the names of its images, noting where these are."""
        for path in self._shards:
            with TableReader(path) as reader:
                for number in range(reader.info.num_row_groups):
                    names = reader.read_image_names(number, Column.IMAGE)
                    there = [name for name in columns if name in reader.columns]
                    for row, images in zip(reader.read_row_group(number, there), names, strict=True):
                        self._groups.update({name: RowGroup(path, number) for name in images})
                        yield row, split_of(path), tuple(images)

    def load_image(self, name: str) -> bytes:
        """Return the encoded bytes of one image of a question that was yielded."""
        rows = read_row_group(self._groups[name], [Column.IMAGE])
        data: bytes = next(image.data for row in rows for image in row[Column.IMAGE] if image.path == name)
        return data


def _shards_of(folder: Path) -> tuple[Path, ...]:
    """Return the shards of questions, then those of tiles without any; at least one of either."""
    kinds: tuple[TableKind, ...] = ("data", "tiles")
    present = [kind for kind in kinds if any((folder / kind).glob("*.parquet"))]
    return tuple(path for kind in present or kinds[:1] for path in list_shards(folder, kind=kind))


def _is_plain(image: str, tile: TileRecord) -> bool:
    """Return whether an image is a tile's own, without marks; of a name that is another maker's nobody knows."""
    try:
        return image_key(image, tile.window) == "tile"
    except ShardError:
        return False


def _digests_of(shard: Path) -> dict[str, str]:
    return {image.path: hashlib.sha256(image.data).hexdigest() for image in read_images(shard)}


def question_of(record: Record, images: tuple[str, ...]) -> ReviewQuestion:
    """Return a record as a question to review; `images` are the names of what it shows."""
    tile = record.tile
    return ReviewQuestion(
        question_id=record.question_id,
        task=record.task,
        split=tile.split,
        scene=tile.scene,
        source=record.source,
        review=record.review,
        language=record.language,
        images=images,
        width=tile.window.width,
        height=tile.window.height,
        content=EditableContent(
            question=record.question, options=record.options, answer=record.answer, bbox=record.bbox
        ),
        gsd=tile.gsd,
        dates=(tile.date, tile.later_date)[: len(images)],
        evidence=record.evidence,
    )


def data_set_fingerprint(folder: Path) -> str:
    """Return a SHA-256 of all questions of a data set, by which an applied review knows that it is still the same.

    Raises:
        ShardError: when the folder has no whole set of shards.
    """
    digest = hashlib.sha256()
    shards = _shards_of(folder)
    for path in [path for path in shards if path.parent.name != "tiles"] or shards:
        with TableReader(path) as reader:
            # a shard of another maker has no fingerprint, but a size
            mark = reader.metadata.get("rsvqa.fingerprint", f"{reader.info.num_bytes} bytes")
            digest.update(f"{path.name} {reader.info.num_rows} {mark}\n".encode())
    return digest.hexdigest()
