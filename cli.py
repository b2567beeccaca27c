"""The `rsvqa` command: parse, build settings, call one function, print."""

from __future__ import annotations

import typer

app = typer.Typer(name="rsvqa", no_args_is_help=True)


@app.callback()
def rsvqa() -> None:
    """Build, train and judge on ultra-high-resolution remote-sensing questions."""


def main() -> None:
    """Run the command line."""
    app()
