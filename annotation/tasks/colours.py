"""Name the colour of an object's pixels, by lightness, chroma and hue in CIE Lab.

A name is given only where nobody would object to it. What surprises: between the names lies a wide zone without one. A
clay roof in the sun is orange to some and brown to others, a slate roof grey or blue; such roofs are refused, and each
measurement lists every name that a person might give to a part of the pixels; none of those may be a wrong option.

The borders were set on objects of real scenes that were looked at one by one, and on the CSS colours;
tests/annotation/tasks/test_colours_of_real_objects.py holds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

COLOURS = (
    "black",
    "grey",
    "white",
    "beige",
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
"""Keys of the wording table [colour]: the eleven basic terms of Berlin and Kay (1969), cyan and beige. Roofs of cream,
tan and sand are common, and are neither white nor brown."""

MIN_DOMINANT_SHARE = 0.8
"""Of the pixels, that a person might call by the name."""

MIN_SURE_SHARE = 0.35
MAX_OTHER_SHARE = 0.15
"""Shares of the pixels that are surely of the name, and surely of one other name: more is an object of two colours."""

MIN_PIXELS = 12
MAX_SAMPLED_PIXELS = 2048
MAX_TESTED_PIXELS = 65_536
MAX_WRONG_SHARE = 0.05
"""A colour that more of the pixels might be called is no wrong option."""


class _Range(NamedTuple):
    """A block of CIE Lab: lightness, chroma, and hue in degrees (through 0 where `hue` runs downwards)."""

    lightness: tuple[float, float]
    chroma: tuple[float, float]
    hue: tuple[float, float] = (0, 360)


_ANY = 999.0

_SURE: Mapping[str, tuple[_Range, ...]] = {
    "black": (_Range((0, 18), (0, 8)), _Range((0, 6), (0, 12))),
    # the light of a scene tints its greys: towards yellow under the sun, towards blue under haze
    "grey": (
        _Range((28, 80), (0, 4)),
        _Range((28, 83), (0, 9.5), (82, 108)),
        _Range((28, 80), (0, 5.5), (108, 170)),
        _Range((28, 72), (0, 7), (268, 310)),
    ),
    "white": (_Range((90, 101), (0, 7)), _Range((95, 101), (0, 10))),
    "beige": (_Range((72, 93), (13, 28), (64, 102)),),
    "red": (_Range((25, 66), (32, _ANY), (12, 36)), _Range((20, 66), (50, _ANY), (36, 42))),
    "orange": (
        _Range((53, 84), (34, _ANY), (46, 60)),
        _Range((68, 84), (34, _ANY), (60, 68)),
        _Range((60, 84), (58, _ANY), (60, 76)),
    ),
    "brown": (_Range((22, 66), (14, 33), (46, 82)), _Range((20, 46), (15, 60), (48, 80))),
    "yellow": (_Range((70, 101), (45, _ANY), (84, 105)),),
    "green": (
        _Range((15, 80), (12, _ANY), (105, 168)),
        _Range((15, 60), (24, _ANY), (96, 105)),
        _Range((80, 101), (16, _ANY), (112, 165)),
    ),
    "cyan": (_Range((40, 101), (22, _ANY), (180, 222)),),
    # the sRGB blue has the hue 306, beyond that of paler purples: chroma parts them
    "blue": (
        _Range((30, 85), (11, _ANY), (228, 262)),
        _Range((30, 85), (18, _ANY), (262, 283)),
        _Range((12, 80), (35, _ANY), (262, 292)),
        _Range((8, 60), (55, _ANY), (262, 308)),
    ),
    "purple": (_Range((15, 60), (30, _ANY), (312, 340)),),
    "pink": (_Range((74, 95), (14, 60), (345, 28)), _Range((50, 80), (40, _ANY), (340, 2))),
}
"""Colours that are surely called so; no colour is in two of these."""

_POSSIBLE: Mapping[str, tuple[_Range, ...]] = {
    "black": (_Range((0, 46), (0, 12)), _Range((0, 30), (0, 16))),
    "grey": (
        _Range((15, 90), (0, 12)),
        _Range((15, 90), (0, 16), (60, 110)),
        _Range((15, 90), (0, 22), (200, 320)),
    ),
    "white": (_Range((76, 101), (0, 15)), _Range((70, 101), (0, 20), (250, 320))),
    "beige": (_Range((57, 100), (5, 36), (40, 112)),),
    "red": (_Range((8, 88), (13, _ANY), (335, 52)),),
    "orange": (_Range((25, 92), (22, _ANY), (34, 84)),),
    "brown": (
        _Range((12, 80), (2, 60), (15, 104)),
        _Range((12, 80), (5, _ANY), (40, 80)),
        _Range((12, 80), (5, 24), (104, 126)),
    ),
    "yellow": (_Range((40, 101), (20, _ANY), (68, 118)),),
    "green": (_Range((4, 101), (4, _ANY), (88, 192)), _Range((1, 12), (0.5, 12))),  # dark water is green to some
    "cyan": (_Range((20, 101), (6, _ANY), (155, 245)),),
    "blue": (_Range((8, 101), (3, _ANY), (195, 312)),),
    "purple": (_Range((8, 90), (5, _ANY), (268, 358)),),
    "pink": (_Range((45, 101), (8, _ANY), (318, 50)),),
}
"""Colours that somebody might call so, in some light; these overlap, and each holds the sure ones."""


class _ColourRanges:
    """The ranges of several tables of `COLOURS`, as columns that are compared with a row of pixels.

    Attributes:
        row: (ranges,) number of the colour, counted through all tables; ascending.
        num_tables: in the order in which `_named` returns them.
        lightness, chroma: (ranges, 2, 1) limits.
        hue: (ranges, 2, 1) limits, the lower one first.
        is_through_0: (ranges, 1) the hues are those outside of the limits.
    """

    def __init__(self, *tables: Mapping[str, tuple[_Range, ...]]) -> None:
        of_colours = [table[name] for table in tables for name in COLOURS]
        self.row = np.repeat(np.arange(len(of_colours)), [len(ranges) for ranges in of_colours])
        self.num_tables = len(tables)
        limits = np.array([found for ranges in of_colours for found in ranges])[..., None]  # [ranges, 3, 2, 1]
        self.lightness, self.chroma = limits[:, 0], limits[:, 1]
        self.hue = np.sort(limits[:, 2], axis=1)
        self.is_through_0 = limits[:, 2, 0] > limits[:, 2, 1]


_RANGES = _ColourRanges(_SURE, _POSSIBLE)

# sRGB (IEC 61966-2-1) to CIE XYZ for the white point D65, and CIE 15:2004 for XYZ to Lab.
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE_D65 = _RGB_TO_XYZ.sum(axis=1)
_ENCODED = np.arange(256) / 255
_LINEAR = np.where(_ENCODED <= 0.04045, _ENCODED / 12.92, ((_ENCODED + 0.055) / 1.055) ** 2.4)
"""Of each value that a band can have."""
_LAB_EPSILON = 216 / 24389
_LAB_KAPPA = 24389 / 27


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourMeasurement:
    """The colour of the pixels of one object.

    Attributes:
        name: one of `COLOURS`; None when no name is beyond doubt, or there are too few pixels.
        share: share of the pixels that may be called `name`, in [0, 1]; 0 without a name.
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
    return colour_of(rgb_to_lab(pixels_inside(pixels, geometry)))


