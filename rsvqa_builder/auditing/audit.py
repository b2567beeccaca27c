"""Run an audit over questions from anywhere and return what it found, in JSON types.

The same data and settings give the same bytes of `audit.json`: no times, no paths.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from rsvqa.annotation.errors import NothingUsableError
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.classifiers import has_classifiers
from rsvqa.rsvqa_builder.auditing.defects import Defects, QuestionChecks
from rsvqa.rsvqa_builder.auditing.images import ImageChecks
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
from rsvqa.rsvqa_builder.auditing.shortcuts import BoundedDraw, DrawnQuestions, Shortcut, find_shortcuts
from rsvqa.rsvqa_builder.progress import Reporter

AUDIT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """Data to audit: its name, the layout of its files, its questions in order, and afterwards files without any."""

    name: str
    layout: str
    items: Iterable[AuditItem]
    left_out: Callable[[], Mapping[str, int]] = dict


def run_audit(
    source: AuditSource,
    settings: AuditSettings,
    *,
    with_classifiers: bool | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Return the content of `audit.json`.

    Args:
        source: consumed once.
        settings: of the audit.
        with_classifiers: whether scikit-learn guesses too (default: where it is installed).
        reporter: hears of progress.

    Raises:
        NothingUsableError: there is no question.
    """
    if with_classifiers is None:
        with_classifiers = has_classifiers()
    defects, splits = Defects(), Counter[str]()
    checks, sample = QuestionChecks(defects), DrawnQuestions(settings.questions_per_task, seed=settings.seed)
    images = ImageChecks(defects, settings.against)
    for item in source.items:
        splits[item.split] += 1
        checks.look(item)
        for image in item.images:
            images.look(image, item.split)
        if not item.problem:
            sample.add(replace(item, images=()))
    images.finish()
    for example, count in source.left_out().items():
        defects.add("not read", example, of="files", count=count)
    if not splits:
        raise NothingUsableError(f"{source.name} holds no question")
    advance = _progress(reporter, len(sample.counts))
    shortcuts = shortcuts_json(sample, seed=settings.seed, with_classifiers=with_classifiers, advance=advance)
    return {
        "schema_version": AUDIT_VERSION,
        "data": {
            "name": source.name,
            "layout": source.layout,
            "questions": splits.total(),
            "images": images.num_images,
            "splits": dict(sorted(splits.items())),
        },
        "method": {
            "seed": settings.seed,
            "questions_per_task": settings.questions_per_task,
            "scikit_learn": version("scikit-learn") if with_classifiers else None,
        },
        "defects": defects.to_json(),
        "shortcuts": shortcuts,
        "resolution": checks.resolution(),
    }


def shortcuts_json(
    sample: BoundedDraw[AuditItem], *, seed: int, with_classifiers: bool, advance: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Return what guessing reaches, tasks in the order of the taxonomy, in JSON types."""
    found = find_shortcuts(sample, seed=seed, with_classifiers=with_classifiers, order=_order_of_task, advance=advance)
    return [_shortcut_json(shortcut) for shortcut in found]


def _progress(reporter: Reporter | None, total: int) -> Callable[[], None]:
    if reporter is None:
        return lambda: None
    reporter.start("tasks", total)
    return reporter.advance


def _order_of_task(task: str) -> int:
    return list(TASKS).index(task) if task in TASKS else len(TASKS)


def _shortcut_json(found: Shortcut) -> dict[str, Any]:
    return {
        "task": found.task,
        "form": found.form.value,
        "language": found.language,
        "questions": found.num_questions,
        "guessed": found.num_guessed,
        "held_out": found.held_out,
        "groups": found.num_groups,
        "measure": found.measure,
        "chance": _rounded(found.chance),
        "majority": _rounded(found.majority),
        "best": None if found.best is None else {key: _rounded(value) for key, value in found.best._asdict().items()},
        "points": _rounded(found.points, 2),
        "sure_points": _rounded(found.sure_points, 2),
        "by": found.by,
        "guessers": {name: _rounded(share) for name, share in found.guessers.items()},
        "give_aways": [
            {
                "wording": one.wording,
                "option": one.says,
                "offered": one.offered,
                "right": one.right,
                "expected": _rounded(one.expected, 1),
            }
            for one in found.give_aways
        ],
        "worst": [
            {
                "question": item.where,
                "text": item.question,
                "options": list(item.options),
                "right": [item.options[place] for place in item.right],
            }
            for item in found.worst
        ],
        "why_not": found.why_not,
    }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def audit_text(report: Mapping[str, Any]) -> str:
    """Return the text of `audit.json`."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def reasons_to_fail(report: Mapping[str, Any], fail_over: float) -> Iterator[str]:
    """Yield why an audit fails: wrong data, and tasks whose interval lies over what is allowed, lower end included.

    Args:
        report: what `run_audit` returned.
        fail_over: points above chance that are allowed.
    """
    for defect in report["defects"]:
        if defect["is_wrong"]:
            yield f"{defect['count']:,} {defect['of']}: {defect['kind']}"
    for found in report["shortcuts"]:
        if found["sure_points"] is not None and found["sure_points"] > fail_over:
            yield f"{found['task']}: {found['sure_points']:.1f} points above chance are sure, {fail_over:g} are allowed"
