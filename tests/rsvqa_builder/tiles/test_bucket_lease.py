"""Who may write below an address: over S3 (moto), Azure (Azurite), and Google's XML API.

Google's is moto's server behind its headers (`tests/relay.py`): the emulators of Google's have no conditions there.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder import locks, storages
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.locks import FolderHeldError
from rsvqa.rsvqa_builder.tiles import bucket_lease
from rsvqa.rsvqa_builder.tiles.bucket_lease import BucketLease, ConditionalObjects, NoConditionsError, PlaceTakenError
from tests.moto_server import BUCKET, moto_bucket
from tests.relay import AsGoogle, OftenBusy, serve
from tests.storage_servers import azure_container

WRITER, READER = "_rsvqa_lock/writer.json", "_rsvqa_lock/reader-node7-12-00000000.json"
ELSEWHERE = {"host": "node7", "pid": 12, "place": "another kernel/1", "started": "1", "token": "a"}


@pytest.fixture(scope="module", params=["s3", "az", "gs", "s3 often busy"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket or container, as the beginning of addresses."""
    scheme, _, is_busy = request.param.partition(" ")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        if scheme == "az":
            stack.enter_context(azure_container(tmp_path_factory.mktemp("azurite")))
        else:
            port = stack.enter_context(moto_bucket())
            busy = OftenBusy(port, 7)
            if scheme == "gs":
                patch.setenv("STORAGE_EMULATOR_HOST", stack.enter_context(serve(AsGoogle(port))))
            elif is_busy:
                patch.setenv("AWS_ENDPOINT_URL", stack.enter_context(serve(busy)))
        storages.open_conditional.cache_clear()
        yield f"{scheme}://{BUCKET}"
        assert not is_busy or busy.refused > 5


@pytest.fixture
def address(place: str, request: pytest.FixtureRequest) -> str:
    return f"{place}/{request.node.originalname}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders that are dead after two seconds."""
    monkeypatch.setattr(locks, "BEAT_S", 0.2)
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 2.0)
    monkeypatch.setattr(locks, "LOOK_S", 0.05)
    monkeypatch.setattr(bucket_lease, "WRITER_BEAT_S", 0.2)


def leave(address: str, key: str = WRITER) -> dict[str, str]:
    """Leave the object of a holder on another machine, and return its version."""
    return ConditionalObjects(address).create(key, json.dumps(ELSEWHERE).encode())


def keys(address: str) -> set[str]:
    return set(ConditionalObjects(address).versions("_rsvqa_lock"))


def test_what_is_there_is_changed_only_by_who_saw_its_last_version(address: str) -> None:
    objects = ConditionalObjects(address)
    first = objects.create("a/b", b"one")
    with pytest.raises(PlaceTakenError):
        objects.create("a/b", b"two")
    second = objects.update("a/b", b"three", first)
    with pytest.raises(PlaceTakenError):
        objects.update("a/b", b"four", first)
    objects.remove("a/b", first)
    assert objects.read("a/b") == (b"three", second)
    assert list(objects.versions("a")) == ["a/b"]
    objects.remove("a/b", second)
    assert objects.versions("a") == {}
    with pytest.raises(FileNotFoundError):
        objects.read("a/b")
    with pytest.raises(PlaceTakenError):
        objects.update("a/b", b"five", second)


def test_of_many_that_create_at_once_one_does(address: str) -> None:
    def create(number: int) -> bool:
        with suppress(PlaceTakenError):
            ConditionalObjects(address).create("a", b"%d" % number)
            return True
        return False

    with ThreadPoolExecutor(8) as threads:
        created = list(threads.map(create, range(16)))
    # where answers are lost or refused, the one that has created may not know
    assert sum(created) == 1
    assert ConditionalObjects(address).read("a")[0] == b"%d" % created.index(True)


def test_a_lease_keeps_others_away_until_it_is_released(address: str) -> None:
    lease = BucketLease(address).acquire()
    lease.require_held()
    for shared in (False, True):
        with pytest.raises(FolderHeldError, match=r"^process \d+ on "):
            BucketLease(address, shared=shared).acquire()
    assert keys(address) == {WRITER}
    lease.release()
    assert keys(address) == set()
    with pytest.raises(OutputError, match="another build has taken"):
        lease.require_held()
    BucketLease(address).acquire().release()


