"""A scene made ready for its tiles: content checked, labels read, windows planned, stretch chosen, and then staged.

Done once per scene, before any tile, on the same workers as the tiles. Labels go to one arrow file per scene. Every
worker maps that file instead of parsing the label files again. Staging is a step of its own, as it is the one that may
take long and is of no use where the tiles of a scene are done already.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from rsvqa.annotation.facts import Gsd
from rsvqa.rsvqa_builder.files import whole_file
from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles
from rsvqa.rsvqa_builder.label_files.reading import SheetFrame, read_labels
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.completeness import ClassCompleteness, complete_classes
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.report import LabelReport
from rsvqa.rsvqa_builder.scenes.rasters import read_surely
from rsvqa.rsvqa_builder.scenes.rendering import count_whole_reads, survey
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut
from rsvqa.rsvqa_builder.scenes.stacks import open_stack
from rsvqa.rsvqa_builder.scenes.staging import stage_if_needed
from rsvqa.rsvqa_builder.scenes.tiling import Window, plan_windows
from rsvqa.rsvqa_builder.source_settings import Source
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.sources import Sources, join_sheets
from rsvqa.rsvqa_builder.tiles.tile_work import SceneWork


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareJob:
    """One scene to prepare.

    Attributes:
        number: the scene's position in the build.
        scene: as described from its header.
        label_files: of the scene.
        frames: of the label files that belong to sheets of a mosaic.
        source: that the scene comes from.
        table: class table of the source.
        work: the build's own folder.
    """

    number: int
    scene: Scene
    label_files: LabelFiles
    frames: Mapping[Path, tuple[SheetFrame, ...]]
    source: Source
    table: ClassTable
    work: Path

    @property
    def files(self) -> tuple[str]:
        """Files that are read: a mosaic is one of the work folder."""
        return (self.scene.path,)

    @property
    def windows(self) -> list[Window]:
        """Return those of the scene's tiles, which follow from its header."""
        settings = self.source.settings
        return plan_windows(
            self.scene.width,
            self.scene.height,
            tile_size=settings.tile_px,
            overlap=settings.overlap,
            whole_up_to=settings.whole_up_to,
        )


class PreparePlan(NamedTuple):
    """The scenes to prepare, mosaics in the place of their sheets, and what a person should know of the sources."""

    jobs: tuple[PrepareJob, ...]
    remarks: tuple[LeftOut, ...]


