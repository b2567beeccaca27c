"""What is done of a build: one result per finished tile, in the work store.

A tile is stored under the digest of its unit of work, so it is found again by any plan and any machine. Its images are
stored first, its `.json` last, each of them whole or not at all; so a `.json` says that the tile is finished. On a
restart finished tiles are kept, everything else is done again. Results are what the worker found, before letters,
splits and duplicates are decided: those need the whole data set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rsvqa.annotation.facts import Box
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.tiles.dedup import ImagePrint
from rsvqa.rsvqa_builder.tiles.store import WorkStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOfCandidate:
    """The least that is read of a checked question: the name of its task in the taxonomy."""

    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(TaskOfCandidate):
    """A checked question of a finished tile.

    Attributes:
        text: complete, with the number of its region.
        answer: for free text; else empty.
        options: all that may be offered, in the order of the task, not yet lettered.
        box: in tile pixels.
        images: keys of the images that it shows.
        evidence: JSON object.
        form: of the answer.
        strata, pool, value, min_ratio: what the choosing goes by, see `questions.Question`.
    """

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
class TileSummary:
    """What is looked at of a finished tile before its questions are; read in a fifth of the time of all of it.

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
    """

    job: str = ""
    rejection: str | None = None
    digest: str = ""
    prints: dict[str, ImagePrint] | None = None
    images: dict[str, int] | None = None
    candidates: tuple[TaskOfCandidate, ...] = ()
    not_asked: dict[str, dict[str, int]] | None = None
    rejected: dict[str, dict[str, int]] | None = None
    failures: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TileResult(TileSummary):
    """What one worker found on one tile.

    Attributes:
        valid_share: share of valid pixels.
        candidates: all of each.
        seconds: working time by step; the only part that differs from run to run.
    """

    valid_share: float
    candidates: tuple[Candidate, ...] = ()
    seconds: dict[str, float] | None = None


_ADAPTER = TypeAdapter(TileResult)
_SUMMARY = TypeAdapter(TileSummary)
_PREFIX = "tiles"
_NUM_READERS = 16


class Journal:
    """The finished tiles of one build, by the digest of the unit of work (`TileJob.digest`)."""

    def __init__(self, store: WorkStore) -> None:
        self.store = store

    def write(self, job: str, result: TileResult, images: Mapping[str, bytes]) -> None:
        """Store a finished tile; after this call a restart does not do it again."""
        for key, encoded in images.items():
            self.store.put(_image_key(job, key), encoded)
        self.store.put(_result_key(job), _ADAPTER.dump_json(result))

    def done(self, jobs: Collection[str]) -> set[str]:
        """Return which of the tiles are finished and whole: one listing, and one small file per finished tile."""
        sizes = self.store.list(_PREFIX)
        stored = [job for job in jobs if _result_key(job) in sizes]
        with ThreadPoolExecutor(_NUM_READERS) as threads:  # over a network each waits for its own file
            are_whole = threads.map(lambda job: self._is_whole(job, sizes), stored)
            return {job for job, is_whole in zip(stored, are_whole, strict=True) if is_whole}

    def _is_whole(self, job: str, sizes: Mapping[str, int]) -> bool:
        try:
            result = self.read(job)
        except (OSError, ValidationError):
            return False
        found = {key: sizes.get(_image_key(job, key)) for key in result.images or {}}
        return result.job == job and found == (result.images or {})

    def read(self, job: str) -> TileResult:
        """Return the result of a finished tile."""
        return _ADAPTER.validate_json(self.store.get(_result_key(job)))

    def read_summary(self, job: str) -> TileSummary:
        """Return what is told of a finished tile beside its questions."""
        return _SUMMARY.validate_json(self.store.get(_result_key(job)))

    def read_image(self, job: str, key: str) -> bytes:
        """Return one encoded image of a finished tile."""
        return self.store.get(_image_key(job, key))


def _result_key(job: str) -> str:
    return f"{_PREFIX}/{job[:2]}/{job}.json"


def _image_key(job: str, key: str) -> str:
    return f"{_PREFIX}/{job[:2]}/{job}.{key}"
