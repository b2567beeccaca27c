"""Looks on made-up tiles: how often copies are found, and how often different tiles are taken for the same.

`python -m tests.rsvqa_builder.tiles.test_looks [tiles per kind]` prints the rates of each kind and each copy.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rsvqa.rsvqa_builder.tiles.dedup import (
    MIN_CORRELATION,
    ExcludedImages,
    ImagePrint,
    find_alike,
    find_excluded,
    look_of,
    looks_of,
)

SIZE = 512
NUM_TILES = 8

Picture = NDArray[np.uint8]
Rng = np.random.Generator


def clipped(values: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def tinted(grey: NDArray[Any], *tint: float) -> Picture:
    return clipped(grey[..., None] * np.array(tint))


def clouds(rng: Rng, cells: int) -> NDArray[np.float32]:
    """Return smooth noise with so many bumps per side."""
    bumps = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(bumps).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def noise(rng: Rng) -> Picture:
    return clipped(rng.normal(110, 20, (SIZE, SIZE, 3)))


def lit_noise(rng: Rng) -> Picture:
    """Return noise under light that grows over the tile, as over all tiles of one scene."""
    light = np.linspace(0, 1, SIZE)
    return clipped(
        rng.normal(90, 6, (SIZE, SIZE, 3)) + rng.uniform(20, 60) * light[:, None] + 20 * light[:, None, None]
    )


def waves(rng: Rng) -> Picture:
    """Return a sea with six trains of waves of 6 to 30 px, brighter towards the east."""
    y, x = np.mgrid[:SIZE, :SIZE]
    grey = 60 + rng.uniform(10, 20) * x / SIZE + rng.normal(0, 2, (SIZE, SIZE))
    for _ in range(6):
        angle, number = rng.normal(0.6, 0.3), 2 * np.pi / rng.uniform(6, 30)
        grey = grey + 1.5 * np.sin(number * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6.28))
    return tinted(grey, 0.6, 0.9, 1.2)


def calm_sea(rng: Rng) -> Picture:
    return tinted(60 + 0.4 * clouds(rng, 6) + rng.normal(0, 1.5, (SIZE, SIZE)), 0.6, 0.9, 1.2)


def night(rng: Rng) -> Picture:
    return clipped(rng.normal(3, 1, (SIZE, SIZE, 3)))


def forest(rng: Rng) -> Picture:
    grey = 70 + 8 * clouds(rng, SIZE // 5) + 6 * clouds(rng, SIZE // 12) + 3 * clouds(rng, 5)
    return tinted(grey + rng.normal(0, 4, (SIZE, SIZE)), 0.7, 1, 0.6)


def fields(rng: Rng) -> Picture:
    ground = rng.normal(0, 5, (SIZE, SIZE, 3))
    num = int(rng.integers(4, 9))
    for left, right in pairwise(cuts(rng, num)):
        for top, bottom in pairwise(cuts(rng, num)):
            ground[top:bottom, left:right] += rng.uniform((70, 80, 40), (170, 160, 110))
    return clipped(ground)


def cuts(rng: Rng, num: int) -> list[int]:
    return sorted([0, *rng.integers(0, SIZE, num - 1).tolist(), SIZE])


def town(rng: Rng) -> Picture:
    """Return a grid of streets with three houses per block."""
    ground = rng.normal(120, 5, (SIZE, SIZE, 3)) + 6 * clouds(rng, 40)[..., None]
    pitch = int(rng.integers(50, 90))
    south, east = rng.integers(0, pitch, 2).tolist()
    for corner in range(-pitch, SIZE, pitch):
        ground[max(0, south + corner) : max(0, south + corner + 8)] = 85
        ground[:, max(0, east + corner) : max(0, east + corner + 8)] = 85
    for top in range(south - pitch + 12, SIZE, pitch):
        for left in range(east - pitch + 12, SIZE, pitch):
            for _ in range(3):
                y, x = (max(0, corner + int(rng.integers(0, pitch - 32))) for corner in (top, left))
                ground[y : y + rng.integers(8, 20), x : x + rng.integers(8, 20)] = rng.uniform(60, 230, 3)
    return clipped(ground)


def collar(rng: Rng) -> Picture:
    """Return a forest of which the west has no data, as in all tiles along the edge of a scene."""
    return behind_a_collar(forest(rng))


def calm_collar(rng: Rng) -> Picture:
    """Return a calm sea at the corner of a scene, without data in the west and the north."""
    pixels = behind_a_collar(calm_sea(rng))
    pixels[:100] = 0
    return pixels


def behind_a_collar(pixels: Picture) -> Picture:
    pixels = pixels.copy()
    pixels[:, :150] = 0
    return pixels


KINDS: dict[str, Callable[[Rng], Picture]] = {
    maker.__name__: maker
    for maker in (noise, lit_noise, waves, calm_sea, night, forest, fields, town, collar, calm_collar)
}
WITH_LOOK = ("noise", "forest", "fields", "town", "collar")
"""Kinds of which any tile has enough to see; waves are a matter of their length."""


def compressed(pixels: Picture, quality: int) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(pixels: Picture, factor: float) -> Picture:
    side = round(SIZE * factor)
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG 30": lambda pixels: compressed(pixels, 30),
    "JPEG 60": lambda pixels: compressed(pixels, 60),
    "JPEG 90": lambda pixels: compressed(pixels, 90),
    "x 0.5": lambda pixels: resized(pixels, 0.5),
    "x 0.7": lambda pixels: resized(pixels, 0.7),
    "x 1.5": lambda pixels: resized(pixels, 1.5),
    "x 2": lambda pixels: resized(pixels, 2),
    "x 0.5, JPEG 50": lambda pixels: compressed(resized(pixels, 0.5), 50),
    "2 px cropped": lambda pixels: pixels[2:-2, 2:-2],
    "4 px cropped": lambda pixels: pixels[4:, 4:],
    "8 px cropped": lambda pixels: pixels[8:-8, 8:-8],
    "brighter": lambda pixels: clipped(pixels * 1.15 + 12),
    "darker": lambda pixels: clipped(pixels * 0.7),
}


@cache
def tiles(kind: str, num: int = NUM_TILES) -> tuple[Picture, ...]:
    rng = np.random.default_rng(list(KINDS).index(kind))
    return tuple(KINDS[kind](rng) for _ in range(num))


def are_alike(first: Picture, second: Picture) -> bool:
    return bool(find_alike(["first", "second"], looks_of([look_of(first), look_of(second)])))


def count_found(kind: str, copy: str, num: int = NUM_TILES) -> int:
    return sum(are_alike(pixels, COPIES[copy](pixels)) for pixels in tiles(kind, num))


def test_no_two_made_up_tiles_are_alike() -> None:
    looks = [look_of(pixels) for kind in KINDS for pixels in tiles(kind)]
    assert find_alike([str(index) for index in range(len(looks))], looks_of(looks)) == []


@pytest.mark.parametrize("copy", [copy for copy in COPIES if copy != "8 px cropped"])
def test_every_copy_of_a_tile_with_structure_is_found(copy: str) -> None:
    for kind in WITH_LOOK:
        if kind != "noise" or copy not in ("JPEG 30", "x 0.5, JPEG 50", "4 px cropped"):
            assert count_found(kind, copy) == NUM_TILES, kind


@pytest.mark.parametrize("kind", ["lit_noise", "calm_sea", "night", "calm_collar"])
def test_what_has_no_contrast_but_light_and_edges_has_no_look(kind: str) -> None:
    assert [look_of(pixels) for pixels in tiles(kind)] == [None] * NUM_TILES


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (24, 24), (511, 255)])
def test_images_of_any_size_have_a_look_or_none(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert look_of(np.zeros((*size, 3), np.uint8)) is None
    look = look_of(pixels)
    assert (look is None) == (size == (1, 1))


def test_more_looks_than_are_compared_at_once_give_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [pixels for kind in WITH_LOOK for pixels in tiles(kind)[:3]]
    looks = [look_of(pixels) for pixels in (*some, *(COPIES["JPEG 60"](pixels) for pixels in some))]
    digests = [str(index) for index in range(len(looks))]
    whole = find_alike(digests, looks_of(looks))
    assert [pair[:2] for pair in whole] == [(index, index + len(some)) for index in range(len(some))]
    monkeypatch.setattr("rsvqa.rsvqa_builder.tiles.dedup._BLOCK", 4)
    assert find_alike(digests, looks_of(looks)) == whole


@pytest.mark.parametrize("worth_a_search", [0, 1_000_000])
def test_looks_are_compared_as_if_each_two_were_multiplied_whole(
    worth_a_search: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsvqa.rsvqa_builder.tiles.dedup._WORTH_A_SEARCH", worth_a_search)
    rng = np.random.default_rng(3)
    values = np.clip(rng.normal(0, 32, (60, 24, 24)), -127, 127)
    noise = rng.normal(0, 1, (40, 24, 24)) * rng.uniform(10, 30, (40, 1, 1))  # correlations of 0.75 to 0.95
    noise[:10, ::2, ::2] *= 3  # most of it in a quarter of the cells
    noise[10:20, ::2, ::2] = 0  # and none there
    values[20:] = np.clip(values[rng.integers(0, 20, 40)] + noise, -127, 127)
    looks = [base64.b64encode(look.astype(np.int8).tobytes()).decode() for look in values]
    whole = values.astype(np.int8).astype(np.int64).reshape(len(values), -1)
    products = whole @ whole.T
    correlations = products / np.sqrt(np.outer(products.diagonal(), products.diagonal()))
    wanted = {
        (first, second): correlations[first, second]
        for first, second in combinations(range(len(looks)), 2)
        if correlations[first, second] >= MIN_CORRELATION
    }
    assert 10 < len(wanted) < 40
    found = find_alike([str(index) for index in range(len(looks))], looks_of(looks))
    assert {(pair.first, pair.second): pair.correlation for pair in found} == pytest.approx(wanted)
    excluded = ExcludedImages(by_look={look: str(index) for index, look in enumerate(looks[:20])})
    kept_out = find_excluded([[ImagePrint(look=look)] for look in looks[20:]], excluded)
    best = correlations[20:, :20].max(axis=1)
    assert {index: int(why.image) for index, why in kept_out.items()} == {
        index: int(correlations[20 + index, :20].argmax()) for index in np.flatnonzero(best >= MIN_CORRELATION)
    }


def print_rates(num: int) -> None:
    looks = [look_of(pixels) for kind in KINDS for pixels in tiles(kind, num)]
    taken = find_alike([str(index) for index in range(len(looks))], looks_of(looks))
    print(f"{len(taken)} of {len(looks) * (len(looks) - 1) // 2:,} pairs of different tiles are taken for the same")
    print(f"{'found again, of ' + str(num):24s}", *(f"{copy:>14s}" for copy in COPIES))
    for number, kind in enumerate(KINDS):
        has_look = sum(look is not None for look in looks[number * num : (number + 1) * num])
        found = [count_found(kind, copy, num) for copy in COPIES]
        print(f"{kind:12s}{has_look:4d} looks  ", *(f"{count:14d}" for count in found))


if __name__ == "__main__":
    print_rates(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
