"""Columns of label files as text: finding them, and what they say of image, score and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import object_array
from rsvqa.rsvqa_builder.scenes.scene import Scene

IMAGE_COLUMNS = ("image_path", "image_id", "image", "file_name", "filename")
"""Columns that may say which image a label belongs to."""

IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".vrt", ".bmp"})

Columns = Mapping[str, NDArray[np.object_]]
"""Texts by column name as the file spells it, "" for missing values."""


def as_texts(column: NDArray[np.generic] | Sequence[object]) -> NDArray[np.object_]:
    """Return a column as stripped text: "" for missing values, "73" for 73.0."""
    codes, values = pd.factorize(np.asarray(column, dtype=object))
    words = object_array([_as_text(value) for value in values] + [""])
    texts: NDArray[np.object_] = words[codes]
    return texts


def _as_text(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def find_column(columns: Iterable[str], candidates: Iterable[str]) -> str | None:
    """Return the first candidate among the columns as the file spells it, case ignored; None when there is none."""
    by_key = {column.casefold(): column for column in reversed(list(columns))}
    return next((by_key[name.casefold()] for name in candidates if name.casefold() in by_key), None)


def scene_stem(scene: Scene) -> str:
    """Return the scene's file name without its suffix."""
    return PurePosixPath(scene.path).stem


def image_stem(name: str) -> str | None:
    """Return the lower-case stem of an image's file name, None when the text does not look like one."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem.casefold() if path.suffix.lower() in IMAGE_SUFFIXES else None


def belongs_to_scene(image_names: NDArray[np.object_], scene: Scene) -> NDArray[np.bool_]:
    """Tell which labels name this scene's image, or none; only values that look like file names count as names."""
    return per_value(image_names, lambda name: image_stem(name) in (None, scene_stem(scene).casefold()))


def per_value(texts: NDArray[np.object_], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Return a test's answer for each text; it is asked once for each different one."""
    codes, values = pd.factorize(texts)
    answers = np.array([bool(test(value)) for value in values], dtype=bool)
    return answers[codes] if len(values) else np.zeros(len(texts), dtype=bool)


def attribute_texts(columns: Columns, table: ClassTable) -> dict[str, Sequence[str]]:
    """Return the columns of attributes that a file has, by attribute."""
    found = {attribute: find_column(columns, names) for attribute, names in table.attributes.columns().items()}
    return {name: columns[column].tolist() for name, column in found.items() if column is not None}


def scored(columns: Columns, count: int, table: ClassTable) -> tuple[NDArray[np.bool_], bool]:
    """Return which labels are certain by their scores, and whether there are scores at all.

    A label without a number for its score, among others that have one, is not certain.
    """
    column = find_column(columns, table.score_columns)
    if column is None or not any(columns[column]):
        return np.ones(count, dtype=bool), False
    return per_value(columns[column], lambda text: _number(text) >= table.min_score), True


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
