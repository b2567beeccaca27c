"""Places, borders, rows and grids are found where they are plain, and nowhere else."""

from __future__ import annotations

import pytest
from shapely import MultiLineString, MultiPolygon, Polygon, box

from rsvqa.annotation.facts import TileObject
from rsvqa.annotation.layout.arrangement import Neighbours, form_a_grid, neighbours, place_of, points_along, rows_of
from tests.annotation.make_facts import make_facts, make_object, make_road, square

FACTS = make_facts(size=900)


@pytest.mark.parametrize(
    ("ground", "place"),
    [
        (box(0, 0, 300, 300), "top_left"),
        (box(0, 0, 400, 900), "left"),
        (box(480, 0, 900, 900), "right"),
        (box(0, 0, 900, 440), "upper"),
        (box(0, 470, 900, 900), "lower"),
        (box(0, 0, 900, 900), "everywhere"),
        (box(200, 0, 700, 300), None),  # 50 % on either side of the middle, but all above it
    ],
)
def test_where_ground_lies(ground: Polygon, place: str | None) -> None:
    assert place_of(ground, FACTS) == (place if place is not None else "upper")


def test_ground_on_both_sides_of_the_middle_lies_nowhere() -> None:
    assert place_of(box(200, 200, 700, 700), FACTS) is None


def test_a_lake_in_a_forest_is_surrounded() -> None:
    lake = box(300, 300, 500, 500)
    forest = box(0, 0, 900, 900).difference(lake)
    assert neighbours(lake, {"forest": forest}, FACTS) == Neighbours(("forest",), is_around=True)


def test_a_lake_at_the_edge_of_the_tile_borders_on_what_is_beside_it() -> None:
    # 200 px along the fields, 400 px along the forest; the tile's edge does not count
    lake, fields = box(0, 300, 200, 500), box(200, 0, 900, 900)
    forest = box(0, 0, 200, 300).union(box(0, 500, 200, 900))
    found = neighbours(lake, {"forest": forest, "fields": fields}, FACTS)
    assert found == Neighbours(("forest", "fields"), is_around=False)


def test_ground_that_touches_the_edge_of_the_tile_is_not_surrounded() -> None:
    # 4 px of its 400 px outline lie on the tile's edge: who knows what is beyond
    inside, cut = (
        box(100, 4, 200, 104),
        Polygon([(100, 4), (148, 4), (148, 0), (152, 0), (152, 4), (200, 4), (200, 104)]),
    )
    for field, is_around in ((inside, True), (cut, False)):
        forest = box(0, 0, 900, 900).difference(field)
        assert neighbours(field, {"forest": forest}, FACTS) == Neighbours(("forest",), is_around)


def test_what_fills_the_holes_of_some_ground_does_not_surround_it() -> None:
    # the outlines of 400 ponds measure 16,000 px, the field's own 1,200 px along the forest: 93 % is along water
    starts = range(106, 386, 14)
    ponds = MultiPolygon([box(x, y, x + 10, y + 10) for x in starts for y in starts])
    outer = box(100, 100, 400, 400)
    field, forest = outer.difference(ponds), box(0, 0, 900, 900).difference(outer)
    assert isinstance(field, Polygon)
    assert neighbours(field, {"water": ponds, "forest": forest}, FACTS) == Neighbours(("water",), is_around=False)


def test_points_along_a_line_are_spread_over_its_parts_as_if_they_were_one() -> None:
    # 3 px and 1 px, in quarters of 1 px each
    line = MultiLineString([[(0, 0), (2, 0), (2, 1)], [(9, 5), (9, 6)]])
    assert points_along(line, 4).tolist() == [[0.5, 0], [1.5, 0], [2, 0.5], [9, 5.5]]


def test_nothing_is_said_where_most_of_an_outline_has_no_label() -> None:
    assert neighbours(box(300, 300, 500, 500), {"forest": box(500, 0, 900, 900)}, FACTS).names == ()
    assert neighbours(box(300, 300, 500, 500), {}, FACTS).names == ()


def houses(*centres: tuple[float, float], side: float = 20) -> list[TileObject]:
    return [make_object(f"h{index}", "house", square(x, y, side)) for index, (x, y) in enumerate(centres)]


def test_rows_are_straight_and_evenly_spaced() -> None:
    row = [(100.0 + 40 * step, 100.0) for step in range(5)]
    assert rows_of(houses(*row)) == "row"
    assert rows_of(houses(*row, *((x, y + 120) for x, y in row))) == "rows"
    assert rows_of(houses(*row[:3])) == "none"
    # off the line by half a house; and twice the gap in the middle
    assert rows_of(houses(*row[:2], (180, 112), *row[3:])) == "none"
    assert rows_of(houses((100, 100), (140, 100), (260, 100), (300, 100), (420, 100))) == "none"
    assert rows_of([]) == "none"


def test_houses_of_unlike_size_are_in_no_row() -> None:
    row = houses(*((100.0 + 60 * step, 100.0) for step in range(4)))
    assert rows_of([*row, make_object("big", "house", square(340, 100, 40))]) == "none"


def test_streets_at_right_angles_are_a_grid() -> None:
    across = [make_road(f"a{y}", (0, y), (900, y)) for y in (200, 450, 700)]
    down = [make_road(f"d{x}", (x, 0), (x, 900)) for x in (200, 600)]
    assert form_a_grid([*across, *down])
    assert not form_a_grid(across)
    assert not form_a_grid([*across[:1], *down])  # they cross twice
    assert not form_a_grid([*across, make_road("d1", (0, 0), (900, 900)), make_road("d2", (0, 900), (900, 0))])
    assert not form_a_grid([])
