"""The loss on replies, from logits of the last positions alone.

A chat at 8K has some 14,000 tokens and a reply of a few. Logits of them all would be 14,000 × 152,000 numbers, 8 GB in
float32 and again as much for their gradient. Batches are therefore padded on the left: replies end together, images
stand before them, so the last positions are the same before and after placeholders give way to visual tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rsvqa.model.conversations import IGNORED_LABEL


def num_last_positions(labels: Tensor) -> int:
    """Return how many of the last positions predict every label, [B, L] int64; 2 where there is none.

    A token is predicted one position before its own, so that is the longest reply and one more.
    """
    columns = (labels != IGNORED_LABEL).any(0).nonzero()  # [n, 1]
    return labels.shape[1] - int(columns[0]) + 1 if len(columns) else min(2, labels.shape[1])


def predicting_positions(labels: Tensor) -> Tensor:
    """Return the positions before those that hold a label in any row, [K] int64, wherever they stand; K is 1 at least.

    Args:
        labels: [B, L] int64, L ≥ 2.
    """
    found = (labels[:, 1:] != IGNORED_LABEL).any(0).nonzero()[:, 0]
    return found if len(found) else found.new_zeros(1)


def align(logits: Tensor, labels: Tensor, positions: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return logits [B, K', V] and the labels [B, K'] that they predict.

    Args:
        logits: [B, K, V] of the last K positions, or of `positions`.
        labels: [B, L] of all positions, K ≤ L, padded on the left where there are no `positions`.
        positions: [K], see `predicting_positions`; K' is then K, else K − 1.
    """
    if positions is not None:
        return logits, labels[:, positions + 1]
    return logits[:, :-1], labels[:, labels.shape[1] - logits.shape[1] + 1 :]


def reply_loss(logits: Tensor, labels: Tensor, *, num_labels: Tensor | int, positions: Tensor | None = None) -> Tensor:
    """Return the sum of the cross entropy of the labels in float32, divided by `num_labels`; 0 without labels.

    Args:
        logits: [B, K, V] of the last K positions, or of `positions`.
        labels: [B, L] of all positions.
        num_labels: of the whole step, over its passes and devices.
        positions: [K], see `align`.
    """
    predictions, wanted = align(logits, labels, positions)
    total = functional.cross_entropy(
        predictions.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )
    return total / torch.as_tensor(num_labels, device=total.device)
