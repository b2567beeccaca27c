"""What formats of conversations share: rows from turns, and how a card tells of units, pictures and the command."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.dataset.shards import split_of
from rsvqa.rsvqa_builder.exporting.families import BoxFamily
from rsvqa.rsvqa_builder.exporting.turns import PictureChoice, TurnMaker, Turns

_UNITS = {
    "0-1": "shares of the picture's width and height, 0 to 1; boxes that a question gives are pixels of the picture, "
    "whose size stands beside them",
    "0-1000": "thousandths of the picture's width and height",
    "pixels": "pixels of the picture after the processor has resized it",
}
_PICTURES: Mapping[PictureChoice, str] = {
    "whole": "",
    "parts": " Where a question names a place, its surroundings are one more picture, at the tile's own resolution.",
    "zoom": " Where the answer is seen in a small part, the model calls for it before it answers.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTarget:
    """What a format of conversations is written for.

    Attributes:
        family: whose boxes are written.
        checkpoint: for the line of command.
        max_pixels: budget of a picture; None leaves pictures as they are.
        pictures: which are shown.
    """

    family: BoxFamily
    checkpoint: str
    max_pixels: int | None = None
    pictures: PictureChoice = "whole"


class ChatExporter:
    """Makes turns of questions and hands them on, one row group at a time."""

    def __init__(self, folder: Path, target: ChatTarget) -> None:
        self.folder = folder
        self.target = target
        self.family = target.family
        self.split = ""
        self.counts: dict[str, int] = {}
        self.opened = ExitStack()
        self._turns = TurnMaker(target.family, target.max_pixels, target.pictures)

    def begin_shard(self, shard: Path) -> None:
        """Go on with the files of the shard's split."""
        self.split = split_of(shard)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse texts that would be taken for one more image, and boxes that the model's units cannot hold."""
        return self._turns.unfit(question)

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Add conversations, and the pictures that are new."""
        if questions:
            self.write_turns([self._turns.make(question) for question in questions])
            self.counts[self.split] = self.counts.get(self.split, 0) + len(questions)
        self._turns.begin_row_group()

    @abstractmethod
    def write_turns(self, members: Sequence[Turns]) -> None:
        """Write the questions of one row group."""

    @abstractmethod
    def command(self) -> str:
        """Return the command that trains on what was written, run inside the folder."""

    def prompt(self, turns: Turns) -> str:
        """Return a prompt as text."""
        return turns.text(turns.prompt, self.family)

    def reply(self, turns: Turns) -> str:
        """Return the reply as text: also what a reward is measured by."""
        return turns.text(turns.reply, self.family)

    def splits(self) -> list[str]:
        """Return the splits that were written, in order."""
        return [split for split in SPLITS if split in self.counts]

    def card(self) -> str:
        """Return what the card says of units, pictures and the command."""
        budget = self.target.max_pixels
        sizes = (
            "as the data set has them" if budget is None else f"of at most {budget:,} pixels; larger ones are reduced"
        )
        return "\n".join(
            [
                f"# Questions for {self.family.name}",
                "",
                f"Boxes are {_UNITS[self.family.units]}. The prompts say so.",
                f"Pictures are {sizes}.{_PICTURES[self.target.pictures]} "
                "A trainer with a smaller budget shrinks them again without a word: give it this one.",
                "",
                "```sh",
                self.command(),
                "```",
                "",
            ]
        )

    def close(self) -> None:
        """Write what stands beside the conversations."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.opened.close()
        if kind is None:
            self.close()


_LINE_ENDS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
"""JSON leaves them as they are within a text, and readers that split lines by Unicode end a line there."""


class JsonLines:
    """Files of one JSON object per line, opened when their first line comes."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self._folder = folder
        self._opened = opened
        self.files: dict[str, TextIO] = {}

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add a line to the file `name`."""
        if name not in self.files:
            file = (self._folder / name).open("w", encoding="utf-8", newline="\n")
            self.files[name] = self._opened.enter_context(file)
        self.files[name].write(json.dumps(entry, ensure_ascii=False).translate(_LINE_ENDS) + "\n")
