"""Intervals: right by hand where that can be, else against a slow twin and by how often they hold the truth."""

from __future__ import annotations

import random
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.benchmark.scores import intervals
from rsvqa.benchmark.scores.intervals import Interval, make_part, mean_intervals


def interval(values: list[float], clusters: list[int], **bounds: float) -> Interval:
    return mean_intervals([[make_part(values, clusters, **bounds)]], seed=0)[0]


def ends(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_ten_of_ten_has_the_bounds_of_clopper_and_pearson() -> None:
    # 0.025^(1/10) = 0.6915: the tabulated exact 95 % interval of 10 of 10 is 69.15 % to 100 %
    low, high = ends(interval([1.0] * 10, list(range(10))))
    assert low == pytest.approx(0.6915, abs=5e-5)
    assert high == 1.0


def test_equal_differences_may_still_differ_elsewhere() -> None:
    # 1 - 0.025^(1/20) = 0.1684 of all images could differ by 1 either way
    found = interval([0.0] * 20, list(range(20)), low=-1.0)
    assert found.method == "exact"
    assert ends(found) == pytest.approx((-0.1684, 0.1684), abs=5e-5)


def test_one_image_has_no_interval_however_many_questions() -> None:
    assert interval([0.0, 1.0] * 30, [0] * 60) == Interval(
        low=None, high=None, method="none", reason="too few images: 1"
    )


def test_five_images_are_the_least() -> None:
    assert interval([0, 1, 0, 1], [0, 1, 2, 3]).method == "none"
    assert interval([0, 1, 0, 1, 1], [0, 1, 2, 3, 4]).method == "bootstrap"


def test_a_part_with_one_image_leaves_a_mean_of_parts_without_interval() -> None:
    many, single = make_part([0.0, 1.0] * 10, range(20)), make_part([1.0], [3])
    (found,) = mean_intervals([[many, single]], seed=0)
    assert found == Interval(low=None, high=None, method="none", reason="a part of it has too few images: 1")


def test_a_mean_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values to average"):
        make_part([], [])


def test_questions_of_an_image_count_once() -> None:
    # ten copies of each question on its image know nothing new
    values = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    copied = interval([value for value in values for _ in range(10)], [image for image in range(7) for _ in range(10)])
    assert ends(copied) == pytest.approx(ends(interval(values, list(range(7)))))
    alone = interval([value for value in values for _ in range(10)], list(range(70)))
    assert np.diff(ends(alone)) < 0.5 * np.diff(ends(copied))


def test_agrees_with_drawing_images_one_by_one() -> None:
    generator = random.Random(3)
    images = [[float(generator.random() < 0.6) for _ in range(generator.randint(1, 5))] for _ in range(200)]
    clusters = [number for number, values in enumerate(images) for _ in values]
    low, high = ends(interval([value for values in images for value in values], clusters))
    means = []
    for _ in range(4000):
        drawn = [images[generator.randrange(200)] for _ in range(200)]
        means.append(fmean(value for values in drawn for value in values))
    means.sort()
    # 200 images: widening is below 1 % of the width; ends are known to about 0.0015 on either side
    assert low == pytest.approx(means[100], abs=0.006)
    assert high == pytest.approx(means[3900], abs=0.006)


def test_a_mean_over_tasks_is_drawn_for_all_tasks_at_once() -> None:
    # the same 60 images in both tasks, and all an image's replies agree: the mean is no surer than one task
    values = np.random.default_rng(0).random(60)
    one, same, opposite = (make_part(v, range(60)) for v in (values, values, 1 - values))
    single, together, apart = mean_intervals([[one], [one, same], [one, opposite]], seed=0)
    assert np.diff(ends(together)) == pytest.approx(np.diff(ends(single)), rel=0.05)
    assert np.diff(ends(apart)) == pytest.approx(0.0, abs=1e-9)  # one gains what the other loses


def test_a_task_that_is_all_right_still_adds_to_the_doubt() -> None:
    values = np.random.default_rng(0).random(10)
    varying, right = make_part(values, range(10)), make_part(np.ones(10), range(10))
    alone, together, all_right = mean_intervals([[varying], [varying, right], [right, right]], seed=0)
    mean = (values.mean() + 1) / 2
    # 10 of 10 right: 0.3085 of other images may be wrong; distances add up in squares, each divided by 2 parts
    below = np.hypot(values.mean() - ends(alone)[0], 0.3085) / 2
    above = (ends(alone)[1] - values.mean()) / 2
    assert ends(together) == pytest.approx((mean - below, mean + above), abs=1e-4)
    assert ends(all_right) == pytest.approx((1 - np.hypot(0.3085, 0.3085) / 2, 1.0), abs=1e-4)
    assert (together.method, all_right.method) == ("bootstrap", "exact")


def test_work_in_blocks_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(number % 3 == 0) for number in range(60)]
    whole = ends(interval(values, list(range(60))))
    monkeypatch.setattr(intervals, "MAX_WEIGHTS", 60 * 7)
    assert ends(interval(values, list(range(60)))) == pytest.approx(whole, abs=0.02)


def test_same_seed_gives_the_same_interval_whatever_else_is_asked_of_the_images() -> None:
    part, other = make_part(np.random.default_rng(0).random(30), range(30)), make_part([1.0, 0.0] * 10, range(20))
    assert mean_intervals([[part]], seed=5)[0] == mean_intervals([[other], [part]], seed=5)[1]
    assert mean_intervals([[part]], seed=5) != mean_intervals([[part]], seed=6)


@pytest.mark.parametrize(("num_images", "share"), [(5, 0.5), (12, 0.7), (60, 0.3)])
def test_holds_the_truth_in_about_95_of_100_runs(num_images: int, share: float) -> None:
    # questions of an image are alike: its own share of right replies is drawn first
    generator = np.random.default_rng(8)
    held = []
    for trial in range(300):
        shares = generator.beta(4 * share, 4 * (1 - share), num_images)
        clusters = np.repeat(np.arange(num_images), generator.integers(1, 6, num_images))
        part = make_part(generator.random(clusters.size) < shares[clusters], clusters)
        low, high = ends(mean_intervals([[part]], seed=trial, num_replicates=800)[0])
        held.append(low <= share <= high)
    # a standard error is 1.3 points; without regard to images it would hold in about 80 % (60 images)
    assert 0.89 <= fmean(held) <= 0.99


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12)), min_size=1, max_size=40))
def test_lies_within_the_possible_values(questions: list[tuple[float, int]]) -> None:
    part = make_part([value for value, _ in questions], [cluster for _, cluster in questions])
    (found,) = mean_intervals([[part]], seed=0, num_replicates=200)
    if found.low is None or found.high is None:
        assert found.reason
    else:
        assert -1e-9 <= found.low <= found.high <= 1 + 1e-9
        assert found.low < found.high or found.method == "bootstrap"
