"""Pairs of dates, and whether their pixels can be laid on each other."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.pairs import Alignment, PairsError, alignment, find_pairs
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
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
        ("[[pair]]\nearlier = 'a.tif'\nlater = 'b.tif'\n" * 2, "is in two pairs; a scene can be in one"),
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
    with pytest.raises(PairsError, match=r"scenes\.toml: ") as raised:
        find_pairs(scenes, str(tmp_path))
    assert message in str(raised.value)


def test_names_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    scenes = [
        make_scene(tmp_path / "a_t1.tif", dt.date(2020, 1, 1)),
        make_scene(tmp_path / "a_t2.tif", dt.date(2019, 1, 1)),
    ]
    with pytest.raises(PairsError, match=r"a_t1' \(2020-01-01\) is not earlier than .*a_t2' \(2019-01-01\); swap them"):
        find_pairs(scenes, str(tmp_path))


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
