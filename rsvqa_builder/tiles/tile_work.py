"""The unit of work: one tile from its window to checked questions and encoded images in the journal.

The result depends on the job alone, so it is the same on any worker, in any order and after any restart. One tile at
a time is in memory: its pixels once (twice for a pair of dates), strips while reading, and the encoded images.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from rsvqa.annotation.asking import AskSettings, TaskFailedError, TileQuestions, ask
from rsvqa.annotation.facts import ClassInfo, TileFacts
from rsvqa.annotation.images import decode_image
from rsvqa.annotation.marks import Mark, draw_marks
from rsvqa.annotation.questions import Question, fill_regions
from rsvqa.annotation.stored_evidence import encode_evidence
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.scenes.rasters import read_surely
from rsvqa.rsvqa_builder.scenes.rendering import Stretch, TilePixels, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import Scene, SceneError
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles.anchors import find_anchors, load_anchors
from rsvqa.rsvqa_builder.tiles.dedup import (
    LOOK_FORM,
    ImagePrint,
    content_digest,
    file_digest,
    look_of,
    pixel_digest,
)
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.store import WorkStore
from rsvqa.rsvqa_builder.tiles.tile_facts import SceneLabels, TileSetting, cut_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneWork:
    """What every tile of a scene needs.

    Attributes:
        scene: as described from its header; `path` is the staged copy where there is one.
        stretch: of the whole scene; None when its pixels are 8-bit RGB already.
        labels: arrow file of the scene's features; None when there are none.
        complete_classes: classes of which every instance in the scene is labelled.
        mapped_classes: see `SceneLabels`.
    """

    scene: Scene
    stretch: Stretch | None
    labels: Path | None
    complete_classes: frozenset[str]
    mapped_classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LaterWork:
    """The later date of a pair: pixel (x, y) of the earlier scene is pixel (x + dx, y + dy) of the later one."""

    work: SceneWork
    dx: int
    dy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TileJob:
    """One unit of work.

    Attributes:
        position: of the tile in the plan.
        image_id: unique in the data set.
        work: the tile's scene.
        source: name of the source that the scene comes from.
        licence: of the source.
        window: scene pixels.
        later: the later date, when there is an aligned one.
        other_date: id of the scene of the later date, aligned or not; "" when there is none.
        missing: why something that tasks may need is not there (see `TileFacts.missing`).
        classes: the class table.
        ask: tasks, seed and language.
        min_valid: smallest share of valid pixels.
        image_format, quality: how images are encoded.
        may_be_excluded: an excluded image has the tile's size, so digests tell whether it is the tile.
        excluded: file of the anchors of excluded images, named by its content; None when there are none.
        store: where the result goes.
    """

    position: int
    image_id: str
    work: SceneWork
    source: str
    licence: str | None
    window: Window
    later: LaterWork | None
    other_date: str
    missing: Mapping[str, str]
    classes: Mapping[str, ClassInfo]
    ask: AskSettings
    min_valid: float
    image_format: ImageFormat
    quality: int
    may_be_excluded: bool
    excluded: Path | None
    store: WorkStore

    @property
    def files(self) -> list[str | Path]:
        """Files that are read, of the work folder and others."""
        works = [self.work] if self.later is None else [self.work, self.later.work]
        found = [path for work in works for path in (work.scene.path, work.labels)]
        return [path for path in (*found, self.excluded) if path is not None]

    @property
    def num_pixels(self) -> int:
        """Pixels that are read, of both dates."""
        return self.window.width * self.window.height * (1 if self.later is None else 2)

    @property
    def digest(self) -> str:
        """SHA-256 of what tells this unit of work from others of builds with the same settings and inputs."""
        later = None if self.later is None else [_identity(self.later.work), self.later.dx, self.later.dy]
        stored = [LOOK_FORM, self.may_be_excluded, self.excluded and self.excluded.name]
        facts = [self.image_id, self.window, _identity(self.work), later, sorted(self.missing.items()), stored]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _identity(work: SceneWork) -> list[object]:
    """Return what a scene's tiles depend on; the labels' file is named by its content."""
    labels = None if work.labels is None else work.labels.name
    return [work.scene.scene_id, repr(work.stretch), labels, sorted(work.complete_classes), sorted(work.mapped_classes)]


def do_tile(job: TileJob) -> int | Failure:
    """Do one tile and store the result in the journal; return its pixels, or why it cannot be read.

    A tile that cannot be read means that its scene is left out of the data set.
    """
    seconds: dict[str, float] = {}
    try:
        result, images = _make_tile(job, seconds)
    except SceneError as error:
        return Failure(str(error))
    digest = job.digest
    result = replace(result, job=digest, seconds={step: round(value, 4) for step, value in seconds.items()})
    Journal(job.store).write(digest, result, images)
    return job.window.width * job.window.height


def _make_tile(job: TileJob, seconds: dict[str, float]) -> tuple[TileResult, dict[str, bytes]]:
    with _timed(seconds, "read"):
        tile = _read(job.work, job.window)
        valid_share = _valid_share(tile)
        if valid_share < job.min_valid:
            return TileResult(
                valid_share=valid_share, rejection=f"less than {job.min_valid:.0%} of its pixels are valid"
            ), {}
        later, missing = _read_later(job)
    with _timed(seconds, "facts"):
        facts = _facts(job, tile, later, missing)
    with _timed(seconds, "ask"):
        asked, failures = ask_what_works(facts, tile.rgb, job.ask)
    candidates = candidates_of(asked)
    with _timed(seconds, "encode"):
        shown = {key for candidate in candidates for key in candidate.images} | {"tile"}
        dates = {"tile": tile, "later": later}
        prints = {
            key: _print(job, date) for key, date in dates.items() if date is not None and shown & {key, f"{key}_marked"}
        }  # before marks are drawn
        images = _encode_views(job, dates, asked, shown)
    return (
        TileResult(
            valid_share=valid_share,
            digest=content_digest([images[key] for key in ("tile", "later") if key in images]),
            prints=prints,
            images={key: len(encoded) for key, encoded in images.items()},
            candidates=candidates,
            not_asked={task: dict(reasons) for task, reasons in asked.not_asked.items()},
            rejected={task: dict(reasons) for task, reasons in asked.rejected.items()},
            failures=failures,
        ),
        images,
    )


def _read(work: SceneWork, window: Window) -> TilePixels:
    def read() -> TilePixels:
        with open_raster(work.scene.path) as dataset:
            return read_tile(dataset, work.scene, work.stretch, window)

    return read_surely(work.scene.path, read)


def _read_later(job: TileJob) -> tuple[TilePixels | None, Mapping[str, str]]:
    """Return the later date's pixels, or why there are none."""
    if job.later is None:
        return None, job.missing
    window = _shifted(job.window, job.later)
    scene = job.later.work.scene
    if window.x < 0 or window.y < 0 or window.x + window.width > scene.width or window.y + window.height > scene.height:
        return None, {**job.missing, "later": "the later scene does not cover the tile"}
    try:
        later = _read(job.later.work, window)
    except SceneError as error:
        return None, {**job.missing, "later": f"the later scene cannot be read: {error}"}
    if _valid_share(later) < job.min_valid:
        return None, {**job.missing, "later": "too few valid pixels at the later date"}
    return later, job.missing


