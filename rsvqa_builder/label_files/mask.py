"""Class masks: rasters whose pixel values are classes, turned into polygons strip by strip.

A raster on the map is read around the scene only; memory is bounded by a strip and the polygons. Regions are
4-connected. What surprises: touching objects are one region, so regions of an object class are uncertain, never counted
or asked about as single things.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline, Role
from rsvqa.rsvqa_builder.label_files.layouts import bare_stem, is_instance_raster, preset_of
from rsvqa.rsvqa_builder.label_files.placing import (
    map_to_pixels,
    pixels_to_map,
    reproject_to_scene,
)
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable, normalised
from rsvqa.rsvqa_builder.labels.cleaning import reaches_scene
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels, object_array
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients, Scene

MIN_REGION_PX = 64
"""Smaller regions, in scene pixels, are specks: they are dropped and counted."""

COARSE_PIXELS = 5
"""A mask whose pixels are wider than so many of the scene's tells what is where, but no outlines."""

STRIP_PX = 2**25
"""Pixels read at once, in whole rows; fewer seams than square blocks, and joining regions at seams is what costs."""

_Pixel = int | tuple[int, int, int]

_NO_INDEX = 2**16
"""Stands for values that can be no class number: negative, fractional, not finite."""
_UNUSED = 0
_IGNORED = 1
_FIRST_CLASS = 2
_SAME_GRID_PX = 1e-3
_TURN_DEG = 360.0
_MAX_INSTANCE = 2**31 - 1
_PARTLY = "it covers a part of the scene only"


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
        NotLabelsError: it does not reach the scene.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                _check_grid(source, scene)
                if table.mask == "instances":
                    return _instances(source, scene, _class_of_name(path, scene, table))
                if is_instance_raster(path):
                    raise LabelError(
                        'its name says that its values are numbers of objects, not classes: give mask = "instances" in '
                        "the class table"
                    )
                if table.name == "flair" and (named := preset_of(path)):
                    raise LabelError(
                        f"its numbers are not those of the preset {table.name!r}: give classes = {named!r}"
                    )
                legend = _legend(source, table)
                return _regions(source, scene, table, legend)
    except (RasterioError, OSError) as error:
        raise LabelError(f"GDAL cannot read it as a mask: {error}") from error


