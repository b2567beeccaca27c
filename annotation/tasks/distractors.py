"""Wrong options that look right: numbers, classes and measures near the right one, and never right themselves.

Numbers and measures have pools: what is offered beside the right one is right elsewhere in the data set (`choosing`).
Those made here are for data sets too small for that. The right value's rank among the four is drawn first, so "the
middle one" and "the largest" are no clue.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection

from rsvqa.annotation.facts import ClassInfo, Role, TileFacts
from rsvqa.annotation.tasks.class_names import may_mean_the_same as may_mean_the_same

NUM_DISTRACTORS = 3

NUMBER_STEP_SHARE = 0.15
"""Wrong counts lie one to four such shares of the right one away: near enough to need counting, not a guess."""

COUNT_RATIO = 1.1
"""Of two counts offered together the larger is at least a tenth more: an oversight does not change the answer."""

MEASURE_RATIO = 1.32
"""Of two measures offered together. Rounding moves the right one by 5 % at most: a wrong one is 25 % off."""

VALUE_RATIOS = (1.5, 1.9)
"""Ratio of neighbouring measures. After rounding to two digits (5 % at most) they stay a third apart."""


def number_distractors(right: int, rng: random.Random, *, minimum: int = 1) -> list[int]:
    """Return three distinct wrong counts of at least `minimum`, near the right one, in ascending order.

    No counting task asks where there is nothing to count, so a 0 among the options could be struck out unseen.

    Raises:
        ValueError: when `right` is below `minimum`.
    """
    if right < minimum:
        raise ValueError(f"the right count {right} is below the least allowed option {minimum}")
    step = max(1, round(right * NUMBER_STEP_SHARE))
    steps_below = range(1, min(4, (right - minimum) // step) + 1)
    num_below = min(rng.randrange(NUM_DISTRACTORS + 1), len(steps_below))
    below = [_stepped(right, -count * step, rng, step, minimum) for count in rng.sample(steps_below, num_below)]
    above = [
        _stepped(right, count * step, rng, step, minimum)
        for count in rng.sample(range(1, 5), NUM_DISTRACTORS - num_below)
    ]
    return sorted(below + above)


def _stepped(right: int, offset: int, rng: random.Random, step: int, minimum: int) -> int:
    """Return `right + offset` moved outwards by less than half a step, so that options are not evenly spaced."""
    jitter = rng.randrange(max(1, step // 2))
    return max(minimum, right + offset - jitter) if offset < 0 else right + offset + jitter


def value_distractors(right: float, rng: random.Random) -> list[float]:
    """Return three wrong measures in ascending order, rounded by `round_measure`.

    Each differs by at least 25 % of the right one, rounded likewise, from it and from each other.

    Raises:
        ValueError: when `right` is not positive and finite.
    """
    if not 0 < right < math.inf:
        raise ValueError(f"a measure must be positive and finite, found {right}")
    num_below = rng.randrange(NUM_DISTRACTORS + 1)
    values: list[float] = []
    low = high = right
    for _ in range(num_below):
        low /= rng.uniform(*VALUE_RATIOS)
        values.append(low)
    for _ in range(NUM_DISTRACTORS - num_below):
        high *= rng.uniform(*VALUE_RATIOS)
        values.append(high)
    return sorted(round_measure(value) for value in values)


def round_measure(value: float) -> float:
    """Return `value` rounded to two significant digits: what can be read off an image."""
    if value == 0:
        return 0.0
    return round(value, 1 - math.floor(math.log10(abs(value))))


def class_distractors(
    facts: TileFacts,
    right: ClassInfo,
    rng: random.Random,
    *,
    roles: Collection[Role],
    count: int = NUM_DISTRACTORS,
    exclude: Collection[str] = (),
    absent: bool = False,
) -> list[ClassInfo]:
    """Return up to `count` classes that are wrong for `right` and could be taken for it; fewer when the table is small.

    Never a class that may mean the same as `right` or as another returned one. Classes of the same kind and classes on
    this tile come first.

    Args:
        facts: the tile and its class table.
        right: the right class.
        rng: decides among equals.
        roles: only classes for these.
        count: how many are wanted.
        exclude: names of classes that must not be returned.
        absent: only classes of `absent_classes`.
    """
    pool = absent_classes(facts, roles) if absent else [i for i in facts.classes.values() if i.role in roles]
    on_tile = classes_on_tile(facts)

    def unlikeness(info: ClassInfo) -> float:
        return rng.random() - (info.kind == right.kind) - 0.7 * (info.name in on_tile)

    chosen: list[ClassInfo] = []
    for info in sorted((info for info in pool if info.name not in exclude), key=unlikeness):
        if len(chosen) < count and not any(may_mean_the_same(info, other) for other in (right, *chosen)):
            chosen.append(info)
    return chosen


def absent_classes(facts: TileFacts, roles: Collection[Role]) -> list[ClassInfo]:
    """Return the classes of which certainly nothing is on the tile, in the order of the class table.

    Such a class is fully labelled without a member, and no feature here is of a class that may mean the same.
    """
    present = [facts.classes[name] for name in classes_on_tile(facts)]
    return [
        info
        for info in facts.classes.values()
        if info.role in roles
        and info.name in facts.complete_classes
        and not any(may_mean_the_same(info, other) for other in present)
    ]


def classes_on_tile(facts: TileFacts) -> tuple[str, ...]:
    """Return the names of the classes with a feature of any role on the tile, uncertain ones too, sorted."""
    features = (facts.objects, facts.areas, facts.roads, facts.anomalies)
    return tuple(sorted({feature.class_name for group in features for feature in group}))
