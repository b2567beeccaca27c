"""The pictures of an export: as they are, reduced to a budget of pixels, and parts of them.

What surprises: a picture within the budget is written byte for byte, also for models that resize it once more. A
reduced one has exactly the size that the model's own rule gives, so that the trainer's resizing changes nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.images import ImageSize, Pixels, decode_image, read_header
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.exporting.families import BoxFamily
from rsvqa.rsvqa_builder.scenes.tiling import Window

_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as an export writes it.

    Attributes:
        path: below the folder of pictures.
        data: encoded.
        size: of `data`.
        seen: the size after the model's own resizing; that of `data` but for models of pixels.
    """

    path: str
    data: bytes
    size: ImageSize
    seen: ImageSize


class PictureMaker:
    """Makes the pictures of questions for one family and one budget; keeps those of the last row group."""

    def __init__(self, family: BoxFamily, max_pixels: int | None) -> None:
        self._family = family
        self._max_pixels = max_pixels
        self._made: dict[tuple[str, Window | None], Picture] = {}
        self._decoded: tuple[bytes, Pixels] | None = None

    def forget(self) -> None:
        """Drop what was kept; other pictures come now."""
        self._made.clear()
        self._decoded = None

    def unfit(self, image: EncodedImage) -> str | None:
        """Return why trainers would not agree on the size at which a picture is seen."""
        return self._family.unfit_size(read_header(image.data).size, self._max_pixels)

    def whole(self, image: EncodedImage) -> Picture:
        """Return an image within the budget."""
        return self._make(image, None)

    def part(self, image: EncodedImage, window: Window) -> Picture:
        """Return a part of an image, at its own resolution where the budget allows it."""
        return self._make(image, window)

    def _make(self, image: EncodedImage, window: Window | None) -> Picture:
        key = (image.path, window)
        if key not in self._made:
            self._made[key] = self._new(image, window)
        return self._made[key]

    def _new(self, image: EncodedImage, window: Window | None) -> Picture:
        header = read_header(image.data)
        size = header.size if window is None else ImageSize(window.height, window.width)
        seen = self._family.seen_size(size, self._max_pixels)
        is_reduced = self._family.is_over(size, self._max_pixels)
        if window is None and not is_reduced:
            return Picture(image.path, image.data, size, seen)
        pixels = self._pixels(image.data)
        path = PurePosixPath(image.path)
        if window is not None:
            pixels = pixels[window.y : window.y + window.height, window.x : window.x + window.width]
            place = "_".join(str(value) for value in window)
            path = path.with_name(f"{path.stem}_part_{place}{path.suffix}")
        if is_reduced:
            # filtered over the whole source, so that no row of the ground is skipped
            filtered = Image.fromarray(pixels).resize((seen.width, seen.height), Image.Resampling.LANCZOS)
            pixels, size = np.asarray(filtered), seen
        return Picture(path.with_suffix(header.suffix).as_posix(), _encoded(pixels, header.suffix), size, seen)

    def _pixels(self, data: bytes) -> Pixels:
        if self._decoded is None or self._decoded[0] is not data:
            self._decoded = (data, decode_image(data))
        return self._decoded[1]


def _encoded(pixels: Pixels, suffix: str) -> bytes:
    if suffix == ".jpg":
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=_QUALITY, colorsubsampling="444"))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


class PictureFolder:
    """Writes each picture once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[str] = set()

    def add(self, picture: Picture | EncodedImage) -> None:
        """Write a picture below its own path unless that was done."""
        if picture.path in self._written:
            return
        self._written.add(picture.path)
        path = self._folder / picture.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)
