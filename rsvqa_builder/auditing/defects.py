"""What is wrong with questions and images, counted while they pass; nothing but digests is kept of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.visibility import VANISHING_PX, shown_px
from rsvqa.rsvqa_builder.auditing.items import AuditItem, folded

NUM_EXAMPLES = 3
_FAR_OUTSIDE = 1.25
"""Below, an object at the edge was not cut; no other scale explains it better."""
PER_MILLE = 1_000
"""What some models call the far edge of an image."""
_SCALES = (10, 100)
"""Factors by which coordinates of other makers were found to be too large."""


@dataclass(slots=True, kw_only=True)
class Defect:
    """One kind of defect: how many of what, with examples; `is_wrong` makes it a reason to fail."""

    kind: str
    of: str
    is_wrong: bool = True
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "kind": self.kind,
            "count": self.count,
            "of": self.of,
            "is_wrong": self.is_wrong,
            "examples": self.examples,
        }


class Defects:
    """Counts defects by kind, in the order in which kinds were first found."""

    def __init__(self) -> None:
        self._found: dict[str, Defect] = {}

    def add(self, kind: str, example: str, *, of: str = "questions", is_wrong: bool = True, count: int = 1) -> None:
        """Count one, or more of one example."""
        defect = self._found.setdefault(kind, Defect(kind=kind, of=of, is_wrong=is_wrong))
        defect.count += count
        if len(defect.examples) < NUM_EXAMPLES:
            defect.examples.append(example)

    def to_json(self) -> list[dict[str, Any]]:
        """Return all, what is wrong first, then the most frequent."""
        ordered = sorted(self._found.values(), key=lambda defect: (not defect.is_wrong, -defect.count, defect.kind))
        return [defect.to_json() for defect in ordered]


class QuestionChecks:
    """Looks at each question as it passes."""

    def __init__(self, defects: Defects) -> None:
        self._defects = defects
        self._answers: dict[bytes, bytes] = {}
        self._splits: dict[bytes, str] = {}
        self._sides: dict[str, list[int]] = {}

    def look(self, item: AuditItem) -> None:
        """Count what is wrong with one question."""
        for kind in question_defects(item):
            self._defects.add(kind, item.where)
        self._look_for_twins(item)
        self._measure(item)

    def _look_for_twins(self, item: AuditItem) -> None:
        if not item.image:
            return
        options = sorted(map(folded, item.options))
        asked = _digest(item.image, item.question, *options)
        answer = _digest(
            item.reference,
            str(item.box if item.form is AnswerForm.BOX else None),
            *sorted(folded(item.options[place]) for place in item.right),
        )
        if asked not in self._answers:
            self._answers[asked], self._splits[asked] = answer, item.split
            return
        is_same = self._answers[asked] == answer
        kind = "asked twice of an image" if is_same else "asked twice of an image, with another answer"
        self._defects.add(kind, item.where, is_wrong=not is_same)
        if self._splits[asked] != item.split:
            self._defects.add("asked of the same image in two splits", item.where)

    def _measure(self, item: AuditItem) -> None:
        shown = shown_side(item)
        if shown is None:
            return
        counts = self._sides.setdefault(item.task, [0] * (1 + len(VANISHING_PX)))
        counts[0] += 1
        for number, limit in enumerate(VANISHING_PX, start=1):
            counts[number] += shown < limit

    def resolution(self) -> dict[str, dict[str, int]]:
        """Return, by task, the questions with a box and those whose box is under each limit when shown."""
        names = ("boxes", *(f"under_{limit}_px" for limit in VANISHING_PX))
        return {task: dict(zip(names, self._sides[task], strict=True)) for task in sorted(self._sides)}


def question_defects(item: AuditItem) -> Iterator[str]:
    """Yield what is wrong with a question by itself."""
    if item.problem:
        yield item.problem
        return
    if len(set(map(folded, item.options))) < len(item.options):
        yield "two options say the same"
    if item.options and not item.right:
        yield "the key names no option"
    if len(item.options) == 1:
        yield "one option only"
    if item.form is AnswerForm.TEXT and not item.reference.strip():
        yield "no answer"
    if item.form is AnswerForm.BOX and item.box is None:
        yield "no box"
    if item.box is not None:
        yield from box_defects(item)


def box_defects(item: AuditItem) -> Iterator[str]:
    """Yield what is wrong with the box of a question; outside by a constant factor is another scale."""
    assert item.box is not None
    x_min, y_min, x_max, y_max = item.box
    if x_max < x_min or y_max < y_min:
        yield "box of which x_max < x_min or y_max < y_min"
    elif x_max == x_min or y_max == y_min:
        yield "box without area"
    if min(item.box) < 0 or max(item.box) > 1:
        scale = _other_scale(item.box, item.size)
        yield f"box outside the image, inside {scale}" if scale else "box outside the image"


def _other_scale(box: Box, size: tuple[int, int] | None) -> str | None:
    """Return in which way the coordinates of a box that lies outside would lie inside; None in no usual way."""
    if min(box) < 0 or max(box) < _FAR_OUTSIDE:
        return None
    if size is not None and max(box[0] * size[0], box[2] * size[0], box[1] * size[1], box[3] * size[1]) <= PER_MILLE:
        return "if they are 0 to 1,000"
    return next((f"when divided by {scale:,}" for scale in _SCALES if max(box) <= scale), None)


def shown_side(item: AuditItem) -> float | None:
    """Return the shorter side of the marked object, pixels of the image shown at `SHOWN_PX`; None without both."""
    if item.box is None or item.size is None:
        return None
    width, height = ((item.box[n + 2] - item.box[n]) * item.size[n] for n in (0, 1))
    return shown_px(min(abs(width), abs(height)), width=item.size[0], height=item.size[1])


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).digest()
