"""Boxes in replies and in questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.models import BoxConvention, ModelView
from rsvqa.benchmark.protocol.boxes import find_boxes, read_box, rewrite_boxes

SIZE = ImageSize(width=1000, height=500)
BOX = Box(0.1, 0.2, 0.3, 0.4)


# --- replies ---


@pytest.mark.parametrize(
    "reply",
    [
        "[0.1, 0.2, 0.3, 0.4]",
        "[0.1,0.2,0.3,0.4].",
        "(0.1, 0.2, 0.3, 0.4)",
        "0.1 0.2 0.3 0.4",
        "0.1, 0.2, 0.3, 0.4.",
        "(0.1, 0.2), (0.3, 0.4)",
        "[[0.1, 0.2], [0.3, 0.4]]",
        "<|box_start|>(0.1,0.2),(0.3,0.4)<|box_end|>",
        "<box>0.1 0.2 0.3 0.4</box>",
        '```json\n{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "label": "car"}\n```',
        '{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}',
        "x1=0.1, y1=0.2, x2=0.3, y2=0.4",
        "The red car is at [0.10, 0.20, 0.30, 0.40] in the 2 x 2 grid.",
        "[0.1, 0.2, 0.3, 0.4], that is [0.1, 0.2, 0.3, 0.4]",
        "<think>[0.5, 0.5, 0.6, 0.6]?</think>[0.1, 0.2, 0.3, 0.4]",
        "［0.1，0.2，0.3，0.4］",
        "{<0.1><0.2><0.3><0.4>}",
        "<0.1> <0.2> <0.3> <0.4>",
    ],
)
def test_a_box_is_read_in_any_dress(reply: str) -> None:
    assert read_box(reply, convention="0-1", size=SIZE) == BOX


@pytest.mark.parametrize(
    ("reply", "convention"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", "0-1"),
        ("[10, 20, 30, 40]", "0-100"),
        ("[100, 200, 300, 400]", "0-1000"),
        ("[100, 100, 300, 200]", "pixels"),
        # canvas: 1000 × 500 halved to 500 × 250, set 125 px down: x · 0.5, y · 0.5 + 125
        ("[50, 175, 150, 225]", "view_pixels"),
    ],
)
def test_units_are_those_declared(reply: str, convention: BoxConvention) -> None:
    view = ModelView(width=500, height=500, scale_x=0.5, scale_y=0.5, offset_y=125)
    assert read_box(reply, convention=convention, size=SIZE, view=view) == pytest.approx(BOX)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot see it.",
        "[0.1, 0.2, 0.3]",
        "[0.1, 0.2, 0.3, 0.4, 0.5]",
        "[0.3, 0.2, 0.1, 0.4]",  # corners in the wrong order
        "[0.1, 0.4, 0.3, 0.2]",
        "[0.1, 0.2, 0.1, 0.4]",  # no width
        "[100, 200, 300, 400]",  # not the declared units, and never guessed
        "[0.1, 0.2, 0.3, 1.02]",  # 2 % beyond the image
        "[-0.1, 0.2, 0.3, 0.4]",
        "[0.1, 0.2, 0.3, 0.4] or [0.5, 0.5, 0.6, 0.6]",
        "10%, 20%, 30%, 40%",
        "<think>[0.1, 0.2, 0.3, 0.4]",
        "0.1.2, 0.2, 0.3, 0.4",
        "{<0.1><0.2><0.3><0.4>|<45>}",  # turned by an angle
        "{<0.1><0.2><0.3><0.4>}{<0.5><0.5><0.6><0.6>}",
    ],
)
def test_what_is_no_valid_box_is_none(reply: str) -> None:
    assert read_box(reply, convention="0-1", size=SIZE) is None


def test_a_box_a_little_beyond_the_image_is_cut() -> None:
    assert read_box("[-5, 0, 1005, 1000]", convention="0-1000", size=SIZE) == Box(0, 0, 1, 1)


def test_view_pixels_need_the_view() -> None:
    with pytest.raises(ValueError, match="cannot be read without the view"):
        read_box("[1, 2, 3, 4]", convention="view_pixels", size=SIZE)


@given(st.text(max_size=100))
def test_any_reply_gives_a_box_inside_or_none(reply: str) -> None:
    box = read_box(reply, convention="0-100", size=SIZE)
    assert box is None or 0 <= box.x_min < box.x_max <= 1


@pytest.mark.parametrize("unit", ["1", "0.1, ", "[1, 2, 3, 4] ", "x: 1, "])
@pytest.mark.timeout(60)  # a second; what is quadratic takes minutes
def test_a_million_characters_take_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    read_box(text, convention="0-1", size=SIZE)
    find_boxes(text, SIZE)


# --- questions ---

QUESTION = "What colour is it? Image resolution: 1000 x 500. Bounding box: [100, 100, 300, 200]."


def test_boxes_of_a_question_are_found_in_pixels() -> None:
    assert find_boxes(QUESTION, SIZE) == (Box(100, 100, 300, 200),)
    assert find_boxes("Box [1.5, 2, 30, 40] and [5,6,7,8]", SIZE) == (Box(1.5, 2, 30, 40), Box(5, 6, 7, 8))


def test_boxes_are_stretched_from_the_stated_size_to_the_image() -> None:
    # stated 1000 × 500, decoded 2000 × 500: x doubles
    assert find_boxes(QUESTION, ImageSize(width=2000, height=500)) == (Box(200, 100, 600, 200),)


def test_shares_and_points_are_no_pixel_boxes() -> None:
    assert find_boxes("[0.1, 0.2, 0.3, 1] [10, 20] [1, 2, 3]", SIZE) == ()


def test_a_question_is_rewritten_to_what_the_model_sees() -> None:
    view = ModelView(width=448, height=448, scale_x=0.448, scale_y=0.448, offset_y=112)
    # 100 · 0.448 = 44.8 → 45; 100 · 0.448 + 112 = 156.8 → 157; 134.4 → 134; 201.6 → 202
    assert rewrite_boxes(QUESTION, size=SIZE, view=view) == (
        "What colour is it? Image resolution: 448 x 448. Bounding box: [45, 157, 134, 202]."
    )


def test_a_stated_size_that_differs_from_the_image_is_that_of_its_boxes() -> None:
    # stated 1000 × 500, decoded 2000 × 1000, seen at a quarter: 500 × 250, so boxes are halved
    view = ModelView(width=500, height=250, scale_x=0.25, scale_y=0.25)
    assert rewrite_boxes(QUESTION, size=ImageSize(width=2000, height=1000), view=view).endswith(
        "Image resolution: 500 x 250. Bounding box: [50, 50, 150, 100]."
    )


def test_points_are_rewritten_beside_a_stated_size_only() -> None:
    view = ModelView(width=500, height=250, scale_x=0.5, scale_y=0.5)
    text = "Image resolution: 1000 x 500. From the point [10, 20] to [30, 40]?"
    assert (
        rewrite_boxes(text, size=SIZE, view=view) == "Image resolution: 500 x 250. From the point [5, 10] to [15, 20]?"
    )
    assert rewrite_boxes("Are there [10, 20] cars?", size=SIZE, view=view) == "Are there [10, 20] cars?"


@pytest.mark.parametrize(
    "text", ["What is it?", "Answer as [x1, y1, x2, y2] from 0 to 1.", "Box [0.1, 0.2, 0.3, 0.4]", "[1, 2, 3]"]
)
def test_what_holds_no_pixel_box_is_left_alone(text: str) -> None:
    assert rewrite_boxes(text, size=SIZE, view=ModelView(width=500, height=250, scale_x=0.5, scale_y=0.5)) == text


def test_a_view_of_the_same_size_changes_no_byte() -> None:
    text = QUESTION.replace("100,", "100.25,")
    assert rewrite_boxes(text, size=SIZE, view=ModelView(width=1000, height=500, scale_x=1, scale_y=1)) == text


@given(
    st.tuples(*[st.integers(0, 4000)] * 4).filter(lambda box: max(box) > 1),
    st.floats(0.1, 3),
    st.floats(0.1, 3),
    st.integers(0, 50),
)
def test_what_is_rewritten_is_found_where_the_model_sees_it(
    box: tuple[int, int, int, int], scale_x: float, scale_y: float, offset: int
) -> None:
    view = ModelView(
        width=round(4000 * scale_x) + 100,
        height=round(4000 * scale_y) + 100,
        scale_x=scale_x,
        scale_y=scale_y,
        offset_x=offset,
        offset_y=offset + 2,
    )
    seen = rewrite_boxes(f"Box: {list(box)}", size=ImageSize(4000, 4000), view=view)
    (found,) = find_boxes(seen, ImageSize(view.height, view.width))
    expected = [box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y]
    expected = [value + (offset + 2 if place % 2 else offset) for place, value in enumerate(expected)]
    assert found == pytest.approx(expected, abs=0.51)
