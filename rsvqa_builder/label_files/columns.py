"""Columns of label files as text: finding them, and what they say of image, score and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames, is_image_name, spelt_alike
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, LabelError, NotLabelsError, object_array

IMAGE_COLUMNS = (
    "image_path",
    "image_id",
    "image",
    "file_name",
    "filename",
    "image_name",
    "img_name",
    "imagename",
    "imageid",
    "img_path",
)
"""Columns that may say which image a label belongs to; of several, the first that holds names of files counts."""

OUTLINE_COLUMN, CERTAIN_COLUMN, ORIGIN_COLUMN = "rsvqa_outline", "rsvqa_certain", "rsvqa_origin"
"""What `rsvqa review labels` writes of each object beside its class: how it was drawn, whether for sure, and where a
model has proposed some, by whom; the last is for people and is not read."""

_PICTURE_SIZE = (("image_width", "img_width", "imagewidth"), ("image_height", "img_height", "imageheight"))
PICTURE_COLUMNS = tuple(name for names in _PICTURE_SIZE for name in names)
_PLAIN_SIZE = (("width",), ("height",))

_NO_SCORE = -1.0

Columns = Mapping[str, NDArray[np.object_]]
"""Texts by column name as the file spells it, "" for missing values."""


def as_texts(column: NDArray[np.generic] | Sequence[object]) -> NDArray[np.object_]:
    """Return a column as stripped text: "" for missing values, "73" for 73.0."""
    # lists cannot be told apart by their hashes
    items = [", ".join(map(_as_text, one)) if isinstance(one, np.ndarray | list) else one for one in column]
    codes, values = pd.factorize(object_array(items))
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


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """The column of a file that says which image each label is of.

    Attributes:
        codes: for each label the number of its value; -1 where it says nothing.
        values: the different values.
        names: the values, as names of images.
    """

    codes: NDArray[np.int64]
    values: tuple[str, ...]
    names: ImageNames

    @classmethod
    def of(cls, columns: Columns) -> Self | None:
        """Return the image column of a file, None when it has none that says anything."""
        found = [name for name in (find_column(columns, [candidate]) for candidate in IMAGE_COLUMNS) if name]
        spoken = [name for name in found if any(columns[name])]
        if not spoken:
            return None
        column = next((name for name in spoken if any(map(is_image_name, columns[name]))), spoken[0])
        texts = columns[column].copy()
        texts[texts == ""] = None
        codes, values = pd.factorize(texts)
        return cls(codes.astype(np.int64), tuple(values.tolist()), ImageNames.of(values.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRows:
    """The rows of a file that are of one scene.

    Attributes:
        is_ours: for each row of the file.
        by_image: the file names its image.
        num_other: rows of other images.
        num_of_no_image: rows that name no image, in a file that names some.
    """

    is_ours: NDArray[np.bool_]
    by_image: bool = False
    num_other: int = 0
    num_of_no_image: int = 0


def own_rows(
    column: ImageColumn | None, count: int, identity: Identity, path: Path, *, on_map: bool = False
) -> OwnRows:
    """Return which of `count` rows are of the scene: all where the file names no image.

    A lone number, or any lone text in a file with the scene's own stem, may be an id that means the only image.

    Args:
        column: the file's image column.
        count: rows of the file.
        identity: of the scene.
        path: of the file; names start in its folder.
        on_map: the file's coordinates tell where its labels are, so ids that name no scene may stand for anything.

    Raises:
        NotLabelsError: the file names other images only.
        LabelError: a name may mean several scenes.
    """
    everything = OwnRows(is_ours=np.ones(count, dtype=bool))
    if column is None:
        return everything
    ours = identity.images(column.names, path.parent)
    if not ours:
        if not any(map(is_image_name, column.values)) and (on_map or _may_be_id(column.values, identity, path)):
            return everything
        raise NotLabelsError(OTHER_IMAGES)
    chosen = [number for number, value in enumerate(column.values) if value in ours]
    is_ours = np.isin(column.codes, chosen)
    num_of_no_image = int((column.codes < 0).sum())
    num_other = count - int(is_ours.sum()) - num_of_no_image
    return OwnRows(is_ours=is_ours, by_image=True, num_other=num_other, num_of_no_image=num_of_no_image)


def _may_be_id(values: Sequence[str], identity: Identity, path: Path) -> bool:
    if len(values) != 1:
        return False
    return values[0].isdecimal() or spelt_alike(path.name).split(".")[0].casefold() == identity.stem.casefold()


def picture_size(columns: Columns, *, extent: tuple[float, float] | None = None) -> tuple[float, float] | None:
    """Return the (width, height) of the picture that columns state, pixels; None where they state nothing usable.

    Args:
        columns: of the labels of one picture.
        extent: how far the labels reach, (x, y), where columns `width` and `height` may be those of the picture: they
            are when all rows agree and no label reaches further. None where they are those of boxes.

    Raises:
        LabelError: the labels state different sizes of their one picture.
    """
    stated = _sizes(columns, _PICTURE_SIZE)
    if len(stated) > 1:
        shown = " and ".join(f"{width:g} × {height:g}" for width, height in sorted(stated)[:3])
        raise LabelError(f"its labels state different sizes of one picture: {shown} px")
    if not stated and extent is not None:
        plain = _sizes(columns, _PLAIN_SIZE)
        stated = {size for size in plain if len(plain) == 1 and size[0] >= extent[0] and size[1] >= extent[1]}
    return next(iter(stated), None)


def _sizes(columns: Columns, names: Sequence[Sequence[str]]) -> set[tuple[float, float]]:
    found = [find_column(columns, candidates) for candidates in names]
    texts = [columns[name].tolist() for name in found if name is not None]
    if len(texts) < len(names):
        return set()
    pairs = {(_number(width), _number(height)) for width, height in set(zip(*texts, strict=True))}
    return {(width, height) for width, height in pairs if width > 0 and height > 0}


def per_value(texts: NDArray[np.object_], test: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Return a test's answer for each text; it is asked once for each different one."""
    codes, values = pd.factorize(texts)
    answers = np.array([bool(test(value)) for value in values], dtype=bool)
    return answers[codes] if len(values) else np.zeros(len(texts), dtype=bool)


