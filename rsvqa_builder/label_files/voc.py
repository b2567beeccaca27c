"""XML annotations: Pascal VOC boxes, oriented boxes of DIOR-R and roLabelImg, FAIR1M polygons, in pixels.

The VOC format counts pixels from 1 and includes the last: `xmin = 1, xmax = 10` are the first ten pixels. Files written
by other tools often count from 0 or hold fractions, which are continuous coordinates. How a set counts is decided once
from all its files: a 0 or a fraction in any of them cannot be counted from 1. Corner points are continuous coordinates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.flags import is_set
from rsvqa.rsvqa_builder.label_files.shapes import turned_box
from rsvqa.rsvqa_builder.label_files.texts import read_xml
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels, judged_outlines, object_array

_NUM_BOX_NUMBERS = 8
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CORNERS = tuple(
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"
)
_CENTRE_AND_TURN = ("cx", "cy", "w", "h", "angle")
_UNCERTAIN_FLAGS = ("difficult", "truncated", "occluded")
_NO_COORDINATES = "no box or corner points"
_NO_RADIANS = "the angle of its box is no radians"
_SWAPPED = "x2 < x1 or y2 < y1"

FROM_ZERO = "boxes of the set hold a 0 or a fraction, so pixels are counted from 0"


class _Label(NamedTuple):
    position: int
    element: ElementTree.Element
    sides: tuple[float, ...]
    """Sides of an upright box as the file says them; empty for oriented ones, and where there are none."""
    corners: tuple[float, ...]
    degrees: float
    """By which the upright box is turned clockwise about its centre."""


def counts_from_zero(paths: Iterable[Path]) -> bool:
    """Tell whether the boxes of a set's files count pixels from 0; files that cannot be read say nothing."""
    return any(_holds_zero_or_fraction(path) for path in paths)


def _holds_zero_or_fraction(path: Path) -> bool:
    try:
        labels = _labels(read_xml(path)[0])
        return any(value < 1 or not value.is_integer() for label in labels for value in label.sides)
    except LabelError:
        return False


def read_voc(path: Path, table: ClassTable, *, from_zero: bool | None = None) -> RawLabels:
    """Return the objects of one annotation file.

    Args:
        path: of the file.
        table: says which columns are attributes.
        from_zero: how the set counts, from `counts_from_zero` over all its files; None takes this file for the set.

    Raises:
        NotLabelsError: the root element is not `annotation`.
        LabelError: not XML, or XML with a document type declaration.
    """
    root, note = read_xml(path)
    if root.tag != "annotation":
        raise NotLabelsError(f"XML with root <{root.tag}>, not <annotation>")
    labels = list(_labels(root))
    is_from_zero = _holds_zero_or_fraction(path) if from_zero is None else from_zero
    shaped = [(label, _geometry(label, 0.0 if is_from_zero else 1.0)) for label in labels]
    lost = [label for label, geometry in shaped if geometry is None]
    problems = Counter(_problem(label) for label in lost)
    kept = [(label, geometry) for label, geometry in shaped if geometry is not None]
    geometries = object_array([geometry for _, geometry in kept])
    sources = object_array([_class_name(label.element) for label, _ in kept])
    has_sides = any(label.sides for label, _ in kept)
    has_boxes_only = all(label.sides and not label.degrees for label, _ in kept)
    claimed = Outline.BOX if has_boxes_only else Outline.ORIENTED_BOX
    parsed = parse_attributes(_attribute_texts([label.element for label, _ in kept], table), len(kept))
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(str(label.position) for label, _ in kept),
        outlines=_outlines(kept, judged_outlines(geometries, sources, claimed)),
        is_certain=np.array([not _is_uncertain(label.element) for label, _ in kept], dtype=bool),
        attributes=parsed.attributes,
        num_invalid=dict(problems),
        lost_sources=frozenset(_class_name(label.element) for label in lost),
        dropped_attributes=parsed.dropped,
        notes=(*([note] if note else []), *([FROM_ZERO] if is_from_zero and has_sides else [])),
        picture_size=_picture_size(root),
    )


def _problem(label: _Label) -> str:
    if _numbers(label.element.find("robndbox"), _CENTRE_AND_TURN):
        return _NO_RADIANS
    return _SWAPPED if label.sides else _NO_COORDINATES