def knows_values(path: Path, values: Collection[int], table: ClassTable) -> bool:
    """Tell whether a class table names the pixel values of a raster, nodata and 0 apart; colours are 0xRRGGBB."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                codes = _legend(source, table).codes
                unlabelled = {0, source.nodata}
    except (LabelError, RasterioError, OSError):
        return False
    known = {_packed(*value) if isinstance(value, tuple) else value for value in codes}
    return all(value in known or value in unlabelled for value in values)


def _has_map(source: Any, scene: Scene) -> bool:  # noqa: ANN401 - rasterio has no types
    """Tell whether mask and scene both have a georeference."""
    is_georeferenced = source.crs is not None and not source.transform.is_identity
    return is_georeferenced and scene.crs is not None and scene.transform is not None


def _check_grid(source: Any, scene: Scene) -> None:  # noqa: ANN401
    if not _has_map(source, scene) and (source.width, source.height) != (scene.width, scene.height):
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
    if source.nodata == 0:
        codes.pop(0, None)
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
    lookup = _lookup(legend)
    kept: list[BaseGeometry] = []
    sources: list[str] = []
    width_px = _pixel_width(source, scene) if _has_map(source, scene) else 1.0
    windows, is_covered = _windows(source, scene, width_px)
    for window in windows:
        polygons: defaultdict[int, list[NDArray[np.object_]]] = defaultdict(list)
        seams = []
        for strip in _strips(window):
            codes = _codes(source, strip, legend, lookup, unknown)
            seams.append(strip.row_off)
            for code, found in _polygonized(codes, strip, codes >= _FIRST_CLASS).items():
                polygons[code].append(found)
        for code in sorted(polygons):
            merged = _merged_at_seams(np.concatenate(polygons[code]), seams[1:])
            kept.extend(merged)
            sources.extend([legend.names[code - _FIRST_CLASS]] * len(merged))
    placed = _in_scene(object_array(kept), source, scene)
    is_speck = shapely.area(placed) < MIN_REGION_PX
    names = object_array(sources)[~is_speck]
    is_object = {name for name in legend.names if table.classes[name].role is Role.OBJECT}
    notes = [
        "regions of object classes may hold several objects: not counted" if is_object & set(names) else "",
        "" if is_covered else _PARTLY,
        _coarseness(width_px),
    ]
    num_specks = int(is_speck.sum())
    is_seen = is_speck & reaches_scene(placed, scene.width, scene.height)
    only_specks = set(object_array(sources)[is_seen]) - set(names)
    return RawLabels(
        geometries=placed[~is_speck],
        sources=names,
        positions=tuple(str(number) for number in range(len(names))),
        outlines=object_array([Outline.POLYGON] * len(names)),
        is_certain=np.array([name not in is_object for name in names], dtype=bool),
        attributes=parse_attributes({}, len(names)).attributes,
        is_mask=True,
        is_coarse=width_px > COARSE_PIXELS,
        on_map=_has_map(source, scene),
        num_invalid={f"region smaller than {MIN_REGION_PX} px": num_specks} if num_specks else {},
        lost_sources=frozenset(only_specks if is_covered else legend.names),
        unknown={f"mask value {value} (pixels)": count for value, count in sorted(unknown.items())},
        notes=tuple(note for note in notes if note),
    )


def _instances(source: Any, scene: Scene, name: str) -> RawLabels:  # noqa: ANN401
    """Return one object per number around the scene.

    The window grows until no object of the scene reaches beyond it, because a part says nothing of the whole.
    """
    width_px = _pixel_width(source, scene) if _has_map(source, scene) else 1.0
    windows, is_covered = _windows(source, scene, width_px)
    whole = RasterWindow(0, 0, source.width, source.height)
    window = inner = windows[0] if len(windows) == 1 else whole
    parts = _numbered(source, window)
    while window != whole and any(_is_cut(found, window, whole) for found in parts.values() if _reaches(found, inner)):
        window = _grown(window, whole)
        parts = _numbered(source, window)
    found = [number for number in sorted(parts) if _reaches(parts[number], inner)]
    geometries = object_array([shapely.union_all(parts[number]) for number in found])
    return RawLabels(
        geometries=_in_scene(geometries, source, scene),
        sources=object_array([name] * len(found)),
        positions=tuple(map(str, found)),
        outlines=object_array([Outline.POLYGON] * len(found)),
        is_certain=np.ones(len(found), dtype=bool),
        attributes=parse_attributes({}, len(found)).attributes,
        on_map=_has_map(source, scene),
        lost_sources=frozenset() if is_covered else frozenset([name]),
        notes=() if is_covered else (_PARTLY,),
    )


def _reaches(parts: Sequence[BaseGeometry], window: RasterWindow) -> bool:
    """Tell whether an object has a part in a window."""
    x_min, y_min, x_max, y_max = shapely.total_bounds(object_array(parts)).tolist()
    left, top, right, bottom = _sides(window)
    return bool(x_max > left and y_max > top and x_min < right and y_min < bottom)


def _is_cut(parts: Sequence[BaseGeometry], window: RasterWindow, whole: RasterWindow) -> bool:
    """Tell whether an object ends at a side of `window` that is no side of `whole`."""
    bounds = shapely.total_bounds(object_array(parts)).tolist()
    return any(bound == side != end for bound, side, end in zip(bounds, _sides(window), _sides(whole), strict=True))


def _sides(window: RasterWindow) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a window."""
    x, y = window.col_off, window.row_off
    return x, y, x + window.width, y + window.height


def _grown(window: RasterWindow, whole: RasterWindow) -> RasterWindow:
    """Return a window of three times the sides, within the whole."""
    x, y = max(0, window.col_off - window.width), max(0, window.row_off - window.height)
    right, bottom = window.col_off + 2 * window.width, window.row_off + 2 * window.height
    return RasterWindow(x, y, min(whole.width, right) - x, min(whole.height, bottom) - y)


def _numbered(source: Any, window: RasterWindow) -> dict[int, list[BaseGeometry]]:  # noqa: ANN401
    """Return the regions of a window by their number."""
    parts: defaultdict[int, list[BaseGeometry]] = defaultdict(list)
    for strip in _strips(window):
        values = source.read(1, window=strip)
        is_there = np.isfinite(values) & (values != 0)
        if source.nodata is not None:
            is_there &= values != source.nodata
        numbers = np.where(is_there, values, 0)
        if (numbers != np.floor(numbers)).any() or numbers.min() < 0 or numbers.max() > _MAX_INSTANCE:
            raise LabelError(f"its values are not numbers of objects, whole ones from 1 to {_MAX_INSTANCE}")
        for code, polygons in _polygonized(numbers.astype(np.int32), strip, is_there).items():
            parts[code].extend(polygons)
    return dict(parts)


