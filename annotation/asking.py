"""Ask every task about one tile: candidates are checked, kept apart from duplicates, bounded, and given their circles.

Tasks are generators and are only run as far as needed: a candidate is taken, checked and accepted before the next one
is made, so nothing is computed to be thrown away.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rsvqa.annotation.tasks  # noqa: F401  registers the 22 task functions
from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Circle, TileFacts
from rsvqa.annotation.marks import MarkPlacer, MarkPlan, place_marks
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.tasks.registry import TaskContext, get_task, seeded_rng
from rsvqa.annotation.taxonomy import NUM_OPTIONS, TASKS
from rsvqa.annotation.visibility import ExtentFinder
from rsvqa.annotation.wording.phrases import load_phrases

DUPLICATE = "asked twice"

_SPARE = 2
"""A task may yield this many times the candidates wanted of it, so that rejected ones can be made up for."""

_CANDIDATES = 3.0
_REGIONAL_CANDIDATES = 1.25
"""So many times its bound, candidates are wanted of a task, for the whole data set to choose from. Circles of those
that are not chosen stay drawn, so there are few."""


class TaskFailedError(RuntimeError):
    """A task function raised: a mistake in the program, not in the data; the message names the task and the tile."""

    def __init__(self, task: str, message: str) -> None:
        super().__init__(message)
        self.task = task


@dataclass(frozen=True, slots=True)
class AskSettings:
    """What is asked about each tile.

    Attributes:
        tasks: the most questions per tile, by task name; a task that is not named, or has 0, is not run. There are
            more candidates than that where questions have strata, for `choosing` to choose from.
        seed: of the data set.
        language: of the wording, one of `phrases.LANGUAGES`.
    """

    tasks: Mapping[str, int]
    seed: int = 0
    language: str = "en"

    def __post_init__(self) -> None:
        for name, bound in self.tasks.items():
            if name not in TASKS:
                raise ValueError(f"{name!r} is not a task: expected one of {', '.join(TASKS)}")
            if bound < 0:
                raise ValueError(f"task {name}: at most {bound} questions per tile: expected 0 or more")


@dataclass(frozen=True, slots=True)
class TileQuestions:
    """What was asked about one tile, and what was not.

    Attributes:
        questions: accepted candidates, by task in the order of the taxonomy and within a task as the task yielded them;
            their texts still hold `REGION_SLOT` (see `fill_regions`).
        marks: the circles of `questions`; none of these questions is rejected.
        not_asked: by task, how often it gave each reason for not asking, until it had asked enough.
        rejected: by task, how many candidates failed for each reason: one of `checks.REASONS`, `DUPLICATE`, or a
            reason of `marks`. A candidate that fails several checks counts for each.
    """

    questions: tuple[Question, ...]
    marks: MarkPlan
    not_asked: Mapping[str, Mapping[str, int]]
    rejected: Mapping[str, Mapping[str, int]]


def ask(facts: TileFacts, pixels: NDArray[np.uint8], settings: AskSettings) -> TileQuestions:
    """Return the questions about one tile; the result depends on the arguments alone.

    Tasks with circles take turns, so that each gets one before any gets its second: few circles fit on a tile.

    Args:
        facts: what is on the tile.
        pixels: (height, width, 3) uint8 RGB of the unmarked tile; only read.
        settings: which tasks, how many questions each.

    Raises:
        TaskFailedError: when a task function raises.
    """
    if pixels.shape != (facts.height, facts.width, 3):
        raise ValueError(
            f"tile {facts.tile_id}: pixels of shape {pixels.shape}, expected {(facts.height, facts.width, 3)}"
        )
    phrases = load_phrases(settings.language)
    shared: dict[Hashable, Any] = {}
    runs = []
    for name in TASKS:
        if bound := settings.tasks.get(name, 0):
            rng = seeded_rng(settings.seed, facts.tile_id, name)
            wanted = _num_candidates(name, bound)
            context = TaskContext(
                facts=facts, pixels=pixels, rng=rng, phrases=phrases, limit=_SPARE * wanted, shared=shared
            )
            runs.append(_TaskRun(name=name, bound=bound, wanted=wanted, results=_run_task(name, context)))
    gate = _Gate(width=facts.width, height=facts.height)
    regional = [run for run in runs if TASKS[run.name].is_regional]
    _take_turns(regional, gate, lambda run: run.bound)  # no spare circle takes the room of one that is asked about
    _take_turns(regional, gate, _most)
    for run in runs:
        _take_turns([run], gate, _most)
    extents = ExtentFinder(facts)
    questions = tuple(_with_extent(question, extents) for run in runs for question in run.accepted)
    return TileQuestions(
        questions=questions,
        marks=place_marks(questions, width=facts.width, height=facts.height),
        not_asked={run.name: dict(sorted(run.not_asked.items())) for run in runs if run.not_asked},
        rejected={run.name: dict(sorted(run.rejected.items())) for run in runs if run.rejected},
    )


def _with_extent(question: Question, extents: ExtentFinder) -> Question:
    """Return a question with the smallest extent that must be seen to answer it."""
    return replace(question, evidence=replace(question.evidence, needs_px=extents.needs_px(question)))


@dataclass(slots=True, kw_only=True)
class _TaskRun:
    """One task at work on one tile: `bound` is for its questions, `wanted` for candidates with strata."""

    name: str
    bound: int
    wanted: int
    results: Iterator[Question | NotAsked]
    accepted: list[Question] = field(default_factory=list)
    not_asked: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


class _Gate:
    """Lets a candidate pass when its checks, its text and its circle allow."""

    def __init__(self, *, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._placer = MarkPlacer(width=width, height=height)
        self._seen: set[tuple[str, Circle | None, frozenset[str]]] = set()
        self._evidence: set[tuple[str, str, frozenset[str]]] = set()

    def reasons_against(self, question: Question) -> tuple[str, ...]:
        """Return why `question` is rejected; when nothing is against it, it counts as asked and has its circle."""
        reasons = check_question(question, width=self._width, height=self._height, is_chosen=False)
        if reasons:
            return reasons
        # A circle is named by a slot only, so it belongs to the identity; so do options, for "Which of these …?".
        identity = (question.text, question.region, frozenset(option.text for option in question.options))
        # Without strata the rule is the template. From one end to the other and back rests on the same evidence.
        template = question.strata[0] if question.strata else f"{question.evidence.rule} {question.region}"
        evidence = (question.task, template, frozenset(question.evidence.feature_ids))
        is_repeated = bool(question.evidence.feature_ids) and evidence in self._evidence
        if identity in self._seen or is_repeated:
            return (DUPLICATE,)
        if question.region is not None and isinstance(placed := self._placer.place(question.region), str):
            return (placed,)
        self._seen.add(identity)
        self._evidence.add(evidence)
        return ()


def _run_task(name: str, context: TaskContext) -> Iterator[Question | NotAsked]:
    """Yield what the task yields, which may be somebody else's; an error gets the names of the task and the tile."""
    try:
        for result in get_task(name)(context):
            if not isinstance(result, NotAsked | Question):
                raise TypeError(f"it yielded {result!r}, expected a Question or a NotAsked")
            if isinstance(result, Question) and result.task != name:
                raise ValueError(f"it yielded a question of the task {result.task}")
            yield result
    except Exception as error:
        raise TaskFailedError(
            name,
            f"task {name} failed on tile {context.facts.tile_id}: {type(error).__name__}: {error}; please report it",
        ) from error


