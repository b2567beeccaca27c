"""Routes walked as a reader would: set off as told, count the junctions, turn, and look whether the goal is there."""

from __future__ import annotations

import heapq
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tests.truth.describing import CONDITIONS, conditioned, described, landmark, match, reads
from tests.truth.measuring import Points, along, at, gap, sector
from tests.truth.reading import Row, Tile, Truth, WrongError, expect

START, GOAL = r"(?P<start>the (?:(?:(?! to the )|(?<=nearest)).)+)", r"(?P<goal>the .+?)"
# of all "to the" only that of "nearest to the" is inside a description

IsRight = Callable[[str], bool]
Way = tuple[int, bool]
"""A stretch of road and whether it is walked from its first point to its last."""

SIGHT_PX = 25.0
"""A direction is judged over so much of the road."""

ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]


@dataclass(frozen=True)
class Place:
    """A point on a road: so many pixels along a stretch."""

    stretch: int
    along: float


class Roads:
    """The roads of a tile as stretches between junctions and dead ends."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        self.lines = _joined(tile.roads)
        self.ends = [(_key(line[0]), _key(line[-1])) for line in self.lines]
        self.out: dict[tuple[int, int], list[Way]] = {}
        for number, (first, last) in enumerate(self.ends):
            self.out.setdefault(first, []).append((number, True))
            self.out.setdefault(last, []).append((number, False))

    def length(self, stretch: int) -> float:
        """Return the length of a stretch, pixels."""
        return _length(self.lines[stretch])

    def place(self, point: Points) -> Place:
        """Return the point on a road that is nearest to a point."""
        best = (math.inf, Place(0, 0.0))
        for number, line in enumerate(self.lines):
            walked = 0.0
            for start, end in itertools.pairwise(line):
                step = end - start
                size = float(np.hypot(*step))
                share = min(max(float(np.dot(point - start, step)) / size**2, 0.0), 1.0) if size else 0.0
                away = float(np.hypot(*(start + share * step - point)))
                if away < best[0]:
                    best = (away, Place(number, walked + share * size))
                walked += size
        return best[1]

    def bearing(self, way: Way, along: float | None = None) -> float:
        """Return the true bearing in which a way sets off, from its begin or from a place on it."""
        number, is_forward = way
        size = self.length(number)
        begin = along if along is not None else 0.0 if is_forward else size
        end = min(begin + SIGHT_PX, size) if is_forward else max(begin - SIGHT_PX, 0.0)
        return self.tile.bearing(_at(self.lines[number], begin), _at(self.lines[number], end))

    def node(self, way: Way) -> tuple[int, int]:
        """Return where a way leads."""
        return self.ends[way[0]][1 if way[1] else 0]

    def bend(self, way: Way, onward: Way) -> float:
        """Return the turn from one way into the next, degrees, positive to the right."""
        incoming = self.bearing((way[0], not way[1])) + 180
        return (self.bearing(onward) - incoming + 180) % 360 - 180

    def onward(self, way: Way, turn: str) -> Way:
        """Return the way out of a junction that is straight on, left or right.

        Raises:
            WrongError: there is none, or two.
        """
        exits = [other for other in self.out[self.node(way)] if other != (way[0], not way[1])]
        expect(len(exits) > 1, "no junction ahead")
        bends = {other: self.bend(way, other) for other in exits}
        wanted = {"straight": (-45, 45), "right": (30, 150), "left": (-150, -30)}[turn]
        fitting = [other for other, angle in bends.items() if wanted[0] < angle < wanted[1]]
        expect(len(fitting) == 1, f"{len(fitting)} ways lead {turn}: {sorted(bends.values())}")
        return fitting[0]

    def fewest_turns(self, start: Place, goal: Place) -> int:
        """Return how often a driver has to turn at a junction by the straightest way, whatever its length."""
        reached: set[Way] = set()
        wave: list[Way] = [(start.stretch, True), (start.stretch, False)]
        turns = 0
        while wave:
            later: list[Way] = []
            while wave:  # all that is reached without another turn
                way = wave.pop()
                if way in reached:
                    continue
                reached.add(way)
                exits = [other for other in self.out[self.node(way)] if other != (way[0], not way[1])]
                for other in exits:
                    is_turn = len(exits) > 1 and abs(self.bend(way, other)) > 45
                    (later if is_turn else wave).append(other)
            if any(number == goal.stretch for number, _ in reached):
                return turns
            turns, wave = turns + 1, later
        raise WrongError("no way leads there")

    def shortest(self, start: Place, goal: Place) -> float:
        """Return the length of the shortest way between two places on different stretches, pixels (Dijkstra)."""
        best = {
            self.ends[start.stretch][0]: start.along,
            self.ends[start.stretch][1]: self.length(start.stretch) - start.along,
        }
        queue = [(length, node) for node, length in best.items()]
        heapq.heapify(queue)
        while queue:
            length, node = heapq.heappop(queue)
            if length > best[node]:
                continue
            for way in self.out[node]:
                reached = length + self.length(way[0])
                if reached < best.get(self.node(way), math.inf):
                    best[self.node(way)] = reached
                    heapq.heappush(queue, (reached, self.node(way)))
        first, last = self.ends[goal.stretch]
        rest = self.length(goal.stretch) - goal.along
        return min(best.get(first, math.inf) + goal.along, best.get(last, math.inf) + rest)


def _joined(lines: list[Points]) -> list[Points]:
    """Return the lines with those joined that meet where no third one does."""
    whole: dict[int, Points] = dict(enumerate(lines))
    at: dict[tuple[int, int], list[int]] = {}
    for number, line in whole.items():
        for end in (line[0], line[-1]):
            at.setdefault(_key(end), []).append(number)
    for place, met in at.items():
        if len(met) != 2 or met[0] == met[1]:
            continue
        kept, gone = met
        one, other = whole[kept], whole.pop(gone)
        one = one if _key(one[-1]) == place else one[::-1]
        other = other if _key(other[0]) == place else other[::-1]
        whole[kept] = np.concatenate([one, other[1:]])
        far = at[_key(other[-1])]
        far[far.index(gone)] = kept
    return list(whole.values())


def _key(point: Points) -> tuple[int, int]:
    return round(float(point[0]) * 4), round(float(point[1]) * 4)


def _length(line: Points) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _at(line: Points, distance: float) -> Points:
    """Return the point so far along a line."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    walked = np.concatenate([[0.0], np.cumsum(steps)])
    return np.array([np.interp(distance, walked, line[:, axis]) for axis in (0, 1)])


