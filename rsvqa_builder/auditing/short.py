"""The short form of an audit, with which a build ends: how well rules guess each task, fast and without scikit-learn.

Its bytes go into the data set, so it must not depend on what else is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.auditing.audit import shortcuts_json
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.auditing.shard_items import places_of, record_item
from rsvqa.rsvqa_builder.auditing.shortcuts import BoundedDraw, DrawnQuestions
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord

QUESTIONS_PER_TASK = 1_000
"""Guessed in the short form; the interval of a share is then 6 points wide."""
_KEPT = ("form", "language", "guessed", "held_out", "chance", "best", "points", "sure_points", "by")


def short_audit(records: Iterable[Record], tiles: Iterable[TileRecord], *, seed: int) -> dict[str, Any]:
    """Return what rules guess, by task: a list with an entry per answer form and language; empty without a question.

    Args:
        records: all of the data set.
        tiles: all of the data set: they tell which are one place. Not looked at without a question.
        seed: of the draw and of what is held out.
    """
    drawer = AuditDrawer(seed=seed)
    for record in records:
        drawer.add(record)
    return audit_drawn(drawer.sample, tiles, seed=seed)


class AuditDrawer:
    """Draws the questions of a short audit while records pass; holds those drawn alone."""

    def __init__(self, *, seed: int) -> None:
        self.sample = DrawnQuestions(QUESTIONS_PER_TASK, seed=_positive(seed))

    def add(self, record: Record) -> None:
        """Take a record."""
        item = record_item(record, "")
        if not item.problem:
            self.sample.add(item)


def audit_drawn(sample: BoundedDraw[AuditItem], tiles: Iterable[TileRecord], *, seed: int) -> dict[str, Any]:
    """Return what `short_audit` does, of questions that are drawn already."""
    if not sample.counts:
        return {}
    places = places_of(tiles)
    sample = sample.changed(lambda item: replace(item, place=places[item.image]))
    found: dict[str, Any] = {}
    for shortcut in shortcuts_json(sample, seed=_positive(seed), with_classifiers=False):
        if shortcut["best"] is not None and shortcut["form"] != AnswerForm.TEXT:
            found.setdefault(shortcut["task"], []).append({key: shortcut[key] for key in _KEPT})
    return found


def _positive(seed: int) -> int:
    return abs(seed) % 2**32


def guess_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return a task's guesses for a table, such as "84 (50), 61 (25)": per cent right, and what chance gives."""
    return ", ".join(f"{100 * one['best']['value']:.0f} ({100 * one['chance']:.0f})" for one in entries)


def guessed_tasks(short: Mapping[str, Any], *, over: float = 3) -> list[str]:
    """Return the short names of tasks that are surely more than so many points above chance, the easiest first."""
    sure = {task: max(one["sure_points"] for one in entries) for task, entries in short.items()}
    return [TASKS[task].short for task in sorted(sure, key=lambda task: -sure[task]) if sure[task] > over]
