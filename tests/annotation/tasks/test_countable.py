"""Counts by hand, and every reason for refusing one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely import Point, box

from rsvqa.annotation.facts import ClassInfo, Role, TileFacts, TileObject
from rsvqa.annotation.questions import NotAsked
from rsvqa.annotation.tasks.countable import Countable, CountRule, countable_objects, objects_in_region
from tests.annotation.make_facts import classes_with, make_class, make_facts, make_object, rectangle, square


def test_whole_objects_count_by_the_plain_rule() -> None:
    ships = [make_object(f"s{x}", "ship", square(x, 100)) for x in (100, 200)]
    facts = make_facts(objects=[*ships, make_object("c", "car", square(500, 500))])
    assert countable_objects(facts, "ship") == Countable(tuple(ships), CountRule.WHOLE)


def test_a_class_without_members_counts_none() -> None:
    assert countable_objects(make_facts(), "ship") == Countable((), CountRule.WHOLE)


def test_one_cut_member_changes_the_rule_and_the_mostly_hidden_are_left_out() -> None:
    whole = make_object("w", "ship", square(100, 100))
    most = make_object("m", "ship", square(10, 100), visible=0.7)
    little = make_object("l", "ship", square(10, 300), visible=0.2)
    counted = countable_objects(make_facts(objects=[whole, most, little]), "ship")
    assert counted == Countable((whole, most), CountRule.AT_LEAST_HALF)


def test_a_member_too_hidden_to_count_still_makes_the_question_state_the_rule() -> None:
    whole = make_object("w", "ship", square(100, 100))
    little = make_object("l", "ship", square(10, 300), visible=0.2)
    assert countable_objects(make_facts(objects=[whole, little]), "ship") == Countable(
        (whole,), CountRule.AT_LEAST_HALF
    )


def test_points_have_no_extent_so_at_least_half_is_the_rule() -> None:
    point = make_object("p", "ship", Point(100, 100))
    assert countable_objects(make_facts(objects=[point]), "ship") == Countable((point,), CountRule.AT_LEAST_HALF)


def at_edge(visible: float, y: float = 300) -> TileObject:
    """Return a ship that the left edge of the tile cuts."""
    return make_object(f"e{y}", "ship", box(0, y - 10, 20 * visible, y + 10), visible=visible)


@pytest.mark.parametrize("visible", [0.4, 0.5, 0.6])
def test_where_one_is_about_half_visible_only_whole_ones_count(visible: float) -> None:
    whole = [make_object(f"w{x}", "ship", square(x, 100)) for x in (100, 200)]
    facts = make_facts(objects=[*whole, at_edge(visible), at_edge(0.9, 400), at_edge(0.1, 500)])
    assert countable_objects(facts, "ship") == Countable(tuple(whole), CountRule.WHOLLY_INSIDE)


def test_the_only_one_is_about_half_visible() -> None:
    assert countable_objects(make_facts(objects=[at_edge(0.5)]), "ship") == Countable((), CountRule.WHOLLY_INSIDE)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (at_edge(0.91, 500), "an object is about half visible, and another hardly cut"),
        # whole by its label, but its outline ends where the tile does
        (make_object("t", "ship", box(980, 490, 1000, 510)), "an object is about half visible, and another hardly cut"),
        # half of it lies on pixels without data
        (make_object("n", "ship", square(500, 500), visible=0.5), "an object is hidden, but not by the image's edge"),
        (make_object("p", "ship", Point(500, 500)), "an object is about half visible"),
    ],
)
def test_doubt_about_what_the_edge_cuts_is_doubt_about_the_count(other: TileObject, reason: str) -> None:
    assert countable_objects(make_facts(objects=[at_edge(0.5), other]), "ship") == NotAsked(reason)


def test_an_incomplete_class_is_not_counted() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100))], complete=["car"])
    assert countable_objects(facts, "ship") == NotAsked("not every instance of the class is labelled")


def test_an_uncertain_member_is_doubtful() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100), certain=False)])
    assert countable_objects(facts, "ship") == NotAsked("an uncertain member of the class is on the tile")


def test_an_area_class_is_not_counted() -> None:
    assert countable_objects(make_facts(), "forest") == NotAsked("not a class of countable objects")


def test_a_speck_cannot_be_counted() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100, side=2.9))])
    assert countable_objects(facts, "ship") == NotAsked("objects too small to be counted")


@pytest.mark.parametrize(
    "other",
    [
        make_class("tug", broader=("ship",)),
        make_class("vessel"),  # a reader counts vessels as ships
        make_class("ship_2", singular="ship", plural="ships"),
    ],
)
def test_members_of_a_narrower_or_equal_class_make_the_count_depend_on_the_reading(other: ClassInfo) -> None:
    objects = [make_object("s", "ship", square(100, 100)), make_object("t", other.name, square(300, 100))]
    assert countable_objects(make_facts(objects=objects, classes=classes_with(other)), "ship") == NotAsked(
        "members of a narrower class are on the tile"
    )


def test_a_narrower_class_is_counted_beside_its_broader_one() -> None:
    classes = classes_with(make_class("tug", broader=("ship",)))
    tug = make_object("t", "tug", square(300, 100))
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100)), tug], classes=classes)
    assert countable_objects(facts, "tug") == Countable((tug,), CountRule.WHOLE)


# A region of 200 x 200 px whose right edge lies at x = 300.
REGION = box(100, 100, 300, 300)


def count_in_region(facts: TileFacts) -> int | NotAsked:
    inside = objects_in_region(facts, "ship", REGION)
    return inside if isinstance(inside, NotAsked) else len(inside)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (200, 1),  # inside
        (291, NotAsked("an object crosses the edge of the region")),  # [281, 301]: 19 of 20 px = 95 % inside
        (290.5, 1),  # [280.5, 300.5]: 97.5 % inside
        (309.5, 0),  # [299.5, 319.5]: 2.5 % inside
        (300, NotAsked("an object crosses the edge of the region")),
        (400, 0),
    ],
)
def test_an_object_inside_counts_and_one_on_the_edge_is_doubtful(x: float, expected: int | NotAsked) -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(x, 200))])
    assert count_in_region(facts) == expected


def test_trouble_outside_the_region_does_not_matter() -> None:
    inside = make_object("s", "ship", square(200, 200))
    far = [
        make_object("u", "ship", square(600, 600), certain=False),
        make_object("h", "ship", square(990, 600), visible=0.5),
        make_object("t", "tug", square(700, 600)),
    ]
    classes = classes_with(make_class("tug", broader=("ship",)))
    facts = make_facts(objects=[inside, *far], classes=classes)
    assert objects_in_region(facts, "ship", REGION) == (inside,)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"certain": False}, "an uncertain member of the class is in the region"),
        ({"visible": 0.9}, "a cut object is in the region"),
    ],
)
def test_trouble_inside_the_region_is_doubtful(more: dict[str, float], reason: str) -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(200, 200), **more)])  # type: ignore[arg-type]
    assert count_in_region(facts) == NotAsked(reason)


def test_a_narrower_class_inside_the_region_is_doubtful() -> None:
    classes = classes_with(make_class("tug", broader=("ship",)))
    facts = make_facts(objects=[make_object("t", "tug", square(200, 200))], classes=classes)
    assert count_in_region(facts) == NotAsked("members of a narrower class are in the region")


def test_a_point_near_the_edge_may_be_an_object_that_crosses_it() -> None:
    # 5 % of the radius of a disc of 40,000 px²: 0.05 * sqrt(40000 / pi) = 5.6 px
    at = {x: make_facts(objects=[make_object("p", "ship", Point(x, 200))]) for x in (290, 297, 303, 310)}
    doubt = NotAsked("an object crosses the edge of the region")
    assert [count_in_region(at[x]) for x in at] == [1, doubt, doubt, 0]


def test_an_incomplete_class_is_not_counted_in_a_region() -> None:
    facts = make_facts(complete=[])
    assert count_in_region(facts) == NotAsked("not every instance of the class is labelled")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(20, 980), st.integers(20, 980)), max_size=12, unique=True))
@example([(96, 96)])
def test_a_count_in_a_region_is_the_number_of_boxes_inside_by_arithmetic(centres: list[tuple[int, int]]) -> None:
    objects = [make_object(f"o{i}", "ship", rectangle(x, y, 10, 10)) for i, (x, y) in enumerate(centres)]
    counted = count_in_region(make_facts(objects=objects))
    # of 10 × 10 px the square from 100 to 300 px covers so much of each side
    sides = [[max(0, min(at + 5, 300) - max(at - 5, 100)) for at in centre] for centre in centres]
    shares = [width * height / 100 for width, height in sides]
    if any(0.05 <= share <= 0.95 for share in shares):
        assert counted == NotAsked("an object crosses the edge of the region")
    else:
        assert counted == sum(share > 0.95 for share in shares)


def test_roles_other_than_object_are_refused_in_regions() -> None:
    facts = make_facts(classes=classes_with(make_class("pier", Role.ROAD)))
    assert objects_in_region(facts, "pier", REGION) == NotAsked("not a class of countable objects")
