"""The order in which a training run draws its samples: one list, made before the first step.

The list follows from the samples, the settings and the seed alone, so a place in a run is one number, the count of
samples drawn, and a run that is stopped goes on by leaving out as many. What surprises: only the samples of a few row
groups are mixed with each other at a time, so that an image is decoded once for all of its questions.

A step consists of as many batches as there are lanes, and each lane goes through row groups of its own. Batches are
dealt to devices, and on a device to the processes that read ahead, in turn. So a lane stays on one device, and in one
process where their number divides that of the lanes of a device, and with it all questions of an image. The order does
not depend on how many devices and processes there are.

Questions of the same images may share a row of a batch (`joining.py`). Rows are then what is shuffled and dealt.

transformers has samplers by length (LengthGroupedSampler), but they mix the whole data set, and know no weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Draw(NamedTuple):
    """One use of a sample: its number in the list of samples, and the epoch in which it is used.

    `joins` says that it goes through the model in one row with the draw before it, which shows the same images.
    """

    sample: int
    epoch: int
    joins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """What decides the order beside the samples.

    Attributes:
        num_epochs: passes over the data; 1.5 uses a random half of it twice.
        batch_size: rows of one forward pass of a device; the batches of one length are made of so many.
        num_lanes: batches of a step, over all devices.
        mixed_groups: row groups whose samples are mixed at a time, over all lanes; each lane has at least one.
        groups_lengths: whether samples of similar length share a batch.
        seed: of every shuffle.
        questions_per_pass: most samples of the same images that share a row.
    """

    num_epochs: float
    batch_size: int
    num_lanes: int
    mixed_groups: int
    groups_lengths: bool
    seed: int
    questions_per_pass: int = 1


class OrderedSample(NamedTuple):
    """What the order needs to know of a sample: row group, tokens, and how often it is used in an epoch."""

    group: int
    length: int
    weight: float = 1.0


Row = tuple[int, ...]
"""Numbers of the samples that go through the model together."""


def plan_order(samples: Sequence[OrderedSample], settings: OrderSettings, *, images: Sequence[int] = ()) -> list[Draw]:
    """Return every draw of a run in order.

    In each epoch every sample with weight 1 is drawn once; weight 2 is twice, and of the samples with weight 0.25 a
    quarter, another one in each epoch. An epoch begins with a new shuffle of the row groups.

    Args:
        samples: of the run.
        settings: of the order.
        images: number of what each sample shows, the same in one row group only; not needed where no row is shared.
    """
    draws: list[Draw] = []
    for epoch in range(math.ceil(settings.num_epochs)):
        rng = random.Random(f"{settings.seed}:{epoch}")
        drawn = _choose(samples, share=min(1.0, settings.num_epochs - epoch), rng=rng)
        rows = _join(drawn, images, settings.questions_per_pass, rng)
        for row in _shuffle(rows, samples, settings, rng):
            draws += [Draw(sample, epoch, joins=place > 0) for place, sample in enumerate(row)]
    return draws


def pass_starts(draws: Sequence[Draw]) -> list[int]:
    """Return the places of the draws that begin a row."""
    return [place for place, draw in enumerate(draws) if not draw.joins]


def first_passes(draws: Sequence[Draw], number: int) -> list[Draw]:
    """Return the draws of the first `number` rows, or all where there are fewer."""
    return list(draws[: [*pass_starts(draws), *[len(draws)] * (number + 1)][number]])


def _choose(samples: Sequence[OrderedSample], *, share: float, rng: random.Random) -> list[int]:
    """Return the numbers of the samples that one epoch uses, with repeats, in the order of the list."""
    by_weight: dict[float, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        by_weight[sample.weight].append(number)
    chosen: list[int] = []
    for weight in sorted(by_weight):
        members = by_weight[weight]
        whole, part = divmod(weight * share, 1.0)
        chosen += members * int(whole) + rng.sample(members, round(part * len(members)))
    return sorted(chosen)


def _join(drawn: Sequence[int], images: Sequence[int], questions_per_pass: int, rng: random.Random) -> list[Row]:
    """Return rows of samples that show the same images, drawn by chance; the last row of an image may be short."""
    if questions_per_pass == 1:
        return [(number,) for number in drawn]
    by_images: dict[int, list[int]] = defaultdict(list)
    for number in drawn:
        by_images[images[number]].append(number)
    rows: list[Row] = []
    for members in by_images.values():
        rng.shuffle(members)
        rows += [
            tuple(members[start : start + questions_per_pass]) for start in range(0, len(members), questions_per_pass)
        ]
    return rows


def _shuffle(
    rows: Iterable[Row], samples: Sequence[OrderedSample], settings: OrderSettings, rng: random.Random
) -> Iterator[Row]:
    by_group: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_group[samples[row[0]].group].append(row)
    groups = list(by_group)
    rng.shuffle(groups)
    num_mixed = max(1, settings.mixed_groups // settings.num_lanes)
    windows = deque(groups[start : start + num_mixed] for start in range(0, len(groups), num_mixed))
    lanes: list[deque[list[Row]]] = [deque() for _ in range(settings.num_lanes)]
    carried: list[list[Row]] = [[] for _ in lanes]  # what does not fill a batch goes on with the lane's next groups
    short: list[Row] = []
    while windows or any(lanes):
        for lane, batches in enumerate(lanes):
            while not batches and windows:
                fresh = [row for group in windows.popleft() for row in by_group[group]]
                rng.shuffle(fresh)
                window = carried[lane] + fresh
                num_used = len(window) - len(window) % settings.batch_size if windows else len(window)
                window, carried[lane] = window[:num_used], window[num_used:]
                rng.shuffle(window)
                batches.extend(_batches(window, samples, settings, rng))
                if batches and len(batches[-1]) < settings.batch_size:
                    short = batches.pop()
            # a lane that has come to its end helps the one that has most to do
            if giver := batches or max(lanes, key=len):
                yield from giver.popleft()
    yield from short
    yield from (row for rest in carried for row in rest)


def _batches(
    window: Sequence[Row], samples: Sequence[OrderedSample], settings: OrderSettings, rng: random.Random
) -> list[list[Row]]:
    """Return the window batch by batch in random order, each of similar lengths if so set; a short one comes last."""
    size, ordered = settings.batch_size, window
    if settings.groups_lengths:
        # stable: ties stay shuffled
        ordered = sorted(window, key=lambda row: -max(samples[number].length for number in row))
    batches = [list(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    short = [batches.pop()] if batches and len(batches[-1]) < size else []
    if settings.groups_lengths:
        rng.shuffle(batches)
    return [*batches, *short]


def fingerprint_order(draws: Sequence[Draw], names: Sequence[str]) -> str:
    """Return a SHA-256 of the draws by the names of their samples; equal for runs that see the same in one order."""
    digest = hashlib.sha256()
    for draw in draws:
        digest.update(json.dumps([names[draw.sample], draw.epoch]).encode())
    return digest.hexdigest()


def num_draws(draws: Iterable[Draw], keys: Sequence[str]) -> Mapping[str, int]:
    """Return how often samples of each key are drawn, in the order of the keys' names."""
    counts: dict[str, int] = dict.fromkeys(sorted(set(keys)), 0)
    for draw in draws:
        counts[keys[draw.sample]] += 1
    return counts
