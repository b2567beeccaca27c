"""Defects of images: each is looked at once, by header, end and digest, by pixels only to compare it."""

from __future__ import annotations

from collections.abc import Sequence

from rsvqa.annotation.images import ImageError, decode_image, read_header
from rsvqa.rsvqa_builder.auditing.defects import Defects
from rsvqa.rsvqa_builder.auditing.items import AuditImage
from rsvqa.rsvqa_builder.tiles.dedup import (
    ExcludedImages,
    ExcludeError,
    ImagePrint,
    file_digest,
    find_excluded,
    look_of,
    read_excluded,
)

_COMPARED_AT_ONCE = 2_000
"""Images whose looks are kept until they are compared."""
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
_TAIL_BYTES = 64
"""Behind which the end of an image must stand; some programs append a few bytes."""


class ImageChecks:
    """Looks at each image as it passes."""

    def __init__(self, defects: Defects, against: Sequence[str] = ()) -> None:
        self._defects = defects
        self._excluded = _read_against(against) if against else None
        self._seen: set[str] = set()
        self._first: dict[str, tuple[str, str]] = {}
        self._prints: list[tuple[str, ImagePrint]] = []
        self.num_images = 0

    def look(self, image: AuditImage, split: str) -> None:
        """Count what is wrong with one image, the first time that it comes in a split."""
        key = f"{split}\0{image.name}"
        if key in self._seen:
            return
        self._seen.add(key)
        self.num_images += 1
        try:
            encoded = image.read()
        except (ImageError, OSError):
            self._defects.add("missing", image.name, of="images")
            return
        digest = file_digest(encoded)
        name, known_split = self._first.setdefault(digest, (image.name, split))
        if known_split != split:
            self._defects.add(
                "the same in two splits", f"{image.name} in {split} is {name} in {known_split}", of="images"
            )
        elif name != image.name:
            self._defects.add("the same under two names", f"{image.name} is {name}", of="images", is_wrong=False)
        try:
            header = read_header(encoded)
        except ImageError as error:
            self._defects.add("unreadable", f"{image.name}: {error}", of="images")
            return
        if _is_cut_off(encoded, header.suffix):
            self._defects.add("cut off", image.name, of="images")
        elif image.stated is not None and image.stated != (header.width, header.height):
            found = f"{image.name}: {header.width} x {header.height}, stated {image.stated[0]} x {image.stated[1]}"
            self._defects.add("not of the stated size", found, of="images")
        if self._excluded is not None:
            self._compare(image.name, encoded, digest)

    def _compare(self, name: str, encoded: bytes, digest: str) -> None:
        try:
            look = look_of(decode_image(encoded))
        except ImageError:
            look = None
        self._prints.append((name, ImagePrint(encoded=digest, look=look)))
        if len(self._prints) >= _COMPARED_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Compare the images that are left with those of the benchmark."""
        if self._excluded is None:
            return
        found = find_excluded([[image] for _, image in self._prints], self._excluded)
        for number, why in found.items():
            example = f"{self._prints[number][0]} is {why.image}, by {why.criterion.value}"
            self._defects.add("also in what they must not repeat", example, of="images")
        self._prints.clear()


def _read_against(against: Sequence[str]) -> ExcludedImages:
    try:
        return read_excluded(against)
    except ExcludeError as error:
        raise ExcludeError(str(error).replace("`exclude`", "`against`")) from error


def _is_cut_off(encoded: bytes, suffix: str) -> bool:
    """Return whether the end that its format has is not there, as after half a download."""
    end = {".jpg": _JPEG_END, ".png": _PNG_END}.get(suffix)
    return end is not None and end not in encoded.rstrip(b"\0")[-_TAIL_BYTES:]
