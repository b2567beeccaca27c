"""The people of a review: what each may do and works on, and the links by which they come in.

A link holds a token that is shown once, when it is made; the store keeps its SHA-256. Where nobody has a link, whoever
opens the review types a name, as one person on his own machine does.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from rsvqa.annotation.review.database import Database
from rsvqa.annotation.taxonomy import TASKS

Role = Literal["annotator", "expert", "lead"]

FRESH_S = 1.0
"""A link that is taken away, or new, counts after this many seconds at most."""


def _one_name(name: str) -> str:
    """Return a name as it is compared: keyboards write one accented letter in two ways (Unicode's NFC and NFD)."""
    if not name.isprintable():
        raise ValueError("expected printable characters")
    return unicodedata.normalize("NFC", name)


def _known(task: str) -> str:
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; expected one of {', '.join(TASKS)}")
    return task


ReviewerName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), AfterValidator(_one_name)
]


class Duty(BaseModel):
    """Which questions a person works on; empty means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[Annotated[str, AfterValidator(_known)], ...] = ()
    scenes: tuple[str, ...] = ()
    """Names of scenes; `*` and `?` stand for anything and for one letter."""
    tiles: tuple[str, ...] = ()
    """Ids of tiles; mostly those of an area."""
    queue: Literal["all", "needed", "sample"] = "all"
    """Questions that need a review, or the sample of the others."""

    def has_place(self, *, scene: str, tile_id: str) -> bool:
        """Return whether a tile is one of those that he works on."""
        is_scene = not self.scenes or any(fnmatchcase(scene, pattern) for pattern in self.scenes)
        return is_scene and (not self.tiles or tile_id in self.tiles)


EVERYTHING = Duty()


class PersonSettings(Duty):
    """A person as a file of people describes him."""

    area: tuple[float, float, float, float] | str | None = None
    """Part of the Earth whose tiles are his: west, south, east, north in degrees, or a file of polygons."""
    role: Role = "annotator"
    """An annotator judges; an expert also decides where opinions differ; a lead also sees and steers everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who sends a request.

    Attributes:
        name: of his link; empty where people type their names.
        role: what he may do.
        duty: what he works on.
    """

    name: str = ""
    role: Role = "annotator"
    duty: Duty = EVERYTHING

    @property
    def sees_all(self) -> bool:
        """Whether every question and tile is open to him, with what others said."""
        return self.role != "annotator"

    @property
    def may_adjudicate(self) -> bool:
        """Whether he is asked where opinions differ; without links, whoever is there."""
        return not self.name or self.sees_all


class People:
    """The people who have a link to a review.

    Args:
        database: of the review.
        now: returns seconds on a clock that only goes forward.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._read_at = float("-inf")
        self._known: tuple[tuple[bytes, Visitor], ...] = ()

    def update(self, people: Mapping[str, PersonSettings], *, renew: Collection[str] = ()) -> dict[str, str]:
        """Make `people` all who have a link, and return the tokens of those who have had none or get a new one.

        Whoever is not among them comes in no more; what he decided stays.
        """
        tokens: dict[str, str] = {}
        with self._database.transaction() as connection:
            known = {row["name"] for row in connection.execute("SELECT name FROM people")}
            connection.executemany("DELETE FROM people WHERE name = ?", [(name,) for name in known - people.keys()])
            for name, person in people.items():
                duty = Duty(**person.model_dump(exclude={"role", "area"})).model_dump_json()
                if name not in known or name in renew:
                    tokens[name] = secrets.token_urlsafe(24)
                    values = (name, person.role, duty, _digest(tokens[name]).hex())
                    connection.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)", values)
                else:
                    connection.execute("UPDATE people SET role = ?, duty = ? WHERE name = ?", (person.role, duty, name))
        self._read_at = float("-inf")
        return tokens

    def all(self) -> tuple[Visitor, ...]:
        """Return everybody who has a link."""
        return tuple(visitor for _, visitor in self._fresh())

    def find(self, token: str) -> Visitor | None:
        """Return whose token it is; how long that takes tells nothing about any token."""
        digest = _digest(token)
        found = [visitor for known, visitor in self._fresh() if secrets.compare_digest(known, digest)]
        return found[0] if found else None

    def _fresh(self) -> tuple[tuple[bytes, Visitor], ...]:
        if self._now() - self._read_at >= FRESH_S:
            with self._database.reading() as connection:
                rows = connection.execute("SELECT * FROM people ORDER BY rowid").fetchall()
            self._known = tuple((bytes.fromhex(row["token_hash"]), _visitor(row)) for row in rows)
            self._read_at = self._now()
        return self._known


def _digest(token: str) -> bytes:
    # 192 random bits need no slow hash
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _visitor(row: Mapping[str, str]) -> Visitor:
    return Visitor(name=row["name"], role=_ROLES[row["role"]], duty=Duty(**json.loads(row["duty"])))


_ROLES: Mapping[str, Role] = {"annotator": "annotator", "expert": "expert", "lead": "lead"}
