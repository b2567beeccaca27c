"""The review's server: what the page asks for, answered from the store and the pictures.

A thin layer: it checks what comes in, calls the store, and turns the answer into JSON. A decision is on disk before its
answer is sent. The only names that reach the file system are those of `PAGE_FILES`, which were read at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import resources
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review import oversight
from rsvqa.annotation.review.agreement import Decision, ReviewVerdict
from rsvqa.annotation.review.answers import BlindAnswer, answer_fault, guesses_of, hidden, is_key
from rsvqa.annotation.review.content import CONTENT, EditableContent, ReviewQuestion, check_content, settled
from rsvqa.annotation.review.database import StoreError
from rsvqa.annotation.review.drawing import Drawings
from rsvqa.annotation.review.drawing_routes import add_drawing
from rsvqa.annotation.review.evidence import focus_of, in_words, lines_of, opens_whole
from rsvqa.annotation.review.lead import add_lead
from rsvqa.annotation.review.look_routes import add_looks
from rsvqa.annotation.review.looks import SceneViews
from rsvqa.annotation.review.messages import (
    AnswerBody,
    CheckBody,
    CommentBody,
    DecideBody,
    OpenBody,
    QuestionBody,
    ReviewerBody,
    UndoBody,
    in_one_line,
)
from rsvqa.annotation.review.pictures import (
    TILE_OVERLAP,
    TILE_SIDE,
    NoSuchPictureError,
    PicturePlace,
    Pictures,
    picture_key,
)
from rsvqa.annotation.review.progress import read_choices, read_progress, read_summary
from rsvqa.annotation.review.rights import check_picture, check_question
from rsvqa.annotation.review.store import CLAIM_S, Assignment, FormerReview, ReviewStore
from rsvqa.annotation.review.visits import Caller, NotAllowedError, caller_of, refused, visitor_of
from rsvqa.annotation.stored_evidence import decode_geometry
from rsvqa.annotation.taxonomy import TASKS

REASONS = (
    "wrong answer",
    "several options are right",
    "ambiguous question",
    "not visible in the image",
    "box does not fit",
    "wrong or missing label",
    "poor wording",
    "not useful",
)
"""Offered for a rejection, in the order of their keys; a reviewer may write another one."""

PAGE_FILES: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "lead.html": "text/html; charset=utf-8",
    "draw.html": "text/html; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "lead.css": "text/css; charset=utf-8",
    "draw.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        (
            "api.js",
            "blind.js",
            "comments.js",
            "draw_canvas.js",
            "draw_main.js",
            "draw_model.js",
            "draw_panels.js",
            "draw_shapes.js",
            "draw_tools.js",
            "draw_writing.js",
            "drawing.js",
            "editor.js",
            "elements.js",
            "guidelines.js",
            "keys.js",
            "lead.js",
            "look.js",
            "main.js",
            "panels.js",
            "viewer.js",
            "vendor/openseadragon.min.js",
        ),
        "text/javascript; charset=utf-8",
    ),
}
"""The page's files, by their path below the token, with their media types."""

_TILE_THREADS = 64
"""Requests for tiles wait for an image to be decoded; they have threads of their own, so that decisions never wait."""
_FOREVER = "private, max-age=31536000, immutable"


