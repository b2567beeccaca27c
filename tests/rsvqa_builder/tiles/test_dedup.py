"""Repeated tiles and excluded images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from rsvqa.annotation.images import ImageSize
from rsvqa.rsvqa_builder.tiles.dedup import (
    Criterion,
    ExcludedImages,
    ExcludeError,
    Exclusion,
    ImagePrint,
    content_digest,
    decode_for_look,
    file_digest,
    find_alike,
    find_excluded,
    find_same_file,
    look_of,
    looks_of,
    pixel_digest,
    read_excluded,
)


def textured(seed: int, size: int = 300) -> NDArray[np.uint8]:
    """Return an image with structure at a scale that survives compression: 20 × 20 random cells."""
    cells = np.random.default_rng(seed).integers(0, 255, (20, 20, 3), np.uint8)
    return np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BILINEAR))


def print_of(pixels: NDArray[np.uint8]) -> ImagePrint:
    return ImagePrint(pixels=(pixel_digest(pixels),), look=look_of(pixels))


# --- identical content ---


def test_identical_content_is_paired_with_the_first_only() -> None:
    digests = [content_digest([b"x"]), content_digest([b"y"]), content_digest([b"x"]), content_digest([b"x"])]
    assert find_alike(digests, looks_of([None] * 4)) == [(0, 2, 1.0), (0, 3, 1.0)]


def test_nothing_is_like_nothing() -> None:
    assert find_alike([], looks_of([])) == []
    assert find_excluded([], ExcludedImages()) == {}
    assert find_excluded([[print_of(textured(0))]], ExcludedImages()) == {}
    assert read_excluded([]) == ExcludedImages()


def test_digest_tells_where_one_image_ends_and_the_next_begins() -> None:
    assert content_digest([b"ab", b"c"]) != content_digest([b"a", b"bc"])


def test_digest_of_pixels_tells_a_wide_image_from_a_high_one() -> None:
    assert pixel_digest(np.zeros((2, 3, 3), np.uint8)) != pixel_digest(np.zeros((3, 2, 3), np.uint8))


# --- excluded images ---


def test_excluded_images_are_found_by_look(tmp_path: Path) -> None:
    Image.fromarray(textured(0)).save(tmp_path / "benchmark.jpg", quality=70)
    excluded = read_excluded([str(tmp_path)])
    found = find_excluded([[print_of(textured(1))], [print_of(textured(0, 512))], [ImagePrint()]], excluded)
    assert found == {1: Exclusion(str(tmp_path / "benchmark.jpg"), Criterion.LOOK)}


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp"])
def test_equal_pixels_are_found_in_any_format_and_without_contrast(tmp_path: Path, suffix: str) -> None:
    sea = np.random.default_rng(0).normal(60, 1, (96, 128, 3)).astype(np.uint8)
    path = tmp_path / f"sea.{suffix}"
    Image.fromarray(sea).save(path, lossless=True)  # only WebP asks
    excluded = read_excluded([str(tmp_path)], tile_sizes={ImageSize(96, 128)})
    assert excluded.without_contrast == (str(path),)
    other = sea.copy()
    other[0, 0, 0] ^= 1
    assert find_excluded([[print_of(other)], [print_of(other), print_of(sea)]], excluded) == {
        1: Exclusion(str(path), Criterion.PIXELS)
    }


def test_equal_pixels_are_found_in_sixteen_bits(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(50, 54, (64, 64)).astype(np.uint16)
    Image.fromarray(grey * 257).save(tmp_path / "night.png")
    excluded = read_excluded([str(tmp_path)], tile_sizes={ImageSize(64, 64)})
    tile = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    assert find_excluded([[print_of(tile)]], excluded)[0].criterion is Criterion.PIXELS


def test_the_surest_criterion_is_told(tmp_path: Path) -> None:
    pixels = textured(0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.bmp")
    excluded = read_excluded([str(tmp_path)], tile_sizes={ImageSize(300, 300)})
    both = ImagePrint(
        encoded=file_digest((tmp_path / "b.bmp").read_bytes()), pixels=(pixel_digest(pixels),), look=look_of(pixels)
    )
    assert find_excluded([[print_of(pixels), both]], excluded) == {
        0: Exclusion(str(tmp_path / "b.bmp"), Criterion.BYTES)
    }


def test_pixels_are_digested_only_where_a_tile_is_as_large(tmp_path: Path) -> None:
    Image.fromarray(textured(0)).save(tmp_path / "a.png")
    excluded = read_excluded([str(tmp_path)], tile_sizes={ImageSize(300, 299)})
    assert (excluded.by_pixels, excluded.sizes) == ({}, frozenset())


def test_a_file_of_the_same_bytes_is_found(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Image.fromarray(textured(0)).save(tmp_path / "set" / "a.bmp")
    excluded = read_excluded([str(tmp_path / "set")])
    Image.fromarray(textured(0)).save(tmp_path / "same.bmp")
    Image.fromarray(textured(1)).save(tmp_path / "as_long.bmp")
    assert find_same_file(tmp_path / "same.bmp", excluded) == str(tmp_path / "set" / "a.bmp")
    assert find_same_file(tmp_path / "as_long.bmp", excluded) is None
    assert find_same_file(tmp_path / "missing.bmp", excluded) is None


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
def test_the_look_of_a_large_jpeg_is_that_of_a_reduced_copy(height: int, width: int, decoded: tuple[int, int]) -> None:
    data = bytes(simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8)))
    assert decode_for_look(data).shape == (*decoded, 3)
