"""`samples.jsonl`: every reply of a run, on disk the moment it arrives, whatever happens next.

While a run works, lines stand in the order of arrival, and a process other than the first writes to a file of its own
below `ranks/`. At the end all are merged in the order of the data, so the finished file has the same bytes for one
process, several, or a run that was killed and resumed, apart from the field `seconds`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import ValidationError

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.run_record import SAMPLES_FILE
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.rsvqa_builder.files import (
    missing_folders,
    remove_leftovers,
    remove_unused,
    write_atomically,
)
from rsvqa.rsvqa_builder.locks import FolderHeldError, FolderLock

RANKS_FOLDER = "ranks"


class ReplyKey(NamedTuple):
    """What was asked: a sample with its options in one rotation."""

    sample_id: str
    rotation: int


def key_of(reply: StoredReply) -> ReplyKey:
    """Return what a stored reply is to."""
    return ReplyKey(reply.sample_id, reply.rotation)


def rank_folder(run: Path, rank: int) -> Path:
    """Return where a process writes what is its own: the run's folder for the first, else one below it."""
    return run if rank == 0 else run / RANKS_FOLDER / str(rank)


def read_replies(run: Path) -> list[StoredReply]:
    """Return the best reply to each question that a run's folder holds, in the order of its files.

    Also while the run works or after it was killed: a torn last line is not read, and a reply goes before a failure.

    Raises:
        RunError: a line is not a stored reply.
    """
    best: dict[ReplyKey, StoredReply] = {}
    for path in [run / SAMPLES_FILE, *sorted(run.glob(f"{RANKS_FOLDER}/*/{SAMPLES_FILE}"))]:
        for reply in _read_lines(path):
            known = best.get(key_of(reply))
            if known is None or known.reply is None or reply.reply is not None:
                best[key_of(reply)] = reply
    return list(best.values())


def _read_lines(path: Path) -> Iterator[StoredReply]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # torn by a kill
            try:
                yield StoredReply.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                raise RunError(f"{path} line {number}: {where}: {first['msg']}; remove the line or the file") from error


class RunReplies:
    """The replies of one run, open in one process; a context that holds the run's lock.

    Two processes with the same rank cannot work on one folder.
    """

    def __init__(self, run: Path, *, rank: int = 0, tell: Callable[[str], object] | None = None) -> None:
        self._run = run
        self._tell = tell
        self._folder = rank_folder(run, rank)
        self._replies: dict[ReplyKey, StoredReply] = {}
        self._made: list[Path] = []
        self._lock: FolderLock | None = None
        self._file = -1

    def __enter__(self) -> Self:
        """Lock, and read what is stored.

        Raises:
            RunError: another process holds the lock, the folder cannot be made, or a line is not a stored reply.
        """
        self._made = missing_folders(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self._folder, tell=self._tell).acquire()
        except FolderHeldError as holder:
            raise RunError(
                f"another process works on {self._run} ({holder}): wait for it, or choose another `out`"
            ) from holder
        except OSError as error:
            raise RunError(f"cannot make the run's folder {self._folder}: {error.strerror}") from error
        self._replies = {key_of(reply): reply for reply in read_replies(self._run)}
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file and unlock; a folder that was made for nothing goes again."""
        self._close_own_file()
        if self._lock is not None:
            self._lock.release()
        remove_unused(self._made)

    @property
    def replies(self) -> Sequence[StoredReply]:
        """All that is stored, the best of each question."""
        return list(self._replies.values())

    def find(self, key: ReplyKey, fingerprint: str) -> StoredReply | None:
        """Return the stored reply to just this request; None when there is none, or only a failure.

        Raises:
            RunError: the stored reply is to another request: the data have changed under the run.
        """
        reply = self._replies.get(key)
        if reply is None or reply.reply is None:
            return None
        if reply.fingerprint != fingerprint:
            raise RunError(
                f"{self._run}: {key.sample_id} was answered about another prompt, answer or image, so the data have "
                "changed since; choose another `out`"
            )
        return reply

    def append(self, reply: StoredReply) -> None:
        """Store a reply; after this call it outlives a kill and a power cut. A full disk leaves no part of it."""
        if self._file < 0:
            self._open_own_file()
        end = os.lseek(self._file, 0, os.SEEK_END)
        line = memoryview(reply.model_dump_json().encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)
            raise
        self._replies[key_of(reply)] = reply

    def merge(self, order: Iterable[ReplyKey]) -> list[StoredReply]:
        """Write `samples.jsonl` anew in this order, from the files of all processes, and remove theirs.

        Only the first process calls this, when all have ended. What is not in `order` is not in the file.
        """
        found = {key_of(reply): reply for reply in read_replies(self._run)}
        replies = [found[key] for key in order if key in found]
        content = b"".join(reply.model_dump_json().encode() + b"\n" for reply in replies)
        self._close_own_file()
        write_atomically(self._run / SAMPLES_FILE, content)
        shutil.rmtree(self._run / RANKS_FOLDER, ignore_errors=True)
        remove_leftovers(self._run)
        self._replies = {key_of(reply): reply for reply in replies}
        return replies

    def _open_own_file(self) -> None:
        """Open for appending; a last line that a kill has torn is cut off."""
        path = self._folder / SAMPLES_FILE
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, _whole_length(path))

    def _close_own_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _whole_length(path: Path) -> int:
    """Return the bytes up to the end of the last whole line."""
    position = path.stat().st_size
    with path.open("rb") as file:
        while position > 0:
            start = max(0, position - (1 << 16))
            file.seek(start)
            end = file.read(position - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            position = start
    return 0
