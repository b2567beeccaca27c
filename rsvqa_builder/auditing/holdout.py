"""How well the best guesser does on places that it has not seen.

Places (or images) are dealt to folds. Each fold is guessed by what was learnt from the others, by the guesser that did
best among those others: to judge a guesser for fold f, each other fold j is guessed by what was learnt without f and j.
So neither learning nor choosing ever sees the questions that are scored.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.guessers import Guesser
from rsvqa.rsvqa_builder.auditing.option_tables import Floats, Ints, OptionTable

NUM_FOLDS = 5
MIN_GROUPS = 5
"""Places below which images are held out instead: two or three places say nothing about others."""

_T_DEGREES = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 60, 120, np.inf])
_T_QUANTILES = np.array(
    [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.179, 2.131, 2.086, 2.042, 2.0, 1.98, 1.96]
)
"""Student's t at 0.975, from the usual table; between its entries it is nearly linear in 1 / degrees of freedom."""


class Share(NamedTuple):
    """A share of right guesses and where that of many more places would probably be, 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Guessed:
    """What the best guesser reached.

    Attributes:
        share: on held-out groups.
        chosen: how many folds each guesser was chosen for, by name.
        shares: what each guesser alone reaches on held-out groups, by name.
        credit: of each question: 1 when guessed right, a part of 1 among equals.
        confidences: of each question: how likely the guesser thought its guess.
    """

    share: Share
    chosen: Mapping[str, int]
    shares: Mapping[str, float]
    credit: Floats
    confidences: Floats


def deal_folds(groups: Sequence[str], *, seed: int) -> Ints:
    """Return the fold of each question: groups in seeded order, the largest first, each to the fold that has least."""
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda group: (-sizes[group], hashlib.sha256(f"{seed}/{group}".encode()).digest()))
    loads = [0] * min(NUM_FOLDS, len(sizes))
    fold_of: dict[str, int] = {}
    for group in order:
        fold_of[group] = loads.index(min(loads))
        loads[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def guess(table: OptionTable, guessers: Sequence[Guesser], groups: Sequence[str], *, seed: int) -> Guessed | None:
    """Return what guessing reaches; None when there are fewer than two groups.

    Args:
        table: the questions.
        guessers: among which is chosen, the simplest first: it is taken among equals.
        groups: place or image of each question, which is held out whole.
        seed: of the dealing to folds.
    """
    folds = deal_folds(groups, seed=seed)
    num_folds = int(folds.max(initial=0)) + 1
    if num_folds < 2:
        return None
    scored = [_held_out(guesser, table, folds, num_folds) for guesser in guessers]
    credit, confidences = np.zeros(len(folds)), np.zeros(len(folds))
    chosen: Counter[str] = Counter()
    for fold in range(num_folds):
        is_test = folds == fold
        best = max(range(len(guessers)), key=lambda number: (round(scored[number].inner[fold], 9), -number))
        chosen[guessers[best].name] += 1
        credit[is_test] = scored[best].credit[is_test]
        confidences[is_test] = scored[best].confidences[is_test]
    return Guessed(
        share=clustered_share(credit, groups),
        chosen=dict(sorted(chosen.items(), key=lambda entry: (-entry[1], entry[0]))),
        shares={guesser.name: float(one.credit.mean()) for guesser, one in zip(guessers, scored, strict=True)},
        credit=credit,
        confidences=confidences,
    )


class _HeldOut(NamedTuple):
    credit: Floats
    confidences: Floats
    inner: Floats
    """Share right of each fold's training folds, when each is held out in turn."""


def _held_out(guesser: Guesser, table: OptionTable, folds: Ints, num_folds: int) -> _HeldOut:
    credit, confidences = np.zeros(len(folds)), np.zeros(len(folds))
    sums = np.zeros((num_folds, 2))
    for fold in range(num_folds):
        test = folds == fold
        likely = guesser.probabilities(~test, test)
        credit[test], confidences[test] = _credits(table, likely, ~test, test)
    if num_folds == 2:  # nothing is left to learn from without both, so guessers are chosen by what they learnt itself
        pairs: list[tuple[int, int]] = []
        for fold in range(2):
            test = folds == 1 - fold
            likely = guesser.probabilities(test, test)
            sums[fold] = _credits(table, likely, test, test)[0].sum(), test.sum()
    else:
        pairs = list(combinations(range(num_folds), 2))
    for one, other in pairs:
        test = (folds == one) | (folds == other)
        likely = guesser.probabilities(~test, test)
        for outer, inner in ((one, other), (other, one)):
            is_inner = folds == inner
            found, _ = _credits(table, likely, ~test, is_inner)
            sums[outer] += found.sum(), len(found)
    return _HeldOut(credit, confidences, sums[:, 0] / np.maximum(1, sums[:, 1]))


