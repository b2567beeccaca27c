"""Pixels of a scene as 8-bit RGB: one stretch for the whole scene, read window by window.

Neighbouring tiles match because the stretch is chosen once, from a decimated read of the whole scene. 8-bit pixels pass
through untouched: they are made to be looked at. Invalid pixels become black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from rsvqa.rsvqa_builder.scenes.fills import collar_values, find_collar, impossible_value
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, open_raster, pixel_errors
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiff_header import read_tiff_header
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import StretchMode

__all__ = [
    "Stretch",
    "TilePixels",
    "choose_stretch",
    "count_whole_reads",
    "open_raster",
    "read_overview",
    "read_raw",
    "read_tile",
    "sample_windows",
    "survey",
    "with_alpha",
    "with_fill",
]

PERCENTILES = (2.0, 98.0)
"""Percentiles of the valid pixels of each band; they become black and full."""

MAX_DECIMATED_SIDE = 1024
"""Pixels on the long side of the read from which percentiles are taken."""

STRIP_PIXELS = 2**21
"""Pixels that are read at once: few enough to be interleaved while in cache, enough that GDAL's cost a call does not
show."""

_SAMPLES_PER_SIDE = 4
_SAMPLE_SIDE = 64
_MIN_ALPHA = 128
"""The least alpha of a valid pixel, where 255 is opaque. JPEG blurs the band's edges, so any alpha above 0 takes in a
dark rim."""

Bands = NDArray[Any]
"""(bands, height, width) in the scene's own data type."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A linear map of each band's values to 0–255; values outside are clipped.

    Attributes:
        mode: how the ends were chosen.
        low: value of each band that becomes 0.
        high: value of each band that becomes 255, greater than `low`.
    """

    mode: StretchMode
    low: tuple[float, ...]
    high: tuple[float, ...]


class TilePixels(NamedTuple):
    """One tile as it is shown.

    Attributes:
        rgb: (height, width, 3) uint8, C-contiguous; invalid pixels are 0.
        valid: (height, width), None when all pixels are valid.
    """

    rgb: NDArray[np.uint8]
    valid: NDArray[np.bool_] | None


def choose_stretch(scene: Scene, mode: StretchMode) -> Stretch | None:
    """Return the one stretch of a scene, or None when its pixels are 8-bit or palette colours already.

    "percentile" and "minmax" look at a decimated read. "none" maps the data type's own range: 0 to its largest value
    (the significant bits where the file gives them), 0 to 1 for floats.

    Raises:
        SceneError: all pixels are nodata or of one value, or cannot be read.
    """
    with open_raster(scene.path) as dataset:
        return _choose_stretch(dataset, scene, mode)


def survey(scene: Scene, mode: StretchMode, *, finds_fill: bool) -> tuple[Scene, Stretch | None]:
    """Return the scene with what only its pixels tell, and its stretch.

    Args:
        scene: as described from its header.
        mode: of the stretch.
        finds_fill: undeclared fill values are looked for.

    Raises:
        SceneError: all pixels are nodata or of one value, or cannot be read.
    """
    # one handle, so that GDAL still has the blocks that the step before has decoded
    with open_raster(scene.path) as dataset:
        scene = with_alpha(dataset, scene)
        if finds_fill:
            scene = with_fill(dataset, scene)
        return scene, _choose_stretch(dataset, scene, mode)


def _choose_stretch(dataset: DatasetReader, scene: Scene, mode: StretchMode) -> Stretch | None:
    if _is_displayable(scene):
        _check_content(dataset, scene)
        return None
    if mode == "none":
        _check_content(dataset, scene)
        return Stretch("none", (0.0,) * len(scene.bands), (_largest_value(scene),) * len(scene.bands))
    pixels, valid = _read_decimated(dataset, scene, MAX_DECIMATED_SIDE)
    _require_content(pixels, valid, scene.nodata)
    ends = [_ends(_valid_values(band, valid, scene.nodata), mode) for band in pixels]
    return Stretch(mode, tuple(low for low, _ in ends), tuple(high for _, high in ends))


def _ends(values: NDArray[Any], mode: StretchMode) -> tuple[float, float]:
    """Return what becomes black and full; a band of one value, or of none, gets a range of one."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(values, PERCENTILES if mode == "percentile" else (0.0, 100.0)))
    return (low, high) if high > low else (low, low + 1.0)


