"""Captions of a whole tile (overall, nine parts, inference, as XLRS-Bench asks for) and of a numbered circle.

Every statement is computed from the labels. What surprises: nothing is said of what is not labelled, not even that it
is not, so a part without a label has no sentence; a number is only given where the labels of a class are complete, and
a share of a class that is not is told as the least that it can be.
"""

from __future__ import annotations

from collections.abc import Iterator

import shapely

from rsvqa.annotation.facts import Circle, TileFacts
from rsvqa.annotation.layout.parts import PARTS, part_polygons
from rsvqa.annotation.questions import REGION_SLOT, Evidence, NotAsked, Question
from rsvqa.annotation.tasks.candidates import ask_each, shuffled, take_turns
from rsvqa.annotation.tasks.caption_content import CaptionLayout, RegionContent, content_finder, layout_of
from rsvqa.annotation.tasks.caption_inference import inferences
from rsvqa.annotation.tasks.caption_wording import CaptionWriter
from rsvqa.annotation.tasks.geometry import circle_polygon
from rsvqa.annotation.tasks.image_scale import with_scale
from rsvqa.annotation.tasks.land_cover import ground_areas
from rsvqa.annotation.tasks.regions import Spot, circle_near, keeps_clear, radius_limits, spot_in
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

MIN_PARTS = 3
"""A tile with labels in fewer of its nine parts is not described."""


@task("detailed_captioning")
def ask_detailed_captioning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for a caption of the whole tile."""
    facts, phrases = context.facts, context.phrases
    if not (facts.objects or facts.areas or facts.roads):
        yield NotAsked("nothing labelled")
        return
    finder = content_finder(context)
    whole = finder.find(shapely.box(0, 0, facts.width, facts.height))
    parts = [finder.find(part) for part in part_polygons(facts.width, facts.height)]
    if sum(not part.is_empty for part in parts) < MIN_PARTS:
        yield NotAsked("too few parts with labels")
        return
    writer = CaptionWriter(context)
    found = inferences(context, whole, writer)
    if not found:
        yield NotAsked("nothing to infer")
        return
    named = {name: content for name, content in zip(PARTS, parts, strict=True) if not content.is_empty}
    layout = layout_of(context, whole)
    paragraphs = (writer.overall(whole, layout), writer.parts(named), " ".join(found.values()))
    yield Question(
        task="detailed_captioning",
        form=AnswerForm.TEXT,
        text=with_scale(context, phrases.pick(context.rng, "detailed_captioning.question")),
        answer="\n".join(paragraphs),
        evidence=Evidence(
            rule="caption_from_labels",
            values={
                "overall": {**_values(whole), **_values_of_layout(facts, layout)},
                "parts": {name: _values(content) for name, content in zip(PARTS, parts, strict=True)},
                "inferences": list(found),
            },
        ),
    )


@task("regional_captioning")
def ask_regional_captioning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for a caption of a circle around something labelled."""
    facts = context.facts
    if not (facts.objects or facts.areas):
        yield NotAsked("nothing labelled")
        return
    limits = radius_limits(facts)
    if limits is None:
        yield NotAsked("the tile is too small for regions")
        return
    finder = content_finder(context)
    taken: list[Circle] = []

    def ask(spot: Spot) -> Question | NotAsked:
        circle = circle_near(facts, spot, context.rng.randint(*limits))
        if not keeps_clear(facts, circle, taken):
            return NotAsked("too near to another region")
        content = finder.find(circle_polygon(circle))
        if content.num_named < 2:
            return NotAsked("too little labelled in the region")
        taken.append(circle)
        return _regional_question(context, circle, content)

    yield from ask_each(context, _spots(context), ask)


def _spots(context: TaskContext) -> list[Spot]:
    """Return places inside areas and at objects, in turns."""
    facts, rng = context.facts, context.rng
    num = 8 * context.limit  # more are never tried
    areas = [spot_in(area.geometry, rng) for area in shuffled(ground_areas(context), rng)[:num]]
    centres = [item.geometry.centroid for item in shuffled(facts.objects, rng)[:num]]
    return take_turns([areas, [Spot(centre.x, centre.y) for centre in centres]])


def _regional_question(context: TaskContext, circle: Circle, content: RegionContent) -> Question:
    phrases = context.phrases
    text = phrases.pick(context.rng, "regional_captioning.question", region=REGION_SLOT)
    return Question(
        task="regional_captioning",
        form=AnswerForm.TEXT,
        text=with_scale(context, text),
        answer=CaptionWriter(context).region(content, circle),
        evidence=Evidence(
            rule="caption_from_labels",
            feature_ids=content.feature_ids,
            values={**_values(content), **_values_of_size(context.facts, circle)},
        ),
        region=circle,
    )


def _values(content: RegionContent) -> dict[str, object]:
    """Return what is known of a region; what is not the rule is left out where there is none of it."""
    named = {
        "at_least": sorted(name for name, is_exact in content.is_exact.items() if not is_exact),
        "in_one_piece": sorted(content.single),
        "in_rows": {name: rows for name, rows in content.rows.items() if rows != "none"},
        "within": dict(content.within),
    }
    return {
        "shares": {name: round(share, 4) for name, share in {**content.covering, **content.shares}.items()},
        "counts": dict(content.counts),
        "has_road": content.road_length > 0,
        "is_crossed": content.road == "across",
        "labelled": round(content.labelled_share, 4),
        **{key: found for key, found in named.items() if found},
    }


def _values_of_layout(facts: TileFacts, layout: CaptionLayout) -> dict[str, object]:
    named: dict[str, object] = {
        "lying": layout.lying,
        "along_roads_m": layout.along,
        "roads_form_a_grid": layout.is_grid,
    }
    if layout.border is not None:
        named["border"] = {"of": layout.border.name, "with": list(layout.border.others)}
        named["is_surrounded"] = layout.border.is_around
    if layout.road_length_m is not None:
        named["road_length_m"] = round(layout.road_length_m, 1)
    if facts.gsd_m is not None:
        named["size_m"] = [round(facts.width * facts.gsd_m.x_m, 1), round(facts.height * facts.gsd_m.y_m, 1)]
    return {key: found for key, found in named.items() if found}


def _values_of_size(facts: TileFacts, circle: Circle) -> dict[str, object]:
    if facts.gsd_m is None:
        return {}
    return {"diameter_m": round(circle.radius * (facts.gsd_m.x_m + facts.gsd_m.y_m), 1)}
