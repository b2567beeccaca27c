"""Pictures of a scene with labels drawn on it, for the page of `rsvqa labels`.

One picture shows the whole scene, read decimated; a second one, at full resolution, the place with most labels. Of many
labels a fair share of every class is drawn, so that a page of many scenes stays light.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.annotation.images import Pixels
from rsvqa.rsvqa_builder.documents.drawing import path_data
from rsvqa.rsvqa_builder.documents.preview_images import data_uri, jpeg_within
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.scenes.rendering import Stretch, open_raster, read_overview, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window

OVERVIEW_SIDE = 900
"""Longest side of the picture of a whole scene, pixels."""
DETAIL_SIDE = 600
"""Side of the detail, scene pixels."""
MAX_DRAWN = 400
"""Labels drawn on one picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """One picture with labels.

    Attributes:
        window: what it shows, scene pixels.
        uri: the JPEG as a `data:` URI.
        paths: SVG path data of the labels drawn, scene pixels, by class.
        points: the same of labels without an extent.
        num_drawn, num_labels: labels drawn, of those that reach into the window.
    """

    window: Window
    uri: str
    paths: Mapping[str, str]
    points: Mapping[str, str]
    num_drawn: int
    num_labels: int


def draw_labels(scene: Scene, stretch: Stretch | None, features: Features, picture_bytes: int) -> tuple[LabelView, ...]:
    """Return the picture of the whole scene, and a detail where the whole is much larger and has labels.

    Args:
        scene: the scene.
        stretch: from `choose_stretch`.
        features: its labels.
        picture_bytes: of each picture at most, as JPEG.

    Raises:
        SceneError: the scene's data is damaged.
    """
    whole = Window(0, 0, scene.width, scene.height)
    detail = _busiest_window(scene, features)
    with open_raster(scene.path) as dataset:
        views = [_view(whole, read_overview(dataset, scene, stretch, OVERVIEW_SIDE), features, picture_bytes)]
        if detail is not None:
            views.append(_view(detail, read_tile(dataset, scene, stretch, detail).rgb, features, picture_bytes))
    return tuple(views)


def _busiest_window(scene: Scene, features: Features) -> Window | None:
    """Return the window in which most labels have their middle; None where the whole scene shows them as well."""
    if not len(features) or max(scene.width, scene.height) <= 2 * DETAIL_SIDE:
        return None
    width, height = min(DETAIL_SIDE, scene.width), min(DETAIL_SIDE, scene.height)
    bounds = shapely.bounds(features.geometries)
    is_small = (bounds[:, 2] - bounds[:, 0] <= width) & (bounds[:, 3] - bounds[:, 1] <= height)
    x, y = ((bounds[:, axis] + bounds[:, axis + 2]) / 2 for axis in (0, 1))
    # of areas larger than the window there may be nothing to see in it
    weights = np.where(is_small, 1.0, 0.001)
    edges = [np.append(np.arange(0, size, side), size) for size, side in ((scene.height, height), (scene.width, width))]
    counts, _, _ = np.histogram2d(y, x, bins=edges, weights=weights)
    row, column = np.unravel_index(int(np.argmax(counts)), counts.shape)
    left, top = min(int(column) * width, scene.width - width), min(int(row) * height, scene.height - height)
    return Window(left, top, width, height)


def _view(window: Window, pixels: Pixels, features: Features, picture_bytes: int) -> LabelView:
    x, y, width, height = window
    frame = shapely.box(x, y, x + width, y + height)
    inside = np.flatnonzero(shapely.intersects(features.geometries, frame))
    names = np.array([features.class_names[row] for row in inside.tolist()], dtype=object)
    drawn = inside[_fair_share(names)]
    shapes = shapely.intersection(features.geometries[drawn], frame)
    shapes = shapely.simplify(shapes, max(width / pixels.shape[1], height / pixels.shape[0]) / 2)
    paths: dict[str, str] = {}
    points: dict[str, str] = {}
    for row, shape in zip(drawn.tolist(), shapes, strict=True):
        target = points if features.outlines[row] is Outline.POINT else paths
        name = features.class_names[row]
        target[name] = target.get(name, "") + path_data(shape)
    return LabelView(
        window=window,
        uri=data_uri(jpeg_within(pixels, picture_bytes)),
        paths=paths,
        points=points,
        num_drawn=len(drawn),
        num_labels=len(inside),
    )


def _fair_share(names: NDArray[np.object_]) -> NDArray[np.intp]:
    """Return the positions of at most `MAX_DRAWN` names: of each name as many as there are, up to an equal share."""
    chosen: list[NDArray[np.intp]] = []
    left = MAX_DRAWN
    rarest_first = sorted(Counter(names.tolist()).items(), key=lambda entry: (entry[1], entry[0]))
    for position, (name, count) in enumerate(rarest_first):
        taken = min(count, left // (len(rarest_first) - position))
        rows = np.flatnonzero(names == name)
        chosen.append(rows[np.linspace(0, count - 1, taken).round().astype(np.intp)])
        left -= taken
    return np.sort(np.concatenate([np.empty(0, np.intp), *chosen]))
