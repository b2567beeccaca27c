"""Numbered red circles: that they are in the image where the evidence says, and what lies inside them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.truth.measuring import Points
from tests.truth.reading import Pixels, Row, Tile, expect

RING_PX = 16
"""A ring with its halo lies within so many pixels outside of the circle."""


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
    for date in range(len(row.images)):
        share = red_share(row.image(date), circle)
        expect(share > 0.97, f"only {share:.0%} of a red ring is in image {date + 1}")
    return circle


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
