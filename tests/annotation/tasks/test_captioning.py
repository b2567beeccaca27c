"""Captions say what is labelled, and no more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shapely import box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, TileFacts
from rsvqa.annotation.questions import REGION_SLOT, Question
from rsvqa.annotation.tasks.caption_content import ContentFinder
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, make_area, make_context, make_facts, make_object, make_road, square


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
    assert "500 m by 500 m" in overall
    assert "forest (about 50 %)" in overall
    assert "3 ships" in overall
    mentioned = re.findall(r"(?:top|middle|bottom) (?:left|centre|right)|centre part", parts)
    assert [name.replace("centre part", "centre") for name in mentioned][:3] == ["top left", "top centre", "top right"]
    assert len(mentioned) == 9
    assert "soak into the ground" in inference


def test_parts_say_what_lies_in_them() -> None:
    sentences = caption(scene()).answer.split("\n")[1]
    top_left = re.split(r"top centre", sentences)[0]
    assert "3 ships" in top_left
    assert "ship" not in re.split(r"top centre", sentences)[1]
    # The border of the two land uses is at 500: the middle third is half and half.
    values = caption(scene()).evidence.values
    assert values["parts"]["top_centre"]["shares"] == {"farmland": pytest.approx(0.5), "forest": pytest.approx(0.5)}
    assert values["parts"]["top_left"]["shares"] == {"forest": pytest.approx(1.0)}


def test_what_the_ships_suggest_needs_more_than_one() -> None:
    areas = [make_area("w", "water", box(0, 0, 400, 1000)), make_area("f", "farmland", box(400, 0, 1000, 1000))]
    ships = [make_object(f"s{x}", "ship", square(x, 100)) for x in (50, 100)]
    assert "The ships suggest" in caption(make_facts(areas=areas, objects=ships)).answer
    assert "The ships suggest" not in caption(make_facts(areas=areas, objects=ships[:1])).answer


def test_numbers_need_complete_labels() -> None:
    overall = caption(scene(complete=["forest", "farmland"])).answer.split("\n")[0]
    assert "ships" in overall
    assert "3 ships" not in overall


def test_an_object_across_a_border_has_no_number_there() -> None:
    objects = [make_object(f"s{x}", "ship", square(x, 100)) for x in (50, 100, 333)]
    content = ContentFinder(make_context(make_facts(objects=objects))).find(box(0, 0, 1000 / 3, 1000 / 3))
    assert content.counts == {"ship": None}


def test_a_cut_object_has_no_number() -> None:
    objects = [make_object("a", "ship", square(10, 100), visible=0.6), make_object("b", "ship", square(100, 100))]
    assert ContentFinder(make_context(make_facts(objects=objects))).find(box(0, 0, 333, 333)).counts == {"ship": None}


def test_an_uncertain_area_hides_its_class() -> None:
    areas = [
        make_area("a", "forest", box(0, 0, 500, 500)),
        make_area("b", "forest", box(500, 0, 900, 500), certain=False),
    ]
    assert ContentFinder(make_context(make_facts(areas=areas))).find(box(0, 0, 1000, 1000)).shares == {}


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
        assert f"about {float(f'{question.region.radius:.2g}'):g} m across" in question.answer
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
