"""Pairs of two dates: which scenes show the same ground, and whether their pixels can be laid on each other.

A pair is named in a `scenes.toml` beside the scenes, or by names that say which date they are (`dates_in_names.py`):

    [[pair]]
    earlier = "town_2014.tif"
    later = "town_2020.tif"
    earlier_date = 2014-07-20   # both dates are optional
    later_date = 2020-08-31

Of more than two dates, each is paired with the next. What is doubtful is told, never paired.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely import STRtree

from rsvqa.rsvqa_builder.scenes.dates_in_names import DatePrecision, NamedDate, named_date, two_date_folders
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl
from rsvqa.rsvqa_builder.scenes.scene import LeftOut, Scene
from rsvqa.rsvqa_builder.scenes.scenes_file import (
    SCENES_FILE,
    PairEntry,
    ScenesFileError,
    find_scenes_files,
    named_path,
    read_scenes_file,
)

MAX_SCALE_DIFFERENCE = 0.001
"""Relative difference of the pixel sizes of two dates on one grid."""

MAX_SHIFT_ERROR = 0.5
"""Pixels by which any corner may miss the later date's pixel grid: half a pixel is what rounding costs."""

MIN_SHARED = 0.5
"""Share of the smaller of two scenes that both must show to be two dates of one place."""


_LETTER = re.compile(r"[^\W\d_]")
_MAX_NAMED = 4
"""Scenes of a place that a message names."""


class DatePair(NamedTuple):
    """Two scenes of one ground."""

    earlier: Scene
    later: Scene
    earlier_date: dt.date | None
    later_date: dt.date | None


class FoundPairs(NamedTuple):
    """The pairs in the order of their earlier scenes' ids, and what could be a pair but is none, with the reason."""

    pairs: tuple[DatePair, ...]
    left_out: tuple[LeftOut, ...]


class Alignment(NamedTuple):
    """Pixel (x, y) of the earlier scene shows the same ground as pixel (x + dx, y + dy) of the later one."""

    dx: int
    dy: int


def find_pairs(scenes: Sequence[Scene], src: str, *, by_dates: bool = True) -> FoundPairs:
    """Return the pairs among scenes: those of every `scenes.toml`, then those of the names.

    A `scenes.toml` is looked for in the source folder and in every folder that holds a scene. A pair of which one scene
    has been left out of the build is left out too. A scene that is in a `scenes.toml` is in no other pair.

    Args:
        scenes: the usable scenes.
        src: the source as given, for its own folder.
        by_dates: dates in names make pairs as well, and scenes of one ground and two dates are told.

    Raises:
        ScenesFileError: a `scenes.toml` cannot be read, names a file that does not exist, or names a scene twice.
    """
    by_path = {_resolved(scene.path): scene for scene in scenes if not scene.path.startswith("/vsi")}
    pairs: dict[str, DatePair] = {}
    left_out: list[LeftOut] = []
    for file in find_scenes_files(by_path, src):
        for entry in read_scenes_file(file).pairs:
            earlier_path, later_path = (named_path(file, name) for name in (entry.earlier, entry.later))
            missing = [path for path in (earlier_path, later_path) if path not in by_path]
            if missing:
                reason = f"its pair in {file} needs {', '.join(missing)}, which is not among the usable scenes"
                left_out.append(LeftOut(earlier_path, reason))
                continue
            pair = _make_pair(by_path[earlier_path], by_path[later_path], entry)
            _check_order(pair, str(file))
            _check_unpaired(pair, pairs.values(), file)
            pairs[pair.earlier.scene_id] = pair
    doubts = _Doubts()
    for chain in _chains(_unpaired(scenes, pairs.values()), doubts, by_dates=by_dates):
        made = [_make_pair(earlier, later) for earlier, later in pairwise(chain)]
        if wrong := next((pair for pair in made if _order_problem(pair)), None):
            doubts.add(_order_problem(wrong), chain)
        else:
            pairs |= {pair.earlier.scene_id: pair for pair in made}
    if by_dates:
        for same in _same_ground(_unpaired(scenes, pairs.values())):
            doubts.add("they show the same ground at different dates", same)
    return FoundPairs(tuple(pairs[key] for key in sorted(pairs)), (*left_out, *doubts.told()))


