"""Find the box of the one object that a description, or a condition that takes some reasoning, is true of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, Outline, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Question
from rsvqa.annotation.tasks.candidates import MIN_BOX_SIDE_PX, ask_each, shuffled, take_turns
from rsvqa.annotation.tasks.image_scale import with_scale
from rsvqa.annotation.tasks.landmarks import Landmark, landmarks
from rsvqa.annotation.tasks.referring import (
    OUTLINES_THAT_FIT,
    SIZE_MARGIN,
    Members,
    Reference,
    describable_classes,
    groups_by_colour,
    may_be_target,
    references,
    two_greatest,
)
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

NEARER_MARGIN = 1.25
NEARER_SHARE = 0.02
"""The next nearest object is so many times as far away, and farther by this share of the tile's shorter side."""

LIMITS_M = (20, 30, 50, 100, 150, 200, 300, 500, 1000)
LIMIT_MARGIN = 0.15
"""Conditions in metres use these limits, and no object may lie within this share of one."""

COLOURED_RULES = ("nearest", "only_within", "only_inside", "only_outside")
"""Conditions that are also told of the objects of one colour."""

CONDITIONS_A_QUESTION = 4
PAIRS_A_QUESTION = 5
"""Conditions, and pairs of a class and a landmark, looked at on one tile for each question; bounds the time."""

MAX_MEMBERS = 60
"""The most members of a class that are asked about, as for counts: nobody picks the nearest of more by eye."""


@dataclass(frozen=True, slots=True)
class ConditionReference:
    """A condition that is true of exactly one object; its text has an article, "the car nearest to the river"."""

    target: TileObject
    text: str
    rule: str
    landmark: BaseGeometry
    feature_ids: tuple[str, ...]
    values: Mapping[str, Any]


