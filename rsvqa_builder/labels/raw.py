"""What a reader hands over: the labels of one file in scene pixels, as the file says them.

Classes are not resolved and geometry is not checked here; `cleaning.py` does both alike for every family of formats.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.facts import Outline

_RECTANGLE_TOLERANCE = 1e-9


class LabelError(RsvqaError):
    """A label file cannot be read; `str()` is the reason without the path."""


class NotLabelsError(LabelError):
    """A file beside a scene is of no label format; `str()` says what it seems to be."""


OTHER_IMAGES = "it names other images only"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLabels:
    """The labels of one file that belong to one scene; all sequences have the same length.

    Attributes:
        geometries: shapely geometries in scene pixels, None where the file has none.
        sources: what the file calls the class, "" when it says nothing.
        positions: where in the file a label stands ("17", "roads:3"), unique in the file.
        outlines: how closely each geometry follows its object.
        is_certain: false for difficult, crowd, truncated or low-score labels.
        attributes: in the words that tasks know.
        is_predicted: the labels carry scores, in every layer: a model made them. True of such a file without a label of
            the scene, too.
        predicted: which labels are of layers with scores, where others have none; None where `is_predicted` says it.
        people_layers: what the layers without scores are called, or their class, in a file of several layers.
        is_coarse: the labels are of a raster whose pixels are much wider than the scene's.
        is_mask: the labels are regions of a class mask, in which touching objects are one.
        num_outside: labels that the reader left out because they lie outside the scene.
        num_other_image: labels that name another image.
        num_invalid: labels that could not be understood, by reason.
        lost_sources: what the file calls the classes of those labels; "" stands for any class.
        unknown: class names without a geometry of their own (values of a mask), with counts.
        ignored: regions or labels left out on the class table's word, by class.
        dropped_attributes: attribute values that no task knows, with counts.
        notes: what a person should know about how the file was read.
        gsd_m: ground sampling distance that the file states, metres per pixel.
        on_map: the coordinates are tied to the ground; otherwise they are pixels of one picture.
        by_image: the file names the image that they are of.
        picture_size: (width, height) of the picture that the coordinates are of, as the file states it, pixels.
        num_of_no_image: labels in the file that name no image, or none that the file knows.
    """

    geometries: NDArray[np.object_]
    sources: NDArray[np.object_]
    positions: tuple[str, ...]
    outlines: NDArray[np.object_]
    is_certain: NDArray[np.bool_]
    attributes: tuple[Mapping[str, str | bool | float], ...]
    is_predicted: bool = False
    predicted: NDArray[np.bool_] | None = None
    people_layers: tuple[str, ...] = ()
    is_coarse: bool = False
    is_mask: bool = False
    num_outside: int = 0
    num_other_image: int = 0
    num_invalid: Mapping[str, int] = field(default_factory=dict)
    lost_sources: frozenset[str] = frozenset()
    unknown: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    dropped_attributes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gsd_m: float | None = None
    on_map: bool = False
    by_image: bool = False
    picture_size: tuple[float, float] | None = None
    num_of_no_image: int = 0

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.positions)

    @property
    def are_predicted(self) -> NDArray[np.bool_]:
        """Which labels a model made."""
        return np.full(len(self), self.is_predicted) if self.predicted is None else self.predicted


def joined(parts: Sequence[RawLabels]) -> RawLabels:
    """Return the labels of several layers or images of one file together; of one part, the part itself."""
    if len(parts) == 1:
        return parts[0]
    empty = np.empty(0, dtype=object)
    is_mixed = len({part.is_predicted for part in parts}) > 1 or any(part.predicted is not None for part in parts)

    def total(name: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(getattr(part, name))
        return dict(counts)

    return RawLabels(
        geometries=np.concatenate([empty, *(part.geometries for part in parts)]),
        sources=np.concatenate([empty, *(part.sources for part in parts)]),
        positions=tuple(itertools.chain.from_iterable(part.positions for part in parts)),
        outlines=np.concatenate([empty, *(part.outlines for part in parts)]),
        is_certain=np.concatenate([np.empty(0, dtype=bool), *(part.is_certain for part in parts)]),
        attributes=tuple(itertools.chain.from_iterable(part.attributes for part in parts)),
        is_predicted=all(part.is_predicted for part in parts),
        predicted=np.concatenate([part.are_predicted for part in parts]) if is_mixed else None,
        people_layers=tuple(dict.fromkeys(name for part in parts for name in part.people_layers)),
        is_coarse=any(part.is_coarse for part in parts),
        is_mask=any(part.is_mask for part in parts),
        num_outside=sum(part.num_outside for part in parts),
        num_other_image=sum(part.num_other_image for part in parts),
        num_of_no_image=sum(part.num_of_no_image for part in parts),
        num_invalid=total("num_invalid"),
        lost_sources=frozenset().union(*(part.lost_sources for part in parts)),
        unknown=total("unknown"),
        ignored=total("ignored"),
        dropped_attributes=total("dropped_attributes"),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        gsd_m=next((part.gsd_m for part in parts if part.gsd_m is not None), None),
        on_map=all(part.on_map for part in parts),
        by_image=all(part.by_image for part in parts),
        picture_size=next((part.picture_size for part in parts if part.picture_size), None),
    )


def joined_images(parts: Sequence[RawLabels]) -> RawLabels:
    """Return the labels of several images of one file together: what is of one of them is of no other image."""
    whole = joined(parts)
    if len(parts) == 1:
        return whole
    num_read = sum(len(part) + part.num_outside + sum(part.num_invalid.values()) for part in parts[1:])
    return replace(
        whole,
        num_other_image=max(0, parts[0].num_other_image - num_read),
        num_of_no_image=parts[0].num_of_no_image,
    )


def object_array(items: Sequence[object]) -> NDArray[np.object_]:
    """Return a one-dimensional array of objects, whatever they are."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def is_upright_rectangle(geometries: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Tell which polygons are rectangles with sides along the axes."""
    bounds = shapely.bounds(geometries)
    box_area = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
    is_full = np.abs(shapely.area(geometries) - box_area) <= _RECTANGLE_TOLERANCE * box_area
    return np.asarray(is_full & (box_area > 0) & (shapely.get_num_coordinates(geometries) == 5))


def judged_outlines(
    geometries: NDArray[np.object_], sources: NDArray[np.object_], claimed: Outline
) -> NDArray[np.object_]:
    """Return the outline of each label: as the format claims, but boxes where all labels of a source class are.

    A single upright rectangle may well be an exact outline; when every label of a class is one, boxes were drawn. The
    geometries are taken in the file's coordinates, where boxes are upright.
    """
    dimensions = shapely.get_dimensions(geometries)
    is_polygon = dimensions == 2
    is_box = is_upright_rectangle(geometries) | ~is_polygon
    has_others = set(sources[~is_box].tolist())
    all_boxes = [source not in has_others for source in sources.tolist()]
    # A list, because numpy turns members of a string enum into plain strings.
    return object_array(
        [
            Outline.POINT if dimension == 0 else Outline.BOX if polygon and boxes else claimed
            for dimension, polygon, boxes in zip(dimensions.tolist(), is_polygon, all_boxes, strict=True)
        ]
    )
