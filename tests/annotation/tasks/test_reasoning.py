"""Counts under a condition, and conclusions about the environment."""

from __future__ import annotations

from typing import Any

import pytest
from shapely import box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, TileObject
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    ask,
    make_area,
    make_facts,
    make_object,
    make_road,
    right_texts,
    square,
    wrong_texts,
)


def cars(*places: tuple[float, float], **attributes: Any) -> list[TileObject]:
    return [make_object(f"c{x:.0f},{y:.0f}", "car", square(x, y), **attributes) for x, y in places]


def counts(objects: list[TileObject], **more: Any) -> dict[tuple[str, str], str]:
    """Return the answers by rule and by what the condition is."""
    questions, _ = ask("conditional_counting", make_facts(objects=objects, **more), limit=30)
    found = {}
    for question in questions:
        assert check_question(question, width=1000, height=1000) == ()
        values = question.evidence.values
        what = values.get("colour") or values.get("half") or values.get("side") or values.get("landmark")
        (found[question.evidence.rule, str(what)],) = right_texts(question)
    return found


def test_halves_of_the_image() -> None:
    found = counts(cars((100, 100), (200, 800), (300, 900), (900, 950)))
    assert found == {
        ("count_half", "left"): "3",
        ("count_half", "right"): "1",
        ("count_half", "upper"): "1",
        ("count_half", "lower"): "3",
        # three on the one side, one on the other
        ("count_surplus", "left"): "2",
        ("count_surplus", "lower"): "2",
    }


def test_no_half_for_what_lies_near_the_middle() -> None:
    # The middle line is at 500, with 20 px on either side; this car ends at 485.
    assert not {rule for rule, half in counts(cars((100, 100), (475, 100), (900, 100))) if half in ("left", "right")}


def test_colours_need_all_to_be_known() -> None:
    some = cars((100, 490), (150, 490), colour="red") + cars((200, 490), colour="blue")
    ((_, colour),) = (key for key in counts(some) if key[0] == "count_colour")
    assert counts(some)["count_colour", colour] == {"red": "2", "blue": "1"}[colour]
    unknown = cars((250, 490), colour="rosso")
    assert not [rule for rule, _ in counts(some + unknown) if rule == "count_colour"]


def test_within_metres_of_water() -> None:
    # 0.5 m per pixel; the lake ends at x = 200. Cars' edges at 210, 250 and 600: 5, 25 and 200 m away.
    lake = make_area("lake", "water", box(0, 0, 200, 1000))
    questions, _ = ask(
        "conditional_counting",
        make_facts(objects=cars((220, 490), (260, 490), (610, 490)), areas=[lake], gsd_m=Gsd(0.5, 0.5)),
        limit=30,
    )
    within = [question for question in questions if question.evidence.rule == "count_within"]
    assert within
    for question in within:
        assert question.evidence.geometry is not None
        assert question.evidence.geometry.area == 400 * int(right_texts(question)[0])  # cars of 20 × 20 px
        metres = question.evidence.values["metres"]
        assert right_texts(question) == [str(sum(away <= metres for away in (5, 25, 200)))]
        assert metres != 200  # the last car is too near to that limit


def test_roads_are_wider_than_their_line() -> None:
    # The cars' edges are 35 m and 390 m from the centre line. The road may be 10 m wide on either side: 50 m, less
    # 15 % and 10 m, is 32.5 m, so the first car is not surely within it; 100 m is sure for both.
    facts = make_facts(
        objects=cars((100, 545), (100, 900)), roads=[make_road("r", (0, 500), (1000, 500))], gsd_m=Gsd(1, 1)
    )
    limits = set()
    for seed in range(12):
        questions, _ = ask("conditional_counting", facts, limit=30, seed=seed)
        limits |= {q.evidence.values["metres"] for q in questions if q.evidence.rule == "count_within"}
    assert limits == {100, 150, 200, 300}


def test_inside_an_area() -> None:
    park = make_area("p", "car_park", box(0, 0, 300, 1000))
    assert counts(cars((100, 490), (200, 490), (600, 490)), areas=[park])["count_inside", "the car park"] == "2"
    crossing = cars((100, 490), (300, 490), (600, 490))
    assert not [rule for rule, _ in counts(crossing, areas=[park]) if rule == "count_inside"]


def test_cut_objects_make_the_question_say_what_counts() -> None:
    cut = make_object("cut", "car", box(990, 490, 1000, 510), visible=0.7)
    (question, *_), _ = ask("conditional_counting", make_facts(objects=[*cars((100, 100), (200, 100)), cut]))
    assert "at least half" in question.text


def test_beside_a_half_visible_object_those_at_the_edge_do_not_count() -> None:
    half = make_object("half", "car", box(990, 490, 1000, 510), visible=0.5)
    (question, *_), _ = ask("conditional_counting", make_facts(objects=[*cars((100, 100), (900, 100)), half]))
    assert question.text.endswith("Objects that are cut by the edge of the image do not count.")
    assert question.evidence.values["of"] == 2


