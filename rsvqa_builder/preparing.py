"""A scene made ready for its tiles: content checked, labels read, windows planned, staged where needed, stretch chosen.

Done once a scene, before any tile, on the same workers as the tiles. Labels go to one arrow file a scene, which every
worker maps instead of parsing the label files again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from annotation.facts import Gsd
from rsvqa_builder.classes import ClassTable
from rsvqa_builder.executors import Failure
from rsvqa_builder.journal import write_atomically
from rsvqa_builder.labels.completeness import Completeness, complete_classes
from rsvqa_builder.labels.features import Features
from rsvqa_builder.labels.reading import LabelReport, read_labels
from rsvqa_builder.rendering import check_content, choose_stretch
from rsvqa_builder.scenes import Scene, SceneError
from rsvqa_builder.settings import BuildSettings
from rsvqa_builder.staging import stage_if_needed
from rsvqa_builder.tile_work import SceneWork
from rsvqa_builder.tiling import Window, plan_windows


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """One scene to prepare; `work` is the build's own folder, `number` the scene's position."""

    number: int
    scene: Scene
    label_files: tuple[Path, ...]
    table: ClassTable
    settings: BuildSettings
    work: Path


@dataclass(frozen=True, slots=True)
class PreparedScene:
    """A scene that tiles can be made of."""

    work: SceneWork
    windows: tuple[Window, ...]
    labels: LabelReport | None
    completeness: Mapping[str, Completeness]


def prepare_scene(job: PrepareJob) -> PreparedScene | Failure:
    """Return the scene ready for its tiles, or why it cannot be used."""
    try:
        return _prepare(job)
    except SceneError as error:
        return Failure(str(error))


def _prepare(job: PrepareJob) -> PreparedScene:
    settings, scene = job.settings, job.scene
    check_content(scene)
    windows = plan_windows(
        scene.width,
        scene.height,
        tile_size=settings.tile_px,
        overlap=settings.overlap,
        whole_up_to=settings.whole_up_to,
    )
    scene = stage_if_needed(scene, windows, job.work / "staged")
    stretch = choose_stretch(scene, settings.stretch.value)
    if not job.label_files:
        return PreparedScene(SceneWork(scene, stretch, None, frozenset()), tuple(windows), None, {})
    labels = read_labels(job.scene, job.label_files, job.table)
    if scene.gsd_m is None and labels.report.gsd_m is not None:
        scene = replace(scene, gsd_m=Gsd(labels.report.gsd_m, labels.report.gsd_m))
    completeness = complete_classes(
        labels.features, (scene.height, scene.width), job.table, override=settings.complete.as_override
    )
    complete = frozenset(name for name, found in completeness.items() if found.is_complete)
    path = _store_features(labels.features, job.work / "labels", job.number)
    return PreparedScene(SceneWork(scene, stretch, path, complete), tuple(windows), labels.report, completeness)


def _store_features(features: Features, folder: Path, number: int) -> Path:
    """Write the features to an arrow file named by its content and return its path."""
    table = features.to_arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:05d}-{hashlib.sha256(content).hexdigest()[:16]}.arrow"
    write_atomically(path, content)
    return path
