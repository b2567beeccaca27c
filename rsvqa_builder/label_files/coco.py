"""COCO JSON: polygons, run-length masks (plain and compressed) and boxes, matched to the scene by `file_name`.

`iscrowd` marks a group without single outlines: such labels are uncertain. A segmentation of several polygons is one
object in several parts.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.columns import scene_stem
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
_NO_SHAPE = "no usable segmentation or bbox"


@dataclass(frozen=True, slots=True)
class _Index:
    """A COCO file, its annotations grouped by the file stem of their image (lower case)."""

    categories: Mapping[Any, str]
    by_stem: Mapping[str, tuple[Mapping[str, Any], ...]]
    num_annotations: int


@dataclass(slots=True, kw_only=True)
class _Collected:
    """What one scene's annotations give, in the making."""

    geometries: list[BaseGeometry] = field(default_factory=list)
    outlines: list[Outline] = field(default_factory=list)
    kept: list[Mapping[str, Any]] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)


class _BadShapeError(ValueError):
    """A segmentation or box that cannot be used; `str()` is the reason."""


def looks_like_coco(path: Path) -> bool:
    """Tell from the first bytes whether a JSON file may be COCO; a GeoJSON file is not."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return b'"FeatureCollection"' not in head and any(
        key in head for key in (b'"images"', b'"annotations"', b'"categories"', b'"info"', b'"licenses"')
    )


def read_coco(path: Path, scene: Scene, table: ClassTable) -> RawLabels:
    """Return the annotations of the scene's image.

    Raises:
        NotLabelsError: the file has no images and annotations, or not this image.
        LabelError: the file is not JSON, or its records lack what COCO requires.
    """
    stat = path.stat()
    index = _load(path, (stat.st_mtime_ns, stat.st_size))
    annotations = index.by_stem.get(scene_stem(scene).casefold())
    if annotations is None:
        raise NotLabelsError(OTHER_IMAGES)
    collected = _Collected()
    for annotation in annotations:
        try:
            geometry, outline = _shape(annotation)
        except _BadShapeError as error:
            collected.problems[str(error)] += 1
            continue
        collected.geometries.append(geometry)
        collected.outlines.append(outline)
        collected.kept.append(annotation)
        collected.positions.append(str(annotation["position"]))
    return _raw_labels(collected, index, len(annotations), table)


def names_scene(path: Path, scene_stem_name: str) -> bool:
    """Tell whether a COCO file holds an image with this file stem; false for files that cannot be read."""
    try:
        stat = path.stat()
        index = _load(path, (stat.st_mtime_ns, stat.st_size))
    except (OSError, LabelError):
        return False
    return scene_stem_name.casefold() in index.by_stem


# One set's file may serve thousands of scenes: it is parsed once. The key follows the content.
@lru_cache(maxsize=1)
def _load(path: Path, version: tuple[int, int]) -> _Index:  # noqa: ARG001
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise LabelError(f"not a JSON file: {error}") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise NotLabelsError('JSON without "images" and "annotations"')
    try:
        names = {category["id"]: str(category["name"]) for category in content.get("categories") or ()}
        stems = {image["id"]: PurePosixPath(str(image["file_name"])).stem.casefold() for image in content["images"]}
        grouped: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for stem in stems.values():
            grouped[stem]
        for position, annotation in enumerate(content["annotations"]):
            grouped[stems[annotation["image_id"]]].append({**annotation, "position": position})
    except (KeyError, TypeError, AttributeError) as error:
        raise LabelError(f"not COCO: a record lacks {error}, or is no object") from error
    by_stem = {stem: tuple(annotations) for stem, annotations in grouped.items()}
    return _Index(names, by_stem, len(content["annotations"]))


def _raw_labels(collected: _Collected, index: _Index, num_ours: int, table: ClassTable) -> RawLabels:
    count = len(collected.kept)
    geometries = object_array(collected.geometries)
    sources = object_array([_class_name(annotation, index) for annotation in collected.kept])
    judged = judged_outlines(geometries, sources, Outline.POLYGON)
    outlines = [
        Outline.BOX if Outline.BOX in pair else Outline.POLYGON for pair in zip(collected.outlines, judged, strict=True)
    ]
    parsed = parse_attributes(_attribute_texts(collected.kept, table), count)
    scores = [annotation.get("score") for annotation in collected.kept]
    return RawLabels(
        geometries=geometries,
        sources=sources,
        positions=tuple(collected.positions),
        outlines=object_array(outlines),
        is_certain=np.array([_is_certain(annotation, table) for annotation in collected.kept], dtype=bool),
        attributes=parsed.attributes,
        is_predicted=any(score is not None for score in scores),
        num_other_image=index.num_annotations - num_ours,
        num_invalid=dict(collected.problems),
        dropped_attributes=parsed.dropped,
    )


def _class_name(annotation: Mapping[str, Any], index: _Index) -> str:
    category = annotation.get("category_id")
    return index.categories.get(category, f"category {category}")


def _is_certain(annotation: Mapping[str, Any], table: ClassTable) -> bool:
    if annotation.get("iscrowd"):
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


def _shape(annotation: Mapping[str, Any]) -> tuple[BaseGeometry, Outline]:
    """Return the annotation's geometry, in pixels, from its segmentation, else from its box."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _run_length_polygon(segmentation), Outline.POLYGON
    if isinstance(segmentation, list) and segmentation:
        rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return _polygons(rings), Outline.POLYGON
    numbers = _as_numbers(annotation.get("bbox"))
    if len(numbers) != 4:
        raise _BadShapeError(_NO_SHAPE)
    x, y, width, height = numbers.tolist()
    if width < 0 or height < 0:
        raise _BadShapeError("bbox with negative width or height")
    return shapely.box(x, y, x + width, y + height), Outline.BOX


def _polygons(rings: Sequence[object]) -> Polygon | MultiPolygon:
    polygons = []
    for ring in rings:
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


def _run_length_polygon(segmentation: Mapping[str, Any]) -> Polygon | MultiPolygon:
    """Return the outline of a run-length mask: runs of 0 and 1 in turn, down the columns, left to right."""
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        runs = _decompressed(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError):
        raise _BadShapeError("run-length mask without size and counts") from None
    if not 0 < height * width <= MAX_MASK_PIXELS or (runs < 0).any() or runs.sum() != height * width:
        raise _BadShapeError("run-length counts do not add up to the mask's size")
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
