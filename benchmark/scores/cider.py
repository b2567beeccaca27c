"""CIDEr-D over a set of captions, as the COCO caption evaluation computes it.

What surprises: the value of one caption depends on the whole set, whose references say which n-grams are common.

Written by hand because pycocoevalcap, whose values these are to 1e-15 (200 random captions), brings 100 MB of Java.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

MAX_ORDER = 4
SIGMA = 6.0
"""Tokens by which a caption may be longer or shorter at little cost; of Vedantam et al. 2015, section 4."""
SCALE = 10.0

Tokens = Sequence[str]
Ngram = tuple[str, ...]
Weights = dict[Ngram, float]


def cider_d(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[float]:
    """Return CIDEr-D of each caption, 0–10 (Vedantam et al. 2015, arXiv 1411.5726, equation 4 and section 4).

    Document frequencies are those of these references; as in `pycocoevalcap/cider`, an n-gram that no reference holds
    counts as if one did. With one sample every n-gram is in all documents, so every value is 0.

    Args:
        candidates: one caption per sample.
        references: the right captions of each sample, at least one.
    """
    idf = _InverseDocumentFrequency(references)
    values = []
    for candidate, rights in zip(candidates, references, strict=True):
        given = idf.weigh(candidate)
        similar = [_similarity(given, idf.weigh(right), len(candidate) - len(right)) for right in rights]
        values.append(SCALE * sum(similar) / len(rights))
    return values


class _InverseDocumentFrequency:
    """How rare an n-gram is among the references of a set."""

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        self._num_documents = len(references)
        self._frequencies: Counter[Ngram] = Counter()
        for rights in references:
            self._frequencies.update({ngram for right in rights for ngram in _ngrams(right)})

    def weigh(self, tokens: Tokens) -> list[Weights]:
        """Return the tf-idf weights of a caption's n-grams, one table an order."""
        weights: list[Weights] = [{} for _ in range(MAX_ORDER)]
        for ngram, count in Counter(_ngrams(tokens)).items():
            idf = math.log(self._num_documents) - math.log(max(1, self._frequencies[ngram]))
            weights[len(ngram) - 1][ngram] = count * idf
        return weights


def _ngrams(tokens: Tokens) -> Iterable[Ngram]:
    for order in range(1, MAX_ORDER + 1):
        for start in range(len(tokens) - order + 1):
            yield tuple(tokens[start : start + order])


def _similarity(candidate: Sequence[Weights], right: Sequence[Weights], surplus: int) -> float:
    """Return the mean over orders of the clipped cosine, less the more the lengths differ."""
    penalty = math.exp(-(surplus**2) / (2 * SIGMA**2))
    return penalty * sum(map(_clipped_cosine, candidate, right)) / MAX_ORDER


def _clipped_cosine(candidate: Weights, right: Weights) -> float:
    norms = math.hypot(*candidate.values()) * math.hypot(*right.values())
    if norms == 0:
        return 0.0
    shared = (min(weight, right[ngram]) * right[ngram] for ngram, weight in candidate.items() if ngram in right)
    return sum(shared) / norms
