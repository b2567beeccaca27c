"""What finished tiles say of themselves, read by the hundred into columns: what tells them apart and what they offer.

The one time that all results are read; the bulk of each is left where it is. A batch is read by any process, and holds
no object per candidate.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.offer_columns import OfferBatch, OfferTemplate
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.visibility import VANISHING_PX, shown_px
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.dedup import LOOK_CELLS, ImagePrint, looks_of
from rsvqa.rsvqa_builder.tiles.journal import Journal, print_of
from rsvqa.rsvqa_builder.tiles.store import WorkStore

TILES_AT_ONCE = 512
_ABOUT_PER_TILE = 20
"""Candidates: none is counted before they are read."""
_FORMS = {form.value: form for form in AnswerForm}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """Finished tiles to read.

    Attributes:
        positions: of the tiles in the plan.
        jobs: digests of their units of work.
        checks: see `Journal.check_of`.
        windows: of the tiles.
        store: where they are.
        keeps_prints: the tiles are to be compared with other images than each other.
    """

    positions: Sequence[int]
    jobs: Sequence[str]
    checks: Sequence[str]
    windows: Sequence[Window]
    store: WorkStore
    keeps_prints: bool

    @property
    def weight(self) -> int:
        """Return about how many candidates are read."""
        return len(self.jobs) * _ABOUT_PER_TILE


@dataclass(slots=True, kw_only=True)
class ReasonColumns:
    """How often something is said of a tile: its place in the batch, the number of (task, reason), and the count."""

    said: dict[tuple[str, str], int] = field(default_factory=dict)
    place: array[int] = field(default_factory=lambda: array("i"))
    number: array[int] = field(default_factory=lambda: array("i"))
    count: array[int] = field(default_factory=lambda: array("i"))

    def append(self, place: int, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Take in what the next tile says."""
        for task, reasons in counts.items():
            for reason, count in reasons.items():
                self.place.append(place)
                self.number.append(self.said.setdefault((task, reason), len(self.said)))
                self.count.append(count)

    def totals(self, is_kept: NDArray[np.bool_]) -> Iterator[tuple[str, str, int]]:
        """Yield task, reason and count over some tiles; none that is not said of them."""
        is_counted = is_kept[np.array(self.place, np.int64)]
        numbers, counts = np.array(self.number)[is_counted], np.array(self.count)[is_counted]
        totals = np.bincount(numbers, counts, minlength=len(self.said)).astype(np.int64).tolist()
        is_said = np.bincount(numbers, minlength=len(self.said)).tolist()
        for (task, reason), total, num in zip(self.said, totals, is_said, strict=True):
            if num:
                yield task, reason, total


@dataclass(slots=True, kw_only=True)
class TileBatch:
    """What some finished tiles say of themselves, see `TileResult`; `sizes` are those of one's images by `keys`.

    Attributes:
        positions: of the tiles in the plan.
        rejections: why tiles are not in the data set, by place in the batch.
        digests: of the contents.
        looks: see `dedup.looks_of`.
        prints: of their images, if they were asked for.
        num_tasks: that ask.
        keys: numbers of the keys of each tile's images in `key_names`.
        sizes: encoded sizes of all images, tile by tile.
        offers: candidates; their tile is the position.
        views: number in `view_names` of what each candidate shows.
        not_asked, rejected: why more is not offered.
        failures: messages of tasks that raised, with the place of the tile.
    """

    positions: NDArray[np.int64]
    rejections: dict[int, str] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    looks: NDArray[np.int8] = field(default_factory=lambda: np.empty((0, LOOK_CELLS), np.int8))
    prints: list[list[ImagePrint]] = field(default_factory=list)
    num_tasks: array[int] = field(default_factory=lambda: array("i"))
    keys: array[int] = field(default_factory=lambda: array("i"))
    key_names: dict[tuple[str, ...], int] = field(default_factory=dict)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    offers: OfferBatch = field(default_factory=OfferBatch)
    views: array[int] = field(default_factory=lambda: array("h"))
    view_names: dict[tuple[str, ...], int] = field(default_factory=dict)
    not_asked: ReasonColumns = field(default_factory=ReasonColumns)
    rejected: ReasonColumns = field(default_factory=ReasonColumns)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.positions)

    def append(self, head: Mapping[str, Any], offer: Mapping[str, Any], window: Window) -> None:
        """Take the next tile in, as the journal has it, but for its prints."""
        place = len(self.digests)
        if head["rejection"] is not None:
            self.rejections[place] = head["rejection"]
        self.digests.append(head["digest"])
        self.num_tasks.append(head["num_tasks"])
        images = head["images"] or {}
        self.keys.append(self.key_names.setdefault(tuple(images), len(self.key_names)))
        self.sizes.extend(images.values())
        self.not_asked.append(place, offer["not_asked"])
        self.rejected.append(place, offer["rejected"])
        self.failures += [(place, message) for message in offer["failures"].values()]
        for one in offer["candidates"]:
            self._append_candidate(one, place, window)

    def _append_candidate(self, one: Mapping[str, Any], place: int, window: Window) -> None:
        options, needs_px = one["options"], one["needs_px"]
        template = OfferTemplate(one["task"], _FORMS[one["form"]], tuple(one["strata"]), one["pool"], one["min_ratio"])
        self.views.append(self.view_names.setdefault(tuple(one["images"]), len(self.view_names)))
        self.offers.append_plain(
            template,
            one["value"],
            [option["text"] for option in options if option["is_right"]],
            [option["text"] for option in options if not option["is_right"]],
            tile=int(self.positions[place]),
            is_fine=needs_px is not None and _is_fine(needs_px, window),
        )


def read_batch(job: BatchJob) -> TileBatch:
    """Return what some finished tiles say of themselves."""
    journal = Journal(job.store, dict(zip(job.jobs, job.checks, strict=True)))
    batch = TileBatch(positions=np.array(job.positions, np.int64))
    looks: list[str | None] = []
    for (head, offer), window in zip(journal.told(job.jobs), job.windows, strict=True):
        batch.append(head, offer, window)
        prints = head["prints"] or {}
        looks.append(prints["tile"]["look"] if "tile" in prints else None)
        if job.keeps_prints:
            batch.prints.append([print_of(one) for one in prints.values()])
    batch.looks = looks_of(looks)
    return batch


def _is_fine(needs_px: float, window: Window) -> bool:
    """Return whether what a question is about is hard to tell in an image of `SHOWN_PX`."""
    return shown_px(needs_px, width=window.width, height=window.height) < VANISHING_PX[0]
