"""The plan of windows: which tiles a scene is cut into."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A tile's place in its scene, pixels; always inside the scene."""

    x: int
    y: int
    width: int
    height: int
