"""The same thing labelled in two files of one scene is one label.

Sets often come in several forms (Pascal VOC beside CSV, polygons beside the oriented boxes derived from them, a mask
beside its outlines, predictions beside the truth). Counting both would double every answer.

Objects are the same when their outlines, both brought to the coarser form, overlap with an IoU of at least 0.9; the
finer outline stays. Areas are coverage, not things: one that others of its class cover already is dropped. Predictions
give way to labels without scores, and mask regions, in which touching objects are one, to single objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely import STRtree

from rsvqa.annotation.facts import Outline, Role

MIN_IOU = 0.9
MIN_COVERED = 0.9
"""Share of an area under areas of its class in earlier files from which it says nothing new."""
MAX_SIDE_DIFFERENCE_PX = 1.01
"""Boxes whose sides all differ by no more are the same: formats differ by a pixel in what a side means."""
MAX_POINT_DISTANCE_PX = 2.0
MAX_REGION_MATCH = 0.8
"""When more of a class's objects coincide with regions of a mask, they may be outlines of those regions."""

SAME_OBJECT = "same object in another file"
SAME_AREA = "area covered by another file"
SAME_LINE = "same line in another file"
PREDICTION = "prediction of a class that another file or layer labels"
REGION = "mask region of a class that another file labels by object"
MAY_BE_REGIONS = "most outlines equal regions of a mask, where touching objects are one: uncertain"

_FINENESS: Mapping[Outline, int] = {
    Outline.POLYGON: 3,
    Outline.ORIENTED_BOX: 2,
    Outline.BOX: 1,
    Outline.POINT: 0,
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of all files of a scene, in file order; all arrays have the same length.

    Attributes:
        geometries: in scene pixels, valid.
        class_names: keys of the class table.
        roles: of the classes.
        outlines: how closely each geometry follows its object.
        is_certain: may be asked about and counted.
        files: which file each label is from, from 0 on.
        is_predicted, is_mask: from a file or layer with scores, from a class mask.
    """

    geometries: NDArray[np.object_]
    class_names: NDArray[np.object_]
    roles: NDArray[np.object_]
    outlines: NDArray[np.object_]
    is_certain: NDArray[np.bool_]
    files: NDArray[np.intp]
    is_predicted: NDArray[np.bool_]
    is_mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to become of each label: why it is dropped ("" when it stays), and whether it is doubtful."""

    reasons: NDArray[np.object_]
    may_be_region: NDArray[np.bool_]


def find_duplicates(labels: Labelled) -> Judgement:
    """Return which labels say again what a label of another file of the scene says."""
    reasons = np.full(len(labels.files), "", dtype=object)
    may_be_region = np.zeros(len(labels.files), dtype=bool)
    for rows in _rows_of_shared_classes(labels):
        role = labels.roles[rows[0]]
        rows = _drop_predictions(labels, rows, reasons)
        if role is Role.OBJECT:
            rows = _drop_regions(labels, rows, reasons, may_be_region)
            _drop_same_objects(labels, rows, reasons)
        elif role is Role.ROAD:
            _drop_same_lines(labels, rows, reasons)
        else:
            _drop_covered_areas(labels, rows, reasons)
    return Judgement(reasons, may_be_region)


def _rows_of_shared_classes(labels: Labelled) -> list[NDArray[np.intp]]:
    """Return the rows of each class that several files label, or people and a model in layers of one."""
    codes, names = pd.factorize(labels.class_names)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]) if len(names) else []
    sources = np.column_stack((labels.files, labels.is_predicted))
    return [rows for rows in groups if len(rows) and (sources[rows] != sources[rows[0]]).any()]


def _drop_predictions(labels: Labelled, rows: NDArray[np.intp], reasons: NDArray[np.object_]) -> NDArray[np.intp]:
    is_predicted = labels.is_predicted[rows]
    if is_predicted.all() or not is_predicted.any():
        return rows
    reasons[rows[is_predicted]] = PREDICTION
    return rows[~is_predicted]


def _drop_regions(
    labels: Labelled, rows: NDArray[np.intp], reasons: NDArray[np.object_], may_be_region: NDArray[np.bool_]
) -> NDArray[np.intp]:
    is_mask = labels.is_mask[rows]
    if is_mask.all() or not is_mask.any():
        return rows
    objects, regions = rows[~is_mask], rows[is_mask]
    pairs = _matching_pairs(labels, rows)
    crosses = labels.is_mask[pairs[0]] != labels.is_mask[pairs[1]]
    matched = np.intersect1d(objects, pairs[:, crosses])
    if len(matched) > MAX_REGION_MATCH * len(objects):
        may_be_region[objects] = True
    reasons[regions] = REGION
    return objects


