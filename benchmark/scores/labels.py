"""What a task is called and where it stands: of the taxonomy, or a group of another benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.benchmark.files.stored_replies import StoredReply


class TaskLabel(NamedTuple):
    """See `taxonomy.TaskInfo`; of another benchmark's group the levels are what its task file groups by."""

    name: str
    short: str
    level_1: str
    level_2: str
    level_3: str
    is_own: bool

    @property
    def title(self) -> str:
        """What pages call the task; see `title_of`."""
        return title_of(self.name, self.level_3)


def title_of(task: str, level_3: str) -> str:
    """Return what pages call a task: ours in our spelling, another benchmark's group as that benchmark writes it."""
    return TASKS[task].title if task in TASKS else level_3


def label_of(reply: StoredReply) -> TaskLabel:
    """Return the label of a reply's task."""
    info = TASKS.get(reply.task)
    if info is not None:
        return TaskLabel(info.name, info.short, info.level_1, info.level_2, info.level_3, info.is_own)
    large = reply.l2_category or reply.task.partition("/")[0]
    return TaskLabel(reply.task, large, large, large, reply.category, is_own=False)


def in_order(tasks: Iterable[str]) -> list[str]:
    """Return names of tasks, each once: those of the taxonomy in its order, then others by the alphabet."""
    known = set(tasks)
    return [*(name for name in TASKS if name in known), *sorted(known - set(TASKS))]
