"""Write `preview.html`: one self-contained page with example questions of every task, drawn on their tiles.

The page is for judging a data set by eye: `choose_samples` picks the examples, this module cuts their pictures, and
`preview_page.py` sets the page. Images are embedded and nothing is loaded from elsewhere, so the file can be mailed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, NamedTuple, Self, TypeVar

from rsvqa.annotation.facts import in_pixels
from rsvqa.annotation.images import ImageError
from rsvqa.annotation.stored_evidence import decode_geometry, decode_mark
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.documents.preview_images import (
    SampleImages,
    data_uri,
    detail_window,
    jpeg_within,
    read_details,
)
from rsvqa.rsvqa_builder.documents.preview_page import (
    EmbeddedPicture,
    Example,
    Focus,
    PictureView,
    PreviewSummary,
    render_article,
    render_page,
)
from rsvqa.rsvqa_builder.files import write_atomically
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.executors import count_processors

__all__ = ["PreviewSummary", "choose_samples", "focus_of", "render_question", "write_preview"]

Held = TypeVar("Held")

MAX_IMAGE_BYTES = 5_500_000
"""JPEG bytes of all pictures of a page; base64 makes a third more of it, which with the text stays below 8 MB."""
MAX_DECODED = 4
"""Images that are decoded at the same time, each up to `images.MAX_PIXELS`; fewer where there are fewer processors."""
OVERVIEW_SIDE = 640
"""Longest side of the picture of a whole tile, pixels."""
DETAIL_SIDE = 480
"""Longest side of a detail, pixels; a larger one is reduced."""
MIN_DETAIL_SIDE = 240
"""A detail shows at least this many pixels of the tile, so that a vehicle is seen with its surroundings."""


def choose_samples(records: Iterable[Record], *, per_task: int = 3, seed: int = 0) -> tuple[Record, ...]:
    """Return up to `per_task` records of each task, in the order of the taxonomy; the same ones for the same records.

    A task's examples come from different scenes where there are enough. Within a scene all tasks prefer the same tile,
    so that few tiles must be decoded. The order of `records` does not matter, and they are consumed once.
    """
    chooser: SampleChooser[Record] = SampleChooser(per_task=per_task, seed=seed)
    for record in records:
        chooser.offer(SampleName.of(record), record)
    return tuple(record for _, record in chooser.chosen())


class SampleName(NamedTuple):
    """What samples are chosen by."""

    task: str
    scene: str
    image_id: str
    question_id: str

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the name of a record."""
        return cls(record.task, record.tile.scene, record.tile.image_id, record.question_id)


class SampleChooser(Generic[Held]):
    """Chooses samples from records while they pass, see `choose_samples`; holds few of them, as whatever is offered."""

    def __init__(self, *, per_task: int = 3, seed: int = 0) -> None:
        self._picks: dict[str, _Pick[Held]] = {name: _Pick(name, per_task, seed) for name in TASKS}

    def offer(self, name: SampleName, held: Held) -> None:
        """Keep a record if it is among the best of its task."""
        self._picks[name.task].offer(name, held)

    def chosen(self) -> tuple[tuple[SampleName, Held], ...]:
        """Return the samples."""
        return tuple(sample for pick in self._picks.values() for sample in pick.chosen())

    def candidates(self) -> tuple[SampleName, ...]:
        """Return all that may be chosen once others come."""
        return tuple(name for pick in self._picks.values() for name in pick.held())


def write_preview(path: Path, samples: Sequence[Record], summary: PreviewSummary, *, images: SampleImages) -> None:
    """Write the page of `samples` to `path`; the same samples and images give the same bytes.

    At most `MAX_DECODED` images are held in memory at a time.

    Args:
        path: the file to write; replaced when it is there.
        samples: what `choose_samples` returned.
        summary: what the page says about the whole data set.
        images: JPEG or PNG, of the samples' tiles.
    """
    plans = [_plan_views(record) for record in samples]
    pictures = _cut_pictures(plans, images)
    examples = [
        Example(plan.record, plan.focus, tuple(_view(view, plan.record, pictures) for view in plan.views))
        for plan in plans
    ]
    write_atomically(path, render_page(summary, examples, list(pictures.values())).encode())


def render_question(record: Record, images: Sequence[bytes]) -> str:
    """Return one question as HTML to stand in another page, such as a notebook.

    Args:
        record: as it was stored.
        images: encoded, in the order in which it shows them.
    """
    names = tuple(("tile", "later")[number] for number in range(len(images)))
    record = replace(record, images=names)
    plan = _plan_views(record)
    # one page may hold many questions, and each refers to its own pictures
    prefix = hashlib.sha256(record.question_id.encode()).hexdigest()[:8]
    pictures = {
        key: replace(picture, picture_id=f"{prefix}-{picture.picture_id}")
        for key, picture in _cut_pictures([plan], SampleImages(lambda _, key: images[names.index(key)])).items()
    }
    views = tuple(_view(view, record, pictures) for view in plan.views)
    return render_article(Example(plan.record, plan.focus, views), list(pictures.values()))


def focus_of(record: Record) -> Focus:
    """Return what a question is about, in tile pixels: its box, its circle and the geometry of its evidence."""
    width, height = record.tile.window.width, record.tile.window.height
    mark = decode_mark(record.evidence)
    return Focus(
        box=None if record.bbox is None else in_pixels(record.bbox, width, height),
        region=None if mark is None else mark.circle,
        geometry=decode_geometry(record.evidence),
    )


