"""Which visual tokens of an image are kept, as pure tensor functions.

Background tokens are merged into clusters (each token follows the neighbour that it is most like), clusters are scored
against the [CLS] token of their cell, and the best are kept in token order. What surprises: nothing here is N × N. A
token has nine candidates, so a cell of 576 tokens costs 5,184 affinities and not 331,776; and because the score is
linear in the token, tokens are scored first and only the clusters that stay are averaged.

No weights are read here: their owners apply them, whatever they are stored as. What the layers give is compared in
float32 whatever its dtype, and decisions carry no gradient; the gradient flows through the means of the tokens that are
kept.

Source: GeoLLaVA-8K, arXiv 2505.21375v2, sections on background token pruning and anchored token selection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

OFFSETS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
"""The 3 × 3 neighbourhood, (dy, dx), in the order of the outputs of the learned head."""

POINTER_ROUNDS = 12
"""Rounds of pointer jumping in the released code; paths of up to 2¹² tokens reach their root."""

PART_VALUES, DEVICE_PART_VALUES = 2**22, 2**26
"""Feature values that are worked on at once on a CPU, so that temporaries stay at 16 MiB in float32, and on a device,
where every step of the work has its price and 256 MiB matter less than the activations of a tower."""


class KeptTokens(NamedTuple):
    """What is left of some cells: K tokens, cell after cell, in token order."""

    features: Tensor
    """[K, D], the dtype of the input; means of clusters, and tokens or zeros where a budget was filled up."""
    cells: Tensor
    """[K] int64, the cell of each token, not decreasing."""
    positions: Tensor
    """[K] int64, index of the token in its cell (row by row), rising within a cell; for a cluster that of its root."""
    scores: Tensor
    """[K] float32, what the cluster was ranked by; −∞ for what is no cluster."""
    spare: Tensor
    """[K] float32, what a token that is no cluster was ranked by; 0 where a budget is not filled with such tokens."""


def learned_pointers(tokens: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the neighbour that the released affinity head picks for each token, [C, H·W] int64.

    At the border a candidate outside is moved onto the grid, and probabilities that fall on one token add up. Ties go
    to the lowest token.

    Args:
        tokens: [C, H, W, D] features of the cells.
        head: logits [c, 9, H, W] of planes [c, D, H, W], in the order of `OFFSETS`.
    """
    num_cells, height, width, _ = tokens.shape
    clamped = _clamped_neighbours(height, width, tokens.device)  # [N, 9]
    same_token = (clamped[:, :, None] == clamped[:, None, :]).float()  # [N, 9, 9]
    pointers = []
    for (part,) in _parts(tokens):
        logits = head(part.permute(0, 3, 1, 2))  # a view: channels last, as convolutions like it
        probabilities = logits.float().softmax(1).flatten(2).transpose(1, 2)  # [c, N, 9]
        totals = torch.einsum("cnk,nkj->cnj", probabilities, same_token)
        choice = totals.argmax(-1)  # the first of equals, and candidates stand in token order
        pointers.append(clamped.expand(part.shape[0], -1, -1).gather(-1, choice[..., None])[..., 0])
    return torch.cat(pointers) if pointers else clamped.new_empty((num_cells, height * width))


def cosine_pointers(tokens: Tensor) -> Tensor:
    """Return for each token the neighbour that it is most like by cosine similarity, [C, H·W] int64; no parameters.

    A token is always most like itself, so itself is measured by another rule: a token stands alone when even its best
    neighbour is less like it than the median pair of neighbours of its cell. A ship on the sea stands alone; a token of
    the sea, or of a town where nothing is alike, does not. Where two tokens pick each other, the lower one is the root,
    so there are no cycles. Ties go to the lowest token.

    Args:
        tokens: [C, H, W, D] features of the cells.
    """
    num_cells, height, width, _ = tokens.shape
    index = torch.arange(height * width, device=tokens.device)
    if height * width == 1:
        return index.expand(num_cells, -1)
    pointers = torch.cat([_most_similar(part.float()) for (part,) in _parts(tokens)])
    is_mutual = pointers.gather(1, pointers) == index
    return torch.where(is_mutual & (pointers > index), index, pointers)


