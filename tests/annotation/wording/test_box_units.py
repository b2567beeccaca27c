"""Which units of its box a question states: one table for training, export and benchmark."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from rsvqa.annotation.wording.box_units import UNITS_SAID, BoxUnits, ask_in_units, stated_units

STATED = {
    # ranges
    "Find it: [x1, y1, x2, y2] in normalised coordinates from 0 to 1.": "0-1",
    "Give its box, normalised to 0–1.": "0-1",
    "Give its box (0-1).": "0-1",
    "Give its box, 0 ~ 1.": "0-1",
    "values of 0 up to 1": "0-1",
    "values from 0.0 to 1.0": "0-1",
    "From 0 To 1": "0-1",
    "each value between 0 and 1": "0-1",
    "values in [0, 1]": "0-1",
    "values in [0,1].": "0-1",
    "with 0 <= x <= 1": "0-1",
    "with 0 ≤ x ≤ 1": "0-1",
    "坐标范围 0 到 1": "0-1",
    "坐标范围为0到1。": "0-1",
    "取值在0和1之间": "0-1",
    "每个值介于 0 与 1 之间": "0-1",
    "坐标（0，1）": "0-1",
    "from 0 to 100": "0-100",
    "between 0 and 100": "0-100",
    "from 0 to 1000": "0-1000",
    "from 0 to 1,000": "0-1000",
    "Give the box from 0 to 1,000.": "0-1000",
    "normalised to 0–1000": "0-1000",
    "coordinates in [0, 999]": "0-1000",
    "0-999": "0-1000",
    "坐标范围 0 到 1000": "0-1000",
    # words
    "Locate the ship. Return the normalized bounding box [x1, y1, x2, y2].": "0-1",
    "Answer with normalized coordinates.": "0-1",
    "Output the bounding box coordinates, normalized.": "0-1",
    "Give [x1, y1, x2, y2], normalized by the image width and height.": "0-1",
    "as shares of the image's width and height": "0-1",
    "as fractions of the width": "0-1",
    "请给出归一化的边界框坐标。": "0-1",
    "取值为占图像宽度和高度的比例": "0-1",
    "in percent of the image": "0-100",
    "as percentages of the image's width and height": "0-100",
    "取值为占图像宽度和高度的百分比": "0-100",
    "in thousandths of the image's width and height": "0-1000",
    "取值为占图像宽度和高度的千分比": "0-1000",
    "Give the box in pixels.": "pixels",
    "Give the box in absolute pixel coordinates.": "pixels",
    "单位为图像像素": "pixels",
    "请以像素为单位给出边界框": "pixels",
    # of two boxes, one is given
    "What lies beside [60, 20, 110, 40] (in pixels)? Give its box from 0 to 1.": "0-1",
}
UNSTATED = [
    "Where is it?",
    "",
    "from 0 to 10",
    "from 0 to 15",
    "from 0 to 1.5",
    "from 0 to 1,5",
    "from 0 to 10,000",
    "from 0 to 100000",
    "10 to 1",
    "1.0 to 1",
    "1,0 to 1",
    "from -0.0 to 255",
    "0.5 to 1",
    "[0, 1, 5, 7]",
    "The box is [0, 1, 100, 200]. What stands there?",
    "image 0 to image 1",
    "Compare images 0 to 1: where is the new house?",
    "Compare image 0 and 1: where is the new house?",
    "Where is the ship that is 0.1 km from pier 1?",
    "Where is the ship within 0 to 1 km of the pier?",
    "Where is the ship within 0–100 m of the pier?",
    "Where is the match that ended 2:0 to 1:1?",
    "Which field has the highest normalized difference vegetation index?",
    "归一化植被指数最高的田地在哪里？",
    "Where is the area that covers 60 % of the image?",
    "Where is the field that takes the largest share of the image?",
    "占图像百分比最大的田地在哪里？",
    "Where is the roof of 30 pixels?",
    "What lies beside [60, 20, 110, 40] (in pixels)?",
    "A0-1",
    # two statements: nothing is guessed
    "from 0 to 1, not from 0 to 1000",
]


@pytest.mark.parametrize(("text", "units"), STATED.items())
def test_a_question_states_its_units(text: str, units: str) -> None:
    assert stated_units(text) == units


@pytest.mark.parametrize("text", UNSTATED)
def test_other_words_and_numbers_state_none(text: str) -> None:
    assert stated_units(text) is None


def grounding_questions() -> list[str]:
    wording = tomllib.loads(
        files("rsvqa.annotation.wording").joinpath("en", "grounding.toml").read_text(encoding="utf-8")
    )
    return [question for task in wording.values() for question in task.get("question", [])]


def test_every_grounding_question_of_our_own_states_its_units() -> None:
    questions = grounding_questions()
    assert len(questions) >= 10
    assert {stated_units(question) for question in questions} == {"0-1"}


# --- asking in other units ---

JSON_FORM = '[{"bbox_2d": [x1, y1, x2, y2], "label": "name"}]'


@pytest.mark.parametrize("units", ["pixels", "0-1000"])
@pytest.mark.parametrize("question", grounding_questions())
def test_every_grounding_question_can_be_asked_in_other_units(question: str, units: BoxUnits) -> None:
    asked = ask_in_units(question, units, JSON_FORM)
    assert asked is not None
    assert stated_units(asked) == units
    # the form and the units stand once, and nothing of the old ones is left
    assert (asked.count(JSON_FORM), asked.count(UNITS_SAID[units])) == (1, 1)
    assert "ormali" not in asked
    assert "0–1" not in asked.replace("0–1000", "")
    assert "share" not in asked


def test_the_words_for_units_fit_into_the_sentence() -> None:
    asked = ask_in_units("Mark it by a box [x1, y1, x2, y2] with coordinates normalised to 0–1.", "0-1000", "[x1, y1]")
    said = "with coordinates in thousandths of the image's width and height from 0 to 1000."
    assert asked == f"Mark it by a box [x1, y1] {said}"
    assert ask_in_units("Where is it?", "pixels", "(x1,y1),(x2,y2)") == (
        "Where is it?\nAnswer with (x1,y1),(x2,y2), in pixels of the image."
    )


def test_units_in_words_that_are_not_known_are_not_changed() -> None:
    assert ask_in_units("Give the box as percentages of the width, 0 to 100.", "0-1000", JSON_FORM) is None
    assert ask_in_units("请给出归一化的边界框坐标。", "pixels", JSON_FORM) is None


@pytest.mark.parametrize("units", UNITS_SAID)
def test_the_words_for_units_are_understood(units: BoxUnits) -> None:
    assert stated_units(f"Answer with a box, {UNITS_SAID[units]}.") == units
