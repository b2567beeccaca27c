"""The roads of a tile as a graph: junctions, dead ends, and the stretches of road between them.

Pieces are joined where they share an end point, where one ends on another, and where they share a vertex. What
surprises: two pieces that cross without a shared vertex may be a bridge or an unmarked junction. Such a crossing
becomes a node, but a doubtful one, and no route may be told through it: then the answer is the same whichever it is.

shapely cuts the lines and networkx holds the graph. osmnx and momepy, which also make graphs of roads, need geopandas,
and know no doubtful crossings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Point, STRtree
from shapely.ops import substring

from rsvqa.annotation.facts import Gsd, Road

SNAP_PX = 1.5
"""End points closer than this are one node: digitised pieces rarely meet to the last digit."""

MIN_STRETCH_PX = 20.0
"""Junctions closer together than this are not counted apart by a reader; both become doubtful."""

SHARED_VERTEX_PX = 0.01
"""Two lines have a vertex in common when theirs differ by no more, which is rounding."""


@dataclass(frozen=True, slots=True)
class RoadSection:
    """A road between two nodes, with no junction in between.

    Attributes:
        start, end: node indices.
        geometry: from `start` to `end`, tile pixels.
        length: on the ground, in units of the graph's scale.
        road_ids: of the pieces that it is made of.
        name: of the road, where all pieces agree on one; else "".
        is_one_way: some piece may be used in one direction only.
    """

    start: int
    end: int
    geometry: LineString
    length: float
    road_ids: tuple[str, ...]
    name: str
    is_one_way: bool


class GraphStep(NamedTuple):
    """A way out of a node: along a stretch, from its start to its end or backwards."""

    stretch: int
    is_forward: bool


@dataclass(frozen=True, slots=True)
class RoadGraph:
    """Roads as stretches between nodes.

    Attributes:
        stretches: all stretches; a `GraphStep` holds an index into them.
        steps: the ways out of each node.
        doubtful: nodes that may not be junctions, or are too close to another one.
    """

    stretches: tuple[RoadSection, ...]
    steps: dict[int, tuple[GraphStep, ...]]
    doubtful: frozenset[int]

    def target(self, step: GraphStep) -> int:
        """Return the node that a step leads to."""
        stretch = self.stretches[step.stretch]
        return stretch.end if step.is_forward else stretch.start

    def is_junction(self, node: int) -> bool:
        """Return whether three or more ways meet at a node."""
        return len(self.steps[node]) > 2

    def as_networkx(self) -> nx.MultiGraph[int]:
        """Return the nodes and stretches with their ground `length`; keys are the stretches' indices."""
        graph: nx.MultiGraph[int] = nx.MultiGraph()
        graph.add_nodes_from(self.steps)
        for index, stretch in enumerate(self.stretches):
            graph.add_edge(stretch.start, stretch.end, key=index, length=stretch.length)
        return graph


def build_road_graph(roads: Sequence[Road], scale: Gsd) -> RoadGraph:
    """Return the graph of road pieces.

    Args:
        roads: pieces, tile pixels.
        scale: metres per pixel along both axes, or (1, 1): what stretches are measured in.
    """
    lines = np.array([road.geometry for road in roads], dtype=object)
    if not len(lines):
        return RoadGraph((), {}, frozenset())
    marks = [*_end_marks(lines), *_crossing_marks(lines)]
    nodes, doubtful = _cluster(marks)
    pieces = _split(lines, marks, nodes)
    stretches = tuple(_stretches(pieces, roads, scale))
    steps = _steps_by_node(stretches)
    # Where a line crosses itself nobody knows how it is meant: no route passes its ends.
    tangled = {node for piece in pieces if not lines[piece.line].is_simple for node in (piece.start, piece.end)}
    return RoadGraph(stretches, steps, frozenset(doubtful | tangled | _crowded_nodes(stretches, steps)))


class _Mark(NamedTuple):
    """A place on one line where it is to be split."""

    line: int
    along: float
    point: Point
    is_doubtful: bool


class _Piece(NamedTuple):
    """A line between two neighbouring marks."""

    line: int
    start: int
    end: int
    coords: NDArray[np.float64]


def _end_marks(lines: NDArray[np.object_]) -> Iterator[_Mark]:
    """Yield the end points of every line, on itself and on each line that they touch."""
    for end_index, along in ((0, np.zeros(len(lines))), (-1, shapely.length(lines))):
        ends = shapely.get_point(lines, end_index)
        # On its own line an end is where it is, also where a ring closes and both ends are one point.
        yield from (_Mark(line, float(along[line]), ends[line], False) for line in range(len(lines)))
        for end, line in STRtree(lines).query(ends, predicate="dwithin", distance=SNAP_PX).T:
            if end != line:
                yield _Mark(int(line), float(shapely.line_locate_point(lines[line], ends[end])), ends[end], False)


def _crossing_marks(lines: NDArray[np.object_]) -> Iterator[_Mark]:
    """Yield the places where two lines meet away from their ends."""
    first, second = STRtree(lines).query(lines, predicate="intersects")
    first, second = first[first < second], second[first < second]
    coordinates, pairs = shapely.get_coordinates(shapely.intersection(lines[first], lines[second]), return_index=True)
    points = _points(coordinates)
    ends = np.array([shapely.multipoints([line.coords[0], line.coords[-1]]) for line in lines], dtype=object)
    both = np.stack([first[pairs], second[pairs]])
    # Where one of the two ends there is a mark already.
    is_inner = (shapely.distance(ends[both], points) > SNAP_PX).all(axis=0)
    vertices = np.array([shapely.multipoints(line.coords) for line in lines], dtype=object)
    is_vertex = np.asarray(shapely.distance(vertices[both], points)) <= SHARED_VERTEX_PX
    for index in np.flatnonzero(is_inner):
        for line in both[:, index]:
            along = float(shapely.line_locate_point(lines[line], points[index]))
            yield _Mark(int(line), along, points[index], not is_vertex[:, index].all())


