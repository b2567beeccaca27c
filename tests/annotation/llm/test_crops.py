"""What a model is shown: sizes, windows and outlines, read back from the pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.llm.crops import (
    CropSettings,
    CropWindow,
    focus_of,
    frame_around,
    nine_frames,
    picture_of,
    show,
    show_whole,
)
from rsvqa.annotation.llm.items import QuestionItem, ShownImage
from rsvqa.annotation.llm.requests import RequestPicture
from rsvqa.annotation.taxonomy import AnswerForm
from tests.annotation.llm.make_items import (
    HEIGHT,
    WIDTH,
    colour_item,
    grounding_item,
    make_item,
    make_pixels,
    region_item,
)

SETTINGS = CropSettings(overview_px=150, part_px=90, crop_px=100, context=1.0)


def decoded(picture: RequestPicture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data)).convert("RGB")


def test_the_nine_parts_cover_every_pixel_once() -> None:
    seen = np.zeros((200, 301), int)
    for frame in nine_frames(301, 200):
        seen[frame.y_min : frame.y_max, frame.x_min : frame.x_max] += 1
    assert (seen == 1).all()
    assert nine_frames(300, 200)[5] == CropWindow(200, 67, 300, 133)  # middle right


def test_a_whole_tile_is_an_overview_and_nine_parts_within_the_limits() -> None:
    shown = show(make_item(), SETTINGS)
    # 300 x 200 to 150 x 100; parts of 100 x 67 to 90 x 60, those of the middle row of 100 x 66 to 90 x 59
    rows = [(90, 60)] * 3, [(90, 59)] * 3, [(90, 60)] * 3
    assert [decoded(picture).size for picture in shown.pictures] == [(150, 100), *rows[0], *rows[1], *rows[2]]
    assert (
        shown.legend.splitlines()[5]
        == "Picture 6: the centre part of the image, the window [100, 67, 200, 133] in pixels"
    )


def test_a_tile_no_larger_than_the_overview_is_shown_alone() -> None:
    shown = show_whole(make_item(), CropSettings())
    assert [decoded(picture).size for picture in shown.pictures] == [(300, 200)]
    assert shown.captions == ("the whole image",)


def test_a_part_is_cut_from_where_its_caption_says() -> None:
    shown = show(colour_item(), SETTINGS)
    # 40 px of context on each side of [100, 50, 140, 80]
    assert shown.frame == CropWindow(60, 10, 181, 121)
    part = decoded(picture_of(make_pixels(), shown.frame, 500, SETTINGS))
    red, green, _ = np.asarray(part)[80, 100].tolist()
    assert abs(red - 160 * 255 // WIDTH) <= 4
    assert abs(green - 90 * 255 // HEIGHT) <= 4


def test_the_box_of_a_question_is_outlined_and_not_painted_over() -> None:
    shown = show(colour_item(), CropSettings(crop_px=1_000, jpeg_quality=95))
    pixels = np.asarray(decoded(shown.pictures[1])).astype(int)
    is_red = (pixels[..., 0] > 180) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    columns = np.nonzero(is_red)[1]
    # box [100, 50, 140, 80] in a window from (60, 10): columns 40 to 80, rows 40 to 70, and 3 px around them
    assert columns.min() in range(36, 39)
    assert columns.max() in range(81, 84)
    assert not is_red[42:68, 42:78].any()


def test_a_box_to_be_found_is_in_the_window_but_not_in_its_middle() -> None:
    settings = CropSettings(context=2.0)
    offsets = []
    for number in range(20):
        item = grounding_item(question_id=f"q{number}", width=4_000, height=4_000, box=Box(2_000, 2_000, 2_040, 2_030))
        frame = frame_around(item, Box(2_000, 2_000, 2_040, 2_030), settings.context)
        assert frame.x_min <= 2_000
        assert frame.x_max >= 2_040
        assert frame.y_min <= 2_000
        assert frame.y_max >= 2_030
        offsets.append((frame.x_min + frame.x_max) / 2 - 2_020)
    assert len({round(offset) for offset in offsets}) > 10
    assert max(map(abs, offsets)) > 20
    assert "outline" not in show(grounding_item(), SETTINGS).legend


def test_a_circle_is_shown_on_both_dates() -> None:
    views = (ShownImage("a", make_pixels), ShownImage("b", make_pixels))
    item = make_item("change_counting", region=Circle(150, 100, 40), region_number=1, views=views)
    shown = show(item, SETTINGS)
    assert len(shown.pictures) == 4
    assert shown.frame == CropWindow(30, 0, 271, 200)
    assert shown.captions[2] == "the whole image at the later date, reduced"


@pytest.mark.parametrize(
    ("item", "is_whole"),
    [
        (make_item("anomaly_detection", form=AnswerForm.YES_NO, evidence=colour_item().evidence), True),
        (make_item("overall_counting"), True),
        (region_item(), False),
        (colour_item(), False),
    ],
)
def test_a_part_is_never_chosen_by_the_answer(item: QuestionItem, is_whole: bool) -> None:
    assert (focus_of(item) is None) is is_whole
