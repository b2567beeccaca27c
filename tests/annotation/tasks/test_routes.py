"""Routes are found, told, and followed again by someone who knows the words alone."""

from __future__ import annotations

import math
import random
from operator import eq

import networkx as nx
import pytest

from rsvqa.annotation.facts import Gsd, Road
from rsvqa.annotation.layout.road_graph import build_road_graph
from rsvqa.annotation.questions import NotAsked
from rsvqa.annotation.tasks.directions import BearingFrame
from rsvqa.annotation.tasks.routes import FoundRoute, Leg, Place, RoadMap, Route, arrives, wrong_routes
from tests.annotation.make_facts import make_road

SQUARE = Gsd(1.0, 1.0)


def grid(columns: int, rows: int, step: float = 100.0) -> list[Road]:
    """Return the streets of a town of square blocks, cut at each crossing."""
    streets = [
        make_road(f"h{x}{y}", (x * step, y * step), ((x + 1) * step, y * step))
        for y in range(rows)
        for x in range(columns - 1)
    ]
    return streets + [
        make_road(f"v{x}{y}", (x * step, y * step), (x * step, (y + 1) * step))
        for y in range(rows - 1)
        for x in range(columns)
    ]


def make_map(roads: list[Road]) -> RoadMap:
    return RoadMap(build_road_graph(roads, SQUARE), BearingFrame(0.0, SQUARE))


def place(road_map: RoadMap, road_id: str, share: float = 0.5) -> Place:
    """Return a place on the stretch of a road, at a share of its length from the stretch's start."""
    for index, stretch in enumerate(road_map.graph.stretches):
        if road_id in stretch.road_ids:
            return Place(index, share * stretch.geometry.length)
    raise AssertionError(road_id)


def find(road_map: RoadMap, start: Place, goal: Place) -> FoundRoute | NotAsked:
    ((_, found),) = road_map.routes_from(start, [goal])
    return found


def found_route(road_map: RoadMap, start: Place, goal: Place) -> FoundRoute:
    found = find(road_map, start, goal)
    assert isinstance(found, FoundRoute), found
    return found


def test_the_shortest_of_equal_ways_arrives() -> None:
    # From (50, 100) to (300, 300), the corner that the streets v32 and h23 make without a junction: 250 px east and
    # 200 px south. Many ways are as short; whichever is told is followed to the goal, and the next is no longer.
    road_map = make_map(grid(4, 4))
    start, goal = place(road_map, "h01"), place(road_map, "v32")
    found = found_route(road_map, start, goal)
    assert found.length == pytest.approx(450)
    assert arrives(road_map.follow(start, found.route), goal)
    assert road_map.next_length(start, goal, found) == pytest.approx(450)


def test_the_only_way_is_told_word_for_word() -> None:
    # From (50, 0) east, past the side road at (100, 0), right at (200, 0), to (200, 50) before (200, 100).
    roads = [
        make_road("main", (0, 0), (300, 0)),
        make_road("first", (100, 0), (100, 100)),
        make_road("second", (200, 0), (200, 100)),
    ]
    road_map = make_map(roads)
    start = next(
        Place(index, 50.0) for index, s in enumerate(road_map.graph.stretches) if s.geometry.bounds == (0, 0, 100, 0)
    )
    found = found_route(road_map, start, place(road_map, "second"))
    assert found.route == Route("e", (Leg(2, "right"),), 0)
    assert found.length == pytest.approx(50 + 100 + 50)
    assert road_map.next_length(start, place(road_map, "second"), found) == math.inf


def test_following_wrong_words_does_not_arrive() -> None:
    road_map = make_map(grid(4, 4))
    start = place(road_map, "h01")  # the middle of (0, 100)–(100, 100)
    trail = road_map.follow(start, Route("e", (Leg(2, "right"),), 0))
    # East past (100, 100), right at (200, 100): it ends on the street from (200, 100) south.
    assert arrives(trail, place(road_map, "v21"))
    assert not arrives(trail, place(road_map, "v31"))
    # The street walked on the way is passed, not arrived at.
    assert not arrives(trail, place(road_map, "h11"))


