"""Repeated tiles and excluded images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from rsvqa.rsvqa_builder.tiles.dedup import (
    ExcludeError,
    _decode,
    content_digest,
    difference_hash,
    find_alike,
    find_excluded,
    read_excluded,
)


def textured(seed: int, size: int = 300) -> NDArray[np.uint8]:
    """Return an image with structure at a scale that survives compression: 20 × 20 random cells."""
    cells = np.random.default_rng(seed).integers(0, 255, (20, 20, 3), np.uint8)
    return np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BILINEAR))


def test_hash_bits_say_where_the_right_neighbour_is_brighter() -> None:
    ramp = np.broadcast_to(np.arange(170, dtype=np.uint8)[None, :, None], (160, 170, 3))
    assert difference_hash(np.ascontiguousarray(ramp)) == "ff" * 32
    assert difference_hash(np.ascontiguousarray(ramp[:, ::-1])) == "00" * 32


def test_an_image_without_contrast_has_no_hash() -> None:
    assert difference_hash(np.full((64, 64, 3), 90, np.uint8)) is None


def test_hash_survives_jpeg_and_half_the_size(tmp_path: Path) -> None:
    pixels = textured(0)
    Image.fromarray(pixels).resize((150, 150)).save(tmp_path / "half.jpg", quality=60)
    again = np.asarray(Image.open(tmp_path / "half.jpg"))
    pairs = find_alike(["a", "b", "c"], [difference_hash(pixels), difference_hash(again), difference_hash(textured(1))])
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)]


def test_identical_content_is_paired_with_the_first_only() -> None:
    digests = [content_digest([b"x"]), content_digest([b"y"]), content_digest([b"x"]), content_digest([b"x"])]
    assert find_alike(digests, [None] * 4) == [(0, 2, 0), (0, 3, 0)]


def test_digest_tells_where_one_image_ends_and_the_next_begins() -> None:
    assert content_digest([b"ab", b"c"]) != content_digest([b"a", b"bc"])


def test_excluded_images_are_found_by_look(tmp_path: Path) -> None:
    Image.fromarray(textured(0)).save(tmp_path / "benchmark.jpg", quality=70)
    excluded = read_excluded([str(tmp_path)])
    found = find_excluded([difference_hash(textured(1)), difference_hash(textured(0, 512)), None], excluded.hashes)
    assert found == {1: str(tmp_path / "benchmark.jpg")}


def test_an_excluded_set_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExcludeError, match="no image found"):
        read_excluded([str(tmp_path)])


@pytest.mark.parametrize(
    ("height", "width", "decoded"),
    [
        (2_100, 2_200, (2_100, 2_200)),
        (4_095, 4_095, (4_095, 4_095)),  # a half would be below 2,048
        (5_000, 4_096, (2_500, 2_048)),
        (8_200, 9_001, (2_050, 2_251)),  # a quarter, rounded up
    ],
)
def test_a_large_jpeg_is_hashed_from_a_reduced_copy(height: int, width: int, decoded: tuple[int, int]) -> None:
    data = bytes(simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8)))
    assert _decode(data).shape == (*decoded, 3)
