"""Pyramids: right tiles of right pixels, each image decoded once, memory bounded in bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from rsvqa.annotation.images import ImageError
from rsvqa.annotation.review.pictures import NoSuchPictureError, picture_key
from rsvqa.rsvqa_builder.reviewing import images as review_images
from rsvqa.rsvqa_builder.reviewing.images import ByteCache, Pyramid, ShardPictures, TileKey
from rsvqa.rsvqa_builder.scenes.tiling import Window


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    """Return pixels whose red grows with x and whose green grows with y."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 250, width).astype(np.uint8)[None, :]
    pixels[..., 1] = np.linspace(0, 250, height).astype(np.uint8)[:, None]
    return pixels


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling="444"))


def png(pixels: NDArray[np.uint8], path: Path) -> bytes:
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def decoded(tile: bytes) -> NDArray[np.int16]:
    return np.asarray(simplejpeg.decode_jpeg(tile)).astype(np.int16)


def test_levels_halve_down_to_one_pixel() -> None:
    pyramid = Pyramid(10_000, 6_000)
    # 2^13 < 10,000 <= 2^14
    assert pyramid.last_level == 14
    assert [pyramid.size(level) for level in (14, 13, 11, 0)] == [(10_000, 6_000), (5_000, 3_000), (1_250, 750), (1, 1)]


def test_tiles_cover_a_level_with_a_pixel_of_each_neighbour() -> None:
    pyramid = Pyramid(1_200, 600)
    assert [pyramid.window(key) for key in pyramid.keys(11)] == [
        Window(0, 0, 513, 513),
        Window(511, 0, 514, 513),
        Window(1023, 0, 177, 513),
        Window(0, 511, 513, 89),
        Window(511, 511, 514, 89),
        Window(1023, 511, 177, 89),
    ]


@pytest.mark.parametrize(
    "key", [TileKey(-1, 0, 0), TileKey(12, 0, 0), TileKey(11, 3, 0), TileKey(11, 0, 2), TileKey(11, -1, 0)]
)
def test_there_are_no_other_tiles(key: TileKey) -> None:
    with pytest.raises(NoSuchPictureError):
        Pyramid(1_200, 600).window(key)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize(("width", "height"), [(700, 300), (4_100, 2_111)])
def test_every_level_shows_the_image(tmp_path: Path, kind: str, width: int, height: int) -> None:
    pixels = gradient(width, height)
    data = jpeg(pixels) if kind == "jpeg" else png(pixels, tmp_path / "a.png")
    pictures = ShardPictures(["a"], lambda _: data)
    pyramid = Pyramid(width, height)
    for level in range(6, pyramid.last_level + 1):
        factor = pyramid.factor(level)
        for key in pyramid.keys(level):
            window = pyramid.window(key)
            tile = decoded(pictures.tile(picture_key("a"), *key))
            assert tile.shape[:2] == (window.height, window.width)
            # its middle is the image's pixel there, up to encoding and the mean over a pixel of the level
            y, x = window.height // 2, window.width // 2
            source = pixels[min(height - 1, (window.y + y) * factor), min(width - 1, (window.x + x) * factor)]
            slack = 8 + 250 * factor / min(width, height)
            assert np.abs(tile[y, x] - source.astype(np.int16)).max() <= slack, key
    pictures.close()