@lru_cache(maxsize=2)
def roads_of(tile: Tile) -> Roads:
    """Return the roads of a tile; they are joined once."""
    return Roads(tile)


def walked(roads: Roads, start: Place, goal: Place, told: str, closed: int | None = None) -> list[Way] | None:
    """Return the ways of the told route from `start` to `goal`; None when it does not lead there.

    Raises:
        WrongError: the instructions cannot be read or followed.
    """
    way_there, _, arrival = told.removesuffix(".").partition(", and ")
    heading, *turns = way_there.split(", ")
    word = match((r"Head (?P<word>[a-z]+)( on (?P<name>.+))?",), heading)["word"]
    ways = [(start.stretch, True), (start.stretch, False)]
    fitting = [way for way in ways if sector(roads.bearing(way, start.along))[0] == word]
    expect(len(fitting) == 1, f"{len(fitting)} ways lead {word}")
    way = fitting[0]
    ways = [way]
    for action in [*_actions(turns), *_passing(arrival)]:
        if way[0] == goal.stretch:
            return None  # it passes the goal on its way to somewhere else
        way = roads.onward(way, action)
        if way[0] == closed:
            return None
        ways.append(way)
    return ways if way[0] == goal.stretch else None


def length_of(roads: Roads, start: Place, goal: Place, ways: list[Way]) -> float:
    """Return how long the ways from one place to another are, pixels."""
    first, last = ways[0], ways[-1]
    unused = start.along if first[1] else roads.length(start.stretch) - start.along
    unused += roads.length(goal.stretch) - goal.along if last[1] else goal.along
    return sum(roads.length(number) for number, _ in ways) - unused


def _serves(tile: Tile, text: str, hit: re.Match[str], begin: Place, end: Place, ways: list[Way]) -> None:
    """Raise unless a route serves the purpose that the question states, if it states one."""
    roads = roads_of(tile)
    if any(re.fullmatch(pattern, text) for pattern in _FEWEST):
        turns = sum(abs(roads.bend(way, onward)) > 40 for way, onward in itertools.pairwise(ways))
        fewest = roads.fewest_turns(begin, end)
        expect(turns == fewest, f"{turns} turns where {fewest} would do")
    if any(re.fullmatch(pattern, text) for pattern in _PASSING):
        via = roads.place(_point(tile, hit["via"])).stretch
        expect(via in [number for number, _ in ways[1:-1]], f"it does not pass {hit['via']}")
    if any(re.fullmatch(pattern, text) for pattern in _AWAY):
        found = landmark(tile, hit["landmark"])
        for number, _ in ways:
            near = gap(roads.lines[number], found.targets) * tile.metres
            inside = found.mask is not None and at(found.mask, along(roads.lines[number])).any()
            expect(not inside and near > 1.05 * int(hit["metres"]), f"it comes within {near:.0f} m of it")


