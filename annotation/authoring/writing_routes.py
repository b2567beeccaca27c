"""The part of the server where people write questions: templates, answers while typing, and what is stored."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import Any, NamedTuple

from fastapi import FastAPI, Request

from rsvqa.annotation.authoring.writing import (
    NO_LATER_DATE,
    WRITTEN,
    WrittenQuestion,
    question_of_written,
    written_faults,
)
from rsvqa.annotation.authoring.writing_messages import CheckWrittenBody, WriteBody
from rsvqa.annotation.authoring.writing_queue import enter, leave, standing_of
from rsvqa.annotation.review.answers import hidden
from rsvqa.annotation.review.content import CONTENT, ReviewQuestion
from rsvqa.annotation.review.drawing import Drawings, DrawingTile
from rsvqa.annotation.review.drawing_messages import ReviewerOfTileBody
from rsvqa.annotation.review.drawing_routes import tile_of
from rsvqa.annotation.review.drawn_store import Change, DrawnStore, Thing
from rsvqa.annotation.review.people import Visitor
from rsvqa.annotation.review.rights import check_task, is_key_hidden, task_fault
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.review.visits import NotAllowedError, author_of, refused, visitor_of
from rsvqa.annotation.taxonomy import NUM_OPTIONS, TASKS, AnswerForm, TaskInfo
from rsvqa.annotation.wording.phrases import load_phrases
from rsvqa.annotation.wording.templates import SLOT_CHOICES, question_templates


def add_writing(app: FastAPI, review: ReviewStore, drawings: Drawings) -> None:
    """Add to a server what the page asks for where people write questions."""
    desk = _Desk(review, DrawnStore(review), drawings)

    @app.post("/api/draw/templates")
    def templates(request: Request, body: ReviewerOfTileBody) -> dict[str, Any]:
        """Return the tasks that a question may have, with their templates and what fills the slots."""
        tile = tile_of(drawings, request, body)
        phrases, later = load_phrases(tile.language), drawings.later(tile)
        north = tuple(phrases.text(f"object_orientation.north_{known}") for known in ("unknown", "up"))
        size = {"width": tile.width, "height": tile.height}
        tasks = (info for info in TASKS.values() if task_fault(visitor_of(request), info.name) is None)
        return {
            "tasks": [_task_shown(info, tile.language, has_later=later is not None) for info in tasks],
            "later": later and {"number": later.number, "scene": later.scene, "date": later.date},
            "nouns": [(info.singular, info.plural) for info in drawings.classes(tile).values()],
            "choices": {**SLOT_CHOICES, "north": north},
            "where_box": phrases.text("object_box.where", **size, box="{box}"),
            "where_point": phrases.text("object_point.where", **size, x="{x}", y="{y}"),
        }

    @app.post("/api/draw/written")
    def written(request: Request, body: ReviewerOfTileBody) -> dict[str, Any]:
        """Return the questions that people wrote about a tile."""
        tile = tile_of(drawings, request, body)
        name, visitor = author_of(request, body.reviewer), visitor_of(request)
        found = []
        for thing in desk.things(tile):
            question = question_of_written(WRITTEN.validate_python(thing.content), tile)
            is_hidden = name != thing.reviewer and is_key_hidden(review, visitor, name, question.question_id)
            shown = _shown(thing, hidden(question) if is_hidden else question, is_hidden=is_hidden)
            found.append({**shown, "may_change": _may_change(visitor, name, thing)})
        return {"written": found}

    @app.post("/api/draw/check")
    def check(request: Request, body: CheckWrittenBody) -> dict[str, Any]:
        """Return why a question may not stand, and why it could be guessed; nothing is stored."""
        tile = tile_of(drawings, request, body)
        content = desk.dated(body.content.written(), tile)
        duty = task_fault(visitor_of(request), content.task)
        problems = (duty,) if duty else desk.faults(content, tile, body.key)
        warnings = () if problems else desk.warnings(content, tile, body.key)
        return {"problems": problems, "warnings": warnings}

    @app.post("/api/draw/write")
    def write(request: Request, body: WriteBody) -> Any:  # noqa: ANN401  a response or its content
        """Store a question, or take it away; when this answers, it is on disk."""
        tile, visitor = tile_of(drawings, request, body), visitor_of(request)
        name = author_of(request, body.reviewer)
        with desk.writing:  # two people who ask the same at once: the second is told
            return store_written(tile, visitor, name, body)

    def store_written(tile: DrawingTile, visitor: Visitor, name: str, body: WriteBody) -> Any:  # noqa: ANN401
        former = next((thing for thing in desk.things(tile) if thing.key == body.key), None)
        if former is not None and not _may_change(visitor, name, former):
            raise NotAllowedError(f"{former.reviewer} wrote this question: only he, an expert or a lead may change it")
        content = None if body.content is None else desk.dated(body.content.written(), tile)
        if content is not None:
            check_task(visitor, content.task)
            if problems := desk.faults(content, tile, body.key):
                return refused(*problems)
        return {"numbers": desk.write(tile, body, content, former, name)}


class _Written(NamedTuple):
    """A written question of any tile, with the keys of both."""

    tile: str
    key: str
    question: ReviewQuestion


class _Desk:
    """Written questions of a review, beside those that its data set holds."""

    def __init__(self, review: ReviewStore, store: DrawnStore, drawings: Drawings) -> None:
        self._review, self._store, self._drawings = review, store, drawings
        self.writing = Lock()
        self._lock = Lock()
        self._seen = 0
        self._all: dict[int, _Written] = {}

    def things(self, tile: DrawingTile) -> tuple[Thing, ...]:
        """Return what stands on a tile, in the order of the last changes."""
        return self._store.read(tile.key).of_kind("written")

    def dated(self, content: WrittenQuestion, tile: DrawingTile) -> WrittenQuestion:
        """Return a question with the scene of its second date, where its task has one and there is one."""
        has_two = content.task in TASKS and TASKS[content.task].num_dates > 1
        later = self._drawings.later(tile) if has_two else None
        return content if later is None else replace(content, later_scene=later.scene, later_date=later.date or "")

    def faults(self, content: WrittenQuestion, tile: DrawingTile, key: str) -> tuple[str, ...]:
        """Return why a question may not stand; `key` is its own."""
        others = (WRITTEN.validate_python(thing.content) for thing in self.things(tile) if thing.key != key)
        asked = {other.identity for other in others}
        return written_faults(content, tile, asked=asked | self._drawings.asked(tile))

    def warnings(self, content: WrittenQuestion, tile: DrawingTile, key: str) -> tuple[str, ...]:
        """Return why a question that may stand could be answered without the image."""
        question = question_of_written(content, tile)
        others = (one for one in self._everything() if (one.tile, one.key) != (tile.key, key))
        return self._drawings.guessed(question, [one.question for one in others if one.question.task == content.task])

    def _everything(self) -> tuple[_Written, ...]:
        """Return all that people wrote; what has not changed is not made anew, for many people type at once."""
        last = self._store.last_number("written")
        with self._lock:
            if last != self._seen:
                standing = self._store.read_all("written")
                tiles = {name: tile for name in standing if (tile := self._drawings.tiles.get(name)) is not None}
                self._all = {
                    thing.number: self._all.get(thing.number)
                    or _Written(name, thing.key, question_of_written(WRITTEN.validate_python(thing.content), tile))
                    for name, tile in tiles.items()
                    for thing in standing[name].things
                }
                self._seen = last
            return tuple(self._all.values())

    def write(
        self, tile: DrawingTile, body: WriteBody, content: WrittenQuestion | None, former: Thing | None, name: str
    ) -> dict[str, int]:
        """Store a question and put it before others; return its number.

        The log comes first: the queue is made anew from it should the server end between the two.
        """
        stored = None if content is None else WRITTEN.dump_python(content, mode="json")
        change = Change(kind="written", key=body.key, content=stored, before=body.before)
        numbers = self._store.write(tile.key, [change], name, request_id=body.request_id)
        if former is not None and former.number != numbers[body.key]:  # not sent for the second time
            leave(self._review, question_of_written(WRITTEN.validate_python(former.content), tile))
        enter(self._review, [standing_of(thing, tile) for thing in self.things(tile) if thing.key == body.key])
        return numbers


def _may_change(visitor: Visitor, name: str, thing: Thing) -> bool:
    return visitor.sees_all or name == thing.reviewer


def _task_shown(info: TaskInfo, language: str, *, has_later: bool) -> dict[str, Any]:
    is_open = info.num_dates == 1 or has_later
    return {
        "name": info.name,
        "title": info.title,
        "group": info.level_2,
        "is_open": is_open,
        "why_not": "" if is_open else NO_LATER_DATE,
        "is_regional": info.is_regional,
        "num_dates": info.num_dates,
        "num_options": sorted({NUM_OPTIONS[form] for form in info.forms}, reverse=True),
        "is_yes_no": AnswerForm.YES_NO in info.forms,
        "is_several": AnswerForm.SEVERAL_OF in info.forms,
        "is_box": AnswerForm.BOX in info.forms,
        "templates": [template._asdict() for template in question_templates(info.name, language)] if is_open else [],
    }


def _shown(thing: Thing, question: ReviewQuestion, *, is_hidden: bool) -> dict[str, Any]:
    return {
        "key": thing.key,
        "number": thing.number,
        "author": thing.reviewer,
        "written": None if is_hidden else thing.content,
        "question_id": question.question_id,
        "task": question.task,
        "form": question.form.value,
        "content": CONTENT.dump_python(question.content, mode="json"),
    }
