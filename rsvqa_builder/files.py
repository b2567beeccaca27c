"""Whole files and folders: nothing half-written under a final name, and one process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsvqa.annotation.errors import RsvqaError


class ExportError(RsvqaError):
    """The data set cannot be exported; the message says what to change."""


def lock_folder(folder: Path, *, shared: bool = False) -> int:
    """Return a descriptor that holds a lock on the folder until it is closed; `shared` ones keep only the others away.

    The kernel drops the lock when the process ends, however it ends, so none is left behind.

    Raises:
        OSError: another process holds the lock, or there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` so that `path` is either whole or not there, whatever happens meanwhile."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def missing_folders(path: Path) -> list[Path]:
    """Return `path` and those folders above it that are not there yet, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_unused(folders: Iterable[Path]) -> None:
    """Remove folders that were made for something that came to nothing, up to the first that holds anything."""
    for folder in folders:
        if folder.exists():
            if any(folder.iterdir()):
                return
            folder.rmdir()


@contextmanager
def whole_folder(src: Path, out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` when the block ends, and vanishes when it raises.

    Args:
        src: the data set that is exported; `out` may not hold it nor lie among its shards.
        out: new or empty, or anything with `overwrite`.
        overwrite: replace what `out` holds.

    Raises:
        ExportError: when `out` is in use or holds the data set itself.
    """
    out = out.resolve()
    _check_out(src.resolve(), out, overwrite=overwrite)
    working = out.with_name(f".{out.name}.rsvqa-export")
    shutil.rmtree(working, ignore_errors=True)  # the rest of a killed export
    made = missing_folders(out.parent)
    working.mkdir(parents=True)
    try:
        yield working
        _put_in_place(working, out)
    finally:
        shutil.rmtree(working, ignore_errors=True)
        remove_unused(made)


def _check_out(src: Path, out: Path, *, overwrite: bool) -> None:
    if out == src or out in src.parents:
        raise ExportError(f"--out {out} holds the data set itself; choose another folder")
    if any(folder in (out, *out.parents) for folder in (src / "data", src / "tiles")):
        raise ExportError(f"--out {out} lies among the data set's shards; choose another folder")
    if out.exists() and not out.is_dir():
        raise ExportError(f"--out {out} is a file; expected a folder")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise ExportError(f"--out {out} is not empty; choose another folder, or --overwrite to replace it")


def _put_in_place(working: Path, out: Path) -> None:
    former = out.with_name(f".{out.name}.rsvqa-former")
    shutil.rmtree(former, ignore_errors=True)
    if out.exists():
        out.rename(former)
    working.rename(out)
    shutil.rmtree(former, ignore_errors=True)