def test_a_shared_lease_keeps_away_only_who_wants_the_address_alone(address: str) -> None:
    first, second = BucketLease(address, shared=True).acquire(), BucketLease(address, shared=True).acquire()
    with pytest.raises(FolderHeldError):
        BucketLease(address).acquire()
    first.release()
    second.require_held()
    second.release()
    BucketLease(address).acquire().release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("key", [WRITER, READER])
def test_a_holder_on_another_machine_is_alive_while_its_object_changes(address: str, key: str) -> None:
    version = leave(address, key)
    ended = threading.Event()

    def beat() -> None:
        last, number = version, 0
        while not ended.wait(0.1):
            number += 1
            content = json.dumps({**ELSEWHERE, "beat": number}).encode()
            last = ConditionalObjects(address).update(key, content, last)

    thread = threading.Thread(target=beat)
    thread.start()
    heard: list[str] = []
    try:
        with pytest.raises(FolderHeldError, match=r"^process 12 on node7$"):
            BucketLease(address, tell=heard.append).acquire()
    finally:
        ended.set()
        thread.join()
    assert heard == ["process 12 on node7 was here: waiting for a sign of life, 2 s at most"]
    assert keys(address) == {key}
    objects = ConditionalObjects(address)
    objects.remove(key, objects.read(key)[1])


@pytest.mark.usefixtures("quick")
def test_those_that_do_not_change_are_dead_and_one_of_many_takes_their_place(address: str) -> None:
    leave(address)
    leave(address, READER)

    def take(_: int) -> BucketLease | None:
        with suppress(FolderHeldError):
            return BucketLease(address).acquire()
        return None

    with ThreadPoolExecutor(4) as threads:
        taken = [lease for lease in threads.map(take, range(4)) if lease is not None]
    assert len(taken) == 1
    assert keys(address) == {WRITER}
    taken[0].require_held()
    taken[0].release()
    assert keys(address) == set()


def test_a_process_of_this_machine_that_was_killed_is_dead_at_once(address: str, tmp_path: Path) -> None:
    code = (
        "import sys, time; from rsvqa.rsvqa_builder.tiles.bucket_lease import BucketLease;"
        f"BucketLease({address!r}).acquire(); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderHeldError, match=rf"^process {holder.pid} on "):
            BucketLease(address).acquire()
        holder.send_signal(signal.SIGKILL)
    heard: list[str] = []
    BucketLease(address, tell=heard.append).acquire().release()
    assert heard == []


@pytest.mark.usefixtures("quick")
def test_who_was_taken_for_dead_holds_nothing_more_and_leaves_the_new_holder_alone(address: str) -> None:
    lease = BucketLease(address).acquire()
    objects = ConditionalObjects(address)
    while True:  # between two beats
        with suppress(PlaceTakenError):
            successor = objects.update(WRITER, json.dumps(ELSEWHERE).encode(), objects.read(WRITER)[1])
            break
    with pytest.raises(OutputError, match=rf"another build has taken {address} over while this machine could not be"):
        lease.require_held()
    time.sleep(0.5)
    lease.release()
    assert objects.read(WRITER) == (json.dumps(ELSEWHERE).encode(), successor)
    objects.remove(WRITER, successor)


def test_an_answer_that_was_lost_does_not_lose_the_lease(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = ConditionalObjects._put

    def twice(self: ConditionalObjects, *words: object) -> dict[str, str]:
        put(self, *words)  # type: ignore[arg-type]  # the library repeats a request to which no answer came
        return put(self, *words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ConditionalObjects, "_put", twice)
        lease = BucketLease(address).acquire()
        lease.require_held()
    lease.require_held()
    lease.release()
    assert keys(address) == set()


def test_a_storage_that_overwrites_what_it_was_asked_not_to_has_no_lease(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ConditionalObjects._put
    unconditional: Callable[..., dict[str, str]] = lambda self, key, content, _: put(self, key, content, "overwrite")  # noqa: E731
    monkeypatch.setattr(ConditionalObjects, "_put", unconditional)
    with pytest.raises(NoConditionsError, match="the storage overwrites what it is asked not to"):
        BucketLease(address).acquire()
    assert keys(address) == set()
