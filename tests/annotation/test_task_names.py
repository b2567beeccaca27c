"""Names of tasks: one grammar, whichever command they are given to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rsvqa.annotation.task_names import parse_task_names, parse_task_weights
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.config import load_settings

COUNTING = ("overall_counting", "regional_counting")
"""The paper's level 2 "Counting"; its file grouping of that name has two more."""


def only(*named: str) -> dict[str, float]:
    return dict.fromkeys(named, 1.0)


WORDS: dict[tuple[str, ...], dict[str, float]] = {
    ("OCL",): only("object_colour"),
    ("ocl", "Object_Colour", "object colour"): only("object_colour"),
    ("Object color", "object_color"): only("object_colour"),  # level 3, as the benchmark spells it
    ("Counting",): only(*COUNTING),
    ("counting", "OC"): only(*COUNTING),
    ("complex-reasoning",): only("environmental_reasoning", "conditional_counting"),
    ("Object  Properties",): only(*(name for name, info in TASKS.items() if info.level_2 == "Object Properties")),
    # the level and the task have one name: the task is meant
    ("object spatial relationship",): only("object_spatial_relationship"),
    ("reasoning",): only(*(name for name, info in TASKS.items() if info.level_1 == "Reasoning")),
    ("Perception", "Reasoning"): only(*TASKS),
    ("all",): only(*TASKS),
    (" ALL ",): only(*TASKS),
    ("RP", "OC"): only("overall_counting", "route_planning"),
    ("object_colour=0.5",): {"object_colour": 0.5},
    ("all", "OCL=0.5"): only(*TASKS) | {"object_colour": 0.5},
    ("OCL=0.5", "all"): only(*TASKS),
    ("Counting=0.5",): dict.fromkeys(COUNTING, 0.5),
    ("Counting=0.5", "OC=2"): {"overall_counting": 2, "regional_counting": 0.5},
    ("OC=2", "Counting=0.5"): dict.fromkeys(COUNTING, 0.5),
    ("OCL = 0.5", "OCL=2"): {"object_colour": 2},
    ("all", "Reasoning=0"): {name: float(info.level_1 == "Perception") for name, info in TASKS.items()},
    ("none",): dict.fromkeys(TASKS, 0.0),
    ("all", "none", "OC"): dict.fromkeys(TASKS, 0.0) | {"overall_counting": 1},
    (): {},
}
REFUSED = {
    "object_colr": "unknown task 'object_colr'; did you mean 'object_colour'?",
    "Countng": "unknown task 'Countng'; did you mean 'counting'?",
    "OCL2": "unknown task 'OCL2'; did you mean 'ocl'?",
    "": "unknown task ''; known: overall_counting, regional_counting, ",
    "OCL=": "task 'OCL=': expected a weight of 0 or more after '=', e.g. object_colour=0.5",
    "OCL=half": "task 'OCL=half': expected a weight",
    "OCL=-1": "task 'OCL=-1': expected a weight",
    "OCL=nan": "task 'OCL=nan': expected a weight",
    "OCL=inf": "task 'OCL=inf': expected a weight",
    "OCL=1=2": "task 'OCL=1=2': expected a weight",
    "none=0.5": "task 'none=0.5': 'none' has no weight",
}


@pytest.mark.parametrize(("entries", "weights"), WORDS.items(), ids=",".join)
def test_words_have_weights(entries: tuple[str, ...], weights: dict[str, float]) -> None:
    found = parse_task_weights(entries)
    assert (found.tasks, found.others) == (weights, {})
    assert list(found.tasks) == [name for name in TASKS if name in weights]  # the order of the taxonomy


