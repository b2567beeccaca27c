"""Names of one thing are found, names of different things stay apart."""

from __future__ import annotations

import pytest

from rsvqa.annotation.facts import Role
from rsvqa.annotation.tasks.class_names import has_same_name, is_counted_as, may_mean_the_same
from tests.annotation.make_facts import CLASSES, make_class


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("plane", "airplane"),  # listed as one thing
        ("roundabout", "intersection"),  # a wider term
        ("small vehicle", "vehicle"),  # words added
        ("SHIP", "ship"),  # case
        ("tree", "forest"),
    ],
)
def test_names_of_one_thing_are_found_both_ways(one: str, other: str) -> None:
    first, second = make_class("a", singular=one), make_class("b", singular=other)
    assert may_mean_the_same(first, second)
    assert may_mean_the_same(second, first)


@pytest.mark.parametrize(("one", "other"), [("ship", "car"), ("small vehicle", "large vehicle"), ("car", "truck")])
def test_different_things_stay_apart(one: str, other: str) -> None:
    assert not may_mean_the_same(make_class("a", singular=one), make_class("b", singular=other))


def test_the_class_tables_hierarchy_counts_whatever_the_names() -> None:
    wide = make_class("w", singular="thing")
    narrow = make_class("n", singular="gadget", broader=("w",))
    assert may_mean_the_same(wide, narrow)
    assert is_counted_as(narrow, wide)
    assert not is_counted_as(wide, narrow)


def test_a_wider_term_counts_its_members_but_not_the_reverse() -> None:
    car, vehicle = make_class("car"), make_class("vehicle")
    assert is_counted_as(car, vehicle)
    assert not is_counted_as(vehicle, car)


def test_equal_plurals_are_one_name() -> None:
    # an area class shown as "buildings" and an object class "building"
    area = make_class("built", Role.AREA, singular="buildings", plural="buildings")
    assert has_same_name(area, make_class("building"))
    assert not has_same_name(area, make_class("ship"))


def test_the_table_of_the_tests_holds_no_confusable_pair() -> None:
    infos = list(CLASSES.values())
    pairs = [(a.name, b.name) for i, a in enumerate(infos) for b in infos[i + 1 :] if may_mean_the_same(a, b)]
    assert pairs == [("car", "car_park")]
