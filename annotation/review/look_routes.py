"""The part of the server that shows scenes in other bands and stretches, their surroundings and other dates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from pydantic import StringConstraints

from rsvqa.annotation.review.looks import SceneViews
from rsvqa.annotation.review.messages import Body
from rsvqa.annotation.review.pictures import NoSuchPictureError, PicturePlace
from rsvqa.annotation.review.rights import check_picture
from rsvqa.annotation.review.visits import visitor_of

_THREADS = 8
"""What waits for a scene has threads of its own, so that neither decisions nor the stored images wait for it."""
_FOR_A_WHILE = "private, max-age=3600"


class PictureBody(Body):
    """Asks about an image by its key."""

    picture: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]


def add_looks(app: FastAPI, views: SceneViews, places: Mapping[str, PicturePlace]) -> None:
    """Add to a server what the pages ask for to show a scene in another way; `places` are those of the images."""
    threads = ThreadPoolExecutor(_THREADS)

    async def made(make: Any, *what: Any) -> Response:  # noqa: ANN401  one of the methods, and what it takes
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(threads, make, *what)
        except NoSuchPictureError:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOR_A_WHILE})

    @app.post("/api/view")
    def view(request: Request, body: PictureBody) -> dict[str, Any]:
        """Return what can be seen of the scene of an image beyond the image."""
        check_picture(visitor_of(request), places, body.picture)
        found = views.view(body.picture)
        return {**asdict(found), "others": [other._asdict() for other in found.others]}

    @app.get("/scenes/{key}/{number:int}/{look}/{level:int}/{column:int}_{row:int}.jpg")
    async def tile(request: Request, key: str, number: int, look: str, level: int, column: int, row: int) -> Response:
        check_picture(visitor_of(request), places, key)
        return await made(views.tile, key, number, look, level, column, row)

    @app.get("/scenes/{key}/{look}/around.jpg")
    async def around(request: Request, key: str, look: str) -> Response:
        check_picture(visitor_of(request), places, key)
        return await made(views.around, key, look)
