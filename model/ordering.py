"""The order in which a training run draws its samples: one list, made before the first step.

The list follows from the samples, the settings and the seed alone, so a place in a run is one number, the count of
samples drawn, and a run that is stopped goes on by leaving out as many. What surprises: only the samples of a few row
groups are mixed with each other at a time, so that an image is decoded once for all of its questions.

A step consists of as many batches as there are lanes, and each lane goes through row groups of its own. Batches are
dealt to devices, and on a device to the processes that read ahead, in turn. So a lane stays on one device, and in one
process where their number divides that of the lanes of a device, and with it all questions of an image. The order does
not depend on how many devices and processes there are.

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
    """One use of a sample: its number in the list of samples, and the epoch in which it is used."""

    sample: int
    epoch: int


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """What decides the order beside the samples.

    Attributes:
        num_epochs: passes over the data; 1.5 uses a random half of it twice.
        batch_size: samples of one forward pass of a device; the batches of one length are made of so many.
        num_lanes: batches of a step, over all devices.
        mixed_groups: row groups whose samples are mixed at a time, over all lanes; each lane has at least one.
        groups_lengths: whether samples of similar length share a batch.
        seed: of every shuffle.
    """

    num_epochs: float
    batch_size: int
    num_lanes: int
    mixed_groups: int
    groups_lengths: bool
    seed: int


class OrderedSample(NamedTuple):
    """What the order needs to know of a sample: row group, tokens, and how often it is used in an epoch."""

    group: int
    length: int
    weight: float = 1.0


def plan_order(samples: Sequence[OrderedSample], settings: OrderSettings) -> list[Draw]:
    """Return every draw of a run in order.

    In each epoch every sample with weight 1 is drawn once; weight 2 is twice, and of the samples with weight 0.25 a
    quarter, another one in each epoch. An epoch begins with a new shuffle of the row groups.
    """
    draws: list[Draw] = []
    for epoch in range(math.ceil(settings.num_epochs)):
        rng = random.Random(f"{settings.seed}:{epoch}")
        drawn = _choose(samples, share=min(1.0, settings.num_epochs - epoch), rng=rng)
        draws += [Draw(sample, epoch) for sample in _shuffle(drawn, samples, settings, rng)]
    return draws


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


def _shuffle(
    drawn: Iterable[int], samples: Sequence[OrderedSample], settings: OrderSettings, rng: random.Random
) -> Iterator[int]:
    by_group: dict[int, list[int]] = defaultdict(list)
    for number in drawn:
        by_group[samples[number].group].append(number)
    groups = list(by_group)
    rng.shuffle(groups)
    num_mixed = max(1, settings.mixed_groups // settings.num_lanes)
    windows = deque(groups[start : start + num_mixed] for start in range(0, len(groups), num_mixed))
    lanes: list[deque[list[int]]] = [deque() for _ in range(settings.num_lanes)]
    carried: list[list[int]] = [[] for _ in lanes]  # what does not fill a batch goes on with the lane's next groups
    short: list[int] = []
    while windows or any(lanes):
        for lane, batches in enumerate(lanes):
            while not batches and windows:
                fresh = [number for group in windows.popleft() for number in by_group[group]]
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
    yield from (number for rest in carried for number in rest)


def _batches(
    window: Sequence[int], samples: Sequence[OrderedSample], settings: OrderSettings, rng: random.Random
) -> list[list[int]]:
    """Return the window batch by batch in random order, each of similar lengths if so set; a short one comes last."""
    size, ordered = settings.batch_size, window
    if settings.groups_lengths:
        ordered = sorted(window, key=lambda number: -samples[number].length)  # stable: ties stay shuffled
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
