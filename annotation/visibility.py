"""How small a thing must be seen for a question to be answered, and whether a reduced image still shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from rsvqa.annotation.facts import Outline, TileFacts
from rsvqa.annotation.questions import Question

SHOWN_PX = 1_024
"""The longer side of an image as most models see it."""

VANISHING_PX = (8, 3, 1)
"""Sides of an object, when the image is shown at `SHOWN_PX`, below which it is hard to tell, hard to see, and gone."""


class ExtentFinder:
    """Looks up how large the features of a tile are; both dates of it, where there are two."""

    def __init__(self, facts: TileFacts) -> None:
        dates = [facts] if facts.later is None else [facts, facts.later]
        self._objects = dict(chain.from_iterable(_object_sides(date) for date in dates))
        self._areas = dict(chain.from_iterable(_area_sides(date) for date in dates))

    def needs_px(self, question: Question) -> float | None:
        """Return the shorter side, in pixels, of the smallest object that a question's answer rests on.

        Without objects it is that of the largest area: of a forest in pieces one piece is enough. None where the
        answer rests on neither, or where labels tell no extent.
        """
        ids = question.evidence.feature_ids
        objects = [self._objects[name] for name in ids if name in self._objects]
        if objects:
            return round(min(objects), 1)
        areas = [self._areas[name] for name in ids if name in self._areas]
        return round(max(areas), 1) if areas else None


def shown_px(needs_px: float, *, width: int, height: int) -> float:
    """Return what is left of an extent when the image is shown at `SHOWN_PX`, which enlarges no image."""
    return needs_px * min(1.0, SHOWN_PX / max(width, height))


def _object_sides(facts: TileFacts) -> Iterator[tuple[str, float]]:
    for name, members in facts.objects_by_class.items():
        for item, bounds in zip(members, facts.object_bounds[name].tolist(), strict=True):
            if item.outline is not Outline.POINT:
                yield item.object_id, _shorter(bounds)


def _area_sides(facts: TileFacts) -> Iterator[tuple[str, float]]:
    for area in (*facts.areas, *facts.anomalies):
        yield area.area_id, _shorter(area.geometry.bounds)


def _shorter(bounds: Sequence[float]) -> float:
    return min(bounds[2] - bounds[0], bounds[3] - bounds[1])
