"""Boxes of the one object that a description or a condition is true of."""

from __future__ import annotations

from typing import Any

import pytest
from shapely import Polygon, box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, Outline, Role, TileObject
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, classes_with, make_area, make_class, make_facts, make_object, square

LAKE = make_area("lake", "water", box(0, 0, 200, 1000))


def houses(*xs: float, side: float = 20.0) -> list[TileObject]:
    return [make_object(f"h{round(x)}", "house", square(x, 500, side)) for x in xs]


def conditions(objects: list[TileObject], limit: int = 20, **more: Any) -> dict[str, set[str]]:
    """Return the ids of the targets by rule."""
    questions, _ = ask("condition_based_grounding", make_facts(objects=objects, **more), limit=limit)
    found: dict[str, set[str]] = {}
    for question in questions:
        assert check_question(question, width=1000, height=1000) == ()
        found.setdefault(question.evidence.rule, set()).add(question.evidence.feature_ids[0])
    return found


def test_the_box_is_that_of_the_described_object() -> None:
    objects = [make_object("s", "ship", box(100, 200, 150, 260)), *houses(500, 700)]
    questions, _ = ask("fine_grained_grounding", make_facts(objects=objects), limit=9)
    by_target = {question.evidence.feature_ids[0]: question for question in questions}
    assert by_target["s"].box == (100, 200, 150, 260)
    assert "the ship" in by_target["s"].text
    assert by_target["s"].evidence.values["class"] == "ship"
    assert len(by_target) == len(questions)  # no object twice
    assert all(check_question(question, width=1000, height=1000) == () for question in questions)


def test_objects_too_small_to_be_boxed_are_left_out() -> None:
    questions, reasons = ask(
        "fine_grained_grounding", make_facts(objects=[make_object("s", "ship", square(500, 500, 7))])
    )
    assert (questions, reasons) == ([], ["the object is too small"])


def test_points_have_no_box() -> None:
    point = make_object("s", "ship", square(500, 500).centroid, outline=Outline.POINT)
    assert ask("fine_grained_grounding", make_facts(objects=[point])) == ([], ["object labelled by a point only"])


def test_the_nearest_needs_a_margin() -> None:
    # The lake's shore is at x = 200. Edges at 290 and 390: 90 and 190 px away.
    assert conditions(houses(300, 400), areas=[LAKE])["nearest"] == {"h300"}
    # 290 and 312: 90 and 112 px, 1.24 times as far.
    assert "nearest" not in conditions(houses(300, 322), areas=[LAKE])


def test_only_one_within_or_beyond_some_metres() -> None:
    # 1 m per pixel; 30, 150 and 250 m from the shore. Beyond 200 m (±15 %: 170 to 230) only the last.
    found = conditions(houses(240, 360, 460), areas=[LAKE], gsd_m=Gsd(1, 1))
    assert found["only_within"] == {"h240"}
    assert found["only_beyond"] == {"h460"}


def test_no_metres_without_a_scale() -> None:
    found = conditions(houses(240, 360, 460), areas=[LAKE])
    assert not {"only_within", "only_beyond"} & set(found)


def test_second_nearest_and_farthest_need_clear_neighbours() -> None:
    # 90, 190 and 390 px from the shore at x = 200
    found = conditions(houses(300, 400, 600), areas=[LAKE])
    assert (found["second_nearest"], found["farthest"]) == ({"h400"}, {"h600"})
    # 390 and 412 px: 1.06 times as far
    found = conditions(houses(300, 400, 600, 622), areas=[LAKE])
    assert found["second_nearest"] == {"h400"}
    assert "farthest" not in found
    # 190 and 212 px: the second is hardly nearer than the third
    assert "second_nearest" not in conditions(houses(300, 400, 422), areas=[LAKE])


def test_the_largest_within_some_metres_is_not_the_largest_of_all() -> None:
    near = [make_object("small", "house", square(230, 100, 20)), make_object("large", "house", square(230, 300, 30))]
    far = make_object("huge", "house", square(900, 300, 90))
    assert conditions([*near, far], areas=[LAKE], gsd_m=Gsd(1, 1))["largest_within"] == {"large"}
    # 900 and 800 px: 1.13 times as large
    near[0] = make_object("small", "house", square(230, 100, 28))
    assert "largest_within" not in conditions([*near, far], areas=[LAKE], gsd_m=Gsd(1, 1))


def test_what_is_nearest_of_one_colour_need_not_be_the_nearest() -> None:
    def house(name: str, x: float, colour: str) -> TileObject:
        return make_object(name, "house", square(x, 500), colour=colour)

    objects = [house("r1", 300, "red"), house("b1", 400, "blue"), house("b2", 700, "blue")]
    found = conditions(objects, areas=[LAKE], gsd_m=Gsd(1, 1))
    assert found["nearest"] == {"r1"}
    assert found["nearest_of_colour"] == {"b1"}
    assert found["only_within_of_colour"] == {"b1"}
    questions, _ = ask("condition_based_grounding", make_facts(objects=objects, areas=[LAKE]), limit=20)
    assert any("the blue house nearest to the water" in question.text for question in questions)


def test_only_one_inside_and_the_largest_inside() -> None:
    field = make_area("field", "farmland", box(400, 400, 1000, 1000))
    assert conditions(houses(100, 300, 700), areas=[field])["only_inside"] == {"h700"}
    inside = [*houses(500, 700), make_object("barn", "house", square(900, 900, 40))]
    assert conditions([*inside, *houses(100)], areas=[field])["largest_inside"] == {"barn"}
    assert conditions([*inside, *houses(100)], areas=[field])["only_outside"] == {"h100"}


def test_one_half_inside_spoils_what_is_inside() -> None:
    field = make_area("field", "farmland", box(400, 400, 1000, 1000))
    assert "only_inside" not in conditions(houses(100, 400, 700), areas=[field])


@pytest.mark.parametrize(
    "area",
    [make_area("lake", "water", LAKE.geometry, certain=False), make_area("t", "forest", LAKE.geometry)],
    ids=["uncertain", "of a class that is not fully labelled"],
)
def test_doubtful_areas_are_no_landmark(area: object) -> None:
    assert conditions(houses(300, 400), areas=[area], complete=["house", "water"]) == {}


def test_areas_of_a_class_that_may_mean_the_same_are_no_landmark() -> None:
    classes = classes_with(make_class("river", Role.AREA, "water"))
    river = make_area("river", "river", Polygon([(900, 0), (1000, 0), (1000, 1000), (900, 1000)]))
    # "Any water" would have to include the river.
    assert conditions(houses(300, 400), areas=[LAKE, river], classes=classes) == {}


@pytest.mark.parametrize("key", ["fine_grained_grounding.question", "condition_based_grounding.question"])
def test_there_are_five_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(key))) >= 5
