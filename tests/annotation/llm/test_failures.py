"""When an endpoint counts as down."""

from __future__ import annotations

import pytest

from rsvqa.annotation.llm.failures import FailuresInARow
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, FailureKind, StoredFailure


def judge_all(letters: str) -> str:
    """Return what is said of u(nreachable), x (rejected), r(efused), a(nswered) and s(tored): "!" is the end."""
    kinds: dict[str, FailureKind] = {
        "u": "unreachable",
        "x": "rejected",
        "r": "refused",
        "i": "invalid",
        "t": "too_large",
    }
    failures = FailuresInARow(3, "host")
    said = ""
    for letter in letters:
        if letter == "R":
            said += "." if failures.judge(StoredFailure("k", "refused", "why")) is None else "!"
            continue
        kind = kinds.get(letter)
        outcome = (
            ChatReply(key="k", text="A", is_stored=letter == "s") if kind is None else ChatFailure("k", kind, "why")
        )
        said += "." if failures.judge(outcome) is None else "!"
    return said


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        ("uuu", "..!"),
        ("uxu", "..!"),
        ("uuauu", "....."),
        ("rru", "..!"),  # a refusal is paid for
        ("iii", "..!"),  # so is a reply that is not of the schema
        ("tttu", "...."),  # a smaller picture would be taken
        ("RuRRu", "....."),  # what an earlier run came to
        ("ususu", "....!"),  # a stored reply says nothing of the endpoint
    ],
)
def test_three_failures_in_a_row_are_the_end(letters: str, said: str) -> None:
    assert judge_all(letters) == said


def test_the_error_names_the_last_failure() -> None:
    error = FailuresInARow(1, "host").judge(ChatFailure("k", "unreachable", "why"))
    assert str(error) == (
        "host: 1 requests in a row failed, the last with: why; all replies so far are kept: start again to go on"
    )
