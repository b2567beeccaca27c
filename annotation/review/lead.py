"""What the lead's page asks for: the list of questions, steering, people's work; refused to everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response

from rsvqa.annotation.review import oversight
from rsvqa.annotation.review.messages import (
    FiltersBody,
    GiveBackBody,
    GoldBody,
    LabelBody,
    ReopenBody,
    SearchBody,
    SettleBody,
)
from rsvqa.annotation.review.people import People
from rsvqa.annotation.review.progress import Progress, read_progress, read_summary
from rsvqa.annotation.review.quality import Work, read_work, work_csv
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.review.visits import caller_of, lead_of


def add_lead(app: FastAPI, store: ReviewStore) -> None:
    """Add the routes of the lead's page."""
    _add_list(app, store)
    _add_steering(app, store)

    @app.post("/api/lead/people")
    def people(request: Request) -> dict[str, Any]:
        """Return people's work, decisions by task, and how long the rest will take."""
        filters = FiltersBody().filters(lead_of(request))
        rows = read_work(store)
        return {
            "work": [asdict(row) for row in rows],
            "people": [{"name": one.name, "role": one.role} for one in People(store.database).all()],
            "summary": asdict(read_summary(store)),
            "seconds_left": _seconds_left(read_progress(store, "", filters), rows),
        }

    @app.get("/work.csv")
    def work(request: Request) -> Response:
        """Return people's work as CSV."""
        lead_of(request)
        headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="work.csv"'}
        return Response(work_csv(read_work(store)), media_type="text/csv; charset=utf-8", headers=headers)


def _seconds_left(progress: Progress, rows: Sequence[Work]) -> float | None:
    """Return the working time that is left for everybody together, at the mean of people's own median times."""
    known = [row.seconds for row in rows if not row.task and row.seconds is not None]
    return (progress.total - progress.done) * sum(known) / len(known) if known else None


def _add_list(app: FastAPI, store: ReviewStore) -> None:
    @app.post("/api/lead/find")
    def find(request: Request, body: SearchBody) -> dict[str, Any]:
        """Return a page of the questions that a search finds."""
        lead_of(request)
        found = oversight.find(store, body.search())
        rows = [{**asdict(row), "comments": [comment._asdict() for comment in row.comments]} for row in found.rows]
        return {"total": found.total, "rows": rows, "page": oversight.PAGE_ROWS}


def _add_steering(app: FastAPI, store: ReviewStore) -> None:
    @app.post("/api/lead/give-back")
    def give_back(request: Request, body: GiveBackBody) -> dict[str, Any]:
        """Withdraw decisions, so that they come to their authors again."""
        lead_of(request)
        author = caller_of(request, body).name
        return {"count": oversight.give_back(store, body.numbers, author, body.note, request_id=body.request_id)}

    @app.post("/api/lead/reopen")
    def reopen(request: Request, body: ReopenBody) -> dict[str, Any]:
        """Withdraw every decision on a question."""
        lead_of(request)
        author = caller_of(request, body).name
        return {"count": oversight.reopen(store, body.question_id, author, body.note, request_id=body.request_id)}

    @app.post("/api/lead/reject-label")
    def reject_label(request: Request, body: LabelBody) -> dict[str, Any]:
        """Reject every question whose answer rests on a labelled object."""
        lead_of(request)
        author = caller_of(request, body).name
        return {"count": oversight.reject_label(store, body.label, author, body.reason, request_id=body.request_id)}

    @app.post("/api/lead/gold")
    def gold(request: Request, body: GoldBody) -> dict[str, Any]:
        """Make a question gold, or no longer."""
        lead_of(request)
        oversight.mark_gold(store, body.question_id, caller_of(request, body).name, is_gold=body.is_gold)
        return {}

    @app.post("/api/lead/settle")
    def settle(request: Request, body: SettleBody) -> dict[str, Any]:
        """Mark a comment as done with."""
        lead_of(request)
        oversight.settle(store, body.number)
        return {}
