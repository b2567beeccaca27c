"""Whether there is an anomaly on the tile, of which kind, in which part, and what its label says of its cause.

Only asked where the scene has been searched for anomalies: otherwise their absence would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import shapely
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, ClassInfo, Role, TileFacts
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import shuffled, take_turns
from rsvqa.annotation.tasks.distractors import NUM_DISTRACTORS, absent_classes, class_distractors
from rsvqa.annotation.tasks.geometry import shown
from rsvqa.annotation.tasks.parts import PARTS, shares_by_part
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

MIN_SHARE = 0.0005
"""An anomaly below this share of the tile is too easily overlooked to be asked about."""

IN_PART_SHARE = 0.8
"""So much of an anomaly lies in one part, at least, for it to be there."""

CAUSE = "cause"
"""The attribute that says what an anomaly comes from."""

_Ask = Callable[[], Question | NotAsked]


@task("anomaly_detection")
def ask_anomaly_detection(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask whether each kind of anomaly is there; of the kinds that are, also the kind, the place and the cause."""
    facts = context.facts
    if not facts.has_anomaly_layer:
        yield NotAsked("no anomaly layer")
        return
    if not all(area.is_certain for area in facts.anomalies):
        yield NotAsked("an uncertain anomaly is on the tile")
        return
    kinds = [info for info in facts.classes.values() if info.role is Role.ANOMALY]
    areas = _areas_by_kind(facts)
    large_enough = [info for info in kinds if _share(areas.get(info.name, []), facts) >= MIN_SHARE]
    for info in kinds:
        if info.name in areas and info not in large_enough:
            yield NotAsked("anomaly too small to be seen")
    num_asked = 0
    for ask in _questions_to_try(context, large_enough, areas):
        if num_asked >= context.limit:
            return
        result = ask()
        num_asked += isinstance(result, Question)
        yield result


def _areas_by_kind(facts: TileFacts) -> dict[str, list[Area]]:
    areas: dict[str, list[Area]] = {}
    for area in facts.anomalies:
        areas.setdefault(area.class_name, []).append(area)
    return areas


def _share(areas: list[Area], facts: TileFacts) -> float:
    """Return which share of the tile some areas cover together."""
    return float(_union(areas).area / (facts.width * facts.height))


def _questions_to_try(context: TaskContext, present: list[ClassInfo], areas: dict[str, list[Area]]) -> list[_Ask]:
    """Return the questions about this tile: kinds, places and causes in turns, then presence and absence."""
    absent = shuffled(absent_classes(context.facts, {Role.ANOMALY}), context.rng)
    presence = take_turns([present, absent])
    groups = ((_ask_kind, present), (_ask_presence, presence), (_ask_place, present), (_ask_cause, present))
    return take_turns([[partial(ask, context, info, areas) for info in infos] for ask, infos in groups])


def _ask_presence(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask whether there is an anomaly of one kind."""
    found = areas.get(info.name, [])
    options = tuple(
        Option(context.phrases.text(f"answer.{word}"), is_right=bool(found) == (word == "yes"))
        for word in ("yes", "no")
    )
    return Question(
        task="anomaly_detection",
        form=AnswerForm.YES_NO,
        text=context.phrases.pick(context.rng, "anomaly_detection.presence", noun=info.singular),
        options=options,
        evidence=Evidence(
            rule="anomaly_present" if found else "anomaly_absent",
            feature_ids=tuple(area.area_id for area in found),
            geometry=_shown(found) if found else None,
            values={"class": info.name, "areas": len(found)},
        ),
        strata=("presence", info.name),
    )


def _ask_kind(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask of which kind the anomaly on the tile is; kinds that are there too are never wrong options."""
    num = len(context.facts.classes)
    wrong = class_distractors(context.facts, info, context.rng, roles={Role.ANOMALY}, count=num, absent=True)
    if len(wrong) < NUM_DISTRACTORS:
        return NotAsked("too few kinds of anomalies that are known to be absent")
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "anomaly_detection.kind"),
        options=(Option(info.singular, is_right=True), *(Option(other.singular, is_right=False) for other in wrong)),
        evidence=Evidence(
            rule="kind_of_anomaly",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "absent": [other.name for other in wrong]},
        ),
        strata=("kind",),
    )


def _ask_place(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask in which of the nine parts of the tile an anomaly lies; none of the wrong parts holds any of its kind."""
    if info.name not in context.facts.complete_classes:
        return NotAsked("not every anomaly of the kind is labelled")
    union = _union(areas[info.name])
    shares = shares_by_part(union, context.facts.width, context.facts.height)
    right = max(range(len(PARTS)), key=lambda index: shares[index])
    if shares[right] < IN_PART_SHARE:
        return NotAsked("anomaly not in one part of the tile")
    empty = [index for index, share in enumerate(shares) if share == 0.0]
    if len(empty) < NUM_DISTRACTORS:
        return NotAsked("anomaly not in one part of the tile")
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "anomaly_detection.place", noun=info.singular),
        options=tuple(
            Option(context.phrases.text(f"part.{PARTS[index]}"), is_right=index == right) for index in (right, *empty)
        ),
        evidence=Evidence(
            rule="part_of_anomaly",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "part": PARTS[right], "share": round(shares[right], 4)},
        ),
        strata=("place", info.name),
    )


def _ask_cause(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask what the anomaly on the tile comes from, whatever it is; wrong causes are those of other labels.

    The question does not say of which kind the anomaly is: what a burnt area comes from needs no image. So all
    anomalies of the tile must have one cause, and it is asked for once.
    """
    if info.name != min(areas):
        return NotAsked("one cause for all anomalies of the tile")
    found = [area for name in sorted(areas) for area in areas[name]]
    causes = {str(area.attributes.get(CAUSE) or "") for area in found}
    if causes == {""}:
        return NotAsked("no cause labelled")
    if len(causes) > 1:
        return NotAsked("labels disagree on the cause")
    right = causes.pop()
    known = context.phrases.alternatives("anomaly_detection.causes")
    wrong = [cause for cause in known if cause.casefold() != right.casefold()]
    if len(wrong) == len(known):
        return NotAsked("a cause that has no known alternatives")
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "anomaly_detection.cause"),
        options=(Option(right, is_right=True), *(Option(cause, is_right=False) for cause in wrong)),
        evidence=Evidence(
            rule="cause_of_anomaly",
            feature_ids=tuple(area.area_id for area in found),
            geometry=_shown(found),
            values={"classes": sorted(areas), "cause": right},
        ),
        strata=("cause",),
    )


def _union(areas: list[Area]) -> BaseGeometry:
    return shapely.union_all([area.geometry for area in areas])


def _shown(areas: list[Area]) -> BaseGeometry:
    return shown([area.geometry for area in areas])
