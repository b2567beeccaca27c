"""Writers: the old or the new, never a half, whoever is killed, refused or in a hurry."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder import files
from rsvqa.rsvqa_builder.files import (
    OutputError,
    put_in_place,
    remove_leftovers,
    whole_file,
    whole_folder,
    write_atomically,
    write_once,
)

WRITER = """
import sys, time
from pathlib import Path
from rsvqa.rsvqa_builder.files import whole_file, whole_folder
out = Path(sys.argv[2])
with (whole_file(out) if sys.argv[1] == "file" else whole_folder(out, overwrite=True)) as partial:
    (partial if sys.argv[1] == "file" else partial / "half.txt").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


@contextmanager
def writing_process(kind: str, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that has written and not yet renamed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, kind, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- files ---


def test_a_file_is_written_with_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_bytes(b"")
    write_atomically(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").read_bytes() == b"new"
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "a.json")}
    assert len(modes) == 1
    write_atomically(tmp_path / "a.json", b"newer")
    assert (tmp_path / "a.json").read_bytes() == b"newer"
    assert names(tmp_path) == ["a.json", "ordinary"]


def test_a_relative_path_is_one_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically(Path("a.json"), b"a")
    with whole_folder(Path("b")) as working:
        (working / "c").write_bytes(b"c")
    assert (tmp_path / "a.json").read_bytes() == b"a"
    assert (tmp_path / "b" / "c").read_bytes() == b"c"


def test_a_name_of_any_length_has_a_hidden_one(tmp_path: Path) -> None:
    for name in ("é" * 127, "x" * 255):  # 254 and 255 bytes
        write_atomically(tmp_path / name, b"a")
    assert names(tmp_path) == sorted(["é" * 127, "x" * 255])


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a") as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("where", ["write", "sync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    write_atomically(tmp_path / "a", b"old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    match where:
        case "write":
            monkeypatch.setattr(Path, "write_bytes", refuse)
        case "sync":
            monkeypatch.setattr(os, "fsync", refuse)
        case _:
            monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_kill_before_the_rename_leaves_the_old_file_and_a_leftover(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    with writing_process("file", tmp_path / "a") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "a").read_bytes() == b"old"
    leftover, _ = names(tmp_path)
    assert leftover.startswith(".a.")
    assert f"-{process.pid}-" in leftover
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]


def test_leftovers_are_removed_below_a_folder_and_no_other_file_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    files_of_others = [".a.partial", "a.host-1-0123abcd.partial", ".hidden", ".a.host-1-0123abcd.partial.txt"]
    leftovers = [".a.host-1-0123abcd.partial", "data/.b.json.node-7.cluster-21-ffffffff.partial"]
    for name in [*files_of_others, *leftovers]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".out.host-1-0123abce.partial" / "images").mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([*files_of_others, "data"])
    assert names(tmp_path / "data") == []


def _write_often(path: Path, letter: bytes) -> None:
    for _ in range(30):
        write_atomically(path, letter * 100_000)


def test_of_two_writers_at_once_each_file_is_one_ones(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(tmp_path / "a", letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    found = set()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / "a").exists():
            content = (tmp_path / "a").read_bytes()
            assert len(content) == 100_000
            found.add(content[:1])
            assert len(set(content)) == 1
        time.sleep(0.001)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert found <= {b"a", b"b"}
    assert found
    assert names(tmp_path) == ["a"]


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    replace: Callable[[Path, Path], Path] = Path.replace
    monkeypatch.setattr(files, "sync", lambda path: done.append(("sync", path.name)))

    def note_and_replace(source: Path, target: Path) -> Path:
        done.append(("rename", target.name))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", note_and_replace)
    with whole_file(tmp_path / "a") as partial:
        partial.write_bytes(b"a")
    assert done == [("sync", partial.name), ("rename", "a"), ("sync", tmp_path.name)]


# --- folders ---


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as working:
        (working / "images").mkdir()
        (working / "images" / "a").write_bytes(b"a")
        assert not out.exists()
    assert (out / "images" / "a").read_bytes() == b"a"
    assert names(out.parent) == ["out"]


def test_an_exception_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_bytes(b"")
    with pytest.raises(ValueError, match="no"), whole_folder(out, overwrite=True) as working:  # noqa: PT012
        (working / "new").write_bytes(b"")
        raise ValueError("no")
    assert names(out) == ["old"]
    assert names(tmp_path) == ["out"]


def test_a_folder_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("first", "second"):  # an empty folder is as good as none
        with whole_folder(out, overwrite=name == "second") as working:
            (working / name).write_bytes(b"")
    assert names(out) == ["second"]
    with (
        pytest.raises(OutputError, match="out has been written by somebody else meanwhile"),
        whole_folder(out) as working,
    ):
        (working / "third").write_bytes(b"")
    assert names(out) == ["second"]
    assert names(tmp_path) == ["out"]


def test_what_a_killed_export_left_is_removed_by_the_next_and_a_living_one_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with writing_process("folder", out) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    (left,) = names(tmp_path)
    elsewhere = tmp_path / ".out.another_host-1-0123abcd.partial"  # whose processes cannot be seen from here
    elsewhere.mkdir()
    with writing_process("folder", out):
        (alive,) = set(names(tmp_path)) - {left, elsewhere.name}
        with whole_folder(out, overwrite=True) as working:
            (working / "whole").write_bytes(b"")
        assert names(tmp_path) == sorted([alive, elsewhere.name, "out"])
        assert names(out) == ["whole"]


def test_a_folder_is_synced_to_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "working" / "images").mkdir(parents=True)
    (tmp_path / "working" / "images" / "a").write_bytes(b"")
    (tmp_path / "working" / "b").write_bytes(b"")
    done: list[Path] = []
    monkeypatch.setattr(files, "sync", lambda path: done.append(path.relative_to(tmp_path)))
    put_in_place(tmp_path / "working", tmp_path / "out")
    assert sorted(map(str, done)) == [".", "working", "working/b", "working/images", "working/images/a"]
    assert str(done[-2]) == "working"
    assert names(tmp_path) == ["out"]


# --- named once ---


def test_a_file_that_is_there_stays_the_very_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.arrow"
    assert write_once(path, b"first")
    before = path.stat()
    assert not write_once(path, b"second")
    with whole_file(path, if_absent=True) as partial:
        partial.write_bytes(b"third")
    assert (path.read_bytes(), path.stat().st_ino) == (b"first", before.st_ino)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert [write_once(tmp_path / "a", content) for content in (b"first", b"second")] == [True, False]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]
