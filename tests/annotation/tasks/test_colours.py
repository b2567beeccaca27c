"""Colours against published Lab values, CSS names and shapes that Pillow draws."""

from __future__ import annotations

import tomllib
from importlib import resources

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw
from shapely import Point, Polygon, box

from rsvqa.annotation.tasks.colours import (
    COLOURS,
    MAX_SAMPLED_PIXELS,
    measure_colour,
    pixels_inside,
    rgb_to_lab,
)
from tests.annotation.make_facts import rectangle


def name_of(red: int, green: int, blue: int) -> str | None:
    """Return the name of a square of one colour."""
    return measure_colour(np.full((4, 4, 3), (red, green, blue), dtype=np.uint8), box(0, 0, 4, 4)).name


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        # published Lab (D65, 2 degrees) of the sRGB corners, e.g. brucelindbloom.com's calculator
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_srgb_is_the_published_one(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert rgb_to_lab(np.array([rgb], dtype=np.uint8))[0] == pytest.approx(lab, abs=0.02)


@pytest.mark.parametrize(
    ("name", "css"),
    [
        ("black", "black"),
        ("grey", "gray dimgray darkgray silver"),
        ("white", "white ivory whitesmoke snow"),
        ("red", "red crimson firebrick darkred"),
        ("orange", "orange darkorange"),
        ("brown", "saddlebrown sienna chocolate"),
        ("yellow", "yellow gold"),
        ("green", "green forestgreen darkgreen olivedrab chartreuse"),
        ("cyan", "cyan turquoise darkcyan"),
        ("blue", "blue navy royalblue dodgerblue steelblue"),
        ("purple", "purple indigo blueviolet"),
        ("pink", "pink hotpink deeppink"),
    ],
)
def test_css_colours_keep_their_names(name: str, css: str) -> None:
    assert {word: name_of(*ImageColor.getrgb(word)[:3]) for word in css.split()} == dict.fromkeys(css.split(), name)


def test_dark_green_fields_and_hazy_asphalt_have_the_names_that_people_give() -> None:
    assert name_of(90, 100, 70) == "green"
    assert name_of(120, 130, 140) == "grey"
    assert name_of(20, 25, 30) == "black"
    assert name_of(150, 120, 90) == "brown"  # dry soil


def test_every_colour_has_a_word() -> None:
    common = tomllib.loads(resources.files("rsvqa.annotation.wording").joinpath("en/common.toml").read_text("utf-8"))
    assert tuple(common["colour"]) == COLOURS


def two_colours(share_red: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return 20 x 20 px: red columns on the left, white ones on the right."""
    pixels = np.full((20, 20, 3), 255, dtype=np.uint8)
    pixels[:, : round(20 * share_red)] = (220, 20, 60)
    return pixels


def test_the_dominant_colour_is_named_with_its_share() -> None:
    measured = measure_colour(two_colours(0.7), box(0, 0, 20, 20))
    assert (measured.name, measured.num_pixels) == ("red", 400)
    assert measured.share == pytest.approx(0.7)
    assert measured.possible == {"red", "white"}


def test_below_sixty_percent_no_colour_is_named() -> None:
    assert measure_colour(two_colours(0.6), box(0, 0, 20, 20)).name == "red"
    assert measure_colour(two_colours(0.55), box(0, 0, 20, 20)).name is None


def test_only_pixels_inside_the_outline_count() -> None:
    # the left half is 14 red columns of 20; inside x < 10 everything is red
    measured = measure_colour(two_colours(0.7), box(0, 0, 10, 20))
    assert (measured.name, measured.share, measured.num_pixels) == ("red", 1.0, 200)
    assert measured.possible == {"red"}


def test_too_few_pixels_have_no_colour() -> None:
    assert measure_colour(two_colours(1.0), box(0, 0, 11, 1)).name is None  # 11 px
    assert measure_colour(two_colours(1.0), box(0, 0, 12, 1)).name == "red"  # 12 px


@pytest.mark.parametrize("outline", [Polygon(), box(30, 30, 40, 40), Point(5, 5)])
def test_an_outline_without_pixels_has_no_colour(outline: Polygon) -> None:
    measured = measure_colour(two_colours(1.0), outline)
    assert (measured.name, measured.num_pixels) == (None, 0)


def test_a_colour_at_a_border_may_be_called_by_both_names() -> None:
    # hue 42 lies one degree from the border between red and brown or orange
    pixels = np.full((20, 20, 3), (178, 102, 80), dtype=np.uint8)
    measured = measure_colour(pixels, box(0, 0, 20, 20))
    assert measured.name == "red"
    assert measured.possible == {"red", "brown"}


def test_a_faded_red_roof_is_never_surely_not_red() -> None:
    # L 68, chroma 23, hue 39: a sunlit iron roof, "brown" by its chroma
    pixels = np.full((20, 20, 3), (206, 154, 141), dtype=np.uint8)
    measured = measure_colour(pixels, box(0, 0, 20, 20))
    assert measured.name == "brown"
    assert {"brown", "red", "pink"} <= measured.possible


def test_pixels_are_those_whose_centres_pillow_fills() -> None:
    outline = rectangle(50, 40, 47, 21, clockwise_deg=30)
    pixels = np.zeros((100, 100, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = np.meshgrid(np.arange(100), np.arange(100))
    # Pillow as the other tool: the outline drawn 16 times larger, sampled at the pixel centres
    large = Image.new("1", (1600, 1600))
    ImageDraw.Draw(large).polygon([(16 * x, 16 * y) for x, y in outline.exterior.coords], fill=1)
    drawn = np.asarray(large)[8::16, 8::16]
    inside = np.zeros((100, 100), dtype=bool)
    found = pixels_inside(pixels, outline)
    inside[found[:, 1], found[:, 0]] = True
    # Pillow paints its outline too, a sixteenth of a pixel wide
    assert np.count_nonzero(inside != drawn) <= 0.01 * np.count_nonzero(drawn)


def test_large_outlines_are_thinned_to_a_bounded_sample() -> None:
    pixels = np.zeros((2000, 2000, 3), dtype=np.uint8)
    found = pixels_inside(pixels, box(0, 0, 2000, 2000))
    assert MAX_SAMPLED_PIXELS / 2 < len(found) <= MAX_SAMPLED_PIXELS