def _drop_same_objects(labels: Labelled, rows: NDArray[np.intp], reasons: NDArray[np.object_]) -> None:
    """Drop the worse of each two equal objects: the uncertain one, then the coarser, then that of the later file."""
    fineness = np.array([_FINENESS[outline] for outline in labels.outlines[rows]], dtype=int)
    order = rows[np.lexsort((rows, -fineness, ~labels.is_certain[rows]))]
    rank = np.empty(len(labels.files), dtype=np.intp)
    rank[order] = np.arange(len(order))
    first, second = _matching_pairs(labels, rows)
    better = np.where(rank[first] < rank[second], first, second)
    worse = np.where(rank[first] < rank[second], second, first)
    # From the best label on: what a dropped label would have dropped stays.
    for i in np.lexsort((rank[worse], rank[better])):
        if not reasons[better[i]]:
            reasons[worse[i]] = SAME_OBJECT


def _matching_pairs(labels: Labelled, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return pairs of rows, shape (2, pairs), that outline the same object in different files."""
    geometries = labels.geometries[rows]
    near = STRtree(geometries).query(shapely.buffer(shapely.box(*shapely.bounds(geometries).T), 1, cap_style="square"))
    first, second = rows[near[0]], rows[near[1]]
    is_pair = (first < second) & (labels.files[first] != labels.files[second])
    first, second = first[is_pair], second[is_pair]
    is_same = _are_same(labels, first, second)
    return np.stack((first[is_same], second[is_same]))


def _are_same(labels: Labelled, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell for each pair whether it outlines one object, compared in the coarser form of the two."""
    fineness = np.array([_FINENESS[outline] for outline in labels.outlines], dtype=int)
    coarser = np.minimum(fineness[first], fineness[second])
    is_same = np.zeros(len(first), dtype=bool)
    for form, compare in (
        (Outline.POINT, _same_points),
        (Outline.BOX, _same_boxes),
        (Outline.ORIENTED_BOX, _same_oriented_boxes),
        (Outline.POLYGON, _same_polygons),
    ):
        chosen = np.flatnonzero(coarser == _FINENESS[form])
        if len(chosen):
            is_same[chosen] = compare(labels.geometries[first[chosen]], labels.geometries[second[chosen]])
    return is_same


def _same_points(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Two points must be close; a point and a polygon are one object when the point is inside."""
    both = (shapely.get_dimensions(first) == 0) & (shapely.get_dimensions(second) == 0)
    limit = np.where(both, MAX_POINT_DISTANCE_PX, 0.0)
    return np.asarray(shapely.distance(first, second) <= limit)


def _same_boxes(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    one, two = shapely.bounds(first), shapely.bounds(second)
    sides = np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (one[:, 2:] - one[:, :2]).prod(axis=1) + (two[:, 2:] - two[:, :2]).prod(axis=1) - shared
    is_close = (np.abs(one - two) <= MAX_SIDE_DIFFERENCE_PX).all(axis=1)
    return np.asarray((shared >= MIN_IOU * union) | is_close)


def _same_oriented_boxes(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    return _same_polygons(shapely.oriented_envelope(first), shapely.oriented_envelope(second))


def _same_polygons(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.bool_]:
    areas = shapely.area(first), shapely.area(second)
    # The smaller over the larger area bounds the IoU: most neighbours need no intersection.
    is_open = np.flatnonzero(np.minimum(*areas) >= MIN_IOU * np.maximum(*areas))
    is_same = np.zeros(len(first), dtype=bool)
    shared = shapely.area(shapely.intersection(first[is_open], second[is_open]))
    is_same[is_open] = shared >= MIN_IOU * (areas[0][is_open] + areas[1][is_open] - shared)
    return is_same


def _drop_same_lines(labels: Labelled, rows: NDArray[np.intp], reasons: NDArray[np.object_]) -> None:
    """Drop lines with the same points, to a hundredth of a pixel, as one of an earlier file."""
    rounded = shapely.to_wkb(shapely.normalize(shapely.set_precision(labels.geometries[rows], 0.01, mode="pointwise")))
    frame = pd.DataFrame({"line": rounded, "file": labels.files[rows]})
    is_later = frame["file"] != frame.groupby("line")["file"].transform("min")
    reasons[rows[is_later.to_numpy(dtype=bool)]] = SAME_LINE


def _drop_covered_areas(labels: Labelled, rows: NDArray[np.intp], reasons: NDArray[np.object_]) -> None:
    for file in np.unique(labels.files[rows])[1:]:
        earlier = rows[(labels.files[rows] < file) & (reasons[rows] == "")]
        later = rows[labels.files[rows] == file]
        one, two = STRtree(labels.geometries[earlier]).query(labels.geometries[later], predicate="intersects")
        shared = shapely.area(shapely.intersection(labels.geometries[later[one]], labels.geometries[earlier[two]]))
        covered = np.bincount(one, weights=shared, minlength=len(later))
        is_covered = covered >= MIN_COVERED * shapely.area(labels.geometries[later])
        reasons[later[is_covered]] = SAME_AREA
