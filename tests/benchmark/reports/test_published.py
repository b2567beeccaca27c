"""Published scores agree with themselves, and a run stands beside them only where it is the same measurement."""

from __future__ import annotations

from typing import Any

import pytest

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.benchmark.reports.published import compared_tasks, read_published, why_not_comparable
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.aggregates import BENCHMARK_TASKS
from rsvqa.benchmark.scores.results import Results
from tests.benchmark.make_runs import lite_replies, write_run


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return the results of a whole run over XLRS-Bench-lite."""
    return score_run(write_run(tmp_path_factory.mktemp("run"), lite_replies())).results


def changed(results: Results, short: str, **changes: Any) -> Results:
    """Return the results with one sub-task changed; without it when nothing is given."""
    tasks = [
        task.model_copy(update=changes) if task.short == short else task
        for task in results.tasks
        if task.short != short or changes
    ]
    return results.model_copy(update={"tasks": tuple(tasks)})


def as_own(results: Results) -> Results:
    """Return the results as if they were on a data set that `rsvqa build` wrote."""
    data = results.run.data.model_copy(update={"layout": "rsvqa build"})
    return results.model_copy(update={"run": results.run.model_copy(update={"data": data})})


def test_numbers_of_questions_are_those_of_lite() -> None:
    counts = read_published().data.num_questions
    assert sum(counts.values()) == 3080
    assert set(counts) == {TASKS[name].short for name in BENCHMARK_TASKS}


@pytest.mark.parametrize("model", ["GeoLLaVA-8K", "Qwen2.5-VL-72B"])
def test_averages_follow_from_the_scores_of_sub_tasks(model: str) -> None:
    (score,) = (one for one in read_published().scores if one.model == model)
    counts = read_published().data.num_questions
    micro = sum(score.tasks[short] * count for short, count in counts.items()) / 3080
    assert sum(score.tasks.values()) / 13 == pytest.approx(score.macro, abs=0.05)
    assert micro == pytest.approx(score.micro, abs=0.05)


def test_every_score_says_what_and_whence() -> None:
    scores = read_published().scores
    assert len({(score.model, score.variant) for score in scores}) == len(scores)
    assert all(score.variant and score.source for score in scores)
    assert [score.macro for score in scores] == sorted((score.macro for score in scores), reverse=True)


def test_the_same_measurement_is_comparable(lite: Results) -> None:
    assert why_not_comparable(lite) == ""
    assert compared_tasks(lite) == set(read_published().data.num_questions)


def test_other_measurements_say_why_they_are_not(lite: Results) -> None:
    assert why_not_comparable(as_own(lite)) == "other data, built with rsvqa build"
    assert why_not_comparable(changed(lite, "RC", num_questions=99)) == "other questions: RC 99 of 100"
    assert why_not_comparable(changed(lite, "RC", num_not_scored=2)) == "2 of its questions have no reply"
    assert why_not_comparable(changed(lite, "RC")) == "other tasks: no questions of RC"
    few = lite.model_copy(update={"tasks": lite.tasks[:1]})
    assert why_not_comparable(few) == "other tasks: no questions of RC, OSR, OLUC, RLUC and 8 more"


def test_whole_sub_tasks_are_compared_alone(lite: Results) -> None:
    every = set(read_published().data.num_questions)
    assert compared_tasks(changed(lite, "RC", num_questions=99)) == every - {"RC"}
    assert compared_tasks(changed(lite, "RC", num_not_scored=1)) == every - {"RC"}
    assert compared_tasks(as_own(lite)) == frozenset()
