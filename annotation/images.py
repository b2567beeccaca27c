"""The one decoder: encoded images → (height, width, 3) uint8 RGB, and what an image says of itself before that.

Everything that shows, hashes, trains on or asks about an image takes its pixels from here, so that they are the same
everywhere. The format is told by the bytes, never by the name: many a ".png" holds JPEG. JPEG goes to simplejpeg,
straight into an array; with its copy into an array Pillow takes 1.5 to 3 times as long. Everything else, and what
simplejpeg refuses, goes to Pillow. The rules, and why:

* Grey, one bit and palettes become the colours that they stand for; grey is three equal bands.
* Transparency is dropped, never blended: what lies under a mask of an aerial picture is still the ground, a background
  would be invented, and `convert("RGB")`, by which lmms-eval and most evaluators read, drops it too.
* Of 16 bits the upper byte is taken, so that 65,535 is white. Pillow does so for 16-bit colour; for 16-bit grey its own
  conversion cuts off at 255, which turns nearly every such image white.
* Values of 32 bits (integers or floats) are refused: nothing in the file says which of them is white.
* CMYK and YCCK JPEGs hold inverted values, as Adobe writes them and every viewer takes them. Pillow alone reads them,
  as releases of simplejpeg differ.
* An orientation in EXIF is not applied. Sizes and boxes of data sets are those of the stored array, and so are GDAL's;
  turned pixels would no longer fit them. Pillow applies that of a TIFF itself, where the tag is part of the format.
* Of several frames or pages the first is read; of more than three bands the first three.
* More than `MAX_PIXELS` are refused before they are decoded. Pillow's own guard of 89 million warns about ordinary
  scenes, so each format is opened by its own class, which has none.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from rsvqa.annotation.errors import RsvqaError

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB."""

MAX_PIXELS = 400_000_000
"""Of an image that is decoded: 1.2 GB. XLRS-Bench's largest have 10⁸; beyond this a file is damaged or hostile."""

_OPENERS: dict[bytes, tuple[str, type[ImageFile.ImageFile]]] = {
    b"\xff\xd8\xff": (".jpg", JpegImagePlugin.JpegImageFile),
    b"\x89PNG\r\n\x1a\n": (".png", PngImagePlugin.PngImageFile),
    b"II*\0": (".tif", TiffImagePlugin.TiffImageFile),
    b"MM\0*": (".tif", TiffImagePlugin.TiffImageFile),
    b"II+\0": (".tif", TiffImagePlugin.TiffImageFile),
    b"MM\0+": (".tif", TiffImagePlugin.TiffImageFile),
    b"BM": (".bmp", BmpImagePlugin.BmpImageFile),
    b"RIFF": (".webp", WebPImagePlugin.WebPImageFile),
}
_STRIP_PIXELS = 1 << 18
"""Pixels that are converted at once, so that Pillow never holds a second copy of an image, and those fit a cache."""
_HEADER_BYTES = 1 << 16


class ImageError(RsvqaError):
    """An image cannot be used; the message is a short reason without the image's name."""


class ImageSize(NamedTuple):
    """Of an image as it is stored, pixels; in the order that arrays have."""

    height: int
    width: int


class ImageHeader(NamedTuple):
    """What an encoded image says of itself; `suffix` is that of its format: ".jpg", ".png", ".tif", ".bmp", ".webp"."""

    suffix: str
    height: int
    width: int

    @property
    def size(self) -> ImageSize:
        """Height and width."""
        return ImageSize(self.height, self.width)


def read_header(encoded: bytes | memoryview) -> ImageHeader:
    """Return format and size of an encoded image, from its first bytes if they tell; nothing is decoded.

    Raises:
        ImageError: of no known format, a broken header, or more than `MAX_PIXELS`.
    """
    try:
        header = _header(bytes(encoded[:_HEADER_BYTES]))
    except ImageError:  # perhaps a long preamble, or a directory at the end
        header = _header(bytes(encoded))
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(f"{header.width} x {header.height} px are more than {MAX_PIXELS} px")
    return header


def reduce_image(rgb: Pixels, longest_px: int) -> Pixels:
    """Return an image whose longer side is at most `longest_px`, sides in proportion; a smaller one as it is."""
    height, width, _ = rgb.shape
    ratio = longest_px / max(height, width)
    if ratio >= 1:
        return rgb
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    # averaging is as good as a longer filter at such ratios, and several times as fast
    filtered = Image.fromarray(rgb).resize(size, Image.Resampling.BOX if ratio < 0.5 else Image.Resampling.LANCZOS)
    return np.asarray(filtered)


