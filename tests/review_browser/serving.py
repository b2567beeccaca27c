"""A review in a process of its own, and pages on it whose errors are collected."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rsvqa.annotation.review.agreement import Decision
from rsvqa.annotation.review.store import ReviewStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Server:
    """A review served by a process of its own, which may be killed."""

    data_set: Path
    process: subprocess.Popen[str] | None = None
    url: str = ""
    port: str = "0"
    options: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "cli",
            "review",
            "serve",
            "--data",
            str(self.data_set),
            "--sample",
            "1",
            "--port",
            self.port,
            *self.options,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = self.url.split(":")[2].split("/")[0]

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(how)
        self.process.wait()
        self.process.stdout.close()

    def decisions(self) -> list[Decision]:
        """Return what stands on disk, as another process sees it."""
        with ReviewStore(self.data_set / "review.sqlite") as store:
            return list(store.decisions())

    def verdicts(self) -> list[tuple[str, str, str]]:
        return [(d.question_id.split("/")[1], d.verdict, d.reason) for d in self.decisions()]


def new_page(browser: Browser, server: Server) -> Page:
    """Return a page of a new reviewer whose errors, also those against the content security policy, are collected."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: server.problems.append(str(error)))
    page.on("console", lambda message: server.problems.append(message.text) if message.type == "error" else None)
    return page


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
