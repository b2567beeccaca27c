"""How often pixels are decoded, and tiled copies that hold the same pixels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.scenes import staging
from rsvqa.rsvqa_builder.scenes.rendering import TilePixels, choose_stretch, open_raster, read_raw, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.staging import decode_factor, needs_staging, stage_if_needed
from rsvqa.rsvqa_builder.scenes.tiling import Window, plan_windows
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster


def make_scene(**changes: Any) -> Scene:
    facts = {"width": 100, "height": 100, "block_shape": (10, 100), "bands": (1, 2, 3), "dtype": "uint8"}
    return Scene(scene_id="a", path="a.tif", **{**facts, **changes})


QUARTERS = [Window(x, y, 50, 50) for y in (0, 50) for x in (0, 50)]


@pytest.mark.parametrize(
    ("scene", "windows", "factor"),
    [
        # strips of 10 whole rows: each window of 50 × 50 decodes 100 × 50
        (make_scene(), QUARTERS, 2.0),
        (make_scene(), [Window(0, 0, 100, 100)], 1.0),
        # rows 45 to 54 touch strips 40–49 and 50–59
        (make_scene(), [Window(0, 45, 100, 10)], 0.2),
        # one block: every window decodes everything
        (make_scene(block_shape=(100, 100)), QUARTERS, 4.0),
        # 50 + 50 + 100 + 100 rows from the top, of 100
        (make_scene(block_shape=(1, 100), is_sequential=True), QUARTERS, 3.0),
        # tiles of 25 × 25 fit the windows; those of 30 × 30 do not: 60 · 60 + 2 · 60 · 70 + 70 · 70 = 16,900
        (make_scene(block_shape=(25, 25)), QUARTERS, 1.0),
        (make_scene(block_shape=(30, 30)), QUARTERS, 1.69),
    ],
)
def test_decoded_pixels_are_counted_in_blocks(scene: Scene, windows: list[Window], factor: float) -> None:
    assert decode_factor(scene, windows) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("scene", "num_stretch_reads", "needed"),
    [
        (make_scene(), 0, False),
        (make_scene(), 1, True),
        (make_scene(is_sequential=True), 0, True),
        (make_scene(block_shape=(100, 100)), 0, True),
        (make_scene(block_shape=(25, 25)), 5, False),
    ],
)
def test_only_what_saves_decoding_is_copied(scene: Scene, num_stretch_reads: int, needed: bool) -> None:
    assert needs_staging(scene, QUARTERS, num_stretch_reads=num_stretch_reads) is needed


@pytest.mark.parametrize(("block", "needed"), [(4096, False), (5120, True)])
def test_tiles_as_large_as_windows_must_fit_them(block: int, needed: bool) -> None:
    # Along each axis the first window touches one block of 5,120 px and the second all 8,192:
    # ((5120 + 8192) / 8192)² = 2.64 times, where blocks of 512 px would be decoded once.
    scene = make_scene(width=8192, height=8192, block_shape=(block, block))
    windows = plan_windows(8192, 8192, tile_size=4096, overlap=0, whole_up_to=4096)
    assert needs_staging(scene, windows, num_stretch_reads=0) is needed


def test_overlapping_windows_alone_are_no_reason(tmp_path: Path) -> None:
    # 10,001 px are two windows of 8,192 each way, which share most of their pixels: no layout helps
    scene = make_scene(width=10_001, height=10_001, block_shape=(512, 512))
    windows = plan_windows(10_001, 10_001, tile_size=8192, overlap=0, whole_up_to=10_000)
    assert decode_factor(scene, windows) > 2
    assert stage_if_needed(scene, windows, tmp_path, num_stretch_reads=1) is scene


class Case(NamedTuple):
    pixels: NDArray[Any]
    how: dict[str, Any]


def striped_cases() -> dict[str, Case]:
    mask = np.ones((700, 600), bool)
    mask[100:300, 200:400] = False
    palette = {index: (index, 255 - index, 7, 255) for index in range(256)}
    rgb, grey = make_pixels(3, 700, 600), make_pixels(1, 700, 600)
    rgba = np.concatenate([rgb, np.where(mask, 255, 0).astype(np.uint8)[None]])
    floats = make_pixels(3, 700, 600, dtype="float32")
    floats[:, 50:60] = np.nan
    return {
        "strips": Case(rgb, {"blockysize": 16, "compress": "deflate"}),
        "planes": Case(rgb, {"blockysize": 9, "interleave": "band", "compress": "lzw"}),
        "nodata": Case(make_pixels(4, 700, 600, dtype="int16"), {"blockysize": 5, "nodata": 3}),
        "mask": Case(rgb, {"mask": mask, "compress": "deflate"}),
        "alpha": Case(rgba, {"blockysize": 3, "ALPHA": "YES"}),
        "floats": Case(floats, {"nodata": 5.0}),
        "palette": Case(grey, {"colormap": palette, "blockysize": 8}),
        "bits": Case(grey.astype("uint16") * 10, {"nbits": 12, "compress": "deflate"}),
        "one block": Case(make_pixels(3, 700, 600, dtype="uint16"), {"blockysize": 700, "compress": "deflate"}),
        "png": Case(rgb, {"driver": "PNG", "crs": None, "transform": None}),
    }


def read_all(scene: Scene, windows: list[Window]) -> list[TilePixels]:
    stretch = choose_stretch(scene, "percentile")
    with open_raster(scene.path) as dataset:
        return [read_tile(dataset, scene, stretch, window) for window in windows]


@pytest.mark.parametrize("name", striped_cases())
def test_the_copy_shows_the_same_tiles(tmp_path: Path, name: str) -> None:
    case = striped_cases()[name]
    scene = describe_scene(str(write_raster(tmp_path / "a", case.pixels, **case.how)), "folder/a")
    windows = plan_windows(600, 700, tile_size=256, overlap=0, whole_up_to=256)
    staged = stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=1)
    assert Path(staged.path).parent == tmp_path / "staged"
    assert (staged.scene_id, staged.crs, staged.footprint) == (scene.scene_id, scene.crs, scene.footprint)
    with open_raster(staged.path) as dataset:
        assert dataset.block_shapes[0] == (512, 512)
    assert choose_stretch(staged, "percentile") == choose_stretch(scene, "percentile")
    for original, copy in zip(read_all(scene, windows), read_all(staged, windows), strict=True):
        np.testing.assert_array_equal(copy.rgb, original.rgb)
        assert (copy.valid is None) == (original.valid is None)
        if copy.valid is not None and original.valid is not None:
            np.testing.assert_array_equal(copy.valid, original.valid)


def test_every_row_is_read_once_for_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = describe_scene(str(write_raster(tmp_path / "a.tif", make_pixels(3, 1300, 64), blockysize=7)), "a")
    rows: list[int] = []

    def counted(dataset: Any, scene: Scene, window: Window) -> Any:
        assert (window.x, window.width) == (0, 64)
        rows.extend(range(window.y, window.y + window.height))
        return read_raw(dataset, scene, window)

    monkeypatch.setattr(staging, "read_raw", counted)
    windows = plan_windows(64, 1300, tile_size=20, overlap=0, whole_up_to=20)
    stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0)
    assert rows == list(range(1300))


def test_a_copy_is_used_again_until_its_file_changes(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 64, 64))
    windows = plan_windows(64, 64, tile_size=16, overlap=0, whole_up_to=16)

    def stage() -> Path:
        scene = describe_scene(str(path), "a")
        return Path(stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0).path)

    first = stage()
    written = first.stat().st_mtime_ns
    assert stage() == first
    assert first.stat().st_mtime_ns == written
    write_raster(path, make_pixels(3, 64, 64, seed=1), compress="deflate")
    assert stage() != first
    assert sorted(file.suffixes for file in (tmp_path / "staged").iterdir()) == [[".tif"], [".tif"]]


def test_a_damaged_file_leaves_no_copy(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 64, 64), blockysize=8, compress="deflate")
    scene = describe_scene(str(path), "a")
    with open_raster(str(path)) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_5", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(100))
    windows = plan_windows(64, 64, tile_size=16, overlap=0, whole_up_to=16)
    with pytest.raises(SceneError, match="cannot read rows 0 to 63"):
        stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0)
    assert list((tmp_path / "staged").iterdir()) == []


def test_no_room_for_the_copy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = describe_scene(str(write_raster(tmp_path / "a.tif", make_pixels(3, 64, 64))), "a")
    windows = plan_windows(64, 64, tile_size=16, overlap=0, whole_up_to=16)
    usage = shutil.disk_usage(tmp_path)._replace(free=12_287)  # 64 · 64 · 3 = 12,288 bytes are needed
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SceneError, match=r"needs a tiled copy of up to 0\.0 GB in .*; make room, or tile it yourself"):
        stage_if_needed(scene, windows, tmp_path / "staged", num_stretch_reads=0)
