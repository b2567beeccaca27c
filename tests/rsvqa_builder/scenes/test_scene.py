"""What a raster's header says, read without decoding a pixel."""

from __future__ import annotations

import datetime as dt
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import CRS
from rasterio.enums import ColorInterp
from shapely import Polygon

from rsvqa.rsvqa_builder.scenes.rasters import check_tiff_header
from rsvqa.rsvqa_builder.scenes.scene import SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.tiff_header import read_tiff_header
from tests.rsvqa_builder.make_rasters import NORTH_UP_1M, UTM18, make_pixels, make_tiff_bytes, write_raster

RGB64 = make_pixels(3, 64, 64)


def set_colours(path: Path, colours: list[ColorInterp]) -> None:
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = colours


def test_a_plain_scene_is_described(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 64, 96), nodata=0, tiled=True, blockxsize=32, blockysize=16)
    scene = describe_scene(str(path), "folder/a")
    assert (scene.scene_id, scene.path, scene.driver) == ("folder/a", str(path), "GTiff")
    assert (scene.width, scene.height, scene.block_shape) == (96, 64, (16, 32))
    assert (scene.bands, scene.dtype, scene.is_palette, scene.is_true_colour) == ((1, 2, 3), "uint8", False, True)
    assert (scene.nodata, scene.has_mask, scene.num_bits) == (0, False, 0)
    assert scene.crs is not None
    assert 'ID["EPSG",32618]' in scene.crs
    assert scene.transform == NORTH_UP_1M
    assert scene.gsd_m == (1, 1)
    assert isinstance(scene.footprint, Polygon)
    assert scene.acquired is None
    assert scene.notes == ()


@pytest.mark.parametrize(
    ("num_bands", "colours", "asked", "bands", "is_true_colour"),
    [
        (1, [ColorInterp.gray], None, (1,), False),
        (2, [ColorInterp.gray, ColorInterp.alpha], None, (1,), False),
        (3, [ColorInterp.blue, ColorInterp.green, ColorInterp.red], None, (3, 2, 1), True),
        (4, [ColorInterp.undefined, ColorInterp.red, ColorInterp.green, ColorInterp.blue], (1, 2, 3), (1, 2, 3), True),
        (3, [ColorInterp.red, ColorInterp.green, ColorInterp.blue], (5, 3, 2), (1, 2, 3), True),
        (4, [ColorInterp.undefined] * 4, (4, 3, 2), (4, 3, 2), True),
        (4, [ColorInterp.undefined] * 4, None, (1, 2, 3), False),
        (4, [ColorInterp.alpha, *[ColorInterp.undefined] * 3], None, (2, 3, 4), False),
    ],
)
def test_bands_follow_the_user_then_the_colours_then_the_order(
    tmp_path: Path,
    num_bands: int,
    colours: list[ColorInterp],
    asked: tuple[int, int, int] | None,
    bands: tuple[int, ...],
    is_true_colour: bool,
) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(num_bands, 40, 40), photometric="minisblack")
    set_colours(path, colours)
    scene = describe_scene(str(path), "a", bands=asked)
    assert (scene.bands, scene.is_true_colour) == (bands, is_true_colour)
    is_told = asked is not None and ColorInterp.red in colours
    assert ["red, green and blue" in note for note in scene.notes if "`bands`" in note] == [True] * is_told


def test_an_assumption_about_bands_is_noted(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(4, 40, 40), photometric="minisblack")
    assert (
        "(1, 2, 3) of 4 are shown as red, green, blue (the setting bands chooses others)"
        in describe_scene(str(path), "a").notes[0]
    )


def test_bands_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(5, 40, 40, dtype="uint16"))
    with pytest.raises(SceneError, match=r"`bands` 1,2,6 names a band it does not have; it has \[1, 2, 3, 4, 5\]"):
        describe_scene(str(path), "a", bands=(1, 2, 6))