@pytest.mark.parametrize(("entry", "message"), REFUSED.items())
def test_a_word_that_means_nothing_is_refused_in_one_line(entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        parse_task_weights(["OC", entry])
    assert str(caught.value).startswith(message)


def test_a_word_that_is_like_none_lists_the_tasks_and_not_every_spelling() -> None:
    with pytest.raises(ValueError, match=r"object_distance, their short names \(OCL\) and levels .*, all, none$"):
        parse_task_names(["xyz"])


@pytest.mark.parametrize("entries", [words for words in WORDS if not any("=" in word for word in words)], ids=",".join)
def test_names_alone_are_those_with_a_weight(entries: tuple[str, ...]) -> None:
    expected = tuple(name for name, weight in WORDS[entries].items() if weight)
    if expected:
        assert parse_task_names(entries) == tuple(name for name in TASKS if name in expected)
    else:
        with pytest.raises(ValueError, match=r"no task is named; expected e\.g\. all, or OCL,RLUC, or Reasoning"):
            parse_task_names(entries)


def test_a_weight_is_refused_where_it_has_no_meaning() -> None:
    with pytest.raises(ValueError, match=r"^task 'OCL=0.5': a weight has no meaning here; name the task alone$"):
        parse_task_names(["OCL=0.5"])


def test_other_things_have_weights_by_their_own_names() -> None:
    weights = parse_task_weights(["HighRS=2", "Counting=0.5"], others=["HighRS", "set"])
    assert weights == (dict.fromkeys(COUNTING, 0.5), {"HighRS": 2.0})
    with pytest.raises(ValueError, match="unknown task or data set 'highr'; did you mean 'highrs'"):
        parse_task_weights(["highr=2"], others=["highrs"])
    # a folder called "counting": whatever it is taken for, it may be the other
    with pytest.raises(ValueError, match="'counting' names a task or level and a data set; name the tasks in another"):
        parse_task_weights(["counting=2"], others=["counting"])
    assert parse_task_weights(["OC=2"], others=["counting"]).tasks == {"overall_counting": 2}


# --- the commands ---


def build(entries: tuple[str, ...]) -> Any:
    from rsvqa.rsvqa_builder.settings import BuildSettings

    # ten questions with weight 1
    return load_settings(BuildSettings, {"src": "s", "per_task": 10, "tasks": entries}).task_limits


def bench(entries: tuple[str, ...]) -> Any:
    from rsvqa.benchmark.settings import BenchSettings

    return dict.fromkeys(load_settings(BenchSettings, {"model": "m", "tasks": entries}).task_names, 10)


def train(entries: tuple[str, ...]) -> Any:
    from rsvqa.model.training_settings import TrainingSettings

    return dict.fromkeys(load_settings(TrainingSettings, {"data": ["d"], "init": "i", "tasks": entries}).task_names, 10)


def train_mix(entries: tuple[str, ...]) -> Any:
    from rsvqa.model.training_settings import TrainingSettings

    weights = load_settings(TrainingSettings, {"data": ["d"], "init": "i", "mix": entries}).weights.tasks
    return {name: round(10 * weight) for name, weight in weights.items() if weight}


@pytest.mark.parametrize("command", [build, bench, train, train_mix], ids=lambda command: command.__name__)
@pytest.mark.parametrize(("entries", "weights"), WORDS.items(), ids=",".join)
def test_a_word_means_the_same_in_every_command(
    command: Callable[[tuple[str, ...]], Any], entries: tuple[str, ...], weights: dict[str, float]
) -> None:
    from rsvqa.rsvqa_builder.config import SettingsError

    expected = {name: round(10 * weights[name]) for name in TASKS if weights.get(name)}
    is_bare = any("=" not in word and word.strip().lower() not in ("all", "none") for word in entries)
    refusals = {
        "bench": "a weight has no meaning here; name the task alone" if any("=" in word for word in entries) else "",
        "train": "a weight has no meaning here; weights stand in mix" if any("=" in word for word in entries) else "",
        "train_mix": "expected a weight of 0 or more after '='" if is_bare else "",
        "build": "",
    }
    refusal = refusals[command.__name__] or ("no task is named" if not expected and command in (bench, train) else "")
    if refusal:
        with pytest.raises(SettingsError, match=refusal) as caught:
            command(entries)
        assert "\n" not in str(caught.value)
    else:
        assert command(entries) == expected


@pytest.mark.parametrize("command", [build, bench, train], ids=lambda command: command.__name__)
def test_every_command_names_the_nearest_task(command: Callable[[tuple[str, ...]], Any]) -> None:
    from rsvqa.rsvqa_builder.config import SettingsError

    with pytest.raises(SettingsError, match=r"tasks.*unknown task 'object_colr'; did you mean 'object_colour'\?"):
        command(("object_colr",))
