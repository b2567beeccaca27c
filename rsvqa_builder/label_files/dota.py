"""DOTA text files: one oriented box a line, `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, pixels, with header lines.

Header lines are `imagesource:…` and `gsd:…` (metres per pixel; "null" when unknown). `difficult` may be missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.texts import first_beside, read_bytes, read_text
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.raw import NotLabelsError, RawLabels, judged_outlines, object_array

_NUM_CORNER_NUMBERS = 8
_FRACTION = re.compile(r"-?\d*\.\d+")

EMPTY = "empty among the label texts of its folder: the picture was looked at, and nothing was found"


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
        _check_is_empty_of_a_set(path, body)
    corners = np.array([row.corners for row in rows], dtype=np.float64).reshape(-1, 4, 2)
    boxes = np.asarray(shapely.polygons(corners), dtype=object)
    sources = object_array([row.name for row in rows])
    bad = [text for number, text in body if _parsed_row(number, text) is None]
    return RawLabels(
        geometries=boxes,
        sources=sources,
        positions=tuple(str(row.line) for row in rows),
        outlines=judged_outlines(boxes, sources, Outline.ORIENTED_BOX),
        is_certain=np.array([not row.is_difficult for row in rows], dtype=bool),
        attributes=parse_attributes({}, len(rows)).attributes,
        num_invalid={"line is not eight numbers, class, difficult": len(bad)} if bad else {},
        lost_sources=frozenset(map(_name_in, bad)),
        gsd_m=_stated_gsd(headers),
        notes=tuple(text for text in (note, "" if content else EMPTY) if text),
    )


def _check_is_empty_of_a_set(path: Path, body: Sequence[tuple[int, str]]) -> None:
    """Raise `NotLabelsError` unless a text is empty among texts with DOTA lines, and so says that nothing is there."""
    if body:
        numbers = all(word.replace(".", "", 1).lstrip("-").isdecimal() for _, text in body for word in text.split())
        hint = (
            "; YOLO's lines would be a class number and shares of the picture's sides, from 0 to 1" if numbers else ""
        )
        raise NotLabelsError(f"no DOTA lines (eight corner numbers, class, difficult){hint}")
    beside = first_beside(path)
    if beside is None or not looks_like_dota(read_bytes(beside)):
        raise NotLabelsError("an empty text, and no label text beside it tells that the picture was looked at")


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
    if len(name_words) == 1 and _FRACTION.fullmatch(name_words[0]):
        return None  # nine numbers are an outline of YOLO's that leaves its picture
    has_flag = len(name_words) > 1 and name_words[-1].isdecimal()
    name = " ".join(name_words[:-1] if has_flag else name_words)
    return _Row(number, corners, name, has_flag and int(name_words[-1]) != 0)


def _name_in(text: str) -> str:
    """Return the class of a line that is no label: its last word but the flag, where that is a word; "" else."""
    words = text.split()
    name = words[-2] if len(words) > 1 and words[-1].isdecimal() else words[-1]
    return name if re.search(r"[^\W\d_]{2}", name) and name.casefold() not in ("nan", "inf") else ""


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
