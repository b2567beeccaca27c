"""What the server answers about the scenes behind images, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.annotation.review.looks import OtherScene, SceneView
from rsvqa.annotation.review.pictures import NoSuchPictureError, picture_key
from tests.annotation.review.make_questions import make_store
from tests.annotation.review.running_server import Client, running

KEY = picture_key("a/0_0.jpg")


class FakeViews:
    """One image with a scene of four bands behind it, and one tile of it."""

    def view(self, key: str) -> SceneView:
        others = (OtherScene(1, "b", "2020-01-02", ("1", "2")),)
        is_known = key == KEY
        return SceneView(bands=("1", "2", "3", "4"), shown=(3, 2, 1), others=others) if is_known else SceneView()

    def tile(self, key: str, number: int, look: str, level: int, column: int, row: int) -> bytes:
        if (key, number, look, level, column, row) != (KEY, 0, "built", 3, 0, 0):
            raise NoSuchPictureError("none")
        return b"tile"

    def around(self, key: str, look: str) -> bytes:
        if (key, look) != (KEY, "built"):
            raise NoSuchPictureError("none")
        return b"around"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with make_store(tmp_path) as store, running(store, views=FakeViews()) as client:
        yield client


def test_what_can_be_seen_is_told(client: Client) -> None:
    assert client.post("view", {"picture": KEY}).json == {
        "bands": ["1", "2", "3", "4"],
        "shown": [3, 2, 1],
        "around": None,
        "others": [{"number": 1, "scene": "b", "date": "2020-01-02", "bands": ["1", "2"]}],
    }
    assert client.post("view", {"picture": "0" * 24}).json["bands"] == []


def test_pictures_of_scenes_are_sent(client: Client) -> None:
    answer = client.get(f"scenes/{KEY}/0/built/3/0_0.jpg")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"tile", "image/jpeg")
    assert client.get(f"scenes/{KEY}/built/around.jpg").body == b"around"


@pytest.mark.parametrize(
    "path",
    [
        f"scenes/{KEY}/0/other/3/0_0.jpg",
        f"scenes/{KEY}/-1/built/3/0_0.jpg",
        f"scenes/{KEY}/0/../../etc/passwd/3/0_0.jpg",
        f"scenes/{KEY}/0/built/3/0_0.png",
        f"scenes/{'1' * 400}/0/built/3/0_0.jpg",
        f"scenes/{KEY}/99999999999999999999999999/built/3/0_0.jpg",
        f"scenes/{KEY}/built/../around.jpg",
        "scenes//built/around.jpg",
    ],
)
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status == 404


@pytest.mark.parametrize("picture", ["", "a" * 25, "../x", 7, None, ["a"], "ä" * 24, "A" * 24])
def test_a_picture_of_another_shape_is_refused(client: Client, picture: object) -> None:
    answer = client.post("view", {"picture": picture})
    assert answer.status == 422
    assert len(answer.json["problems"]) == 1
