"""Directions and distances between objects, and the boxes of what a description or a condition singles out."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tests.truth.describing import class_of, conditioned, described, match, reads
from tests.truth.measuring import sector
from tests.truth.properties import close_to, thing_at
from tests.truth.reading import Row, Thing, Tile, Truth, expect

IsRight = Callable[[str], bool]


def object_spatial_relationship(row: Row, truth: Truth) -> IsRight:
    hit = match(
        (
            r"In which direction does (?P<end>.+) lie, as seen from (?P<start>.+)\?",
            r"Seen from (?P<start>.+), in which compass direction is (?P<end>.+)\?",
            r"If you stand at (?P<start>.+), which way do you look to see (?P<end>.+)\?",
            r"Starting at (?P<start>.+), which compass direction leads straight to (?P<end>.+)\?",
            r"What is the compass direction of (?P<end>.+) relative to (?P<start>.+)\?",
            r"Where is (?P<end>.+) located with respect to (?P<start>.+)\?",
            r"Draw a straight line from (?P<start>.+) to (?P<end>.+): in which direction does it point\?",
            r"Which compass direction would you fly from (?P<start>.+) to reach (?P<end>.+)\?",
            r"Relative to (?P<start>.+), on which side does (?P<end>.+) lie\?",
            r"Going straight from (?P<start>.+) to (?P<end>.+), in which compass direction are you heading\?",
        ),
        row.question,
    )
    tile = truth.tile(row)
    start, end = described(tile, hit["start"]), described(tile, hit["end"])
    expect(start.thing_id != end.thing_id, "both descriptions are of one object")
    word, room = sector(tile.bearing(start.centre, end.centre))
    expect(room > 7, f"{room:.1f}° from the next direction")
    return lambda option: option == word


_DISTANCE = reads(
    "How far apart are <start> and <end>, measured between their centres?",
    "What is the straight-line distance on the ground between the centres of <start> and <end>?",
    "About how far from each other are the centres of <start> and <end>?",
    "Measured in a straight line from centre to centre, how far is <end> from <start>?",
    "Which distance, from centre to centre, separates <start> from <end>?",
    "From the centre of <start> to that of <end>, how far is it on the ground?",
    "How long is a straight line from the centre of <start> to the centre of <end>?",
    "Estimate the distance between the centres of <start> and <end>.",
    "Which of these comes nearest to the distance between the centres of <start> and <end>?",
    "As the crow flies, how far away from the centre of <start> is the centre of <end>?",
)


def object_distance(row: Row, truth: Truth) -> IsRight:
    hit = match(_DISTANCE, row.question)
    tile = truth.tile(row)
    expect("[" not in hit["start"] or "[" not in hit["end"], "two points tell the distance without the image")
    things = [_named(tile, hit[name]) for name in ("start", "end")]
    metres = tile.distance_m(things[0].centre, things[1].centre)
    return close_to(metres)


def _named(tile: Tile, text: str) -> Thing:
    """Return the object that a description, or a class and a point, names."""
    point = re.fullmatch(r"the (?P<noun>.+) at the point \[(?P<x>\d+), (?P<y>\d+)\]", text)
    if not point:
        return described(tile, text)
    thing = thing_at(tile, int(point["x"]), int(point["y"]))
    expect(class_of(tile, point["noun"], "object").name == thing.class_name, f"there is no {point['noun']}")
    return thing


_GROUNDING = (
    r"Find (?P<text>.+) and return its bounding box, normalised to 0–1, as \[x1, y1, x2, y2\]\.",
    r"Please locate (?P<text>.+)\. Answer with the box \[x1, y1, x2, y2\], each value as a share of the image's width"
    r" or height between 0 and 1\.",
    r"Please locate (?P<text>.+)\. Answer with \[x1, y1, x2, y2\], each value as a share of the image's width or height"
    r" between 0 and 1\.",
    r"Where is (?P<text>.+)\? Give its bounding box as normalised \[x1, y1, x2, y2\] with values from 0 to 1\.",
    r"Draw a box around (?P<text>.+): give \[x1, y1, x2, y2\] in normalised coordinates from 0 to 1\.",
    r"What is the bounding box of (?P<text>.+)\? Use normalised coordinates \(0–1\) in the form \[x1, y1, x2, y2\]\.",
    r"Point out (?P<text>.+) with a bounding box \[x1, y1, x2, y2\] whose values are normalised to 0–1\.",
    r"Give the bounding box of (?P<text>.+) as \[x1, y1, x2, y2\], normalised to values from 0 to 1\.",
    r"In this image, where exactly is (?P<text>.+)\? Answer with a box \[x1, y1, x2, y2\] in normalised "
    r"coordinates \(0–1\)\.",
    r"Mark (?P<text>.+) by a box \[x1, y1, x2, y2\] with coordinates normalised to 0–1\.",
    r"Look for (?P<text>.+) and give its box \[x1, y1, x2, y2\] in normalised coordinates from 0 to 1\.",
    r"Only one object in this image is (?P<text>.+)\. Answer with its box \[x1, y1, x2, y2\] in normalised "
    r"coordinates \(0–1\)\.",
    r"Determine which object is (?P<text>.+)\. Return its box as \[x1, y1, x2, y2\], normalised to 0–1\.",
    r"Which object meets this condition: (?P<text>.+)\? Give its bounding box as normalised \[x1, y1, x2, y2\] with"
    r" values from 0 to 1\.",
    r"Work out which object is (?P<text>.+), and answer with its box \[x1, y1, x2, y2\] in normalised coordinates from"
    r" 0 to 1\.",
)


def fine_grained_grounding(row: Row, truth: Truth) -> None:
    tile = truth.tile(row)
    _is_boxed(row, tile, described(tile, match(_GROUNDING, row.question)["text"]))


def condition_based_grounding(row: Row, truth: Truth) -> None:
    tile = truth.tile(row)
    _is_boxed(row, tile, conditioned(tile, match(_GROUNDING, row.question)["text"]))


def _is_boxed(row: Row, tile: Tile, thing: Thing) -> None:
    """Raise unless the answer is the box around a thing that is all on the tile, within a pixel."""
    expect(thing.is_whole, f"{thing.thing_id} is cut")
    expect(thing.label_id in row.feature_ids, f"the description is of {thing.label_id}, the evidence is not")
    told = np.array([float(value) for value in match((r"\[(?P<box>.+)\]",), row.answer)["box"].split(", ")])
    expect(row.bbox is not None and np.allclose(told, row.bbox, atol=1e-9), "the answer is not the bbox beside it")
    off = np.abs(told * [*row.size, *row.size] - tile.bounds(thing)).max()
    expect(off < 1, f"the box is {off:.1f} px off {thing.thing_id}")
