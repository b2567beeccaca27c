"""Figures worked out by hand, and lmms-eval's own aggregation where its wheel is at hand."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.scores.aggregates import BENCHMARK_TASKS, Aggregates, aggregate, majority_answer, majority_letter
from rsvqa.benchmark.scores.results import Average, TaskResult
from tests.benchmark.make_runs import FOUR, lite_replies, measured, stored


def figures(replies: Sequence[StoredReply]) -> Aggregates:
    return aggregate(measured(replies))


def task(found: Aggregates, name: str) -> TaskResult:
    return next(one for one in found.tasks if one.task == name)


def average(found: Aggregates, key: str) -> Average:
    return next(one for one in found.averages if one.key == key)


RUN = [
    stored("c1", "OC", "A", images=("i1",)),  # right by both
    stored("c2", "OC", "B. green", images=("i2",), answer="B"),  # right, official reads B, D, E
    stored("c3", "OC", "C", images=("i1",)),  # wrong
    stored("c4", "OC", "", images=("i3",)),  # no answer
    stored("c5", "OC", None, images=("i4",)),  # not scored
    stored("l1", "OLUC", "A C", images=("i1",), answer="AC"),  # right by both
    stored("l2", "OLUC", "A", images=("i5",), answer="AC"),  # wrong
    stored("m1", "OMS", "A", images=("i6",)),
    stored("p1", "RP", "D", images=("i6",), answer="D"),
]


def test_right_wrong_no_answer_and_not_scored_stay_apart() -> None:
    found = task(figures(RUN), "overall_counting")
    assert (found.num_questions, found.num_not_scored) == (5, 1)
    assert found.choice is not None
    assert found.choice.strict.value == 2 / 4
    assert found.choice.official.value == 1 / 4
    assert (found.choice.strict_no_answer, found.choice.official_no_answer) == (1 / 4, 1 / 4)
    assert (found.choice.strict.num_questions, found.choice.strict.num_images) == (4, 3)


def test_share_without_an_answer_is_averaged_like_the_accuracies() -> None:
    found = figures(RUN)
    # 1 of 4 in counting, none of 2, 1 and 1 elsewhere
    assert average(found, "micro").strict_no_answer == pytest.approx(1 / 8)
    assert average(found, "macro").strict_no_answer == pytest.approx(1 / 16)
    assert average(found, "macro_13").strict_no_answer is None


def test_letters_read_beside_the_right_ones() -> None:
    choice = task(figures(RUN), "overall_counting").choice
    assert choice is not None
    assert choice.right_letters == {"A": 3, "B": 1}
    assert choice.strict_letters == {"": 1, "A": 1, "B": 1, "C": 1}
    assert choice.confusion == {"A": {"": 1, "A": 1, "C": 1}, "B": {"B": 1}}


def test_micro_is_over_questions_and_macro_over_tasks() -> None:
    found = figures(RUN)
    # counting 2 of 4, land use 1 of 2, motion 1 of 1, planning 1 of 1
    assert average(found, "micro").strict.value == pytest.approx(5 / 8)
    assert average(found, "macro").strict.value == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert average(found, "macro").name == "macro: mean over the 4 sub-task(s) of this run"


def test_levels_are_over_questions_and_over_sub_tasks() -> None:
    found = figures(RUN)
    # Perception: counting 2 of 4, land use 1 of 2, motion 1 of 1
    assert average(found, "level_1/Perception/micro").strict.value == pytest.approx(4 / 7, abs=1e-6)
    assert average(found, "level_1/Perception/macro").strict.value == pytest.approx((0.5 + 0.5 + 1) / 3, abs=1e-6)
    assert average(found, "level_2/Planning/micro").strict.value == 1.0
    assert not any(one.key.startswith("level_2/Visual Grounding") for one in found.averages)


def test_macro_13_has_no_value_with_a_sub_task_missing() -> None:
    found = average(figures(RUN), "macro_13")
    assert found.strict.value is None
    assert found.chance is None
    assert found.missing.startswith("no questions of RC, RLUC, OSR")
    assert found.missing.endswith("which lmms-eval would count as 0")


def test_macro_13_leaves_own_tasks_out() -> None:
    replies = [*lite_replies("A"), *(stored(f"own{n}", "OD", "B", images=(f"i{n}",)) for n in range(9))]
    found = figures(replies)
    assert average(found, "macro_13").strict.value == 1.0
    assert average(found, "macro").strict.value == pytest.approx(13 / 14, abs=1e-6)
    assert len(average(found, "macro_13").parts) == 13


def test_vlmevalkits_macro_splits_a_category_by_its_l2_category() -> None:
    replies = [
        stored("1", "OCC", "A", l2_category="Ship"),
        stored("2", "OCC", "A", l2_category="Ship"),
        stored("3", "OCC", "B", l2_category="Plane"),
    ]
    found = figures(replies)
    assert average(found, "macro_vlmevalkit").official.value == pytest.approx((1 + 0) / 2)
    assert average(found, "macro").official.value == pytest.approx(2 / 3, abs=1e-6)


def test_a_task_without_a_reply_leaves_the_macro_without_a_value() -> None:
    replies = [stored("1", "OC", None), *(stored(f"r{n}", "RP", "A", images=(f"i{n}",)) for n in range(6))]
    found = figures(replies)
    assert average(found, "macro").strict.value is None
    assert average(found, "macro").missing == "nothing to average in overall_counting"
    assert average(found, "micro").strict.value == 1.0
    choice = task(found, "overall_counting").choice
    assert choice is not None
    assert (choice.strict.value, choice.chance) == (None, None)


def test_chance_is_that_of_the_options() -> None:
    found = figures([*RUN, stored("o", "OSR", "A", options=FOUR[:3])])
    chances = {one.short: one.choice.chance for one in found.tasks if one.choice is not None}
    # several of four: 15 non-empty subsets
    assert chances == pytest.approx({"OC": 1 / 4, "OLUC": 1 / 15, "OMS": 1 / 2, "RP": 1 / 4, "OSR": 1 / 3}, abs=1e-6)
    # 4 questions at 1/4, 2 at 1/15, 1 at 1/2, 1 at 1/4, 1 at 1/3
    assert average(found, "micro").chance == pytest.approx((1 + 2 / 15 + 0.5 + 0.25 + 1 / 3) / 9, abs=1e-6)


def test_majority_in_letters_and_in_words() -> None:
    shuffled = ("(A) green", "(B) red", "(C) blue", "(D) white")
    questions = measured(
        [
            stored("1", "OCL", "A", answer="A"),  # red
            stored("2", "OCL", "A", answer="B", options=shuffled),  # red
            stored("3", "OCL", "A", answer="B", options=shuffled),  # red
            stored("4", "OCL", "A", answer="C"),  # blue
        ]
    )
    assert majority_letter(questions) == 2 / 4  # B
    assert majority_answer(questions) == 3 / 4  # red
    assert majority_letter([]) is None


def test_majority_of_several_tasks_is_one_answer_a_task() -> None:
    letters = {"OC": "AAB", "RP": "CCCD"}
    replies = [
        stored(f"{short}{n}", short, "A", answer=letter)
        for short, text in letters.items()
        for n, letter in enumerate(text)
    ]
    assert average(figures(replies), "micro").majority_letter == pytest.approx((2 + 3) / 7, abs=1e-6)
    assert average(figures(replies), "macro").majority_letter == pytest.approx((2 / 3 + 3 / 4) / 2, abs=1e-6)


def test_grounding_counts_invalid_boxes_apart() -> None:
    right = (0.0, 0.0, 0.5, 0.5)
    texts = ["[0, 0, 4000, 1800]", "[0, 0, 4000, 3000]", "nothing", None]  # IoU 0.6, 1, invalid, no reply
    replies = [stored(str(n), "FVG", text, box=right) for n, text in enumerate(texts)]
    found = task(figures(replies), "fine_grained_grounding")
    assert found.num_not_scored == 1
    assert found.box is not None
    assert found.box.acc_50.value == pytest.approx(2 / 3, abs=1e-6)
    assert found.box.acc_70.value == pytest.approx(1 / 3, abs=1e-6)
    assert found.box.mean_iou.value == pytest.approx(1.6 / 3, abs=1e-6)
    assert found.box.mean_iou_valid.value == pytest.approx(0.8)
    assert found.box.num_invalid == 1
    assert figures(replies).averages == ()


def test_circular_figures_are_there_only_with_rotations() -> None:
    plain = average(figures(RUN), "micro")
    assert plain.strict_circular is None
    replies = [
        stored(f"q{n}", "OC", said, answer=right, rotation=rotation, images=(f"i{n}",))
        for n, text in enumerate(["ABCD", "AAAA", "ABCD", "DCBA"])
        for rotation, (said, right) in enumerate(zip(text, "ABCD", strict=True))
    ]
    found = average(figures(replies), "micro")
    assert found.strict.value == 3 / 4  # as they stand in the file
    assert found.strict_circular is not None
    assert found.strict_circular.value == 2 / 4
    assert task(figures(replies), "overall_counting").num_questions == 4


def test_one_image_has_no_interval() -> None:
    choice = task(figures([stored(str(n), "OC", "AB"[n % 2]) for n in range(30)]), "overall_counting").choice
    assert choice is not None
    assert choice.strict.num_images == 1
    assert choice.strict.interval.reason == "too few images: 1"
    assert choice.strict.interval.low is None


def test_figures_do_not_depend_on_the_order_of_replies() -> None:
    replies = [stored(f"q{n}", "OC", random.Random(n).choice("ABC"), images=(f"i{n % 9}",)) for n in range(60)]
    mixed = random.Random(5).sample(replies, len(replies))
    assert figures(mixed) == figures(replies)


def test_a_run_without_questions_has_no_figures() -> None:
    assert figures([]) == Aggregates((), ())


# --- lmms-eval ---


@pytest.fixture
def lmms_eval(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return lmms-eval's module, from an unpacked wheel; its log goes nowhere."""
    wheel = os.environ.get("RSVQA_LMMS_EVAL")
    if not wheel:
        pytest.skip("RSVQA_LMMS_EVAL does not name an unpacked wheel of lmms-eval")
    loguru = ModuleType("loguru")
    loguru.__dict__["logger"] = Mock()
    monkeypatch.setitem(sys.modules, "loguru", loguru)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)  # the module sets it; put back after the test
    path = Path(wheel) / "lmms_eval" / "tasks" / "xlrs" / "mcq_utils.py"
    spec = importlib.util.spec_from_file_location("lmms_eval_mcq_utils", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(5))
