"""labelme JSON (and that of its relatives): shapes of one picture, in its pixels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.flags import is_set
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames, spelt_alike
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

_UNCERTAIN_FLAGS = ("difficult", "truncated", "occluded", "crowd")


def looks_like_labelme(head: bytes) -> bool:
    """Tell from its first bytes whether a JSON file is labelme's."""
    return b'"Feature' not in head and any(key in head for key in (b'"shapes"', b'"imagePath"', b'"imageData"'))


def read_labelme(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the shapes of a file.

    Raises:
        NotLabelsError: it is of another image, by its own name and by the one that it states.
        LabelError: the file is not JSON with a list of shapes.
    """
    content, note = _load(path)
    whose = identity or Identity(scene.path)
    names = _names(content)
    is_named = names is not None and bool(whose.images(names, path.parent))
    if names is not None and not is_named and spelt_alike(path.stem).casefold() != whose.stem.casefold():
        raise NotLabelsError(OTHER_IMAGES)
    problems: Counter[str] = Counter()
    lost: list[str] = []
    items: list[LabelItem] = []
    for number, shape in enumerate(content["shapes"]):
        try:
            items.append(_item(shape, number))
        except (KeyError, TypeError, ValueError, AttributeError):
            problems["shape without a label and usable points"] += 1
            lost.append(str(shape.get("label")) if isinstance(shape, dict) else "")
    items = _grouped(items, content["shapes"])
    size = _size(content)
    return gathered(items, table, problems=problems, lost=lost, notes=(note,), picture_size=size, by_image=is_named)


def image_names(path: Path) -> ImageNames | None:
    """Return the image that a file is of, None where it does not say.

    Raises:
        LabelError: it is not labelme's.
    """
    return _names(_load(path)[0])


def _load(path: Path) -> tuple[Mapping[str, Any], str]:
    text, note = read_text(path)
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise LabelError(f"not a JSON file: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise LabelError('not labelme JSON: it has no list "shapes"')
    return content, note


def _names(content: Mapping[str, Any]) -> ImageNames | None:
    name = content.get("imagePath")
    return ImageNames.of([name]) if isinstance(name, str) and name else None


def _size(content: Mapping[str, Any]) -> tuple[float, float] | None:
    try:
        width, height = float(content["imageWidth"]), float(content["imageHeight"])
    except (KeyError, TypeError, ValueError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _grouped(items: Sequence[LabelItem], shapes: Sequence[Any]) -> list[LabelItem]:
    """Return the labels with the polygons of one label and `group_id` as one: they are parts of one object."""
    groups: dict[tuple[str, str], list[LabelItem]] = {}
    for item in items:
        group = shapes[int(item.position)].get("group_id")
        is_part = group is not None and item.geometry.geom_type == "Polygon"
        groups.setdefault((item.source, f"group {group}") if is_part else (item.source, item.position), []).append(item)
    return [
        parts[0]
        if len(parts) == 1
        else replace(
            parts[0],
            geometry=MultiPolygon([part.geometry for part in parts if isinstance(part.geometry, Polygon)]),
            outline=Outline.POLYGON,
            is_certain=all(part.is_certain for part in parts),
        )
        for parts in groups.values()
    ]


def _item(shape: Mapping[str, Any], number: int) -> LabelItem:
    points = np.array(shape["points"], dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("points are not numbers")
    geometry, outline = _geometry(str(shape.get("shape_type") or "polygon"), points)
    nested = shape.get("attributes")
    flags = {**(shape.get("flags") or {}), **shape}
    score = shape.get("score")
    return LabelItem(
        geometry=geometry,
        outline=outline,
        source=str(shape["label"]).strip(),
        position=str(number),
        is_certain=not any(is_set(flags.get(flag)) for flag in _UNCERTAIN_FLAGS),
        score=None if score is None else float(score),
        attributes={str(key).casefold(): str(value) for key, value in (nested or {}).items()},
    )


def _geometry(kind: str, points: NDArray[np.float64]) -> tuple[BaseGeometry, Outline]:
    if kind == "rectangle" and len(points) in (2, 4):
        return shapely.box(*points.min(axis=0), *points.max(axis=0)), Outline.BOX
    if kind == "circle" and len(points) == 2:
        return Point(points[0]).buffer(float(np.hypot(*(points[1] - points[0])))), Outline.POLYGON
    if kind == "point" and len(points) == 1:
        return Point(points[0]), Outline.POINT
    if kind in ("line", "linestrip") and len(points) >= 2:
        return LineString(points), Outline.POLYGON
    if kind == "rotation" and len(points) == 4:
        return Polygon(points), Outline.ORIENTED_BOX
    if kind == "polygon" and len(points) >= 3:
        return Polygon(points), Outline.POLYGON
    raise ValueError(f"shape type {kind} with {len(points)} points")
