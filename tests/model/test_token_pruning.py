"""Pruning gives the released tokens, never more than its budget, in order, and leaves alone what is alone."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from rsvqa.model.token_pruning import (
    KeptTokens,
    anchor_scores,
    block_centres,
    block_roots,
    cluster_means,
    cluster_sizes,
    cosine_pointers,
    fill_cells,
    follow_pointers,
    grid_blocks,
    join_kept,
    keep_best,
    keep_best_per_cell,
    keep_shared,
    learned_pointers,
    random_scores,
    select_tokens,
    singletons,
)
from tests.model.dense_reference import (
    Weights,
    affinity_head,
    dense_affinity,
    dense_prune,
    dense_roots,
    random_weights,
)

CPU = torch.device("cpu")


@torch.no_grad()
def prune(tokens: Tensor, anchors: Tensor, weights: Weights, budget: int) -> Tensor:
    """Return [C, R, D] by the functions under test, with the released settings."""
    num_cells = len(tokens)
    flat = tokens.flatten(1, 2)
    roots = follow_pointers(learned_pointers(tokens, affinity_head(weights)))
    scores = anchor_scores(
        functional.linear(anchors.float(), weights.query, weights.query_bias),
        functional.linear(flat.float(), weights.projection, weights.projection_bias),
    )
    at_roots = cluster_means(scores, roots)
    return select_tokens(flat, roots, at_roots, fill_cells(at_roots, budget)).features.unflatten(0, (num_cells, -1))


def select_best(tokens: Tensor, roots: Tensor, scores: Tensor, groups: Tensor, budgets: Tensor) -> KeptTokens:
    kept = keep_best(scores.flatten(), groups.repeat_interleave(scores.shape[1]), budgets)
    return select_tokens(tokens, roots, scores, kept)


def draw_cells(num_cells: int, height: int, width: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn((num_cells, height, width, dim), generator=generator)
    return tokens, torch.randn((num_cells, dim), generator=generator)


@settings(max_examples=30)
@given(
    num_cells=st.integers(1, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    dim=st.integers(4, 12),
    budget=st.integers(1, 60),
    seed=st.integers(0, 10_000),
)
def test_pruning_equals_the_dense_oracle(
    num_cells: int, height: int, width: int, dim: int, budget: int, seed: int
) -> None:
    tokens, anchors = draw_cells(num_cells, height, width, dim, seed)
    weights = random_weights(dim, seed + 1)
    expected = dense_prune(tokens, anchors, weights, budget)
    torch.testing.assert_close(prune(tokens, anchors, weights, budget), expected, atol=1e-5, rtol=0)


def test_a_constant_image_equals_the_dense_oracle() -> None:
    tokens, anchors = torch.ones((1, 5, 6, 8)), torch.ones((1, 8))
    weights = random_weights(8, 3)
    torch.testing.assert_close(
        prune(tokens, anchors, weights, 40), dense_prune(tokens, anchors, weights, 40), atol=1e-5, rtol=0
    )


def test_probabilities_outside_the_grid_add_up_on_its_border() -> None:
    # One row of three tokens, every weight 0, so each of the nine outputs has probability 1/9. All three rows of the
    # neighbourhood fall on the one row: token 0 has itself 6/9 (dx −1 and 0) and token 1 3/9; token 1 has each third.
    weights = random_weights(4, 0)
    weights = weights._replace(pointwise=torch.zeros((9, 4, 1, 1)), pointwise_bias=torch.zeros(9))
    tokens = torch.randn((1, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    expected = torch.tensor([[6, 3, 0], [3, 3, 3], [0, 3, 6]]) / 9
    torch.testing.assert_close(dense_affinity(tokens, weights)[0], expected)
    # 0 → 0; 1 ties between 0, 1 and 2, the lowest wins; 2 → 2
    assert learned_pointers(tokens, affinity_head(weights)).tolist() == [[0, 0, 2]]


def test_learned_pointers_follow_a_head_set_by_hand() -> None:
    # The bias alone speaks for output 1, (dy, dx) = (−1, 0): everything points one row up, and the first row to itself.
    weights = random_weights(4, 0)._replace(pointwise=torch.zeros((9, 4, 1, 1)), pointwise_bias=torch.eye(9)[1] * 5)
    pointers = learned_pointers(torch.zeros((1, 3, 2, 4)), affinity_head(weights))
    assert pointers.tolist() == [[0, 1, 0, 1, 2, 3]]
    assert follow_pointers(pointers).tolist() == [[0, 1, 0, 1, 0, 1]]


def test_a_long_path_reaches_its_root() -> None:
    pointers = (torch.arange(576) - 1).clamp(min=0)[None]
    assert follow_pointers(pointers).tolist() == [[0] * 576]


def test_a_cycle_is_cut_as_in_the_released_code() -> None:
    # 0 → 1 → 0 and 2 → 1: after the first round 0 → 0, 1 → 1, 2 → 0, and nothing changes any more.
    assert follow_pointers(torch.tensor([[1, 0, 1]])).tolist() == [[0, 1, 0]]
    assert dense_roots(torch.tensor([[[0.0, 1, 0], [1, 0, 0], [0, 1, 0]]])).tolist() == [[0, 1, 0]]


def test_cosine_joins_a_constant_cell_into_one_cluster() -> None:
    roots = follow_pointers(cosine_pointers(torch.full((2, 4, 5, 3), 0.3)))
    assert roots.tolist() == [[0] * 20] * 2


def test_cosine_leaves_a_lone_token_alone_and_joins_what_is_around_it() -> None:
    tokens = torch.tensor([1.0, 0.0]).expand(1, 3, 3, 2).clone()
    tokens[0, 1, 1] = torch.tensor([0.0, 1.0])
    roots = follow_pointers(cosine_pointers(tokens))[0]
    assert roots[4] == 4
    assert (roots != 4).sum() == 8


def test_cosine_keeps_two_regions_apart() -> None:
    tokens = torch.tensor([1.0, 0.0]).expand(1, 4, 6, 2).clone()
    tokens[:, :, 3:] = torch.tensor([0.2, 1.0])
    roots = follow_pointers(cosine_pointers(tokens))[0].unflatten(0, (4, 6))
    assert roots[:, :3].unique().tolist() == [0]
    assert roots[:, 3:].unique().tolist() == [3]


def test_cosine_points_to_the_most_similar_neighbour() -> None:
    # Directions in degrees: 0, 40, 50. 1 and 2 pick each other (10 apart), so 1, the lower, is their root. The pairs
    # are 40 and 10 apart, their lower median is cos 40: 0's best neighbour is no worse, so 0 follows 1.
    angles = torch.deg2rad(torch.tensor([0.0, 40.0, 50.0]))
    tokens = torch.stack([angles.cos(), angles.sin()], dim=-1)[None, None]
    assert cosine_pointers(tokens).tolist() == [[1, 1, 1]]


def test_cosine_leaves_a_token_alone_that_is_like_none_of_its_neighbours() -> None:
    # Directions in degrees: 0, 80, 90, 100. The pairs are 80, 10 and 10 apart, their median is cos 10: 0 stands alone.
    # 1 and 3 are 10 apart from 2; which of the two 2 picks is left to rounding, but both pick 2.
    angles = torch.deg2rad(torch.tensor([0.0, 80.0, 90.0, 100.0]))
    tokens = torch.stack([angles.cos(), angles.sin()], dim=-1)[None, None].double()
    assert follow_pointers(cosine_pointers(tokens))[0, 0] == 0
    assert 0 not in follow_pointers(cosine_pointers(tokens))[0, 1:]


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_cosine_clusters_end_in_roots(height: int, width: int, seed: int) -> None:
    tokens, _ = draw_cells(2, height, width, 3, seed)
    pointers = cosine_pointers(tokens.round())  # rounding makes ties
    roots = follow_pointers(pointers)
    assert torch.equal(pointers.gather(1, roots), roots)
    steps = (pointers - torch.arange(height * width)).abs()
    assert int(steps.max()) <= width + 1


def test_anchor_scores_are_the_published_formula() -> None:
    queries = torch.tensor([[2.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    keys = torch.arange(24.0).reshape(2, 3, 4)
    # 2 x first + fourth of the rows 0 1 2 3, 4 5 6 7, 8 9 10 11; the second of 12 13 14 15 and so on; by the root of 4
    assert anchor_scores(queries, keys.half()).tolist() == [[1.5, 7.5, 13.5], [6.5, 8.5, 10.5]]


def test_scores_of_clusters_stand_at_their_roots() -> None:
    roots = torch.tensor([[0, 0, 2, 0]])
    scores = torch.tensor([[3.0, 6.0, 5.0, 9.0]])
    assert cluster_means(scores, roots).tolist() == [[6.0, -torch.inf, 5.0, -torch.inf]]
    assert cluster_sizes(roots).tolist() == [[3.0, 0.0, 1.0, 0.0]]


def test_each_group_keeps_its_best_and_the_first_of_equals() -> None:
    scores = torch.tensor([1.0, 3.0, 3.0, 2.0, -torch.inf, 0.0])
    groups = torch.tensor([0, 0, 0, 1, 1, 1])
    assert keep_best(scores, groups, torch.tensor([2, 2])).tolist() == [1, 2, 3, 5]
    assert keep_best(scores, groups, torch.tensor([1, 9])).tolist() == [1, 3, 5]


def test_a_shared_budget_goes_where_scores_are_high() -> None:
    tokens = torch.arange(6.0).reshape(2, 3, 1)
    scores = torch.tensor([[1.0, 2.0, 3.0], [9.0, 0.0, 8.0]])
    kept = select_best(tokens, singletons(2, 3, CPU), scores, torch.tensor([0, 0]), torch.tensor([3]))
    assert kept.features.flatten().tolist() == [2.0, 3.0, 5.0]
    assert kept.cells.tolist() == [0, 1, 1]
    assert kept.positions.tolist() == [2, 0, 2]
    assert kept.scores.tolist() == [3.0, 9.0, 8.0]


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 1000), st.booleans())
def test_selecting_in_parts_changes_nothing(num_cells: int, budget: int, seed: int, shared: bool) -> None:
    tokens, _ = draw_cells(num_cells, 2, 3, 4, seed)
    flat = tokens.flatten(1, 2)
    roots = singletons(num_cells, 6, CPU)
    scores = flat[..., 0].round(decimals=1)  # with ties
    groups = torch.zeros(num_cells, dtype=torch.int64) if shared else torch.arange(num_cells)
    budgets = torch.full((1 if shared else num_cells,), budget)
    whole = select_best(flat, roots, scores, groups, budgets)
    parts = []
    for cell in range(num_cells):
        one = slice(cell, cell + 1)
        part = select_best(flat[one], roots[one], scores[one], groups[one], budgets)
        parts.append(part._replace(cells=part.cells + cell))
    for value, expected in zip(keep_shared(join_kept(parts), groups, budgets, fills=False), whole, strict=True):
        assert torch.equal(value, expected)


def test_gradients_flow_through_the_means_of_what_is_kept() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [7.0]]], requires_grad=True)
    roots = torch.tensor([[0, 0, 2]])
    scores = torch.tensor([[1.0, -torch.inf, 0.0]])
    kept = select_best(tokens, roots, scores, torch.tensor([0]), torch.tensor([1]))
    assert kept.features.tolist() == [[2.0]]
    kept.features.sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.flatten().tolist() == [0.5, 0.5, 0.0]


def test_zeros_stand_where_topk_takes_tokens_that_are_no_root() -> None:
    # Tokens 0, 1, 4 belong to 4, tokens 2 and 3 to 2. Three places: the roots 2 and 4, and one of 0, 1, 3 by topk.
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [20.0], [5.0]]])
    roots = torch.tensor([[4, 4, 2, 2, 4]])
    scores = cluster_means(torch.tensor([[0.0, 0.0, 1.0, 3.0, 3.0]]), roots)
    assert scores.tolist() == [[-torch.inf, -torch.inf, 2.0, -torch.inf, 1.0]]
    places = fill_cells(scores, 3)
    (filling,) = set(places.tolist()) - {2, 4}
    assert filling in scores.topk(3).indices.tolist()[0]
    kept = select_tokens(tokens, roots, scores, places)
    assert kept.positions.tolist() == sorted([2, 4, filling])
    values = dict(zip(kept.positions.tolist(), kept.features.flatten().tolist(), strict=True))
    assert values == {filling: 0.0, 2: 15.0, 4: 3.0}


def test_a_cell_has_no_more_places_than_tokens() -> None:
    tokens, scores = torch.ones((2, 3, 1)), torch.tensor([[0.0, -torch.inf, -torch.inf]]).expand(2, -1)
    kept = select_tokens(tokens, torch.zeros((2, 3), dtype=torch.int64), scores, fill_cells(scores, 9))
    assert kept.features.flatten().tolist() == [1.0, 0.0, 0.0] * 2


def test_what_is_no_cluster_comes_after_the_clusters_in_its_own_order() -> None:
    scores = torch.tensor([-torch.inf, 1.0, -torch.inf, 2.0, -torch.inf])
    spare = torch.tensor([5.0, -9.0, 7.0, -9.0, 5.0])  # of clusters it does not count
    groups = torch.zeros(5, dtype=torch.int64)
    kept = [keep_best(scores, groups, torch.tensor([number]), spare=spare).tolist() for number in range(1, 7)]
    assert kept == [[3], [1, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert keep_best(scores, groups, torch.tensor([3])).tolist() == [1, 3]
    # equals: the first tokens
    assert keep_best(scores, groups, torch.tensor([3]), spare=torch.zeros(5)).tolist() == [0, 1, 3]


@given(num_cells=st.integers(0, 4), num_tokens=st.integers(1, 9), budget=st.integers(1, 12), seed=st.integers(0, 1000))
def test_cells_with_a_budget_each_keep_what_groups_keep(
    num_cells: int, num_tokens: int, budget: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores, spare = torch.randint(0, 4, (2, num_cells, num_tokens), generator=generator).float()  # with equals
    scores = scores.masked_fill(scores < 2, -torch.inf)
    groups = torch.arange(num_cells).repeat_interleave(num_tokens)
    wanted = keep_best(scores.flatten(), groups, torch.full((num_cells,), budget), spare=spare.flatten())
    assert keep_best_per_cell(scores, budget, spare=spare).tolist() == wanted.tolist()


def test_a_token_that_fills_up_is_itself_and_its_cluster_keeps_its_mean() -> None:
    # Tokens 0, 1, 4 belong to 4, tokens 2 and 3 to 2. Three places: the roots 2 and 4, and the best single one, 3.
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [20.0], [5.0]]], requires_grad=True)
    roots = torch.tensor([[4, 4, 2, 2, 4]])
    attention = torch.tensor([[0.0, 0.0, 1.0, 3.0, 3.0]])
    scores = cluster_means(attention, roots)
    places = keep_best(scores.flatten(), torch.zeros(5, dtype=torch.int64), torch.tensor([3]), spare=attention[0])
    kept = select_tokens(tokens, roots, scores, places, spare=attention)
    assert kept.positions.tolist() == [2, 3, 4]
    assert kept.features.flatten().tolist() == [15.0, 20.0, 3.0]
    assert kept.scores.tolist() == [2.0, -torch.inf, 1.0]
    assert kept.spare.tolist() == [1.0, 3.0, 3.0]
    kept.features.sum().backward()
    assert tokens.grad is not None
    torch.testing.assert_close(tokens.grad.flatten(), torch.tensor([1 / 3, 1 / 3, 1 / 2, 3 / 2, 1 / 3]))


def test_blocks_of_a_grid_set_by_hand() -> None:
    # 4 blocks of 4 × 4: two bands of two.
    assert grid_blocks(4, 4, 4) == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert block_roots(4, 4, 4, CPU).tolist() == [0, 0, 2, 2, 0, 0, 2, 2, 8, 8, 10, 10, 8, 8, 10, 10]
    # the middle of [0, 1] × [0, 1] is (1, 1), token 5, and so on
    assert (block_centres(4, 4, 4, CPU) == 0).nonzero().flatten().tolist() == [5, 7, 13, 15]


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 700))
def test_blocks_are_as_many_as_asked_for_and_cover_every_token_once(height: int, width: int, num_blocks: int) -> None:
    blocks = grid_blocks(height, width, num_blocks)
    assert len(blocks) == min(num_blocks, height * width)
    assert sorted(token for block in blocks for token in block) == list(range(height * width))


def test_random_scores_depend_on_the_seed_and_the_cell_alone() -> None:
    together = random_scores([0, 1, 2], 5, seed=7, device=CPU)
    assert torch.equal(together[1:2], random_scores([1], 5, seed=7, device=CPU))
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, random_scores([0, 1, 2], 5, seed=8, device=CPU))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_ranked_in_single(dtype: torch.dtype) -> None:
    tokens, anchors = draw_cells(2, 4, 4, 8, 9)
    tokens, anchors = tokens.to(dtype), anchors.to(dtype)
    weights = random_weights(8, 2)
    got = prune(tokens, anchors, weights, 5)
    assert got.dtype == dtype
    expected = dense_prune(tokens.float(), anchors.float(), weights, 5)
    torch.testing.assert_close(got.float(), expected, atol=0.02, rtol=0)
