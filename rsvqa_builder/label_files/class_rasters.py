"""Class rasters among the scenes, known by their pixels: few different values on the grid of another picture.

Names tell most of them (`layouts.is_label_raster`); this finds those whose names say nothing. Only a raster that has
a twin is looked at, by small samples. A grey raster alone stays a scene, and so does one of many values.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.label_files import formats
from rsvqa.rsvqa_builder.label_files.identity import ScenePaths, either
from rsvqa.rsvqa_builder.label_files.layouts import bare_stem
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl
from rsvqa.rsvqa_builder.scenes.pairs import same_crs
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, open_raster, read_surely
from rsvqa.rsvqa_builder.scenes.rendering import read_raw, sample_windows
from rsvqa.rsvqa_builder.scenes.scene import Scene

MAX_VALUES = 50
"""Different values in the samples of a class raster. Photographs have hundreds."""

SURELY_FEW = 16
"""Up to here the number of values alone decides; beyond, a calm sea in 8 bits comes near, whose pixels differ."""

MIN_EQUAL = 0.5
"""Share of neighbouring pixels of one value in a class raster of more than `SURELY_FEW`: regions, not noise."""

_SIGNIFICANT = 9
"""Digits of a transform's numbers that tell one grid from another."""


_MAX_TWINS = 8

_MAYBE_LABELS = re.compile(
    r"[_-](colou?r(ed|map)?|vis|viz|lbl|seg(mentation)?|annotations?|ground_?truth)$", re.IGNORECASE
)
"""Endings of names that scenes have, too; what the raster is, its pixels say."""


class ClassRaster(NamedTuple):
    """A raster that is no scene.

    Attributes:
        path: of the raster.
        values: that its samples hold; colours as 0xRRGGBB.
        twins: the scenes whose labels it may be, the likeliest only.
    """

    path: str
    values: tuple[int, ...]
    twins: tuple[Scene, ...]

    @property
    def what_it_is(self) -> str:
        """What a user should hear of it."""
        grid = either(scene.path for scene in self.twins)
        return f"not a scene but a class raster: {len(self.values)} different values, on the grid of {grid}"


SampleAll = Callable[[Sequence[Scene]], Sequence[object]]
"""Runs `few_values` over scenes, wherever the work is done."""


def find_class_rasters(scenes: Sequence[Scene], sample_all: SampleAll | None = None) -> tuple[ClassRaster, ...]:
    """Return the scenes that are class rasters of others, in their order.

    Looked at are rasters of one band of integers and of three bands of 8 bits that lie on the grid of another raster:
    of one size and one georeference, or, where one of the two has none, of one stem. A raster of one band without such
    a twin is compared with those of its size in its folder. When all of them have few values, they are scenes.

    Args:
        scenes: as described.
        sample_all: reads the samples; this process does by default.
    """
    related = _Related(scenes)
    doubtful = [
        scene for scene in scenes if (_is_grey(scene) or _is_8_bit_rgb(scene)) and any(True for _ in related.to(scene))
    ]
    sampled = sample_all(doubtful) if sample_all and doubtful else map(few_values, doubtful)
    few = {scene.path: values for scene, values in zip(doubtful, sampled, strict=True) if isinstance(values, tuple)}
    if not few:
        return ()
    paths = ScenePaths(scene.path for scene in scenes if scene.path not in few)
    found = []
    for scene in scenes:
        if scene.path not in few:
            continue
        twins = list(islice((other for other in related.to(scene) if other.path not in few), _MAX_TWINS))
        among = frozenset(other.path for other in twins)
        named = paths.find_labelled(Path(scene.path), _bare_stem(Path(scene.path)), among=among).scenes
        if twins:
            likeliest = tuple(other for other in twins if not named or other.path in named)
            found.append(ClassRaster(scene.path, few[scene.path], likeliest))
    return tuple(found)


def few_values(scene: Scene) -> tuple[int, ...] | None:
    """Return the values of a class raster, from samples of the scene; None when it is a picture or cannot be read."""
    try:
        return read_surely(scene.path, lambda: _few_values(scene))
    except SceneError:
        return None  # its preparation says why


def _few_values(scene: Scene) -> tuple[int, ...] | None:
    values: NDArray[Any] = np.zeros(0, np.int64)
    num_equal = num_pairs = 0
    with open_raster(scene.path) as dataset:
        for window in sample_windows(scene):
            packed = _packed(read_raw(dataset, scene, window)[0])
            values = np.union1d(values, packed)
            if values.size > MAX_VALUES:
                return None
            num_equal += int((packed[:, 1:] == packed[:, :-1]).sum())
            num_pairs += packed[:, 1:].size
    if values.size > SURELY_FEW and num_equal < MIN_EQUAL * num_pairs:
        return None
    return tuple(int(value) for value in values)


def _packed(pixels: NDArray[Any]) -> NDArray[np.int64]:
    packed: NDArray[np.int64] = pixels[0].astype(np.int64)
    for band in pixels[1:]:
        packed = packed << 8 | band
    return packed


def _bare_stem(path: Path) -> str:
    return _MAYBE_LABELS.sub("", bare_stem(formats.stem(path), is_raster=True))


def _is_grey(scene: Scene) -> bool:
    return len(scene.bands) == 1 and np.dtype(scene.dtype).kind in "ui"


def _is_8_bit_rgb(scene: Scene) -> bool:
    return len(scene.bands) == 3 and scene.dtype == "uint8" and not scene.stack


class _Related:
    """Which scenes lie on the grid of which."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._groups: defaultdict[Hashable, list[Scene]] = defaultdict(list)
        self._grids = {scene.path: _grid(scene) for scene in scenes}
        for scene in scenes:
            for key in self._keys(scene):
                self._groups[key].append(scene)

    def to(self, scene: Scene) -> Iterator[Scene]:
        """Yield the other scenes on the grid of one, each once; those of its folder when there are no others."""
        seen = {scene.path}
        for key in self._keys(scene):
            if key[0] == "folder" and (len(seen) > 1 or not _is_grey(scene)):
                return
            for other in self._groups[key]:
                if other.path not in seen and self._may_be_one_grid(scene, other):
                    seen.add(other.path)
                    yield other

    def _keys(self, scene: Scene) -> Iterator[tuple[str, ...]]:
        size = f"{scene.width}×{scene.height}"
        path = Path(scene.path)
        if grid := self._grids[scene.path]:
            yield ("map", size, *grid)
        yield ("name", size, _bare_stem(path).casefold())
        yield ("folder", size, str(path.parent))

    def _may_be_one_grid(self, one: Scene, other: Scene) -> bool:
        """Tell whether two scenes of one size have one georeference, or one of them has none."""
        first, second = self._grids[one.path], self._grids[other.path]
        return not first or not second or (first == second and same_crs(one.crs, other.crs))


def _grid(scene: Scene) -> tuple[str, ...]:
    """Return the numbers of a transform as far as they tell grids apart; () without a georeference."""
    if scene.transform is None or scene.crs is None:
        return ()
    if isinstance(scene.transform, GroundControl):
        return (repr(scene.transform),)
    return tuple(f"{value:.{_SIGNIFICANT}g}" for value in scene.transform)
