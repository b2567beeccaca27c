"""How a run tells what it does, on stderr: a bar on a terminal, JSON lines for machines, or only what went wrong."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Reporter(Protocol):
    """Hears what a run does."""

    def start(self, step: str, total: int) -> None:
        """A step of `total` units begins; the step before it is over."""
        ...

    def advance(self, *, pixels: int = 0, figures: Mapping[str, float] | None = None) -> None:
        """One more unit of the step is done; `figures` are shown beside it, by name."""
        ...

    def note(self, kind: str, text: str, **fields: object) -> None:
        """Something that a person should read, one line; `kind` is a stable word for machines."""
        ...


class SilentReporter:
    """Says nothing: for programs, which find everything in the result."""

    def start(self, step: str, total: int) -> None:
        """Say nothing."""

    def advance(self, *, pixels: int = 0, figures: Mapping[str, float] | None = None) -> None:
        """Say nothing."""

    def note(self, kind: str, text: str, **fields: object) -> None:
        """Say nothing."""


class QuietReporter:
    """Prints notes only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def start(self, step: str, total: int) -> None:
        """Say nothing."""

    def advance(self, *, pixels: int = 0, figures: Mapping[str, float] | None = None) -> None:
        """Say nothing."""

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002  kind and fields are for machines
        """Print the line."""
        print(text, file=self._stream, flush=True)


class JsonReporter:
    """Prints every event as a line of JSON."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._step, self._total, self._done, self._pixels, self._start = "", 0, 0, 0, 0.0

    def start(self, step: str, total: int) -> None:
        """Print the step and its number of units."""
        self._step, self._total, self._done, self._pixels, self._start = step, total, 0, 0, time.monotonic()
        self._print(event="start", step=step, total=total)

    def advance(self, *, pixels: int = 0, figures: Mapping[str, float] | None = None) -> None:
        """Print how many units are done, the rate so far, and the seconds that the rest takes at this rate."""
        self._done += 1
        self._pixels += pixels
        elapsed = time.monotonic() - self._start
        rate = round(self._pixels / 1e6 / elapsed, 2) if elapsed else 0.0
        rounded = {name: round(value, 3) for name, value in (figures or {}).items()}
        self._print(
            event="progress",
            step=self._step,
            done=self._done,
            total=self._total,
            mpix_per_s=rate,
            eta_s=round(elapsed / self._done * (self._total - self._done), 1),
            **rounded,
        )

    def note(self, kind: str, text: str, **fields: object) -> None:
        """Print the line with its fields."""
        self._print(event=kind, text=text, **fields)

    def _print(self, **fields: object) -> None:
        print(json.dumps(fields, ensure_ascii=False), file=self._stream, flush=True)


class TerminalReporter:
    """Draws a bar with units done, MPix/s and time left; notes scroll above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, rate="")
        self._pixels, self._start = 0, 0.0

    def start(self, step: str, total: int) -> None:
        """Begin a new bar in the place of the old one."""
        self._pixels, self._start = 0, time.monotonic()
        self._progress.reset(self._task, description=step, total=total, rate="")

    def advance(self, *, pixels: int = 0, figures: Mapping[str, float] | None = None) -> None:
        """Move the bar."""
        self._pixels += pixels
        rate = f"{self._pixels / 1e6 / (time.monotonic() - self._start):.1f} MPix/s" if self._pixels else ""
        rate = " ".join([rate, *(f"{value:.3g} {name}" for name, value in (figures or {}).items())]).strip()
        self._progress.update(self._task, advance=1, rate=rate)

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002  kind and fields are for machines
        """Print the line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


class SpellingReporter:
    """Hands on what it hears, with the text of notes spelt for those who read them."""

    def __init__(self, reporter: Reporter, spell: Callable[[str], str]) -> None:
        self.start, self.advance = reporter.start, reporter.advance
        self._reporter = reporter
        self._spell = spell

    def note(self, kind: str, text: str, **fields: object) -> None:
        """Hand on the line."""
        self._reporter.note(kind, self._spell(text), **fields)


@contextmanager
def open_reporter(*, as_json: bool, spell: Callable[[str], str] = str) -> Iterator[Reporter]:
    """Yield the reporter for this stderr: JSON when asked for, a bar on a terminal, else quiet.

    Args:
        as_json: for machines.
        spell: turns the text of a note into what a person reads, such as names of settings into options.
    """
    if as_json:
        yield JsonReporter()
    elif sys.stderr.isatty() or Console(stderr=True).is_jupyter:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield SpellingReporter(TerminalReporter(progress), spell)
    else:
        yield SpellingReporter(QuietReporter(), spell)


@contextmanager
def reporter_of(progress: bool | Reporter) -> Iterator[Reporter]:
    """Yield what hears of a call from Python: nobody, this terminal or notebook, or the reporter that was given."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield SilentReporter()
    else:
        with open_reporter(as_json=False) as reporter:
            yield reporter


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers from drawing bars on stderr: what a run does is told by its reporter, or not at all."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
