"""A model: it answers every question with the option that it is named after, as `trees:A`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rsvqa.benchmark.models import PromptGroup, Reply
from rsvqa.benchmark.settings import ModelSettings


class Stubborn:
    """Always says the same."""

    box_convention = "pixels"

    def __init__(self, word: str) -> None:
        """Remember the word."""
        self.name = f"trees:{word}"
        self._word = word

    def describe(self) -> Mapping[str, Any]:
        """Return what bears on its replies."""
        return {"adapter": "trees", "word": self._word}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply]:
        """Yield the word."""
        for group in groups:
            for prompt in group.prompts:
                yield Reply(key=prompt.key, text=self._word)


def open_counter(settings: ModelSettings) -> Stubborn:
    """Return the model that `trees:WORD` names."""
    return Stubborn(settings.model.partition(":")[2])