@task("fine_grained_grounding")
def ask_fine_grained_grounding(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the box of an object that a description by class, colour, size or position is true of alone."""
    found = references(context)
    if not found:
        yield NotAsked("no object that can be described uniquely")
    by_rule: dict[str, list[Reference]] = {}
    for reference in shuffled(found, context.rng):
        by_rule.setdefault(reference.rule, []).append(reference)
    asked: set[str] = set()

    def ask(reference: Reference) -> Question | NotAsked:
        if reference.target.object_id in asked:
            return NotAsked("object already asked about")
        question = _question(
            context,
            "fine_grained_grounding",
            reference.target,
            reference.text,
            Evidence(
                rule=reference.rule,
                feature_ids=(reference.target.object_id,),
                values=_values(reference.target, reference.values),
            ),
        )
        if isinstance(question, Question):
            asked.add(reference.target.object_id)
        return question

    yield from ask_each(context, take_turns(list(by_rule.values())), ask)


@task("condition_based_grounding")
def ask_condition_based_grounding(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the box of the only object that is nearest to, within some metres of, or inside something else."""
    found = list(itertools.islice(conditions(context), CONDITIONS_A_QUESTION * context.limit))
    if not found:
        yield NotAsked("no condition that is true of one object alone")
    by_rule: dict[str, list[ConditionReference]] = {}
    for condition in shuffled(found, context.rng):
        by_rule.setdefault(condition.rule, []).append(condition)
    yield from ask_each(
        context,
        take_turns(list(by_rule.values())),
        lambda condition: _question(
            context,
            "condition_based_grounding",
            condition.target,
            condition.text,
            Evidence(
                rule=condition.rule,
                feature_ids=(condition.target.object_id, *condition.feature_ids),
                geometry=condition.landmark,
                values=_values(condition.target, condition.values),
            ),
        ),
    )


def _values(target: TileObject, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"class": target.class_name, **values}


def _question(
    context: TaskContext, task_name: str, target: TileObject, text: str, evidence: Evidence
) -> Question | NotAsked:
    if target.outline is Outline.POINT:
        return NotAsked("object labelled by a point only")
    box = _box_inside(context, target)
    asked = context.phrases.pick(context.rng, f"{task_name}.question", description=text)
    if min(box.x_max - box.x_min, box.y_max - box.y_min) < MIN_BOX_SIDE_PX:
        return NotAsked("the object is too small")
    return Question(
        task=task_name,
        form=AnswerForm.BOX,
        text=with_scale(context, asked) if "metres" in evidence.values else asked,
        evidence=evidence,
        box=box,
    )


def _box_inside(context: TaskContext, target: TileObject) -> Box:
    """Return an object's box without the rounding error by which a label may leave the tile."""
    box, facts = target.box, context.facts
    return Box(max(box.x_min, 0.0), max(box.y_min, 0.0), min(box.x_max, facts.width), min(box.y_max, facts.height))


def conditions(context: TaskContext) -> Iterator[ConditionReference]:
    """Yield the conditions that one member of a class fulfils, and clearly no other, in random order of the pairs."""
    classes = [members for members in describable_classes(context) if 1 < len(members) <= MAX_MEMBERS]
    pairs = [(members, thing) for members in classes for thing in landmarks(context) if members.info.name != thing.name]
    for members, thing in shuffled(pairs, context.rng)[: PAIRS_A_QUESTION * context.limit]:
        yield from _by_distance(context, members, thing)
        yield from _by_rank(context, members, thing)
        yield from _largest_near(context, members, thing)
        if thing.is_area:
            yield from _by_side(context, members, thing)
        yield from _by_colour(context, members, thing)


def _by_colour(context: TaskContext, members: Members, thing: Landmark) -> Iterator[ConditionReference]:
    """Yield what a landmark singles out among the members of one colour, though not among all of the class."""
    phrases = context.phrases
    for colour, indices in groups_by_colour(context, members).items():
        if not 1 < len(indices) < len(members):
            continue
        noun = phrases.text("referring.coloured", colour=phrases.text(f"colour.{colour}"), noun=members.info.singular)
        coloured = members.subset(indices)
        found = [*_by_distance(context, coloured, thing)]
        found += _by_side(context, coloured, thing) if thing.is_area else ()
        for one in found:
            if one.rule in COLOURED_RULES:
                values = {**one.values, "colour": colour}
                text = _text(context, noun, thing, one.rule, values)
                yield replace(one, text=text, rule=f"{one.rule}_of_colour", values=values)


def _by_rank(context: TaskContext, members: Members, thing: Landmark) -> Iterator[ConditionReference]:
    """Yield the second nearest object, and the farthest, where the next ones are clearly nearer or farther."""
    facts = context.facts
    distances = thing.distances(members.objects)
    order = np.argsort(distances, kind="stable")
    distances = distances[order]
    margin = NEARER_SHARE * min(facts.width * thing.scale.x_m, facts.height * thing.scale.y_m) + thing.edge_m

    def is_clear(nearer: int, farther: int) -> bool:
        gap = distances[farther] - distances[nearer]
        return bool(gap >= margin and distances[farther] >= NEARER_MARGIN * distances[nearer])

    if len(members) > 2 and is_clear(0, 1) and is_clear(1, 2):
        values = {"distance": round(float(distances[1]), 1), "next": round(float(distances[2]), 1)}
        yield from _condition(context, members, thing, int(order[1]), "second_nearest", values)
    if is_clear(-2, -1):
        values = {"distance": round(float(distances[-1]), 1), "next": round(float(distances[-2]), 1)}
        yield from _condition(context, members, thing, int(order[-1]), "farthest", values)


def _largest_near(context: TaskContext, members: Members, thing: Landmark) -> Iterator[ConditionReference]:
    """Yield the largest of those within some metres, where some are and some are not, all of them clearly."""
    if context.facts.gsd_m is None or any(item.outline not in OUTLINES_THAT_FIT for item in members.objects):
        return
    distances = thing.distances(members.objects)
    for metres in LIMITS_M:
        margin = LIMIT_MARGIN * metres + thing.edge_m
        near = np.flatnonzero(distances <= metres - margin)
        if 1 < len(near) < len(members) and ((distances <= metres - margin) | (distances >= metres + margin)).all():
            largest = _largest(members.subset(near.tolist()))
            if largest is not None:
                index, values = largest
                values = {"metres": metres, **values}
                yield from _condition(context, members, thing, int(near[index]), "largest_within", values)
                return


def _largest(members: Members) -> tuple[int, dict[str, float]] | None:
    """Return which object is clearly the largest, with its area and the next one's; None where none is."""
    areas = np.array([item.geometry.area / item.visible_share for item in members.objects])
    first, second = two_greatest(areas)
    if areas[first] < SIZE_MARGIN * areas[second]:
        return None
    return first, {"area_px": round(float(areas[first]), 1), "next_area_px": round(float(areas[second]), 1)}


def _by_distance(context: TaskContext, members: Members, thing: Landmark) -> Iterator[ConditionReference]:
    """Yield what the distances from a landmark single out: the nearest, the only near one, the only far one."""
    facts = context.facts
    distances = thing.distances(members.objects)
    first, second = two_greatest(-distances)
    gap = distances[second] - distances[first]
    scale = thing.scale
    margin = NEARER_SHARE * min(facts.width * scale.x_m, facts.height * scale.y_m) + thing.edge_m
    if gap >= margin and distances[second] >= NEARER_MARGIN * distances[first]:
        values = {"distance": round(float(distances[first]), 1), "next": round(float(distances[second]), 1)}
        yield from _condition(context, members, thing, first, "nearest", values)
    if facts.gsd_m is None:
        return
    for rule, metres, index in _singled_out(distances, thing.edge_m):
        yield from _condition(context, members, thing, index, rule, {"metres": metres})


def _singled_out(distances: NDArray[np.float64], edge_m: float) -> Iterator[tuple[str, int, int]]:
    """Yield (rule, limit in metres, index) for the first limit that only one object is within, or beyond."""
    for rule, values in (("only_within", distances), ("only_beyond", -distances)):
        first, second = two_greatest(-values)
        for metres in LIMITS_M:
            margin = LIMIT_MARGIN * metres + edge_m
            low, high = sorted((float(distances[first]), float(distances[second])))
            if low <= metres - margin and high >= metres + margin:
                yield rule, metres, first
                break


def _by_side(context: TaskContext, members: Members, thing: Landmark) -> Iterator[ConditionReference]:
    """Yield the only object inside an area, the only one outside, and the largest inside."""
    sides = thing.sides(members.objects)
    if not sides.all():
        return
    for rule, side in (("only_inside", 1), ("only_outside", -1)):
        indices = np.flatnonzero(sides == side)
        if len(indices) == 1:
            yield from _condition(context, members, thing, int(indices[0]), rule, {"members": len(members)})
    inside = np.flatnonzero(sides == 1).tolist()
    if len(inside) > 1 and len(inside) < len(members):
        yield from _largest_inside(context, members.subset(inside), thing)


def _largest_inside(context: TaskContext, inside: Members, thing: Landmark) -> Iterator[ConditionReference]:
    if any(item.outline not in OUTLINES_THAT_FIT for item in inside.objects):
        return
    largest = _largest(inside)
    if largest is not None:
        yield from _condition(context, inside, thing, largest[0], "largest_inside", largest[1])


def _condition(
    context: TaskContext, members: Members, thing: Landmark, index: int, rule: str, values: Mapping[str, Any]
) -> Iterable[ConditionReference]:
    target = members.objects[index]
    if not may_be_target(target):
        return ()
    text = _text(context, members.info.singular, thing, rule, values)
    return (ConditionReference(target, text, rule, thing.shown, thing.feature_ids, {"landmark": thing.text, **values}),)


def _text(context: TaskContext, noun: str, thing: Landmark, rule: str, values: Mapping[str, Any]) -> str:
    return context.phrases.text(
        f"condition_based_grounding.{rule}",
        noun=noun,
        landmark=thing.text,
        any_landmark=thing.any_text,
        metres=values.get("metres", ""),
    )
