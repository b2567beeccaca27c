"""The order of a run: complete, seeded, kind to the image cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given, settings

from rsvqa.model.ordering import (
    Draw,
    OrderedSample,
    OrderSettings,
    fingerprint_order,
    first_passes,
    num_draws,
    pass_starts,
    plan_order,
)

ORDER = OrderSettings(num_epochs=1, batch_size=4, num_lanes=1, mixed_groups=3, groups_lengths=True, seed=0)

orders = st.builds(
    OrderSettings,
    num_epochs=st.integers(1, 3),
    batch_size=st.integers(1, 9),
    num_lanes=st.integers(1, 4),
    mixed_groups=st.integers(1, 5),
    groups_lengths=st.booleans(),
    seed=st.integers(0, 9),
)


def make_samples(num_groups: int, per_group: int, weight: float = 1.0) -> list[OrderedSample]:
    """Samples whose lengths differ from one to the next."""
    return [
        OrderedSample(group, 10 + (7 * (group * per_group + number)) % 31, weight)
        for group in range(num_groups)
        for number in range(per_group)
    ]


@given(orders, st.integers(1, 12), st.integers(1, 6))
@settings(max_examples=60)
def test_every_epoch_draws_each_sample_once(order: OrderSettings, num_groups: int, per_group: int) -> None:
    samples = make_samples(num_groups, per_group)
    draws = plan_order(samples, order)
    assert Counter(draws) == Counter(
        Draw(sample, epoch) for epoch in range(int(order.num_epochs)) for sample in range(len(samples))
    )
    epochs = [draw.epoch for draw in draws]
    assert epochs == sorted(epochs)


@given(orders)
@settings(max_examples=20)
def test_same_seed_same_order_and_another_seed_another(order: OrderSettings) -> None:
    samples = make_samples(10, 4)
    draws = plan_order(samples, order)
    assert draws == plan_order(samples, order)
    assert draws != plan_order(samples, replace(order, seed=order.seed + 1))


@given(orders, st.integers(1, 4))
@settings(max_examples=40)
def test_an_image_is_needed_for_a_short_while_only(order: OrderSettings, per_group: int) -> None:
    samples = make_samples(12, per_group)
    draws = plan_order(samples, replace(order, num_epochs=1, batch_size=2, num_lanes=1))
    groups = [samples[draw.sample].group for draw in draws]
    for place in range(len(groups)):
        # those between their first and last use: the mixed ones, and one whose last sample did not fill a batch
        assert len(set(groups[: place + 1]) & set(groups[place:])) <= order.mixed_groups + 1


@given(st.integers(1, 4), st.integers(0, 9), st.sampled_from([(1, 1), (2, 1), (4, 1), (2, 2), (1, 4)]))
@settings(max_examples=40)
def test_the_questions_of_an_image_stay_in_one_process(size: int, seed: int, shape: tuple[int, int]) -> None:
    """Batches go to devices in turn, and on a device to the processes that read ahead, as accelerate and torch deal."""
    num_devices, num_workers = shape
    samples = make_samples(24, 4 * size)  # no batch is left unfilled
    order = replace(ORDER, batch_size=size, num_lanes=4, mixed_groups=4, num_epochs=2, seed=seed)
    owners: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for place, draw in enumerate(plan_order(samples, order)):
        batch = place // size
        owner = batch % num_devices, batch // num_devices % num_workers
        owners.setdefault((draw.epoch, samples[draw.sample].group), set()).add(owner)
    assert len(owners) == 2 * 24
    assert all(len(processes) == 1 for processes in owners.values())


def test_lanes_that_end_early_help_those_that_go_on() -> None:
    # groups of 12 and 2 samples on two lanes: the second lane has 2 batches of 1, then takes from the first
    samples = [OrderedSample(0, 5)] * 12 + [OrderedSample(1, 5)] * 2
    draws = plan_order(samples, replace(ORDER, batch_size=1, num_lanes=2, mixed_groups=2))
    groups = [samples[draw.sample].group for draw in draws]
    assert sorted(draw.sample for draw in draws) == list(range(14))
    assert {frozenset(groups[step : step + 2]) for step in (0, 2)} == {frozenset({0, 1})}
    assert groups[4:] == [0] * 10


def test_a_weight_of_two_draws_twice_and_of_a_quarter_another_quarter_each_epoch() -> None:
    samples = make_samples(4, 4, weight=2.0) + [OrderedSample(9, 5, 0.25) for _ in range(16)]
    draws = plan_order(samples, replace(ORDER, num_epochs=2))
    for epoch in (0, 1):
        counts = Counter(draw.sample for draw in draws if draw.epoch == epoch)
        assert all(counts[number] == 2 for number in range(16))
        assert sum(counts[number] for number in range(16, 32)) == 4  # a quarter of 16
    quarters = [{d.sample for d in draws if d.epoch == epoch and d.sample >= 16} for epoch in (0, 1)]
    assert quarters[0] != quarters[1]


def test_half_an_epoch_draws_half() -> None:
    draws = plan_order(make_samples(4, 5), replace(ORDER, num_epochs=1.5))
    assert Counter(draw.epoch for draw in draws) == {0: 20, 1: 10}


def test_batches_hold_similar_lengths() -> None:
    samples = [OrderedSample(number % 3, length) for number, length in enumerate([10, 90, 11, 91, 12, 92, 13, 93])]
    draws = plan_order(samples, ORDER)
    first, second = ({samples[d.sample].length for d in draws[start : start + 4]} for start in (0, 4))
    assert {frozenset(first), frozenset(second)} == {frozenset({10, 11, 12, 13}), frozenset({90, 91, 92, 93})}


def test_groups_are_mixed_only_with_their_neighbours() -> None:
    samples = make_samples(6, 4)
    groups = [samples[draw.sample].group for draw in plan_order(samples, replace(ORDER, groups_lengths=False))]
    assert not set(groups[:12]) & set(groups[12:])  # 3 groups of 4 samples are mixed, then the other 3
    assert groups[:12] != sorted(groups[:12], key=groups.index)  # and mixed they are


def test_fingerprint_follows_names_and_order() -> None:
    draws = [Draw(0, 0), Draw(1, 0)]
    assert fingerprint_order(draws, ["a", "b"]) == fingerprint_order([Draw(1, 0), Draw(0, 0)], ["b", "a"])
    assert fingerprint_order(draws, ["a", "b"]) != fingerprint_order(draws, ["b", "a"])
    assert fingerprint_order(draws, ["a", "b"]) != fingerprint_order([Draw(0, 0), Draw(1, 1)], ["a", "b"])


def test_draws_are_counted_by_key() -> None:
    assert num_draws([Draw(0, 0), Draw(2, 0), Draw(2, 1)], ["b", "c", "a"]) == {"a": 2, "b": 1, "c": 0}


def rows_of(draws: Sequence[Draw]) -> list[list[Draw]]:
    ends = [*pass_starts(draws), len(draws)]
    return [list(draws[start:end]) for start, end in pairwise(ends)]


@given(orders, st.integers(2, 4), st.integers(1, 6), st.lists(st.integers(0, 8), max_size=30))
@settings(max_examples=60)
def test_rows_hold_samples_of_the_same_images_and_as_many_as_may_be(
    order: OrderSettings, most: int, num_groups: int, images: list[int]
) -> None:
    samples = [OrderedSample(image % num_groups, 9) for image in images]
    rows = rows_of(plan_order(samples, replace(order, questions_per_pass=most), images=images))
    drawn = Counter(draw[:2] for row in rows for draw in row)
    assert drawn == Counter((number, epoch) for epoch in range(int(order.num_epochs)) for number in range(len(samples)))
    keys = [{(images[draw.sample], draw.epoch) for draw in row} for row in rows]
    assert all(len(key) == 1 for key in keys)
    assert all(1 <= len(row) <= most for row in rows)
    # of each image in each epoch one row at most is short
    short = [min(key) for key, row in zip(keys, rows, strict=True) if len(row) < most]
    assert len(short) == len(set(short))


def test_the_questions_that_share_a_row_change_from_epoch_to_epoch() -> None:
    samples = [OrderedSample(0, 9)] * 8
    rows = rows_of(plan_order(samples, replace(ORDER, num_epochs=2, questions_per_pass=4), images=[0] * 8))
    shared = [frozenset(draw.sample for draw in row) for row in rows]
    assert [len(row) for row in shared] == [4, 4, 4, 4]
    assert set(shared[:2]) != set(shared[2:])


def test_the_first_rows_of_a_run() -> None:
    draws = [Draw(0, 0), Draw(1, 0, joins=True), Draw(2, 0), Draw(3, 0), Draw(4, 0, joins=True)]
    assert pass_starts(draws) == [0, 2, 3]
    assert [len(first_passes(draws, number)) for number in range(5)] == [0, 2, 3, 5, 5]
    assert not pass_starts([])
    assert not first_passes([], 2)
