"""The kept tiles with their questions, made from the journal when they are looked at.

What decides about all of them at once is held in columns: which candidates are asked, with which options, and where
the right ones stand. The rest, text and evidence, is read for one tile at a time, by whoever needs it: what was decided
of a tile is an `AskedTile`, which travels to where its shard is written.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

import shapely

from rsvqa.annotation.choosing import ChosenQuestions
from rsvqa.annotation.dealing import Dealt, LetterDealer
from rsvqa.annotation.facts import BOX_DECIMALS, Box, as_shares
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import PlannedTile, TileRows, count_bytes, plan_runs
from rsvqa.rsvqa_builder.scenes.georeference import crs_name, window_footprints
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, OfferedCandidate
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob


_OUTLINES_AT_ONCE = 256


@dataclass(slots=True, kw_only=True)
class OfferedTiles:
    """What the kept tiles offer, in plan order.

    Attributes:
        positions: of the tiles in the plan.
        splits: of the tiles.
        sizes: encoded size of each tile's images in bytes, by key.
        ends: number of candidates up to the end of each tile.
        tasks, views: of each candidate: numbers of its task in `task_names`, and of what it shows in `shown`.
        task_names: in the order of their first candidate.
        shown: number of each tuple of keys of images.
    """

    positions: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    sizes: list[Mapping[str, int]] = field(default_factory=list)
    ends: array[int] = field(default_factory=lambda: array("q"))
    tasks: array[int] = field(default_factory=lambda: array("b"))
    views: array[int] = field(default_factory=lambda: array("h"))
    task_names: list[str] = field(default_factory=list)
    shown: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, position: int, split: str, sizes: Mapping[str, int], candidates: Sequence[OfferedCandidate]) -> None:
        """Take the next tile in."""
        self.positions.append(position)
        self.splits.append(split)
        self.sizes.append(sizes)
        for one in candidates:
            if one.task not in self.task_names:
                self.task_names.append(one.task)
            self.tasks.append(self.task_names.index(one.task))
            self.views.append(self.shown.setdefault(one.images, len(self.shown)))
        self.ends.append(len(self.tasks))

    def candidates_of(self, place: int) -> range:
        """Return the numbers of a tile's candidates."""
        return range(self.ends[place - 1] if place else 0, self.ends[place])


class AskedQuestion(NamedTuple):
    """What was decided of a candidate that is asked.

    Attributes:
        candidate: its number among those of its tile.
        question_id: unique in the data set.
        options: right ones first, not yet lettered; empty for other forms of answers.
        right_at: positions of the right ones.
    """

    candidate: int
    question_id: str
    options: tuple[Option, ...]
    right_at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskedTile:
    """A tile of the data set and what is asked of it; `job` is the digest of its unit of work, see `TileJob`."""

    tile: TileRecord
    job: str
    asked: tuple[AskedQuestion, ...]


class _View(NamedTuple):
    """What a question shows."""

    images: tuple[str, ...]


class AskedTiles:
    """The tiles of a data set with their records, by their place among the kept ones.

    Attributes:
        runs: the shards as planned, with the places of their tiles.
    """

    def __init__(
        self,
        jobs: Sequence[TileJob],
        journal: Journal,
        offered: OfferedTiles,
        choices: ChosenQuestions,
        settings: BuildSettings,
    ) -> None:
        """Deal letters to all questions, in plan order.

        Args:
            jobs: the plan.
            journal: of the build.
            offered: what the kept tiles offer.
            choices: which of it is asked.
            settings: of the build.
        """
        self._jobs = jobs
        self._journal = journal
        self._offered = offered
        self._choices = choices
        self._settings = settings
        self._dealer = LetterDealer(settings.seed)
        self._outlines: dict[int, bytes | None] = {}
        self._right_at = array("i", bytes(4 * len(offered.tasks)))  # bit n: the option at position n is right
        for place in range(len(self)):
            for index, question_id in self._asked(place):
                positions = self._dealer.positions(
                    self._task(index),
                    question_id,
                    num_options=choices.num_options(index),
                    num_right=choices.num_right(index),
                )
                self._right_at[index] = sum(1 << position for position in positions)
        self.runs = plan_runs(map(self._planned, range(len(self))), shard_mb=settings.shard_mb)

    def __len__(self) -> int:
        return len(self._offered.positions)

    def in_order(self) -> Iterator[TileRows]:
        """Yield every tile with its records, made when it is asked for, in the order of the shards."""
        return (self.rows(place) for run in self.runs for place in run.tiles)

    def tiles(self) -> Iterator[TileRecord]:
        """Yield every tile, in the order of the shards."""
        return (self.tile(place) for run in self.runs for place in run.tiles)

    def rows(self, place: int) -> TileRows:
        """Return a tile with its records."""
        return rows_of(self.asked_tile(place), self._journal, self._dealer, language=self._settings.language)

    def asked_tile(self, place: int) -> AskedTile:
        """Return what was decided of a tile; nothing is read."""
        job = self._jobs[self._offered.positions[place]]
        first = self._offered.candidates_of(place).start
        asked = (self._question(index, index - first, question_id) for index, question_id in self._asked(place))
        return AskedTile(self.tile(place), job.digest, tuple(asked))

    def tile(self, place: int) -> TileRecord:
        """Return a tile alone, with those of its images that questions show, and without its marks."""
        views = list(self._offered.shown)
        shown = {key for index, _ in self._asked(place) for key in views[self._offered.views[index]]}
        job = self._jobs[self._offered.positions[place]]
        tile = _tile_record(job, self._offered.sizes[place], self._offered.splits[place], shown)
        return replace(tile, footprint=self._outline(place))

    def _outline(self, place: int) -> bytes | None:
        """Return the outline of a tile as WKB; those of its neighbours, which are asked for next, are kept."""
        if place not in self._outlines:
            first = place - place % _OUTLINES_AT_ONCE
            near = range(first, min(first + _OUTLINES_AT_ONCE, len(self)))
            outlines = footprints_of(self._jobs[self._offered.positions[neighbour]] for neighbour in near)
            self._outlines = dict(zip(near, shapely.to_wkb(outlines, byte_order=1), strict=True))
        return self._outlines[place]

    def _planned(self, place: int) -> PlannedTile[int]:
        views = list(self._offered.shown)
        questions = [_View(views[self._offered.views[index]]) for index, _ in self._asked(place)]
        sizes = _shown_sizes(self._offered.sizes[place], {key for view in questions for key in view.images})
        return PlannedTile(place, self._offered.splits[place], len(questions), count_bytes(sizes, questions))

    def _task(self, index: int) -> str:
        return self._offered.task_names[self._offered.tasks[index]]

    def _asked(self, place: int) -> Iterator[tuple[int, str]]:
        """Yield the candidates of a tile that are asked, each with the id of its question."""
        image_id = self._jobs[self._offered.positions[place]].image_id
        numbers: Counter[str] = Counter()
        for index in self._offered.candidates_of(place):
            if self._choices.is_asked(index):
                task = self._task(index)
                numbers[task] += 1
                yield index, f"{image_id}/{TASKS[task].short}{numbers[task]}"

    def _question(self, index: int, candidate: int, question_id: str) -> AskedQuestion:
        options = self._choices.options_of(index) or ()
        positions = tuple(position for position in range(len(options)) if self._right_at[index] >> position & 1)
        return AskedQuestion(candidate, question_id, options, positions)


