"""What a worker of a cluster does around a unit of work, whatever engine brought it there.

A worker that is not like the process that drives the build is refused before it touches a unit: with other releases or
codecs it would write other bytes, and without the shared folder it would write them to its own disk.

A unit that hangs, in GDAL over a dead network disk for one, ends its process after some time. A timer in C sees to it,
so that it works when Python's threads cannot run.
"""

from __future__ import annotations

import faulthandler
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

from rsvqa.rsvqa_builder.tiles.executors import ExecutorError
from rsvqa.rsvqa_builder.tiles.fingerprint import worker_fingerprint

Item = TypeVar("Item")
Result = TypeVar("Result")


class UnlikeWorkerError(ExecutorError):
    """A worker would write other bytes than the process that drives the build, or elsewhere."""


@dataclass(frozen=True, slots=True)
class WorkerContract:
    """What workers have to have in common with the process that drives the build; travels with every unit.

    Attributes:
        fingerprint: of the driving process, see `worker_fingerprint`.
        folder: in which it works: relative paths mean the same everywhere.
        out: folder of the build.
        timeout: seconds after which a unit's process is ended.
    """

    fingerprint: tuple[tuple[str, str], ...]
    folder: str
    out: str
    timeout: float

    @classmethod
    def of_this_process(cls, out: Path, timeout: float) -> Self:
        """Return the contract that this process would fulfil."""
        return cls(tuple(worker_fingerprint().items()), str(Path.cwd()), str(out), timeout)

    def run(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Return `function(item)`, worked out in the main thread of this process.

        Raises:
            UnlikeWorkerError: this process does not fulfil the contract.
        """
        _fulfil(self)
        faulthandler.dump_traceback_later(self.timeout, exit=True)
        try:
            return function(item)
        finally:
            faulthandler.cancel_dump_traceback_later()


@cache
def _fulfil(contract: WorkerContract) -> None:
    """See once per process that it fulfils a contract, and go to its folder."""
    where = f"the worker on {socket.gethostname()} (process {os.getpid()})"
    own = worker_fingerprint()
    changes = [f"{name} is {own.get(name)}, not {value}" for name, value in contract.fingerprint if own[name] != value]
    if changes:
        raise UnlikeWorkerError(
            f"{where} would write other bytes: {'; '.join(changes)}. Give all machines the same environment"
        )
    try:
        os.chdir(contract.folder)
        if not Path(contract.out).is_dir():
            raise FileNotFoundError(contract.out)
    except OSError as error:
        folder = error.filename or contract.out
        raise UnlikeWorkerError(
            f"{where} does not see the folder {folder}: scenes and `out` must lie on a disk that all machines share, "
            "under the same path"
        ) from error
