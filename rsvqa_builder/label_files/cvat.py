"""CVAT's XML for images: boxes, ellipses, masks, polygons, lines and points of many images, in their pixels.

A box or an ellipse may have a `rotation`, degrees clockwise about its centre.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from shapely import LineString, MultiPolygon, Point, Polygon, affinity
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.coco import MAX_MASK_PIXELS
from rsvqa.rsvqa_builder.label_files.flags import is_set
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.shapes import turned_box
from rsvqa.rsvqa_builder.label_files.texts import read_xml
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import OTHER_IMAGES, LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

_SHAPES = ("box", "polygon", "polyline", "points")


@dataclass(frozen=True, slots=True)
class _Content:
    """A file, parsed once for all scenes: its images by name."""

    names: ImageNames
    images: dict[str, list[ElementTree.Element]]
    num_labels: int
    note: str


def looks_like_cvat(head: bytes) -> bool:
    """Tell from its first bytes whether an XML file is CVAT's."""
    return b"<annotations" in head


def read_cvat(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the labels of the scene's image.

    Raises:
        NotLabelsError: it holds other images only.
        LabelError: the file is not CVAT's XML for images, or it is open which of its images this is.
    """
    content = _load(path)
    names = (identity or Identity(scene.path)).images(content.names, path.parent)
    if not names:
        raise NotLabelsError(OTHER_IMAGES)
    images = [image for name in sorted(names) for image in content.images[name]]
    sizes = {size for image in images if (size := _size(image)) is not None}
    if len(sizes) > 1:
        raise LabelError(f"it states different sizes of the image {min(names)!r}")
    problems: Counter[str] = Counter()
    lost: list[str] = []
    items: list[LabelItem] = []
    for image in images:
        for number, element in enumerate(_labels(image)):
            try:
                items.append(_item(element, f"{image.get('id', image.get('name'))}:{number}", _size(image)))
            except (KeyError, ValueError):
                problems[f"<{element.tag}> without usable coordinates"] += 1
                lost.append(element.get("label") or "")
    return gathered(
        items,
        table,
        problems=problems,
        lost=lost,
        notes=(content.note,),
        picture_size=next(iter(sizes), None),
        by_image=True,
        num_other_image=content.num_labels - sum(len(_labels(image)) for image in images),
    )


def image_names(path: Path) -> ImageNames:
    """Return the images that a file names.

    Raises:
        LabelError: the file is not CVAT's XML for images.
    """
    return _load(path).names


def _load(path: Path) -> _Content:
    stat = path.stat()
    return _parsed(path, (stat.st_mtime_ns, stat.st_size))


# One file may serve thousands of scenes: it is parsed once. The key follows the content.
@lru_cache(maxsize=1)
def _parsed(path: Path, version: tuple[int, int]) -> _Content:  # noqa: ARG001
    root, note = read_xml(path)
    if root.tag != "annotations":
        raise LabelError(f"XML with root <{root.tag}>, not <annotations>")
    if root.find("track") is not None:
        raise LabelError("CVAT's XML for videos has tracks, not images: export it for images")
    images: defaultdict[str, list[ElementTree.Element]] = defaultdict(list)
    for image in root.findall("image"):
        if name := image.get("name"):
            images[name].append(image)
    num_labels = sum(len(_labels(image)) for group in images.values() for image in group)
    return _Content(ImageNames.of(images), dict(images), num_labels, note)


def _labels(image: ElementTree.Element) -> list[ElementTree.Element]:
    """Return the labels of an image; tags of the whole image, masks and skeletons too, so that they are counted."""
    return [element for element in image if element.tag != "tag"]


def _size(image: ElementTree.Element) -> tuple[float, float] | None:
    try:
        width, height = float(image.get("width", "")), float(image.get("height", ""))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _item(element: ElementTree.Element, position: str, size: tuple[float, float] | None) -> LabelItem:
    geometry, outline = _geometry(element, MAX_MASK_PIXELS if size is None else size[0] * size[1])
    attributes = {(child.get("name") or "").casefold(): (child.text or "") for child in element.findall("attribute")}
    return LabelItem(
        geometry=geometry,
        outline=outline,
        source=(element.get("label") or "").strip(),
        position=position,
        is_certain=not is_set(element.get("occluded")),
        attributes=attributes,
    )


def _geometry(element: ElementTree.Element, most_pixels: float) -> tuple[BaseGeometry, Outline]:
    if element.tag == "box":
        x_min, y_min, x_max, y_max = (_number(element.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        if x_max < x_min or y_max < y_min:
            raise ValueError("sides are swapped")
        degrees = _number(element.get("rotation") or "0")
        if not degrees:
            return shapely.box(x_min, y_min, x_max, y_max), Outline.BOX
        centre = (x_min + x_max) / 2, (y_min + y_max) / 2
        return turned_box(centre, (x_max - x_min, y_max - y_min), math.radians(degrees)), Outline.ORIENTED_BOX
    if element.tag == "ellipse":
        x, y, x_radius, y_radius = (_number(element.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
        if x_radius < 0 or y_radius < 0:
            raise ValueError("a negative radius")
        circle = shapely.transform(Point(0, 0).buffer(1), lambda xy: xy * (x_radius, y_radius) + (x, y))
        return affinity.rotate(circle, _number(element.get("rotation") or "0"), origin=(x, y)), Outline.POLYGON
    if element.tag == "mask":
        return _mask(element, most_pixels), Outline.POLYGON
    if element.tag not in _SHAPES:
        raise ValueError(f"<{element.tag}> is not read")
    points = [(_number(x), _number(y)) for pair in element.attrib["points"].split(";") for x, y in (pair.split(","),)]
    if element.tag == "points" and len(points) == 1:
        return Point(points[0]), Outline.POINT
    if element.tag == "polyline" and len(points) >= 2:
        return LineString(points), Outline.POLYGON
    if element.tag == "polygon" and len(points) >= 3:
        return Polygon(points), Outline.POLYGON
    raise ValueError(f"<{element.tag}> of {len(points)} points")


def _mask(element: ElementTree.Element, most_pixels: float) -> Polygon | MultiPolygon:
    """Return the outline of a mask: runs of 0 and 1 in turn along the rows of a box, no larger than its image."""
    left, top, width, height = (int(_number(element.attrib[key])) for key in ("left", "top", "width", "height"))
    runs = [int(text) for text in element.attrib["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != width * height or width * height > min(most_pixels, MAX_MASK_PIXELS):
        raise ValueError("runs do not fill the box")
    mask = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8).reshape(height, width)
    shapes = rasterio.features.shapes(mask, mask=mask.astype(bool), transform=Affine.translation(left, top))
    parts = [Polygon(shape["coordinates"][0], shape["coordinates"][1:]) for shape, _ in shapes]
    if not parts:
        raise ValueError("the mask is empty")
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number