def _class_of_name(path: Path, scene: Scene, table: ClassTable) -> str:
    """Return the class that the name of a raster of instances speaks of, else the only one of the table.

    Raises:
        LabelError: it is open which class the instances are of.
    """
    known = list(table.infos())
    stem = bare_stem(path.stem, is_raster=True)
    own = normalised(stem).removeprefix(normalised(Path(scene.path).stem)).strip()
    spoken = [name for text in (stem, own) if (name := table.resolve(text, "polygon")) in known and name]
    if not spoken and len(known) != 1:
        raise LabelError(
            f"nothing says of which class its instances are: name it {Path(scene.path).stem}_<class>_mask.tif"
        )
    return spoken[0] if spoken else known[0]


def _windows(source: Any, scene: Scene, width_px: float) -> tuple[list[RasterWindow], bool]:  # noqa: ANN401
    """Return the parts of a raster that hold the scene, and whether they hold all of it.

    They are two where a raster of the whole Earth ends in the scene. Their margin is so wide that a region which
    reaches from the scene to the end of it is no speck.

    Raises:
        NotLabelsError: the raster does not reach the scene.
    """
    whole = RasterWindow(0, 0, source.width, source.height)
    points = _scene_points(source, scene) if _has_map(source, scene) else None
    if points is None:
        return [whole], True
    margin = 2 + math.ceil(MIN_REGION_PX / width_px**2)
    turns = (-_TURN_DEG, 0.0, _TURN_DEG) if source.crs.is_geographic else (0.0,)
    windows = []
    is_covered = False
    for turn in turns:
        turned = np.asarray(shapely.points(points + np.array([turn, 0.0])), dtype=object)
        there = map_to_pixels(turned, AffineCoefficients(*source.transform[:6]))
        left, top, right, bottom = shapely.total_bounds(there).tolist()
        if right <= 0 or bottom <= 0 or left >= source.width or top >= source.height:
            continue
        is_covered |= left >= -1 and top >= -1 and right <= source.width + 1 and bottom <= source.height + 1
        x, y = (max(0, math.floor(side) - margin) for side in (left, top))
        width = min(source.width, math.ceil(right) + margin) - x
        windows.append(RasterWindow(x, y, width, min(source.height, math.ceil(bottom) + margin) - y))
    if not windows:
        raise NotLabelsError("the raster does not reach the scene")
    return windows, is_covered or len(windows) > 1


