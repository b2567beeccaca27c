"""Undeclared fill values: a collar is found, said and masked; dark and bright pixels of the picture are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.rendering import choose_stretch, open_raster, read_tile, survey
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.staging import stage_if_needed
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.source_settings import load_sources
from rsvqa.rsvqa_builder.tiles.preparing import PreparedScene, PrepareJob, prepare_scene
from tests.rsvqa_builder.make_rasters import find_data, make_pixels, write_raster

LOWEST = float(np.finfo(np.float32).min)


def corner_of(height: int, width: int) -> NDArray[np.bool_]:
    """A triangle at the origin, as a turned picture leaves it; its legs are half the sides."""
    rows, columns = np.mgrid[:height, :width]
    found: NDArray[np.bool_] = rows / height + columns / width < 0.5
    return found


def make_scene(folder: Path, pixels: NDArray[Any], **how: Any) -> Scene:
    return describe_scene(str(write_raster(folder / "scene.tif", pixels, **how)), "scene")


def surveyed(scene: Scene) -> Scene:
    return survey(scene, "percentile", finds_fill=True)[0]


def valid_pixels(scene: Scene, window: Window | None = None) -> NDArray[np.bool_]:
    window = window or Window(0, 0, scene.width, scene.height)
    stretch = choose_stretch(scene, "percentile")
    with open_raster(scene.path) as dataset:
        tile = read_tile(dataset, scene, stretch, window)
    return np.ones((window.height, window.width), bool) if tile.valid is None else tile.valid


COLLARS = [
    ("float32", -9999.0),
    ("float32", LOWEST),
    ("float64", LOWEST),
    ("int16", -32768),
    ("int16", -9999),
    ("int16", 0),
    ("uint8", 0),
    ("uint8", 255),
    ("uint16", 0),
    ("uint16", 65535),
]


@pytest.mark.parametrize(("dtype", "value"), COLLARS)
@pytest.mark.parametrize("bands", [1, 3])
def test_a_collar_is_masked_and_said(tmp_path: Path, dtype: str, value: float, bands: int) -> None:
    pixels = make_pixels(bands, 120, 160, dtype=dtype) // 2 + 60  # 60 to 185
    collar = corner_of(120, 160)
    pixels[:, collar] = value
    found = surveyed(make_scene(tmp_path, pixels))
    what = f"pixels of {value:g}" if value not in (0, 255, 65535) else f"a collar of {value:g}"
    assert found.notes[-1] == f"{what} in all bands taken for nodata, which is not declared (the setting nodata)"
    np.testing.assert_array_equal(valid_pixels(found), ~collar)
    stretch = choose_stretch(found, "percentile")
    if stretch is not None:
        inside = pixels[:, ~collar].astype(float)
        assert stretch.low == pytest.approx(np.percentile(inside, 2, axis=1), abs=2e-4)
        assert stretch.high == pytest.approx(np.percentile(inside, 98, axis=1), abs=2e-4)


@pytest.mark.parametrize(("value", "is_masked"), [(0, False), (-9999, True)])
def test_inside_the_picture_only_what_cannot_be_data_is_masked(tmp_path: Path, value: int, is_masked: bool) -> None:
    pixels = make_pixels(3, 120, 160, dtype="int16") + 60
    collar = corner_of(120, 160)
    pixels[:, collar] = value
    pixels[:, 100:110, 140:150] = value
    valid = valid_pixels(surveyed(make_scene(tmp_path, pixels)))
    assert (valid[100:110, 140:150] == (not is_masked)).all()
    assert not valid[collar].any()


def test_one_band_of_the_value_is_data(tmp_path: Path) -> None:
    pixels = make_pixels(3, 120, 160) // 2 + 60
    pixels[0, corner_of(120, 160)] = 0
    scene = make_scene(tmp_path, pixels)
    assert surveyed(scene) == scene


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 0), ("uint8", 255), ("uint16", 0), ("float32", 0)])
def test_shadow_and_cloud_at_the_edge_stay(tmp_path: Path, dtype: str, value: int) -> None:
    """Pixels that get darker (or brighter) towards a corner and are clipped there have values of every kind."""
    rows, columns = np.mgrid[:240, :320]
    ramp = np.clip(rows + columns - 100, 0, 255)
    ramp = ramp if value == 0 else 255 - ramp
    scene = make_scene(tmp_path, np.broadcast_to(ramp.astype(dtype), (3, 240, 320)))
    assert (scene.height, surveyed(scene)) == (240, scene)


def test_the_least_phase_of_a_full_range_is_data(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-32768, 32768, (1, 300, 300)).astype(np.int16)
    values[0, 0, 0] = -32768
    scene = make_scene(tmp_path, values)
    assert surveyed(scene) == scene


def test_black_at_the_edge_without_a_corner_and_drawings_stay(tmp_path: Path) -> None:
    pixels = make_pixels(3, 120, 160) // 2 + 60
    pixels[:, 40:80, :30] = 0
    scene = make_scene(tmp_path, pixels)
    assert surveyed(scene) == scene
    drawing = np.zeros((3, 120, 160), np.uint8)
    drawing[:, 30:, 30:] = 200
    scene = make_scene(tmp_path, drawing)
    assert surveyed(scene) == scene


@pytest.mark.parametrize("how", [{"nodata": 7}, {"mask": ~corner_of(120, 160)}])
def test_what_is_declared_is_taken_at_its_word(tmp_path: Path, how: dict[str, Any]) -> None:
    pixels = make_pixels(3, 120, 160) // 2 + 60
    pixels[:, corner_of(120, 160)] = 0
    scene = make_scene(tmp_path, pixels, **how)
    assert surveyed(scene) == scene


def test_a_large_scene_is_masked_to_the_pixel_in_every_window(tmp_path: Path) -> None:
    """Regions are found in a copy reduced to 1,024 px; the pixels themselves say where they end."""
    pixels = make_pixels(1, 1500, 2500) // 2 + 60
    collar = corner_of(1500, 2500)
    pixels[:, collar] = 0
    pixels[:, 1200:1300, 2000:2100] = 0
    scene = surveyed(make_scene(tmp_path, pixels, tiled=True, blockxsize=256, blockysize=256))
    for window in (Window(0, 0, 2500, 1500), Window(333, 301, 700, 413), Window(1900, 1100, 301, 255)):
        part = (slice(window.y, window.y + window.height), slice(window.x, window.x + window.width))
        np.testing.assert_array_equal(valid_pixels(scene, window), ~collar[part])


def test_a_staged_copy_has_the_mask(tmp_path: Path) -> None:
    pixels = make_pixels(3, 600, 800) // 2 + 60
    pixels[:, corner_of(600, 800)] = 0
    scene = surveyed(make_scene(tmp_path, pixels, compress="deflate", blockysize=600))
    windows = [Window(x, y, 100, 100) for y in range(0, 600, 100) for x in range(0, 800, 100)]
    staged = stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0)
    assert staged.path != scene.path
    assert staged.fill is None
    np.testing.assert_array_equal(valid_pixels(staged), ~corner_of(600, 800))


def test_the_setting_overrides(tmp_path: Path) -> None:
    pixels = make_pixels(3, 120, 160) // 2 + 60
    collar = corner_of(120, 160)
    pixels[:, collar] = 0
    path = str(write_raster(tmp_path / "scene.tif", pixels))

    def prepared(nodata: str) -> Scene:
        settings = load_settings(BuildSettings, {"src": path, "nodata": nodata})
        job = PrepareJob(
            number=0,
            scene=describe_scene(path, "scene", nodata=settings.nodata),
            label_files=LabelFiles(),
            frames={},
            source=load_sources(settings)[0],
            table=load_class_table("auto"),
            work=tmp_path / "work",
        )
        found = prepare_scene(job)
        assert isinstance(found, PreparedScene)
        return found.work.scene

    np.testing.assert_array_equal(valid_pixels(prepared("auto")), ~collar)
    assert prepared("auto").notes[-1].startswith("a collar of 0 in all bands taken for nodata")
    assert valid_pixels(prepared("none")).all()
    np.testing.assert_array_equal(valid_pixels(prepared("0")), ~collar)
    np.testing.assert_array_equal(valid_pixels(prepared("61")), ~(pixels == 61).all(axis=0))


def test_the_undeclared_collar_of_the_shared_case() -> None:
    path = find_data("label_cases") / "l3_float_undeclared-9999" / "l3_float_undeclared-9999.tif"
    scene = surveyed(describe_scene(str(path), "a"))
    assert scene.nodata == -9999
    # the upper 300 of 800 rows
    np.testing.assert_array_equal(valid_pixels(scene), np.arange(800)[:, None].repeat(1000, 1) >= 300)


def test_the_black_collar_of_a_real_drone_mosaic() -> None:
    path = find_data("scenes") / "dronetrees_coco" / "5b90f92da0d7280005fab355_4310.tif"
    scene = describe_scene(str(path), "a")
    with open_raster(scene.path) as dataset:
        is_black = (dataset.read([1, 2, 3]) == 0).all(axis=0)
    valid = valid_pixels(surveyed(scene))
    # seen in the picture: 18 % lie outside the mosaic; single black pixels inside it stay
    assert 1 - valid.mean() == pytest.approx(0.1811, abs=1e-3)
    assert is_black[~valid].all()
