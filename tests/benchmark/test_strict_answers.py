"""The strict parser against a table that was thought through by hand, and against hostile replies."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.strict_answers import Refusal, StrictAnswer, read_answer

TABLE = Path(__file__).parent / "data" / "strict_answers.toml"
COLOURS = ("(A) Blue", "(B) Red", "(C) White", "(D) Black")


def golden_rows() -> Iterator[Any]:
    for name, group in tomllib.loads(TABLE.read_text(encoding="utf-8")).items():
        for reply, expected, *_ in group["replies"]:
            yield pytest.param(reply, expected, group, id=f"{name}: {reply[:40]!r}")


def as_answer(expected: str) -> StrictAnswer:
    return StrictAnswer(expected) if expected.isupper() else StrictAnswer("", Refusal(expected))


@pytest.mark.parametrize(("reply", "expected", "group"), [*golden_rows()])
def test_replies_are_read_as_in_the_table(reply: str, expected: str, group: dict[str, Any]) -> None:
    assert read_answer(reply, group["options"], several=group.get("several", False)) == as_answer(expected)
