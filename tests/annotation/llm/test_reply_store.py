"""Replies are kept from the moment they arrive, and one process at a time asks for one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rsvqa.annotation.llm.reply_store import OpenBatch, ReplyStore, ReplyStoreError, TurnClaim
from rsvqa.annotation.llm.requests import ChatFailure, ChatRequest
from rsvqa.annotation.llm.turns import RawReply, Turn, make_turn

ROOT = Path(__file__).parents[3]
REPLY = RawReply(text="ä\n\0'", refusal=None, ended=False, input_tokens=12, output_tokens=None)


def turn(number: int = 1) -> Turn:
    return make_turn(ChatRequest(key="k", model="m", text=f"What is {number}?"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replies.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[ReplyStore]:
    with ReplyStore(path) as opened:
        yield opened


def in_another_process(path: Path, statements: str) -> subprocess.Popen[str]:
    """Run statements with a `store` and `turn(number)`; each line that they print comes at once."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom annotation.llm.reply_store import ReplyStore\n"
        "from annotation.llm.turns import RawReply\nfrom tests.annotation.llm.test_reply_store import turn\n"
        f"store = ReplyStore(Path({str(path)!r}))\n{statements}"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_reply_comes_back_as_it_was_also_from_the_file(path: Path) -> None:
    with ReplyStore(path) as store:
        assert store.find(turn().fingerprint) is None
        store.put(turn(), REPLY)
        assert store.find(turn().fingerprint) == REPLY
    with ReplyStore(path) as store:
        assert store.find(turn().fingerprint) == REPLY
        assert store.find(turn(2).fingerprint) is None


def test_what_was_asked_can_be_read_beside_the_reply(path: Path, store: ReplyStore) -> None:
    store.put(turn(), REPLY)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT model, turn, text FROM replies").fetchall() == [
            ("m", turn().document, "ä\n\0'")
        ]


def test_the_first_reply_stays(store: ReplyStore) -> None:
    store.put(turn(), REPLY)
    store.put(turn(), RawReply(text="another"))
    assert store.find(turn().fingerprint) == REPLY
    assert store.num_replies() == 1


def test_a_turn_is_claimed_once_until_its_reply_or_failure_or_release(store: ReplyStore) -> None:
    name = turn().fingerprint
    assert [store.claim(name), store.claim(name)] == [TurnClaim.OURS, TurnClaim.TAKEN]
    store.release(name)
    assert store.claim(name) is TurnClaim.OURS
    store.put_failure(turn(), ChatFailure("k", "unreachable", "no answer"))
    assert store.claim(name) is TurnClaim.OURS
    store.put(turn(), REPLY)
    assert store.claim(name) is TurnClaim.ANSWERED
    assert store.failures() == [(name, "unreachable", "no answer")]
    assert store.lost() == []


def test_of_many_threads_one_gets_the_claim(path: Path, store: ReplyStore) -> None:
    with ReplyStore(path) as other, ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda index: (store, other)[index % 2].claim(turn().fingerprint), range(40)))
    assert claims.count(TurnClaim.OURS) == 1
    assert claims.count(TurnClaim.TAKEN) == 39


CLAIMING = "import time\nprint(store.claim(turn().fingerprint).value, flush=True)\ntime.sleep(60)"
WRITING = """
number = 0
while True:
    store.put(turn(number), RawReply(text='x' * 50_000))
    print(number, flush=True)
    number += 1
"""


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert any(told == f"{line}\n" for told in process.stdout), "it ended"


def test_the_claim_of_a_living_process_holds_and_that_of_a_killed_one_is_taken_over(
    path: Path, store: ReplyStore
) -> None:
    name = turn().fingerprint
    with in_another_process(path, CLAIMING) as process:
        wait_for(process, "ours")
        assert store.claim(name) is TurnClaim.TAKEN
        assert store.lost() == []
        process.kill()
    assert store.claim(name) is TurnClaim.OURS
    assert store.lost() == [(name, "process died")]
    assert len(list(path.with_name("replies.sqlite3-at-work").iterdir())) == 1  # ours


