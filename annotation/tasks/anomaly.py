"""Whether there is an anomaly on the tile: of which kind, where, how large, amid what, and what tells why.

Only asked where the scene has been searched for anomalies: otherwise their absence would be a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, ClassInfo, ClassKind, Role, TileFacts, TileObject
from rsvqa.annotation.layout.arrangement import without_holes
from rsvqa.annotation.layout.parts import PARTS, shares_by_part
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import shuffled, take_turns
from rsvqa.annotation.tasks.class_names import is_plural, may_mean_the_same
from rsvqa.annotation.tasks.countable import CountRule, countable_objects
from rsvqa.annotation.tasks.counting import MAX_COUNT
from rsvqa.annotation.tasks.directions import frame_of
from rsvqa.annotation.tasks.distractors import (
    COUNT_RATIO,
    MEASURE_RATIO,
    NUM_DISTRACTORS,
    absent_classes,
    class_distractors,
    number_distractors,
    round_measure,
    value_distractors,
)
from rsvqa.annotation.tasks.geometry import shown
from rsvqa.annotation.tasks.image_scale import area_text, with_scale
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of
from rsvqa.annotation.tasks.landmarks import Landmark
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

MIN_SHARE = 0.0005
"""An anomaly below this share of the tile is too easily overlooked to be asked about."""

IN_PART_SHARE = 0.8
"""So much of an anomaly lies in one part, at least, for it to be there."""

CAUSE = "cause"
"""The attribute that says what an anomaly comes from."""

MIN_BAND_PX = 12.0
BAND_SHARE = 0.15
AROUND_SHARE = 0.8
LABELLED_SHARE = 0.97
"""What lies around an anomaly is seen in a band of this width, or of this share of its size; most of it is of one
ground, and where less of it has a label the class of that ground is complete."""

AFFECTED_M = (20, 50, 100, 200)
LIMIT_MARGIN = 0.15
"""Objects are near an anomaly within one of these distances; none may be within this share of it from the limit."""

FIRES: Mapping[str, frozenset[ClassKind]] = MappingProxyType(
    {
        "forest": frozenset({"forest", "tree"}),
        "grass": frozenset({"grass"}),
        "cropland": frozenset({"cropland"}),
        "wetland": frozenset({"wetland"}),
        "built_up": frozenset({"residential", "commercial", "industrial", "parking", "building"}),
    }
)
"""Fires by the ground that they burn. Keys of `anomaly_detection.fire` in the wording."""

BESIDE_WATER_M, FAR_FROM_WATER_M = 5.0, 100.0
"""Water this near may have risen over its bank into a flooded area; water farther away than the second has not."""

NEARER_RATIO, NEARER_SHARE = 1.25, 0.02
"""Of two classes one is nearer where the other is so many times as far, and by so much of the tile's shorter side."""

EDGE_PX = 2.0
APART_PX = 12.0
"""An anomaly nearer to the tile's edge may go on beyond it; places with less than twice this between them are one."""

_Ask = Callable[[], Question | NotAsked]


