"""A review exchanged with Label Studio: its task format, with boxes in its percent convention.

A task holds one question. What may be changed stands in its prediction, which annotators begin from; decisions are its
annotations. Reviewer and time of a decision travel along, so a round trip changes nothing. Format of tasks:
https://labelstud.io/guide/tasks, of boxes: https://labelstud.io/guide/predictions (x, y, width and height in percent).

Label Studio's own SDK (2.1) installs seventy packages, and is for talking to its server; here files are exchanged.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import read_header
from rsvqa.annotation.review.agreement import VERDICTS, Decision, ReviewVerdict
from rsvqa.annotation.review.content import EditableContent, ReviewQuestion, check_content, settled
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.annotation.review.queue import QueueEntry, QueueSettings, plan_queue
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.dataset.output import check_export_folder
from rsvqa.rsvqa_builder.files import whole_folder
from rsvqa.rsvqa_builder.reviewing.serve import (
    MAX_LISTED,
    NothingToReviewError,
    ReviewError,
    bind,
    note_store,
)
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path
from rsvqa.rsvqa_builder.reviewing.studio_file import read_studio

TASKS_FILE = "tasks.json"
CONFIG_FILE = "labeling_config.xml"

_SAME_BOX = 1e-6
"""Shares of the image; percents and back are off by far less, a pixel of 10,000 by far more."""

_CONFIG = """\
<View>
  <Image name="image" value="$image" zoom="true" zoomControl="true"/>
  <Image name="later" value="$later" zoom="true" zoomControl="true"/>
  <RectangleLabels name="box" toName="image" canRotate="false"><Label value="box"/></RectangleLabels>
  <Header value="$task"/>
  <TextArea name="question" toName="image" rows="3" editable="true" maxSubmissions="1"/>
  <TextArea name="options" toName="image" rows="1" editable="true"/>
  <TextArea name="answer" toName="image" rows="2" editable="true" maxSubmissions="1"/>
  <Choices name="verdict" toName="image" choice="single" required="true" showInline="true">
    <Choice value="accepted"/><Choice value="fixed"/><Choice value="rejected"/><Choice value="skipped"/>
  </Choices>
  <TextArea name="reason" toName="image" rows="1" maxSubmissions="1"/>
  <TextArea name="reviewer" toName="image" rows="1" maxSubmissions="1"/>
