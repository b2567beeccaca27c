"""Whole files and folders: nothing half-written under a final name.

`write_atomically`, `write_once`, `whole_file` and `whole_folder` are the only ones that write aside and rename. What is
written lies beside its place under a hidden name that no other process has, on this host or another, and has the mode
of any new file. An exception removes it; what was there before is then untouched.

What is written is brought to the disk before it gets its name, and its name before the call returns, so that a power
cut leaves the old or the new one, never a name over missing bytes, and nothing that was reported as written is lost. On
a virtual SSD that takes about 5 ms for the file and 5 ms for the folder, where a rename alone takes 0.1 ms. One rule
for all of them is worth that: even a build of small tiles, which writes two files per tile, spends 20 ms on it of more
than 200 ms a tile, and several workers wait at the same time.

A killed process leaves its hidden files. Who owns a folder, and knows that nobody else writes there, calls
`remove_leftovers`: a build when it has locked its output, a run of the benchmark when all its processes have ended, a
training before its first step. A folder left beside an export is removed by the next export to the same place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsvqa.annotation.errors import RsvqaError

_LEFTOVER = re.compile(r"\..+\.[^/]*-\d+-[0-9a-f]{8}\.partial")
_SAMPLED_BYTES = 1_048_576
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(?:/+(.*))?|/vsi\w+/.*")
"""What people write for an object storage; as a path it has lost one of its slashes, or both at its end."""

_BUCKET = re.compile(r"(s3|gs|az):/+([^/]+)/*(.*)")

_NO_BUCKET = re.compile(r"(?:[\w-]+:)?(s3|gs|az):/*")

_WITHOUT_BUCKET = "{0}://: it names no bucket; expected an address such as {0}://bucket/folder"

_ELSEWHERE = re.compile(r"(?:[\w-]+:)?((?:s3|gs|az):/.*)")
"""What is given to be read, by itself or as "vrsbench-vqa:s3://bucket/folder"."""

_NAME_BYTES = 150
"""Of the final name that a hidden one repeats; file systems allow 255 in all."""


class OutputError(RsvqaError):
    """An output folder cannot be used: somebody else writes there, or it holds something that must not be replaced."""


class ElsewhereError(RsvqaError):
    """What is to be read lies in an object storage."""

    exit_code = 2


def bucket_address(out: Path | str) -> str | None:
    """Return "s3://bucket/prefix" where such was given as an output; a path of it has lost one of its slashes."""
    found = _BUCKET.fullmatch(str(out))
    if found is None:
        return None
    return "/".join([f"{found[1]}://{found[2]}", *(part for part in found[3].split("/") if part)])


def require_local(path: Path) -> None:
    """See that a path to write to is one of this machine, before anything is done for it.

    Raises:
        OutputError: it is the address of an object storage.
    """
    if found := _NO_BUCKET.fullmatch(str(path)):
        raise OutputError(_WITHOUT_BUCKET.format(found[1]))
    if found := _ADDRESS.fullmatch(str(path)):
        address = f"{found[1]}://{found[2] or ''}" if found[1] else path
        raise OutputError(
            f"{address} is no folder of this machine: give one that is, or one mounted here, and copy it at the "
            "end (`aws s3 sync`, `gcloud storage rsync`, `rclone copy`)"
        )


def require_here(path: Path | str, name: str = "") -> None:
    """See that what is to be read is no address of an object storage, before anything is done with it.

    Args:
        path: what was given; as a path, an address has lost one of its slashes.
        name: of the setting, for the message.

    Raises:
        ElsewhereError: it is one.
    """
    if found := _NO_BUCKET.fullmatch(str(path)):
        raise ElsewhereError(f"{name and f'`{name}` '}{_WITHOUT_BUCKET.format(found[1])}")
    if found := _ELSEWHERE.fullmatch(str(path)):
        address = bucket_address(found[1]) or found[1]
        raise ElsewhereError(
            f"{name and f'`{name}` '}{address}: it is read from this machine alone; copy it into a folder here "
            "(`aws s3 sync`, `gcloud storage rsync`, `rclone copy`), and give that"
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that `path` is either whole or as it was, whatever happens meanwhile."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def missing_folders(path: Path) -> list[Path]:
    """Return `path` and those folders above it that are not there yet, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_unused(folders: Iterable[Path]) -> None:
    """Remove folders that were made for something that came to nothing, up to the first that holds anything."""
    for folder in folders:
        if folder.exists():
            try:
                folder.rmdir()
            except OSError:  # it is not empty
                return