def colour_of(lab: NDArray[np.float64]) -> ColourMeasurement:
    """Return the colour of the (N, 3) CIE Lab values of one object's pixels.

    The middle one of the pixels (each axis by itself) must surely be of the name, and the pixels must agree with it.
    """
    if len(lab) < MIN_PIXELS:
        return ColourMeasurement(name=None, share=0.0, num_pixels=len(lab))
    # The middle one is looked at beside the others: few calls, as they take longer than the numbers.
    is_sure, is_possible = _named(_RANGES, _Shades.of(np.concatenate([lab, _median(lab)])))
    shares = np.count_nonzero(is_possible[:, :-1], axis=1) / len(lab)
    name, share = None, 0.0
    middle = np.flatnonzero(is_sure[:, -1])
    if middle.size == 1:
        best = int(middle[0])
        sure_shares = np.count_nonzero(is_sure[:, :-1], axis=1) / len(lab)
        is_one_colour = (
            shares[best] >= MIN_DOMINANT_SHARE
            and sure_shares[best] >= MIN_SURE_SHARE
            and max(sure_shares[:best].max(initial=0), sure_shares[best + 1 :].max(initial=0)) < MAX_OTHER_SHARE
        )
        if is_one_colour:
            name, share = COLOURS[best], float(shares[best])
    return ColourMeasurement(
        name=name,
        share=share,
        possible=frozenset(name for name, share in zip(COLOURS, shares, strict=True) if share > MAX_WRONG_SHARE),
        num_pixels=len(lab),
    )


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the medians of (N, 3) values as one row; for few values numpy's own takes five times as long."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    middle = np.partition(values, (low, high), axis=0)[[low, high]]
    medians: NDArray[np.float64] = middle.sum(axis=0, keepdims=True) / 2
    return medians


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
    columns, rows = np.arange(first_x, last_x, step), np.arange(first_y, last_y, step)
    shapely.prepare(geometry)
    is_inside = shapely.contains_xy(geometry, columns + 0.5, rows[:, None] + 0.5)
    inside: NDArray[np.uint8] = pixels[first_y:last_y:step, first_x:last_x:step][is_inside]
    return inside


def rgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIE Lab (D65) of sRGB values, (N, 3) from (N, 3): L in 0–100, a and b about ±128."""
    xyz = _LINEAR[rgb] @ _RGB_TO_XYZ.T / _WHITE_D65
    curved = np.where(xyz > _LAB_EPSILON, np.cbrt(xyz), (_LAB_KAPPA * xyz + 16) / 116)
    x, y, z = curved.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


class _Shades(NamedTuple):
    """Lightness, chroma and hue of N pixels, the hue in degrees from 0 to 360."""

    lightness: NDArray[np.float64]
    chroma: NDArray[np.float64]
    hue: NDArray[np.float64]

    @classmethod
    def of(cls, lab: NDArray[np.float64]) -> Self:
        """Return those of (N, 3) Lab values."""
        lightness, a, b = np.ascontiguousarray(lab.T)
        hue = np.degrees(np.arctan2(b, a))
        hue += 360.0 * (hue < 0)
        return cls(lightness, np.hypot(a, b), hue)


def _named(names: _ColourRanges, shades: _Shades) -> NDArray[np.bool_]:
    """Return for each table and each of its `COLOURS` which of the N pixels lie in its ranges, (tables, colours, N)."""
    is_named = np.zeros((names.num_tables * len(COLOURS), len(shades.hue)), dtype=bool)
    # An object is of few colours: most ranges hold none of its pixels, which two of their sides tell.
    near = np.flatnonzero(_may_hold(names.lightness, shades.lightness) & _may_hold(names.chroma, shades.chroma))
    # All ranges at once: for the few hundred pixels of an object the calls take longer than the numbers.
    is_inside = _between(shades.lightness, names.lightness[near]) & _between(shades.chroma, names.chroma[near])
    # Through 0 the hue is outside of what lies from the end to the start.
    is_inside &= _between(shades.hue, names.hue[near]) ^ names.is_through_0[near]
    for row, is_in_range in zip(names.row[near].tolist(), is_inside, strict=True):
        is_named[row] |= is_in_range
    return is_named.reshape(names.num_tables, len(COLOURS), -1)


def _may_hold(limits: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the (ranges, 2, 1) limits lie around any of the values, as far as their extremes tell."""
    is_near: NDArray[np.bool_] = (limits[:, 0, 0] <= values.max()) & (limits[:, 1, 0] > values.min())
    return is_near


def _between(values: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of N values lie between the (ranges, 2, 1) limits, a row per range."""
    is_between: NDArray[np.bool_] = (values >= limits[:, 0]) & (values < limits[:, 1])
    return is_between
