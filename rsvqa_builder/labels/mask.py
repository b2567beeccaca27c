"""Class masks: rasters whose pixel values are classes, turned into polygons block by block.

Memory is bounded by a block and the polygons, not by the mask. Regions are 4-connected. What surprises: touching
objects are one region, so regions of an object class are uncertain, never counted or asked about as single things.
"""

from __future__ import annotations

import itertools
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from annotation.facts import Outline, Role
from rsvqa_builder.classes import ClassTable
from rsvqa_builder.labels.attributes import parse_attributes
from rsvqa_builder.labels.placing import map_to_pixels, pixels_to_map, reproject_to_scene
from rsvqa_builder.labels.raw import LabelError, RawLabels, object_array
from rsvqa_builder.scenes import AffineCoefficients, Scene

MIN_REGION_PX = 64
"""Smaller regions, in mask pixels, are specks: they are dropped and counted."""

BLOCK_PX = 2048
"""Side of the blocks in which a mask is read."""

_Pixel = int | tuple[int, int, int]

_UNUSED = 0
_IGNORED = 1
_FIRST_CLASS = 2
_SAME_GRID_PX = 1e-3


@dataclass(frozen=True, slots=True)
class _Legend:
    """What pixel values mean: for each value or colour a number from `_FIRST_CLASS` on, into `names`."""

    codes: Mapping[_Pixel, int]
    names: tuple[str, ...]
    is_rgb: bool


def read_mask(path: Path, scene: Scene, table: ClassTable) -> RawLabels:
    """Return the regions of a class mask, in scene pixels.

    Raises:
        LabelError: the raster cannot be read, its values are not in the class table, or it does not fit the scene.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                _check_grid(source, scene)
                legend = _legend(source, table)
                return _regions(source, scene, table, legend)
    except (RasterioError, OSError) as error:
        raise LabelError(f"GDAL cannot read it as a mask: {error}") from error


def _is_georeferenced(source: Any) -> bool:  # noqa: ANN401 - rasterio has no types
    return source.crs is not None and not source.transform.is_identity


def _check_grid(source: Any, scene: Scene) -> None:  # noqa: ANN401
    has_both = _is_georeferenced(source) and scene.crs is not None and scene.transform is not None
    if not has_both and (source.width, source.height) != (scene.width, scene.height):
        raise LabelError(
            f"the mask is {source.width} × {source.height} px, the scene {scene.width} × {scene.height} px, and they "
            "do not both have a georeference: make the sizes equal"
        )


def _legend(source: Any, table: ClassTable) -> _Legend:  # noqa: ANN401
    """Return what the raster's values mean, by its band count, its colour table and the class table."""
    names = tuple(table.classes)
    by_value: dict[_Pixel, int] = {
        value: i for i, name in enumerate(names) for value in table.classes[name].mask_values
    }
    by_rgb: dict[_Pixel, int] = {colour: i for i, name in enumerate(names) for colour in table.classes[name].mask_rgb}
    is_ignored = [table.classes[name].role is Role.IGNORED for name in names]
    found: dict[_Pixel, int] = {}
    if source.count >= 3:
        found |= by_rgb
    else:
        found |= by_value or _palette_values(source, by_rgb)
    if not found:
        wanted = "mask_rgb" if source.count >= 3 else "mask_values"
        raise LabelError(f"class table {table.name!r} says nothing of its values: give classes {wanted}")
    codes = {value: _IGNORED if is_ignored[i] else i + _FIRST_CLASS for value, i in found.items()}
    return _Legend(codes, names, source.count >= 3)


def _palette_values(
    source: Any,  # noqa: ANN401
    by_rgb: Mapping[_Pixel, int],
) -> dict[_Pixel, int]:
    try:
        palette = source.colormap(1)
    except ValueError:
        return {}
    return {value: by_rgb[colour[:3]] for value, colour in palette.items() if colour[:3] in by_rgb}


