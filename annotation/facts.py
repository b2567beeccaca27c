"""What is on one tile: objects, areas, roads, anomalies and dates, in pixels, with metres per pixel.

`TileFacts` is all that a task may know beside the pixels. Geometries are shapely geometries in tile pixels: x to the
right, y DOWN, origin at the outer corner of the first pixel, so the tile covers `[0, width] × [0, height]`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon, Point, Polygon


class Role(StrEnum):
    """What a class is for."""

    OBJECT = "object"
    AREA = "area"
    ROAD = "road"
    ANOMALY = "anomaly"
    IGNORED = "ignored"


class Outline(StrEnum):
    """How closely a label follows its object; colour, size and orientation need more than an upright box."""

    POLYGON = "polygon"
    ORIENTED_BOX = "oriented_box"
    BOX = "box"
    POINT = "point"


ClassKind = Literal[
    "aircraft",
    "bare",
    "bridge",
    "building",
    "burnt",
    "commercial",
    "cropland",
    "flooded",
    "forest",
    "grass",
    "industrial",
    "parking",
    "railway",
    "residential",
    "road",
    "ship",
    "snow",
    "sport",
    "storage_tank",
    "tree",
    "vehicle",
    "water",
    "wetland",
    "other",
]
"""What a class means to the rules that reason about it, whatever a data set calls it."""

MIN_VISIBLE_SHARE = 0.5
"""An object of which less is inside the tile is never asked about."""


class Gsd(NamedTuple):
    """Ground sampling distance along the pixel axes, metres per pixel."""

    x_m: float
    y_m: float


class Box(NamedTuple):
    """An upright box in tile pixels; the maximum is exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


BOX_DECIMALS = 4
"""Of a box as shares of an image's sides: a ten-thousandth of 10,000 px is a pixel."""


def in_pixels(box: Box, width: int, height: int) -> Box:
    """Return a box given as shares of an image's sides in its pixels."""
    return Box(box.x_min * width, box.y_min * height, box.x_max * width, box.y_max * height)


def as_shares(box: Box, width: int, height: int) -> Box:
    """Return a box given in pixels of an image as shares of its sides."""
    return Box(box.x_min / width, box.y_min / height, box.x_max / width, box.y_max / height)


def iou(box: Box, other: Box) -> float:
    """Return the area of the intersection over that of the union, to nine decimals; 0 where both are empty.

    Rounded, so that a box of exactly half is not below 0.5 because of how its coordinates were written.
    """
    width = min(box.x_max, other.x_max) - max(box.x_min, other.x_min)
    height = min(box.y_max, other.y_max) - max(box.y_min, other.y_min)
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((one.x_max - one.x_min) * (one.y_max - one.y_min) for one in (box, other))
    return round(shared / (areas - shared), 9) if areas > shared else 0.0


class Circle(NamedTuple):
    """A circle in tile pixels."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassInfo:
    """How one class of the class table is spoken of and used.

    Attributes:
        name: key in the table, unique.
        singular: display name without an article, e.g. "small vehicle".
        plural: e.g. "small vehicles"; for areas often the same as `singular` ("farmland").
        role: what the class is for.
        kind: what it means to the rules.
        broader: names of classes that are also true of each member ("vehicle" for "car"): never a wrong option for
            it, and never counted apart from it.
    """

    name: str
    singular: str
    plural: str
    role: Role
    kind: ClassKind = "other"
    broader: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TileObject:
    """One countable object.

    Attributes:
        object_id: unique in the scene, stable between builds.
        class_name: key into `TileFacts.classes`.
        geometry: cut to the tile; a Point where the label is one.
        outline: how closely `geometry` follows the object.
        visible_share: area inside the tile and on valid pixels / whole area, in (0, 1]; 1 for points.
        is_certain: false for labels marked difficult, crowd, truncated or of low score: such an object spoils counts of
            its class and is not asked about.
        attributes: from the class table's attribute columns: "colour" and "damage" are str, "moving" is bool.
    """

    object_id: str
    class_name: str
    geometry: Polygon | MultiPolygon | Point
    outline: Outline
    visible_share: float = 1.0
    is_certain: bool = True
    attributes: Mapping[str, str | bool | float] = field(default_factory=dict)

    @property
    def box(self) -> Box:
        """Upright bounds of what is visible, in tile pixels."""
        return Box(*self.geometry.bounds)

    @property
    def is_whole(self) -> bool:
        """True when nothing of the object is cut off or hidden."""
        return self.visible_share >= 0.999

    @property
    def is_askable(self) -> bool:
        """True when a question may be about this very object."""
        return self.is_certain and self.visible_share >= MIN_VISIBLE_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A land-use area or an anomaly area, cut to the tile."""

    area_id: str
    class_name: str
    geometry: Polygon | MultiPolygon
    is_certain: bool = True
    attributes: Mapping[str, str | bool | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """One piece of a road centreline, cut to the tile; pieces that share an end point are connected."""

    road_id: str
    class_name: str
    geometry: LineString
    attributes: Mapping[str, str | bool | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TileFacts:
    """Everything known about one tile. Not slotted: it keeps what all tasks look up.

    Attributes:
        tile_id: unique in the data set, stable between builds.
        width, height: pixels.
        classes: the class table in use, by name, classes without a feature on this tile included.
        objects, areas, roads, anomalies: features by role; anomalies are areas of role ANOMALY.
        complete_classes: classes of which every instance on this tile is labelled. Only these may be counted, called
            absent, or relied on to make a description unique.
        has_anomaly_layer: the scene has been searched for anomalies, so their absence is a fact.
        gsd_m: None without a georeference: then nothing is asked in metres.
        has_true_colours: the pixels show things in their colours; false for grey and false-colour scenes.
        north_deg: direction of true north, degrees clockwise from "up" in the image; None without a georeference.
        date: day of acquisition.
        later: the same ground, same pixel grid, at a later date; None when there is none or the dates are not aligned.
        missing: why something that tasks may need is not there, by what is missing, e.g.
            {"later": "the two dates are not aligned: 3.2 px apart"}.
    """

    tile_id: str
    width: int
    height: int
    classes: Mapping[str, ClassInfo]
    objects: tuple[TileObject, ...] = ()
    areas: tuple[Area, ...] = ()
    roads: tuple[Road, ...] = ()
    anomalies: tuple[Area, ...] = ()
    complete_classes: frozenset[str] = frozenset()
    has_anomaly_layer: bool = False
    gsd_m: Gsd | None = None
    has_true_colours: bool = True
    north_deg: float | None = None
    date: dt.date | None = None
    later: TileFacts | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def objects_by_class(self) -> Mapping[str, tuple[TileObject, ...]]:
        """The objects of each class that has any, in their order."""
        by_class: dict[str, list[TileObject]] = {}
        for item in self.objects:
            by_class.setdefault(item.class_name, []).append(item)
        return {name: tuple(members) for name, members in by_class.items()}

    @cached_property
    def object_bounds(self) -> Mapping[str, NDArray[np.float64]]:
        """The (N, 4) upright bounds of the objects of each class in `objects_by_class`, tile pixels."""
        return {
            name: np.asarray(shapely.bounds([item.geometry for item in members]), dtype=np.float64)
            for name, members in self.objects_by_class.items()
        }