def _shifted(window: Window, later: LaterWork) -> Window:
    return window._replace(x=window.x + later.dx, y=window.y + later.dy)


def _valid_share(tile: TilePixels) -> float:
    return 1.0 if tile.valid is None else float(np.count_nonzero(tile.valid) / tile.valid.size)


def _facts(job: TileJob, tile: TilePixels, later: TilePixels | None, missing: Mapping[str, str]) -> TileFacts:
    later_facts = None
    if later is not None and job.later is not None:
        window = _shifted(job.window, job.later)
        labels = _labels(job.later.work, job.classes, window)
        setting = _setting(job, job.later.work.scene)
        later_facts = cut_facts(labels, window, later.valid, setting)
    return cut_facts(
        _labels(job.work, job.classes, job.window),
        job.window,
        tile.valid,
        _setting(job, job.work.scene),
        later=later_facts,
        missing=missing,
    )


def _setting(job: TileJob, scene: Scene) -> TileSetting:
    date = None if scene.acquired is None else scene.acquired.date()
    return TileSetting(
        tile_id=job.image_id,
        gsd_m=scene.gsd_m,
        has_true_colours=scene.is_true_colour,
        north_deg=scene.north_deg,
        date=date,
    )


def _labels(work: SceneWork, classes: Mapping[str, ClassInfo], window: Window) -> SceneLabels:
    return SceneLabels(
        features=load_features(work, window),
        classes=classes,
        complete_classes=work.complete_classes,
        mapped_classes=work.mapped_classes,
    )


