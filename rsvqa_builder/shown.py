"""Results that show themselves: as lines and tables on a terminal, as HTML in a notebook, as JSON to machines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

_WIDTH = 120
"""TextTable of a result as text, where there is no terminal whose width it could take."""

STYLE = (
    "<style>.rsvqa{font:14px/1.45 system-ui,sans-serif;max-width:70em;overflow-x:auto}"
    ".rsvqa p{margin:.2em 0;white-space:pre-wrap}"
    ".rsvqa .rsvqa-columns{font:12px/1.45 ui-monospace,Menlo,Consolas,monospace}"
    ".rsvqa table.rsvqa-table{border-collapse:collapse;margin:.6em 0}"
    ".rsvqa table.rsvqa-table caption{text-align:left;font-weight:600;padding:.2em 0}"
    ".rsvqa table.rsvqa-table :is(th,td){padding:.15em .7em .15em 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}"
    ".rsvqa table.rsvqa-table .rsvqa-right{text-align:right;font-variant-numeric:tabular-nums}</style>"
)
"""Rules that hold inside a result only; colours are those of the notebook, light or dark."""


class TextTable(NamedTuple):
    """A table of plain text: its head, then its rows; nothing when there is no row."""

    rows: Sequence[Sequence[str]]


Part = str | Table | TextTable
"""What a result is made of: a line (or several, which are kept as they are), or a table."""


class ShownResult:
    """Base of the results of the commands: what the command line prints and a notebook shows comes from `parts`."""

    __slots__ = ()

    def parts(self) -> Iterable[Part]:
        """Return what a person reads, in order: lines, and tables."""
        raise NotImplementedError

    def as_json(self) -> Any:  # noqa: ANN401  JSON of any shape
        """Return all of it in JSON types."""
        raise NotImplementedError

    def print(self, *, as_json: bool = False, spell: Callable[[str], str] = str) -> None:
        """Print it to stdout.

        Args:
            as_json: for machines.
            spell: turns a line into what a person reads, such as names of settings into options.
        """
        if as_json:
            print(json.dumps(self.as_json(), ensure_ascii=False))
        else:
            _print_parts(Console(highlight=False), self.parts(), spell)

    def __str__(self) -> str:
        """Return what a person reads, as text."""
        text = io.StringIO()
        _print_parts(Console(file=text, highlight=False, width=_WIDTH), self.parts(), str)
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return f'{STYLE}<div class="rsvqa">{"".join(map(_html, self.parts()))}</div>'


def _print_parts(console: Console, parts: Iterable[Part], spell: Callable[[str], str]) -> None:
    for part in parts:
        if isinstance(part, Table):
            console.print(part)
            continue
        # as it is: a path holds brackets and colons, and is copied whole
        for line in [spell(part)] if isinstance(part, str) else aligned(part.rows):
            print(line, file=console.file)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield head and rows as columns, the first to the left, figures to the right; nothing when there is no row."""
    if len(rows) == 1:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *figures in rows:
        cells = (cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *cells])


def _html(part: Part) -> str:
    if isinstance(part, Table):
        heads = [str(column.header) for column in part.columns]
        is_right = [column.justify == "right" for column in part.columns]
        rows = zip(*(column.cells for column in part.columns), strict=True)
        return html_table(heads, rows, is_right=is_right, title=str(part.title or ""))
    if isinstance(part, TextTable):
        head, *rest = part.rows
        return html_table(head, rest, is_right=[False, *[True] * (len(head) - 1)]) if rest else ""
    if "\n" in part:
        return f"<pre>{escape(part)}</pre>"
    # lines below another are columns, laid out by spaces
    mark = ' class="rsvqa-columns"' if part.startswith("  ") else ""
    return f"<p{mark}>{escape(part)}</p>" if part else ""


def html_table(
    heads: Sequence[str], rows: Iterable[Iterable[object]], *, is_right: Sequence[bool], title: str = ""
) -> str:
    """Return a table; columns that are right hold numbers."""
    marks = [' class="rsvqa-right"' if right else "" for right in is_right]

    def line(kind: str, cells: Iterable[object]) -> str:
        filled = (f"<{kind}{mark}>{escape(str(cell))}</{kind}>" for mark, cell in zip(marks, cells, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    caption = f"<caption>{escape(title)}</caption>" if title else ""
    body = "".join(line("td", row) for row in rows)
    return f'<table class="rsvqa-table">{caption}<thead>{line("th", heads)}</thead><tbody>{body}</tbody></table>'
