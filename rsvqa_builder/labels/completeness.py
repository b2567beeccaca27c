"""Whether the labels of a scene name every instance of a class.

Only a complete class may be counted, called absent, or relied on to make a description unique, so a doubt means "no".
The class table may say it; "auto" looks at the scene: labels spread over most of it were drawn to be complete, a few
in a corner were not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Role
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.coverage import coverage
from rsvqa.rsvqa_builder.labels.features import Features

MIN_OBJECTS = 5
MIN_HULL_SHARE = 0.5
"""Share of the scene that the convex hull of a class's objects or roads must cover."""
MIN_AREA_SHARE = 0.99
"""Share of the scene that the areas of all classes together must cover: what is not named is then not there."""


@dataclass(frozen=True, slots=True)
class ClassCompleteness:
    """Whether every instance of a class is labelled, and why we think so."""

    is_complete: bool
    why: str


def complete_classes(
    features: Features,
    scene_size: tuple[int, int],
    table: ClassTable,
    *,
    override: bool | None = None,
    doubts: Mapping[str, str] | None = None,
    is_labelled: bool | None = None,
) -> dict[str, ClassCompleteness]:
    """Return for each class of the table, ignored ones left out, whether a scene's labels are complete.

    Args:
        features: the labels of the scene.
        scene_size: (height, width), pixels.
        table: its `complete` entries decide unless they are "auto".
        override: the user's word for all classes; stands above the table, not above `doubts`.
        doubts: why a class cannot be complete, by class, from `LabelSet.doubts`.
        is_labelled: a label file was read, even an empty one (`LabelReport.has_labels`); by default, there are labels.
    """
    judge = _Judge(features, scene_size, table)
    labelled = len(features) > 0 if is_labelled is None else is_labelled
    return {
        name: _judged(judge, name, override, (doubts or {}).get(name)) if labelled else _NO_LABELS
        for name in table.infos()
    }


_NO_LABELS = ClassCompleteness(False, "the scene has no labels")


def _judged(judge: _Judge, name: str, override: bool | None, doubt: str | None) -> ClassCompleteness:
    if override is False:
        return ClassCompleteness(False, "the build's settings say so")
    said = judge.table.classes[name].complete
    if override is None and said is False:
        return ClassCompleteness(False, "the class table says so")
    if doubt is not None:
        return ClassCompleteness(False, doubt)
    if override:
        return ClassCompleteness(True, "the build's settings say so")
    return ClassCompleteness(True, "the class table says so") if said is True else judge.by_rule(name)


class _Judge:
    """The rule for "auto" on one scene."""

    def __init__(self, features: Features, scene_size: tuple[int, int], table: ClassTable) -> None:
        self.table = table
        self._features = features
        self._height, self._width = scene_size
        self._names = np.array(features.class_names, dtype=object)
        self._area_share = coverage(features, scene_size, table).labelled

    def by_rule(self, name: str) -> ClassCompleteness:
        """Return whether the labels of a class look complete."""
        role = self.table.classes[name].role
        if role is Role.ANOMALY:
            return ClassCompleteness(False, "nothing says that the scene was searched for anomalies")
        if role is Role.AREA:
            return ClassCompleteness(
                self._area_share >= MIN_AREA_SHARE, f"labelled areas cover {self._area_share:.1%} of the scene"
            )
        rows = self._names == name
        count = int(rows.sum())
        if count < MIN_OBJECTS:
            return ClassCompleteness(False, f"fewer than {MIN_OBJECTS} labels")
        share = self._hull_share(self._features.geometries[rows])
        return ClassCompleteness(share >= MIN_HULL_SHARE, f"{count} labels spread over {share:.0%} of the scene")

    def _hull_share(self, geometries: NDArray[np.object_]) -> float:
        """Return the share of the scene inside the convex hull of the geometries."""
        hull = shapely.MultiPoint(shapely.get_coordinates(geometries)).convex_hull
        frame = shapely.box(0, 0, self._width, self._height)
        return float(hull.intersection(frame).area / frame.area)
