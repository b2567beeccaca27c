"""Tiles that repeat each other, and tiles that are in another image set (a benchmark).

Identical content is told by the encoded bytes (the encoder is deterministic). Alike content is told by a difference
hash of 16 × 16 cells: it survives re-encoding, resizing and small changes of contrast, not rotation or another crop.
A tile without contrast (open water, night) has no hash and is like no other.

The hash is ten lines of our own: imagehash (4.3, with scipy and PyWavelets) hashes the noise of open water too, 93 bits
apart for two such tiles, and reads every pixel, 0.6 s for 8,000 px instead of 2 ms.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.images import ImageError, ImageSize, Pixels, decode_image, read_header

HASH_SIDE = 16
NEAR_BITS = 25
"""Hashes of at most this distance are near-duplicates: a tenth of 256 bits; unrelated images differ by 128 ± 8."""

_SAMPLES_PER_CELL = 16
_ENOUGH_PX = 2_048
"""Of the shorter side of an image that is compared; the hash looks at 272."""
_MIN_CONTRAST = 2.0
"""Standard deviation of the cells' grey values under which neighbours are compared by noise alone."""

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
_TABLE_SUFFIXES = {".parquet", ".arrow"}


class ExcludeError(RsvqaError):
    """The image set to exclude cannot be read."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedImages:
    """What tiles are compared with.

    Attributes:
        hashes: difference hash → name of the image.
        num_images: all that were found, also those without a hash.
        unreadable: name → reason, of images that cannot be decoded, and so are not compared.
        without_contrast: names of images that have no hash, and so are like no tile.
    """

    hashes: Mapping[str, str] = field(default_factory=dict)
    num_images: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    without_contrast: Sequence[str] = ()


class Alike(NamedTuple):
    """Two tiles of (nearly) the same content; `bits` is the distance of their hashes: 0 need not mean identical."""

    first: int
    second: int
    bits: int


def content_digest(encoded: Sequence[bytes]) -> str:
    """Return the SHA-256 of a tile's encoded images, as hex."""
    digest = hashlib.sha256()
    for image in encoded:
        digest.update(len(image).to_bytes(8, "little"))
        digest.update(image)
    return digest.hexdigest()


def difference_hash(pixels: Pixels) -> str | None:
    """Return the 256-bit difference hash of an (H, W, 3) image as hex, or None when it has no contrast.

    Bit (r, c) says that cell (r, c + 1) is brighter than cell (r, c), on a grid of 16 rows × 17 columns. Difference
    hash: N. Krawetz, "Kind of Like That" (2013); 16 × 16 here instead of 8 × 8, because tiles of one landscape look
    alike.
    """
    rows = _sample_positions(pixels.shape[0], HASH_SIDE)
    columns = _sample_positions(pixels.shape[1], HASH_SIDE + 1)
    sample = pixels[rows[:, None], columns[None, :]].astype(np.float64)
    grey = sample @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
    cells = grey.reshape(HASH_SIDE, _SAMPLES_PER_CELL, HASH_SIDE + 1, _SAMPLES_PER_CELL).mean(axis=(1, 3))
    if cells.std() < _MIN_CONTRAST:
        return None
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def find_alike(digests: Sequence[str], hashes: Sequence[str | None]) -> list[Alike]:
    """Return pairs of tiles with identical content or hashes at most `NEAR_BITS` apart, by first and second tile.

    Each of several identical tiles is paired with the first only.
    """
    first_of: dict[str, int] = {}
    found = [
        Alike(first, index, 0)
        for index, key in enumerate(digests)
        if (first := first_of.setdefault(key, index)) < index
    ]
    repeated = {pair.second for pair in found}
    hashed = [index for index, value in enumerate(hashes) if value is not None and index not in repeated]
    bits = _as_words([hashes[index] or "" for index in hashed])
    for position, index in enumerate(hashed):
        distances = np.bitwise_count(bits[position + 1 :] ^ bits[position]).sum(axis=1)
        found.extend(
            Alike(index, hashed[position + 1 + offset], int(distances[offset]))
            for offset in np.flatnonzero(distances <= NEAR_BITS)
        )
    return sorted(found)


