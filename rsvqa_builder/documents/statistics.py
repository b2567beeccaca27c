"""Count what a data set holds: `stats.json`, and the numbers of the card and the preview page.

Everything comes from one pass over the records and one over the tiles, so that a data set of any size can be counted.
A share over nothing is None, never 0: a task of free texts has no chance level, it does not have one of zero.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import pyproj
import shapely

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.annotation.visibility import VANISHING_PX, shown_px
from rsvqa.rsvqa_builder.dataset.records import SPLITS, Record, TileRecord

Key = TypeVar("Key", int, str)

SCHEMA_VERSION = 1
MAX_LISTED_ANSWERS = 50
"""Right answers listed per task in `stats.json`; distances and sizes have nearly as many values as questions."""
OPENING_WORDS = 3
"""Words of a question that count as its opening."""
_COUNTED = ("splits", "letter_sets", "answers", "resolution")
"""Counters of a task whose keys are texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStatistics:
    """What one split holds; `image_bytes` counts each image of a tile once, as the shards do."""

    num_questions: int = 0
    num_tiles: int = 0
    num_images: int = 0
    image_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SceneStatistics:
    """What one scene gave; `gsd`, `crs` and the dates are those of its first tile."""

    num_tiles: int
    num_questions: int
    crs: str | None
    gsd: float | None
    date: str | None
    later_date: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatistics:
    """What one source of scenes gave."""

    num_scenes: int = 0
    num_tiles: int = 0
    num_questions: int = 0
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class TaskStatistics:
    """The questions of one task.

    Attributes:
        splits, forms, num_options: numbers of questions by split, by answer form, by number of options (0: none).
        letters: how often each letter is right; a several-answer question counts for each of its letters.
        answers: the most common right answers in words, and how often; empty for free texts and boxes.
        num_answers: distinct right answers in words; None where there are no options.
        majority_letter: share of questions that the most common answer in letters gets right; None without options.
        majority_answer: the same for the most common answer in words: what a model gains that only knows habits.
        chance: expected share right of a guess, uniform over the possible answers (for several answers over the
            non-empty subsets); None without options.
        resolution: "measured": questions of which the smallest extent that must be seen is known; "under_8_px" and so
            on: of these, those where it is less when the image is shown at 1,024 px.
        num_openings: distinct first words (see `OPENING_WORDS`), case ignored: how varied the wording is.
    """

    num_questions: int
    splits: Mapping[str, int]
    forms: Mapping[str, int]
    num_options: Mapping[int, int]
    letters: Mapping[str, int]
    answers: Mapping[str, int]
    num_answers: int | None
    majority_letter: float | None
    majority_answer: float | None
    chance: float | None
    resolution: Mapping[str, int]
    num_openings: int


