"""Pictures whose red, green and blue lie in a file each: Landsat, Sentinel-2, or as a `scenes.toml` says.

Only names are looked at to find them. The three files must have one grid and one data type: nothing is resampled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rsvqa.rsvqa_builder.scenes.rasters import SceneError
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.scene_files import SceneFile
from rsvqa.rsvqa_builder.scenes.scenes_file import ScenesFileError, find_scenes_files, named_path, read_scenes_file
from rsvqa.rsvqa_builder.scenes.vrt import write_stack_vrt
from rsvqa.rsvqa_builder.settings import Nodata


class BandStack(NamedTuple):
    """The files of red, green and blue, and a note on how they were found."""

    paths: tuple[str, ...]
    note: str


class SceneCandidate(NamedTuple):
    """A raster that may be a scene, or three of one band each; `file` is then that of red."""

    file: SceneFile
    stack: BandStack | None = None


class _Product(NamedTuple):
    """How a product names its bands: `acquisition` and `band` are groups of the pattern.

    Attributes:
        sensor: for messages.
        pattern: of a stem.
        rgb: bands of red, green and blue.
    """

    sensor: str
    pattern: re.Pattern[str]
    rgb: tuple[str, str, str]


_COLLECTION = r"_L\w{3}_\d{6}_\d{8}_\d{8}_\d\d_(?:T1|T2|RT)(?:_SR)?"
_ARCHIVE = r"\d{13}[A-Z]{3}\d\d"

_OLI = ("B4", "B3", "B2")
_TM = ("B3", "B2", "B1")
_PRODUCTS = (
    _Product("Landsat 8/9", re.compile(rf"(?P<acquisition>L[CO]0[89]{_COLLECTION})_(?P<band>\w+)"), _OLI),
    _Product("Landsat 8", re.compile(rf"(?P<acquisition>L[CO]8{_ARCHIVE})_(?P<band>\w+)"), _OLI),
    _Product("Landsat 4/5/7", re.compile(rf"(?P<acquisition>L[TE]0[457]{_COLLECTION})_(?P<band>\w+)"), _TM),
    _Product("Landsat 4/5/7", re.compile(rf"(?P<acquisition>L[TE][457]{_ARCHIVE})_(?P<band>\w+)"), _TM),
    _Product(
        "Sentinel-2",
        re.compile(r"(?P<acquisition>(?:L2A_)?T\d\d[A-Z]{3}_\d{8}T\d{6})_(?P<band>\w+?)(?P<size>_[126]0m)?"),
        ("B04", "B03", "B02"),
    ),
)
"""USGS, "Landsat Collection 2 Product Identifier" (bands: USGS, "What are the band designations for the Landsat
satellites"); ESA, "Sentinel-2 Products Specification Document", granule image data."""

_SIZE_FOLDER = re.compile(r"R[126]0m")
"""Sentinel-2 has a folder for each pixel size."""
_TRUE_COLOUR = "TCI"
_FINEST = ("", "_10m", "_20m", "_60m")


def stack_bands(files: Sequence[SceneFile], src: str) -> list[SceneCandidate]:
    """Return the rasters with the bands of one picture put together, in the order of their ids.

    Other bands of a product whose red, green and blue are put together are no scenes of their own. Bands that come with
    a picture of them (Sentinel-2's TCI) stay as they are, and so does everything that is not unmistakable.

    Args:
        files: what the source names.
        src: the source as given, for its `scenes.toml`.

    Raises:
        ScenesFileError: a `scenes.toml` names a file that is not there, or one file twice.
    """
    stacks, used = _named_stacks(files, src)
    for file in files:
        if file.stated is not None and file.stated.stack:
            note = "red, green and blue are rasters of their own, as its STAC item says"
            stacks.append(SceneCandidate(file, BandStack(file.stated.stack, note)))
            used.add(file.path)
    ids = {file.scene_id for file in files}
    left = [file for file in files if file.path not in used]
    for (_, acquisition), bands in _acquisitions(left).items():
        product = bands.product
        size = next((size for size in _FINEST if all((band, size) in bands.files for band in product.rgb)), None)
        if size is None or any(band == _TRUE_COLOUR for band, _ in bands.files):
            continue
        red, green, blue = (bands.files[band, size] for band in product.rgb)
        own_id = str(PurePosixPath(red.scene_id).with_name(f"{acquisition}{size}"))
        if own_id in ids:  # somebody has made a picture of it
            continue
        others = len(bands.files) - len(product.rgb)
        more = f"; its other bands ({others}) are no scenes of their own" if others else ""
        note = (
            f"red, green and blue are {', '.join(product.rgb)} of {acquisition} ({product.sensor}, by its name){more}"
        )
        stacks.append(SceneCandidate(SceneFile(red.path, own_id), BandStack((red.path, green.path, blue.path), note)))
        used |= {file.path for file in bands.files.values()}
    singles = [SceneCandidate(file) for file in files if file.path not in used]
    return sorted([*stacks, *singles], key=lambda candidate: candidate.file.scene_id)


def _named_stacks(files: Sequence[SceneFile], src: str) -> tuple[list[SceneCandidate], set[str]]:
    by_path = {str(Path(file.path).resolve()): file for file in files if not file.path.startswith("/vsi")}
    stacks: list[SceneCandidate] = []
    used: set[str] = set()
    for toml in find_scenes_files([file.path for file in files], src):
        for entry in read_scenes_file(toml).stacks:
            bands = []
            for name in (entry.red, entry.green, entry.blue):
                path = named_path(toml, name)
                if path not in by_path:
                    raise ScenesFileError(f"{toml}: '{name}' of a stack is not among the scenes of the source")
                if by_path[path].path in used:
                    raise ScenesFileError(f"{toml}: '{name}' is in two places of a stack; a file can be in one")
                bands.append(by_path[path])
                used.add(by_path[path].path)
            red, green, blue = bands
            note = f"red, green and blue are {entry.red}, {entry.green} and {entry.blue}, as {toml.name} says"
            stacks.append(SceneCandidate(red, BandStack((red.path, green.path, blue.path), note)))
    return stacks, used


class _Acquisition(NamedTuple):
    product: _Product
    files: dict[tuple[str, str], SceneFile]


def _acquisitions(files: Sequence[SceneFile]) -> dict[tuple[str, str], _Acquisition]:
    """Return the bands of each acquisition of a known product, by name and pixel size."""
    found: dict[tuple[str, str], _Acquisition] = {}
    for file in files:
        for product in _PRODUCTS:
            if match := product.pattern.fullmatch(PurePosixPath(file.path).stem):
                folder = PurePosixPath(file.path).parent
                place = str(folder.parent if _SIZE_FOLDER.fullmatch(folder.name) else folder)
                bands = found.setdefault((place, match["acquisition"]), _Acquisition(product, {}))
                bands.files[match["band"], match.groupdict().get("size") or ""] = file
                break
    return found


def describe_stack(stack: BandStack, scene_id: str, *, nodata: Nodata = "auto", crs: str | None = None) -> Scene:
    """Return the scene of three files of one band; arguments as those of `describe_scene`.

    Raises:
        SceneError: a file cannot be used, or the three do not fit together.
    """
    scenes = []
    for path in stack.paths:
        try:
            scenes.append(describe_scene(path, scene_id, nodata=nodata, crs=crs))
        except SceneError as error:
            raise SceneError(f"its band {PurePosixPath(path).name}: {error}") from error
    first = scenes[0]
    for path, other in zip(stack.paths[1:], scenes[1:], strict=True):
        for what, one, two in (
            ("size", (first.width, first.height), (other.width, other.height)),
            ("georeference", (first.transform, first.crs), (other.transform, other.crs)),
            ("data type", first.dtype, other.dtype),
            ("nodata value", str(first.nodata), str(other.nodata)),
        ):
            if one != two:
                names = f"{PurePosixPath(stack.paths[0]).name} and {PurePosixPath(path).name}"
                raise SceneError(f"its bands {names} differ in {what}: bring them to one grid (gdalwarp)")
    if any(len(scene.bands) > 1 or scene.is_palette for scene in scenes):
        raise SceneError("its files must have one band each, without a colour table")
    return replace(
        first,
        bands=(1, 2, 3),
        is_true_colour=True,
        is_sequential=any(scene.is_sequential for scene in scenes),
        has_missing_blocks=any(scene.has_missing_blocks for scene in scenes),
        notes=(stack.note, *first.notes),
        stack=stack.paths,
    )


def open_stack(scene: Scene, folder: Path) -> Scene:
    """Return a scene that reads one virtual raster in place of its files of one band; other scenes as they are."""
    if not scene.stack:
        return scene
    states = [[path, *_state_of(path)] for path in scene.stack]
    path = folder / f"{hashlib.sha256(json.dumps(states).encode()).hexdigest()[:24]}.vrt"
    folder.mkdir(parents=True, exist_ok=True)
    write_stack_vrt(scene.stack, path)
    return replace(scene, path=str(path), driver="VRT", stack=())


def _state_of(path: str) -> tuple[int, ...]:
    file = Path(path)
    return (file.stat().st_size, file.stat().st_mtime_ns) if file.is_file() else ()