@pytest.mark.parametrize(
    ("profile", "has_mask", "nodata"),
    [({}, False, None), ({"nodata": 255}, False, 255.0), ({"mask": np.ones((40, 40), bool)}, True, None)],
)
def test_what_tells_valid_pixels_is_found(
    tmp_path: Path, profile: dict[str, Any], has_mask: bool, nodata: float | None
) -> None:
    scene = describe_scene(str(write_raster(tmp_path / "a.tif", make_pixels(3, 40, 40), **profile)), "a")
    assert (scene.has_mask, scene.nodata) == (has_mask, nodata)


def test_nan_is_a_nodata_value(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 40, 40, dtype="float32"), nodata=float("nan"))
    nodata = describe_scene(str(path), "a").nodata
    assert nodata is not None
    assert np.isnan(nodata)


@pytest.mark.parametrize(
    ("crs", "transform", "note"),
    [
        (None, None, None),
        (UTM18, None, "it has a CRS but no transform: no georeference"),
        (None, NORTH_UP_1M, "it has a transform but no CRS: no ground distances (the setting crs gives one)"),
    ],
)
def test_half_a_georeference_is_none(tmp_path: Path, crs: str | None, transform: Any, note: str | None) -> None:
    scene = describe_scene(str(write_raster(tmp_path / "a.tif", RGB64, crs=crs, transform=transform)), "a")
    assert (scene.crs, scene.gsd_m, scene.north_deg, scene.footprint) == (None, None, None, None)
    assert scene.transform == transform
    assert scene.notes == (() if note is None else (note,))


def test_a_world_file_gives_a_map_without_a_place(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.png", RGB64, crs=None, transform=None, driver="PNG")
    # pixel size, rotation, rotation, pixel size, centre of the first pixel
    (tmp_path / "a.pgw").write_text("0.5\n0\n0\n-0.5\n1000.25\n1999.75\n")
    scene = describe_scene(str(path), "a")
    assert scene.transform == (0.5, 0, 1000, 0, -0.5, 2000)
    assert (scene.crs, scene.gsd_m, scene.is_sequential) == (None, None, True)


@pytest.mark.parametrize(("driver", "names"), [("PNG", ("a.png", "a.wld")), ("JPEG", ("a.jpg", "a.jgw"))])
def test_a_world_file_with_a_prj_file_gives_a_place(tmp_path: Path, driver: str, names: tuple[str, str]) -> None:
    path = write_raster(tmp_path / names[0], RGB64, crs=None, transform=None, driver=driver)
    (tmp_path / names[1]).write_text("0.5\n0\n0\n-0.5\n500000.25\n3999999.75\n")
    (tmp_path / "a.prj").write_text(CRS.from_user_input(UTM18).to_wkt("WKT1_ESRI"))
    scene = describe_scene(str(path), "a")
    assert (scene.transform, scene.gsd_m) == ((0.5, 0, 500_000, 0, -0.5, 4_000_000), (0.5, 0.5))
    assert scene.notes[0].startswith("its CRS is that of a.prj: WGS")
    (tmp_path / "a.prj").write_text("no CRS")
    assert describe_scene(str(path), "a").notes[0] == "the CRS in a.prj cannot be understood"


def test_the_prj_file_of_a_shapefile_is_not_that_of_a_raster(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", RGB64, crs=None)
    (tmp_path / "a.shp").touch()
    (tmp_path / "a.prj").write_text(CRS.from_user_input(UTM18).to_wkt("WKT1_ESRI"))
    assert describe_scene(str(path), "a").crs is None


def test_the_time_is_taken_from_the_tags(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", RGB64, tags={"ACQUISITION_DATE": "2021-06-30T09:00:00Z"})
    assert describe_scene(str(path), "a").acquired == dt.datetime(2021, 6, 30, 9)


def test_a_tall_strip_must_be_decoded_from_the_top(tmp_path: Path) -> None:
    # GDAL shows strips of more than 2,000 rows of 8 bits row by row.
    tall = make_pixels(1, 2100, 40)
    one_strip = write_raster(tmp_path / "one.tif", tall, blockysize=2100, compress="deflate")
    strips = write_raster(tmp_path / "many.tif", tall, blockysize=10, compress="deflate")
    plain = write_raster(tmp_path / "plain.tif", tall, blockysize=2100)
    assert [describe_scene(str(path), "a").is_sequential for path in (one_strip, strips, plain)] == [True, False, False]


def test_fewer_bits_than_the_type_are_noticed(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(1, 40, 40, dtype="uint16"), nbits=12)
    assert describe_scene(str(path), "a").num_bits == 12


@pytest.mark.parametrize(("width", "height"), [(31, 64), (64, 31)])
def test_too_small_scenes_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, height, width))
    with pytest.raises(SceneError, match=f"too small: {width} × {height} px; at least 32 px a side are needed"):
        describe_scene(str(path), "a")


def test_complex_values_are_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(1, 40, 40, dtype="complex64"))
    with pytest.raises(SceneError, match="its values are complex64; take the amplitude first"):
        describe_scene(str(path), "a")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"width": 65535, "height": 900, "bands": 65535}, "declares 65,535 bands; more than 1,024 are refused"),
        ({"width": 65535, "height": 900, "bands": 65535, "byte_order": ">"}, "declares 65,535 bands"),
        ({"width": 65535, "height": 900, "bands": 65535, "is_big": True}, "declares 65,535 bands"),
        (
            {"width": 60000, "height": 60000, "tile": (256, 256)},
            "declares 3,600,000,000 bytes of pixels",
        ),
        (
            {"width": 65536, "height": 65536, "size": 50_000},
            "65,536 × 65,536 px takes 4,294,967,296 bytes",
        ),
        ({"width": 64, "height": 64, "offset": 5000}, "the file is cut short: 1 of 1 blocks lie beyond its end"),
    ],
)
def test_bombs_are_refused_from_their_header(tmp_path: Path, header: dict[str, Any], reason: str) -> None:
    path = tmp_path / "bomb.tif"
    path.write_bytes(make_tiff_bytes(**header))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SceneError, match=reason):
        describe_scene(str(path), "bomb")
    # nothing is allocated: GDAL alone takes 70 MB for the first of these
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2000  # kB