def plan_preparing(sources: Sources, work: Path) -> PreparePlan:
    """Return what there is to prepare of a build's sources; fields as in `PrepareJob`."""
    found, left_alone = join_sheets(sources, work / "mosaics")
    jobs = tuple(
        PrepareJob(
            number=number,
            scene=source.scene,
            label_files=source.labels,
            frames=source.frames,
            source=source.source,
            table=sources.tables[source.source.name],
            work=work,
        )
        for number, source in enumerate(found)
    )
    return PreparePlan(jobs, (*sources.broken_pairs, *left_alone))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedScene:
    """A scene that tiles can be made of.

    Attributes:
        work: what its tiles need.
        source: name of the source that it comes from.
        windows: of its tiles.
        labels: what became of its label files.
        class_counts: labels used, by class, in the order of the class table; only classes that have any.
        completeness: whether every instance is labelled, by class of the table.
        num_whole_reads: how often the whole scene has been decoded for this.
    """

    work: SceneWork
    source: str
    windows: tuple[Window, ...]
    labels: LabelReport
    class_counts: Mapping[str, int]
    completeness: Mapping[str, ClassCompleteness]
    num_whole_reads: int

    @property
    def labels_digest(self) -> str:
        """Of all that was read of the labels, as in the name of their file; "" where there are none."""
        return "" if self.work.labels is None else self.work.labels.stem.rpartition("-")[2]

    @property
    def files(self) -> list[str | Path]:
        """Files that were made, and others."""
        return [path for path in (self.work.scene.path, self.work.labels) if path is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """A scene of which tiles will be read.

    Attributes:
        scene: as prepared.
        windows: that will be read.
        num_whole_reads: see `PreparedScene`.
        folder: for copies.
    """

    scene: Scene
    windows: Sequence[Window]
    num_whole_reads: int
    folder: Path

    @property
    def files(self) -> tuple[str]:
        """Files that are read: a virtual raster is one of the work folder."""
        return (self.scene.path,)


def stage_scene(job: StageJob) -> Scene | Failure:
    """Return the scene, or its tiled copy where that saves decoding, or why there is none."""
    try:
        return read_surely(
            job.scene.path,
            lambda: stage_if_needed(job.scene, job.windows, job.folder, num_stretch_reads=job.num_whole_reads),
        )
    except SceneError as error:
        return Failure(str(error))


def prepare_scene(job: PrepareJob) -> PreparedScene | Failure:
    """Return the scene ready for its tiles, or why it cannot be used."""
    try:
        return read_surely(job.scene.path, lambda: _prepare(job))
    except SceneError as error:
        return Failure(str(error))
    finally:
        _give_back_memory()


def _give_back_memory() -> None:
    """Return what labels have taken to the system: the C library keeps hundreds of MB, and this process makes tiles."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, TypeError, AttributeError):  # Windows, macOS, musl
        ctypes.CDLL(None).malloc_trim(0)


def _prepare(job: PrepareJob) -> PreparedScene:
    settings = job.source.settings
    scene, stretch = survey(
        open_stack(job.scene, job.work / "stacks"), settings.stretch, finds_fill=settings.nodata == "auto"
    )
    labels = read_labels(replace(scene, path=job.scene.path), job.label_files, job.table, frames=job.frames)
    completeness = complete_classes(
        labels.features,
        (scene.height, scene.width),
        job.table,
        override=settings.complete.as_override,
        doubts=labels.doubts,
        by_models=labels.by_models,
        is_labelled=labels.report.has_labels,
    )
    gsd_m = labels.report.gsd_m or job.source.gsd_m
    if scene.gsd_m is None and gsd_m is not None:
        scene = replace(scene, gsd_m=Gsd(gsd_m, gsd_m))
    work = SceneWork(
        scene=scene,
        stretch=stretch,
        labels=_store_features(labels.features, job.work / "labels", job.number) if len(labels.features) else None,
        complete_classes=frozenset(name for name, found in completeness.items() if found.is_complete),
        mapped_classes=frozenset(name for name, found in completeness.items() if found.where_covered),
    )
    counts = Counter(labels.features.class_names)
    class_counts = {name: counts[name] for name in job.table.classes if name in counts}
    return PreparedScene(
        work=work,
        source=job.source.name,
        windows=tuple(job.windows),
        labels=labels.report,
        class_counts=class_counts,
        completeness=completeness,
        num_whole_reads=count_whole_reads(scene, settings.stretch),
    )


def _store_features(features: Features, folder: Path, number: int) -> Path:
    """Write the features to an arrow file named by its content and return its path."""
    table = features.to_arrow()
    folder.mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256()
    _write_arrow(table, _Hashed(content))  # the name comes first, and the bytes of all labels are never in memory
    path = folder / f"{number:05d}-{content.hexdigest()[:16]}.arrow"
    with whole_file(path, if_absent=True) as partial, partial.open("wb") as file:
        _write_arrow(table, file)
    return path


def _write_arrow(table: pa.Table, file: io.RawIOBase | BinaryIO) -> None:
    with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer:
        writer.write_table(table)


class _Hashed(io.RawIOBase):
    """A file of which nothing is kept but a digest."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest = digest

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, content: Any) -> int:  # noqa: ANN401  whatever arrow's buffers look like
        """Add to the digest and return the number of bytes."""
        view = memoryview(content)
        self._digest.update(view)
        return view.nbytes