def test_nothing_is_counted_that_is_not_fully_labelled() -> None:
    questions, reasons = ask("conditional_counting", make_facts(objects=cars((1e2, 1e2), (9e2, 9e2)), complete=[]))
    assert questions == []
    assert set(reasons) == {"not every instance of the class is labelled"}


def test_a_conclusion_is_asked_when_one_rule_holds() -> None:
    # 76 % farmland, 24 % forest: of the rules on land use only one holds, and three fail.
    fields = make_area("f", "farmland", box(0, 0, 760, 1000))
    wood = make_area("w", "forest", box(760, 0, 1000, 1000))
    questions, _ = ask("environmental_reasoning", make_facts(areas=[fields, wood]), limit=9)
    by_rule = {question.evidence.rule: question for question in questions}
    assert set(by_rule) == {"mostly_farmed", "rain_soaks_in"}
    assert right_texts(by_rule["mostly_farmed"])[0].startswith("Most of the land is used for growing crops")
    assert all(check_question(question, width=1000, height=1000, is_chosen=False) == () for question in questions)


def test_the_opposite_of_the_right_conclusion_does_not_give_it_away() -> None:
    # Farmland soaks up rain and does not cool. "Rain runs off" fails too, and so do rules of three other topics.
    fields = make_area("f", "farmland", box(0, 0, 1000, 1000))
    houses = [make_object(f"h{x}", "house", square(x, 500)) for x in range(50, 1000, 50)]
    facts = make_facts(areas=[fields], objects=houses, gsd_m=Gsd(1, 1))
    by_rule = {
        question.evidence.rule: question
        for seed in range(5)
        for question in ask("environmental_reasoning", facts, limit=9, seed=seed)[0]
    }
    assert all("rain" not in text for text in wrong_texts(by_rule["rain_soaks_in"]))
    # all that fail of other topics may be offered: which of them stand together is decided over the data set
    offered = [text for text in wrong_texts(by_rule["rain_soaks_in"]) if "this landscape" in text]
    assert sorted(text.split(",")[0] for text in offered) == [
        "Most of the land is built over",
        "Most of the land is under forest",
        "Open water covers most of the area",
    ]


def test_no_conclusion_near_a_threshold() -> None:
    # 40 % farmland is neither most nor little.
    areas = [make_area("f", "farmland", box(0, 0, 400, 1000)), make_area("w", "water", box(400, 0, 1000, 1000))]
    questions, reasons = ask("environmental_reasoning", make_facts(areas=areas), limit=9)
    assert "mostly_water" not in {question.evidence.rule for question in questions}
    assert "a rule of the topic is near its threshold" in reasons


@pytest.mark.parametrize(
    "key",
    [
        "environmental_reasoning.question",
        *(f"conditional_counting.{kind}" for kind in ("colour", "half", "within", "inside")),
    ],
)
def test_there_are_five_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(key))) >= 5


def asked_of(rule: str, seeds: int = 12, **more: Any) -> dict[str, str]:
    """Return the answers by question of one rule."""
    found = {}
    for seed in range(seeds):
        for question in ask("conditional_counting", make_facts(**more), limit=30, seed=seed)[0]:
            if question.evidence.rule == rule:
                assert check_question(question, width=1000, height=1000) == ()
                (found[question.text],) = right_texts(question)
    return found


def test_two_conditions_are_joined_where_neither_alone_gives_the_number() -> None:
    # Red: three on the left, one on the right. Blue: one on the left, two on the right.
    objects = cars((100, 100), (200, 200), (300, 300), (900, 900), colour="red")
    objects += cars((150, 700), (800, 100), (850, 200), colour="blue")
    joined = {text: answer for text, answer in asked_of("count_joined", objects=objects).items() if "left half" in text}
    assert {answer for text, answer in joined.items() if "are red" in text} == {"3"}
    assert {answer for text, answer in joined.items() if "are blue" in text} <= {"1"}
    without = asked_of("count_but_not", objects=objects)
    assert {answer for text, answer in without.items() if "are red" in text and "not lie in the left" in text} == {"1"}
    # All red cars are on the left: then "red and on the left" is as many as are red.
    assert asked_of("count_joined", objects=cars((100, 490), (200, 490), colour="red")) == {}


def test_two_classes_are_counted_together() -> None:
    buses = [make_object("b", "bicycle", square(500, 500)), make_object("d", "bicycle", square(500, 700))]
    found = asked_of("count_together", objects=cars((100, 100), (900, 100), (900, 900)) + buses)
    assert found
    assert set(found.values()) == {"5"}  # three cars and two bicycles
    assert all("bicycles and" in text or "bicycles, then" in text for text in found)
    assert asked_of("count_together", objects=cars((100, 100), (900, 100))) == {}


def quarters_of(areas: list[Any], **more: Any) -> dict[str, list[str]]:
    questions, _ = ask("environmental_reasoning", make_facts(areas=areas, **more), limit=30)
    return {q.evidence.rule: right_texts(q) for q in questions if q.evidence.rule.startswith("quarter")}