def attribute_texts(columns: Columns, table: ClassTable) -> dict[str, Sequence[str]]:
    """Return the columns of attributes that a file has, by attribute."""
    found = {attribute: find_column(columns, names) for attribute, names in table.attributes.columns().items()}
    return {name: columns[column].tolist() for name, column in found.items() if column is not None}


def are_predicted(columns: Columns, table: ClassTable) -> bool:
    """Tell whether a file's labels have scores, or would have them if there were any."""
    column = find_column(columns, table.score_columns)
    return column is not None and (not len(columns[column]) or any(columns[column]))


def scored(columns: Columns, count: int, table: ClassTable) -> NDArray[np.bool_]:
    """Return which labels are certain by their scores.

    A label without a number for its score, among others that have one, is not certain. -1 stands for a prediction of
    which the score is not known.
    """
    column = find_column(columns, table.score_columns)
    if column is None or not any(columns[column]):
        return np.ones(count, dtype=bool)
    return per_value(columns[column], lambda text: _number(text) == _NO_SCORE or _number(text) >= table.min_score)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def drawn_outlines(columns: Columns, judged: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return how closely labels follow their objects: as a person who drew them has it, else as was judged."""
    said = columns.get(OUTLINE_COLUMN)
    known = {outline.value: outline for outline in Outline}
    if said is None:
        return judged
    return object_array([known.get(text, other) for text, other in zip(said, judged, strict=True)])


def drawn_certain(columns: Columns, count: int) -> NDArray[np.bool_]:
    """Return which labels are for sure: all but those that a person was not sure of."""
    said = columns.get(CERTAIN_COLUMN)
    return np.ones(count, dtype=bool) if said is None else np.asarray(said != "no", dtype=bool)
