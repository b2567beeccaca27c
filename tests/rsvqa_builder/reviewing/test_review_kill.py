"""A server killed while reviewers decide: what it answered is on disk, and what is sent again is stored once."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rsvqa.annotation.review.oversight import comments_for
from rsvqa.annotation.review.people import PersonSettings
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.reviewing.people import invite
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile

ROOT = Path(__file__).parents[3]
NUM_QUESTIONS = 240
NUM_REVIEWERS = 6


def write_data_set(folder: Path) -> None:
    image = make_jpeg(200, 100)
    tile = make_tile(images={"tile": len(image)})
    records = tuple(make_record(tile, number=number + 1) for number in range(NUM_QUESTIONS))
    write_shards(folder, plan_shards([TileRows(tile, records)]), load_images=lambda _: {"tile": image})


def start(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    """Return a server's process, its host with port, and its token."""
    command = [sys.executable, "-m", "rsvqa", "review", "serve", "--data", str(folder), "--sample", "1", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    _, _, host, token, _ = process.stdout.readline().split("/")
    return process, host, token


class Reviewer:
    """Rejects one question after the other; remembers what was sent and what was answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: dict[str, str] = {}
        self.answered: set[str] = set()

    def post(self, host: str, token: str, path: str, **content: str) -> dict[str, dict[str, str] | None]:
        connection = http.client.HTTPConnection(host, timeout=20)
        try:
            body = json.dumps({"reviewer": self.name, **content})
            connection.request("POST", f"/{token}/api/{path}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200
            return dict(json.loads(answer))
        finally:
            connection.close()

    def decide(self, host: str, token: str, request_id: str, question_id: str) -> None:
        self.sent[request_id] = question_id
        given = {"question_id": question_id, "action": "reject", "reason": "not useful", "request_id": request_id}
        self.post(host, token, "decide", **given)
        self.answered.add(request_id)

    def work(self, host: str, token: str) -> None:
        """Go on until nothing is left or the server does not answer."""
        try:
            while question := self.post(host, token, "next")["question"]:
                self.decide(host, token, f"{self.name}-{len(self.sent):016d}", question["question_id"])
        except (OSError, http.client.HTTPException):
            pass

    def send_again(self, host: str, token: str) -> None:
        """Send what was not answered once more, as the page does."""
        for request_id in self.sent.keys() - self.answered:
            self.decide(host, token, request_id, self.sent[request_id])


def run_all(
    reviewers: Sequence[Reviewer], host: str, token: str, *, until: int, process: subprocess.Popen[str]
) -> None:
    """Let all work at once, and kill the server when `until` decisions have been answered."""
    threads = [threading.Thread(target=reviewer.work, args=(host, token)) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if sum(len(reviewer.answered) for reviewer in reviewers) >= until:
            process.send_signal(signal.SIGKILL)
        threads[0].join(0.005)
    for thread in threads:
        thread.join()


def test_two_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    reviewers = [Reviewer(f"r{number}") for number in range(NUM_REVIEWERS)]
    for until in (40, 120, NUM_QUESTIONS + 1):
        process, host, token = start(tmp_path)
        with ReviewStore(tmp_path / "review.sqlite") as store:
            stored = Counter(decision.question_id for decision in store.decisions())
        answered = [reviewer.sent[request] for reviewer in reviewers for request in reviewer.answered]
        assert set(answered) <= stored.keys()
        for reviewer in reviewers:
            reviewer.send_again(host, token)
        run_all(reviewers, host, token, until=until, process=process)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    with ReviewStore(tmp_path / "review.sqlite") as store:
        decisions = store.decisions()
    assert Counter(decision.question_id for decision in decisions) == dict.fromkeys(
        (f"a:0_0/OC{number}" for number in range(1, NUM_QUESTIONS + 1)), 1
    )
    assert len(decisions) == sum(len(reviewer.sent) for reviewer in reviewers)


class BlindReviewer(Reviewer):
    """Comes in by a link; answers each question before he sees its key, comments on it, and rejects it."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__(name)
        self.token = token
        self.answers: set[str] = set()
        self.comments: set[str] = set()

    def work(self, host: str, token: str) -> None:  # noqa: ARG002  his link has a token of its own
        try:
            while question := self.post(host, self.token, "next")["question"]:
                asked = {"question_id": question["question_id"]}
                self.post(host, self.token, "answer", **asked, answer="B")
                self.answers.add(asked["question_id"])
                request = f"{self.name}-c{len(self.sent):015d}"
                self.post(host, self.token, "comment", **asked, text="a van?", request_id=request)
                self.comments.add(asked["question_id"])
                self.decide(host, self.token, f"{self.name}-{len(self.sent):016d}", asked["question_id"])
        except (OSError, http.client.HTTPException):
            pass


def test_a_kill_loses_no_answer_no_comment_and_no_link(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    tokens = invite(tmp_path, {f"r{number}": PersonSettings() for number in range(NUM_REVIEWERS)})
    reviewers = [BlindReviewer(name, token) for name, token in tokens.items()]
    for until in (20, 60):
        command = [sys.executable, "-m", "rsvqa", "review", "serve", "--data", str(tmp_path), "--sample", "1"]
        command += ["--port", "0", "--blind", "all"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        host = process.stdout.readline().split("/")[2]
        run_all(reviewers, host, "", until=until, process=process)
        process.wait()
        process.stdout.close()
        with ReviewStore(tmp_path / "review.sqlite") as store:
            answers = {(question_id, reviewer) for question_id, reviewer, _ in store.answers()}
            decided = {(decision.question_id, decision.reviewer) for decision in store.decisions()}
            told = {
                (one.author, question_id)
                for question_id in {key for reviewer in reviewers for key in reviewer.comments}
                for one in comments_for(store, question_id, "", sees_all=True)
            }
        for reviewer in reviewers:
            assert {(question_id, reviewer.name) for question_id in reviewer.answers} <= answers
            assert {(reviewer.name, question_id) for question_id in reviewer.comments} <= told
            assert {(reviewer.sent[request], reviewer.name) for request in reviewer.answered} <= decided
    assert sum(len(reviewer.answered) for reviewer in reviewers) >= 60