def _num_candidates(task: str, bound: int) -> int:
    """Return how many candidates of a task are wanted on a tile; no more than its bound where there is no choice."""
    info = TASKS[task]
    if not any(NUM_OPTIONS[form] for form in info.forms):
        return bound
    return math.ceil(bound * (_REGIONAL_CANDIDATES if info.is_regional else _CANDIDATES))


def _most(run: _TaskRun) -> int:
    """Return how many candidates a task may have: spare ones are worth making where there is something to choose by."""
    return run.wanted if any(question.strata for question in run.accepted) else run.bound


def _take_turns(runs: list[_TaskRun], gate: _Gate, most: Callable[[_TaskRun], int]) -> None:
    """Accept one question of each run in turn until all have the most that they may, or no more candidates."""
    while runs:
        runs = [run for run in runs if len(run.accepted) < most(run) and _accept_one(run, gate)]


def _accept_one(run: _TaskRun, gate: _Gate) -> bool:
    """Accept the next candidate that passes the gate, counting all before it; return whether there was one."""
    for result in run.results:
        if isinstance(result, NotAsked):
            run.not_asked[result.reason] += 1
            continue
        reasons = gate.reasons_against(result)
        if not reasons:
            run.accepted.append(result)
            return True
        run.rejected.update(reasons)
    return False
