"""Where finished work is kept: bytes by key, whole or not at all.

The least that a folder which machines share and an object storage have in common. A key is a path with slashes, and
what is stored under it never depends on who stores it: so a unit of work that is done twice does no harm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rsvqa.rsvqa_builder.files import is_partial, whole_file, write_atomically, write_once


class WorkStore(Protocol):
    """Bytes by key; travels to workers, so it can be pickled, and two of one place are equal."""

    def __hash__(self) -> int:
        """Return the same for two of one place."""
        ...

    def put(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Store `content` and return True; with `if_absent` leave what is there, and return False then."""
        ...

    def get(self, key: str) -> bytes:
        """Return what is stored.

        Raises:
            FileNotFoundError: when there is nothing.
        """
        ...

    def list(self, prefix: str) -> Mapping[str, int]:
        """Return the size in bytes of all that is stored under keys below `prefix` ("tiles"), by key."""
        ...

    def new_file(self, key: str) -> AbstractContextManager[Path]:
        """Yield where to write a file on this machine; it is stored once the block has ended, not if that raises."""
        ...

    def delete(self, key: str) -> None:
        """Remove what is stored, if anything is."""
        ...


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Files below a folder that every worker has under the same path."""

    root: Path

    def __str__(self) -> str:
        """Return the folder."""
        return str(self.root)

    def put(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Write a file."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if if_absent:
            return write_once(path, content)
        write_atomically(path, content)
        return True

    def get(self, key: str) -> bytes:
        """Return a file's bytes."""
        return (self.root / key).read_bytes()

    def list(self, prefix: str) -> Mapping[str, int]:
        """Return the files below a folder; what is being written at this moment is none of them."""
        found: dict[str, int] = {}
        folders = [prefix]
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(self.root / folder)
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif not is_partial(Path(entry.name)):
                        found[name] = entry.stat().st_size
        return found

    @contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        """Yield a hidden name beside that of the file."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            yield partial

    def delete(self, key: str) -> None:
        """Remove a file."""
        (self.root / key).unlink(missing_ok=True)
