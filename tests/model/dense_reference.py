"""The released mathematics of pruning, written out: dense N × N affinities, a loop over cells.

Slow and plain on purpose, and independent of `model.token_pruning`: the oracle of its tests and the baseline of
`tests/perf/pruning.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Weights(NamedTuple):
    """Weights of the affinity head and of the projections of one attention layer, as torch stores them."""

    depthwise: Tensor
    pointwise: Tensor
    pointwise_bias: Tensor
    query: Tensor
    query_bias: Tensor
    projection: Tensor
    projection_bias: Tensor


def random_weights(dim: int, seed: int) -> Weights:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / dim**0.25

    return Weights(
        draw(dim, 1, 3, 3), draw(9, dim, 1, 1), draw(9), draw(dim, dim), draw(dim), draw(dim, dim), draw(dim)
    )


def affinity_head(weights: Weights) -> Callable[[Tensor], Tensor]:
    """Return the released head: logits [C, 9, H, W] of planes [C, D, H, W], computed in float32."""

    def head(planes: Tensor) -> Tensor:
        mixed = functional.conv2d(planes.float(), weights.depthwise, padding=1, groups=planes.shape[1])
        return functional.conv2d(mixed, weights.pointwise, weights.pointwise_bias)

    return head


def dense_affinity(tokens: Tensor, weights: Weights) -> Tensor:
    """Return [C, N, N]: the probability that a token (row) points to a token (column); `tokens` [C, H, W, D]."""
    num_cells, height, width, _ = tokens.shape
    probabilities = affinity_head(weights)(tokens.permute(0, 3, 1, 2).contiguous()).softmax(1).flatten(2)
    affinity = tokens.new_zeros((num_cells, height * width, height * width))
    rows = torch.arange(height).repeat_interleave(width)
    columns = torch.arange(width).repeat(height)
    for index in range(9):
        target_rows = (rows + index // 3 - 1).clamp(0, height - 1)
        target_columns = (columns + index % 3 - 1).clamp(0, width - 1)
        target = (target_rows * width + target_columns).expand(num_cells, -1)[..., None]
        affinity.scatter_add_(2, target, probabilities[:, index, :, None])
    return affinity


def dense_roots(affinity: Tensor) -> Tensor:
    """Return [C, N]: pointers of the largest affinity, followed for up to 12 rounds of pointer jumping."""
    pointers = affinity.argmax(-1)
    for _ in range(12):
        further = pointers.gather(1, pointers)
        if torch.equal(further, pointers):
            break
        pointers = further
    return pointers


def dense_selection(tokens: Tensor, anchors: Tensor, roots: Tensor, weights: Weights, budget: int) -> Tensor:
    """Return [C, R, D]: means of the clusters that [CLS] attends to most, in token order, with zeros among them.

    R tokens of a cell are taken by `topk` over all of them, with −∞ for those that are no root; the mean of such a
    token is zero. R is the budget, or the number of tokens where that is less.

    Args:
        tokens: [C, N, D].
        anchors: [C, D].
        roots: [C, N].
        weights: of the projections.
        budget: tokens of a cell.
    """
    _, num_tokens, dim = tokens.shape
    cells = []
    for cell_tokens, anchor, cell_roots in zip(tokens, anchors, roots, strict=True):
        belongs = (cell_roots[None, :] == torch.arange(num_tokens)[:, None]).to(cell_tokens)  # [N roots, N tokens]
        sizes = belongs.sum(1)
        means = belongs @ cell_tokens / sizes.clamp(min=1)[:, None]
        query = functional.linear(anchor, weights.query, weights.query_bias)
        keys = functional.linear(means, weights.projection, weights.projection_bias)
        is_root = sizes > 0
        attention = tokens.new_full((num_tokens,), -torch.inf)
        attention[is_root] = (keys[is_root] @ query / dim**0.5).softmax(0)
        cells.append(means[attention.topk(min(budget, num_tokens)).indices.sort().values])
    return torch.stack(cells)


def dense_prune(tokens: Tensor, anchors: Tensor, weights: Weights, budget: int) -> Tensor:
    """Return [C, R, D] for tokens [C, H, W, D] and anchors [C, D]; R as in `dense_selection`."""
    roots = dense_roots(dense_affinity(tokens, weights))
    return dense_selection(tokens.flatten(1, 2), anchors, roots, weights, budget)
