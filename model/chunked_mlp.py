"""The language model's MLPs on a part of the sequence at a time, so that a long one needs less memory at its widest.

An MLP makes each token of 3,584 numbers into several of 18,944. At 8K that is half a GiB for each tensor, and a pass
for the gradient holds some eight of them. What surprises: each part is computed once more in the backward pass, beside
what gradient checkpointing computes again; that is the price.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def chunk_mlps(language_model: Any, size: int) -> None:  # noqa: ANN401  a model of transformers
    """Let each layer's `mlp` work on `size` tokens of a row at a time; layers added inside it later are used too."""
    for layer in language_model.layers:
        layer.mlp.forward = partial(_in_chunks, layer.mlp.forward, size)


def _in_chunks(forward: Any, size: int, hidden: Tensor) -> Tensor:  # noqa: ANN401  a module's bound method
    """Return `forward` of hidden [B, L, D]; nothing of a part but itself is kept for the backward pass."""
    if hidden.shape[1] <= size:
        whole: Tensor = forward(hidden)
        return whole
    parts = hidden.split(size, dim=1)
    if not torch.is_grad_enabled():
        return torch.cat([forward(part) for part in parts], dim=1)
    # there is no dropout in an MLP, so no state of random numbers
    kept = [checkpoint(forward, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    return torch.cat(kept, dim=1)
