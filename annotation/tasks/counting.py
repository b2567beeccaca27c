"""How many objects of a class are on the tile, or inside a numbered circle.

Zero is never asked for here: whether a class is there at all is object presence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.facts import Circle, ClassInfo, Role, TileFacts, TileObject
from rsvqa.annotation.questions import REGION_SLOT, Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import ask_each, shuffled, spread, take_turns
from rsvqa.annotation.tasks.countable import countable_objects, objects_in_region
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, number_distractors
from rsvqa.annotation.tasks.geometry import bounds_of, circle_polygon, shown
from rsvqa.annotation.tasks.regions import apart, centre_of, circle_beside, radius_limits
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

MAX_COUNT = 60
"""More than a person could check."""

SEEDS_A_QUESTION = 4
"""Objects that a circle is looked for at, for each question wanted."""


@task("overall_counting")
def ask_overall_counting(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the number of objects of each class that can be counted, one question per class."""
    classes = _classes_on_tile(context.facts)
    if not classes:
        yield NotAsked("no objects")
    yield from ask_each(context, shuffled(classes, context.rng), lambda info: _ask_overall(context, info))


@task("regional_counting")
def ask_regional_counting(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the number of objects of a class inside a circle whose edge passes between them.

    Questions of one answer take turns with those of another, the greatest first: most circles hold a single object.
    """
    facts = context.facts
    if not facts.objects:
        yield NotAsked("no objects")
        return
    if radius_limits(facts) is None:
        yield NotAsked("the tile is too small for regions")
        return
    by_class: dict[str, list[TileObject]] = {}
    for found in facts.objects:
        by_class.setdefault(found.class_name, []).append(found)
    bounds = {name: bounds_of(members) for name, members in by_class.items()}
    by_answer: dict[int, list[Question]] = {}
    for found in spread(facts, facts.objects, context.rng)[: context.limit * SEEDS_A_QUESTION]:
        result = _ask_near(context, found, bounds[found.class_name])
        if isinstance(result, NotAsked):
            yield result
        else:
            by_answer.setdefault(len(result.evidence.feature_ids), []).append(result)
    yield from apart(context, take_turns([by_answer[count] for count in sorted(by_answer, reverse=True)]))


def _ask_near(context: TaskContext, found: TileObject, bounds: NDArray[np.float64]) -> Question | NotAsked:
    """Ask about a circle beside an object; `bounds` are the (N, 4) boxes of all of its class."""
    facts = context.facts
    circle = circle_beside(facts, bounds, centre_of(found.geometry), context.rng)
    if circle is None:
        return NotAsked("every circle tried crosses an object")
    return _ask_in_region(context, facts.classes[found.class_name], circle)


def _classes_on_tile(facts: TileFacts) -> list[ClassInfo]:
    """Return the classes with objects on the tile, in the order of the class table."""
    names = {found.class_name for found in facts.objects}
    return [info for info in facts.classes.values() if info.name in names and info.role is Role.OBJECT]


def _ask_overall(context: TaskContext, info: ClassInfo) -> Question | NotAsked:
    counted = countable_objects(context.facts, info.name)
    if isinstance(counted, NotAsked):
        return counted
    doubt = _count_doubt(len(counted.objects))
    if doubt is not None:
        return doubt
    return Question(
        task="overall_counting",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, f"overall_counting.{counted.rule}", plural=info.plural),
        options=_options(context, len(counted.objects)),
        evidence=_evidence(f"count_{counted.rule}", counted.objects, info),
        strata=(counted.rule.value, info.name),
        pool=counted.rule.value,
        value=len(counted.objects),
        min_ratio=COUNT_RATIO,
    )


def _ask_in_region(context: TaskContext, info: ClassInfo, circle: Circle) -> Question | NotAsked:
    counted = objects_in_region(context.facts, info.name, circle_polygon(circle))
    if isinstance(counted, NotAsked):
        return counted
    doubt = _count_doubt(len(counted))
    if doubt is not None:
        return doubt
    return Question(
        task="regional_counting",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "regional_counting.question", plural=info.plural, region=REGION_SLOT),
        options=_options(context, len(counted)),
        evidence=_evidence("count_inside_circle", counted, info),
        region=circle,
        strata=("region", info.name),
        pool="region",
        value=len(counted),
        min_ratio=COUNT_RATIO,
    )


def _count_doubt(count: int) -> NotAsked | None:
    """Return why a count is not asked for."""
    if count == 0:
        return NotAsked("nothing to count")
    return NotAsked("too many objects to be counted by eye") if count > MAX_COUNT else None


def _options(context: TaskContext, count: int) -> tuple[Option, ...]:
    wrong = (Option(str(number), is_right=False) for number in number_distractors(count, context.rng))
    return (Option(str(count), is_right=True), *wrong)


def _evidence(rule: str, counted: tuple[TileObject, ...], info: ClassInfo) -> Evidence:
    ids = tuple(found.object_id for found in counted)
    return Evidence(
        rule=rule,
        feature_ids=ids,
        geometry=shown([found.geometry for found in counted]),
        values={"class": info.name, "count": len(counted)},
    )
