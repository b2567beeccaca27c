"""The order in which a training run draws its samples: one list, made before the first step.

The list follows from the samples, the settings and the seed alone, so a place in a run is one number, the count of
samples drawn, and a run that is stopped goes on by leaving out as many. What surprises: only the samples of a few row
groups are mixed with each other at a time, so that an image is decoded once for all of its questions.

transformers has samplers by length (LengthGroupedSampler), but they mix the whole data set, and know no weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import defaultdict
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
        batch_size: samples of one forward pass over all devices; the batches of one length are made of so many.
        mixed_groups: row groups whose samples are mixed at a time.
        groups_lengths: whether samples of similar length share a batch.
        seed: of every shuffle.
    """

    num_epochs: float
    batch_size: int
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
    carried: list[int] = []  # what does not fill a batch goes on with the next groups
    for start in range(0, len(groups), settings.mixed_groups):
        mixed = groups[start : start + settings.mixed_groups]
        fresh = [number for group in mixed for number in by_group[group]]
        rng.shuffle(fresh)
        window = carried + fresh
        is_last = start + settings.mixed_groups >= len(groups)
        num_used = len(window) if is_last else len(window) - len(window) % settings.batch_size
        window, carried = window[:num_used], window[num_used:]
        rng.shuffle(window)
        yield from _group_lengths(window, samples, settings.batch_size, rng) if settings.groups_lengths else window


def _group_lengths(
    window: Sequence[int], samples: Sequence[OrderedSample], size: int, rng: random.Random
) -> Iterator[int]:
    """Yield the window batch by batch, each of similar lengths, the batches in random order; a short one comes last."""
    by_length = sorted(window, key=lambda number: -samples[number].length)  # stable: ties stay shuffled
    batches = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    short = [batches.pop()] if batches and len(batches[-1]) < size else []
    rng.shuffle(batches)
    for batch in [*batches, *short]:
        yield from batch


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
