"""Whether the labels of a scene name every instance of a class.

Only a complete class may be counted, called absent, or relied on to make a description unique, so a doubt means "no".
The class table may say it, or the user. "auto" looks at the scene and believes two things only: outlines of objects
that fill all parts of it, and areas that divide all of it. Lists of points and networks of lines look the same whether
the small ones were left out or not, so they are never complete by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline, Role
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.coverage import (
    MAX_OVERLAP_SHARE,
    MIN_LAND_COVER_SHARE,
    Coverage,
    coverage,
    covered_cells,
)
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array

MIN_OBJECTS = 30
"""Outlines of a class that a scene must have."""
MIN_OBJECT_SHARE = 0.1
"""Share of the scene that they must cover: a gazetteer, or the landmarks of a town, lie far apart."""
CELLS_PER_SIDE = 4
"""Each cell of a grid over the scene must hold the middle of one, and none may be larger than a cell."""
MIN_AREA_SHARE = 0.99
"""Share of the scene, or of a tile, that the areas of all classes together must cover: what is not named is then not
there."""


@dataclass(frozen=True, slots=True)
class ClassCompleteness:
    """Whether every instance of a class is labelled, and why we think so.

    Attributes:
        is_complete: in all of the scene.
        why: what that rests on.
        where_covered: on the tiles that the labels divide among the classes, though not on all of the scene.
    """

    is_complete: bool
    why: str
    where_covered: bool = False


def complete_classes(
    features: Features,
    scene_size: tuple[int, int],
    table: ClassTable,
    *,
    override: bool | None = None,
    doubts: Mapping[str, str] | None = None,
    by_models: frozenset[str] = frozenset(),
    is_labelled: bool | None = None,
) -> dict[str, ClassCompleteness]:
    """Return for each class of the table, ignored ones left out, whether a scene's labels are complete.

    Args:
        features: the labels of the scene.
        scene_size: (height, width), pixels.
        table: its `complete` entries decide unless they are "auto".
        override: the user's word for all classes; stands above the table, not above `doubts`.
        doubts: why a class cannot be complete, by class, from `LabelSet.doubts`.
        by_models: the classes whose doubt is that a model labelled them, above which the user's word stands.
        is_labelled: a label file was read, even an empty one (`LabelReport.has_labels`); by default, there are labels.
    """
    judge = _Judge(features, scene_size, table)
    labelled = len(features) > 0 if is_labelled is None else is_labelled
    return {
        name: _judged(judge, name, override, None if override and name in by_models else (doubts or {}).get(name))
        if labelled
        else _NO_LABELS
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
        self._names = object_array(features.class_names)

    @cached_property
    def _coverage(self) -> Coverage:
        """Only a rule about areas asks for it, and it takes a second for thousands of labels."""
        return coverage(self._features, (self._height, self._width), self.table)

    def by_rule(self, name: str) -> ClassCompleteness:
        """Return whether the labels of a class prove that no instance was left out."""
        role = self.table.classes[name].role
        rows = np.flatnonzero(self._names == name)
        if role is Role.ANOMALY:
            return ClassCompleteness(False, "nothing says that the scene was searched for anomalies")
        if not len(rows):
            return ClassCompleteness(False, "no labels of it, and nothing says that it was looked for")
        if role is Role.ROAD:
            return ClassCompleteness(False, "lines do not tell whether small roads were left out")
        return self._by_areas() if role is Role.AREA else self._by_outlines(rows)

    def _by_areas(self) -> ClassCompleteness:
        found = self._coverage
        if found.labelled < MIN_LAND_COVER_SHARE:
            return ClassCompleteness(False, f"labelled areas cover {found.labelled:.1%} of the scene, not all of it")
        if found.stacked > MAX_OVERLAP_SHARE:
            return ClassCompleteness(False, f"labelled areas lie on each other ({found.stacked:.0%} of the scene)")
        names = {name for name in self._names if self.table.classes[name].role is Role.AREA}
        if len(names) == 1 and found.labelled == found.areas:
            return ClassCompleteness(
                False, "areas of one class cover the scene: nothing says that others were looked for"
            )
        if found.labelled < MIN_AREA_SHARE:
            why = f"labelled areas divide {found.labelled:.1%} of the scene: complete on the tiles that they cover"
            return ClassCompleteness(False, why, where_covered=True)
        return ClassCompleteness(True, f"labelled areas divide {found.labelled:.1%} of the scene")

    def _by_outlines(self, rows: NDArray[np.intp]) -> ClassCompleteness:
        if any(self._features.outlines[row] is Outline.POINT for row in rows.tolist()):
            return ClassCompleteness(False, "points do not tell whether any were left out")
        if len(rows) < MIN_OBJECTS:
            return ClassCompleteness(False, f"fewer than {MIN_OBJECTS} labels")
        geometries = self._features.geometries[rows]
        largest = float(shapely.area(geometries).max()) / (self._height * self._width)
        if largest > 1 / CELLS_PER_SIDE**2:
            return ClassCompleteness(False, f"one label is as large as {largest:.0%} of the scene: regions, not things")
        share, num_cells = self._share(geometries), self._num_cells(geometries)
        is_complete = share >= MIN_OBJECT_SHARE and num_cells == CELLS_PER_SIDE**2
        where = f"{num_cells} of its {CELLS_PER_SIDE**2} parts"
        return ClassCompleteness(is_complete, f"{len(rows)} labels cover {share:.1%} of the scene, in {where}")

    def _share(self, geometries: NDArray[np.object_]) -> float:
        """Return the share of the scene under the geometries, overlaps counted once."""
        return float(covered_cells(geometries.tolist(), (self._height, self._width)).mean())

    def _num_cells(self, geometries: NDArray[np.object_]) -> int:
        """Return how many cells of the grid over the scene hold the middle of a geometry."""
        bounds = shapely.bounds(geometries)
        middles = (bounds[:, :2] + bounds[:, 2:]) / 2
        scene = [(0, self._width), (0, self._height)]
        counts, _ = np.histogramdd(middles, bins=(CELLS_PER_SIDE, CELLS_PER_SIDE), range=scene)
        return int(np.count_nonzero(counts))
