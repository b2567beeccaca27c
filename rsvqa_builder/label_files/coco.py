"""COCO JSON: polygons, run-length masks (plain and compressed) and boxes, matched to the scene by `file_name`.

`iscrowd` marks a group without single outlines: such labels are uncertain, like those to be ignored. A segmentation of
several polygons is one object in several parts; one that is empty or holds no polygon gives way to the box. CVAT writes
the turn of a box as its attribute `rotation`.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.flags import is_set
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.layouts import is_label_folder
from rsvqa.rsvqa_builder.label_files.shapes import turned_box
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import (
    OTHER_IMAGES,
    LabelError,
    NotLabelsError,
    RawLabels,
    judged_outlines,
    object_array,
)
from rsvqa.rsvqa_builder.scenes.scene import Scene

MAX_MASK_PIXELS = 2**30
"""A run-length mask that claims more pixels is not decoded."""

_HEAD_BYTES = 4096
_SHOWN = 3
_SLACK = 0.02
"""Share of a side by which boxes may leave their picture."""
_NO_SHAPE = "no usable segmentation or bbox"


_UNCERTAIN_FLAGS = ("iscrowd", "ignore", "difficult", "truncated", "occluded")


class _Annotation(NamedTuple):
    position: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Index:
    """A COCO file, its annotations grouped by the name of their image.

    Attributes:
        categories: names by id.
        images: the names, as the file spells them.
        by_image: annotations by name of the image.
        sizes: (width, height) that the file states of each image, where it does.
        num_of_no_image: annotations whose image the file does not list, and images without a name.
        num_annotations: all of the file.
        is_predicted: some have scores.
        unclear: names of images of which another one has the id, with the reason.
        note: on the file's encoding.
    """

    categories: Mapping[str, str]
    images: ImageNames
    by_image: Mapping[str, tuple[_Annotation, ...]]
    sizes: Mapping[str, tuple[float, float] | None]
    num_of_no_image: int
    num_annotations: int
    is_predicted: bool
    unclear: Mapping[str, str]
    note: str


@dataclass(slots=True, kw_only=True)
class _Collected:
    """What one scene's annotations give, in the making."""

    geometries: list[BaseGeometry] = field(default_factory=list)
    outlines: list[Outline] = field(default_factory=list)
    kept: list[_Annotation] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)


class _BadShapeError(ValueError):
    """A segmentation or box that cannot be used; `str()` is the reason."""


def looks_like_coco(path: Path) -> bool:
    """Tell from the first bytes whether a JSON file may be COCO; a GeoJSON file is not."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    if head.lstrip().startswith(b"["):
        return b'"image_id"' in head and b'"category_id"' in head
    return b'"FeatureCollection"' not in head and any(
        key in head for key in (b'"images"', b'"annotations"', b'"categories"', b'"info"', b'"licenses"')
    )


def read_coco(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the annotations of the scene's image.

    Raises:
        NotLabelsError: the file has no images and annotations, or not this image.
        LabelError: the file is not JSON or lacks what COCO requires, or it is open which of its images this is.
    """
    index = _load(path)
    names = (identity or Identity(scene.path)).images(index.images, path.parent)
    if not names:
        raise NotLabelsError(OTHER_IMAGES)
    sizes = {size for name in names if (size := index.sizes[name]) is not None}
    if len(sizes) > 1:
        raise LabelError(f"it states different sizes of the image {min(names)!r}")
    if unclear := next((index.unclear[name] for name in sorted(names) if name in index.unclear), ""):
        raise LabelError(unclear)
    annotations = sorted(annotation for name in names for annotation in index.by_image[name])
    records = [annotation.record for annotation in annotations]
    size = next(iter(sizes), None) or _run_length_size(records)
    _check_boxes(records, size or (scene.width, scene.height))
    collected = _Collected()
    for annotation in annotations:
        try:
            geometry, outline = _shape(annotation.record, size)
        except _BadShapeError as error:
            collected.problems[str(error)] += 1
            collected.lost.add(_class_name(annotation.record, index))
            continue
        if _key(annotation.record.get("category_id")) not in index.categories:
            collected.lost.add("")  # it may be of any class
        collected.geometries.append(geometry)
        collected.outlines.append(outline)
        collected.kept.append(annotation)
    raw = _raw_labels(collected, index, len(annotations), table)
    return replace(raw, by_image=True, picture_size=size)


