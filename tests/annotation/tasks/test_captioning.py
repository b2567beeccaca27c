"""Captions say what is labelled, and no more."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from shapely import box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, Role, TileFacts
from rsvqa.annotation.questions import REGION_SLOT, Question
from rsvqa.annotation.tasks.caption_content import ContentFinder
from rsvqa.annotation.tasks.caption_wording import CaptionWriter
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    ask,
    classes_with,
    make_area,
    make_class,
    make_context,
    make_facts,
    make_object,
    make_road,
    square,
)


def caption(facts: TileFacts, seed: int = 0) -> Question:
    (question,), _ = ask("detailed_captioning", facts, seed=seed)
    assert check_question(question, width=facts.width, height=facts.height) == ()
    return question


def scene(**more: Any) -> TileFacts:
    """Return forest on the left half, farmland on the right, three ships at the top left."""
    ships = [make_object(f"s{x}", "ship", square(x, 100)) for x in (50, 100, 150)]
    areas = [make_area("w", "forest", box(0, 0, 500, 1000)), make_area("f", "farmland", box(500, 0, 1000, 1000))]
    return make_facts(objects=ships, areas=areas, **more)


def test_a_caption_has_an_overall_part_nine_parts_and_an_inference() -> None:
    overall, parts, inference = caption(scene(gsd_m=Gsd(0.5, 0.5))).answer.split("\n")
    assert "500 m" in overall
    assert "25 ha" in overall
    assert "orest (about 50 %)" in overall or "armland (about 50 %)" in overall
    assert "hree ships" in overall
    mentioned = re.findall(r"(?:top|middle|bottom) (?:left|centre|right)|centre part", parts)
    assert [name.replace("centre part", "centre") for name in mentioned][:3] == ["top left", "top centre", "top right"]
    assert len(mentioned) == 9
    assert "50 %" in inference


def test_parts_say_what_lies_in_them() -> None:
    for seed in range(8):
        top_left, top_centre = re.split(r"[^.]*top centre", caption(scene(), seed=seed).answer.split("\n")[1])
        assert "hree ships" in top_left
        assert "ship" not in top_centre
    # The border of the two land uses is at 500: the middle third is half and half.
    values = caption(scene()).evidence.values
    assert values["parts"]["top_centre"]["shares"] == {"farmland": pytest.approx(0.5), "forest": pytest.approx(0.5)}
    assert values["parts"]["top_left"]["shares"] == {"forest": pytest.approx(1.0)}


def said_of(facts: TileFacts, words: str) -> set[bool]:
    """Return whether the captions of several seeds say something."""
    return {words in caption(facts, seed=seed).answer for seed in range(12)}


def test_water_is_navigable_where_several_ships_are_on_it() -> None:
    areas = [make_area("w", "water", box(0, 0, 400, 1000)), make_area("f", "farmland", box(400, 0, 1000, 1000))]
    ships = [make_object(f"s{x}", "ship", square(x, 100)) for x in (50, 100)]
    assert True in said_of(make_facts(areas=areas, objects=ships), "navigable")
    assert said_of(make_facts(areas=areas, objects=ships[:1]), "navigable") == {False}
    ashore = make_object("x", "ship", square(600, 100))
    assert said_of(make_facts(areas=areas, objects=[*ships, ashore]), "navigable") == {False}


def test_nobody_speaks_of_streams_or_rain_in_a_desert() -> None:
    # 55 % built over, 5 % water, 40 % desert: the rule on polluted streams holds
    classes = classes_with(make_class("shops", role=Role.AREA, kind="commercial"))
    areas = [
        make_area("d", "desert", box(0, 0, 400, 1000)),
        make_area("w", "water", box(400, 0, 450, 1000)),
        make_area("s", "shops", box(450, 0, 1000, 1000)),
    ]
    facts = make_facts(areas=areas, classes=classes)
    for word in ("tream", "rain", "soak"):
        assert said_of(facts, word) == {False}
    assert True in said_of(facts, "about 40 % of the ground lies bare")


def test_numbers_need_complete_labels() -> None:
    for seed in range(8):
        overall = caption(scene(complete=["forest", "farmland"]), seed=seed).answer.split("\n")[0]
        assert re.search("[Ss]hips", overall)
        assert not re.search("[Tt]hree ships", overall)


def test_regions_of_a_map_are_ground_though_nobody_counts_them() -> None:
    # The houses of the upper half touch each other, so they are one uncertain object.
    areas = [make_area("f", "farmland", box(0, 500, 1000, 1000))]
    block = make_object("h", "house", box(0, 0, 1000, 500), certain=False)
    facts = make_facts(areas=areas, objects=[block], complete=["farmland"])
    whole = ContentFinder(make_context(facts)).find(box(0, 0, 1000, 1000))
    assert whole.shares == {"farmland": pytest.approx(0.5), "house": pytest.approx(0.5)}
    assert whole.counts == {}
    assert {"houses" in text.lower() or "a house" in text.lower() for text in [caption(facts).answer]} == {True}
    # A house that a model is not sure of lies over the ground that it would stand on.
    over = make_facts(areas=[make_area("f", "farmland", box(0, 0, 1000, 1000))], objects=[block], complete=["farmland"])
    assert ContentFinder(make_context(over)).find(box(0, 0, 1000, 1000)).shares == {"farmland": pytest.approx(1.0)}


def test_what_may_be_more_is_told_as_the_least() -> None:
    # Forest is not fully labelled, and 60 % of the tile has no label.
    facts = scene(complete=["farmland", "ship"])
    facts = replace(facts, areas=(make_area("w", "forest", box(0, 0, 296, 1000)), facts.areas[1]))
    overall = caption(facts).answer.split("\n")[0]
    assert "orest (at least 29 %)" in overall
    assert re.search(r"armland \((?:about )?50 %\)", overall)


def test_objects_that_cover_much_are_told_by_their_share() -> None:
    houses = [make_object(f"h{x}", "house", box(x, 100, x + 90, 900)) for x in range(0, 1000, 100)]
    facts = make_facts(objects=houses, complete=["car"])
    # ten of 90 × 800 px on 1,000 × 1,000
    assert ContentFinder(make_context(facts)).find(box(0, 0, 1000, 1000)).covering == {"house": pytest.approx(0.72)}
    assert "ouses on at least 72 % of the ground" in caption(facts).answer


def test_an_object_across_a_border_has_no_number_there() -> None:
    objects = [make_object(f"s{x}", "ship", square(x, 100)) for x in (50, 100, 333)]
    content = ContentFinder(make_context(make_facts(objects=objects))).find(box(0, 0, 1000 / 3, 1000 / 3))
    assert content.counts == {"ship": None}


def test_a_cut_object_has_no_number() -> None:
    objects = [make_object("a", "ship", square(10, 100), visible=0.6), make_object("b", "ship", square(100, 100))]
    assert ContentFinder(make_context(make_facts(objects=objects))).find(box(0, 0, 333, 333)).counts == {"ship": None}


def test_with_an_uncertain_area_the_others_are_the_least() -> None:
    areas = [
        make_area("a", "forest", box(0, 0, 500, 500)),
        make_area("b", "forest", box(500, 0, 900, 500), certain=False),
    ]
    content = ContentFinder(make_context(make_facts(areas=areas))).find(box(0, 0, 1000, 1000))
    assert content.shares == {"forest": pytest.approx(0.25)}
    assert content.is_exact == {"forest": False}


def test_a_road_must_be_long_enough_to_be_seen() -> None:
    facts = make_facts(roads=[make_road("r", (0, 50), (400, 50))])
    finder = ContentFinder(make_context(facts))
    # A fifth of the 300 px of the part: 60 px.
    assert finder.find(box(0, 0, 300, 300)).road_length == pytest.approx(300)
    assert finder.find(box(350, 0, 650, 300)).road_length == 0


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (make_facts(), "nothing labelled"),
        (make_facts(objects=[make_object("s", "ship", square(50, 50))]), "too few parts with labels"),
    ],
)
def test_why_a_tile_is_not_described(facts: TileFacts, reason: str) -> None:
    assert ask("detailed_captioning", facts) == ([], [reason])


def test_a_circle_is_described_with_its_size() -> None:
    facts = scene(gsd_m=Gsd(0.5, 0.5))
    questions, _ = ask("regional_captioning", facts, limit=4)
    assert questions
    for question in questions:
        assert question.region is not None
        assert REGION_SLOT in question.text
        assert REGION_SLOT in question.answer
        # Diameter in metres: 2 · radius · 0.5, to two digits.
        assert f"about {float(f'{question.region.radius:.2g}'):g} m" in question.answer
        assert check_question(question, width=1000, height=1000) == ()


def test_a_circle_with_one_thing_alone_is_not_described() -> None:
    facts = make_facts(areas=[make_area("w", "forest", box(0, 0, 1000, 1000))])
    questions, reasons = ask("regional_captioning", facts)
    assert questions == []
    assert set(reasons) == {"too little labelled in the region"}


@pytest.mark.parametrize("seed", range(5))
def test_sentences_begin_with_a_capital_and_end(seed: int) -> None:
    for line in caption(scene(), seed=seed).answer.split("\n"):
        for sentence in line.rstrip(".").split(". "):
            assert sentence[0].isupper(), line


@pytest.mark.parametrize("key", ["detailed_captioning.question", "regional_captioning.question"])
def test_there_are_five_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(key))) >= 5


def test_shares_that_round_to_all_or_nothing_are_told_in_words() -> None:
    writer = CaptionWriter(make_context(scene()))
    assert [writer.amount(share) for share in (0.004, 0.006, 0.62, 0.994, 0.996, 1.0)] == [
        "less than 1 %",
        "about 1 %",
        "about 62 %",
        "about 99 %",
        "nearly all",
        "all",
    ]
    assert [writer.amount(share, is_exact=False) for share in (0.629, 0.999, 1.0)] == [
        "at least 62 %",
        "nearly all",
        "all",
    ]


def test_ground_that_rounds_to_all_is_not_told_as_100_percent() -> None:
    # forest on 99.6 %, of unfinished labels, and 0.4 % water: none of it is "about 100 %" or "at least 100 %"
    areas = [make_area("f", "forest", box(0, 0, 1000, 996)), make_area("w", "water", box(0, 996, 1000, 1000))]
    for seed in range(12):
        assert "100 %" not in caption(make_facts(areas=areas), seed=seed).answer
        assert "100 %" not in caption(make_facts(areas=areas, complete=["house"]), seed=seed).answer


def test_a_caption_is_not_silent_about_one_object_that_is_cut_by_the_edge_of_a_part() -> None:
    # the top left part is 333.3 px square: 283.3 px square of it are covered, 72 %
    hall = make_object("h", "house", box(50, 50, 350, 550))
    ground = make_area("f", "farmland", box(0, 0, 1000, 1000))
    facts = make_facts(objects=[hall], areas=[ground])
    for seed in range(6):
        top_left = caption(facts, seed=seed).answer.split("\n")[1].split(" top centre")[0].lower()
        assert "about 72 %" in top_left
        assert "part of a house" in top_left


def test_a_part_is_named_once_however_much_stands_in_it() -> None:
    # two cars, and a part of a house that covers most of the top left part
    hall = make_object("h", "house", box(50, 50, 350, 550))
    cars = [make_object(f"c{x}", "car", square(x, 20)) for x in (60, 120)]
    facts = make_facts(objects=[hall, *cars], areas=[make_area("f", "forest", box(0, 0, 1000, 1000))])
    for seed in range(12):
        assert caption(facts, seed=seed).answer.split("\n")[1].lower().count("top left part") == 1
