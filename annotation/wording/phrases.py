"""Phrases of one language, read from its folder of TOML files; every word that a question shows comes from here.

The files of `annotation/wording/<language>/` hold tables of named entries; an entry is a text or a list of
alternatives. Texts are `str.format` templates. A new language is a new folder with the same files and keys (a test
compares them).
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from rsvqa.annotation.plugins import PluginError, load_plugins, package_of

LANGUAGES = ("en",)


class Phrases:
    """The wording of one language."""

    def __init__(self, language: str, entries: Mapping[str, Any]) -> None:
        self.language = language
        self._entries = entries

    def alternatives(self, key: str) -> tuple[str, ...]:
        """Return every template under the dotted `key`, e.g. "overall_counting.question"."""
        entry: Any = self._entries
        for part in key.split("."):
            entry = entry[part]
        return (entry,) if isinstance(entry, str) else tuple(entry)

    def table(self, name: str) -> Mapping[str, Any]:
        """Return all entries of the table `name`; empty when there is none."""
        entries: Mapping[str, Any] = self._entries.get(name, {})
        return entries

    def text(self, key: str, **values: object) -> str:
        """Return the only template under `key`, filled in."""
        (template,) = self.alternatives(key)
        return template.format(**values)

    def pick(self, rng: random.Random, key: str, **values: object) -> str:
        """Return one of the templates under `key`, chosen by `rng`, filled in."""
        return rng.choice(self.alternatives(key)).format(**values)


@cache
def load_phrases(language: str = "en") -> Phrases:
    """Return the phrases of `language`; read once, since every tile asks for them.

    Raises:
        ValueError: when there is no folder for it, or a table is defined in two of its files.
        PluginError: a task of a package has no wording in it.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no wording for language {language!r}: expected one of {', '.join(LANGUAGES)}")
    folder = resources.files("rsvqa.annotation.wording").joinpath(language)
    entries: dict[str, Any] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        for table, content in tomllib.loads(file.read_text("utf-8")).items():
            if table in entries:
                raise ValueError(f"wording {language}/{file.name}: table [{table}] is defined twice")
            entries[table] = content
    for name, plugin in load_plugins("task").items():
        if language not in plugin.wording:
            raise PluginError(f"task {name!r} of {package_of('task', name)} has no wording for language {language!r}")
        entries[name] = plugin.wording[language]
    return Phrases(language, entries)