def _unpaired(scenes: Iterable[Scene], pairs: Iterable[DatePair]) -> list[Scene]:
    paired = {scene.scene_id for pair in pairs for scene in pair[:2]}
    return [scene for scene in scenes if scene.scene_id not in paired]


class _Doubts:
    """Scenes that may be dates of one place, told once for each reason."""

    def __init__(self) -> None:
        self._places: dict[str, list[Sequence[Scene]]] = {}

    def add(self, reason: str, scenes: Sequence[Scene]) -> None:
        self._places.setdefault(reason, []).append(scenes)

    def told(self) -> list[LeftOut]:
        """Return one entry for each reason, with the first place as the example."""
        return [LeftOut(places[0][0].path, self._line(reason, places)) for reason, places in self._places.items()]

    def _line(self, reason: str, places: Sequence[Sequence[Scene]]) -> str:
        first = ", ".join(scene.scene_id for scene in places[0][:_MAX_NAMED])
        more = f" and {len(places[0]) - _MAX_NAMED} more" if len(places[0]) > _MAX_NAMED else ""
        others = f" (and so at {len(places) - 1:,} more places)" if len(places) > 1 else ""
        advice = f"name the two in {SCENES_FILE} to ask about change"
        return f"not made a pair of dates: {first}{more}{others}: {reason}; {advice}"


def _resolved(path: str | Path) -> str:
    return str(Path(path).resolve())


def _make_pair(earlier: Scene, later: Scene, entry: PairEntry | None = None) -> DatePair:
    return DatePair(
        earlier,
        later,
        (entry.earlier_date if entry else None) or _day_of(earlier),
        (entry.later_date if entry else None) or _day_of(later),
    )


def _day_of(scene: Scene) -> dt.date | None:
    return scene.acquired.date() if scene.acquired else None


def _check_order(pair: DatePair, where: str) -> None:
    if problem := _order_problem(pair):
        raise ScenesFileError(f"{where}: {problem}; swap them, or give earlier_date and later_date in {SCENES_FILE}")


def _order_problem(pair: DatePair) -> str:
    if pair.earlier_date and pair.later_date and pair.earlier_date >= pair.later_date:
        return (
            f"'{pair.earlier.scene_id}' ({pair.earlier_date}) is not earlier than '{pair.later.scene_id}' "
            f"({pair.later_date})"
        )
    return ""


def _check_unpaired(pair: DatePair, others: Iterable[DatePair], file: Path) -> None:
    earlier, later = (scene.scene_id for scene in pair[:2])
    if earlier == later:
        raise ScenesFileError(f"{file}: '{earlier}' is paired with itself")
    for other in others:
        if other.earlier.scene_id == earlier or other.later.scene_id == later:
            role, scene = ("earlier", earlier) if other.earlier.scene_id == earlier else ("later", later)
            raise ScenesFileError(f"{file}: '{scene}' is the {role} one of two pairs; it can be that of one")
        if (other.later.scene_id, other.earlier.scene_id) == (earlier, later):
            raise ScenesFileError(f"{file}: '{earlier}' and '{later}' are paired twice, in both orders")


class _Dated(NamedTuple):
    scene: Scene
    named: NamedDate


def _chains(scenes: Sequence[Scene], doubts: _Doubts, *, by_dates: bool) -> Iterator[list[Scene]]:
    """Yield the scenes of each place that their names put into an order, the earliest first."""
    in_folders = _two_date_folders(scenes)
    places: dict[tuple[str, bool], list[_Dated]] = {}
    for scene in scenes:
        named = in_folders.get(scene.scene_id) or named_date(scene.scene_id)
        if named is not None and (named.rank or by_dates):
            # words say that the ground is the same; where they do not, a georeference must
            places.setdefault((named.place, bool(named.rank)), []).append(_Dated(scene, named))
    for (_, has_words), members in places.items():
        for group in [members] if has_words else _by_ground(members):
            if len(group) < 2:
                continue
            if reason := _doubt(group):
                doubts.add(reason, [member.scene for member in group])
            else:
                yield [member.scene for member in sorted(group, key=lambda m: (m.named.rank, m.named.date))]