</View>
"""


class ExportCounts(NamedTuple):
    """What an export wrote."""

    questions: int
    decisions: int
    images: int

    def __str__(self) -> str:
        return f"{self.questions:,} questions with {self.decisions:,} decisions and {self.images:,} images"


class ImportCounts(NamedTuple):
    """What became of the annotations of an import; `left_out` counts by reason."""

    imported: int
    unchanged: int
    left_out: Mapping[str, int]

    def __str__(self) -> str:
        lost = [f"left out: {count:,} x {reason}" for reason, count in self.left_out.items()]
        if len(lost) > MAX_LISTED:
            lost = [*lost[:MAX_LISTED], f"and {len(lost) - MAX_LISTED:,} more kinds of loss"]
        if not (lost or self.imported or self.unchanged):
            lost = ["no task has an annotation"]
        return "\n".join([*lost, f"{self.imported:,} decisions imported, {self.unchanged:,} known before"])


def check_format(name: str) -> None:
    """Refuse a format that is not exchanged.

    Raises:
        ReviewError: for any but "label-studio".
    """
    if name != "label-studio":
        raise ReviewError(f"`format` {name}: expected label-studio")


# --- export ---------------------------------------------------------------------------------------------------------


def export_tasks(
    src: Path, out: Path, queue: QueueSettings, *, store: Path | None = None, overwrite: bool = False
) -> ExportCounts:
    """Write the questions to review, their images and all decisions for Label Studio into the folder `out`.

    Args:
        src: the data set.
        out: new or empty, or anything with `overwrite`.
        queue: which questions; those with a decision are always among them.
        store: file of the decisions; None for the one in `src`, which need not be there.
        overwrite: replace what `out` holds.

    Raises:
        ReviewError: when there is nothing to export.
        OutputError: when `out` is in use.
    """
    source = ReviewSource(src)
    decisions = _decisions(source, store)
    questions = list(source.questions())
    chosen = {entry.question.question_id for entry in plan_queue(questions, queue)} | decisions.keys()
    questions = [question for question in questions if question.question_id in chosen]
    if not questions:
        raise NothingToReviewError(
            f"nothing to export from {src}: no question needs a review; raise `sample` for some of the rest"
        )
    images = list(dict.fromkeys(name for question in questions for name in question.images))
    check_export_folder(src, out, overwrite=overwrite)
    with whole_folder(out, overwrite=overwrite) as working:
        (working / "images").mkdir()
        files = {name: _write_image(working / "images", name, source) for name in images}
        places = {name: f"/data/local-files/?d={out.resolve().name}/images/{file}" for name, file in files.items()}
        tasks = [
            _task(number, question, places, decisions.get(question.question_id, ()))
            for number, question in enumerate(questions, 1)
        ]
        (working / TASKS_FILE).write_text(json.dumps(tasks, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (working / CONFIG_FILE).write_text(_CONFIG, encoding="utf-8")
    return ExportCounts(len(tasks), sum(len(task["annotations"]) for task in tasks), len(images))


def _decisions(source: ReviewSource, store: Path | None) -> dict[str, list[Decision]]:
    path = store_path(source.folder, store)
    found: dict[str, list[Decision]] = {}
    if path.exists():
        with ReviewStore(path) as opened:
            bind(opened, source)
            for decision in opened.decisions():
                found.setdefault(decision.question_id, []).append(decision)
    return found


def _write_image(folder: Path, name: str, source: ReviewSource) -> str:
    data = source.load_image(name)
    file = f"{picture_key(name)}{read_header(data).suffix}"
    (folder / file).write_bytes(data)
    return file


def _task(
    number: int, question: ReviewQuestion, places: Mapping[str, str], decisions: list[Decision] | tuple[()]
) -> dict[str, Any]:
    later = places[question.images[1]] if len(question.images) > 1 else ""
    return {
        "id": number,
        "data": {
            "image": places[question.images[0]],
            "later": later,
            "question_id": question.question_id,
            "task": question.task,
            "rule": question.evidence.get("rule", ""),
        },
        "predictions": [{"model_version": "rsvqa", "result": _results(question, question.content)}],
        "annotations": [_annotation(question, decision) for decision in decisions],
    }


def _annotation(question: ReviewQuestion, decision: Decision) -> dict[str, Any]:
    texts = {"reason": [decision.reason] if decision.reason else [], "reviewer": [decision.reviewer]}
    results = [
        *_results(question, decision.after or question.content),
        _result("verdict", "choices", {"choices": [decision.verdict]}),
        *(_result(name, "textarea", {"text": found}) for name, found in texts.items() if found),
    ]
    decided = dt.datetime.fromtimestamp(decision.decided_at, dt.UTC)
    timed = {} if decision.seconds is None else {"lead_time": decision.seconds}
    return {"result": results, "created_at": decided.isoformat(), "was_cancelled": False, **timed}


def _results(question: ReviewQuestion, content: EditableContent) -> list[dict[str, Any]]:
    texts = {"question": [content.question], "options": list(content.options)}
    if question.form is not AnswerForm.BOX:
        texts["answer"] = [content.answer]
    results = [_result(name, "textarea", {"text": found}) for name, found in texts.items() if found]
    if content.bbox is not None:
        size = {"original_width": question.width, "original_height": question.height, "image_rotation": 0}
        value = {**to_percent(content.bbox), "rotation": 0, "rectanglelabels": ["box"]}
        results.append({**_result("box", "rectanglelabels", value), **size})
    return results


def _result(name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "image", "type": kind, "value": dict(value)}


def to_percent(box: Box) -> dict[str, float]:
    """Return a box given as shares in Label Studio's convention: upper left corner and size in percent."""
    x_min, y_min, x_max, y_max = (100 * share for share in box)
    return {"x": x_min, "y": y_min, "width": x_max - x_min, "height": y_max - y_min}


def from_percent(value: Mapping[str, float]) -> Box:
    """Return the box, as shares, of a rectangle in Label Studio's convention."""
    x_min, y_min = value["x"] / 100, value["y"] / 100
    return Box(x_min, y_min, x_min + value["width"] / 100, y_min + value["height"] / 100)


# --- import ---------------------------------------------------------------------------------------------------------


class _Rectangle(BaseModel):
    x: FiniteFloat
    y: FiniteFloat
    width: FiniteFloat
    height: FiniteFloat

    rotation: FiniteFloat | None = None

    @property
    def is_turned(self) -> bool:
        return bool((self.rotation or 0) % 360)


