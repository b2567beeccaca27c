"""From finished tiles to records: what is dropped, which split, which candidates and options, which letter.

The first step that knows the whole data set. It runs over the journal in plan order, so the order in which workers
finished leaves no trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.choosing import Chooser, ChosenQuestions, Spread
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.settings import BuildSettings, Dedup
from rsvqa.rsvqa_builder.tiles.asked_tiles import OfferedTiles, footprints_of
from rsvqa.rsvqa_builder.tiles.dedup import (
    LOOK_CELLS,
    Alike,
    Criterion,
    ExcludedImages,
    Exclusion,
    find_alike,
    find_excluded,
)
from rsvqa.rsvqa_builder.tiles.journal import Journal
from rsvqa.rsvqa_builder.tiles.shares import beyond_shares
from rsvqa.rsvqa_builder.tiles.splits import assign_splits, group_places
from rsvqa.rsvqa_builder.tiles.tile_batches import TILES_AT_ONCE, BatchJob, TileBatch, read_batch
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob

_WHY_EXCLUDED = {
    Criterion.BYTES: "has the bytes of",
    Criterion.PIXELS: "has the pixels of",
    Criterion.PART: "shares pixels with",
    Criterion.LOOK: "looks like",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tiles become part of the data set.

    Attributes:
        splits: split of each kept tile, by its position in the plan; in plan order.
        dropped: why each other tile is left out, by position.
        excluded: which of these show an excluded image, and by what it was known again, by position.
        alike: pairs of tiles with (nearly) the same content, by position; dropped ones included.
        num_places: groups of kept tiles that share ground or look alike.
    """

    splits: Mapping[int, str]
    dropped: Mapping[int, str]
    excluded: Mapping[int, Exclusion]
    alike: tuple[Alike, ...]
    num_places: int


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Over all kept tiles: task → reason → count; `failures` are messages of tasks that raised, in plan order."""

    not_asked: Mapping[str, Mapping[str, int]]
    rejected: Mapping[str, Mapping[str, int]]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadTiles:
    """What the tiles say of themselves, in plan order, and which of them show an excluded image, by position."""

    batches: list[TileBatch]
    excluded: Mapping[int, Exclusion]


def read_tiles(
    jobs: Sequence[TileJob],
    journal: Journal,
    failed_scenes: Mapping[str, str],
    excluded: ExcludedImages,
    run: Spread = map,
) -> ReadTiles:
    """Return what the tiles say whose scene has not failed: the one time that all are read.

    Args:
        jobs: the plan.
        journal: of the build.
        failed_scenes: see `select_tiles`.
        excluded: the images to keep out.
        run: reads batches, in other processes for one.
    """
    to_read = [job for job in jobs if job.work.scene.scene_id not in failed_scenes]
    batch_jobs = []
    for start in range(0, len(to_read), TILES_AT_ONCE):
        some = to_read[start : start + TILES_AT_ONCE]
        digests = [job.digest for job in some]
        batch_jobs.append(
            BatchJob(
                positions=[job.position for job in some],
                jobs=digests,
                checks=[journal.check_of(digest) for digest in digests],
                windows=[job.window for job in some],
                store=journal.store,
                keeps_prints=excluded.num_images > 0,
            )
        )
    contaminated: dict[int, Exclusion] = {}
    batches: list[TileBatch] = []
    for batch in run(read_batch, batch_jobs):
        for place, exclusion in find_excluded(batch.prints, excluded).items():
            contaminated[int(batch.positions[place])] = exclusion
        batch.prints.clear()
        batches.append(batch)
    return ReadTiles(batches, contaminated)


def select_tiles(
    jobs: Sequence[TileJob],
    tiles: ReadTiles,
    failed_scenes: Mapping[str, str],
    excluded_scenes: Mapping[str, str],
    settings: BuildSettings,
) -> Selection:
    """Decide which tiles are kept and which split each goes to.

    Args:
        jobs: the plan.
        tiles: what `read_tiles` has returned.
        failed_scenes: scenes of which a tile could not be read, with the reason: all their tiles are dropped.
        excluded_scenes: scenes whose file is such an image, with its name: all their tiles are dropped.
        settings: of the build.
    """
    dropped = {
        job.position: f"its scene cannot be read: {reason}"
        for job in jobs
        if (reason := failed_scenes.get(job.work.scene.scene_id))
    }
    seen = _Seen()
    for batch in tiles.batches:
        dropped.update({int(batch.positions[place]): reason for place, reason in batch.rejections.items()})
        seen.add(batch)
    contaminated = dict(tiles.excluded)
    dropped.update(
        {position: f"{_WHY_EXCLUDED[by]} the excluded image {name}" for position, (name, by) in contaminated.items()}
    )
    for position in seen.positions if excluded_scenes else ():
        if name := next(
            (excluded_scenes[scene] for scene in _scenes_of(jobs[position]) if scene in excluded_scenes), ""
        ):
            contaminated[position] = Exclusion(name, Criterion.BYTES)
            dropped[position] = f"is of a scene that has the bytes of the excluded image {name}"
    pairs = find_alike(seen.digests, seen.looks())
    alike = [pair._replace(first=seen.positions[pair.first], second=seen.positions[pair.second]) for pair in pairs]
    if settings.dedup is not Dedup.OFF:
        _drop_identical(seen, dropped, jobs)
    if settings.dedup is Dedup.NEAR:
        _drop_near(alike, dropped, jobs)
    kept = [job for job in jobs if job.position not in dropped]
    same_place = (*_between(kept, alike), *_between_dates(kept))
    places = group_places(
        [job.work.scene.scene_id for job in kept],
        lambda indices: footprints_of(kept[index] for index in indices),
        same_place,
    )
    splits = assign_splits(places, settings.split_shares, seed=settings.seed)
    return Selection(
        splits={job.position: splits[index] for index, job in enumerate(kept)},
        dropped=dict(sorted(dropped.items())),
        excluded=dict(sorted(contaminated.items())),
        alike=tuple(alike),
        num_places=len(places),
    )


class _Seen:
    """What is to be compared of the tiles that have an image: position, digest and number of tasks of each."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.digests: list[str] = []
        self.num_tasks: list[int] = []
        self._looks = [np.empty((0, LOOK_CELLS), np.int8)]

    def add(self, batch: TileBatch) -> None:
        """Take the next tiles in; their looks and digests are nobody else's any more."""
        places = [place for place in range(len(batch)) if place not in batch.rejections]
        self.positions += batch.positions[places].tolist()
        self.digests += [batch.digests[place] for place in places]
        self.num_tasks += [batch.num_tasks[place] for place in places]
        self._looks.append(batch.looks[places])
        batch.looks = batch.looks[:0]
        batch.digests.clear()

    def looks(self) -> NDArray[np.int8]:
        """Return the looks of all; they are not kept."""
        looks = np.concatenate(self._looks)
        self._looks.clear()
        return looks


