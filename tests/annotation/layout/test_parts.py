"""The nine parts of a tile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from rsvqa.annotation.layout.parts import PARTS, part_boxes, part_polygons, shares_by_part


def test_parts_are_in_reading_order() -> None:
    boxes = dict(zip(PARTS, part_boxes(300, 600), strict=True))
    assert boxes["top_left"] == (0, 0, 100, 200)
    assert boxes["top_right"] == (200, 0, 300, 200)
    assert boxes["centre"] == (100, 200, 200, 400)
    assert boxes["bottom_left"] == (0, 400, 100, 600)


def test_shares_say_where_an_area_lies() -> None:
    # 80 px of the 100 px width lie left of the border at 100.
    shares = dict(zip(PARTS, shares_by_part(box(20, 10, 120, 20), 300, 300), strict=True))
    assert shares["top_left"] == pytest.approx(0.8)
    assert shares["top_centre"] == pytest.approx(0.2)
    assert shares["centre"] == 0


@settings(max_examples=30)
@given(st.integers(3, 9000), st.integers(3, 9000))
def test_parts_cover_the_tile_without_overlap(width: int, height: int) -> None:
    polygons = part_polygons(width, height)
    assert sum(polygon.area for polygon in polygons) == pytest.approx(width * height)
    assert sum(shares_by_part(box(0, 0, width, height), width, height)) == pytest.approx(1)
