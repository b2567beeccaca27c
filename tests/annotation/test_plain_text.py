"""What can be stored and shown, by hand."""

from __future__ import annotations

import sqlite3

import pytest

from rsvqa.annotation.plain_text import storable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("A\tB\r\nC 中 \U0001f600", "A\tB\r\nC 中 \U0001f600"),
        ("A \ud83d B", "A \ufffd B"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("A\x00B", "A\ufffdB"),
        ("\x1b[2J\x07\x7f\x9b", "\ufffd[2J" + 3 * "\ufffd"),
    ],
)
def test_halves_of_characters_and_control_characters_are_replaced(text: str, expected: str) -> None:
    assert storable(text) == expected
    assert storable(expected) == expected
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute("SELECT ?", (storable(text),)).fetchone() == (expected,)
    connection.close()