def _run_length_size(records: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the (width, height) of the first run-length mask: that of the picture, where the file states no other."""
    for record in records:
        segmentation = record.get("segmentation")
        if isinstance(segmentation, dict):
            try:
                height, width = segmentation["size"]
                return float(width), float(height)
            except (KeyError, TypeError, ValueError):
                continue
    return None


def _check_boxes(records: Sequence[Mapping[str, Any]], size: tuple[float, float]) -> None:
    """Raise `LabelError` where boxes x, y, width, height leave the picture, and would all fit it as two corners."""
    boxes = [box for record in records if len(box := _box_numbers(record)) == 4]
    if not boxes:
        return
    left, top, third, fourth = np.array(boxes).T
    leaves = (left + third > size[0] * (1 + _SLACK)) | (top + fourth > size[1] * (1 + _SLACK))
    are_corners = (third > left) & (fourth > top) & (third <= size[0] + 1) & (fourth <= size[1] + 1)
    if leaves.any() and are_corners.all():
        raise LabelError(
            "its boxes leave the picture as COCO's x, y, width, height, and would fit as x_min, y_min, x_max, y_max: "
            "write widths and heights"
        )


def _box_numbers(record: Mapping[str, Any]) -> list[float]:
    try:
        return [float(number) for number in _as_numbers(record.get("bbox"))]
    except _BadShapeError:
        return []


def image_names(path: Path) -> ImageNames:
    """Return the images that a COCO file names.

    Raises:
        LabelError: it is not a COCO file.
    """
    return _load(path).images


def _load(path: Path) -> _Index:
    stat = path.stat()
    return _parsed(path, (stat.st_mtime_ns, stat.st_size))


# One set's file may serve thousands of scenes: it is parsed once. The key follows the content.
@lru_cache(maxsize=1)
def _parsed(path: Path, version: tuple[int, int]) -> _Index:  # noqa: ARG001
    text, note = read_text(path)
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise LabelError(f"not a JSON file: {error}") from error
    if isinstance(content, list) and any(isinstance(record, dict) and "image_id" in record for record in content):
        content = _with_images(path, content)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise NotLabelsError('JSON without "images" and "annotations"')
    images = _records(content["images"], "images")
    categories = _records(content.get("categories") or [], "categories")
    if not isinstance(content["annotations"], list):
        raise LabelError("not COCO: 'annotations' is no list")
    annotations = _records(content["annotations"], "annotations")
    named = {_key(image.get("id")): str(image["file_name"]) for image in images if image.get("file_name")}
    if images and not named:
        raise LabelError("not COCO: its images have no file_name")
    ids: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for image in images:
        if image.get("file_name"):
            ids[_key(image.get("id"))][str(image["file_name"])] = None
    only = next(iter(named.values()), None) if isinstance(content["images"], dict) else None
    grouped: dict[str, list[_Annotation]] = {name: [] for names in ids.values() for name in names}
    num_annotations = len(content["annotations"])
    num_of_no_image = num_annotations - len(annotations)
    for position, annotation in enumerate(annotations):
        name = named.get(_key(annotation.get("image_id")), only)
        if name is None:
            num_of_no_image += 1
        else:
            grouped[name].append(_Annotation(position, annotation))
    unclear = {
        name: f"it gives the id {key} to the images {' and '.join(list(names)[:_SHOWN])}: number them apart"
        for key, names in ids.items()
        if len(names) > 1
        for name in names
    }
    return _Index(
        categories={_key(category.get("id")): str(category.get("name")) for category in categories},
        images=ImageNames.of(grouped),
        by_image={name: tuple(found) for name, found in grouped.items()},
        sizes={str(image["file_name"]): _size(image) for image in images if image.get("file_name")},
        num_of_no_image=num_of_no_image,
        num_annotations=num_annotations,
        is_predicted=any(annotation.get("score") is not None for annotation in annotations),
        unclear=unclear,
        note=note,
    )


def _with_images(path: Path, results: list[Any]) -> dict[str, Any]:
    """Return a list of results as a COCO file, with the images and categories of the one that it is about.

    Raises:
        LabelError: there is no such file beside the list, in the folder above or in the folders of labels there, or
            there are several.
    """
    wanted = {_key(record.get("image_id")) for record in results if isinstance(record, dict)}
    above = [path.parent, path.parent.parent]
    folders = above + [folder for one in above for folder in sorted(one.glob("*")) if is_label_folder(folder.name)]
    files = dict.fromkeys(file for folder in folders for file in sorted(folder.glob("*.json")) if file != path)
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for file in files:
        content = _images_and_categories(file)
        if content and wanted <= {_key(image.get("id")) for image in content["images"]}:
            found.setdefault(json.dumps(content, sort_keys=True), (file, content))
    if len(found) != 1:
        names = " and ".join(sorted(file.name for file, _ in found.values()))
        why = (
            f"it may be about the images of {names}: keep one of them" if names else "no COCO file beside it lists them"
        )
        raise LabelError(f"a list of COCO results names images by number, and {why}")
    ((_, content),) = found.values()
    return {**content, "annotations": results}


def _images_and_categories(path: Path) -> dict[str, Any] | None:
    """Return what a COCO file says of images and categories, None where it is no such file."""
    if not looks_like_coco(path):
        return None
    try:
        content = json.loads(read_text(path).text.removeprefix("\ufeff"))
        return {key: _records(content[key], key) for key in ("images", "categories")}
    except (LabelError, ValueError, RecursionError, KeyError, TypeError):
        return None


def _records(value: object, name: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; others in it are left out, one object alone is a list of one."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise LabelError(f"not COCO: {name!r} is no list")
    return [record for record in value if isinstance(record, dict)]


def _key(value: object) -> str:
    """Return an id as it is compared: 1, 1.0 and "1" are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _size(image: Mapping[str, Any]) -> tuple[float, float] | None:
    try:
        width, height = float(image["width"]), float(image["height"])
    except (KeyError, TypeError, ValueError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _raw_labels(collected: _Collected, index: _Index, num_ours: int, table: ClassTable) -> RawLabels:
    count = len(collected.kept)
    geometries = object_array(collected.geometries)
    records = [annotation.record for annotation in collected.kept]
    sources = object_array([_class_name(record, index) for record in records])
    judged = judged_outlines(geometries, sources, Outline.POLYGON)
    outlines = [Outline.BOX if one is Outline.BOX else own for own, one in zip(collected.outlines, judged, strict=True)]
    parsed = parse_attributes(_attribute_texts(records, table), count)
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(str(annotation.position) for annotation in collected.kept),
        outlines=object_array(outlines),
        is_certain=np.array([_is_certain(record, table) for record in records], dtype=bool),
        attributes=parsed.attributes,
        is_predicted=index.is_predicted,
        num_other_image=index.num_annotations - num_ours - index.num_of_no_image,
        num_of_no_image=index.num_of_no_image,
        num_invalid=dict(collected.problems),
        lost_sources=frozenset(collected.lost),
        dropped_attributes=parsed.dropped,
        notes=(index.note,) if index.note else (),
    )


def _class_name(annotation: Mapping[str, Any], index: _Index) -> str:
    category = _key(annotation.get("category_id"))
    return index.categories.get(category, f"category {category}")


def _is_certain(annotation: Mapping[str, Any], table: ClassTable) -> bool:
    nested = annotation.get("attributes")
    flags = {**(nested if isinstance(nested, dict) else {}), **annotation}
    if any(is_set(flags.get(flag)) for flag in _UNCERTAIN_FLAGS):
        return False
    score = annotation.get("score")
    return score is None or (isinstance(score, int | float) and score >= table.min_score)


def _attribute_texts(annotations: Sequence[Mapping[str, Any]], table: ClassTable) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for attribute, names in table.attributes.columns().items():
        found = [_attribute_text(annotation, names) for annotation in annotations]
        if any(found):
            texts[attribute] = found
    return texts


def _attribute_text(annotation: Mapping[str, Any], names: Sequence[str]) -> str:
    nested = annotation.get("attributes")
    values = {**(nested if isinstance(nested, dict) else {}), **annotation}
    found = next((values[name] for name in names if values.get(name) is not None), "")
    return str(found).strip()


def _shape(annotation: Mapping[str, Any], size: tuple[float, float] | None) -> tuple[BaseGeometry, Outline]:
    """Return the annotation's geometry, in pixels of a picture of `size`, from its segmentation, else from its box."""
    segmentation = annotation.get("segmentation") or annotation.get("poly")
    box = annotation.get("bbox")
    has_box = isinstance(box, list) and len(box) == 4
    if segmentation:
        try:
            return _segmented(segmentation, size), Outline.POLYGON
        except _BadShapeError:
            if not has_box:
                raise
    return _boxed(annotation)


def _segmented(segmentation: object, size: tuple[float, float] | None) -> BaseGeometry:
    if isinstance(segmentation, dict):
        return _run_length_polygon(segmentation, size)
    if not isinstance(segmentation, list):
        raise _BadShapeError(_NO_SHAPE)
    return _polygons(segmentation if isinstance(segmentation[0], list) else [segmentation])


def _boxed(annotation: Mapping[str, Any]) -> tuple[BaseGeometry, Outline]:
    numbers = _as_numbers(annotation.get("bbox"))
    if len(numbers) != 4:
        raise _BadShapeError(_NO_SHAPE)
    x, y, width, height = numbers.tolist()
    if width < 0 or height < 0:
        raise _BadShapeError("bbox with negative width or height")
    nested = annotation.get("attributes")
    rotation = nested.get("rotation") if isinstance(nested, dict) else None
    degrees = _as_numbers([rotation or 0.0])[0]
    if not degrees:
        return shapely.box(x, y, x + width, y + height), Outline.BOX
    turned = turned_box((x + width / 2, y + height / 2), (width, height), math.radians(degrees))
    return turned, Outline.ORIENTED_BOX


def _polygons(rings: Sequence[object]) -> Polygon | MultiPolygon:
    polygons = []
    for ring in rings:
        if isinstance(ring, list) and all(isinstance(point, list) and len(point) == 2 for point in ring):
            ring = [value for point in ring for value in point]
        numbers = _as_numbers(ring)
        if len(numbers) < 6 or len(numbers) % 2:
            raise _BadShapeError("polygon without three points")
        polygons.append(Polygon(numbers.reshape(-1, 2)))
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)