def _actions(turns: list[str]) -> list[str]:
    actions = []
    for position, told in enumerate(turns):
        hit = match((r"(then )?turn (?P<turn>left|right) at the (?P<ordinal>\w+) junction( after that)?",), told)
        expect(("after that" in told) is (position > 0), f"which junction is meant? {told!r}")
        actions += ["straight"] * ORDINALS.index(hit["ordinal"]) + [hit["turn"]]
    return actions


def _passing(arrival: str) -> list[str]:
    hit = match(
        (
            r"the destination is on this road before the next junction",
            r"go straight on past (?P<one>one) junction to the destination, which is before the next one",
            r"go straight on past (?P<many>\d+) junctions to the destination, which is before the next one",
        ),
        arrival,
    )
    said = hit.groupdict()
    return ["straight"] * (1 if said.get("one") else int(said.get("many") or 0))


_FEWEST = reads(
    "Which route leads from <start> to <goal> with the fewest turns?",
    "Of all ways by road from <start> to <goal>, which route has the fewest turns?",
    "A long truck has to get from <start> to <goal> and should turn as seldom as possible. Which route does it take?",
    "You are on the road at <start> and want to turn as few times as possible on the way to <goal>."
    " Which route do you take?",
    "Which directions take a driver from <start> to <goal> with as few turns as the roads allow?",
    "Mostly straight on: which of these routes gets from <start> to <goal> with the fewest turns?",
    "How do you get from <start> to <goal> by road if every turn should be saved that can be saved?",
    "The number of turns between <start> and <goal> is to be as small as possible. Which instructions fit?",
    "Which of these is the way by road from <start> to <goal> on which one turns the fewest times?",
    "A learner dislikes turning and has to drive from <start> to <goal>. Which route has no more turns than needed?",
    start=START,
    goal=GOAL,
)
_PASSING = reads(
    "Which route leads from <start> to <goal> and passes <via> on the way?",
    "You want to drive from <start> to <goal> and to pass by <via> before you arrive. Which route do you take?",
    "A courier sets off at <start>, drops a parcel at <via> and goes on to <goal>. Which route works?",
    "By way of <via>: which instructions take a driver from <start> to <goal>?",
    "Which of these routes by road from <start> to <goal> goes past <via>?",
    "How do you get from <start> to <goal> along the roads if you have to pass <via> on the way?",
    "A tour begins at <start>, leads past <via> and ends at <goal>. Which directions describe it?",
    "Before reaching <goal>, a driver from <start> has to pass <via>. Which route fits?",
    "Someone has to be picked up at <via> on a drive from <start> to <goal>. Which of these routes is possible?",
    "On the road at <start>, find the way to <goal> that runs past <via>. Which route is it?",
    start=START,
    goal=GOAL,
)
_AWAY = reads(
    "Which route leads from <start> to <goal> and keeps more than <metres> m away from <landmark>?",
    "A truck with a dangerous load has to stay more than <metres> m away from <landmark>. Which"
    " route from <start> to <goal> may it take?",
    "Without coming within <metres> m of <landmark>, how do you get by road from <start> to <goal>?",
    "You are on the road at <start> and must not get nearer than <metres> m to <landmark>. Which"
    " route takes you to <goal>?",
    "Which of these routes from <start> to <goal> never comes within <metres> m of <landmark>?",
    "Traffic has to keep a distance of more than <metres> m from <landmark>. Which directions lead"
    " from <start> to <goal>?",
    "From <start> to <goal> by road, but never <metres> m or less from <landmark>: which"
    " instructions should be followed?",
    "All roads within <metres> m of <landmark> are closed to traffic. Which route still leads from <start> to <goal>?",
    "A driver does not want to pass <landmark> at a distance of <metres> m or less. Which route"
    " from <start> to <goal> is left?",
    "Which way by road takes you from <start> to <goal> without ever being <metres> m or less from <landmark>?",
    start=START,
    goal=GOAL,
)


