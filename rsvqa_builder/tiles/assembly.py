"""From finished tiles to records: what is dropped, which split, which candidates and options, which letter.

The first step that knows the whole data set. It runs over the journal in plan order, so the order in which workers
finished leaves no trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import shapely
from shapely import MultiPolygon, Polygon

from rsvqa.annotation.choosing import Chooser, ChosenQuestions
from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.facts import BOX_DECIMALS, Box, as_shares
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.visibility import VANISHING_PX, shown_px
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.scenes.georeference import crs_name, window_footprint
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, Dedup
from rsvqa.rsvqa_builder.tiles.dedup import (
    Alike,
    Criterion,
    ExcludedImages,
    Exclusion,
    ImagePrint,
    find_alike,
    find_excluded,
)
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
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


def select_tiles(
    jobs: Sequence[TileJob],
    journal: Journal,
    failed_scenes: Mapping[str, str],
    excluded: ExcludedImages,
    excluded_scenes: Mapping[str, str],
    settings: BuildSettings,
) -> Selection:
    """Decide which tiles are kept and which split each goes to.

    Args:
        jobs: the plan; every tile whose scene has not failed is in the journal.
        journal: of the build.
        failed_scenes: scenes of which a tile could not be read, with the reason: all their tiles are dropped.
        excluded: the images to keep out.
        excluded_scenes: scenes whose file is such an image, with its name: all their tiles are dropped.
        settings: of the build.
    """
    dropped, seen = _look_through(jobs, journal, failed_scenes)
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
    places = group_places([job.work.scene.scene_id for job in kept], [footprint_of(job) for job in kept], same_place)
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


class _Seen(NamedTuple):
    """What tells tiles apart: content digest, what each image is known again by, and the number of tasks that ask."""

    digest: str
    prints: Mapping[str, ImagePrint]
    num_tasks: int


def _look_through(
    jobs: Sequence[TileJob], journal: Journal, failed_scenes: Mapping[str, str]
) -> tuple[dict[int, str], dict[int, _Seen]]:
    """Return why tiles are dropped for what they are, and what is to be compared of the others, by position."""
    dropped: dict[int, str] = {}
    seen: dict[int, _Seen] = {}
    for job in jobs:
        if reason := failed_scenes.get(job.work.scene.scene_id):
            dropped[job.position] = f"its scene cannot be read: {reason}"
            continue
        result = journal.read_summary(job.digest)
        if result.rejection is not None:
            dropped[job.position] = result.rejection
        else:
            seen[job.position] = _Seen(result.digest, result.prints or {}, len({one.task for one in result.candidates}))
    return dropped, seen


def _drop_identical(seen: Mapping[int, _Seen], dropped: dict[int, str], jobs: Sequence[TileJob]) -> None:
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


def footprint_of(job: TileJob) -> Polygon | MultiPolygon | None:
    """Return the outline of a tile in EPSG:4326."""
    scene = job.work.scene
    if scene.footprint is None or scene.crs is None or scene.transform is None:
        return None
    return window_footprint(scene.crs, scene.transform, job.window)


@dataclass(frozen=True, slots=True)
class AskedQuestions:
    """What is asked of what the tiles offer.

    Attributes:
        choices: by the order of the candidates of all kept tiles.
        num_beyond_share: by source, questions that were chosen and are more than its share.
    """

    choices: ChosenQuestions
    num_beyond_share: Mapping[str, int]


def choose_questions(
    jobs: Sequence[TileJob],
    journal: Journal,
    selection: Selection,
    settings: BuildSettings,
    shares: Mapping[str, float | None],
) -> AskedQuestions:
    """Choose which candidates of the kept tiles are asked, and with which options.

    What a source has to give away of its chosen questions is drawn by chance: of even answers that leaves answers as
    even as chance does.

    Args:
        jobs: the plan.
        journal: of the build.
        selection: the kept tiles.
        settings: of the build.
        shares: the most that a source may have of all questions, by its name; None for no bound.
    """
    chooser = Chooser(
        limits=settings.task_limits, balance=settings.balance, seed=settings.seed, fine_share=settings.fine_share
    )
    of_source: dict[str, list[int]] = {}
    for position, split in selection.splits.items():
        own = of_source.setdefault(jobs[position].source, [])
        for one in journal.read(jobs[position].digest).candidates:
            is_fine = _is_fine(one.evidence, jobs[position].window)
            own.append(chooser.add(one, split=split, tile=position, is_fine=is_fine))
    choices = chooser.choose()
    asked = {name: [index for index in own if choices.is_asked(index)] for name, own in of_source.items()}
    surplus = beyond_shares(asked, shares, seed=settings.seed)
    left = choices.without(chain.from_iterable(surplus.values()))
    return AskedQuestions(left, {name: len(given_away) for name, given_away in surplus.items()})


def _is_fine(evidence: Mapping[str, Any], window: Window) -> bool:
    """Return whether what a question is about is hard to tell in an image of `SHOWN_PX`."""
    needs_px = evidence.get("needs_px")
    return needs_px is not None and shown_px(needs_px, width=window.width, height=window.height) < VANISHING_PX[0]


def make_rows(
    jobs: Sequence[TileJob], journal: Journal, selection: Selection, choices: ChosenQuestions, settings: BuildSettings
) -> Iterator[TileRows]:
    """Yield each kept tile with its records, in plan order; letters are dealt on the way.

    Args:
        jobs: the plan.
        journal: of the build.
        selection: the kept tiles.
        choices: as `choose_questions` returns them for these.
        settings: of the build.
    """
    dealer = LetterDealer(settings.seed)
    index = 0
    for position, split in selection.splits.items():
        result = journal.read(jobs[position].digest)
        offers = [choices.options_of(index + place) for place in range(len(result.candidates))]
        index += len(offers)
        asked = [
            (candidate, options)
            for candidate, options in zip(result.candidates, offers, strict=True)
            if options is not None
        ]
        tile = _tile_record(jobs[position], result, split, {key for candidate, _ in asked for key in candidate.images})
        yield TileRows(tile, tuple(_records(tile, asked, dealer, settings.language)))


def count_reasons(jobs: Sequence[TileJob], journal: Journal, selection: Selection) -> TaskCounts:
    """Add up why tasks did not ask and why candidates were rejected, over the kept tiles."""
    not_asked: dict[str, Counter[str]] = {}
    rejected: dict[str, Counter[str]] = {}
    failures: list[str] = []
    for position in selection.splits:
        result = journal.read_summary(jobs[position].digest)
        for total, found in ((not_asked, result.not_asked), (rejected, result.rejected)):
            for task, reasons in (found or {}).items():
                total.setdefault(task, Counter()).update(reasons)
        failures.extend((result.failures or {}).values())
    return TaskCounts(_sorted(not_asked), _sorted(rejected), tuple(failures))


def _sorted(counts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Return the counts with tasks in the order of the taxonomy and the most frequent reason first."""
    return {
        task: dict(sorted(counts[task].items(), key=lambda entry: (-entry[1], entry[0])))
        for task in TASKS
        if task in counts
    }