def _as_numbers(value: object) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(value if isinstance(value, list) else [], dtype=np.float64)
    except (ValueError, TypeError):
        raise _BadShapeError("coordinates are not numbers") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise _BadShapeError("coordinates are not numbers")
    return numbers


def _run_length_polygon(segmentation: Mapping[str, Any], picture: tuple[float, float] | None) -> Polygon | MultiPolygon:
    """Return the outline of a run-length mask: runs of 0 and 1 in turn, down the columns, left to right."""
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        runs = _decompressed(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError):
        raise _BadShapeError("run-length mask without size and counts") from None
    if not 0 < height * width <= MAX_MASK_PIXELS or (runs < 0).any() or runs.sum() != height * width:
        raise _BadShapeError("run-length counts do not add up to the mask's size")
    if picture is not None and (width, height) != picture:
        raise _BadShapeError("run-length mask of another size than its image")
    ends = np.cumsum(runs)
    if len(runs) < 2 or not runs[1::2].any():
        raise _BadShapeError("run-length mask is empty")
    # Only the columns that the object touches are unrolled: masks are as large as the image.
    first, last = int(ends[0]) // height, -(-int(ends[1::2].max()) // height)
    clipped = np.clip(ends, first * height, last * height) - first * height
    values = np.arange(len(runs)) % 2
    column_major = np.repeat(values.astype(np.uint8), np.diff(clipped, prepend=0))
    mask = np.ascontiguousarray(column_major.reshape(last - first, height).T)
    shapes = rasterio.features.shapes(mask, mask=mask.astype(bool), transform=Affine.translation(first, 0))
    parts = [Polygon(shape["coordinates"][0], shape["coordinates"][1:]) for shape, _ in shapes]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _decompressed(text: str) -> NDArray[np.int64]:
    """Return the counts of a compressed run-length mask.

    The format is pycocotools': little-endian groups of five bits in printable characters from "0" on, bit 32 for "more
    follows", sign from the last group's bit 16; from the fourth count on, the difference to the count before the last.
    pycocotools itself (2.0.11) gives uninitialised memory for damaged counts, and a whole image for each object.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise ValueError(f"{character!r} is not part of a compressed mask")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return np.array(counts, dtype=np.int64)
