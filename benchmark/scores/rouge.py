"""ROUGE-L of one caption, as the COCO caption evaluation computes it.

Written by hand because pycocoevalcap, whose values these are, brings 100 MB of Java. rouge-score has no best over
several references, and takes a hundred times as long for captions of 300 words.
"""

from __future__ import annotations

from collections.abc import Sequence

BETA = 1.2
"""How much more recall counts than precision; of the COCO caption evaluation (`pycocoevalcap/rouge/rouge.py`)."""


def rouge_l(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return ROUGE-L in 0–1: the F measure of the longest common subsequence (Lin 2004, equations 2 to 4).

    With several references the best precision and the best recall are taken, each over all of them, as the COCO caption
    evaluation does. 0 for a caption or references without a token.
    """
    common = [lcs_length(candidate, reference) for reference in references]
    precision = max(common, default=0) / max(len(candidate), 1)
    pairs = zip(common, references, strict=True)
    recall = max((length / max(len(reference), 1) for length, reference in pairs), default=0.0)
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    One bit a token of `first`, a row of the table at a time (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"); the plain table takes a hundred times as long for captions of 300 words.
    """
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    every = (1 << len(first)) - 1
    row = every
    for token in second:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & every
    return len(first) - row.bit_count()