def _credits(
    table: OptionTable, likely: Floats, train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return how much of each guess at the questions of `test` is right, and how likely it seemed."""
    numbers = np.flatnonzero(test)
    if table.form is AnswerForm.SEVERAL_OF:
        return _set_credits(table, likely, train, numbers)
    rounded = np.round(likely, 9)
    most = np.maximum.reduceat(rounded, table.starts)
    is_best = rounded == most[table.question_of]
    num_best = np.add.reduceat(is_best.astype(np.int64), table.starts)
    num_right = np.add.reduceat((is_best & table.is_right).astype(np.int64), table.starts)
    return (num_right / num_best)[numbers], (most / num_best)[numbers]


def _set_credits(table: OptionTable, likely: Floats, train: NDArray[np.bool_], numbers: Ints) -> tuple[Floats, Floats]:
    """Return the same for answers of several options: the likeliest set.

    A set of k options is as likely as the share of answers with k options says, times its odds among all sets of k.
    """
    sizes = np.add.reduceat(table.is_right.astype(np.int64), table.starts)
    num_options = int(table.counts.max())
    share_of_size = (np.bincount(sizes[train], minlength=num_options + 1) + 0.1)[: num_options + 1]
    share_of_size = share_of_size / share_of_size.sum()
    credit, confidences = np.zeros(len(numbers)), np.zeros(len(numbers))
    for place, number in enumerate(numbers):
        span = slice(table.starts[number], table.starts[number] + table.counts[number])
        own, right = np.round(np.clip(likely[span], 1e-6, 1 - 1e-6), 9), table.is_right[span]
        odds = np.sort(own / (1 - own))[::-1]
        all_sets = np.poly(-odds)  # the sums of products of 1, 2, … odds: elementary symmetric polynomials
        chances = [share_of_size[k] * odds[:k].prod() / all_sets[k] for k in range(1, len(own) + 1)]
        size = int(np.argmax(np.round(chances, 9))) + 1
        edge = np.sort(own)[::-1][size - 1]
        above, equal = own > edge, own == edge
        if right.sum() == size and np.all(right[above]) and np.all((above | equal)[right]):
            credit[place] = 1 / math.comb(int(equal.sum()), size - int(above.sum()))
        confidences[place] = chances[size - 1]
    return credit, confidences


def chance_of(table: OptionTable) -> float:
    """Return the share right of guessing: of one who knows only how many options tend to be right."""
    if table.form is not AnswerForm.SEVERAL_OF:
        return float((1 / table.counts).mean())
    sizes = np.add.reduceat(table.is_right.astype(np.int64), table.starts)
    return max(
        float(np.mean([size == k and 1 / math.comb(count, k) for size, count in zip(sizes, table.counts, strict=True)]))
        for k in range(1, int(table.counts.max()) + 1)
    )


def clustered_share(values: Floats, groups: Sequence[str]) -> Share:
    """Return the mean of values in 0–1 with Wilson's interval for as many independent questions as the groups make.

    Questions of one place share its peculiarities. The variance of the mean is estimated from the sums of groups (the
    ratio estimator, Cochran 1977, Sampling Techniques, 6.4), never below that of independent questions; Student's t on
    the number of groups takes the normal's place.
    """
    mean, total = float(values.mean()), len(values)
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    num_groups = int(places.max()) + 1
    variance = max(mean * (1 - mean), 1e-12)
    independent = float(total)
    if num_groups > 1:
        residuals = np.bincount(places, weights=values - mean)
        clustered = num_groups / (num_groups - 1) * float((residuals**2).sum()) / total**2
        independent = min(independent, variance / clustered) if clustered > 0 else independent
    return wilson(mean, independent, num_groups)


def wilson(mean: float, independent: float, num_groups: int) -> Share:
    """Return a share with Wilson's interval, given of how many independent questions and groups it is."""
    z = float(np.interp(1 / max(1, num_groups - 1), (1 / _T_DEGREES)[::-1], _T_QUANTILES[::-1]))
    shrunk = 1 + z * z / independent
    centre = (mean + z * z / (2 * independent)) / shrunk
    half = z / shrunk * math.sqrt(mean * (1 - mean) / independent + z * z / (4 * independent**2))
    return Share(mean, max(0.0, centre - half), min(1.0, centre + half))
