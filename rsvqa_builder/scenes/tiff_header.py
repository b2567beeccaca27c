"""Read a TIFF's first directory by hand, before GDAL may allocate anything for it.

GDAL creates one object a band when it opens a file, so 262 bytes that declare 65,535 bands cost a hundred megabytes.
The directory also tells what GDAL does not: blocks that lie beyond the end of a file that was cut short, blocks that
are not there at all, and strips that GDAL shows as single rows. Tags and types: TIFF 6.0 (Adobe, 1992), section 2, and
the BigTIFF design of libtiff.

Written by hand because damaged files are what it is for. Pillow's reader of directories (11.0 and 13.0) stops at a tag
that points beyond the end, so that 900 bands read as one. tifffile (2026.3) agrees on sound files, but makes up byte
counts that it misses, and would save ninety lines.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAX_ENTRIES = 4096
"""A directory of a real file has tens of tags; more is damage, and GDAL is left to say so."""

_TYPE_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of the tags that are read here: BYTE, SHORT, LONG, LONG8."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIP_OFFSETS = 256, 257, 258, 259, 273
_SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_PHOTOMETRIC, _ORIENTATION = 262, 274
_NO_COMPRESSION = 1
_SEPARATE = 2


class _Entry(NamedTuple):
    """One tag: its type, its number of values and where they lie in the file."""

    type_code: int
    num_values: int
    position: int


@dataclass(frozen=True, slots=True)
class TiffHeader:
    """What the first directory declares.

    Attributes:
        width, height: pixels.
        num_bands: samples per pixel.
        bits: bits per sample (of the first one).
        block_shape: (height, width) of a tile or strip as stored.
        is_tiled: false for strips.
        is_planar: each band has blocks of its own.
        is_compressed: false for plain samples.
        offsets, byte_counts: of every block, in the order of the file; empty when the directory does not list them.
        file_bytes: size of the file.
        photometric: what samples mean; -1 when the file does not say it.
        orientation: how viewers turn the picture, numbered as in EXIF; 1 is upright.
    """

    width: int
    height: int
    num_bands: int
    bits: int
    block_shape: tuple[int, int]
    is_tiled: bool
    is_planar: bool
    is_compressed: bool
    offsets: NDArray[np.uint64]
    byte_counts: NDArray[np.uint64]
    file_bytes: int
    photometric: int
    orientation: int

    @property
    def declared_bytes(self) -> int:
        """Size of all samples when decoded."""
        return self.width * self.height * self.num_bands * self.bits // 8

    @property
    def block_bytes(self) -> int:
        """Size of one block when decoded."""
        bands = 1 if self.is_planar else self.num_bands
        return self.block_shape[0] * self.block_shape[1] * bands * self.bits // 8

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Number of blocks (down, across) of one plane."""
        return math.ceil(self.height / self.block_shape[0]), math.ceil(self.width / self.block_shape[1])

    def count_cut_blocks(self) -> int:
        """Return how many blocks lie, wholly or in part, beyond the end of the file."""
        starts_beyond = (self.offsets >= self.file_bytes) & (self.byte_counts > 0)
        if not self.is_compressed:
            # Some writers state wrong byte counts for plain samples, and GDAL works out the right ones.
            return int(starts_beyond.sum())
        # as a difference: the sum of two absurd numbers would wrap around
        room = np.where(starts_beyond, 0, self.file_bytes - np.minimum(self.offsets, self.file_bytes))
        return int((self.byte_counts > room).sum())

    def missing_blocks(self) -> NDArray[np.bool_] | None:
        """Return which blocks (down, across) are not stored in any plane, or None when all are there."""
        down, across = self.grid_shape
        if self.byte_counts.size == 0 or self.byte_counts.size % (down * across) or self.byte_counts.all():
            return None
        missing = (self.byte_counts == 0).reshape(-1, down, across).all(axis=0)
        return missing if missing.any() else None


def read_tiff_header(path: str) -> TiffHeader | None:
    """Return what the first directory of a local file declares.

    None when the file is not a TIFF or its directory cannot be read: GDAL then says what is wrong with it.

    Raises:
        OSError: the file cannot be opened.
    """
    with Path(path).open("rb") as file:
        file_bytes = file.seek(0, 2)
        try:
            reader = _DirectoryReader(file, file_bytes)
            return _header_of(reader) if reader.entries else None
        except (struct.error, ValueError, KeyError, OverflowError):
            return None