def test_real_files_pass_the_bomb_check(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((3, 512, 512), np.uint8), compress="deflate")
    header = read_tiff_header(str(path))
    assert header is not None
    check_tiff_header(header)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"II*\0\x08\0\0\0"])
def test_what_is_no_raster_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=r"^cannot be opened: "):
        describe_scene(str(path), "a")


def test_a_scene_in_an_archive_is_described(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", RGB64)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "in/a.tif")
    scene = describe_scene(f"/vsizip/{tmp_path}/a.zip/in/a.tif", "in/a")
    assert (scene.width, scene.height, scene.gsd_m) == (64, 64, (1, 1))


def test_a_given_crs_is_that_of_scenes_that_state_none(tmp_path: Path) -> None:
    bare = write_raster(tmp_path / "bare.tif", make_pixels(1, 64, 64), crs=None)
    scene = describe_scene(str(bare), "bare", crs="EPSG:32636")
    assert scene.notes == ("it states no CRS; the setting crs gives it WGS 84 / UTM zone 36N",)
    # pixels of 1 m about the central meridian of zone 36, at 36.1° north
    assert scene.gsd_m == (1, 1)
    assert scene.footprint is not None
    assert scene.footprint.centroid.x == pytest.approx(33, abs=1e-3)
    stated = write_raster(tmp_path / "stated.tif", make_pixels(1, 64, 64))
    assert describe_scene(str(stated), "a", crs="EPSG:32636") == describe_scene(str(stated), "a")
    picture = write_raster(tmp_path / "picture.tif", make_pixels(1, 64, 64), crs=None, transform=None)
    assert describe_scene(str(picture), "a", crs="EPSG:32636").crs is None


def test_a_given_nodata_comes_before_the_declared_one(tmp_path: Path) -> None:
    path = str(write_raster(tmp_path / "a.tif", make_pixels(1, 64, 64), nodata=7))
    assert [describe_scene(path, "a", nodata=asked).nodata for asked in ("auto", "none", 9.0)] == [7, None, 9]
