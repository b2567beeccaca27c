"""Results in DOTA's form for its evaluation server: one file per class, `Task1_<class>.txt`, of many pictures.

Each line is `image score x1 y1 x2 y2 x3 y3 x4 y4` (Task1) or `image score x_min y_min x_max y_max` (Task2), in pixels.
The class is in the name of the file, the image has no suffix.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from shapely import MultiPoint, Polygon

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

_NAME = re.compile(r"task[12]_(.+)", re.IGNORECASE)


class _Row(NamedTuple):
    line: int
    image: str
    score: float
    numbers: tuple[float, ...]


def looks_like_results(path: Path) -> bool:
    """Tell by its name whether a text holds results of one class."""
    return path.suffix.casefold() == ".txt" and _NAME.fullmatch(path.stem) is not None


def image_names(path: Path) -> ImageNames | None:
    """Return the images that a file names, None where it names none.

    Raises:
        LabelError: the file is not text.
    """
    rows, _, _ = _rows(path)
    return ImageNames.of([row.image for row in rows]) if rows else None


def read_dota_results(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the scene's predictions.

    Raises:
        NotLabelsError: no line is a result, or all are of other images.
        LabelError: the file is not text.
    """
    rows, num_bad, note = _rows(path)
    if not rows and num_bad:
        raise NotLabelsError("no lines of results (image, score, four or eight numbers)")
    ours = (identity or Identity(scene.path)).images(ImageNames.of([row.image for row in rows]), path.parent)
    if rows and not ours:
        raise NotLabelsError(OTHER_IMAGES)
    name = _NAME.fullmatch(path.stem)
    source = name.group(1) if name else path.stem
    items = [_item(row, source) for row in rows if row.image in ours]
    problems = {"line is not image, score, four or eight numbers": num_bad} if num_bad else {}
    raw = gathered(
        items,
        table,
        problems=problems,
        lost=[source] if num_bad else [],
        notes=(note,),
        by_image=True,
        num_other_image=len(rows) - len(items),
    )
    return replace(raw, is_predicted=True)


def _rows(path: Path) -> tuple[list[_Row], int, str]:
    """Return the lines that are results, the number of those that are not, and a note on the encoding."""
    text, note = read_text(path)
    lines = [(number, line.split()) for number, line in enumerate(text.removeprefix("\ufeff").splitlines())]
    parsed = [_parsed(number, words) for number, words in lines if words]
    rows = [row for row in parsed if row is not None]
    return rows, len(parsed) - len(rows), note


def _parsed(number: int, words: list[str]) -> _Row | None:
    if len(words) not in (6, 10):
        return None
    try:
        score, *numbers = (float(word) for word in words[1:])
    except ValueError:
        return None
    if not all(map(math.isfinite, (score, *numbers))):
        return None
    return _Row(number, words[0], score, tuple(numbers))


def _item(row: _Row, source: str) -> LabelItem:
    is_box = len(row.numbers) == 4
    pairs = list(zip(row.numbers[::2], row.numbers[1::2], strict=True))
    return LabelItem(
        geometry=MultiPoint(pairs).envelope if is_box else Polygon(pairs),
        outline=Outline.BOX if is_box else Outline.ORIENTED_BOX,
        source=source,
        position=str(row.line),
        score=row.score,
    )
