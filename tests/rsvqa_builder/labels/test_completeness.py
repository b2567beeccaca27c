"""When the labels of a scene count as complete."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from shapely import LineString, Point, box
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


def grid(*, columns: int = 8, rows: int = 4, width: float = 8, height: float = 8, skip: int = 0) -> list[BaseGeometry]:
    """Boxes at the upper left of equal fields of the scene, the last `skip` of them left out."""
    places = [(x * 200 / columns, y * 100 / rows) for y in range(rows) for x in range(columns)]
    return [box(x, y, x + width, y + height) for x, y in places[: len(places) - skip]]


def judged(shapes: Sequence[BaseGeometry], name: str = "car", outline: Outline = Outline.BOX) -> tuple[bool, str]:
    labels = features(*((name, shape) for shape in shapes), outline=outline)
    found = complete_classes(labels, SIZE, table())[name]
    return found.is_complete, found.why


# 32 cars of 8 × 8 px cover 2,048 of 20,000 px; of 7 × 8 px, 1,792.
@pytest.mark.parametrize(("width", "share", "expected"), [(8, "10.2%", True), (7, "9.0%", False)])
def test_outlines_must_cover_a_tenth_of_the_scene(width: float, share: str, expected: bool) -> None:
    assert judged(grid(width=width)) == (expected, f"32 labels cover {share} of the scene, in 16 of its 16 parts")


def test_outlines_must_lie_in_all_parts_of_the_scene() -> None:
    # The last two of 32 fields are those of the last of 16 parts.
    assert judged(grid(width=20, skip=2)) == (False, "30 labels cover 24.0% of the scene, in 15 of its 16 parts")


def test_a_few_large_outlines_do_not_make_a_class_complete() -> None:
    assert judged(grid(width=20, skip=3)) == (False, "fewer than 30 labels")


def test_regions_that_cover_the_scene_are_not_things_to_count() -> None:
    # A country of 200 × 10 px is a tenth of the scene, more than one of its 16 parts.
    countries = [*grid(), box(0, 20, 200, 30)]
    assert judged(countries) == (False, "one label is as large as 10% of the scene: regions, not things")


def test_an_outline_counts_in_the_part_that_holds_its_middle() -> None:
    # The cars of the last part are gone; one from the part before reaches into it.
    cars_but_two = grid(width=18, skip=2)
    assert judged([*cars_but_two, box(140, 90, 155, 99)])[1].endswith("in 15 of its 16 parts")


def test_a_gazetteer_is_never_complete() -> None:
    cities = [Point(x + 0.5, y + 0.5) for y in range(0, 100, 5) for x in range(0, 200, 5)]
    expected = (False, "points do not tell whether any were left out")
    assert judged(cities, outline=Outline.POINT) == expected


def test_objects_that_lie_far_apart_are_not_complete_however_many() -> None:
    assert judged(grid(columns=20, rows=10, width=3, height=3))[0] is False  # 200 cars, 9 % of the scene


def test_what_lies_outside_the_scene_does_not_count() -> None:
    assert judged([box(x, y, x + 20, y + 20) for x in range(200, 800, 20) for y in (0, 80)])[0] is False


def test_roads_are_never_complete_by_their_looks() -> None:
    lines = [LineString([(0, 2 * i), (200, 2 * i)]) for i in range(50)]
    assert judged(lines, "road") == (False, "lines do not tell whether small roads were left out")


@pytest.mark.parametrize(
    ("width", "expected", "why"),
    [
        (100, True, "labelled areas divide 100.0% of the scene"),
        (97, False, "labelled areas divide 98.5% of the scene: complete on the tiles that they cover"),
        (79, False, "labelled areas cover 89.5% of the scene, not all of it"),
    ],
)
def test_areas_are_complete_when_together_they_divide_the_scene(width: float, expected: bool, why: str) -> None:
    labels = features(("water", box(0, 0, 100, 100)), ("forest", box(100, 0, 100 + width, 100)))
    found = complete_classes(labels, SIZE, table())
    assert (found["water"].is_complete, found["water"].why) == (expected, why)
    assert found["water"].where_covered is (width == 97)
    assert found["forest"] == found["water"]


def test_areas_on_each_other_are_no_map() -> None:
    # A lake of a tenth of the scene in a forest that is all of it: others may be missing, like the lake was.
    labels = features(("forest", box(0, 0, 200, 100)), ("water", box(0, 0, 20, 100)))
    why = "labelled areas lie on each other (10% of the scene)"
    assert complete_classes(labels, SIZE, table())["forest"].why == why


def test_overlapping_areas_do_not_add_up() -> None:
    assert not is_complete(features(("water", box(0, 0, 100, 100)), ("forest", box(0, 0, 100, 100))), "water")


def test_one_class_over_the_whole_scene_says_nothing_of_others() -> None:
    found = complete_classes(features(("forest", box(0, 0, 200, 100))), SIZE, table())
    assert not found["forest"].is_complete
    assert found["water"].why == "no labels of it, and nothing says that it was looked for"


def test_a_map_does_not_say_that_a_class_outside_its_legend_is_absent() -> None:
    labels = features(("water", box(0, 0, 100, 100)), ("water", box(100, 0, 150, 100)), ("car", box(150, 0, 200, 100)))
    assert is_complete(labels, "water")
    assert not is_complete(labels, "forest")


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
