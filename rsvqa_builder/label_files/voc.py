"""XML annotations: Pascal VOC boxes, DIOR-R oriented boxes and FAIR1M polygons, in pixels.

The VOC format counts pixels from 1 and includes the last: `xmin = 1, xmax = 10` are the first ten pixels. Files written
by other tools often count from 0; a file that holds a 0 cannot count from 1, and is taken as continuous coordinates.
Corner points (DIOR-R, FAIR1M) are continuous coordinates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import shapely
from shapely import Polygon

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels, judged_outlines, object_array

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CORNERS = tuple(
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"
)
_UNCERTAIN_FLAGS = ("difficult", "truncated", "occluded")
_NO_COORDINATES = "no box or corner points"
_SWAPPED = "x2 < x1 or y2 < y1"


class _Label(NamedTuple):
    position: int
    element: ElementTree.Element
    sides: tuple[float, ...]
    """Of an upright box as the file says them, empty for oriented ones."""
    corners: tuple[float, ...]


def read_voc(path: Path, table: ClassTable) -> RawLabels:
    """Return the objects of one annotation file.

    Raises:
        NotLabelsError: the root element is not `annotation`.
        LabelError: not XML, or XML with a document type declaration.
    """
    root = _parsed(path)
    if root.tag != "annotation":
        raise NotLabelsError(f"XML with root <{root.tag}>, not <annotation>")
    problems: Counter[str] = Counter()
    labels = list(_labels(root, problems))
    offset = 0.0 if any(0 in label.sides[:2] for label in labels) else 1.0
    shaped = [(label, _geometry(label, offset)) for label in labels]
    problems[_SWAPPED] += sum(geometry is None for _, geometry in shaped)
    kept = [(label, geometry) for label, geometry in shaped if geometry is not None]
    geometries = object_array([geometry for _, geometry in kept])
    sources = object_array([_class_name(label.element) for label, _ in kept])
    has_boxes_only = all(label.sides for label, _ in kept)
    parsed = parse_attributes(_attribute_texts([label.element for label, _ in kept], table), len(kept))
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(str(label.position) for label, _ in kept),
        outlines=judged_outlines(geometries, sources, Outline.BOX if has_boxes_only else Outline.ORIENTED_BOX),
        is_certain=np.array([not _is_uncertain(label.element) for label, _ in kept], dtype=bool),
        attributes=parsed.attributes,
        num_invalid={reason: count for reason, count in problems.items() if count},
        dropped_attributes=parsed.dropped,
        notes=() if offset or not has_boxes_only else ("boxes hold a 0, so pixels are counted from 0",),
    )


def _parsed(path: Path) -> ElementTree.Element:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"cannot be read: {error}") from error
    # Entities can make a small file expand to gigabytes. A zero byte means UTF-16, in which they could hide.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise LabelError("XML with a document type declaration, entities or zero bytes is not read")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - what makes it unsafe was refused above
    except ElementTree.ParseError as error:
        raise LabelError(f"not well-formed XML: {error}") from error


def _labels(root: ElementTree.Element, problems: Counter[str]) -> Iterator[_Label]:
    elements = root.findall("object") or root.findall("objects/object")
    for position, element in enumerate(elements):
        sides = _numbers(element.find("bndbox"), _SIDES)
        corners = _numbers(element.find("robndbox"), _CORNERS) or _numbers(element.find("polygon"), _polygon_names())
        corners = corners or _fair1m_corners(element)
        if corners or sides:
            yield _Label(position, element, () if corners else sides, corners)
        else:
            problems[_NO_COORDINATES] += 1


def _polygon_names() -> tuple[str, ...]:
    return tuple(f"{axis}{number}" for number in range(1, 5) for axis in "xy")


def _numbers(parent: ElementTree.Element | None, names: Sequence[str]) -> tuple[float, ...]:
    """Return the numbers of named children, empty unless all are there."""
    texts = [] if parent is None else [parent.findtext(name) for name in names]
    return _floats([text for text in texts if text is not None], len(names))


def _floats(texts: Sequence[str], count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(text) for text in texts)
    except ValueError:
        return ()
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else ()


def _fair1m_corners(element: ElementTree.Element) -> tuple[float, ...]:
    points = [point.text or "" for point in element.findall("points/point")]
    # The ring is closed in the files: the fifth point repeats the first.
    return _floats(",".join(points[:4]).split(","), 8)


def _geometry(label: _Label, offset: float) -> Polygon | None:
    """Return the label's polygon, None when its sides are swapped."""
    if label.corners:
        return Polygon(list(zip(label.corners[::2], label.corners[1::2], strict=True)))
    x_min, y_min, x_max, y_max = label.sides
    if x_max < x_min or y_max < y_min:
        return None
    return shapely.box(x_min - offset, y_min - offset, x_max, y_max)


def _class_name(element: ElementTree.Element) -> str:
    return (element.findtext("name") or element.findtext("possibleresult/name") or "").strip()


def _is_uncertain(element: ElementTree.Element) -> bool:
    return any((element.findtext(flag) or "0").strip() not in ("0", "false") for flag in _UNCERTAIN_FLAGS)


def _attribute_texts(elements: Sequence[ElementTree.Element], table: ClassTable) -> dict[str, list[str]]:
    wanted = table.attributes
    texts: dict[str, list[str]] = {}
    for attribute, names in (("colour", wanted.colour), ("moving", wanted.moving), ("damage", wanted.damage)):
        found = [next((text for name in names if (text := element.findtext(name))), "").strip() for element in elements]
        if any(found):
            texts[attribute] = found
    return texts
