"""Real files of every kind: what is read from them, and which hold nothing to ask about.

Sizes and pixel sizes are those of the files' own documentation; GDAL's `gdalinfo` and `dataset_mask` are the outside
reference for bands and valid pixels.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from rsvqa.rsvqa_builder.scenes.rendering import TilePixels, choose_stretch, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.scene_files import find_scenes
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_rasters import find_data

WINDOW_PX = 2048


class Odd(NamedTuple):
    """What a file is: bands shown, whether their colours are known, metres per pixel and share of valid pixels."""

    bands: tuple[int, ...]
    is_true_colour: bool
    gsd_m: tuple[float, float] | None
    valid_share: float


RGB = (1, 2, 3)
UTM_300M = (300.0379, 300.0418)

USABLE = {
    "201404_13SED190110_201404_0x1500m_CL_1_extmask.tif": Odd(RGB, True, (0.1498, 0.15), 0.969),
    "RGB.byte.tif": Odd(RGB, True, UTM_300M, 0.675),
    "RGB2.byte.tif": Odd(RGB, True, UTM_300M, 0.674),
    "RGBA.byte.tif": Odd(RGB, True, UTM_300M, 0.675),
    # Web Mercator: 4 m on the map, and 3.09 m on the ground of New Zealand at 39.5° south; mostly transparent
    "alpha.tif": Odd(RGB, True, (3.0897, 3.0774), 0.016),
    "cmx3g8_wv_1998.260_0745_mcidas.tiff": Odd((1,), False, None, 1),
    "cog_cmap.tif": Odd((1,), False, (0.9183, 0.9146), 0),
    "cog_hirise_mars.tif": Odd(RGB, True, (4.9149, 5.0015), 1),
    "cog_nodata_nan.tif": Odd((1,), False, (200, 200), 0.489),
    "cog_rgb_mask.tif": Odd(RGB, True, (0.1498, 0.15), 0.969),
    "cogeo.tif": Odd(RGB, True, (0.4733, 0.4713), 1),
    "d_big_endian.tif": Odd(RGB, True, UTM_300M, 0.675),
    "d_bigtiff.tif": Odd(RGB, True, UTM_300M, 0.675),
    "d_float32_reflectance.tif": Odd(RGB, False, UTM_300M, 0.675),
    "d_no_crs_no_transform.tif": Odd(RGB, True, None, 0.675),
    "d_one_band.tif": Odd((1,), False, UTM_300M, 0.674),
    "d_scene.jp2": Odd(RGB, False, UTM_300M, 1),
    "d_ycbcr_jpeg_striped.tif": Odd(RGB, True, UTM_300M, 1),
    "d_zstd.tif": Odd(RGB, True, UTM_300M, 0.675),
    # has a transform, but no CRS that would say what its numbers are
    "gadas-world.tif": Odd(RGB, True, None, 1),
    "mosaic_cog1.tif": Odd(RGB, False, (300.0382, 300.0382), 0.675),
    "no_geo.jpg": Odd(RGB, True, None, 1),
    "pix4d_alpha_nodata.tif": Odd(RGB, True, (0.3527, 0.3527), 0.876),
    "rgb_deflate.tif": Odd(RGB, True, UTM_300M, 0.675),
    "rgb_lzw.tif": Odd(RGB, True, UTM_300M, 0.675),
    "spacenet_ms1.tif": Odd(RGB, False, (1, 1), 1),
    "spacenet_pan1.tif": Odd((1,), False, (0.5, 0.5), 1),
    "world.rgb.tif": Odd(RGB, True, (78271.5, 77747.5), 1),
    "ycbcr_rdnew_tiled.tif": Odd(RGB, True, (0.25, 0.25), 1),
}

REFUSED = {
    "all-nodata.tif": "empty: all its pixels are nodata or masked",
    "byte.tif": "too small: 20 × 20 px",
    "cog_world.tif": "zero variance: all its valid pixels have one value (1)",
    "float_raster_with_nodata.tif": "too small: 13 × 12 px",
    "red.tif": "zero variance: all its valid pixels have one value (204, 17, 17)",
    "rotated.tif": "too small: 10 × 15 px",
    # all 0 but for nodata, whatever its name says
    "shade.tif": "zero variance: all its valid pixels have one value (0)",
}


def render_corner(scene: Scene) -> TilePixels:
    stretch = choose_stretch(scene, "percentile")
    with open_raster(scene.path) as dataset:
        return read_tile(dataset, scene, stretch, corner_of(scene))


def corner_of(scene: Scene) -> Window:
    return Window(0, 0, min(WINDOW_PX, scene.width), min(WINDOW_PX, scene.height))


def mask_by_gdal(path: Path, window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            region = rasterio.windows.Window(window.x, window.y, window.width, window.height)
            mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = dataset.dataset_mask(window=region)
    return mask


def test_the_table_knows_every_raster_of_the_folder() -> None:
    found = find_scenes(str(find_data("odd")), is_label=lambda *_: False)
    assert {Path(file.path).name for file in found.candidates} == {*USABLE, *REFUSED}


@pytest.mark.parametrize("name", USABLE)
def test_an_odd_file_is_a_scene(name: str) -> None:
    expected = USABLE[name]
    path = find_data("odd") / name
    scene = describe_scene(str(path), name)
    assert (scene.bands, scene.is_true_colour) == (expected.bands, expected.is_true_colour)
    assert scene.gsd_m == (None if expected.gsd_m is None else pytest.approx(expected.gsd_m, rel=1e-3))
    assert (scene.footprint is None) == (expected.gsd_m is None or "mars" in name)
    tile = render_corner(scene)
    share = 1.0 if tile.valid is None else float(tile.valid.mean())
    assert share == pytest.approx(expected.valid_share, abs=0.01)
    assert share == 0 or tile.rgb.std() > 5


@pytest.mark.parametrize("name", [name for name in USABLE if name not in ("cog_nodata_nan.tif", "alpha.tif")])
def test_valid_pixels_are_those_of_gdal(name: str) -> None:
    # Left out: NaN beside another nodata value, which GDAL takes for valid, and an alpha band that JPEG has blurred.
    path = find_data("odd") / name
    scene = describe_scene(str(path), name)
    valid = render_corner(scene).valid
    by_gdal = mask_by_gdal(path, corner_of(scene)) > 127
    np.testing.assert_array_equal(np.ones_like(by_gdal) if valid is None else valid, by_gdal)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_content_is_refused(name: str) -> None:
    with pytest.raises(SceneError) as raised:
        choose_stretch(describe_scene(str(find_data("odd") / name), name), "percentile")
    assert str(raised.value).startswith(REFUSED[name])


def test_8_bit_rgb_files_are_rendered_untouched() -> None:
    path = find_data("odd") / "rgb_deflate.tif"
    tile = render_corner(describe_scene(str(path), "a"))
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(tile.rgb, dataset.read().transpose(1, 2, 0))


def test_encodings_of_one_picture_look_the_same() -> None:
    folder = find_data("odd")
    names = ["RGB.byte.tif", "d_big_endian.tif", "d_bigtiff.tif", "d_zstd.tif", "rgb_lzw.tif", "rgb_deflate.tif"]
    first, *others = [render_corner(describe_scene(str(folder / name), name)).rgb for name in names]
    for other in others:
        np.testing.assert_array_equal(other, first)
