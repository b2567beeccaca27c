"""Which questions stay where a source may have only a share of them all.

The data set is as large as the shares allow: a source that has more questions than its share gives some away, chosen at
random over all its tiles, tasks and splits; no other source loses any for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

_EPSILON = 1e-6
"""Of a question: 0.1 × 30 is a little more than 3."""


def allowed_questions(made: Mapping[str, int], shares: Mapping[str, float | None]) -> dict[str, int]:
    """Return how many questions each source may have, so that none has more than its share of what stays, rounded.

    Shares of sources without a question go to the others: where all that are left have shares that sum to less than 1,
    these are scaled up to 1.

    Args:
        made: questions that there are, by source.
        shares: the most that a source may have of all questions; None for no bound.
    """
    bounds = {name: shares.get(name) or 1.0 for name, count in made.items() if count}
    scale = max(1.0, 1 / sum(bounds.values())) if bounds else 1.0
    bounds = {name: bound * scale for name, bound in bounds.items()}
    total = float(sum(made.values()))
    while True:
        # from above, this comes to the largest total to which what the sources may have of it adds up
        too_many = {name for name, bound in bounds.items() if made[name] > bound * total + _EPSILON}
        rest = sum(made[name] for name in bounds.keys() - too_many)
        taken = sum(bounds[name] for name in too_many)
        if rest + taken * total >= total - _EPSILON:
            break
        total = rest / (1 - taken)
    return {name: int(bounds[name] * total + 0.5) if name in too_many else count for name, count in made.items()}


def choose_questions(
    counts: Iterable[tuple[str, int, int]], shares: Mapping[str, float | None], *, seed: int
) -> dict[int, frozenset[int]]:
    """Return the numbers of the questions that stay of each tile; tiles of sources that keep all are not here.

    Args:
        counts: source, position in the plan, and number of questions of each tile, in plan order.
        shares: as in `allowed_questions`.
        seed: of the build.
    """
    of_source: dict[str, list[tuple[int, int]]] = {}
    for source, position, number in counts:
        of_source.setdefault(source, []).extend((position, index) for index in range(number))
    allowed = allowed_questions({name: len(questions) for name, questions in of_source.items()}, shares)
    kept: dict[int, frozenset[int]] = {}
    for name, questions in of_source.items():
        if allowed[name] < len(questions):
            kept |= _some(questions, allowed[name], random.Random(f"{seed}/shares/{name}"))
    return kept


def _some(questions: Sequence[tuple[int, int]], number: int, rng: random.Random) -> dict[int, frozenset[int]]:
    """Return `number` of the questions, by tile; tiles that lose all their questions are here too."""
    of_tile: dict[int, set[int]] = {position: set() for position, _ in questions}
    for position, index in rng.sample(questions, number):
        of_tile[position].add(index)
    return {position: frozenset(indices) for position, indices in of_tile.items()}
