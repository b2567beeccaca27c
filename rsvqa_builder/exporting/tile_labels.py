"""The labels of a data set's tiles, asked about or not, read anew from the sources that `build.toml` names.

A data set holds what its questions rest on and no other label. Scenes and labels are found, read and cut by the steps
of a build, so that what comes out is what the tasks knew; sources that have changed since are refused.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.facts import ClassInfo, TileFacts
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.output import MARKER, REPORT, describe_changes, stored_fingerprint
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.labels.classes import load_stored_tables
from rsvqa.rsvqa_builder.scenes.pairs import alignment
from rsvqa.rsvqa_builder.scenes.rendering import can_be_invalid, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import SceneError
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.fingerprint import library_versions, package_versions
from rsvqa.rsvqa_builder.tiles.preparing import PrepareJob, plan_preparing, prepare_scene
from rsvqa.rsvqa_builder.tiles.sources import Sources, describe, find_sources
from rsvqa.rsvqa_builder.tiles.tile_facts import SceneLabels, TileSetting, cut_facts
from rsvqa.rsvqa_builder.tiles.tile_work import SceneWork, load_features

CLASSES = "classes.toml"


class LabelsGoneError(RsvqaError):
    """The labels that a data set was built from are not to be had."""


class _Place(NamedTuple):
    """A scene, and how far its pixels lie from those of the scene that a tile is named by."""

    scene_id: str
    dx: int = 0
    dy: int = 0


class TileLabels:
    """Knows all labels of the tiles of a data set; a context, as labels lie in a folder of its own meanwhile."""

    def __init__(self, data: Path) -> None:
        """Read nothing yet.

        Args:
            data: folder of the data set.
        """
        self._data = data
        self._work = tempfile.TemporaryDirectory(prefix="rsvqa-")
        self._prepared: dict[str, SceneWork] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._work.cleanup()

    def of(self, tile: TileRecord, *, is_later: bool) -> TileFacts:
        """Return what is labelled on a tile, at its own or at the later date.

        Raises:
            LabelsGoneError: the sources are not there, are not those of the build, or cannot be read.
        """
        place = self._later_places.get(tile.scene) if is_later else _Place(tile.scene)
        if place is None or place.scene_id not in self._jobs:
            raise self._gone(f"the sources have no {'later date of ' if is_later else ''}scene {tile.scene}")
        job, work = self._jobs[place.scene_id], self._prepare(place.scene_id)
        window = tile.window._replace(x=tile.window.x + place.dx, y=tile.window.y + place.dy)
        valid = None
        if can_be_invalid(work.scene):
            try:
                with open_raster(work.scene.path) as dataset:
                    valid = read_tile(dataset, work.scene, work.stretch, window).valid
            except SceneError as error:
                raise self._gone(f"{job.scene.path}: {error}") from error
        labels = SceneLabels(
            features=load_features(work, window),
            classes=job.table.infos(),
            complete_classes=work.complete_classes,
            mapped_classes=work.mapped_classes,
        )
        return cut_facts(labels, window, valid, TileSetting(tile_id=tile.image_id))

    @cached_property
    def classes(self) -> Mapping[str, ClassInfo]:
        """The classes of all sources, by name; of one name in several sources, that of the first."""
        tables = reversed(list(self._sources.tables.values()))
        return {name: info for table in tables for name, info in table.infos().items()}

    @cached_property
    def _sources(self) -> Sources:
        marker = self._data / MARKER
        try:
            stored = stored_fingerprint(tomllib.loads(marker.read_text("utf-8")))["inputs"]
            tables = load_stored_tables(self._data / CLASSES)
            settings = load_settings(BuildSettings, {}, config=marker)
            sources = find_sources(settings, lambda jobs: [describe(job) for job in jobs])
            changed = [name for name, table in sources.tables.items() if tables(name) != table]
        except FileNotFoundError as error:
            raise self._gone(f"there is no {Path(str(error.filename)).name}") from error
        except (OSError, ValueError, RsvqaError) as error:
            raise self._gone(str(error)) from error
        changes = describe_changes(
            {"inputs": stored}, {"inputs": {key: found[0] for key, found in sources.inputs.items()}}
        )
        changes += [f"the class table {sources.tables[name].name} has changed" for name in changed]
        if changes:
            raise self._gone(f"the sources are not those of the build: {'; '.join(changes)}")
        return sources

    @cached_property
    def _jobs(self) -> Mapping[str, PrepareJob]:
        plan = plan_preparing(self._sources, Path(self._work.name))
        return {job.scene.scene_id: job for job in plan.jobs}

    @cached_property
    def _later_places(self) -> Mapping[str, _Place]:
        found = {
            pair.earlier.scene_id: (pair.later, alignment(pair.earlier, pair.later)) for pair in self._sources.pairs
        }
        return {
            earlier: _Place(later.scene_id, shift.dx, shift.dy)
            for earlier, (later, shift) in found.items()
            if not isinstance(shift, str)
        }

    @cached_property
    def _digests(self) -> Mapping[str, str]:
        """What the build read of the labels of each scene; empty where other releases would read the same otherwise."""
        versions = tomllib.loads((self._data / MARKER).read_text("utf-8"))["versions"]
        if not (package_versions() | library_versions()).items() <= versions.items():
            return {}
        report = self._data / REPORT
        scenes = json.loads(report.read_text("utf-8"))["scenes"] if report.exists() else {}
        return {
            scene_id: scene["labels"]["digest"] for scene_id, scene in scenes.items() if "digest" in scene["labels"]
        }

    def _prepare(self, scene_id: str) -> SceneWork:
        if scene_id not in self._prepared:
            prepared = prepare_scene(self._jobs[scene_id])
            if isinstance(prepared, Failure):
                raise self._gone(f"{self._jobs[scene_id].scene.path}: {prepared.reason}")
            built = self._digests.get(scene_id)
            if built is not None and built != prepared.labels_digest:
                raise self._gone(
                    f"the sources are not those of the build: the labels of scene {scene_id} have changed, though none "
                    "of its files has another size"
                )
            self._prepared[scene_id] = prepared.work
        return self._prepared[scene_id]

    def _gone(self, reason: str) -> LabelsGoneError:
        return LabelsGoneError(
            f"the labels that {self._data} was built from cannot be read: {reason}; the format coco-asked needs none "
            "of them, it holds the objects that questions are about"
        )
