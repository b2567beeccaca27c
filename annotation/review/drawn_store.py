"""What people have drawn, in the file of the review: one log of changes, of which the last one of a thing counts.

Rows are only added, in the same file and with the same care as decisions: what the page shows as saved is on disk. A
thing is an object, a class that is declared complete on a tile, a judgement on a computed question, a question that a
person wrote, or a model's proposal that was turned down. Each is named by its tile, its kind and its key; taking it
away is a row without content.

A tile is named by its id and the bytes of its image, so nothing drawn on one picture is ever shown on another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rsvqa.annotation.review.database import StoreError
from rsvqa.annotation.review.drawn import DRAWN, DrawnObject
from rsvqa.annotation.review.store import OTHER_REQUEST, ReviewStore

ThingKind = Literal["object", "complete", "question", "written", "proposal"]
"""What a row is about: an object, whether a class is complete, whether a computed question is accepted, a question that
a person wrote, or whether a proposed object is turned down."""

_FIRST_KINDS = "kind IN ('object', 'complete', 'question'))"
_SET_ASIDE = ("ALTER TABLE drawn RENAME TO drawn_of_three_kinds", "DROP INDEX last_drawn")
_TAKE_OVER = ("INSERT INTO drawn SELECT * FROM drawn_of_three_kinds", "DROP TABLE drawn_of_three_kinds")
"""A store from before there were written questions knows three kinds; SQLite cannot change a condition in place."""

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS drawn (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,
    tile TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('object', 'complete', 'question', 'written', 'proposal')),
    key TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    made_at REAL NOT NULL,
    content TEXT,
    UNIQUE (request_id, kind, key)
)
""",
    "CREATE INDEX IF NOT EXISTS last_drawn ON drawn (tile, kind, key, number)",
    "CREATE INDEX IF NOT EXISTS of_kind ON drawn (kind, number)",
)
_LAST = "SELECT max(number) FROM drawn WHERE tile = ? AND kind = ? AND key = ?"
_FIRST = (
    "SELECT tile, key, reviewer FROM drawn WHERE number IN "
    "(SELECT min(number) FROM drawn WHERE kind = ? GROUP BY tile, key)"
)
_PRESENT = (
    "SELECT * FROM drawn WHERE number IN (SELECT max(number) FROM drawn {} GROUP BY tile, kind, key) "
    "AND content IS NOT NULL ORDER BY number"
)


class ChangedMeanwhileError(StoreError):
    """Somebody else has changed the thing since it was read; nothing was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing as it is to be.

    Attributes:
        kind: of the thing.
        key: of the thing on its tile: the id of an object, the name of a class, the id of a question.
        content: of JSON types; None takes it away.
        before: number of the version that was changed, 0 for a new thing; None where it does not matter.
    """

    kind: ThingKind
    key: str
    content: Any
    before: int | None = None


class Thing(NamedTuple):
    """A thing as it stands: its number is that of its last change, and so are who made it and when."""

    number: int
    kind: ThingKind
    key: str
    reviewer: str
    content: Any
    made_at: float


class TileDrawing(NamedTuple):
    """All that people have drawn on a tile and said of it.

    Attributes:
        things: in the order of their last changes.
    """

    things: tuple[Thing, ...] = ()

    def of_kind(self, kind: ThingKind) -> tuple[Thing, ...]:
        """Return the things of a kind."""
        return tuple(thing for thing in self.things if thing.kind == kind)

    @property
    def objects(self) -> dict[str, DrawnObject]:
        """The objects by id, sorted: who drew first leaves no trace in what is made of them."""
        return {thing.key: DRAWN.validate_python(thing.content) for thing in sorted(self.of_kind("object"), key=_key)}

    @property
    def complete(self) -> frozenset[str]:
        """The classes of which somebody said that every instance on the tile is drawn."""
        return frozenset(thing.key for thing in self.of_kind("complete"))

    @property
    def judged(self) -> dict[str, Mapping[str, Any]]:
        """What was decided on questions, by id."""
        return {thing.key: thing.content for thing in sorted(self.of_kind("question"), key=_key)}


def _key(thing: Thing) -> str:
    return thing.key


def tile_key(tile_id: str, image_digest: str) -> str:
    """Return what names a tile in the log: its id and the SHA-256 of the bytes of its plain image."""
    return hashlib.sha256(json.dumps([tile_id, image_digest]).encode()).hexdigest()[:32]


