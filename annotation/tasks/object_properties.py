"""Class, colour, motion, direction and size of one object that the question names by its box or by a point on it.

Each rests on a label or on a measurement that is refused when it is not clear. What surprises: a box would tell the
direction and the size of what is in it, so these are asked of the object at a point; and both are those on the ground,
so pixels that are not square are scaled first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import shapely

from rsvqa.annotation.facts import Box, Gsd, Outline, Role, TileFacts, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import (
    CLOSE_OUTLINES,
    BoxedObject,
    ObjectFinder,
    PointedObject,
    ask_each,
    ask_in_turns,
    box_question,
    object_finder,
    point_question,
    spread,
    take_turns,
)
from rsvqa.annotation.tasks.colours import COLOURS, measure_colour
from rsvqa.annotation.tasks.directions import SECTORS, sector_of
from rsvqa.annotation.tasks.distractors import (
    MEASURE_RATIO,
    NUM_DISTRACTORS,
    class_distractors,
    round_measure,
    value_distractors,
)
from rsvqa.annotation.tasks.geometry import LongAxis, direction_on_ground, long_axis
from rsvqa.annotation.tasks.image_scale import area_text, length_text, with_scale
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

BOXABLE = frozenset({Outline.POLYGON, Outline.ORIENTED_BOX, Outline.BOX})

AXES = ("n_s", "ne_sw", "e_w", "nw_se")
"""The four directions of a long axis, clockwise; keys of the wording tables `object_orientation.axis_*`."""

MIN_RATIO = 1.5
"""Outlines nearer to a square have no longer direction to the eye."""

MIN_FILL = 0.5
"""An outline that fills less of its smallest rectangle (an L, a cross) does not run along that rectangle's sides."""

UP_DEG = 5.0
"""North so near to "up" is called up: the error stays below the margin that `sector_of` keeps."""


Named = TypeVar("Named", BoxedObject, PointedObject)