def test_micro_and_macro_are_those_of_lmms_eval(seed: int, lmms_eval: ModuleType) -> None:
    generator = random.Random(seed)
    texts = ["A", "B", "(C)", "D. white", "The answer is B", "b", "", "none of these", "\\boxed{A}"]
    replies = [
        stored(f"{name}{n}", TASKS[name].short, generator.choice(texts), answer=generator.choice(["A", "B", "C"]))
        for name in BENCHMARK_TASKS
        for n in range(generator.randint(1, 9))
    ]
    theirs = [
        {
            "pred_answer": lmms_eval.extract_characters_regex(reply.reply),
            "answer": reply.answer,
            "category": reply.category.split("/")[0],
            "sub_category": reply.category.split("/")[1],
            "task_category": reply.l2_category,
        }
        for reply in replies
    ]
    found = figures(replies)
    assert average(found, "micro").official.value == pytest.approx(lmms_eval.xlrs_aggregate_results(theirs), abs=1e-6)
    macro = lmms_eval.xlrs_aggregate_results(theirs, macro=True)
    assert average(found, "macro_13").official.value == pytest.approx(macro, abs=1e-6)


def test_a_run_of_own_tasks_alone_has_no_macro_13() -> None:
    own = next(info.short for info in TASKS.values() if info.is_own and AnswerForm.YES_NO in info.forms)
    found = aggregate(measured([stored(str(n), own, "A", images=(f"i{n}",)) for n in range(6)]))
    (thirteen,) = [one for one in found.averages if one.key == "macro_13"]
    assert thirteen.strict.value is None
    assert thirteen.missing.startswith("no questions of ")
    (micro,) = [one for one in found.averages if one.key == "micro"]
    assert micro.strict.value == 1.0
