"""The ground of each class, dissolved."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, box, union_all

from rsvqa.annotation.facts import Area
from rsvqa.annotation.tasks.land_cover import cover_of, dissolved, share_ground
from tests.annotation.make_facts import make_area, make_context, make_facts


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 8)] * 2), max_size=8))
@settings(max_examples=60)
def test_dissolved_is_the_union(boxes: list[tuple[int, int, int, int]]) -> None:
    parts = [box(x, y, x + width, y + height) for x, y, width, height in boxes]
    ground = dissolved(parts)
    assert ground.is_valid
    assert ground.symmetric_difference(union_all(parts)).area == pytest.approx(0)
    assert ground.area == pytest.approx(union_all(parts).area)


def test_cover_is_of_certain_areas_of_one_class() -> None:
    # 0–60 and 40–100 overlap, 200–210 lies apart: 100 + 10 columns of 1000 px.
    areas = [make_area(str(x), "forest", box(x, 0, end, 1000)) for x, end in ((0, 60), (40, 100), (200, 210))]
    areas.append(make_area("doubtful", "forest", box(500, 0, 900, 1000), certain=False))
    areas.append(make_area("other", "water", box(300, 0, 400, 1000)))
    context = make_context(make_facts(areas=areas))
    assert cover_of(context, "forest").area == pytest.approx(110_000)
    assert cover_of(context, "desert").equals(Polygon())


@pytest.mark.parametrize(
    ("second", "shares"),
    [
        (make_area("b", "water", box(100, 0, 200, 1000)), False),  # a common edge
        (make_area("b", "water", box(99, 0, 200, 1000)), True),
        (make_area("b", "water", box(10, 10, 20, 20)), True),  # inside the first
        (make_area("b", "forest", box(50, 0, 200, 1000)), False),  # of the same class
        (make_area("b", "water", box(50, 0, 200, 1000), certain=False), False),
        (make_area("b", "water", box(300, 0, 400, 1000)), False),
    ],
)
def test_ground_is_shared_where_certain_areas_of_two_classes_lie_over_each_other(second: Area, shares: bool) -> None:
    forest = make_area("a", "forest", box(0, 0, 100, 1000))
    assert share_ground(make_context(make_facts(areas=[forest, second]))) is shares
    assert share_ground(make_context(make_facts(areas=[second, forest]))) is shares


def test_a_tile_without_areas_shares_no_ground() -> None:
    assert share_ground(make_context(make_facts())) is False
