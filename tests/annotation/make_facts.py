"""Small tiles for the tests of the tasks: classes, objects and facts with few words."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon, Point, Polygon, box
from shapely.affinity import rotate
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, ClassInfo, ClassKind, Outline, Road, Role, TileFacts, TileObject
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.tasks.registry import TaskContext, get_task
from rsvqa.annotation.wording.phrases import Phrases, load_phrases


def make_class(
    name: str,
    role: Role = Role.OBJECT,
    kind: ClassKind = "other",
    *,
    broader: tuple[str, ...] = (),
    singular: str | None = None,
    plural: str | None = None,
) -> ClassInfo:
    """Return a class; its display names follow from its key: "small_car" is a "small car", two are "small cars"."""
    shown = singular or name.replace("_", " ")
    return ClassInfo(
        name=name,
        singular=shown,
        plural=plural or (shown if role is Role.AREA else shown + "s"),
        role=role,
        kind=kind,
        broader=broader,
    )


CLASSES = {
    info.name: info
    for info in (
        make_class("car", kind="vehicle"),
        make_class("bicycle", kind="vehicle"),
        make_class("ship", kind="ship"),
        make_class("plane", kind="aircraft"),
        make_class("house", kind="building"),
        make_class("silo", kind="storage_tank"),
        make_class("forest", Role.AREA, "forest"),
        make_class("farmland", Role.AREA, "cropland"),
        make_class("water", Role.AREA, "water"),
        make_class("car_park", Role.AREA, "parking"),
        make_class("desert", Role.AREA, "bare"),
        make_class("quarry", Role.AREA, "bare"),
        make_class("marsh", Role.AREA, "wetland"),
        make_class("street", Role.ROAD, "road"),
        make_class("landslide", Role.ANOMALY),
    )
}
"""A class table of which no two classes may mean the same."""


def classes_with(*more: ClassInfo) -> dict[str, ClassInfo]:
    """Return `CLASSES` and some more, which replace those of the same name."""
    return CLASSES | {info.name: info for info in more}


def make_object(
    object_id: str,
    class_name: str,
    geometry: Polygon | Point,
    *,
    outline: Outline | None = None,
    visible: float = 1.0,
    certain: bool = True,
    **attributes: str | bool | float,
) -> TileObject:
    """Return an object; its outline is POLYGON, or POINT for a point, unless given."""
    default = Outline.POINT if isinstance(geometry, Point) else Outline.POLYGON
    return TileObject(
        object_id=object_id,
        class_name=class_name,
        geometry=geometry,
        outline=outline or default,
        visible_share=visible,
        is_certain=certain,
        attributes=attributes,
    )


def square(x: float, y: float, side: float = 20.0) -> Polygon:
    """Return an upright square centred on (x, y)."""
    return rectangle(x, y, side, side)


def rectangle(x: float, y: float, width: float, height: float, *, clockwise_deg: float = 0.0) -> Polygon:
    """Return a rectangle centred on (x, y), turned clockwise as seen in the image."""
    upright = box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    # With y down, shapely's counter-clockwise is clockwise to the eye.
    return rotate(upright, clockwise_deg) if clockwise_deg else upright


def make_area(area_id: str, class_name: str, geometry: Polygon | MultiPolygon, *, certain: bool = True) -> Area:
    """Return an area."""
    return Area(area_id=area_id, class_name=class_name, geometry=geometry, is_certain=certain)


def make_road(road_id: str, *points: tuple[float, float], class_name: str = "street", **attributes: str) -> Road:
    """Return a piece of a road through the points."""
    return Road(road_id=road_id, class_name=class_name, geometry=LineString(points), attributes=attributes)


def make_facts(
    *,
    objects: Iterable[TileObject] = (),
    areas: Iterable[Area] = (),
    size: int = 1000,
    classes: Mapping[str, ClassInfo] = CLASSES,
    complete: Iterable[str] | None = None,
    **more: Any,
) -> TileFacts:
    """Return the facts of a square tile; every class is complete unless `complete` names those that are."""
    return TileFacts(
        tile_id="tile",
        width=size,
        height=size,
        classes=classes,
        objects=tuple(objects),
        areas=tuple(areas),
        complete_classes=frozenset(classes if complete is None else complete),
        **more,
    )


@cache
def _english() -> Phrases:
    return load_phrases()


def make_context(
    facts: TileFacts, *, pixels: NDArray[np.uint8] | None = None, seed: int = 0, limit: int = 5
) -> TaskContext:
    """Return a task's context with English phrases; the pixels are mid grey unless given."""
    if pixels is None:
        pixels = np.full((facts.height, facts.width, 3), 128, dtype=np.uint8)
    return TaskContext(facts=facts, pixels=pixels, rng=random.Random(seed), phrases=_english(), limit=limit)


def ask(name: str, facts: TileFacts, **more: Any) -> tuple[list[Question], list[str]]:
    """Run a task; return its questions, and its reasons for not asking."""
    results = list(get_task(name)(make_context(facts, **more)))
    questions = [result for result in results if isinstance(result, Question)]
    return questions, [result.reason for result in results if isinstance(result, NotAsked)]


def right_texts(question: Question) -> list[str]:
    """Return the texts of the right options."""
    return [option.text for option in question.options if option.is_right]


def wrong_texts(question: Question) -> list[str]:
    """Return the texts of the wrong options."""
    return [option.text for option in question.options if not option.is_right]


def paint(pixels: NDArray[np.uint8], geometry: BaseGeometry, colour: tuple[int, int, int]) -> None:
    """Colour the bounding box of a geometry in place."""
    x_min, y_min, x_max, y_max = (round(side) for side in geometry.bounds)
    pixels[y_min:y_max, x_min:x_max] = colour
