"""Descriptions that are true of exactly one object, and what keeps a description from being given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shapely import Point

from rsvqa.annotation.facts import Outline, TileObject
from rsvqa.annotation.tasks.referring import describable_classes, references
from tests.annotation.make_facts import (
    classes_with,
    make_class,
    make_context,
    make_facts,
    make_object,
    paint,
    rectangle,
    square,
)


def described(*objects: TileObject, with_position: bool = True, **more: Any) -> dict[str, str]:
    """Return the object's id by its description."""
    context = make_context(make_facts(objects=objects, **more))
    found = [each for each in references(context) if with_position or each.rule != "extreme_position"]
    return {reference.text: reference.target.object_id for reference in found}


def test_the_only_one_of_its_class_needs_no_more_words() -> None:
    assert described(make_object("s", "ship", square(500, 500))) == {"the ship": "s"}


@pytest.mark.parametrize(
    "second",
    [
        make_object("b", "ship", square(800, 500)),
        make_object("b", "ship", square(990, 500), visible=0.2),
        make_object("b", "ship", square(800, 500), certain=False),
    ],
    ids=["another", "a sliver at the edge", "an uncertain one"],
)
def test_any_other_member_spoils_the_plain_description(second: TileObject) -> None:
    assert "the ship" not in described(make_object("a", "ship", square(500, 500)), second)


def test_nothing_is_described_in_a_class_that_is_not_fully_labelled() -> None:
    assert described(make_object("s", "ship", square(500, 500)), complete=["car"]) == {}


def test_a_cut_object_is_never_the_one_described() -> None:
    assert described(make_object("s", "ship", square(990, 500), visible=0.7)) == {}


def test_an_object_of_a_broader_class_may_be_one_of_the_narrower() -> None:
    classes = classes_with(make_class("van", kind="vehicle", broader=("road_user",)), make_class("road_user"))
    van, user = make_object("v", "van", square(100, 100)), make_object("u", "road_user", square(800, 800))
    facts = make_facts(objects=[van, user], classes=classes)
    known = describable_classes(make_context(facts))
    by_class = {members.info.name: [o.object_id for o in members.objects] for members in known}
    # The van is a road user, but whether the other one is a van nobody knows.
    assert by_class == {"road_user": ["v", "u"]}


def test_colour_tells_apart_when_all_are_known() -> None:
    cars = [
        make_object("r", "car", square(100, 500), colour="red"),
        make_object("b", "car", square(130, 500), colour="blue"),
    ]
    assert described(*cars, with_position=False) == {"the red car": "r", "the blue car": "b"}
    unknown = make_object("u", "car", Point(160, 500))
    assert described(*cars, unknown, with_position=False) == {}


def test_colour_is_measured_and_must_not_be_doubtful() -> None:
    red, blue = make_object("r", "car", square(100, 500)), make_object("b", "car", square(300, 500))
    pixels = np.full((1000, 1000, 3), 128, dtype=np.uint8)
    paint(pixels, red.geometry, (210, 20, 20))
    paint(pixels, blue.geometry, (20, 40, 220))
    context = make_context(make_facts(objects=[red, blue]), pixels=pixels)
    found = {reference.text for reference in references(context) if reference.rule == "unique_colour"}
    assert found == {"the red car", "the blue car"}


def test_the_largest_needs_a_margin() -> None:
    small = make_object("small", "silo", square(100, 500, 20))  # 400 px²
    large = make_object("large", "silo", square(140, 500, 22))  # 484 px², 1.21 times as much
    assert described(small, large)["the largest silo"] == "large"
    nearly = make_object("large", "silo", square(140, 500, 21.8))  # 475 px², 1.19 times
    assert "the largest silo" not in described(small, nearly)


def test_what_is_cut_off_may_be_the_largest() -> None:
    whole = make_object("whole", "silo", square(100, 500, 30))  # 900 px²
    cut = make_object("cut", "silo", rectangle(990, 500, 20, 30), visible=0.5)  # 600 px² seen, 1200 in truth
    assert "the largest silo" not in described(whole, cut)


def test_boxes_do_not_tell_the_largest() -> None:
    boxes = [make_object(str(side), "silo", square(5 * side, 500, side), outline=Outline.BOX) for side in (20, 40)]
    assert "the largest silo" not in described(*boxes)


def test_the_outermost_needs_five_percent_of_the_tile() -> None:
    middle = make_object("m", "silo", square(500, 500))
    assert described(middle, make_object("u", "silo", square(500, 449)))["the topmost silo"] == "u"
    assert "the topmost silo" not in described(middle, make_object("u", "silo", square(500, 451)))


def test_the_outermost_is_called_by_compass_where_north_is_known() -> None:
    # North is to the right: the object on the right is the northernmost one.
    left, right = make_object("l", "silo", square(100, 500)), make_object("r", "silo", square(900, 500))
    assert described(left, right, north_deg=90.0)["the northernmost silo"] == "r"


@pytest.mark.parametrize(("cut_x", "whole_x", "side"), [(60, 5, "leftmost"), (940, 995, "rightmost")])
def test_a_cut_object_may_reach_farther_than_it_shows(cut_x: float, whole_x: float, side: str) -> None:
    # The centre of what is visible is 60 px from the edge, 55 px behind the whole one; but it goes on beyond the edge.
    cut = make_object("cut", "silo", rectangle(cut_x, 500, 120, 20), visible=0.6)
    whole = make_object("whole", "silo", square(whole_x, 300, 10))
    assert f"the {side} silo" not in described(cut, whole)
