"""How a scene is looked at: which of its bands are red, green and blue, how they are stretched, and with which gamma.

A look is of a person and a scene, and is kept in the browser. It travels in addresses as one short word, is read here
and nowhere else, and changes nothing that is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol

AS_BUILT = "built"
"""The look of the data set's own images."""

_LOOK = re.compile(r"b([0-9]{1,4})-([0-9]{1,4})-([0-9]{1,4})_p([0-9]{1,4})-([0-9]{1,4})_g([0-9]{1,3})")
_PERMILLE = 1000
_MIN_GAMMA, _MAX_GAMMA = 0.2, 5.0


class LookError(ValueError):
    """A look cannot be; `str()` says why."""


class SceneLook(NamedTuple):
    """What is shown of a scene.

    Attributes:
        bands: 1-based numbers of those shown as red, green and blue.
        low, high: thousandths of a band's values that become black and full.
        gamma: above 1 brightens.
    """

    bands: tuple[int, int, int]
    low: int
    high: int
    gamma: float

    @classmethod
    def parse(cls, word: str, *, num_bands: int) -> SceneLook | None:
        """Return the look that a word of an address stands for; None for the data set's own.

        Raises:
            LookError: it is no such word, or the scene has no such band.
        """
        if word == AS_BUILT:
            return None
        found = _LOOK.fullmatch(word)
        if found is None:
            raise LookError("no look")
        red, green, blue, low, high, percent = map(int, found.groups())
        if not all(1 <= band <= num_bands for band in (red, green, blue)):
            raise LookError(f"the scene has {num_bands} bands")
        if not low < high <= _PERMILLE:
            raise LookError("the stretch is empty")
        if not _MIN_GAMMA <= percent / 100 <= _MAX_GAMMA:
            raise LookError(f"gamma is from {_MIN_GAMMA} to {_MAX_GAMMA}")
        return cls((red, green, blue), low, high, percent / 100)


class OtherScene(NamedTuple):
    """Another scene that covers the place of a tile.

    Attributes:
        number: stands for it in addresses; the tile's own scene is 0.
        scene: its id.
        date: ISO day; None when unknown.
        bands: names of its bands.
    """

    number: int
    scene: str
    date: str | None
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneView:
    """What can be seen of a tile's scene beyond its image.

    Attributes:
        bands: names of the scene's bands; empty where the scene is not at hand.
        shown: 1-based numbers of the bands on the image.
        around: the part of the scene that is shown around the tile, x, y, width, height in pixels of the tile.
        others: other scenes of the place.
    """

    bands: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()
    around: tuple[int, int, int, int] | None = None
    others: tuple[OtherScene, ...] = ()


class SceneViews(Protocol):
    """The scenes behind a data set's images, where they are at hand; all may be called by many threads at once."""

    def view(self, key: str) -> SceneView:
        """Return what can be seen of the scene of an image, by its key; nothing where that is not known."""
        ...

    def tile(self, key: str, number: int, look: str, level: int, column: int, row: int) -> bytes:
        """Return a tile of the pyramid of an image, made anew from a scene, as JPEG.

        Raises:
            NoSuchPictureError: there is none.
        """
        ...

    def around(self, key: str, look: str) -> bytes:
        """Return what lies around a tile, at lower resolution, as JPEG.

        Raises:
            NoSuchPictureError: there is none.
        """
        ...
