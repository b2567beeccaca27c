"""Measure the review's server under the load of many reviewers: `python -m tests.perf.review`.

Every reviewer comes in by a link of his own, opens a question, loads the first view, zooms to full size, pans, answers
where he does not see the key yet, decides, and goes on to another tile; a lead looks at the list and at people's work
meanwhile; all over loopback. Reported are response times in milliseconds, the processor time and the most memory that
the server took. The first view of a single reviewer on a cold server is measured apart. All start at once on tiles that
nobody has opened, which is the worst case.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.review.people import PersonSettings
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.reviewing.people import invite
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_record, make_tile

SIDE = 10_000
LAST_LEVEL = 14  # 2^14 is the first power of two that is not below SIDE
FIRST_VIEW_LEVEL = 11  # 1,250 px: what a view of about 1,000 px loads first
VIEWS = ("first view", "overview", "zoom to full size", "pan")
"""What is measured over several requests."""
SCREEN_TILES = 3  # of 512 px, along each axis


def make_image(seed: int) -> bytes:
    """Return a JPEG of SIDE x SIDE px with as much detail as aerial images have (about 40 MB)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.int16)
    pixels = np.clip(pixels + rng.integers(-8, 8, pixels.shape, dtype=np.int16), 0, 255).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="444"))


def write_data_set(folder: Path, num_tiles: int, questions_each: int) -> None:
    """Write a data set whose tiles have one image each, equal bytes under different names."""
    image = make_image(0)
    rows = []
    for number in range(num_tiles):
        window = Window(0, 0, SIDE, SIDE)
        tile = make_tile(f"s{number}:0_0", scene=f"s{number}", window=window, images={"tile": len(image)})
        records = tuple(make_record(tile, number=index + 1) for index in range(questions_each))
        rows.append(TileRows(tile, records))
    write_shards(folder, plan_shards(rows), load_images=lambda _: {"tile": image})
    print(f"{num_tiles} tiles of {SIDE} px, {len(image) / 1e6:.0f} MB each", file=sys.stderr)


@dataclass
class Times:
    """Response times in seconds, by what was asked for."""

    found: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)

    @contextmanager
    def taken(self, name: str) -> Iterator[None]:
        """Measure a block."""
        start = time.perf_counter()
        yield
        self.found[name].append(time.perf_counter() - start)