@dataclass(frozen=True, slots=True)
class DatasetStatistics:
    """What a data set holds.

    Attributes:
        num_pixels: pixels of all tiles, each tile once whatever the number of its dates and marked copies.
        area_km2: ground area of the georeferenced tiles on the WGS 84 ellipsoid, summed: ground that two tiles share
            counts twice. None when no tile is georeferenced.
        num_georeferenced: tiles with a footprint.
        gsd: (finest, coarsest) metres per pixel; None when no tile has one.
        tile_sizes: numbers of tiles by "width x height" in pixels.
        splits: by split, in the order train, val, test.
        scenes: by scene, sorted.
        scene_sources: by the source that scenes come from, sorted; tiles without one are not here.
        tasks: all tasks of the taxonomy, in its order, those without questions included.
    """

    num_questions: int
    num_tiles: int
    num_tiles_without_questions: int
    num_images: int
    image_bytes: int
    num_pixels: int
    area_km2: float | None
    num_georeferenced: int
    gsd: tuple[float, float] | None
    tile_sizes: Mapping[str, int]
    languages: Mapping[str, int]
    sources: Mapping[str, int]
    reviews: Mapping[str, int]
    splits: Mapping[str, SplitStatistics]
    scenes: Mapping[str, SceneStatistics]
    scene_sources: Mapping[str, SourceStatistics]
    tasks: Mapping[str, TaskStatistics]

    @property
    def num_tasks(self) -> int:
        """Tasks with at least one question."""
        return sum(task.num_questions > 0 for task in self.tasks.values())

    def to_json(self, audit: Mapping[str, object] | None = None) -> str:
        """Return the text of `stats.json`: keys sorted, shares to six decimals; equal data gives equal bytes.

        Args:
            audit: what `short_audit` returned, for the key `without_image`; without it there is no such key.
        """
        content = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        if audit:
            content["without_image"] = audit
        return json.dumps(_rounded(content), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def dataset_statistics(records: Iterable[Record], tiles: Iterable[TileRecord]) -> DatasetStatistics:
    """Count the records and the tiles of a data set, those without questions included.

    Args:
        records: every record, in any order; consumed once.
        tiles: every tile once; consumed once.
    """
    counts = StatisticsCounter()
    num_questions: Counter[str] = Counter()
    for record in records:
        counts.add_record(record)
        num_questions[record.tile.image_id] += 1
    for tile in tiles:
        counts.add_tile(tile, num_questions[tile.image_id])
    return counts.finish()


class StatisticsCounter:
    """Counts the records and tiles of a data set while they pass, in any order."""

    def __init__(self) -> None:
        self._records = _RecordCounts()
        self._ground = _GroundCounts()

    def add_record(self, record: Record) -> None:
        """Count one record."""
        self._records.add(record)

    def add_tile(self, tile: TileRecord, num_questions: int) -> None:
        """Count one tile that has `num_questions` questions."""
        self._ground.add(tile, num_questions)

    def told(self) -> dict[str, Any]:
        """Return what was counted of the records, for JSON."""
        return self._records.told()

    def join(self, told: Mapping[str, Any]) -> None:
        """Count the records of which another counter told."""
        self._records.join(told)

    def finish(self) -> DatasetStatistics:
        """Return what was counted."""
        return _finished(self._records, self._ground)


def _finished(counts: _RecordCounts, ground: _GroundCounts) -> DatasetStatistics:
    return DatasetStatistics(
        num_questions=counts.languages.total(),
        num_tiles=ground.tile_sizes.total(),
        num_tiles_without_questions=ground.num_without_questions,
        num_images=sum(split.num_images for split in ground.splits.values()),
        image_bytes=sum(split.image_bytes for split in ground.splits.values()),
        num_pixels=ground.num_pixels,
        area_km2=ground.area_km2 if ground.num_georeferenced else None,
        num_georeferenced=ground.num_georeferenced,
        gsd=(min(ground.gsds), max(ground.gsds)) if ground.gsds else None,
        tile_sizes=_by_key(ground.tile_sizes),
        languages=_by_key(counts.languages),
        sources=_by_key(counts.sources),
        reviews=_by_key(counts.reviews),
        splits={name: ground.splits[name] for name in sorted(ground.splits, key=_split_order)},
        scenes={name: ground.scenes[name] for name in sorted(ground.scenes)},
        scene_sources={name: ground.scene_sources[name] for name in sorted(ground.scene_sources)},
        tasks={name: counts.tasks.get(name, _TaskCounts()).finish() for name in TASKS},
    )


@dataclass(slots=True, kw_only=True)
class _TaskCounts:
    """What is counted of one task while records pass."""

    splits: Counter[str] = field(default_factory=Counter)
    shapes: dict[AnswerForm, Counter[int]] = field(default_factory=dict)  # form → number of options
    letter_sets: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    openings: set[str] = field(default_factory=set)
    resolution: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.splits[record.tile.split] += 1
        self.shapes.setdefault(record.form, Counter())[len(record.options)] += 1
        self.openings.add(" ".join(record.question.lower().split()[:OPENING_WORDS]))
        if (needs_px := record.evidence.get("needs_px")) is not None:
            window = record.tile.window
            shown = shown_px(needs_px, width=window.width, height=window.height)
            self.resolution["measured"] += 1
            self.resolution.update(f"under_{limit}_px" for limit in VANISHING_PX if shown < limit)
        if record.options:
            self.letter_sets[record.answer] += 1
            self.answers["; ".join(sorted(record.right_options))] += 1

    def told(self) -> dict[str, Any]:
        """Return the counts for JSON, whose keys are texts."""
        return {
            "shapes": [[form.value, num, count] for form, nums in self.shapes.items() for num, count in nums.items()],
            "openings": sorted(self.openings),
            **{name: dict(getattr(self, name)) for name in _COUNTED},
        }

    def join(self, told: Mapping[str, Any]) -> None:
        """Add what other counts told."""
        for form, num, count in told["shapes"]:
            self.shapes.setdefault(AnswerForm(form), Counter())[num] += count
        self.openings.update(told["openings"])
        for name in _COUNTED:
            getattr(self, name).update(told[name])

    def finish(self) -> TaskStatistics:
        """Return the counts as they are published."""
        num_asked = self.letter_sets.total()  # questions with options
        num_options: Counter[int] = Counter()
        letters: Counter[str] = Counter()
        for nums in self.shapes.values():
            num_options.update(nums)
        for letter_set, count in self.letter_sets.items():
            letters.update(dict.fromkeys(letter_set, count))
        chances = (
            count * _chance(form, num) for form, nums in self.shapes.items() for num, count in nums.items() if num
        )
        return TaskStatistics(
            num_questions=self.splits.total(),
            splits={name: self.splits[name] for name in sorted(self.splits, key=_split_order)},
            forms=_by_key({form.value: nums.total() for form, nums in self.shapes.items()}),
            num_options=_by_key(num_options),
            letters=_by_key(letters),
            answers=dict(_most_common(self.answers)[:MAX_LISTED_ANSWERS]),
            num_answers=len(self.answers) if num_asked else None,
            majority_letter=max(self.letter_sets.values()) / num_asked if num_asked else None,
            majority_answer=max(self.answers.values()) / num_asked if num_asked else None,
            chance=math.fsum(chances) / num_asked if num_asked else None,
            resolution={
                name: self.resolution[name] for name in ("measured", *(f"under_{limit}_px" for limit in VANISHING_PX))
            },
            num_openings=len(self.openings),
        )


@dataclass(slots=True, kw_only=True)
class _RecordCounts:
    """What is counted while records pass."""

    tasks: dict[str, _TaskCounts] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.tasks.setdefault(record.task, _TaskCounts()).add(record)
        self.languages[record.language] += 1
        self.sources[record.source] += 1
        self.reviews[record.review] += 1

    def told(self) -> dict[str, Any]:
        """Return the counts for JSON."""
        counts = {"languages": self.languages, "sources": self.sources, "reviews": self.reviews}
        return {"tasks": {name: task.told() for name, task in self.tasks.items()}, **counts}

    def join(self, told: Mapping[str, Any]) -> None:
        """Add what other counts told."""
        for name, task in told["tasks"].items():
            self.tasks.setdefault(name, _TaskCounts()).join(task)
        self.languages.update(told["languages"])
        self.sources.update(told["sources"])
        self.reviews.update(told["reviews"])


@dataclass(slots=True, kw_only=True)
class _GroundCounts:
    """What is counted while tiles pass."""

    splits: dict[str, SplitStatistics] = field(default_factory=dict)
    scenes: dict[str, SceneStatistics] = field(default_factory=dict)
    scene_sources: dict[str, SourceStatistics] = field(default_factory=dict)
    tile_sizes: Counter[str] = field(default_factory=Counter)
    gsds: set[float] = field(default_factory=set)
    num_pixels: int = 0
    num_without_questions: int = 0
    num_georeferenced: int = 0
    area_km2: float = 0.0

    def add(self, tile: TileRecord, num_questions: int) -> None:
        """Count one tile that has `num_questions` questions."""
        window = tile.window
        self.tile_sizes[f"{window.width} x {window.height}"] += 1
        self.num_pixels += window.width * window.height
        self.num_without_questions += num_questions == 0
        if tile.gsd is not None:
            self.gsds.add(tile.gsd)
        if tile.footprint is not None:
            self.num_georeferenced += 1
            self.area_km2 += _area_km2(tile.footprint)
        self._add_to_split(tile, num_questions)
        self._add_to_source(tile, num_questions)
        self._add_to_scene(tile, num_questions)

    def _add_to_split(self, tile: TileRecord, num_questions: int) -> None:
        before = self.splits.get(tile.split, SplitStatistics())
        self.splits[tile.split] = SplitStatistics(
            num_questions=before.num_questions + num_questions,
            num_tiles=before.num_tiles + 1,
            num_images=before.num_images + len(tile.images),
            image_bytes=before.image_bytes + sum(tile.images.values()),
        )

    def _add_to_source(self, tile: TileRecord, num_questions: int) -> None:
        if tile.scene_source is None:
            return
        before = self.scene_sources.get(tile.scene_source, SourceStatistics(licence=tile.licence))
        self.scene_sources[tile.scene_source] = SourceStatistics(
            num_scenes=before.num_scenes + (tile.scene not in self.scenes),
            num_tiles=before.num_tiles + 1,
            num_questions=before.num_questions + num_questions,
            licence=before.licence,
        )

    def _add_to_scene(self, tile: TileRecord, num_questions: int) -> None:
        before = self.scenes.get(tile.scene, SceneStatistics(0, 0, tile.crs, tile.gsd, tile.date, tile.later_date))
        self.scenes[tile.scene] = SceneStatistics(
            num_tiles=before.num_tiles + 1,
            num_questions=before.num_questions + num_questions,
            crs=before.crs,
            gsd=before.gsd,
            date=before.date,
            later_date=before.later_date,
        )


def _chance(form: AnswerForm, num_options: int) -> float:
    """Return the share right of uniform guessing: one option, or one non-empty subset of them."""
    return 1 / (2**num_options - 1) if form is AnswerForm.SEVERAL_OF else 1 / num_options


def _area_km2(footprint: bytes) -> float:
    """Return the area of a WKB polygon of longitudes and latitudes on the WGS 84 ellipsoid."""
    area_m2, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.from_wkb(footprint))
    return abs(float(area_m2)) / 1e6  # the sign only tells the ring's direction


def _split_order(name: str) -> tuple[int, str]:
    """Sort train, val, test as they are used, then anything else by name."""
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _by_key(counts: Mapping[Key, int]) -> dict[Key, int]:
    return dict(sorted(counts.items()))


def _most_common(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (value, count), most common first, ties by value: `Counter.most_common` keeps the order of arrival."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _rounded(value: object) -> object:
    """Return `value` with every float in it rounded to six decimals and every key a text."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
