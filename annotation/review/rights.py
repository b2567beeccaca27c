"""What a person may touch, asked by every route that names a question, a tile, a task or an image.

An annotator touches what was put before him and is still among his tasks and places. An expert and a lead touch all.
"""

from __future__ import annotations

from collections.abc import Mapping

from rsvqa.annotation.review.people import Visitor
from rsvqa.annotation.review.pictures import PicturePlace
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.review.visits import Caller, NotAllowedError
from rsvqa.annotation.taxonomy import TASKS


def check_question(store: ReviewStore, caller: Caller, question_id: str) -> None:
    """Let pass who may act on a question, by its id.

    Raises:
        NotAllowedError: it was never put before him, is not among his tasks and places any more, or is another one
            now than he has before him.
    """
    if store.has_changed(question_id, caller.name):
        raise NotAllowedError(
            f"the question {question_id[:80]!a} has changed since it was put before {caller.name}: load the page anew"
        )
    if not (caller.sees_all or store.was_dealt(question_id, caller.name, caller.filters.duty)):
        raise NotAllowedError(
            f"the question {question_id[:80]!a} was not put before {caller.name}, or is his no more: load the page "
            "anew for the next one"
        )


def is_key_hidden(store: ReviewStore, visitor: Visitor, name: str, question_id: str) -> bool:
    """Return whether somebody must answer a question before he may see its key, on whatever page he looks."""
    if visitor.sees_all or not store.has_question(question_id):
        return False
    return store.is_blind(question_id, name, may_adjudicate=visitor.may_adjudicate)


def has_place(visitor: Visitor, *, scene: str, tile_id: str) -> bool:
    """Return whether a tile is open to a person."""
    return visitor.sees_all or visitor.duty.has_place(scene=scene, tile_id=tile_id)


def task_fault(visitor: Visitor, task: str) -> str | None:
    """Return why a task is not for a person; None when it is."""
    tasks = visitor.duty.tasks
    if tasks and not visitor.sees_all and task in TASKS and task not in tasks:
        return f"{TASKS[task].title} is not among the tasks of {visitor.name}"
    return None


def check_task(visitor: Visitor, task: str) -> None:
    """Let pass who works on a task.

    Raises:
        NotAllowedError: it is not among his.
    """
    if fault := task_fault(visitor, task):
        raise NotAllowedError(fault)


def check_picture(visitor: Visitor, places: Mapping[str, PicturePlace], key: str) -> None:
    """Let pass who may see an image, by its key; who works on some places sees those alone.

    Raises:
        NotAllowedError: it is of another place, or nobody knows of which.
    """
    if visitor.sees_all or not (visitor.duty.scenes or visitor.duty.tiles):
        return
    place = places.get(key)
    if place is None or not visitor.duty.has_place(scene=place.scene, tile_id=place.tile_id):
        raise NotAllowedError(f"the image is of no tile of {visitor.name}")
