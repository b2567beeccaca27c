"""The part of the server that shows what a model proposes on a tile, until a person accepts it or turns it down.

An accepted proposal is an object that names it; the log says who stored that first. What nobody accepts is no label.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

from rsvqa.annotation.authoring.writing_messages import ProposalBody
from rsvqa.annotation.review.drawing import Drawings
from rsvqa.annotation.review.drawing_messages import ReviewerOfTileBody
from rsvqa.annotation.review.drawing_routes import RefusedError, seen_proposals, tile_of
from rsvqa.annotation.review.drawn_store import Change, DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.review.visits import author_of


def add_proposals(app: FastAPI, review: ReviewStore, drawings: Drawings) -> None:
    """Add to a server what the page for drawing asks about proposals."""
    store = DrawnStore(review)

    @app.post("/api/draw/proposals")
    def proposals(request: Request, body: ReviewerOfTileBody) -> dict[str, Any]:
        """Return the objects that a model proposes on a tile, and which of them are turned down."""
        tile = tile_of(drawings, request, body)
        deleted = sorted(thing.key for thing in store.read(tile.key).of_kind("proposal"))
        seen = seen_proposals(review, drawings, request, body)
        found = [{**proposal._asdict(), "box": list(proposal.box)} for proposal in seen]
        return {"proposals": found, "deleted": deleted}

    @app.post("/api/draw/proposal")
    def proposal(request: Request, body: ProposalBody) -> dict[str, Any]:
        """Store that a proposal is turned down, or open again; when this answers, it is on disk."""
        tile = tile_of(drawings, request, body)
        if body.proposal not in {found.key for found in seen_proposals(review, drawings, request, body)}:
            raise RefusedError(f"no model proposes {body.proposal[:80]!a} on this tile")
        change = Change(kind="proposal", key=body.proposal, content=True if body.is_deleted else None)
        author = author_of(request, body.reviewer)
        return {"numbers": store.write(tile.key, [change], author, request_id=body.request_id)}
