"""What a build starts from: scenes with their label files, pairs of dates, and mosaics of sheets.

Only names and headers are looked at here, and samples of rasters that may be class masks.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rsvqa.annotation.facts import Gsd
from rsvqa.rsvqa_builder.label_files.class_rasters import ClassRaster, SampleAll, find_class_rasters
from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles, find_labels, may_be_labels
from rsvqa.rsvqa_builder.label_files.layouts import is_elevation_raster, is_label_raster
from rsvqa.rsvqa_builder.label_files.mask import knows_values
from rsvqa.rsvqa_builder.label_files.reading import SheetFrame
from rsvqa.rsvqa_builder.label_files.xbd import capture_time
from rsvqa.rsvqa_builder.labels.classes import ClassTable, ClassTableError, load_class_table
from rsvqa.rsvqa_builder.scenes.mosaic import Mosaic, Sheet, build_mosaics
from rsvqa.rsvqa_builder.scenes.pairs import DatePair, find_pairs
from rsvqa.rsvqa_builder.scenes.rasters import SceneError
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut, SceneFile, SourceError, find_scenes
from rsvqa.rsvqa_builder.scenes.scenes_file import SCENES_FILE
from rsvqa.rsvqa_builder.scenes.stac import StacScene
from rsvqa.rsvqa_builder.scenes.stacks import BandStack, describe_stack, stack_bands
from rsvqa.rsvqa_builder.settings import BuildSettings, Nodata
from rsvqa.rsvqa_builder.source_settings import Source, load_sources
from rsvqa.rsvqa_builder.tiles.dedup import find_excluded_files
from rsvqa.rsvqa_builder.tiles.executors import Failure

MAX_GSD_DIFFERENCE = 0.2
"""Share by which a catalogue's nominal pixel size may be off that of the raster before a note says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """One scene and its label files; nothing of either has been read but the header.

    Attributes:
        scene: a raster, or a mosaic.
        source: that it comes from.
        labels: the label files of the scene, or of all sheets of the mosaic.
        frames: of the label files that belong to sheets of a mosaic.
    """

    scene: Scene
    source: Source
    labels: LabelFiles
    frames: Mapping[Path, tuple[SheetFrame, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a build reads.

    Attributes:
        members: the sources, in the order of their scenes.
        tables: their class tables, by name.
        scenes: in the order of their ids.
        left_out: what was found but cannot be a scene.
        searched: what was looked for and where, for a message when there is nothing.
        pairs: two dates of one ground.
        broken_pairs: what could be a pair and is none, with the reason; the scenes are used by themselves.
        orphans: label files that belong to no scene, with what to do.
        passed_over: files that are read neither as scenes nor as labels, with what to do.
        inputs: [size in bytes, time of change in ns] of every local file, by path relative to the source folder, after
            the name of the source where there are several.
    """

    members: tuple[Source, ...]
    tables: Mapping[str, ClassTable]
    scenes: tuple[SceneSource, ...]
    left_out: tuple[LeftOut, ...]
    searched: str
    pairs: tuple[DatePair, ...]
    broken_pairs: tuple[LeftOut, ...]
    orphans: tuple[LeftOut, ...]
    passed_over: tuple[LeftOut, ...]
    inputs: Mapping[str, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeJob:
    """One raster to describe, or three of one band each."""

    file: SceneFile
    bands: tuple[int, int, int] | None
    stack: BandStack | None = None
    nodata: Nodata = "auto"
    crs: str | None = None


def describe(job: DescribeJob) -> Scene | Failure:
    """Return the scene that a raster's header describes, or why it cannot be one."""
    try:
        return _as_stated(_described(job), job.file.stated)
    except SceneError as error:
        return Failure(str(error))


def _described(job: DescribeJob) -> Scene:
    if job.stack is not None:
        return describe_stack(job.stack, job.file.scene_id, nodata=job.nodata, crs=job.crs)
    stated = None if job.file.stated is None else job.file.stated.bands
    bands = job.bands or stated
    return describe_scene(job.file.path, job.file.scene_id, bands=bands, nodata=job.nodata, crs=job.crs)


def _as_stated(scene: Scene, stated: StacScene | None) -> Scene:
    """Return a scene with the time that its STAC item states, and its pixel size where the raster has none."""
    if stated is None:
        return scene
    notes = [note for note in scene.notes if stated.acquired is None or not note.startswith("the date ")]
    gsd_m = scene.gsd_m
    if stated.gsd_m is not None:
        if gsd_m is None:
            gsd_m = Gsd(stated.gsd_m, stated.gsd_m)
            notes.append(f"its pixels are {stated.gsd_m:g} m, as its STAC item says")
        elif abs(gsd_m.x_m - stated.gsd_m) > MAX_GSD_DIFFERENCE * gsd_m.x_m:
            notes.append(f"its STAC item says {stated.gsd_m:g} m per pixel, but its georeference {gsd_m.x_m:.3g} m")
    return replace(scene, acquired=stated.acquired or scene.acquired, gsd_m=gsd_m, notes=tuple(notes))


def find_sources(
    settings: BuildSettings,
    describe_all: Callable[[Sequence[DescribeJob]], Sequence[Scene | Failure]],
    sample_all: SampleAll | None = None,
) -> Sources:
    """Return the scenes that `settings.src` names, with their label files.

    Scenes, labels and pairs are looked for in one source at a time: nothing of one belongs to another.

    Args:
        settings: of the build.
        describe_all: runs `describe` over the rasters, wherever the build's work runs.
        sample_all: runs `few_values` over those that may be class masks; this process does by default.

    Raises:
        SettingsError, ClassTableError, SourceError, ExcludeError: something that the settings name is wrong or not
            there.
    """
    members = load_sources(settings)
    tables = {member.name: _load_table(member) for member in members}
    excluded = find_excluded_files(settings.exclude)
    found = [_find_in(member, tables[member.name], describe_all, sample_all) for member in members]
    inputs = {
        f"{member.prefix}{name}": stat
        for member, one in zip(members, found, strict=True)
        for name, stat in one.inputs.items()
    }
    inputs |= _stat(excluded, Path(members[0].root))
    return Sources(
        members=members,
        tables=tables,
        scenes=tuple(chain.from_iterable(one.scenes for one in found)),
        left_out=tuple(chain.from_iterable(one.left_out for one in found)),
        searched="; ".join(one.searched for one in found),
        pairs=tuple(chain.from_iterable(one.pairs for one in found)),
        broken_pairs=tuple(chain.from_iterable(one.broken_pairs for one in found)),
        orphans=tuple(chain.from_iterable(one.orphans for one in found)),
        passed_over=tuple(chain.from_iterable(one.passed_over for one in found)),
        inputs=dict(sorted(inputs.items())),
    )


def _load_table(source: Source) -> ClassTable:
    try:
        return load_class_table(source.settings.classes)
    except ClassTableError as error:
        if not source.file:
            raise
        raise ClassTableError(f"{source.file}: source {source.name!r}: {error}") from error


def _find_in(
    source: Source,
    table: ClassTable,
    describe_all: Callable[[Sequence[DescribeJob]], Sequence[Scene | Failure]],
    sample_all: SampleAll | None,
) -> Sources:
    """Return what a build reads of one source; ids of scenes begin with the source's prefix."""
    settings = source.settings
    elevations: list[str] = []
    found = find_scenes(source.root, is_label=lambda name, path: _is_no_scene(name, path, elevations))
    files = [file._replace(scene_id=f"{source.prefix}{file.scene_id}") for file in found.candidates]
    rasters = stack_bands(files, source.root)
    extra = _named_labels(settings.labels)
    described = describe_all(
        [
            DescribeJob(file=file, stack=stack, bands=settings.bands, nodata=settings.nodata, crs=settings.crs)
            for file, stack in rasters
        ]
    )
    usable = [scene for scene in described if isinstance(scene, Scene)]
    masks = _place_class_rasters(find_class_rasters(usable, sample_all), table)
    root = Path(source.root) if Path(source.root).is_dir() else None
    candidates = [
        (file, scene)
        for (file, _), scene in zip(rasters, described, strict=True)
        if isinstance(scene, Failure) or scene.path not in masks.paths
    ]
    labels = find_labels([file.path for file, _ in candidates], extra, root=root)
    scenes, left_out = [], list(found.left_out)
    if source.prefix and not files:
        left_out.append(LeftOut(source.root, f"the source {source.name!r} has no scene: looked for {found.searched}"))
    for (file, scene), label_files in zip(candidates, labels.of_scenes, strict=True):
        if isinstance(scene, Failure):
            left_out.append(LeftOut(file.path, scene.reason))
        else:
            own = masks.of_scenes.get(scene.path, ())
            if file.stated is not None:
                own = (*own, *map(Path, file.stated.labels))
            all_files = tuple(dict.fromkeys((*label_files.files, *own)))
            scenes.append(SceneSource(scene=scene, source=source, labels=replace(label_files, files=all_files)))
    scenes = [_dated_by_labels(scene_source) for scene_source in scenes]
    # sheets of one year are to be joined, not each laid on that of another year
    pairs = find_pairs([one.scene for one in scenes], source.root, by_dates=not settings.mosaic)
    used = {Path(path) for one in scenes for path in one.labels.files}
    orphans = [orphan for orphan in labels.orphans if Path(orphan.path) not in used]
    inputs = [Path(file.path) for file in files] + [path for scene in scenes for path in scene.labels.files]
    inputs += [Path(path) for path in found.catalogues]
    inputs += sorted({path.parent / SCENES_FILE for path in inputs})
    return Sources(
        members=(source,),
        tables={source.name: table},
        scenes=_with_dates(scenes, pairs.pairs),
        left_out=tuple(left_out),
        searched=found.searched,
        pairs=pairs.pairs,
        broken_pairs=pairs.left_out,
        passed_over=(*found.unread, *_of_heights(elevations), *_far_labels(source, found.beside)),
        orphans=(*_without_scene(masks, scenes), *orphans),
        inputs=_stat(inputs, Path(source.root)),
    )


class _PlacedMasks(NamedTuple):
    """Class rasters that were found among the scenes.

    Attributes:
        paths: of all of them.
        of_scenes: those that are labels of a scene, by its path.
        unused: the others, with what to do.
    """

    paths: frozenset[str]
    of_scenes: Mapping[str, Sequence[Path]]
    unused: Sequence[LeftOut]


def _place_class_rasters(rasters: Sequence[ClassRaster], table: ClassTable) -> _PlacedMasks:
    """Return whose labels class rasters are; one of a single scene is its label where the table has its values."""
    of_scenes: dict[str, list[Path]] = {}
    unused = []
    for raster in rasters:
        knows = knows_values(Path(raster.path), raster.values, table)
        if knows and len(raster.twins) == 1:
            of_scenes.setdefault(raster.twins[0].path, []).append(Path(raster.path))
            continue
        hint = (
            "to use it, give it the stem of its scene"
            if knows
            else "to use it, give classes= with a table that has its values as mask_values or mask_rgb"
        )
        unused.append(LeftOut(raster.path, f"{raster.what_it_is}; {hint}"))
    return _PlacedMasks(frozenset(raster.path for raster in rasters), of_scenes, unused)


def _without_scene(masks: _PlacedMasks, scenes: Sequence[SceneSource]) -> list[LeftOut]:
    """Return the class rasters that are no scene's label; those that the user gives as labels are not listed."""
    used = {str(path) for source in scenes for path in source.labels.files}
    return [left_out for left_out in masks.unused if left_out.path not in used]


def _is_no_scene(name: str, path: str, elevations: list[str]) -> bool:
    """Tell by its name whether a raster is no scene; the paths of those of heights are added to `elevations`."""
    if is_label_raster(name):
        return True
    if is_elevation_raster(name):
        elevations.append(path)
        return True
    return False


def _of_heights(elevations: Sequence[str]) -> list[LeftOut]:
    """Return one line per folder of rasters that are neither scenes nor labels."""
    of_folder: dict[str, list[str]] = {}
    for path in sorted(elevations):
        of_folder.setdefault(str(PurePosixPath(path).parent), []).append(PurePosixPath(path).name)
    return [
        LeftOut(folder, f"{len(names)} rasters of heights ({names[0]} the first) are neither scenes nor labels")
        for folder, names in of_folder.items()
    ]


def _far_labels(source: Source, names: Sequence[str]) -> list[LeftOut]:
    """Return a line on the files of a storage that would be labels in a folder, where the user gives no others."""
    labels = [name for name in names if may_be_labels(name)]
    if not labels or source.settings.labels:
        return []
    what = f"{len(labels):,} files that may be labels ({labels[0]} the first) are not read from a storage"
    return [LeftOut(source.root, f"{what}: copy them into a folder of this machine, and give it as `labels`")]


def _named_labels(labels: Sequence[str]) -> list[Path]:
    for label in labels:
        if not label.startswith("/vsi") and not Path(label).exists():
            raise SourceError(f"`labels` {label}: no such file or folder")
    return [Path(label) for label in labels]


def join_sheets(sources: Sources, folder: Path) -> tuple[tuple[SceneSource, ...], tuple[LeftOut, ...]]:
    """Return the scenes with neighbouring sheets joined into mosaics, and the sheets that could not be, with reasons.

    A mosaic has the labels of all its sheets; scenes of a pair of dates are left alone, and so are sources that do not
    ask for mosaics.

    Args:
        sources: of the build.
        folder: where the mosaics' VRT files go.
    """
    paired = {scene.scene_id for pair in sources.pairs for scene in (pair.earlier, pair.later)}
    scenes: list[SceneSource] = []
    left_alone: list[LeftOut] = []
    for member in sources.members:
        own = [source for source in sources.scenes if source.source is member]
        if not member.settings.mosaic:
            scenes += own
            continue
        joined = build_mosaics([source.scene for source in own], folder / member.prefix, apart=paired)
        source_of = {source.scene.scene_id: source for source in own}
        for mosaic in joined.mosaics:
            source_of[mosaic.scene.scene_id] = _mosaic_source(mosaic, source_of)
        scenes += [source_of[scene.scene_id] for scene in joined.scenes]
        left_alone += joined.left_alone
    return tuple(scenes), tuple(left_alone)


def _mosaic_source(mosaic: Mosaic, source_of: Mapping[str, SceneSource]) -> SceneSource:
    """Return a mosaic with the labels of its sheets; those of one sheet, or of named ones, count in their pixels."""
    owners: dict[Path, list[Sheet]] = {}
    parts = [source_of[sheet.scene.scene_id].labels for sheet in mosaic.sheets]
    source = source_of[mosaic.sheets[0].scene.scene_id].source
    for sheet, labels in zip(mosaic.sheets, parts, strict=True):
        for file in labels.files:
            owners.setdefault(file, []).append(sheet)
    by_image = frozenset(path for labels in parts for path in labels.by_image)
    frames = {
        file: tuple(SheetFrame(*sheet) for sheet in sheets)
        for file, sheets in owners.items()
        if len(sheets) == 1 or file in by_image
    }
    joined = LabelFiles(
        files=tuple(owners),
        refused={path: reason for labels in parts for path, reason in labels.refused.items()},
        shared=frozenset(path for labels in parts for path in labels.shared),
        by_image=by_image,
        rivals=tuple(dict.fromkeys(path for labels in parts for path in labels.rivals)),
        voc_from_zero=parts[0].voc_from_zero,
    )
    return SceneSource(scene=mosaic.scene, source=source, labels=joined, frames=frames)


def _with_dates(scenes: Sequence[SceneSource], pairs: Sequence[DatePair]) -> tuple[SceneSource, ...]:
    """Return the scenes with the dates that a `scenes.toml` gives them."""
    dates = {pair.earlier.scene_id: pair.earlier_date for pair in pairs}
    dates |= {pair.later.scene_id: pair.later_date for pair in pairs}
    return tuple(
        replace(source, scene=_dated(source.scene, date)) if (date := dates.get(source.scene.scene_id)) else source
        for source in scenes
    )


def _dated_by_labels(source: SceneSource) -> SceneSource:
    """Return a scene that says no date with the one that its xBD label file says."""
    own = [path for path in source.labels.files if path.suffix.lower() == ".json" and path not in source.labels.shared]
    if source.scene.acquired is not None or len(own) != 1 or (day := capture_time(own[0])) is None:
        return source
    note = f"the date {day.date()} is that of {own[0].name}"
    return replace(source, scene=replace(source.scene, acquired=day, notes=(*source.scene.notes, note)))


def _dated(scene: Scene, date: dt.date) -> Scene:
    if scene.acquired is not None and scene.acquired.date() == date:
        return scene
    return replace(scene, acquired=dt.datetime.combine(date, dt.time()))


def _stat(files: Iterable[Path], src: Path) -> dict[str, list[int]]:
    """Return size and time of change of the local files; names do not depend on where the source folder lies."""
    base = src if src.is_dir() else src.parent
    found = {}
    for file in files:
        if file.is_file():
            status = file.stat()
            found[Path(os.path.relpath(file, base)).as_posix()] = [status.st_size, status.st_mtime_ns]
    return dict(sorted(found.items()))
