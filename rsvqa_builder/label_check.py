"""The dry run: what a build would make of scenes and their labels, said before anything is built.

It takes the steps of a build up to the tiles (`tiles/sources.py`, `tiles/preparing.py`), so that it cannot say another
thing than the build does; only nothing is staged, and no tile is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsvqa.annotation.errors import NothingUsableError
from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.documents.label_page import write_label_page
from rsvqa.rsvqa_builder.documents.label_views import LabelView, draw_labels
from rsvqa.rsvqa_builder.documents.writing import scene_facts
from rsvqa.rsvqa_builder.label_files.class_rasters import few_values
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.scenes.pairs import DatePair, alignment
from rsvqa.rsvqa_builder.scenes.scene import SceneError
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Failure, make_executor, run_all
from rsvqa.rsvqa_builder.tiles.preparing import PreparedScene, PrepareJob, plan_preparing, prepare_scene
from rsvqa.rsvqa_builder.tiles.sources import describe, find_sources
from rsvqa.rsvqa_builder.tiles.tile_work import load_features

PAGE = "labels.html"
MAX_DRAWN_SCENES = 200
"""Scenes on the page."""
MAX_PICTURE_BYTES = 100_000
"""JPEG bytes of one picture."""
MAX_PAGE_BYTES = 12_000_000
"""JPEG bytes of all pictures of a page: two per scene."""


@dataclass(frozen=True, slots=True)
class SceneCheckJob:
    """One scene to look at, and how large each picture of it may be, bytes; 0 for no picture."""

    preparing: PrepareJob
    picture_bytes: int


@dataclass(frozen=True, slots=True)
class SceneCheck:
    """What was seen of one scene: facts in JSON types, and pictures with its labels."""

    facts: Mapping[str, Any]
    views: tuple[LabelView, ...]


def check_labels(
    settings: BuildSettings, *, num_workers: int, reporter: Reporter, out: Path | None = None
) -> dict[str, Any]:
    """Return what a build of these settings would find, in JSON types and in the words of a build's `report.json`.

    Args:
        settings: of the build.
        num_workers: processes; 0 works in this one.
        reporter: hears of progress.
        out: folder for a page, `labels.html`, on which the labels are drawn; made when needed. None for no page.

    Raises:
        NothingUsableError: when there is not even a file to look at.
    """
    with tempfile.TemporaryDirectory(prefix="rsvqa-") as work, make_executor(num_workers) as executor:
        sources = find_sources(
            settings,
            lambda jobs: run_all(executor, describe, jobs, reporter),
            lambda scenes: run_all(executor, few_values, scenes, reporter),
        )
        if not (sources.scenes or sources.left_out):
            raise NothingUsableError(f"no scene: looked for {sources.searched}")
        plan = plan_preparing(sources, Path(work))
        num_drawn = 0 if out is None else min(len(plan.jobs), MAX_DRAWN_SCENES)
        picture_bytes = min(MAX_PICTURE_BYTES, MAX_PAGE_BYTES // max(1, 2 * num_drawn))
        jobs = [SceneCheckJob(job, picture_bytes if number < num_drawn else 0) for number, job in enumerate(plan.jobs)]
        checks, unusable = _sorted_out(jobs, run_all(executor, check_scene, jobs, reporter))
    left_out = (*sources.left_out, *unusable)
    report = {
        "classes": ", ".join(dict.fromkeys(table.name for table in sources.tables.values())),
        "scenes": {
            scene_id: {**check.facts, **_partner(scene_id, sources.pairs)} for scene_id, check in checks.items()
        },
        "left_out": _entries(left_out),
        "label_files_of_no_scene": _entries(sources.orphans),
        "passed_over": _entries(sources.passed_over),
        "remarks": _entries(plan.remarks),
        "page": None if out is None else str(out / PAGE),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        views = {scene_id: check.views for scene_id, check in checks.items() if check.views}
        classes = dict.fromkeys(name for table in sources.tables.values() for name in table.classes)
        title = ", ".join(Path(without_keys(member.root)).name for member in sources.members)
        write_label_page(out / PAGE, report, views, tuple(classes), title=title)
    return report


def check_scene(job: SceneCheckJob) -> SceneCheck | Failure:
    """Return what is to be said of one scene, or why it cannot be used."""
    prepared = prepare_scene(job.preparing)
    if isinstance(prepared, Failure):
        return prepared
    views: tuple[LabelView, ...] = ()
    if job.picture_bytes:
        features = load_features(prepared.work)
        try:
            views = draw_labels(prepared.work.scene, prepared.work.stretch, features, job.picture_bytes)
        except SceneError as error:
            return Failure(str(error))
    return SceneCheck(_facts(prepared, job.preparing.table), views)


def _facts(prepared: PreparedScene, table: ClassTable) -> dict[str, Any]:
    unknown = prepared.labels.total("unknown_classes")
    complete = [name for name, found in prepared.completeness.items() if found.is_complete]
    return {
        **scene_facts(prepared),
        "unknown_classes": {
            name: {"labels": count, "nearest": table.nearest(name)}
            for name, count in sorted(unknown.items(), key=lambda entry: (-entry[1], entry[0]))
        },
        "absent_classes": [name for name in complete if name not in prepared.class_counts],
    }


def _partner(scene_id: str, pairs: Sequence[DatePair]) -> dict[str, Any]:
    """Return the later date of a scene, and why its pixels cannot be laid on the earlier one's, where they cannot."""
    for pair in pairs:
        if pair.earlier.scene_id == scene_id:
            found = alignment(pair.earlier, pair.later)
            date = None if pair.later_date is None else pair.later_date.isoformat()
            problem = found if isinstance(found, str) else None
            return {"later": {"scene": pair.later.scene_id, "date": date, "problem": problem}}
    return {"later": None}


def _sorted_out(
    jobs: Sequence[SceneCheckJob], results: Sequence[SceneCheck | Failure]
) -> tuple[dict[str, SceneCheck], tuple[LeftOut, ...]]:
    """Return what was seen, by scene, and what cannot be used: scenes, and label files, each once for a reason."""
    checks: dict[str, SceneCheck] = {}
    unusable: dict[LeftOut, None] = {}
    for job, result in zip(jobs, results, strict=True):
        scene = job.preparing.scene
        if isinstance(result, Failure):
            unusable[LeftOut(scene.path, result.reason)] = None
            continue
        checks[scene.scene_id] = result
        files = result.facts["labels"]["files"]
        unusable |= dict.fromkeys(LeftOut(file["path"], file["error"]) for file in files if file["error"])
    return checks, tuple(unusable)


def _entries(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    return [one.to_json() for one in left_out]
