"""CSV labels: boxes, oriented boxes, WKT geometries or points, found by the names of the columns.

The order of columns says nothing. A table with a `geometry` column is read by it, else by four corner points, else by
box sides, else by a corner or centre with width and height, else by a point. Boxes are continuous pixel coordinates:
`xmax` is where the box ends, not the last pixel inside. Columns of longitude and latitude make it a table of degrees.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.columns import (
    Columns,
    ImageColumn,
    are_predicted,
    as_texts,
    attribute_texts,
    find_column,
    own_rows,
    picture_size,
    scored,
)
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.placing import DEGREES, bounds_of, place_by_crs, place_unstated
from rsvqa.rsvqa_builder.label_files.texts import decoded, opened, read_text
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels, judged_outlines
from rsvqa.rsvqa_builder.scenes.scene import Scene

_WKT_COLUMNS = ("geometry", "wkt", "geom")
_SIDES = (
    ("xmin", "x_min", "minx", "left"),
    ("ymin", "y_min", "miny", "top"),
    ("xmax", "x_max", "maxx", "right"),
    ("ymax", "y_max", "maxy", "bottom"),
)
_CORNERS = (("x1",), ("y1",), ("x2",), ("y2",), ("x3",), ("y3",), ("x4",), ("y4",))
_TWO_CORNERS = (("x1",), ("y1",), ("x2",), ("y2",))
_SIZE = (("width", "w", "bbox_width", "bbox_w"), ("height", "h", "bbox_height", "bbox_h"))
_CORNER_AND_SIZE = (("x", "bbox_x", *_SIDES[0]), ("y", "bbox_y", *_SIDES[1]), *_SIZE)
_CENTRE_AND_SIZE = (("cx", "x_center", "x_centre", "xc"), ("cy", "y_center", "y_centre", "yc"), *_SIZE)
_POINT = (("x",), ("y",))
_LONGITUDE_LATITUDE = (("longitude", "lon", "lng", "long"), ("latitude", "lat"))
_GROUPS = (_SIDES, _TWO_CORNERS, _CORNER_AND_SIZE, _CENTRE_AND_SIZE, _POINT, _LONGITUDE_LATITUDE)
_SWAPPED = "x2 < x1 or y2 < y1"
_UNREADABLE = "coordinates are not numbers"
_NEGATIVE_SIZE = "box with negative width or height"
_BAD_WKT = "geometry is not WKT"
_NO_CRS = "the table names no CRS"
_HEAD_BYTES = 4096
_DECIMAL_COMMA, _THOUSANDS = r"-?\d+,\d+", r"-?\d{1,3},\d{3}"


@dataclass(frozen=True, slots=True)
class _Table:
    """A file, parsed once for all scenes."""

    columns: Columns
    images: ImageColumn | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shapes:
    """Geometries in the file's coordinates, what they outline, and what is wrong with each ("" when nothing is)."""

    geometries: NDArray[np.object_]
    outline: Outline
    problems: NDArray[np.object_]
    in_degrees: bool = False