def create_app(
    store: ReviewStore,
    pictures: Pictures,
    *,
    name: str,
    guidelines: str = "",
    drawings: Drawings | None = None,
    views: SceneViews | None = None,
    places: Mapping[str, PicturePlace] = MappingProxyType({}),
    parts: Sequence[Callable[[FastAPI], None]] = (),
) -> ASGIApp:
    """Return the server's application, to be put behind a `Guard`.

    Args:
        store: of the review, with its queue filled.
        pictures: the images of the questions.
        name: of the data set, as the page shows it.
        guidelines: Markdown that stands beside the questions: what is below a heading that names a task, beside its.
        drawings: the tiles that may be drawn on; None for none.
        views: the scenes behind the images; None where none is at hand.
        places: of the images, by their keys; who works on some places sees no image without one.
        parts: each adds what another room answers, behind the same guard.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_pictures(app, pictures, places)
    _add_session(app, store, name, guidelines)
    _add_queue(app, store, pictures)
    _add_decisions(app, store)
    _add_comments(app, store)
    add_lead(app, store)
    _add_errors(app)
    if drawings is not None:
        add_drawing(app, store, pictures, drawings)
    if views is not None:
        add_looks(app, views, places)
    for add_part in parts:
        add_part(app)
    _add_page(app)  # last: it takes every path that is left
    return app


def _add_page(app: FastAPI) -> None:
    folder = resources.files("rsvqa.annotation.review").joinpath("page")
    files = {name: folder.joinpath(name).read_bytes() for name in PAGE_FILES}

    @app.get("/{name:path}")
    async def page(name: str) -> Response:
        found = name or "index.html"
        if found not in files:
            return Response(status_code=404)
        return Response(files[found], media_type=PAGE_FILES[found], headers={"Cache-Control": "no-cache"})


def _add_pictures(app: FastAPI, pictures: Pictures, places: Mapping[str, PicturePlace]) -> None:
    threads = ThreadPoolExecutor(_TILE_THREADS)

    @app.get("/tiles/{key}/{level:int}/{column:int}_{row:int}.jpg")
    async def tile(request: Request, key: str, level: int, column: int, row: int) -> Response:
        check_picture(visitor_of(request), places, key)
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(threads, pictures.tile, key, level, column, row)
        except NoSuchPictureError:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOREVER})


def _add_session(app: FastAPI, store: ReviewStore, name: str, guidelines: str) -> None:
    @app.post("/api/session")
    def session(request: Request) -> dict[str, Any]:
        """Return what does not change while the server runs, and who asks where people have links."""
        visitor = visitor_of(request)
        tasks = {info.name: {"short": info.short, "title": info.title} for info in TASKS.values()}
        choices = asdict(read_choices(store))
        person = {"person": visitor.name, "role": visitor.role}
        return {
            "name": name,
            "tasks": tasks,
            "choices": choices,
            "reasons": REASONS,
            "claim_s": CLAIM_S,
            **person,
            "guidelines": guidelines,
            "num_queued": store.num_queued(),
        }


def _add_queue(app: FastAPI, store: ReviewStore, pictures: Pictures) -> None:
    @app.post("/api/next")
    def next_question(request: Request, body: ReviewerBody) -> dict[str, Any]:
        """Claim the next question; none is left when `question` is null."""
        caller = caller_of(request, body)
        assignment = store.next_question(caller.name, caller.filters)
        if assignment is not None:
            _prepare(pictures, store.upcoming(caller.name, caller.filters))
        return _answer(store, caller, assignment)

    @app.post("/api/open")
    def open_question(request: Request, body: OpenBody) -> dict[str, Any]:
        """Claim a question by its id."""
        caller = caller_of(request, body)
        if not caller.sees_all:
            raise NotAllowedError("only an expert or a lead may open a question by its id")
        return _answer(store, caller, store.open_question(caller.name, body.question_id))

    @app.post("/api/renew")
    def renew(request: Request, body: QuestionBody) -> dict[str, Any]:
        """Keep the question that is open."""
        caller = caller_of(request, body)
        check_question(store, caller, body.question_id)
        store.renew(caller.name, body.question_id)
        return {"progress": _progress(store, caller)}

    @app.post("/api/release")
    def release(request: Request, body: ReviewerBody) -> dict[str, Any]:
        """Give back what is claimed, when other questions are wanted."""
        store.release(caller_of(request, body).name)
        return {}

    @app.post("/api/forget-skips")
    def forget_skips(request: Request, body: ReviewerBody) -> dict[str, Any]:
        """Let what was skipped come again."""
        return {"count": store.forget_skips(caller_of(request, body).name)}

    @app.post("/api/summary")
    def summary(request: Request, body: ReviewerBody) -> dict[str, Any]:
        """Return decisions by task; an annotator's own, for those of others would lead him."""
        caller = caller_of(request, body)
        return asdict(read_summary(store, only=None if caller.sees_all else caller.name))


def _prepare(pictures: Pictures, questions: Iterable[ReviewQuestion]) -> None:
    """Have images made ready that will be wanted soon, each once, in the order of the questions."""
    for image in dict.fromkeys(image for question in questions for image in question.images):
        pictures.prepare(picture_key(image))


