"""What the server of a review answers on behalf of this room."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI

from rsvqa.annotation.authoring.proposal_routes import add_proposals
from rsvqa.annotation.authoring.writing_routes import add_writing
from rsvqa.annotation.review.drawing import Drawings
from rsvqa.annotation.review.store import ReviewStore


def authoring_parts(review: ReviewStore, drawings: Drawings) -> tuple[Callable[[FastAPI], None], ...]:
    """Return the parts for `server.create_app`: written questions, and proposals of models."""
    return tuple(partial(add, review=review, drawings=drawings) for add in (add_writing, add_proposals))
