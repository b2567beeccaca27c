"""Colours against published Lab values, CSS names and shapes that Pillow draws."""

from __future__ import annotations

import math
import tomllib
from importlib import resources

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from shapely import Point, Polygon, box

from rsvqa.annotation.tasks.colours import (
    _POSSIBLE,
    _RANGES,
    _SURE,
    COLOURS,
    MAX_SAMPLED_PIXELS,
    _median,
    _named,
    _Range,
    _Shades,
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
        ("brown", "saddlebrown sienna"),
        ("beige", "tan wheat bisque"),
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
    assert name_of(120, 125, 130) == "grey"
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
    measured = measure_colour(two_colours(0.9), box(0, 0, 20, 20))
    assert (measured.name, measured.num_pixels) == ("red", 400)
    assert measured.share == pytest.approx(0.9)
    assert measured.possible == {"red", "pink", "white"}  # crimson is pink to some


def test_an_object_of_two_colours_has_no_name() -> None:
    # 17 of 20 columns are 85 %; the other 15 % are surely white
    assert measure_colour(two_colours(0.85), box(0, 0, 20, 20)).name is None
    assert measure_colour(two_colours(0.7), box(0, 0, 20, 20)).name is None
    assert measure_colour(two_colours(0.5), box(0, 0, 20, 20)).name is None


def test_only_pixels_inside_the_outline_count() -> None:
    # the left 14 columns of 20 are red; inside x < 10 everything is
    measured = measure_colour(two_colours(0.7), box(0, 0, 10, 20))
    assert (measured.name, measured.share, measured.num_pixels) == ("red", 1.0, 200)
    assert measured.possible == {"red", "pink"}


def test_too_few_pixels_have_no_colour() -> None:
    assert measure_colour(two_colours(1.0), box(0, 0, 11, 1)).name is None  # 11 px
    assert measure_colour(two_colours(1.0), box(0, 0, 12, 1)).name == "red"  # 12 px


@pytest.mark.parametrize("outline", [Polygon(), box(30, 30, 40, 40), Point(5, 5)])
def test_an_outline_without_pixels_has_no_colour(outline: Polygon) -> None:
    measured = measure_colour(two_colours(1.0), outline)
    assert (measured.name, measured.num_pixels) == (None, 0)


@pytest.mark.parametrize(
    ("rgb", "possible"),
    [
        ((178, 102, 80), {"red", "brown", "orange", "pink"}),  # L 51, chroma 38, hue 42: old clay tiles
        ((206, 154, 141), {"brown", "red", "pink", "orange"}),  # L 68, chroma 23, hue 39: sunlit painted iron
        ((205, 133, 63), {"brown", "orange"}),  # L 62, chroma 52, hue 66: CSS "peru"
        ((120, 130, 140), {"grey", "blue"}),  # L 54, chroma 7, hue 257: slate, or asphalt under haze
        ((226, 222, 208), {"white", "beige", "grey", "brown", "green"}),  # L 88, chroma 8, hue 98: cream or dirty white
    ],
)
def test_between_two_names_there_is_none(rgb: tuple[int, int, int], possible: set[str]) -> None:
    measured = measure_colour(np.full((20, 20, 3), rgb, dtype=np.uint8), box(0, 0, 20, 20))
    assert measured.name is None
    assert measured.share == 0
    assert measured.possible <= possible
    assert len(measured.possible) >= 2


def test_no_colour_surely_has_two_names_and_each_name_is_possible() -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    lab = rgb_to_lab(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3))
    shades = _Shades.of(lab)
    sure, possible = _named(_RANGES, shades)
    assert sure.sum(axis=0).max() == 1
    assert not (sure & ~possible).any()
    # every colour is called something, and a third of the cube surely so
    assert possible.any(axis=0).mean() > 0.99
    assert sure.any(axis=0).mean() > 0.33


@pytest.mark.parametrize(
    ("hue", "is_purple", "is_pink"),
    [(311.5, False, False), (326, True, False), (355, False, True), (5, False, True), (45, False, False)],
)
def test_a_range_of_hues_may_run_through_zero(hue: float, is_purple: bool, is_pink: bool) -> None:
    # sure purple is 312–340, sure pink of this lightness and chroma 345–28
    lightness, chroma = (55, 40) if is_purple else (81, 41)
    lab = np.array([[lightness, chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))]])
    named = _named(_RANGES, _Shades.of(lab))[0, :, 0]
    assert (named[COLOURS.index("purple")], named[COLOURS.index("pink")]) == (is_purple, is_pink)


@pytest.mark.parametrize("number", [1, 2, 12, 13])
def test_the_middle_pixel_is_that_of_numpy(number: int) -> None:
    values = np.random.default_rng(number).normal(size=(number, 3))
    assert np.array_equal(_median(values), np.median(values, axis=0, keepdims=True))


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


def test_all_ranges_at_once_name_what_each_range_by_itself_does() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    lab = rng.uniform((0, -110, -110), (101, 110, 110), (5000, 3))

    def is_in(found: _Range, value: NDArray[np.float64]) -> bool:
        lightness, a, b = value.tolist()
        first, last = found.hue
        is_hue = (math.degrees(math.atan2(b, a)) - first) % 360 < ((last - first) % 360 or 360)
        return bool(
            found.lightness[0] <= lightness < found.lightness[1]
            and found.chroma[0] <= math.hypot(a, b) < found.chroma[1]
            and is_hue
        )

    for table, ranges in enumerate((_SURE, _POSSIBLE)):
        expected = [[any(is_in(found, value) for found in ranges[name]) for value in lab] for name in COLOURS]
        assert _named(_RANGES, _Shades.of(lab))[table].tolist() == expected
        # of few colours, most ranges are left out by their extremes; of one, often all of them
        for few in (slice(0, 1), slice(1, 2), slice(2, 5)):
            assert _named(_RANGES, _Shades.of(lab[few]))[table].tolist() == [row[few] for row in expected]
