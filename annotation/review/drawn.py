"""Objects that people draw on a tile: what one is, which forms and attributes there are, and the checks it must pass.

A drawn object is a label like one from a file, in pixels of the tile. What surprises: its attributes are kept in the
words that tasks know, not in those of a label file, so nothing is left to be understood later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import shapely
from pydantic import TypeAdapter
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.errors import nearest
from rsvqa.annotation.facts import ClassInfo, Outline, Role
from rsvqa.annotation.tasks.colours import COLOURS

MAX_POINTS = 2_000
"""Of one object; the outline of a large lake needs a few hundred."""
COORDINATE_DECIMALS = 3
"""Of a pixel: ten times finer than anybody can point, and the same number on every machine."""
MIN_AREA_PX = 1.0
"""Labels of less are left out when they are read from a file; so nobody may draw them."""

_RECTANGLE_SLACK_PX = 1.0
_ARC_SEGMENTS = 16
"""Per quarter of a circle: an outline of 64 corners, whose sides are within 0.12 % of the radius of the circle."""


class DrawnForm(StrEnum):
    """What was drawn, and so how closely the outline follows the object."""

    BOX = "box"
    ORIENTED_BOX = "oriented_box"
    POLYGON = "polygon"
    CIRCLE = "circle"
    POINT = "point"
    LINE = "line"


class FormInfo(NamedTuple):
    """How many points a form has at least and at most, the outline it gives, and the roles of classes it is for."""

    least: int
    most: int
    outline: Outline
    roles: frozenset[Role]


_REGIONS = frozenset({Role.OBJECT, Role.AREA, Role.ANOMALY})
FORMS: Mapping[DrawnForm, FormInfo] = {
    DrawnForm.BOX: FormInfo(2, 2, Outline.BOX, _REGIONS),  # two opposite corners
    DrawnForm.ORIENTED_BOX: FormInfo(4, 4, Outline.ORIENTED_BOX, _REGIONS),  # its corners in turn
    DrawnForm.POLYGON: FormInfo(3, MAX_POINTS, Outline.POLYGON, _REGIONS),
    DrawnForm.CIRCLE: FormInfo(2, 2, Outline.POLYGON, _REGIONS),  # its centre and a point of its rim
    DrawnForm.POINT: FormInfo(1, 1, Outline.POINT, frozenset({Role.OBJECT})),
    DrawnForm.LINE: FormInfo(2, MAX_POINTS, Outline.POLYGON, frozenset({Role.ROAD})),
}


class AttributeInfo(NamedTuple):
    """What an attribute may say: one of `values`, yes or no, or with neither a short text; and of which roles."""

    roles: frozenset[Role]
    values: tuple[str, ...] = ()
    is_flag: bool = False


ATTRIBUTES: Mapping[str, AttributeInfo] = {
    "colour": AttributeInfo(frozenset({Role.OBJECT}), values=tuple(COLOURS)),
    "moving": AttributeInfo(frozenset({Role.OBJECT}), is_flag=True),
    "damage": AttributeInfo(
        frozenset({Role.OBJECT}), values=("no damage", "minor damage", "major damage", "destroyed")
    ),
    "name": AttributeInfo(frozenset({Role.ROAD})),
    "oneway": AttributeInfo(frozenset({Role.ROAD}), is_flag=True),
    "cause": AttributeInfo(frozenset({Role.ANOMALY})),
}
"""What tasks know of an object beside its class; the names are those of `AttributeColumns` of class tables."""


class PixelPoint(NamedTuple):
    """A place on the tile, pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnObject:
    """One object that a person drew, or took over from a model.

    Attributes:
        class_name: key of the class table.
        form: what was drawn.
        points: see `FORMS`; tile pixels.
        attributes: by name, see `ATTRIBUTES`.
        is_certain: false for what the person could not tell for sure: nothing is asked about it, no count rests on it.
        proposal: id of the question in which a model proposed it; empty for what a person drew.
    """

    class_name: str
    form: DrawnForm
    points: tuple[PixelPoint, ...]
    attributes: Mapping[str, str | bool] = field(default_factory=dict)
    is_certain: bool = True
    proposal: str = ""

    @property
    def geometry(self) -> BaseGeometry:
        """The outline, tile pixels."""
        points = self.points
        if self.form is DrawnForm.BOX:
            (x, y), (other_x, other_y) = points
            return shapely.box(min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y))
        if self.form is DrawnForm.CIRCLE:
            return Point(points[0]).buffer(math.dist(points[0], points[1]), quad_segs=_ARC_SEGMENTS)
        if self.form is DrawnForm.POINT:
            return Point(points[0])
        return LineString(points) if self.form is DrawnForm.LINE else Polygon(points)

    @property
    def outline(self) -> Outline:
        """How closely the geometry follows the object."""
        return FORMS[self.form].outline


DRAWN: TypeAdapter[DrawnObject] = TypeAdapter(DrawnObject)