class _Result(BaseModel):
    from_name: str
    value: dict[str, Any]
    image_rotation: FiniteFloat | None = None


class _Annotation(BaseModel):
    result: list[_Result] = []
    was_cancelled: bool = False
    created_at: dt.datetime | None = None
    completed_by: Any = None
    lead_time: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class _Data(BaseModel):
    question_id: str


class _Task(BaseModel):
    data: _Data
    annotations: Annotated[list[_Annotation], Field(default_factory=list)]

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, task: Any) -> Any:  # noqa: ANN401  whatever the file holds
        """Take a task of JSON_MIN too: one annotation with its fields beside the data."""
        if not isinstance(task, dict) or "data" in task or "question_id" not in task:
            return task
        fields = [(name, value) for name in _FIELDS if name in task for value in _values(name, task[name])]
        result = [{"from_name": name, "value": value} for name, value in fields]
        told = {new: task[old] for old, new in _TOLD.items() if task.get(old) is not None}
        return {"data": {"question_id": task["question_id"]}, "annotations": [{"result": result, **told}]}


_FIELDS = {
    "verdict": "choices",
    "box": "",
    **dict.fromkeys(("question", "options", "answer", "reason", "reviewer"), "text"),
}
"""What annotators fill in, and under which name JSON_MIN leaves out its value's braces where there is but one."""
_TOLD = {"annotator": "completed_by", "created_at": "created_at", "lead_time": "lead_time"}


def _values(name: str, value: object) -> list[object]:
    """Return the values of a field of JSON_MIN as JSON writes them."""
    if isinstance(value, str) and _FIELDS[name]:
        return [{_FIELDS[name]: [value]}]
    return value if isinstance(value, list) else [value]


class _Opinion(NamedTuple):
    """One annotation as a decision that the store may take."""

    reviewer: str
    verdict: ReviewVerdict
    after: EditableContent | None
    reason: str
    decided_at: float | None


def import_tasks(src: Path, file: Path, *, store: Path | None = None) -> ImportCounts:
    """Take the annotations of an export of Label Studio (JSON) into the store of a review.

    What the store holds already is left as it is, so importing twice is importing once. Annotations whose content fails
    a check, or that cannot be read as a decision, are left out and counted; so are tasks that cannot be read, by name.

    Args:
        src: the data set that the tasks are from.
        file: list of tasks with annotations, as JSON or JSON_MIN.
        store: file of the decisions; None for the one in `src`.

    Raises:
        ReviewError: when the file is no list of tasks, or none of them is of this data set.
        StoreError: when the store cannot be used.
    """
    read, unread = read_studio(file, _Task)
    if not read:
        raise NothingToReviewError(f"{file} holds no task: export the project from Label Studio once more, as JSON")
    tasks, broken = [task for _, task in read], [*unread]
    source = ReviewSource(src)
    wanted = {task.data.question_id for task in tasks}
    foreign = wanted - {question.question_id for question in source.questions()}
    if tasks and foreign == wanted:
        raise ReviewError(f"{file}: question {min(foreign)!r} is not in {src}: expected tasks of this data set")
    broken += [f"question {question_id!r} is not in {src}" for question_id in sorted(foreign)]
    tasks = [task for task in tasks if task.data.question_id not in foreign]
    note_store(src, store)
    with ReviewStore(store_path(src, store)) as opened:
        digests, _ = bind(opened, source)
        entries = {
            question.question_id: QueueEntry(question, position, 1, 1)
            for position, question in enumerate(source.questions(digests))
            if question.question_id in wanted
        }
        opened.add(entries.values())
        questions = {key: entry.question for key, entry in entries.items()}
        counts = _import(tasks, questions, opened)
    return counts._replace(left_out={**dict.fromkeys(broken, 1), **counts.left_out})


NO_REASON = "no reason given"
"""Stands for the reason of a rejection that came without one."""


def _import(tasks: list[_Task], questions: Mapping[str, ReviewQuestion], store: ReviewStore) -> ImportCounts:
    standing = {(decision.question_id, decision.reviewer): decision for decision in store.decisions()}
    imported = unchanged = 0
    left_out: Counter[str] = Counter()
    for question, annotation in _annotations(tasks, questions):
        opinion = _opinion(question, annotation)
        if isinstance(opinion, str):
            left_out[opinion] += 1
        elif _is_held(standing.get((question.question_id, opinion.reviewer)), opinion) or not _store(
            store, question.question_id, opinion, annotation.lead_time
        ):
            unchanged += 1
        else:
            imported += 1
    return ImportCounts(imported, unchanged, dict(left_out.most_common()))


