"""Tiles to draw on, and the questions that the rules compute from what is drawn: the tasks' own, with nothing added.

What surprises: wrong options and letters are chosen here for one tile alone, while a build chooses them over the whole
data set, so that no answer is more frequent than another. Questions made here are right; whether many of them together
can be guessed is for `rsvqa audit` to say, and a build from the labels (`drawn_labels`) sees to it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.balance import Balance
from rsvqa.annotation.choosing import Chooser
from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.facts import ClassInfo, Gsd
from rsvqa.annotation.images import decode_image
from rsvqa.annotation.questions import Option
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawing import Computed, DrawingTile, Proposal
from rsvqa.annotation.review.drawn import DrawnObject
from rsvqa.annotation.review.drawn_store import DrawnStore, TileDrawing, tile_key
from rsvqa.annotation.review.looks import OtherScene
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.task_names import parse_task_weights
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.items import folded
from rsvqa.rsvqa_builder.dataset.output import MARKER, REPORT
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.labels.classes import ClassTable, load_class_table, load_stored_tables
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array
from rsvqa.rsvqa_builder.reviewing.asked_before import AskedBefore
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, SourceTile, question_of, store_path
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import DEFAULT_PER_TASK
from rsvqa.rsvqa_builder.tiles.asked_tiles import record_of
from rsvqa.rsvqa_builder.tiles.journal import Candidate
from rsvqa.rsvqa_builder.tiles.tile_facts import SceneLabels, TileSetting, cut_facts
from rsvqa.rsvqa_builder.tiles.tile_work import ask_what_works, candidates_of

CLASSES = "classes.toml"
_LATER = "circles and second dates are asked about by a build from the labels, or by a person who writes a question"
_ID_CHARS = 8


class ComputedRecords(NamedTuple):
    """What the rules ask about a tile as records, and why other tasks ask nothing, by task."""

    records: tuple[Record, ...]
    not_asked: Mapping[str, str]


class DrawnTiles:
    """The tiles of a data set, as `annotation.review.drawing.Drawings`.

    Args:
        source: of the data set.
        digests: SHA-256 of its images, by name.
        views: the scenes behind them; without them, no second date is known.
    """

    def __init__(self, source: ReviewSource, digests: Mapping[str, str], views: TileViews | None = None) -> None:
        self._source, self._views = source, views
        found = sorted(source.tiles, key=lambda tile: tile.num_questions > 0)
        self.records: dict[str, TileRecord] = {}
        self.tiles: dict[str, DrawingTile] = {}
        for tile in found:
            assert tile.image is not None  # of a tile that can be drawn on
            key = tile_key(tile.tile.image_id, digests[tile.image])
            self.records[key] = tile.tile
            language = str(self._settings.get("language", "en"))
            self.tiles[key] = _drawing_tile(key, tile, tile.image, language=language, digest=digests[tile.image])
        self._reading = threading.Lock()
        self._read: AskedBefore | None = None
        self._one_at_a_time = threading.Lock()  # the pixels of a large tile are 300 MB

    def classes(self, tile: DrawingTile) -> Mapping[str, ClassInfo]:
        """Return the class table of the tile's source; see `Drawings.classes`."""
        return self.class_table(self.records[tile.key]).infos()

    def class_table(self, tile: TileRecord) -> ClassTable:
        """Return the class table of a tile's source: the one in the data set's folder, else the preset "auto"."""
        name = tile.scene_source
        if name not in self._tables:
            path = self._source.folder / CLASSES
            self._tables[name] = load_stored_tables(path)(name) if path.exists() else load_class_table("auto")
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str | None, ClassTable]:
        return {}

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        """Those of the build: tasks, seed and language are the same for what is asked here."""
        path = self._source.folder / MARKER
        settings = tomllib.loads(path.read_text("utf-8")).get("settings", {}) if path.exists() else {}
        return dict(settings)

    @cached_property
    def _scenes(self) -> Mapping[str, Any]:
        """What the build's report says of scenes; nothing where a data set has none."""
        path = self._source.folder / REPORT
        scenes = json.loads(path.read_text("utf-8")).get("scenes", {}) if path.exists() else {}
        return dict(scenes)

    def transform(self, scene: str) -> AffineCoefficients | None:
        """Return what takes pixels of a scene to the map, as the build's report states it; None where it does not."""
        stated = self._scenes.get(scene, {}).get("transform")
        return None if stated is None else AffineCoefficients(*stated)

    def compute(self, tile: DrawingTile, drawing: TileDrawing) -> Computed:
        """Return what the rules ask about a tile; see `Drawings.compute`."""
        records, not_asked = self.records_of(tile, drawing)
        return Computed(tuple(question_of(record, (tile.image,)) for record in records), not_asked)

    def asked(self, tile: DrawingTile) -> Set[str]:
        """Return what is asked about a tile; see `Drawings.asked`."""
        return self._before.asked.get(tile.image, set())

    def guessed(self, question: ReviewQuestion, others: Iterable[ReviewQuestion]) -> tuple[str, ...]:
        """Return by what a question could be guessed; see `Drawings.guessed`."""
        return self._before.guesses.warnings(question, others)

    def later(self, tile: DrawingTile) -> OtherScene | None:
        """Return the scene of a later date; see `Drawings.later`."""
        return None if self._views is None else self._views.later(picture_key(tile.image))

    def proposals(self, tile: DrawingTile) -> tuple[Proposal, ...]:
        """Return what a model proposes, with classes by their names; see `Drawings.proposals`."""
        names = {
            folded(name): key
            for key, info in self.classes(tile).items()
            for name in (info.plural, info.singular, key.replace("_", " "), key)
        }
        found = self._before.proposals.get(tile.image, ())
        return tuple(proposal._replace(class_name=names.get(folded(proposal.name), "")) for proposal in found)

    @property
    def _before(self) -> AskedBefore:
        """Read when somebody first wants to know."""
        with self._reading:
            if self._read is None:
                self._read = AskedBefore.of(self._source.questions())
            return self._read

    def records_of(self, tile: DrawingTile, drawing: TileDrawing) -> ComputedRecords:
        """Return the same as records of a shard."""
        record = self.records[tile.key]
        seed, language = self._settings.get("seed", 0), self._settings.get("language", "en")
        ask = AskSettings(tasks=self._limits, seed=seed, language=language)
        facts = cut_facts(
            self._labels(record, drawing),
            Window(0, 0, tile.width, tile.height),
            None,
            self._setting(record),
            missing={"later": "what is drawn is of one date"},
        )
        with self._one_at_a_time:
            asked, failures = ask_what_works(facts, decode_image(self._source.load_image(tile.image)), ask)
        records = tuple(_records(record, candidates_of(asked), ask))
        has_asked = {found.task for found in records}
        reasons = {task: next(iter(why)) for task, why in asked.not_asked.items() if why}
        not_asked = {**reasons, **failures, **{name: _LATER for name in TASKS if name not in self._limits}}
        silent = not_asked.keys() - has_asked
        return ComputedRecords(records, {name: not_asked[name] for name in TASKS if name in silent})

    @cached_property
    def _limits(self) -> dict[str, int]:
        """The most questions of each task: tasks with a circle or a second date show images that are not here yet."""
        weights = parse_task_weights(tuple(self._settings.get("tasks", ("all",)))).tasks
        per_task = self._settings.get("per_task", DEFAULT_PER_TASK)
        return {
            name: int(np.ceil(per_task * weight))
            for name, weight in weights.items()
            if weight and name in TASKS and not TASKS[name].is_regional and TASKS[name].num_dates == 1
        }

    def _labels(self, record: TileRecord, drawing: TileDrawing) -> SceneLabels:
        classes = self.class_table(record).infos()
        known = {key: found for key, found in drawing.objects.items() if found.class_name in classes}
        return SceneLabels(
            features=features_of(known), classes=classes, complete_classes=drawing.complete & classes.keys()
        )

    def _setting(self, record: TileRecord) -> TileSetting:
        scene = self._scenes.get(record.scene, {})
        gsd = scene.get("gsd_m") or (None if record.gsd is None else [record.gsd, record.gsd])
        return TileSetting(
            tile_id=record.image_id,
            gsd_m=None if gsd is None else Gsd(*gsd),
            has_true_colours=scene.get("is_true_colour", False),
            north_deg=scene.get("north_deg"),
        )


