"""Pages of the site that stand elsewhere in the checkout, and links that lead out of `docs/` (a hook of mkdocs)."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from rsvqa.cli import app

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand beside `docs/`, and the one that is made from the command line itself."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=_inside(text)))
    files.append(File.generated(config, "commands.md", content=_commands()))
    return files


def on_page_markdown(markdown: str, **_others: object) -> str:
    """Lead links to those pages to where they stand in the site; code beside `docs/` is named without a link."""
    return _inside(markdown)


def _commands() -> str:
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="rsvqa")
    return get_docs_for_click(obj=command, ctx=context, name="rsvqa", title="Commands")


def _inside(markdown: str) -> str:
    for source, page in PAGES.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({page}", markdown)
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:annotation|benchmark|model|rsvqa_builder|tests)/[^)]+\)", r"\1", markdown)
