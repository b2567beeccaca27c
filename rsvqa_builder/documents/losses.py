"""What a build lost, as its report tells it: the summary on the screen begins with it, and the card has it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rsvqa.rsvqa_builder.losses import Loss, group_losses

_MOST_CLASSES = 8
"""Unknown classes that are named."""


_LISTS = (
    ("left_out", "input", "left out"),
    ("passed_over", "group", "of files read neither as scenes nor as labels"),
    ("label_files_of_no_scene", "label file", "of no scene"),
)
"""Lists of a report of what is not used, with the words for them."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Things of one kind that were lost; `title` says of what and how many, `groups` why."""

    title: str
    groups: tuple[Loss, ...] = ()


def build_losses(report: Mapping[str, Any]) -> Iterator[Losses]:
    """Yield what a build lost, inputs first; nothing of a report that is not there."""
    if not report:
        return
    yield from input_losses(report)
    tiles = report["tiles"]
    if dropped := tiles["dropped"]:
        title = f"{len(dropped):,} of {_counted(tiles['planned'], 'tile', 'dropped')}"
        yield Losses(title, tuple(dropped_tiles(dropped)))
    if failures := report["failed_tasks"]:
        groups = group_losses(("", message, 1) for message in failures)
        yield Losses(f"{_counted(len(failures), 'time', 'a task failed')}, a mistake in the program", tuple(groups))


def input_losses(report: Mapping[str, Any]) -> Iterator[Losses]:
    """Yield what was lost of scenes and labels, before any tile was made."""
    for key, noun, what in _LISTS:
        if entries := report.get(key, []):  # reports of older releases do not have all
            groups = group_losses((entry["path"], entry["reason"], 1) for entry in entries)
            yield Losses(_counted(len(entries), noun, what), tuple(groups))
    yield from _label_losses(report["scenes"])


def dropped_tiles(dropped: Mapping[str, str]) -> list[Loss]:
    """Return the reasons for which tiles were dropped, from why by tile."""
    return group_losses((image_id, why, 1) for image_id, why in dropped.items())


def _label_losses(scenes: Mapping[str, Any]) -> Iterator[Losses]:
    """Yield what was lost of the labels of all scenes."""
    files = [file for scene in scenes.values() for file in scene["labels"]["files"]]
    if skipped := group_losses((file["path"], file["skipped"], 1) for file in files if file["skipped"]):
        yield Losses(_counted(_total(skipped), "file", "not taken for labels"), tuple(skipped))
    rejected = group_losses((file["path"], why, n) for file in files for why, n in file["rejected"].items())
    if rejected:
        num_read = sum(file["num_read"] for file in files)
        yield Losses(f"{_total(rejected):,} of {_counted(num_read, 'label', 'rejected')}", tuple(rejected))
    if unknown := _unknown_classes(files):
        listed = ", ".join(f"{name} ({count:,})" for name, count in list(unknown.items())[:_MOST_CLASSES])
        yield Losses(f"labels of unknown classes, not used: {listed}; give a class table that names them")
    bare = [scene_id for scene_id, scene in scenes.items() if not _has_labels(scene)]
    if bare:
        yield Losses(f"{len(bare):,} of {_counted(len(scenes), 'scene', 'without labels')}, e.g. {bare[0]}")


def _has_labels(scene: Mapping[str, Any]) -> bool:
    """Tell whether a label file says what is in the scene; one that was read and holds nothing says so, too."""
    read = [file for file in scene["labels"]["files"] if not (file["error"] or file["skipped"])]
    return any(file["num_kept"] or not file["num_read"] for file in read)


def _unknown_classes(files: list[Mapping[str, Any]]) -> dict[str, int]:
    """Return the labels of classes that the table does not know, most frequent first."""
    found: dict[str, int] = {}
    for file in files:
        for name, count in file["unknown_classes"].items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0])))


def _total(losses: list[Loss]) -> int:
    return sum(loss.count for loss in losses)


def _counted(count: int, noun: str, what: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'} {what}"
