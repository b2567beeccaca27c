"""The audit of a whole data set: which judge belongs to which task, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.annotation.wording.grammar import Noun, faults
from tests.truth import captions, counting, environment, land_use, marks, properties, routes, space
from tests.truth.describing import without_scale
from tests.truth.reading import Row, Tile, Truth, WrongError, expect, read_rows

JUDGES: dict[str, Callable[[Row, Truth], Callable[[str], bool]]] = {
    "overall_counting": counting.overall_counting,
    "regional_counting": counting.regional_counting,
    "overall_land_use": land_use.overall_land_use,
    "regional_land_use": land_use.regional_land_use,
    "object_spatial_relationship": space.object_spatial_relationship,
    "object_classification": properties.object_classification,
    "object_colour": properties.object_colour,
    "object_motion_state": properties.object_motion_state,
    "route_planning": routes.route_planning,
    "anomaly_detection": land_use.anomaly_detection,
    "environmental_reasoning": environment.environmental_reasoning,
    "conditional_counting": counting.conditional_counting,
    "change_counting": counting.change_counting,
    "land_use_change": land_use.land_use_change,
    "object_presence": counting.object_presence,
    "object_orientation": properties.object_orientation,
    "object_size": properties.object_size,
    "object_distance": space.object_distance,
}
"""For tasks with options: from a question to what tells of each option whether it is right."""

CHECKS: dict[str, Callable[[Row, Truth], None]] = {
    "fine_grained_grounding": space.fine_grained_grounding,
    "condition_based_grounding": space.condition_based_grounding,
    "detailed_captioning": captions.detailed_captioning,
    "regional_captioning": captions.regional_captioning,
}
"""For the others: what raises when the answer is wrong."""

YES_NO = {"Yes", "No"}
MAX_PIXEL_DIFFERENCE = 6.0
"""Median difference to the GeoTIFF's pixels, of 255, that JPEG may cause."""


@dataclass
class Report:
    """How many answers of each task were recomputed, and which were not as the truth says."""

    verified: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def audit(scenes: Path, dataset: Path) -> Report:
    """Recompute every answer of a data set that was built from example scenes."""
    truth, report = Truth(scenes, dataset), Report()
    seen: set[str] = set()
    for row in read_rows(dataset):
        try:
            _check_images(row, truth, seen)
            judged(row, truth)
        except WrongError as error:
            report.wrong.append(f"{error}\n    {row}")
        else:
            report.verified[row.task] += 1
    return report


def judged(row: Row, truth: Truth) -> None:
    """Raise `WrongError` unless the answer, and no other option, is right."""
    tile = truth.tile(row)
    nouns = [Noun(info.singular, info.plural) for info in tile.classes.values() if info.role in ("object", "anomaly")]
    bad = faults(row.question, nouns)
    expect(not bad, f"the English of the question: {bad}")
    row = without_scale(row, tile)
    if row.region is not None:
        circle = marks.Circle(row.region["x"], row.region["y"], row.region["radius"])
        marks.expect_unpainted(row, tile, circle)
    if row.task in CHECKS:
        expect(not row.options, "options beside a free answer")
        CHECKS[row.task](row, truth)
        return
    texts = [text.casefold() for text in row.options.values()]
    expect(len(set(texts)) == len(texts), "two options are the same")
    if set(row.options.values()) == YES_NO:
        expect(len(texts) == 2, "yes and no, and more")
    else:
        expect(len(texts) == 4, f"{len(texts)} options")
    is_right = JUDGES[row.task](row, truth)
    right = "".join(letter for letter, text in row.options.items() if is_right(text))
    expect(right == row.answer, f"{right or 'none'} is right")
    expect(right and (len(right) == 1 or row.task == "overall_land_use"), f"{len(right)} right options")


def _check_images(row: Row, truth: Truth, seen: set[str]) -> None:
    """Raise unless the images show the tile; each is looked at once."""
    tiles = [truth.tile(row)] + ([truth.later(row)] if len(row.images) == 2 else [])
    expect(len(row.images) == len(tiles), f"{len(row.images)} images")
    for number, tile in enumerate(tiles):
        if row.images[number][0] not in seen:
            seen.add(row.images[number][0])
            _check_pixels(row, number, tile)


def _check_pixels(row: Row, number: int, tile: Tile) -> None:
    pixels = row.image(number)
    expect(pixels.shape[1::-1] == row.size, f"an image of {pixels.shape}, stated as {row.size}")
    sampled, expected = pixels[::5, ::3].astype(int), tile.pixels[::5, ::3]
    difference = np.abs(sampled - expected).mean(axis=2)
    expect(np.median(difference) < MAX_PIXEL_DIFFERENCE, f"image {number + 1} does not show the tile")
