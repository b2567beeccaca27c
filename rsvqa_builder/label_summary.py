"""What `rsvqa labels` prints: what went wrong first, then each scene with its files, classes and completeness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsvqa.rsvqa_builder.documents.label_page import file_line, scene_line, unknown_line
from rsvqa.rsvqa_builder.shown import ShownResult
from rsvqa.rsvqa_builder.summary import input_lines

MAX_LISTED_SCENES = 100
"""Scenes on the screen; JSON has all."""


@dataclass(frozen=True, slots=True)
class LabelsResult(ShownResult):
    """What `rsvqa.labels` found; `report` is in the words of a build's `report.json`."""

    report: Mapping[str, Any]

    def parts(self) -> Iterator[str]:
        """Yield what went wrong first, then each scene."""
        return summary_lines(self.report)

    def as_json(self) -> dict[str, Any]:
        """Return the whole report."""
        return dict(self.report)


def summary_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for a person."""
    yield from input_lines(report)
    yield from (f"{entry['path']}: {entry['reason']}" for entry in report["remarks"])
    scenes = report["scenes"]
    for scene_id in list(scenes)[:MAX_LISTED_SCENES]:
        yield from ("", *_scene_lines(scene_id, scenes[scene_id]))
    if len(scenes) > MAX_LISTED_SCENES:
        yield f"{len(scenes) - MAX_LISTED_SCENES:,} more scenes; as JSON all are listed"
    yield ""
    num_labels = sum(sum(facts["labels"]["by_class"].values()) for facts in scenes.values())
    counts = f"{len(scenes):,} scene(s), {num_labels:,} label(s) used"
    yield f"{counts}, class table {report['classes']!r}; nothing was built"
    if report["page"]:
        yield f"page: {report['page']}"


def _scene_lines(scene_id: str, facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{scene_id}: {scene_line(facts)}"
    yield from (f"  note: {note}" for note in facts["notes"])
    labels = facts["labels"]
    if not labels["files"]:
        yield "  no label file was found"
    yield from (f"  {Path(file['path']).name}: {file_line(file)}" for file in labels["files"])
    width = max(map(len, labels["by_class"]), default=0)
    for name, count in labels["by_class"].items():
        found = facts["complete_classes"][name]
        yield f"  {name:<{width}} {count:>7,}  {'complete' if found['is_complete'] else 'not complete'}: {found['why']}"
    for name, found in facts["unknown_classes"].items():
        yield f"  unknown class, not used: {unknown_line(name, found)}"
    if absent := facts["absent_classes"]:
        yield f"  complete without a label, so called absent: {', '.join(absent)}"
