"""Find and open scenes: size, bands, georeference, ground sampling distance, footprint and time of one raster.

A scene is described from its header alone; pixels are read in `rendering.py`. Errors carry one line that says what is
wrong with the file, so that a build can leave the scene out and go on.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from shapely import MultiPolygon, Polygon

from rsvqa.annotation.facts import Gsd
from rsvqa.rsvqa_builder.scenes.acquisition import find_acquisition_time
from rsvqa.rsvqa_builder.scenes.fills import Fill
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, Georeference, locate
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl, read_ground_control
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, is_local_file, open_raster, read_local_tiff_header
from rsvqa.rsvqa_builder.scenes.scene_files import FoundScenes, LeftOut, SceneFile, SourceError, find_scenes
from rsvqa.rsvqa_builder.scenes.tiff_header import TiffHeader
from rsvqa.rsvqa_builder.settings import Nodata

__all__ = [
    "MIN_SIDE",
    "AffineCoefficients",
    "FoundScenes",
    "LeftOut",
    "Scene",
    "SceneError",
    "SceneFile",
    "SourceError",
    "describe_scene",
    "find_scenes",
]

MIN_SIDE = 32
"""Pixels; a smaller raster shows nothing to ask about (icons, thumbnails, test files)."""

_NO_LIGHT = {9: "ICC Lab", 10: "ITU Lab", 32803: "of a colour filter array", 32844: "LogL", 32845: "LogLuv"}
"""Photometric interpretations of TIFF that GDAL hands out as they are."""

_SEQUENTIAL_DRIVERS = frozenset({"PNG", "JPEG", "GIF", "WEBP"})
"""Formats whose rows can only be decoded from the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
        transform: pixel to map; None without a georeference. There may be one without `crs` (a world file): then the
            map is known, but not where it lies. Control points that bend, and RPCs, are no pixel grid.
        gsd_m: metres per pixel along both pixel axes; None without a georeference.
        north_deg: true north at the scene's centre as seen in the picture, degrees clockwise from "up"; None without a
            georeference, and in mirrored pictures.
        footprint: outline in EPSG:4326 (longitude, latitude), valid, cut in two where it crosses the antimeridian; None
            without a georeference.
        acquired: time of acquisition, UTC where the file gives a zone; None when nothing says it.
        notes: assumptions made, and what a user should know; each is one sentence.
        is_true_colour: the three bands are known to be red, green and blue. False for grey scenes, and where the first
            three bands were taken for want of better: then the colours on the picture are not those of things.
        is_sequential: rows can only be decoded from the top.
        has_missing_blocks: some blocks are not stored (a sparse file): their pixels are invalid.
        num_bits: significant bits of an integer value; 0 when all bits of the data type are.
        is_inverted: the smallest value is white, and the largest black.
        largest_alpha: alpha of an opaque pixel; 0 when nobody has looked, then it is the type's largest value.
        fill: an undeclared collar; None when there is none, or nobody has looked.
        stack: the files of red, green and blue where each has one band; `path` is then that of red, and nothing can be
            read before `stacks.open_stack`.
        orientation: how viewers turn the picture, as EXIF numbers it; pixels are read as they are stored. 1 is upright.
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
    transform: AffineCoefficients | GroundControl | None = None
    gsd_m: Gsd | None = None
    north_deg: float | None = None
    footprint: Polygon | MultiPolygon | None = None
    acquired: dt.datetime | None = None
    notes: tuple[str, ...] = ()
    is_true_colour: bool = False
    is_sequential: bool = False
    has_missing_blocks: bool = False
    num_bits: int = 0
    is_inverted: bool = False
    largest_alpha: float = 0
    fill: Fill | None = None
    orientation: int = 1
    stack: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str]:
        """Where its pixels are read."""
        return (self.path,)


