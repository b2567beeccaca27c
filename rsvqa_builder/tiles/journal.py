"""What is done of a build: one result per finished tile, in the work store.

A tile is stored under the digest of its unit of work, so it is found again by any plan and any machine. Its images are
stored first, its `.json` last, each of them whole or not at all; so a `.json` says that the tile is finished. Its name
also holds a check of the sizes of all that is stored of the tile, so one listing tells what is done. On a restart
finished tiles are kept, everything else is done again. Results are what the worker found, before letters, splits and
duplicates are decided: those need the whole data set.

What surprises: a result is three lines of JSON. The first tells tiles apart, the second is what choosing goes by, the
third is the bulk that only a question that is asked needs. A build of a million tiles parses each line once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from rsvqa.annotation.facts import Box
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.tiles.dedup import ImagePrint
from rsvqa.rsvqa_builder.tiles.store import WorkStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A checked question of a finished tile.

    Attributes:
        task: name in the taxonomy.
        text: complete, with the number of its region.
        answer: for free text; else empty.
        options: all that may be offered, in the order of the task, not yet lettered.
        box: in tile pixels.
        images: keys of the images that it shows.
        evidence: JSON object.
        form: of the answer.
        strata, pool, value, min_ratio: what the choosing goes by, see `questions.Question`.
    """

    task: str
    text: str
    answer: str
    options: tuple[Option, ...]
    box: Box | None
    images: tuple[str, ...]
    evidence: dict[str, Any]
    form: AnswerForm
    strata: tuple[str, ...]
    pool: str | None
    value: float | None
    min_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TileResult:
    """What one worker found on one tile.

    Attributes:
        job: digest of the unit of work, see `TileJob.digest`.
        rejection: why there is nothing of this tile in the data set; None when there is.
        digest: of the content, see `dedup.py`.
        prints: what each date's image is known again by, by key.
        images: encoded size in bytes, by key.
        candidates: by task in the order of the taxonomy.
        not_asked: task → reason → count.
        rejected: task → reason → count of candidates that failed a check.
        failures: task → message, of tasks that could not be asked because of a mistake in the program.
        valid_share: share of valid pixels.
        seconds: working time by step; the only part that differs from run to run.
    """

    job: str = ""
    rejection: str | None = None
    digest: str = ""
    prints: dict[str, ImagePrint] | None = None
    images: dict[str, int] | None = None
    candidates: tuple[Candidate, ...] = ()
    not_asked: dict[str, dict[str, int]] | None = None
    rejected: dict[str, dict[str, int]] | None = None
    failures: dict[str, str] | None = None
    valid_share: float
    seconds: dict[str, float] | None = None


_ADAPTER = TypeAdapter(TileResult)
_PREFIX = "tiles"
_NUM_LINES = 3
_NUM_READERS = 16
_READ_AHEAD = 256
"""Results that are read at once."""
_FORMS = {form.value: form for form in AnswerForm}
_HEAD = ("job", "rejection", "digest", "prints", "images", "valid_share", "seconds")
_OFFER = ("not_asked", "rejected", "failures")
_CHOOSABLE = ("task", "options", "images", "form", "strata", "pool", "value", "min_ratio")


