"""DOTA text files: one oriented box a line, `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, pixels, with header lines.

Header lines are `imagesource:…` and `gsd:…` (metres per pixel; "null" when unknown). `difficult` may be missing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.raw import NotLabelsError, RawLabels, judged_outlines, object_array

_NUM_CORNER_NUMBERS = 8


class _Row(NamedTuple):
    line: int
    corners: list[float]
    name: str
    is_difficult: bool


def read_dota(path: Path) -> RawLabels:
    """Return the oriented boxes of a file.

    Raises:
        NotLabelsError: no line holds eight numbers and a class.
        LabelError: the file is not text.
    """
    text, note = read_text(path)
    lines = text.removeprefix("\ufeff").splitlines()
    content = [(number, line.strip()) for number, line in enumerate(lines) if line.strip()]
    headers = [text for _, text in content if _is_header(text)]
    body = [(number, text) for number, text in content if not _is_header(text)]
    rows = [row for number, text in body if (row := _parsed_row(number, text)) is not None]
    if not rows and (body or not headers):
        raise NotLabelsError("no DOTA lines (eight corner numbers, class, difficult)")
    corners = np.array([row.corners for row in rows], dtype=np.float64).reshape(-1, 4, 2)
    boxes = np.asarray(shapely.polygons(corners), dtype=object)
    sources = object_array([row.name for row in rows])
    num_bad = len(body) - len(rows)
    return RawLabels(
        geometries=boxes,
        sources=sources,
        positions=tuple(str(row.line) for row in rows),
        outlines=judged_outlines(boxes, sources, Outline.ORIENTED_BOX),
        is_certain=np.array([not row.is_difficult for row in rows], dtype=bool),
        attributes=parse_attributes({}, len(rows)).attributes,
        num_invalid={"line is not eight numbers, class, difficult": num_bad} if num_bad else {},
        gsd_m=_stated_gsd(headers),
        notes=(note,) if note else (),
    )


def looks_like_dota(head: bytes) -> bool:
    """Tell from its first bytes whether a text holds DOTA lines."""
    lines = head.decode("utf-8", errors="replace").splitlines()
    return any(_is_header(line) or _parsed_row(0, line) is not None for line in map(str.strip, lines))


def _is_header(text: str) -> bool:
    return text.casefold().startswith(("imagesource:", "gsd:"))


def _parsed_row(number: int, text: str) -> _Row | None:
    words = text.split()
    if len(words) <= _NUM_CORNER_NUMBERS:
        return None
    try:
        corners = [float(word) for word in words[:_NUM_CORNER_NUMBERS]]
    except ValueError:
        return None
    if not all(math.isfinite(number) for number in corners):
        return None
    name_words = words[_NUM_CORNER_NUMBERS:]
    has_flag = len(name_words) > 1 and name_words[-1].isdecimal()
    name = " ".join(name_words[:-1] if has_flag else name_words)
    return _Row(number, corners, name, has_flag and int(name_words[-1]) != 0)


def _stated_gsd(headers: list[str]) -> float | None:
    for text in headers:
        key, _, value = text.partition(":")
        if key.casefold() == "gsd":
            try:
                gsd_m = float(value)
            except ValueError:
                return None
            return gsd_m if math.isfinite(gsd_m) and gsd_m > 0 else None
    return None
