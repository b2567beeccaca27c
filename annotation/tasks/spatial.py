"""In which direction one object lies from another, and how many metres apart two objects are.

Both objects are named by descriptions that are true of them alone; for distances one of the two may be the object at a
point. With two points the distance could be computed without the image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shapely import LineString

from rsvqa.annotation.facts import Outline, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import CLOSE_OUTLINES, ask_each, ask_in_turns, object_finder, shuffled, spread
from rsvqa.annotation.tasks.directions import TilePoint, frame_of, sector_of, sectors_like
from rsvqa.annotation.tasks.distractors import MEASURE_RATIO, round_measure, value_distractors
from rsvqa.annotation.tasks.image_scale import length_text, with_scale, with_size
from rsvqa.annotation.tasks.referring import Reference, references
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

MAX_REFERENCES = 40
"""Described objects that are paired on one tile; bounds the time."""

MIN_SPACING = 1.5
"""Two centres are so many times the longest box side apart, or more: nearer, an extended object has no direction."""

MIN_DISTANCE_PX = 20.0
"""Shorter distances are lost in where exactly the centres are."""

MAX_POINTED = 40
"""Objects at points that are paired with described ones on one tile."""


class _Named(NamedTuple):
    """An object and how a question calls it; `side` is where the words say that it lies, "" where they do not."""

    target: TileObject
    text: str
    rule: str
    side: str


@task("object_spatial_relationship")
def ask_object_spatial_relationship(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the direction of one uniquely described object from another."""
    plain, by_position = _described(context)
    pairs = shuffled(list(itertools.permutations(plain, 2)), context.rng)
    # "The northernmost ship" tells nothing of its direction from anything but ships.
    mixed = [pair for pair in itertools.product(plain, by_position) if _differ(pair)]
    pairs += shuffled(mixed, context.rng)
    pairs += [(there, here) for here, there in shuffled(mixed, context.rng)]
    pairs = [(start, end) for start, end in pairs if start.target.object_id != end.target.object_id]
    if not pairs:
        yield NotAsked("no two objects that can be described uniquely")
    yield from ask_in_turns(
        context,
        pairs,
        lambda pair: _ask_direction(context, *pair),
        lambda question: next(option.text for option in question.options if option.is_right),
    )


@task("object_distance")
def ask_object_distance(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the metres between the centres of two objects."""
    if context.facts.gsd_m is None:
        yield NotAsked("no GSD")
        return
    described = [named for group in _described(context) for named in group]
    pairs = shuffled(list(itertools.combinations(described, 2)), context.rng)
    pairs += shuffled(list(itertools.product(described, _pointed(context))), context.rng) if described else []
    pairs = [(start, end) for start, end in pairs if start.target.object_id != end.target.object_id]
    if not pairs:
        yield NotAsked("no two objects that can be described uniquely")
    yield from ask_each(context, pairs, lambda pair: _ask_distance(context, *pair))


def _described(context: TaskContext) -> tuple[list[_Named], list[_Named]]:
    """Return the objects described without and with their position, each object once in all."""
    plain: dict[str, _Named] = {}
    by_position: dict[str, _Named] = {}
    for found in itertools.islice(_with_extent(references(context)), MAX_REFERENCES):
        named = _Named(found.target, found.text, found.rule, str(found.values.get("side", "")))
        group = by_position if found.rule == "extreme_position" else plain
        group.setdefault(found.target.object_id, named)
    return list(plain.values()), [named for key, named in by_position.items() if key not in plain]


def _with_extent(found: Iterable[Reference]) -> Iterator[Reference]:
    """Yield the references to objects of which the label tells the extent, hence the centre."""
    return (reference for reference in found if reference.target.outline is not Outline.POINT)


def _pointed(context: TaskContext) -> list[_Named]:
    """Return whole objects named by class and a point on them, in random order."""
    facts = context.facts
    finder = object_finder(context)
    named = []
    for item in itertools.islice(spread(facts, facts.objects, context.rng), 2 * MAX_POINTED):
        pointed = finder.pointed(item, outlines=CLOSE_OUTLINES | {Outline.BOX})
        if isinstance(pointed, NotAsked) or not item.is_whole:
            continue
        noun = facts.classes[item.class_name].singular
        text = context.phrases.text("object_distance.pointed", noun=noun, x=pointed.x, y=pointed.y)
        named.append(_Named(item, text, "point", ""))
        if len(named) == MAX_POINTED:
            break
    return named


def _differ(pair: tuple[_Named, _Named]) -> bool:
    return pair[0].target.class_name != pair[1].target.class_name


def _centre(item: TileObject) -> TilePoint:
    centre = item.geometry.centroid
    return TilePoint(centre.x, centre.y)


def _are_apart(first: TileObject, second: TileObject) -> bool:
    """Return whether the centres lie so far apart that the objects' extents do not matter for the direction."""
    start, end = _centre(first), _centre(second)
    sides = (side for x_min, y_min, x_max, y_max in (first.box, second.box) for side in (x_max - x_min, y_max - y_min))
    return math.dist(start, end) >= max(MIN_SPACING * max(sides), MIN_DISTANCE_PX)


def _ask_direction(context: TaskContext, start: _Named, end: _Named) -> Question | NotAsked:
    """Ask for the direction of `end` as seen from `start`."""
    if not _are_apart(start.target, end.target):
        return NotAsked("objects too close together for a direction")
    frame = frame_of(context.facts)
    bearing = frame.bearing_deg(_centre(start.target), _centre(end.target))
    right = sector_of(bearing)
    if right is None:
        return NotAsked("direction near the border of two sectors")
    kind = "compass" if frame.is_compass else "image"
    return Question(
        task="object_spatial_relationship",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, f"object_spatial_relationship.{kind}", start=start.text, end=end.text),
        options=tuple(
            Option(context.phrases.text(f"{frame.words}.{sector}"), is_right=sector == right)
            for sector in sectors_like(right)
        ),
        evidence=Evidence(
            rule="bearing_between_centres",
            feature_ids=(start.target.object_id, end.target.object_id),
            geometry=_line(start.target, end.target),
            values={
                "bearing_deg": round(bearing, 2),
                "north_deg": frame.north_deg,
                "start": {"text": start.text, "rule": start.rule},
                "end": {"text": end.text, "rule": end.rule},
            },
        ),
        # the offered directions are read in the options; where the northernmost house lies, in the words
        strata=(f"{kind} {'/'.join(sectors_like(right))}", *_told_of_both(start, end)),
    )


