"""Pairs of dates, and whether their pixels can be laid on each other."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shapely import box

from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.pairs import Alignment, FoundPairs, alignment, find_pairs
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.scenes_file import ScenesFileError
from tests.rsvqa_builder.make_rasters import find_data

CRS = 'LOCAL_CS["site",UNIT["metre",1]]'


def make_scene(path: Path | str, day: dt.date | None = None) -> Scene:
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    acquired = dt.datetime.combine(day, dt.time()) if day else None
    name = str(Path(path).with_suffix(""))
    return Scene(scene_id=name, path=str(path), width=100, height=80, bands=(1,), dtype="uint8", acquired=acquired)


def placed(x: float, y: float, *, pixel: float = 1.0, turn: float = 0.0, width: int = 100, height: int = 80) -> Scene:
    cos, sin = pixel * math.cos(math.radians(turn)), pixel * math.sin(math.radians(turn))
    scene = Scene(scene_id="a", path="a.tif", width=width, height=height, bands=(1,), dtype="uint8")
    return replace(scene, crs=CRS, transform=AffineCoefficients(cos, sin, x, sin, -cos, y))


def test_pairs_are_named_in_a_file_beside_the_scenes(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / "in" / name, dt.date(2010, 1, 1)) for name in ("a.tif", "b.tif", "c.tif")]
    (tmp_path / "in/scenes.toml").write_text(
        '[[pair]]\nearlier = "b.tif"\nlater = "a.tif"\nearlier_date = 2009-12-31\n', encoding="utf-8"
    )
    found = find_pairs(scenes, str(tmp_path))
    assert found.left_out == ()
    assert found.pairs == ((scenes[1], scenes[0], dt.date(2009, 12, 31), dt.date(2010, 1, 1)),)


def test_pairs_are_told_by_their_names(tmp_path: Path) -> None:
    names = ["x/town_t1.tif", "x/town_T2.tif", "y/town_t1.tif", "z_t2.tif", "plain.tif"]
    scenes = [make_scene(tmp_path / name) for name in names]
    found = find_pairs(scenes, str(tmp_path))
    assert found.pairs == ((scenes[0], scenes[1], None, None),)


def test_the_file_comes_before_the_names(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / name) for name in ("a_t1.tif", "a_t2.tif", "b.tif")]
    (tmp_path / "scenes.toml").write_text('[[pair]]\nearlier = "a_t2.tif"\nlater = "b.tif"\n')
    assert [pair[:2] for pair in find_pairs(scenes, str(tmp_path)).pairs] == [(scenes[1], scenes[2])]


def test_a_pair_that_lost_a_scene_is_left_out_with_the_reason(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / name) for name in ("a.tif", "b.tif")]
    (tmp_path / "scenes.toml").write_text('[[pair]]\nearlier = "a.tif"\nlater = "b.tif"\n')
    found = find_pairs(scenes[:1], str(tmp_path))
    assert found.pairs == ()
    assert found.left_out[0].path == str(tmp_path / "a.tif")
    assert f"needs {tmp_path / 'b.tif'}, which is not among the usable scenes" in found.left_out[0].reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[pair]]\nearlier = "a.tif"\nlatter = "b.tif"\n', "pair.1.later: field required"),
        ('[[pair]]\nearlier = "a.tif"\nlater = "b.tif"\nlate = 1\n', "unknown key pair.1.late; did you mean 'later'?"),
        ("[[pairs]]\n", "unknown key pairs; did you mean 'pair'?"),
        ('[[pair]]\nearlier = "a.tif"\nlater = "no.tif"\n', "'no.tif' does not exist; paths are relative to this file"),
        ('[[pair]]\nearlier = "a.tif"\nlater = "a.tif"\n', "is paired with itself"),
        (
            "[[pair]]\nearlier = 'a.tif'\nlater = 'b.tif'\n" * 2,
            "is the earlier one of two pairs; it can be that of one",
        ),
        (
            "[[pair]]\nearlier = 'a.tif'\nlater = 'b.tif'\n[[pair]]\nearlier = 'b.tif'\nlater = 'a.tif'\n",
            "are paired twice, in both orders",
        ),
        ("[[pair]\n", "not a readable TOML file"),
        (
            "[[pair]]\nearlier = 'a.tif'\nlater = 'b.tif'\nearlier_date = 2020-01-01\nlater_date = 2010-01-01\n",
            "(2020-01-01) is not earlier than",
        ),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    scenes = [make_scene(tmp_path / name) for name in ("a.tif", "b.tif")]
    (tmp_path / "scenes.toml").write_text(text)
    with pytest.raises(ScenesFileError, match=r"scenes\.toml: ") as raised:
        find_pairs(scenes, str(tmp_path))
    assert message in str(raised.value)


def test_names_in_the_wrong_order_are_told_and_make_no_pair(tmp_path: Path) -> None:
    scenes = [
        make_scene(tmp_path / "a_t1.tif", dt.date(2020, 1, 1)),
        make_scene(tmp_path / "a_t2.tif", dt.date(2019, 1, 1)),
    ]
    found = find_pairs(scenes, str(tmp_path))
    assert found.pairs == ()
    assert "a_t1' (2020-01-01) is not earlier than" in found.left_out[0].reason
    assert "name the two in scenes.toml" in found.left_out[0].reason


def test_a_series_in_a_file_is_a_chain_of_pairs(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path / name) for name in ("a.tif", "b.tif", "c.tif")]
    (tmp_path / "scenes.toml").write_text(
        "[[pair]]\nearlier = 'a.tif'\nlater = 'b.tif'\n[[pair]]\nearlier = 'b.tif'\nlater = 'c.tif'\n"
    )
    assert chained(find_pairs(scenes, str(tmp_path))) == [("a", "b"), ("b", "c")]


def chained(found: FoundPairs) -> list[tuple[str, str]]:
    return [(Path(pair.earlier.scene_id).name, Path(pair.later.scene_id).name) for pair in found.pairs]


def found_among(names: Sequence[str], **settings: Any) -> FoundPairs:
    scenes = [replace(make_scene(f"{name}.png"), scene_id=name) for name in names]
    return find_pairs(scenes, "src", **settings)


@pytest.mark.parametrize(
    "names",
    [
        ("hurricane-harvey_00000003_pre_disaster", "hurricane-harvey_00000003_post_disaster"),
        ("pre-event/bata_00000001_pre_disaster", "post-event/bata_00000001_post_disaster"),  # BRIGHT
        ("pre/town", "post/town"),
        ("train/before/town", "train/after/town"),
        ("train/A/0001", "train/B/0001"),  # LEVIR-CD: words say that it is one place, numbers or not
        ("im1/00003", "im2/00003"),  # SECOND
        ("Image1/3", "Image2/3"),  # S2Looking
        ("t1/town", "t2/town"),
        ("town_2014-07", "town_2020-08"),
        ("town_20200131", "town_20200201"),
        ("town_2014_07_20_b", "town_2020_08_31_b"),
        ("images_2006/tile_17", "images_2012/tile_17"),  # HRSCD
        # the numbers of the place are no years: the months are the dates
        ("2027_3374/images/monthly_2018_01_mosaic_2027_3374", "2027_3374/images/monthly_2018_02_mosaic_2027_3374"),
    ],
)
def test_names_of_published_sets_are_pairs_in_the_right_order(names: tuple[str, str]) -> None:
    for given in (names, names[::-1]):
        found = found_among(given)
        assert [(pair.earlier.scene_id, pair.later.scene_id) for pair in found.pairs] == [names]
        assert found.left_out == ()


def test_of_more_than_two_dates_each_is_paired_with_the_next() -> None:
    months = [f"town/mosaic_2018-{month:02d}" for month in (12, 1, 10, 2)]
    assert chained(found_among(months)) == [
        ("mosaic_2018-01", "mosaic_2018-02"),
        ("mosaic_2018-02", "mosaic_2018-10"),
        ("mosaic_2018-10", "mosaic_2018-12"),
    ]
    assert chained(found_among(["a_t3", "a_t1", "a_t2"])) == [("a_t1", "a_t2"), ("a_t2", "a_t3")]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["tile_1990", "tile_2000"], "the numbers in their names may be no years"),
        (["VOC2007/JPEGImages/000001", "VOC2012/JPEGImages/000001"], "may be of any place"),
        (["2018-01-01", "2018-02-01"], "may be of any place"),
        (["town_2018-01", "town_2018-02-01"], "their dates are not given alike"),
        (["pre/town_post_disaster", "pre/town_pre_disaster"], "one name says two different things"),
        (["pre/town", "before/town", "post/town"], "several have the same word for their date"),
        (["pre/town_2020-01", "post/town_2019-01"], "the dates in their names contradict the words"),
        (["x/town_20200101_20200201", "x/town_20200101_20200301"], "several have the same date"),
    ],
)
def test_doubtful_names_are_told_and_make_no_pair(names: list[str], reason: str) -> None:
    found = found_among(names)
    assert found.pairs == ()
    (told,) = found.left_out
    assert f"{reason}; name the two in scenes.toml to ask about change" in told.reason
    assert told.reason.startswith("not made a pair of dates: ")


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["town"],
        ["A/1", "B/1", "C/1"],  # rows of a grid
        ["im1/a", "im2/a", "im3/a"],
        ["A/1", "B/2"],
        ["post/town", "post/village"],
        ["town_2014-07", "village_2020-07"],
        ["x_1024", "x_2048", "x_9999"],
        ["x_20201399", "x_20201301"],
        ["LC08_L1TP_006066_20180101_20200831_02_T1", "LC08_L1TP_006066_20180101_20200831_02_T2"],
    ],
)
def test_other_names_are_no_dates(names: list[str]) -> None:
    assert found_among(names) == FoundPairs((), ())


def test_many_doubtful_places_are_told_in_one_line() -> None:
    found = found_among([f"tile{number}_{year}" for number in range(9) for year in (1990, 2000)])
    assert [entry.reason for entry in found.left_out] == [
        "not made a pair of dates: tile0_1990, tile0_2000 (and so at 8 more places): the numbers in their names may be "
        "no years; name the two in scenes.toml to ask about change"
    ]


def at(name: str, x: float, day: dt.date | None = None) -> Scene:
    acquired = dt.datetime.combine(day, dt.time()) if day else None
    scene = replace(placed(x, 0), scene_id=name, path=f"{name}.tif", acquired=acquired)
    return replace(scene, footprint=box(x, 0, x + 100, 80))


def test_where_there_is_a_georeference_it_says_what_is_one_place() -> None:
    scenes = [at("2014", 0), at("2020", 0), at("2022", 40), at("2016", 5000), at("2018", 5000)]
    assert chained(find_pairs(scenes, "src")) == [("2014", "2020"), ("2016", "2018"), ("2020", "2022")]
    assert find_pairs([at("town_2014", 0), at("town_2020", 60)], "src").pairs == ()  # 40 of 100 columns are shared
    assert find_pairs(scenes, "src", by_dates=False) == FoundPairs((), ())


def test_scenes_of_one_ground_and_two_dates_are_offered() -> None:
    first, second = at("flight_one", 0, dt.date(2020, 1, 1)), at("another", 0, dt.date(2014, 1, 1))
    found = find_pairs([first, second, at("third", 0, dt.date(2020, 1, 1)), at("far", 5000)], "src")
    assert found.pairs == ()
    assert [entry.reason for entry in found.left_out] == [
        "not made a pair of dates: another, flight_one: they show the same ground at different dates; name the two in "
        "scenes.toml to ask about change"
    ]
    assert find_pairs([first, replace(first, scene_id="copy")], "src").left_out == ()


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (placed(0, 0), Alignment(0, 0)),
        # The later scene begins 7 px west and 3 px north, so the same ground is 7 px right and 3 px down in it.
        (placed(-7, 3), Alignment(7, 3)),
        (placed(-7.4, 3.4), Alignment(7, 3)),
        (placed(20, -10, width=30, height=30), Alignment(-20, -10)),
        # 0.05 % of 100 px is 0.05 px at the far corner
        (placed(0, 0, pixel=1.0005), Alignment(0, 0)),
    ],
)
def test_aligned_dates_have_a_whole_shift(later: Scene, found: Alignment) -> None:
    assert alignment(placed(0, 0), later) == found


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (placed(0, 0, pixel=1.002), "their pixels differ by 0.20% in size or direction"),
        (placed(0, 0, turn=1), "their pixels differ by 1.75% in size or direction"),
        (placed(500, 0), "the two dates show different ground: their pixels do not overlap"),
        (replace(placed(0, 0), crs=CRS.replace("metre", "foot").replace("1]", "0.3048]")), "different coordinate"),
        (replace(placed(0, 0), crs=None, transform=None), "only one of them has a georeference"),
    ],
)
def test_dates_that_are_not_aligned_say_why(later: Scene, reason: str) -> None:
    found = alignment(placed(0, 0), later)
    assert isinstance(found, str)
    assert reason in found


def test_small_differences_add_up_over_a_large_scene() -> None:
    # 0.09 % of 2,000 px: the corners are off by 0 and −1.8 px, −0.9 px in the mean, which rounds to a shift of −1
    found = alignment(placed(0, 0, width=2000, height=2000), placed(0, 0, pixel=1.0009, width=2000, height=2000))
    assert found == "the two dates are not aligned: up to 1.00 px apart after the best whole-pixel shift"


def test_pictures_without_georeference_must_have_one_size(tmp_path: Path) -> None:
    picture = make_scene("a.png")
    assert alignment(picture, picture) == Alignment(0, 0)
    found = alignment(picture, replace(picture, width=99))
    assert isinstance(found, str)
    assert "they must have one size, but have 100 × 80 and 99 × 80 px" in found


def describe(path: Path) -> Scene:
    return describe_scene(str(path), path.stem)


def test_naip_of_two_years_is_aligned_to_a_fifth_of_a_pixel() -> None:
    folder = find_data("scenes/naip_nd_bitemporal")
    earlier, later = (describe(path) for path in sorted(folder.glob("*.tif")))
    # both 5 m; the origins are 1 m apart along both axes
    assert alignment(earlier, later) == Alignment(0, 0)


def test_landsat_of_two_years_has_one_grid() -> None:
    folder = find_data("scenes/landsat_pucallpa_bitemporal")
    earlier, later = (describe(path) for path in sorted(folder.glob("*.tif")))
    assert alignment(earlier, later) == Alignment(0, 0)