def rows_of(asked: AskedTile, journal: Journal, dealer: LetterDealer, *, language: str) -> TileRows:
    """Return a tile with its records, of which the journal has the text and the evidence."""
    if not asked.asked:
        return TileRows(asked.tile)
    candidates = journal.read(asked.job).candidates
    records = tuple(
        record_of(
            asked.tile,
            candidates[question.candidate],
            dealer.deal_at(question.question_id, question.options, question.right_at),
            question_id=question.question_id,
            language=language,
        )
        for question in asked.asked
    )
    return TileRows(asked.tile, records)


def _shown_sizes(sizes: Mapping[str, int], shown: Set[str]) -> dict[str, int]:
    return {key: size for key, size in sizes.items() if key in shown or key == "tile"}


def _tile_record(job: TileJob, sizes: Mapping[str, int], split: str, shown: Set[str]) -> TileRecord:
    """Return a tile without its outline."""
    scene = job.work.scene
    images = _shown_sizes(sizes, shown)
    has_later = not images.keys().isdisjoint(("later", "later_marked"))
    return TileRecord(
        image_id=job.image_id,
        split=split,
        scene=scene.scene_id,
        window=job.window,
        crs=crs_name(scene.crs),
        gsd=None if scene.gsd_m is None else round((scene.gsd_m.x_m + scene.gsd_m.y_m) / 2, 6),
        date=_day(scene),
        later_date=_day(job.later.work.scene) if has_later and job.later is not None else None,
        scene_source=job.source,
        licence=job.licence,
        images=images,
    )


def footprints_of(jobs: Iterable[TileJob]) -> list[shapely.Polygon | shapely.MultiPolygon | None]:
    """Return the outlines of tiles in EPSG:4326; many of one scene at once take a tenth of the time."""
    found: list[shapely.Polygon | shapely.MultiPolygon | None] = []
    for _, group in groupby(jobs, key=lambda job: id(job.work.scene)):
        members = list(group)
        scene = members[0].work.scene
        if scene.footprint is None or scene.crs is None or scene.transform is None:
            found += [None] * len(members)
        else:
            found += window_footprints(scene.crs, scene.transform, [job.window for job in members])
    return found


def _day(scene: Scene) -> str | None:
    return None if scene.acquired is None else scene.acquired.date().isoformat()


def record_of(tile: TileRecord, candidate: Candidate, dealt: Dealt, *, question_id: str, language: str) -> Record:
    """Return a chosen candidate with its id, its lettered options, and its box as shares of the tile."""
    bbox = _normalised(candidate, tile)
    return Record(
        question_id=question_id,
        tile=tile,
        task=candidate.task,
        language=language,
        question=candidate.text,
        images=candidate.images,
        options=dealt.options,
        answer=dealt.answer if dealt.options else candidate.answer or str(list(bbox or ())),
        bbox=bbox,
        evidence=candidate.evidence,
    )


def _normalised(candidate: Candidate, tile: TileRecord) -> Box | None:
    if candidate.box is None:
        return None
    shares = as_shares(candidate.box, tile.window.width, tile.window.height)
    return Box(*(round(share, BOX_DECIMALS) for share in shares))
