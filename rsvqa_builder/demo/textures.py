"""Repeating grey textures of the example scenes: grain, mottling, tree crowns, and slow shades over a whole scene.

Textures are periodic squares, so that a block of any place and size is cut from them without a seam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PERIOD = 1024
"""Pixels after which a texture repeats."""

SHADE_SPACING = 96
"""Pixels between the nodes of the slow shades."""

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Textures:
    """Planes of (PERIOD, PERIOD) float32 with mean 0 and standard deviation 1 (crowns: 0 to 1).

    Attributes:
        grain: differs from pixel to pixel.
        mottle: patches of all sizes, from a few to some hundred pixels.
        crowns: light on a closed canopy of round tree crowns from the lower right.
        shades: (rows, columns) nodes every `SHADE_SPACING` pixels over the whole scene.
    """

    grain: Plane
    mottle: Plane
    crowns: Plane
    shades: Plane


def make_textures(size: int, rng: np.random.Generator) -> Textures:
    """Return the textures of a scene of `size` pixels."""
    nodes = size // SHADE_SPACING + 4
    return Textures(
        grain=_spectral(rng, power=0.35),
        mottle=_spectral(rng, power=1.35),
        crowns=_crowns(rng, num=5200),
        shades=rng.standard_normal((nodes, nodes), dtype=np.float32),
    )


def cut(texture: Plane, x: int, y: int, width: int, height: int) -> Plane:
    """Return the (height, width) part of a repeating texture whose first pixel is (x, y) of the scene."""
    x, y = x % PERIOD, y % PERIOD
    if x + width <= PERIOD and y + height <= PERIOD:
        return texture[y : y + height, x : x + width]
    rows, columns = np.arange(y, y + height) % PERIOD, np.arange(x, x + width) % PERIOD
    part: Plane = texture[rows][:, columns]
    return part


def cut_shades(shades: Plane, x: int, y: int, width: int, height: int, *, spacing: float = SHADE_SPACING) -> Plane:
    """Return the slow shades of a block, smooth across block borders; nodes lie every `spacing` pixels."""
    # half a node is Pillow's pixel centre; one node more keeps the bicubic kernel inside
    first_x, first_y, end_x, end_y = (value / spacing + 1.5 for value in (x, y, x + width, y + height))
    box = (first_x, first_y, end_x, end_y)
    image = Image.fromarray(shades).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def _spectral(rng: np.random.Generator, *, power: float) -> Plane:
    """Return periodic noise whose amplitude falls with frequency to the `power`."""
    spectrum = np.fft.rfft2(rng.standard_normal((PERIOD, PERIOD), dtype=np.float32))
    across, along = (part.astype(np.float32) for part in (np.fft.fftfreq(PERIOD), np.fft.rfftfreq(PERIOD)))
    squared = across[:, None] ** 2 + along[None, :] ** 2
    # the longest waves would make the period visible
    spectrum *= np.maximum(squared, np.float32(4 / PERIOD) ** 2) ** np.float32(-power / 2)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(PERIOD, PERIOD))
    plane: Plane = (noise / noise.std()).astype(np.float32)
    return plane


def _crowns(rng: np.random.Generator, *, num: int) -> Plane:
    """Return the light, 0 to 1, on `num` domes of random size that hide each other."""
    reach = 16
    domes = [_dome(radius, reach) for radius in np.linspace(7, 15, 9)]
    height = np.zeros((PERIOD + 2 * reach,) * 2, dtype=np.float32)
    places = rng.integers(0, PERIOD, (num, 2)).tolist()
    sizes = rng.integers(len(domes), size=num).tolist()
    tops = rng.uniform(0.75, 1.25, num).astype(np.float32)
    for (x, y), size, top in zip(places, sizes, tops, strict=True):
        part = height[y : y + 2 * reach, x : x + 2 * reach]
        np.maximum(part, domes[size] * top, out=part)
    height = _folded(_folded(height, reach).T, reach).T
    slope = 2 * height - np.roll(height, 1, axis=1) - np.roll(height, 1, axis=0)
    light = 0.5 - 0.16 * np.clip(slope, -3, 3) + 0.025 * (height - height.mean())
    clipped: Plane = np.clip(light, 0, 1).astype(np.float32)
    return clipped


def _dome(radius: float, reach: int) -> Plane:
    """Return the heights of half a ball in a square of 2 × `reach` pixels."""
    offsets = np.arange(-reach, reach) + 0.5
    squared = offsets[:, None] ** 2 + offsets[None, :] ** 2
    dome: Plane = np.sqrt(np.maximum(radius**2 - squared, 0)).astype(np.float32)
    return dome


def _folded(height: Plane, reach: int) -> Plane:
    """Return rows without the `reach` first and last ones, which are laid over the opposite edge."""
    inner = height[reach:-reach].copy()
    np.maximum(inner[-reach:], height[:reach], out=inner[-reach:])
    np.maximum(inner[:reach], height[-reach:], out=inner[:reach])
    return inner
