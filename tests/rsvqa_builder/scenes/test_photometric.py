"""What TIFF samples mean, and which way up they are; Pillow is the outside reference for colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rsvqa.rsvqa_builder.scenes.mosaic import build_mosaics
from rsvqa.rsvqa_builder.scenes.rendering import choose_stretch, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.staging import stage_if_needed
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_rasters import NORTH_UP_1M, find_data, make_pixels, write_raster

ORIENTATION = 274
SIDE = 64


def render(scene: Scene) -> NDArray[np.uint8]:
    with open_raster(scene.path) as dataset:
        stretch = choose_stretch(scene, "percentile")
        return read_tile(dataset, scene, stretch, Window(0, 0, scene.width, scene.height)).rgb


def smooth_picture() -> Image.Image:
    """Colours that change slowly, so that shared chroma does not matter."""
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8)
    return Image.fromarray(np.dstack([ramp, ramp.T // 2 + 40, 255 - ramp]))


def test_miniswhite_is_no_negative(tmp_path: Path) -> None:
    pixels = make_pixels(1, 40, 40)
    path = write_raster(tmp_path / "a.tif", pixels, photometric="miniswhite", nodata=7)
    scene = describe_scene(str(path), "a")
    assert scene.notes == ("its smallest value is white (MINISWHITE), and shown so",)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).copy()
    assert expected[0, 0, 0] == 255 - pixels[0, 0, 0]
    expected[pixels[0] == 7] = 0  # invalid pixels are black all the same
    np.testing.assert_array_equal(render(scene), expected)


def test_miniswhite_of_16_bits_is_stretched_and_turned(tmp_path: Path) -> None:
    values = np.tile(np.arange(101, dtype=np.uint16) * 100, (101, 1))[None]
    scene = describe_scene(str(write_raster(tmp_path / "a.tif", values, photometric="miniswhite")), "a")
    # the 2nd percentile is 200, the 98th 9,800: 5,000 is half-way, 9,800 and more is black
    row = render(scene)[50, :, 0].tolist()
    assert (row[0], row[2], row[50], row[98], row[100]) == (255, 255, 127, 0, 0)


def test_a_mosaic_and_a_copy_stay_turned(tmp_path: Path) -> None:
    pixels = make_pixels(1, 100, 100)
    east = NORTH_UP_1M._replace(c=NORTH_UP_1M.c + 100)
    for name, transform in (("a", NORTH_UP_1M), ("b", east)):
        write_raster(tmp_path / f"{name}.tif", pixels, photometric="miniswhite", transform=transform)
    write_raster(tmp_path / "c.tif", pixels, transform=NORTH_UP_1M._replace(c=NORTH_UP_1M.c + 200))
    sheets = [describe_scene(str(tmp_path / f"{name}.tif"), name) for name in "abc"]
    (mosaic,) = build_mosaics(sheets, tmp_path / "work", apart=frozenset()).mosaics
    # the sheet of the other kind is not among them
    assert mosaic.scene.width == 200
    np.testing.assert_array_equal(render(mosaic.scene)[:, :100, 0], 255 - pixels[0])
    windows = [Window(x, 0, 50, 100) for x in range(0, 200, 50)]
    copy = stage_if_needed(mosaic.scene, windows * 2, tmp_path / "staged", num_stretch_reads=3)
    assert copy.path != mosaic.scene.path
    np.testing.assert_array_equal(render(copy)[:, 100:, 0], 255 - pixels[0])


def test_bilevel_fax_files_are_turned_once(tmp_path: Path) -> None:
    page = np.random.default_rng(0).random((SIDE, SIDE)) < 0.3
    path = tmp_path / "fax.tif"
    Image.fromarray(page).save(path, compression="group4", tiffinfo={262: 0})
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(render(describe_scene(str(path), "a")), expected)


@pytest.mark.parametrize("mode", ["YCbCr", "CMYK"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str) -> None:
    picture = smooth_picture().convert(mode)
    picture.save(tmp_path / "a.tif")
    scene = describe_scene(str(tmp_path / "a.tif"), "a")
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert scene.is_true_colour
    assert np.abs(render(scene).astype(int) - expected).max() <= 1
    # libtiff mirrors the blocks of such a file when it is stored turned
    picture.save(tmp_path / "turned.tif", tiffinfo={ORIENTATION: 6})
    with pytest.raises(SceneError, match=rf"^its pixels are {mode} with the orientation 6; save it upright, as RGB$"):
        describe_scene(str(tmp_path / "turned.tif"), "a")


@pytest.mark.parametrize("how", [{"photometric": "icclab"}])
def test_values_that_are_no_colours_are_refused(tmp_path: Path, how: dict[str, Any]) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 40, 40), **how)
    with pytest.raises(SceneError, match=r"^its values are ICC Lab, not colours; convert it to RGB$"):
        describe_scene(str(path), "a")


def test_the_orientation_of_a_tiff_is_known_where_it_has_no_map(tmp_path: Path) -> None:
    smooth_picture().save(tmp_path / "turned.tif", tiffinfo={ORIENTATION: 6})
    smooth_picture().save(tmp_path / "upright.tif")
    assert describe_scene(str(tmp_path / "turned.tif"), "a").orientation == 6
    assert describe_scene(str(tmp_path / "upright.tif"), "a").orientation == 1


def test_miniswhite_of_the_shared_case() -> None:
    scene = describe_scene(str(find_data("label_cases") / "d_miniswhite" / "d_miniswhite.tif"), "a")
    rgb = render(scene)
    # stored are 30 around the buildings and 220 on them
    assert (rgb[0, 0].tolist(), rgb[120, 120].tolist()) == ([225] * 3, [35] * 3)
