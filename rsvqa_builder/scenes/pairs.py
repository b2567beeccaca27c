"""Pairs of two dates: which scenes show the same ground, and whether their pixels can be laid on each other.

A pair is named in a `scenes.toml` beside the scenes, or by file names that end in `_t1` and `_t2`:

    [[pair]]
    earlier = "town_2014.tif"
    later = "town_2020.tif"
    earlier_date = 2014-07-20   # both dates are optional
    later_date = 2020-08-31
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pyproj import CRS

from rsvqa.annotation.errors import RsvqaError, nearest
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl
from rsvqa.rsvqa_builder.scenes.scene import LeftOut, Scene

PAIRS_FILE = "scenes.toml"

MAX_SCALE_DIFFERENCE = 0.001
"""Relative difference of the pixel sizes of two dates on one grid."""

MAX_SHIFT_ERROR = 0.5
"""Pixels by which any corner may miss the later date's pixel grid: half a pixel is what rounding costs."""

_SUFFIX = re.compile(r"^(?P<place>.+)_t(?P<date>[12])$", re.IGNORECASE)


class PairsError(RsvqaError):
    """A `scenes.toml` is wrong; the message names the file and the entry."""


class DatePair(NamedTuple):
    """Two scenes of one ground."""

    earlier: Scene
    later: Scene
    earlier_date: dt.date | None
    later_date: dt.date | None


class FoundPairs(NamedTuple):
    """The pairs in the order of their earlier scenes' ids, and what was named but cannot be paired."""

    pairs: tuple[DatePair, ...]
    left_out: tuple[LeftOut, ...]


class Alignment(NamedTuple):
    """Pixel (x, y) of the earlier scene shows the same ground as pixel (x + dx, y + dy) of the later one."""

    dx: int
    dy: int


class _PairEntry(BaseModel):
    """One `[[pair]]` of a `scenes.toml`; paths are relative to the file."""

    model_config = ConfigDict(extra="forbid")

    earlier: str
    later: str
    earlier_date: dt.date | None = None
    later_date: dt.date | None = None


class _PairsFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pair: list[_PairEntry] = []


def find_pairs(scenes: Sequence[Scene], src: str) -> FoundPairs:
    """Return the pairs among scenes: those of every `scenes.toml`, then those of the names.

    A `scenes.toml` is looked for in the source folder and in every folder that holds a scene. A pair of which one scene
    has been left out of the build is left out too.

    Args:
        scenes: the usable scenes.
        src: the source as given, for its own folder.

    Raises:
        PairsError: a `scenes.toml` cannot be read, names a file that does not exist, or names a scene twice.
    """
    by_path = {_resolved(scene.path): scene for scene in scenes if not scene.path.startswith("/vsi")}
    pairs: dict[str, DatePair] = {}
    left_out: list[LeftOut] = []
    for file in _pairs_files(by_path, src):
        for entry in _read_entries(file):
            earlier_path, later_path = (_named_path(file, name) for name in (entry.earlier, entry.later))
            missing = [path for path in (earlier_path, later_path) if path not in by_path]
            if missing:
                reason = f"its pair in {file} needs {', '.join(missing)}, which is not among the usable scenes"
                left_out.append(LeftOut(earlier_path, reason))
                continue
            pair = _make_pair(by_path[earlier_path], by_path[later_path], entry)
            _check_order(pair, str(file))
            _check_unpaired(pair, pairs.values(), file)
            pairs[pair.earlier.scene_id] = pair
    paired = {scene.scene_id for pair in pairs.values() for scene in pair[:2]}
    for pair in _pairs_by_name([scene for scene in scenes if scene.scene_id not in paired]):
        _check_order(pair, "the names _t1 and _t2")
        pairs[pair.earlier.scene_id] = pair
    return FoundPairs(tuple(pairs[key] for key in sorted(pairs)), tuple(left_out))


def _resolved(path: str | Path) -> str:
    return str(Path(path).resolve())


def _pairs_files(paths: Iterable[str], src: str) -> list[Path]:
    source = Path(src)
    folders = {Path(path).parent for path in paths}
    if not src.startswith("/vsi"):
        folders.add((source if source.is_dir() else source.parent).resolve())
    return [folder / PAIRS_FILE for folder in sorted(folders) if (folder / PAIRS_FILE).is_file()]


