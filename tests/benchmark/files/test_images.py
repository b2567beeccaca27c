"""Images of a benchmark: named by content, shown as thumbnails."""

from __future__ import annotations

import numpy as np

from rsvqa.annotation.images import decode_image, read_header
from rsvqa.benchmark.files.images import content_key, make_thumbnail
from tests.benchmark.make_xlrs import HEIGHT, WIDTH, jpeg, make_pixels


def test_content_names_an_image() -> None:
    assert content_key(jpeg(0)) == content_key(memoryview(bytes(jpeg(0))))
    large = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()
    assert content_key(large) == content_key(memoryview(large))
    # of 10⁶ bytes, 16 windows of 16,384 are looked at: the first, the last, and every 65,574.4 bytes
    for place in (0, 65_575, 999_999):
        changed = bytearray(large)
        changed[place] ^= 1
        assert content_key(bytes(changed)) != content_key(large), place
    assert content_key(large + b"\0") != content_key(large)


def test_a_thumbnail_is_small_and_the_same_each_time() -> None:
    rgb = np.full((3_000, 6_000, 3), (200, 30, 90), np.uint8)
    thumbnail = make_thumbnail(rgb)
    assert make_thumbnail(rgb) == thumbnail
    assert read_header(thumbnail).size == (256, 512)
    assert np.abs(decode_image(thumbnail).astype(int) - (200, 30, 90)).max() <= 3
    assert read_header(make_thumbnail(make_pixels(0))).size == (HEIGHT, WIDTH)  # never enlarged