def decode_image(encoded: bytes, *, at_least: ImageSize | None = None) -> Pixels:
    """Return the pixels of an encoded image, by the rules above.

    Args:
        encoded: a whole file.
        at_least: a size that is enough: the image comes reduced, but never below this on either side. A JPEG is reduced
            by eighths while it is decoded, which takes less time; of other formats whole squares are averaged.

    Raises:
        ImageError: of no known format, damaged, larger than `MAX_PIXELS`, or with values of 32 bits.
    """
    header = read_header(encoded)
    if header.suffix == ".jpg" and (pixels := _decode_jpeg(encoded, header, at_least)) is not None:
        return pixels
    with _opened(encoded) as image:
        return _to_rgb(image, _factor(header.size, at_least or header.size))


def _header(data: bytes) -> ImageHeader:
    suffix, _ = _opener(data)
    if suffix == ".png" and len(data) >= 24:
        # the first chunk is IHDR: 4 bytes length, 4 bytes type, then width and height
        size = ImageSize(int.from_bytes(data[20:24]), int.from_bytes(data[16:20]))
    elif suffix == ".jpg":
        size = _jpeg_size(data)
    else:
        size = _size_by_pillow(data)
    if min(size) < 1:
        raise ImageError(f"its header says {size.width} x {size.height} px")
    return ImageHeader(suffix, size.height, size.width)


def _opener(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for signature, found in _OPENERS.items():
        if data.startswith(signature) and (signature != b"RIFF" or data[8:12] == b"WEBP"):
            return found
    begin = data[:8].hex(" ") or "nothing"
    raise ImageError(f"expected a JPEG, PNG, TIFF, WebP or BMP image, found bytes that begin with {begin}")


def _jpeg_size(data: bytes) -> ImageSize:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
        return ImageSize(int(height), int(width))
    except (ValueError, KeyError):  # the latter where no colour space can be told
        return _size_by_pillow(data)


def _size_by_pillow(data: bytes) -> ImageSize:
    try:
        with _opened(data) as image:
            return ImageSize(image.height, image.width)
    except ImageError as error:
        raise ImageError(f"broken {_opener(data)[1].format} header") from error


def _decode_jpeg(data: bytes, header: ImageHeader, at_least: ImageSize | None) -> Pixels | None:
    """Return the pixels, or None where Pillow should try: it reads harmless oddities, and says what is wrong."""
    try:
        if simplejpeg.decode_jpeg_header(data, strict=False)[2] in ("CMYK", "YCCK"):
            return None
        if at_least is not None:
            smallest = {"min_height": at_least.height, "min_width": at_least.width}
            return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", **smallest), dtype=np.uint8)
        # an array of numpy's lies on huge pages: a tenth of the time that the system takes to hand out 300 MB
        buffer = np.empty((header.height, header.width, 3), np.uint8)
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=buffer), dtype=np.uint8)
    except (ValueError, KeyError):
        return None


@contextmanager
def _opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """Open an image by its format's own class, turning whatever a damaged file makes Pillow raise into one error."""
    _, opener = _opener(data)
    try:
        with warnings.catch_warnings(), opener(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")  # remarks on metadata
            yield image
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"cannot be decoded: {error or type(error).__name__}") from error


def _factor(size: ImageSize, at_least: ImageSize) -> int:
    """Return the largest factor that leaves at least so much; a side of one pixel is left by any."""
    factors = [side // least for side, least in zip(size, at_least, strict=True) if least > 1]
    return max(1, min(factors, default=max(size)))


def _to_rgb(image: ImageFile.ImageFile, factor: int) -> Pixels:
    image.load()
    has_16_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")  # in older releases
    if image.mode in ("I", "F") and not has_16_bits:
        raise ImageError("its values have 32 bits, and nothing says which is white; expected 8 or 16 bits a band")
    image.info.pop("transparency", None)  # `convert` would warn that it drops it
    height, width = math.ceil(image.height / factor), math.ceil(image.width / factor)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width // factor)
    for top in range(0, height, rows):
        strip = image.crop((0, top * factor, image.width, min((top + rows) * factor, image.height)))
        rgb = Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8)) if has_16_bits else strip
        rgb = rgb if rgb.mode == "RGB" else rgb.convert("RGB")  # either would copy, even where there is nothing to do
        pixels[top : top + rows] = np.asarray(rgb if factor == 1 else rgb.reduce(factor))
    return pixels
