"""A review's server in a thread, with pictures that need no shard, and plain requests to it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rsvqa.annotation.authoring.parts import authoring_parts
from rsvqa.annotation.review.access import Access
from rsvqa.annotation.review.attempts import Attempts
from rsvqa.annotation.review.drawing import Drawings
from rsvqa.annotation.review.looks import SceneViews
from rsvqa.annotation.review.people import People
from rsvqa.annotation.review.pictures import NoSuchPictureError, PicturePlace, Pictures, picture_key
from rsvqa.annotation.review.running import make_server, open_socket
from rsvqa.annotation.review.server import create_app
from rsvqa.annotation.review.store import ReviewStore

TILE = b"\xff\xd8\xff a tile"


class FakePictures:
    """Has one tile of one image, and notes what it is told to prepare."""

    def __init__(self) -> None:
        self.prepared: list[str] = []

    def tile(self, key: str, level: int, column: int, row: int) -> bytes:
        if (key, level, column, row) != (picture_key("a/0_0.jpg"), 3, 0, 0):
            raise NoSuchPictureError("no such tile")
        return TILE

    def prepare(self, key: str) -> None:
        self.prepared.append(key)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to a running server."""

    access: Access
    token: str = ""

    def __post_init__(self) -> None:
        if not self.token:
            object.__setattr__(self, "token", self.access.token)

    def of(self, token: str) -> Client:
        """Return a client with a link of its own."""
        return Client(self.access, token)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.access.port}"

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] = {},
    ) -> Answer:
        """Send a request as it is; a header that is None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.access.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            lengths = {} if body is None else {"Content-Length": str(len(body))}
            for name, value in {"Host": self.host, **lengths, **headers}.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Get something below the token."""
        return self.send("GET", f"/{self.token}/{path}")

    def post(self, path: str, content: Mapping[str, Any]) -> Answer:
        """Post JSON as the page does."""
        return self.send(
            "POST",
            f"/{self.token}/api/{path}",
            body=json.dumps(content).encode(),
            headers={"Content-Type": "application/json", "Origin": f"http://{self.host}"},
        )


@contextmanager
def running(
    store: ReviewStore,
    *,
    password: str | None = None,
    pictures: Pictures | None = None,
    people: People | None = None,
    patience_s: float = 20.0,
    guidelines: str = "",
    drawings: Drawings | None = None,
    views: SceneViews | None = None,
    places: Mapping[str, PicturePlace] = {},
) -> Iterator[Client]:
    """Yield a client of a server that is stopped afterwards; guesses are counted there, and hold nobody for long."""
    listening = open_socket("127.0.0.1", 0)
    access = Access(host="127.0.0.1", port=listening.getsockname()[1], password=password, people=people)
    app = create_app(
        store,
        pictures or FakePictures(),
        name="a data set",
        guidelines=guidelines,
        drawings=drawings,
        views=views,
        places=places,
        parts=authoring_parts(store, drawings) if drawings else (),
    )
    server = make_server(app, access, attempts=Attempts(hold_s=0.001), patience_s=patience_s)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Client(access)
    finally:
        server.should_exit = True
        thread.join()
