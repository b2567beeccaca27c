"""What one answer that is always the same reaches where there are no options: a box, or a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.likeness import words_of
from rsvqa.rsvqa_builder.auditing.holdout import clustered_share, deal_folds
from rsvqa.rsvqa_builder.auditing.items import AuditItem, wording_of

HIT_IOU = 0.5
_MOST_WORDS = 2_000
_MOST_TEXTS = 200
"""Texts among which the typical one is looked for."""


def guess_box(items: Sequence[AuditItem], groups: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Return what constant boxes reach on held-out groups: the median of all, that of the wording, or a typical one."""
    boxes = np.array([item.box or (0, 0, 0, 0) for item in items], dtype=np.float64)
    wordings = [wording_of(item.question) for item in items]
    folds = deal_folds(groups, seed=seed)
    names = ("the median box", "the median box of the wording", "the box that fits most")
    overlaps = np.zeros((len(names), len(items)))
    best = np.zeros(len(items))
    chosen: Counter[str] = Counter()
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        tries = _constant_boxes(boxes[~test], [w for w, t in zip(wordings, test, strict=True) if not t], wordings)
        reached = np.stack([_ious(boxes, guess) for guess in tries])
        number = int(np.argmax(np.round((reached[:, ~test] >= HIT_IOU).mean(axis=1), 9)))
        overlaps[:, test] = reached[:, test]
        best[test] = reached[number, test]
        chosen[names[number]] += 1
    hits = (best >= HIT_IOU).astype(np.float64)
    shares = {name: float((row >= HIT_IOU).mean()) for name, row in zip(names, overlaps, strict=True)}
    return {
        "measure": f"IoU of {HIT_IOU} or more",
        "chance": 0.0,
        "best": clustered_share(hits, groups),
        "by": max(chosen, key=lambda name: (chosen[name], name)),
        "guessers": dict(sorted(shares.items(), key=lambda entry: (-entry[1], entry[0]))),
        "worst": tuple(items[number] for number in np.argsort(-best, kind="stable")[:3] if hits[number]),
    }


def _constant_boxes(
    known: NDArray[np.float64], wordings: Sequence[str], asked: Sequence[str]
) -> list[NDArray[np.float64]]:
    """Return the box that is said to each question, three ways."""
    median = np.median(known, axis=0)
    of_wording: dict[str, list[int]] = {}
    for number, wording in enumerate(wordings):
        of_wording.setdefault(wording, []).append(number)
    by_wording = {wording: np.median(known[numbers], axis=0) for wording, numbers in of_wording.items()}
    some = known[:: max(1, len(known) // _MOST_TEXTS)]
    hits = [
        (float((_ious(some, np.broadcast_to(box, some.shape)) >= HIT_IOU).mean()), -n) for n, box in enumerate(some)
    ]
    typical = some[-max(hits)[1]]
    return [
        np.broadcast_to(median, (len(asked), 4)),
        np.array([by_wording.get(wording, median) for wording in asked]),
        np.broadcast_to(typical, (len(asked), 4)),
    ]


def _ious(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the overlap over the union of each pair."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    union = areas - shared
    overlaps: NDArray[np.float64] = shared / np.where(union > 0, union, np.inf)
    return overlaps


def guess_text(items: Sequence[AuditItem], groups: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Return how many words the most typical text of other groups shares with each text: F1 of words, mean."""
    bags = _bags([words_of(item.reference) for item in items])
    folds = deal_folds(groups, seed=seed)
    best = np.zeros(len(items))
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        known = np.flatnonzero(~test)
        some = known[:: max(1, len(known) // _MOST_TEXTS)]
        means = [float(shared_words(bags[one], bags[some]).mean()) for one in some]
        typical = bags[some[int(np.argmax(np.round(means, 9)))]]
        best[test] = shared_words(typical, bags[test])
    return {"measure": "words shared (F1)", "best": clustered_share(best, groups), "by": "the most typical text"}


def _bags(texts: Sequence[Sequence[str]]) -> NDArray[np.int32]:
    """Return how often each text has each word, (text, word); a last column counts words that few texts have."""
    common = Counter(word for text in texts for word in set(text))
    ranked = sorted(common, key=lambda word: (-common[word], word))[:_MOST_WORDS]
    number_of = {word: number for number, word in enumerate(ranked)}
    bags = np.zeros((len(texts), len(ranked) + 1), np.int32)
    for row, text in zip(bags, texts, strict=True):
        for word in text:
            row[number_of.get(word, -1)] += 1
    return bags


def shared_words(bag: NDArray[np.int32], bags: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the F1 of one bag of words with each of several; 0 without a word. Rare words are never shared."""
    shared = np.minimum(bag[:-1], bags[:, :-1]).sum(axis=1)
    total = bag.sum() + bags.sum(axis=1)
    found: NDArray[np.float64] = 2 * shared / np.maximum(1, total)
    return found