def read_csv_boxes(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the labels of a CSV file that belong to the scene.

    Raises:
        NotLabelsError: no known columns of coordinates, or all rows name other images.
        LabelError: the file is not a CSV text, or it is open what its coordinates or images are.
    """
    content = _load(path)
    columns = content.columns
    if not _has_coordinates(columns):
        raise NotLabelsError(f"no columns of boxes, points or WKT among {', '.join(columns)}")
    count = len(next(iter(columns.values())))
    rows = own_rows(content.images, count, identity or Identity(scene.path), path)
    ours = {name: texts[rows.is_ours] for name, texts in columns.items()}
    has_picture_columns = _has_picture_columns(ours, scene)
    shapes = _shapes(ours, has_picture_columns=has_picture_columns)
    is_usable = shapes.problems == ""
    lost = _sources({name: texts[~is_usable] for name, texts in ours.items()}, int((~is_usable).sum()), table)
    reasons, counts = np.unique(shapes.problems[~is_usable].astype(str), return_counts=True)
    ours = {name: texts[is_usable] for name, texts in ours.items()}
    geometries = shapes.geometries[is_usable]
    if shapes.in_degrees:
        placed = place_by_crs(geometries, DEGREES, scene)
    else:
        placed = place_unstated(geometries, scene, _NO_CRS, are_pixels_by_format=True)
    sources = _sources(ours, len(geometries), table)
    parsed = parse_attributes(attribute_texts(ours, table), len(geometries))
    return RawLabels(
        geometries=placed.geometries,
        sources=sources,
        positions=tuple(str(row) for row in np.flatnonzero(rows.is_ours)[is_usable]),
        outlines=judged_outlines(geometries, sources, shapes.outline),
        is_certain=scored(ours, len(geometries), table),
        attributes=parsed.attributes,
        is_predicted=are_predicted(columns, table),
        num_other_image=rows.num_other,
        num_of_no_image=rows.num_of_no_image,
        num_invalid=dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        lost_sources=frozenset(lost.tolist()),
        dropped_attributes=parsed.dropped,
        notes=tuple(note for note in (content.note, placed.note) if note),
        on_map=placed.on_map,
        by_image=rows.by_image,
        picture_size=picture_size(ours, extent=_extent(geometries) if has_picture_columns else None),
    )


def _extent(geometries: NDArray[np.object_]) -> tuple[float, float]:
    _, _, x_max, y_max = bounds_of(geometries)
    return x_max, y_max


def image_names(path: Path) -> ImageNames | None:
    """Return the images that a CSV file names, None where it names none.

    Raises:
        LabelError: the file is not a CSV text.
    """
    images = _load(path).images
    return images.names if images else None


def looks_like_table(path: Path) -> bool:
    """Tell by the header whether a CSV file holds coordinates."""
    with opened(path) as file:
        header = file.readline(_HEAD_BYTES)
    try:
        line = decoded(header).text.strip()
    except LabelError:
        return False
    return _has_coordinates({name.strip().strip('"'): np.empty(0, object) for name in line.split(_delimiter(line))})


def _load(path: Path) -> _Table:
    stat = path.stat()
    return _parsed(path, (stat.st_mtime_ns, stat.st_size))


# One file may serve thousands of scenes: it is parsed once. The key follows the content.
@lru_cache(maxsize=1)
def _parsed(path: Path, version: tuple[int, int]) -> _Table:  # noqa: ARG001
    text, note = read_text(path)
    try:
        frame = pd.read_csv(
            io.StringIO(text.removeprefix("\ufeff")),
            dtype=str,
            keep_default_na=False,
            sep=_delimiter(text.partition("\n")[0]),
            skipinitialspace=True,
        )
    except pd.errors.EmptyDataError:
        raise NotLabelsError("the file is empty") from None
    except (pd.errors.ParserError, csv.Error) as error:
        raise LabelError(f"not a CSV file: {str(error).strip()}") from error
    if isinstance(frame.index, pd.MultiIndex) or not isinstance(frame.index, pd.RangeIndex):
        raise LabelError("rows have more values than the header has names")
    columns = {str(name).strip(): as_texts(frame[name].to_numpy(dtype=object)) for name in frame.columns}
    return _Table(columns, ImageColumn.of(columns), note)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _has_coordinates(columns: Columns) -> bool:
    wkt = find_column(columns, _WKT_COLUMNS) is not None
    return wkt or any(_found(columns, group) for group in _GROUPS)


def _found(columns: Columns, names: tuple[tuple[str, ...], ...]) -> list[str]:
    """Return the columns of a group of coordinates, empty unless all are there."""
    found = [find_column(columns, candidates) for candidates in names]
    return [] if None in found else [name for name in found if name is not None]


def _has_picture_columns(columns: Columns, scene: Scene) -> bool:
    """Tell whether columns `width` and `height` are those of the picture: beside sides of a box, or the scene's own."""
    groups = (_CORNERS, _SIDES, _TWO_CORNERS)
    if find_column(columns, _WKT_COLUMNS) or any(_found(columns, group) for group in groups):
        return True
    found = _found(columns, _CENTRE_AND_SIZE) or _found(columns, _CORNER_AND_SIZE)
    if not found:
        return True
    sizes = set(zip(columns[found[2]].tolist(), columns[found[3]].tolist(), strict=True))
    return sizes == {(str(scene.width), str(scene.height))}


def _shapes(columns: Columns, *, has_picture_columns: bool) -> _Shapes:
    degrees = _found(columns, _LONGITUDE_LATITUDE)
    wkt = find_column(columns, _WKT_COLUMNS)
    if wkt is not None:
        return replace(_from_wkt(columns[wkt]), in_degrees=bool(degrees))
    if corners := _found(columns, _CORNERS):
        numbers, problems = _numbers(columns, corners)
        polygons = np.asarray(shapely.polygons(numbers.reshape(-1, 4, 2)), dtype=object)
        return _Shapes(geometries=polygons, outline=Outline.ORIENTED_BOX, problems=problems)
    if sides := _found(columns, _SIDES) or _found(columns, _TWO_CORNERS):
        numbers, problems = _numbers(columns, sides)
        is_swapped = (numbers[:, 2] < numbers[:, 0]) | (numbers[:, 3] < numbers[:, 1])
        problems[(problems == "") & is_swapped] = _SWAPPED
        return _Shapes(
            geometries=np.asarray(shapely.box(*numbers.T), dtype=object), outline=Outline.BOX, problems=problems
        )
    if not has_picture_columns:
        centred = _found(columns, _CENTRE_AND_SIZE)
        numbers, problems = _numbers(columns, centred or _found(columns, _CORNER_AND_SIZE))
        problems[(problems == "") & (numbers[:, 2:] < 0).any(axis=1)] = _NEGATIVE_SIZE
        if centred:
            numbers[:, :2] -= numbers[:, 2:] / 2
        numbers[:, 2:] += numbers[:, :2]
        return _Shapes(
            geometries=np.asarray(shapely.box(*numbers.T), dtype=object), outline=Outline.BOX, problems=problems
        )
    numbers, problems = _numbers(columns, degrees or _found(columns, _POINT))
    points = np.asarray(shapely.points(numbers), dtype=object)
    return _Shapes(geometries=points, outline=Outline.POINT, problems=problems, in_degrees=bool(degrees))


def _boxes(sides: NDArray[np.float64], problems: NDArray[np.object_]) -> _Shapes:
    boxes = np.asarray(shapely.box(*sides.T), dtype=object)
    return _Shapes(geometries=boxes, outline=Outline.BOX, problems=problems)


def _from_wkt(texts: NDArray[np.object_]) -> _Shapes:
    with np.errstate(invalid="ignore"):
        geometries = shapely.force_2d(shapely.from_wkt(texts, on_invalid="ignore"))
    problems = np.where(shapely.is_missing(geometries), _BAD_WKT, "").astype(object)
    return _Shapes(geometries=geometries, outline=Outline.POLYGON, problems=problems)


def _numbers(columns: Columns, names: list[str]) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return the columns as numbers, one row a label (0 where there is none), and which rows are not all numbers."""
    parsed = np.column_stack([_parsed_numbers(columns[name]) for name in names])
    numbers = parsed.astype(np.float64)
    is_bad = ~np.isfinite(numbers).all(axis=1)
    return np.where(np.isfinite(numbers), numbers, 0.0), np.where(is_bad, _UNREADABLE, "").astype(object)


def _parsed_numbers(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return texts as numbers, NaN where they are none; decimal commas are read where they cannot part thousands."""
    series = pd.Series(texts, dtype=object)
    with_comma = series[series.str.contains(",", regex=False, na=False)]
    may_part_thousands = with_comma.str.fullmatch(_THOUSANDS).all()
    if len(with_comma) and with_comma.str.fullmatch(_DECIMAL_COMMA).all() and not may_part_thousands:
        series = series.str.replace(",", ".", regex=False)
    return np.asarray(pd.to_numeric(series, errors="coerce").to_numpy(), dtype=np.float64)


def _sources(columns: Columns, count: int, table: ClassTable) -> NDArray[np.object_]:
    """Return the class column's texts: of several, the first in which the table knows every name, else the first."""
    found = [name for name in (find_column(columns, [column]) for column in table.class_columns) if name is not None]
    for name in found:
        if all(table.resolve(text) is not None for text in dict.fromkeys(columns[name].tolist())):
            return columns[name]
    # Google's Open Buildings
    fallback = "building" if find_column(columns, ["full_plus_code"]) else ""
    return columns[found[0]] if found else np.full(count, fallback, dtype=object)
