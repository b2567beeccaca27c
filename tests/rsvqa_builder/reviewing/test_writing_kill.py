"""A server killed while people write questions: what it answered is on disk, what is sent again is stored once."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.reviewing.apply import apply_review
from tests.rsvqa_builder.make_records import make_jpeg, make_tile
from tests.rsvqa_builder.reviewing.test_review_kill import start

NUM_WRITERS = 4
NUM_QUESTIONS = 15
"""Of each writer."""


def post(host: str, token: str, path: str, content: Any) -> Any:
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request("POST", f"/{token}/api/{path}", json.dumps(content), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return json.loads(answer)
    finally:
        connection.close()


class Writer:
    """Writes one question after the other; remembers which were answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered: set[str] = set()

    def work(self, host: str, token: str, tile: str) -> None:
        """Write what is not answered yet, in order, until the server does not answer."""
        try:
            for number in range(NUM_QUESTIONS):
                key = f"{self.name}-{number}"
                if key not in self.answered:
                    content = {
                        "task": "overall_counting",
                        "question": f"How many cars did {self.name} see on walk {chr(65 + number)}?",
                        "options": ["3", "4", "5", "6"],
                        "right": [number % 4],
                    }
                    body = {"reviewer": self.name, "tile": tile, "key": key, "content": content}
                    post(host, token, "draw/write", {**body, "request_id": f"write-{key:->16}"})
                    self.answered.add(key)
        except (OSError, http.client.HTTPException):
            pass


def run_all(writers: list[Writer], host: str, token: str, *, until: int, process: subprocess.Popen[str]) -> None:
    """Let all write at once, and kill the server when `until` questions have been answered."""
    tile = post(host, token, "draw/tiles", {})["tiles"][0]["key"]
    threads = [threading.Thread(target=writer.work, args=(host, token, tile)) for writer in writers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if sum(len(writer.answered) for writer in writers) >= until:
            process.send_signal(signal.SIGKILL)
        threads[0].join(0.005)
    for thread in threads:
        thread.join()


def test_two_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    image = make_jpeg(200, 100)
    tile = make_tile(images={"tile": len(image)})
    write_shards(tmp_path / "data", plan_shards([TileRows(tile)]), load_images=lambda _: {"tile": image})
    writers = [Writer(f"w{number}") for number in range(NUM_WRITERS)]
    for until in (10, 30, NUM_WRITERS * NUM_QUESTIONS + 1):
        process, host, token = start(tmp_path / "data")
        with ReviewStore(tmp_path / "data" / "review.sqlite") as store:
            stored = {
                thing.key for drawing in DrawnStore(store).read_all("written").values() for thing in drawing.things
            }
        assert {key for writer in writers for key in writer.answered} <= stored
        run_all(writers, host, token, until=until, process=process)
        process.kill()
        process.communicate()
    with ReviewStore(tmp_path / "data" / "review.sqlite") as store:
        authors = DrawnStore(store).authors("written")
        decisions = [(decision.reviewer, decision.verdict) for decision in store.decisions()]
        with store.database.reading() as connection:
            num_rows = connection.execute("SELECT count(*) FROM drawn").fetchone()[0]
    assert num_rows == NUM_WRITERS * NUM_QUESTIONS  # each once, although some were sent twice
    assert all(key.startswith(author) for (_, key), author in authors.items())
    assert sorted(decisions) == [(f"w{number}", "accepted") for number in range(NUM_WRITERS) for _ in range(15)]
    assert apply_review(tmp_path / "data", tmp_path / "made")["written"] == {"questions": 60}
