"""Circles lie inside the tile, apart from each other, and cut no object."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.tasks.geometry import bounds_of
from rsvqa.annotation.tasks.regions import (
    Spot,
    circle_beside,
    circle_near,
    keeps_clear,
    radii_between,
    radius_limits,
    spot_in,
)
from tests.annotation.make_facts import make_facts, make_object, rectangle, square


@pytest.mark.parametrize(
    ("size", "limits"),
    [(1000, (60, 150)), (200, (16, 30)), (107, (16, 16)), (100, None)],  # 6 and 15 %, at least 16 px
)
def test_radii_follow_the_tile(size: int, limits: tuple[int, int] | None) -> None:
    assert radius_limits(make_facts(size=size)) == limits


def test_a_small_tile_gives_no_circle() -> None:
    assert circle_beside(make_facts(size=100), bounds_of([]), Spot(50, 50), random.Random(0)) is None


@pytest.mark.parametrize(
    ("spot", "circle"),
    [
        (Spot(500.4, 499.6), Circle(500, 500, 100)),
        (Spot(0, 2000), Circle(110, 890, 100)),  # 10 px, 1 % of the side, are left for the ring
    ],
)
def test_a_circle_is_moved_inside(spot: Spot, circle: Circle) -> None:
    assert circle_near(make_facts(), spot, 100) == circle


def test_circles_keep_two_percent_apart() -> None:
    one = Circle(200, 200, 100)
    assert keeps_clear(make_facts(), one, [])
    assert keeps_clear(make_facts(), one, [Circle(420, 200, 100)])  # 220 px = two radii and 20 px
    assert not keeps_clear(make_facts(), one, [Circle(419, 200, 100)])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(20, 980), st.floats(20, 980), st.floats(2, 60), st.floats(0, 180)), min_size=1, max_size=15
    ),
    st.integers(0, 1000),
)
def test_the_edge_of_a_circle_cuts_no_object(places: list[tuple[float, float, float, float]], seed: int) -> None:
    objects = [
        make_object(f"o{i}", "car", rectangle(x, y, side, side / 2, clockwise_deg=turn))
        for i, (x, y, side, turn) in enumerate(places)
    ]
    facts = make_facts(objects=objects)
    circle = circle_beside(facts, bounds_of(objects), Spot(places[0][0], places[0][1]), random.Random(seed))
    if circle is not None:
        assert 60 <= circle.radius <= 150
        edge = Point(circle.x, circle.y).buffer(circle.radius, quad_segs=64).exterior
        assert min(edge.distance(item.geometry) for item in objects) > 1.5
        assert circle.radius + 10 <= circle.x <= 990 - circle.radius
        assert circle.radius + 10 <= circle.y <= 990 - circle.radius


def test_a_gap_between_two_rings_of_objects_is_found() -> None:
    # boxes reach from 40 to 99 px and from 121 px on around the centre: radii 101 to 119 alone are clear, below 150
    bounds = np.array([[540.0, 499, 599, 501], [621, 499, 700, 501]])
    found = radii_between(make_facts(), bounds, Circle(500, 500, 150))
    # the farthest corner of the inner box is hypot(99, 1) = 99.005 px away, so 101 px is 1.995 px from it: too near
    assert found == {1: list(range(102, 120))}


@given(
    st.lists(st.tuples(st.integers(0, 960), st.integers(0, 960), st.integers(1, 90)), max_size=12),
    st.tuples(st.integers(160, 840), st.integers(160, 840), st.integers(60, 150)),
)
def test_radii_are_those_that_each_box_by_itself_allows(
    places: list[tuple[int, int, int]], widest: tuple[int, int, int]
) -> None:
    x, y, greatest = widest
    bounds = np.array([(left, top, left + side, top + 3 * side) for left, top, side in places], dtype=float)
    bounds = bounds.reshape(-1, 4)
    centre = Point(x, y)
    nearest = [round(centre.distance(box(*found)), 9) for found in bounds]  # GEOS is off by a rounding
    farthest = [max(math.dist((x, y), corner) for corner in box(*found).exterior.coords) for found in bounds]
    expected: dict[int, list[int]] = {}
    for radius in range(60, greatest + 1):
        # a circle is 2 px clear of a box that it holds, or that lies outside of it
        if all(radius <= near - 2 or radius >= far + 2 for near, far in zip(nearest, farthest, strict=True)):
            expected.setdefault(sum(far < radius for far in farthest), []).append(radius)
    assert radii_between(make_facts(), bounds, Circle(x, y, greatest)) == expected


def test_a_ring_without_a_gap_gives_no_circle() -> None:
    wall = np.array([[510.0, 499, 700, 501]])
    assert radii_between(make_facts(), wall, Circle(500, 500, 150)) == {}


def test_numbers_of_objects_are_spread() -> None:
    # Three cars 12 px apart, and 80 px from them a fourth. By far the most circles of 60 to 150 px hold the three, or
    # all four; drawn by radius alone, nine in ten would hold four.
    cars = [make_object(f"c{x}", "car", square(x, 500, 6)) for x in (488, 500, 512, 592)]
    numbers: Counter[int] = Counter()
    for seed in range(300):
        circle = circle_beside(make_facts(objects=cars), bounds_of(cars), Spot(540, 500), random.Random(seed))
        assert circle is not None
        numbers[sum(abs(car.geometry.centroid.x - circle.x) < circle.radius for car in cars)] += 1
    assert min(numbers) > 0
    assert numbers[3] > 90


def test_a_place_inside_a_ring_shaped_area_avoids_its_hole() -> None:
    ring = square(500, 500, 400).difference(square(500, 500, 380))
    assert isinstance(ring, Polygon)
    assert all(ring.covers(Point(spot_in(ring, random.Random(seed)))) for seed in range(30))


def test_a_place_in_a_thin_area_is_found_too() -> None:
    # 0.2 % of its bounds: twelve draws hardly hit it
    thin = MultiPolygon([rectangle(500, 500, 1000, 1, clockwise_deg=45)])
    assert all(thin.distance(Point(spot_in(thin, random.Random(seed)))) < 1e-6 for seed in range(10))