def _scene_points(source: Any, scene: Scene) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Return a grid of points over the scene in a raster's CRS, (n, 2); longitudes run on beyond the antimeridian.

    None where the scene cannot be projected.
    """
    if scene.transform is None:
        return None
    x, y = (side.ravel() for side in np.meshgrid(*(np.linspace(0, size, 21) for size in (scene.width, scene.height))))
    on_map = pixels_to_map(np.asarray(shapely.points(np.column_stack((x, y))), dtype=object), scene.transform)
    transformer = pyproj.Transformer.from_crs(scene.crs, source.crs.to_wkt(), always_xy=True)
    points = np.column_stack(transformer.transform(*shapely.get_coordinates(on_map).T))
    if not np.isfinite(points).all():
        return None
    if source.crs.is_geographic:
        from_first = points[:, 0] - points[0, 0]
        points[:, 0] = points[0, 0] + (from_first + _TURN_DEG / 2) % _TURN_DEG - _TURN_DEG / 2
    return points


def _pixel_width(source: Any, scene: Scene) -> float:  # noqa: ANN401
    """Return how wide a raster's pixel in the middle of the scene is, in scene pixels."""
    if (points := _scene_points(source, scene)) is None:
        return 1.0
    middle = object_array([shapely.Point(points[len(points) // 2])])
    x, y = shapely.get_coordinates(map_to_pixels(middle, AffineCoefficients(*source.transform[:6])))[0]
    area = _in_scene(object_array([shapely.box(x, y, x + 1, y + 1)]), source, scene)[0].area
    return math.sqrt(area) if math.isfinite(area) and area > 0 else 1.0


def _coarseness(width_px: float) -> str:
    """Return a note where the pixels of a raster are much wider than the scene's, "" else."""
    if width_px <= COARSE_PIXELS:
        return ""
    return f"its pixels are {width_px:.0f} px of the scene wide: it tells what is where, but no outlines"


def _strips(window: RasterWindow) -> Iterator[RasterWindow]:
    rows = max(1, STRIP_PX // window.width)
    end = window.row_off + window.height
    for y in range(window.row_off, end, rows):
        yield RasterWindow(window.col_off, y, window.width, min(rows, end - y))


def _lookup(legend: _Legend) -> NDArray[np.int16]:
    """Return legend numbers by pixel value; colours are packed into 24 bits, what is no class number comes last."""
    lookup = np.full(2**24 if legend.is_rgb else _NO_INDEX + 1, _UNUSED, dtype=np.int16)
    for value, code in legend.codes.items():
        packed = _packed(*value) if isinstance(value, tuple) else value
        if 0 <= packed < len(lookup):
            lookup[packed] = code
    return lookup


def _packed(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def _codes(
    source: Any,  # noqa: ANN401
    window: RasterWindow,
    legend: _Legend,
    lookup: NDArray[np.int16],
    unknown: Counter[str],
) -> NDArray[np.int16]:
    """Return a strip's legend numbers, (height, width); values that nobody knows are counted in `unknown`."""
    if legend.is_rgb:
        red, green, blue = source.read([1, 2, 3], window=window, out_dtype="uint8").astype(np.int32)
        values = red << 16 | green << 8 | blue
    else:
        values = source.read(1, window=window)
        if values.dtype != np.uint8:
            is_index = (values >= 0) & (values < _NO_INDEX) & (values == np.floor(values))
            values = np.where(is_index, values, 0).astype(np.int32)
            values[~is_index] = _NO_INDEX
    codes: NDArray[np.int16] = lookup[values]
    # Unlabelled pixels are zero or nodata by convention; any other value is worth a word.
    is_strange = (codes == _UNUSED) & (values != 0) & ((values != _NO_INDEX) | legend.is_rgb)
    strange, counts = np.unique(values[is_strange], return_counts=True)
    for value, count in zip(strange.tolist(), counts.tolist(), strict=True):
        if value != source.nodata:
            name = f"{value >> 16}, {value >> 8 & 255}, {value & 255}" if legend.is_rgb else str(value)
            unknown[name] += count
    return codes


def _polygonized(
    codes: NDArray[np.int16] | NDArray[np.int32], strip: RasterWindow, is_there: NDArray[np.bool_]
) -> dict[int, NDArray[np.object_]]:
    """Return a strip's regions in pixels of the mask, by their number."""
    shift = Affine.translation(strip.col_off, strip.row_off)
    found: defaultdict[int, list[list[list[tuple[float, float]]]]] = defaultdict(list)
    for shape, code in rasterio.features.shapes(codes, mask=is_there, transform=shift):
        found[int(code)].append(shape["coordinates"])
    return {code: _polygons(rings) for code, rings in found.items()}


def _polygons(polygons: Sequence[Sequence[Sequence[tuple[float, float]]]]) -> NDArray[np.object_]:
    """Return polygons from their rings; ten times faster than one by one."""
    rings = [ring for polygon in polygons for ring in polygon]
    flat = itertools.chain.from_iterable(itertools.chain.from_iterable(rings))
    coordinates = np.fromiter(flat, dtype=np.float64).reshape(-1, 2)
    ring_ends = np.cumsum([0, *(len(ring) for ring in rings)])
    polygon_ends = np.cumsum([0, *(len(polygon) for polygon in polygons)])
    built: NDArray[np.object_] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, coordinates, (ring_ends, polygon_ends)
    )
    return built


def _merged_at_seams(polygons: NDArray[np.object_], seams: Sequence[int]) -> NDArray[np.object_]:
    """Return regions of one class with those joined that strips have cut; in order of their top, then left edge."""
    bounds = shapely.bounds(polygons)
    touches = np.isin(bounds[:, [1, 3]], seams).any(axis=1)
    joined = shapely.get_parts(shapely.union_all(polygons[touches])) if touches.any() else polygons[:0]
    merged = np.concatenate([polygons[~touches], joined])
    edges = shapely.bounds(merged)
    order = np.lexsort((edges[:, 2], edges[:, 3], edges[:, 0], edges[:, 1]))
    result: NDArray[np.object_] = merged[order]
    return result


def _in_scene(polygons: NDArray[np.object_], source: Any, scene: Scene) -> NDArray[np.object_]:  # noqa: ANN401
    """Return polygons moved from mask pixels to scene pixels; unchanged when both have the same grid."""
    if not _has_map(source, scene) or scene.transform is None:
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
