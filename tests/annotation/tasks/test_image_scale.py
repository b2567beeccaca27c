"""What is said after a question: the image's size and the ground that a pixel covers."""

from __future__ import annotations

import pytest

from rsvqa.annotation.facts import Gsd
from rsvqa.annotation.tasks.image_scale import area_text, length_text, scale_text, with_scale, with_size
from tests.annotation.make_facts import make_context, make_facts


@pytest.mark.parametrize(
    ("metres", "text"),
    [(0.5, "0.5"), (0.29834, "0.298"), (1.0, "1"), (10.0, "10"), (1234.5, "1230"), (0.0712, "0.0712"), (0.9999, "1")],
)
def test_metres_per_pixel_have_three_digits_and_no_exponent(metres: float, text: str) -> None:
    assert scale_text(metres) == text


def test_nothing_is_said_of_a_scale_that_nobody_knows() -> None:
    assert with_scale(make_context(make_facts()), "How long?") == "How long?"


def test_pixels_that_are_not_square_have_two_scales() -> None:
    told = {with_scale(make_context(make_facts(gsd_m=Gsd(0.5, 2)), seed=seed), "How long?") for seed in range(20)}
    assert told == {
        "How long? One pixel is 0.5 m wide and 2 m high on the ground.",
        "How long? Ground sampling distance: 0.5 m per pixel from left to right, 2 m from top to bottom.",
    }


def test_the_size_is_width_by_height() -> None:
    told = {with_size(make_context(make_facts(size=640), seed=seed), "Where?") for seed in range(20)}
    assert told == {
        "Where? Image resolution: 640 x 640.",
        "Where? The image is 640 x 640 pixels.",
        "Where? Image size: 640 x 640.",
    }


@pytest.mark.parametrize(
    ("metres", "text"),
    [
        (0.45, "0.45 m"),
        (4.0, "4 m"),
        (5.24, "5.2 m"),
        (307, "310 m"),
        (994, "990 m"),
        (1000, "1 km"),
        (1540, "1.5 km"),
        (1_144_332, "1,100 km"),
    ],
)
def test_lengths_are_told_in_sensible_units(metres: float, text: str) -> None:
    assert length_text(metres) == text


@pytest.mark.parametrize(
    ("m2", "text"), [(5840, "5,800 m²"), (9_960, "1 ha"), (94_372, "9.4 ha"), (1e6, "1 km²"), (1.3e12, "1,300,000 km²")]
)
def test_areas_are_told_in_sensible_units(m2: float, text: str) -> None:
    assert area_text(m2) == text
