"""Long axes, written boxes and discs against plane trigonometry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon, box

from rsvqa.annotation.facts import Box, Circle, Gsd
from rsvqa.annotation.tasks.geometry import (
    bounds_of,
    box_text,
    circle_polygon,
    direction_on_ground,
    long_axis,
    shown,
)
from tests.annotation.make_facts import make_object, rectangle


def angle_apart(one: float, other: float) -> float:
    """Return the angle between two axes, degrees in [0, 90]."""
    return abs((one - other + 90) % 180 - 90)


@settings(max_examples=60)
@given(st.floats(0, 179.9), st.floats(1.2, 10), st.floats(2, 500))
def test_the_long_axis_of_a_turned_rectangle_is_found(angle: float, ratio: float, width: float) -> None:
    # an upright rectangle that is taller than wide points "up": 0 degrees, then turned clockwise
    axis = long_axis(rectangle(500, 400, width, width * ratio, clockwise_deg=angle))
    assert axis.length == pytest.approx(width * ratio, rel=1e-6)
    assert axis.width == pytest.approx(width, rel=1e-6)
    assert axis.ratio == pytest.approx(ratio, rel=1e-6)
    assert angle_apart(axis.angle_deg, angle) < 1e-4
    assert 0 <= axis.angle_deg < 180


def test_metres_scale_both_axes_before_measuring() -> None:
    # 30 x 40 px diagonal bar with pixels of 2 m x 0.5 m: the ends are 60 m and 20 m apart
    axis = long_axis(LineString([(0, 40), (30, 0)]), Gsd(2.0, 0.5))
    assert axis.length == pytest.approx(math.hypot(60, 20))
    assert axis.width == 0
    assert axis.ratio == math.inf
    # 60 m to the right and 20 m up: atan2(60, 20) clockwise from up
    assert axis.angle_deg == pytest.approx(71.565, abs=1e-3)


def test_a_wide_rectangle_is_tall_on_the_ground_where_rows_are_far_apart() -> None:
    axis = long_axis(rectangle(50, 50, 40, 20), Gsd(1.0, 4.0))  # 40 m x 80 m
    assert axis[:2] == pytest.approx((80, 40))
    assert axis.angle_deg == pytest.approx(0)


def test_a_point_has_no_axis() -> None:
    assert long_axis(Point(3, 4)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("angle", "on_ground"),
    [(0, 0), (90, 90), (45, 63.435), (225, 243.435)],  # atan2(2, 1) = 63.435 degrees with pixels twice as wide as high
)
def test_directions_turn_with_pixels_that_are_not_square(angle: float, on_ground: float) -> None:
    assert direction_on_ground(angle, Gsd(1.0, 0.5)) == pytest.approx(on_ground, abs=1e-3)


@pytest.mark.parametrize(
    ("box", "written"),
    [
        (Box(10.2, 20.9, 30.1, 40.0), [10, 20, 31, 40]),  # rounded outwards
        (Box(-3, -0.5, 130, 80.2), [0, 0, 100, 80]),  # kept inside 100 x 80
        (Box(50, 50, 50, 50), [50, 50, 51, 51]),  # a point fills a pixel
        (Box(100, 80, 100, 80), [99, 79, 100, 80]),  # also in the last corner
    ],
)
def test_boxes_are_written_in_whole_pixels_inside_the_image(box: Box, written: list[int]) -> None:
    assert box_text(box, width=100, height=80) == written


def test_bounds_of_objects_are_rows_in_their_order() -> None:
    objects = [make_object("a", "car", rectangle(10, 20, 4, 6)), make_object("b", "car", Point(1, 2))]
    assert bounds_of(objects).tolist() == [[8, 17, 12, 23], [1, 2, 1, 2]]
    assert bounds_of([]).shape == (0, 4)


def test_a_circle_becomes_a_disc_of_its_size() -> None:
    disc = circle_polygon(Circle(50, 60, 20))
    assert disc.bounds == pytest.approx((30, 40, 70, 80))
    assert disc.area == pytest.approx(math.pi * 400, rel=1e-3)


def test_what_is_shown_is_one_rounded_geometry() -> None:
    both = shown([box(0.04, 0, 10, 10), box(20, 0, 30, 10)])
    assert both.equals(MultiPolygon([box(0, 0, 10, 10), box(20, 0, 30, 10)]))
    # A corner 0.2 px off the straight line goes.
    assert len(shown([Polygon([(0, 0), (5, 0.2), (10, 0), (10, 10)])]).boundary.coords) == 4
    assert shown([Point(1, 2), box(0, 0, 9, 9)]).geom_type == "GeometryCollection"
