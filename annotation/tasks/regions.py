"""Circles on a tile that regional questions are about.

All circles of a tile are drawn on one copy of it, so those of one task keep clear of each other. Centres and radii are
whole pixels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Circle, TileFacts
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.tasks.registry import TaskContext

RADIUS_SHARES = (0.06, 0.15)
"""Least and greatest radius, as a share of the tile's shorter side."""

MIN_RADIUS_PX = 16
"""Below this a circle's ring hides more than the circle shows."""

EDGE_SHARE = 0.01
GAP_SHARE = 0.02
"""Shares of the shorter side that a circle stays away from the tile's edge, and from another: room for the ring."""

CENTRES_TRIED = 6
"""Places tried for a circle beside one object: between the houses of a street most circles would cut one."""

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


def apart(context: TaskContext, questions: list[Question]) -> Iterator[Question | NotAsked]:
    """Yield the first questions, up to the limit, whose circles keep clear of each other."""
    taken: list[Circle] = []
    for question in questions:
        assert question.region is not None
        if len(taken) == context.limit:
            return
        if keeps_clear(context.facts, question.region, taken):
            taken.append(question.region)
            yield question
        else:
            yield NotAsked("too near to another region")


def circle_beside(facts: TileFacts, bounds: NDArray[np.float64], spot: Spot, rng: random.Random) -> Circle | None:
    """Return a circle near `spot` that holds some objects and cuts none; None when none is found.

    Most circles between the objects hold a single one, and questions of so frequent an answer are not asked in the end:
    so a number that a circle tried here holds is the likelier the greater it is. Upright boxes stand for the objects,
    which errs on the side of keeping clear.

    Args:
        facts: limit the radius.
        bounds: (N, 4) boxes of the objects, tile pixels.
        spot: where to look.
        rng: draws centres and radii.
    """
    limits = radius_limits(facts)
    if limits is None:
        return None
    found: dict[int, list[Circle]] = {}
    for _ in range(CENTRES_TRIED):
        # Not the spot itself: an object should not always be the circle's centre.
        centre = Spot(*(place + rng.uniform(-limits[0], limits[0]) / 2 for place in spot))
        widest = circle_near(facts, centre, rng.randint(*limits))
        for number, radii in radii_between(facts, bounds, widest).items():
            found.setdefault(number, []).append(widest._replace(radius=rng.choice(radii)))
    found.pop(0, None)
    if not found:
        return None
    (number,) = rng.choices(sorted(found), sorted(found))
    return rng.choice(found[number])


def radii_between(facts: TileFacts, bounds: NDArray[np.float64], widest: Circle) -> dict[int, list[int]]:
    """Return the radii, up to that of `widest`, at which a circle cuts no box, by how many boxes it holds.

    Args:
        facts: limit the radius from below.
        bounds: (N, 4) boxes, tile pixels.
        widest: the centre of the circles, and their greatest radius.
    """
    limits = radius_limits(facts)
    if limits is None:
        return {}
    bounds = bounds[_reached(widest, bounds)]  # of the thousands of a tile few matter
    radii = np.flatnonzero(_clear_radii(widest, bounds)[limits[0] :]) + limits[0]
    if not len(radii):
        return {}
    numbers = np.searchsorted(np.sort(_reach(widest, bounds)), radii)  # ascending, as the radii are
    distinct, first = np.unique(numbers, return_index=True)
    return {int(number): group.tolist() for number, group in zip(distinct, np.split(radii, first[1:]), strict=True)}


def _reached(circle: Circle, bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the (N, 4) boxes a circle, or a smaller one around its centre, may hold or come near to."""
    x_min, y_min, x_max, y_max = bounds.T
    reach = circle.radius + 2 * CLEARANCE_PX
    is_near_x = (x_min <= circle.x + reach) & (x_max >= circle.x - reach)
    is_near: NDArray[np.bool_] = is_near_x & (y_min <= circle.y + reach) & (y_max >= circle.y - reach)
    return is_near


def _reach(circle: Circle, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the farthest corner of each of the (N, 4) boxes is from a circle's centre."""
    centre = np.array([circle.x, circle.y])
    reach: NDArray[np.float64] = np.hypot(*np.maximum(np.abs(bounds[:, :2] - centre), np.abs(bounds[:, 2:] - centre)).T)
    return reach


def _clear_radii(circle: Circle, bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each radius from 0 to the circle's whether a circle of it cuts none of the (N, 4) boxes."""
    centre = np.array([circle.x, circle.y])
    beyond = np.hypot(*np.maximum(np.maximum(bounds[:, :2] - centre, centre - bounds[:, 2:]), 0).T)
    # A box forbids the radii between its nearest and its farthest point: +1 where it begins to, -1 where it ceases.
    num_radii = int(circle.radius) + 1
    first = np.clip(np.floor(beyond - CLEARANCE_PX) + 1, 0, num_radii).astype(int)
    last = np.clip(np.ceil(_reach(circle, bounds) + CLEARANCE_PX), 0, num_radii).astype(int)
    steps = np.bincount(first, minlength=num_radii + 1) - np.bincount(last, minlength=num_radii + 1)
    is_clear: NDArray[np.bool_] = np.cumsum(steps)[:num_radii] == 0
    return is_clear


def centre_of(geometry: BaseGeometry) -> Spot:
    """Return the centroid of a geometry."""
    centre = geometry.centroid
    return Spot(centre.x, centre.y)


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
