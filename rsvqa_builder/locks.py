"""One writer in a folder, on this machine and on all others that see the folder.

Processes of one kernel are told apart by a lock on the folder's descriptor, which the kernel drops when they end,
however they end. Other machines do not see it: to them speaks a file in the folder, which its holder touches every
`BEAT_S`. One that is touched while somebody watches is alive, one that is not for `DEAD_AFTER_S` is dead. So no clocks
are compared, and a machine that was lost costs the next one two minutes at most.

A holder of this kernel needs no watching: where the kernel's lock was free, whoever left the file has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from rsvqa.rsvqa_builder.files import move_file

LOCK = ".rsvqa-lock"
"""Folder of the holders' files, below the one that they hold; it goes with the last of them."""

BEAT_S = 20.0
DEAD_AFTER_S = 120.0
LOOK_S = 0.5
_WRITER = "writer.json"


class FolderHeldError(Exception):
    """Another process holds the folder; the text says which, as "process 12 on node7"."""


class FolderLock:
    """A folder that this process alone writes in, or with others that share it, until it is released.

    Attributes:
        folder: the one that is held; it must exist.
    """

    def __init__(self, folder: Path, *, shared: bool = False, tell: Callable[[str], object] | None = None) -> None:
        """Hold nothing yet.

        Args:
            folder: to hold; it must exist.
            shared: keep away only those that want it alone.
            tell: hears one line when a holder on another machine has to be watched, which may take two minutes.
        """
        self.folder = folder
        self._shared = shared
        self._tell = tell
        self._descriptor = -1
        self._file: Path | None = None
        self._content = b""
        self._ended = threading.Event()

    def acquire(self) -> Self:
        """Hold the folder, and return this lock.

        Raises:
            FolderHeldError: another process that is alive holds it.
            OSError: there is no such folder, or it cannot be written to and is not shared.
        """
        self._descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            has_kernels = self._lock_in_kernel()
            self._content = _identity(self._descriptor)
            self._write_own(has_kernels)
            self._require_dead(self._others(), has_kernels)
        except BaseException:
            self.release()
            raise
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def release(self) -> None:
        """Let the folder go; what was never held may be released, too."""
        self._ended.set()
        if self._file is not None:
            with contextlib.suppress(OSError):
                if self._file.read_bytes() == self._content:
                    self._file.unlink()
            with contextlib.suppress(OSError):  # others hold it, too
                self._file.parent.rmdir()
            self._file = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Whether the folder is still this process's: it is not when others had to take it for dead."""
        try:
            return self._file is not None and self._file.read_bytes() == self._content
        except OSError:
            return False

    def _lock_in_kernel(self) -> bool:
        """Take the kernel's lock, and return whether there is such a thing on this file system."""
        kind = fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderHeldError(self._name_holder()) from None
        except OSError:
            return False
        return True

    def _name_holder(self) -> str:
        others = self._others()
        return _name(others[0]) if others else "a process on this machine"

    def _write_own(self, has_kernels: bool) -> None:
        name = f"reader-{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}.json"
        path = self.folder / LOCK / (name if self._shared else _WRITER)
        while True:
            try:
                path.parent.mkdir(exist_ok=True)
                with path.open("xb") as file:
                    file.write(self._content)
            except FileExistsError:
                self._require_dead([path], has_kernels)
            except FileNotFoundError:
                if not self.folder.exists():
                    raise
            except OSError:
                if not self._shared:
                    raise
                return  # it can only be read here, and then the kernel's lock must do
            else:
                self._file = path
                return

    def _others(self) -> list[Path]:
        """Return the files of those that keep this process away, or would."""
        pattern = _WRITER if self._shared else "*.json"
        return [path for path in sorted((self.folder / LOCK).glob(pattern)) if path != self._file]

    def _require_dead(self, holders: Sequence[Path], has_kernels: bool) -> None:
        """Return once all holders are known to be dead, and remove their files.

        Raises:
            FolderHeldError: one is alive.
        """
        found: dict[Path, bytes] = {}
        beats: dict[Path, int] = {}
        for holder in holders:
            with contextlib.suppress(FileNotFoundError):  # released meanwhile
                found[holder] = holder.read_bytes()
                if not (has_kernels and _place(found[holder]) == _place(self._content)):
                    beats[holder] = holder.stat().st_mtime_ns
        if beats:
            self._watch(beats)
        for holder, content in found.items():
            _remove(holder, content)

    def _watch(self, beats: dict[Path, int]) -> None:
        """Return when no holder has been touched for `DEAD_AFTER_S`, or all are gone; all are watched at once."""
        end = time.monotonic() + DEAD_AFTER_S
        if self._tell is not None:
            first, *rest = beats
            names = f"{_name(first)} and {len(rest)} more were" if rest else f"{_name(first)} was"
            self._tell(f"{names} here: waiting for a sign of life, {DEAD_AFTER_S:.0f} s at most")
        while beats and time.monotonic() < end:
            time.sleep(LOOK_S)
            for holder, beat in list(beats.items()):
                try:
                    if holder.stat().st_mtime_ns != beat:
                        raise FolderHeldError(_name(holder))
                except FileNotFoundError:
                    del beats[holder]

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with contextlib.suppress(OSError):
                if self._file is not None and self.is_held:
                    os.utime(self._file)


def kernel() -> str:
    """Return what tells the kernel of this machine, since it was started, from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _identity(descriptor: int) -> bytes:
    """Return what tells this holder from all others, and where the kernel's lock speaks for it.

    A file system that is mounted twice, as in two containers, has two device numbers, and the kernel's lock on one of
    them says nothing of the other.
    """
    return json.dumps(
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "place": f"{kernel()}/{os.fstat(descriptor).st_dev}",
            "token": secrets.token_hex(8),
        }
    ).encode()


def read_holder(content: bytes) -> dict[str, object]:
    """Return what a holder says of itself."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}  # being written
    return found if isinstance(found, dict) else {}


def _place(content: bytes) -> object:
    return read_holder(content).get("place")


def _name(holder: Path) -> str:
    try:
        return holder_name(holder.read_bytes())
    except OSError:
        return holder_name(b"")


def holder_name(content: bytes) -> str:
    """Return who a holder is, in words."""
    found = read_holder(content)
    return f"process {found['pid']} on {found['host']}" if {"pid", "host"} <= found.keys() else "another process"


def _remove(holder: Path, content: bytes) -> None:
    """Remove the file of a dead holder; one that somebody else has put in its place meanwhile stays."""
    aside = holder.with_name(f".dead-{secrets.token_hex(4)}")
    try:
        move_file(holder, aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != content:
        with contextlib.suppress(OSError):
            holder.hardlink_to(aside)
    aside.unlink()
