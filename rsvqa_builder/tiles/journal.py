"""What is done of a build: one folder below the output, with one result a finished tile.

A tile's images are written first, its `.json` last, each under a temporary name that is renamed when whole; so a
`.json` says that the tile is finished. On a restart finished tiles are kept, everything else is done again. Results
are what the worker found, before letters, splits and duplicates are decided: those need the whole data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rsvqa.annotation.facts import Box
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.files import write_atomically
from rsvqa.rsvqa_builder.tiles.dedup import ImagePrint


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
        valid_share: share of valid pixels.
        job: digest of the unit of work, see `TileJob.digest`.
        rejection: why there is nothing of this tile in the data set; None when there is.
        digest: of the content, see `dedup.py`.
        prints: what each date's image is known again by, by key.
        images: encoded size in bytes, by key.
        candidates: by task in the order of the taxonomy.
        not_asked: task → reason → count.
        rejected: task → reason → count of candidates that failed a check.
        failures: task → message, of tasks that could not be asked because of a mistake in the program.
        seconds: working time by step; the only part that differs from run to run.
    """

    valid_share: float
    job: str = ""
    rejection: str | None = None
    digest: str = ""
    prints: dict[str, ImagePrint] | None = None
    images: dict[str, int] | None = None
    candidates: tuple[Candidate, ...] = ()
    not_asked: dict[str, dict[str, int]] | None = None
    rejected: dict[str, dict[str, int]] | None = None
    failures: dict[str, str] | None = None
    seconds: dict[str, float] | None = None


_ADAPTER = TypeAdapter(TileResult)


class Journal:
    """The finished tiles of one build, by the tile's position in the plan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, position: int, result: TileResult, images: Mapping[str, bytes]) -> None:
        """Store a finished tile; after this call a restart does not do it again."""
        for key, encoded in images.items():
            write_atomically(self._image_path(position, key), encoded)
        write_atomically(self._result_path(position), _ADAPTER.dump_json(result))

    def is_done(self, position: int, job: str) -> bool:
        """Tell whether the tile is finished and whole on disk, as the result of the unit of work with this digest.

        The plan of a restart may differ: a scene may be usable now that was not before (no room, no network).
        """
        try:
            result = self.read(position)
            sizes = {key: self._image_path(position, key).stat().st_size for key in result.images or {}}
        except (OSError, ValidationError):
            return False
        return result.job == job and sizes == (result.images or {})

    def read(self, position: int) -> TileResult:
        """Return the result of a finished tile."""
        return _ADAPTER.validate_json(self._result_path(position).read_bytes())

    def read_image(self, position: int, key: str) -> bytes:
        """Return one encoded image of a finished tile."""
        return self._image_path(position, key).read_bytes()

    def _result_path(self, position: int) -> Path:
        return self.folder / f"{position:07d}.json"

    def _image_path(self, position: int, key: str) -> Path:
        return self.folder / f"{position:07d}.{key}"
