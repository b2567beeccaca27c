"""Over a thousand requests, a third of them with faults, and a process that is killed twice."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsvqa.annotation.llm.reply_store import ReplyStore
from tests.annotation.llm.asking_process import CONCURRENCY, ask_all
from tests.scripted_endpoint import ScriptedEndpoint, identity, seeded_faults, text_of

ROOT = Path(__file__).parents[3]
NUMBER = 1_200


def start(server: ScriptedEndpoint, store: Path, out: Path) -> subprocess.Popen[bytes]:
    arguments = [server.base_url, str(store), str(NUMBER), str(out)]
    return subprocess.Popen([sys.executable, "-m", "tests.annotation.llm.asking_process", *arguments], cwd=ROOT)


def kill_after(process: subprocess.Popen[bytes], server: ScriptedEndpoint, num_paid: int) -> None:
    while server.paid.total() < num_paid:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def texts_of(store: Path, fingerprints: set[str]) -> set[str]:
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT fingerprint, turn FROM replies").fetchall()
    return {json.loads(turn)["text"] for fingerprint, turn in rows if fingerprint in fingerprints}


@pytest.mark.slow
def test_killed_twice_every_request_ends_once_and_only_those_in_flight_may_be_paid_again(tmp_path: Path) -> None:
    store, out = tmp_path / "replies.sqlite3", tmp_path / "outcomes.json"
    script = seeded_faults(5, share=0.3)
    with ScriptedEndpoint(script, late_s=0.02) as server:
        kill_after(start(server, store, out), server, 350)
        kill_after(start(server, store, out), server, 800)
        assert not out.exists()
        assert start(server, store, out).wait() == 0

    with ScriptedEndpoint(script, late_s=0.02) as calm:
        undisturbed = ask_all(calm.base_url, tmp_path / "calm.sqlite3", NUMBER)
    outcomes = json.loads(out.read_text())
    assert len(outcomes) == NUMBER
    assert sorted(outcomes) == sorted(undisturbed)
    assert {kind for _, kind, _ in outcomes} == {"reply", "refused", "invalid"}
    assert max(calm.paid.values()) == 1

    with ReplyStore(store) as kept:
        in_flight = {fingerprint for fingerprint, reason in kept.lost() if reason == "process died"}
    assert len(in_flight) <= 2 * CONCURRENCY
    texts = {identity(body): text_of(body) for body in server.bodies}
    paid_twice = {texts[name] for name, times in server.paid.items() if times > 1}
    assert paid_twice <= texts_of(store, in_flight)
    assert server.paid.total() <= calm.paid.total() + len(in_flight)
