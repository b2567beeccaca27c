"""Name the colour of an object's pixels, by lightness, chroma and hue in CIE Lab.

A name is given only when most pixels share it. What surprises: neighbouring names have no sharp border (a roof may be
called orange or brown), so a measurement also lists every name that a person might give to a part of the pixels; none
of those may be a wrong option.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

COLOURS = (
    "black",
    "grey",
    "white",
    "red",
    "orange",
    "brown",
    "yellow",
    "green",
    "cyan",
    "blue",
    "purple",
    "pink",
)
"""Keys of the wording table [colour]; the eleven basic terms of Berlin and Kay (1969), and cyan."""

MIN_DOMINANT_SHARE = 0.6
MIN_PIXELS = 12
MAX_SAMPLED_PIXELS = 2048
MAX_TESTED_PIXELS = 65_536
MAX_WRONG_SHARE = 0.05
"""A colour that more of the pixels might be called is no wrong option."""

DOUBTFUL_LIGHTNESS = 5.0
DOUBTFUL_CHROMA = 4.0
DOUBTFUL_HUE_DEG = 9.0
"""So near to a border between two names, either may be given."""

REDDISH_HUES = (-15.0, 43.0)
DULL_RED_CHROMA = 14.0
PINKISH_LIGHTNESS = 55.0
"""A surface of a reddish hue (degrees) and some chroma is "red" to many, and "pink" when it is light, whatever its name
here: sunlit roof tiles and painted iron are of such colours."""

# sRGB (IEC 61966-2-1) to CIE XYZ for the white point D65, and CIE 15:2004 for XYZ to Lab.
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE_D65 = _RGB_TO_XYZ.sum(axis=1)
_LAB_EPSILON = 216 / 24389
_LAB_KAPPA = 24389 / 27


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourMeasurement:
    """The colour of the pixels of one object.

    Attributes:
        name: one of `COLOURS`; None when no colour has the dominant share, or there are too few pixels.
        share: share of the pixels with the most frequent name, in [0, 1].
        possible: colours that a person might give to more than `MAX_WRONG_SHARE` of the pixels, `name` among them.
        num_pixels: pixels looked at.
    """

    name: str | None
    share: float
    possible: frozenset[str] = frozenset()
    num_pixels: int = 0


def measure_colour(pixels: NDArray[np.uint8], geometry: BaseGeometry) -> ColourMeasurement:
    """Return the colour of the pixels whose centres lie inside `geometry`.

    Args:
        pixels: (height, width, 3) uint8 RGB of the tile.
        geometry: a polygon in tile pixels; what is outside the tile is ignored. In a large one every n-th row and
            column is looked at.
    """
    inside = pixels_inside(pixels, geometry)
    if len(inside) < MIN_PIXELS:
        return ColourMeasurement(name=None, share=0.0, num_pixels=len(inside))
    lab = rgb_to_lab(inside)
    lightness, chroma, hue = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]), np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    named = _name_pixels(lightness, chroma, hue)
    counts = np.bincount(named, minlength=len(COLOURS))
    best = int(counts.argmax())
    share = float(counts[best] / len(inside))
    return ColourMeasurement(
        name=COLOURS[best] if share >= MIN_DOMINANT_SHARE else None,
        share=share,
        possible=_possible_names(lightness, chroma, hue),
        num_pixels=len(inside),
    )


def pixels_inside(pixels: NDArray[np.uint8], geometry: BaseGeometry) -> NDArray[np.uint8]:
    """Return the (N, 3) pixels whose centres lie inside `geometry`, in row order, thinned to a bounded number."""
    height, width = pixels.shape[:2]
    if geometry.is_empty:
        return np.empty((0, 3), dtype=np.uint8)
    x_min, y_min, x_max, y_max = geometry.bounds
    first_x, last_x = max(math.floor(x_min), 0), min(math.ceil(x_max), width)
    first_y, last_y = max(math.floor(y_min), 0), min(math.ceil(y_max), height)
    if first_x >= last_x or first_y >= last_y:
        return np.empty((0, 3), dtype=np.uint8)
    # the second bound is for long thin outlines, whose box holds far more pixels than they do
    bounds_area = (last_x - first_x) * (last_y - first_y)
    step = max(1, math.ceil(math.sqrt(max(geometry.area / MAX_SAMPLED_PIXELS, bounds_area / MAX_TESTED_PIXELS))))
    columns, rows = np.meshgrid(np.arange(first_x, last_x, step), np.arange(first_y, last_y, step))
    shapely.prepare(geometry)
    is_inside = shapely.contains_xy(geometry, columns + 0.5, rows + 0.5)
    inside: NDArray[np.uint8] = pixels[rows[is_inside], columns[is_inside]]
    return inside


def rgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIE Lab (D65) of sRGB values, (N, 3) from (N, 3): L in 0–100, a and b about ±128."""
    encoded = rgb.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _RGB_TO_XYZ.T / _WHITE_D65
    curved = np.where(xyz > _LAB_EPSILON, np.cbrt(xyz), (_LAB_KAPPA * xyz + 16) / 116)
    x, y, z = curved.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _possible_names(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> frozenset[str]:
    """Return the names that a person might give to more than `MAX_WRONG_SHARE` of the pixels."""
    might_be = np.zeros((len(COLOURS), len(hue)), dtype=bool)
    columns = np.arange(len(hue))
    shifts = [(0.0, 0.0, 0.0)]
    for sign in (-1, 1):
        shifts += [
            (sign * DOUBTFUL_LIGHTNESS, 0, 0),
            (0, sign * DOUBTFUL_CHROMA, 0),
            (0, 0, sign * DOUBTFUL_HUE_DEG),
        ]
    for lighter, purer, turned in shifts:
        named = _name_pixels(lightness + lighter, np.maximum(chroma + purer, 0), hue + turned)
        might_be[named, columns] = True
    is_dull_red = (chroma >= DULL_RED_CHROMA) & ((hue - REDDISH_HUES[0]) % 360 < REDDISH_HUES[1] - REDDISH_HUES[0])
    might_be[COLOURS.index("red")] |= is_dull_red
    might_be[COLOURS.index("pink")] |= is_dull_red & (lightness >= PINKISH_LIGHTNESS)
    shares = might_be.mean(axis=1)
    return frozenset(name for name, share in zip(COLOURS, shares, strict=True) if share > MAX_WRONG_SHARE)


def _name_pixels(
    lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the index into `COLOURS` of each pixel; hue in degrees, any turn.

    The borders were set on the CSS named colours; each stands between colours that people name differently:
    grey below chroma 10, where a surface under haze is not called coloured; dark, pale and dull reds and oranges are
    brown or pink; the pure sRGB blue (hue 306) lies beyond paler purples in Lab, so chroma parts them.
    """
    h = hue % 360
    is_white = ((lightness >= 85) & (chroma < 10)) | ((lightness >= 88) & (chroma < 16))
    is_black = ((lightness < 25) & (chroma < 10)) | ((lightness < 12) & (chroma < 30))
    is_reddish = (h < REDDISH_HUES[1]) | (h >= 360 + REDDISH_HUES[0])
    is_rosy = (h < 18) | (h >= 345)
    rules = (
        (is_white, "white"),
        (is_black, "black"),
        (chroma < 10, "grey"),
        (is_reddish & (lightness >= np.where(is_rosy, 55, 75)), "pink"),
        (is_reddish & (chroma < 28), "brown"),
        (is_reddish, "red"),
        ((h < 80) & (lightness >= 58) & (chroma >= 50), "orange"),
        (h < 80, "brown"),
        ((h < 112) & (lightness >= 65) & (chroma >= 35), "yellow"),
        (h < 97, "brown"),
        (h < 175, "green"),
        (h < 222, "cyan"),
        ((h < 300) | ((h < 312) & (chroma >= 75)), "blue"),
        ((h >= 312) & (lightness >= 60), "pink"),
    )
    return np.select(
        [condition for condition, _ in rules], [COLOURS.index(name) for _, name in rules], COLOURS.index("purple")
    )
