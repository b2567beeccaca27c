"""What a build starts from: scenes with their label files, and mosaics of sheets.

Only names and headers are looked at here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rsvqa_builder.executors import Failure
from rsvqa_builder.labels.discovery import find_labels, is_label_raster
from rsvqa_builder.mosaic import build_mosaics
from rsvqa_builder.rasters import SceneError
from rsvqa_builder.scene_files import LeftOut, SceneFile, find_scenes
from rsvqa_builder.scenes import Scene, describe_scene
from rsvqa_builder.settings import BuildSettings


@dataclass(frozen=True, slots=True)
class Source:
    """One scene and its label files; nothing of either has been read but the header."""

    scene: Scene
    label_files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a build reads.

    Attributes:
        scenes: in the order of their ids.
        left_out: what was found but cannot be a scene.
        searched: what was looked for and where, for a message when there is nothing.
        inputs: [size in bytes, time of change in ns] of every local file, by path relative to the source folder.
    """

    scenes: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]
    searched: str
    inputs: Mapping[str, list[int]]


class DescribeJob(NamedTuple):
    """One raster to describe."""

    file: SceneFile
    bands: tuple[int, int, int] | None


def describe(job: DescribeJob) -> Scene | Failure:
    """Return the scene that a raster's header describes, or why it cannot be one."""
    try:
        return describe_scene(job.file.path, job.file.scene_id, bands=job.bands)
    except SceneError as error:
        return Failure(str(error))


def find_sources(
    settings: BuildSettings, describe_all: Callable[[Sequence[DescribeJob]], Sequence[Scene | Failure]]
) -> Sources:
    """Return the scenes that `settings.src` names, with their label files.

    Args:
        settings: of the build.
        describe_all: runs `describe` over the rasters, wherever the build's work runs.
    """
    found = find_scenes(settings.src, is_label=is_label_raster)
    extra = [Path(label) for label in settings.labels]
    num_in_folder = Counter(Path(file.path).parent for file in found.candidates)
    described = describe_all([DescribeJob(file, settings.bands) for file in found.candidates])
    scenes, left_out = [], list(found.left_out)
    for file, scene in zip(found.candidates, described, strict=True):
        if isinstance(scene, Failure):
            left_out.append(LeftOut(file.path, scene.reason))
        else:
            labels = find_labels(Path(file.path), num_in_folder[Path(file.path).parent], extra)
            scenes.append(Source(scene, tuple(labels)))
    files = [Path(file.path) for file in found.candidates] + [path for source in scenes for path in source.label_files]
    return Sources(tuple(scenes), tuple(left_out), found.searched, _stat(files, Path(settings.src)))


def join_sheets(scenes: Sequence[Source], folder: Path) -> tuple[Source, ...]:
    """Return the scenes with neighbouring sheets joined into mosaics, which have the labels of all their sheets.

    Args:
        scenes: of the build.
        folder: where the mosaics' VRT files go.
    """
    labels_of = {source.scene.scene_id: source.label_files for source in scenes}
    joined = []
    for mosaic in build_mosaics([source.scene for source in scenes], folder):
        labels = dict.fromkeys(path for sheet in mosaic.sheets for path in labels_of[sheet])
        joined.append(Source(mosaic.scene, tuple(labels)))
    return tuple(sorted(joined, key=lambda source: source.scene.scene_id))


def _stat(files: Iterable[Path], src: Path) -> dict[str, list[int]]:
    """Return size and time of change of the local files; names do not depend on where the source folder lies."""
    base = src if src.is_dir() else src.parent
    found = {}
    for file in files:
        if file.is_file():
            status = file.stat()
            found[Path(os.path.relpath(file, base)).as_posix()] = [status.st_size, status.st_mtime_ns]
    return dict(sorted(found.items()))
