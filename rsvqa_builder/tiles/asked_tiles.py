"""The kept tiles with their questions, made from the journal when they are looked at.

What decides about all of them at once is held in columns: which candidates are asked, with which options, and where
the right ones stand. The rest, text and evidence, is read for one tile at a time, by whoever needs it: what was decided
of a tile is an `AskedTile`, which travels to where its shard is written.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.choosing import ChosenQuestions, Spread
from rsvqa.annotation.dealing import Dealt, LetterDealer
from rsvqa.annotation.facts import BOX_DECIMALS, Box, as_shares
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import SPLITS, Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import PlannedTile, TileRows, count_bytes, plan_runs
from rsvqa.rsvqa_builder.scenes.georeference import crs_name, window_footprints
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal
from rsvqa.rsvqa_builder.tiles.tile_batches import TileBatch
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob

Known = TypeVar("Known")

_OUTLINES_AT_ONCE = 256


class OfferedTiles:
    """What the kept tiles offer, in plan order.

    Attributes:
        positions: of the tiles in the plan.
        splits: of the tiles.
        ends: number of candidates up to the end of each tile.
        tasks, views: of each candidate: numbers of its task in `task_names`, and of what it shows in `shown`.
        task_names, shown: number of each task, and of each tuple of keys of images.
    """

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.splits: list[str] = []
        self.tasks, self.views = array("b"), array("h")
        self.ends = array("q")
        self.task_names: dict[str, int] = {}
        self.shown: dict[tuple[str, ...], int] = {}
        self._keys: dict[tuple[str, ...], int] = {}
        self._keys_of, self._sizes, self._sizes_ends = array("h"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self.positions)

    def add(self, batch: TileBatch, split_of_tile: NDArray[np.int32]) -> None:
        """Take the kept tiles of a batch in; the number of the split of another one is -1."""
        is_kept = split_of_tile >= 0
        self.positions += batch.positions[is_kept].tolist()
        self.splits += [SPLITS[split] for split in split_of_tile[is_kept].tolist()]
        columns = batch.offers.columns
        place = np.searchsorted(batch.positions, columns.tile)
        is_offered = is_kept[place]
        tasks = np.array([_number(self.task_names, template.task) for template in batch.offers.templates], np.int8)
        views = np.array([_number(self.shown, view) for view in batch.view_names], np.int16)
        _extend(self.tasks, tasks[np.array(columns.template)[is_offered]])
        _extend(self.views, views[np.array(batch.views)[is_offered]])
        counts = np.bincount(place, minlength=len(batch))[is_kept]
        _extend(self.ends, np.cumsum(counts) + (self.ends[-1] if self.ends else 0))
        keys = np.array([_number(self._keys, names) for names in batch.key_names], np.int16)[np.array(batch.keys)]
        num_keys = np.array([len(names) for names in batch.key_names], np.int64)[np.array(batch.keys)]
        _extend(self._keys_of, keys[is_kept])
        _extend(self._sizes, np.array(batch.sizes, np.int64)[np.repeat(is_kept, num_keys)])
        _extend(self._sizes_ends, np.cumsum(num_keys[is_kept]) + (self._sizes_ends[-1] if self._sizes_ends else 0))

    def candidates_of(self, place: int) -> range:
        """Return the numbers of a tile's candidates."""
        return range(self.ends[place - 1] if place else 0, self.ends[place])

    def sizes(self, place: int) -> dict[str, int]:
        """Return the encoded size of a tile's images in bytes, by key."""
        start = self._sizes_ends[place - 1] if place else 0
        sizes = self._sizes[start : self._sizes_ends[place]]
        return dict(zip(list(self._keys)[self._keys_of[place]], sizes, strict=True))


def _number(known: dict[Known, int], one: Known) -> int:
    return known.setdefault(one, len(known))


