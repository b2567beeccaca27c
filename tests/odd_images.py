"""One table of encoded images with the pixels that they hold, for everything that decodes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsvqa.annotation.images import Pixels

HEIGHT, WIDTH = 48, 64
ORIENTATION = 0x0112


class OddImage(NamedTuple):
    """An encoded image, and its pixels."""

    name: str
    data: bytes
    pixels: Pixels

    @property
    def slack(self) -> int:
        """By how much a decoded value may differ: JPEG is never exact."""
        return 4 if self.name.startswith("jpeg") else 0


class BrokenImage(NamedTuple):
    """Bytes that are no image that can be used, and what is said of them."""

    name: str
    data: bytes
    reason: str


def encode(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def write_png(rows: NDArray[Any], *, colour_type: int) -> bytes:
    """Return a PNG by its specification: (height, width, bands) of uint8 or uint16; Pillow writes no 16-bit colour."""
    height, width = rows.shape[:2]
    bits = 8 * rows.dtype.itemsize
    raw = b"".join(b"\0" + row.astype(rows.dtype.newbyteorder(">")).tobytes() for row in rows)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that states a size and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def grey_of(values: NDArray[Any]) -> Pixels:
    return np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2)


def with_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels with one more band: left half transparent, right half opaque."""
    alpha = np.zeros((*pixels.shape[:2], 1), pixels.dtype)
    alpha[:, WIDTH // 2 :] = np.iinfo(pixels.dtype).max
    return np.concatenate([pixels, alpha], axis=2)


def make_pixels() -> Pixels:
    """Return slopes, in one direction a band: JPEG keeps them within a few grey levels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([3 * x + 20, 5 * y + 5, 230 - 2 * x - y], axis=2).astype(np.uint8)


def jpeg_of_inks(inks: NDArray[np.uint8], *, as_ycck: bool = False) -> bytes:
    """Return a JPEG of the amounts of cyan, magenta, yellow and black, inverted as Adobe does.

    YCCK holds the luma and chroma of the first three inks, not inverted. Pillow writes CMYK only, inverting all four
    bands; so it is given what it will turn into that, and the marker is changed to say YCCK.
    """
    if not as_ycck:
        return encode(Image.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0)
    luma = np.asarray(Image.fromarray(np.ascontiguousarray(inks[..., :3])).convert("YCbCr"))
    stored = np.concatenate([255 - luma, inks[..., 3:]], axis=2)
    data = bytearray(encode(Image.fromarray(stored, "CMYK"), "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2  # the transform: 0 none, 2 YCCK
    return bytes(data)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def make_table() -> list[OddImage]:
    pixels = make_pixels()
    grey = pixels[..., 0]
    image = Image.fromarray(pixels)
    # a low byte that must not be seen
    deep_grey = grey.astype(np.uint16) * 256 + 200
    deep = pixels.astype(np.uint16) * 256 + 99
    bits = (np.indices((HEIGHT, WIDTH)).sum(axis=0) % 16 < 8).astype(np.uint8)
    palette = image.quantize(32)
    colours = np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)
    of_palette = colours[np.asarray(palette)]
    # no black: what is red, green and blue is what the inks leave
    inks = np.concatenate([255 - pixels, np.zeros((HEIGHT, WIDTH, 1), np.uint8)], axis=2)
    jpeg = {"quality": 95, "subsampling": 0}
    pages = {"save_all": True, "append_images": [Image.new("RGB", image.size, (9, 9, 9))]}
    return [
        OddImage("jpeg", encode(image, "JPEG", **jpeg), pixels),
        OddImage("jpeg-progressive", encode(image, "JPEG", progressive=True, **jpeg), pixels),
        OddImage("jpeg-stored-as-rgb", encode(image, "JPEG", keep_rgb=True, quality=95), pixels),
        OddImage("jpeg-grey", encode(grey, "JPEG", quality=95), grey_of(grey)),
        OddImage("jpeg-cmyk", jpeg_of_inks(inks), pixels),
        OddImage("jpeg-ycck", jpeg_of_inks(inks, as_ycck=True), pixels),
        OddImage("jpeg-turned-by-exif", encode(image, "JPEG", exif=exif(6), **jpeg), pixels),
        OddImage("png", encode(image, "PNG"), pixels),
        OddImage("png-turned-by-exif", encode(image, "PNG", exif=exif(6)), pixels),
        OddImage("png-grey", encode(grey, "PNG"), grey_of(grey)),
        OddImage("png-1-bit", encode(Image.fromarray(bits * 255).convert("1"), "PNG"), grey_of(bits * 255)),
        OddImage("png-palette", encode(palette, "PNG"), of_palette),
        OddImage("png-palette-transparent-colour", encode(palette, "PNG", transparency=3), of_palette),
        OddImage("png-palette-alpha", encode(palette, "PNG", transparency=bytes(range(0, 256, 8))), of_palette),
        OddImage("png-transparent-colour", encode(image, "PNG", transparency=tuple(pixels[5, 5].tolist())), pixels),
        OddImage("png-rgba", encode(with_alpha(pixels), "PNG"), pixels),
        OddImage("png-grey-alpha", encode(with_alpha(grey[..., None]), "PNG"), grey_of(grey)),
        OddImage("png-grey-16", write_png(deep_grey[..., None], colour_type=0), grey_of(grey)),
        OddImage("png-rgb-16", write_png(deep, colour_type=2), pixels),
        OddImage("png-grey-alpha-16", write_png(with_alpha(deep_grey[..., None]), colour_type=4), grey_of(grey)),
        OddImage("png-rgba-16", write_png(with_alpha(deep), colour_type=6), pixels),
        OddImage("tiff", encode(image, "TIFF"), pixels),
        OddImage("tiff-lzw", encode(image, "TIFF", compression="tiff_lzw"), pixels),
        OddImage("tiff-first-of-two-pages", encode(image, "TIFF", **pages), pixels),
        OddImage("tiff-rgba", encode(with_alpha(pixels), "TIFF"), pixels),
        OddImage("tiff-grey-16", encode(deep_grey, "TIFF"), grey_of(grey)),
        OddImage("tiff-grey-16-big-endian", encode(deep_grey.astype(">u2"), "TIFF"), grey_of(grey)),
        OddImage("webp", encode(image, "WEBP", lossless=True), pixels),
        OddImage("webp-alpha", encode(with_alpha(pixels), "WEBP", lossless=True, exact=True), pixels),
        OddImage("bmp", encode(image, "BMP"), pixels),
        OddImage("bmp-palette", encode(palette, "BMP"), of_palette),
    ]


def make_broken() -> list[BrokenImage]:
    image = Image.fromarray(make_pixels())
    whole = {kind: encode(image, kind) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP")}
    cut = [
        BrokenImage(f"cut-{kind.lower()}", data[: 2 * len(data) // 3], "broken|cannot be decoded")
        for kind, data in whole.items()
    ]
    floats = make_pixels()[..., 0].astype(np.float32)
    return [
        *cut,
        BrokenImage("nothing", b"", "found bytes that begin with nothing"),
        BrokenImage("text", b"no image", "expected a JPEG, PNG, TIFF, WebP or BMP image"),
        BrokenImage("gif", encode(image, "GIF"), "found bytes that begin with 47 49 46 38"),
        BrokenImage("tiff-float", encode(floats, "TIFF"), "32 bits"),
        BrokenImage("tiff-32-bit", encode(floats.astype(np.int32), "TIFF"), "32 bits"),
        BrokenImage("png-without-pixels", png_header(100, 100), "cannot be decoded"),
        BrokenImage("png-of-no-size", png_header(0, 7), "0 x 7 px"),
    ]


TABLE = make_table()
BROKEN = make_broken()
