"""Everything of a data set beside its shards: card, statistics, report, preview, class table and settings.

All of them follow from the inputs and settings alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from rsvqa.annotation.choosing import ChosenQuestions
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.config import FROM_THIS_FILE, PATHS_KEY, moved_path
from rsvqa.rsvqa_builder.dataset.output import MARKER, REPORT
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo
from rsvqa.rsvqa_builder.documents.card import CardFacts, Completeness, render_card
from rsvqa.rsvqa_builder.documents.croissant import CROISSANT, render_croissant
from rsvqa.rsvqa_builder.documents.losses import build_losses
from rsvqa.rsvqa_builder.documents.preview import PreviewSummary, write_preview
from rsvqa.rsvqa_builder.documents.preview_images import SampleImages
from rsvqa.rsvqa_builder.documents.preview_table import write_preview_table
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics, SourceStatistics
from rsvqa.rsvqa_builder.labels.classes import ClassTable, tables_to_toml
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, crs_name
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.source_settings import Source
from rsvqa.rsvqa_builder.tiles.assembly import AskedQuestions, Selection
from rsvqa.rsvqa_builder.tiles.preparing import PreparedScene
from rsvqa.rsvqa_builder.tiles.splits import overlapping_footprints
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob

REPORT_VERSION = 3


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What the documents tell of.

    Attributes:
        settings: of the build.
        place: folder of the data set, from which its files tell paths; None in a storage, from which there is no way.
        sources: that the scenes come from.
        tables: their class tables, by name.
        fingerprint: see `output.portable`.
        scenes: every prepared scene, by id.
        left_out: inputs that gave no tile, with reasons.
        orphans: label files that belong to no scene, with what to do.
        passed_over: files that are read neither as scenes nor as labels, with what to do.
        remarks: files that are used otherwise than they look, with why.
        notes: what else a person should know of the inputs.
        jobs: the plan.
        selection: which tiles were kept.
        asked: what was chosen of what tasks asked, and why they did not.
        statistics: of the data set.
        samples: questions that the preview shows.
        shards: as written.
        audit: what `short_audit` returned; empty when there was none.
    """

    settings: BuildSettings
    place: Path | None
    sources: Sequence[Source]
    tables: Mapping[str, ClassTable]
    fingerprint: Mapping[str, Mapping[str, Any]]
    scenes: Mapping[str, PreparedScene]
    left_out: Sequence[LeftOut]
    orphans: Sequence[LeftOut]
    passed_over: Sequence[LeftOut]
    remarks: Sequence[LeftOut]
    notes: Sequence[str]
    jobs: Sequence[TileJob]
    selection: Selection
    asked: AskedQuestions
    statistics: DatasetStatistics
    samples: Sequence[Record]
    shards: Sequence[ShardInfo]
    audit: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.settings.data_set_name

    @property
    def digest(self) -> str:
        """SHA-256 of the fingerprint, as hex."""
        return hashlib.sha256(json.dumps(self.fingerprint, sort_keys=True).encode()).hexdigest()

    @property
    def dropped_tiles(self) -> dict[str, str]:
        """Why each tile that is not kept is dropped, by its id."""
        return {self.jobs[position].image_id: why for position, why in self.selection.dropped.items()}