class DrawnStore:
    """The part of a review's file that holds what was drawn."""

    def __init__(self, review: ReviewStore) -> None:
        self._database = review.database
        self._now = review.now
        with self._database.transaction() as connection:
            made = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'drawn'").fetchone()
            before, after = (_SET_ASIDE, _TAKE_OVER) if made and _FIRST_KINDS in made["sql"] else ((), ())
            for statement in (*before, *_TABLES, *after):
                connection.execute(statement)

    def write(self, tile: str, changes: Sequence[Change], reviewer: str, *, request_id: str) -> dict[str, int]:
        """Store changes, all or none, and return the numbers of the things' new versions by key.

        When this returns, they are on disk. The same `request_id` is stored once: a page that has heard nothing asks
        again.

        Raises:
            ChangedMeanwhileError: a thing is not as it was when the change was made.
            StoreError: the request's id stands for changes of other things, or by somebody else.
        """
        with self._database.transaction() as connection:
            known = connection.execute("SELECT * FROM drawn WHERE request_id = ?", (request_id,)).fetchall()
            if known:
                stored = {(row["tile"], row["kind"], row["key"], row["reviewer"]) for row in known}
                if stored != {(tile, change.kind, change.key, reviewer) for change in changes}:
                    raise StoreError(f"{OTHER_REQUEST}: nothing was stored")
                return {row["key"]: row["number"] for row in known}
            for change in changes:
                last = connection.execute(_LAST, (tile, change.kind, change.key)).fetchone()[0] or 0
                if change.before is not None and change.before != last:
                    who = connection.execute("SELECT reviewer FROM drawn WHERE number = ?", (last,)).fetchone()
                    name = who["reviewer"] if who else "nobody"
                    what = "question" if change.kind == "written" else change.kind
                    raise ChangedMeanwhileError(
                        f"{name} has changed the {what} meanwhile: it is shown as it is now, so change it again"
                    )
            numbers = {}
            for change in changes:
                content = None if change.content is None else json.dumps(change.content, ensure_ascii=False)
                values = (request_id, tile, change.kind, change.key, reviewer, self._now(), content)
                row = connection.execute(
                    "INSERT INTO drawn (request_id, tile, kind, key, reviewer, made_at, content) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
                assert row.lastrowid is not None
                numbers[change.key] = row.lastrowid
            return numbers

    def knows(self, tile: str, kind: ThingKind, key: str) -> bool:
        """Return whether a thing was ever on a tile, taken away or not."""
        with self._database.reading() as connection:
            return connection.execute(_LAST, (tile, kind, key)).fetchone()[0] is not None

    def last_number(self, kind: ThingKind) -> int:
        """Return the number of the last change of a thing of a kind; 0 before there is one."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT max(number) FROM drawn WHERE kind = ?", (kind,)).fetchone()[0] or 0)

    def authors(self, kind: ThingKind) -> dict[tuple[str, str], str]:
        """Return who stored the first version of each thing of a kind, by tile and key."""
        with self._database.reading() as connection:
            rows = connection.execute(_FIRST, (kind,)).fetchall()
        return {(row["tile"], row["key"]): row["reviewer"] for row in rows}

    def read(self, tile: str) -> TileDrawing:
        """Return what stands on a tile."""
        with self._database.reading() as connection:
            rows = connection.execute(_PRESENT.format("WHERE tile = ?"), (tile,)).fetchall()
        return TileDrawing(_things(rows))

    def read_all(self, kind: ThingKind | None = None) -> dict[str, TileDrawing]:
        """Return what stands on each tile on which anything does, or anything of a kind."""
        which, values = ("", ()) if kind is None else ("WHERE kind = ?", (kind,))
        with self._database.reading() as connection:
            rows = connection.execute(_PRESENT.format(which), values).fetchall()
        by_tile: dict[str, list[Any]] = {}
        for row in rows:
            by_tile.setdefault(row["tile"], []).append(row)
        return {tile: TileDrawing(_things(own)) for tile, own in sorted(by_tile.items())}


def _things(rows: Iterable[Any]) -> tuple[Thing, ...]:
    return tuple(
        Thing(row["number"], row["kind"], row["key"], row["reviewer"], json.loads(row["content"]), row["made_at"])
        for row in rows
    )
