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


def align(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, K − 1, V] and the labels [B, K − 1] that they predict.

    Args:
        logits: [B, K, V] of the last K positions.
        labels: [B, L] of all positions, K ≤ L, padded on the left.
    """
    return logits[:, :-1], labels[:, labels.shape[1] - logits.shape[1] + 1 :]


def reply_loss(logits: Tensor, labels: Tensor, *, num_labels: Tensor | int) -> Tensor:
    """Return the sum of the cross entropy of the labels in float32, divided by `num_labels`; 0 without labels.

    Args:
        logits: [B, K, V] of the last K positions.
        labels: [B, L] of all positions.
        num_labels: of the whole step, over its passes and devices.
    """
    predictions, wanted = align(logits, labels)
    total = functional.cross_entropy(
        predictions.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )
    return total / torch.as_tensor(num_labels, device=total.device)