def _outlines(labels: Sequence[tuple[_Label, Polygon]], judged: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the outlines, those of more than four corners as what they are."""
    is_box = [len(label.corners) in (0, _NUM_BOX_NUMBERS) for label, _ in labels]
    return object_array([one if box else Outline.POLYGON for one, box in zip(judged, is_box, strict=True)])


def _picture_size(root: ElementTree.Element) -> tuple[float, float] | None:
    numbers = _numbers(root.find("size"), ("width", "height"))
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _labels(root: ElementTree.Element) -> Iterator[_Label]:
    elements = root.findall("object") or root.findall("objects/object")
    for position, element in enumerate(elements):
        sides = _numbers(element.find("bndbox"), _SIDES)
        corners = _numbers(element.find("robndbox"), _CORNERS) or _polygon_corners(element.find("polygon"))
        corners = corners or _fair1m_corners(element) or _turned_corners(element)
        yield _Label(position, element, () if corners else sides, corners, 0.0 if corners else _turn(element))


def _turned_corners(element: ElementTree.Element) -> tuple[float, ...]:
    """Return the corners of a roLabelImg box: centre, size, and its turn clockwise in radians."""
    numbers = _numbers(element.find("robndbox"), _CENTRE_AND_TURN)
    if not numbers:
        return ()
    x, y, width, height, angle = numbers
    if abs(angle) > 2 * math.pi:
        return ()
    ring = turned_box((x, y), (width, height), angle).exterior.coords
    return tuple(float(value) for point in ring[:4] for value in point)


def _turn(element: ElementTree.Element) -> float:
    """Return CVAT's attribute `rotation` of a box, degrees clockwise; 0 where there is none."""
    attributes = {one.findtext("name"): one.findtext("value") or "" for one in element.iter("attribute")}
    degrees = _floats([attributes.get("rotation") or "0"], 1)
    return degrees[0] if degrees else 0.0


def _polygon_corners(polygon: ElementTree.Element | None) -> tuple[float, ...]:
    """Return the corners "x1", "y1", "x2", … of a polygon, () where there are none."""
    tags = set() if polygon is None else {child.tag for child in polygon}
    count = next(number for number in range(len(tags) + 1) if f"x{number + 1}" not in tags)
    corners = _numbers(polygon, [f"{axis}{number}" for number in range(1, count + 1) for axis in "xy"])
    return corners if count > 2 else ()


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
    # the ring is closed in the files: the fifth point repeats the first
    corners = points[:-1] if len(points) > 1 and points[0] == points[-1] else points
    return _floats(",".join(corners).split(","), 2 * len(corners)) if len(corners) > 2 else ()


def _geometry(label: _Label, offset: float) -> Polygon | None:
    """Return the label's polygon, None when it has no coordinates, or its sides are swapped."""
    if label.corners:
        return Polygon(list(zip(label.corners[::2], label.corners[1::2], strict=True)))
    if not label.sides:
        return None
    x_min, y_min, x_max, y_max = label.sides
    if x_max < x_min or y_max < y_min:
        return None
    x_min, y_min = x_min - offset, y_min - offset
    if not label.degrees:
        return shapely.box(x_min, y_min, x_max, y_max)
    centre = (x_min + x_max) / 2, (y_min + y_max) / 2
    return turned_box(centre, (x_max - x_min, y_max - y_min), math.radians(label.degrees))


def _class_name(element: ElementTree.Element) -> str:
    return (element.findtext("name") or element.findtext("possibleresult/name") or "").strip()


def _is_uncertain(element: ElementTree.Element) -> bool:
    # nobody says which way, about what, and in which unit `rotation` turns a box
    return any(is_set(element.findtext(flag)) for flag in (*_UNCERTAIN_FLAGS, "rotation"))


def _attribute_texts(elements: Sequence[ElementTree.Element], table: ClassTable) -> dict[str, list[str]]:
    wanted = table.attributes
    texts: dict[str, list[str]] = {}
    for attribute, names in (("colour", wanted.colour), ("moving", wanted.moving), ("damage", wanted.damage)):
        found = [next((text for name in names if (text := element.findtext(name))), "").strip() for element in elements]
        if any(found):
            texts[attribute] = found
    return texts