@task("anomaly_detection")
def ask_anomaly_detection(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask whether each kind of anomaly is there; of the kinds that are, also where, how large, near what and why."""
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
    groups = (
        (_ask_kind, present),
        (_ask_presence, presence),
        (_ask_place, present),
        (_ask_cause, present),
        (_ask_surroundings, present),
        (_ask_affected, present),
        (_ask_area, present),
        (_ask_number, present),
        (_ask_fire, [info for info in present if info.kind == "burnt"]),
        (_ask_overflow, [info for info in present if info.kind == "flooded"]),
        (_ask_nearest, present),
    )
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
        text=_worded(context, "place", info, areas),
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


class _Around(NamedTuple):
    """What lies around an anomaly: the class that does nearly everywhere, and the share of each that is there."""

    main: ClassInfo
    shares: dict[str, float]
    reach_px: float


def _around(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> _Around | NotAsked:
    """Return what ground lies around all anomalies of a kind."""
    facts, ground = context.facts, _union(areas[info.name])
    reach = max(MIN_BAND_PX, BAND_SHARE * math.sqrt(ground.area))
    tile = shapely.box(0, 0, facts.width, facts.height)
    band = shapely.intersection(ground.buffer(reach).difference(ground), tile)
    if not band.area or not all(area.is_certain for area in facts.areas):
        return NotAsked("an uncertain area is on the tile")
    shares = {
        name: float(shapely.intersection(cover_of(context, name), band).area / band.area)
        for name in certain_areas(context)
    }
    main = max(shares, key=lambda name: shares[name], default=None)
    if main is None or shares[main] < AROUND_SHARE:
        return NotAsked("no ground lies all around the anomaly")
    outside = band.difference(without_holes(ground))  # what fills holes is inside the anomaly, not around it
    if shapely.intersection(cover_of(context, main), outside).area < AROUND_SHARE * outside.area:
        return NotAsked("no ground lies all around the anomaly")
    if sum(shares.values()) < LABELLED_SHARE and main not in facts.complete_classes:
        return NotAsked("no ground lies all around the anomaly")
    return _Around(facts.classes[main], {name: share for name, share in shares.items() if share > 0}, round(reach, 1))


def _ask_surroundings(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask what ground lies around a kind of anomaly; ground that lies there too is never a wrong option."""
    around, facts = _around(context, info, areas), context.facts
    if isinstance(around, NotAsked):
        return around
    right, there, num = around.main, list(around.shares), len(facts.classes)
    wrong = class_distractors(facts, right, context.rng, roles={Role.AREA}, count=num, exclude=there)
    if len(wrong) < NUM_DISTRACTORS:
        return NotAsked("too few classes for wrong options")
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=_worded(context, "surroundings", info, areas),
        options=(Option(right.singular, is_right=True), *(Option(other.singular, is_right=False) for other in wrong)),
        evidence=Evidence(
            rule="ground_around_anomaly",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "reach_px": around.reach_px, "share": round(around.shares[right.name], 4)},
        ),
        strata=("surroundings", info.name),
    )


def _ask_fire(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask what kind of fire has left burnt ground, where one kind of ground lies all around it."""
    around = _around(context, info, areas)
    if isinstance(around, NotAsked):
        return around
    there = {context.facts.classes[name].kind for name in around.shares}
    burnt = [fire for fire, kinds in FIRES.items() if around.main.kind in kinds]
    wrong = [fire for fire, kinds in FIRES.items() if not kinds & there]
    if not burnt or len(wrong) < NUM_DISTRACTORS:
        return NotAsked("what lies around tells of no fire, or of several")
    options = [(burnt[0], True), *((fire, False) for fire in wrong)]
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=_worded(context, "origin", info, areas),
        options=tuple(
            Option(context.phrases.text(f"anomaly_detection.fire.{fire}"), is_right=is_right)
            for fire, is_right in options
        ),
        evidence=Evidence(
            rule="fire_by_the_ground_around",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "fire": burnt[0], "around": around.main.name, "reach_px": around.reach_px},
        ),
        strata=("origin", info.name),
    )


def _ask_overflow(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask whether a flooded area may come from water beside it; there is some, or none far and wide."""
    facts, ground = context.facts, _union(areas[info.name])
    names = [name for name, other in facts.classes.items() if other.role is Role.AREA and other.kind == "water"]
    if facts.gsd_m is None or not names or not facts.complete_classes.issuperset((info.name, *names)):
        return NotAsked("no GSD, or not all water is labelled")
    water = [area for area in facts.areas if area.class_name in names]
    if not all(area.is_certain for area in water):
        return NotAsked("an uncertain area is on the tile")
    scale = np.array(facts.gsd_m)
    flooded, open_water, edge = shapely.transform(
        # the flooded ground itself may be labelled as water
        [ground, shapely.difference(_union(water), ground.buffer(EDGE_PX)), _edge_of(facts)],
        lambda points: points * scale,
    )
    distance = flooded.distance(open_water) if open_water.area else math.inf
    near_m = BESIDE_WATER_M + EDGE_PX * max(facts.gsd_m)
    is_beside = distance <= near_m
    if not is_beside and min(distance, flooded.distance(edge)) < FAR_FROM_WATER_M:
        return NotAsked("water neither beside the flooded area nor far from it")
    beside = [area for area in water if is_beside and area.geometry.distance(ground) * min(facts.gsd_m) <= near_m]
    options = tuple(
        Option(context.phrases.text(f"answer.{word}"), is_right=is_beside == (word == "yes")) for word in ("yes", "no")
    )
    return Question(
        task="anomaly_detection",
        form=AnswerForm.YES_NO,
        text=_worded(context, "overflow", info, areas),
        options=options,
        evidence=Evidence(
            rule="water_beside_flooded_area" if is_beside else "no_water_near_flooded_area",
            feature_ids=tuple(area.area_id for area in (*areas[info.name], *beside)),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "distance_m": None if math.isinf(distance) else round(distance, 1)},
        ),
        strata=("overflow", info.name),
    )