def describe_scene(
    path: str,
    scene_id: str,
    *,
    bands: tuple[int, int, int] | None = None,
    nodata: Nodata = "auto",
    crs: str | None = None,
) -> Scene:
    """Return what a raster's header says; no pixel is decoded.

    Args:
        path: what GDAL opens.
        scene_id: unique in the build.
        bands: 1-based indices of red, green and blue, whatever the raster says of its colours.
        nodata: the value of pixels without data; "auto" takes the declared one, "none" none.
        crs: for rasters with a transform that state none, or none that can be understood.

    Raises:
        SceneError: the file cannot be used; the message is the reason without the path.
    """
    with open_raster(path) as dataset:
        header = read_local_tiff_header(path) if dataset.driver == "GTiff" else None
        _check_size(dataset)
        _check_photometric(dataset, header)
        roles = _choose_bands(dataset, bands)
        placed = _georeference(dataset, path, crs)
        acquired, time_notes = find_acquisition_time(_all_tags(dataset), scene_id)
        storage = _storage(dataset, header)
        is_inverted = not roles.is_palette and "MINISWHITE" in dataset.tags(ns="IMAGE_STRUCTURE")
        inverted_notes = ("its smallest value is white (MINISWHITE), and shown so",) if is_inverted else ()
        return Scene(
            scene_id=scene_id,
            path=path,
            width=dataset.width,
            height=dataset.height,
            bands=roles.bands,
            dtype=_common_dtype(dataset, roles.bands),
            is_palette=roles.is_palette,
            nodata=_nodata(dataset, roles.bands, nodata),
            has_mask=_has_mask(dataset, roles.bands),
            block_shape=storage.block_shape,
            driver=dataset.driver,
            crs=placed.crs,
            transform=placed.transform,
            gsd_m=placed.ground.gsd_m,
            north_deg=placed.ground.north_deg,
            footprint=placed.ground.footprint,
            acquired=acquired,
            notes=(*roles.notes, *inverted_notes, *placed.ground.notes, *time_notes, *storage.notes),
            is_true_colour=roles.is_true_colour,
            is_sequential=storage.is_sequential,
            has_missing_blocks=storage.has_missing_blocks,
            num_bits=_num_bits(dataset, roles.bands[0]),
            is_inverted=is_inverted,
            orientation=_orientation(dataset, header),
        )


def _check_size(dataset: DatasetReader) -> None:
    if min(dataset.width, dataset.height) < MIN_SIDE:
        raise SceneError(f"too small: {dataset.width} × {dataset.height} px; at least {MIN_SIDE} px a side are needed")


def _check_photometric(dataset: DatasetReader, header: TiffHeader | None) -> None:
    if header is None:
        return
    if header.photometric in _NO_LIGHT:
        raise SceneError(f"its values are {_NO_LIGHT[header.photometric]}, not colours; convert it to RGB")
    tags = dataset.tags(ns="IMAGE_STRUCTURE")
    # libtiff turns each block by itself while it converts such pixels, which no reader can undo
    is_converted = "SOURCE_COLOR_SPACE" in tags and "JPEG" not in tags.get("COMPRESSION", "")
    if is_converted and header.orientation != 1:
        space = tags["SOURCE_COLOR_SPACE"]
        raise SceneError(f"its pixels are {space} with the orientation {header.orientation}; save it upright, as RGB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _BandRoles:
    bands: tuple[int, ...]
    is_palette: bool = False
    is_true_colour: bool = False
    notes: tuple[str, ...] = ()


def _choose_bands(dataset: DatasetReader, asked: tuple[int, int, int] | None) -> _BandRoles:
    """Return the bands to show: as asked for, else by colour interpretation, else the first ones."""
    colours = dataset.colorinterp
    if colours[0] == ColorInterp.palette:
        return _BandRoles(bands=(1,), is_palette=True)
    if colours[0] in (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black):
        raise SceneError("its bands are CMYK inks, not light; convert it to RGB")
    by_role = {colour: index for index, colour in reversed(list(enumerate(colours, 1)))}
    rgb = [by_role.get(colour) for colour in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)]
    if None not in rgb:
        stated = tuple(index for index in rgb if index is not None)
        return _as_asked(stated, asked, num_bands=dataset.count)
    data = [index for index, colour in enumerate(colours, 1) if colour != ColorInterp.alpha]
    if not data:
        raise SceneError("has an alpha band only")
    if asked is not None and len(data) >= 3:
        if not set(asked) <= set(data):
            raise SceneError(f"`bands` {','.join(map(str, asked))} names a band it does not have; it has {data}")
        return _BandRoles(bands=asked, is_true_colour=True)
    if len(data) < 3:
        note = f"band {data[0]} of {len(data)} is shown as grey"
        return _BandRoles(bands=(data[0],), notes=(note,) if len(data) == 2 else ())
    first = tuple(data[:3])
    note = (
        f"the bands do not say their colours: {first} of {len(data)} are shown as red, green, blue "
        "(the setting bands chooses others)"
    )
    return _BandRoles(bands=first, notes=(note,))


