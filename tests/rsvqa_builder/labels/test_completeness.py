"""When the labels of a scene count as complete."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from shapely import LineString, box
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from rsvqa.rsvqa_builder.labels.coverage import coverage
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array
from tests.rsvqa_builder.labels.make_labels import table

SIZE = (100, 200)
"""Height and width of the scene."""


def features(*labels: tuple[str, BaseGeometry], outline: Outline = Outline.POLYGON) -> Features:
    count = len(labels)
    return Features(
        ids=tuple(str(i) for i in range(count)),
        class_names=tuple(name for name, _ in labels),
        geometries=object_array([geometry for _, geometry in labels]),
        outlines=(outline,) * count,
        is_certain=np.ones(count, dtype=bool),
        attributes=({},) * count,
    )


def cars(*corners: tuple[float, float]) -> list[tuple[str, BaseGeometry]]:
    return [("car", box(x, y, x + 2, y + 2)) for x, y in corners]


def saying(complete: object) -> ClassTable:
    classes = table().model_dump(mode="json")["classes"]
    return ClassTable.model_validate(
        {"classes": {name: entry | {"complete": complete} for name, entry in classes.items() if name != "junk"}}
    )


def is_complete(labels: Features, name: str, **more: object) -> bool:
    return complete_classes(labels, SIZE, table(), **more)[name].is_complete  # type: ignore[arg-type]


# The hull of cars at (0, 0), (198, 0), (0, y), (198, y), each 2 px, is 200 × (y + 2): half the scene at y = 48.
@pytest.mark.parametrize(("y", "share", "expected"), [(48, "50%", True), (46, "48%", False)])
def test_objects_must_spread_over_half_of_the_scene(y: float, share: str, expected: bool) -> None:
    labels = features(*cars((0, 0), (198, 0), (0, y), (198, y), (50, 10)))
    found = complete_classes(labels, SIZE, table())
    assert found["car"].is_complete is expected
    assert found["car"].why == f"5 labels spread over {share} of the scene"
    assert not found["tree"].is_complete


def test_objects_must_be_five() -> None:
    assert not is_complete(features(*cars((0, 0), (198, 0), (0, 98), (198, 98))), "car")


def test_what_lies_outside_the_scene_does_not_count() -> None:
    # All but the first are to the right of the scene.
    assert not is_complete(features(*cars((0, 0), (900, 0), (900, 98), (300, 0), (400, 98))), "car")


def test_roads_are_judged_by_the_rule_of_objects() -> None:
    lines = [("road", LineString([(0, 20 * i), (200, 20 * i)])) for i in range(6)]
    assert is_complete(features(*lines), "road")
    assert not is_complete(features(*lines[:4]), "road")


@pytest.mark.parametrize(("width", "expected"), [(100, True), (97, False)])
def test_areas_are_complete_when_together_they_cover_the_scene(width: float, expected: bool) -> None:
    labels = features(("water", box(0, 0, 100, 100)), ("forest", box(100, 0, 100 + width, 100)))
    assert is_complete(labels, "water") is expected
    assert is_complete(labels, "forest") is expected


def test_overlapping_areas_do_not_add_up() -> None:
    assert not is_complete(features(("water", box(0, 0, 100, 100)), ("forest", box(0, 0, 100, 100))), "water")


def test_anomalies_are_complete_only_when_the_table_says_so() -> None:
    labels = features(("scar", box(0, 0, 200, 100)))
    assert not is_complete(labels, "scar")
    assert complete_classes(labels, SIZE, saying(True))["scar"].is_complete


def test_the_tables_word_stands_above_the_rule_and_the_users_above_the_tables() -> None:
    labels = features(*cars((0, 0)))
    assert complete_classes(labels, SIZE, saying(True))["car"].why == "the class table says so"
    assert not complete_classes(labels, SIZE, saying(True), override=False)["car"].is_complete
    assert complete_classes(labels, SIZE, saying(False), override=True)["car"].is_complete
    assert not complete_classes(labels, SIZE, saying(False))["car"].is_complete


def test_a_doubt_stands_above_all() -> None:
    labels = features(*cars((0, 0)))
    found = complete_classes(labels, SIZE, saying(True), override=True, doubts={"car": "one was rejected"})
    assert (found["car"].is_complete, found["car"].why) == (False, "one was rejected")
    assert found["tree"].is_complete


def test_a_scene_without_labels_knows_nothing_but_an_empty_label_file_says_there_is_nothing() -> None:
    assert not complete_classes(Features.empty(), SIZE, saying(True))["car"].is_complete
    assert complete_classes(Features.empty(), SIZE, saying(True), is_labelled=True)["car"].is_complete


def test_ignored_classes_are_not_judged() -> None:
    assert "junk" not in complete_classes(Features.empty(), SIZE, table())


def covered(
    labels: Sequence[tuple[str, BaseGeometry]], outline: Outline = Outline.POLYGON
) -> tuple[float, float, bool]:
    found = coverage(features(*labels, outline=outline), SIZE, table())
    return found.labelled, found.overlap, found.is_land_cover_map


HALVES = [("water", box(0, 0, 100, 100)), ("car", box(100, 0, 190, 100))]


def test_objects_beside_areas_divide_the_scene() -> None:
    assert covered(HALVES) == (0.95, 0.0, True)


def test_objects_on_areas_are_things_on_the_land() -> None:
    assert covered([("water", box(0, 0, 200, 100)), ("car", box(10, 10, 20, 20))]) == (1.0, 1.0, False)


def test_boxes_and_sparse_labels_make_no_map() -> None:
    assert not covered(HALVES, Outline.BOX)[2]
    assert not covered([HALVES[0], ("car", shapely.box(100, 0, 150, 100))])[2]
    assert covered([HALVES[1]]) == (0.0, 0.0, False)
