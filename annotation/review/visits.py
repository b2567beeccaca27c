"""Who sends a request, as the routes see it: the name that counts, the questions that are for him, what he may do."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.review.filters import Filters
from rsvqa.annotation.review.guard import VISITOR
from rsvqa.annotation.review.messages import ReviewerBody
from rsvqa.annotation.review.people import Visitor


class NotAllowedError(RsvqaError):
    """A person asks for what his role does not allow."""


class Caller(NamedTuple):
    """Who asks, which questions are for him, and whether all are, with what others said."""

    name: str
    filters: Filters
    sees_all: bool


def visitor_of(request: Request) -> Visitor:
    """Return whose link was opened."""
    visitor: Visitor = request.scope[VISITOR]
    return visitor


def author_of(request: Request, typed: str) -> str:
    """Return in whose name a request is: that of the link, whatever name is sent; what is typed where there is none."""
    return visitor_of(request).name or typed


def caller_of(request: Request, body: ReviewerBody) -> Caller:
    """Return who asks, and which questions are for him."""
    visitor = visitor_of(request)
    return Caller(author_of(request, body.reviewer), body.filters.filters(visitor), visitor.sees_all)


def lead_of(request: Request) -> Visitor:
    """Return whose link was opened, a lead's.

    Raises:
        NotAllowedError: it is no lead's.
    """
    visitor = visitor_of(request)
    if visitor.role != "lead":
        raise NotAllowedError("only a lead may do this")
    return visitor


def refused(*problems: str, status: int = 422) -> JSONResponse:
    """Return an answer that says in a line each why nothing was done."""
    return JSONResponse({"problems": problems}, status_code=status)
