"""Sheets joined into virtual scenes: the same pixels as the array they were cut from, by both writers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.scenes import mosaic
from rsvqa.rsvqa_builder.scenes.mosaic import Joined, build_mosaics
from rsvqa.rsvqa_builder.scenes.rendering import TilePixels, choose_stretch, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.staging import needs_staging, stage_if_needed
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.scenes.vrt import PlacedRaster, has_gdal_bindings, read_vrt_sources
from tests.rsvqa_builder.make_rasters import NORTH_UP_1M, make_pixels, write_raster


@pytest.fixture(params=["own writer", "osgeo.gdal"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make mosaics with the writer of this name."""
    if request.param == "osgeo.gdal" and not has_gdal_bindings():
        pytest.skip("GDAL's own bindings are not installed (the extra 'gdal')")
    monkeypatch.setattr(mosaic, "has_gdal_bindings", lambda: request.param == "osgeo.gdal")
    return str(request.param)


def cut(folder: Path, name: str, ground: NDArray[Any], window: Window, *, shift: float = 0.0, **how: Any) -> Scene:
    """Write a window of the ground as a sheet, `shift` pixels off its place."""
    transform = NORTH_UP_1M._replace(c=NORTH_UP_1M.c + window.x + shift, f=NORTH_UP_1M.f - window.y - shift)
    pixels = ground[:, window.y : window.y + window.height, window.x : window.x + window.width]
    mask = how.pop("mask", None)
    if mask is not None:
        how["mask"] = mask[window.y : window.y + window.height, window.x : window.x + window.width]
    path = write_raster(folder / f"{name}.tif", pixels, transform=transform, **how)
    return describe_scene(str(path), name)


def render(scene: Scene) -> TilePixels:
    stretch = choose_stretch(scene, "percentile")
    with open_raster(scene.path) as dataset:
        return read_tile(dataset, scene, stretch, Window(0, 0, scene.width, scene.height))


QUARTERS = {
    "a": Window(0, 0, 60, 50),
    "b": Window(60, 0, 40, 50),
    "c": Window(0, 50, 60, 40),
    "d": Window(55, 45, 45, 45),  # overlaps the others
}


def test_four_sheets_are_the_ground_they_were_cut_from(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, name, ground, window) for name, window in QUARTERS.items()]
    joined = build_mosaics(sheets[::-1], tmp_path / "vrt")
    (scene,) = joined.scenes
    assert scene == joined.mosaics[0].scene
    assert (scene.scene_id, scene.width, scene.height, scene.driver) == ("a-mosaic", 100, 90, "VRT")
    assert scene.transform == NORTH_UP_1M
    assert (scene.bands, scene.is_true_colour, scene.gsd_m) == ((1, 2, 3), True, (1, 1))
    assert [(sheet.scene.scene_id, sheet.x, sheet.y) for sheet in joined.mosaics[0].sheets] == [
        ("a", 0, 0),
        ("b", 60, 0),
        ("c", 0, 50),
        ("d", 55, 45),
    ]
    tile = render(scene)
    np.testing.assert_array_equal(tile.rgb, ground.transpose(1, 2, 0))
    assert tile.valid is None


def test_what_no_sheet_covers_is_invalid(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, name, ground, QUARTERS[name]) for name in "abc"]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    tile = render(scene)
    covered = np.ones((90, 100), bool)
    covered[50:, 60:] = False
    assert tile.valid is not None
    np.testing.assert_array_equal(tile.valid, covered)
    np.testing.assert_array_equal(tile.rgb, np.where(covered[..., None], ground.transpose(1, 2, 0), 0))


def test_later_sheets_lie_over_earlier_ones_except_where_they_have_nodata(tmp_path: Path, writer: str) -> None:
    one, other = np.full((3, 50, 60), 50, np.uint8), np.full((3, 50, 60), 90, np.uint8)
    one[:, 0, 0] = 51  # content
    other[:, 20:] = 0
    sheets = [
        cut(tmp_path, "a", one, Window(0, 0, 60, 50), nodata=0),
        describe_scene(
            str(
                write_raster(tmp_path / "b.tif", other, transform=NORTH_UP_1M._replace(c=NORTH_UP_1M.c + 40), nodata=0)
            ),
            "b",
        ),
    ]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    tile = render(scene)
    # columns 0–39 of a, then rows 0–19 of b over a, and a again below as far as column 59
    assert tile.rgb[10, [10, 45, 70]].tolist() == [[50] * 3, [90] * 3, [90] * 3]
    assert tile.rgb[30, [10, 45, 70]].tolist() == [[50] * 3, [50] * 3, [0] * 3]
    assert tile.valid is not None
    assert tile.valid[30, [10, 45, 70]].tolist() == [True, True, False]