def _regions(source: Any, scene: Scene, table: ClassTable, legend: _Legend) -> RawLabels:  # noqa: ANN401
    unknown: Counter[str] = Counter()
    polygons: defaultdict[int, list[BaseGeometry]] = defaultdict(list)
    for window in _windows(source.width, source.height):
        codes = _codes(source, window, legend, unknown)
        # The offset is a translation in pixels: regions come out in pixels of the mask.
        shift = Affine.translation(window.col_off, window.row_off)
        for shape, code in rasterio.features.shapes(codes, mask=codes >= _FIRST_CLASS, transform=shift):
            polygons[int(code)].append(shapely.geometry.shape(shape))
    num_specks = 0
    kept: list[BaseGeometry] = []
    sources: list[str] = []
    for code in sorted(polygons):
        merged = _merged_at_seams(object_array(polygons[code]))
        is_speck = shapely.area(merged) < MIN_REGION_PX
        num_specks += int(is_speck.sum())
        kept.extend(merged[~is_speck])
        sources.extend([legend.names[code - _FIRST_CLASS]] * int((~is_speck).sum()))
    is_object = {name for name in legend.names if table.classes[name].role is Role.OBJECT}
    has_objects = bool(is_object & set(sources))
    return RawLabels(
        geometries=_in_scene(object_array(kept), source, scene),
        sources=object_array(sources),
        positions=tuple(str(number) for number in range(len(kept))),
        outlines=np.full(len(kept), Outline.POLYGON, dtype=object),
        is_certain=np.array([name not in is_object for name in sources], dtype=bool),
        attributes=parse_attributes({}, len(kept)).attributes,
        is_mask=True,
        num_invalid={f"region smaller than {MIN_REGION_PX} px": num_specks} if num_specks else {},
        unknown={f"mask value {value} (pixels)": count for value, count in sorted(unknown.items())},
        notes=("regions of object classes may hold several objects: not counted",) if has_objects else (),
    )


def _windows(width: int, height: int) -> Iterator[RasterWindow]:
    for y, x in itertools.product(range(0, height, BLOCK_PX), range(0, width, BLOCK_PX)):
        yield RasterWindow(x, y, min(BLOCK_PX, width - x), min(BLOCK_PX, height - y))


def _codes(source: Any, window: RasterWindow, legend: _Legend, unknown: Counter[str]) -> NDArray[np.int16]:  # noqa: ANN401
    """Return a block's legend numbers, (height, width); values that nobody knows are counted in `unknown`."""
    if legend.is_rgb:
        red, green, blue = source.read([1, 2, 3], window=window).astype(np.int64)
        packed = (red << 16) | (green << 8) | blue
    else:
        packed = source.read(1, window=window)
    values, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    mapped = np.zeros(len(values), dtype=np.int16)
    for i, (value, count) in enumerate(zip(values.tolist(), counts.tolist(), strict=True)):
        key = (value >> 16, (value >> 8) & 255, value & 255) if legend.is_rgb else value
        mapped[i] = legend.codes.get(key, _UNUSED)
        # Unlabelled pixels are zero or nodata by convention; any other value is worth a word.
        if mapped[i] == _UNUSED and value not in (0, source.nodata) and value == value:
            unknown[str(key)] += count
    return mapped[inverse].reshape(packed.shape)


def _merged_at_seams(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return regions of one class with those joined that blocks have cut; in order of their top, then left edge."""
    bounds = shapely.bounds(polygons)
    touches = (bounds % BLOCK_PX == 0).any(axis=1)
    joined = shapely.get_parts(shapely.union_all(polygons[touches])) if touches.any() else polygons[:0]
    merged = np.concatenate([polygons[~touches], joined])
    edges = shapely.bounds(merged)
    order = np.lexsort((edges[:, 2], edges[:, 3], edges[:, 0], edges[:, 1]))
    result: NDArray[np.object_] = merged[order]
    return result


def _in_scene(polygons: NDArray[np.object_], source: Any, scene: Scene) -> NDArray[np.object_]:  # noqa: ANN401
    """Return polygons moved from mask pixels to scene pixels; unchanged when both have the same grid."""
    if not _is_georeferenced(source) or scene.crs is None or scene.transform is None:
        return polygons
    on_map = pixels_to_map(polygons, AffineCoefficients(*source.transform[:6]))
    on_map = reproject_to_scene(on_map, source.crs.to_wkt(), scene)
    moved = map_to_pixels(on_map, scene.transform)
    return polygons if _is_same(moved, polygons) else moved


def _is_same(first: NDArray[np.object_], second: NDArray[np.object_]) -> bool:
    """Tell whether two sets of polygons agree within a thousandth of a pixel."""
    if (shapely.get_num_coordinates(first) != shapely.get_num_coordinates(second)).any():
        return False
    return bool((np.abs(shapely.get_coordinates(first) - shapely.get_coordinates(second)) < _SAME_GRID_PX).all())