def with_alpha(dataset: DatasetReader, scene: Scene) -> Scene:
    """Return the scene with what alpha its opaque pixels have: 1, 255, or the largest there is above.

    Programs write an alpha of 0 to 255 into bands of 16 bits, and of 0 to 1 into bands of any type. A few samples
    settle it where one has the type's own largest value; else the whole scene is looked at, decimated.

    Raises:
        SceneError: the data is damaged.
    """
    if ColorInterp.alpha not in dataset.colorinterp:
        return scene
    band = dataset.colorinterp.index(ColorInterp.alpha) + 1
    dtype = np.dtype(dataset.dtypes[band - 1])
    type_largest = float(np.iinfo(dtype).max) if dtype.kind in "ui" else np.inf
    with pixel_errors("the alpha band"):
        samples = (dataset.read(band, window=RasterioWindow(*window)) for window in sample_windows(scene))
        largest = max(float(np.nan_to_num(sample).max()) for sample in samples)
        if largest < type_largest:
            copy = dataset.read(
                band, out_shape=_decimated_shape(scene, MAX_DECIMATED_SIDE), resampling=Resampling.nearest
            )
            largest = max(largest, float(np.nan_to_num(copy).max()))
    return replace(scene, largest_alpha=next((limit for limit in (1.0, 255.0) if largest <= limit), largest))


def with_fill(dataset: DatasetReader, scene: Scene) -> Scene:
    """Return the scene with its undeclared fill value, when it has one, and a note of it.

    A few samples settle it for nearly every scene; only when they show such a value is the whole scene looked at,
    decimated. A scene that declares nodata is taken at its word.

    Raises:
        SceneError: the data is damaged.
    """
    if scene.nodata is not None or scene.is_palette:
        return scene
    values, has_impossible = _possible_fills(dataset, scene)
    if not values and not has_impossible:
        return scene
    pixels, valid = _read_decimated(dataset, scene, MAX_DECIMATED_SIDE)
    nodata = impossible_value(pixels, valid) if has_impossible else None
    if nodata is not None:
        note = f"pixels of {nodata:g} in all bands taken for nodata, which is not declared (the setting nodata)"
        return replace(scene, nodata=nodata, notes=(*scene.notes, note))
    fill = next((found for value in values if (found := find_collar(pixels, valid, value))), None)
    if fill is None:
        return scene
    note = f"a collar of {fill.value:g} in all bands taken for nodata, which is not declared (the setting nodata)"
    return replace(scene, fill=fill, notes=(*scene.notes, note))


def _possible_fills(dataset: DatasetReader, scene: Scene) -> tuple[list[float], bool]:
    """Return the values that a collar may have by the scene's corners, and whether samples hold an impossible one."""
    corners: list[Any] = []
    has_impossible = False
    for window in sample_windows(scene):
        pixels, valid = read_raw(dataset, scene, window)
        has_impossible |= impossible_value(pixels, valid) is not None
        if window.x in (0, scene.width - window.width) and window.y in (0, scene.height - window.height):
            row, column = (-1 if window.y else 0), (-1 if window.x else 0)
            corners += [pixels[:, row, column]] if valid is None or valid[row, column] else []
    if not corners:
        return [], has_impossible
    return collar_values(np.column_stack(corners), largest=_largest_value(scene)), has_impossible


def count_whole_reads(scene: Scene, mode: StretchMode) -> int:
    """Return how often `survey` decodes a scene without overviews as a whole: 1, or 0 for a few samples."""
    samples_decode_all = scene.is_sequential or min(scene.block_shape) * 2 > min(scene.height, scene.width)
    needs_statistics = not _is_displayable(scene) and mode != "none"
    return int(needs_statistics or samples_decode_all or scene.fill is not None)


def _check_content(dataset: DatasetReader, scene: Scene) -> None:
    """Refuse a scene without content.

    A few samples settle it for nearly every scene; only when they show one value is the whole scene looked at,
    decimated.
    """
    if _samples_vary(dataset, scene):
        return
    pixels, valid = _read_decimated(dataset, scene, MAX_DECIMATED_SIDE)
    _require_content(pixels, valid, scene.nodata)


