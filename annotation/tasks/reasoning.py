"""What a tile says about its environment, and how many objects fulfil a condition.

The first asks for a conclusion that a table of rules draws from computed measures (`environmental_rules.py`); the
second counts the objects of a class by colour, by half of the image, by distance, or by what they lie in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import ClassInfo, Outline, Role, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import ask_each, shuffled, take_turns
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.countable import Countable, CountRule, countable_objects
from rsvqa.annotation.tasks.counting import MAX_COUNT
from rsvqa.annotation.tasks.directions import Sector
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, NUM_DISTRACTORS, number_distractors
from rsvqa.annotation.tasks.environmental_rules import RULES, EnvironmentalRule, RuleVerdict, judge_all
from rsvqa.annotation.tasks.geometry import shown
from rsvqa.annotation.tasks.image_scale import with_scale
from rsvqa.annotation.tasks.landmarks import Divider, Landmark, area_landmarks, dividers, road_landmarks
from rsvqa.annotation.tasks.quarters import THEMES, ask_quarter
from rsvqa.annotation.tasks.referring import groups_by_colour, members_of
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile, task
from rsvqa.annotation.taxonomy import AnswerForm

SIDE_MARGIN = 0.02
"""No object may lie within this share of the tile's side from the middle line."""

LIMITS_M = (20, 30, 50, 100, 150, 200, 300, 500)
LIMIT_MARGIN = 0.15
"""Conditions in metres use these limits, and no object may be within this share of one from it."""

MAX_MEMBERS = 400
"""The most members of a class: some of more objects are always near any limit. It also bounds the time."""


@task("environmental_reasoning")
def ask_environmental_reasoning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask which conclusion the tile supports, one question a topic, and in which quarter something is strongest."""
    if not context.facts.areas:
        yield NotAsked("no land-use areas")
        return
    verdicts = judge_all(context)
    topics = list(dict.fromkeys(rule.topic for rule in RULES))
    of_topics = [partial(_ask_topic, context, topic, verdicts) for topic in shuffled(topics, context.rng)]
    of_quarters = [partial(ask_quarter, context, theme) for theme in shuffled(THEMES, context.rng)]
    yield from ask_each(context, take_turns([of_topics, of_quarters]), lambda ask: ask())


def _ask_topic(context: TaskContext, topic: str, verdicts: Mapping[str, RuleVerdict]) -> Question | NotAsked:
    rules = [rule for rule in RULES if rule.topic == topic]
    holding = [rule for rule in rules if verdicts[rule.name].holds]
    if not holding:
        return NotAsked("no rule of the topic holds")
    if len(holding) > 1:
        return NotAsked("rules disagree")
    if any(verdicts[rule.name].holds is None for rule in rules):
        return NotAsked("a rule of the topic is near its threshold")
    # the other conclusion of the topic contradicts the one that holds: two of them would tell that one is right
    wrong = [rule for rule in RULES if rule.topic != topic and verdicts[rule.name].holds is False]
    if len(wrong) < NUM_DISTRACTORS:
        return NotAsked("too few conclusions that are known to be wrong")
    (right,) = holding
    return Question(
        task="environmental_reasoning",
        form=AnswerForm.ONE_OF,
        text=with_scale(context, context.phrases.pick(context.rng, "environmental_reasoning.question")),
        options=(
            Option(_conclusion(context, right), is_right=True),
            *(Option(_conclusion(context, rule), is_right=False) for rule in wrong),
        ),
        evidence=Evidence(
            rule=right.name,
            values={
                rule.name: {
                    name: [round(end, 4) for end in value] for name, value in verdicts[rule.name].values.items()
                }
                for rule in (right, *wrong)
            },
        ),
        strata=("conclusion",),
    )


def _conclusion(context: TaskContext, rule: EnvironmentalRule) -> str:
    return context.phrases.text(f"environmental_reasoning.conclusion.{rule.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    """The objects that fulfil a condition, and how it is said.

    Attributes:
        rule: key of the wording.
        telling: words of the question that let a reader expect a number.
        chosen: the objects.
        words: what fills in the wording.
        values: evidence.
        feature_ids: of what the condition rests on beside the objects.
        number: asked for instead of how many are chosen.
    """

    rule: str
    telling: tuple[str, ...] = ()
    chosen: tuple[TileObject, ...]
    words: Mapping[str, object]
    values: Mapping[str, Any]
    feature_ids: tuple[str, ...] = ()
    number: int | None = None


_Condition = Callable[[TaskContext, ClassInfo, Countable], _Selected | NotAsked]


@task("conditional_counting")
def ask_conditional_counting(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask how many objects of a class fulfil a condition; zero and all are not asked for."""
    facts = context.facts
    names = {item.class_name for item in facts.objects}
    classes = [info for info in facts.classes.values() if info.name in names and info.role is Role.OBJECT]
    if not classes:
        yield NotAsked("no objects")
        return
    by_kind: dict[object, list[tuple[ClassInfo, _Condition]]] = {}
    for info, condition in shuffled([(info, one) for info in classes for one in _conditions(context)], context.rng):
        by_kind.setdefault(_kind_of(condition), []).append((info, condition))
    tries = take_turns(list(by_kind.values()))
    yield from ask_each(context, tries, lambda pair: _ask_count(context, *pair))


