"""A gradient of millions of numbers → a short row whose inner products are nearly those of the gradients.

CountSketch (Charikar, Chen and Farach-Colton 2002): number i goes to bucket h(i) with sign s(i). Both come from a hash
of the seed and i, so a projection of 40 million numbers to 8,192 never exists as a matrix of 331 GB. The variance of an
inner product of unit vectors is at most 2 / m, as with a matrix of random signs; of a cosine near 0 the spread is
1 / √m, which is 0.011 for m = 8,192.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Constants of SplitMix64 (Steele, Lea and Flood 2014)."""
_CHUNK = 1 << 22


class CountSketch:
    """Projects vectors of one length; the same seed and length give the same projection everywhere.

    Args:
        length: of a vector.
        dimensions: of a row.
        seed: of the projection.
    """

    def __init__(self, length: int, *, dimensions: int, seed: int) -> None:
        self.length = length
        self.dimensions = dimensions
        self._seed = np.uint64((seed * 0x2545F4914F6CDD1D + _GOLDEN) % 2**64)
        self._buckets = np.empty(length, np.int32)
        self._signs = np.empty(length, np.int8)
        for start in range(0, length, _CHUNK):
            stop = min(start + _CHUNK, length)
            mixed = _mix(np.arange(start, stop, dtype=np.uint64), self._seed)
            self._signs[start:stop] = np.where(mixed & np.uint64(1), 1, -1)
            self._buckets[start:stop] = (mixed >> np.uint64(1)) % np.uint64(dimensions)

    def project(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the row of a vector [length], [dimensions] float64; summed in one order, so the bits never differ.

        Raises:
            ValueError: the vector has another length.
        """
        if vector.shape != (self.length,):
            raise ValueError(f"expected a vector of {self.length} numbers, got shape {vector.shape}")
        row = np.zeros(self.dimensions)
        for start in range(0, self.length, _CHUNK):
            stop = min(start + _CHUNK, self.length)
            signed = vector[start:stop].astype(np.float64) * self._signs[start:stop]
            row += np.bincount(self._buckets[start:stop], weights=signed, minlength=self.dimensions)
        return row


def _mix(counters: NDArray[np.uint64], seed: np.uint64) -> NDArray[np.uint64]:
    """Return SplitMix64's output for each counter."""
    with np.errstate(over="ignore"):
        mixed = seed + (counters + np.uint64(1)) * np.uint64(_GOLDEN)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX[0])
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX[1])
        found: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return found