@task("object_classification")
def ask_object_classification(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask what the object in a box is."""
    yield from _ask_boxed(context, context.facts.objects, BOXABLE, lambda boxed: _ask_class(context, boxed))


@task("object_colour")
def ask_object_colour(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the colour of most of an object's pixels; a labelled colour must agree with the measured one."""
    yield from _ask_boxed(
        context, context.facts.objects, CLOSE_OUTLINES, lambda boxed: _ask_colour(context, boxed), answer="colour"
    )


@task("object_motion_state")
def ask_object_motion_state(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask whether an object is moving, or whether it is standing still: a coin decides, so yes and no are even."""
    facts = context.facts
    states = motion_states(facts)
    if not states:
        yield NotAsked("no object of known motion")
        return
    pools = [[found for found in facts.objects if _is_moving(states, found) is moving] for moving in (True, False)]
    # by turns, since standing objects outnumber moving ones where both are known
    ordered = take_turns([spread(facts, pool, context.rng) for pool in pools])
    yield from _ask_boxed(
        context,
        ordered,
        BOXABLE,
        lambda boxed: _ask_motion(context, boxed, states[boxed.found.object_id]),
        in_order=True,
    )


@task("object_orientation")
def ask_object_orientation(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask along which of four axes an object's longer side runs."""
    yield from _ask_pointed(context, lambda pointed: _ask_axis(context, pointed), answer="axis")


@task("object_size")
def ask_object_size(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask how long an object is in metres, or for the area of its outline in square metres."""
    gsd_m = context.facts.gsd_m
    if gsd_m is None:
        yield NotAsked("no GSD")
        return
    yield from _ask_pointed(context, lambda pointed: _ask_size(context, pointed, gsd_m))


def _ask_boxed(
    context: TaskContext,
    objects: Sequence[TileObject],
    outlines: Collection[Outline],
    ask: Callable[[BoxedObject], Question | NotAsked],
    *,
    in_order: bool = False,
    answer: str | None = None,
) -> Iterator[Question | NotAsked]:
    """Yield the questions about objects that a box can name; see `_ask_named`."""

    def find(finder: ObjectFinder, found: TileObject) -> BoxedObject | NotAsked:
        return finder.boxed(found, outlines=outlines)

    yield from _ask_named(context, objects, find, ask, in_order=in_order, answer=answer)


def _ask_pointed(
    context: TaskContext, ask: Callable[[PointedObject], Question | NotAsked], *, answer: str | None = None
) -> Iterator[Question | NotAsked]:
    """Yield the questions about objects that a point can name; see `_ask_named`."""

    def find(finder: ObjectFinder, found: TileObject) -> PointedObject | NotAsked:
        return finder.pointed(found, outlines=CLOSE_OUTLINES)

    yield from _ask_named(context, context.facts.objects, find, ask, in_order=False, answer=answer)


def _ask_named(
    context: TaskContext,
    objects: Sequence[TileObject],
    find: Callable[[ObjectFinder, TileObject], Named | NotAsked],
    ask: Callable[[Named], Question | NotAsked],
    *,
    in_order: bool,
    answer: str | None,
) -> Iterator[Question | NotAsked]:
    """Yield the questions about objects that `find` has a name for.

    They are spread over the tile unless the objects are `in_order`. Where `answer` names a value of the evidence, the
    different ones take turns.
    """
    if not context.facts.objects:
        yield NotAsked("no objects")
        return
    finder = object_finder(context)

    def ask_when_named(found: TileObject) -> Question | NotAsked:
        named = find(finder, found)
        return named if isinstance(named, NotAsked) else ask(named)

    ordered = objects if in_order else spread(context.facts, objects, context.rng)
    if answer is None:
        yield from ask_each(context, ordered, ask_when_named)
    else:
        yield from ask_in_turns(context, ordered, ask_when_named, lambda question: question.evidence.values[answer])


def _question(
    task_name: str,
    form: AnswerForm,
    text: str,
    named: BoxedObject | PointedObject,
    options: tuple[Option, ...],
    rule: str,
    **values: object,
) -> Question:
    """Return a question about one object; `values` are the evidence beside its outline."""
    found = named.found
    evidence = Evidence(
        rule=rule, feature_ids=(found.object_id,), geometry=found.geometry, values={"class": found.class_name, **values}
    )
    box = named.box if isinstance(named, BoxedObject) else None
    return Question(task=task_name, form=form, text=text, evidence=evidence, options=options, box=box)


def _one_of(right: str, wrong: Iterable[str]) -> tuple[Option, ...]:
    return (Option(right, is_right=True), *(Option(text, is_right=False) for text in wrong))


# --- class ----------------------------------------------------------------------------------------------------------


def _ask_class(context: TaskContext, boxed: BoxedObject) -> Question | NotAsked:
    right = context.facts.classes[boxed.found.class_name]
    wrong = class_distractors(context.facts, right, context.rng, roles={Role.OBJECT}, count=len(context.facts.classes))
    if len(wrong) < NUM_DISTRACTORS:
        return NotAsked("too few classes for wrong options")
    question = _question(
        "object_classification",
        AnswerForm.ONE_OF,
        box_question(context, "object_classification.question", boxed),
        boxed,
        _one_of(right.singular, (info.singular for info in wrong)),
        "labelled_class",
        **{"class": right.name},
    )
    return replace(question, strata=("class", *told_by_box(boxed.box)))


# --- colour ---------------------------------------------------------------------------------------------------------


def _ask_colour(context: TaskContext, boxed: BoxedObject) -> Question | NotAsked:
    if not context.facts.has_true_colours:
        return NotAsked("the image has no true colours")
    measured = measure_colour(context.pixels, boxed.found.geometry)
    if measured.name is None:
        return NotAsked("no dominant colour")
    labelled = boxed.found.attributes.get("colour")
    if labelled is not None and colour_key(str(labelled)) != measured.name:
        return NotAsked("the labelled colour and the pixels disagree")
    allowed = [name for name in COLOURS if name not in measured.possible]
    if len(allowed) < NUM_DISTRACTORS:
        return NotAsked("too few colours that the object surely has not")
    question = _question(
        "object_colour",
        AnswerForm.ONE_OF,
        box_question(context, "object_colour.question", boxed),
        boxed,
        _one_of(_colour_word(context, measured.name), (_colour_word(context, name) for name in allowed)),
        "dominant_lab_colour" if labelled is None else "labelled_colour_seen",
        colour=measured.name,
        share=round(measured.share, 3),
        pixels=measured.num_pixels,
    )
    return replace(question, strata=("colour", boxed.found.class_name, *told_by_box(boxed.box)))


def told_by_box(box: Box) -> tuple[str, str]:
    """Return what the size and the shape of a box tell of the object in it, as strata, the coarser first.

    Both are in steps of the square root of 2: of the geometric mean of the sides, and of the longer over the shorter.
    """
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    size = round(math.log2(width * height))
    shape = round(2 * abs(math.log2(width / height)))
    return f"size {size // 2}", f"size {size}, shape {shape}"


def colour_key(label: str) -> str:
    """Return a labelled colour as the key of the wording table [colour]; as it is when it is none of them."""
    return label.strip().casefold().replace("gray", "grey")


def _colour_word(context: TaskContext, name: str) -> str:
    return context.phrases.text(f"colour.{name}")


# --- motion ---------------------------------------------------------------------------------------------------------


class MotionState(NamedTuple):
    """Whether an object moves, and how that is known: `parking_id` is the parking area that holds it."""

    is_moving: bool
    parking_id: str | None = None


def motion_states(facts: TileFacts) -> dict[str, MotionState]:
    """Return what is known of the motion of objects, by object id: from the label, else standing on a parking area."""
    states = {
        found.object_id: MotionState(moving)
        for found in facts.objects
        if isinstance(moving := found.attributes.get("moving"), bool)
    }
    vehicles = [
        found
        for found in facts.objects
        if facts.classes[found.class_name].kind == "vehicle" and found.object_id not in states and found.is_whole
    ]
    lots = [area for area in facts.areas if facts.classes[area.class_name].kind == "parking" and area.is_certain]
    if vehicles and lots:
        tree = shapely.STRtree([lot.geometry for lot in lots])
        held = tree.query([found.geometry for found in vehicles], predicate="covered_by")
        for vehicle, lot in sorted(zip(*held.tolist(), strict=True)):
            states.setdefault(vehicles[vehicle].object_id, MotionState(False, lots[lot].area_id))
    return states


def _is_moving(states: dict[str, MotionState], found: TileObject) -> bool | None:
    state = states.get(found.object_id)
    return None if state is None else state.is_moving


def _ask_motion(context: TaskContext, boxed: BoxedObject, state: MotionState) -> Question:
    asks_moving = context.rng.random() < 0.5
    is_yes = asks_moving == state.is_moving
    phrases = context.phrases
    template = "moving" if asks_moving else "still"
    question = _question(
        "object_motion_state",
        AnswerForm.YES_NO,
        box_question(context, f"object_motion_state.{template}", boxed),
        boxed,
        (Option(phrases.text("answer.yes"), is_yes), Option(phrases.text("answer.no"), not is_yes)),
        "labelled_motion" if state.parking_id is None else "inside_parking_area",
        moving=state.is_moving,
        parking_area=state.parking_id,
    )
    return replace(question, strata=(template, boxed.found.class_name))


# --- direction ------------------------------------------------------------------------------------------------------


def _ask_axis(context: TaskContext, pointed: PointedObject) -> Question | NotAsked:
    facts = context.facts
    if not pointed.found.is_whole:
        return NotAsked("the object is cut")
    outline = pointed.found.geometry
    ground = long_axis(outline, facts.gsd_m)
    seen = long_axis(outline)
    if min(ground.ratio, seen.ratio) < MIN_RATIO:
        return NotAsked("the object is nearly square")
    if outline.area < MIN_FILL * seen.length * seen.width:
        return NotAsked("the outline has no clear direction")
    axis = axis_of(ground, _north_on_ground(facts))
    if axis is None:
        return NotAsked("the direction is near a sector border")
    if axis != axis_of(seen, facts.north_deg or 0.0):
        return NotAsked("the direction looks different on the ground")
    words = "object_orientation.axis_" + ("image" if facts.north_deg is None else "compass")
    question = _question(
        "object_orientation",
        AnswerForm.ONE_OF,
        point_question(context, "object_orientation.question", pointed, north=_north_text(context)),
        pointed,
        _one_of(
            context.phrases.text(f"{words}.{axis}"),
            (context.phrases.text(f"{words}.{other}") for other in AXES if other != axis),
        ),
        "axis_of_smallest_rectangle",
        axis=axis,
        angle_deg=round(ground.angle_deg, 1),
        north_deg=facts.north_deg,
        ratio=round(ground.ratio, 2),
    )
    return replace(question, strata=(words, pointed.found.class_name))


def axis_of(long: LongAxis, north_deg: float) -> str | None:
    """Return which of `AXES` a long axis follows; None near the border between two.

    Args:
        long: with its angle clockwise from "up".
        north_deg: the direction that the axes are counted from, in the same plane.
    """
    sector = sector_of((long.angle_deg - north_deg) % 180)
    return None if sector is None else AXES[SECTORS.index(sector) % len(AXES)]


def _north_on_ground(facts: TileFacts) -> float:
    if facts.north_deg is None or facts.gsd_m is None:
        return facts.north_deg or 0.0
    return direction_on_ground(facts.north_deg, facts.gsd_m)


def _north_text(context: TaskContext) -> str:
    """Return the sentence that says where north is; nobody can see it in the image."""
    north_deg = context.facts.north_deg
    if north_deg is None:
        return context.phrases.text("object_orientation.north_unknown")
    if min(north_deg % 360, -north_deg % 360) <= UP_DEG:
        return context.phrases.text("object_orientation.north_up")
    return context.phrases.text("object_orientation.north_turned", degrees=round(north_deg % 360) % 360)


# --- size -----------------------------------------------------------------------------------------------------------


def _ask_size(context: TaskContext, pointed: PointedObject, gsd_m: Gsd) -> Question | NotAsked:
    if not pointed.found.is_whole:
        return NotAsked("the object is cut")
    asks_area = pointed.found.outline is Outline.POLYGON and context.rng.random() < 0.5
    if asks_area:
        size = pointed.found.geometry.area * gsd_m.x_m * gsd_m.y_m
    else:
        size = long_axis(pointed.found.geometry, gsd_m).length
    if size <= 0:
        return NotAsked("the outline has no size")
    unit, told = ("square_metres", area_text) if asks_area else ("metres", length_text)
    texts = [told(value) for value in (round_measure(size), *value_distractors(size, context.rng))]
    question = _question(
        "object_size",
        AnswerForm.ONE_OF,
        with_scale(context, point_question(context, f"object_size.{'area' if asks_area else 'length'}", pointed)),
        pointed,
        _one_of(texts[0], texts[1:]),
        "area_of_outline" if asks_area else "longer_side_of_smallest_rectangle",
        gsd_m=list(gsd_m),
        **{"area_m2" if asks_area else "length_m": round(size, 2)},
    )
    return replace(
        question,
        strata=(unit,),  # the words call it an object: whoever reads "car" knows its length
        pool=unit,
        value=round_measure(size),
        min_ratio=MEASURE_RATIO,
    )