def _tile_record(job: TileJob, result: TileResult, split: str, shown: Set[str]) -> TileRecord:
    """Return a tile with those of its images that questions show, and without its marks."""
    scene, footprint = job.work.scene, footprint_of(job)
    images = {key: size for key, size in (result.images or {}).items() if key in shown or key == "tile"}
    has_later = not images.keys().isdisjoint(("later", "later_marked"))
    return TileRecord(
        image_id=job.image_id,
        split=split,
        scene=scene.scene_id,
        window=job.window,
        crs=crs_name(scene.crs),
        gsd=None if scene.gsd_m is None else round((scene.gsd_m.x_m + scene.gsd_m.y_m) / 2, 6),
        footprint=None if footprint is None else shapely.to_wkb(footprint, byte_order=1),
        date=_day(scene),
        later_date=_day(job.later.work.scene) if has_later and job.later is not None else None,
        scene_source=job.source,
        licence=job.licence,
        images=images,
    )


def _day(scene: Scene) -> str | None:
    return None if scene.acquired is None else scene.acquired.date().isoformat()


def _records(
    tile: TileRecord, asked: Sequence[tuple[Candidate, tuple[Option, ...]]], dealer: LetterDealer, language: str
) -> Iterator[Record]:
    numbers: Counter[str] = Counter()
    for candidate, options in asked:
        numbers[candidate.task] += 1
        question_id = f"{tile.image_id}/{TASKS[candidate.task].short}{numbers[candidate.task]}"
        yield record_of(tile, candidate, options, question_id=question_id, dealer=dealer, language=language)


def record_of(
    tile: TileRecord,
    candidate: Candidate,
    options: tuple[Option, ...],
    *,
    question_id: str,
    dealer: LetterDealer,
    language: str,
) -> Record:
    """Return a chosen candidate with its id, the letters of its options, and its box as shares of the tile."""
    bbox = _normalised(candidate, tile)
    dealt = dealer.deal(candidate.task, question_id, options)
    return Record(
        question_id=question_id,
        tile=tile,
        task=candidate.task,
        language=language,
        question=candidate.text,
        images=candidate.images,
        options=dealt.options,
        answer=dealt.answer if options else candidate.answer or str(list(bbox or ())),
        bbox=bbox,
        evidence=candidate.evidence,
    )


def _normalised(candidate: Candidate, tile: TileRecord) -> Box | None:
    if candidate.box is None:
        return None
    shares = as_shares(candidate.box, tile.window.width, tile.window.height)
    return Box(*(round(share, BOX_DECIMALS) for share in shares))
