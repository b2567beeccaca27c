"""The plan of windows: which tiles a scene is cut into.

Tiles are never padded and never upsampled: the last row and column are pulled back to fit, so that they overlap their
neighbours, and a scene smaller than the tile is one tile.
"""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A tile's place in its scene, pixels; always inside the scene."""

    x: int
    y: int
    width: int
    height: int


def cover(size: int, tile: int, stride: int) -> list[int]:
    """Return tile offsets in pixels that cover `[0, size)`; the last one is pulled back to fit.

    A tile as long as `size` or longer starts at 0 alone.

    Raises:
        ValueError: when `stride` is not in `[1, tile]`: pixels between the tiles would be lost.
    """
    if not 1 <= stride <= tile:
        raise ValueError(f"stride {stride} px must be between 1 and the tile's {tile} px")
    if size <= tile:
        return [0]
    offsets = list(range(0, size - tile, stride))
    return [*offsets, size - tile]


def plan_windows(width: int, height: int, *, tile_size: int, overlap: int, whole_up_to: int) -> list[Window]:
    """Return the windows of a scene, row by row.

    Args:
        width: the scene's, pixels.
        height: the scene's, pixels.
        tile_size: side of a tile, pixels.
        overlap: pixels that neighbouring tiles share, less than `tile_size`.
        whole_up_to: a scene whose long side is no longer than this stays one tile.
    """
    if max(width, height) <= max(whole_up_to, tile_size):
        return [Window(0, 0, width, height)]
    stride = tile_size - overlap
    return [
        Window(x, y, min(tile_size, width), min(tile_size, height))
        for y in cover(height, tile_size, stride)
        for x in cover(width, tile_size, stride)
    ]
