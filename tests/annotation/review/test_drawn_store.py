"""A store from before there were written questions keeps all that was drawn in it, and takes new kinds of things."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rsvqa.annotation.review.drawn_store import Change, DrawnStore
from rsvqa.annotation.review.store import ReviewStore

OF_THREE_KINDS = """
CREATE TABLE drawn (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,
    tile TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('object', 'complete', 'question')),
    key TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    made_at REAL NOT NULL,
    content TEXT,
    UNIQUE (request_id, kind, key)
);
CREATE INDEX last_drawn ON drawn (tile, kind, key, number);
INSERT INTO drawn VALUES (3, 'r1', 't', 'complete', 'car', 'ann', 5.0, 'true');
INSERT INTO drawn VALUES (4, 'r2', 't', 'question', 'q', 'ben', 6.0, NULL);
"""


def test_a_store_of_three_kinds_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"
    with ReviewStore(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.executescript(OF_THREE_KINDS)
    connection.close()
    for turn in range(2):  # opened again, it is not taken over again
        with ReviewStore(path) as review:
            store = DrawnStore(review)
            kept = store.read("t")
            assert kept.complete == {"car"}
            assert kept.things[0][:4] == (3, "complete", "car", "ann")
            change = Change(kind="written", key=f"k{turn}", content={"task": "x"})
            assert store.write("t", [change], "cleo", request_id=f"r-{turn}") == {f"k{turn}": 5 + turn}
            assert store.authors("written") == {("t", f"k{number}"): "cleo" for number in range(turn + 1)}
