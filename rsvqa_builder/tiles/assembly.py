"""From finished tiles to records: what is dropped, which split, which candidates and options, which letter.

The first step that knows the whole data set. It runs over the journal in plan order, so the order in which workers
finished leaves no trace.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rsvqa.annotation.choosing import Chooser, ChosenQuestions, GroupRunner
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.visibility import VANISHING_PX, shown_px
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, Dedup
from rsvqa.rsvqa_builder.tiles.asked_tiles import OfferedTiles, footprints_of
from rsvqa.rsvqa_builder.tiles.dedup import Alike, Criterion, ExcludedImages, Exclusion, find_alike, find_excluded
from rsvqa.rsvqa_builder.tiles.journal import Journal, TileHead, TileOffer
from rsvqa.rsvqa_builder.tiles.shares import beyond_shares
from rsvqa.rsvqa_builder.tiles.splits import assign_splits, group_places
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


def read_heads(jobs: Sequence[TileJob], journal: Journal, failed_scenes: Mapping[str, str]) -> dict[int, TileHead]:
    """Return what tells the tiles apart whose scene has not failed, by position: the one time that all are read.

    Args:
        jobs: the plan.
        journal: of the build.
        failed_scenes: see `select_tiles`.
    """
    read = [job for job in jobs if job.work.scene.scene_id not in failed_scenes]
    heads = journal.heads([job.digest for job in read])
    return {job.position: head for job, head in zip(read, heads, strict=True)}


def select_tiles(
    jobs: Sequence[TileJob],
    heads: Mapping[int, TileHead],
    failed_scenes: Mapping[str, str],
    excluded: ExcludedImages,
    excluded_scenes: Mapping[str, str],
    settings: BuildSettings,
) -> Selection:
    """Decide which tiles are kept and which split each goes to.

    Args:
        jobs: the plan.
        heads: what `read_heads` has returned.
        failed_scenes: scenes of which a tile could not be read, with the reason: all their tiles are dropped.
        excluded: the images to keep out.
        excluded_scenes: scenes whose file is such an image, with its name: all their tiles are dropped.
        settings: of the build.
    """
    dropped, seen = _look_through(jobs, heads, failed_scenes)
    positions = list(seen)
    found = find_excluded([tile.prints.values() for tile in seen.values()], excluded)
    contaminated = {positions[index]: exclusion for index, exclusion in found.items()}
    dropped.update(
        {position: f"{_WHY_EXCLUDED[by]} the excluded image {name}" for position, (name, by) in contaminated.items()}
    )
    for position in seen:
        if name := next(
            (excluded_scenes[scene] for scene in _scenes_of(jobs[position]) if scene in excluded_scenes), ""
        ):
            contaminated[position] = Exclusion(name, Criterion.BYTES)
            dropped[position] = f"is of a scene that has the bytes of the excluded image {name}"
    looks = [tile.prints["tile"].look for tile in seen.values()]
    pairs = find_alike([tile.digest for tile in seen.values()], looks)
    alike = [pair._replace(first=positions[pair.first], second=positions[pair.second]) for pair in pairs]
    if settings.dedup is not Dedup.OFF:
        _drop_identical(seen, dropped, jobs)
    if settings.dedup is Dedup.NEAR:
        _drop_near(alike, dropped, jobs)
    kept = [job for job in jobs if job.position not in dropped]
    same_place = (*_between(kept, alike), *_between_dates(kept))
    places = group_places([job.work.scene.scene_id for job in kept], footprints_of(kept), same_place)
    splits = assign_splits(places, settings.split_shares, seed=settings.seed)
    return Selection(
        splits={job.position: splits[index] for index, job in enumerate(kept)},
        dropped=dict(sorted(dropped.items())),
        excluded=dict(sorted(contaminated.items())),
        alike=tuple(alike),
        num_places=len(places),
    )


def _scenes_of(job: TileJob) -> Iterator[str]:
    yield job.work.scene.scene_id
    if job.later is not None:
        yield job.later.work.scene.scene_id


def _look_through(
    jobs: Sequence[TileJob], heads: Mapping[int, TileHead], failed_scenes: Mapping[str, str]
) -> tuple[dict[int, str], dict[int, TileHead]]:
    """Return why tiles are dropped for what they are, and what is to be compared of the others, by position."""
    dropped: dict[int, str] = {}
    seen: dict[int, TileHead] = {}
    for job in jobs:
        if reason := failed_scenes.get(job.work.scene.scene_id):
            dropped[job.position] = f"its scene cannot be read: {reason}"
            continue
        head = heads[job.position]
        if head.rejection is not None:
            dropped[job.position] = head.rejection
        else:
            seen[job.position] = head
    return dropped, seen


def _drop_identical(seen: Mapping[int, TileHead], dropped: dict[int, str], jobs: Sequence[TileJob]) -> None:
    """Keep one tile of each content: the one of which most tasks ask (a copy may lack the labels), else the first.

    When one of them is dropped for what it shows, all are.
    """
    groups: dict[str, list[int]] = {}
    for position, found in seen.items():
        groups.setdefault(found.digest, []).append(position)
    for group in groups.values():
        best = min(group, key=lambda position: (-seen[position].num_tasks, position))
        for position in group:
            if position != best:
                dropped.setdefault(position, f"same content as {jobs[best].image_id}")


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
    heads: dict[int, TileHead],
    selection: Selection,
    settings: BuildSettings,
    shares: Mapping[str, float | None],
    run: GroupRunner = map,
) -> AskedQuestions:
    """Choose which candidates of the kept tiles are asked, and with which options.

    What a source has to give away of its chosen questions is drawn by chance: of even answers that leaves answers as
    even as chance does.

    Args:
        jobs: the plan.
        heads: what the tiles offer, by position; emptied on the way, as it is much.
        selection: the kept tiles.
        settings: of the build.
        shares: the most that a source may have of all questions, by its name; None for no bound.
        run: see `Chooser.choose`.
    """
    chooser = Chooser(
        limits=settings.task_limits, balance=settings.balance, seed=settings.seed, fine_share=settings.fine_share
    )
    of_source: dict[str, array[int]] = {}
    offered = OfferedTiles()
    reasons = _ReasonCounts()
    for position, split in selection.splits.items():
        head = heads.pop(position)
        offer = head.offer()
        reasons.add(offer)
        offered.add(position, split, head.images, offer.candidates)
        own = of_source.setdefault(jobs[position].source, array("q"))
        for one in offer.candidates:
            is_fine = _is_fine(one.needs_px, jobs[position].window)
            own.append(chooser.add(one, split=split, tile=position, is_fine=is_fine))
    heads.clear()
    choices = chooser.choose(run)
    asked = {name: [index for index in own if choices.is_asked(index)] for name, own in of_source.items()}
    surplus = beyond_shares(asked, shares, seed=settings.seed)
    left = choices.without(chain.from_iterable(surplus.values()))
    num_beyond = {name: len(given_away) for name, given_away in surplus.items()}
    return AskedQuestions(offered, left, num_beyond, reasons.finish())


def _is_fine(needs_px: float | None, window: Window) -> bool:
    """Return whether what a question is about is hard to tell in an image of `SHOWN_PX`."""
    return needs_px is not None and shown_px(needs_px, width=window.width, height=window.height) < VANISHING_PX[0]


class _ReasonCounts:
    """Adds up why tasks did not ask and why candidates were rejected."""

    def __init__(self) -> None:
        self._not_asked: dict[str, Counter[str]] = {}
        self._rejected: dict[str, Counter[str]] = {}
        self._failures: list[str] = []

    def add(self, offer: TileOffer) -> None:
        """Count what a tile says."""
        for total, found in ((self._not_asked, offer.not_asked), (self._rejected, offer.rejected)):
            for task, reasons in found.items():
                total.setdefault(task, Counter()).update(reasons)
        self._failures.extend(offer.failures.values())

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
