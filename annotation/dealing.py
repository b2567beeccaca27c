"""Give the options of questions their letters, so that no letter is right more often than another.

Letters are dealt when the whole data set is known and in the order of its plan: a letter drawn for each question alone
would be even on average only, and a small task would show a favourite. The price is that a question more or less
changes the letters of its task from there on.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import NamedTuple

from rsvqa.annotation.lettering import lettered, right_letters
from rsvqa.annotation.questions import Option


class Dealt(NamedTuple):
    """Options with their letters, "(A) …", and the letters of the right ones without separators, "A" or "ACD"."""

    options: tuple[str, ...]
    answer: str


class LetterDealer:
    """Deals letters to the questions of one data set (or of one split), in the order of their plan.

    Within a task and a number of options, the uses of two letters as right answers never differ by more than one, at
    any point of the order, whatever the number of right options of each question. The least used are taken, ties broken
    by chance. For one right option this walks through a new random order of the letters every few questions.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._num_uses: dict[tuple[str, int], list[int]] = {}

    def deal(self, task: str, question_id: str, options: Sequence[Option]) -> Dealt:
        """Return `options` in their dealt order; without options, nothing is dealt and the answer is empty."""
        num_right = sum(option.is_right for option in options)
        positions = self.positions(task, question_id, num_options=len(options), num_right=num_right)
        return self.deal_at(question_id, options, positions)

    def positions(self, task: str, question_id: str, *, num_options: int, num_right: int) -> list[int]:
        """Return at which positions (0-based) the right options of the next question stand."""
        _, order = self._shuffled(question_id, num_options)
        uses = self._num_uses.setdefault((task, num_options), [0] * num_options)
        positions = sorted(order, key=uses.__getitem__)[:num_right]
        for position in positions:
            uses[position] += 1
        return positions

    def deal_at(self, question_id: str, options: Sequence[Option], positions: Collection[int]) -> Dealt:
        """Return `options` in their dealt order, given the question's `positions`; questions may come in any order."""
        rng, _ = self._shuffled(question_id, len(options))
        dealt = deal_options(options, positions, rng)
        return Dealt(lettered(option.text for option in dealt), right_letters(option.is_right for option in dealt))

    def _shuffled(self, question_id: str, num_options: int) -> tuple[random.Random, list[int]]:
        """Return a question's chances, and in which order positions that were used equally often are taken."""
        rng = random.Random(f"{self._seed}/{question_id}/letters")
        order = list(range(num_options))
        rng.shuffle(order)
        return rng, order


def deal_options(options: Sequence[Option], right_positions: Collection[int], rng: random.Random) -> tuple[Option, ...]:
    """Return `options` with the right ones at `right_positions` (0-based), right and wrong ones shuffled by `rng`.

    Numbers are shuffled like everything else: in ascending order the middle ones would be right more often.
    """
    right = [option for option in options if option.is_right]
    wrong = [option for option in options if not option.is_right]
    if len(set(right_positions)) != len(right):
        raise ValueError(f"{len(right)} right options cannot stand at positions {sorted(right_positions)}")
    rng.shuffle(right)
    rng.shuffle(wrong)
    return tuple((right if position in right_positions else wrong).pop() for position in range(len(options)))
