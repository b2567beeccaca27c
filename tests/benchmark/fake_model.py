"""A model whose every reply, failure and end is written in the test, and which remembers what it was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsvqa.benchmark.models import BoxConvention, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings

Answer = Callable[[Prompt], Reply | Unanswered]


def say_a(prompt: Prompt) -> Reply:
    return Reply(key=prompt.key, text="A", seconds=0.25)


@dataclass(kw_only=True)
class ScriptedModel:
    """Replies by `answer`; `groups` are those that it drew. `runner.run_benchmark` opens it by `open`."""

    answer: Answer = say_a
    name: str = "scripted"
    box_convention: BoxConvention = "pixels"
    says: Mapping[str, Any] = field(default_factory=lambda: {"adapter": "scripted"})
    groups: list[PromptGroup] = field(default_factory=list)
    in_reverse: bool = False

    def open(self, _settings: BenchSettings, _samples: Sequence[Sample]) -> ScriptedModel:
        return self

    def describe(self) -> Mapping[str, Any]:
        return self.says

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        if self.in_reverse:
            self.groups = list(groups)
            yield from (self.answer(prompt) for group in self.groups[::-1] for prompt in group.prompts[::-1])
            return
        for group in groups:
            self.groups.append(group)
            for prompt in group.prompts:
                yield self.answer(prompt)

    @property
    def asked(self) -> list[str]:
        """Keys of the prompts, in the order in which they were drawn."""
        return [prompt.key for group in self.groups for prompt in group.prompts]
