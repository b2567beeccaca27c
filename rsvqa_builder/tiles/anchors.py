"""Places in an image that its content chooses, so that a crop has those of the whole and is known again.

About one pixel in 1,024 is an anchor: where a hash of it and five neighbours is small. Its key is a hash of the 16 × 16
pixels that begin there. Two images that share pixels share the anchors in them, all shifted alike. Pixels have to be
equal: a compressed or resized part is not found. Flat ground and repeated patterns have no anchors.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.images import Pixels
from rsvqa.rsvqa_builder.files import write_once

MOST = 4_096
"""Anchors that are kept of an image, those of the smallest hashes: an image of 8,192 px keeps one in 16."""

_EVERY = 1_024
_MIN_SHARED = 4
"""Shared anchors under which chance or a repeated object may decide."""
_MIN_SHARE = 0.5
"""Of the anchors where the images overlap, how many must be shared."""
_SIDE = 16
_STRIP_PIXELS = 1 << 20
_WEIGHTS = np.random.default_rng(16).integers(1, 1 << 63, _SIDE * _SIDE * 3, dtype=np.uint64) | np.uint64(1)
_MIX = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1, 0x2545F491], np.uint32)


class Anchors(NamedTuple):
    """Of one image: hash that chose each place, key of what is there, and (x, y); by rising key."""

    ranks: NDArray[np.uint32]
    keys: NDArray[np.uint64]
    places: NDArray[np.int32]
    size: tuple[int, int]

    @property
    def limit(self) -> int:
        """The hash up to which all anchors are kept."""
        return int(self.ranks.max()) if len(self.ranks) == MOST else (1 << 32) // _EVERY


def find_anchors(pixels: Pixels) -> Anchors:
    """Return the anchors of an (H, W, 3) image; one smaller than 16 px on a side has none."""
    height, width = pixels.shape[:2]
    found = [
        (np.empty(0, np.uint32), np.empty(0, np.uint64), np.empty((0, 2), np.int32)),
        *_by_strips(pixels, max(1, _STRIP_PIXELS // width)),
    ]
    ranks, keys, places = (np.concatenate(part) for part in zip(*found, strict=True))
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    once = first[counts == 1]  # by rising key
    if len(once) > MOST:
        once = np.sort(once[np.argsort(ranks[once], kind="stable")[:MOST]])
        once = once[np.argsort(keys[once], kind="stable")]
    return Anchors(ranks[once], keys[once], places[once], (height, width))


def _by_strips(pixels: Pixels, rows: int) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.int32]]]:
    height, width = pixels.shape[:2]
    num_rows, num_columns = height - _SIDE + 1, width - _SIDE + 1
    if min(num_rows, num_columns) < 1:
        return
    blocks = np.lib.stride_tricks.sliding_window_view(pixels, (_SIDE, _SIDE), axis=(0, 1))  # (y, x, band, 16, 16)
    for top in range(0, num_rows, rows):
        end = min(top + rows, num_rows)
        strip = pixels[top : end + 1].astype(np.uint32)
        colours = strip[..., 0] | strip[..., 1] << 8 | strip[..., 2] << 16
        six = [colours[y : y + end - top, x : x + num_columns] for y in (0, 1) for x in (0, 1, 2)]
        hashes = np.zeros_like(six[0])
        for colour, weight in zip(six, _MIX, strict=True):
            hashes += colour * weight
            hashes ^= hashes >> 15
        hashes *= _MIX[0]
        hashes ^= hashes >> 16
        y, x = np.nonzero((hashes < (1 << 32) // _EVERY) & ((six[0] != six[1]) | (six[0] != six[3])))
        ranks = hashes[y, x]
        _, first, counts = np.unique(ranks, return_index=True, return_counts=True)
        once = np.sort(first[counts == 1])  # a pattern that is repeated would fill the memory
        content = blocks[y[once] + top, x[once]].reshape(len(once), _SIDE * _SIDE * 3).astype(np.uint64)
        keys = (content * _WEIGHTS).sum(axis=1, dtype=np.uint64)
        yield ranks[once], keys, np.stack([x[once], y[once] + top], axis=1).astype(np.int32)


def share_pixels(first: Anchors, second: Anchors) -> bool:
    """Tell whether two images have a part in common, pixel for pixel."""
    _, in_first, in_second = np.intersect1d(first.keys, second.keys, assume_unique=True, return_indices=True)
    if len(in_first) < _MIN_SHARED:
        return False
    shifts, counts = np.unique(first.places[in_first] - second.places[in_second], axis=0, return_counts=True)
    shift, num_shared = shifts[counts.argmax()], int(counts.max())
    inside = (first.places >= shift) & (first.places <= shift + np.array(second.size[::-1]) - _SIDE)
    expected = np.count_nonzero(inside.all(axis=1) & (first.ranks <= min(first.limit, second.limit)))
    return bool(num_shared >= max(_MIN_SHARED, _MIN_SHARE * expected))


class AnchorIndex(NamedTuple):
    """Anchors of many images."""

    names: tuple[str, ...]
    images: tuple[Anchors, ...]
    keys: NDArray[np.uint64]
    owners: NDArray[np.int32]

    def find(self, image: Anchors) -> str | None:
        """Return the name of the first image that shares pixels with another one."""
        left = np.searchsorted(self.keys, image.keys, side="left")
        right = np.searchsorted(self.keys, image.keys, side="right")
        hits = [self.owners[start:end] for start, end in zip(left, right, strict=True) if end > start]
        owners, counts = np.unique(np.concatenate(hits) if hits else np.empty(0, np.int32), return_counts=True)
        candidates = owners[counts >= _MIN_SHARED]
        return next((self.names[i] for i in candidates if share_pixels(image, self.images[i])), None)


def store_anchors(images: Sequence[tuple[str, Anchors]], folder: Path) -> Path:
    """Write the anchors of named images into a file that is called by its content, and return its path."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=np.array([name for name, _ in images], dtype=np.str_),
        sizes=np.array([image.size for _, image in images], np.int32).reshape(-1, 2),
        counts=np.array([len(image.keys) for _, image in images], np.int64),
        ranks=np.concatenate([image.ranks for _, image in images]),
        keys=np.concatenate([image.keys for _, image in images]),
        places=np.concatenate([image.places for _, image in images]),
    )
    path = folder / f"{hashlib.sha256(buffer.getvalue()).hexdigest()[:16]}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    write_once(path, buffer.getvalue())
    return path


@lru_cache(maxsize=1)
def load_anchors(path: Path) -> AnchorIndex:
    """Return what `store_anchors` wrote."""
    with np.load(path) as stored:
        data = {name: stored[name] for name in stored.files}
    ends = np.cumsum(data["counts"])
    images = tuple(
        Anchors(data["ranks"][start:end], data["keys"][start:end], data["places"][start:end], (int(h), int(w)))
        for start, end, (h, w) in zip(ends - data["counts"], ends, data["sizes"], strict=True)
    )
    order = np.argsort(data["keys"], kind="stable")
    owners = np.repeat(np.arange(len(images), dtype=np.int32), data["counts"])
    return AnchorIndex(tuple(str(name) for name in data["names"]), images, data["keys"][order], owners[order])
