"""Routes told turn by turn: found on the road graph, and followed again to see where their words lead.

A route is only told when every junction on the way is plain to a reader: no way forks off at an angle that is neither
straight on nor a turn, and junctions are far enough apart to be counted. `follow` reads the instructions as a person
would, from the start alone, so it proves that the right route arrives and that the wrong ones do not.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product
from typing import Any, Literal, NamedTuple, cast

import networkx as nx

from rsvqa.annotation.layout.road_graph import GraphStep, RoadGraph
from rsvqa.annotation.questions import NotAsked
from rsvqa.annotation.tasks.directions import BearingFrame, Sector, TilePoint, sector_of

TurnDirection = Literal["left", "right"]

STRAIGHT_DEG = 30.0
"""Ways that bend less than this are straight on."""

TURN_DEG = (45.0, 135.0)
"""Ways between these angles are a left or a right turn; what is neither straight nor this has no sure word."""

SIGHT_PX = 25.0
"""Directions at a junction are taken over this length of road."""

MAX_DETOUR = 2.0
"""Another way so many times as long as the best one is as good as none."""

MAX_TURNS = 4
MAX_ORDINAL = 6
"""More turns, or more junctions to be counted, make a route tedious to check by eye."""


class Place(NamedTuple):
    """A point on a road: `along` pixels from the start of a stretch."""

    stretch: int
    along: float


class Leg(NamedTuple):
    """Go straight on, and turn at the junction that is so many ahead (1: the next)."""

    ordinal: int
    turn: TurnDirection


@dataclass(frozen=True, slots=True)
class Route:
    """Instructions: set off in a direction, turn some times, pass some junctions, and be there.

    Attributes:
        heading: direction in which the road is taken at the start.
        legs: turns in their order.
        passed: junctions passed straight on after the last turn.
    """

    heading: Sector
    legs: tuple[Leg, ...]
    passed: int


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """The shortest route between two places: its instructions, the stretches used in order, and its length.

    `length` is in units of the graph's scale.
    """

    route: Route
    steps: tuple[GraphStep, ...]
    length: float


Trail = tuple[tuple[Place, Place], ...]
"""Parts of stretches in the order walked, each (from, to)."""


class _Way(NamedTuple):
    """A shortest way between two places that leaves and arrives by given ends of their stretches."""

    length: float
    nodes: tuple[int, ...]


class _Turning(NamedTuple):
    """A way between two places, its turns counted."""

    turns: int
    length: float
    steps: tuple[GraphStep, ...]


_Reached = dict[int, tuple[dict[int, float], dict[int, list[int]]]]
"""Distances and paths to every node by the node that they begin at."""


class RoadMap:
    """A road graph with the directions and lengths that routes are told by."""

    def __init__(self, graph: RoadGraph, frame: BearingFrame) -> None:
        self.graph = graph
        self._frame = frame
        self._network = graph.as_networkx()
        self._bearings: dict[GraphStep, float] = {}

    def routes_from(
        self, start: Place, goals: Iterable[Place], *, closed: frozenset[int] = frozenset()
    ) -> Iterator[tuple[Place, FoundRoute | NotAsked]]:
        """Yield each goal with the shortest route to it past `closed` stretches, or why it cannot be told plainly."""
        reached = self._reach(start, hidden=frozenset({start.stretch}) | closed)
        for goal in goals:
            if goal.stretch == start.stretch:
                continue
            ways = self._ways(start, goal, reached)
            if ways:
                yield goal, self._found(start, goal, ways[0], closed | {start.stretch})
            else:
                yield goal, NotAsked("places not connected by road")

    def next_length(self, start: Place, goal: Place, best: FoundRoute) -> float:
        """Return the length of the second shortest way from `start` to `goal`; infinite when that is a long detour.

        Ways of more than `MAX_DETOUR` times the best one are not looked for.
        """
        hidden, farthest = frozenset({start.stretch, goal.stretch}), MAX_DETOUR * best.length
        # Another way leaves or arrives by another end, or does without some stretch of the best one.
        ways = self._ways(start, goal, self._reach(start, hidden=hidden, farthest=farthest))[1:]
        for step in best.steps[1:-1]:
            reached = self._reach(start, hidden=hidden | {step.stretch}, farthest=farthest)
            ways += self._ways(start, goal, reached)[:1]
        return min((way.length for way in ways if way.length <= farthest), default=math.inf)

    def route_through(self, start: Place, via: Place, goal: Place) -> FoundRoute | NotAsked:
        """Return the shortest route that walks all of the stretch at `via` on its way, or why it cannot be told."""
        outward = self._reach(start, hidden=frozenset({start.stretch, via.stretch, goal.stretch}))
        hidden = frozenset({start.stretch, via.stretch})
        onward = self._reach(via, hidden=hidden)
        passed = self.graph.stretches[via.stretch]
        ways: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = []
        for (first, before), (last, after) in product(self._ends(start), self._ends(goal)):
            for here, there in ((passed.start, passed.end), (passed.end, passed.start)):
                (distance, path), (rest, end) = outward[first], onward[there]
                if here in distance and last in rest:
                    length = before + distance[here] + passed.length + rest[last] + after
                    ways.append((length, tuple(path[here]), tuple(end[last])))
        if not ways:
            return NotAsked("places not connected by road")
        length, path_there, path_on = min(ways)
        steps = (
            self._first_step(start, path_there[0]),
            *self._between(path_there, hidden),
            GraphStep(via.stretch, path_there[-1] == passed.start),
            *self._between(path_on, hidden),
            self._last_step(goal, path_on[-1]),
        )
        if len({step.stretch for step in steps}) < len(steps):
            return NotAsked("one road used twice")
        return self._plain(start, goal, steps, length)

    def route_of_fewest_turns(self, start: Place, goal: Place) -> FoundRoute | NotAsked:
        """Return the shortest of the plain routes that no other way has fewer turns than, or why there is none."""
        plain = self._least_turns(start, goal, self._plain_ways)
        # A way that nobody could tell in words may still be seen: of a doubtful bend nobody knows whether it is a turn.
        least = self._least_turns(start, goal, self._all_ways)
        if plain is None or least is None or plain.turns > least.turns:
            return NotAsked("junctions on the route too unclear to be told")
        return self._plain(start, goal, plain.steps, plain.length)

    def _least_turns(
        self, start: Place, goal: Place, ways_on: Callable[[GraphStep], Iterable[tuple[GraphStep, bool]]]
    ) -> _Turning | None:
        """Return the way with the fewest turns, of several the shortest; `ways_on` tells which ways on are turns."""
        stretches = self.graph.stretches
        (_, to_start), (_, to_end) = self._ends(start)
        (_, from_start), (_, from_end) = self._ends(goal)
        queue = [
            (0, to_end if step.is_forward else to_start, step, step)
            for step in (GraphStep(start.stretch, True), GraphStep(start.stretch, False))
        ]
        came_from: dict[GraphStep, GraphStep] = {}
        while queue:
            turns, length, step, before = heapq.heappop(queue)
            if step in came_from:
                continue
            came_from[step] = before
            if step.stretch == goal.stretch:
                return _Turning(turns, length, _back_from(step, came_from))
            for way, is_turn in ways_on(step):
                if way in came_from or way.stretch == start.stretch:
                    continue
                reach = from_start if way.is_forward else from_end
                further = reach if way.stretch == goal.stretch else stretches[way.stretch].length
                heapq.heappush(queue, (turns + is_turn, length + further, way, step))
        return None

    def _plain_ways(self, step: GraphStep) -> Iterator[tuple[GraphStep, bool]]:
        """Yield the ways on that can be told, and whether each is a turn."""
        choices: tuple[TurnDirection | None, ...] = (None, "left", "right")
        for turn in choices:
            way = self._onward(step, turn)
            if way is not None and not self.graph.stretches[way.stretch].is_one_way:
                yield way, turn is not None

    def _all_ways(self, step: GraphStep) -> Iterator[tuple[GraphStep, bool]]:
        """Yield all ways on, and whether each is surely a turn."""
        is_junction = self.graph.is_junction(self.graph.target(step))
        for way, angle in self._exits(step).items():
            yield way, is_junction and abs(angle) >= TURN_DEG[0]

    def headings(self, start: Place) -> dict[Sector, GraphStep]:
        """Return the two ways along the road at `start` by direction; empty when one is not sure."""
        found: dict[Sector, GraphStep] = {}
        for step in (GraphStep(start.stretch, True), GraphStep(start.stretch, False)):
            sector = sector_of(self._bearing(step, start.along))
            if sector is None or sector in found:
                return {}
            found[sector] = step
        return found

    def follow(self, start: Place, route: Route) -> Trail:
        """Return what a reader of `route` walks; empty when it cannot be followed.

        The last part is walked to its end: the goal is to be somewhere on it.
        """
        step = self.headings(start).get(route.heading)
        if step is None:
            return ()
        trail = [(start, self._end(step))]
        for action in _actions(route):
            step = self._onward(step, action)
            if step is None:
                return ()
            trail.append((self._begin(step), self._end(step)))
        return tuple(trail)

    def follow_beyond(self, start: Place, route: Route) -> Trail:
        """Return what `follow` does and then all that lies straight ahead: what a mistaken reader may still pass."""
        trail = list(self.follow(start, route))
        if not trail:
            return ()
        begin, end = trail[-1]
        step = GraphStep(end.stretch, end.along > begin.along)
        seen = {step}
        while (onward := self._straightest(step)) is not None and onward not in seen:
            step = onward
            seen.add(step)
            trail.append((self._begin(step), self._end(step)))
        return tuple(trail)

    def follow_to_no_exit(self, start: Place, route: Route) -> Trail:
        """Return what a reader of `route` walks to a plain junction where no way leads as told; empty without one."""
        step = self.headings(start).get(route.heading)
        if step is None:
            return ()
        trail = [(start, self._end(step))]
        for action in _actions(route):
            if self._has_no_exit(step, action):
                return tuple(trail)
            step = self._onward(step, action)
            if step is None:
                return ()
            trail.append((self._begin(step), self._end(step)))
        return ()

    def _has_no_exit(self, step: GraphStep, turn: TurnDirection | None) -> bool:
        """Return whether a step leads to a plain junction without a way out as told."""
        node = self.graph.target(step)
        if not self.graph.is_junction(node) or node in self.graph.doubtful:
            return False
        angles = self._exits(step).values()
        if not all(map(_has_word, angles)):
            return False
        if turn is None:
            return all(abs(angle) >= STRAIGHT_DEG for angle in angles)
        sign = 1 if turn == "right" else -1
        return all(sign * angle < TURN_DEG[0] for angle in angles)

    def _reach(self, start: Place, *, hidden: frozenset[int], farthest: float | None = None) -> _Reached:
        """Return distances and paths to every node, up to a distance, from either end of the stretch at `start`."""

        def weight(_start: int, _end: int, parallel: dict[Any, Any]) -> float | None:
            if len(parallel) == 1:  # nearly always, and asked for every edge
                ((key, data),) = parallel.items()
                return None if key in hidden else data["length"]
            return min((data["length"] for key, data in parallel.items() if key not in hidden), default=None)

        stretch = self.graph.stretches[start.stretch]
        # the stub's union is for a given target, where one distance and one path come back
        return cast(
            "_Reached",
            {
                node: nx.single_source_dijkstra(self._network, node, cutoff=farthest, weight=weight)
                for node in (stretch.start, stretch.end)
            },
        )

    def _ways(self, start: Place, goal: Place, reached: _Reached) -> list[_Way]:
        """Return the shortest way by each pair of ends, the shortest first."""
        ways = []
        for first, before in self._ends(start):
            distances, paths = reached[first]
            for last, after in self._ends(goal):
                if last in distances:
                    ways.append(_Way(before + distances[last] + after, tuple(paths[last])))
        return sorted(ways)

    def _ends(self, place: Place) -> tuple[tuple[int, float], tuple[int, float]]:
        """Return both ends of a place's stretch with their distances from it, in units of the scale."""
        stretch = self.graph.stretches[place.stretch]
        share = place.along / stretch.geometry.length
        return (stretch.start, share * stretch.length), (stretch.end, (1 - share) * stretch.length)

    def _found(self, start: Place, goal: Place, way: _Way, hidden: frozenset[int]) -> FoundRoute | NotAsked:
        inner = self._between(way.nodes, hidden)
        steps = (self._first_step(start, way.nodes[0]), *inner, self._last_step(goal, way.nodes[-1]))
        return self._plain(start, goal, steps, way.length)

    def _plain(self, start: Place, goal: Place, steps: tuple[GraphStep, ...], length: float) -> FoundRoute | NotAsked:
        """Return a way with its instructions, or why it cannot be told plainly."""
        if any(self.graph.stretches[step.stretch].is_one_way for step in steps):
            return NotAsked("one-way road on the route")
        route = self._tell(start, steps)
        if route is None or not arrives(self.follow(start, route), goal):
            return NotAsked("junctions on the route too unclear to be told")
        if not 1 <= len(route.legs) <= MAX_TURNS or max(leg.ordinal for leg in route.legs) > MAX_ORDINAL:
            return NotAsked("route without turns, or with too many junctions")
        return FoundRoute(route, steps, length)

    def _first_step(self, start: Place, node: int) -> GraphStep:
        return GraphStep(start.stretch, node == self.graph.stretches[start.stretch].end)

    def _last_step(self, goal: Place, node: int) -> GraphStep:
        return GraphStep(goal.stretch, node == self.graph.stretches[goal.stretch].start)

    def _between(self, nodes: Sequence[int], hidden: frozenset[int]) -> tuple[GraphStep, ...]:
        """Return the shortest steps from each node to the next."""
        stretches = self.graph.stretches
        steps = []
        for here, there in pairwise(nodes):
            parallel = (
                step
                for step in self.graph.steps[here]
                if self.graph.target(step) == there and step.stretch not in hidden
            )
            steps.append(min(parallel, key=lambda step: (stretches[step.stretch].length, step)))
        return tuple(steps)

    def _tell(self, start: Place, steps: Sequence[GraphStep]) -> Route | None:
        """Return the instructions for a way, or None where a bend at a junction has no word."""
        heading = next((sector for sector, step in self.headings(start).items() if step == steps[0]), None)
        legs: list[Leg] = []
        ordinal = 1
        for step, onward in pairwise(steps):
            angle = self._angle(step, onward)
            if abs(angle) < STRAIGHT_DEG:
                ordinal += 1
            elif TURN_DEG[0] <= abs(angle) <= TURN_DEG[1]:
                legs.append(Leg(ordinal, "right" if angle > 0 else "left"))
                ordinal = 1
            else:
                return None
        return Route(heading, tuple(legs), ordinal - 1) if heading else None

    def _onward(self, step: GraphStep, turn: TurnDirection | None) -> GraphStep | None:
        """Return the way out of the junction that a step leads to, as told; None where a reader could not be sure."""
        node = self.graph.target(step)
        if not self.graph.is_junction(node) or node in self.graph.doubtful:
            return None
        angles = self._exits(step)
        if turn is None:
            if any(STRAIGHT_DEG <= abs(angle) < TURN_DEG[0] for angle in angles.values()):
                return None
            fitting = [way for way, angle in angles.items() if abs(angle) < STRAIGHT_DEG]
        else:
            if not all(_has_word(angle) for angle in angles.values()):
                return None
            sign = 1 if turn == "right" else -1
            fitting = [way for way, angle in angles.items() if sign * angle >= TURN_DEG[0]]
        return fitting[0] if len(fitting) == 1 else None

    def _straightest(self, step: GraphStep) -> GraphStep | None:
        """Return the way out that bends least, if it could be called straight on at all."""
        angles = {way: abs(angle) for way, angle in self._exits(step).items() if abs(angle) < TURN_DEG[0]}
        return min(angles, key=lambda way: angles[way]) if angles else None

    def _exits(self, step: GraphStep) -> dict[GraphStep, float]:
        """Return the bends, in degrees to the right, into each other way out of the node that a step leads to."""
        back = GraphStep(step.stretch, not step.is_forward)
        return {way: self._angle(step, way) for way in self.graph.steps[self.graph.target(step)] if way != back}

    def _angle(self, step: GraphStep, onward: GraphStep) -> float:
        """Return the bend from one step into the next, degrees in [−180, 180), positive to the right."""
        back = GraphStep(step.stretch, not step.is_forward)
        incoming = self._bearing_out(back) + 180.0
        return (self._bearing_out(onward) - incoming + 180.0) % 360.0 - 180.0

    def _bearing_out(self, step: GraphStep) -> float:
        """Return the direction in which a step leaves its node; asked for often, so it is kept."""
        if step not in self._bearings:
            self._bearings[step] = self._bearing(step, self._begin(step).along)
        return self._bearings[step]

    def _bearing(self, step: GraphStep, along: float) -> float:
        """Return the direction in which a step sets off from a place on its stretch."""
        line = self.graph.stretches[step.stretch].geometry
        ahead = min(along + SIGHT_PX, line.length) if step.is_forward else max(along - SIGHT_PX, 0.0)
        here, there = line.interpolate(along), line.interpolate(ahead)
        return self._frame.bearing_deg(TilePoint(here.x, here.y), TilePoint(there.x, there.y))

    def _begin(self, step: GraphStep) -> Place:
        return Place(step.stretch, 0.0 if step.is_forward else self.graph.stretches[step.stretch].geometry.length)

    def _end(self, step: GraphStep) -> Place:
        return self._begin(GraphStep(step.stretch, not step.is_forward))