def _read_entries(file: Path) -> list[_PairEntry]:
    try:
        return _PairsFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).pair
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PairsError(f"{file}: not a readable TOML file: {error}") from error
    except ValidationError as error:
        raise PairsError(f"{file}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{where}: {problem['msg'].lower()}"
    known = [*_PairEntry.model_fields] if len(problem["loc"]) > 1 else [*_PairsFile.model_fields]
    return f"unknown key {where}{nearest(str(problem['loc'][-1]), known)}"


def _named_path(file: Path, name: str) -> str:
    path = file.parent / name
    if not path.is_file():
        raise PairsError(f"{file}: '{name}' does not exist; paths are relative to this file")
    return _resolved(path)


def _make_pair(earlier: Scene, later: Scene, entry: _PairEntry | None = None) -> DatePair:
    return DatePair(
        earlier,
        later,
        (entry.earlier_date if entry else None) or _day_of(earlier),
        (entry.later_date if entry else None) or _day_of(later),
    )


def _day_of(scene: Scene) -> dt.date | None:
    return scene.acquired.date() if scene.acquired else None


def _check_order(pair: DatePair, where: str) -> None:
    if pair.earlier_date and pair.later_date and pair.earlier_date >= pair.later_date:
        raise PairsError(
            f"{where}: '{pair.earlier.scene_id}' ({pair.earlier_date}) is not earlier than '{pair.later.scene_id}' "
            f"({pair.later_date}); swap them, or give earlier_date and later_date in {PAIRS_FILE}"
        )


def _check_unpaired(pair: DatePair, others: Iterable[DatePair], file: Path) -> None:
    taken = {scene.scene_id for other in others for scene in other[:2]}
    for scene in pair[:2]:
        if scene.scene_id in taken:
            raise PairsError(f"{file}: '{scene.scene_id}' is in two pairs; a scene can be in one")
    if pair.earlier.scene_id == pair.later.scene_id:
        raise PairsError(f"{file}: '{pair.earlier.scene_id}' is paired with itself")


def _pairs_by_name(scenes: Iterable[Scene]) -> list[DatePair]:
    places: dict[str, dict[str, Scene]] = {}
    for scene in scenes:
        match = _SUFFIX.match(scene.scene_id)
        if match:
            places.setdefault(match["place"], {})[match["date"]] = scene
    return [_make_pair(dates["1"], dates["2"]) for dates in places.values() if len(dates) == 2]


def alignment(earlier: Scene, later: Scene) -> Alignment | str:
    """Return how the later scene's pixels lie on the earlier one's, or the reason why they do not.

    Aligned are scenes of one CRS whose pixels have the same size and rotation and lie within half a pixel of each other
    at every corner, and pictures without georeference that have the same size.
    """
    if earlier.transform is None or later.transform is None:
        return _alignment_of_pictures(earlier, later)
    if not same_crs(earlier.crs, later.crs):
        return "the two dates are not aligned: they have different coordinate reference systems"
    if isinstance(earlier.transform, GroundControl) or isinstance(later.transform, GroundControl):
        return "the two dates are not aligned: control points or RPCs place one of them (gdalwarp gives it a grid)"
    difference = _scale_difference(earlier.transform, later.transform)
    if difference > MAX_SCALE_DIFFERENCE:
        return f"the two dates are not aligned: their pixels differ by {difference:.2%} in size or direction"
    offsets = _corner_offsets(earlier, earlier.transform, later.transform)
    shift = np.rint(offsets.mean(axis=0))
    error = float(np.abs(offsets - shift).max())
    if error > MAX_SHIFT_ERROR + 1e-6:
        return f"the two dates are not aligned: up to {error:.2f} px apart after the best whole-pixel shift"
    found = Alignment(int(shift[0]), int(shift[1]))
    if not _overlap(earlier, later, found):
        return "the two dates show different ground: their pixels do not overlap"
    return found


def _alignment_of_pictures(earlier: Scene, later: Scene) -> Alignment | str:
    if earlier.transform is not None or later.transform is not None:
        return "the two dates are not aligned: only one of them has a georeference"
    if (earlier.width, earlier.height) != (later.width, later.height):
        return (
            f"the two dates are not aligned: without georeference they must have one size, but have {earlier.width} × "
            f"{earlier.height} and {later.width} × {later.height} px"
        )
    return Alignment(0, 0)


def same_crs(earlier: str | None, later: str | None) -> bool:
    """Tell whether two CRSs, given as WKT, are one; None is one of its own."""
    if earlier is None or later is None:
        return earlier == later
    return earlier == later or CRS.from_wkt(earlier).equals(CRS.from_wkt(later), ignore_axis_order=True)


def _scale_difference(one: AffineCoefficients, other: AffineCoefficients) -> float:
    """Return by how much a step along a pixel's side differs between two grids, in pixels of the other one."""
    steps = np.array([[1.0, 0.0], [0.0, 1.0]])
    x, y = other._replace(c=0.0, f=0.0).to_pixels(*one._replace(c=0.0, f=0.0).to_map(steps[:, 0], steps[:, 1]))
    return float(np.hypot(x - steps[:, 0], y - steps[:, 1]).max())


def _corner_offsets(earlier: Scene, one: AffineCoefficients, other: AffineCoefficients) -> NDArray[np.float64]:
    """Return by how much the earlier scene's corners are shifted in the pixels of the other grid: (4, 2)."""
    columns = np.array([0.0, earlier.width, earlier.width, 0.0])
    rows = np.array([0.0, 0.0, earlier.height, earlier.height])
    x, y = other.to_pixels(*one.to_map(columns, rows))
    return np.column_stack([x - columns, y - rows])


def _overlap(earlier: Scene, later: Scene, shift: Alignment) -> bool:
    starts = max(0, shift.dx), max(0, shift.dy)
    ends = min(earlier.width + shift.dx, later.width), min(earlier.height + shift.dy, later.height)
    return ends[0] > starts[0] and ends[1] > starts[1]
