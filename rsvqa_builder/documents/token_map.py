"""Which patches of an image each of its visual tokens stands for, as plain arrays: for pages, and to count objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


class TokenGrid(NamedTuple):
    """How an image was cut: `rows` × `columns` cells of `side` × `side` patches."""

    rows: int
    columns: int
    side: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMap:
    """The visual tokens of one image on its grid of patches.

    Attributes:
        owners: (rows, columns) int32, the token that each patch went into; −1 where it went into none.
        rows, columns: [K], the patch of each token: of a cluster its root.
        scores: [K] float32, what tokens were ranked by; None where nothing was ranked.
        sizes: [K], patches of each token; 0 for a zero vector.
    """

    owners: NDArray[np.int32]
    rows: Places
    columns: Places
    scores: NDArray[np.float32] | None
    sizes: Places


def map_images(found: Any, grids: Sequence[Sequence[int]], config: Any) -> list[TokenMap]:  # noqa: ANN401  the model's
    """Return the maps of what a GeoLLaVA keeps of images.

    Args:
        found: what its `get_image_features` returns.
        grids: (1, rows, columns) of each image's cells.
        config: its configuration.
    """
    side = int(config.vision_config.image_size) // int(config.vision_config.patch_size)
    cut = [TokenGrid(rows, columns, side) for _, rows, columns in grids]
    if found.cells is None:
        return [map_all(grid) for grid in cut]
    fields = (found.cells, found.positions, found.scores, found.roots)
    of_images = zip(*([np.asarray(values.cpu()) for values in field] for field in fields), strict=True)
    return [
        map_tokens(
            grid, cells=cells, positions=positions, scores=scores, roots=roots, fills_with_zeros=config.fill == "zeros"
        )
        for grid, (cells, positions, scores, roots) in zip(cut, of_images, strict=True)
    ]


def map_tokens(
    grid: TokenGrid,
    *,
    cells: Places,
    positions: Places,
    scores: NDArray[np.float32],
    roots: Places,
    fills_with_zeros: bool,
) -> TokenMap:
    """Return the map of what pruning kept of an image.

    Args:
        grid: of the image.
        cells: [K], the cell of each token.
        positions: [K], its place there, row by row.
        scores: [K].
        roots: [C, N], the root of each patch's cluster.
        fills_with_zeros: whether tokens that are no cluster's root are zero vectors; else they stand for themselves.
    """
    is_root = np.zeros(roots.shape, dtype=bool)
    np.put_along_axis(is_root, roots, values=True, axis=1)
    is_cluster = is_root[cells, positions]
    numbers = np.arange(len(cells), dtype=np.int32)
    slots = np.full(roots.shape, -1, dtype=np.int32)
    slots[cells[is_cluster], positions[is_cluster]] = numbers[is_cluster]
    owners = np.take_along_axis(slots, roots, axis=1)
    if not fills_with_zeros:  # by itself, and in its cluster as well where that is kept: it is shown by itself
        owners[cells[~is_cluster], positions[~is_cluster]] = numbers[~is_cluster]
    return _laid_out(grid, owners, cells, positions, scores)


def map_all(grid: TokenGrid) -> TokenMap:
    """Return the map where every patch is a token."""
    num_cells, num_patches = grid.rows * grid.columns, grid.side**2
    owners = np.arange(num_cells * num_patches, dtype=np.int32).reshape(num_cells, num_patches)
    cells, positions = np.divmod(np.arange(owners.size), num_patches)
    return _laid_out(grid, owners, cells, positions, None)


def _laid_out(
    grid: TokenGrid,
    owners: NDArray[np.int32],
    cells: Places,
    positions: Places,
    scores: NDArray[np.float32] | None,
) -> TokenMap:
    rows, columns, side = grid
    squares = owners.reshape(rows, columns, side, side).transpose(0, 2, 1, 3)
    return TokenMap(
        owners=np.ascontiguousarray(squares.reshape(rows * side, columns * side)),
        rows=cells // columns * side + positions // side,
        columns=cells % columns * side + positions % side,
        scores=scores,
        sizes=np.bincount(owners[owners >= 0], minlength=len(cells)),
    )


def shows(tokens: TokenMap, box: tuple[float, float, float, float], patch: float) -> bool:
    """Tell whether a kept token is on an object: at least half of the patches that it stands for are the object's.

    A patch is the object's when its middle lies in the box. Where no middle does, the patch that holds the middle of
    the box is. So a single token shows what it lies on, and a mean over a block of ground does not show a car in it.

    Args:
        tokens: of the image.
        box: of the object on the canvas, (x_min, y_min, x_max, y_max), pixels.
        patch: side of a patch, pixels.
    """
    height, width = tokens.owners.shape
    x_min, y_min, x_max, y_max = (value / patch for value in box)
    rows, columns = _middles_within(y_min, y_max, height), _middles_within(x_min, x_max, width)
    covered = tokens.owners[rows.start : rows.stop, columns.start : columns.stop]
    found, counts = np.unique(covered[covered >= 0], return_counts=True)
    return bool(np.any(2 * counts >= tokens.sizes[found]))


def _middles_within(low: float, high: float, size: int) -> range:
    """Return the patches along one side whose middles lie in [low, high), or the one that holds its middle."""
    first, stop = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
    if stop <= first:
        first = int((low + high) / 2)
        stop = first + 1
    return range(min(max(first, 0), size - 1), max(min(stop, size), 1))