def arrives(trail: Trail, goal: Place) -> bool:
    """Return whether the last part of a trail leads over `goal`, and no earlier one does."""
    return bool(trail) and _passes(trail[-1:], goal) and not _passes(trail[:-1], goal)


def wrong_routes(road_map: RoadMap, start: Place, goal: Place, right: Route, rng: random.Random) -> tuple[Route, ...]:
    """Return three routes that lead elsewhere; none where there are no such three.

    None of them passes the goal, not even when a reader goes straight on at its end; a route may also ask for a turn
    where there is plainly none. Two things are changed, one in the
    first, the other in the second, both in the third. So with the right one they are a square: each is as like the
    others as any, has as many clauses, and passes as many junctions, and nothing but the roads tells which one leads to
    the goal. For the same reason a thing is changed as a whole: of "left, then left" and "left, then right" the latter
    is more often the shortest way.
    """
    changes = (_set_off_the_other_way(road_map, start), _in_a_mirror, _counted_backwards)
    for first, second in rng.sample(pairs := list(combinations(changes, 2)), len(pairs)):
        wrong = (first(right), second(right), second(first(right)))
        if len({right, *wrong}) > len(wrong) and all(_leads_astray(road_map, start, goal, route) for route in wrong):
            return wrong
    return ()


def _leads_astray(road_map: RoadMap, start: Place, goal: Place, route: Route) -> bool:
    """Return whether a route certainly does not lead to the goal."""
    trail = road_map.follow_beyond(start, route) or road_map.follow_to_no_exit(start, route)
    return bool(trail) and not _passes(trail, goal)