def _annotations(
    tasks: list[_Task], questions: Mapping[str, ReviewQuestion]
) -> Iterator[tuple[ReviewQuestion, _Annotation]]:
    for task in tasks:
        for annotation in task.annotations:
            yield questions[task.data.question_id], annotation


def _is_held(decision: Decision | None, opinion: _Opinion) -> bool:
    return decision is not None and (decision.verdict, decision.after, decision.reason) == (
        opinion.verdict,
        opinion.after,
        opinion.reason,
    )


def _store(store: ReviewStore, question_id: str, opinion: _Opinion, seconds: float | None) -> bool:
    """Store a decision; False when it was taken in before, and undone or replaced since."""
    request_id = f"label-studio-{hashlib.sha256(repr((question_id, opinion)).encode()).hexdigest()}"
    if store.knows_request(request_id):
        return False
    store.decide(
        question_id,
        opinion.reviewer,
        opinion.verdict,
        request_id=request_id,
        after=opinion.after,
        reason=opinion.reason,
        decided_at=opinion.decided_at,
        seconds=seconds,
    )
    return True


def _opinion(question: ReviewQuestion, annotation: _Annotation) -> _Opinion | str:
    """Return an annotation as a decision, or why it is none."""
    boxes = [result for result in annotation.result if result.from_name == "box"]
    if len(boxes) > 1:
        return "more than one box"
    if any((result.image_rotation or 0) % 360 for result in boxes):
        return "a box on an image that was turned: turn it back there"
    values = {result.from_name: result.value for result in annotation.result}
    chosen = _strings(values, "verdict", "choices")
    if annotation.was_cancelled or not chosen:
        return "cancelled or without a verdict"
    reason = _text(values, "reason")
    decided_at = None if annotation.created_at is None else _seconds(annotation.created_at)
    reviewer = _text(values, "reviewer") or _reviewer(annotation.completed_by)
    verdict = next((name for name in VERDICTS if name == chosen[0]), None)
    if verdict is None:
        return f"unknown verdict {chosen[0]!r}"
    if verdict in ("rejected", "skipped"):
        told = reason or NO_REASON if verdict == "rejected" else reason
        return _Opinion(reviewer, verdict, None, told, decided_at)
    content = _content(question, values)
    if isinstance(content, str):
        return content
    is_changed = content != question.content
    problems = check_content(question, content) if is_changed else ()
    if problems:
        return problems[0]
    return _Opinion(reviewer, "fixed" if is_changed else "accepted", content, reason, decided_at)


def _content(question: ReviewQuestion, values: Mapping[str, dict[str, Any]]) -> EditableContent | str:
    old = question.content
    try:
        drawn = _Rectangle(**values["box"]) if "box" in values else None
    except (TypeError, ValidationError):
        return "box is no rectangle"
    if drawn is not None and drawn.is_turned:
        return "a box that was turned: the box of a question is upright"
    box = None if drawn is None else from_percent(drawn.model_dump())
    if box is not None and old.bbox is not None and _is_same(box, old.bbox):
        box = old.bbox  # its own numbers, not what percents have made of them
    new = EditableContent(
        question=_text(values, "question") or old.question,
        options=_strings(values, "options", "text") or old.options,
        answer=_text(values, "answer") or old.answer,
        bbox=box,
    )
    return settled(question, new)


def _is_same(one: Box, other: Box) -> bool:
    return all(abs(a - b) < _SAME_BOX for a, b in zip(one, other, strict=True))


def _text(values: Mapping[str, dict[str, Any]], name: str) -> str:
    """Return the text of a field; empty without one."""
    return next(iter(_strings(values, name, "text")), "")


def _strings(values: Mapping[str, dict[str, Any]], name: str, kind: str) -> tuple[str, ...]:
    """Return the strings of a field; Label Studio gives a list, or one string when it is exported in short."""
    found = values.get(name, {}).get(kind, ())
    if isinstance(found, str):
        return (found,)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _seconds(moment: dt.datetime) -> float:
    """Return seconds since 1970; a time without a zone is taken as UTC, not as this machine's."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _reviewer(completed_by: object) -> str:
    """Return the name of who made an annotation, as Label Studio tells it."""
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return str(completed_by)[:40] if completed_by is not None else "label-studio"
