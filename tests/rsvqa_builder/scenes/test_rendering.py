"""Pixels as 8-bit RGB, against arrays worked out beside the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.scenes import rendering
from rsvqa.rsvqa_builder.scenes.rendering import (
    Stretch,
    TilePixels,
    apply_stretch,
    choose_stretch,
    count_whole_reads,
    open_raster,
    read_tile,
    survey,
)
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import StretchMode
from tests.rsvqa_builder.make_rasters import find_data, make_pixels, write_raster


def make_scene(folder: Path, pixels: NDArray[Any], **how: Any) -> Scene:
    return describe_scene(str(write_raster(folder / "scene.tif", pixels, **how)), "scene")


def render(scene: Scene, mode: StretchMode = "percentile", window: Window | None = None) -> TilePixels:
    stretch = choose_stretch(scene, mode)
    with open_raster(scene.path) as dataset:
        return read_tile(dataset, scene, stretch, window or Window(0, 0, scene.width, scene.height))


def as_image(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.transpose(1, 2, 0)


@pytest.mark.parametrize(
    "profile",
    [
        {"blockysize": 7},
        {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
        {"interleave": "band", "compress": "lzw"},
        {"BIGTIFF": "YES", "compress": "zstd"},
    ],
)
def test_8_bit_rgb_is_untouched(tmp_path: Path, profile: dict[str, Any]) -> None:
    pixels = make_pixels(3, 61, 47)
    tile = render(make_scene(tmp_path, pixels, **profile))
    assert tile.rgb.flags.c_contiguous
    assert tile.rgb.dtype == np.uint8
    np.testing.assert_array_equal(tile.rgb, as_image(pixels))
    assert tile.valid is None


def test_a_window_is_that_part_of_the_scene(tmp_path: Path) -> None:
    pixels = make_pixels(3, 90, 70)
    tile = render(make_scene(tmp_path, pixels), window=Window(5, 40, 33, 21))
    np.testing.assert_array_equal(tile.rgb, as_image(pixels)[40:61, 5:38])


def test_strips_of_any_height_give_the_same_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = make_pixels(3, 90, 70, dtype="uint16")
    pixels[:, 30:60, 10:20] = 0
    scene = make_scene(tmp_path, pixels, nodata=0, blockysize=7)
    at_once = render(scene, window=Window(3, 5, 60, 80))
    monkeypatch.setattr(rendering, "STRIP_PIXELS", 60 * 15)
    in_strips = render(scene, window=Window(3, 5, 60, 80))
    np.testing.assert_array_equal(in_strips.rgb, at_once.rgb)
    assert in_strips.valid is not None
    assert at_once.valid is not None
    np.testing.assert_array_equal(in_strips.valid, at_once.valid)


def test_grey_becomes_three_equal_bands(tmp_path: Path) -> None:
    pixels = make_pixels(1, 40, 50)
    tile = render(make_scene(tmp_path, pixels))
    for channel in range(3):
        np.testing.assert_array_equal(tile.rgb[..., channel], pixels[0])


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    pixels = np.zeros((1, 40, 40), np.uint8)
    pixels[0, :, 20:] = 7
    tile = render(make_scene(tmp_path, pixels, colormap={0: (10, 20, 30, 255), 7: (200, 100, 50, 255)}))
    assert tile.rgb[0, 0].tolist() == [10, 20, 30]
    assert tile.rgb[0, 20].tolist() == [200, 100, 50]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32", "float64"])
def test_percentiles_become_black_and_full(tmp_path: Path, dtype: str) -> None:
    # 10,000 values 0, 1, … 9999: the 2nd and 98th percentiles are 0.02 and 0.98 · 9999 = 199.98 and 9799.02.
    pixels = np.arange(10_000).reshape(1, 100, 100).astype(dtype)
    scene = make_scene(tmp_path, pixels)
    stretch = choose_stretch(scene, "percentile")
    assert stretch is not None
    assert stretch.low == pytest.approx((199.98,))
    assert stretch.high == pytest.approx((9799.02,))
    shown = render(scene).rgb[..., 0]
    # 5000: (5000 − 199.98) · 255 / 9599.04 = 127.51 → 128;  1000: (1000 − 199.98) · 255 / 9599.04 = 21.25 → 21
    assert [int(shown[0, 0]), int(shown[1, 99]), int(shown[10, 0]), int(shown[50, 0])] == [0, 0, 21, 128]
    assert [int(shown[98, 0]), int(shown[99, 99])] == [255, 255]


def test_minmax_uses_the_whole_range(tmp_path: Path) -> None:
    pixels = np.full((3, 40, 40), 100, np.uint16)
    pixels[:, 0, 0], pixels[:, 0, 1] = 50, 305
    stretch = choose_stretch(make_scene(tmp_path, pixels), "minmax")
    assert stretch == Stretch("minmax", (50.0,) * 3, (305.0,) * 3)


@pytest.mark.parametrize(
    ("dtype", "profile", "high"),
    [("uint16", {}, 65535.0), ("int16", {}, 32767.0), ("float32", {}, 1.0), ("uint16", {"nbits": 12}, 4095.0)],
)
def test_none_maps_the_range_of_the_type(tmp_path: Path, dtype: str, profile: dict[str, Any], high: float) -> None:
    stretch = choose_stretch(make_scene(tmp_path, make_pixels(1, 40, 40, dtype=dtype), **profile), "none")
    assert stretch == Stretch("none", (0.0,), (high,))


def test_fewer_bits_than_eight_are_stretched(tmp_path: Path) -> None:
    pixels = np.indices((40, 40)).sum(axis=0, keepdims=True).astype(np.uint8) % 2
    tile = render(make_scene(tmp_path, pixels, nbits=1), "none")
    assert sorted(np.unique(tile.rgb).tolist()) == [0, 255]


def test_nodata_is_invalid_black_and_out_of_the_stretch(tmp_path: Path) -> None:
    pixels = np.full((3, 40, 40), -9999, np.int16)
    pixels[:, :, 20:] = np.arange(1600).reshape(40, 40)[:, 20:]
    tile = render(make_scene(tmp_path, pixels, nodata=-9999), "minmax")
    assert tile.valid is not None
    assert tile.valid[:, 20:].all()
    assert not tile.valid[:, :20].any()
    assert not tile.rgb[:, :20].any()
    # 20 → 0, 1599 → 255; 820 → (820 − 20) · 255 / 1579 = 129.2
    assert tile.rgb[20, 20].tolist() == [129, 129, 129]


def test_nodata_in_one_band_only_is_a_dark_pixel(tmp_path: Path) -> None:
    pixels = make_pixels(3, 40, 40)
    pixels[0, 5, 5] = 0
    pixels[:, 6, 6] = 0
    tile = render(make_scene(tmp_path, pixels, nodata=0))
    assert tile.valid is not None
    assert tile.valid[5, 5]
    assert not tile.valid[6, 6]
    assert int((~tile.valid).sum()) == 1


def test_nodata_that_the_type_cannot_hold_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scene.vrt"
    source = write_raster(tmp_path / "a.tif", make_pixels(1, 40, 40))
    path.write_text(
        f'<VRTDataset rasterXSize="40" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1">'
        f"<NoDataValue>-9999</NoDataValue><SimpleSource><SourceFilename>{source}</SourceFilename>"
        f"<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert render(describe_scene(str(path), "scene")).valid is None


def test_nan_is_invalid_whatever_nodata_says(tmp_path: Path) -> None:
    pixels = make_pixels(1, 40, 40, dtype="float32")
    pixels[0, 3, 4] = np.nan
    pixels[0, 3, 5] = np.inf
    tile = render(make_scene(tmp_path, pixels, nodata=0))
    assert tile.valid is not None
    assert np.argwhere(~tile.valid).tolist() == [[3, 4], [3, 5]]
    assert not tile.rgb[3, 4:6].any()


def test_nan_in_one_band_does_not_spoil_the_stretch(tmp_path: Path) -> None:
    pixels = make_pixels(3, 40, 40, dtype="float32")
    pixels[1, :10] = np.nan
    stretch = choose_stretch(make_scene(tmp_path, pixels), "minmax")
    assert stretch is not None
    assert np.isfinite([*stretch.low, *stretch.high]).all()


@pytest.mark.parametrize(
    ("dtype", "opaque"),
    [
        ("uint8", 1),
        ("uint8", 255),
        ("uint16", 1),
        ("uint16", 255),
        ("uint16", 4095),
        ("uint16", 65535),
        ("int16", 255),
        ("float32", 1),
        ("float32", 255),
    ],
)
def test_alpha_is_opaque_by_its_own_largest_value(tmp_path: Path, dtype: str, opaque: int) -> None:
    pixels = make_pixels(4, 1000, 700, dtype=dtype)
    is_opaque = np.zeros((1000, 700), bool)
    # between the samples, which lie 312 px apart
    is_opaque[100:250, 90:190] = True
    pixels[3] = np.where(is_opaque, opaque, 0)
    scene, _ = survey(make_scene(tmp_path, pixels, photometric="rgb", alpha="YES"), "percentile", finds_fill=False)
    assert scene.largest_alpha == opaque
    valid = render(scene).valid
    assert valid is not None
    np.testing.assert_array_equal(valid, is_opaque)


def test_alpha_of_the_shared_case_is_opaque() -> None:
    path = find_data("label_cases") / "e_rgba16_alpha255" / "e_rgba16_alpha255.tif"
    scene, _ = survey(describe_scene(str(path), "a"), "percentile", finds_fill=True)
    assert render(scene).valid is None


def test_a_scene_without_alpha_and_one_that_is_transparent(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, make_pixels(3, 40, 40))
    assert survey(scene, "percentile", finds_fill=True) == (scene, None)
    pixels = make_pixels(4, 40, 40)
    pixels[3] = 0
    with pytest.raises(SceneError, match=r"^empty: all its pixels are nodata or masked$"):
        survey(make_scene(tmp_path, pixels, alpha="YES"), "percentile", finds_fill=True)


def test_internal_masks_and_alpha_tell_the_valid_pixels(tmp_path: Path) -> None:
    mask = np.ones((40, 40), bool)
    mask[:10] = False
    masked = render(make_scene(tmp_path, make_pixels(3, 40, 40), mask=mask))
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    alpha[20, 20], alpha[20, 21] = 127, 128  # a blurred edge
    pixels = np.concatenate([make_pixels(3, 40, 40), alpha[None]])
    transparent = render(make_scene(tmp_path, pixels, ALPHA="YES"))
    assert masked.valid is not None
    assert transparent.valid is not None
    np.testing.assert_array_equal(masked.valid, mask)
    mask[20, 20] = False
    np.testing.assert_array_equal(transparent.valid, mask)
    assert not masked.rgb[:10].any()


def test_blocks_that_are_not_stored_are_invalid(tmp_path: Path) -> None:
    pixels = make_pixels(3, 32, 48)
    pixels[:, 16:, 16:32] = 0
    scene = make_scene(tmp_path, pixels, tiled=True, blockxsize=16, blockysize=16, compress="deflate", SPARSE_OK="TRUE")
    assert "1 of 6 blocks are not stored" in scene.notes[-1]
    tile = render(scene, window=Window(10, 5, 30, 20))
    expected = np.ones((32, 48), bool)
    expected[16:, 16:32] = False
    assert tile.valid is not None
    np.testing.assert_array_equal(tile.valid, expected[5:25, 10:40])


def test_a_large_scene_is_judged_by_a_small_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MAX_DECIMATED_SIDE", 50)
    rows = np.broadcast_to(np.arange(200, dtype=np.uint16)[:, None], (1, 200, 100))
    stretch = choose_stretch(make_scene(tmp_path, rows.copy()), "minmax")
    # nearest of 200 rows in 50: the middle of each four, rows 2, 6, … 198
    assert stretch == Stretch("minmax", (2.0,), (198.0,))


@pytest.mark.parametrize("mode", ["percentile", "minmax", "none"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_scenes_without_content_are_refused(tmp_path: Path, mode: StretchMode, dtype: str) -> None:
    flat = make_scene(tmp_path, np.full((3, 64, 80), 7, dtype))
    with pytest.raises(SceneError, match=r"zero variance: all its valid pixels have one value \(7, 7, 7\)"):
        choose_stretch(flat, mode)
    empty = make_scene(tmp_path, np.zeros((3, 64, 80), dtype), nodata=0)
    with pytest.raises(SceneError, match="empty: all its pixels are nodata or masked"):
        choose_stretch(empty, mode)


def test_content_between_the_samples_is_found(tmp_path: Path) -> None:
    pixels = np.full((1, 600, 600), 7, np.uint8)
    pixels[0, 300, 300] = 8  # samples lie at 0–63, 178–241, 357–420 and 536–599
    assert choose_stretch(make_scene(tmp_path, pixels), "percentile") is None


def test_damage_becomes_an_error_with_its_place(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", make_pixels(3, 64, 64), blockysize=16, compress="deflate")
    scene = describe_scene(str(path), "scene")
    with open_raster(str(path)) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_2", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(200))
    with open_raster(str(path)) as dataset:
        assert read_tile(dataset, scene, None, Window(0, 0, 64, 32)).rgb.any()
        with pytest.raises(SceneError, match=r"cannot read rows 32 to 47, columns 0 to 63: .*IReadBlock failed"):
            read_tile(dataset, scene, None, Window(0, 32, 64, 16))


def test_a_jpeg_tile_that_ends_early_is_damage(tmp_path: Path) -> None:
    # libjpeg fills the rest with grey and only warns
    path = write_raster(
        tmp_path / "scene.tif", make_pixels(3, 64, 64), compress="jpeg", tiled=True, blockxsize=64, blockysize=64
    )
    with open_raster(str(path)) as dataset:
        start, size = (int(dataset.get_tag_item(f"BLOCK_{what}_0_0", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
    with path.open("r+b") as file:
        file.seek(start + size // 2)
        file.write(bytes(size - size // 2))
    with pytest.raises(SceneError, match=r"damaged data in rows 0 to 63, columns 0 to 63: .*Premature end of JPEG"):
        choose_stretch(describe_scene(str(path), "scene"), "percentile")


def test_whole_reads_are_counted(tmp_path: Path) -> None:
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    scene = make_scene(tmp_path, make_pixels(3, 64, 64), **tiled)
    assert count_whole_reads(scene, "percentile") == 0
    scene = make_scene(tmp_path, make_pixels(3, 64, 64, dtype="uint16"), **tiled)
    assert [count_whole_reads(scene, mode) for mode in ("percentile", "minmax", "none")] == [1, 1, 0]
    scene = make_scene(tmp_path, make_pixels(3, 64, 64), blockysize=64)
    assert count_whole_reads(scene, "none") == 1


@settings(max_examples=50)
@given(st.integers(0, 65535), st.integers(1, 65535), st.integers(0, 65535))
def test_the_table_and_the_formula_agree(low: int, span: int, value: int) -> None:
    stretch = Stretch("minmax", (float(low),), (float(low + span),))
    table = rendering._table_painter(np.dtype("uint16"), stretch)
    shown = np.empty((1, 1, 3), np.uint8)
    table(np.array([[[value]]], np.uint16), shown)
    assert shown[0, 0, 0] == apply_stretch(np.array([[[float(value)]]]), stretch)[0, 0, 0]
    # rounding to the nearest of 256 steps, ends clipped
    assert shown[0, 0, 0] == pytest.approx(min(max((value - low) / span, 0), 1) * 255, abs=0.5 + 1e-9)