class Journal:
    """The finished tiles of one build, by the digest of the unit of work (`TileJob.digest`)."""

    def __init__(self, store: WorkStore, checks: Mapping[str, str] | None = None) -> None:
        """Read nothing yet.

        Args:
            store: where the tiles are.
            checks: what `check_of` said of tiles; without, one listing tells of all.
        """
        self.store = store
        self._checks = dict(checks or {})

    def write(self, job: str, result: TileResult, images: Mapping[str, bytes]) -> None:
        """Store a finished tile; after this call a restart does not do it again."""
        for key, encoded in images.items():
            self.store.put(_image_key(job, key), encoded)
        record = _encode(result)
        check = _check(job, {key: len(encoded) for key, encoded in images.items()}, len(record))
        key = _result_key(job, check)
        if not self.store.put(key, record, if_absent=True) and len(self.store.get(key)) != len(record):
            self.store.put(key, record)  # a killed process has left a part of it, see `bucket.py`
        self._checks[job] = check

    def done(self, jobs: Collection[str]) -> set[str]:
        """Return which of the tiles are finished and whole: one listing."""
        images: dict[str, dict[str, int]] = {}
        results: list[tuple[str, str, int]] = []
        for path, size in self.store.list(_PREFIX).items():
            job, _, key = path.rpartition("/")[2].partition(".")
            if key.endswith(".json"):
                results.append((job, key.removesuffix(".json"), size))
            else:
                images.setdefault(job, {})[key] = size
        self._checks = {job: check for job, check, size in results if check == _check(job, images.get(job, {}), size)}
        return {job for job in jobs if job in self._checks}

    def told(self, jobs: Sequence[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield what tells finished tiles apart, and what choosing goes by, in the order of `jobs`; see `_encode`."""
        with ThreadPoolExecutor(_NUM_READERS) as threads:  # over a network each waits for its own file
            for start in range(0, len(jobs), _READ_AHEAD):
                for content in threads.map(self._get, jobs[start : start + _READ_AHEAD]):
                    head, offer, _ = content
                    yield json.loads(head), json.loads(offer)

    def read(self, job: str) -> TileResult:
        """Return the result of a finished tile."""
        head, offer, bulk = map(json.loads, self._get(job))
        candidates = tuple(_candidate(shared, own) for shared, own in zip(offer["candidates"], bulk, strict=True))
        prints = None if head["prints"] is None else {key: print_of(one) for key, one in head["prints"].items()}
        told = {**{name: head[name] for name in _HEAD}, **{name: offer[name] for name in _OFFER}}
        return TileResult(**{**told, "prints": prints, "candidates": candidates})

    def check_of(self, job: str) -> str:
        """Return the part of a finished tile's name that others need to read it without a listing.

        Raises:
            FileNotFoundError: it is not finished.
        """
        if job not in self._checks:
            self.done(())
        if job not in self._checks:
            raise FileNotFoundError(f"{self.store} holds no finished tile {job}")
        return self._checks[job]

    def read_image(self, job: str, key: str) -> bytes:
        """Return one encoded image of a finished tile."""
        return self.store.get(_image_key(job, key))

    def _get(self, job: str) -> list[bytes]:
        """Return the three lines of a result."""
        key = _result_key(job, self.check_of(job))
        lines = self.store.get(key).split(b"\n")
        if len(lines) != _NUM_LINES:
            raise OutputError(f"{self.store}/{key} is damaged: remove it, and repeat the command")
        return lines


def _encode(result: TileResult) -> bytes:
    stored = json.loads(_ADAPTER.dump_json(result))
    candidates = stored["candidates"]
    head = {name: stored[name] for name in _HEAD}
    head["num_tasks"] = len({one["task"] for one in candidates})
    offer = {name: stored[name] or {} for name in _OFFER}
    offer["candidates"] = [
        {**{name: one.pop(name) for name in _CHOOSABLE}, "needs_px": one["evidence"].get("needs_px")}
        for one in candidates
    ]
    lines = (head, offer, candidates)
    return b"\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() for line in lines)


def _shared(stored: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what choosing goes by, in the order of `_CHOOSABLE`."""
    return (
        stored["task"],
        tuple(Option(**option) for option in stored["options"]),
        tuple(stored["images"]),
        _FORMS[stored["form"]],
        tuple(stored["strata"]),
        stored["pool"],
        stored["value"],
        stored["min_ratio"],
    )


def _candidate(shared: Mapping[str, Any], own: Mapping[str, Any]) -> Candidate:
    box = None if own["box"] is None else Box(*own["box"])
    common = dict(zip(_CHOOSABLE, _shared(shared), strict=True))
    return Candidate(**common, text=own["text"], answer=own["answer"], box=box, evidence=own["evidence"])


def print_of(stored: Mapping[str, Any]) -> ImagePrint:
    """Return a stored print of an image."""
    return ImagePrint(**{**stored, "pixels": tuple(stored["pixels"])})


def _check(job: str, images: Mapping[str, int], result: int) -> str:
    """Return what the name of a result says of the sizes of all that is stored of its tile."""
    return hashlib.sha256(json.dumps([job, sorted(images.items()), result]).encode()).hexdigest()[:12]


def _result_key(job: str, check: str) -> str:
    return f"{_PREFIX}/{job[:2]}/{job}.{check}.json"


def _image_key(job: str, key: str) -> str:
    return f"{_PREFIX}/{job[:2]}/{job}.{key}"
