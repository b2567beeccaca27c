"""Prompts with as many placeholders as their images have visual tokens, and mask, positions and labels to match.

A processor that knows the number from an image's size writes them all; else one stands for an image, and the prompt
grows here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED_LABEL = -100
"""Label of a token without loss, as in PyTorch's cross entropy."""


_PAIRS = 4
"""Dimensions of a mask that says for each pair of tokens whether one sees the other, [B, 1, L, L]."""


class ExpandedPrompt(NamedTuple):
    """A batch with as many placeholders as its images have visual tokens."""

    input_ids: Tensor
    """[B, L'] int64; padding is 0."""
    attention_mask: Tensor | None
    """[B, L'] int64, or [B, 1, L', L'] as given.

    None where none was given and the batch did not grow, so that packed chats can be told apart.
    """
    position_ids: Tensor | None
    """[B, L'] int64, counted from each row's first token, padding is 0, or as given; None without a mask."""
    labels: Tensor | None
    """[B, L'] int64; visual tokens and padding carry no loss."""


def place_tokens(
    input_ids: Tensor,
    num_visual_tokens: Tensor,
    *,
    image_token_id: int,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    labels: Tensor | None = None,
    padding_side: str = "right",
) -> ExpandedPrompt:
    """Return the batch as it is where it holds a placeholder per visual token, else `expand_placeholders` of it.

    Args:
        input_ids: [B, L] int64.
        num_visual_tokens: [I] int64, of the images in the order of their placeholders, row after row.
        image_token_id: the placeholder.
        attention_mask: [B, L], 1 for tokens; None means all. Or what each token sees, [B, 1, L, L], which passes
            through: no padding is then a placeholder, and `position_ids` are needed.
        position_ids: [B, L], of a batch that holds every placeholder; None counts from each row's first token. Where
            they begin anew within a row, and there is no mask, the chats in a row do not see each other.
        labels: [B, L] int64.
        padding_side: "left" or "right", of a batch that grows.

    Raises:
        ValueError: there are as many placeholders neither as images nor as visual tokens, or positions of a batch that
            would grow, or a mask of pairs without positions.
    """
    is_placeholder = find_placeholders(input_ids, attention_mask, image_token_id=image_token_id)
    if attention_mask is not None and attention_mask.ndim == _PAIRS and position_ids is None:
        raise ValueError("an attention_mask [B, 1, L, L] does not tell where each chat begins: give position_ids too")
    num_placeholders, num_images, total = (
        int(is_placeholder.sum()),
        len(num_visual_tokens),
        int(num_visual_tokens.sum()),
    )
    if num_placeholders not in (num_images, total):
        raise ValueError(
            f"the prompts hold {num_placeholders} placeholder tokens (id {image_token_id}) for {num_images} images of "
            f"{total} visual tokens; expected one per image, or one per visual token. Was a prompt cut short, or does "
            "the processor's num_cell_tokens differ from the configuration's?"
        )
    if num_placeholders != total:
        if position_ids is not None:
            raise ValueError("position_ids need prompts with a placeholder per visual token: this batch has to grow")
        return expand_placeholders(
            input_ids,
            num_visual_tokens,
            image_token_id=image_token_id,
            attention_mask=attention_mask,
            labels=labels,
            padding_side=padding_side,
        )
    if labels is not None:
        labels = labels.masked_fill(is_placeholder, IGNORED_LABEL)
    if position_ids is None and attention_mask is not None:
        position_ids = ((attention_mask != 0).cumsum(1) - 1).clamp(min=0)
    return ExpandedPrompt(input_ids, attention_mask, position_ids, labels)


def find_placeholders(input_ids: Tensor, attention_mask: Tensor | None, *, image_token_id: int) -> Tensor:
    """Return where visual tokens stand, [B, L] bool: not where a mask [B, L] is 0; a mask of pairs hides none."""
    is_placeholder = input_ids == image_token_id
    if attention_mask is not None and attention_mask.ndim != _PAIRS:
        is_placeholder = is_placeholder & (attention_mask != 0)
    return is_placeholder


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
        num_visual_tokens: [I] int64, of the images in the order of their placeholders, row after row; one each.
        image_token_id: the placeholder.
        attention_mask: [B, L], 1 for tokens; None means all.
        labels: [B, L] int64.
        padding_side: "left" or "right".
    """
    batch, length = input_ids.shape
    repeats = torch.ones_like(input_ids) if attention_mask is None else (attention_mask != 0).to(input_ids.dtype)
    is_placeholder = (input_ids == image_token_id) & (repeats > 0)
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
    """Return "left" when a row of the batch begins with padding, else "right", also where a mask of pairs hides it."""
    if attention_mask is None or attention_mask.ndim == _PAIRS:
        return "right"
    return "left" if bool((attention_mask[:, 0] == 0).any()) else "right"


def pad_left(input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return both, [B, L], with the tokens of each row at its end: what is generated goes on from the last place."""
    if attention_mask is None or bool((attention_mask[:, -1] != 0).all()):
        return input_ids, attention_mask
    order = (attention_mask != 0).int().argsort(dim=1, stable=True)  # padding first
    return input_ids.gather(1, order), attention_mask.gather(1, order)