def read_tile(dataset: DatasetReader, scene: Scene, stretch: Stretch | None, window: Window) -> TilePixels:
    """Return a window's pixels as they are shown.

    Memory beside the result is bounded by one strip, whatever the window.

    Args:
        dataset: the scene's, from `open_raster(scene.path)`.
        scene: the scene's description.
        stretch: from `choose_stretch`.
        window: inside the scene, scene pixels.

    Raises:
        SceneError: the data is damaged; the message names the rows and GDAL's reason.
    """
    rgb = np.empty((window.height, window.width, 3), np.uint8)
    valid = np.empty((window.height, window.width), np.bool_) if can_be_invalid(scene) else None
    paint = _painter(dataset, scene, stretch)
    for strip in _strips(scene, window):
        top = strip.y - window.y
        pixels, strip_valid = read_raw(dataset, scene, strip)
        out = rgb[top : top + strip.height]
        paint(pixels, out)
        if scene.is_inverted:
            np.subtract(255, out, out=out)
        if valid is not None:
            valid[top : top + strip.height] = True if strip_valid is None else strip_valid
            if strip_valid is not None:
                out[~strip_valid] = 0
    return TilePixels(rgb, None if valid is None or valid.all() else valid)


def read_overview(dataset: DatasetReader, scene: Scene, stretch: Stretch | None, max_side: int) -> NDArray[np.uint8]:
    """Return the whole scene as it is shown, its long side at most `max_side` pixels; fields as in `read_tile`."""
    pixels, valid = _read_decimated(dataset, scene, max_side)
    rgb = np.empty((*pixels.shape[1:], 3), np.uint8)
    _painter(dataset, scene, stretch)(pixels, rgb)
    if valid is not None:
        rgb[~valid] = 0
    return rgb


def read_raw(dataset: DatasetReader, scene: Scene, window: Window) -> tuple[Bands, NDArray[np.bool_] | None]:
    """Return a window's values as stored, and which pixels are valid (None: all are).

    Raises:
        SceneError: the data is damaged.
    """
    return _read(dataset, scene, window, (window.height, window.width))


def can_be_invalid(scene: Scene) -> bool:
    """Return whether a scene may have invalid pixels at all."""
    is_float = np.dtype(scene.dtype).kind == "f"
    is_masked = scene.has_mask or scene.has_missing_blocks or scene.fill is not None
    return scene.nodata is not None or is_masked or is_float


def _is_displayable(scene: Scene) -> bool:
    return scene.is_palette or (scene.dtype == "uint8" and scene.num_bits == 0)


def _largest_value(scene: Scene) -> float:
    dtype = np.dtype(scene.dtype)
    if dtype.kind == "f":
        return 1.0
    return float(2**scene.num_bits - 1 if scene.num_bits else np.iinfo(dtype).max)


