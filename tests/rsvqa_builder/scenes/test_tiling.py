"""The plan of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.scenes.tiling import Window, cover, plan_windows


def test_last_tile_is_pulled_back_to_fit() -> None:
    # 0–4, 4–8, and the last one from 10 - 4 = 6
    assert cover(10, tile=4, stride=4) == [0, 4, 6]


def test_tiles_that_fit_exactly_are_not_repeated() -> None:
    assert cover(12, tile=4, stride=4) == [0, 4, 8]


def test_overlap_shortens_the_stride() -> None:
    assert cover(10, tile=4, stride=3) == [0, 3, 6]


def test_a_scene_smaller_than_the_tile_is_one_tile() -> None:
    assert plan_windows(300, 200, tile_size=512, overlap=0, whole_up_to=512) == [Window(0, 0, 300, 200)]


def test_a_scene_up_to_the_whole_limit_stays_whole() -> None:
    assert plan_windows(10_000, 9_000, tile_size=8192, overlap=0, whole_up_to=10_000) == [Window(0, 0, 10_000, 9_000)]


def test_a_scene_beyond_the_whole_limit_is_cut() -> None:
    windows = plan_windows(10_001, 5_000, tile_size=8192, overlap=0, whole_up_to=10_000)
    assert windows == [Window(0, 0, 8192, 5_000), Window(1_809, 0, 8192, 5_000)]


def test_a_stride_that_would_lose_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="stride 5 px must be between 1 and the tile's 4 px"):
        cover(10, tile=4, stride=5)


@given(width=st.integers(1, 90), height=st.integers(1, 90), tile=st.integers(1, 40), overlap=st.integers(0, 39))
def test_tiles_cover_every_pixel_and_stay_inside(width: int, height: int, tile: int, overlap: int) -> None:
    seen = np.zeros((height, width), bool)
    for window in plan_windows(width, height, tile_size=tile, overlap=min(overlap, tile - 1), whole_up_to=tile):
        assert window.x >= 0
        assert window.y >= 0
        assert window.x + window.width <= width
        assert window.y + window.height <= height
        seen[window.y : window.y + window.height, window.x : window.x + window.width] = True
    assert seen.all()