def _two_date_folders(scenes: Sequence[Scene]) -> dict[str, NamedDate]:
    """Return what folders like "A" and "B" say, where there are two of them and no third."""
    found: dict[str, dict[int, list[Scene]]] = {}
    thirds: dict[str, str] = {}
    ids = [scene.scene_id for scene in scenes]
    for scene in scenes:
        for place, rank, third in two_date_folders(scene.scene_id):
            found.setdefault(place, {}).setdefault(rank, []).append(scene)
            thirds[place] = third
    taken = {third for third in set(thirds.values()) if any(name.startswith(third) for name in ids)}
    return {
        scene.scene_id: NamedDate(place, rank, (), is_told_by_folder=True, contradicts=False)
        for place, ranks in found.items()
        if len(ranks) == 2 and thirds[place] not in taken
        for rank, members in ranks.items()
        for scene in members
    }


def _by_ground(members: Sequence[_Dated]) -> Iterator[list[_Dated]]:
    """Yield the members that show the same ground; those without a georeference are told by their names alone."""
    yield [member for member in members if member.scene.footprint is None]
    located = [member for member in members if member.scene.footprint is not None]
    for group in _sharing([member.scene for member in located]):
        yield [located[index] for index in group]


def _sharing(scenes: Sequence[Scene]) -> list[list[int]]:
    """Return groups of positions of located scenes that show much of the same ground."""
    shapes = [scene.footprint for scene in scenes if scene.footprint is not None]
    assert len(shapes) == len(scenes)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(scenes)))
    first, second = STRtree(shapes).query(shapes, predicate="intersects") if shapes else ((), ())
    for one, other in zip(first, second, strict=True):
        if one < other:
            smaller = min(shapely.area(shapes[one]), shapely.area(shapes[other]))
            if shapely.area(shapely.intersection(shapes[one], shapes[other])) > MIN_SHARED * smaller:
                graph.add_edge(int(one), int(other))
    return sorted(sorted(group) for group in nx.connected_components(graph))


def _doubt(group: Sequence[_Dated]) -> str:
    """Return why the names of one place do not say which date comes first; "" when they do."""
    named = [member.named for member in group]
    ranks = [name.rank for name in named]
    if any(name.contradicts for name in named):
        return "one name says two different things"
    if ranks[0]:
        if len(set(ranks)) < len(ranks):
            return "several have the same word for their date"
        in_order = [name.date for name in sorted(named, key=lambda name: name.rank)]
        if all(in_order) and any(one > other for one, other in pairwise(in_order)):
            return "the dates in their names contradict the words"
        return ""
    dates = [name.date for name in named]
    if len({len(date) for date in dates}) > 1:
        return "their dates are not given alike"
    if len(set(dates)) < len(dates):
        return "several have the same date"
    is_placed = group[0].scene.footprint is not None
    if is_placed:
        return ""
    if len(dates[0]) == DatePrecision.YEAR and not all(name.is_told_by_folder for name in named):
        return "the numbers in their names may be no years"
    if not _LETTER.search(PurePosixPath(named[0].place).name):
        return "they have no georeference, and their names without the date are mere numbers, which may be of any place"
    return ""


def _same_ground(scenes: Sequence[Scene]) -> Iterator[list[Scene]]:
    """Yield scenes whose pixels can be laid on each other and that were taken on different days, the earliest first."""
    located = [scene for scene in scenes if scene.footprint is not None and scene.acquired is not None]
    for group in _sharing(located):
        by_day = {_day_of(located[index]): located[index] for index in reversed(group)}
        days = sorted(day for day in by_day if day is not None)
        chain = [by_day[day] for day in days]
        if len(chain) > 1 and all(isinstance(alignment(*two), Alignment) for two in pairwise(chain)):
            yield chain


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
