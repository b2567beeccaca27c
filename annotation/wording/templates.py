"""The questions of the wording as templates that a person fills in: which a task has, and what its slots may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from string import Formatter
from typing import Any, NamedTuple

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.wording.phrases import load_phrases

SLOT_CHOICES: Mapping[str, tuple[str, ...]] = {
    "be": ("is", "are"),
    "do": ("does", "do"),
    "half": ("left", "right", "upper", "lower"),
}
"""What a slot may hold, where that is known without the image; the page offers it."""


class Template(NamedTuple):
    """One wording of a question, with slots as `str.format` knows them.

    Attributes:
        key: of its list of wordings, e.g. "overall_counting.whole".
        text: with its slots.
        slots: names of the slots, in the order of the text.
    """

    key: str
    text: str
    slots: tuple[str, ...]


@cache
def question_templates(task: str, language: str = "en") -> tuple[Template, ...]:
    """Return every wording of a task's questions, in the order of the files; none for a task that has no wording.

    Lists that hold sentences of answers and options are told by their texts: none of them asks.
    """
    texts = _lists(load_phrases(language).table(task), task)
    return tuple(Template(key, text, _slots(text)) for key, found in texts for text in found if _asks(key, found))


def template_keys(task: str, language: str = "en") -> frozenset[str]:
    """Return the keys of a task's templates; empty for what is no task."""
    return frozenset(template.key for template in question_templates(task, language)) if task in TASKS else frozenset()


def _lists(entry: Any, key: str) -> Iterator[tuple[str, tuple[str, ...]]]:  # noqa: ANN401  nested tables of TOML
    if isinstance(entry, Mapping):
        for name, inner in entry.items():
            yield from _lists(inner, f"{key}.{name}")
    elif isinstance(entry, list):
        yield key, tuple(entry)


def _asks(key: str, texts: tuple[str, ...]) -> bool:
    return len(texts) > 1 and (any("?" in text for text in texts) or key.endswith(".question"))


def _slots(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(text) if name))
