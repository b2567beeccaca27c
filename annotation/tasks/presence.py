"""Is anything of a class on the tile: yes and no by turns, so that each class has both to choose from.

"No" is asked only about classes that are fully labelled, and rather about those that the tile makes plausible.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsvqa.annotation.facts import ClassInfo, Role, TileFacts, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import MIN_BOX_SIDE_PX, shuffled, take_turns
from rsvqa.annotation.tasks.distractors import absent_classes, class_distractors
from rsvqa.annotation.tasks.geometry import bounds_of
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

ROLES = frozenset({Role.OBJECT})


@task("object_presence")
def ask_object_presence(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask about present classes and absent ones, in turns; nothing when there are none of either."""
    present = shuffled(_visible_objects(context.facts), context.rng)
    absent = absent_classes(context.facts, ROLES)
    if not present:
        yield NotAsked("nothing that is certainly visible")
        return
    if not absent:
        yield NotAsked("no class is known to be absent")
        return
    plausible = _plausible_absent(context, [info for info, _ in present])
    others = [info for info in shuffled(absent, context.rng) if info not in plausible]
    yes = [_question(context, info, shown) for info, shown in present]
    no = [_question(context, info, None) for info in (*plausible, *others)]
    yield from take_turns(shuffled([yes, no], context.rng))[: context.limit]


def _visible_objects(facts: TileFacts) -> list[tuple[ClassInfo, TileObject]]:
    """Return each class with its largest object that nobody can overlook, in the order of the class table."""
    bounds = bounds_of(facts.objects)
    sides = np.minimum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    largest: dict[str, TileObject] = {}
    for index in np.argsort(-sides, kind="stable"):
        found = facts.objects[index]
        if sides[index] >= MIN_BOX_SIDE_PX and found.is_askable:
            largest.setdefault(found.class_name, found)
    return [
        (info, largest[name]) for name, info in facts.classes.items() if name in largest and info.role is Role.OBJECT
    ]


def _plausible_absent(context: TaskContext, present: list[ClassInfo]) -> list[ClassInfo]:
    """Return absent classes, each different, that go with the present ones; as many at most."""
    chosen: list[ClassInfo] = []
    for info in present:
        taken = [other.name for other in chosen]
        chosen += class_distractors(context.facts, info, context.rng, roles=ROLES, count=1, exclude=taken, absent=True)
    return chosen


def _question(context: TaskContext, info: ClassInfo, shown: TileObject | None) -> Question:
    phrases = context.phrases
    is_present = shown is not None
    return Question(
        task="object_presence",
        form=AnswerForm.YES_NO,
        text=phrases.pick(context.rng, "object_presence.question", singular=info.singular, plural=info.plural),
        options=(Option(phrases.text("answer.yes"), is_present), Option(phrases.text("answer.no"), not is_present)),
        evidence=Evidence(
            rule="labelled_and_visible" if is_present else "fully_labelled_without_member",
            feature_ids=(shown.object_id,) if shown is not None else (),
            values={"class": info.name},
        ),
        strata=("presence", info.name),
    )
