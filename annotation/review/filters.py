"""Which questions a person is shown: what he wants, within what he works on."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rsvqa.annotation.review.people import EVERYTHING, Duty


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which questions a reviewer wants to see and is meant to; empty means all.

    Attributes:
        task, source, split, disputed_only: what he wants.
        duty: what he works on.
        may_adjudicate: he is asked where opinions differ.
    """

    task: str = ""
    source: str = ""
    split: str = ""
    disputed_only: bool = False
    duty: Duty = EVERYTHING
    may_adjudicate: bool = True

    @property
    def values(self) -> dict[str, object]:
        """Values for `WANTED`."""
        return {
            "task": self.task,
            "source": self.source,
            "split": self.split,
            "disputed_only": self.disputed_only,
            "tasks": json.dumps(self.duty.tasks),
            "scenes": json.dumps(self.duty.scenes),
            "tiles": json.dumps([f"{tile}/" for tile in self.duty.tiles]),
            "queue": self.duty.queue,
            "may_adjudicate": self.may_adjudicate,
        }


NO_FILTERS = Filters()

WANTED = """
    AND (:task = '' OR q.task = :task) AND (:source = '' OR q.source = :source) AND (:split = '' OR q.split = :split)
    AND (NOT :disputed_only OR q.is_disputed)
    AND (:tasks = '[]' OR q.task IN (SELECT value FROM json_each(:tasks)))
    AND (:scenes = '[]' OR EXISTS (
        SELECT 1 FROM json_each(:scenes) s WHERE json_extract(q.question, '$.scene') GLOB s.value
    ))
    AND (:tiles = '[]' OR rtrim(q.question_id, replace(q.question_id, '/', '')) IN (
        SELECT value FROM json_each(:tiles)
    ))
    AND (:queue = 'all' OR (:queue = 'needed') = (q.priority = 0))
"""
"""The part of a condition on questions `q` that `Filters.values` fills."""
