"""Circles on a tile that regional questions are about.

All circles of a tile are drawn on one copy of it, so those of one task keep clear of each other. Centres and radii are
whole pixels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from annotation.facts import Circle, TileFacts, TileObject

RADIUS_SHARES = (0.06, 0.15)
"""Least and greatest radius, as a share of the tile's shorter side."""

MIN_RADIUS_PX = 16
"""Below this a circle's ring hides more than the circle shows."""

EDGE_SHARE = 0.01
GAP_SHARE = 0.02
"""Shares of the shorter side that a circle stays away from the tile's edge, and from another: room for the ring."""

NUM_RADII = 24
"""Radii tried around one centre."""

CLEARANCE_PX = 2.0
"""An object that no part of a circle's edge comes nearer to is seen to be inside or outside."""


class Spot(NamedTuple):
    """A place in tile pixels."""

    x: float
    y: float


def radius_limits(facts: TileFacts) -> tuple[int, int] | None:
    """Return the least and the greatest radius in pixels; None when the tile is too small for regions."""
    low, high = (round(share * min(facts.width, facts.height)) for share in RADIUS_SHARES)
    return (max(low, MIN_RADIUS_PX), high) if high >= MIN_RADIUS_PX else None


def circle_near(facts: TileFacts, spot: Spot, radius: int) -> Circle:
    """Return the circle whose centre is nearest to `spot` among those that are wholly inside the tile."""
    margin = radius + math.ceil(EDGE_SHARE * min(facts.width, facts.height))
    x = min(max(round(spot.x), margin), facts.width - margin)
    y = min(max(round(spot.y), margin), facts.height - margin)
    return Circle(x, y, radius)


def keeps_clear(facts: TileFacts, circle: Circle, others: Iterable[Circle]) -> bool:
    """Return whether the circle leaves room for the rings of all the others."""
    gap = GAP_SHARE * min(facts.width, facts.height)
    return all(
        math.hypot(circle.x - other.x, circle.y - other.y) >= circle.radius + other.radius + gap for other in others
    )


def circle_between(facts: TileFacts, objects: Sequence[TileObject], spot: Spot, rng: random.Random) -> Circle | None:
    """Return a circle around or near `spot` whose edge passes between the objects; None when none was found.

    In a dense tile nearly every circle cuts an object, so several radii are tried around one centre. Bounding boxes
    stand for the objects, which errs on the side of keeping clear.
    """
    limits = radius_limits(facts)
    if limits is None or not objects:
        return None
    low, high = limits
    bounds = shapely.bounds([found.geometry for found in objects])
    for radius in rng.sample(range(low, high + 1), min(NUM_RADII, high + 1 - low)):
        circle = circle_near(facts, spot, radius)
        # gap between the box and the centre, and distance of the box's farthest corner, along both axes
        centre = np.array([circle.x, circle.y])
        gaps = np.maximum(np.maximum(bounds[:, :2] - centre, centre - bounds[:, 2:]), 0)
        reaches = np.maximum(np.abs(bounds[:, :2] - centre), np.abs(bounds[:, 2:] - centre))
        is_clear = (np.hypot(*gaps.T) >= radius + CLEARANCE_PX) | (np.hypot(*reaches.T) <= radius - CLEARANCE_PX)
        if is_clear.all():
            return circle
    return None


def spot_in(geometry: Polygon | MultiPolygon, rng: random.Random) -> Spot:
    """Return a random place inside a polygon of any shape."""
    x_min, y_min, x_max, y_max = geometry.bounds
    shapely.prepare(geometry)
    for _ in range(12):
        spot = Spot(rng.uniform(x_min, x_max), rng.uniform(y_min, y_max))
        if shapely.contains_xy(geometry, *spot):
            return spot
    inside = geometry.representative_point()
    return Spot(inside.x, inside.y)
