"""OpenSatMap JSON: the lines of all pictures of the set, by the name of the picture, in its pixels.

What names the file's keys: `prepare_data/tools-release/generate_GT_multiclass_only-multi.py` of
https://github.com/bjzhb666/OpenSatMap-offical, commit 59979ad.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from shapely import LineString

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames, is_image_name
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

_HEAD = re.compile(rb'\s*\{\s*"([^"\\]+)"\s*:\s*\{')


class _Pictures(NamedTuple):
    """The records of a file by the name of their picture."""

    records: Mapping[str, Any]
    names: ImageNames
    note: str


def looks_like_opensatmap(head: bytes) -> bool:
    """Tell from its first bytes whether a JSON file is OpenSatMap's: names of pictures, and lines under them."""
    first = _HEAD.match(head)
    return first is not None and is_image_name(first[1].decode(errors="replace")) and b'"lines"' in head


def read_opensatmap(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the lines of the scene's picture.

    Raises:
        NotLabelsError: the file does not name this picture.
        LabelError: the file is not JSON with pictures, or it is open which of them this is.
    """
    found = _load(path)
    names = (identity or Identity(scene.path)).images(found.names, path.parent)
    if not names:
        raise NotLabelsError(OTHER_IMAGES)
    items: list[LabelItem] = []
    problems: Counter[str] = Counter()
    lost: list[str] = []
    for name in sorted(names):
        record = found.records[name]
        lines = record.get("lines") if isinstance(record, dict) else None
        if not isinstance(lines, list):
            raise LabelError(f'its picture {name!r} has no list "lines"')
        for number, line in enumerate(lines):
            try:
                items.append(_item(line, number))
            except (KeyError, TypeError, ValueError, AttributeError):
                problems["line without a category and two points"] += 1
                lost.append(str(line.get("category")) if isinstance(line, dict) else "")
    return gathered(items, table, problems=problems, lost=lost, notes=(found.note,), by_image=True)


def image_names(path: Path) -> ImageNames:
    """Return the pictures that a file names.

    Raises:
        LabelError: it is not OpenSatMap's.
    """
    return _load(path).names


def _load(path: Path) -> _Pictures:
    stat = path.stat()
    return _parsed(path, (stat.st_mtime_ns, stat.st_size))


# one file serves thousands of pictures: it is parsed once; the key follows the content
@lru_cache(maxsize=1)
def _parsed(path: Path, version: tuple[int, int]) -> _Pictures:  # noqa: ARG001
    text, note = read_text(path)
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise LabelError(f"not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise LabelError("not OpenSatMap JSON: it has no names of pictures")
    return _Pictures(content, ImageNames.of(content), note)


def _item(line: Mapping[str, Any], number: int) -> LabelItem:
    points = np.array(line["points"], dtype=np.float64).reshape(-1, 2)
    if len(points) < 2 or not np.isfinite(points).all():
        raise ValueError("no line")
    return LabelItem(
        geometry=LineString(points), outline=Outline.POLYGON, source=str(line["category"]).strip(), position=str(number)
    )
