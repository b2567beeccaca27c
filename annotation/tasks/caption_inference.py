"""What follows from what a caption describes; every conclusion names the measured evidence that it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rsvqa.annotation.facts import ClassKind
from rsvqa.annotation.tasks.candidates import shuffled
from rsvqa.annotation.tasks.caption_content import RegionContent
from rsvqa.annotation.tasks.caption_wording import CaptionWriter
from rsvqa.annotation.tasks.environmental_measures import BUILT_OVER, PLANTED
from rsvqa.annotation.tasks.environmental_rules import RULES, judge_all
from rsvqa.annotation.tasks.registry import TaskContext

MAX_INFERENCES = 3
"""The conclusions drawn: a caption is to be read."""

TOPICS = ("use", "flood", "forest_fire", "water_quality", "spraying", "run_off", "heat")
"""What a caption draws conclusions about. Left out is what an image alone gives no evidence for: whether there are
streams that could be polluted, and how shy the animals are."""

SAME_EVIDENCE = ("use", "run_off", "heat")
"""Topics of which one is enough: they rest on the same share of the ground."""

KNOWN_WITHIN = 0.02
"""A share whose least and greatest value differ by no more is told as it is, else as the least."""

BARE_SHARE = 0.1
USED_SHARE = 0.1
DENSE_SHARE = 0.2
DRY_SHARE = 0.15
"""Bare ground from which dust may blow; ground that shows a use; buildings that stand densely; bare ground of a place
too dry for the conclusions about rain."""

MIN_SHOWN = 2
MIN_VEHICLES = 5


class _Told(NamedTuple):
    """A conclusion: its key in the wording, and what fills it in."""

    key: str
    values: Mapping[str, object]


def inferences(context: TaskContext, whole: RegionContent, writer: CaptionWriter) -> dict[str, str]:
    """Return conclusions by the name of their rule, or of their evidence; up to `MAX_INFERENCES`."""
    found = [*_of_rules(context, whole, writer), *_of_things(context, whole, writer)]
    chosen = sorted(context.rng.sample(range(len(found)), min(len(found), MAX_INFERENCES)))
    return {found[at].key: writer.sentence(f"caption.inference.{found[at].key}", **found[at].values) for at in chosen}


def _of_rules(context: TaskContext, whole: RegionContent, writer: CaptionWriter) -> Iterator[_Told]:
    """Yield what the environmental rules conclude, one rule per topic."""
    verdicts = judge_all(context)
    order = [topic for topic in TOPICS if topic not in SAME_EVIDENCE]
    order += shuffled(SAME_EVIDENCE, context.rng)
    topics = [topic for topic in order if topic != "run_off" or _share_of(context, whole, ("bare",)) < DRY_SHARE]
    is_said = False
    for topic in topics:
        holding = [rule.name for rule in RULES if rule.topic == topic and verdicts[rule.name].holds]
        if len(holding) != 1 or holding[0] not in context.phrases.table("caption")["inference"]:
            continue
        if topic in SAME_EVIDENCE and is_said:
            continue
        is_said |= topic in SAME_EVIDENCE
        low, high = list(verdicts[holding[0]].values.values())[-1]
        yield _Told(holding[0], {"amount": writer.amount(low, is_exact=high - low <= KNOWN_WITHIN)})


def _of_things(context: TaskContext, whole: RegionContent, writer: CaptionWriter) -> Iterator[_Told]:
    """Yield what the ground and the objects that the caption names show."""
    kinds: tuple[tuple[ClassKind, float], ...] = (
        ("cropland", USED_SHARE),
        ("residential", USED_SHARE),
        ("industrial", USED_SHARE),
        ("burnt", 0.0),
        ("bare", BARE_SHARE),
    )
    for kind, least in kinds:
        share = _share_of(context, whole, (kind,))
        if share > least:
            yield _Told(kind, {"amount": writer.amount(share, is_exact=_is_exact(context, whole, kind))})
    built, planted = (_share_of(context, whole, kinds) for kinds in (BUILT_OVER, PLANTED))
    if 0.2 <= built <= 0.6 and planted >= 0.2 and _share_of(context, whole, ("bare",)) < DRY_SHARE:
        amounts = {"amount": writer.amount(built, is_exact=False), "other": writer.amount(planted, is_exact=False)}
        yield _Told("partly_built", amounts)
    for name, share in whole.covering.items():
        if context.facts.classes[name].kind == "building" and share >= DENSE_SHARE:
            amount = writer.amount(share, is_exact=whole.is_exact[name])
            yield _Told("dense", {"noun": context.facts.classes[name].plural, "amount": amount})
            break
    yield from _of_objects(context, whole, writer)


def _of_objects(context: TaskContext, whole: RegionContent, writer: CaptionWriter) -> Iterator[_Told]:
    classes, said = context.facts.classes, set()
    for name, count in whole.counts.items():
        noun, kind, ground = classes[name].plural, classes[name].kind, whole.within.get(name)
        found: _Told | None = None
        if count is None or count < MIN_SHOWN:
            continue
        if kind == "building" and whole.rows[name] == "rows":
            found = _Told("planned", {"noun": noun})
        elif kind == "ship" and ground is not None and classes[ground].kind == "water":
            found = _Told("navigable", {"noun": noun, "water": writer.bare(ground, whole)})
        elif kind == "vehicle" and count >= MIN_VEHICLES and ground is not None and classes[ground].kind == "parking":
            found = _Told("by_car", {"noun": noun, "parking": writer.bare(ground, whole)})
        elif kind in ("storage_tank", "aircraft"):
            found = _Told(kind, {"noun": noun})
        if found is not None and found.key not in said:
            said.add(found.key)
            yield found


def _share_of(context: TaskContext, whole: RegionContent, kinds: tuple[ClassKind, ...]) -> float:
    """Return the share that the named ground of some kinds has together."""
    return sum(share for name, share in whole.shares.items() if context.facts.classes[name].kind in kinds)


def _is_exact(context: TaskContext, whole: RegionContent, kind: ClassKind) -> bool:
    """Return whether all ground of a kind is among what is named, so that its share is known."""
    facts = context.facts
    named = [name for name in whole.shares if facts.classes[name].kind == kind]
    others = [info.name for info in facts.classes.values() if info.kind == kind and info.name not in named]
    is_other_known = all(name in facts.complete_classes for name in others)
    is_other_absent = not any(area.class_name in others for area in facts.areas)
    return all(whole.is_exact[name] for name in named) and is_other_known and is_other_absent
