"""Images by their bytes: decoded like Pillow does, refused with a reason, named by content."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from rsvqa.benchmark.files.images import ImageError, content_key, decode_image, make_thumbnail, read_size
from tests.benchmark.make_xlrs import HEIGHT, WIDTH, jpeg, make_pixels, png


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that states a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def test_png_pixels_are_exact_and_jpeg_pixels_are_pillows() -> None:
    assert (decode_image(png(3)) == make_pixels(3)).all()
    with Image.open(io.BytesIO(jpeg(3))) as image:
        assert (decode_image(jpeg(3)) == np.asarray(image)).all()


def test_grey_becomes_three_equal_bands() -> None:
    grey = make_pixels(1)[..., 0]
    assert (decode_image(encode(Image.fromarray(grey), "PNG")) == grey[..., None]).all()


def test_transparency_is_dropped_not_blended() -> None:
    image = Image.fromarray(make_pixels(1))
    image.putalpha(7)
    assert (decode_image(encode(image, "PNG")) == make_pixels(1)).all()


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    # the upper byte: 0, 0, 1, 255
    assert decode_image(encode(Image.fromarray(grey), "PNG"))[0, :, 0].tolist() == [0, 0, 1, 255]


def test_bytes_between_markers_do_not_hinder_a_jpeg() -> None:
    data = jpeg(1)
    odd = data.replace(b"\xff\xdb", b"\x01\x02\x03\xff\xdb", 1)  # before a table of quantisation
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(odd)
    assert (decode_image(odd) == decode_image(data)).all()


def test_an_image_beyond_pillows_guard_is_decoded() -> None:
    side = 9_500  # 90,250,000 px; Image.open warns above 89,478,485, and a warning is an error here
    data = encode(Image.new("L", (side, side), 7), "PNG", compress_level=1)
    pixels = decode_image(data)
    assert pixels.shape == (side, side, 3)
    assert pixels[-1, -1].tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a JPEG or PNG image, found bytes that begin with nothing"),
        (b"GIF89a..", "expected a JPEG or PNG image, found bytes that begin with 47 49 46"),
        (jpeg(0)[:-200], "cannot be decoded: .*truncated"),
        (jpeg(0)[:50], "broken JPEG header"),
        (png(1)[:-200], "cannot be decoded"),
        (png_header(30_000, 30_000), "30000 x 30000 px are more than 400000000 px"),
        (png_header(100, 100), "cannot be decoded"),
    ],
)
def test_a_broken_image_is_refused_with_its_reason(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(data)


def test_the_size_is_read_without_decoding() -> None:
    assert read_size(memoryview(jpeg(0))) == (HEIGHT, WIDTH)
    assert read_size(png_header(123, 45)) == (45, 123)


def test_the_size_is_read_behind_a_long_preamble() -> None:
    # two comments of 60,000 bytes each come before the frame header
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000)
    data = jpeg(0)
    assert read_size(data[:2] + comment + comment + data[2:]) == (HEIGHT, WIDTH)


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
    assert read_size(thumbnail) == (256, 512)
    assert np.abs(decode_image(thumbnail).astype(int) - (200, 30, 90)).max() <= 3
    assert read_size(make_thumbnail(make_pixels(0))) == (HEIGHT, WIDTH)  # never enlarged
