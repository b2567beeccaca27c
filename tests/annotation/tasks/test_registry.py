"""What the tasks of one tile share."""

from __future__ import annotations

from dataclasses import replace

from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile
from tests.annotation.make_facts import make_context, make_facts


def test_a_result_is_computed_once_a_tile() -> None:
    calls: list[tuple[str, int, int]] = []

    @once_a_tile
    def size(context: TaskContext, times: int, *, more: int = 0) -> int:
        calls.append((context.facts.tile_id, times, more))
        return context.facts.width * times + more

    first = make_context(make_facts(size=100))
    again = replace(first, limit=7)  # as another task of the same tile
    assert (size(first, 2), size(again, 2), size(again, 3), size(again, 2, more=1)) == (200, 200, 300, 201)
    assert size(make_context(make_facts(size=50)), 2) == 100
    assert calls == [("tile", 2, 0), ("tile", 3, 0), ("tile", 2, 1), ("tile", 2, 0)]