@pytest.mark.parametrize("kind", ["mask", "alpha", "palette", "float", "uint16"])
def test_sheets_of_every_kind_keep_values_and_validity(tmp_path: Path, writer: str, kind: str) -> None:
    valid = np.ones((90, 100), bool)
    valid[30:60, 40:70] = False
    ground = make_pixels(3, 90, 100)
    how: dict[str, Any]
    if kind == "mask":
        how = {"mask": valid}
    elif kind == "alpha":
        ground = np.concatenate([ground, np.where(valid, 255, 0).astype(np.uint8)[None]])
        how = {"ALPHA": "YES"}
    elif kind == "palette":
        ground, how = make_pixels(1, 90, 100), {"colormap": {i: (i, 255 - i, 9, 255) for i in range(256)}}
        valid[:] = True
    elif kind == "float":
        ground = ground.astype("float32")
        ground[:, ~valid] = np.nan
        how = {"nodata": float("nan")}
    else:
        ground = ground.astype("uint16") * 200
        ground[:, ~valid] = 0
        how = {"nodata": 0}
    whole = cut(tmp_path, "whole", ground, Window(0, 0, 100, 90), **how)
    sheets = [cut(tmp_path, name, ground, window, **how) for name, window in QUARTERS.items()]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    expected, tile = render(whole), render(scene)
    np.testing.assert_array_equal(tile.rgb, expected.rgb)
    assert (tile.valid is None) == bool(valid.all())
    if tile.valid is not None:
        np.testing.assert_array_equal(tile.valid, valid)


def test_coordinates_rounded_by_a_little_still_fit(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [
        cut(tmp_path, name, ground, window, shift=0.04 if name == "b" else 0.0) for name, window in QUARTERS.items()
    ]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    np.testing.assert_array_equal(render(scene).rgb, ground.transpose(1, 2, 0))


def test_rotated_sheets_are_joined(tmp_path: Path) -> None:
    ground = make_pixels(3, 90, 100)
    turned = NORTH_UP_1M._replace(a=0.8, b=0.6, d=0.6, e=-0.8)
    sheets = []
    for name, window in QUARTERS.items():
        x, y = turned.to_map(np.array([window.x], float), np.array([window.y], float))
        pixels = ground[:, window.y : window.y + window.height, window.x : window.x + window.width]
        transform = turned._replace(c=float(x[0]), f=float(y[0]))
        path = write_raster(tmp_path / f"{name}.tif", pixels, transform=transform)
        sheets.append(describe_scene(str(path), name))
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    assert scene.transform == pytest.approx(turned)
    np.testing.assert_array_equal(render(scene).rgb, ground.transpose(1, 2, 0))


def ids(joined: Joined) -> list[str]:
    return [scene.scene_id for scene in joined.scenes]


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: replace(scene, crs=None),
        lambda scene: replace(scene, bands=(3, 2, 1)),
        lambda scene: replace(scene, acquired=dt.datetime(2001, 1, 1)),
        lambda scene: replace(scene, has_missing_blocks=True),
    ],
)
def test_sheets_that_differ_are_left_as_they_are(tmp_path: Path, change: Callable[[Scene], Scene]) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, "a", ground, QUARTERS["a"]), change(cut(tmp_path, "b", ground, QUARTERS["b"]))]
    joined = build_mosaics(sheets, tmp_path / "vrt")
    assert joined.scenes == tuple(sheets)
    assert not (tmp_path / "vrt").exists()


def test_sheets_apart_or_off_the_grid_join_nothing(tmp_path: Path) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [
        cut(tmp_path, "a", ground, Window(0, 0, 50, 50)),
        cut(tmp_path, "b", ground, Window(53, 0, 40, 50)),
        cut(tmp_path, "c", ground, Window(0, 50, 50, 40), shift=0.3),
    ]
    assert ids(build_mosaics(sheets, tmp_path / "vrt")) == ["a", "b", "c"]


def test_two_dates_of_one_ground_are_not_joined(tmp_path: Path) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, name, ground, Window(x, 0, 60, 50)) for name, x in (("a", 0), ("a2", 3), ("b", 40))]
    joined = build_mosaics(sheets, tmp_path / "vrt")
    assert ids(joined) == ["a", "a2", "b"]
    assert {left.reason for left in joined.left_alone} == {"not joined: 'a' and 'a2' show the same ground"}
    assert ids(build_mosaics(sheets, tmp_path / "vrt", apart={"a2"})) == ["a-mosaic", "a2"]


