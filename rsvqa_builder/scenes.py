"""Find and open scenes: size, bands, georeference, ground sampling distance, footprint and time of one raster.

A scene is described from its header alone; pixels are read in `rendering.py`. Errors carry one line that says what is
wrong with the file, so that a build can leave the scene out and go on.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from shapely import Polygon

from annotation.errors import RsvqaError
from annotation.facts import Gsd


class SceneError(RsvqaError):
    """A raster cannot be used as a scene; `str()` is the reason without the path."""


class AffineCoefficients(NamedTuple):
    """Pixel (x, y) to map: `X = a·x + b·y + c`, `Y = d·x + e·y + f` (the order of affine.Affine)."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float


@dataclass(frozen=True, slots=True)
class Scene:
    """One whole raster, described from its header.

    Attributes:
        scene_id: path below the source folder without suffix, "/"-separated; unique in a build.
        path: what GDAL opens (a local path or a `/vsi…` path).
        width, height: pixels.
        bands: 1-based indices of red, green, blue; one index for grey and palette scenes.
        dtype: numpy name of the bands' data type.
        is_palette: band values are indices into a colour table.
        nodata: the declared nodata value, NaN included; None when there is none.
        has_mask: an alpha band or an internal or external mask tells the valid pixels.
        block_shape: (height, width) of the blocks on disk.
        driver: GDAL's short name of the format.
        crs: WKT2 of the coordinate reference system; None without one.
        transform: pixel to map; None without a georeference.
        gsd_m: metres a pixel along both pixel axes; None without a georeference.
        north_deg: true north at the scene's centre, degrees clockwise from "up"; None without a georeference.
        footprint: outline in EPSG:4326 (longitude, latitude), valid; None without a georeference.
        acquired: time of acquisition from the file's tags; None when they do not say.
    """

    scene_id: str
    path: str
    width: int
    height: int
    bands: tuple[int, ...]
    dtype: str
    is_palette: bool = False
    nodata: float | None = None
    has_mask: bool = False
    block_shape: tuple[int, int] = (0, 0)
    driver: str = "GTiff"
    crs: str | None = None
    transform: AffineCoefficients | None = None
    gsd_m: Gsd | None = None
    north_deg: float | None = None
    footprint: Polygon | None = None
    acquired: dt.datetime | None = None
