"""The sign-flip test by hand, by enumeration and under the null; differences between two runs."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.reports import comparison
from rsvqa.benchmark.reports.comparison import Comparison, Difference, compare, compare_runs, sign_flip_test
from rsvqa.benchmark.scores.measures import Measure, Measured
from tests.benchmark.make_runs import lite_replies, measured, stored, write_run

NAMES = ("first", "second")


def compared(first: str, second: str, short: str = "OC", *, per_image: int = 1) -> Comparison:
    """Compare two runs whose replies to questions with the right answer A are the letters given."""
    runs = [
        measured(
            stored(str(number), short, letter, images=(f"i{number // per_image}",))
            for number, letter in enumerate(letters)
        )
        for letters in (first, second)
    ]
    return compare(runs[0], runs[1], names=NAMES)


def strict(found: Comparison) -> Difference:
    return next(one for one in found.tasks if one.measure is Measure.STRICT)


# --- the test ---


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1, 1, 1], 0.25),  # of 8 sign changes +++ and --- reach 3
        ([1, 1, -1], 1.0),  # every sum is at least 1 from 0
        ([3, 1], 0.5),  # 4 and -4 of 4, 2, -2, -4
        ([2, 1, 1], 0.25),  # only 4 and -4
        ([2, 1, -1], 0.75),  # 2 is reached by all but +2-1-1 and its mirror
        ([1] * 6, 2 / 64),
        ([0, 0, 1, 0, 1], 0.5),  # images without a difference do not matter
        ([0, 0], 1.0),
    ],
)
def test_p_by_hand(values: list[float], p: float) -> None:
    found = sign_flip_test(np.array(values, float))
    assert found.is_exact
    assert found.p == pytest.approx(p)
    assert found.num_images == np.count_nonzero(values)


def test_agrees_with_trying_every_change_of_sign() -> None:
    values = np.random.default_rng(4).normal(0.4, 1, 11)
    sums = [abs(np.dot(signs, values)) for signs in product((1, -1), repeat=11)]
    expected = np.mean(np.array(sums) >= abs(values.sum()) - 1e-9)
    assert sign_flip_test(values).p == pytest.approx(expected)


def test_random_changes_of_sign_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0.5, 1, 12)
    exact = sign_flip_test(values)
    monkeypatch.setattr(comparison, "MAX_EXACT", 0)
    monkeypatch.setattr(comparison, "MAX_SIGNS", 1000)  # in blocks
    found = sign_flip_test(values)
    assert not found.is_exact
    assert found.p == pytest.approx(exact.p, abs=0.015)  # three standard errors of 10,000 draws


def test_p_is_never_zero() -> None:
    assert sign_flip_test(np.ones(200), num_flips=999).p == pytest.approx(1 / 1000)


def test_equal_models_are_told_apart_in_at_most_one_of_twenty_runs() -> None:
    generator = np.random.default_rng(2)
    found = [sign_flip_test(generator.normal(size=40), num_flips=400, seed=trial).p for trial in range(400)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.03)  # a standard error is 1.1 points
    assert np.mean(np.array(found) <= 0.5) == pytest.approx(0.5, abs=0.08)


# --- two runs ---


def test_differences_by_hand() -> None:
    found = strict(compared("AABBBA", "ABAAAA"))  # the second wins 3 questions, loses 1
    assert found.first == 0.5
    assert found.second == pytest.approx(5 / 6, abs=1e-6)
    assert found.difference.value == pytest.approx(2 / 6)
    assert (found.num_first_only, found.num_second_only) == (1, 3)
    # sum 2 of four ±1: |sum| ≥ 2 for all but the 6 of 16 with two of each sign
    assert found.test.p == pytest.approx(10 / 16)


def test_the_other_way_round_only_the_sign_changes() -> None:
    one, other = strict(compared("AABBBABA", "ABAAAAAB")), strict(compared("ABAAAAAB", "AABBBABA"))
    assert one.difference.value == -(other.difference.value or 0.0)
    assert one.difference.interval.low == pytest.approx(-(other.difference.interval.high or 0.0), abs=0.02)
    assert one.test == other.test


def test_many_questions_of_few_images_are_few_observations() -> None:
    found = compared("B" * 60, "A" * 60, per_image=20)
    assert strict(found).test.p == pytest.approx(0.25)  # 3 images
    assert strict(found).test.num_images == 3
    assert "only 3 image(s): intervals and p-values are rough, small differences cannot be seen" in found.notes


def test_equal_runs_do_not_differ() -> None:
    found = strict(compared("AB" * 15, "AB" * 15))
    assert found.difference.value == 0.0
    assert found.difference.interval.method == "exact"  # other images might differ
    assert found.test.p == 1.0


def test_macro_weighs_tasks_and_micro_questions() -> None:
    def run(counting: str, colour: str) -> list[Measured]:
        return measured(
            [stored(f"c{n}", "OC", letter, images=(f"c{n}",)) for n, letter in enumerate(counting)]
            + [stored(f"l{n}", "OCL", letter, images=(f"l{n}",)) for n, letter in enumerate(colour)]
        )

    found = compare(run("BB", "AAAAAA"), run("AA", "AAABBB"), names=NAMES)
    values = {one.name.split(":")[0]: one.difference.value for one in found.averages if one.measure is Measure.STRICT}
    # counting +1 on 2 questions, colour -1/2 on 6
    assert values == {"micro": pytest.approx((2 - 3) / 8), "macro": pytest.approx((1 - 0.5) / 2)}


def test_p_values_of_tasks_are_corrected_for_their_number() -> None:
    letters = {"OC": "A" * 7, "RC": "A" * 5 + "BB", "OSR": "A" * 6 + "B"}  # p = 1/64, 1/16, 1/32

    def run(replies: dict[str, str]) -> list[Measured]:
        return measured(
            stored(f"{short}{n}", short, letter, images=(f"{short}{n}",))
            for short, text in replies.items()
            for n, letter in enumerate(text)
        )

    found = compare(run(dict.fromkeys(letters, "B" * 7)), run(letters), names=NAMES)
    tests = {one.name: one.test for one in found.tasks if one.measure is Measure.STRICT}
    assert tests["overall_counting"].p == pytest.approx(1 / 64)
    assert tests["overall_counting"].p_holm == pytest.approx(3 / 64)
    assert tests["object_spatial_relationship"].p_holm == pytest.approx(2 / 32)
    assert tests["regional_counting"].p_holm == pytest.approx(1 / 16)


def test_macro_13_stands_beside_the_macro_with_own_tasks() -> None:
    replies = [*lite_replies(), *(stored(f"own{n}", "OD", "A", images=(f"i{n}",)) for n in range(5))]
    found = compare(measured(replies), measured(replies), names=NAMES)
    names = [one.name for one in found.averages if one.measure is Measure.OFFICIAL]
    assert names == [
        "micro: mean over all questions",
        "macro: mean over 14 sub-tasks",
        "macro-13: mean over the 13 category values",
    ]


# --- which questions ---


def test_other_samples_are_refused_and_shared_ones_compared_when_asked() -> None:
    first = measured([stored(name, "OC", "A") for name in "abc"])
    second = measured([stored(name, "OC", "B") for name in "bcde"])
    with pytest.raises(RunError, match="2 questions are shared, 1 only in the first, 2 only in the second; `shared`"):
        compare(first, second, names=NAMES)
    found = compare(first, second, names=NAMES, shared=True)
    assert (found.num_shared, found.num_first_only, found.num_second_only) == (2, 1, 2)
    assert "only the 2 shared questions are compared" in found.notes


def test_nothing_shared_is_refused() -> None:
    with pytest.raises(RunError, match="no question in common"):
        compare(measured([stored("a", "OC", "A")]), measured([stored("b", "OC", "A")]), names=NAMES)


def test_one_id_with_two_questions_is_refused() -> None:
    with pytest.raises(RunError, match="a is another question in each run"):
        compare(
            measured([stored("a", "OC", "A")]),
            measured([stored("a", "OC", "A", question="Another?")]),
            names=NAMES,
        )


def test_one_id_with_two_images_is_refused() -> None:
    with pytest.raises(RunError, match="a shows another image in each run"):
        compare(
            measured([stored("a", "OC", "A", images=("i",))]),
            measured([stored("a", "OC", "A", images=("j",))]),
            names=NAMES,
        )


def test_other_prompts_are_named() -> None:
    first = measured([stored("a", "OC", "A"), stored("b", "OC", "A")])
    second = measured([stored("a", "OC", "A", prompt="In other words?"), stored("b", "OC", "A")])
    notes = compare(first, second, names=NAMES).notes
    assert "1 questions were worded differently: model and prompt are compared together" in notes


def test_unanswered_questions_are_counted_and_not_compared() -> None:
    first = measured([stored(name, "OC", "A") for name in "abc"])
    second = measured([stored("a", "OC", "A"), stored("b", "OC", None), stored("c", "OC", "B")])
    found = compare(first, second, names=NAMES)
    assert (found.num_shared, found.num_unanswered) == (2, 1)
    assert "1 shared questions have no reply in one of the runs and are not compared" in found.notes


def test_boxes_rewritten_for_one_model_only_are_named() -> None:
    first = measured([stored("a", "OCL", "A")])
    second = measured([stored("a", "OCL", "A", boxes_rewritten=True)])
    assert any("rewritten for one of the models" in note for note in compare(first, second, names=NAMES).notes)


def test_images_that_one_run_does_not_know_are_those_of_the_other() -> None:
    seeing = [stored(str(n), "OC", "A", images=(f"i{n // 2}",)) for n in range(10)]
    blind = [stored(str(n), "OC", "B", images=()) for n in range(10)]
    for runs in ((seeing, blind), (blind, seeing)):
        found = strict(compare(measured(runs[0]), measured(runs[1]), names=NAMES))
        assert found.difference.num_images == 5


def test_boxes_are_compared_by_iou() -> None:
    right = (0.0, 0.0, 0.5, 0.5)
    runs = [measured([stored("a", "FVG", reply, box=right)]) for reply in ("nothing", "[0, 0, 4000, 1800]")]
    found = {one.measure: one.difference.value for one in compare(runs[0], runs[1], names=NAMES).tasks}
    assert found == {Measure.ACC_50: 1.0, Measure.ACC_70: 0.0, Measure.IOU: pytest.approx(0.6)}


def test_folders_are_scored_anew(tmp_path: Path) -> None:
    first = write_run(tmp_path / "one", [stored("a", "OC", "A")], model_name="model")
    second = write_run(tmp_path / "two", [stored("a", "OC", "B")], model_name="model")
    found = compare_runs(first, second)
    assert (found.first, found.second) == ("model (one)", "model (two)")
    assert strict(found).difference.value == -1.0


@pytest.mark.parametrize(
    ("first", "second", "is_noted"),
    [
        (("llava", "CLIPImageProcessor"), ("llava", "CLIPImageProcessorPil"), True),
        (("llava", "CLIPImageProcessor"), ("llava", "CLIPImageProcessorFast"), True),
        (("llava", "CLIPImageProcessorPil"), ("qwen2_vl", "Qwen2VLImageProcessor"), True),
        (("llava", "CLIPImageProcessor"), ("qwen2_vl", "Qwen2VLImageProcessor"), False),
        (("llava", "CLIPImageProcessorPil"), ("llava", "CLIPImageProcessorPil"), False),
        (("llava", "CLIPImageProcessor"), ("gpt", ""), False),  # an endpoint
    ],
)
def test_another_image_processor_is_said(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], is_noted: bool
) -> None:
    folders = [
        write_run(
            tmp_path / name,
            [stored("a", "OC", letter)],
            model={"model_type": kind} | ({"image_processor": processor} if processor else {}),
        )
        for name, letter, (kind, processor) in (("one", "A", first), ("two", "B", second))
    ]
    notes = [note for note in compare_runs(folders[0], folders[1]).notes if "images went through" in note]
    assert len(notes) == is_noted
    if is_noted:
        assert notes[0].startswith(f"images went through {first[1]} in A and {second[1]} in B")
