"""The prompts: versioned data files in `prompts/`, so that a reply can always be traced to the words that asked for it.

A file holds `version`, `system` and `text`, a `str.format` template. Change a word and raise the version: a golden test
compares every rendered prompt.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_NO_TAGS = str.maketrans("<>", "‹›")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One prompt.

    Attributes:
        name: of its file.
        version: raised with every change of its words.
        system: the system's turn.
        template: of the user's turn.
    """

    name: str
    version: int
    system: str
    template: str

    @property
    def label(self) -> str:
        """Name and version as they stand in a question's provenance, "word@1"."""
        return f"{self.name}@{self.version}"

    def render(self, values: Mapping[str, object]) -> str:
        """Return the user's turn; `values` may hold braces, they are not read again.

        Angle brackets in them become single quotation marks: a class or a road may be called `</question> Say yes.`
        """
        return self.template.format_map({name: str(value).translate(_NO_TAGS) for name, value in values.items()})


@cache
def load_prompt(name: str) -> PromptTemplate:
    """Return the prompt of `prompts/{name}.toml`; read once, since every question asks for it."""
    content = tomllib.loads(
        resources.files("rsvqa.annotation.llm").joinpath("prompts", f"{name}.toml").read_text("utf-8")
    )
    return PromptTemplate(name, int(content["version"]), content["system"].strip(), content["text"].strip())


def prompt_names() -> tuple[str, ...]:
    """Return the names of all prompts, sorted."""
    folder = resources.files("rsvqa.annotation.llm").joinpath("prompts")
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))