def _scenes_of(job: TileJob) -> Iterator[str]:
    yield job.work.scene.scene_id
    if job.later is not None:
        yield job.later.work.scene.scene_id


def _drop_identical(seen: _Seen, dropped: dict[int, str], jobs: Sequence[TileJob]) -> None:
    """Keep one tile of each content: the one of which most tasks ask (a copy may lack the labels), else the first.

    When one of them is dropped for what it shows, all are.
    """
    groups: dict[str, list[int]] = {}
    for place, digest in enumerate(seen.digests):
        groups.setdefault(digest, []).append(place)
    for group in groups.values():
        best = min(group, key=lambda place: (-seen.num_tasks[place], place))
        for place in group:
            if place != best:
                same = jobs[seen.positions[best]].image_id
                dropped.setdefault(seen.positions[place], f"same content as {same}")


def _drop_near(alike: Sequence[Alike], dropped: dict[int, str], jobs: Sequence[TileJob]) -> None:
    """Drop the later one of each pair, unless the earlier one is dropped itself."""
    for first, second, _ in alike:
        if first not in dropped and second not in dropped:
            dropped[second] = f"nearly the same content as {jobs[first].image_id}"


def _between(kept: Sequence[TileJob], alike: Sequence[Alike]) -> Iterator[tuple[int, int]]:
    index_of = {job.position: index for index, job in enumerate(kept)}
    for pair in alike:
        if pair.first in index_of and pair.second in index_of:
            yield index_of[pair.first], index_of[pair.second]


