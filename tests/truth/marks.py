"""Numbered red circles: that they are in the image where the evidence says, and what lies inside them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.truth.measuring import Points
from tests.truth.reading import Pixels, Row, Tile, decoded, expect

RING_PX = 16
"""A ring with its halo lies within so many pixels outside of the circle."""

MIN_GLYPH_MATCH = {digit: 0.75 if digit == "1" else 0.9 for digit in "123456789"}
"""Share of a digit's strokes that is red, less the share of the gaps around them that is. A 3 looks like an 8 by 0.84;
the thin 1 of a small image is blurred by JPEG, and no other digit looks like it by more than 0.7."""

MAX_PAINTED_SHARE = 0.01
"""Share of the inside of a circle; JPEG changes single pixels beside strong edges."""


class Circle(NamedTuple):
    """In tile pixels."""

    x: float
    y: float
    radius: float


def circle_of(row: Row, number: str) -> Circle:
    """Return the circle that a question's text gives the number of; a red ring must be there in every image."""
    region = row.region
    expect(region is not None and region["number"] == int(number), "the text and the evidence name different circles")
    assert region is not None
    circle = Circle(region["x"], region["y"], region["radius"])
    for name, encoded in row.images:
        _expect_mark(encoded, circle, number, name)
    return circle


@lru_cache(maxsize=64)
def _expect_mark(encoded: bytes, circle: Circle, number: str, name: str) -> None:
    """Raise unless a circle and, beside it, its number are painted red on an image."""
    pixels = decoded(encoded)
    share = red_share(pixels, circle)
    expect(share > 0.97, f"only {share:.0%} of a red ring is in {name}")
    found = glyph_match(pixels, circle, number)
    expect(found > MIN_GLYPH_MATCH[number], f"no {number} beside the circle in {name}: likeness {found:.2f}")


def glyph_match(pixels: Pixels, circle: Circle, digit: str) -> float:
    """Return how well the best place beside a circle matches a digit, 1 for all of it and nothing else."""
    glyph = _glyph(digit, size=max(16, round(0.025 * min(pixels.shape[:2]))))
    reach = circle.radius + RING_PX + 2 * max(glyph.shape)
    top, left = (max(0, int(centre - reach)) for centre in (circle.y, circle.x))
    part = pixels[top : int(circle.y + reach), left : int(circle.x + reach)].astype(int)
    red = (part[..., 0] > 195) & (part[..., 1:] < 110).all(axis=-1)  # no roof is as bright
    kernel = glyph / glyph.sum() - ~glyph / (~glyph).sum()
    shape = [red.shape[axis] + glyph.shape[axis] for axis in (0, 1)]
    spectrum = np.fft.rfft2(red, shape) * np.conj(np.fft.rfft2(kernel, shape))
    return float(np.fft.irfft2(spectrum, shape).max())


@lru_cache(maxsize=32)
def _glyph(digit: str, *, size: int) -> NDArray[np.bool_]:
    """Return the strokes of a digit in Pillow's own font, (height, width), cut to them with a pixel around."""
    canvas = Image.new("L", (3 * size, 3 * size))
    bold = max(1, size // 24)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(canvas).text((size, size), digit, fill=255, font=font, stroke_width=bold, stroke_fill=255)
    x_min, y_min, x_max, y_max = canvas.getbbox() or (0, 0, 1, 1)
    return np.asarray(canvas.crop((x_min - 1, y_min - 1, x_max + 1, y_max + 1))) > 127


def expect_unpainted(row: Row, tile: Tile, circle: Circle) -> None:
    """Raise where a ring or a number covers what a circle holds."""
    difference = np.abs(row.image().astype(int) - tile.pixels).max(axis=2)
    share = float((difference[disc(tile, circle._replace(radius=circle.radius - 3))] > 90).mean())
    expect(share < MAX_PAINTED_SHARE, f"{share:.1%} of the circle is painted over")


def red_share(pixels: Pixels, circle: Circle) -> float:
    """Return in how many of 720 directions from the centre there is red just outside of the circle."""
    angles = np.radians(np.arange(720) / 2)
    reach = circle.radius + np.arange(RING_PX)
    x = circle.x + reach[:, None] * np.cos(angles)
    y = circle.y + reach[:, None] * np.sin(angles)
    red, green, blue = np.moveaxis(nearest(pixels, x, y).astype(int), -1, 0)
    return float(((red > 150) & (green < 110) & (blue < 110)).any(axis=0).mean())


def nearest(pixels: Pixels, x: NDArray[np.floating], y: NDArray[np.floating]) -> Pixels:
    """Return the pixels that hold some points; those beyond the image's edge take the edge's."""
    rows = np.clip(np.floor(y).astype(int), 0, pixels.shape[0] - 1)
    columns = np.clip(np.floor(x).astype(int), 0, pixels.shape[1] - 1)
    found: Pixels = pixels[rows, columns]
    return found


def share_in(circle: Circle, points: Points) -> float:
    """Return the share of points inside a circle."""
    return float((np.hypot(points[:, 0] - circle.x, points[:, 1] - circle.y) < circle.radius).mean())


def disc(tile: Tile, circle: Circle) -> NDArray[np.bool_]:
    """Return the (height, width) mask of a circle."""
    across, down = (
        np.arange(size) + 0.5 - centre for size, centre in ((tile.width, circle.x), (tile.height, circle.y))
    )
    mask: NDArray[np.bool_] = across**2 + down[:, None] ** 2 < circle.radius**2
    return mask
