"""Phrases are found by their keys, filled in, and chosen by the generator that is passed in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsvqa.annotation.wording import phrases as phrases_module
from rsvqa.annotation.wording.phrases import LANGUAGES, Phrases, load_phrases

PHRASES = Phrases(
    "en",
    {
        "counting": {"question": ["How many {plural}?", "Count the {plural}."], "rule": "Whole {plural} only."},
        "direction": {"compass": {"n": "north"}},
    },
)


def test_text_fills_the_only_template() -> None:
    assert PHRASES.text("counting.rule", plural="ships") == "Whole ships only."
    assert PHRASES.text("direction.compass.n") == "north"


def test_text_refuses_a_choice() -> None:
    with pytest.raises(ValueError, match="too many values"):
        PHRASES.text("counting.question", plural="ships")


def test_pick_reaches_every_alternative_and_follows_the_generator() -> None:
    def picks(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [PHRASES.pick(rng, "counting.question", plural="ships") for _ in range(20)]

    assert set(picks(1)) == {"How many ships?", "Count the ships."}
    assert picks(1) == picks(1)


def test_missing_key_and_missing_value_are_errors() -> None:
    with pytest.raises(KeyError, match="answer"):
        PHRASES.alternatives("counting.answer")
    with pytest.raises(KeyError, match="plural"):
        PHRASES.text("counting.rule")


def test_english_holds_the_shared_words() -> None:
    english = load_phrases("en")
    assert english.language == "en"
    assert english.text("colour.grey") == "grey"
    assert english.text("direction.compass.sw") == "southwest"
    assert english.text("answer.yes") == "Yes"


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no wording for language 'xx': expected one of en"):
        load_phrases("xx")


def test_table_in_two_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.toml").write_text('[answer]\nyes = "Yes"\n')
    (tmp_path / "en" / "b.toml").write_text('[answer]\nno = "No"\n')
    monkeypatch.setattr(phrases_module, "resources", SimpleNamespace(files=lambda _: tmp_path))
    with pytest.raises(ValueError, match=r"wording en/b\.toml: table \[answer\] is defined twice"):
        load_phrases.__wrapped__("en")  # what was read before is kept


def keys(table: Any, prefix: str = "") -> Iterator[str]:
    for name, entry in table.items():
        if isinstance(entry, dict):
            yield from keys(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_language_has_the_same_keys() -> None:
    by_language = {language: set(keys(load_phrases(language)._entries)) for language in LANGUAGES}
    for language, found in by_language.items():
        assert found == by_language["en"], language


def test_every_language_folder_is_listed() -> None:
    folders = {entry.name for entry in resources.files("rsvqa.annotation.wording").iterdir() if entry.is_dir()}
    assert folders - {"__pycache__"} == set(LANGUAGES)
