"""The 22 task functions by name, and what each is given.

A task is a generator function `(TaskContext) → Question | NotAsked`, registered under its name in `taxonomy.TASKS`. It
yields at most `context.limit` questions, best first, and a `NotAsked` for each thing it could not be sure of. Importing
`annotation.tasks` registers them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.facts import TileFacts
from rsvqa.annotation.plugins import load_plugin
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.taxonomy import TASKS, TaskInfo
from rsvqa.annotation.wording.phrases import Phrases


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """What a task function is given.

    Attributes:
        facts: what is on the tile.
        pixels: (height, width, 3) uint8 RGB of the tile, unmarked; read only.
        rng: seeded by data set seed, tile and task, so a task's questions depend on nothing else.
        phrases: the wording of one language.
        limit: the most questions that may be yielded.
        shared: what the tasks of one tile compute once (see `once_a_tile`).
    """

    facts: TileFacts
    pixels: NDArray[np.uint8]
    rng: random.Random
    phrases: Phrases
    limit: int
    shared: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)


P = ParamSpec("P")
T = TypeVar("T")


def once_a_tile(
    function: Callable[Concatenate[TaskContext, P], T],
) -> Callable[Concatenate[TaskContext, P], T]:
    """Make a function compute its result once per tile, for all tasks that share a context's `shared`.

    The function must rest on the tile and the language alone, never on `rng` or `limit`; its other arguments must be
    hashable, and nobody may change its result.
    """

    @wraps(function)
    def shared(context: TaskContext, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (function, args, tuple(kwargs.items()))
        if key not in context.shared:
            context.shared[key] = function(context, *args, **kwargs)
        result: T = context.shared[key]
        return result

    return shared


Task = Callable[[TaskContext], Iterator[Question | NotAsked]]

_REGISTERED: dict[str, Task] = {}


def task(name: str) -> Callable[[Task], Task]:
    """Register the decorated function as the task `name`; a second use of a name is refused."""

    def register(function: Task) -> Task:
        if name not in TASKS:
            raise ValueError(f"{name!r} is not a task of the taxonomy: {', '.join(TASKS)}")
        if name in _REGISTERED:
            raise ValueError(f"task {name!r} is registered twice")
        _REGISTERED[name] = function
        return function

    return register


def get_task(name: str) -> Task:
    """Return the task function registered as `name`, ours or that of an installed package."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    plugin: TaskPlugin = load_plugin("task", name)
    return plugin.ask


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlugin:
    """A task of another package: what its entry point `task.NAME` leads to.

    Attributes:
        info: its entry of the taxonomy; `info.name` is NAME, `info.short` is in the ids of its questions, and
            `info.is_own` is true.
        ask: the task function.
        wording: phrases by language, as a file of `annotation/wording/` has them below the name of the task.
        checks: what its candidates must pass beside the checks that hold for all: the reason that is counted when one
            fails, a short sentence part, and whether a question passes.
    """

    info: TaskInfo
    ask: Task
    wording: Mapping[str, Mapping[str, Any]]
    checks: tuple[tuple[str, Callable[[Question], bool]], ...] = ()


def seeded_rng(seed: int, tile_id: str, purpose: str) -> random.Random:
    """Return the generator of one purpose on one tile; the same on every machine and Python version we support."""
    return random.Random(f"{seed}/{tile_id}/{purpose}")
