"""A shard as a unit of work: the results and images of its tiles become one file, wherever there is a worker.

What a shard holds is decided over the whole data set, by the process that drives the build. It goes to the work store
as a plan, and the SHA-256 of the plan names the shard there. So shards of two plans never mix, and it does no harm when
one is written twice. The file is stored first, its receipt last: a restart finds by one listing which are whole. The
receipt also tells what documents want to know of the records, so they are not all made again.

What surprises: a shard does not have its final name yet. Names say how many shards there are, and under them the files
of an older data set may lie until the new one is whole.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.questions import Option
from rsvqa.rsvqa_builder.dataset.output import StoredShard
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import (
    ShardError,
    ShardInfo,
    TileRows,
    fingerprint_in,
    shard_info,
    write_shard,
)
from rsvqa.rsvqa_builder.files import hash_file
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedQuestion, AskedTile, AskedTiles, rows_of
from rsvqa.rsvqa_builder.tiles.journal import Journal
from rsvqa.rsvqa_builder.tiles.store import WorkStore

_PREFIX = "shards"
_KINDS = ("plan", "parquet", "json")
_NUM_READERS = 16
_NUM_WRITERS = 8
_READ_AHEAD = 256
"""Receipts that are read at once."""
_WEIGHT_OF_RECORD = 45
"""Candidates that are chosen from in the time that the results of a tile are read again, 2.3 ms."""


_OF_TILE = [field.name for field in fields(TileRecord)]


class Looker(Protocol):
    """Looks at the tiles of a shard as they are written."""

    def look(self, rows: TileRows, /) -> None:
        """Take what is needed of a tile and its records."""
        ...

    def told(self) -> Mapping[str, Any]:
        """Return what there is to tell of them, for JSON."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """One shard to write.

    Attributes:
        name: that it will have in the data set.
        digest: SHA-256 of its plan.
        num_bytes: about how large it gets.
        store: where plan, tiles and shard are.
        make_looker: returns what looks at its tiles.
    """

    name: str
    digest: str
    num_bytes: int
    store: WorkStore
    make_looker: Callable[[], Looker]


class MadeShard(NamedTuple):
    """A shard that lies in the work store: what its footer says, and the SHA-256 of the file."""

    info: ShardInfo
    digest: str
    sha256: str

    @property
    def stored(self) -> StoredShard:
        """Where it lies until it has its name."""
        return StoredShard(self.info.name, _key(self.digest, "parquet"), self.info.num_bytes, self.sha256)


class PlannedShards(NamedTuple):
    """The shards of a data set: those that are whole already, by name, and those that are to be written."""

    names: tuple[str, ...]
    done: Mapping[str, MadeShard]
    todo: Sequence[ShardJob]


def plan_shard_work(
    asked: AskedTiles, journal: Journal, make_looker: Callable[[], Looker], *, seed: int, language: str
) -> PlannedShards:
    """Store the plans of the shards that are to be written, and return what there is to do; shards of other plans go.

    Args:
        asked: what was decided of the tiles.
        journal: of the build.
        make_looker: see `ShardJob`; what it tells depends on the tiles alone.
        seed: of the build's letters.
        language: of the questions.
    """
    store = journal.store
    listed = store.list(_PREFIX)
    found = _receipts(store, listed)
    done, todo, keys = {}, [], set()
    with ThreadPoolExecutor(_NUM_WRITERS) as threads:  # a disk takes longer to keep a plan than it takes to make it
        being_stored: deque[Future[None]] = deque()
        for run in asked.runs:
            tiles = [_stored(asked.asked_tile(place), journal) for place in run.tiles]
            plan = {"name": run.name, "first_index": run.first_index, "seed": seed, "language": language}
            content = json.dumps({**plan, "tiles": tiles}, separators=(",", ":")).encode()
            digest = hashlib.sha256(content).hexdigest()
            keys |= {_key(digest, kind) for kind in _KINDS}
            if digest in found:
                done[run.name] = found[digest]
                continue
            being_stored.append(threads.submit(_store_plan, store, digest, content))
            while len(being_stored) > _NUM_WRITERS:
                being_stored.popleft().result()
            num_bytes = sum(sum(tile["tile"]["images"].values()) for tile in tiles)
            todo.append(
                ShardJob(name=run.name, digest=digest, num_bytes=num_bytes, store=store, make_looker=make_looker)
            )
        for stored in being_stored:
            stored.result()
    for key in listed.keys() - keys:
        store.delete(key)
    return PlannedShards(tuple(run.name for run in asked.runs), done, todo)


def do_shard(job: ShardJob) -> MadeShard:
    """Write one shard from what the store holds, see that the file is what was meant, and store it with its receipt.

    Raises:
        ShardError: an image or the file is not what the plan says.
        OSError: the disk is full, or the store cannot be reached.
    """
    plan, journal = _read_plan(job.digest, job.store)
    digest_of = {tile["tile"]["image_id"]: tile["job"] for tile in plan["tiles"]}

    def load_images(tile: TileRecord) -> Mapping[str, bytes]:
        return {key: journal.read_image(digest_of[tile.image_id], key) for key in tile.images}

    looker = job.make_looker()
    with job.store.new_file(_key(job.digest, "parquet")) as path:
        rows = _looked_at(_rows(plan, plan["tiles"], journal), looker)
        fingerprint = write_shard(path, plan["first_index"], rows, load_images=load_images)
        info = shard_info(path, job.name)
        num_rows = sum(max(1, len(tile["asked"])) for tile in plan["tiles"])
        if fingerprint_in(path) != fingerprint or info.num_rows != num_rows:
            raise ShardError(f"{job.name} came out with {info.num_rows} rows of {num_rows}, or others: see to the disk")
        sha256 = hash_file(path)
    made = MadeShard(info, job.digest, sha256)
    receipt = {"info": info._asdict(), "sha256": sha256, "told": looker.told()}
    job.store.put(_key(job.digest, "json"), json.dumps(receipt).encode())
    return made


def read_told(shards: Sequence[MadeShard], store: WorkStore) -> Iterator[Mapping[str, Any]]:
    """Yield what there is to tell of each shard, see `Looker`."""
    with ThreadPoolExecutor(_NUM_READERS) as threads:
        for start in range(0, len(shards), _READ_AHEAD):
            keys = [_key(shard.digest, "json") for shard in shards[start : start + _READ_AHEAD]]
            for content in threads.map(store.get, keys):
                yield json.loads(content)["told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PickJob:
    """Questions of a shard of which the records are to be made again; `digest` and `store` as in `ShardJob`."""

    digest: str
    store: WorkStore
    question_ids: Set[str]

    @property
    def weight(self) -> int:
        """Return how many candidates are chosen from in the time."""
        return len(self.question_ids) * _WEIGHT_OF_RECORD


def pick_records(job: PickJob) -> list[Record]:
    """Return the records of some questions of a shard that is written."""
    plan, journal = _read_plan(job.digest, job.store)
    tiles = []
    for tile in plan["tiles"]:
        if asked := [question for question in tile["asked"] if question[1] in job.question_ids]:
            tiles.append({**tile, "asked": asked})
    return [record for rows in _rows(plan, tiles, journal) for record in rows.records]


def _read_plan(digest: str, store: WorkStore) -> tuple[dict[str, Any], Journal]:
    plan = json.loads(zlib.decompress(store.get(_key(digest, "plan"))))
    return plan, Journal(store, {tile["job"]: tile["check"] for tile in plan["tiles"]})


def _looked_at(tiles: Iterable[TileRows], looker: Looker) -> Iterator[TileRows]:
    for rows in tiles:
        looker.look(rows)
        yield rows


def _key(digest: str, kind: str) -> str:
    return f"{_PREFIX}/{digest}.{kind}"


def _receipts(store: WorkStore, listed: Mapping[str, int]) -> dict[str, MadeShard]:
    """Return the shards that are whole, by digest."""
    keys = [key for key, size in listed.items() if key.endswith(".json") and size]
    with ThreadPoolExecutor(_NUM_READERS) as threads:
        receipts = [json.loads(content) for content in threads.map(store.get, keys)]
    found = {}
    for key, receipt in zip(keys, receipts, strict=True):
        digest = key.removeprefix(f"{_PREFIX}/").removesuffix(".json")
        made = MadeShard(ShardInfo(**receipt["info"]), digest, receipt["sha256"])
        if "told" in receipt and listed.get(_key(digest, "parquet")) == made.info.num_bytes:
            found[digest] = made
    return found


# --- plans ---


def _store_plan(store: WorkStore, digest: str, content: bytes) -> None:
    store.put(_key(digest, "plan"), zlib.compress(content, 1))


def _stored(one: AskedTile, journal: Journal) -> dict[str, Any]:
    footprint = one.tile.footprint
    return {
        "tile": {**{name: getattr(one.tile, name) for name in _OF_TILE}, "footprint": None},
        "footprint": None if footprint is None else footprint.hex(),
        "job": one.job,
        "check": journal.check_of(one.job),
        "asked": [
            [candidate, question_id, [[option.text, option.is_right] for option in options], right_at]
            for candidate, question_id, options, right_at in one.asked
        ],
    }


def _rows(plan: Mapping[str, Any], tiles: Iterable[Mapping[str, Any]], journal: Journal) -> Iterator[TileRows]:
    """Yield tiles of a shard with their records, one at a time."""
    dealer = LetterDealer(plan["seed"])
    for stored in tiles:
        footprint = None if stored["footprint"] is None else bytes.fromhex(stored["footprint"])
        tile = TileRecord(**{**stored["tile"], "window": Window(*stored["tile"]["window"]), "footprint": footprint})
        one = AskedTile(tile, stored["job"], tuple(_questions(stored["asked"])))
        yield rows_of(one, journal, dealer, language=plan["language"])


def _questions(stored: Sequence[Sequence[Any]]) -> Iterable[AskedQuestion]:
    for candidate, question_id, options, right_at in stored:
        yield AskedQuestion(candidate, question_id, tuple(Option(*option) for option in options), tuple(right_at))