def _strips(scene: Scene, window: Window) -> Iterator[Window]:
    """Cut a window into strips of whole block rows, so that no block is decoded for two strips."""
    block_height = max(1, scene.block_shape[0])
    rows = max(block_height, STRIP_PIXELS // window.width // block_height * block_height)
    bottom = window.y + window.height
    y = window.y
    while y < bottom:
        end = min(bottom, (y // block_height) * block_height + rows)
        yield Window(window.x, y, window.width, end - y)
        y = end


def _read_decimated(dataset: DatasetReader, scene: Scene, max_side: int) -> tuple[Bands, NDArray[np.bool_] | None]:
    return _read(dataset, scene, Window(0, 0, scene.width, scene.height), _decimated_shape(scene, max_side))


def _decimated_shape(scene: Scene, max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(scene.width, scene.height))
    return max(1, round(scene.height * scale)), max(1, round(scene.width * scale))


def _read(
    dataset: DatasetReader, scene: Scene, window: Window, shape: tuple[int, int]
) -> tuple[Bands, NDArray[np.bool_] | None]:
    """Read a window, decimated to `shape` (height, width) by taking the nearest pixel, of an overview if possible."""
    region = RasterioWindow(window.x, window.y, window.width, window.height)
    rows = f"rows {window.y} to {window.y + window.height - 1}"
    with pixel_errors(f"{rows}, columns {window.x} to {window.x + window.width - 1}"):
        pixels: Bands = dataset.read(
            list(scene.bands), window=region, out_shape=(len(scene.bands), *shape), resampling=Resampling.nearest
        )
        mask = _read_mask(dataset, scene, region, shape) if scene.has_mask else None
    parts = [
        mask,
        _differs_from_nodata(pixels, scene.nodata),
        _is_number(pixels),
        _is_stored(scene, window, shape) if scene.has_missing_blocks else None,
        _is_not_fill(pixels, scene, window) if scene.fill is not None else None,
    ]
    known = [part for part in parts if part is not None]
    return pixels, np.logical_and.reduce(known) if known else None


def _read_mask(
    dataset: DatasetReader, scene: Scene, region: RasterioWindow, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    if ColorInterp.alpha in dataset.colorinterp:
        band = dataset.colorinterp.index(ColorInterp.alpha) + 1
        alpha = dataset.read(band, window=region, out_shape=shape, resampling=Resampling.nearest)
        largest = scene.largest_alpha or (np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1.0)
        is_opaque: NDArray[np.bool_] = alpha >= _MIN_ALPHA / 255 * largest
        return is_opaque
    mask = dataset.read_masks(scene.bands[0], window=region, out_shape=shape, resampling=Resampling.nearest)
    is_set: NDArray[np.bool_] = mask > 0
    return is_set


def _differs_from_nodata(pixels: Bands, nodata: float | None) -> NDArray[np.bool_] | None:
    """Return where any band differs from nodata: a dark pixel may well have a zero in one band."""
    if nodata is None or np.isnan(nodata):
        return None
    if pixels.dtype.kind != "f":
        limits = np.iinfo(pixels.dtype)
        if not limits.min <= nodata <= limits.max or nodata != int(nodata):
            return None  # no value can be equal to it
    differs: NDArray[np.bool_] = np.not_equal(pixels, pixels.dtype.type(nodata)).any(axis=0)
    return differs


def _is_number(pixels: Bands) -> NDArray[np.bool_] | None:
    """Return where any band is a finite number, whatever nodata was declared."""
    if pixels.dtype.kind != "f":
        return None
    any_finite: NDArray[np.bool_] = np.logical_or.reduce(np.isfinite(pixels), axis=0)
    return any_finite


def _is_not_fill(pixels: Bands, scene: Scene, window: Window) -> NDArray[np.bool_] | None:
    if scene.fill is None:
        return None
    covered = scene.fill.covers(window, (pixels.shape[1], pixels.shape[2]), (scene.height, scene.width))
    is_fill = (pixels == pixels.dtype.type(scene.fill.value)).all(axis=0)
    other: NDArray[np.bool_] = ~(is_fill & covered)
    return other


def _is_stored(scene: Scene, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    header = read_tiff_header(scene.path)
    missing = header.missing_blocks() if header is not None else None
    if header is None or missing is None:
        return None
    rows = window.y + ((np.arange(shape[0]) + 0.5) * window.height / shape[0]).astype(np.intp)
    columns = window.x + ((np.arange(shape[1]) + 0.5) * window.width / shape[1]).astype(np.intp)
    stored: NDArray[np.bool_] = ~missing[np.ix_(rows // header.block_shape[0], columns // header.block_shape[1])]
    return stored


def _painter(
    dataset: DatasetReader, scene: Scene, stretch: Stretch | None
) -> Callable[[Bands, NDArray[np.uint8]], None]:
    """Return what turns (bands, height, width) values into (height, width, 3) colours in place."""
    if scene.is_palette:
        return _palette_painter(_palette(dataset, scene))
    if stretch is None:
        return _interleave
    if np.dtype(scene.dtype).itemsize <= 2 and np.dtype(scene.dtype).kind in "ui":
        return _table_painter(np.dtype(scene.dtype), stretch)
    return lambda pixels, out: _interleave(apply_stretch(pixels, stretch), out)


def _interleave(pixels: Bands, out: NDArray[np.uint8]) -> None:
    # band by band: with numpy's transposing copy of all three it takes three times as long
    for channel in range(3):
        out[..., channel] = pixels[channel if len(pixels) > 1 else 0]


def _palette(dataset: DatasetReader, scene: Scene) -> NDArray[np.uint8]:
    table = dataset.colormap(scene.bands[0])
    colours = np.zeros((max(table) + 1, 3), np.uint8)
    for index, rgba in table.items():
        colours[index] = rgba[:3]
    return colours


def _palette_painter(colours: NDArray[np.uint8]) -> Callable[[Bands, NDArray[np.uint8]], None]:
    def paint(pixels: Bands, out: NDArray[np.uint8]) -> None:
        # "clip" for indices beyond the table, and because numpy buffers `out` otherwise
        np.take(colours, pixels[0], axis=0, out=out, mode="clip")

    return paint


def _table_painter(dtype: np.dtype[Any], stretch: Stretch) -> Callable[[Bands, NDArray[np.uint8]], None]:
    """Return a painter that looks values up: 8- and 16-bit integers have few enough to work each out once."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    # every value once, at the position that its bits read as an unsigned number give
    values = np.arange(2 ** (8 * dtype.itemsize), dtype=unsigned).view(dtype)
    tables = apply_stretch(np.broadcast_to(values, (len(stretch.low), 1, values.size)), stretch)[:, 0]

    def paint(pixels: Bands, out: NDArray[np.uint8]) -> None:
        shown = [table[band.view(unsigned)] for table, band in zip(tables, pixels, strict=True)]
        _interleave(np.asarray(shown), out)

    return paint


def apply_stretch(pixels: Bands, stretch: Stretch) -> NDArray[np.uint8]:
    """Return (bands, height, width) values mapped to 0–255 and rounded; NaN becomes 0."""
    shown = np.empty(pixels.shape, np.uint8)
    for band, (low, high) in enumerate(zip(stretch.low, stretch.high, strict=True)):
        # float64: float32 cannot tell neighbouring 32-bit integers apart
        scaled = (pixels[band].astype(np.float64) - low) * (255 / (high - low))
        np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        shown[band] = np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled)
    return shown


def _samples_vary(dataset: DatasetReader, scene: Scene) -> bool:
    """Return whether small samples spread over the scene show more than one value in some band."""
    first: dict[int, Any] = {}
    varies = False
    for window in sample_windows(scene):
        pixels, valid = read_raw(dataset, scene, window)
        for index, band in enumerate(pixels):
            values = _valid_values(band, valid, scene.nodata)
            if values.size and (values != first.setdefault(index, values[0])).any():
                varies = True
        # a file that must be decoded from the top is read to its end: this finds damage before the tiles do
        if varies and not scene.is_sequential:
            return True
    return varies


def sample_windows(scene: Scene) -> Iterator[Window]:
    """Yield small windows of a scene on a grid, from the first row to the last: a sequential file is decoded once."""
    width, height = min(_SAMPLE_SIDE, scene.width), min(_SAMPLE_SIDE, scene.height)
    for row in range(_SAMPLES_PER_SIDE):
        for column in range(_SAMPLES_PER_SIDE):
            x = (scene.width - width) * column // (_SAMPLES_PER_SIDE - 1)
            y = (scene.height - height) * row // (_SAMPLES_PER_SIDE - 1)
            yield Window(x, y, width, height)


def _require_content(pixels: Bands, valid: NDArray[np.bool_] | None, nodata: float | None) -> None:
    bands = [_valid_values(band, valid, nodata) for band in pixels]
    if not any(values.size for values in bands):
        raise SceneError("empty: all its pixels are nodata or masked")
    if all((values == values[:1]).all() for values in bands):
        shown = ", ".join(f"{value:g}" for values in bands for value in values[:1])
        raise SceneError(f"zero variance: all its valid pixels have one value ({shown})")


def _valid_values(band: NDArray[Any], valid: NDArray[np.bool_] | None, nodata: float | None) -> NDArray[Any]:
    """Return one band's values at valid pixels, without the nodata and NaN that single bands of these may hold."""
    values = band.ravel() if valid is None else band[valid]
    if nodata is not None and np.isfinite(nodata):
        values = values[values != nodata]
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
