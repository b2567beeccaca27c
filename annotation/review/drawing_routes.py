"""The part of the server that serves drawing: tiles, objects, and the questions that the rules compute from them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from rsvqa.annotation.review.content import CONTENT, ReviewQuestion
from rsvqa.annotation.review.drawing import Drawings, DrawingTile, Proposal
from rsvqa.annotation.review.drawing_messages import ChangeBody, JudgeBody, ReviewerOfTileBody
from rsvqa.annotation.review.drawn import ATTRIBUTES, FORMS, DrawnObject, drawing_fault, rounded, stored
from rsvqa.annotation.review.drawn_store import Change, ChangedMeanwhileError, DrawnStore, TileDrawing
from rsvqa.annotation.review.evidence import focus_of, lines_of
from rsvqa.annotation.review.pictures import TILE_OVERLAP, TILE_SIDE, Pictures, picture_key
from rsvqa.annotation.review.rights import check_task, has_place, is_key_hidden, task_fault
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.review.visits import NotAllowedError, author_of, visitor_of
from rsvqa.annotation.stored_evidence import decode_geometry
from rsvqa.annotation.taxonomy import TASKS


class RefusedError(Exception):
    """A request cannot be done; why, in one line, and with which status."""

    def __init__(self, problem: str, status: int = 422) -> None:
        super().__init__(problem)
        self.status = status


def add_drawing(app: FastAPI, review: ReviewStore, pictures: Pictures, drawings: Drawings) -> None:
    """Add to a server what the page for drawing asks for."""
    store = DrawnStore(review)
    _add_tiles(app, review, pictures, drawings)
    _add_changes(app, review, store, drawings)
    _add_questions(app, store, drawings)
    _add_errors(app)


def _add_tiles(app: FastAPI, review: ReviewStore, pictures: Pictures, drawings: Drawings) -> None:
    store = DrawnStore(review)

    @app.post("/api/draw/tiles")
    def tiles(request: Request) -> dict[str, Any]:
        """Return a person's tiles with how much is drawn on each, what can be drawn, and whose link was opened."""
        drawn, visitor = store.read_all(), visitor_of(request)
        his = [tile for tile in drawings.tiles.values() if has_place(visitor, scene=tile.scene, tile_id=tile.tile_id)]
        return {
            "person": visitor.name,
            "role": visitor.role,
            "num_queued": review.num_queued(),
            "tiles": [_listed(tile, drawn.get(tile.key, TileDrawing())) for tile in his],
            "tasks": {info.name: info.title for info in TASKS.values()},
            "forms": {form: sorted(info.roles) for form, info in FORMS.items()},
            "attributes": {
                name: {"roles": sorted(info.roles), "values": info.values, "is_flag": info.is_flag}
                for name, info in ATTRIBUTES.items()
            },
        }

    @app.post("/api/draw/tile")
    def tile(request: Request, body: ReviewerOfTileBody) -> dict[str, Any]:
        """Return a tile with all that is drawn on it."""
        found = tile_of(drawings, request, body)
        pictures.prepare(picture_key(found.image))
        return {
            **_listed(found, drawing := store.read(found.key)),
            "picture": picture_key(found.image),
            "pyramid": {"side": TILE_SIDE, "overlap": TILE_OVERLAP},
            "classes": [
                {"name": name, "singular": info.singular, "role": info.role, "kind": info.kind}
                for name, info in drawings.classes(found).items()
            ],
            "objects": [
                {"object_id": thing.key, "number": thing.number, "content": thing.content}
                for thing in drawing.of_kind("object")
            ],
            "complete": sorted(drawing.complete),
        }


def _listed(tile: DrawingTile, drawing: TileDrawing) -> dict[str, Any]:
    shown = asdict(tile)
    verdicts = [judged["verdict"] for judged in drawing.judged.values()]
    return {
        **{name: shown[name] for name in ("key", "tile_id", "scene", "split", "width", "height", "gsd", "date")},
        "num_questions": tile.num_questions,
        "num_objects": len(drawing.of_kind("object")),
        "num_accepted": verdicts.count("accepted"),
        "people": sorted({thing.reviewer for thing in drawing.things}),
    }


def _add_changes(app: FastAPI, review: ReviewStore, store: DrawnStore, drawings: Drawings) -> None:
    @app.post("/api/draw/change")
    def change(request: Request, body: ChangeBody) -> dict[str, Any]:
        """Store what was drawn; when this answers, it is on disk."""
        tile = tile_of(drawings, request, body)
        if any(found.content is not None and found.content.proposal for found in body.objects):
            seen = {proposal.key for proposal in seen_proposals(review, drawings, request, body)}
            _check_proposals(body, store.read(tile.key).objects, seen)
        changes = [*_object_changes(body, tile, drawings), *_complete_changes(body, tile, drawings)]
        keys = [(change.kind, change.key) for change in changes]
        if len(set(keys)) < len(keys):
            raise RefusedError("one thing is changed twice in one request")
        return {
            "numbers": store.write(tile.key, changes, author_of(request, body.reviewer), request_id=body.request_id)
        }


def _object_changes(body: ChangeBody, tile: DrawingTile, drawings: Drawings) -> list[Change]:
    classes = drawings.classes(tile)
    changes = []
    for found in body.objects:
        content = None
        if found.content is not None:
            drawn = rounded(found.content.drawn())
            if fault := drawing_fault(drawn, classes, width=tile.width, height=tile.height):
                raise RefusedError(fault)
            content = stored(drawn)
        changes.append(Change(kind="object", key=found.object_id, content=content, before=found.before))
    return changes


