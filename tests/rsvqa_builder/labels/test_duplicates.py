"""The same thing in two files is one label."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from shapely import Point, Polygon, affinity, box
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline, Role
from rsvqa.rsvqa_builder.labels.duplicates import (
    PREDICTION,
    REGION,
    SAME_AREA,
    SAME_LINE,
    SAME_OBJECT,
    Labelled,
    find_duplicates,
)
from rsvqa.rsvqa_builder.labels.raw import object_array


def labelled(*labels: tuple[int, BaseGeometry], role: Role = Role.OBJECT, **more: Any) -> Labelled:
    """Labels of one class, as (file, geometry)."""
    count = len(labels)
    fields = {
        "outlines": object_array([Outline.POLYGON] * count),
        "class_names": object_array(["thing"] * count),
        "is_certain": np.ones(count, dtype=bool),
        "is_predicted": np.zeros(count, dtype=bool),
        "is_mask": np.zeros(count, dtype=bool),
    } | more
    return Labelled(
        geometries=object_array([geometry for _, geometry in labels]),
        roles=object_array([role] * count),
        files=np.array([file for file, _ in labels], dtype=np.intp),
        **fields,
    )


def reasons(labels: Labelled) -> list[str]:
    return list(find_duplicates(labels).reasons)


def test_equal_outlines_of_different_files_are_one_and_the_first_stays() -> None:
    # 10 × 10 against 10 × 9.5: IoU 0.95; against 10 × 8.9: 0.89.
    assert reasons(labelled((0, box(0, 0, 10, 10)), (1, box(0, 0, 10, 9.5)))) == ["", SAME_OBJECT]
    assert reasons(labelled((0, box(0, 0, 10, 10)), (1, box(0, 0, 10, 8.9)))) == ["", ""]


def test_neighbours_and_other_classes_stay() -> None:
    labels = labelled(
        (0, box(0, 0, 9, 9)), (0, box(0, 0, 9, 9)), (1, box(9, 0, 18, 9)), class_names=object_array(["a", "b", "a"])
    )
    assert reasons(labels) == ["", "", ""]


def test_the_finer_outline_stays_and_forms_are_compared_in_the_coarser_one() -> None:
    # An L of three quarters of its box: as polygons the IoU is 0.75.
    angle = Polygon([(0, 0), (20, 0), (20, 10), (10, 10), (10, 20), (0, 20)])
    oriented = affinity.rotate(angle, 30, origin=(0, 0))
    forms = (box(0, 0, 20, 20), angle, Point(5, 5))
    outlines = object_array([Outline.BOX, Outline.POLYGON, Outline.POINT])
    labels = labelled(*enumerate(forms), outlines=outlines)
    assert reasons(labels) == [SAME_OBJECT, "", SAME_OBJECT]
    turned = labelled(
        (0, shapely.oriented_envelope(oriented)),
        (1, oriented),
        outlines=object_array([Outline.ORIENTED_BOX, Outline.POLYGON]),
    )
    assert reasons(turned) == [SAME_OBJECT, ""]


def test_boxes_may_differ_by_a_pixel() -> None:
    # Pascal VOC's first pixel is 1: 4 × 4 against 5 × 5, IoU 0.64.
    boxes = object_array([Outline.BOX, Outline.BOX])
    assert reasons(labelled((0, box(1, 1, 5, 5)), (1, box(0, 0, 5, 5)), outlines=boxes)) == ["", SAME_OBJECT]


def test_a_certain_label_beats_an_uncertain_finer_one() -> None:
    labels = labelled(
        (0, box(0, 0, 9, 9)),
        (1, box(0, 0, 9, 9)),
        outlines=object_array([Outline.POLYGON, Outline.BOX]),
        is_certain=np.array([False, True]),
    )
    assert reasons(labels) == [SAME_OBJECT, ""]


def test_predictions_give_way_to_labels_whatever_their_overlap() -> None:
    labels = labelled((0, box(0, 0, 9, 9)), (1, box(50, 50, 60, 60)), is_predicted=np.array([True, False]))
    assert reasons(labels) == [PREDICTION, ""]
    alone = labelled((0, box(0, 0, 9, 9)), (1, box(0, 0, 9, 9)), is_predicted=np.array([True, True]))
    assert reasons(alone) == ["", SAME_OBJECT]


def test_mask_regions_give_way_to_objects() -> None:
    # Two houses wall to wall are one region.
    houses = labelled(
        (0, box(0, 0, 10, 10)), (0, box(10, 0, 20, 10)), (1, box(0, 0, 20, 10)), is_mask=np.array([False, False, True])
    )
    judged = find_duplicates(houses)
    assert list(judged.reasons) == ["", "", REGION]
    assert not judged.may_be_region.any()


def test_outlines_that_equal_mask_regions_are_doubtful() -> None:
    derived = labelled((0, box(0, 0, 20, 10)), (1, box(0, 0, 20, 10)), is_mask=np.array([False, True]))
    assert find_duplicates(derived).may_be_region.tolist() == [True, False]


def test_areas_that_others_cover_are_dropped() -> None:
    # The second file divides the first's area in two; its third area reaches 1 px beyond it, its last one 3 px.
    labels = labelled(
        (0, box(0, 0, 20, 20)),
        (1, box(0, 0, 10, 20)),
        (1, box(10, 0, 20, 20)),
        (1, box(10, 0, 21, 20)),
        (1, box(10, 0, 23, 20)),
        role=Role.AREA,
    )
    assert reasons(labels) == ["", SAME_AREA, SAME_AREA, SAME_AREA, ""]


def test_areas_of_one_file_may_overlap() -> None:
    assert reasons(labelled((0, box(0, 0, 9, 9)), (0, box(0, 0, 9, 9)), role=Role.AREA)) == ["", ""]


def test_a_road_drawn_the_other_way_round_is_the_same_road() -> None:
    line = shapely.LineString([(0, 0), (50, 50)])
    other = shapely.LineString([(0, 0), (50, 40)])
    labels = labelled((0, line), (1, line.reverse()), (1, other), role=Role.ROAD)
    assert reasons(labels) == ["", SAME_LINE, ""]


def test_nothing_to_compare() -> None:
    assert reasons(labelled()) == []
