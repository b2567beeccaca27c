"""Which of four routes, told turn by turn, leads from one place to another along the roads.

Places are uniquely described objects beside a road, and one of the two may be a point on a road. Routes rest on
junctions being counted, so every class of roads on the tile must be fully labelled. What surprises: nothing in the text
may tell where the places lie, since a route that sets off towards its goal is likely to be right. So two points are not
asked about, a point is in the middle of the tile, and no place is described by its position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from rsvqa.annotation.facts import TileFacts
from rsvqa.annotation.layout.road_graph import MIN_STRETCH_PX, RoadGraph, RoadSection, build_road_graph
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import shuffled
from rsvqa.annotation.tasks.directions import frame_of
from rsvqa.annotation.tasks.grounding import ConditionReference, conditions
from rsvqa.annotation.tasks.image_scale import with_scale, with_size
from rsvqa.annotation.tasks.landmarks import Landmark, landmarks
from rsvqa.annotation.tasks.referring import Reference, may_be_target, references
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.tasks.routes import FoundRoute, Place, RoadMap, Route, wrong_routes
from rsvqa.annotation.taxonomy import AnswerForm

MAX_BESIDE_M = 15.0
MAX_BESIDE_PX = 40.0
"""An object this near to a road is beside it; pixels where there are no metres."""

CLEAR_ROAD_RATIO = 2.0
CLEAR_CENTRE_RATIO = 1.5
"""The next road is so many times as far from the object's outline, and from its centre, at least: at a corner the end
of a long building may be nearer to one road, and its front to the other."""

MIN_PLACE_STRETCH_PX = 3 * MIN_STRETCH_PX
"""Places lie on stretches at least this long, and away from their ends."""

SHORTEST_MARGIN = 1.1
"""The second shortest way is so many times the length of the shortest, at least, where "shortest" is said."""

MIDDLE_SHARE = 0.5
"""Points lie in this share of the tile's width and height around its centre; from an edge most roads lead inwards."""

CONDITIONS_A_QUESTION = 4
"""Objects that only a condition singles out, looked for on one tile for each question; bounds the time."""

MAX_OBJECT_PLACES = 16
MAX_POINT_PLACES = 24
AWAY_M = (30, 50, 100, 200)
AWAY_MARGIN = 0.15
"""A route keeps away from something by one of these distances and this margin; the shortest one clearly does not."""

MAX_AVOIDED = 6
"""Things to keep away from, and objects to pass, that are tried for one route; bounds the time."""

STARTS_A_QUESTION = 3


class _Named(NamedTuple):
    """A place on a road and how a question calls it; `object_id` is empty for a point.

    `has_metres`: the words tell a distance.
    """

    place: Place
    text: str
    object_id: str
    has_metres: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purpose:
    """What a route is wanted for.

    Attributes:
        key: of the wording.
        rule: of the evidence.
        words: what fills in the wording beside both ends.
        feature_ids: of what it rests on beside the ends and the roads.
        has_point, has_metres: the words hold a point, or a distance.
    """

    key: str
    rule: str
    words: Mapping[str, object] = field(default_factory=dict)
    feature_ids: tuple[str, ...] = ()
    has_point: bool = False
    has_metres: bool = False


class _Wanted(NamedTuple):
    """A route that serves a purpose."""

    found: FoundRoute
    purpose: _Purpose


_Ends = tuple[_Named, _Named]
_Search = Callable[[TaskContext, RoadMap, _Ends, FoundRoute, Sequence[_Named]], Iterator[_Wanted]]