def _cluster(marks: Sequence[_Mark]) -> tuple[list[int], set[int]]:
    """Return the node of each mark, and the nodes that only doubtful marks speak for."""
    # Many marks lie on one spot, since every line that meets there has its own.
    spots, spot_of = np.unique([(mark.point.x, mark.point.y) for mark in marks], axis=0, return_inverse=True)
    points = _points(spots)
    near: nx.Graph[int] = nx.Graph()
    near.add_nodes_from(range(len(points)))
    near.add_edges_from(STRtree(points).query(points, predicate="dwithin", distance=SNAP_PX).T.tolist())
    node_of = {spot: node for node, group in enumerate(nx.connected_components(near)) for spot in group}
    nodes = [node_of[spot] for spot in spot_of.ravel().tolist()]
    certain = {node for node, mark in zip(nodes, marks, strict=True) if not mark.is_doubtful}
    return nodes, set(nodes) - certain


def _points(coordinates: NDArray[np.float64]) -> NDArray[np.object_]:
    return np.array(shapely.points(coordinates), dtype=object)


def _split(lines: NDArray[np.object_], marks: Sequence[_Mark], nodes: Sequence[int]) -> list[_Piece]:
    """Return the lines cut at their marks; the ends of the pieces are moved onto their nodes."""
    positions: dict[int, tuple[float, float]] = {}
    by_line: dict[int, list[tuple[float, int]]] = {}
    for mark, node in zip(marks, nodes, strict=True):
        positions.setdefault(node, (mark.point.x, mark.point.y))
        by_line.setdefault(mark.line, []).append((mark.along, node))
    pieces = []
    for line in sorted(by_line):
        for (begin, start), (finish, end) in pairwise(sorted(by_line[line])):
            if finish - begin <= SNAP_PX and start == end:
                continue
            coords = np.array(substring(lines[line], begin, finish).coords)
            if len(coords) < 2:
                continue
            coords[0], coords[-1] = positions[start], positions[end]
            pieces.append(_Piece(line, start, end, coords))
    return pieces


def _stretches(pieces: Sequence[_Piece], roads: Sequence[Road], scale: Gsd) -> Iterator[RoadSection]:
    """Yield chains of pieces, joined where exactly two meet; rings without any junction carry no route."""
    at_node: dict[int, list[int]] = {}
    for index, piece in enumerate(pieces):
        at_node.setdefault(piece.start, []).append(index)
        at_node.setdefault(piece.end, []).append(index)
    is_used = [False] * len(pieces)
    for node in sorted(at_node):
        if len(at_node[node]) == 2:
            continue
        for first in at_node[node]:
            if not is_used[first]:
                yield _stretch(_chain(pieces, at_node, node, first, is_used), roads, scale)


def _chain(
    pieces: Sequence[_Piece], at_node: dict[int, list[int]], node: int, index: int, is_used: list[bool]
) -> list[_Piece]:
    """Return the pieces from a node to the next one where not exactly two meet, turned to follow one another."""
    chain = []
    while True:
        is_used[index] = True
        piece = pieces[index]
        if piece.start != node:
            piece = _Piece(piece.line, piece.end, piece.start, piece.coords[::-1])
        chain.append(piece)
        node = piece.end
        onward = [other for other in at_node[node] if not is_used[other]]
        if len(at_node[node]) != 2 or not onward:
            return chain
        index = onward[0]


def _stretch(chain: Sequence[_Piece], roads: Sequence[Road], scale: Gsd) -> RoadSection:
    coords = np.concatenate([chain[0].coords, *(piece.coords[1:] for piece in chain[1:])])
    used = [roads[line] for line in dict.fromkeys(piece.line for piece in chain)]
    names = {str(road.attributes.get("name") or "") for road in used}
    steps = np.diff(coords, axis=0) * np.array(scale)
    return RoadSection(
        start=chain[0].start,
        end=chain[-1].end,
        geometry=LineString(coords),
        length=float(np.hypot(steps[:, 0], steps[:, 1]).sum()),
        road_ids=tuple(dict.fromkeys(road.road_id for road in used)),
        name=names.pop() if len(names) == 1 else "",
        is_one_way=any(_is_one_way(road) for road in used),
    )


def _is_one_way(road: Road) -> bool:
    """Return whether the label says one-way; OpenStreetMap writes "yes", "1" or "-1"."""
    value = road.attributes.get("oneway", False)
    return str(value).lower() not in ("", "no", "false", "0", "0.0")


def _steps_by_node(stretches: Sequence[RoadSection]) -> dict[int, tuple[GraphStep, ...]]:
    steps: dict[int, list[GraphStep]] = {}
    for index, stretch in enumerate(stretches):
        steps.setdefault(stretch.start, []).append(GraphStep(index, True))
        steps.setdefault(stretch.end, []).append(GraphStep(index, False))
    return {node: tuple(steps[node]) for node in sorted(steps)}


def _crowded_nodes(stretches: Sequence[RoadSection], steps: dict[int, tuple[GraphStep, ...]]) -> set[int]:
    """Return the junctions with a stub or another junction so close that a reader may count them as one."""
    short = [stretch for stretch in stretches if stretch.geometry.length < MIN_STRETCH_PX]
    return {node for stretch in short for node in (stretch.start, stretch.end) if len(steps[node]) > 2}
