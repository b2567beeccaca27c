"""A question's evidence as the page shows it: lines to draw, where to look, and the rest in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.stored_evidence import decode_geometry, decode_mark
from rsvqa.annotation.taxonomy import TASKS

MAX_POINTS = 4_000
"""Evidence with more vertices is drawn by the bounds of its parts: thousands of roofs would hide the image."""

_UNITS = {"_m": " m", "_m2": " m²", "_km2": " km²", "_px": " px", "_deg": "°", "_ha": " ha"}


class Line(NamedTuple):
    """A drawn line, in pixels of the image; a single point is a line of one."""

    points: tuple[tuple[float, float], ...]
    is_closed: bool


def lines_of(geometry: BaseGeometry) -> list[Line]:
    """Return the outlines of a geometry, to a tenth of a pixel."""
    if shapely.get_num_coordinates(geometry) > MAX_POINTS:
        geometry = shapely.union_all([shapely.box(*part.bounds) for part in shapely.get_parts(geometry)])
    return list(_lines(geometry))


def _lines(geometry: BaseGeometry) -> Iterator[Line]:
    for part in shapely.get_parts(geometry):
        if hasattr(part, "geoms"):
            yield from _lines(part)
        elif part.geom_type == "Polygon":
            yield from (_line(ring, is_closed=True) for ring in (part.exterior, *part.interiors))
        elif not part.is_empty:
            yield _line(part, is_closed=False)


def _line(part: BaseGeometry, *, is_closed: bool) -> Line:
    points = [(round(x, 1), round(y, 1)) for x, y in shapely.get_coordinates(part).tolist()]
    return Line(tuple(points[:-1] if is_closed else points), is_closed)


def focus_of(question: ReviewQuestion) -> Box | None:
    """Return where the evidence is, in pixels: the box, else the circle, else the bounds of the geometry."""
    if question.content.bbox is not None:
        return in_pixels(question.content.bbox, question.width, question.height)
    if mark := decode_mark(question.evidence):
        x, y, radius = mark.circle
        return Box(x - radius, y - radius, x + radius, y + radius)
    geometry = decode_geometry(question.evidence)
    return None if geometry is None else Box(*geometry.bounds)


def opens_whole(question: ReviewQuestion) -> bool:
    """Return whether the whole tile is shown first: who sees only what was counted does not find what was missed."""
    is_counting = question.task in TASKS and TASKS[question.task].category.startswith("Counting/")
    return is_counting and question.content.bbox is None and decode_mark(question.evidence) is None


def in_words(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the values that went into a rule as (name, text) pairs, nested ones with " › " between their names.

    Shares become percents, numbers whose name ends in a unit get it; lists of plain values stand in one text.
    """
    return [pair for name, value in values.items() for pair in _pairs(name, value, is_share="share" in name)]


def _pairs(name: str, value: object, *, is_share: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, found in value.items():
            for label, text in _pairs(str(inner), found, is_share=is_share or "share" in str(inner)):
                yield f"{_plain(name)} › {label}", text
    elif isinstance(value, list):
        yield _plain(name), ", ".join(_text(name, item, is_share=is_share) for item in value) or "none"
    else:
        yield _plain(name), _text(name, value, is_share=is_share)


def _text(name: str, value: object, *, is_share: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_plain(str(inner))} {_text(name, found, is_share=is_share)}" for inner, found in value.items()
        )
    if not isinstance(value, int | float):
        return "unknown" if value is None else _words(str(value))
    if is_share and 0 <= value <= 1:
        return f"{100 * value:.4g} %"
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    return f"{value:,}{unit}"


def _words(text: str) -> str:
    """Return the name of a class or a rule as words; other texts as they are."""
    return text.replace("_", " ") if re.fullmatch(r"[a-z0-9_]+", text) else text


def _plain(name: str) -> str:
    stem = next((name.removesuffix(suffix) for suffix in _UNITS if name.endswith(suffix)), name)
    return stem.replace("_", " ")
