"""Pages of the site that are made when it is built (a hook of mkdocs).

README and its like stand beside `docs/`. The page of commands is made from the command line itself, the reference of
Python from docstrings, which are read and not imported. Notebooks are run: a cell that fails ends the build. Their
outputs are put into the finished pages, as Markdown would change them.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

import rsvqa
from rsvqa.cli import app

ROOT = Path(__file__).parent.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}


NOTEBOOKS = "notebooks"
REFERENCE = "reference.md"
OPENED = ("rsvqa.rsvqa_builder.opened.data_set.DataSet", "rsvqa.rsvqa_builder.opened.question.OpenedQuestion")
"""What `rsvqa.read` gives, which nobody makes by its class."""
_found = tempfile.TemporaryDirectory(prefix="rsvqa-site-")
_outputs: dict[str, str] = {}
"""HTML of the outputs of notebooks, by the mark that stands for each in its page."""


@event_priority(100)  # before the plugin reads its settings
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the reader of docstrings find the package by its name, and nothing else that lies in the checkout."""
    folder = Path(_found.name) / "rsvqa"
    folder.mkdir(exist_ok=True)
    for name in ("__init__.py", "api.py", "annotation", "rsvqa_builder", "benchmark", "model"):
        link = folder / name
        if not link.exists():
            link.symlink_to(ROOT / name)
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_found.name]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand beside `docs/`, and those that are made: of the command line, of each notebook."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=_inside(text)))
    files.append(File.generated(config, "commands.md", content=_commands()))
    files.append(File.generated(config, REFERENCE, content=_reference()))
    for notebook in sorted((ROOT / "docs" / NOTEBOOKS).glob("*.ipynb")):
        files.append(File.generated(config, f"{NOTEBOOKS}/{notebook.stem}.md", content=_notebook(notebook)))
    return files


def on_page_markdown(markdown: str, **_others: object) -> str:
    """Lead links to those pages to where they stand in the site; code beside `docs/` is named without a link."""
    return _inside(markdown)


def on_page_content(html: str, page: Page, **_others: object) -> str:
    """Put the outputs of a notebook into its page."""
    if not page.file.src_uri.startswith(f"{NOTEBOOKS}/"):
        return html
    return re.sub(r'<div id="(output-[^"]+)"></div>', lambda found: _outputs[found[1]], html)


def _notebook(path: Path) -> str:
    """Run a notebook in an empty folder and return its page, with a mark where each output belongs."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    run_notebook(notebook)
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        mark = f"output-{path.stem}-{number}"
        _outputs[mark] = (
            f'<div class="output" style="overflow-x:auto">{"".join(map(_output, cell.outputs))}</div>'
            if cell.outputs
            else ""
        )
        parts.append(f'<div id="{mark}"></div>')
    parts.append(f"[This page as a notebook]({path.name}), which was run when the site was built.")
    return "\n\n".join(parts) + "\n"


def run_notebook(notebook: Any) -> None:  # noqa: ANN401  nbformat has no types
    """Run a notebook's cells in an empty folder, and keep their outputs in it.

    Raises:
        CellExecutionError: a cell fails.
    """
    from nbclient import NotebookClient

    # `!rsvqa` is that of this environment
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory(prefix="rsvqa-") as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],  # the kernel warns of each other program on the machine
        )
        client.execute(env={**os.environ, "PATH": path})


def _output(output: Any) -> str:  # noqa: ANN401
    """Return one output as HTML: its own, a picture, or text."""
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>"
    data = output.data
    if html := data.get("text/html"):
        return str(html)
    if picture := data.get("image/png"):
        return f'<img alt="" src="data:image/png;base64,{picture.strip()}">'
    return f"<pre>{escape(data['text/plain'])}</pre>"


def _reference() -> str:
    """Return the page of all that `import rsvqa` gives: functions, settings, what `read` opens, errors."""
    named = {name: getattr(rsvqa, name) for name in rsvqa.__all__ if name != "__version__"}
    places = {name: f"{found.__module__}.{name}" for name, found in named.items()}
    functions = [place for name, place in places.items() if inspect.isfunction(named[name])]
    settings = [place for name, place in places.items() if hasattr(named[name], "model_fields")]
    others = [place for place in places.values() if place not in (*functions, *settings)]
    parts = ["# Python reference", "What `import rsvqa` gives. [In Python](python-api.md) shows it at work."]
    for title, found in (("Functions", functions), ("Settings", settings), ("A data set", OPENED), ("Errors", others)):
        parts += [f"## {title}", *(f"::: {place}" for place in found)]
    return "\n\n".join(parts) + "\n"


def _commands() -> str:
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="rsvqa")
    return get_docs_for_click(obj=command, ctx=context, name="rsvqa", title="Commands")


def _inside(markdown: str) -> str:
    for source, page in PAGES.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({page}", markdown)
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:annotation|benchmark|model|rsvqa_builder|tests)/[^)]+\)", r"\1", markdown)
