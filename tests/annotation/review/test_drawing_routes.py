"""What the server for drawing takes and refuses: hostile objects get one line and 422, and nothing is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.people import People, PersonSettings
from rsvqa.annotation.review.store import ReviewStore
from tests.annotation.review.make_drawings import FakeDrawings
from tests.annotation.review.make_questions import make_store
from tests.annotation.review.running_server import Answer, Client, running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with make_store(tmp_path) as store:
        yield store


@pytest.fixture
def client(store: ReviewStore) -> Iterator[Client]:
    with running(store, drawings=FakeDrawings()) as client:
        yield client


def change(client: Client, text: str, **more: Any) -> Answer:
    """Send a change whose objects are JSON text, which may be none at all."""
    body = json.dumps({"reviewer": "ann", "tile": "tile1", "request_id": "r" * 20, "objects": "HERE", **more})
    return client.send(
        "POST",
        f"/{client.access.token}/api/draw/change",
        body=body.replace('"HERE"', text).encode(),
        headers={"Content-Type": "application/json", "Origin": f"http://{client.host}"},
    )


def drawn(points: str = "[[1, 1], [9, 9]]", *, form: str = "box", name: str = '"car"', more: str = "") -> str:
    """Return one object as JSON text."""
    content = f'{{"class_name": {name}, "form": "{form}", "points": {points}{more}}}'
    return f'[{{"object_id": "o1", "content": {content}}}]'


MANY = json.dumps([[index % 90, index // 90] for index in range(2_001)])
HOSTILE = {
    "NaN": (drawn("[[NaN, 1], [9, 9]]"), "finite number"),
    "infinity": (drawn("[[1, 1], [Infinity, 9]]"), "finite number"),
    "1e30": (drawn("[[1, 1], [1e30, 9]]"), "less than or equal to 10000000"),
    "1e999": (drawn("[[1, 1], [1e999, 9]]"), "finite number"),
    "a word": (drawn('[[1, 1], ["x", 9]]'), "valid number"),
    "three coordinates": (drawn("[[1, 1], [9, 9, 9]]"), "at most 2 items"),
    "no points": (drawn("[]"), "a box of 0 points: expected 2"),
    "too many points": (drawn(MANY, form="polygon"), "at most 2000 items"),
    "outside": (drawn("[[1, 1], [101, 9]]"), "the point (101, 9) lies outside the tile of 100 x 80 px"),
    "negative": (drawn("[[-1, 1], [10, 9]]"), "the point (-1, 1) lies outside the tile of 100 x 80 px"),
    "no area": (drawn("[[5, 5], [5, 9]]"), "the outline is smaller than a pixel"),
    "half a pixel": (drawn("[[5, 5], [5.5, 6]]"), "the outline is smaller than a pixel"),
    "a bow": (drawn("[[0, 0], [9, 9], [9, 0], [0, 9]]", form="polygon"), "the outline crosses itself"),
    "a corner astray": (drawn("[[0, 0], [9, 0], [9, 9], [3, 9]]", form="oriented_box"), "make no rectangle"),
    "a point of a circle": (drawn("[[5, 5], [5, 5]]", form="circle"), "the outline"),
    "a short line": (drawn("[[5, 5], [5.5, 5]]", form="line", name='"road"'), "shorter than a pixel"),
    "unknown form": (drawn(form="star"), "Input should be"),
    "unknown class": (drawn(name='"cra"'), "the class table has no class 'cra'; did you mean 'car'?"),
    "half a character": (drawn(name='"\\ud800"'), "valid string"),
    "a line of an object": (drawn("[[1, 1], [9, 9]]", form="line"), "a class of object things: draw one of box"),
    "a box of a road": (drawn(name='"road"'), "a class of road things: draw one of line"),
    "unknown attribute": (drawn(more=', "attributes": {"color": "red"}'), "'color'; did you mean 'colour'?"),
    "unknown colour": (drawn(more=', "attributes": {"colour": "rde"}'), "'rde'; did you mean 'red'?"),
    "a flag in words": (drawn(more=', "attributes": {"moving": "maybe"}'), "moving is 'maybe': expected yes or no"),
    "an attribute of roads": (drawn(more=', "attributes": {"oneway": true}'), "oneway is no attribute"),
    "half a key": (drawn(more=', "attributes": {"\\ud800": true}'), "valid string"),
    "another field": (drawn(more=', "colour": "red"'), "Extra inputs are not permitted"),
    "a huge number": ('[{"object_id": "o1", "before": 1' + "0" * 400 + "}]", "before"),
    "an id with a path": ('[{"object_id": "../o1"}]', "should match pattern"),
    "twice": ('[{"object_id": "o1"}, {"object_id": "o1"}]', "one thing is changed twice"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_objects_get_one_line_and_are_not_stored(client: Client, store: ReviewStore, what: str) -> None:
    text, message = HOSTILE[what]
    answer = change(client, text)
    assert answer.status == 422, answer.body
    (problem,) = answer.json["problems"]
    assert message in problem
    assert "\n" not in problem
    assert DrawnStore(store).read_all() == {}


@pytest.mark.parametrize("text", ["[" * 50_000, '{"a":', "\x00"])
def test_what_is_no_json_is_refused(client: Client, text: str) -> None:
    assert change(client, text).status in (400, 422)


def test_of_several_objects_none_is_stored_when_one_is_wrong(client: Client, store: ReviewStore) -> None:
    good, bad = drawn()[1:-1], drawn("[[1, 1], [101, 9]]")[1:-1].replace("o1", "o2")
    assert change(client, f"[{good}, {bad}]").status == 422
    assert DrawnStore(store).read_all() == {}


def test_an_unknown_tile_or_class_is_refused(client: Client) -> None:
    assert change(client, drawn(), tile="tile2").status == 404
    answer = change(client, "[]", complete=[{"class_name": "boat", "is_complete": True}])
    assert (answer.status, answer.json["problems"]) == (422, ["the class table has no class 'boat'"])


def test_a_change_that_is_sent_twice_is_stored_once(client: Client, store: ReviewStore) -> None:
    first, second = change(client, drawn()), change(client, drawn())
    assert first.json == second.json == {"numbers": {"o1": 1}}
    assert len(DrawnStore(store).read("tile1").things) == 1


def test_an_older_version_of_an_object_changes_nothing(client: Client, store: ReviewStore) -> None:
    change(client, drawn())
    later = change(client, drawn("[[1, 1], [20, 20]]"), request_id="s" * 20)
    assert (later.status, later.json["problems"][0][:34]) == (409, "ann has changed the object meanwhi")
    stored = DrawnStore(store).read("tile1").objects["o1"]
    assert stored.points == ((1, 1), (9, 9))


def test_objects_are_stored_to_a_thousandth_of_a_pixel_with_who_and_when(client: Client, store: ReviewStore) -> None:
    change(client, drawn("[[1.23456, 1], [9, 9]]", more=', "attributes": {"colour": "red", "moving": true}'))
    (thing,) = DrawnStore(store).read("tile1").things
    assert (thing.reviewer, thing.content["points"]) == ("ann", [[1.235, 1.0], [9.0, 9.0]])
    assert thing.content["attributes"] == {"colour": "red", "moving": True}


def test_nobody_draws_in_the_name_of_another(store: ReviewStore) -> None:
    people = People(store.database)
    tokens = people.update({"ben": PersonSettings()})
    with running(store, drawings=FakeDrawings(), people=people) as server:
        ben = server.of(tokens["ben"])
        body = {"reviewer": "ann", "tile": "tile1", "request_id": "r" * 20, "objects": json.loads(drawn())}
        assert ben.post("draw/change", body).status == 200
        (question,) = ben.post("draw/questions", {"reviewer": "ann", "tile": "tile1"}).json["questions"]
        judged = {"question_id": question["question_id"], "verdict": "accepted", "request_id": "s" * 20}
        assert ben.post("draw/judge", {"reviewer": "ann", "tile": "tile1", **judged}).status == 200
        assert ben.post("draw/tiles", {}).json["person"] == "ben"
    assert [thing.reviewer for thing in DrawnStore(store).read("tile1").things] == ["ben", "ben"]


def test_what_is_taken_away_stays_in_the_log(client: Client, store: ReviewStore) -> None:
    change(client, drawn())
    assert change(client, '[{"object_id": "o1", "before": 1}]', request_id="s" * 20).status == 200
    assert DrawnStore(store).read_all() == {}
    with store.database.reading() as connection:
        rows = connection.execute("SELECT number, key, reviewer, content IS NULL AS gone FROM drawn").fetchall()
    assert [tuple(row) for row in rows] == [(1, "o1", "ann", 0), (2, "o1", "ann", 1)]


def test_verdicts_are_taken_back(client: Client) -> None:
    change(client, drawn())
    asked = {"reviewer": "ann", "tile": "tile1"}
    verdicts = []
    for number, verdict in enumerate(["accepted", "discarded", "open"]):
        judged = {**asked, "question_id": "a:0_0/OC-1", "verdict": verdict, "request_id": f"judge-{number:020d}"}
        assert client.post("draw/judge", judged).status == 200
        verdicts.append(client.post("draw/questions", asked).json["questions"][0]["verdict"])
    assert verdicts == ["accepted", "discarded", "open"]


def test_without_tiles_there_is_nothing_to_draw_on(store: ReviewStore) -> None:
    with running(store) as client:
        assert client.post("draw/tiles", {}).status == 405  # the page alone answers, and to GET only