def load_features(work: SceneWork, window: Window | None = None) -> Features:
    """Return the labels of a scene, or those that may reach a window: a worker need not hold those of a large scene."""
    if work.labels is None:
        return Features.empty()
    within = window and (window.x, window.y, window.x + window.width, window.y + window.height)
    with pa.memory_map(str(work.labels)) as source:
        return Features.from_arrow(pa.ipc.open_file(source).read_all(), within=within)


def ask_what_works(
    facts: TileFacts, pixels: NDArray[np.uint8], settings: AskSettings
) -> tuple[TileQuestions, dict[str, str]]:
    """Return the questions about a tile and, by task, what went wrong in tasks that raised.

    A mistake in one task must not cost a long run: the tile is asked again without it, and the build tells of it.
    """
    failures: dict[str, str] = {}
    while True:
        working = {name: bound for name, bound in settings.tasks.items() if name not in failures}
        try:
            return ask(facts, pixels, replace(settings, tasks=working)), failures
        except TaskFailedError as error:
            failures[error.task] = str(error)


def candidates_of(asked: TileQuestions) -> tuple[Candidate, ...]:
    """Return the questions about a tile as they are kept until options and letters are dealt."""
    return tuple(_candidate(question, asked.marks.numbers.get(index)) for index, question in enumerate(asked.questions))


def _candidate(question: Question, number: int | None) -> Candidate:
    mark = None if number is None or question.region is None else Mark(number, question.region)
    keys = ("tile", "later")[: question.num_dates]
    return Candidate(
        task=question.task,
        text=question.text if number is None else fill_regions(question.text, number),
        answer=question.answer if number is None else fill_regions(question.answer, number),
        options=question.options,
        box=question.box,
        images=tuple(f"{key}_marked" for key in keys) if number is not None else keys,
        evidence=encode_evidence(question.evidence, mark),
        form=question.form,
        strata=question.strata,
        pool=question.pool,
        value=question.value,
        min_ratio=question.min_ratio,
    )


def _print(job: TileJob, tile: TilePixels) -> ImagePrint:
    look = look_of(tile.rgb)
    part_of = None if job.excluded is None else load_anchors(job.excluded).find(find_anchors(tile.rgb))
    if not job.may_be_excluded:
        return ImagePrint(part_of=part_of, look=look)
    encoded = encode(tile.rgb, job.image_format, job.quality)
    return ImagePrint(
        encoded=file_digest(encoded),
        pixels=(pixel_digest(tile.rgb), pixel_digest(decode_image(encoded))),
        part_of=part_of,
        look=look,
    )


def _encode_views(
    job: TileJob, dates: Mapping[str, TilePixels | None], asked: TileQuestions, shown: set[str]
) -> dict[str, bytes]:
    """Return the encoded images that questions show; marks are drawn into the pixels once those are encoded."""
    images: dict[str, bytes] = {}
    for key, tile in dates.items():
        if tile is None:
            continue
        if key in shown:
            images[key] = encode(tile.rgb, job.image_format, job.quality)
        if f"{key}_marked" in shown:
            draw_marks(tile.rgb, asked.marks.marks)
            images[f"{key}_marked"] = encode(tile.rgb, job.image_format, job.quality)
    return images


def encode(pixels: NDArray[np.uint8], image_format: ImageFormat, quality: int) -> bytes:
    """Return (height, width, 3) RGB pixels as JPEG (4:4:4: colours of small objects stay theirs) or PNG."""
    if image_format is ImageFormat.JPEG:
        return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444"))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - start
