"""What no page sends is refused in one line of 422, whatever it is: never served, never an error of the server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.annotation.review.make_questions import make_store
from tests.annotation.review.running_server import Answer, Client, running

CONTENT: dict[str, Any] = {"question": "How many?", "options": ["(A) 1", "(B) 2"], "answer": "A", "bbox": None}
ASKED: dict[str, Any] = {"reviewer": "ann", "question_id": "q1"}
BODIES: dict[str, dict[str, Any]] = {
    "next": {"reviewer": "ann"},
    "release": {"reviewer": "ann"},
    "forget-skips": {"reviewer": "ann"},
    "renew": ASKED,
    "answer": {**ASKED, "answer": "A", "bbox": None},
    "check": {**ASKED, "content": CONTENT},
    "decide": {**ASKED, "action": "save", "request_id": "0123456789abcdef", "content": CONTENT},
    "undo": {"reviewer": "ann", "number": 1},
    "open": ASKED,
    "comment": {**ASKED, "text": "which?", "request_id": "0123456789abcdef"},
    "lead/find": {"reviewer": "ann"},
    "lead/give-back": {"reviewer": "ann", "numbers": [1], "request_id": "0123456789abcdef"},
    "lead/reopen": {**ASKED, "request_id": "0123456789abcdef"},
    "lead/reject-label": {"reviewer": "ann", "label": "a", "reason": "no", "request_id": "0123456789abcdef"},
    "lead/gold": {**ASKED, "is_gold": True},
    "lead/settle": {"reviewer": "ann", "number": 1},
}
"""A body that each route takes."""

NOT_JSON = (
    b"",
    b"{",
    b"\xff\xfe",
    b"nul",
    b"{'reviewer': 'ann'}",
    b"[" * 100_000,
    b'{"reviewer": ' + b"9" * 5_000 + b"}",
    b'{"reviewer": "\xed\xa0\x80"}',
)
NO_OBJECT = (b"[]", b"null", b"1", b'"ann"', b"NaN", b"1e999", b"[{}]", b"true")
LONE, FAR = "\ud800", 10**30
WRONG: dict[str, tuple[Any, ...]] = {
    "reviewer": (None, 1, [], {}, True, "", " ", "x" * 41, "a\nb", "a\x00b", LONE, float("nan"), FAR),
    "filters": (None, 1, [], "all", {"task": LONE}, {"task": 1}, {"disputed_only": "maybe"}, {"disputed_only": 2}),
    "question_id": (None, 1, [], {}, LONE, "a\x00b", "x" * 20_001, float("inf")),
    "number": (None, "1", 0, -1, 1.5, True, FAR, 2**63, float("nan"), float("-inf"), [1], LONE),
    "action": (None, "accept", "", 1, LONE),
    "request_id": (None, "", "short", "x" * 65, "0123456789abcde\n", LONE, 10**20),
    "numbers": (None, 1, [], [0], [True], [FAR], [1.5], [float("nan")], ["1"], [1] * 1_001),
    "is_gold": (None, 1, "yes", LONE, []),
    "label": (None, "", 1, LONE, "x" * 201),
    "text": (None, "", " ", LONE, "a\x00b", "x" * 2_001, 1),
    "reason": (None, 1, "x" * 501, LONE, "a\x00b", ["x"]),
    "answer": (None, 1, [], LONE, "a\x00b", "x" * 20_001, "", "AB", "Z", "A\n"),
    "bbox": ([], [0, 0, 1], [0, 0, 1, float("nan")], [0, 0, 1, 1e30], [0, 0, 1, FAR], "0 0 1 1", {}, [0, 0, 1, True]),
    "content": (
        1,
        [],
        "x",
        {},
        {**CONTENT, "question": None},
        {**CONTENT, "question": LONE},
        {**CONTENT, "question": "a\x00b"},
        {**CONTENT, "question": "x" * 20_001},
        {**CONTENT, "answer": float("nan")},
        {**CONTENT, "options": "AB"},
        {**CONTENT, "options": {"A": 1}},
        {**CONTENT, "options": ["(A) 1"] * 27},
        {**CONTENT, "options": ["(A) \udfff"]},
        {**CONTENT, "bbox": []},
        {**CONTENT, "bbox": [0, 0, 1]},
        {**CONTENT, "bbox": [0, 0, 1, "1"]},
        {**CONTENT, "bbox": [0, 0, 1, float("nan")]},
        {**CONTENT, "bbox": [0, 0, 1, float("inf")]},
        {**CONTENT, "bbox": [0, 0, 1, 1e30]},
        {**CONTENT, "bbox": [0, 0, 1, FAR]},
        {**CONTENT, "bbox": [0, 0, 1, None]},
        {**CONTENT, "bbox": [0, 0, 1, 1, 1]},
        {**CONTENT, "bbox": {"x": 1}},
        {**CONTENT, "more": 1},
    ),
}
"""What a field may not hold."""


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield requests that must be refused: the route and the body."""
    for route, body in BODIES.items():
        yield from ((route, data) for data in (*NOT_JSON, *NO_OBJECT))
        yield from ((route, json.dumps({**body, name: {}}).encode()) for name in ("more", LONE, "__proto__"))
        for name in body:
            yield from ((route, json.dumps({**body, name: value}).encode()) for value in WRONG.get(name, ()))
        for name in body.keys() - {"content", "bbox"}:
            yield route, json.dumps({key: value for key, value in body.items() if key != name}).encode()
    for value in WRONG["filters"]:
        yield "next", json.dumps({**BODIES["next"], "filters": value}).encode()
    for more in ({"offset": -1}, {"offset": FAR}, {"offset": "1"}, {"state": "x"}, {"verdict": 1}, {"text": LONE}):
        yield "lead/find", json.dumps({"reviewer": "ann", **more}).encode()
    for value in WRONG["reason"]:
        yield "decide", json.dumps({**BODIES["decide"], "reason": value}).encode()


def send(client: Client, route: str, body: bytes) -> Answer:
    path = f"/{client.access.token}/api/{route}"
    return client.send("POST", path, body=body, headers={"Content-Type": "application/json"})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    store = make_store(tmp_path)
    with store, running(store) as client:
        yield client


def test_no_misshapen_body_is_served_nor_an_error_of_the_server(client: Client, tmp_path: Path) -> None:
    sent = list(bodies())
    assert len(sent) >= 250
    wrong: dict[tuple[str, bytes], tuple[int, bytes]] = {}
    for route, body in sent:
        answer = send(client, route, body)
        problems: list[str] = answer.json["problems"] if answer.status == 422 else []
        if len(problems) != 1 or not problems[0] or "\n" in problems[0] or len(problems[0]) > 300:
            wrong[route, body[:80]] = (answer.status, answer.body[:200])
    assert wrong == {}
    connection = sqlite3.connect(tmp_path / "review.sqlite")
    assert connection.execute("SELECT count(*) FROM decisions").fetchone() == (0,)
    connection.close()
    assert send(client, "next", b'{"reviewer": "ann"}').status == 200  # and it still works


def test_the_line_names_the_field_and_what_was_expected(client: Client) -> None:
    refused = send(client, "undo", b'{"reviewer": "ann", "number": 1e400}')
    assert refused.json == {"problems": ["number: Input should be a valid integer"]}
    assert send(client, "next", b"{").json["problems"][0].endswith("JSON decode error")
    assert send(client, "next", b'{"reviewer": "ann", "x": 1}').json == {
        "problems": ["x: Extra inputs are not permitted"]
    }
