"""Keys and boxes damaged by hand are found; sound ones are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import shapely

from rsvqa.annotation.facts import Box
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.keys import BOX_DIFFERS, KEY_DIFFERS, key_fault
from rsvqa.annotation.questions import Evidence
from rsvqa.annotation.taxonomy import AnswerForm
from tests.annotation.llm.make_items import colour_item, make_item

YES_NO = {"form": AnswerForm.YES_NO, "options": ("No", "Yes")}

SOUND = {
    "count": make_item(),
    "colour": colour_item(),
    "class": colour_item(
        task="object_classification",
        options=("house", "car", "ship", "tank"),
        answer="A",
        evidence=Evidence(rule="labelled_class", values={"class": "house"}),
    ),
    "land uses": make_item(
        "overall_land_use",
        form=AnswerForm.SEVERAL_OF,
        options=("water", "house", "forest", "car"),
        answer="AC",
        evidence=Evidence(
            rule="area_share_of_tile", values={"shares": {"forest": 0.2, "water": 0.1}, "absent": ["car"]}
        ),
    ),
    "main land use": make_item(
        "regional_land_use",
        options=("water", "house", "forest", "car"),
        answer="C",
        evidence=Evidence(rule="area_share_of_circle", values={"shares": {"forest": 0.9, "water": 0.1}}),
    ),
    "moving": colour_item(
        task="object_motion_state",
        text="Is the car in the bounding box standing still?",
        **{**YES_NO, "answer": "A"},
        evidence=Evidence(rule="labelled_motion", values={"class": "car", "moving": True, "parking_area": None}),
    ),
    "absent": make_item(
        "object_presence",
        **YES_NO,
        answer="A",
        evidence=Evidence(rule="fully_labelled_without_member", values={"class": "ship"}),
    ),
    # 236.6 degrees clockwise from north lie between 202.5 and 247.5: southwest
    "direction": make_item(
        "object_spatial_relationship",
        options=("southwest", "north", "southeast", "east"),
        answer="A",
        evidence=Evidence(rule="bearing_between_centres", values={"bearing_deg": 236.6, "north_deg": 1.5}),
    ),
    "axis": make_item(
        "object_orientation",
        options=("vertical", "horizontal", "x", "y"),
        answer="B",
        evidence=Evidence(rule="axis_of_smallest_rectangle", values={"axis": "e_w", "north_deg": None}),
    ),
    # 12.87 m is rounded to 13 m
    "length": make_item(
        "object_size",
        options=("7.9 m", "2.4 m", "13 m", "4.5 m"),
        answer="C",
        evidence=Evidence(rule="longer_side_of_smallest_rectangle", values={"length_m": 12.87}),
    ),
    "distance": make_item(
        "object_distance",
        options=("about 1,200 m", "about 310 m", "about 120 m", "about 580 m"),
        answer="A",
        evidence=Evidence(rule="distance_between_centres", values={"distance_m": 1184.6}),
    ),
    "conclusion": make_item(
        "environmental_reasoning",
        options=(
            "Most of the land is used for growing crops, so farming shapes this landscape.",
            "Most of the land is under forest, so woodland shapes this landscape.",
            "Open water covers most of the area, so it shapes this landscape.",
            "Roads run so close together that large shy animals find no quiet land here.",
        ),
        answer="B",
        evidence=Evidence(rule="mostly_wooded", values={"forest": [0.7, 0.7]}),
    ),
}


@pytest.mark.parametrize("item", SOUND.values(), ids=list(SOUND))
def test_a_sound_key_is_left_alone(item: QuestionItem) -> None:
    assert key_fault(item) is None


@pytest.mark.parametrize("item", SOUND.values(), ids=list(SOUND))
def test_any_other_letter_is_found(item: QuestionItem) -> None:
    others = [letter for letter in "ABCD"[: len(item.options)] if letter not in item.answer]
    for letter in others:
        assert key_fault(replace(item, answer=letter)) == KEY_DIFFERS


def test_a_count_that_the_evidence_does_not_give_is_found() -> None:
    assert key_fault(make_item(options=("1", "2", "4", "5"))) == KEY_DIFFERS


@pytest.mark.parametrize("moved", [Box(110, 60, 150, 90), Box(100, 50, 120, 65), Box(0, 0, 40, 30)])
def test_a_box_that_is_not_that_of_the_evidence_is_found(moved: Box) -> None:
    # the first one shares 30 x 20 px with the object's 40 x 30: 600 / 1,800 = 0.33
    assert key_fault(colour_item(box=moved)) == BOX_DIFFERS


def test_a_box_rounded_outwards_is_sound() -> None:
    geometry = shapely.box(100.9, 50.9, 108.1, 58.1)  # 7.2 px become 9 px: 51.84 / 81 = 0.64
    evidence = Evidence(
        rule="labelled_colour_seen", feature_ids=("h",), geometry=geometry, values={"class": "house", "colour": "blue"}
    )
    assert key_fault(colour_item(box=Box(100, 50, 109, 59), evidence=evidence)) is None


def test_a_question_in_other_words_says_nothing() -> None:
    worded = SOUND["conclusion"].worded(options=("Fields.", "Woods.", "Water.", "Roads."))
    assert key_fault(replace(worded, answer="A")) is None