def test_what_cannot_be_followed_has_no_trail() -> None:
    road_map = make_map(grid(4, 4))
    start = place(road_map, "h01")
    assert road_map.follow(start, Route("n", (Leg(1, "right"),), 0)) == ()  # the road leads east and west
    assert road_map.follow(start, Route("w", (), 1)) == ()  # at the west end the town stops


def test_a_fork_between_straight_and_turn_has_no_word() -> None:
    # At (100, 100) a way leaves at 40° to the right: neither straight on nor a turn.
    x, y = 100 + 100 * math.cos(math.radians(40)), 100 + 100 * math.sin(math.radians(40))
    roads = [
        make_road("in", (0, 100), (100, 100)),
        make_road("out", (100, 100), (100, 0)),
        make_road("fork", (100, 100), (x, y)),
    ]
    road_map = make_map(roads)
    refused = find(road_map, place(road_map, "in"), place(road_map, "fork"))
    assert refused == NotAsked("junctions on the route too unclear to be told")


def test_no_route_goes_through_a_doubtful_crossing() -> None:
    # "a" and "b" cross without a common vertex: a bridge, perhaps.
    roads = [make_road("a", (0, 100), (200, 100)), make_road("b", (100, 0), (100, 200))]
    road_map = make_map(roads)
    stretches = road_map.graph.stretches
    west = next(i for i, s in enumerate(stretches) if s.geometry.bounds == (0, 100, 100, 100))
    north = next(i for i, s in enumerate(stretches) if s.geometry.bounds == (100, 0, 100, 100))
    assert isinstance(find(road_map, Place(west, 50.0), Place(north, 50.0)), NotAsked)


def test_one_way_roads_are_not_told() -> None:
    roads = [
        make_road("main", (0, 0), (100, 0), (200, 0)),
        make_road("side", (100, 0), (100, 100), oneway="yes"),
    ]
    road_map = make_map(roads)
    start = next(Place(i, 50.0) for i, s in enumerate(road_map.graph.stretches) if s.geometry.bounds[2:] == (100, 0))
    assert find(road_map, start, place(road_map, "side")) == NotAsked("one-way road on the route")


def test_separate_roads_are_not_connected() -> None:
    road_map = make_map([make_road("a", (0, 0), (100, 0)), make_road("b", (0, 50), (100, 50))])
    assert find(road_map, place(road_map, "a"), place(road_map, "b")) == NotAsked("places not connected by road")


@pytest.mark.parametrize("seed", range(6))
def test_shortest_and_second_shortest_agree_with_networkx(seed: int) -> None:
    rng = random.Random(seed)
    # A town with blocks of uneven length, so that no two ways are equally long.
    xs = [0.0, *(100.0 * k + rng.uniform(-30, 30) for k in range(1, 5))]
    ys = [0.0, *(100.0 * k + rng.uniform(-30, 30) for k in range(1, 5))]
    roads = [make_road(f"h{i}{j}", (xs[i], ys[j]), (xs[i + 1], ys[j])) for i in range(4) for j in range(5)]
    roads += [make_road(f"v{i}{j}", (xs[i], ys[j]), (xs[i], ys[j + 1])) for i in range(5) for j in range(4)]
    road_map = make_map(roads)
    start, goal = place(road_map, "h12"), place(road_map, "v31", 0.4)
    found = find(road_map, start, goal)
    if isinstance(found, NotAsked):
        pytest.skip(found.reason)
    # Independently: a simple graph with the two places as nodes, and every simple path in order of length.
    graph: nx.Graph[object] = nx.Graph()
    for index, stretch in enumerate(road_map.graph.stretches):
        place_on = {start.stretch: start, goal.stretch: goal}.get(index)
        if place_on is None:
            graph.add_edge(stretch.start, stretch.end, length=stretch.length)
        else:
            graph.add_edge(stretch.start, place_on, length=place_on.along)
            graph.add_edge(place_on, stretch.end, length=stretch.length - place_on.along)
    paths = nx.shortest_simple_paths(graph, start, goal, weight="length")
    first, second = (nx.path_weight(graph, next(paths), "length") for _ in range(2))
    assert found.length == pytest.approx(first)
    assert road_map.next_length(start, goal, found) == pytest.approx(second)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_routes_never_touch_the_goal(seed: int) -> None:
    road_map = make_map(grid(5, 5))
    start, goal = place(road_map, "h22"), place(road_map, "v30")
    found = found_route(road_map, start, goal)
    wrong = wrong_routes(road_map, start, goal, found.route, random.Random(seed))
    assert len(set(wrong)) == 3
    line = road_map.graph.stretches[goal.stretch].geometry
    spot = line.interpolate(goal.along)
    for route in wrong:
        trail = road_map.follow(start, route)
        for begin, end in trail:
            walked = road_map.graph.stretches[begin.stretch].geometry
            low, high = sorted((begin.along, end.along))
            # By geometry, not by the code under test: the goal is not on what is walked.
            assert walked.distance(spot) > 1 or not low <= walked.project(spot) <= high