def _as_asked(stated: tuple[int, ...], asked: tuple[int, int, int] | None, *, num_bands: int) -> _BandRoles:
    """Return the bands of a raster that states its colours: those asked for, where it has them, else its own."""
    if asked is None or asked == stated:
        return _BandRoles(bands=stated, is_true_colour=True)
    if max(asked) > num_bands:
        names = ",".join(map(str, asked))
        note = f"`bands` {names} is not followed: it has {num_bands} bands, and calls {stated} red, green and blue"
        return _BandRoles(bands=stated, is_true_colour=True, notes=(note,))
    note = f"shown are the bands {asked}, as `bands` says, though it calls {stated} red, green and blue"
    return _BandRoles(bands=asked, is_true_colour=True, notes=(note,))


def _common_dtype(dataset: DatasetReader, bands: tuple[int, ...]) -> str:
    dtypes = {dataset.dtypes[band - 1] for band in bands}
    if len(dtypes) > 1:
        raise SceneError(f"its bands {bands} have different data types: {', '.join(sorted(dtypes))}")
    dtype: str = dtypes.pop()
    if dtype.startswith("complex"):
        raise SceneError(f"its values are {dtype}; take the amplitude first")
    return dtype


def _nodata(dataset: DatasetReader, bands: tuple[int, ...], asked: Nodata) -> float | None:
    if asked != "auto":
        return None if asked == "none" else asked
    values: list[float | None] = [dataset.nodatavals[band - 1] for band in bands]
    # by text, as NaN is not equal to itself
    if len({str(value) for value in values}) > 1:
        raise SceneError(f"its bands {bands} have different nodata values: {values}; give it a mask instead")
    return values[0]


def _has_mask(dataset: DatasetReader, bands: tuple[int, ...]) -> bool:
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    return has_alpha or MaskFlags.per_dataset in dataset.mask_flag_enums[bands[0] - 1]


def _num_bits(dataset: DatasetReader, band: int) -> int:
    bits = int(dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 0))
    dtype = np.dtype(dataset.dtypes[band - 1])
    return bits if dtype.kind in "ui" and 0 < bits < 8 * dtype.itemsize else 0


def _orientation(dataset: DatasetReader, header: TiffHeader | None) -> int:
    if header is not None and header.orientation in range(1, 9) and dataset.transform.is_identity:
        return header.orientation  # on a map GDAL knows stored pixels only, and so do labels
    text = dataset.tags().get("EXIF_Orientation", "")
    return int(text) if text in {"1", "2", "3", "4", "5", "6", "7", "8"} else 1


class _Storage(NamedTuple):
    block_shape: tuple[int, int]
    is_sequential: bool
    has_missing_blocks: bool
    notes: tuple[str, ...]


