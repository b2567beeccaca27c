"""Bearings, sectors and the turned frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.facts import Gsd
from rsvqa.annotation.tasks.directions import (
    SECTORS,
    BearingFrame,
    Sector,
    TilePoint,
    frame_of,
    sector_of,
    sectors_like,
)
from tests.annotation.make_facts import make_facts

SQUARE = Gsd(1.0, 1.0)


@pytest.mark.parametrize(
    ("end", "bearing"),
    [
        (TilePoint(10, 0), 0),  # y points down: a smaller y is north
        (TilePoint(20, 10), 90),
        (TilePoint(10, 20), 180),
        (TilePoint(0, 10), 270),
        (TilePoint(20, 0), 45),
    ],
)
def test_bearings_are_clockwise_from_up(end: TilePoint, bearing: float) -> None:
    assert BearingFrame(None, SQUARE).bearing_deg(TilePoint(10, 10), end) == pytest.approx(bearing)


def test_bearing_is_from_true_north() -> None:
    # North lies 30° clockwise from "up", so what is straight up lies 30° to the west of north.
    assert BearingFrame(30.0, SQUARE).bearing_deg(TilePoint(0, 10), TilePoint(0, 0)) == pytest.approx(330)


def test_bearing_is_on_the_ground_where_pixels_are_not_square() -> None:
    # 10 px right are 20 m, 10 px up are 10 m: atan(20 / 10) = 63.43°.
    bearing = BearingFrame(0.0, Gsd(2.0, 1.0)).bearing_deg(TilePoint(0, 10), TilePoint(10, 0))
    assert bearing == pytest.approx(63.4349, abs=1e-3)


@pytest.mark.parametrize(
    ("bearing", "sector"),
    [
        (0, "n"),
        (14.4, "n"),  # the border is at 22.5°, 8° are kept off it
        (14.6, None),
        (30.4, None),
        (30.6, "ne"),
        (180, "s"),
        (345.6, "n"),
        (345.4, None),
        (359.999, "n"),
    ],
)
def test_sector_is_refused_near_a_border(bearing: float, sector: str | None) -> None:
    assert sector_of(bearing) == sector


@pytest.mark.parametrize("sector", SECTORS)
def test_like_directions_are_the_four_at_right_angles(sector: Sector) -> None:
    alike = sectors_like(sector)
    assert sector in alike
    assert set(alike) == ({"n", "e", "s", "w"} if len(sector) == 1 else {"ne", "se", "sw", "nw"})


def test_east_and_north_follow_the_turned_frame() -> None:
    # North is 90° clockwise from up, so it is to the right, and east is down.
    moved = BearingFrame(90.0, SQUARE).east_north(np.array([[0.0, 0.0], [10.0, 3.0]]))
    assert moved[1] - moved[0] == pytest.approx([3, 10])


def test_a_tile_without_north_uses_the_words_of_the_image() -> None:
    assert frame_of(make_facts()).words == "direction.image"
    assert frame_of(make_facts(north_deg=0.0)).words == "direction.compass"


coordinate = st.floats(-1e4, 1e4, allow_nan=False)


@settings(max_examples=60)
@given(coordinate, coordinate, coordinate, coordinate, st.floats(-180, 180), st.floats(0.1, 3), st.floats(0.1, 3))
def test_the_way_back_is_the_opposite(
    x: float, y: float, to_x: float, to_y: float, north: float, gsd_x: float, gsd_y: float
) -> None:
    if math.hypot(x - to_x, y - to_y) < 1:
        return
    frame, start, end = BearingFrame(north, Gsd(gsd_x, gsd_y)), TilePoint(x, y), TilePoint(to_x, to_y)
    there, back = frame.bearing_deg(start, end), frame.bearing_deg(end, start)
    assert 0 <= there < 360
    assert abs((there - back) % 360 - 180) < 1e-6
    # The bearing points to where the frame's own east and north say.
    east, north_part = np.diff(frame.east_north(np.array([start, end])), axis=0)[0]
    assert abs((math.degrees(math.atan2(east, north_part)) - there + 180) % 360 - 180) < 1e-6
    sector = sector_of(there)
    if sector is not None:
        assert abs((there - 45 * SECTORS.index(sector) + 180) % 360 - 180) <= 14.5 + 1e-9