class _Pick(Generic[Held]):
    """The best records of one task so far: at most `limit` scenes, at most `limit` records of each."""

    def __init__(self, task: str, limit: int, seed: int) -> None:
        self._task, self._limit, self._seed = task, limit, seed
        self._scenes: dict[bytes, list[tuple[bytes, bytes, SampleName, Held]]] = {}

    def offer(self, name: SampleName, held: Held) -> None:
        """Keep a record if it is among the best."""
        # the task is part of a scene's rank, so that the page shows more than the same few scenes
        rank = self._rank(self._task, name.scene)
        if rank not in self._scenes and len(self._scenes) == self._limit and rank > max(self._scenes):
            return
        scene = self._scenes.setdefault(rank, [])
        scene.append((self._rank(name.image_id), self._rank(name.question_id), name, held))
        scene.sort(key=lambda entry: entry[:2])
        del scene[self._limit :]
        if len(self._scenes) > self._limit:
            del self._scenes[max(self._scenes)]

    def chosen(self) -> list[tuple[SampleName, Held]]:
        """Return one record of each scene in turn, until there are enough or none is left."""
        scenes = [self._scenes[rank] for rank in sorted(self._scenes)]
        turns = [scene[turn][2:] for turn in range(self._limit) for scene in scenes if turn < len(scene)]
        return turns[: self._limit]

    def held(self) -> Iterator[SampleName]:
        """Yield the names of the best records."""
        return (name for scene in self._scenes.values() for _, _, name, _ in scene)

    def _rank(self, *names: str) -> bytes:
        return hashlib.sha256("/".join((str(self._seed), *names)).encode()).digest()


@dataclass(frozen=True, slots=True)
class _PlannedView:
    """One picture of an example: image key and the window of the tile that it shows, whole tile or detail."""

    key: str
    window: Window
    frame: Window | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """One example with what must be cut for it."""

    record: Record
    focus: Focus
    views: tuple[_PlannedView, ...]


def _plan_views(record: Record) -> _Plan:
    """Return the views of one record: each image whole, then the detail of each where there is a small focus."""
    width, height = record.tile.window.width, record.tile.window.height
    focus = focus_of(record)
    bounds = focus.bounds
    detail = detail_window(bounds, width, height, min_side=MIN_DETAIL_SIDE) if bounds else None
    whole = Window(0, 0, width, height)
    views = [_PlannedView(key, whole, detail) for key in record.images]
    if detail is not None:
        views += [_PlannedView(key, detail, None) for key in record.images]
    return _Plan(record, focus, tuple(views))


PictureKey = tuple[str, str, Window]
"""A tile's id, the key of its image, and the window shown."""


def _cut_pictures(plans: Sequence[_Plan], images: SampleImages) -> dict[PictureKey, EmbeddedPicture]:
    """Return each distinct picture that the views show; every image is loaded once."""
    wanted: dict[tuple[str, str], tuple[TileRecord, dict[Window, None]]] = {}  # a dict keeps the order, a set does not
    for plan in plans:
        tile = plan.record.tile
        for view in plan.views:
            _, windows = wanted.setdefault((tile.image_id, view.key), (tile, {}))
            windows[view.window] = None
    num_pictures = sum(len(windows) for _, windows in wanted.values())

    def cut(name: tuple[str, str]) -> list[tuple[Window, bytes]]:
        tile, windows = wanted[name]
        try:
            return _encode_windows(images, (tile, name[1]), tuple(windows), MAX_IMAGE_BYTES // num_pictures)
        except ImageError as error:
            raise ImageError(f"{name[0]}: image {name[1]!r}: {error}") from error

    pictures: dict[PictureKey, EmbeddedPicture] = {}
    with ThreadPoolExecutor(min(MAX_DECODED, count_processors())) as threads:  # decoding lets go of Python
        for (image_id, key), encoded in zip(wanted, threads.map(cut, wanted), strict=True):
            for window, jpeg in encoded:
                pictures[image_id, key, window] = EmbeddedPicture(f"p{len(pictures)}", window, data_uri(jpeg))
    return pictures


def _encode_windows(
    images: SampleImages, name: tuple[TileRecord, str], windows: Sequence[Window], max_bytes: int
) -> list[tuple[Window, bytes]]:
    """Return each window of one tile's image with its JPEG of at most `max_bytes`."""
    tile, key = name
    whole = Window(0, 0, tile.window.width, tile.window.height)
    details = [window for window in windows if window != whole]
    image = images.load(tile, key) if details else None
    overview = [(whole, images.reduced(tile, key, OVERVIEW_SIDE, loaded=image))] if whole in windows else []
    cut = [] if image is None else zip(details, read_details(image, details, DETAIL_SIDE), strict=True)
    return [(window, jpeg_within(pixels, max_bytes)) for window, pixels in (*overview, *cut)]


def _view(planned: _PlannedView, record: Record, pictures: Mapping[PictureKey, EmbeddedPicture]) -> PictureView:
    return PictureView(planned.key, pictures[record.tile.image_id, planned.key, planned.window], planned.frame)