class _DirectoryReader:
    """The entries of the first directory, in either byte order, TIFF or BigTIFF."""

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self.file = file
        self.file_bytes = file_bytes
        self.entries: dict[int, _Entry] = {}
        self.order = {b"II": "<", b"MM": ">"}.get(self._bytes_at(0, 2), "")
        if not self.order:
            return
        version = self._unpack("H", 2)
        if version == 42:
            self._read_entries(self._unpack("I", 4), count_code="H", entry_code="HHI", inline_bytes=4)
        elif version == 43:
            self._read_entries(self._unpack("Q", 8), count_code="Q", entry_code="HHQ", inline_bytes=8)

    def _bytes_at(self, position: int, size: int) -> bytes:
        if position + size > self.file_bytes:
            raise ValueError("beyond the end of the file")
        self.file.seek(position)
        return self.file.read(size)

    def _unpack(self, code: str, position: int) -> int:
        value: int = struct.unpack(self.order + code, self._bytes_at(position, struct.calcsize("<" + code)))[0]
        return value

    def _read_entries(self, position: int, *, count_code: str, entry_code: str, inline_bytes: int) -> None:
        num_entries = self._unpack(count_code, position)
        if num_entries > _MAX_ENTRIES:
            return
        position += struct.calcsize("<" + count_code)
        head_bytes = struct.calcsize("<" + entry_code)
        value_code = "I" if inline_bytes == 4 else "Q"
        for _ in range(num_entries):
            tag, type_code, count = struct.unpack(self.order + entry_code, self._bytes_at(position, head_bytes))
            value_at = position + head_bytes
            if type_code in _TYPE_CODES:
                size = struct.calcsize(_TYPE_CODES[type_code]) * count
                if size > inline_bytes:
                    self.entries[tag] = _Entry(type_code, count, self._unpack(value_code, value_at))
                else:
                    self.entries[tag] = _Entry(type_code, count, value_at)
            position = value_at + inline_bytes

    def value(self, tag: int, default: int | None = None) -> int:
        """Return the first value of a tag; a KeyError when it is not there and has no default."""
        if tag not in self.entries and default is not None:
            return default
        entry = self.entries[tag]
        return self._unpack(_TYPE_CODES[entry.type_code], entry.position)

    def values(self, tag: int) -> NDArray[np.uint64]:
        """Return all values of a tag; empty when it is not there or reaches beyond the file."""
        entry = self.entries.get(tag)
        if entry is None:
            return np.zeros(0, np.uint64)
        dtype = np.dtype(self.order + _TYPE_CODES[entry.type_code])
        if entry.position + entry.num_values * dtype.itemsize > self.file_bytes:
            return np.zeros(0, np.uint64)
        return np.frombuffer(self._bytes_at(entry.position, entry.num_values * dtype.itemsize), dtype).astype(np.uint64)


def _header_of(reader: _DirectoryReader) -> TiffHeader | None:
    width, height = reader.value(_WIDTH), reader.value(_HEIGHT)
    is_tiled = _TILE_WIDTH in reader.entries
    if is_tiled:
        block_shape = (reader.value(_TILE_HEIGHT), reader.value(_TILE_WIDTH))
    else:
        block_shape = (min(height, reader.value(_ROWS_PER_STRIP, height)), width)
    if min(width, height, *block_shape) < 1:
        return None
    offsets = reader.values(_TILE_OFFSETS if is_tiled else _STRIP_OFFSETS)
    byte_counts = reader.values(_TILE_BYTES if is_tiled else _STRIP_BYTES)
    if offsets.size != byte_counts.size:
        offsets = byte_counts = np.zeros(0, np.uint64)
    return TiffHeader(
        width=width,
        height=height,
        num_bands=reader.value(_SAMPLES, 1),
        bits=reader.value(_BITS, 1),
        block_shape=block_shape,
        is_tiled=is_tiled,
        is_planar=reader.value(_PLANAR, 1) == _SEPARATE,
        is_compressed=reader.value(_COMPRESSION, _NO_COMPRESSION) != _NO_COMPRESSION,
        offsets=offsets,
        byte_counts=byte_counts,
        file_bytes=reader.file_bytes,
        photometric=reader.value(_PHOTOMETRIC, -1),
        orientation=reader.value(_ORIENTATION, 1),
    )
