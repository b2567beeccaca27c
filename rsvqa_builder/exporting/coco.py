"""COCO in two kinds: every label of the tiles, read anew from the sources, or the boxes that questions are about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, Box, ClassInfo, Outline, Role, TileFacts, TileObject, in_pixels
from rsvqa.annotation.stored_evidence import decode_geometry
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.dataset.shards import split_of
from rsvqa.rsvqa_builder.dataset.stored_tiles import image_key
from rsvqa.rsvqa_builder.exporting.pictures import PictureFolder
from rsvqa.rsvqa_builder.exporting.tile_labels import TileLabels

UNNAMED_CLASS = "object"
"""COCO category of a box whose class no question states."""

_MIN_SIDE = 1.0
"""Pixels of a box's sides: of what the tile's edge cuts off, less is not to be seen, and no detector learns it."""
_OUTLINED = (Outline.POLYGON, Outline.ORIENTED_BOX)
"""Labels that follow their object; a box says nothing of the outline."""
_AREAS = (Role.OBJECT, Role.AREA, Role.ANOMALY)
"""Roles of classes whose labels have an extent."""


# --- every label of the tiles ---


class CocoExporter:
    """`{split}.json`, all objects and areas on the pictures that questions show, in absolute pixels; and `images/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = PictureFolder(folder / "images")
        self._open = ExitStack()
        self._labels: TileLabels | None = None
        self._splits: dict[str, _LabelFile] = {}
        self._left_out: Counter[str] = Counter()

    def begin_shard(self, shard: Path) -> None:
        """Go on with the file of the shard's split."""
        if self._labels is None:
            self._labels = self._open.enter_context(TileLabels(shard.parent.parent))
        split = split_of(shard)
        if split not in self._splits:
            file = _LabelFile(self._folder / f"{split}.json", self._labels.classes)
            self._splits[split] = self._open.enter_context(file)
        self._split = self._splits[split]

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse questions about circles: what is drawn into a picture would be learnt with the objects."""
        return None if any(_date_of(image, question) for image in question.images) else "only pictures with a circle"

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Add the pictures that are new, and all that is labelled on them."""
        assert self._labels is not None
        for question in questions:
            for image in question.images:
                date = _date_of(image, question)
                if date is None or image.path in self._split.images:
                    continue
                facts = self._labels.of(question.record.tile, is_later=date == "later")
                self._split.add(image.path, question.size, facts)
                self._left_out += _unfit_labels(facts)
                self._images.add(image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open.close()

    def card(self) -> str:
        """Return what the annotations are, and which labels have none."""
        lost = [f"- left out: {count} x {reason}" for reason, count in self._left_out.most_common()]
        return "\n".join(
            [
                "# Labels of the tiles that questions are about",
                "",
                "In COCO's layout, in pixels; `file_name` is relative to `images/`. All objects and areas that the "
                "sources label on a picture are here, asked about or not. `not_exhaustive_category_ids` names classes "
                "of which more may be on a picture than is labelled; `iscrowd` is 1 where a label is uncertain; "
                "`visible_share` is the share of an object that its picture shows.",
                "",
                *([*lost, ""] if lost else []),
            ]
        )


class _LabelFile:
    """The file of one split, to which annotations are written as they come.

    Attributes:
        images: the entry of each picture so far, by its name.
    """

    def __init__(self, path: Path, classes: Mapping[str, ClassInfo]) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self._path = path
        self._classes = classes
        named = sorted(name for name, info in classes.items() if info.role in _AREAS)
        self._numbers = {name: number for number, name in enumerate(named, start=1)}
        self._num_annotations = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", newline="\n")
        self._file.write('{"annotations": [')
        return self

    def __exit__(self, *_: object) -> None:
        rest = {
            "info": {"description": "All objects and areas that are labelled on the pictures."},
            "licenses": [],
            "images": list(self.images.values()),
            "categories": [
                {"id": number, "name": name, "supercategory": self._classes[name].role.value}
                for name, number in self._numbers.items()
            ],
        }
        self._file.write("\n], " + json.dumps(rest, ensure_ascii=False, indent=1).removeprefix("{").lstrip() + "\n")
        self._file.close()

    def add(self, path: str, size: tuple[int, int], facts: TileFacts) -> None:
        """Write what is labelled on a picture of (width, height) pixels."""
        doubtful = [number for name, number in self._numbers.items() if name not in facts.complete_classes]
        number = len(self.images) + 1
        self.images[path] = {
            "id": number,
            "file_name": path,
            "width": size[0],
            "height": size[1],
            "not_exhaustive_category_ids": doubtful,
        }
        for item in _items(facts):
            if _is_seen(item):
                self._write(number, item)

    def _write(self, image: int, item: TileObject | Area) -> None:
        self._num_annotations += 1
        outlined = not isinstance(item, TileObject) or item.outline in _OUTLINED
        entry = {
            "id": self._num_annotations,
            "image_id": image,
            "category_id": self._numbers[item.class_name],
            **_coco_box(Box(*item.geometry.bounds)),
            **_coco_outline(item.geometry if outlined else None),
            "iscrowd": int(not item.is_certain),
            "label": item.object_id if isinstance(item, TileObject) else item.area_id,
            **({"visible_share": round(item.visible_share, 4)} if isinstance(item, TileObject) else {}),
        }
        self._file.write(("," if self._num_annotations > 1 else "") + "\n" + json.dumps(entry, ensure_ascii=False))


def _date_of(image: EncodedImage, question: StoredQuestion) -> str | None:
    """Return which date an image shows, "tile" or "later"; None when a circle is drawn into it."""
    key = image_key(image.path, question.record.tile.window)
    return key if key in ("tile", "later") else None


def _items(facts: TileFacts) -> Iterator[TileObject | Area]:
    yield from facts.objects
    yield from facts.areas
    yield from facts.anomalies


def _is_seen(item: TileObject | Area) -> bool:
    x_min, y_min, x_max, y_max = item.geometry.bounds
    return min(x_max - x_min, y_max - y_min) >= _MIN_SIDE


def _unfit_labels(facts: TileFacts) -> Counter[str]:
    """Return how many labels of a tile COCO has no form for, by reason."""
    items = [item for item in _items(facts) if not _is_seen(item)]
    points = sum(item.geometry.geom_type == "Point" for item in items)
    reasons = {
        "label that is a point": points,
        "label of less than a pixel on its picture": len(items) - points,
        "label that is a line": len(facts.roads),
    }
    return Counter({reason: count for reason, count in reasons.items() if count})


# --- the boxes that questions are about ---


@dataclass(slots=True, kw_only=True)
class _Annotation:
    image: str
    box: Box
    category: str
    outline: BaseGeometry | None = None


class _CocoSplit:
    """The boxes of one split; an object that several questions are about is one annotation."""

    def __init__(self) -> None:
        self.sizes: dict[str, tuple[int, int]] = {}
        self.annotations: dict[tuple[str, str], _Annotation] = {}

    def add(self, question: StoredQuestion, box: Box) -> None:
        image = question.images[0].path
        self.sizes[image] = question.size
        evidence = question.record.evidence
        # the object of the box comes first in its evidence; without ids the box stands for itself
        object_id = next(iter(evidence.get("feature_ids", [])), str(box))
        known = self.annotations.setdefault(
            (image, object_id), _Annotation(image=image, box=box, category=UNNAMED_CLASS)
        )
        if known.category == UNNAMED_CLASS:
            known.category = str(evidence.get("values", {}).get("class", UNNAMED_CLASS))
        known.outline = known.outline or _outline_of(box, decode_geometry(evidence))

    def document(self) -> dict[str, Any]:
        image_ids = {path: number for number, path in enumerate(self.sizes, start=1)}
        names = {annotation.category for annotation in self.annotations.values()}
        categories = {name: number for number, name in enumerate(sorted(names), start=1)}
        return {
            "info": {"description": "Boxes that questions are about; other objects of a class may have none."},
            "licenses": [],
            "images": [
                {"id": image_ids[path], "file_name": path, "width": width, "height": height}
                for path, (width, height) in self.sizes.items()
            ],
            "annotations": [
                {
                    "id": number,
                    "image_id": image_ids[annotation.image],
                    "category_id": categories[annotation.category],
                    **_coco_box(annotation.box),
                    **_coco_outline(annotation.outline),
                    "iscrowd": 0,
                }
                for number, annotation in enumerate(self.annotations.values(), start=1)
            ],
            "categories": [{"id": number, "name": name} for name, number in categories.items()],
        }


def _outline_of(box: Box, geometry: BaseGeometry | None) -> BaseGeometry | None:
    """Return the geometry of an evidence where it is the outline of what the box is around.

    An evidence may be about other things too.
    """
    if geometry is None or any(part.geom_type != "Polygon" for part in shapely.get_parts(geometry)):
        return None
    # a pixel for what the tile cuts off, one for the rounding of the row's box
    return geometry if all(abs(a - b) <= 2 for a, b in zip(geometry.bounds, box, strict=True)) else None


def _coco_outline(outline: BaseGeometry | None) -> dict[str, Any]:
    """Return an outline as polygons with their area, in the place of the box's."""
    if outline is None:
        return {}
    rings = [shapely.get_coordinates(part.exterior)[:-1].ravel() for part in _without_holes(outline)]
    polygons = [[round(float(value), 2) for value in ring] for ring in rings]
    return {"segmentation": polygons, "area": round(outline.area, 2)}


def _without_holes(outline: BaseGeometry) -> Iterator[Polygon]:
    """Yield polygons that cover the same ground: COCO's have no holes, so one with a hole is cut through it."""
    for part in shapely.get_parts(outline):
        if part.geom_type != "Polygon":  # a cut may leave points and lines
            continue
        if not part.interiors:
            yield part
            continue
        x_min, y_min, x_max, y_max = part.bounds
        x = shapely.Polygon(part.interiors[0]).centroid.x
        for half in (shapely.box(x_min, y_min, x, y_max), shapely.box(x, y_min, x_max, y_max)):
            yield from _without_holes(part.intersection(half))


def _coco_box(box: Box) -> dict[str, Any]:
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    corner_and_size = [round(value, 2) + 0.0 for value in (box.x_min, box.y_min, width, height)]  # no -0.0
    return {"bbox": corner_and_size, "area": round(width * height, 2)}


class CocoAskedExporter:
    """`{split}.json`, the boxes that questions are about, in absolute pixels; and `images/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = PictureFolder(folder / "images")
        self._splits: dict[str, _CocoSplit] = {}

    def begin_shard(self, shard: Path) -> None:
        """Go on with the boxes of the shard's split."""
        self._split = self._splits.setdefault(split_of(shard), _CocoSplit())

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse rows without a box, or without one image that it lies in."""
        if question.record.bbox is None:
            return "no box"
        return "box of two images" if len(question.images) > 1 else None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Add boxes, and the images that are new."""
        for question in questions:
            if question.record.bbox is not None:
                self._split.add(question, in_pixels(question.record.bbox, *question.size))
                self._images.add(question.images[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for split, boxes in self._splits.items():
            (self._folder / f"{split}.json").write_text(
                json.dumps(boxes.document(), ensure_ascii=False, indent=1), encoding="utf-8"
            )

    def card(self) -> str:
        """Return what the boxes are."""
        return (
            "# Boxes that questions are about\n\nIn COCO's layout, in pixels; `file_name` is relative to `images/`.\n"
        )
