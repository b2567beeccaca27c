"""Every task is registered, documented and worded in at least ten ways; templates hold known slots only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import rsvqa.annotation.tasks  # noqa: F401  registers the 22 task functions
from rsvqa.annotation.facts import TileObject
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.tasks.registry import get_task
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.wording.phrases import LANGUAGES, load_phrases
from tests.annotation.make_facts import ask, make_facts, make_object, square

PHRASES = load_phrases()
DOCS = Path(__file__).parents[3] / "docs"

MIN_WORDINGS = 10
MIN_A_LIST = 10
"""A task may ask several things, or one thing in several cases, each with a list of its own."""

# A question is worded by a list of alternatives in its task's table; each of them is a whole sentence or more.
SENTENCE = re.compile(r"^[A-Z{].*[.?!:}]$", re.DOTALL)


def tables(language: str) -> dict[str, Any]:
    folder = resources.files("rsvqa.annotation.wording").joinpath(language)
    read: dict[str, Any] = {}
    for file in folder.iterdir():
        read |= tomllib.loads(file.read_text("utf-8"))
    return read


def entries(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every entry below a table with its dotted key; a single text as a list of one."""
    for name, entry in table.items():
        key = f"{prefix}.{name}"
        if isinstance(entry, dict):
            yield from entries(entry, key)
        else:
            yield key, [entry] if isinstance(entry, str) else entry


def question_lists(task: str, language: str) -> dict[str, list[str]]:
    """Return the lists of alternative questions of a task, by key: those that ask, and those named "question"."""
    found = dict(entries(tables(language).get(task, {}), task))
    return {
        key: texts
        for key, texts in found.items()
        if len(texts) > 1 and (any("?" in text for text in texts) or key.split(".")[-1].startswith("question"))
    }


ALL_ENTRIES = [
    pytest.param(texts, id=f"{language}:{key}")
    for language in LANGUAGES
    for name, table in tables(language).items()
    for key, texts in entries(table, name)
]


@pytest.mark.parametrize("name", TASKS)
def test_task_is_registered(name: str) -> None:
    assert callable(get_task(name))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", TASKS)
def test_task_has_at_least_ten_wordings(task: str, language: str) -> None:
    found = question_lists(task, language)
    assert found, f"no list of questions in the table [{task}]"
    assert sum(map(len, found.values())) >= MIN_WORDINGS
    for key, texts in found.items():
        assert len(texts) >= MIN_A_LIST, key
        assert all(SENTENCE.match(text) for text in texts), key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", [task.name for task in TASKS.values() if task.is_regional])
def test_regional_questions_name_their_circle(task: str, language: str) -> None:
    for key, texts in question_lists(task, language).items():
        assert all(REGION_SLOT in text for text in texts), key


@pytest.mark.parametrize("texts", ALL_ENTRIES)
def test_alternatives_differ_and_slots_are_plain_names(texts: list[str]) -> None:
    assert texts
    assert len({text.casefold() for text in texts}) == len(texts)
    for text in texts:
        assert text.strip() or texts == [""]
        assert "  " not in text
        for _, slot, spec, conversion in Formatter().parse(text):
            assert slot is None or re.fullmatch(r"[a-z][a-z_0-9]*", slot), text
            assert not spec, text
            assert conversion is None, text


@pytest.mark.parametrize("texts", ALL_ENTRIES)
def test_alternatives_say_the_same_things(texts: list[str]) -> None:
    """Wordings of one key tell the reader the same: a slot that one of them lacks would be information lost."""
    words = tables("en")
    # a verb in the form that its noun needs says nothing of its own
    verbs = {*words["caption"]["verb"], *words["anomaly_detection"]["verb"]}
    said = [{_stem(slot) for _, slot, _, _ in Formatter().parse(text) if slot and slot not in verbs} for text in texts]
    assert all(slots == said[0] for slots in said), texts


def _stem(slot: str) -> str:
    """Return what a slot is about: a class may be named in the singular or the plural, and with "a" or with "any"."""
    names = {"singular": "class", "plural": "class", "the_class": "class", "a_class": "class"}
    return {**names, "any_landmark": "landmark"}.get(slot, slot)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_task_is_documented(task: Any) -> None:
    text = (DOCS / "tasks.md").read_text("utf-8")
    assert f"`{task.name}`" in text
    assert f"| {task.short} |" in text


def worded(task: str, seed: int, *objects: TileObject) -> list[str]:
    return [question.text for question in ask(task, make_facts(objects=objects), seed=seed)[0]]


def test_the_wording_does_not_tell_the_answer() -> None:
    """The same seed draws the same wording whatever the answer is, and seeds reach every one."""
    places = [square(100 + 80 * number, 200) for number in range(4)]
    cars = [make_object(f"c{number}", "car", place) for number, place in enumerate(places)]
    drawn = {text for seed in range(200) for text in worded("overall_counting", seed, *cars)}
    assert len(drawn) == len(PHRASES.alternatives("overall_counting.whole"))
    for seed in range(40):
        assert worded("overall_counting", seed, *cars[:3]) == worded("overall_counting", seed, *cars)
        moving, still = (make_object("c", "car", places[0], moving=moves) for moves in (True, False))
        (text,) = worded("object_motion_state", seed, moving)
        assert [text] == worded("object_motion_state", seed, still)
