"""What the README and the pages of `docs/` name exists: commands, options, pages, files, modules."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from rsvqa.cli import app, in_new_words, with_serve

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def commands_in(text: str) -> list[list[str]]:
    """Return the words of each `rsvqa …` in a block or span of code."""
    blocks = re.findall(r"^```.*?$(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`(rsvqa [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [line.removeprefix("$ ").removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in (*lines, *spans) if line.startswith("rsvqa ")]


def refusal(words: list[str]) -> str | None:
    """Return what is wrong with a command line: a command or an option that is not there, or has another name now."""
    command: Any = typer.main.get_command(app)
    rest, old = in_new_words(with_serve(words[1:]))
    if old:
        return old[0]
    while rest and hasattr(command, "commands"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {"--help", *(name for option in command.params for name in (*option.opts, *option.secondary_opts))}
    unknown = [word for word in rest if word.startswith("--") and word.split("=")[0] not in known]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    assert [(words, refusal(words)) for words in commands_in(page.read_text()) if refusal(words)] == []


def test_a_wrong_command_would_be_found() -> None:
    block = "```sh\n$ rsvqa build --sorce x\nrsvqa revew x  # no\n```\n"
    text = f"{block}and `rsvqa review --data set/ --cache-mb 5`, `rsvqa review apply` or `rsvqa review set/`"
    assert [refusal(words) for words in commands_in(text)] == [
        "no option ['--sorce']",
        "no command revew",
        None,
        None,
        "set/ is now --data set/",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_files_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    named = [page.parent / target for target in LINK.findall(text)]
    named += [
        ROOT / path
        for path in re.findall(r"`((?:annotation|benchmark|model|rsvqa_builder|tests|docs)/[\w./-]+)`", text)
    ]
    named += [ROOT / f"{module.replace('.', '/')}.py" for module in re.findall(r"python -m (tests[\w.]*\w)", text)]
    assert [path for path in named if not path.exists()] == []


def imports_in(text: str) -> set[str]:
    """Return the modules and names that Python blocks import, and dotted names of ours in spans of code."""
    blocks = re.findall(r"^```python$(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(rsvqa\.(?:annotation|benchmark|cl|model|rsvqa_builder)[\w.]*)[(`]", text))
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named |= {f"{node.module}.{alias.name}" for alias in node.names}
    return named


def is_there(name: str) -> bool:
    """Whether a dotted name is a module of ours, or a name in one; of others, whether the package is installed."""
    package, _, last = name.rpartition(".")
    if name.split(".")[0] != "rsvqa":
        return find_spec(name.split(".")[0]) is not None
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return find_spec(package) is not None and hasattr(import_module(package), last)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_snippets_import_is_there(page: Path) -> None:
    assert {name for name in imports_in(page.read_text()) if not is_there(name)} == set()


def test_a_wrong_import_would_be_found() -> None:
    text = (
        "```python\nimport rsvqa.model.regis\nfrom rsvqa.cli import app, ap\n```\nand `rsvqa.cli.main(x)`, `rsvqa.cly`"
    )
    names = sorted(imports_in(text))
    assert names == ["rsvqa.cli.ap", "rsvqa.cli.app", "rsvqa.cli.main", "rsvqa.cly", "rsvqa.model.regis"]
    assert [is_there(name) for name in names] == [False, True, True, False, False]


def test_every_page_can_be_reached() -> None:
    linked = {Path(target).name for page in PAGES for target in LINK.findall(page.read_text())}
    assert {page.name for page in PAGES} - linked == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_code_holds_an_escaped_bar(page: Path) -> None:
    # a table needs it on GitHub, and the site shows the backslash
    assert re.findall(r"`[^`\n]*\\\|[^`\n]*`", page.read_text("utf-8")) == []
