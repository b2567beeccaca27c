"""Scenes behind tiles: other bands and stretches, surroundings, another date; nothing where no file is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rsvqa.annotation.images import Pixels, decode_image
from rsvqa.annotation.review.looks import AS_BUILT, LookError, SceneLook, SceneView
from rsvqa.annotation.review.pictures import NoSuchPictureError, picture_key
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from tests.rsvqa_builder.make_rasters import write_raster
from tests.run_build import build

ALL_OF_BAND_4 = "b4-4-4_p0-1000_g100"
LAST_LEVEL = 9  # 2^9 = 512
JPEG_ERROR = 3


def make_data(folder: Path) -> Path:
    """Return a data set of two scenes of 1,024 x 512 px, the second one 100 px to the east of the first.

    Band 4 is ten times the column in the first scene and ten times the row in the second; the others are random blocks
    of 8 px, as JPEG's are.
    """
    (folder / "scenes").mkdir(parents=True)
    blocks = np.random.default_rng(0).integers(1, 5000, (3, 64, 128), dtype=np.uint16)
    noise = blocks.repeat(8, axis=1).repeat(8, axis=2)
    rows, columns = np.mgrid[:512, :1024].astype(np.uint16) * 10
    for name, band, east in (("a_2019-06-14", columns, 0), ("b_2023-07-02", rows, 100)):
        transform = AffineCoefficients(1, 0, 500_000 + east, 0, -1, 4_000_000)
        write_raster(folder / "scenes" / f"{name}.tif", np.stack((*noise, band)), transform=transform)
    done = build(folder / "scenes", folder / "superrs", "--dedup", "off")
    assert done.code == 0, done.err
    return folder / "superrs"


@contextmanager
def opened(data: Path) -> Iterator[tuple[TileViews, str]]:
    """Yield the views and the key of the right tile of the first scene."""
    source = ReviewSource(data)
    tile = next(found for found in source.tiles if found.tile.scene.startswith("a") and found.tile.window.x == 512)
    assert tile.image is not None
    views = TileViews(data, source.tiles)
    try:
        yield views, picture_key(tile.image)
    finally:
        views.close()


def shown(views: TileViews, key: str, look: str, number: int = 0, level: int = LAST_LEVEL) -> Pixels:
    return decode_image(views.tile(key, number, look, level, 0, 0))


def test_any_three_bands_are_shown_with_a_stretch_and_a_gamma(tmp_path: Path) -> None:
    with opened(make_data(tmp_path)) as (views, key):
        # column 612 of 1,023 in the scene: 0.598 of the values' range
        assert shown(views, key, ALL_OF_BAND_4)[50, 100] == pytest.approx([152.5] * 3, abs=JPEG_ERROR)
        assert shown(views, key, "b4-4-4_p0-1000_g200")[50, 100] == pytest.approx([197.2] * 3, abs=JPEG_ERROR)
        # the lower half of the values is black; column 612 is 0.196 of the way from 511.5 to 1,023
        assert shown(views, key, "b4-4-4_p500-1000_g100")[50, 100] == pytest.approx([50.1] * 3, abs=JPEG_ERROR)
        red_only = shown(views, key, "b4-1-1_p0-1000_g100")
        assert abs(int(red_only[50, 100, 0]) - 152) < 12  # colours of JPEG are less exact beside noise


def test_a_coarse_level_shows_the_same_place(tmp_path: Path) -> None:
    with opened(make_data(tmp_path)) as (views, key):
        coarse = shown(views, key, ALL_OF_BAND_4, level=LAST_LEVEL - 3)
        assert coarse.shape == (64, 64, 3)
        # pixel 10 is columns 80 to 87 of the tile, 595.5 of the scene in the mean: 255 · 595.5 / 1,023
        assert coarse[20, 10] == pytest.approx([148.4] * 3, abs=JPEG_ERROR)


def test_as_built_is_the_image_of_the_data_set(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    source = ReviewSource(data)
    with opened(data) as (views, key):
        name = next(tile.image for tile in source.tiles if tile.image and picture_key(tile.image) == key)
        stored = decode_image(source.load_image(name)).astype(int)
        made = shown(views, key, AS_BUILT).astype(int)
    assert np.abs(made - stored).mean() < JPEG_ERROR


def test_what_lies_around_a_tile_ends_with_its_scene(tmp_path: Path) -> None:
    with opened(make_data(tmp_path)) as (views, key):
        view = views.view(key)
        assert (len(view.bands), view.shown) == (4, (1, 2, 3))
        # half of 512 px on each side of columns 512 to 1,023 and rows 0 to 511, inside 1,024 x 512
        assert view.around == (-256, 0, 768, 512)
        around = decode_image(views.around(key, ALL_OF_BAND_4))
        assert around.shape == (512, 768, 3)
        assert around[5, 0] == pytest.approx([63.8] * 3, abs=JPEG_ERROR)  # column 256: 255 · 256 / 1,023


def test_another_date_is_laid_on_the_grid_of_the_tile(tmp_path: Path) -> None:
    with opened(make_data(tmp_path)) as (views, key):
        (other,) = views.view(key).others
        assert (other.number, other.scene, other.date) == (1, "b_2023-07-02", "2023-07-02")
        there = shown(views, key, ALL_OF_BAND_4, number=1)
        # its values are ten times the row: 255 · 400 / 511
        assert there[400, 300] == pytest.approx([199.6] * 3, abs=JPEG_ERROR)


def test_a_scene_that_is_gone_or_another_file_is_not_shown(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    path = tmp_path / "scenes" / "a_2019-06-14.tif"
    write_raster(path, np.ones((4, 600, 1024), np.uint16) * np.arange(600, dtype=np.uint16)[:, None])
    with opened(data) as (views, key):
        assert views.view(key) == SceneView()
        with pytest.raises(NoSuchPictureError, match="no scene behind"):
            views.tile(key, 0, AS_BUILT, LAST_LEVEL, 0, 0)
    path.unlink()
    with opened(data) as (views, key):
        assert views.view(key) == SceneView()
    (data / "report.json").unlink()  # as in a data set that others wrote
    with opened(data) as (views, key):
        assert views.view(key) == SceneView()


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ("b1-2-5_p0-1000_g100", "the scene has 4 bands"),
        ("b0-2-3_p0-1000_g100", "the scene has 4 bands"),
        ("b1-2-3_p20-20_g100", "the stretch is empty"),
        ("b1-2-3_p0-1001_g100", "the stretch is empty"),
        ("b1-2-3_p0-1000_g001", "gamma is from 0.2 to 5.0"),
        ("b1-2-3_p0-1000_g100_", "no look"),
        ("../../etc/passwd", "no look"),
        ("b१-2-3_p0-1000_g100", "no look"),
    ],
)
def test_a_look_that_cannot_be_is_refused(look: str, why: str) -> None:
    with pytest.raises(LookError, match=why):
        SceneLook.parse(look, num_bands=4)


def test_a_place_beyond_the_tile_is_refused(tmp_path: Path) -> None:
    with opened(make_data(tmp_path)) as (views, key):
        for number, level, column in ((0, 10, 0), (0, 9, 1), (2, 9, 0)):
            with pytest.raises(NoSuchPictureError):
                views.tile(key, number, AS_BUILT, level, column, 0)
        with pytest.raises(NoSuchPictureError):
            views.around("0" * 24, AS_BUILT)