def _add_decisions(app: FastAPI, store: ReviewStore) -> None:
    @app.post("/api/check")
    def check(request: Request, body: CheckBody) -> Any:  # noqa: ANN401  a response or its content
        """Return the content with all that follows from a moved box, and why it may not stand."""
        caller = caller_of(request, body)
        check_question(store, caller, body.question_id)
        if _is_blind(store, caller, body.question_id):
            return refused(ANSWER_FIRST)
        question = store.question(body.question_id)
        content = settled(question, body.content.content())
        problems = check_content(question, content) if content != question.content else ()
        return {"content": CONTENT.dump_python(content, mode="json"), "problems": problems}

    @app.post("/api/decide")
    def decide(request: Request, body: DecideBody) -> Any:  # noqa: ANN401  a response or its content
        """Store a decision; when this answers, it is on disk."""
        caller = caller_of(request, body)
        check_question(store, caller, body.question_id)
        question = store.question(body.question_id)
        content = settled(question, body.content.content()) if body.content and body.action == "save" else None
        problems = _problems(question, body, content)
        if body.action == "save" and _is_blind(store, caller, body.question_id):
            problems = (ANSWER_FIRST,)
        if problems:
            return refused(*problems)
        number = store.decide(
            body.question_id,
            caller.name,
            _verdict(body, is_changed=content != question.content),
            request_id=body.request_id,
            after=content,
            reason=body.reason,
            may_adjudicate=caller.filters.may_adjudicate and body.saw_opinions,
        )
        return {"number": number, "progress": _progress(store, caller)}

    @app.post("/api/answer")
    def answer(request: Request, body: AnswerBody) -> Any:  # noqa: ANN401  a response or its content
        """Store an answer given before the key is seen, and return the question with its key."""
        caller = caller_of(request, body)
        check_question(store, caller, body.question_id)
        bbox = None if body.bbox is None else Box(*body.bbox)
        fault = answer_fault(store.question(body.question_id), body.answer, bbox)
        if fault is not None:
            return refused(fault)
        may_adjudicate = caller.filters.may_adjudicate
        answered = store.answer(body.question_id, caller.name, body.answer, bbox, may_adjudicate=may_adjudicate)
        return _answer(store, caller, answered)

    @app.post("/api/undo")
    def undo(request: Request, body: UndoBody) -> dict[str, Any]:
        """Withdraw a decision, open its question again, and return what was decided."""
        caller = caller_of(request, body)
        check_question(store, caller, store.decided_question(caller.name, body.number))
        decision = store.undo(caller.name, body.number)
        may_adjudicate = caller.filters.may_adjudicate
        opened = store.open_question(caller.name, decision.question_id, may_adjudicate=may_adjudicate)
        return {**_answer(store, caller, opened), "undone": _opinion(decision)}


def _is_blind(store: ReviewStore, caller: Caller, question_id: str) -> bool:
    return store.is_blind(question_id, caller.name, may_adjudicate=caller.filters.may_adjudicate)


ANSWER_FIRST = "answer the question first; its key is shown after that"


def _verdict(body: DecideBody, *, is_changed: bool) -> ReviewVerdict:
    if body.action == "save":
        return "fixed" if is_changed else "accepted"
    return "rejected" if body.action == "reject" else "skipped"


def _problems(question: ReviewQuestion, body: DecideBody, content: EditableContent | None) -> tuple[str, ...]:
    if body.action == "reject":
        return () if body.reason else ("a rejection needs a reason",)
    if body.action == "skip":
        return ()
    if content is None:
        return ("no content to save",)
    return check_content(question, content) if content != question.content else ()


def _add_comments(app: FastAPI, store: ReviewStore) -> None:
    @app.post("/api/comment")
    def comment(request: Request, body: CommentBody) -> dict[str, Any]:
        """Store what somebody says about a question, and return all that he may read about it."""
        caller = caller_of(request, body)
        check_question(store, caller, body.question_id)
        oversight.comment(store, body.question_id, caller.name, body.text, request_id=body.request_id)
        return {"comments": _comments(store, caller, body.question_id)}


def _comments(store: ReviewStore, caller: Caller, question_id: str) -> list[dict[str, Any]]:
    found = oversight.comments_for(store, question_id, caller.name, sees_all=caller.sees_all)
    return [comment._asdict() for comment in found]


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(StoreError)
    async def not_there(request: Request, error: StoreError) -> JSONResponse:  # noqa: ARG001  fastapi's interface
        return refused(str(error), status=404)

    @app.exception_handler(NotAllowedError)
    async def not_allowed(request: Request, error: NotAllowedError) -> JSONResponse:  # noqa: ARG001
        return refused(str(error), status=403)

    @app.exception_handler(RequestValidationError)
    async def misshapen(request: Request, error: RequestValidationError) -> JSONResponse:  # noqa: ARG001
        # not fastapi's own answer: it repeats what was sent, which cannot always be written as JSON
        return refused(in_one_line(error.errors()))

    @app.exception_handler(400)
    async def no_json(request: Request, error: HTTPException) -> JSONResponse:  # noqa: ARG001
        return refused("the body: expected JSON")


# --- answers --------------------------------------------------------------------------------------------------------


def _answer(store: ReviewStore, caller: Caller, assignment: Assignment | None) -> dict[str, Any]:
    progress = _progress(store, caller)
    if assignment is None:
        return {"question": None, "progress": progress}
    return {
        "question": _shown(hidden(assignment.question) if assignment.is_blind else assignment.question),
        "is_blind": assignment.is_blind,
        "comments": _comments(store, caller, assignment.question.question_id),
        "own": None if assignment.own is None else _own(assignment.question, assignment.own),
        # who decides between others is not to know whose opinions they are
        "opinions": [{**_opinion(opinion), "reviewer": "", "number": 0} for opinion in assignment.opinions],
        "former": None if assignment.former is None or assignment.is_blind else _former(assignment.former),
        "progress": progress,
    }


def _progress(store: ReviewStore, caller: Caller) -> dict[str, Any]:
    return asdict(read_progress(store, caller.name, caller.filters))


def _shown(question: ReviewQuestion) -> dict[str, Any]:
    """Return a question with all that the page draws and says about it."""
    geometry = decode_geometry(question.evidence)
    evidence = question.evidence
    return {
        "question_id": question.question_id,
        "task": question.task,
        "form": question.form.value,
        "split": question.split,
        "scene": question.scene,
        "source": question.source,
        "review": question.review,
        "language": question.language,
        "gsd": question.gsd,
        "width": question.width,
        "height": question.height,
        "content": CONTENT.dump_python(question.content, mode="json"),
        "pictures": [
            {"key": picture_key(image), "date": date}
            for image, date in zip(question.images, question.dates or (None,) * len(question.images), strict=True)
        ],
        "tile": {"side": TILE_SIDE, "overlap": TILE_OVERLAP},
        "lines": [] if geometry is None else [line._asdict() for line in lines_of(geometry)],
        "region": evidence.get("region"),
        "focus": focus_of(question),
        "opens_whole": opens_whole(question),
        "guesses": guesses_of(question),
        "rule": str(evidence.get("rule", "")).replace("_", " "),
        "values": in_words(evidence.get("values", {})),
        "feature_ids": list(evidence.get("feature_ids", ())),
        "is_disputed": question.is_disputed,
        "models": evidence.get("annotation"),
    }


def _own(question: ReviewQuestion, own: BlindAnswer) -> dict[str, Any]:
    return {"answer": own.answer, "bbox": own.bbox, "is_key": is_key(question, own.answer, own.bbox)}


def _former(former: FormerReview) -> dict[str, Any]:
    """Return what was decided on another version of a question, with that version."""
    opinions = [
        {**_opinion(opinion), "before": CONTENT.dump_python(opinion.before, mode="json")} for opinion in former.opinions
    ]
    return {"changes": former.changes, "opinions": opinions}


def _opinion(decision: Decision) -> dict[str, Any]:
    return {
        "number": decision.number,
        "reviewer": decision.reviewer,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "content": None if decision.after is None else CONTENT.dump_python(decision.after, mode="json"),
    }