def test_a_process_killed_while_it_writes_leaves_whole_replies(path: Path) -> None:
    with in_another_process(path, WRITING) as process:
        wait_for(process, "30")
        process.kill()
        told = 30 + len(process.communicate()[0].splitlines())
    with ReplyStore(path) as store:
        assert told + 1 <= store.num_replies() <= told + 2  # of the last one there may be no news
        for number in range(told + 1):
            assert store.find(turn(number).fingerprint) == RawReply(text="x" * 50_000)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_processes_write_at_once(path: Path, store: ReplyStore) -> None:
    loop = "for number in range(1000, 1100):\n    store.put(turn(number), RawReply(text='theirs'))"
    with in_another_process(path, loop) as process:
        for number in range(100):
            store.put(turn(number), RawReply(text="ours"))
        assert process.wait() == 0
    assert store.num_replies() == 200


def test_a_file_that_is_no_store_is_refused(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(
        ReplyStoreError, match=r"replies\.sqlite3: not a usable file of replies: file is not a database"
    ):
        ReplyStore(path)


def test_a_newer_store_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(ReplyStoreError, match="made by a newer rsvqa"):
        ReplyStore(path)


def test_a_store_that_cannot_be_written_says_so(store: ReplyStore) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(ReplyStoreError, match="replies cannot be kept: attempt to write a readonly database"):
        store.put(turn(), REPLY)


def test_nothing_is_left_at_work_when_stores_are_closed(path: Path) -> None:
    with ReplyStore(path), ReplyStore(path):
        assert len(list(path.with_name("replies.sqlite3-at-work").iterdir())) == 2
    assert list(path.with_name("replies.sqlite3-at-work").iterdir()) == []


def test_a_batch_holds_its_turns_over_restarts_until_it_is_collected(path: Path) -> None:
    with ReplyStore(path) as store:
        store.put(turn(1), REPLY)
        store.claim(turn(2).fingerprint)
        ours = store.begin_batch("t", [turn(1), turn(2), turn(3), turn(4)])
        assert ours == [turn(3), turn(4)]  # one is answered, one is being asked
        assert store.open_batches() == [OpenBatch("t", None, is_being_submitted=True)]
    with ReplyStore(path) as store:
        assert store.open_batches() == [OpenBatch("t", None, is_being_submitted=False)]
        store.name_batch("t", "batch_7")
        assert store.open_batches() == [OpenBatch("t", "batch_7", is_being_submitted=False)]
        assert store.claim(turn(3).fingerprint) is TurnClaim.IN_BATCH
        assert store.is_in_batch(turn(3).fingerprint)
        assert store.begin_batch("u", [turn(3)]) == []
        store.drop_batch("u")
        assert store.turns_of_batch("t") == sorted([turn(3).fingerprint, turn(4).fingerprint])
        store.collect_batch("t", {turn(3).fingerprint: REPLY}, {turn(4).fingerprint: ("rejected", "no")})
        assert store.find(turn(3).fingerprint) == REPLY
        assert store.failures() == [(turn(4).fingerprint, "rejected", "no")]
        assert store.open_batches() == []
        assert store.claim(turn(4).fingerprint) is TurnClaim.OURS


def test_a_store_in_memory_forgets(path: Path) -> None:
    with ReplyStore() as store:
        assert store.claim(turn().fingerprint) is TurnClaim.OURS
        store.put(turn(), REPLY)
        assert store.find(turn().fingerprint) == REPLY
    with ReplyStore() as store:
        assert store.find(turn().fingerprint) is None


def test_processes_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def open_it(path: Path) -> None:
        try:
            ReplyStore(path).close()
        except Exception as error:  # noqa: BLE001  a thread's error would be lost
            failed.append(error)

    for number in range(20):
        threads = [threading.Thread(target=open_it, args=(tmp_path / str(number),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