@task("route_planning")
def ask_route_planning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask which route leads from one place to another, at most one question from each start."""
    facts = context.facts
    if not facts.roads:
        yield NotAsked("no roads")
        return
    if not {road.class_name for road in facts.roads} <= facts.complete_classes:
        yield NotAsked("roads not fully labelled")
        return
    frame = frame_of(facts)
    road_map = RoadMap(build_road_graph(facts.roads, frame.scale), frame)
    beside, on_road = _places_beside_roads(context, road_map.graph), _places_on_roads(context, road_map.graph)
    starts = [named for named in shuffled(beside, context.rng) + on_road if road_map.headings(named.place)]
    if not starts:
        yield NotAsked("no place on a road to start from")
    num_asked = 0
    for start in starts[: context.limit * STARTS_A_QUESTION]:
        if num_asked >= context.limit:
            return
        goals = shuffled(beside, context.rng) + (on_road if start.object_id else [])
        result = _ask_from(context, road_map, start, goals, beside)
        num_asked += isinstance(result, Question)
        yield result


def _places_beside_roads(context: TaskContext, graph: RoadGraph) -> list[_Named]:
    """Return the uniquely described objects that stand beside one road, and beside no other."""
    facts = context.facts
    tree = STRtree([stretch.geometry for stretch in graph.stretches])
    reach = MAX_BESIDE_PX if facts.gsd_m is None else MAX_BESIDE_M / max(facts.gsd_m)
    described: list[Reference | ConditionReference] = [
        reference for reference in references(context) if reference.rule != "extreme_position"
    ]
    described += islice(conditions(context), CONDITIONS_A_QUESTION * context.limit)
    named: dict[str, _Named] = {}
    for reference in described:
        place = _place_beside(graph, tree, reference.target.geometry, reach)
        if place is not None and may_be_target(reference.target):
            has_metres = "metres" in reference.values
            item = reference.target
            named.setdefault(item.object_id, _Named(place, reference.text, item.object_id, has_metres=has_metres))
    return list(named.values())[:MAX_OBJECT_PLACES]


def _place_beside(graph: RoadGraph, tree: STRtree, geometry: BaseGeometry, reach: float) -> Place | None:
    """Return the place on the only road within `reach` pixels of a geometry; None where there is none or several."""
    near = sorted(tree.query(geometry, predicate="dwithin", distance=CLEAR_ROAD_RATIO * reach))
    distances = {int(index): graph.stretches[index].geometry.distance(geometry) for index in near}
    if not distances:
        return None
    nearest = min(distances, key=lambda index: distances[index])
    others = [distance for index, distance in distances.items() if index != nearest]
    clear = CLEAR_ROAD_RATIO * max(distances[nearest], MIN_STRETCH_PX / CLEAR_ROAD_RATIO)
    if distances[nearest] > reach or min(others, default=clear) < clear:
        return None
    stretch, centre = graph.stretches[nearest], geometry.centroid
    clear = CLEAR_CENTRE_RATIO * stretch.geometry.distance(centre)
    if any(graph.stretches[index].geometry.distance(centre) < clear for index in distances if index != nearest):
        return None
    along = stretch.geometry.project(centre)
    is_inside = MIN_STRETCH_PX <= along <= stretch.geometry.length - MIN_STRETCH_PX
    return Place(nearest, along) if is_inside and stretch.start != stretch.end else None


def _places_on_roads(context: TaskContext, graph: RoadGraph) -> list[_Named]:
    """Return the middles of random stretches in the middle of the tile, named by their pixel."""
    named = []
    fitting = [
        index
        for index, stretch in enumerate(graph.stretches)
        if stretch.start != stretch.end
        and stretch.geometry.length >= MIN_PLACE_STRETCH_PX
        and _is_in_the_middle(context.facts, _middle(stretch))
    ]
    for index in shuffled(fitting, context.rng)[:MAX_POINT_PLACES]:
        line, middle = graph.stretches[index].geometry, _middle(graph.stretches[index])
        x, y = round(middle.x), round(middle.y)
        text = context.phrases.text("route_planning.point", x=x, y=y)
        named.append(_Named(Place(index, line.length / 2), text, "", has_metres=False))
    return named


def _middle(stretch: RoadSection) -> shapely.Point:
    """Return the place half-way along a stretch, tile pixels."""
    return stretch.geometry.interpolate(0.5, normalized=True)


def _is_in_the_middle(facts: TileFacts, point: shapely.Point) -> bool:
    reach = MIDDLE_SHARE / 2
    return abs(point.x / facts.width - 0.5) <= reach and abs(point.y / facts.height - 0.5) <= reach


def _ask_from(
    context: TaskContext, road_map: RoadMap, start: _Named, goals: Sequence[_Named], beside: Sequence[_Named]
) -> Question | NotAsked:
    """Ask for the route to the first goal that one can be told to, with wrong ones; else say why not the last."""
    refused = NotAsked("no place on a road to go to")
    by_place = {goal.place: goal for goal in goals if goal.place.stretch != start.place.stretch}
    for place, found in road_map.routes_from(start.place, by_place):
        if isinstance(found, NotAsked):
            refused = found
            continue
        ends = start, by_place[place]
        for search in shuffled((_plainly, _past_a_closed_road, _of_fewest_turns, _passing, _away), context.rng):
            for wanted in search(context, road_map, ends, found, beside):
                wrong = wrong_routes(road_map, start.place, place, wanted.found.route, context.rng)
                if wrong:
                    return _question(context, road_map, ends, wanted, wrong)
        refused = NotAsked("no three wrong routes like the right one")
    return refused


def _plainly(
    _context: TaskContext, road_map: RoadMap, ends: _Ends, found: FoundRoute, _beside: Sequence[_Named]
) -> Iterator[_Wanted]:
    """Yield the shortest route for its own sake."""
    next_length = road_map.next_length(ends[0].place, ends[1].place, found)
    key = "shortest" if next_length >= SHORTEST_MARGIN * found.length else "any"
    yield _Wanted(found, _Purpose(key=key, rule="shortest_path_on_roads"))


def _past_a_closed_road(
    context: TaskContext, road_map: RoadMap, ends: _Ends, found: FoundRoute, _beside: Sequence[_Named]
) -> Iterator[_Wanted]:
    """Yield the route that is left when a road of the shortest one is closed."""
    start, goal = ends
    if not (start.object_id and goal.object_id):
        return  # with the closed place two points would tell the way without the image
    for step in shuffled(found.steps[1:-1], context.rng):
        stretch = road_map.graph.stretches[step.stretch]
        middle = _middle(stretch)
        if stretch.geometry.length < MIN_PLACE_STRETCH_PX or not _is_in_the_middle(context.facts, middle):
            continue
        ((_, detour),) = road_map.routes_from(start.place, [goal.place], closed=frozenset({step.stretch}))
        if not isinstance(detour, NotAsked):
            point = context.phrases.text("route_planning.point", x=round(middle.x), y=round(middle.y))
            purpose = _Purpose(key="closed", rule="path_past_a_closed_road", words={"closed": point}, has_point=True)
            yield _Wanted(detour, purpose)


def _of_fewest_turns(
    _context: TaskContext, road_map: RoadMap, ends: _Ends, found: FoundRoute, _beside: Sequence[_Named]
) -> Iterator[_Wanted]:
    """Yield the route that no way has fewer turns than, where the shortest one has more."""
    straightest = road_map.route_of_fewest_turns(ends[0].place, ends[1].place)
    if not isinstance(straightest, NotAsked) and len(straightest.route.legs) < len(found.route.legs):
        yield _Wanted(straightest, _Purpose(key="fewest_turns", rule="path_of_fewest_turns"))


def _passing(
    context: TaskContext, road_map: RoadMap, ends: _Ends, found: FoundRoute, beside: Sequence[_Named]
) -> Iterator[_Wanted]:
    """Yield routes that pass an object on the way, where the shortest one does not."""
    start, goal = ends
    taken = {step.stretch for step in found.steps}
    free = [named for named in beside if named.place.stretch not in taken]
    for via in shuffled(free, context.rng)[:MAX_AVOIDED]:
        route = road_map.route_through(start.place, via.place, goal.place)
        if not isinstance(route, NotAsked):
            yield _Wanted(
                route,
                _Purpose(
                    key="passing",
                    rule="path_that_passes_an_object",
                    words={"via": via.text},
                    feature_ids=(via.object_id,),
                    has_metres=via.has_metres,
                ),
            )


def _away(
    context: TaskContext, road_map: RoadMap, ends: _Ends, found: FoundRoute, _beside: Sequence[_Named]
) -> Iterator[_Wanted]:
    """Yield routes that keep some metres away from something that the shortest one comes nearer to."""
    if context.facts.gsd_m is None:
        return
    start, goal = ends
    lines = np.array([stretch.geometry for stretch in road_map.graph.stretches], dtype=object)
    things = [thing for thing in landmarks(context) if thing.name and _are_apart_from(thing, ends)]
    for thing in shuffled(things, context.rng)[:MAX_AVOIDED]:
        distances = thing.distances_of(lines)
        for metres in shuffled(AWAY_M, context.rng):
            closed = frozenset(np.flatnonzero(distances < (1 + AWAY_MARGIN) * metres).tolist())
            nearest = min((distances[step.stretch] for step in found.steps[1:-1]), default=math.inf)
            if {start.place.stretch, goal.place.stretch} & closed or nearest > (1 - AWAY_MARGIN) * metres:
                continue
            ((_, route),) = road_map.routes_from(start.place, [goal.place], closed=closed)
            if not isinstance(route, NotAsked):
                yield _Wanted(
                    route,
                    _Purpose(
                        key="away",
                        rule="path_away_from_something",
                        words={"metres": metres, "landmark": thing.text, "any_landmark": thing.any_text},
                        feature_ids=thing.feature_ids,
                        has_metres=True,
                    ),
                )


def _are_apart_from(thing: Landmark, ends: _Ends) -> bool:
    """Return whether neither end of a route is the thing to keep away from."""
    return not {named.object_id for named in ends} & set(thing.feature_ids)


def _question(
    context: TaskContext, road_map: RoadMap, ends: _Ends, wanted: _Wanted, wrong: Sequence[Route]
) -> Question:
    """Ask for a route that serves a purpose."""
    (start, goal), (found, purpose) = ends, wanted
    text = context.phrases.pick(
        context.rng, f"route_planning.{purpose.key}", start=start.text, goal=goal.text, **purpose.words
    )
    if purpose.has_point or not (start.object_id and goal.object_id):
        text = with_size(context, text)
    if purpose.has_metres or start.has_metres or goal.has_metres:
        text = with_scale(context, text)
    name = road_map.graph.stretches[start.place.stretch].name
    options = [Option(_told(context, found.route, name), is_right=True)]
    options += [Option(_told(context, route, name), is_right=False) for route in wrong]
    next_length = road_map.next_length(start.place, goal.place, found)
    return Question(
        task="route_planning",
        form=AnswerForm.ONE_OF,
        text=text,
        options=tuple(options),
        evidence=Evidence(
            rule=purpose.rule,
            feature_ids=(*_feature_ids(road_map, found, ends), *purpose.feature_ids),
            geometry=_path(road_map, start.place, goal.place, found),
            values={**_values(context.facts, found, next_length), **purpose.words},
        ),
    )


def _told(context: TaskContext, route: Route, name: str) -> str:
    """Return the instructions of a route in words."""
    phrases = context.phrases
    table = f"route_planning.{'compass' if context.facts.north_deg is not None else 'image'}"
    heading = phrases.text(f"{table}.{route.heading}")
    parts = [phrases.text(f"route_planning.{'head_on' if name else 'head'}", heading=heading, name=name)]
    for position, leg in enumerate(route.legs):
        key = "turn" if position == 0 else "turn_again"
        ordinal = phrases.text(f"route_planning.ordinal.{leg.ordinal}")
        turn = phrases.text(f"route_planning.side.{leg.turn}")
        parts.append(phrases.text(f"route_planning.{key}", ordinal=ordinal, turn=turn))
    passed = str(route.passed) if route.passed <= 1 else "many"
    parts.append(phrases.text(f"route_planning.arrive.{passed}", passed=route.passed))
    return phrases.text("route_planning.separator").join(parts)


def _feature_ids(road_map: RoadMap, found: FoundRoute, ends: _Ends) -> tuple[str, ...]:
    roads = (road_id for step in found.steps for road_id in road_map.graph.stretches[step.stretch].road_ids)
    objects = (named.object_id for named in ends if named.object_id)
    return tuple(dict.fromkeys((*objects, *roads)))


def _path(road_map: RoadMap, start: Place, goal: Place, found: FoundRoute) -> shapely.LineString:
    """Return the way walked from start to goal, tile pixels."""
    trail = list(road_map.follow(start, found.route))
    trail[-1] = (trail[-1][0], goal)
    parts = [
        shapely.get_coordinates(substring(road_map.graph.stretches[begin.stretch].geometry, begin.along, end.along))
        for begin, end in trail
    ]
    return shapely.LineString(np.concatenate(parts))


def _values(facts: TileFacts, found: FoundRoute, next_length: float) -> dict[str, object]:
    return {
        "heading": found.route.heading,
        "turns": [{"junction": leg.ordinal, "turn": leg.turn} for leg in found.route.legs],
        "junctions_passed_at_the_end": found.route.passed,
        "length": round(found.length, 1),
        "second_length": None if next_length == float("inf") else round(next_length, 1),
        "unit": "px" if facts.gsd_m is None else "m",
    }