@pytest.mark.parametrize("seed", range(6))
def test_each_route_is_as_like_the_others_as_any(seed: int) -> None:
    road_map = make_map(grid(7, 7))
    start, goal = place(road_map, "h33"), place(road_map, "v52")
    right = found_route(road_map, start, goal).route
    options = (right, *wrong_routes(road_map, start, goal, right, random.Random(seed)))
    assert len(options) == 4

    def traits(route: Route) -> tuple[object, ...]:
        return route.heading, tuple(leg.turn for leg in route.legs), tuple(leg.ordinal for leg in route.legs)

    def num_shared(route: Route) -> list[int]:
        others = [other for other in options if other != route]
        return sorted(sum(map(eq, traits(route), traits(other))) for other in others)

    # of heading, turns and numbers two share all but one with it, and the third all but two
    assert [num_shared(route) for route in options] == [[1, 2, 2]] * 4
    assert {(len(route.legs), sum(leg.ordinal for leg in route.legs), route.passed) for route in options} == {
        (len(right.legs), sum(leg.ordinal for leg in right.legs), right.passed)
    }


def test_no_wrong_route_where_the_roads_cannot_be_told_by_symmetry() -> None:
    # One road with a branch: who sets off the other way leaves the town before any junction, and might come back.
    road_map = make_map([make_road("a", (0, 0), (200, 0)), make_road("b", (200, 0), (400, 0)), BRANCH])
    start, goal = place(road_map, "a"), place(road_map, "branch")
    right = found_route(road_map, start, goal).route
    assert wrong_routes(road_map, start, goal, right, random.Random(0)) == ()


def test_a_turn_that_a_plain_junction_has_not_leads_nowhere() -> None:
    # At (200, 0) a branch leads down, to the right of who comes from the left; there is no way to the left.
    road_map = make_map([make_road("a", (0, 0), (200, 0)), make_road("b", (200, 0), (400, 0)), BRANCH])
    start = place(road_map, "a")
    assert road_map.follow(start, Route("e", (Leg(1, "left"),), 0)) == ()
    trail = road_map.follow_to_no_exit(start, Route("e", (Leg(1, "left"),), 0))
    assert [(begin.along, end.along) for begin, end in trail] == [(100.0, 200.0)]
    # what can be followed, or leaves the roads, ends at no such junction
    assert road_map.follow_to_no_exit(start, Route("e", (Leg(1, "right"),), 0)) == ()
    assert road_map.follow_to_no_exit(start, Route("w", (Leg(1, "left"),), 0)) == ()
    assert road_map.follow_to_no_exit(start, Route("n", (Leg(1, "left"),), 0)) == ()


BRANCH = make_road("branch", (200, 0), (200, 200))