def test_an_image_is_loaded_once_for_many_who_ask_at_once() -> None:
    data = jpeg(gradient(3_000, 2_500))
    loads: list[str] = []

    def load(name: str) -> bytes:
        loads.append(name)
        time.sleep(0.05)
        return data

    pictures = ShardPictures(["a", "b"], load)
    keys = [TileKey(12, column, row) for column in range(5) for row in range(4)]
    threads = [threading.Thread(target=pictures.tile, args=(picture_key("a"), *key)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pictures.close()
    # once for the overview, once for the finest levels
    assert loads == ["a", "a"]


def test_a_broken_image_is_told_to_each_who_asks() -> None:
    pictures = ShardPictures(["a"], lambda _: b"\xff\xd8\xff broken")
    for _ in range(2):
        with pytest.raises(ImageError, match="broken JPEG header"):
            pictures.tile(picture_key("a"), 0, 0, 0)
    pictures.close()


def test_an_unknown_image_is_refused() -> None:
    pictures = ShardPictures(["a"], lambda _: b"")
    with pytest.raises(NoSuchPictureError):
        pictures.tile(picture_key("b"), 0, 0, 0)
    pictures.close()


def test_a_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = ByteCache[bytes](10, len)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a") == b"1234"
    cache.put("c", b"1234")
    assert [cache.get(key) for key in "abc"] == [b"1234", None, b"1234"]
    assert cache.num_bytes == 8
    cache.put("d", b"x" * 50)
    assert [cache.get(key) is None for key in "acd"] == [True, True, False]
    assert cache.num_bytes == 50


@pytest.mark.parametrize(("cache_bytes", "num_loads"), [(1, 3), (10_000_000, 2)])
def test_fine_tiles_are_kept_within_the_bound(cache_bytes: int, num_loads: int) -> None:
    data = jpeg(gradient(2_200, 2_200))
    loads: list[str] = []

    def load(name: str) -> bytes:
        loads.append(name)
        return data

    pictures = ShardPictures(["a", "b"], load, cache_bytes=cache_bytes)
    finest = TileKey(12, 0, 0)
    for name in ("a", "b", "a"):
        pictures.tile(picture_key(name), *finest)
        while pictures.is_cutting:
            time.sleep(0.01)
    pictures.close()
    # besides one load each for the overviews; with room for one image only, the first is made again
    assert len(loads) - 2 == num_loads


class HeldCutting:
    """Keeps the tiles that nobody asked for from being cut until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        original = review_images._Details.cut

        def cut(details: review_images._Details, give_way: Callable[[], None]) -> None:
            self.let_go.wait(10)
            original(details, give_way)

        monkeypatch.setattr(review_images._Details, "cut", cut)


def ask(pictures: ShardPictures, name: str, answers: dict[str, bytes | Exception]) -> threading.Thread:
    """Ask for a fine tile of an image in a thread of its own."""

    def work() -> None:
        try:
            answers[name] = pictures.tile(picture_key(name), 12, 0, 0)
        except RuntimeError as error:
            answers[name] = error

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_tiles_are_served_before_the_rest_is_cut_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    # room for the pixels of three images of 2,200 px, so that the fourth waits until one is cut to the end
    monkeypatch.setattr(review_images, "PIXEL_BYTES", 3 * 3 * 2_200**2)
    held = HeldCutting(monkeypatch)
    data = jpeg(gradient(2_200, 2_200))
    pictures = ShardPictures("abcd", lambda _: data)
    answers: dict[str, bytes | Exception] = {}
    for name in "abc":
        ask(pictures, name, answers).join(10)
    assert [*answers] == ["a", "b", "c"]
    assert pictures.is_cutting
    fourth = ask(pictures, "d", answers)
    fourth.join(0.3)
    assert "d" not in answers
    held.let_go.set()
    fourth.join(10)
    assert answers["d"] == answers["a"]
    pictures.close()


def test_closing_ends_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_images, "PIXEL_BYTES", 1)
    held = HeldCutting(monkeypatch)
    data = jpeg(gradient(2_200, 2_200))
    pictures = ShardPictures("abcde", lambda _: data)
    answers: dict[str, bytes | Exception] = {}
    ask(pictures, "a", answers).join(10)
    waiting = [ask(pictures, name, answers) for name in "bcde"]
    time.sleep(0.3)
    closing = threading.Thread(target=pictures.close)
    closing.start()
    time.sleep(0.1)
    held.let_go.set()
    for thread in (closing, *waiting):
        thread.join(10)
        assert not thread.is_alive()
    # two were already in the hands of the decoders, the others had not begun
    assert sum(isinstance(answer, RuntimeError) for answer in answers.values()) == 2


def test_what_is_prepared_is_there_when_it_is_asked_for() -> None:
    data = jpeg(gradient(2_200, 2_200))
    loads: list[str] = []

    def load(name: str) -> bytes:
        loads.append(name)
        return data

    pictures = ShardPictures("a", load)
    pictures.prepare(picture_key("a"))
    pictures.prepare(picture_key("unknown"))
    deadline = time.monotonic() + 10
    while (len(loads) < 2 or pictures.is_cutting) and time.monotonic() < deadline:
        time.sleep(0.01)
    pictures.tile(picture_key("a"), 8, 0, 0)
    pictures.tile(picture_key("a"), 12, 3, 3)
    pictures.close()
    # once for the coarse levels, once for the fine ones, and not when they were asked for
    assert loads == ["a", "a"]


def test_what_nobody_waits_for_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    urgent = review_images._Urgent()
    waiting = threading.Thread(target=urgent.wait)
    with urgent:
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.slow
def test_the_first_view_of_a_large_image_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (1_250, 1_250, 3), dtype=np.uint8))
    data = jpeg(np.asarray(coarse.resize((10_000, 10_000), Image.Resampling.BICUBIC)))
    pictures = ShardPictures(["a"], lambda _: data)
    before = time.process_time()  # of all threads; what else the machine does is not in it
    for key in Pyramid(10_000, 10_000).keys(11):
        pictures.tile(picture_key("a"), *key)
    assert time.process_time() - before < 1
    pictures.close()