def _extend(column: array[int], numbers: NDArray[np.integer[Any]]) -> None:
    column.frombytes(numbers.astype(f"={column.typecode}").tobytes())


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
        run: Spread = map,
    ) -> None:
        """Deal letters to all questions, in plan order.

        Args:
            jobs: the plan.
            journal: of the build.
            offered: what the kept tiles offer.
            choices: which of it is asked.
            settings: of the build.
            run: deals the letters of each task, in other processes for one.
        """
        self._jobs = jobs
        self._journal = journal
        self._offered = offered
        self._choices = choices
        self._settings = settings
        self._outlines: dict[int, bytes | None] = {}
        self._task_names, self._views = list(offered.task_names), list(offered.shown)
        self._right_at = np.zeros(len(offered.tasks), np.int32)  # bit n: the option at position n is right
        asked = choices.asked_of(np.arange(len(offered.tasks)))
        has_options = choices.num_options(asked) > 0
        tasks = np.frombuffer(offered.tasks, np.int8)[asked] if len(asked) else np.empty(0, np.int8)
        of_task = [asked[(tasks == number) & has_options] for number in range(len(self._task_names))]
        letters = run(deal_letters, [self._letter_job(*one) for one in zip(self._task_names, of_task, strict=True)])
        for indices, right_at in zip(of_task, letters, strict=True):
            self._right_at[indices] = right_at
        self.runs = plan_runs(map(self._planned, range(len(self))), shard_mb=settings.shard_mb)

    def _letter_job(self, task: str, indices: NDArray[np.int64]) -> LetterJob:
        """Return the questions of a task that have options, numbered as they are in their tiles."""
        places = np.searchsorted(self._offered.ends, indices, side="right")
        is_first = np.diff(places, prepend=-1) > 0
        order = np.arange(len(indices))
        tiles = [self._jobs[self._offered.positions[place]].image_id for place in places[is_first].tolist()]
        return LetterJob(
            task=task,
            seed=self._settings.seed,
            image_ids=tiles,
            tile=np.cumsum(is_first) - 1,
            number=order - np.maximum.accumulate(np.where(is_first, order, 0)) + 1,
            num_options=self._choices.num_options(indices),
            num_right=self._choices.num_right(indices),
        )

    def __len__(self) -> int:
        return len(self._offered.positions)

    def tiles(self) -> Iterator[TileRecord]:
        """Yield every tile, in the order of the shards."""
        return (self.tile(place) for run in self.runs for place in run.tiles)

    def num_questions(self) -> Iterator[int]:
        """Yield how many questions each tile has, in the order of the shards."""
        return (len(self._asked_of(place)) for run in self.runs for place in run.tiles)

    def asked_tile(self, place: int) -> AskedTile:
        """Return what was decided of a tile; nothing is read."""
        job = self._jobs[self._offered.positions[place]]
        first = self._offered.candidates_of(place).start
        asked = (self._question(index, index - first, question_id) for index, question_id in self._asked(place))
        return AskedTile(self.tile(place), job.digest, tuple(asked))

    def tile(self, place: int) -> TileRecord:
        """Return a tile alone, with those of its images that questions show, and without its marks."""
        shown = {key for view in self._asked_views(place) for key in view}
        job = self._jobs[self._offered.positions[place]]
        tile = _tile_record(job, self._offered.sizes(place), self._offered.splits[place], shown)
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
        questions = [_View(view) for view in self._asked_views(place)]
        sizes = _shown_sizes(self._offered.sizes(place), {key for view in questions for key in view.images})
        return PlannedTile(place, self._offered.splits[place], len(questions), count_bytes(sizes, questions))

    def _asked_views(self, place: int) -> list[tuple[str, ...]]:
        """Return what each question of a tile shows."""
        numbers = self._offered.views
        return [self._views[numbers[index]] for index in self._asked_of(place)]

    def _asked_of(self, place: int) -> list[int]:
        """Return the candidates of a tile that are asked."""
        candidates = self._offered.candidates_of(place)
        asked: list[int] = self._choices.asked_of(np.arange(candidates.start, candidates.stop)).tolist()
        return asked

    def _asked(self, place: int) -> Iterator[tuple[int, str]]:
        """Yield the candidates of a tile that are asked, each with the id of its question."""
        image_id = self._jobs[self._offered.positions[place]].image_id
        numbers: Counter[str] = Counter()
        for index in self._asked_of(place):
            task = self._task_names[self._offered.tasks[index]]
            numbers[task] += 1
            yield index, question_id(image_id, task, numbers[task])

    def _question(self, index: int, candidate: int, question_id: str) -> AskedQuestion:
        options = self._choices.options_of(index) or ()
        right_at = int(self._right_at[index])
        positions = tuple(position for position in range(len(options)) if right_at >> position & 1)
        return AskedQuestion(candidate, question_id, options, positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterJob:
    """The questions of a task that have options, in plan order.

    Attributes:
        task: its name.
        seed: of the build's letters.
        image_ids: of the tiles.
        tile, number: place of each question's tile among these, and its number there.
        num_options, num_right: that each question shows.
    """

    task: str
    seed: int
    image_ids: Sequence[str]
    tile: NDArray[np.int64]
    number: NDArray[np.int64]
    num_options: NDArray[np.int8]
    num_right: NDArray[np.int8]

    @property
    def weight(self) -> int:
        """Return how much work it is: one for each question."""
        return len(self.tile)


def deal_letters(job: LetterJob) -> NDArray[np.int32]:
    """Return at which positions the right options of each question stand: bit n is that of position n."""
    dealer = LetterDealer(job.seed)
    found = np.empty(len(job.tile), np.int32)
    columns = (column.tolist() for column in (job.tile, job.number, job.num_options, job.num_right))
    for place, (tile, number, num_options, num_right) in enumerate(zip(*columns, strict=True)):
        name = question_id(job.image_ids[tile], job.task, number)
        positions = dealer.positions(job.task, name, num_options=num_options, num_right=num_right)
        found[place] = sum(1 << position for position in positions)
    return found


def question_id(image_id: str, task: str, number: int) -> str:
    """Return the id of a question, by its number among those of its task on its tile."""
    return f"{image_id}/{TASKS[task].short}{number}"


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
