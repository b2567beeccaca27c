"""Wrong options are wrong, distinct, near, and give no clue by their rank."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.annotation.facts import Role
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.distractors import (
    MEASURE_RATIO,
    absent_classes,
    class_distractors,
    classes_on_tile,
    number_distractors,
    round_measure,
    value_distractors,
)
from tests.annotation.make_facts import CLASSES, classes_with, make_area, make_class, make_facts, make_object, square

OBJECTS = frozenset({Role.OBJECT})


@given(st.integers(0, 5000), st.integers(0, 2**32), st.integers(0, 1))
def test_wrong_numbers_are_three_distinct_and_near(right: int, seed: int, minimum: int) -> None:
    right = max(right, minimum)
    wrong = number_distractors(right, random.Random(seed), minimum=minimum)
    assert len({*wrong, right}) == 4
    assert min(wrong) >= minimum
    # four steps of 15 %, half a step of jitter: at most 68 % and a rounding away; small numbers at most 4
    assert all(abs(number - right) <= max(4, 0.7 * right + 3) for number in wrong)


def test_the_right_number_takes_every_rank_equally_often() -> None:
    rng = random.Random(0)
    ranks = Counter(sum(wrong < 30 for wrong in number_distractors(30, rng)) for _ in range(4000))
    # 1000 expected each, standard deviation sqrt(4000 * 0.25 * 0.75) = 27
    assert all(900 < ranks[rank] < 1100 for rank in range(4))


def test_a_right_number_below_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match="the right count 0 is below the least allowed option 1"):
        number_distractors(0, random.Random(0), minimum=1)


@given(st.floats(0.01, 1e7), st.integers(0, 2**32))
def test_wrong_measures_differ_by_a_quarter_after_rounding(right: float, seed: int) -> None:
    values = sorted([round_measure(right), *value_distractors(right, random.Random(seed))])
    assert len(values) == 4
    shown = round_measure(right)
    for low, high in pairwise(values):
        assert high >= 1.25 * low
        assert shown not in (low, high) or high - low >= 0.25 * shown


@pytest.mark.parametrize("right", [0.0, -1.0, float("nan"), float("inf")])
def test_a_measure_that_is_none_is_refused(right: float) -> None:
    with pytest.raises(ValueError, match="a measure must be positive and finite"):
        value_distractors(right, random.Random(0))


@pytest.mark.parametrize(("value", "shown"), [(0, 0), (0.4567, 0.46), (4.56, 4.6), (45.6, 46), (1234.0, 1200)])
def test_measures_have_two_digits(value: float, shown: float) -> None:
    assert round_measure(value) == shown


def test_wrong_classes_are_of_the_role_and_cannot_be_right() -> None:
    classes = classes_with(
        make_class("vehicle"), make_class("pickup", broader=("car",)), make_class("auto", singular="automobile")
    )
    for seed in range(30):
        wrong = class_distractors(make_facts(classes=classes), classes["car"], random.Random(seed), roles=OBJECTS)
        assert len(wrong) == 3
        names = {info.name for info in wrong}
        # "vehicle" and "pickup" are broader and narrower, "automobile" is the same thing
        assert names <= {"bicycle", "ship", "plane", "house", "silo"}


def test_wrong_classes_of_the_same_kind_and_on_the_tile_come_first() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(10, 10)), make_object("h", "house", square(50, 50))])
    chosen: Counter[str] = Counter()
    for seed in range(200):
        wrong = class_distractors(facts, CLASSES["car"], random.Random(seed), roles=OBJECTS)
        chosen.update(info.name for info in wrong)
    # "bicycle" is of the same kind; plane and silo are neither of the kind nor here
    assert chosen["bicycle"] == 200
    assert min(chosen["ship"], chosen["house"]) > max(chosen["plane"], chosen["silo"])


def test_no_two_wrong_classes_mean_the_same() -> None:
    classes = classes_with(make_class("airplane"), make_class("jet", singular="aircraft"))
    for seed in range(30):
        wrong = class_distractors(make_facts(classes=classes), classes["car"], random.Random(seed), roles=OBJECTS)
        assert not any(may_mean_the_same(a, b) for i, a in enumerate(wrong) for b in wrong[i + 1 :])


def test_excluded_classes_are_left_out_and_a_small_table_gives_fewer() -> None:
    wrong = class_distractors(
        make_facts(), CLASSES["car"], random.Random(0), roles=OBJECTS, exclude=["ship", "plane", "bicycle"]
    )
    assert {info.name for info in wrong} == {"house", "silo"}


def test_absent_classes_are_complete_and_have_nothing_like_them_on_the_tile() -> None:
    facts = make_facts(
        objects=[make_object("c", "car", square(10, 10), certain=False), make_object("x", "cottage", square(90, 90))],
        classes=classes_with(make_class("cottage", broader=("house",))),
        complete=["car", "ship", "house", "silo", "forest"],
    )
    # the uncertain car is present, a cottage is a house, plane and bicycle are not complete
    assert [info.name for info in absent_classes(facts, OBJECTS)] == ["ship", "silo"]
    wrong = class_distractors(facts, CLASSES["car"], random.Random(0), roles=OBJECTS, absent=True)
    assert {info.name for info in wrong} == {"ship", "silo"}


@pytest.mark.parametrize(("exact", "wrong"), [(10.4999, 14.0), (10.4999, 7.5), (9.95, 7.5), (1049.9, 1400.0)])
def test_a_borrowed_measure_is_a_quarter_off_the_exact_one(exact: float, wrong: float) -> None:
    # the nearest of two digits that may stand beside the rounded measure, where rounding moves it most
    steps = sorted((wrong, round_measure(exact)))
    assert steps[1] >= MEASURE_RATIO * steps[0]
    assert max(exact, wrong) / min(exact, wrong) >= 1.25


def test_an_area_of_the_same_name_makes_an_object_class_present() -> None:
    classes = classes_with(make_class("houses", Role.AREA))
    facts = make_facts(areas=[make_area("a", "houses", square(500, 500))], classes=classes)
    assert "house" not in {info.name for info in absent_classes(facts, OBJECTS)}


def test_classes_on_tile_come_from_every_role_sorted() -> None:
    facts = make_facts(
        objects=[make_object("s", "ship", square(10, 10))], areas=[make_area("f", "forest", square(500, 500))]
    )
    assert classes_on_tile(facts) == ("forest", "ship")