def route_planning(row: Row, truth: Truth) -> IsRight:
    start, goal = START, GOAL
    shortest = (
        rf"Which route is the shortest way by road from {start} to {goal}\?",
        rf"Following the roads, which instructions lead the shortest way from {start} to {goal}\?",
        rf"You set off on the road at {start}\. Which route is the shortest one to {goal}\?",
        rf"Which of these routes takes you from {start} to {goal} over the shortest distance by road\?",
        rf"What is the shortest route along the roads from {start} to {goal}\?",
        rf"A driver wants to take the shortest way from {start} to {goal}\. Which instructions should be followed\?",
        rf"By road, what is the shortest way to get from {start} to {goal}\?",
        rf"Which directions describe the shortest drive from {start} to {goal}\?",
        rf"You are on the road at {start} and want the shortest way to {goal}\. Which route do you take\?",
        rf"Find the shortest of these routes by road from {start} to {goal}\.",
    )
    others = (
        rf"Which route leads by road from {start} to {goal}\?",
        rf"Following the roads, which instructions take you from {start} to {goal}\?",
        rf"You set off on the road at {start}\. Which route brings you to {goal}\?",
        rf"Only one of these routes leads from {start} to {goal}\. Which one is it\?",
        rf"How do you get from {start} to {goal} along the roads\?",
        rf"A driver starts on the road at {start}\. Which instructions end at {goal}\?",
        rf"Which directions take a car from {start} to {goal}\?",
        rf"You are on the road at {start} and want to reach {goal}\. Which route do you take\?",
        rf"By road, which of these ways goes from {start} to {goal}\?",
        rf"Find the one of these routes that leads along the roads from {start} to {goal}\.",
    )
    point = r"the point \[(?P<x>\d+), (?P<y>\d+)\]"
    blocked = reads(
        "The road at <point> is closed. Which route still leads from <start> to <goal>?",
        "Roadworks block the road at <point>. Which instructions take you from <start> to <goal> all the same?",
        "Nobody can pass the road at <point>. How does a driver get from <start> to <goal>?",
        "The road at <point> is flooded. Which of these routes avoids it and leads from <start> to <goal>?",
        "An ambulance has to get from <start> to <goal>, but the road at <point> is blocked. Which route is left?",
        "Avoid the road at <point>, which is closed. Which directions lead from <start> to <goal>?",
        "Which of these routes goes from <start> to <goal> without using the road at <point>?",
        "You want to get from <start> to <goal> while the road at <point> is under repair. Which route do you take?",
        "With the road at <point> shut, which route by road still goes from <start> to <goal>?",
        "Traffic from <start> to <goal> is sent around the road at <point>. Which directions should it follow?",
        start=start,
        goal=goal,
        point=point,
    )
    text = row.question
    hit = match((*blocked, *shortest, *others, *_FEWEST, *_PASSING, *_AWAY), text)
    asks_shortest = any(re.fullmatch(pattern, text) for pattern in shortest)
    tile = truth.tile(row)
    roads = roads_of(tile)
    expect("[" not in hit["start"] or "[" not in hit["goal"], "two points tell the way without the image")
    begin, end = (roads.place(_point(tile, hit[name])) for name in ("start", "goal"))
    least = roads.shortest(begin, end)
    closed: int | None = None
    if hit.groupdict().get("x"):
        closed = roads.place(np.array([float(hit["x"]), float(hit["y"])])).stretch
        expect(closed not in (begin.stretch, end.stretch), "the road is closed where the way begins or ends")

    shapes = {_shape(option) for option in row.options.values()}
    expect(len(shapes) == 1, f"routes of different length or number of turns: {shapes}")

    def is_right(option: str) -> bool:
        try:
            ways = walked(roads, begin, end, option, closed)
            length = None if ways is None else length_of(roads, begin, end, ways)
        except WrongError:
            if row.options.get(row.answer) == option:
                raise
            return False  # a wrong route may lead to a place where the instructions end
        if length is not None and asks_shortest:
            expect(length < 1.01 * least, f"a route of {length:.0f} px where {least:.0f} px would do")
        if ways is not None:
            _serves(tile, text, hit, begin, end, ways)
        return length is not None

    return is_right


def _shape(told: str) -> tuple[int, ...]:
    """Return what of a route a reader could compare without the roads: turns, junctions and words at the end."""
    way_there, _, arrival = told.removesuffix(".").partition(", and ")
    actions = [*_actions(way_there.split(", ")[1:]), *_passing(arrival)]
    return len(actions), actions.count("straight"), len(actions) - actions.count("straight"), len(arrival)


def _point(tile: Tile, text: str) -> Points:
    point = re.fullmatch(r"the point \[(?P<x>\d+), (?P<y>\d+)\]", text)
    if point:
        return np.array([float(point["x"]), float(point["y"])])
    if any(re.fullmatch(pattern, text) for pattern in CONDITIONS):
        return conditioned(tile, text).centre
    return described(tile, text).centre