def _storage(dataset: DatasetReader, header: TiffHeader | None) -> _Storage:
    """Return how pixels lie on disk, as far as it matters for reading windows."""
    block_shape = dataset.block_shapes[0]
    if header is None:
        return _Storage(block_shape, dataset.driver in _SEQUENTIAL_DRIVERS, False, ())
    # GDAL shows a tall strip of 8-bit samples row by row, but decodes it from the top all the same
    is_sequential = header.is_compressed and not header.is_tiled and header.block_shape[0] > block_shape[0]
    missing = header.missing_blocks()
    if missing is None:
        return _Storage(block_shape, is_sequential, False, ())
    note = f"{int(missing.sum())} of {missing.size} blocks are not stored (a sparse file): their pixels are invalid"
    return _Storage(block_shape, is_sequential, True, (note,))


class _Placed(NamedTuple):
    crs: str | None
    transform: AffineCoefficients | GroundControl | None
    ground: Georeference


def _georeference(dataset: DatasetReader, path: str, given: str | None) -> _Placed:
    transform: AffineCoefficients | GroundControl | None
    transform = None if dataset.transform.is_identity else AffineCoefficients(*dataset.transform[:6])
    crs, reason = _read_crs(dataset)
    wanted = None if given is None else CRS.from_user_input(given)
    notes: tuple[str, ...] = ()
    if transform is None:
        control = read_ground_control(dataset, wanted)
        if control is None or control.place is None:
            reason = control.note if control else "it has a CRS but no transform: no georeference" if crs else reason
            return _Placed(None, None, Georeference(notes=(reason,) if reason else ()))
        transform, crs, notes = control.place, control.crs, (control.note,)
    if isinstance(transform, AffineCoefficients) and transform.is_singular:
        return _Placed(None, None, Georeference(notes=("its transform has no extent: no georeference",)))
    if crs is None and wanted is not None:
        crs = wanted
        notes = (f"{reason or 'it states no CRS'}; the setting crs gives it {crs.name}",)
    if crs is None:
        crs, notes = _crs_beside(path)
    if crs is None:
        reason = reason or "it has a transform but no CRS: no ground distances (the setting crs gives one)"
        return _Placed(None, transform, Georeference(notes=(*notes, reason)))
    ground = locate(crs, transform, width=dataset.width, height=dataset.height)
    ground = replace(ground, notes=(*notes, *ground.notes))
    return _Placed(crs.to_wkt("WKT2_2019"), transform, ground)


def _crs_beside(path: str) -> tuple[CRS | None, tuple[str, ...]]:
    """Return the CRS of the .prj file beside a local raster, which GDAL does not read, and a note on it.

    That of a shapefile of labels with the raster's name says nothing of the raster.
    """
    file = Path(path).with_suffix(".prj")
    if not is_local_file(path) or not file.is_file() or file.with_suffix(".shp").is_file():
        return None, ()
    try:
        crs = CRS.from_user_input(file.read_text(encoding="utf-8-sig").strip())
    except (OSError, UnicodeDecodeError, CRSError):
        return None, (f"the CRS in {file.name} cannot be understood",)
    return crs, (f"its CRS is that of {file.name}: {crs.name}",)


def _read_crs(dataset: DatasetReader) -> tuple[CRS | None, str]:
    """Return the CRS, or None and the reason when there is one that cannot be understood."""
    if dataset.crs is None:
        return None, ""
    try:
        return CRS.from_wkt(dataset.crs.to_wkt()), ""
    except CRSError as error:
        return None, f"its CRS cannot be understood: {str(error).splitlines()[0]}"


def _all_tags(dataset: DatasetReader) -> dict[str, str]:
    """Return the tags in which a time may stand: the camera's and the vendor's, then the file's own."""
    tags: dict[str, str] = {}
    for namespace in ("EXIF", "IMAGERY", None):
        tags |= dataset.tags(ns=namespace)
    return tags