def _edge_of(facts: TileFacts) -> BaseGeometry:
    return shapely.box(0, 0, facts.width, facts.height).exterior


def _ask_nearest(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask objects of which class lie nearest to a kind of anomaly, by a clear margin to each wrong one."""
    facts = context.facts
    if info.name not in facts.complete_classes:
        return NotAsked("not every anomaly of the kind is labelled")
    place = _as_landmark(facts, info, areas[info.name])
    nearest: list[tuple[float, ClassInfo, TileObject]] = []
    for name in sorted({item.class_name for item in facts.objects}):
        counted = countable_objects(facts, name)
        if not isinstance(counted, NotAsked) and counted.rule is CountRule.WHOLE and counted.objects:
            distances = place.distances(counted.objects)
            index = int(distances.argmin())
            nearest.append((float(distances[index]), facts.classes[name], counted.objects[index]))
    nearest.sort(key=lambda entry: entry[0])
    if not nearest or nearest[0][0] == 0:
        return NotAsked("no object outside the anomaly, or one in it")
    distance, right, found = nearest[0]
    margin = NEARER_SHARE * min(facts.width * place.scale.x_m, facts.height * place.scale.y_m)
    wrong: list[ClassInfo] = []
    for farther, other, _ in nearest[1:]:
        if farther < max(NEARER_RATIO * distance, distance + margin):
            return NotAsked("no class is clearly the nearest")
        if not any(may_mean_the_same(other, one) for one in (right, *wrong)):
            wrong.append(other)
    if len(wrong) < NUM_DISTRACTORS:
        return NotAsked("too few classes for wrong options")
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=_worded(context, "nearest", info, areas),
        options=(Option(right.singular, is_right=True), *(Option(other.singular, is_right=False) for other in wrong)),
        evidence=Evidence(
            rule="nearest_to_anomaly",
            feature_ids=(*place.feature_ids, found.object_id),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "nearest": right.name, "distance": round(distance, 1)},
        ),
        strata=("nearest", info.name),
    )


def _as_landmark(facts: TileFacts, info: ClassInfo, areas: Sequence[Area]) -> Landmark:
    """Return the anomalies of a kind as something that objects lie at a distance from."""
    return Landmark(
        name=info.name,
        text=info.singular,
        any_text=info.singular,
        geometries=np.array([area.geometry for area in areas], dtype=object),
        feature_ids=tuple(area.area_id for area in areas),
        scale=frame_of(facts).scale,
        is_area=True,
    )


def _ask_affected(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask how many objects of a class lie within some metres of a kind of anomaly."""
    facts = context.facts
    if facts.gsd_m is None or info.name not in facts.complete_classes:
        return NotAsked("no GSD, or not every anomaly of the kind is labelled")
    place = _as_landmark(facts, info, areas[info.name])
    for name in shuffled(sorted({item.class_name for item in facts.objects}), context.rng):
        counted = countable_objects(facts, name)
        if isinstance(counted, NotAsked) or counted.rule is not CountRule.WHOLE or not counted.objects:
            continue
        distances = place.distances(counted.objects)
        for metres in shuffled(AFFECTED_M, context.rng):
            is_near = distances <= (1 - LIMIT_MARGIN) * metres
            count = int(is_near.sum())
            if 0 < count <= MAX_COUNT and (is_near | (distances >= (1 + LIMIT_MARGIN) * metres)).all():
                chosen = [item for item, near in zip(counted.objects, is_near, strict=True) if near]
                text = _worded(context, "affected", info, areas, plural=facts.classes[name].plural, metres=metres)
                return _affected_question(context, text, (info, facts.classes[name]), place.feature_ids, chosen, metres)
    return NotAsked("no class of which the objects near the anomaly can be counted")


def _affected_question(
    context: TaskContext,
    text: str,
    classes: tuple[ClassInfo, ClassInfo],
    ids: tuple[str, ...],
    chosen: Sequence[TileObject],
    metres: int,
) -> Question:
    info, counted = classes
    options = [Option(str(len(chosen)), is_right=True)]
    options += [Option(str(wrong), is_right=False) for wrong in number_distractors(len(chosen), context.rng)]
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=with_scale(context, text),
        options=tuple(options),
        evidence=Evidence(
            rule="objects_near_anomaly",
            feature_ids=(*ids, *(item.object_id for item in chosen)),
            geometry=shown([item.geometry for item in chosen]),
            values={"class": info.name, "counted": counted.name, "count": len(chosen), "metres": metres},
        ),
        strata=("affected", counted.name),
        pool="affected",
        value=len(chosen),
        min_ratio=COUNT_RATIO,
    )


