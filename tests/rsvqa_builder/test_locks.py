"""Who may write in a folder: this machine's processes, and those of other machines that see it."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder import locks
from rsvqa.rsvqa_builder.locks import LOCK, FolderHeldError, FolderLock

ELSEWHERE = {"host": "node7", "pid": 12, "place": "another kernel/1", "token": "a"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders that die within a third of a second."""
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    monkeypatch.setattr(locks, "DEAD_AFTER_S", 0.3)
    monkeypatch.setattr(locks, "LOOK_S", 0.01)


def leave(folder: Path, name: str = "writer.json", **holder: object) -> Path:
    """Leave the file of a holder."""
    path = folder / LOCK / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**ELSEWHERE, **holder}))
    return path


def test_a_lock_keeps_others_away_until_it_is_released(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path).acquire()
    assert lock.is_held
    for shared in (False, True):
        with pytest.raises(FolderHeldError, match=rf"^process {os.getpid()} on "):
            FolderLock(tmp_path, shared=shared).acquire()
    lock.release()
    assert not lock.is_held
    assert list(tmp_path.iterdir()) == []
    FolderLock(tmp_path).acquire().release()


def test_a_shared_lock_keeps_away_only_who_wants_the_folder_alone(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path, shared=True).acquire(), FolderLock(tmp_path, shared=True).acquire()
    with pytest.raises(FolderHeldError):
        FolderLock(tmp_path).acquire()
    first.release()
    assert second.is_held
    second.release()
    FolderLock(tmp_path).acquire().release()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["writer.json", "reader-node7-12-00000000.json"])
def test_a_holder_on_another_machine_is_alive_while_it_touches_its_file(tmp_path: Path, name: str) -> None:
    holder = leave(tmp_path, name)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            os.utime(holder)

    thread = threading.Thread(target=beat)
    thread.start()
    heard: list[str] = []
    with pytest.raises(FolderHeldError, match=r"^process 12 on node7$"):
        FolderLock(tmp_path, tell=heard.append).acquire()
    ended.set()
    thread.join()
    assert heard == ["process 12 on node7 was here: waiting for a sign of life, 0 s at most"]
    assert json.loads(holder.read_text()) == ELSEWHERE


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["writer.json", "reader-node7-12-00000000.json"])
def test_one_that_does_not_is_dead(tmp_path: Path, name: str) -> None:
    leave(tmp_path, name)
    lock = FolderLock(tmp_path).acquire()
    assert [path.name for path in (tmp_path / LOCK).iterdir()] == ["writer.json"]
    assert lock.is_held
    lock.release()


@pytest.mark.usefixtures("quick")
def test_many_that_are_dead_are_watched_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        leave(tmp_path, f"reader-node{number}-12-00000000.json")
    watched: list[int] = []
    watch = FolderLock._watch

    def counting(lock: FolderLock, beats: dict[Path, int]) -> None:
        watched.append(len(beats))
        watch(lock, beats)

    monkeypatch.setattr(FolderLock, "_watch", counting)
    heard: list[str] = []
    FolderLock(tmp_path, tell=heard.append).acquire().release()
    assert watched == [3]
    assert heard == ["process 12 on node7 and 2 more were here: waiting for a sign of life, 0 s at most"]
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_this_kernel_that_was_killed_is_dead_at_once(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path).acquire()
    place = json.loads((tmp_path / LOCK / "writer.json").read_text())["place"]
    lock.release()
    leave(tmp_path, place=place)
    heard: list[str] = []
    FolderLock(tmp_path, tell=heard.append).acquire().release()
    assert heard == []


@pytest.mark.usefixtures("quick")
def test_without_locks_of_the_kernel_the_files_alone_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So on network file systems: only a lock that is held says so, not one that cannot be had."""

    def refuse(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = FolderLock(tmp_path).acquire()
    with pytest.raises(FolderHeldError):
        FolderLock(tmp_path).acquire()
    assert lock.is_held
    lock.release()
    FolderLock(tmp_path).acquire().release()


@pytest.mark.usefixtures("quick")
def test_who_was_taken_for_dead_holds_nothing_more_and_leaves_the_new_holder_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path).acquire()
    successor = leave(tmp_path)
    assert not lock.is_held
    touched = successor.stat().st_mtime_ns
    time.sleep(0.15)
    lock.release()
    assert successor.stat().st_mtime_ns == touched
    assert json.loads(successor.read_text()) == ELSEWHERE


def test_a_folder_that_can_only_be_read_is_shared_by_the_kernels_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    lock = FolderLock(tmp_path, shared=True).acquire()
    with pytest.raises(FolderHeldError):
        FolderLock(tmp_path).acquire()
    lock.release()
    with pytest.raises(PermissionError):
        FolderLock(tmp_path).acquire()


def test_a_folder_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "none").acquire()
