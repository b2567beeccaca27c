"""Rows → scores, ranks, and what is kept; pure numbers, no model and no files."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsvqa.model.selecting.gradients import SampleRow
from rsvqa.model.selecting.settings import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A candidate's score.

    Attributes:
        score: the higher the better.
        decided_by: place of the target's question that gives it; −1 where a measure has none.
        again: the score by a second projection; None where there is none.
    """

    score: float
    decided_by: int = -1
    again: float | None = None


class Scorer:
    """Scores blocks of candidates, so that their rows need not be in memory together.

    Args:
        target: rows without a fault; not used by measures that look at a candidate alone.
        tasks: the task of each row of the target.
        measure: what is compared.
        by_task: the best task by the mean of its questions, instead of the best question.
        seed: of `random`.
    """

    def __init__(
        self, target: Sequence[SampleRow], tasks: Sequence[str], *, measure: Measure, by_task: bool, seed: int
    ) -> None:
        self._measure = measure
        self._by_task = by_task
        self._seed = seed
        self._wanted = [row.rows for row in target if row.rows is not None]
        self._members = [
            np.array([place for place, task in enumerate(tasks) if task == name]) for name in dict.fromkeys(tasks)
        ]

    def score(self, candidates: Sequence[SampleRow]) -> list[Scored]:
        """Return the score of each candidate; none may have a fault."""
        if not candidates:
            return []
        if self._measure == "random":
            return [Scored(score=_chance(row.name, self._seed)) for row in candidates]
        if self._measure == "length":
            return [Scored(score=float(row.num_tokens)) for row in candidates]
        if self._measure == "loss":
            return [Scored(score=-row.loss) for row in candidates]
        best, places = self._similarities(candidates, 0)
        has_second = len(self._wanted[0]) > 1
        again = self._similarities(candidates, 1)[0].tolist() if has_second else [None] * len(candidates)
        return [
            Scored(score=float(score), decided_by=int(place), again=other)
            for score, place, other in zip(best, places, again, strict=True)
        ]

    def _similarities(
        self, candidates: Sequence[SampleRow], kind: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return each candidate's score by one projection, and the place of the target's question that decides it."""
        block = np.stack([row.rows[kind] for row in candidates if row.rows is not None])
        cosines = block @ np.stack([rows[kind] for rows in self._wanted]).T
        if not self._by_task:
            return cosines.max(1), cosines.argmax(1)
        means = np.stack([cosines[:, own].mean(1) for own in self._members], axis=1)
        chosen = [self._members[number] for number in means.argmax(1)]
        places = [own[cosines[row, own].argmax()] for row, own in enumerate(chosen)]
        return means.max(1), np.array(places)


def _chance(name: str, seed: int) -> float:
    """Return a number in 0–1 that depends on the name and the seed alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") / 2**64


def rank(names: Sequence[str], scores: Sequence[float]) -> list[int]:
    """Return the places of candidates from the best to the worst; equal ones by name."""
    return sorted(range(len(names)), key=lambda place: (-scores[place], names[place]))


def choose(order: Sequence[int], tasks: Sequence[str], *, share: float, per_task: bool) -> set[int]:
    """Return the places that are kept: the first ⌈share · N⌉, over all or of each task.

    Args:
        order: places from the best to the worst.
        tasks: of the candidate at each place.
        share: to keep.
        per_task: whether each task keeps its share.
    """
    if not per_task:
        return set(order[: math.ceil(round(share * len(order), 9))])
    kept: set[int] = set()
    for task in dict.fromkeys(tasks):
        own = [place for place in order if tasks[place] == task]
        kept.update(own[: math.ceil(round(share * len(own), 9))])
    return kept


def mutual_information(kept: Sequence[bool], letters: Sequence[str]) -> float:
    """Return what an answer's letter tells of its being kept, in bits; 0 tells nothing, and chance is a little above.

    I = Σ p(k, l) log₂ (p(k, l) / (p(k) p(l)))
    """
    total = len(kept)
    if not total:
        return 0.0
    both, keeps, says = Counter(zip(kept, letters, strict=True)), Counter(kept), Counter(letters)
    return sum(
        count / total * math.log2(count * total / (keeps[is_kept] * says[letter]))
        for (is_kept, letter), count in both.items()
    )


def rank_correlation(scores: Sequence[float], others: Sequence[float]) -> float:
    """Return Spearman's correlation of two lists of scores; equal ones share the mean of their ranks."""
    first, second = _mean_ranks(scores), _mean_ranks(others)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _mean_ranks(scores: Sequence[float]) -> NDArray[np.float64]:
    values, inverse, counts = np.unique(np.asarray(scores), return_inverse=True, return_counts=True)
    del values
    ends = counts.cumsum()
    ranks: NDArray[np.float64] = ((ends - counts + 1 + ends) / 2)[inverse]
    return ranks
