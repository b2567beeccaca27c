"""Power: by hand where that can be, by simulation where it matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsvqa.benchmark.errors import NothingToScoreError
from rsvqa.benchmark.scores.intervals import make_part, mean_intervals
from rsvqa.benchmark.scores.power import Assumptions, measure_assumptions, plan_power
from tests.benchmark.make_runs import stored, write_run
from tests.run_build import rsvqa


def assumed(disagreement: float, correlation: float, per_image: float) -> Assumptions:
    return Assumptions(
        disagreement=disagreement, correlation=correlation, questions_per_image=per_image, source="assumed"
    )


def test_the_number_of_images_by_hand() -> None:
    # (1.95996 + 0.84162)² = 7.8489; / 0.1² · (0.3 - 0.01) = 227.6; + 1.96² / 2 = 229.5
    (need, *_) = plan_power(assumed(0.3, 0.0, 1), difference=0.1, power=0.8).needs
    assert (need.num_images, need.num_questions) == (230, 230)
    # with 5 questions correlated by 0.5: 227.6 · 3 / 5 = 136.6; + 1.9 = 138.5
    (need, *_) = plan_power(assumed(0.3, 0.5, 5), difference=0.1, power=0.8).needs
    assert (need.num_images, need.num_questions) == (139, 695)


def test_questions_that_are_all_alike_count_as_one() -> None:
    needs = plan_power(assumed(0.3, 1.0, 1), difference=0.1, power=0.8).needs
    assert {need.num_images for need in needs} == {230}


def test_a_large_difference_still_needs_as_many_images_as_an_interval_does() -> None:
    (need, *_) = plan_power(assumed(0.9, 0.0, 50), difference=0.9, power=0.8).needs
    assert need.num_images == 5


def test_what_is_seen_is_what_the_images_suffice_for() -> None:
    known = assumed(0.3, 0.1, 5)
    seen = plan_power(known, difference=0.05, power=0.8, num_images=200).seen
    assert seen is not None
    # 200 images, less the two that Student's t takes
    assert plan_power(known, difference=seen, power=0.8).needs[0].num_images == pytest.approx(202, abs=1)


def test_more_difference_than_differing_questions_is_refused() -> None:
    with pytest.raises(NothingToScoreError, match="a difference of 40 points needs at least as many per cent"):
        plan_power(assumed(0.3, 0.1, 5), difference=0.4, power=0.8)


def test_assumptions_are_measured() -> None:
    # two images, whose questions are alike within each: nothing varies within, so the correlation is 1
    known = measure_assumptions([1, 1, 0, 0], [0, 0, 1, 1], source="s")
    assert (known.disagreement, known.correlation, known.questions_per_image) == (0.5, 1.0, 2.0)
    # between (2 · 0 + 2 · 0) / 1 = 0, within 1 / 2: less than 0, which is 0
    assert measure_assumptions([1, 0, 1, 0], [0, 0, 1, 1], source="s").correlation == 0.0
    assert measure_assumptions([1, 0, -1], [0, 1, 2], source="s").correlation == 0.0
    with pytest.raises(NothingToScoreError, match="answer no question differently"):
        measure_assumptions([0, 0], [0, 1], source="s")
    with pytest.raises(NothingToScoreError, match="answer no question differently"):
        measure_assumptions([], [], source="s")


def test_images_with_different_numbers_of_questions_need_more_of_them() -> None:
    # 1 and 3 questions: mean 2, squares 5 on average, so a question finds 5 / 2 about its image, 1.25 times the mean
    known = measure_assumptions([1, 1, 0, 0], [0, 1, 1, 1], source="s")
    assert (known.questions_per_image, known.unevenness) == (2.0, 1.25)
    assert measure_assumptions([1, 0, 1, 0], [0, 0, 1, 1], source="s").unevenness == 1.0
    # 227.6 · (1 + (1.25 · 2 - 1) · 0.5) / 2 = 199.2; + 1.9 = 201.1, and with 2 each 227.6 · 1.5 / 2 + 1.9 = 172.6
    uneven = assumed(0.3, 0.5, 2).model_copy(update={"unevenness": 1.25})
    assert plan_power(uneven, difference=0.1, power=0.8).needs[0].num_images == 202
    assert plan_power(assumed(0.3, 0.5, 2), difference=0.1, power=0.8).needs[0].num_images == 173
    # other numbers per image are plans, with as many for each
    assert plan_power(uneven, difference=0.1, power=0.8).needs[1:] == tuple(
        need
        for need in plan_power(assumed(0.3, 0.5, 99), difference=0.1, power=0.8).needs[1:]
        if need.questions_per_image != 2
    )


def test_the_command_measures_on_two_runs(tmp_path: Path) -> None:
    images = [(f"i{number // 2}",) for number in range(40)]
    for name, replies in (("a", "AB" * 20), ("b", "A" * 40)):
        write_run(tmp_path / name, [stored(str(n), "OC", replies[n], images=images[n]) for n in range(40)])
    done = rsvqa("power", tmp_path / "a", tmp_path / "b", "--difference", 10)
    assert (done.code, done.err) == (0, "")
    assert "differ on 50.0 % of the questions" in done.out
    assert "measured on 40 questions of a and b" in done.out
    assert "These runs can show a difference of" in done.out
    assert rsvqa("power", tmp_path / "a").code == 2
    same = rsvqa("power", tmp_path / "a", tmp_path / "a")
    assert same.code == 2
    assert "answer no question differently" in same.err


def test_runs_over_other_questions_of_the_same_ids_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [stored(str(n), "OC", "A") for n in range(4)])
    write_run(tmp_path / "b", [stored(str(n), "OC", "B", question="Another?") for n in range(4)])
    done = rsvqa("power", tmp_path / "a", tmp_path / "b")
    assert done.code != 0
    assert "0 is another question in each run" in done.err
    write_run(tmp_path / "c", [stored("x", "OC", "A")])
    assert "no question in common" in rsvqa("power", tmp_path / "a", tmp_path / "c").err


def test_the_command_plans_from_assumptions() -> None:
    assert rsvqa("power", "--per-image", "inf").code == 2
    done = rsvqa("power", "--difference", 10, "--differing", 30, "--correlation", 0, "--per-image", 1)
    assert [line.split() for line in done.out.splitlines() if line.startswith("1 ")] == [["1", "230", "230"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("correlation", "size", "is_even"), [(0.0, 1, True), (0.1, 5, True), (0.4, 8, True), (0.4, 4, False)]
)
def test_as_many_images_as_planned_show_the_difference_as_often_as_planned(
    correlation: float, size: int, is_even: bool
) -> None:
    # an image's questions share one difference with the chance sqrt(r), so that two of them correlate by r
    disagreement, difference, power, rounds = 0.3, 0.08, 0.8, 400
    # drawn from a geometric distribution with mean m, numbers have squares of 2 m² - m on average
    unevenness = 1.0 if is_even else 2 - 1 / size
    known = assumed(disagreement, correlation, size).model_copy(update={"unevenness": unevenness})
    (need, *_) = plan_power(known, difference=difference, power=power).needs
    shares = [(disagreement - difference) / 2, 1 - disagreement, (disagreement + difference) / 2]
    generator = np.random.default_rng(7)
    seen = 0
    measured = []
    for number in range(rounds):
        sizes = np.full(need.num_images, size) if is_even else generator.geometric(1 / size, need.num_images)
        clusters = np.repeat(np.arange(need.num_images), sizes)
        own = generator.choice([-1.0, 0.0, 1.0], clusters.size, p=shares)
        common = generator.choice([-1.0, 0.0, 1.0], need.num_images, p=shares)[clusters]
        values = np.where(generator.random(clusters.size) < correlation**0.5, common, own)
        measured.append(measure_assumptions(values, clusters.tolist(), source="s"))
        (found,) = mean_intervals([[make_part(values, clusters, low=-1.0)]], seed=number, num_replicates=500)
        seen += found.low is not None and found.low > 0
    # 400 rounds have a standard error of 2 points
    assert seen / rounds == pytest.approx(power, abs=0.06)
    assert np.mean([one.correlation for one in measured]) == pytest.approx(correlation, abs=0.02)
    assert np.mean([one.unevenness for one in measured]) == pytest.approx(unevenness, abs=0.03)