def test_a_mosaic_is_the_same_whatever_the_order(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, name, ground, window) for name, window in QUARTERS.items()]
    first = build_mosaics(sheets, tmp_path / "vrt")
    content = {path.name: path.read_bytes() for path in (tmp_path / "vrt").iterdir()}
    second = build_mosaics(sheets[::-1], tmp_path / "vrt")
    assert first == second
    assert {path.name: path.read_bytes() for path in (tmp_path / "vrt").iterdir()} == content


def test_the_sheets_of_a_vrt_are_read_back(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    sheets = [cut(tmp_path, name, ground, window) for name, window in QUARTERS.items()]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    sources = read_vrt_sources(scene.path)
    assert [(Path(source.path).name, source.x, source.y) for source in sources] == [
        ("a.tif", 0, 0),
        ("b.tif", 60, 0),
        ("c.tif", 0, 50),
        ("d.tif", 55, 45),
    ]
    assert all(Path(source.path).is_file() for source in sources)


def test_paths_are_found_beside_the_vrt(tmp_path: Path) -> None:
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">in/a&amp;b.tif</SourceFilename>'
        '<SrcRect xOff="2" yOff="0" xSize="5" ySize="5"/><DstRect xOff="1" yOff="4" xSize="5" ySize="5"/>'
        "</SimpleSource>"
        '<SimpleSource><SourceFilename relativeToVRT="1">scaled.tif</SourceFilename>'
        '<SrcRect xOff="0" yOff="0" xSize="5" ySize="5"/><DstRect xOff="0" yOff="0" xSize="9" ySize="9"/>'
        "</SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    assert read_vrt_sources(str(tmp_path / "a.vrt")) == [PlacedRaster(str(tmp_path / "in/a&b.tif"), -1, 4)]


def test_a_mosaic_of_striped_sheets_is_staged_like_them(tmp_path: Path) -> None:
    ground = make_pixels(3, 90, 100)
    windows = [Window(x, y, 25, 30) for y in (0, 30, 60) for x in (0, 25, 50, 75)]
    striped = [cut(tmp_path, name, ground, window, blockysize=5) for name, window in QUARTERS.items()]
    (scene,) = build_mosaics(striped, tmp_path / "vrt").scenes
    assert needs_staging(scene, windows, num_stretch_reads=0)
    (tmp_path / "tiled").mkdir()
    how = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    tiled = [cut(tmp_path / "tiled", name, ground, window, **how) for name, window in QUARTERS.items()]
    (scene,) = build_mosaics(tiled, tmp_path / "vrt").scenes
    assert not needs_staging(scene, windows, num_stretch_reads=0)


def test_a_mosaic_that_is_joined_again_uses_its_staged_copy_again(tmp_path: Path, writer: str) -> None:
    # the copy is named by the mosaic's time of change, among others
    windows = [Window(x, y, 25, 30) for y in (0, 30, 60) for x in (0, 25, 50, 75)]
    striped = [cut(tmp_path, name, make_pixels(3, 90, 100), window, blockysize=5) for name, window in QUARTERS.items()]
    copies = []
    for _ in range(2):
        (scene,) = build_mosaics(striped, tmp_path / "vrt").scenes
        copies.append(stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0).path)
    assert copies[0] == copies[1]
    assert [str(path) for path in (tmp_path / "staged").iterdir()] == copies[:1]


def test_a_mosaic_keeps_the_nodata_and_crs_that_are_given_for_its_sheets(tmp_path: Path, writer: str) -> None:
    ground = make_pixels(3, 90, 100)
    ground[:, 10:20, 10:20] = 7
    windows = {"a": Window(0, 0, 60, 50), "b": Window(60, 0, 40, 90)}
    paths = [cut(tmp_path, name, ground, window, crs=None).path for name, window in windows.items()]
    sheets = [describe_scene(path, path[-5], nodata=7.0, crs="EPSG:32618") for path in paths]
    (scene,) = build_mosaics(sheets, tmp_path / "vrt").scenes
    assert (scene.nodata, scene.crs, scene.gsd_m) == (7, sheets[0].crs, (1, 1))
    expected = (ground != 7).any(axis=0)
    expected[50:, :60] = False  # below the first sheet there is none
    valid = render(scene).valid
    assert valid is not None
    np.testing.assert_array_equal(valid, expected)
