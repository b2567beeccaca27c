"""Run `rsvqa` as a user does, and compare the folders that it leaves."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from rsvqa import cli

RSVQA = str(Path(sys.executable).with_name("rsvqa"))
"""The console script of the environment that runs the tests."""


class Run(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


def rsvqa(*words: object) -> Run:
    """Run a command in this process, with stdout and stderr away from a terminal."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["rsvqa", *map(str, words)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            return Run(_exit_code(stop), out.getvalue(), err.getvalue())
    raise AssertionError("the command did not exit")


def _exit_code(stop: SystemExit) -> int:
    return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def build(src: object, out: Path, *words: object, workers: int = 0) -> Run:
    """Run `rsvqa build` in this process with small tiles."""
    return rsvqa("build", "--src", src, "--out", out, "--tile-size", 512, "--workers", workers, *words)


def read_report(out: Path) -> dict[str, Any]:
    """Return a data set's `report.json`."""
    return dict(json.loads((out / "report.json").read_text("utf-8")))


def tree_digest(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder by its path, but for how long the build took."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / ".rsvqa" / "timings.json"
    }


def times_of_change(folder: Path) -> dict[Path, int]:
    """Return when each file below a folder was changed, in ns."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def questions_by_task(report: dict[str, Any]) -> dict[str, int]:
    """Return the number of questions of the tasks that have any."""
    return {name: task["questions"] for name, task in report["tasks"].items() if task["questions"]}
