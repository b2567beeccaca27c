"""Models that see no image: chance, the most frequent answer, and replies from a file.

A figure says something only beside what these reach.
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError

from rsvqa.annotation.lettering import LETTERS, right_letters, spaced
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BoxConvention, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.samples import Sample

ANY_KEY = "*"
"""Key of a line of a reply file that answers whatever has no line of its own."""


class RandomModel:
    """Answers by chance, the same each time: each question has a generator of its own, seeded by seed and key."""

    name = "random"
    box_convention: BoxConvention = "0-1"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def describe(self) -> Mapping[str, Any]:
        """Return name and seed."""
        return {"adapter": "random", "seed": self._seed}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield a letter, a set of letters, or a box; nothing for a text."""
        for prompt in _prompts(groups):
            yield Reply(key=prompt.key, text=self._draw(prompt), box_convention=self.box_convention)

    def _draw(self, prompt: Prompt) -> str:
        generator = random.Random(f"{self._seed}/{prompt.key}")
        sample = prompt.sample
        letters = LETTERS[: len(sample.options)]
        if sample.form is AnswerForm.BOX:
            (x_min, x_max), (y_min, y_max) = (sorted((generator.random(), generator.random())) for _ in range(2))
            return _write_box((x_min, y_min, x_max, y_max))
        if sample.form is AnswerForm.SEVERAL_OF:
            chosen = generator.randrange(1, 2 ** len(letters))  # a set that is not empty, each as likely
            return spaced(right_letters(bool(chosen >> place & 1) for place in range(len(letters))))
        return generator.choice(letters) if letters else ""


class MajorityModel:
    """Gives every question of a task the answer that is right most often in the data that is scored.

    It looks at the answers, openly: a model that does not beat it has shown nothing.
    """

    name = "majority"
    box_convention: BoxConvention = "0-1"

    def __init__(self, samples: Sequence[Sample]) -> None:
        """Count the answers of all samples of the run; ties go to the first in the order of the alphabet."""
        by_task: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            by_task[sample.task].append(sample)
        self._answers = {task: _majority_answer(of_task) for task, of_task in sorted(by_task.items())}

    def describe(self) -> Mapping[str, Any]:
        """Return the answers."""
        return {"adapter": "majority", "answers": self._answers}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield the answer of each question's task."""
        for prompt in _prompts(groups):
            yield Reply(key=prompt.key, text=self._answers[prompt.sample.task], box_convention=self.box_convention)


class FileReply(BaseModel):
    """One line of a reply file.

    Attributes:
        key: of a prompt, or a sample's id for all its rotations, or `ANY_KEY`.
        reply: the text.
        ended: whether the model ended it itself.
        delay_s: seconds to wait before the reply is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, Field(min_length=1)]
    reply: str
    ended: bool = True
    delay_s: NonNegativeFloat = 0.0


class FakeModel:
    """Gives the replies of a file: one JSON object a line, see `FileReply`."""

    def __init__(self, path: Path, box_convention: BoxConvention | None = None) -> None:
        """Read the file, whose boxes are in shares of the sides unless `box_convention` says otherwise.

        Raises:
            ModelError: it is missing, a line is not what it should be, or a key stands there twice.
        """
        self.name = f"fake:{path.name}"
        self.box_convention: BoxConvention = box_convention or "0-1"
        self._replies, self._sha256 = _read_replies(path)
        self._path = path

    def describe(self) -> Mapping[str, Any]:
        """Return the hash of the file."""
        return {"adapter": "fake", "sha256": self._sha256}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield the reply of each prompt's line; a prompt without one stays unanswered."""
        for prompt in _prompts(groups):
            keys = (prompt.key, prompt.sample.sample_id, ANY_KEY)
            line = next((self._replies[key] for key in keys if key in self._replies), None)
            if line is None:
                yield Unanswered(prompt.key, f"{self._path.name} has no line for it")
                continue
            time.sleep(line.delay_s)
            yield Reply(key=prompt.key, text=line.reply, ended=line.ended, box_convention=self.box_convention)


def _prompts(groups: Iterable[PromptGroup]) -> Iterator[Prompt]:
    for group in groups:
        yield from group.prompts


def _majority_answer(samples: Sequence[Sample]) -> str:
    """Return the reply that is right most often; of boxes the median of each side, of captions the first."""
    boxes = [sample.box for sample in samples if sample.box is not None]
    if boxes:
        return _write_box([statistics.median(values) for values in zip(*boxes, strict=True)])
    references = [text for sample in samples for text in sample.references[:1]]
    if samples[0].form is AnswerForm.WORDS:
        counts = Counter(references)
        return min(references, key=lambda text: (-counts[text], text))
    answers = Counter(sample.answer for sample in samples if sample.answer)
    if not answers:
        return references[0] if references else ""
    most = max(answers.values())
    return spaced(min(answer for answer, count in answers.items() if count == most))


def _write_box(sides: Iterable[float]) -> str:
    return "[" + ", ".join(f"{side:.4f}" for side in sides) + "]"


def _read_replies(path: Path) -> tuple[dict[str, FileReply], str]:
    """Return the lines by their keys, and the file's hash."""
    try:
        data = path.read_bytes()
        lines = data.decode().split("\n")  # not splitlines: a reply may hold other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read the reply file {path}: {error}") from error
    replies: dict[str, FileReply] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            reply = FileReply.model_validate(json.loads(line))
        except (ValidationError, ValueError) as error:
            raise ModelError(
                f'{path}, line {number}: expected {{"key": …, "reply": …}}, found {line[:60]!r}'
            ) from error
        if reply.key in replies:
            raise ModelError(f"{path}, line {number}: the key {reply.key!r} stands there twice")
        replies[reply.key] = reply
    return replies, hashlib.sha256(data).hexdigest()
