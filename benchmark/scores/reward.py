"""The benchmark's own scorer as a reward: what trainers by reinforcement call with a completion and an answer key.

One or nothing for letters, by the strict parser; for a box the overlap with the right one. What surprises: a box needs
no units here, as the key of an export is in those of the model, and overlap is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rsvqa.annotation.facts import Box, iou
from rsvqa.annotation.lettering import read_letters
from rsvqa.benchmark.protocol.boxes import replied_numbers
from rsvqa.benchmark.protocol.strict_answers import read_answer


def reward(reply: str, *, solution: str, answer_type: str, choices: str = "") -> float | None:
    """Return what a reply is worth, 0 to 1; None for free text, of which no rule says what is right.

    Args:
        reply: what the model wrote.
        solution: the column of an export.
        answer_type: the column: "letter", "letters", "box" or "text".
        choices: the column: one option per line, "(A) …".

    Raises:
        ValueError: an answer type or a key that no export has.
    """
    if answer_type == "text":
        return None
    if answer_type == "box":
        return _overlap(reply, solution)
    if answer_type not in ("letter", "letters"):
        raise ValueError(f"answer type {answer_type!r}: expected letter, letters, box or text")
    options = tuple(choices.splitlines())
    right = read_letters(solution, len(options))
    if right is None:
        raise ValueError(f"the key {solution!r} names none of {len(options)} options")
    return float(read_answer(reply, options, several=answer_type == "letters").letters == right)


def _overlap(reply: str, solution: str) -> float:
    right = set(replied_numbers(solution))
    if len(right) != 1:
        raise ValueError(f"the key of a box holds {len(right)} boxes: {solution!r}")
    found = set(replied_numbers(reply))
    if len(found) != 1:
        return 0.0
    box = Box(*found.pop())
    return iou(box, right.pop()) if box.x_min < box.x_max and box.y_min < box.y_max else 0.0


def rewards(
    completions: Sequence[str | Sequence[Mapping[str, Any]] | None],
    solution: Sequence[str | None],
    answer_type: Sequence[str | None],
    choices: Sequence[str | None],
    **_: object,
) -> list[float | None]:
    """Return what each completion is worth, as TRL and ms-swift ask it: columns of the export come by their names.

    None too where a row has no key: of another data set, that is trained on together with the export.
    """
    return [
        None
        if key is None or kind is None
        else reward(_text(said), solution=key, answer_type=kind, choices=listed or "")
        for said, key, kind, listed in zip(completions, solution, answer_type, choices, strict=True)
    ]


def _text(completion: str | Sequence[Mapping[str, Any]] | None) -> str:
    """Return what the model said last; conversational completions are lists of messages, whose text may be in parts."""
    if completion is None or isinstance(completion, str):
        return completion or ""
    said = [message.get("content") for message in completion if message.get("role", "assistant") == "assistant"]
    content = said[-1] if said else None
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or ())
