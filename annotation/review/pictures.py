"""What the server must know of images: their tiles by level, column and row, however they are stored."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol

TILE_SIDE = 512
"""Pixels; longest side of a tile of the pyramid, without its overlap."""
TILE_OVERLAP = 1
"""Pixels that a tile shows of each neighbour, so that no seam is seen between them."""


class NoSuchPictureError(LookupError):
    """There is no such image, level or tile."""


class PicturePlace(NamedTuple):
    """Of which tile an image is."""

    scene: str
    tile_id: str


class Pictures(Protocol):
    """The images of a data set as Deep Zoom pyramids.

    Level 0 is one pixel; each level doubles width and height, rounded up, to the whole image at the last one.
    """

    def tile(self, key: str, level: int, column: int, row: int) -> bytes:
        """Return one tile as JPEG; may be called by many threads at once.

        Raises:
            NoSuchPictureError: when there is none.
        """
        ...

    def prepare(self, key: str) -> None:
        """Get ready, when nothing else is to be done, to show an image soon; may be forgotten, and never waits."""
        ...


def picture_key(name: str) -> str:
    """Return what stands for an image's name in addresses: hexadecimal, so that no name can lead anywhere."""
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