def rounded(found: DrawnObject) -> DrawnObject:
    """Return the object with its coordinates as they are stored."""
    points = tuple(PixelPoint(*(round(value, COORDINATE_DECIMALS) for value in point)) for point in found.points)
    return replace(found, points=points)


def stored(found: DrawnObject) -> dict[str, Any]:
    """Return an object in JSON types, without a proposal where it has none."""
    content: dict[str, Any] = DRAWN.dump_python(found, mode="json")
    return content if found.proposal else {name: value for name, value in content.items() if name != "proposal"}


def drawing_fault(found: DrawnObject, classes: Mapping[str, ClassInfo], *, width: int, height: int) -> str | None:
    """Return why an object may not be stored, in one line; None when it may.

    Args:
        found: with any numbers whatever.
        classes: of the class table.
        width: of the tile, pixels.
        height: of the tile, pixels.
    """
    info = classes.get(found.class_name)
    if info is None:
        return f"the class table has no class {_said(found.class_name)}{nearest(found.class_name, list(classes))}"
    return (
        _role_fault(found, info.role)
        or outline_fault(found, width=width, height=height)
        or _attribute_fault(found, info.role)
    )


def outline_fault(found: DrawnObject, *, width: int, height: int) -> str | None:
    """Return what is wrong with the points of an object, whatever its class; see `drawing_fault`."""
    return _count_fault(found) or _place_fault(found.points, width, height) or _shape_fault(found, width, height)


def _said(text: str) -> str:
    return ascii(text[:40])


def _role_fault(found: DrawnObject, role: Role) -> str | None:
    if role in FORMS[found.form].roles:
        return None
    words = found.form.replace("_", " ")
    fitting = ", ".join(name.replace("_", " ") for name, info in FORMS.items() if role in info.roles)
    return f"a {words} cannot be of the class {found.class_name}, a class of {role} things: draw one of {fitting}"


def _count_fault(found: DrawnObject) -> str | None:
    form = FORMS[found.form]
    words = found.form.replace("_", " ")
    if not form.least <= len(found.points) <= form.most:
        wanted = str(form.least) if form.least == form.most else f"{form.least} to {form.most:,}"
        return f"a {words} of {len(found.points):,} points: expected {wanted}"
    return None


def _place_fault(points: Sequence[PixelPoint], width: int, height: int) -> str | None:
    for x, y in points:
        if not (0 <= x <= width and 0 <= y <= height):  # NaN is in no order
            return f"the point ({x:g}, {y:g}) lies outside the tile of {width} x {height} px"
    return None


def _shape_fault(found: DrawnObject, width: int, height: int) -> str | None:
    geometry = found.geometry
    if found.form is DrawnForm.POINT:
        return None
    if found.form is DrawnForm.LINE:
        return None if geometry.length >= 1 else "the line is shorter than a pixel"
    if _is_flat(geometry):
        return "the outline is smaller than a pixel"
    if not geometry.is_valid:
        return f"the outline crosses itself: {shapely.is_valid_reason(geometry)}"
    if geometry.area < MIN_AREA_PX:
        return "the outline is smaller than a pixel"
    if found.form is DrawnForm.ORIENTED_BOX and not _is_rectangle(found.points):
        return "the corners of the oriented box make no rectangle"
    if found.form is DrawnForm.CIRCLE:
        x_min, y_min, x_max, y_max = geometry.bounds
        if not (x_min < width and y_min < height and x_max > 0 and y_max > 0):
            return f"the circle lies outside the tile of {width} x {height} px"
    return None


def _is_flat(geometry: BaseGeometry) -> bool:
    x_min, y_min, x_max, y_max = geometry.bounds
    return bool(x_min == x_max or y_min == y_max)


def _is_rectangle(points: Sequence[PixelPoint]) -> bool:
    """Tell whether the diagonals of four corners halve each other and have one length, to about a pixel."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
    is_halved = math.hypot(ax + cx - bx - dx, ay + cy - by - dy) <= _RECTANGLE_SLACK_PX
    return is_halved and abs(math.dist((ax, ay), (cx, cy)) - math.dist((bx, by), (dx, dy))) <= _RECTANGLE_SLACK_PX


def _attribute_fault(found: DrawnObject, role: Role) -> str | None:
    for name, value in found.attributes.items():
        info = ATTRIBUTES.get(name)
        if info is None:
            return f"no task knows an attribute {_said(name)}{nearest(name, list(ATTRIBUTES))}"
        if role not in info.roles:
            return f"{name} is no attribute of a class of {role} things"
        if info.is_flag:
            if not isinstance(value, bool):
                return f"{name} is {_said(str(value))}: expected yes or no"
        elif not isinstance(value, str):
            return f"{name} is {value}: expected a word"
        elif info.values and value not in info.values:
            return f"{name} is {_said(value)}{nearest(value, info.values)}"
        elif not (value.strip() and value.isprintable()):
            return f"{name} is {_said(value)}: expected printable characters"
    return None
