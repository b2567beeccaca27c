"""The part of the server that shows scenes in other bands and stretches, their surroundings and other dates."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Response
from pydantic import StringConstraints

from rsvqa.annotation.review.looks import SceneViews
from rsvqa.annotation.review.messages import Body
from rsvqa.annotation.review.pictures import NoSuchPictureError

_THREADS = 8
"""What waits for a scene has threads of its own, so that neither decisions nor the stored images wait for it."""
_FOR_A_WHILE = "private, max-age=3600"


class PictureBody(Body):
    """Asks about an image by its key."""

    picture: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]


def add_looks(app: FastAPI, views: SceneViews) -> None:
    """Add to a server what the pages ask for to show a scene in another way."""
    threads = ThreadPoolExecutor(_THREADS)

    async def made(make: Any, *what: Any) -> Response:  # noqa: ANN401  one of the methods, and what it takes
        loop = asyncio.get_running_loop()
        try:
            content = await loop.run_in_executor(threads, make, *what)
        except NoSuchPictureError:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOR_A_WHILE})

    @app.post("/api/view")
    def view(body: PictureBody) -> dict[str, Any]:
        """Return what can be seen of the scene of an image beyond the image."""
        found = views.view(body.picture)
        return {**asdict(found), "others": [other._asdict() for other in found.others]}

    @app.get("/scenes/{key}/{number:int}/{look}/{level:int}/{column:int}_{row:int}.jpg")
    async def tile(key: str, number: int, look: str, level: int, column: int, row: int) -> Response:
        return await made(views.tile, key, number, look, level, column, row)

    @app.get("/scenes/{key}/{look}/around.jpg")
    async def around(key: str, look: str) -> Response:
        return await made(views.around, key, look)
