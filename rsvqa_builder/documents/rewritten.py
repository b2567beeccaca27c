"""Documents of an annotated data set: card, statistics and preview anew; the build's report and class table stay."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rsvqa.rsvqa_builder.auditing.short import short_audit
from rsvqa.rsvqa_builder.config import FROM_THIS_FILE, PATHS_KEY, moved_paths
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo, TileRows
from rsvqa.rsvqa_builder.documents.card import CardFacts, Completeness, render_card
from rsvqa.rsvqa_builder.documents.croissant import CROISSANT, render_croissant
from rsvqa.rsvqa_builder.documents.losses import build_losses
from rsvqa.rsvqa_builder.documents.preview import PreviewSummary, choose_samples, write_preview
from rsvqa.rsvqa_builder.documents.preview_images import SampleImages
from rsvqa.rsvqa_builder.documents.preview_table import write_preview_table
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from rsvqa.rsvqa_builder.settings import BuildSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedDataset:
    """What the documents tell of.

    Attributes:
        data: folder of the data set that was annotated.
        marker: content of the new `build.toml`.
        rows: the new tiles.
        shards: as written.
        report: of the annotation; empty when no model took part.
        review: report of the review; empty when there was none.
    """

    data: Path
    marker: Mapping[str, Any]
    rows: tuple[TileRows, ...]
    shards: Sequence[ShardInfo]
    report: Mapping[str, Any]
    review: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """Every record in order."""
        return [record for rows in self.rows for record in rows.records]


def marker_of(marker: Mapping[str, Any], source: Path, out: Path) -> dict[str, Any]:
    """Return the `build.toml` of a data set made from that in `source`, with its paths from the folder `out`."""
    if marker.get(PATHS_KEY) != FROM_THIS_FILE:
        return dict(marker)
    return {**marker, "settings": moved_paths(BuildSettings, marker["settings"], source, out)}


class _Scene(NamedTuple):
    """A scene as the build's report lists it."""

    scene_id: str
    width: int
    height: int


def write_annotated_documents(
    folder: Path, dataset: AnnotatedDataset, *, load_image: Callable[[TileRecord, str], bytes]
) -> None:
    """Write the documents into `folder`."""
    built = _build_report(dataset.data)
    records = dataset.records
    statistics = dataset_statistics(records, (rows.tile for rows in dataset.rows))
    audit: dict[str, Any] = {}
    if built.get("without_image"):  # else the build was told to leave it
        seed = dataset.marker.get("settings", {}).get("seed", 0)
        audit = short_audit(records, (rows.tile for rows in dataset.rows), seed=seed)
    settings = dataset.marker.get("settings", {})
    name = dataset.marker.get("name") or settings.get("profile", dataset.data.name)
    not_asked = {task: found["not_asked"] for task, found in built.get("tasks", {}).items()}
    samples = choose_samples(records, seed=settings.get("seed", 0))
    images = SampleImages(load_image)
    card = CardFacts(
        name=name,
        statistics=statistics,
        shards=dataset.shards,
        scenes=[_Scene(key, scene["width"], scene["height"]) for key, scene in built.get("scenes", {}).items()],
        settings=settings,
        versions=dataset.marker.get("versions", {}),
        fingerprint=dataset.marker.get("digest", ""),
        not_asked=not_asked,
        completeness=_completeness(built),
        sources=built.get("sources", {}),
        losses=tuple(build_losses(built)),
        audit=audit,
        annotation=dataset.report,
        review=dataset.review,
        preview=write_preview_table(folder, samples, images=images),
    )
    (folder / "README.md").write_text(render_card(card), encoding="utf-8", newline="\n")
    (folder / CROISSANT).write_text(render_croissant(card), encoding="utf-8", newline="\n")
    (folder / "stats.json").write_text(statistics.to_json(audit), encoding="utf-8", newline="\n")
    for document in ("report.json", "classes.toml"):
        if (dataset.data / document).exists():
            shutil.copyfile(dataset.data / document, folder / document)
    summary = PreviewSummary(name, statistics, not_asked)
    write_preview(folder / "preview.html", samples, summary, images=images)


def _build_report(data: Path) -> dict[str, Any]:
    path = data / "report.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _completeness(built: Mapping[str, Any]) -> dict[str, Completeness]:
    """Return in how many scenes each class is complete, as the build's report tells it."""
    judged: defaultdict[str, list[tuple[bool, str]]] = defaultdict(list)
    for scene in built.get("scenes", {}).values():
        for name, entry in scene["complete_classes"].items():
            judged[name].append((entry["is_complete"], entry["why"]))
    return {name: Completeness.of_scenes(judged[name]) for name in sorted(judged)}
