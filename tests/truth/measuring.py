"""Plane geometry by sampling and by pixels, so that the audit does not repeat the tasks' own computations.

Points are (n, 2) arrays of x and y in pixels, y down.
"""

from __future__ import annotations

import colorsys
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio import features

Points = NDArray[np.float64]

SAMPLES_A_SIDE = 80
"""Sample points along the longer side of an object's box."""


def points_inside(ring: Points) -> Points:
    """Return points on a regular grid inside a ring: about `SAMPLES_A_SIDE` along its longer side."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    step = float((high - low).max()) / SAMPLES_A_SIDE
    columns, rows = (math.ceil(extent / step) + 1 for extent in high - low)
    polygon = {"type": "Polygon", "coordinates": [((ring - low) / step).tolist()]}
    mask = features.rasterize([(polygon, 1)], out_shape=(rows, columns), dtype="uint8")
    found_rows, found_columns = np.nonzero(mask)
    points: Points = low + (np.stack([found_columns, found_rows], axis=1) + 0.5) * step
    return points


def ring_area(ring: Points) -> float:
    """Return the area inside a ring by the shoelace formula."""
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


def along(line: Points, step: float = 1.0) -> Points:
    """Return points every `step` along a line, with its corners."""
    parts = []
    for start, end in itertools.pairwise(line):
        num = max(1, int(math.dist(start, end) / step))
        parts.append(start + (end - start) * (np.arange(num) / num)[:, None])
    return np.concatenate([*parts, line[-1:]])


def clipped_lines(lines: Sequence[Points], width: float, height: float) -> list[Points]:
    """Return the parts of lines on `[0, width] × [0, height]` (Liang and Barsky 1984, each segment by itself)."""
    kept: list[Points] = []
    for line in lines:
        part: list[Points] = []
        for start, end in itertools.pairwise(line):
            cut = _clipped(start, end, width, height)
            if cut is None:
                continue
            if not part or math.dist(part[-1], cut[0]) > 1e-9:
                if part:
                    kept.append(np.array(part))
                part = [cut[0]]
            part.append(cut[1])
        if part:
            kept.append(np.array(part))
    return kept


def _clipped(start: Points, end: Points, width: float, height: float) -> tuple[Points, Points] | None:
    low, high = 0.0, 1.0
    step = end - start
    for axis, size in ((0, width), (1, height)):
        for towards, room in ((-step[axis], start[axis]), (step[axis], size - start[axis])):
            if towards == 0:
                if room < 0:
                    return None
            elif towards < 0:
                low = max(low, room / towards)
            else:
                high = min(high, room / towards)
    return (start + low * step, start + high * step) if low < high else None


class Rectangle(NamedTuple):
    """The smallest rectangle around some points: sides in pixels, direction of the longer in degrees from "up"."""

    length: float
    width: float
    angle_deg: float


def smallest_rectangle(ring: Points) -> Rectangle:
    """Return the rectangle of least area, found by trying 1,440 directions."""
    degrees = np.arange(1440) / 8
    angles = np.radians(degrees)
    ahead = np.ptp(ring @ np.stack([np.sin(angles), -np.cos(angles)]), axis=0)
    across = np.ptp(ring @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    best = int(np.argmin(np.where(ahead >= across, ahead * across, math.inf)))
    return Rectangle(float(ahead[best]), float(across[best]), float(degrees[best]))


def parallel_share(things: Sequence[Any], *, one_line: bool) -> float:
    """Return the greatest share of objects that stand four or more to a line, in lines of one direction.

    Args:
        things: with a `centre` and an `outline`, pixels.
        one_line: count those of a single line only.
    """
    centres = np.array([thing.centre for thing in things])
    width = min(float(np.ptp(thing.outline, axis=0).min()) for thing in things)
    best = 0
    for degrees in range(180):
        across = np.sort(centres @ np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]))
        lines = np.split(across, np.flatnonzero(np.diff(across) > 0.5 * width) + 1)
        sizes = [len(line) for line in lines if len(line) >= 4]
        best = max(best, max(sizes, default=0) if one_line else sum(sizes))
    return best / len(things)


def edge_of(mask: NDArray[np.bool_]) -> Points:
    """Return the centres of the mask's pixels that have a neighbour outside it, the image's edge included."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rows, columns = np.nonzero(mask & ~inner)
    centres: Points = np.stack([columns, rows], axis=1).astype(float) + 0.5
    return centres


def gap(ring: Points, targets: Points) -> float:
    """Return the least distance between a ring's line and any target point."""
    outline = along(ring)
    centre = (outline.min(axis=0) + outline.max(axis=0)) / 2
    reach = np.hypot(*(outline - centre).T).max()
    from_centre = np.hypot(*(targets - centre).T)
    near = targets[from_centre <= from_centre.min() + 2 * reach + 1]
    least = math.inf
    for part in np.array_split(near, len(near) // 2000 + 1):
        least = min(least, float(np.hypot(*(outline[:, None] - part[None]).reshape(-1, 2).T).min()))
    return least


def at(mask: NDArray[np.bool_], points: Points) -> NDArray[np.bool_]:
    """Return the mask's value at each point; False outside the image."""
    height, width = mask.shape
    columns, rows = np.floor(points).astype(int).T
    on_image = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found = np.zeros(len(points), dtype=bool)
    found[on_image] = mask[rows[on_image], columns[on_image]]
    return found


SECTORS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")


def sector(bearing_deg: float) -> tuple[str, float]:
    """Return the compass word of a bearing, and its distance in degrees from the border of the next word."""
    number = math.floor((bearing_deg + 22.5) / 45) % 8
    return SECTORS[number], 22.5 - abs((bearing_deg - 45 * number + 180) % 360 - 180)


def colour_shares(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Return the share of each colour word among (n, 3) RGB pixels, by hue, saturation and value."""
    counts = Counter(_colour_of(*pixel) for pixel in (pixels / 255).tolist())
    return {name: count / len(pixels) for name, count in counts.most_common()}


def _colour_of(red: float, green: float, blue: float) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    degrees = 360 * hue
    if value < 0.22:
        return "black"
    if saturation < 0.18:
        return "white" if value > 0.8 else "grey" if value > 0.3 else "black"
    if value < 0.3 and saturation < 0.35:
        return "black"
    for below, name in ((12, "red"), (44, "orange"), (66, "yellow"), (165, "green"), (197, "cyan"), (255, "blue")):
        if degrees < below:
            return "brown" if name == "orange" and (value < 0.65 or saturation < 0.5) else name
    return "purple" if degrees < 300 else "pink" if degrees < 345 else "red"


def grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return a mask with a border of so many pixels, counted along rows and columns."""
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask
