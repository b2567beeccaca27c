"""The review's server: what the page asks for, answered from the store and the pictures.

A thin layer: it checks what comes in, calls the store, and turns the answer into JSON. A decision is on disk before its
answer is sent. The only names that reach the file system are those of `PAGE_FILES`, which were read at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from rsvqa.annotation.review.agreement import Decision, ReviewVerdict
from rsvqa.annotation.review.content import CONTENT, EditableContent, ReviewQuestion, check_content, settled
from rsvqa.annotation.review.database import StoreError
from rsvqa.annotation.review.drawing import Drawings
from rsvqa.annotation.review.drawing_routes import add_drawing
from rsvqa.annotation.review.evidence import focus_of, in_words, lines_of
from rsvqa.annotation.review.messages import CheckBody, DecideBody, QuestionBody, ReviewerBody, UndoBody
from rsvqa.annotation.review.pictures import TILE_OVERLAP, TILE_SIDE, NoSuchPictureError, Pictures, picture_key
from rsvqa.annotation.review.progress import read_choices, read_progress, read_summary
from rsvqa.annotation.review.store import CLAIM_S, Assignment, FormerReview, ReviewStore
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
    "draw.html": "text/html; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "draw.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        (
            "api.js",
            "draw_canvas.js",
            "draw_main.js",
            "draw_model.js",
            "draw_panels.js",
            "draw_shapes.js",
            "draw_tools.js",
            "drawing.js",
            "editor.js",
            "elements.js",
            "keys.js",
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


def create_app(store: ReviewStore, pictures: Pictures, *, name: str, drawings: Drawings | None = None) -> ASGIApp:
    """Return the server's application, to be put behind a `Guard`.

    Args:
        store: of the review, with its queue filled.
        pictures: the images of the questions.
        name: of the data set, as the page shows it.
        drawings: the tiles that may be drawn on; None for none.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_pictures(app, pictures)
    _add_queue(app, store, pictures, name)
    _add_decisions(app, store)
    _add_errors(app)
    if drawings is not None:
        add_drawing(app, store, pictures, drawings)
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


def _add_pictures(app: FastAPI, pictures: Pictures) -> None:
    threads = ThreadPoolExecutor(_TILE_THREADS)

    @app.get("/tiles/{key}/{level:int}/{column:int}_{row:int}.jpg")
    async def tile(key: str, level: int, column: int, row: int) -> Response:
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(threads, pictures.tile, key, level, column, row)
        except NoSuchPictureError:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOREVER})


def _add_queue(app: FastAPI, store: ReviewStore, pictures: Pictures, name: str) -> None:
    @app.post("/api/session")
    def session() -> dict[str, Any]:
        """Return what does not change while the server runs."""
        tasks = {info.name: {"short": info.short, "title": info.level_3} for info in TASKS.values()}
        choices = asdict(read_choices(store))
        return {
            "name": name,
            "tasks": tasks,
            "choices": choices,
            "reasons": REASONS,
            "claim_s": CLAIM_S,
            "num_queued": store.num_queued(),
        }

    @app.post("/api/next")
    def next_question(body: ReviewerBody) -> dict[str, Any]:
        """Claim the next question; none is left when `question` is null."""
        filters = body.filters.filters()
        assignment = store.next_question(body.reviewer, filters)
        if assignment is not None:
            _prepare(pictures, store.upcoming(body.reviewer, filters))
        return _answer(store, body, assignment)

    @app.post("/api/renew")
    def renew(body: QuestionBody) -> dict[str, Any]:
        """Keep the question that is open."""
        store.renew(body.reviewer, body.question_id)
        return {"progress": _progress(store, body)}

    @app.post("/api/release")
    def release(body: ReviewerBody) -> dict[str, Any]:
        """Give back what is claimed, when other questions are wanted."""
        store.release(body.reviewer)
        return {}

    @app.post("/api/forget-skips")
    def forget_skips(body: ReviewerBody) -> dict[str, Any]:
        """Let what was skipped come again."""
        return {"count": store.forget_skips(body.reviewer)}

    @app.post("/api/summary")
    def summary() -> dict[str, Any]:
        """Return decisions by task."""
        return asdict(read_summary(store))


def _prepare(pictures: Pictures, questions: Iterable[ReviewQuestion]) -> None:
    """Have images made ready that will be wanted soon, each once, in the order of the questions."""
    for image in dict.fromkeys(image for question in questions for image in question.images):
        pictures.prepare(picture_key(image))


def _add_decisions(app: FastAPI, store: ReviewStore) -> None:
    @app.post("/api/check")
    def check(body: CheckBody) -> dict[str, Any]:
        """Return the content with all that follows from a moved box, and why it may not stand."""
        question = store.question(body.question_id)
        content = settled(question, body.content.content())
        problems = check_content(question, content) if content != question.content else ()
        return {"content": CONTENT.dump_python(content, mode="json"), "problems": problems}

    @app.post("/api/decide")
    def decide(body: DecideBody) -> Any:  # noqa: ANN401  a response or its content
        """Store a decision; when this answers, it is on disk."""
        question = store.question(body.question_id)
        content = settled(question, body.content.content()) if body.content and body.action == "save" else None
        problems = _problems(question, body, content)
        if problems:
            return JSONResponse({"problems": problems}, status_code=422)
        number = store.decide(
            body.question_id,
            body.reviewer,
            _verdict(body, is_changed=content != question.content),
            request_id=body.request_id,
            after=content,
            reason=body.reason,
        )
        return {"number": number, "progress": _progress(store, body)}

    @app.post("/api/undo")
    def undo(body: UndoBody) -> dict[str, Any]:
        """Withdraw a decision, open its question again, and return what was decided."""
        decision = store.undo(body.reviewer, body.number)
        answer = _answer(store, body, store.open_question(body.reviewer, decision.question_id))
        return {**answer, "undone": _opinion(decision)}


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


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(StoreError)
    async def refused(request: Request, error: StoreError) -> JSONResponse:  # noqa: ARG001  fastapi's interface
        return JSONResponse({"problems": [str(error)]}, status_code=404)


# --- answers --------------------------------------------------------------------------------------------------------


def _answer(store: ReviewStore, body: ReviewerBody, assignment: Assignment | None) -> dict[str, Any]:
    progress = _progress(store, body)
    if assignment is None:
        return {"question": None, "progress": progress}
    return {
        "question": _shown(assignment.question),
        "opinions": [_opinion(opinion) for opinion in assignment.opinions],
        "former": None if assignment.former is None else _former(assignment.former),
        "progress": progress,
    }


def _progress(store: ReviewStore, body: ReviewerBody) -> dict[str, Any]:
    return asdict(read_progress(store, body.reviewer, body.filters.filters()))


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
        "rule": str(evidence.get("rule", "")).replace("_", " "),
        "values": in_words(evidence.get("values", {})),
        "feature_ids": list(evidence.get("feature_ids", ())),
        "is_disputed": question.is_disputed,
        "models": evidence.get("annotation"),
    }


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