def _ask_area(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask how many square metres a kind of anomaly covers; one that the tile's edge cuts is larger than it shows."""
    facts, ground = context.facts, _union(areas[info.name])
    x_min, y_min, x_max, y_max = ground.bounds
    is_cut = min(x_min, y_min) < EDGE_PX or x_max > facts.width - EDGE_PX or y_max > facts.height - EDGE_PX
    if facts.gsd_m is None or info.name not in facts.complete_classes:
        return NotAsked("no GSD, or not every anomaly of the kind is labelled")
    if is_cut:
        return NotAsked("the anomaly is cut by the edge")
    if len(shapely.get_parts(ground)) > 1:
        return NotAsked("several places of the anomaly")
    m2 = ground.area * facts.gsd_m.x_m * facts.gsd_m.y_m
    phrases = context.phrases
    options = [(round_measure(m2), True), *((wrong, False) for wrong in value_distractors(m2, context.rng))]
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=with_scale(context, phrases.pick(context.rng, "anomaly_detection.area", noun=info.singular)),
        options=tuple(Option(area_text(value), is_right=is_right) for value, is_right in options),
        evidence=Evidence(
            rule="area_of_anomaly",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "area_m2": round(m2, 1)},
        ),
        strata=("area", info.name),
        pool="area",
        value=m2,
        min_ratio=MEASURE_RATIO,
    )


def _ask_number(context: TaskContext, info: ClassInfo, areas: dict[str, list[Area]]) -> Question | NotAsked:
    """Ask how many separate places of a kind of anomaly there are, where there are several well apart."""
    ground = _union(areas[info.name])
    places = shapely.get_parts(ground.buffer(APART_PX))
    if info.singular == info.plural:
        return NotAsked("a kind of anomaly that has no plural")
    if info.name not in context.facts.complete_classes:
        return NotAsked("not every anomaly of the kind is labelled")
    parts = shapely.get_parts(ground)
    least = MIN_SHARE * context.facts.width * context.facts.height
    if len(places) != len(parts) or len(parts) < 2 or float(shapely.area(parts).min()) < least:
        return NotAsked("not several places of the anomaly that are clearly apart")
    options = [Option(str(len(parts)), is_right=True)]
    options += [Option(str(wrong), is_right=False) for wrong in number_distractors(len(parts), context.rng)]
    return Question(
        task="anomaly_detection",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "anomaly_detection.number", plural=info.plural),
        options=tuple(options),
        evidence=Evidence(
            rule="number_of_anomalies",
            feature_ids=tuple(area.area_id for area in areas[info.name]),
            geometry=_shown(areas[info.name]),
            values={"class": info.name, "count": len(parts)},
        ),
        strata=("number", info.name),
        pool="number",
        value=len(parts),
        min_ratio=COUNT_RATIO,
    )


def _worded(context: TaskContext, key: str, info: ClassInfo, areas: dict[str, list[Area]], **values: object) -> str:
    """Return a wording of `key` about all that there is of a kind of anomaly, in the number that it has."""
    has_parts = len(shapely.get_parts(_union(areas[info.name]))) > 1
    is_many = has_parts if info.singular != info.plural else is_plural(info.plural)
    verbs = context.phrases.table("anomaly_detection")["verb"]
    forms = {name: pair[is_many] for name, pair in verbs.items()}
    noun = info.plural if is_many else info.singular
    return context.phrases.pick(context.rng, f"anomaly_detection.{key}", noun=noun, **forms, **values)


def _union(areas: Sequence[Area]) -> BaseGeometry:
    return shapely.union_all([area.geometry for area in areas])


def _shown(areas: list[Area]) -> BaseGeometry:
    return shown([area.geometry for area in areas])
