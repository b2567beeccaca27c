"""Tasks are run in the taxonomy's order, only as far as needed; what is dropped is counted by reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from rsvqa.annotation import asking
from rsvqa.annotation.asking import DUPLICATE, AskSettings, TaskFailedError, TileQuestions, ask
from rsvqa.annotation.checks import ANSWER_TOLD, check_question
from rsvqa.annotation.facts import Circle, TileFacts
from rsvqa.annotation.marks import MARKS_OVERLAP, TOO_MANY_MARKS, Mark
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question, fill_regions
from rsvqa.annotation.tasks.registry import TaskContext
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from tests.strategies import facts as any_facts

FACTS = TileFacts(tile_id="scene/0_0", width=800, height=600, classes={})
PIXELS = np.zeros((600, 800, 3), np.uint8)
FakeTask = Callable[[TaskContext], Iterator[Question | NotAsked]]


def count(text: str, task: str = "overall_counting", region: Circle | None = None) -> Question:
    return Question(
        task=task,
        form=AnswerForm.ONE_OF,
        text=text,
        evidence=Evidence(rule="count", feature_ids=(f"objects:{text}",)),
        options=(Option("31", True), Option("32", False), Option("33", False), Option("34", False)),
        region=region,
        num_dates=TASKS[task].num_dates,
    )


def regional(task: str, x: float, y: float = 300) -> Question:
    return count(f"How many at {x:g} in circle {{region}} for {task}?", task, Circle(x, y, 40))


def yields(*results: Question | NotAsked) -> FakeTask:
    def task(_: TaskContext) -> Iterator[Question | NotAsked]:
        yield from results

    return task


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TileQuestions]:
    """Ask with fake tasks, each bounded by 2 unless said otherwise."""

    def run_fakes(tasks: Mapping[str, FakeTask], bounds: Mapping[str, int] | None = None) -> TileQuestions:
        monkeypatch.setattr(asking, "get_task", tasks.__getitem__)
        return ask(FACTS, PIXELS, AskSettings(tasks=bounds or dict.fromkeys(tasks, 2), seed=1))

    return run_fakes


def texts(result: TileQuestions) -> list[str]:
    return [question.text for question in result.questions]


def test_questions_come_in_the_order_of_the_taxonomy(run: Callable[..., TileQuestions]) -> None:
    result = run(
        {
            "conditional_counting": yields(count("Fourth?", "conditional_counting")),
            "regional_counting": yields(regional("regional_counting", 300)),
            "overall_counting": yields(count("First?"), count("Second?")),
        }
    )
    assert texts(result) == [
        "First?",
        "Second?",
        "How many at 300 in circle {region} for regional_counting?",
        "Fourth?",
    ]
    assert (result.not_asked, result.rejected) == ({}, {})


def test_task_stops_at_its_bound_and_is_given_room_for_rejections(run: Callable[..., TileQuestions]) -> None:
    made: list[int] = []

    def endless(context: TaskContext) -> Iterator[Question]:
        assert context.limit == 18
        for index in range(100):
            made.append(index)
            yield count(f"Number {chr(65 + index)}?")

    assert len(run({"overall_counting": endless}, {"overall_counting": 3}).questions) == 3
    assert made == [0, 1, 2]


def test_spare_candidates_are_made_where_questions_have_strata(run: Callable[..., TileQuestions]) -> None:
    def strata(question: Question) -> Question:
        return replace(
            question, strata=("whole",), evidence=Evidence(rule="count", feature_ids=(question.text,), values={})
        )

    tasks = {
        "overall_counting": yields(*(strata(count(f"Number {letter}?")) for letter in "ABCDEFGHIJKLMN")),
        "regional_counting": yields(*(strata(regional("regional_counting", 80 + 100 * n)) for n in range(6))),
        "detailed_captioning": yields(),
    }
    result = run(tasks, dict.fromkeys(tasks, 4))
    # three times the four questions; of circles, which stay drawn, one more
    assert [question.task for question in result.questions] == ["overall_counting"] * 12 + ["regional_counting"] * 5


def test_the_same_evidence_is_asked_for_once_by_a_template(run: Callable[..., TileQuestions]) -> None:
    def about(text: str, *ids: str, strata: tuple[str, ...]) -> Question:
        return replace(count(text), strata=strata, evidence=Evidence(rule="count", feature_ids=ids))

    first, second = (about(text, "a", "b", strata=("whole", "car")) for text in ("How many cars?", "Number of cars?"))
    back = about("How many cars, from b to a?", "b", "a", strata=("whole", "car"))
    other = about("And here?", "a", "b", strata=("half", "car"))
    result = run({"overall_counting": yields(first, second, back, other)})
    assert texts(result) == ["How many cars?", "And here?"]
    assert result.rejected == {"overall_counting": {DUPLICATE: 2}}
    # without strata, as for routes, the rule is the template
    ways = (about("From a to b?", "a", "b", "road", strata=()), about("From b to a?", "b", "a", "road", strata=()))
    routes = [replace(way, task="route_planning") for way in ways]
    assert texts(run({"route_planning": yields(*routes)})) == ["From a to b?"]


def test_task_without_bound_is_not_run(run: Callable[..., TileQuestions]) -> None:
    result = run({"overall_counting": yields(count("First?"))}, {"overall_counting": 0})
    assert result.questions == ()


def test_reasons_are_counted_by_task(run: Callable[..., TileQuestions]) -> None:
    result = run(
        {
            "overall_counting": yields(
                NotAsked("objects cut by the edge"),
                count("lower case?"),
                count("First?"),
                count("First?"),
                NotAsked("objects cut by the edge"),
                count("no end"),
            ),
            "object_size": yields(NotAsked("no GSD")),
        }
    )
    assert texts(result) == ["First?"]
    assert result.not_asked == {"overall_counting": {"objects cut by the edge": 2}, "object_size": {"no GSD": 1}}
    assert result.rejected == {
        "overall_counting": {
            "asked twice": 1,
            "question does not begin with a capital": 2,
            "question does not end like a sentence": 1,
        }
    }


def test_regional_tasks_take_turns_for_the_circles(run: Callable[..., TileQuestions]) -> None:
    # Ten circles 60 px apart fit side by side; nine are allowed. In turns of three tasks each gets three.
    tasks = ("regional_counting", "regional_land_use", "change_counting")
    result = run(
        {
            task: yields(*(regional(task, 80 + 100 * column, 100 + 150 * row) for column in range(6)))
            for row, task in enumerate(tasks)
        },
        dict.fromkeys(tasks, 6),
    )
    assert [question.task for question in result.questions] == [task for task in tasks for _ in range(3)]
    assert [mark.number for mark in result.marks.marks] == list(range(1, 10))
    assert result.rejected == {task: {"too many marks": 3} for task in tasks}


def test_overlapping_circle_is_rejected_and_made_up_for(run: Callable[..., TileQuestions]) -> None:
    result = run(
        {
            "regional_counting": yields(
                regional("regional_counting", 300),
                regional("regional_counting", 340),
                regional("regional_counting", 500),
            ),
            "regional_land_use": yields(regional("regional_land_use", 300)),
        }
    )
    # In the order of the questions: the land-use question shares the first circle.
    assert result.marks.marks == (Mark(1, Circle(300, 300, 40)), Mark(2, Circle(500, 300, 40)))
    assert result.marks.numbers == {0: 1, 1: 2, 2: 1}
    assert result.marks.rejected == {}
    assert result.rejected == {"regional_counting": {"marks overlap": 1}}


def test_same_text_about_another_circle_is_another_question(run: Callable[..., TileQuestions]) -> None:
    one = count("How many in circle {region}?", "regional_counting", Circle(300, 300, 40))
    other = count("How many in circle {region}?", "regional_counting", Circle(500, 300, 40))
    assert run({"regional_counting": yields(one, one, other)}).questions == (one, other)


def test_same_text_with_other_options_is_another_question(run: Callable[..., TileQuestions]) -> None:
    one = replace(count("Which of these holds?"), evidence=Evidence(rule="count", values={"holds": 31}))
    other = replace(one, options=(*one.options[:3], Option("35", False)))
    reordered = replace(one, options=one.options[::-1])
    result = run({"overall_counting": yields(one, reordered, other)})
    assert result.questions == (one, other)
    assert result.rejected == {"overall_counting": {"asked twice": 1}}


def test_failing_task_names_itself_and_the_tile(run: Callable[..., TileQuestions]) -> None:
    def failing(_: TaskContext) -> Iterator[Question]:
        yield count("First?")
        raise ZeroDivisionError("no area")

    with pytest.raises(
        TaskFailedError, match=r"task overall_counting failed on tile scene/0_0: ZeroDivisionError"
    ) as e:
        run({"overall_counting": failing})
    assert isinstance(e.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("How many?", r"TypeError: it yielded 'How many\?', expected a Question or a NotAsked"),
        (None, "TypeError: it yielded None, expected"),
        (
            count("How many?", "conditional_counting"),
            "ValueError: it yielded a question of the task conditional_counting",
        ),
    ],
)
def test_a_task_that_yields_something_else_is_a_failing_one(
    run: Callable[..., TileQuestions], result: Any, message: str
) -> None:
    with pytest.raises(TaskFailedError, match=f"task overall_counting failed on tile scene/0_0: {message}"):
        run({"overall_counting": yields(result)})


def test_tasks_draw_from_generators_of_their_own(run: Callable[..., TileQuestions]) -> None:
    def drawing(context: TaskContext) -> Iterator[Question]:
        letters = "".join(context.rng.choices("abcdefgh", k=12))
        yield count(f"Is it {letters}?", context_task[0])

    context_task = ["overall_counting"]
    alone = texts(run({"overall_counting": drawing}))
    other = yields(count("Another?", "conditional_counting"))
    assert texts(run({"overall_counting": drawing, "conditional_counting": other}))[:1] == alone
    context_task[0] = "conditional_counting"
    assert texts(run({"conditional_counting": drawing})) != alone


def test_pixels_must_be_those_of_the_tile() -> None:
    with pytest.raises(ValueError, match=r"tile scene/0_0: pixels of shape \(800, 600, 3\), expected \(600, 800, 3\)"):
        ask(FACTS, np.zeros((800, 600, 3), np.uint8), AskSettings(tasks={}))


def test_settings_refuse_unknown_tasks_and_negative_bounds() -> None:
    with pytest.raises(ValueError, match=r"'countng' is not a task: expected one of overall_counting, "):
        AskSettings(tasks={"countng": 1})
    with pytest.raises(ValueError, match=r"task route_planning: at most -1 questions per tile: expected 0 or more"):
        AskSettings(tasks={"route_planning": -1})


def test_numbers_are_put_in_place_of_the_slot() -> None:
    assert fill_regions("Circle {region} of {region}.", 4) == "Circle 4 of 4."


STRIPES = np.zeros((600, 600, 3), np.uint8)
for _first, _colour in ((0, (200, 30, 30)), (150, (240, 240, 240)), (300, (30, 60, 200)), (450, (120, 120, 120))):
    STRIPES[:, _first : _first + 150] = _colour


@given(any_facts())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_all_tasks_ask_well_about_any_tile(facts: TileFacts) -> None:
    """Whatever is on a tile, no task fails, and none is saved by the checks from asking something malformed."""
    before = STRIPES.copy()
    everything = AskSettings(tasks=dict.fromkeys(TASKS, 2), seed=3)
    result = ask(facts, STRIPES, everything)
    assert (before == STRIPES).all()
    assert result == ask(facts, STRIPES, everything)
    for index, question in enumerate(result.questions):
        assert check_question(question, width=600, height=600, is_chosen=False) == ()
        assert (index in result.marks.numbers) == TASKS[question.task].is_regional
    order = [list(TASKS).index(question.task) for question in result.questions]
    assert order == sorted(order)
    most = {position: 2 * (1.5 if info.is_regional else 3) for position, info in enumerate(TASKS.values())}
    assert all(order.count(position) <= most[position] for position in order)
    harmless = {DUPLICATE, MARKS_OVERLAP, TOO_MANY_MARKS, ANSWER_TOLD}
    assert all(reasons.keys() <= harmless for reasons in result.rejected.values())