def _between_dates(kept: Sequence[TileJob]) -> Iterator[tuple[int, int]]:
    """Yield tiles of one scene and of its other date, which pictures without a footprint do not tell."""
    first_of = {job.work.scene.scene_id: index for index, job in reversed(list(enumerate(kept)))}
    for index, job in enumerate(kept):
        if job.other_date in first_of:
            yield index, first_of[job.other_date]


@dataclass(frozen=True, slots=True)
class AskedQuestions:
    """What is asked of what the tiles offer.

    Attributes:
        offered: by the kept tiles.
        choices: by the order of the candidates of all kept tiles.
        num_beyond_share: by source, questions that were chosen and are more than its share.
        reasons: why more is not offered.
    """

    offered: OfferedTiles
    choices: ChosenQuestions
    num_beyond_share: Mapping[str, int]
    reasons: TaskCounts


def choose_questions(
    jobs: Sequence[TileJob],
    tiles: ReadTiles,
    selection: Selection,
    settings: BuildSettings,
    shares: Mapping[str, float | None],
    run: Spread = map,
) -> AskedQuestions:
    """Choose which candidates of the kept tiles are asked, and with which options.

    What a source has to give away of its chosen questions is drawn by chance: of even answers that leaves answers as
    even as chance does.

    Args:
        jobs: the plan.
        tiles: what they offer; emptied on the way, as it is much.
        selection: the kept tiles.
        settings: of the build.
        shares: the most that a source may have of all questions, by its name; None for no bound.
        run: see `Chooser.choose`.
    """
    chooser = Chooser(
        limits=settings.task_limits, balance=settings.balance, seed=settings.seed, fine_share=settings.fine_share
    )
    split_of = np.full(len(jobs), -1, np.int32)
    split_of[list(selection.splits)] = [SPLITS.index(split) for split in selection.splits.values()]
    sources: dict[str, int] = {}
    source_of = np.array([sources.setdefault(job.source, len(sources)) for job in jobs], np.int32)
    of_source: dict[str, list[NDArray[np.int64]]] = {}
    offered = OfferedTiles()
    reasons = _ReasonCounts()
    tiles.batches.reverse()
    while tiles.batches:
        batch = tiles.batches.pop()
        split_of_tile = split_of[batch.positions]
        is_kept = split_of_tile >= 0
        reasons.add(batch, is_kept)
        tile_of = np.array(batch.offers.columns.tile, np.int64)
        index = chooser.take(batch.offers, SPLITS, split_of[tile_of])
        offered.add(batch, split_of_tile)
        for name in dict.fromkeys(jobs[position].source for position in batch.positions[is_kept].tolist()):
            is_own = (index >= 0) & (source_of[tile_of] == sources[name])
            of_source.setdefault(name, []).append(index[is_own])
    choices = chooser.choose(run)
    asked = {name: choices.asked_of(np.concatenate(own)) for name, own in of_source.items()}
    surplus = beyond_shares(asked, shares, seed=settings.seed)
    left = choices.without(chain.from_iterable(surplus.values()))
    num_beyond = {name: len(given_away) for name, given_away in surplus.items()}
    return AskedQuestions(offered, left, num_beyond, reasons.finish())


class _ReasonCounts:
    """Adds up why tasks did not ask and why candidates were rejected."""

    def __init__(self) -> None:
        self._not_asked: dict[str, Counter[str]] = {}
        self._rejected: dict[str, Counter[str]] = {}
        self._failures: list[str] = []

    def add(self, batch: TileBatch, is_kept: NDArray[np.bool_]) -> None:
        """Count what the kept tiles of a batch say."""
        for total, found in ((self._not_asked, batch.not_asked), (self._rejected, batch.rejected)):
            for task, reason, count in found.totals(is_kept):
                total.setdefault(task, Counter())[reason] += count
        self._failures.extend(message for place, message in batch.failures if is_kept[place])

    def finish(self) -> TaskCounts:
        """Return the counts."""
        return TaskCounts(_sorted(self._not_asked), _sorted(self._rejected), tuple(self._failures))


def _sorted(counts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Return the counts with tasks in the order of the taxonomy and the most frequent reason first."""
    return {
        task: dict(sorted(counts[task].items(), key=lambda entry: (-entry[1], entry[0])))
        for task in TASKS
        if task in counts
    }
