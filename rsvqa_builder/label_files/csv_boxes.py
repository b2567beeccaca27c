"""CSV labels in scene pixels: boxes, oriented boxes, WKT geometries or points, found by the names of the columns.

The order of columns says nothing. A table with a `geometry` column is read by it, else by four corner points, else by
box sides, else by a point. Boxes are continuous pixel coordinates: `xmax` is where the box ends, not the last pixel
inside.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.columns import (
    IMAGE_COLUMNS,
    Columns,
    as_texts,
    attribute_texts,
    belongs_to_scene,
    find_column,
    image_stem,
    scored,
)
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, LabelError, NotLabelsError, RawLabels, judged_outlines
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
_POINT = (("x",), ("y",))
_SWAPPED = "x2 < x1 or y2 < y1"
_UNREADABLE = "coordinates are not numbers"
_BAD_WKT = "geometry is not WKT"


def read_csv_boxes(path: Path, scene: Scene, table: ClassTable) -> RawLabels:
    """Return the labels of a CSV file that belong to the scene.

    Raises:
        NotLabelsError: no known columns of coordinates, or all rows name other images.
        LabelError: the file is not a CSV text.
    """
    columns = _read_columns(path)
    if not _has_coordinates(columns):
        raise NotLabelsError(f"no columns of boxes, points or WKT among {', '.join(columns)}")
    count = len(next(iter(columns.values())))
    image_column = find_column(columns, IMAGE_COLUMNS)
    is_ours = np.ones(count, dtype=bool) if image_column is None else belongs_to_scene(columns[image_column], scene)
    if count and not is_ours.any():
        raise NotLabelsError(OTHER_IMAGES)
    ours = {name: texts[is_ours] for name, texts in columns.items()}
    geometries, outline, problems = _geometries(ours)
    is_usable = problems == ""
    ours = {name: texts[is_usable] for name, texts in ours.items()}
    geometries = geometries[is_usable]
    sources = _sources(ours, len(geometries), table)
    parsed = parse_attributes(attribute_texts(ours, table), len(geometries))
    is_certain, is_predicted = scored(ours, len(geometries), table)
    reasons, counts = np.unique(problems[~is_usable].astype(str), return_counts=True)
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(str(row) for row in np.flatnonzero(is_ours)[is_usable]),
        outlines=judged_outlines(geometries, sources, outline),
        is_certain=is_certain,
        attributes=parsed.attributes,
        is_predicted=is_predicted,
        num_other_image=int(count - is_ours.sum()),
        num_invalid=dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        dropped_attributes=parsed.dropped,
    )


def names_scene(path: Path, stem: str) -> bool:
    """Tell whether a CSV file has rows that name the image with this file stem; false for files that cannot be read."""
    try:
        columns = _read_columns(path)
    except LabelError:
        return False
    image_column = find_column(columns, IMAGE_COLUMNS)
    if image_column is None:
        return False
    names = dict.fromkeys(columns[image_column].tolist())
    return any(image_stem(name) == stem.casefold() for name in names)


def _read_columns(path: Path) -> Columns:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline())
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=delimiter, skipinitialspace=True
        )
    except pd.errors.EmptyDataError:
        raise NotLabelsError("the file is empty") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, csv.Error) as error:
        raise LabelError(f"not a CSV file in UTF-8: {str(error).strip()}") from error
    if isinstance(frame.index, pd.MultiIndex) or not isinstance(frame.index, pd.RangeIndex):
        raise LabelError("rows have more values than the header has names")
    return {str(name).strip(): as_texts(frame[name].to_numpy(dtype=object)) for name in frame.columns}


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _has_coordinates(columns: Columns) -> bool:
    wkt = find_column(columns, _WKT_COLUMNS) is not None
    return wkt or any(_found(columns, group) for group in (_SIDES, _TWO_CORNERS, _POINT))


def _found(columns: Columns, names: tuple[tuple[str, ...], ...]) -> list[str]:
    """Return the columns of a group of coordinates, empty unless all are there."""
    found = [find_column(columns, candidates) for candidates in names]
    return [] if None in found else [name for name in found if name is not None]


def _geometries(columns: Columns) -> tuple[NDArray[np.object_], Outline, NDArray[np.object_]]:
    """Return geometries, what they outline, and for each label what is wrong with it ("" when nothing is)."""
    wkt = find_column(columns, _WKT_COLUMNS)
    if wkt is not None:
        return _from_wkt(columns[wkt])
    if corners := _found(columns, _CORNERS):
        numbers, problems = _numbers(columns, corners)
        return np.asarray(shapely.polygons(numbers.reshape(-1, 4, 2)), dtype=object), Outline.ORIENTED_BOX, problems
    if sides := _found(columns, _SIDES) or _found(columns, _TWO_CORNERS):
        numbers, problems = _numbers(columns, sides)
        is_swapped = (numbers[:, 2] < numbers[:, 0]) | (numbers[:, 3] < numbers[:, 1])
        problems[(problems == "") & is_swapped] = _SWAPPED
        return np.asarray(shapely.box(*numbers.T), dtype=object), Outline.BOX, problems
    numbers, problems = _numbers(columns, _found(columns, _POINT))
    return np.asarray(shapely.points(numbers), dtype=object), Outline.POINT, problems


def _from_wkt(texts: NDArray[np.object_]) -> tuple[NDArray[np.object_], Outline, NDArray[np.object_]]:
    with np.errstate(invalid="ignore"):
        geometries = shapely.force_2d(shapely.from_wkt(texts, on_invalid="ignore"))
    problems = np.where(shapely.is_missing(geometries), _BAD_WKT, "").astype(object)
    return geometries, Outline.POLYGON, problems


def _numbers(columns: Columns, names: list[str]) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return the columns as numbers, one row a label (0 where there is none), and which rows are not all numbers."""
    parsed = np.column_stack([pd.to_numeric(pd.Series(columns[name]), errors="coerce").to_numpy() for name in names])
    numbers = parsed.astype(np.float64)
    is_bad = ~np.isfinite(numbers).all(axis=1)
    return np.where(np.isfinite(numbers), numbers, 0.0), np.where(is_bad, _UNREADABLE, "").astype(object)


def _sources(columns: Columns, count: int, table: ClassTable) -> NDArray[np.object_]:
    """Return the class column's texts: of several, the first in which the table knows every name, else the first."""
    found = [name for name in (find_column(columns, [column]) for column in table.class_columns) if name is not None]
    for name in found:
        if all(table.resolve(text) is not None for text in dict.fromkeys(columns[name].tolist())):
            return columns[name]
    return columns[found[0]] if found else np.full(count, "", dtype=object)
