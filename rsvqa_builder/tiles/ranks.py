"""Which tiles each rank of a job array does: the plan dealt out from headers alone, the same on every machine.

Nothing depends on it but who does what. A tile that two ranks do is the same tile; one that none has done is done by
the build that finishes.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rsvqa.rsvqa_builder.config import SettingsError
from rsvqa.rsvqa_builder.scenes.pairs import DatePair
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.preparing import PrepareJob

RUNS_PER_RANK = 4
"""A scene is cut where a quarter of a rank's pixels is reached: more runs are dealt more evenly, but each rank that has
one of a scene must read that scene's labels and samples once."""


class Rank(NamedTuple):
    """One process of `total`, numbered from 0."""

    number: int
    total: int

    def __str__(self) -> str:
        """Return it as it is given: "0/4"."""
        return f"{self.number}/{self.total}"


def parse_rank(text: str) -> Rank:
    """Return a rank from text such as "0/4".

    Raises:
        SettingsError: it is none.
    """
    number, slash, total = text.partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and int(number) < int(total)):
        raise SettingsError(f"`shard_of` = {text!r}: expected I/N with I from 0 to N-1, such as 0/4")
    return Rank(int(number), int(total))


@dataclass(frozen=True, slots=True)
class RankTiles:
    """What a rank does.

    Attributes:
        windows: its tiles, by scene.
        scenes: ids of those that it needs: its own, and their later dates.
    """

    windows: Mapping[str, Collection[Window]]
    scenes: Collection[str]


def deal(jobs: Sequence[PrepareJob], pairs: Sequence[DatePair], rank: Rank) -> RankTiles:
    """Return what a rank does of a build.

    Runs of neighbouring tiles are dealt, the longest first, each to the rank with the fewest pixels so far; the pixels
    of a pair of dates count twice.

    Args:
        jobs: every scene of the build.
        pairs: of its scenes.
        rank: who asks.
    """
    later_of = {pair.earlier.scene_id: pair.later.scene_id for pair in pairs}
    whole = [
        _Run(job.scene.scene_id, job.windows, 2 if job.scene.scene_id in later_of else 1) for job in jobs if job.windows
    ]
    most = sum(run.pixels for run in whole) / (RUNS_PER_RANK * rank.total)
    runs = [part for run in whole for part in _cut(run, most)]
    own: dict[str, list[Window]] = {}
    loads = [(0, number) for number in range(min(rank.total, len(runs)))]  # no run is left for further ones
    for run in sorted(runs, key=lambda run: -run.pixels):  # stable: equal ones in the order of the plan
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + run.pixels, number))
        if number == rank.number:
            own.setdefault(run.scene_id, []).extend(run.windows)
    later = {later_of[scene_id] for scene_id in own if scene_id in later_of}
    return RankTiles({scene_id: frozenset(windows) for scene_id, windows in own.items()}, frozenset({*own, *later}))


class _Run(NamedTuple):
    """Neighbouring tiles of a scene that one rank does."""

    scene_id: str
    windows: Sequence[Window]
    num_dates: int

    @property
    def pixels(self) -> int:
        return self.num_dates * sum(window.width * window.height for window in self.windows)


def _cut(run: _Run, most: float) -> Iterator[_Run]:
    """Yield a scene's tiles in runs of at most so many pixels, or of one tile."""
    first, pixels = 0, 0
    for index, window in enumerate(run.windows):
        own = run._replace(windows=[window]).pixels
        if index > first and pixels + own > most:
            yield run._replace(windows=run.windows[first:index])
            first, pixels = index, 0
        pixels += own
    yield run._replace(windows=run.windows[first:])
