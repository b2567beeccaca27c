"""What went wrong, for a person: many items with their reasons become a few lines with counts and an example each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MOST_LISTED = 5
"""Reasons that a summary lists; the rest is counted."""

_CHANGING = re.compile(r"\S*[\d/\\]\S*|'[^']*'|\"[^\"]*\"")
"""What differs between two texts of one reason: numbers, names of files and tiles, what is quoted."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Items that were lost for one reason.

    Attributes:
        count: of the items.
        reason: in full, of the first of them; those of the others may differ in numbers and names.
        example: the first item; empty when nobody knows it by a name.
    """

    count: int
    reason: str
    example: str


def group_losses(found: Iterable[tuple[str, str, int]]) -> list[Loss]:
    """Return the reasons of (item, reason, count), most frequent first; nothing lost gives none."""
    groups: dict[str, Loss] = {}
    for item, reason, count in found:
        kind = _CHANGING.sub("…", reason.replace(item, "…") if item else reason)
        first = groups.get(kind)
        groups[kind] = Loss(first.count + count, first.reason, first.example) if first else Loss(count, reason, item)
    return sorted(groups.values(), key=lambda loss: -loss.count)


def loss_lines(losses: Sequence[Loss]) -> Iterator[str]:
    """Yield a line per reason, and one for the rest where there are more than `MOST_LISTED`."""
    listed = losses if len(losses) == MOST_LISTED + 1 else losses[:MOST_LISTED]  # one more is no longer than its count
    for loss in listed:
        if not loss.example or loss.example in loss.reason:
            yield f"{loss.count:,} x {loss.reason}"
        else:
            yield f"{loss.count:,} x {loss.reason.rstrip('.')}{': ' if loss.count == 1 else ', e.g. '}{loss.example}"
    if rest := losses[len(listed) :]:
        yield f"{sum(loss.count for loss in rest):,} x {len(rest)} other reasons"


def without_paths(reason: str) -> str:
    """Return a reason for people elsewhere: without what follows the first path in it, which may hold spaces."""
    before, *rest = re.split(r"\S*/", reason, maxsplit=1)
    return f"{before}…" if rest else reason