def _told_of_both(start: _Named, end: _Named) -> tuple[str, str]:
    """Return what the words tell of two objects: the sides that they lie on, and their classes."""
    return f"{start.side} to {end.side}", f"{start.target.class_name} to {end.target.class_name}"


def _ask_distance(context: TaskContext, start: _Named, end: _Named) -> Question | NotAsked:
    """Ask for the metres between the centres of two objects."""
    if not _are_apart(start.target, end.target):
        return NotAsked("objects too close together for a distance")
    distance_m = _metres_between(context, _centre(start.target), _centre(end.target))
    right = round_measure(distance_m)
    text = context.phrases.pick(context.rng, "object_distance.question", start=start.text, end=end.text)
    if "point" in (start.rule, end.rule):
        text = with_size(context, text)
    # Who reads the scale knows how far apart two things of a tile can be.
    template = f"tile of 2^{round(math.log2(_extent_m(context)))} m"
    return Question(
        task="object_distance",
        form=AnswerForm.ONE_OF,
        text=with_scale(context, text),
        options=_metre_options(context, right, value_distractors(distance_m, context.rng)),
        evidence=Evidence(
            rule="distance_between_centres",
            feature_ids=(start.target.object_id, end.target.object_id),
            geometry=_line(start.target, end.target),
            values={"distance_m": round(distance_m, 2), "start": start.text, "end": end.text},
        ),
        strata=(
            template,
            *_told_of_both(*sorted((start, end), key=lambda named: (named.side, named.target.class_name))),
        ),
        pool=template,
        value=right,
        min_ratio=MEASURE_RATIO,
    )


def _in_either_order(named: _Named) -> tuple[str, str]:
    """Return what to sort two objects by of which neither is the first."""
    return named.side, named.target.class_name


def _line(start: TileObject, end: TileObject) -> LineString:
    return LineString([_centre(start), _centre(end)])


def _metres_between(context: TaskContext, start: TilePoint, end: TilePoint) -> float:
    gsd_m = context.facts.gsd_m
    assert gsd_m is not None
    return math.hypot((end.x - start.x) * gsd_m.x_m, (end.y - start.y) * gsd_m.y_m)


def _extent_m(context: TaskContext) -> float:
    """Return the diagonal of the tile in metres."""
    facts = context.facts
    return _metres_between(context, TilePoint(0, 0), TilePoint(facts.width, facts.height))


def _metre_options(context: TaskContext, right: float, wrong: Sequence[float]) -> tuple[Option, ...]:
    def option(value: float, *, is_right: bool) -> Option:
        return Option(context.phrases.text("object_distance.option", length=length_text(value)), is_right=is_right)

    return (option(right, is_right=True), *(option(value, is_right=False) for value in wrong))