def find_excluded(hashes: Sequence[str | None], excluded: Mapping[str, str]) -> dict[int, str]:
    """Return, by index of the tile, the name of an excluded image that it looks like.

    Args:
        hashes: of the tiles.
        excluded: difference hash → name of the image, see `ExcludedImages`.
    """
    names = list(excluded.values())
    bits = _as_words(list(excluded))
    found: dict[int, str] = {}
    for index, value in enumerate(hashes):
        if value is None or not names:
            continue
        distances = np.bitwise_count(bits ^ _as_words([value])[0]).sum(axis=1)
        if distances.min() <= NEAR_BITS:
            found[index] = names[int(distances.argmin())]
    return found


def find_excluded_files(sources: Sequence[str]) -> list[Path]:
    """Return the files that `read_excluded` reads, by name only.

    Raises:
        ExcludeError: when a source is not there, or is of no known kind.
    """
    return [file for source in sources for file in _files_of(Path(source))]


def read_excluded(sources: Sequence[str]) -> ExcludedImages:
    """Return the difference hashes of every image in folders of images, parquet shards or arrow files.

    Nothing of an image is kept but its hash.

    Raises:
        ExcludeError: when a source is not there, holds no image, or none that can be decoded.
    """
    hashes: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    without_contrast: list[str] = []
    num_images = 0
    for source in sources:
        num_before, num_unreadable = num_images, len(unreadable)
        for name, encoded in _iter_images(Path(source)):
            num_images += 1
            try:
                value = difference_hash(_decode(encoded))
            except ImageError as error:
                unreadable.setdefault(name, str(error))
                continue
            if value is None:
                without_contrast.append(name)
            else:
                hashes.setdefault(value, name)
        if num_images == num_before:
            raise ExcludeError(
                f"`exclude` {source}: no image found; expected a folder of images, or parquet or arrow files"
            )
        if len(unreadable) - num_unreadable == num_images - num_before:
            name = next(reversed(unreadable))
            raise ExcludeError(f"`exclude` {source}: cannot decode {name}: {unreadable[name]}; nor any other image")
    return ExcludedImages(
        hashes=hashes, num_images=num_images, unreadable=unreadable, without_contrast=tuple(without_contrast)
    )


def _files_of(source: Path) -> list[Path]:
    known = _IMAGE_SUFFIXES | _TABLE_SUFFIXES
    if source.is_dir():
        return [file for file in sorted(source.rglob("*")) if file.suffix.lower() in known]
    if not source.is_file():
        raise ExcludeError(f"`exclude` {source}: no such file or folder")
    if source.suffix.lower() not in known:
        raise ExcludeError(f"`exclude` {source}: not a folder, image, parquet or arrow file")
    return [source]


def _iter_images(source: Path) -> Iterator[tuple[str, bytes]]:
    from rsvqa.rsvqa_builder.dataset.shards import iter_images  # pyarrow takes a while to import

    for file in _files_of(source):
        if file.suffix.lower() in _IMAGE_SUFFIXES:
            yield str(file), file.read_bytes()
        else:
            for name, encoded in iter_images(file):
                yield f"{file}: {name}", encoded


def _decode(encoded: bytes) -> Pixels:
    """Return an image's pixels; of a large JPEG a half, a quarter or an eighth, which libjpeg decodes fastest."""
    header = read_header(encoded)
    if header.suffix != ".jpg":
        return decode_image(encoded)
    factor = next((f for f in (8, 4, 2) if min(header.size) // f >= _ENOUGH_PX), 1)
    return decode_image(encoded, at_least=ImageSize(*(math.ceil(side / factor) for side in header.size)))


def _sample_positions(size: int, cells: int) -> NDArray[np.intp]:
    count = cells * _SAMPLES_PER_CELL
    return ((np.arange(count) + 0.5) * size / count).astype(np.intp)


def _as_words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    width = HASH_SIDE * HASH_SIDE // 64
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(-1, width)
