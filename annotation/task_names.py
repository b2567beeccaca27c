"""How people name tasks: "all", "none", names, short names and levels, each with a weight where one makes sense.

The one grammar of `tasks` and `mix` in every command. What surprises: entries are read from left to right and a
later one overrides, so "all,OCL=0.5" is a mix and "OCL=0.5,all" is not; a word that names both a level and a task of
that level ("object spatial relationship") means the task.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from rsvqa.annotation.errors import nearest
from rsvqa.annotation.taxonomy import TASKS

ALL = "all"
NONE = "none"


class Weights(NamedTuple):
    """What entries say: weights of tasks in the order of the taxonomy, and of other things by their own names."""

    tasks: dict[str, float]
    others: dict[str, float]


def parse_task_names(entries: Iterable[str], *, instead: str = "name the task alone") -> tuple[str, ...]:
    """Return the tasks that the entries name, in the order of the taxonomy, where a task is taken or left.

    Args:
        entries: see `parse_task_weights`.
        instead: end of the message that refuses a weight: what to do.

    Raises:
        ValueError: for an unknown word, a weight, or when no task is named.
    """
    entries = tuple(entries)
    for entry in entries:
        if "=" in entry:
            raise ValueError(f"task {entry!r}: a weight has no meaning here; {instead}")
    weights = parse_task_weights(entries).tasks
    chosen = tuple(name for name, weight in weights.items() if weight)
    if not chosen:
        raise ValueError("no task is named; expected e.g. all, or OCL,RLUC, or Reasoning")
    return chosen


def parse_task_weights(entries: Iterable[str], *, others: Collection[str] = ()) -> Weights:
    """Return the weights that the entries give; a task that no entry is about is not in the result.

    An entry is a word with a weight, "object_colour=0.5", or without one, which is weight 1. Words are "all", names,
    short names and levels ("Reasoning", "Counting") of the taxonomy; spaces, hyphens and underscores are one, and so
    are capital and small letters. "none" is "all=0".

    Args:
        entries: from left to right; a later one overrides.
        others: further words, which are matched as they are.

    Raises:
        ValueError: for an unknown word, naming the nearest known one, for one that names a task and something else, or
            for a weight that is not a number of 0 or more.
    """
    tasks: dict[str, float] = {}
    found: dict[str, float] = {}
    for entry in entries:
        word, weight = _split(entry)
        named = _tasks_of_words().get(_fold(word), frozenset())
        if word in others:
            if named:
                raise ValueError(f"{word!r} names a task or level and a data set; name the tasks in another way")
            found[word] = weight
        elif named:
            tasks.update(dict.fromkeys(named, weight))
        else:
            raise ValueError(_unknown(word, others))
    return Weights({name: tasks[name] for name in TASKS if name in tasks}, found)


def _split(entry: str) -> tuple[str, float]:
    """Return word and weight of an entry."""
    word, equals, text = (part.strip() for part in entry.partition("="))
    if not equals:
        return word, float(_fold(word) != NONE)
    if _fold(word) == NONE:
        raise ValueError(f"task {entry!r}: {NONE!r} has no weight; it leaves all tasks out")
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise ValueError(f"task {entry!r}: expected a weight of 0 or more after '=', e.g. object_colour=0.5")
    return word, weight


def _unknown(word: str, others: Collection[str]) -> str:
    things = "task or data set" if others else "task"
    listed = [*TASKS, "their short names (OCL) and levels (Counting, Reasoning)", ALL, NONE, *others]
    # a level 3 is its task's name in the benchmark's spelling: one of the two is enough to be told
    told = [*TASKS, *(word for word in _tasks_of_words() if word not in _levels_3()), *others]
    return f"unknown {things} {word!r}{nearest(_fold(word), told, listed=listed)}"


def _fold(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word.strip().lower())


@cache
def _tasks_of_words() -> Mapping[str, frozenset[str]]:
    """Return the tasks that each word stands for, by the folded word."""
    words: dict[str, frozenset[str]] = {}
    for name, info in TASKS.items():
        for level in (info.level_1, info.level_2):
            words[_fold(level)] = words.get(_fold(level), frozenset()) | {name}
    for name, info in TASKS.items():  # after the levels: a task's own name means that task alone
        words |= {_fold(word): frozenset({name}) for word in (name, info.short, info.level_3)}
    return MappingProxyType(words | {ALL: frozenset(TASKS), NONE: frozenset(TASKS)})


@cache
def _levels_3() -> frozenset[str]:
    return frozenset(_fold(info.level_3) for info in TASKS.values())
