"""Which patches a token stands for, and when it shows an object; worked out by hand on grids of 2 × 2 patches."""

from __future__ import annotations

import numpy as np
import pytest

from rsvqa.rsvqa_builder.documents.token_map import TokenGrid, TokenMap, map_all, map_tokens, shows

PAIR = TokenGrid(1, 2, 2)
"""Two cells side by side; their patches are 0 1 / 2 3 each, so the canvas has 2 × 4 patches."""


def make_map(*, fills_with_zeros: bool) -> TokenMap:
    """Return tokens of two cells: a cluster of the first row; a cluster of 0 and 3, patch 2 by itself; 1 is lost."""
    return map_tokens(
        PAIR,
        cells=np.array([0, 1, 1]),
        positions=np.array([1, 0, 2]),
        scores=np.array([0.5, 0.25, -1.0], np.float32),
        roots=np.array([[1, 1, 2, 2], [0, 1, 1, 0]]),
        fills_with_zeros=fills_with_zeros,
    )


def test_patches_of_a_cluster_belong_to_its_token_and_a_filler_to_itself() -> None:
    tokens = make_map(fills_with_zeros=False)
    assert tokens.owners.tolist() == [[0, 0, 1, -1], [-1, -1, 2, 1]]
    assert list(zip(tokens.rows.tolist(), tokens.columns.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert tokens.sizes.tolist() == [2, 2, 1]


def test_a_zero_vector_stands_for_nothing() -> None:
    tokens = make_map(fills_with_zeros=True)
    assert tokens.owners.tolist() == [[0, 0, 1, -1], [-1, -1, -1, 1]]
    assert tokens.sizes.tolist() == [2, 2, 0]


def test_cells_are_laid_out_row_by_row_and_all_patches_may_be_tokens() -> None:
    tokens = map_all(TokenGrid(2, 1, 2))
    assert tokens.owners.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert tokens.sizes.tolist() == [1] * 8
    assert (tokens.rows[5], tokens.columns[5], tokens.scores) == (2, 1, None)
    assert map_all(PAIR).owners.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


@pytest.mark.parametrize(
    ("box", "is_shown"),
    [
        ((0, 0, 20, 10), True),  # both patches of token 0
        ((0, 0, 10, 10), True),  # one of its two: half
        ((2, 2, 4, 4), True),  # smaller than a patch: the patch that holds its middle
        ((31, 1, 33, 3), False),  # patch (0, 3) went into no token
        ((0, 10, 20, 20), False),
        ((20, 10, 30, 20), True),  # patch (1, 2) by itself
        ((34, 14, 60, 40), True),  # reaches beyond the canvas; half of token 1
        ((-9, 12, -1, 14), False),  # outside: the nearest patch, which is not kept
    ],
)
def test_an_object_is_shown_by_a_token_that_is_half_on_it(
    box: tuple[float, float, float, float], is_shown: bool
) -> None:
    assert shows(make_map(fills_with_zeros=False), box, 10) is is_shown


def test_a_mean_over_much_more_than_the_object_does_not_show_it() -> None:
    block = map_tokens(
        TokenGrid(1, 1, 2),
        cells=np.array([0]),
        positions=np.array([0]),
        scores=np.zeros(1, np.float32),
        roots=np.zeros((1, 4), np.int64),
        fills_with_zeros=False,
    )
    assert not shows(block, (0, 0, 10, 10), 10)
    assert shows(block, (0, 0, 20, 10), 10)


def test_with_every_patch_kept_every_object_is_shown() -> None:
    tokens = map_all(PAIR)
    boxes = np.random.default_rng(0).uniform(0, 40, (200, 4))
    for x, y, width, height in boxes:
        assert shows(tokens, (x, y, x + width, y + height), 10)
