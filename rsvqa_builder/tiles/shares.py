"""Which questions stay where a source may have only a share of them all.

The data set is as large as the shares allow: a source that has more questions than its share gives some away, chosen at
random over all its tiles, tasks and splits; no other source loses any for it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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


def beyond_shares(
    asked: Mapping[str, NDArray[np.int64]], shares: Mapping[str, float | None], *, seed: int
) -> dict[str, set[int]]:
    """Return what each source with more than its share has to give away; the others are not here.

    Args:
        asked: the questions of each source, by their numbers in the plan.
        shares: as in `allowed_questions`.
        seed: of the build.
    """
    allowed = allowed_questions({name: len(questions) for name, questions in asked.items()}, shares)
    return {
        name: set(random.Random(f"{seed}/shares/{name}").sample(questions.tolist(), len(questions) - allowed[name]))
        for name, questions in asked.items()
        if allowed[name] < len(questions)
    }