def _set_off_the_other_way(road_map: RoadMap, start: Place) -> Callable[[Route], Route]:
    def changed(route: Route) -> Route:
        (other,) = (heading for heading in road_map.headings(start) if heading != route.heading)
        return replace(route, heading=other)

    return changed


def _in_a_mirror(route: Route) -> Route:
    """Return a route with left for right and right for left."""
    return replace(
        route, legs=tuple(Leg(leg.ordinal, "left" if leg.turn == "right" else "right") for leg in route.legs)
    )


def _counted_backwards(route: Route) -> Route:
    """Return a route with the numbers of its junctions in the opposite order."""
    ordinals = [leg.ordinal for leg in reversed(route.legs)]
    return replace(route, legs=tuple(Leg(ordinal, leg.turn) for ordinal, leg in zip(ordinals, route.legs, strict=True)))


def _back_from(step: GraphStep, came_from: dict[GraphStep, GraphStep]) -> tuple[GraphStep, ...]:
    """Return the steps that led to one; the first came from itself."""
    steps = [step]
    while (before := came_from[steps[-1]]) != steps[-1]:
        steps.append(before)
    return tuple(reversed(steps))


def _actions(route: Route) -> list[TurnDirection | None]:
    """Return what to do at each junction: a turn, or None for straight on."""
    actions: list[TurnDirection | None] = []
    for leg in route.legs:
        actions += [None] * (leg.ordinal - 1)
        actions.append(leg.turn)
    return actions + [None] * route.passed


def _passes(trail: Trail, place: Place) -> bool:
    return any(
        begin.stretch == place.stretch and min(begin.along, end.along) <= place.along <= max(begin.along, end.along)
        for begin, end in trail
    )


def _has_word(angle: float) -> bool:
    return abs(angle) < STRAIGHT_DEG or TURN_DEG[0] <= abs(angle) <= TURN_DEG[1]
