"""One placeholder per image → as many as the image has visual tokens, with mask, positions and labels to match."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED_LABEL = -100
"""Label of a token without loss, as in PyTorch's cross entropy."""


class ExpandedPrompt(NamedTuple):
    """A batch in which each placeholder has become as many as its image has visual tokens."""

    input_ids: Tensor
    """[B, L'] int64; padding is 0."""
    attention_mask: Tensor
    """[B, L'] int64."""
    position_ids: Tensor
    """[B, L'] int64, counted from each row's first token; padding is 0."""
    labels: Tensor | None
    """[B, L'] int64; visual tokens and padding carry no loss."""


def expand_placeholders(
    input_ids: Tensor,
    num_visual_tokens: Tensor,
    *,
    image_token_id: int,
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
    padding_side: str = "right",
) -> ExpandedPrompt:
    """Return the batch with the i-th placeholder repeated `num_visual_tokens[i]` times.

    Masked tokens leave the rows, and rows are padded anew, so a row of a batch is what it is alone.

    Args:
        input_ids: [B, L] int64.
        num_visual_tokens: [I] int64, of the images in the order of their placeholders, row after row.
        image_token_id: the placeholder.
        attention_mask: [B, L], 1 for tokens; None means all.
        labels: [B, L] int64.
        padding_side: "left" or "right".

    Raises:
        ValueError: the numbers of placeholders and images differ.
    """
    batch, length = input_ids.shape
    repeats = torch.ones_like(input_ids) if attention_mask is None else (attention_mask != 0).to(input_ids.dtype)
    is_placeholder = (input_ids == image_token_id) & (repeats > 0)
    num_placeholders = int(is_placeholder.sum())
    if num_placeholders != len(num_visual_tokens):
        raise ValueError(
            f"the prompts hold {num_placeholders} placeholder tokens (id {image_token_id}) and there are "
            f"{len(num_visual_tokens)} images; expected one placeholder per image. Was a prompt cut short?"
        )
    repeats[is_placeholder] = num_visual_tokens.to(repeats)
    totals = repeats.sum(1)  # [B]
    longest = int(totals.max())
    source = torch.arange(batch * length, device=input_ids.device).repeat_interleave(repeats.flatten())  # [T]
    rows = source // length
    columns = torch.arange(len(source), device=input_ids.device) - (totals.cumsum(0) - totals)[rows]
    if padding_side == "left":
        columns = columns + (longest - totals)[rows]
    expanded_ids = input_ids.new_zeros((batch, longest))
    expanded_ids[rows, columns] = input_ids.flatten()[source]
    mask = torch.zeros_like(expanded_ids)
    mask[rows, columns] = 1
    expanded_labels = None
    if labels is not None:
        expanded_labels = torch.full_like(expanded_ids, IGNORED_LABEL)
        expanded_labels[rows, columns] = labels.flatten()[source]
        expanded_labels[expanded_ids == image_token_id] = IGNORED_LABEL
    return ExpandedPrompt(expanded_ids, mask, (mask.cumsum(1) - 1).clamp(min=0), expanded_labels)


def padding_side(attention_mask: Tensor | None) -> str:
    """Return "left" when a row of the batch begins with padding, else "right"."""
    return "left" if attention_mask is not None and bool((attention_mask[:, 0] == 0).any()) else "right"
