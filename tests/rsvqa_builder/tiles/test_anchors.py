"""Images that have a part in common, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.tiles.anchors import MOST, find_anchors, load_anchors, share_pixels, store_anchors


def sea(seed: int, height: int = 600, width: int = 800) -> NDArray[np.uint8]:
    return np.asarray(np.random.default_rng(seed).normal(60, 2, (height, width, 3)), dtype=np.uint8)


SCENE = sea(0)


@pytest.mark.parametrize(
    ("part", "shares"),
    [
        (SCENE, True),
        (SCENE[37:330, 101:480], True),  # inside
        (np.vstack([sea(1, 200, 500), SCENE[:200, 300:]]), True),  # overlapping
        (sea(2), False),
        (SCENE[:40, :40], False),  # too small: 1,600 px hold one or two anchors
        (SCENE[:, ::-1], False),
        (np.minimum(SCENE + 1, 255).astype(np.uint8), False),
    ],
    ids=["whole", "inside", "overlapping", "another", "tiny", "mirrored", "brighter"],
)
def test_parts_are_known_again(part: NDArray[np.uint8], shares: bool) -> None:
    first, second = find_anchors(SCENE), find_anchors(np.ascontiguousarray(part))
    assert share_pixels(first, second) is shares
    assert share_pixels(second, first) is shares


def test_a_small_part_of_an_image_that_keeps_some_of_its_anchors_only() -> None:
    large = sea(3, 3_000, 3_000)
    anchors = find_anchors(large)
    assert len(anchors.keys) == MOST  # of about 9,000,000 / 1,024 = 8,789
    assert share_pixels(anchors, find_anchors(large[1_000:1_300, 500:800]))


@pytest.mark.parametrize("period", [1, 2, 16, 50])
def test_flat_ground_and_patterns_have_nothing_to_share(period: int) -> None:
    pattern = np.tile(sea(4, period, period), (500 // period, 500 // period, 1))
    assert len(find_anchors(pattern).keys) <= 3
    assert not share_pixels(find_anchors(pattern), find_anchors(pattern))


def test_an_image_smaller_than_a_block_has_none() -> None:
    anchors = find_anchors(sea(0, 15, 400))
    assert len(anchors.keys) == 0
    assert not share_pixels(anchors, anchors)


def test_an_index_names_the_image(tmp_path: Path) -> None:
    named = [("other", find_anchors(sea(1))), ("none", find_anchors(sea(1, 8, 8))), ("scene", find_anchors(SCENE))]
    index = load_anchors(store_anchors(named, tmp_path))
    assert index.find(find_anchors(np.ascontiguousarray(SCENE[100:400, 100:400]))) == "scene"
    assert index.find(find_anchors(sea(5))) is None
    assert index.find(find_anchors(sea(5, 8, 8))) is None