def _conditions(context: TaskContext) -> list[_Condition]:
    """Return the conditions that may be tried on this tile: single ones, two joined, and counts in two steps."""
    single = _single_conditions(context)
    pairs = [pair for pair in itertools.permutations(single, 2) if _kind_of(pair[0]) != _kind_of(pair[1])]
    num = max(1, len(single) // 2)
    joined: list[_Condition] = [
        partial(_joined, *pair) for pair in shuffled(pairs, context.rng)[: 2 * num] if _is_first(single, pair)
    ]
    joined += [partial(_but_not, *pair) for pair in shuffled(pairs, context.rng)[:num]]
    steps: list[_Condition] = [partial(_surplus, half) for half in ("left", "right", "upper", "lower")]
    steps += [partial(_side_surplus, thing, side) for thing in dividers(context) for side in thing.sides]
    return [*single, *joined, *steps, _together]


def _is_first(single: Sequence[_Condition], pair: tuple[_Condition, _Condition]) -> bool:
    """Return whether two conditions stand in their order: joined the other way round they mean the same."""
    return single.index(pair[0]) < single.index(pair[1])


def _kind_of(condition: _Condition) -> object:
    """Return what a condition is about: two halves, or two distances, are of one kind."""
    return condition.func if isinstance(condition, partial) else condition


def _single_conditions(context: TaskContext) -> list[_Condition]:
    areas = area_landmarks(context)
    conditions: list[_Condition] = [_by_colour]
    conditions += [partial(_by_half, half) for half in ("left", "right", "upper", "lower")]
    conditions += [partial(_inside, thing) for thing in areas]
    conditions += [partial(_on_side, thing, side) for thing in dividers(context) for side in thing.sides]
    if context.facts.gsd_m is not None:
        conditions += [partial(_within, thing) for thing in (*areas, *road_landmarks(context))]
    return conditions


def _ask_count(context: TaskContext, info: ClassInfo, condition: _Condition) -> Question | NotAsked:
    counted = _countable(context, info.name)
    if isinstance(counted, NotAsked):
        return counted
    if len(counted.objects) < 2:
        return NotAsked("too few objects for a condition")
    if len(counted.objects) > MAX_MEMBERS:
        return NotAsked("too many objects for a condition")
    selected = condition(context, info, counted)
    if isinstance(selected, NotAsked):
        return selected
    count = len(selected.chosen) if selected.number is None else selected.number
    if count == 0 or (count == len(counted.objects) and selected.number is None):
        return NotAsked("condition holds for none or for all")
    if count > MAX_COUNT:
        return NotAsked("too many objects to be counted by eye")
    template = selected.rule
    text = context.phrases.pick(context.rng, f"conditional_counting.{template}", plural=info.plural, **selected.words)
    if counted.rule is not CountRule.WHOLE:
        template += f"_{counted.rule}"
        text = context.phrases.text(f"conditional_counting.{counted.rule}", question=text)
    if "metres" in selected.values:
        text = with_scale(context, text)
    options = [Option(str(count), is_right=True)]
    options += [Option(str(wrong), is_right=False) for wrong in number_distractors(count, context.rng)]
    return Question(
        task="conditional_counting",
        form=AnswerForm.ONE_OF,
        text=text,
        options=tuple(options),
        evidence=Evidence(
            rule=f"count_{selected.rule}",
            feature_ids=tuple(item.object_id for item in selected.chosen) + selected.feature_ids,
            geometry=shown([item.geometry for item in selected.chosen]),
            values={"class": info.name, "count": count, "of": len(counted.objects), **selected.values},
        ),
        strata=(template, info.name, *selected.telling),
        pool=template,
        value=count,
        min_ratio=COUNT_RATIO,
    )


@once_a_tile
def _countable(context: TaskContext, class_name: str) -> Countable | NotAsked:
    return countable_objects(context.facts, class_name)


def _by_colour(context: TaskContext, info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    members = members_of(info, counted.objects)
    groups = groups_by_colour(context, members)
    fitting = [colour for colour, indices in groups.items() if len(indices) < len(members)]
    if not fitting:
        return NotAsked("colours not known or not distinct")
    colour = context.rng.choice(fitting)
    chosen = tuple(counted.objects[index] for index in groups[colour])
    word = context.phrases.text(f"colour.{colour}")
    return _Selected(rule="colour", telling=(colour,), chosen=chosen, words={"colour": word}, values={"colour": colour})


def _by_half(half: str, context: TaskContext, info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    bounds = members_of(info, counted.objects).bounds
    axis, size = (0, context.facts.width) if half in ("left", "right") else (1, context.facts.height)
    # a point has an extent that its label does not tell, so it keeps a wider margin
    has_points = any(item.outline is Outline.POINT for item in counted.objects)
    margin = SIDE_MARGIN * size * (2 if has_points else 1)
    is_first = bounds[:, axis + 2] <= size / 2 - margin
    is_second = bounds[:, axis] >= size / 2 + margin
    if not (is_first | is_second).all():
        return NotAsked("an object is near the middle line")
    word = context.phrases.text(f"conditional_counting.halves.{half}")
    mask = is_first if half in ("left", "upper") else is_second
    return _Selected(rule="half", chosen=_chosen(counted, mask), words={"half": word}, values={"half": half})


def _within(thing: Landmark, context: TaskContext, _info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    if any(item.outline is Outline.POINT for item in counted.objects):
        return NotAsked("points do not tell how near an object is")
    distances = thing.distances(counted.objects)
    fitting = [metres for metres in LIMITS_M if _is_clear(distances, metres, thing.edge_m)]
    if not fitting:
        return NotAsked("distances near every limit")
    metres = context.rng.choice(fitting)
    values = {"metres": metres, "landmark": thing.text}
    return _Selected(
        rule="within",
        telling=(str(metres),),
        chosen=_chosen(counted, distances <= metres),
        words={**values, "any_landmark": thing.any_text},
        values=values,
        feature_ids=thing.feature_ids,
    )


def _is_clear(distances: NDArray[np.float64], metres: float, edge_m: float) -> bool:
    """Return whether some objects are within a limit, some beyond, and none near it."""
    margin = LIMIT_MARGIN * metres + edge_m
    is_near, is_far = distances <= metres - margin, distances >= metres + margin
    return bool((is_near | is_far).all() and is_near.any() and is_far.any())


def _inside(thing: Landmark, _context: TaskContext, _info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    sides = thing.sides(counted.objects)
    if not sides.all():
        return NotAsked("an object is partly inside the area")
    return _Selected(
        rule="inside",
        chosen=_chosen(counted, sides == 1),
        words={"landmark": thing.text, "any_landmark": thing.any_text},
        values={"landmark": thing.text},
        feature_ids=thing.feature_ids,
    )


def _on_side(
    thing: Divider, side: Sector, context: TaskContext, _info: ClassInfo, counted: Countable
) -> _Selected | NotAsked:
    """Return the objects on one side of a river, where each is wholly on one of the two."""
    if any(item.outline is Outline.POINT for item in counted.objects):
        return NotAsked("points do not tell on which side of a river an object is")
    outlines = [item.geometry for item in counted.objects]
    is_on = {name: shapely.covers(ground, outlines) for name, ground in thing.sides.items()}
    if not np.logical_or.reduce(list(is_on.values())).all():
        return NotAsked("an object on the river, or where the tile has another side")
    return _Selected(
        rule="side",
        chosen=_chosen(counted, is_on[side]),
        words={"side": _side_word(context, side), "divider": thing.text},
        values={"side": side, "divider": thing.text},
        feature_ids=thing.feature_ids,
    )


def _side_word(context: TaskContext, side: Sector) -> str:
    table = "image" if context.facts.north_deg is None else "compass"
    return context.phrases.text(f"conditional_counting.{table}.{side}")


def _chosen(counted: Countable, mask: Sequence[bool] | NDArray[np.bool_]) -> tuple[TileObject, ...]:
    return tuple(item for item, is_chosen in zip(counted.objects, mask, strict=True) if is_chosen)


def _joined(
    first: _Condition, second: _Condition, context: TaskContext, info: ClassInfo, counted: Countable
) -> _Selected | NotAsked:
    """Return the objects that fulfil two conditions at once, where neither of the two alone gives the number."""
    return _two(context, info, counted, (first, second), is_met=True)


def _but_not(
    first: _Condition, second: _Condition, context: TaskContext, info: ClassInfo, counted: Countable
) -> _Selected | NotAsked:
    """Return the objects that fulfil one condition, but not another one that some of them do fulfil."""
    return _two(context, info, counted, (first, second), is_met=False)


def _two(
    context: TaskContext,
    info: ClassInfo,
    counted: Countable,
    pair: tuple[_Condition, _Condition],
    *,
    is_met: bool,
) -> _Selected | NotAsked:
    found = []
    for condition in pair:
        selected = condition(context, info, counted)
        if isinstance(selected, NotAsked):
            return selected
        found.append(selected)
    first, second = found
    ids = {item.object_id for item in second.chosen}
    chosen = tuple(item for item in first.chosen if (item.object_id in ids) == is_met)
    if len(chosen) in (0, len(first.chosen), len(second.chosen)):
        return NotAsked("one of two conditions alone gives the number")
    table = "conditional_counting.condition"
    key = f"{table}.{second.rule}" if is_met else f"{table}_not.{second.rule}"
    words = {
        "first": context.phrases.text(f"{table}.{first.rule}", **first.words),
        "second": context.phrases.text(key, **second.words),
    }
    return _Selected(
        rule="joined" if is_met else "but_not",
        telling=(first.rule, second.rule),
        chosen=chosen,
        words=words,
        values={**second.values, **first.values, **words},
        feature_ids=(*first.feature_ids, *second.feature_ids),
    )


def _surplus(half: str, context: TaskContext, info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    """Return by how many the objects in one half of the tile are more than those in the other."""
    selected = _by_half(half, context, info, counted)
    if isinstance(selected, NotAsked):
        return selected
    number = 2 * len(selected.chosen) - len(counted.objects)
    if number <= 0:
        return NotAsked("not more than in the other half")
    other = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}[half]
    words = {"half": selected.words["half"], "other": context.phrases.text(f"conditional_counting.halves.{other}")}
    return replace(selected, rule="surplus", chosen=counted.objects, words=words, number=number)


def _side_surplus(
    thing: Divider, side: Sector, context: TaskContext, info: ClassInfo, counted: Countable
) -> _Selected | NotAsked:
    """Return by how many the objects on one side of a river are more than those on the other."""
    selected = _on_side(thing, side, context, info, counted)
    if isinstance(selected, NotAsked):
        return selected
    number = 2 * len(selected.chosen) - len(counted.objects)
    if number <= 0:
        return NotAsked("not more than on the other side")
    (other,) = (name for name in thing.sides if name != side)
    words = {**selected.words, "other": _side_word(context, other)}
    return replace(selected, rule="side_surplus", chosen=counted.objects, words=words, number=number)


def _together(context: TaskContext, info: ClassInfo, counted: Countable) -> _Selected | NotAsked:
    """Return the objects of two classes together."""
    facts = context.facts
    names = sorted({item.class_name for item in facts.objects if item.class_name > info.name})  # no pair twice
    fitting = [facts.classes[name] for name in names if not may_mean_the_same(info, facts.classes[name])]
    for other in shuffled(fitting, context.rng):
        also = _countable(context, other.name)
        if not isinstance(also, NotAsked) and also.rule is counted.rule and 0 < len(also.objects) <= MAX_COUNT:
            chosen = (*counted.objects, *also.objects)
            return _Selected(
                rule="together",
                telling=(other.name,),
                chosen=chosen,
                words={"others": other.plural},
                values={"other_class": other.name, "others": len(also.objects)},
                number=len(chosen),
            )
    return NotAsked("no other class that can be counted")