def write_documents(
    folder: Path, facts: BuildFacts, *, load_image: Callable[[TileRecord, str], bytes]
) -> dict[str, Any]:
    """Write all documents into `folder` and return the report."""
    statistics, samples = facts.statistics, facts.samples
    report = make_report(facts)
    summary = PreviewSummary(facts.name, statistics, facts.asked.reasons.not_asked)
    images = SampleImages(load_image)
    preview = write_preview_table(folder, samples, images=images)
    card = _card_facts(facts, report, preview)
    texts = {
        "README.md": render_card(card),
        CROISSANT: render_croissant(card),
        "stats.json": statistics.to_json(facts.audit),
        REPORT: _json_text(_from_folder(report, facts.place)),
        "classes.toml": tables_to_toml(facts.tables),
        MARKER: tomli_w.dumps(
            {"digest": facts.digest, "name": facts.name, PATHS_KEY: FROM_THIS_FILE, **facts.fingerprint}
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    write_preview(folder / "preview.html", samples, summary, images=images)
    return report


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of a finished data set."""
    return dict(json.loads((folder / REPORT).read_text("utf-8")))


def report_text(facts: BuildFacts) -> str:
    """Return the content of `report.json`."""
    return _json_text(make_report(facts))


def _from_folder(told: Any, place: Path | None) -> Any:  # noqa: ANN401  JSON of any depth
    """Return a report whose relative paths are from a folder: those from where a command ran differ from run to run."""
    if isinstance(told, list | tuple):
        return [_from_folder(one, place) for one in told]
    if not isinstance(told, Mapping):
        return told
    return {
        key: moved_path(value, Path(), place) if key == "path" and place is not None else _from_folder(value, place)
        for key, value in told.items()
    }


def _json_text(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def make_report(facts: BuildFacts) -> dict[str, Any]:
    """Return `report.json`: what was used, what was left out and why, a task and a scene at a time."""
    selection, statistics = facts.selection, facts.statistics
    planned = Counter(job.source for job in facts.jobs)
    kept = Counter(facts.jobs[position].work.scene.scene_id for position in selection.splits)
    return {
        "schema_version": REPORT_VERSION,
        "digest": facts.digest,
        "questions": statistics.num_questions,
        "tiles": {
            "planned": len(facts.jobs),
            "kept": len(selection.splits),
            "without_questions": statistics.num_tiles_without_questions,
            "dropped": facts.dropped_tiles,
        },
        "splits": {
            "places": selection.num_places,
            "tiles": dict(Counter(selection.splits.values())),
            "questions": {name: split.num_questions for name, split in statistics.splits.items()},
        },
        "sources": {source.name: _source_report(source, facts, planned[source.name]) for source in facts.sources},
        "tasks": {name: _task_report(name, facts) for name in TASKS},
        "scenes": {scene_id: _scene_report(prepared, kept[scene_id]) for scene_id, prepared in facts.scenes.items()},
        "without_image": dict(facts.audit),
        "notes": list(facts.notes),
        "remarks": [one.to_json() for one in facts.remarks],
        "failed_tasks": list(facts.asked.reasons.failures),
        "left_out": [one.to_json() for one in facts.left_out],
        "label_files_of_no_scene": [one.to_json() for one in facts.orphans],
        "passed_over": [one.to_json() for one in facts.passed_over],
        "excluded_tiles": [
            {"tile": facts.jobs[position].image_id, "image": image, "by": by.value}
            for position, (image, by) in selection.excluded.items()
        ],
        "alike_tiles": [
            {
                "first": facts.jobs[first].image_id,
                "second": facts.jobs[second].image_id,
                "correlation": round(correlation, 3),
            }
            for first, second, correlation in selection.alike
        ],
        "overlapping_scenes": [
            {"first": first, "second": second, "shared_share": share} for first, second, share in _overlaps(facts)
        ],
        "shards": [info._asdict() for info in facts.shards],
    }


def _task_report(name: str, facts: BuildFacts) -> dict[str, Any]:
    statistics = facts.statistics
    return {
        "questions": statistics.tasks[name].num_questions,
        "most_per_tile": facts.settings.task_limits.get(name, 0),
        "not_asked": dict(facts.asked.reasons.not_asked.get(name, {})),
        "rejected": dict(facts.asked.reasons.rejected.get(name, {})),
        "resolution": dict(statistics.tasks[name].resolution),
        **_choice_report(name, facts.asked.choices),
    }


def _choice_report(name: str, choices: ChosenQuestions) -> dict[str, Any]:
    """Return what was not chosen of a task's candidates; what text still tells of the others is `without_image`."""
    return {
        "not_chosen": dict(choices.not_chosen.get(name, {})),
        "options_never_right": choices.never_right.get(name, 0),
    }


def _source_report(source: Source, facts: BuildFacts, num_planned: int) -> dict[str, Any]:
    """Return what a source gave; of questions also what its share left no room for."""
    found = facts.statistics.scene_sources.get(source.name, SourceStatistics())
    return {
        "licence": source.licence,
        "link": source.link,
        "class_table": facts.tables[source.name].name,
        "share": source.share,
        "scenes": found.num_scenes,
        "tiles": {"planned": num_planned, "kept": found.num_tiles},
        "questions": found.num_questions,
        "beyond_its_share": facts.asked.num_beyond_share.get(source.name, 0),
    }


def _scene_report(prepared: PreparedScene, num_kept: int) -> dict[str, Any]:
    report = scene_facts(prepared)
    return report | {"tiles": report["tiles"] | {"kept": num_kept}}


def scene_facts(prepared: PreparedScene) -> dict[str, Any]:
    """Return what a report says of a scene before its tiles are made, in JSON types."""
    scene, stretch = prepared.work.scene, prepared.work.stretch
    return {
        "width": scene.width,
        "height": scene.height,
        "crs": crs_name(scene.crs),
        "transform": list(scene.transform) if isinstance(scene.transform, AffineCoefficients) else None,
        "gsd_m": None if scene.gsd_m is None else list(scene.gsd_m),
        "north_deg": scene.north_deg,
        "acquired": None if scene.acquired is None else scene.acquired.isoformat(),
        "bands": list(scene.bands),
        "is_true_colour": scene.is_true_colour,
        "stretch": None if stretch is None else asdict(stretch),
        "notes": list(scene.notes),
        "tiles": {"planned": len(prepared.windows)},
        "labels": {
            "by_class": dict(prepared.class_counts),
            "digest": prepared.labels_digest,
            **prepared.labels.to_json(),
        },
        "complete_classes": {
            name: {"is_complete": found.is_complete, "why": found.why}
            for name, found in prepared.completeness.items()
            if name in prepared.class_counts
        },
    }


def _overlaps(facts: BuildFacts) -> list[tuple[str, str, float]]:
    names = list(facts.scenes)
    return overlapping_footprints(names, [facts.scenes[name].work.scene.footprint for name in names])


def _card_facts(facts: BuildFacts, report: Mapping[str, Any], preview: ShardInfo | None) -> CardFacts:
    used = {facts.jobs[position].work.scene.scene_id for position in facts.selection.splits}
    return CardFacts(
        name=facts.name,
        statistics=facts.statistics,
        shards=facts.shards,
        scenes=[prepared.work.scene for scene_id, prepared in facts.scenes.items() if scene_id in used],
        settings=facts.fingerprint["settings"],
        versions=facts.fingerprint["versions"],
        fingerprint=facts.digest,
        not_asked=facts.asked.reasons.not_asked,
        completeness=_completeness(facts.scenes),
        sources=report["sources"],
        losses=tuple(build_losses(report)),
        audit=facts.audit,
        preview=preview,
    )


def _completeness(scenes: Mapping[str, PreparedScene]) -> dict[str, Completeness]:
    """Return in how many scenes each class is complete, of those that have it."""
    judged: defaultdict[str, list[tuple[bool, str]]] = defaultdict(list)
    for prepared in scenes.values():
        for name in prepared.class_counts:
            found = prepared.completeness[name]
            judged[name].append((found.is_complete, found.why))
    return {name: Completeness.of_scenes(judged[name]) for name in sorted(judged)}