class Reviewer:
    """Asks as the page does, over one connection after the other, six tiles at once."""

    def __init__(self, url: str, name: str, times: Times) -> None:
        self.host, self.prefix = url.removeprefix("http://").split("/")[:2]
        self.name, self.times = name, times

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the answer's body."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        headers = {"Content-Type": "application/json", "Origin": f"http://{self.host}"} if body is not None else {}
        connection.request(method, f"/{self.prefix}/{path}", body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != 200:
            self.times.errors.append(f"{response.status} {path}")
        return content

    def post(self, path: str, **content: Any) -> Any:
        """Post JSON and return the answer."""
        with self.times.taken(path):
            return json.loads(self.ask("POST", f"api/{path}", json.dumps({"reviewer": self.name, **content}).encode()))

    def load(self, name: str, key: str, level: int, tiles: list[tuple[int, int]]) -> None:
        """Load some tiles at the same time and measure until the last one is there."""

        def one(column: int, row: int) -> None:
            with self.times.taken("tile"):
                self.ask("GET", f"tiles/{key}/{level}/{column}_{row}.jpg")

        threads = [threading.Thread(target=one, args=place) for place in tiles]
        with self.times.taken(name):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def first_view(self) -> dict[str, Any]:
        """Open the next question and load what its first view needs."""
        with self.times.taken("first view"):
            question = self.post("next")["question"]
            if question is not None:
                places = [(column, row) for row in range(SCREEN_TILES) for column in range(SCREEN_TILES)]
                self.load("overview", question["pictures"][0]["key"], FIRST_VIEW_LEVEL, places)
        return dict(question or {})

    def review(self, rng: random.Random, num_questions: int) -> None:
        """Work through questions with pauses of a person."""
        for number in range(num_questions):
            question = self.first_view()
            if not question:
                return
            key = question["pictures"][0]["key"]
            column, row = rng.randrange(2, 15), rng.randrange(2, 15)
            screen = [(column + i, row + j) for i in range(SCREEN_TILES) for j in range(SCREEN_TILES)]
            self.load("zoom to full size", key, LAST_LEVEL, screen)
            for step in range(1, 4):
                time.sleep(rng.uniform(0.2, 0.6))
                self.load(
                    "pan", key, LAST_LEVEL, [(column + SCREEN_TILES - 1 - step, row + i) for i in range(SCREEN_TILES)]
                )
            time.sleep(rng.uniform(0.5, 2))
            shown = question
            if not question["content"]["answer"]:
                shown = self.post("answer", question_id=question["question_id"], answer="A")["question"]
            self.post(
                "decide",
                question_id=question["question_id"],
                action="save",
                content=shown["content"],
                request_id=f"{self.name}-{number:016d}",
            )

    def lead(self, until: threading.Event) -> None:
        """Look at the list and at people's work again and again."""
        while not until.wait(2.0):
            self.post("lead/find", text="cars")
            self.post("lead/people")


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield address and process id of a server."""
    command = [sys.executable, "-m", "rsvqa", "review", "serve", "--data", str(folder), "--sample", "1", "--port", "0"]
    command += ["--double", "0.3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path, num_reviewers: int, num_questions: int) -> dict[str, Any]:
    """Return the figures of one run."""
    tokens = invite(folder, {"alone": PersonSettings()})
    with served(folder) as (url, process):
        alone, before = Times(), _processor_seconds(process)
        Reviewer(f"{url}{tokens['alone']}/", "alone", alone).first_view()
        alone_seconds = _processor_seconds(process) - before
    for path in folder.glob("review.sqlite*"):
        path.unlink()
    times, is_over = Times(), threading.Event()
    names = [f"reviewer{number:02d}" for number in range(num_reviewers)]
    people = {name: PersonSettings() for name in names} | {"lead": PersonSettings(role="lead")}
    tokens = invite(folder, people)
    with served(folder) as (url, process):
        leading = threading.Thread(target=Reviewer(f"{url}{tokens['lead']}/", "lead", times).lead, args=(is_over,))
        leading.start()
        start = time.perf_counter()
        threads = [
            threading.Thread(
                target=Reviewer(f"{url}{tokens[name]}/", name, times).review, args=(random.Random(name), num_questions)
            )
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, processor_seconds = time.perf_counter() - start, _processor_seconds(process)
        peak_mb = _peak_mb(process)
        is_over.set()
        leading.join()
    num_requests = sum(len(found) for name, found in times.found.items() if name not in VIEWS)
    return {
        "first view, one reviewer, cold (ms)": round(1000 * alone.found["first view"][0]),
        "first view, one reviewer, processor time (ms)": round(1000 * alone_seconds),
        "reviewers": num_reviewers,
        "seconds": round(seconds, 1),
        "requests per second": round(num_requests / seconds, 1),
        "processor seconds": round(processor_seconds, 1),
        "errors": times.errors,
        "server peak MB": peak_mb,
        "ms": {name: _spread(found) for name, found in sorted(times.found.items())},
    }


def _processor_seconds(process: int) -> float:
    """Return user and system time so far; fields 14 and 15 of proc(5), counted after the name in brackets."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(process: int) -> int:
    """Return the largest resident size so far, 10^6 bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6)


def _spread(seconds: list[float]) -> dict[str, float]:
    found = sorted(1000 * value for value in seconds)
    return {
        "n": len(found),
        "median": round(statistics.median(found)),
        "p95": round(found[int(0.95 * (len(found) - 1))]),
        "max": round(found[-1]),
    }


def main() -> None:
    """Run the check and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviewers", type=int, default=30)
    parser.add_argument("--tiles", type=int, default=20)
    parser.add_argument("--questions", type=int, default=4, help="that each reviewer decides")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        questions_each = -(-given.reviewers * given.questions // given.tiles)
        write_data_set(Path(folder) / "superrs", given.tiles, questions_each)
        print(json.dumps(measure(Path(folder) / "superrs", given.reviewers, given.questions), indent=1))


if __name__ == "__main__":
    main()
