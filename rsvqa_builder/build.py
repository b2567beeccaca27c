"""The run: scenes → plan → tiles → selection → shards, card, report and preview.

Every step before the tiles reads headers, labels and small samples; the tiles are the long part, and the only one that a
restart does not repeat.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pyproj
import rasterio
import shapely

from annotation.asking import AskSettings
from annotation.errors import RsvqaError
from rsvqa_builder.assembly import count_reasons, make_rows, select_tiles
from rsvqa_builder.classes import ClassTable, load_class_table
from rsvqa_builder.dedup import read_excluded
from rsvqa_builder.documents import BuildFacts, write_documents
from rsvqa_builder.executors import Executor, WorkerDied, make_executor
from rsvqa_builder.journal import Journal
from rsvqa_builder.labels.discovery import find_labels, is_label_raster
from rsvqa_builder.mosaic import build_mosaics
from rsvqa_builder.output import Fingerprint, OutputFolder, State
from rsvqa_builder.pairs import Alignment, Pair, alignment, find_pairs
from rsvqa_builder.preparing import PreparedScene, PrepareJob, UnusableScene, prepare_scene
from rsvqa_builder.progress import Reporter
from rsvqa_builder.scenes import Scene, SceneError, SceneFile, describe_scene, find_scenes
from rsvqa_builder.settings import BuildSettings
from rsvqa_builder.shards import plan_shards, write_shards
from rsvqa_builder.tile_work import LaterWork, SceneWork, TileFailure, TileJob, do_tile


class NothingUsableError(RsvqaError):
    """No scene of the source can be used."""

    exit_code = 2


class StrictError(RsvqaError):
    """A scene is left out, and `--strict` makes that fatal."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One input that gives no tiles."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """One scene with its label files, before its content is looked at."""

    scene: Scene
    label_files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a build ended with: whether it found the data set finished, and what its report says."""

    state: State
    report: Mapping[str, object]


class _Inputs:
    """Collects what is left out on the way; says so at once."""

    def __init__(self, settings: BuildSettings, reporter: Reporter) -> None:
        self.left_out: list[LeftOut] = []
        self._settings = settings
        self._reporter = reporter

    def leave_out(self, path: str, reason: str) -> None:
        """Report one input that is left out.

        Raises:
            StrictError: in strict builds.
        """
        if self._settings.strict:
            raise StrictError(f"{path}: {reason} (--strict: every scene must be usable)")
        self.left_out.append(LeftOut(path, reason))
        self._reporter.note("left_out", f"left out {path}: {reason}", path=path, reason=reason)

    def require(self, scenes: Sequence[object], src: str) -> None:
        """Refuse to go on without a scene."""
        if not scenes:
            raise NothingUsableError(
                f"no usable scene in {src}: looked for anything GDAL opens and found {len(self.left_out)} file(s), "
                "none of which can be used (reasons above)"
                if self.left_out
                else f"no scene found in {src}: expected a raster, a folder of rasters (.tif, .vrt, .jp2, .png, .jpg …), "
                "a glob or a text list of paths"
            )


def build(
    settings: BuildSettings, out: Path, *, num_workers: int, overwrite: bool = False, reporter: Reporter
) -> Outcome:
    """Build the data set of `settings` in `out`, going on where an interrupted build of the same settings stopped.

    Args:
        settings: decide every byte of the result.
        out: folder of the data set.
        num_workers: processes; 0 works in this one.
        overwrite: replace a data set or an unfinished build of other settings.
        reporter: hears of progress and of everything left out.

    Raises:
        NothingUsableError: when no scene can be used.
        StrictError: in strict builds, at the first scene that cannot be used.
        OutputError: when `out` cannot be used.
    """
    executor = make_executor(num_workers)
    inputs = _Inputs(settings, reporter)
    table = load_class_table(settings.classes)
    with OutputFolder(out) as output:
        started = time.monotonic()
        sources = _find_sources(settings, inputs, executor, reporter)
        state = output.begin(_fingerprint(settings, table, sources), overwrite=overwrite)
        if state is State.COMPLETE:
            return Outcome(state, {})
        plan = _prepare(settings, table, sources, output, inputs, executor, reporter)
        journal = Journal(output.work / "tiles")
        failed = _do_tiles(plan.jobs, journal, executor, reporter)
        for scene_id, reason in failed.items():
            inputs.leave_out(plan.paths[scene_id], reason)
        inputs.require(set(plan.paths) - set(failed), settings.src)
        reporter.start("writing shards", 1)
        excluded = read_excluded(settings.exclude)
        selection = select_tiles(plan.jobs, journal, failed, excluded, settings)
        shards = plan_shards(make_rows(plan.jobs, journal, selection, settings), shard_mb=settings.shard_mb)
        position_of = {job.image_id: job.position for job in plan.jobs}
        write_shards(
            output.ready, shards, load_images=lambda tile: journal.read_images(position_of[tile.image_id])
        )