def _check_proposals(body: ChangeBody, standing: Mapping[str, DrawnObject], known: Set[str]) -> None:
    """Refuse objects that take over what no model proposes, or what is taken over already."""
    named = {found.object_id: found.content.proposal for found in body.objects if found.content is not None}
    changed = {found.object_id for found in body.objects}
    taken = [found.proposal for key, found in standing.items() if found.proposal and key not in changed]
    for proposal in filter(None, named.values()):
        if proposal not in known:
            raise RefusedError(f"no model proposes {proposal[:80]!a} on this tile")
        if proposal in taken:
            raise RefusedError(f"the proposal {proposal[:80]!a} is accepted already")
        taken.append(proposal)


def _complete_changes(body: ChangeBody, tile: DrawingTile, drawings: Drawings) -> list[Change]:
    classes = drawings.classes(tile)
    for found in body.complete:
        if found.class_name not in classes:
            raise RefusedError(f"the class table has no class {found.class_name[:40]!a}")
    return [
        Change(kind="complete", key=found.class_name, content=True if found.is_complete else None)
        for found in body.complete
    ]


def _add_questions(app: FastAPI, store: DrawnStore, drawings: Drawings) -> None:
    @app.post("/api/draw/questions")
    def questions(request: Request, body: ReviewerOfTileBody) -> dict[str, Any]:
        """Compute what the rules ask about a tile as it is drawn now, with what was decided on each question."""
        tile = tile_of(drawings, request, body)
        drawing = store.read(tile.key)
        computed = drawings.compute(tile, drawing)
        judged = drawing.judged
        known = {question.question_id for question in computed.questions}
        accepted = [key for key, found in judged.items() if found["verdict"] == "accepted" and key not in known]
        return {
            "questions": [
                {**_shown(question), "verdict": judged.get(question.question_id, {}).get("verdict", "open")}
                for question in computed.questions
                if task_fault(visitor_of(request), question.task) is None
            ],
            "not_asked": dict(computed.not_asked),
            "outdated": len(accepted),
        }

    @app.post("/api/draw/judge")
    def judge(request: Request, body: JudgeBody) -> dict[str, Any]:
        """Store what becomes of a computed question; when this answers, it is on disk."""
        tile = tile_of(drawings, request, body)
        check_task(visitor_of(request), _task_of(body.question_id, tile))
        content = None if body.verdict == "open" else {"verdict": body.verdict}
        changes = [Change(kind="question", key=body.question_id, content=content)]
        return {
            "numbers": store.write(tile.key, changes, author_of(request, body.reviewer), request_id=body.request_id)
        }


def _task_of(question_id: str, tile: DrawingTile) -> str:
    """Return the task of a computed question, as its id says.

    Raises:
        RefusedError: it is no id of a question that could be computed for the tile.
    """
    place, _, name = question_id.rpartition("/")
    task = next((info.name for info in TASKS.values() if name.startswith(f"{info.short}-")), None)
    if place != tile.tile_id or task is None:
        raise RefusedError(f"{question_id[:80]!a} is no question that the rules ask about {tile.tile_id}")
    return task


def _shown(question: ReviewQuestion) -> dict[str, Any]:
    geometry = decode_geometry(question.evidence)
    return {
        "question_id": question.question_id,
        "task": question.task,
        "form": question.form.value,
        "content": CONTENT.dump_python(question.content, mode="json"),
        "rule": str(question.evidence.get("rule", "")).replace("_", " "),
        "objects": [key.removeprefix("drawn:") for key in question.evidence.get("feature_ids", ())],
        "lines": [] if geometry is None else [line._asdict() for line in lines_of(geometry)],
        "focus": focus_of(question),
    }


def seen_proposals(
    review: ReviewStore, drawings: Drawings, request: Request, body: ReviewerOfTileBody
) -> tuple[Proposal, ...]:
    """Return what models propose on the tile of a request, without the answers to what its sender is yet to answer."""
    visitor, name = visitor_of(request), author_of(request, body.reviewer)
    return tuple(
        proposal
        for proposal in drawings.proposals(tile_of(drawings, request, body))
        if not is_key_hidden(review, visitor, name, proposal.key)
    )


def tile_of(drawings: Drawings, request: Request, body: ReviewerOfTileBody) -> DrawingTile:
    """Return the tile that a request is about.

    Raises:
        RefusedError: there is no such tile.
        NotAllowedError: it is not for who asks.
    """
    tile = drawings.tiles.get(body.tile)
    if tile is None:
        raise RefusedError("there is no such tile in the data set: open the page anew", 404)
    visitor = visitor_of(request)
    if not has_place(visitor, scene=tile.scene, tile_id=tile.tile_id):
        raise NotAllowedError(f"the tile {tile.tile_id} is not among those of {visitor.name}")
    return tile


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> JSONResponse:  # noqa: ARG001  fastapi's interface
        return JSONResponse({"problems": [str(error)]}, status_code=error.status)

    @app.exception_handler(ChangedMeanwhileError)
    async def changed(request: Request, error: ChangedMeanwhileError) -> JSONResponse:  # noqa: ARG001
        return JSONResponse({"problems": [str(error)]}, status_code=409)
