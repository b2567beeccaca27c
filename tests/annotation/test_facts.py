"""Boxes: pixels and shares, and how much two have in common."""

from __future__ import annotations

import pytest

from rsvqa.annotation.facts import Box, as_shares, in_pixels, iou


def test_iou_by_hand() -> None:
    assert iou(Box(0, 0, 2, 2), Box(0, 0, 2, 2)) == 1
    assert iou(Box(0, 0, 2, 2), Box(1, 1, 3, 3)) == pytest.approx(1 / 7, abs=1e-9)  # 1 of 4 + 4 - 1
    assert iou(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3, abs=1e-9)  # 50 of 100 + 100 - 50
    assert iou(Box(0, 0, 1, 1), Box(1, 0, 2, 1)) == 0
    assert iou(Box(0, 0, 1, 1), Box(2, 2, 3, 3)) == 0
    assert iou(Box(1, 1, 1, 1), Box(1, 1, 1, 1)) == 0  # both empty


def test_half_is_half_however_the_numbers_are_written() -> None:
    # 0.1 x 0.3 in 0.2 x 0.3; without rounding 0.4999999999999999
    assert iou(Box(0.1, 0, 0.2, 0.3), Box(0.1, 0, 0.1 + 0.2, 0.3)) == 0.5


def test_shares_of_an_image_are_pixels_of_its_width_and_height() -> None:
    box = Box(0.25, 0.5, 0.5, 1.0)
    assert in_pixels(box, 200, 100) == Box(50, 50, 100, 100)
    assert as_shares(Box(50, 50, 100, 100), 200, 100) == box