def _drawing_tile(key: str, found: SourceTile, image: str, *, language: str, digest: str) -> DrawingTile:
    tile = found.tile
    return DrawingTile(
        key=key,
        tile_id=tile.image_id,
        scene=tile.scene,
        split=tile.split,
        image=image,
        width=tile.window.width,
        height=tile.window.height,
        gsd=tile.gsd,
        date=tile.date,
        num_questions=found.num_questions,
        region=(tile.window.x, tile.window.y),
        language=language,
        image_digest=digest,
    )


def features_of(objects: Mapping[str, DrawnObject], *, x: float = 0, y: float = 0) -> Features:
    """Return drawn objects as labels, moved by (x, y) pixels; their ids say that they were drawn."""
    outlines = object_array([found.geometry for found in objects.values()])
    return Features(
        ids=tuple(f"drawn:{key}" for key in objects),
        class_names=tuple(found.class_name for found in objects.values()),
        geometries=shapely.transform(outlines, lambda xy: xy + np.array((x, y))),
        outlines=tuple(found.outline for found in objects.values()),
        is_certain=np.array([found.is_certain for found in objects.values()], dtype=bool),
        attributes=tuple(dict(found.attributes) for found in objects.values()),
    )


def _records(tile: TileRecord, candidates: tuple[Candidate, ...], ask: AskSettings) -> list[Record]:
    """Return candidates with options and letters, each under an id that follows from what it asks and answers."""
    chooser = Chooser(limits=ask.tasks, balance=Balance.OFF, seed=ask.seed)
    for candidate in candidates:
        chooser.add(candidate, split=tile.split, tile=0)
    choices = chooser.choose()
    records = []
    for index, candidate in enumerate(candidates):
        options = choices.options_of(index)
        if options is None:
            continue
        question_id = f"{tile.image_id}/{TASKS[candidate.task].short}-{_digest(candidate, options)}"
        dealer = LetterDealer(ask.seed)  # one per question: what else is drawn moves no letter
        dealt = dealer.deal(candidate.task, question_id, options)
        records.append(record_of(tile, candidate, dealt, question_id=question_id, language=ask.language))
    return records