def follow_pointers(pointers: Tensor) -> Tensor:
    """Return the root of each token, [C, N] int64: where its pointer leads after 2¹² steps (or N, if that is more)."""
    rounds = max(POINTER_ROUNDS, (pointers.shape[1] - 1).bit_length())
    for _ in range(rounds):
        pointers = pointers.gather(1, pointers)
    return pointers


def anchor_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Return how much the [CLS] token of a cell attends to each of its tokens, [C, N] float32, before the softmax.

    The softmax keeps the order and is left out, so scores of different cells can be compared.

    Args:
        queries: [C, D] query projections of [CLS].
        keys: [C, N, D] value projections (as released) or key projections (as in the paper's words) of the patches.
    """
    scores = [(part.float() @ query.float()[..., None])[..., 0] for part, query in _parts(keys, queries)]
    return torch.cat(scores) * float(queries.shape[-1] ** -0.5)


def cluster_means(scores: Tensor, roots: Tensor) -> Tensor:
    """Return the mean score of each cluster at its root and −∞ everywhere else, [C, N] float32."""
    sizes = cluster_sizes(roots)
    sums = _sum_at_roots(scores.float(), roots)
    return torch.where(sizes > 0, sums / sizes.clamp(min=1), -torch.inf)


def cluster_sizes(roots: Tensor) -> Tensor:
    """Return the number of tokens of each cluster at its root and 0 everywhere else, [C, N] float32."""
    return _sum_at_roots(torch.ones(roots.shape, device=roots.device), roots)


def keep_best(scores: Tensor, groups: Tensor, budgets: Tensor, *, spare: Tensor | None = None) -> Tensor:
    """Return the sorted indices of the best entries of each group, at most its budget; equals in order of index.

    Args:
        scores: [M] float32; −∞ marks what is no cluster.
        groups: [M] int64, the group of each entry.
        budgets: [G] int64, how many entries of each group are kept at most.
        spare: [M] float32, what entries of −∞ are ranked by, which then take what is left of a budget; None leaves it.
    """
    if spare is None:
        candidates = (scores > -torch.inf).nonzero()[:, 0]
    else:
        candidates = spare.where(scores == -torch.inf, torch.inf).argsort(descending=True, stable=True)
    candidates = candidates[scores[candidates].argsort(descending=True, stable=True)]
    candidates = candidates[groups[candidates].argsort(stable=True)]
    owners = groups[candidates]
    counts = torch.bincount(owners, minlength=len(budgets))
    starts = counts.cumsum(0) - counts
    ranks = torch.arange(len(candidates), device=scores.device) - starts[owners]
    return candidates[ranks < budgets[owners]].sort().values


def keep_best_per_cell(scores: Tensor, budget: int, *, spare: Tensor) -> Tensor:
    """Return what `keep_best` returns where each cell is a group with the same budget, [C · R].

    No shape depends on the values here, so that it can be compiled and exported. A cell has no more places than tokens.

    Args:
        scores: [C, N] float32 at the roots, −∞ everywhere else.
        budget: tokens per cell.
        spare: [C, N] float32, what entries of −∞ are ranked by.
    """
    order = spare.where(scores == -torch.inf, torch.inf).argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, scores.gather(1, order).argsort(dim=1, descending=True, stable=True))
    return _flat(order[:, :budget].sort(dim=1).values, scores.shape[1])


def fill_cells(scores: Tensor, budget: int) -> Tensor:
    """Return the sorted indices, in all cells, of `budget` tokens per cell as the released code takes them, [C · R].

    The released code takes `scores.topk(budget)` and sorts by index. Where a cell has fewer clusters than the budget,
    that takes tokens of −∞ too, which have no mean: they become zero vectors, scattered among the clusters. Which ones
    is left to `topk`, so it is asked here as well; devices may differ in it. A cell has no more places than tokens.

    Args:
        scores: [C, N] float32 at the roots, −∞ everywhere else.
        budget: tokens per cell.
    """
    num_tokens = scores.shape[1]
    places = scores.topk(min(budget, num_tokens), dim=1).indices.sort(dim=1).values
    return _flat(places, num_tokens)


def select_tokens(
    tokens: Tensor, roots: Tensor, scores: Tensor, kept: Tensor, *, spare: Tensor | None = None
) -> KeptTokens:
    """Return the means of the clusters whose roots are kept; where a kept token is no root, itself or a zero vector.

    Args:
        tokens: [C, N, D] features.
        roots: [C, N] int64, the root of each token's cluster.
        scores: [C, N] float32 at the roots, −∞ everywhere else.
        kept: [K] int64, sorted indices in all cells, see `keep_best` and `fill_cells`.
        spare: [C, N] float32, what tokens that are no root were ranked by; None makes them zero vectors.
    """
    num_cells, num_tokens, dim = tokens.shape
    device, num_kept = tokens.device, kept.shape[0]  # not len: an exported graph may have any number
    kept_scores, slots = scores.flatten()[kept], torch.arange(num_kept, device=device)
    # What is not kept goes into one more bag per cell, which is thrown away: no shape depends on how much that is.
    bags = torch.arange(num_kept, num_kept + num_cells, device=device).repeat_interleave(num_tokens)
    rest = bags[kept]
    bags[kept] = slots
    members, places = torch.arange(num_cells * num_tokens, device=device), bags[_flat(roots, num_tokens)]
    if spare is not None:  # a token that is no root has a bag of its own, and no other member
        members = torch.cat([members, kept])
        places = torch.cat([places, slots.where(kept_scores == -torch.inf, rest)])
    sizes = torch.zeros(num_kept + num_cells, dtype=torch.int64, device=device)
    sizes.index_add_(0, places, torch.ones_like(places))
    # embedding_bag averages rows in place, where index_add_ would first copy them, and sums in a fixed order. The
    # mean of no rows is zero.
    features = functional.embedding_bag(
        members[places.argsort(stable=True)], tokens.reshape(-1, dim), offsets=sizes.cumsum(0) - sizes, mode="mean"
    )[:num_kept]  # [K, D]
    kept_spare = torch.zeros_like(kept_scores) if spare is None else spare.flatten()[kept]
    return KeptTokens(features, kept // num_tokens, kept % num_tokens, kept_scores, kept_spare)


def join_kept(parts: Sequence[KeptTokens]) -> KeptTokens:
    """Return several parts as one; their `cells` must count through all of them, in order."""
    return KeptTokens(*(torch.cat(values) for values in zip(*parts, strict=True)))


def keep_shared(joined: KeptTokens, groups: Tensor, budgets: Tensor, *, fills: bool) -> KeptTokens:
    """Return the best of what was kept of chunks of cells that share budgets, as if of all cells at once.

    The best of a whole are among the best of its parts, so each chunk is selected from with the whole budget first.
    `groups` are those of all cells. `fills` says whether what is no cluster may take what is left of a budget.
    """
    kept = keep_best(joined.scores, groups[joined.cells], budgets, spare=joined.spare if fills else None)
    return joined if len(kept) == len(joined.scores) else KeptTokens(*(values[kept] for values in joined))


def singletons(num_cells: int, num_tokens: int, device: torch.device) -> Tensor:
    """Return roots that make each token its own cluster, [C, N] int64."""
    return torch.arange(num_tokens, device=device).expand(num_cells, -1)


def grid_blocks(height: int, width: int, num_blocks: int) -> list[list[int]]:
    """Return the token indices of `num_blocks` rectangles of about equal area that cover the grid, in reading order.

    Bands of rows, each cut into columns; more blocks than tokens give one block a token. A band may hold one block more
    than another, so every number of blocks is met exactly.
    """
    num_blocks = min(num_blocks, height * width)
    fewest = -(-num_blocks // width)  # a band cannot hold more blocks than columns
    num_bands = min(max(round((num_blocks * height / width) ** 0.5), fewest, 1), height, num_blocks)
    blocks = []
    for rows, columns_in_band in zip(_cuts(height, num_bands), _shares(num_blocks, num_bands), strict=True):
        for columns in _cuts(width, columns_in_band):
            blocks.append([row * width + column for row in rows for column in columns])
    return blocks


def block_roots(height: int, width: int, num_blocks: int, device: torch.device) -> Tensor:
    """Return roots that join the tokens of each block of `grid_blocks`, [N] int64; the root is its first token."""
    roots = torch.empty(height * width, dtype=torch.int64)
    for block in grid_blocks(height, width, num_blocks):
        roots[block] = block[0]
    return roots.to(device)


def block_centres(height: int, width: int, num_blocks: int, device: torch.device) -> Tensor:
    """Return scores 0 for the middle token of each block of `grid_blocks` and −∞ for the others, [N] float32."""
    scores = torch.full((height * width,), -torch.inf)
    for block in grid_blocks(height, width, num_blocks):
        rows = sorted({token // width for token in block})
        columns = sorted({token % width for token in block})
        scores[rows[len(rows) // 2] * width + columns[len(columns) // 2]] = 0.0
    return scores.to(device)


def random_scores(cell_numbers: Sequence[int], num_tokens: int, *, seed: int, device: torch.device) -> Tensor:
    """Return scores in [0, 1) that depend on the seed and the number of each cell alone, [C, N] float32."""
    rows = []
    for number in cell_numbers:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        rows.append(torch.rand(num_tokens, generator=generator))
    return torch.stack(rows).to(device)


def _most_similar(tokens: Tensor) -> Tensor:
    """Return the best candidate of each token, [C, N]; `tokens` [C, H, W, D] in float32."""
    num_cells, height, width, _ = tokens.shape
    norms = torch.linalg.vector_norm(tokens, dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    candidates = tokens.new_full((num_cells, height, width, 9), -torch.inf)
    pairs = []
    # Four of the eight directions: the other four are the same pairs, seen from the other token.
    for index, (dy, dx) in enumerate(OFFSETS[5:], start=5):
        here = (slice(None), slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (slice(None), slice(dy, height), slice(max(0, dx), width + min(0, dx)))
        similarity = (tokens[here] * tokens[there]).sum(-1) / (norms[here] * norms[there])
        candidates[(*here, index)] = similarity
        candidates[(*there, 8 - index)] = similarity
        pairs.append(similarity.flatten(1))
    # The median is one of the values, not a mean of them, so on a constant cell it equals them all, to the last bit.
    median = torch.cat(pairs, dim=1).median(dim=1).values[:, None]
    best, choice = candidates.flatten(1, 2).max(-1)  # [C, N]; the first of equals
    choice = choice.where(best >= median, OFFSETS.index((0, 0)))
    step = torch.tensor([dy * width + dx for dy, dx in OFFSETS], device=tokens.device)
    return torch.arange(height * width, device=tokens.device) + step[choice]


def _clamped_neighbours(height: int, width: int, device: torch.device) -> Tensor:
    """Return the nine candidates of each token, moved onto the grid, [N, 9] int64."""
    offsets = torch.tensor(OFFSETS, device=device)
    rows = (torch.arange(height, device=device)[:, None, None] + offsets[:, 0]).clamp(0, height - 1)  # [H, 1, 9]
    columns = (torch.arange(width, device=device)[:, None] + offsets[:, 1]).clamp(0, width - 1)  # [W, 9]
    return (rows * width + columns).reshape(height * width, 9)


def _parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return a few cells at a time, of each tensor; all of them to a compiler, which makes no temporaries."""
    if torch.compiler.is_compiling():
        return iter([tensors])
    most = PART_VALUES if tensors[0].device.type == "cpu" else DEVICE_PART_VALUES
    cells = max(1, most // max(tensors[0].shape[1:].numel(), 1))
    return zip(*(tensor.split(cells) for tensor in tensors), strict=True)


def _sum_at_roots(values: Tensor, roots: Tensor) -> Tensor:
    """Return the sums of values [C, N] that share a root, at the root."""
    flat = values.new_zeros(values.numel())
    return flat.index_add_(0, _flat(roots, roots.shape[1]), values.flatten()).view_as(values)


def _flat(places: Tensor, num_tokens: int) -> Tensor:
    """Return indices in cells of `num_tokens`, [C, K], as indices in all cells, [C·K]."""
    return (places + num_tokens * torch.arange(places.shape[0], device=places.device)[:, None]).flatten()


def _shares(total: int, parts: int) -> list[int]:
    """Return `total` as a sum of near-equal parts."""
    return [(index + 1) * total // parts - index * total // parts for index in range(parts)]


def _cuts(size: int, parts: int) -> list[range]:
    """Return `range(size)` in near-equal pieces."""
    return [range(index * size // parts, (index + 1) * size // parts) for index in range(parts)]