def write_once(path: Path, content: bytes | memoryview) -> bool:
    """Write `content` to `path` unless there is a file already; return whether it was this call that wrote it.

    Of several processes that call it at the same time, on this machine or others, it is one.
    """
    partial = _beside(path)
    try:
        partial.write_bytes(content)
        return _name_if_absent(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, *, if_absent: bool = False) -> Iterator[Path]:
    """Yield where to write a file that becomes `path` when the block ends, and vanishes when it raises.

    Whatever is opened there must be closed within the block.

    Args:
        path: its final name.
        if_absent: a file that is there by the end stays. This is for names that follow from the content: another
            machine may have that file open, and over NFS a file that was replaced cannot be read any more.
    """
    partial = _beside(path)
    try:
        yield partial
        if if_absent:
            _name_if_absent(partial, path)
        else:
            sync(partial)
            partial.replace(path)
            sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _name_if_absent(partial: Path, path: Path) -> bool:
    """Give a whole file its name unless that is taken; return whether it was free."""
    sync(partial)
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        partial.replace(path)
    sync(path.parent)
    return True


@contextmanager
def whole_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` when the block ends, and vanishes when it raises.

    Args:
        out: new or empty, or anything with `overwrite`.
        overwrite: replace what `out` holds then.

    Raises:
        OutputError: when `out` holds something at the end and `overwrite` is false, or is no folder of this machine.
    """
    require_local(out)
    out = out.resolve()
    made = missing_folders(out.parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    working = _beside(out)
    working.mkdir()
    lock = _lock(working)
    try:
        yield working
        put_in_place(working, out, overwrite=overwrite)
    finally:
        shutil.rmtree(working, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        remove_unused(made)


def put_in_place(working: Path, out: Path, *, overwrite: bool = False) -> None:
    """Rename a folder to `out`, on one file system, once all of it is on the disk.

    A kill while an old one is replaced may leave none, never a half.

    Raises:
        OutputError: when `out` holds something, and `overwrite` is false.
    """
    sync_tree(working)
    former = _beside(out)
    if overwrite and out.exists():
        out.rename(former)
    try:
        working.rename(out)
    except OSError as error:
        if out.exists():
            raise OutputError(f"{out} has been written by somebody else meanwhile; choose another folder") from error
        raise
    sync(out.parent)
    shutil.rmtree(former, ignore_errors=True)


def move_file(source: Path, target: Path) -> None:
    """Move a whole file to its place on the same file system; the caller syncs what it wants to outlive a power cut."""
    source.replace(target)


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring all that a folder holds to the disk, its own names last."""
    for path in folder.iterdir():
        if path.is_dir():
            sync_tree(path)
        else:
            sync(path)
    sync(folder)


def is_partial(path: Path) -> bool:
    """Return whether a path is what a process writes at this moment, or was killed while it wrote."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes have left in `folder` and below, when nobody writes there."""
    for path in [path for path in folder.rglob(".*.partial") if is_partial(path)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Return a hidden name beside `path` that no other process has."""
    host = socket.gethostname()[:32]
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    return path.with_name(f".{name}.{host}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def _remove_abandoned(out: Path) -> None:
    """Remove folders beside `out` whose writers are dead: their locks are gone. Those of another host are not seen."""
    begin, _, _ = _beside(out).name.rpartition(f"-{os.getpid()}-")
    for path in out.parent.iterdir():
        if not (path.name.startswith(f"{begin}-") and is_partial(path)):
            continue
        lock = _lock(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the kernel's lock on a folder until it is closed.

    None when another process holds it, or there are no locks on this file system.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def hash_file(path: Path) -> str:
    """Return the SHA-256 of what a file holds, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path, suffixes: Collection[str] = ()) -> str:
    """Return a hash, hexadecimal, of the files of a checkpoint; `suffixes` are those that count, all by default.

    Small files count whole, large ones (weights) by their size and their first and last 2²⁰ bytes: reading 15 GB would
    take longer than many a run, and weights that were trained on differ everywhere.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        if suffixes and path.suffix not in suffixes:
            continue
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLED_BYTES))
            file.seek(-min(_SAMPLED_BYTES, path.stat().st_size), 2)
            digest.update(file.read())
    return digest.hexdigest()
