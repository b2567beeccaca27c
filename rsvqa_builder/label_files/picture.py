"""What a label file states about its picture, compared with the scene: its size, and which way up it is.

Labels drawn on a reduced copy are scaled, with a note. Viewers and annotation tools turn photographs by their EXIF
orientation, rasters are read as they are stored: labels of the turned picture are turned back.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.labels.raw import LabelError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene

_QUARTER_TURNS = (5, 6, 7, 8)
_FEW_PX, _MAX_SHARE = 8, 1.0001
_MAX_STRETCH = 0.02
"""Of two sides, what rounding to whole pixels costs a thumbnail of 50 px."""


def fit_to_scene(raw: RawLabels, scene: Scene) -> RawLabels:
    """Return labels in pixels of the scene as it is stored; those on the map and masks are in them already.

    Raises:
        LabelError: the file states a picture of another shape, or it is open which way up its picture is.
    """
    if raw.on_map or raw.is_mask or not len(raw):
        return raw
    size = (scene.width, scene.height)
    stated = raw.picture_size
    _check_no_shares(raw, size)
    if scene.orientation != 1 and _is_turned(scene, stated):
        size = size[::-1]
    geometries, notes = raw.geometries, raw.notes
    if stated is not None and stated != size:
        if not _is_same_shape(stated, size):
            raise LabelError(
                f"it states a picture of {_shown(stated)}, the scene has {_shown((scene.width, scene.height))}: "
                "the labels are of another picture"
            )
        geometries = shapely.transform(geometries, lambda xy: xy * (np.array(size) / np.array(stated)))
        notes += (f"it states a picture of {_shown(stated)}: coordinates are scaled to the scene's {_shown(size)}",)
    if size != (scene.width, scene.height):
        geometries = shapely.transform(geometries, lambda xy: _turned_back(xy, scene))
        notes += (f"labels are of the picture turned by its EXIF orientation {scene.orientation}, and turned back",)
    return replace(raw, geometries=geometries, notes=notes)


def _check_no_shares(raw: RawLabels, size: tuple[int, int]) -> None:
    """Raise `LabelError` where all labels lie within the first pixel of a picture of (width, height) pixels."""
    x_min, y_min, x_max, y_max = shapely.total_bounds(raw.geometries).tolist()
    if min(size) > _FEW_PX and min(x_min, y_min) >= 0 and max(x_max, y_max) <= _MAX_SHARE and x_max > 0 and y_max > 0:
        raise LabelError("its coordinates lie between 0 and 1: shares of the picture's sides, where pixels are meant")


def _is_turned(scene: Scene, stated: tuple[float, float] | None) -> bool:
    """Tell whether labels are of the picture as viewers turn it.

    Raises:
        LabelError: the stated size does not tell.
    """
    stored, turned = (scene.width, scene.height), (scene.height, scene.width)
    if stated is not None and scene.orientation in _QUARTER_TURNS:
        fits = [_is_same_shape(stated, size) for size in (stored, turned)]
        if fits != [True, True]:
            return fits[1]
    raise LabelError(
        f"the picture has EXIF orientation {scene.orientation}, and nothing tells whether the labels are of the stored "
        "or the turned picture: save the picture turned, without the tag"
    )


def _is_same_shape(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether one size is the other scaled and rounded to whole pixels, whichever is the reduced copy."""
    ratio = one[0] * other[1] / (one[1] * other[0])
    return abs(ratio - 1) <= _MAX_STRETCH and (_is_copy(one, other) or _is_copy(other, one))


def _is_copy(size: tuple[float, float], original: tuple[float, float]) -> bool:
    scale = size[0] / original[0]
    # each side may be off by half a pixel, that of the width as the scale tells it
    return abs(size[1] - original[1] * scale) <= 0.5 * (1 + original[1] / original[0]) + 1e-9


def _turned_back(xy: NDArray[np.float64], scene: Scene) -> NDArray[np.float64]:
    """Return points of the turned picture in the stored one; see the table of orientations in the EXIF standard."""
    x, y = xy[:, 0], xy[:, 1]
    column = y if scene.orientation in (5, 6) else scene.width - y
    row = x if scene.orientation in (5, 8) else scene.height - x
    return np.column_stack((column, row))


def _shown(size: tuple[float, float]) -> str:
    return f"{size[0]:g} × {size[1]:g} px"
