"""What people write is stored with who and when, waits for a second person, and hostile questions get one line."""

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

COUNT: dict[str, Any] = {
    "task": "overall_counting",
    "question": "How many cars stand in the yard?",
    "options": ["3", "4", "5", "6"],
    "right": [1],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with make_store(tmp_path, 0) as store:
        store.fill([], blind="overlap")
        yield store


@pytest.fixture
def client(store: ReviewStore) -> Iterator[Client]:
    with running(store, drawings=FakeDrawings()) as client:
        yield client


def write(
    client: Client, content: Any, *, key: str = "k1", before: int = 0, name: str = "ann", turn: int = 0
) -> Answer:
    body = {"reviewer": name, "tile": "tile1", "key": key, "before": before, "content": content}
    return client.post("draw/write", {**body, "request_id": f"write-{key}-{before:04d}-{turn:08d}"})


def written(client: Client, name: str = "ann") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.post("draw/written", {"reviewer": name, "tile": "tile1"}).json["written"]
    return found


def waiting(client: Client, name: str) -> str | None:
    question = client.post("next", {"reviewer": name}).json["question"]
    return None if question is None else str(question["question_id"])


def test_a_question_is_stored_with_author_and_time_and_can_be_changed_and_taken_away(
    client: Client, store: ReviewStore
) -> None:
    assert write(client, COUNT).json == {"numbers": {"k1": 1}}
    (found,) = written(client)
    assert (found["author"], found["number"], found["may_change"]) == ("ann", 1, True)
    assert found["content"]["options"] == ["(A) 3", "(B) 4", "(C) 5", "(D) 6"]
    assert found["content"]["answer"] == "B"
    assert write(client, {**COUNT, "right": [2]}, before=1).status == 200
    assert written(client)[0]["content"]["answer"] == "C"
    assert write(client, None, before=2).status == 200
    assert written(client) == []
    assert write(client, COUNT, before=3).status == 200  # undone
    assert written(client)[0]["content"]["answer"] == "B"
    with store.database.reading() as connection:
        rows = connection.execute("SELECT reviewer, made_at, content IS NULL FROM drawn ORDER BY number").fetchall()
    assert [tuple(row) for row in rows] == [("ann", 1_000_000.0, gone) for gone in (0, 0, 1, 0)]


def test_a_question_that_is_sent_twice_is_stored_once(client: Client, store: ReviewStore) -> None:
    assert write(client, COUNT).json == write(client, COUNT).json
    assert len(DrawnStore(store).read("tile1").things) == 1
    assert [decision.reviewer for decision in store.decisions()] == ["ann"]


def test_an_older_version_changes_nothing(client: Client) -> None:
    write(client, COUNT)
    write(client, {**COUNT, "right": [2]}, before=1)
    late = write(client, {**COUNT, "right": [3]}, before=1, turn=1)
    assert (late.status, late.json["problems"][0][:36]) == (409, "ann has changed the question meanwhi")
    assert written(client)[0]["content"]["answer"] == "C"


def test_a_second_person_judges_it_without_seeing_the_key(client: Client, store: ReviewStore) -> None:
    write(client, COUNT)
    assert waiting(client, "ann") is None
    assert client.post("next", {"reviewer": "ann"}).json["progress"]["last_decision"] is None  # nothing to undo there
    shown = client.post("next", {"reviewer": "ben"}).json
    question_id = shown["question"]["question_id"]
    assert (shown["is_blind"], shown["question"]["content"]["answer"]) == (True, "")
    client.post("answer", {"reviewer": "ben", "question_id": question_id, "answer": "B"})
    content = written(client)[0]["content"]
    body = {"reviewer": "ben", "question_id": question_id, "action": "save", "content": content}
    assert client.post("decide", {**body, "request_id": "d" * 20}).status == 200
    assert [d.verdict for d in store.final_decisions().values()] == ["accepted"]
    assert waiting(client, "cleo") is None


def test_a_change_comes_to_the_second_person_again_and_what_is_taken_away_to_nobody(client: Client) -> None:
    write(client, COUNT)
    seen = client.post("next", {"reviewer": "ben"}).json["question"]
    ben: dict[str, Any] = {"reviewer": "ben", "question_id": seen["question_id"]}
    assert client.post("answer", {**ben, "answer": "B"}).json["question"]["content"]["answer"] == "B"
    write(client, {**COUNT, "right": [2]}, before=1)
    # what he has before him is not what stands there now: he would turn it back
    save = {**ben, "action": "save", "content": {**seen["content"], "answer": "B"}, "request_id": "d" * 20}
    refused = client.post("decide", save)
    assert refused.status == 403
    assert "has changed since it was put before ben" in refused.json["problems"][0]
    again = client.post("next", {"reviewer": "ben"}).json
    assert (again["question"]["question_id"], again["is_blind"]) == (seen["question_id"], True)
    assert client.post("answer", {**ben, "answer": "C"}).json["own"]["is_key"] is True
    assert client.post("decide", {**save, "content": {**seen["content"], "answer": "C"}}).status == 200
    write(client, {**COUNT, "right": [3]}, before=2)
    assert waiting(client, "ben") == seen["question_id"]
    write(client, None, before=3)
    assert waiting(client, "ben") is None


def test_an_id_of_a_request_stands_for_one_thing(client: Client) -> None:
    write(client, COUNT)
    write(client, {**COUNT, "question": "How many vans are there?"}, key="k2")
    about = {"reviewer": "ann", "tile": "tile1", "request_id": "write-k1-0000-00000000"}
    again = client.post("draw/write", {**about, "key": "k2", "before": 2, "content": None})
    assert (again.status, again.json["problems"]) == (
        404,
        ["the id of this request stands for another one that was stored before: nothing was stored"],
    )
    assert len(written(client)) == 2
    assert client.post("draw/write", {**about, "key": "k1", "before": 0, "content": COUNT}).json == {
        "numbers": {"k1": 1}
    }


def test_two_people_do_not_ask_the_same_of_a_tile(client: Client) -> None:
    write(client, COUNT)
    again = write(client, COUNT, key="k2", name="ben")
    assert (again.status, again.json["problems"]) == (422, ["this is asked about the tile already"])
    boats = {**COUNT, "question": "How many boats are there?", "options": ["1", "2", "3", "4"]}
    assert write(client, boats, key="k3").json["problems"] == ["this is asked about the tile already"]


def test_typing_is_answered_and_stores_nothing(client: Client, store: ReviewStore) -> None:
    write(client, COUNT)
    asked = {"reviewer": "ann", "tile": "tile1", "key": "k2"}
    answer = client.post("draw/check", {**asked, "content": {**COUNT, "question": "How many vans?", "right": []}})
    assert answer.json == {"problems": ["mark the right option"], "warnings": []}
    answer = client.post("draw/check", {**asked, "content": {**COUNT, "question": "How many vans?"}})
    assert answer.json == {"problems": [], "warnings": ["B beside 1 others"]}
    own = client.post("draw/check", {**asked, "key": "k1", "content": COUNT})
    assert own.json == {"problems": [], "warnings": ["B beside 0 others"]}  # a question is not compared with itself
    assert len(DrawnStore(store).read("tile1").things) == 1


def test_templates_of_each_task_are_offered(client: Client) -> None:
    found = client.post("draw/templates", {"reviewer": "ann", "tile": "tile1"}).json
    tasks = {task["name"]: task for task in found["tasks"]}
    assert len(tasks) == 22
    assert {name for name, task in tasks.items() if not task["is_open"]} == {
        *("change_counting", "land_use_change")  # there is no second date
    }
    assert tasks["anomaly_detection"]["num_options"] == [4, 2]
    assert {"key": "object_presence.question", "text": "Are there any {plural} in the image?", "slots": ["plural"]} in (
        tasks["object_presence"]["templates"]
    )
    assert found["where_box"] == "Image resolution: 100 x 80. Bounding box: {box}."
    assert found["where_point"] == "Image resolution: 100 x 80. Point: [{x}, {y}]."
    assert ["car", "cars"] in found["nouns"]


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def team(store: ReviewStore) -> Iterator[dict[str, Client]]:
    people = People(store.database)
    tokens = people.update(
        {
            "ann": PersonSettings(),
            "ben": PersonSettings(tasks=("object_presence",)),
            "cleo": PersonSettings(scenes=("b*",)),
            "dan": PersonSettings(scenes=("a",), tiles=("a:0_512",)),
            "eva": PersonSettings(role="expert"),
            "fay": PersonSettings(role="expert", tiles=("b:0_0",)),
            "hal": PersonSettings(tiles=("a:0_0", "b:0_0")),
            "gil": PersonSettings(role="lead", scenes=("b*",)),
        }
    )
    with running(store, drawings=FakeDrawings(), people=people) as server:
        yield {name: server.of(token) for name, token in tokens.items()}


def test_nobody_writes_in_the_name_of_another(team: dict[str, Client]) -> None:
    assert write(team["ann"], COUNT, name="eva").status == 200
    assert written(team["eva"])[0]["author"] == "ann"


def test_an_annotator_changes_his_own_questions_and_an_expert_those_of_others(team: dict[str, Client]) -> None:
    write(team["eva"], COUNT)
    assert written(team["ann"])[0]["may_change"] is False
    for content in (None, {**COUNT, "right": [2]}):
        refused = write(team["ann"], content, before=1, name="eva", turn=1)
        assert (refused.status, refused.json["problems"]) == (
            403,
            ["eva wrote this question: only he, an expert or a lead may change it"],
        )
    write(team["ann"], {**COUNT, "question": "How many vans are there?"}, key="k2")
    assert write(team["eva"], None, key="k2", before=2).status == 200


def test_people_write_about_their_own_tasks_and_scenes(team: dict[str, Client]) -> None:
    refused = write(team["ben"], COUNT)
    assert (refused.status, refused.json["problems"]) == (403, ["Overall counting is not among the tasks of ben"])
    refused = write(team["cleo"], COUNT)
    assert (refused.status, refused.json["problems"]) == (403, ["the tile a:0_0 is not among those of cleo"])
    about = team["cleo"].post("draw/tiles", {}).json
    assert (about["tiles"], about["num_queued"]) == ([], 0)
    found = team["ben"].post("draw/templates", {"reviewer": "ben", "tile": "tile1"}).json["tasks"]
    assert [task["name"] for task in found] == ["object_presence"]


def outside_requests() -> dict[str, dict[str, Any]]:
    """Return a request that would be done of each kind that is about a tile, by its path."""
    about: dict[str, Any] = {"reviewer": "ann", "tile": "tile1"}
    new = {**about, "request_id": "r" * 20}
    box = {"class_name": "car", "form": "box", "points": [[1, 1], [9, 9]]}
    return {
        "draw/tile": about,
        "draw/change": {**new, "objects": [{"object_id": "o1", "content": box}]},
        "draw/questions": about,
        "draw/judge": {**new, "question_id": "a:0_0/OC-1", "verdict": "accepted"},
        "draw/templates": about,
        "draw/written": about,
        "draw/check": {**about, "key": "k1", "content": COUNT},
        "draw/write": {**new, "key": "k1", "content": COUNT},
        "draw/proposals": about,
        "draw/proposal": {**new, "proposal": "a:0_0/FVG1", "is_deleted": True},
    }


@pytest.mark.parametrize("name", ["cleo", "dan"])
@pytest.mark.parametrize("path", outside_requests())
def test_nobody_acts_outside_his_scenes_and_his_area(
    team: dict[str, Client], store: ReviewStore, path: str, name: str
) -> None:
    refused = team[name].post(path, outside_requests()[path])
    assert (refused.status, refused.json["problems"]) == (403, [f"the tile a:0_0 is not among those of {name}"])
    assert DrawnStore(store).read("tile1").things == ()
    assert team[name].post("draw/tiles", {}).json["tiles"] == []


@pytest.mark.parametrize("name", ["hal", "fay", "gil"])
@pytest.mark.parametrize("path", outside_requests())
def test_the_same_is_done_for_whose_area_it_is_and_for_who_leads(team: dict[str, Client], path: str, name: str) -> None:
    assert team[name].post(path, outside_requests()[path]).status == 200
    assert [tile["tile_id"] for tile in team[name].post("draw/tiles", {}).json["tiles"]] == ["a:0_0"]


# --- hostile requests -------------------------------------------------------------------------------------------------

LONE, FAR = "\ud800", 10**30
HOSTILE: dict[str, Any] = {
    "no content": 1,
    "a list": [],
    "a task of half a character": {**COUNT, "task": LONE},
    "a task in numbers": {**COUNT, "task": 5},
    "a long task": {**COUNT, "task": "x" * 201},
    "an unknown task": {**COUNT, "task": "overall counting"},
    "no task": {name: value for name, value in COUNT.items() if name != "task"},
    "a question of half a character": {**COUNT, "question": LONE},
    "a question with NUL": {**COUNT, "question": "How\x00 many?"},
    "a huge question": {**COUNT, "question": "x" * 20_001},
    "a long question": {**COUNT, "question": "How many?" + "x" * 19_000},
    "a direction mark": {**COUNT, "question": "How many \u202ecars?"},
    "evidence without points": {**COUNT, "shapes": [{"form": "box", "points": []}]},
    "evidence of three points": {**COUNT, "shapes": [{"form": "circle", "points": [[1, 1], [2, 2], [3, 3]]}]},
    "a circle of two numbers": {**COUNT, "circle": [1, 2]},
    "a circle that is NaN": {**COUNT, "task": "regional_counting", "circle": [float("nan"), 1, 20]},
    "a circle far away": {**COUNT, "task": "regional_counting", "circle": [FAR, 1, 20]},
    "a circle inside out": {**COUNT, "task": "regional_counting", "circle": [50, 40, -20]},
    "a scene of the second date": {**COUNT, "later_scene": "b", "later_date": "2020-01-02"},
    "27 options": {**COUNT, "options": ["x"] * 27},
    "options in one text": {**COUNT, "options": "3456"},
    "an option of half a character": {**COUNT, "options": ["3", "4", "5", "\udfff"]},
    "no option": {**COUNT, "options": []},
    "a key that is NaN": {**COUNT, "right": [float("nan")]},
    "a key far away": {**COUNT, "right": [FAR]},
    "a key below zero": {**COUNT, "right": [-1]},
    "a key in words": {**COUNT, "right": ["1"]},
    "a key that is true": {**COUNT, "right": [True]},
    "a key of nothing": {**COUNT, "right": [9]},
    "many keys": {**COUNT, "right": [1] * 27},
    "an answer of half a character": {**COUNT, "answer": LONE},
    "an answer in the wrong place": {**COUNT, "answer": "four"},
    "a box of NaN": {**COUNT, "box": [0, 0, 1, float("nan")]},
    "an endless box": {**COUNT, "box": [0, 0, 1, float("inf")]},
    "a box far away": {**COUNT, "box": [0, 0, 1, FAR]},
    "a box of three": {**COUNT, "box": [0, 0, 1]},
    "a box in words": {**COUNT, "box": "0 0 1 1"},
    "shapes of NaN": {**COUNT, "shapes": [{"form": "point", "points": [[float("nan"), 1]]}]},
    "a shape far away": {**COUNT, "shapes": [{"form": "point", "points": [[1e30, 1]]}]},
    "a shape outside": {**COUNT, "shapes": [{"form": "point", "points": [[101, 1]]}]},
    "a shape of another form": {**COUNT, "shapes": [{"form": "star", "points": [[1, 1]]}]},
    "a bow": {**COUNT, "shapes": [{"form": "polygon", "points": [[0, 0], [9, 9], [9, 0], [0, 9]]}]},
    "too many points": {**COUNT, "shapes": [{"form": "polygon", "points": [[1, 1]] * 2_001}]},
    "too many shapes": {**COUNT, "shapes": [{"form": "point", "points": [[1, 1]]}] * 51},
    "a template of another task": {**COUNT, "template": "object_size.area"},
    "a template of half a character": {**COUNT, "template": LONE},
    "a template with a path": {**COUNT, "template": "../../etc/passwd"},
    "another field": {**COUNT, "origin": "rule"},
    "an author": {**COUNT, "author": "eva"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_questions_get_one_line_each_and_are_not_stored(client: Client, store: ReviewStore, what: str) -> None:
    answer = write(client, HOSTILE[what])
    assert answer.status == 422, answer.body
    assert answer.json["problems"]
    assert all("\n" not in problem and len(problem) <= 300 for problem in answer.json["problems"])
    assert DrawnStore(store).read_all() == {}
    asked = {"reviewer": "ann", "tile": "tile1", "key": "k1", "content": HOSTILE[what]}
    checked = client.post("draw/check", asked)
    assert checked.status == 422 or (checked.status == 200 and checked.json["problems"]), checked.body


BODIES: dict[str, dict[str, Any]] = {
    "templates": {"reviewer": "ann", "tile": "tile1"},
    "written": {"reviewer": "ann", "tile": "tile1"},
    "check": {"reviewer": "ann", "tile": "tile1", "key": "k1", "content": COUNT},
    "write": {"reviewer": "ann", "tile": "tile1", "key": "k1", "request_id": "r" * 20, "content": COUNT},
    "proposals": {"reviewer": "ann", "tile": "tile1"},
    "proposal": {"reviewer": "ann", "tile": "tile1", "request_id": "r" * 20, "proposal": "p", "is_deleted": True},
}
FIELDS: dict[str, tuple[Any, ...]] = {
    "reviewer": (None, 1, "", "x" * 41, LONE, "a\nb"),
    "tile": (None, 1, "", "../tile1", LONE, FAR, "x" * 65),
    "key": (None, 1, "", "../k", LONE, "x" * 65),
    "request_id": (None, "short", LONE, FAR),
    "before": (None, -1, 1.5, FAR, float("nan"), "x"),
    "proposal": (None, 1, LONE, "a\x00b", "x" * 201),
    "is_deleted": (None, 1, "yes", LONE),
}


@pytest.mark.parametrize("route", BODIES)
def test_hostile_fields_are_refused_in_one_line(client: Client, store: ReviewStore, route: str) -> None:
    for name in BODIES[route]:
        for value in FIELDS.get(name, ()):
            answer = client.post(f"draw/{route}", {**BODIES[route], name: value})
            assert answer.status == 422, (name, value, answer.body)
            (problem,) = answer.json["problems"]
            assert "\n" not in problem
    for body in (b"", b"{", b"nul", b"[" * 100_000, b"\xff\xfe", b"null", b"[]", b"NaN"):
        answer = client.send(
            "POST",
            f"/{client.token}/api/draw/{route}",
            body=body,
            headers={"Content-Type": "application/json", "Origin": f"http://{client.host}"},
        )
        assert answer.status == 422, body
    assert client.post(f"draw/{route}", {**BODIES[route], "tile": "tile2"}).status == 404
    assert client.post(f"draw/{route}", {**BODIES[route], "more": 1}).status == 422
    assert DrawnStore(store).read_all() == {}


def test_another_persons_token_or_none_opens_nothing(team: dict[str, Client]) -> None:
    stranger = team["ann"].of("x" * 32)
    assert write(stranger, COUNT).status == 404
    whole = json.dumps({**BODIES["write"], "content": {**COUNT, "answer": "x" * 256_000}}).encode()
    headers = {"Content-Type": "application/json", "Origin": f"http://{team['ann'].host}"}
    path = f"/{team['ann'].token}/api/draw/write"
    assert team["ann"].send("POST", path, body=whole, headers=headers).status == 403  # larger than any question
    elsewhere = {**headers, "Origin": "http://elsewhere.example"}
    assert team["ann"].send("POST", path, body=b"{}", headers=elsewhere).status == 403
