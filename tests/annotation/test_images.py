"""The one decoder: right pixels of every kind of image, reduced where that is enough, refused with a reason."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from rsvqa.annotation import images as images_module
from rsvqa.annotation.images import ImageError, ImageHeader, ImageSize, decode_image, read_header
from tests.odd_images import BROKEN, HEIGHT, TABLE, WIDTH, BrokenImage, OddImage, encode, make_pixels, png_header

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp", "bmp": ".bmp"}
JPEG = next(odd.data for odd in TABLE if odd.name == "jpeg")


@pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.name)
def test_header_and_pixels(odd: OddImage) -> None:
    assert read_header(odd.data) == ImageHeader(SUFFIXES[odd.name.split("-")[0]], HEIGHT, WIDTH)
    assert read_header(memoryview(odd.data)).size == (HEIGHT, WIDTH)
    pixels = decode_image(odd.data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - odd.pixels).max() <= odd.slack


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_cannot_be_used_is_refused_with_its_reason(broken: BrokenImage) -> None:
    with pytest.raises(ImageError, match=broken.reason):
        decode_image(broken.data)


@pytest.mark.parametrize("odd", [TABLE[0], TABLE[7], TABLE[11], TABLE[17]], ids=lambda odd: odd.name)
def test_an_image_comes_reduced_where_that_is_enough(odd: OddImage) -> None:
    # 64 x 48 by 8 is 8 x 6; one of a quarter would be larger than asked for, one of a ninth smaller
    reduced = decode_image(odd.data, at_least=ImageSize(height=6, width=8))
    assert reduced.shape == (6, 8, 3)
    means = odd.pixels.reshape(6, 8, 8, 8, 3).mean(axis=(1, 3))
    assert np.abs(reduced - means).max() <= odd.slack + 1
    assert decode_image(odd.data, at_least=ImageSize(height=1_000, width=2)).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("height", "width"), [(5, 3_000), (2_049, 2_111), (100, 4_097)])
def test_an_eighth_is_an_eighth_rounded_up(height: int, width: int, kind: str) -> None:
    data = encode(Image.new("RGB", (width, height), (7, 7, 7)), kind)
    reduced = decode_image(data, at_least=ImageSize(height // 8, width // 8))
    assert reduced.shape[:2] == (-(-height // 8), -(-width // 8))


def test_an_image_in_many_strips_is_that_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(make_pixels(), "PNG")
    monkeypatch.setattr(images_module, "_STRIP_PIXELS", 5 * WIDTH)  # 48 rows in strips of 5, the last one of 3
    assert (decode_image(data) == make_pixels()).all()
    reduced = decode_image(data, at_least=ImageSize(height=16, width=21))  # by 3: 48 / 3 and 64 / 3, rounded up
    assert reduced.shape == (16, 22, 3)
    assert np.abs(reduced[:, :21] - make_pixels()[:, :63].reshape(16, 3, 21, 3, 3).mean(axis=(1, 3))).max() <= 0.5


def test_jpeg_pixels_are_pillows() -> None:
    with Image.open(io.BytesIO(JPEG)) as image:
        assert (decode_image(JPEG) == np.asarray(image)).all()


def test_bytes_between_markers_do_not_hinder_a_jpeg() -> None:
    odd = JPEG.replace(b"\xff\xdb", b"\x01\x02\x03\xff\xdb", 1)  # before a table of quantisation
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(odd)
    assert (decode_image(odd) == decode_image(JPEG)).all()


def test_an_image_beyond_pillows_guard_is_decoded() -> None:
    side = 9_500  # 90,250,000 px; Image.open warns above 89,478,485, and a warning is an error here
    data = encode(Image.new("L", (side, side), 7), "PNG", compress_level=1)
    pixels = decode_image(data)
    assert pixels.shape == (side, side, 3)
    assert pixels[-1, -1].tolist() == [7, 7, 7]


def test_an_image_beyond_our_own_bound_is_not_begun() -> None:
    with pytest.raises(ImageError, match="30000 x 30000 px are more than 400000000 px"):
        read_header(png_header(30_000, 30_000))
    assert read_header(png_header(20_000, 20_000)).size == (20_000, 20_000)  # exactly as many


def test_the_size_is_read_behind_a_long_preamble() -> None:
    # two comments of 60,000 bytes each come before the frame header
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000)
    assert read_header(JPEG[:2] + comment + comment + JPEG[2:]).size == (HEIGHT, WIDTH)
    with pytest.raises(ImageError, match="broken JPEG header"):
        read_header(JPEG[:50])


@pytest.mark.parametrize("odd", TABLE[::3], ids=lambda odd: odd.name)
def test_damage_is_an_image_error_or_other_pixels_and_nothing_else(odd: OddImage) -> None:
    chance = random.Random(odd.name)
    for _ in range(60):
        data = bytearray(odd.data)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(chance.choice((60, len(data))))] = chance.randrange(256)
        try:
            pixels = decode_image(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        except ImageError:
            continue
        assert pixels.ndim == 3
