"""Where road pieces are joined, and where nobody can be sure that they are."""

from __future__ import annotations

import pytest

from rsvqa.annotation.facts import Gsd, Road
from rsvqa.annotation.layout.road_graph import RoadGraph, build_road_graph
from tests.annotation.make_facts import make_road

SQUARE = Gsd(1.0, 1.0)


def junctions(graph: RoadGraph) -> list[int]:
    return [node for node in graph.steps if graph.is_junction(node)]


def built(*roads: Road) -> RoadGraph:
    return build_road_graph(roads, SQUARE)


def test_pieces_that_share_an_end_are_one_stretch() -> None:
    graph = built(
        make_road("a", (0, 0), (100, 0), name="Mill Road"), make_road("b", (101, 0), (200, 0), name="Mill Road")
    )
    (stretch,) = graph.stretches
    assert stretch.road_ids == ("a", "b")
    assert stretch.name == "Mill Road"
    # The gap of 1 px is closed: 200 px in all.
    assert stretch.length == pytest.approx(200)


def test_a_gap_wider_than_the_snap_stays_open() -> None:
    assert len(built(make_road("a", (0, 0), (100, 0)), make_road("b", (102, 0), (200, 0))).stretches) == 2


def test_a_stretch_of_two_names_has_none() -> None:
    (stretch,) = built(make_road("a", (0, 0), (99, 0), name="A"), make_road("b", (99, 0), (200, 0), name="B")).stretches
    assert stretch.name == ""


def test_an_end_on_another_piece_is_a_junction() -> None:
    graph = built(make_road("main", (0, 100), (200, 100)), make_road("side", (120, 101), (120, 200)))
    (node,) = junctions(graph)
    # The side road ends 1 px below the main one, so it is 99 px long.
    assert sorted(round(stretch.length) for stretch in graph.stretches) == [80, 99, 120]
    assert node not in graph.doubtful


def test_a_shared_vertex_is_a_junction() -> None:
    graph = built(make_road("a", (0, 100), (100, 100), (200, 100)), make_road("b", (100, 0), (100, 100), (100, 200)))
    (node,) = junctions(graph)
    assert len(graph.steps[node]) == 4
    assert not graph.doubtful


def test_a_crossing_without_a_shared_vertex_is_doubtful() -> None:
    graph = built(make_road("a", (0, 100), (200, 100)), make_road("b", (100, 0), (100, 200)))
    assert set(junctions(graph)) == graph.doubtful


def test_junctions_close_together_are_doubtful() -> None:
    main = make_road("main", (0, 100), (300, 100))
    graph = built(main, make_road("up", (100, 100), (100, 0)), make_road("down", (115, 100), (115, 200)))
    assert set(junctions(graph)) == graph.doubtful
    apart = built(main, make_road("up", (100, 100), (100, 0)), make_road("down", (125, 100), (125, 200)))
    assert not apart.doubtful


def test_lengths_are_on_the_ground() -> None:
    (stretch,) = build_road_graph([make_road("a", (0, 0), (30, 40))], Gsd(2.0, 0.5)).stretches
    # 30 px · 2 m and 40 px · 0.5 m: hypot(60, 20) = 63.25 m.
    assert stretch.length == pytest.approx(63.2456, abs=1e-3)


def test_a_ring_is_joined_by_the_road_that_meets_it() -> None:
    ring = make_road("ring", (100, 100), (200, 100), (200, 200), (100, 200), (100, 100))
    graph = built(ring, make_road("to", (150, 0), (150, 100)))
    # The ring is one stretch from the junction back to it.
    assert sorted((round(s.length), s.start == s.end) for s in graph.stretches) == [(100, False), (400, True)]


def test_no_roads_make_an_empty_graph() -> None:
    assert built().stretches == ()