def _digest(candidate: Candidate, options: tuple[Option, ...]) -> str:
    """Return what tells a question from others of its tile: all that a person reads of it before accepting it."""
    shown = sorted((option.text, option.is_right) for option in options)
    said = [candidate.task, candidate.text, shown, candidate.answer, candidate.box]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:_ID_CHARS]


class AcceptedQuestions(NamedTuple):
    """The questions that people accepted of what the rules ask about drawn objects.

    Attributes:
        records: in the order of the tiles and of the rules, each to be written.
        outdated: ids of those that were accepted and are not asked any more, since what is drawn has changed.
    """

    records: tuple[Record, ...] = ()
    outdated: tuple[str, ...] = ()


def read_drawn(src: Path, store: Path | None) -> AcceptedQuestions:
    """Return the accepted questions about what is drawn on a data set's tiles.

    They are computed anew: a question stands only where the objects as they are now still give it, word for word.
    """
    source = ReviewSource(src)
    with ReviewStore(store_path(src, store)) as opened:
        standing = DrawnStore(opened).read_all()
        if not any(drawing.judged for drawing in standing.values()):
            return AcceptedQuestions()
        tiles = DrawnTiles(source, source.image_digests(opened))
    records: list[Record] = []
    outdated: list[str] = []
    for key, tile in tiles.tiles.items():
        judged = standing[key].judged if key in standing else {}
        accepted = {question_id for question_id, found in judged.items() if found["verdict"] == "accepted"}
        if accepted:
            asked = tiles.records_of(tile, standing[key]).records
            records += [replace(record, review="accepted") for record in asked if record.question_id in accepted]
            outdated += sorted(accepted - {record.question_id for record in asked})
    return AcceptedQuestions(tuple(records), tuple(outdated))
