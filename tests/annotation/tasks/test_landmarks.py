"""How far objects are from landmarks, and on which side of their outlines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box, union_all

from rsvqa.annotation.facts import Area, Gsd
from rsvqa.annotation.tasks.landmarks import ROAD_EDGE_M, Landmark, dividers, landmarks
from tests.annotation.make_facts import make_area, make_context, make_facts, make_object, make_road, square

LAKE = make_area("lake", "water", box(0, 0, 200, 1000))


def test_distances_are_from_outline_to_outline_on_the_ground() -> None:
    (lake,) = landmarks(make_context(make_facts(areas=[LAKE], gsd_m=Gsd(0.5, 2.0))))
    # Edges at x = 290 and inside the lake: 90 px · 0.5 m, and nothing.
    objects = [make_object("a", "house", square(300, 500)), make_object("b", "house", square(100, 500))]
    assert lake.distances(objects) == pytest.approx([45, 0])
    (unscaled,) = landmarks(make_context(make_facts(areas=[LAKE])))
    assert unscaled.distances(objects) == pytest.approx([90, 0])


def test_each_object_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (lake,) = landmarks(make_context(make_facts(areas=[LAKE])))
    near, far = make_object("a", "house", square(300, 500)), make_object("b", "house", square(400, 500))
    assert lake.distances([]).tolist() == []
    assert lake.distances([near]).tolist() == [90]
    assert lake.distances([far, near]).tolist() == [190, 90]
    monkeypatch.setattr(Landmark, "distances_of", None)  # nothing is left to measure
    assert lake.distances([near, far, near]).tolist() == [90, 190, 90]


def test_sides_are_sure_or_nothing() -> None:
    (lake,) = landmarks(make_context(make_facts(areas=[LAKE])))
    # Of the 20 px of the houses' width: all, 19 (95 %), 10, 1 (5 %) and none lie in the lake; a point says nothing.
    objects = [make_object(str(x), "house", square(x, 500)) for x in (100, 191, 200, 209, 300)]
    objects.append(make_object("p", "house", Point(100, 500)))
    assert lake.sides(objects).tolist() == [1, 1, 0, -1, -1, 0]


def test_roads_have_an_uncertain_edge() -> None:
    (roads,) = landmarks(make_context(make_facts(roads=[make_road("r", (0, 0), (9, 9))])))
    assert (roads.edge_m, roads.is_area) == (ROAD_EDGE_M, False)
    assert ROAD_EDGE_M > 0
    assert landmarks(make_context(make_facts(roads=[make_road("r", (0, 0), (9, 9))], complete=[]))) == ()


@pytest.mark.parametrize(
    ("areas", "text"),
    [
        ([LAKE], "the water"),
        ([LAKE, make_area("pond", "water", box(900, 0, 950, 50))], "water in the image"),
        (
            [Area(area_id="two", class_name="water", geometry=MultiPolygon([box(0, 0, 9, 9), box(20, 0, 29, 9)]))],
            "water in the image",
        ),
    ],
)
def test_one_area_has_a_definite_article(areas: list[Area], text: str) -> None:
    assert [landmark.text for landmark in landmarks(make_context(make_facts(areas=areas)))] == [text]


@pytest.mark.parametrize(("width", "is_seen"), [(1.5, False), (2.5, True)])
def test_a_sliver_is_no_landmark(width: float, is_seen: bool) -> None:
    # A strip of 1000 px: twice its area over its outline is 1.498 and 2.494 px.
    strip = make_area("s", "forest", box(1000 - width, 0, 1000, 1000))
    assert bool(landmarks(make_context(make_facts(areas=[strip])))) is is_seen


def test_the_only_object_of_a_class_is_a_landmark() -> None:
    objects = [
        make_object("s", "ship", square(100, 100)),
        *(make_object(f"c{x}", "car", square(x, 9)) for x in (40, 80)),
    ]
    assert [landmark.text for landmark in landmarks(make_context(make_facts(objects=objects)))] == ["the ship"]


@given(
    st.lists(st.tuples(st.integers(100, 900), st.integers(100, 900), st.integers(3, 9)), min_size=1, max_size=4),
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
@settings(max_examples=40)
def test_distances_are_those_of_whole_outlines(discs: list[tuple[int, int, int]], place: tuple[int, int]) -> None:
    # The slow way: shapely's distance from the union of all areas, holes included.
    shapes = [
        Polygon(Point(x, y).buffer(20 * size).exterior, [Point(x, y).buffer(8 * size).exterior]) for x, y, size in discs
    ]
    areas = [make_area(str(index), "water", shape) for index, shape in enumerate(shapes)]
    (water,) = landmarks(make_context(make_facts(areas=areas)))
    house = make_object("h", "house", square(*place))
    assert water.distances([house]) == pytest.approx([house.geometry.distance(union_all(shapes))], abs=1e-6)


def test_distances_from_lines_and_points() -> None:
    roads, ship = landmarks(
        make_context(
            make_facts(roads=[make_road("r", (0, 0), (0, 1000))], objects=[make_object("s", "ship", Point(500, 500))])
        )
    )
    house = make_object("h", "house", square(110, 500))
    assert roads.distances([house]) == pytest.approx([100])
    assert ship.distances([house]) == pytest.approx([380])


RIVER = make_area("river", "water", box(450, 0, 550, 1000))
HALVES = [make_area("up", "water", box(450, 0, 550, 460)), make_area("down", "water", box(450, 490, 550, 1000))]
POND = make_area("pond", "water", box(100, 100, 200, 200))


@pytest.mark.parametrize(
    ("areas", "north_deg", "sides"),
    [
        ([RIVER], None, {"w": 448, "e": 448}),
        ([RIVER, POND], 0.0, {"w": 448, "e": 448}),
        ([RIVER], 90.0, {"n": 448, "s": 448}),  # north is on the right
        (HALVES, None, {"w": 448, "e": 448}),  # a bridge of 30 px
        ([HALVES[0], make_area("down", "water", box(450, 560, 550, 1000))], None, {}),  # 100 px without water
        ([make_area("across", "water", box(0, 100, 1000, 300))], None, {"s": 698}),  # 98 px above it are no side
        ([RIVER, make_area("other", "water", box(700, 0, 720, 1000))], None, {}),  # two rivers
        (
            [make_area("r", "water", Polygon([(300, 0), (400, 0), (1000, 600), (1000, 700)]))],
            None,
            {},
        ),
        ([make_area("wood", "forest", box(450, 0, 550, 1000))], None, {}),
        ([], None, {}),
    ],
)
def test_a_river_has_two_sides(areas: list[Area], north_deg: float | None, sides: dict[str, int]) -> None:
    found = dividers(make_context(make_facts(areas=areas, north_deg=north_deg)))
    if len(sides) != 2:
        assert found == ()
        return
    (river,) = found
    assert river.text == "the water that runs across the image"
    # a side ends 2 px before the water
    assert {name: round(ground.area / 1000) for name, ground in river.sides.items()} == sides
