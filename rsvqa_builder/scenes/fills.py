"""Undeclared fill values: a collar of -9999 or 0 around the picture that no nodata tag tells of.

Values that cannot be data (-9999 beside reflectances) are nodata wherever they are. Values that can (0, the largest)
are fill only in regions that touch the edge, and only where next to no pixel is nearly as dark or as bright: the shadow
or the cloud at the edge of a picture has pixels of every value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio.features
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.scenes.tiling import Window

IMPOSSIBLE = (
    *(-9999.0, -99999.0, -999.0, -32768.0, -32767.0, -2147483648.0),
    *(float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)),
    *(float(np.finfo(np.float64).min), 1e20, float(np.float32(9.96921e36))),
)
"""Values that programs write where there is no data: GIS packages, sensors' products, GDAL's and netCDF's defaults."""

MIN_DISTANCE = 0.5
"""Of an impossible value to the nearest other one, in widths of the other values' range (1st to 99th percentile)."""

MIN_COLLAR = 0.002
"""Share of the scene that a collar covers at least."""

MAX_NEARLY = 0.02
"""Pixels nearly as dark (or bright) as the fill, for each pixel of fill; interpolated edges have a few."""

NEARLY = 0.03
"""How near that is, of the distance from the fill to the 98th (2nd) percentile of the others."""

MIN_OTHER_VALUES = 16
"""Different values beside the fill in a picture; a drawing or a mask in black has fewer."""


@dataclass(frozen=True, slots=True)
class Fill:
    """An undeclared fill value that is data elsewhere: pixels of that value in all bands, in regions at the edge.

    Attributes:
        value: of the pixels.
        region: packed bits of a reduced copy of the scene, row by row: cells in which the regions lie.
        shape: (height, width) of the reduced copy.
    """

    value: float
    region: bytes
    shape: tuple[int, int]

    def covers(self, window: Window, shape: tuple[int, int], scene_shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which of `shape` (height, width) pixels of a window lie in the regions."""
        bits = np.frombuffer(self.region, np.uint8)
        cells = np.unpackbits(bits, count=self.shape[0] * self.shape[1]).astype(bool).reshape(self.shape)
        rows = _cells(window.y, window.height, shape[0], self.shape[0] / scene_shape[0])
        columns = _cells(window.x, window.width, shape[1], self.shape[1] / scene_shape[1])
        covered: NDArray[np.bool_] = cells[np.ix_(rows, columns)]
        return covered


def _cells(start: int, size: int, count: int, scale: float) -> NDArray[np.intp]:
    centres = start + (np.arange(count) + 0.5) * size / count
    return (centres * scale).astype(np.intp)


def impossible_value(pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> float | None:
    """Return the value that stands for "no data" among (bands, height, width) pixels though nothing declares it."""
    if pixels.dtype.kind not in "if":
        return None
    bands = pixels if valid is None else pixels[:, valid]
    flat = bands.reshape(len(pixels), -1).astype(np.float64)
    for value in IMPOSSIBLE:
        is_value = (flat == value).all(axis=0)
        if not is_value.any():
            continue
        others = flat[:, ~is_value]
        others = others[np.isfinite(others) & (others != value)]
        if not others.size:
            return value
        low, high = np.percentile(others, (1, 99))
        if np.abs(others - value).min() > MIN_DISTANCE * (high - low):
            return value
    return None


def collar_values(corners: NDArray[Any], *, largest: float) -> list[float]:
    """Return the values that may be fill of a collar: 0 and the largest, where a corner has one in all bands.

    Args:
        corners: (bands, corners).
        largest: value of the data type, or of the significant bits.
    """
    candidates = (0.0, largest) if corners.dtype.kind == "u" else (0.0,)
    return [value for value in candidates if (corners == value).all(axis=0).any()]


def find_collar(pixels: NDArray[Any], valid: NDArray[np.bool_] | None, value: float) -> Fill | None:
    """Return the collar of a value around a picture, from a reduced copy (bands, height, width); None without one."""
    is_valid = np.ones(pixels.shape[1:], bool) if valid is None else valid
    is_value = (pixels == value).all(axis=0) & is_valid
    others = pixels[:, is_valid & ~is_value].astype(np.float64)
    collar = _at_the_edge(is_value)
    size = int(collar.sum())
    if size < MIN_COLLAR * collar.size or len(np.unique(others[0])) < MIN_OTHER_VALUES:
        return None
    if value == 0:
        distance = others.max(axis=0) - value
        reach = np.percentile(others, 98) - value
    else:
        distance = value - others.min(axis=0)
        reach = value - np.percentile(others, 2)
    step = 1.0 if pixels.dtype.kind in "ui" else 0.0
    nearly = int(((distance > 0) & (distance <= max(step, NEARLY * reach))).sum())
    if reach <= 0 or nearly > MAX_NEARLY * size:
        return None
    return Fill(value, np.packbits(_grown(collar)).tobytes(), (collar.shape[0], collar.shape[1]))


def _at_the_edge(is_value: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the 4-connected regions that touch the edge, when one of them has a corner."""
    inner = is_value.copy()
    height, width = is_value.shape
    if not is_value[[0, 0, -1, -1], [0, -1, 0, -1]].any():
        return np.zeros_like(is_value)
    at_edge = []
    for outline, _ in rasterio.features.shapes(inner.astype(np.uint8), mask=inner):
        ring = np.asarray(outline["coordinates"][0])
        if (ring.min(axis=0) == 0).any() or (ring.max(axis=0) == (width, height)).any():
            at_edge.append(outline)
    found: NDArray[np.bool_] = rasterio.features.rasterize(at_edge, is_value.shape, dtype=np.uint8).astype(bool)
    return found


def _grown(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return cells and their eight neighbours: the reduced copy knows one pixel of each."""
    padded = np.pad(cells, 1)
    height, width = cells.shape
    grown: NDArray[np.bool_] = np.logical_or.reduce(
        [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    )
    return grown