def test_the_quarter_with_most_forest_is_the_right_one() -> None:
    # Forest on all of the lower left quarter and a fifth of the upper left one; fields on all else.
    areas = [
        make_area("w", "forest", box(0, 400, 500, 1000)),
        make_area("f", "farmland", box(0, 0, 1000, 400)),
        make_area("g", "farmland", box(500, 400, 1000, 1000)),
    ]
    assert quarters_of(areas) == {
        "quarter_of_most_fire": ["the lower left quarter"],
        "quarter_of_most_coolness": ["the lower left quarter"],
    }
    # farmland: 100 % on the right side, twice; plants are everywhere. A tile with unlabelled ground is not compared.
    assert quarters_of(areas[:1]) == {}
    assert quarters_of([]) == {}


def test_ground_under_two_labels_counts_once() -> None:
    # Cool is the lower left quarter (forest, half of it marsh too) and 70 % of the upper left: 1 / 0.7 is too little.
    areas = [
        make_area("w", "forest", box(0, 500, 500, 1000)),
        make_area("m", "marsh", box(0, 500, 500, 750)),
        make_area("v", "forest", box(0, 0, 350, 500)),
        make_area("f", "farmland", box(350, 0, 1000, 500)),
        make_area("g", "farmland", box(500, 500, 1000, 1000)),
    ]
    assert "quarter_of_most_coolness" not in quarters_of(areas)
    # beside the forest, the marsh adds to it: 0.7 and 0.4
    apart = [
        *areas[2:],
        make_area("m", "marsh", box(0, 500, 200, 1000)),
        make_area("h", "farmland", box(200, 500, 500, 1000)),
    ]
    assert quarters_of(apart)["quarter_of_most_coolness"] == ["the upper left quarter"]


def buildings(*num_by_quarter: int) -> list[TileObject]:
    """Return so many houses in the upper left, upper right, lower left and lower right quarter."""
    return [
        make_object(
            f"{place}/{number}", "house", square(500 * (place % 2) + 30 + 40 * number, 500 * (place // 2) + 250)
        )
        for place, count in enumerate(num_by_quarter)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("nums", "quarter"),
    [
        ((2, 9, 6, 0), "the upper right quarter"),  # 9 of 17, one and a half times 6
        ((2, 8, 6, 0), None),
        ((1, 8, 0, 0), None),  # too few for a comparison
    ],
)
def test_the_quarter_with_most_buildings(nums: tuple[int, ...], quarter: str | None) -> None:
    ground = [make_area("f", "farmland", box(0, 0, 1000, 1000))]
    found = quarters_of(ground, objects=buildings(*nums))
    assert found.get("quarter_of_most_people") == (quarter and [quarter])
    known = make_facts().complete_classes - {"house"}
    assert "quarter_of_most_people" not in quarters_of(ground, objects=buildings(*nums), complete=known)


def test_the_quarter_with_most_road() -> None:
    ground = [make_area("f", "farmland", box(0, 0, 1000, 1000))]
    # lower right: 500 + 400 of 1,300 px; lower left 300, upper left 100
    roads = [
        make_road("a", (200, 600), (1000, 600)),
        make_road("b", (700, 550), (700, 950)),
        make_road("c", (9, 9), (109, 9)),
    ]
    found = quarters_of(ground, roads=roads)
    assert found["quarter_of_most_noise"] == ["the lower right quarter"]
    assert "quarter_of_most_noise" not in quarters_of(ground, roads=roads[:1])  # 800 px of road are too few
    assert "quarter_of_most_noise" not in quarters_of(ground)


RIVER = make_area("river", "water", box(450, 0, 550, 1000))


def test_sides_of_a_river() -> None:
    # on the left two cars above and one below, on the right one below
    places = ((100, 100), (200, 200), (300, 900), (900, 950))
    found = counts(cars(*places), areas=[RIVER])
    assert {key: number for key, number in found.items() if key[0].startswith("count_side")} == {
        ("count_side", "w"): "3",
        ("count_side", "e"): "1",
        ("count_side_surplus", "w"): "2",
    }
    on_the_bridge = counts(cars(*places, (500, 500)), areas=[RIVER])
    assert not [rule for rule, _ in on_the_bridge if rule.startswith("count_side")]


@pytest.mark.parametrize(("north_deg", "word"), [(0.0, "western"), (None, "left")])
def test_sides_are_called_by_the_compass_or_by_the_image(north_deg: float | None, word: str) -> None:
    facts = make_facts(objects=cars((100, 100), (200, 200), (900, 950)), areas=[RIVER], north_deg=north_deg)
    questions, _ = ask("conditional_counting", facts, limit=30)
    (surplus,) = (question for question in questions if question.evidence.rule == "count_side_surplus")
    assert f"{word} side" in surplus.text
    assert right_texts(surplus) == ["1"]
    assert "river" in surplus.evidence.feature_ids
