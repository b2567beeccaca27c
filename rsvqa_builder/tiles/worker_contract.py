"""What each process that works for a build has in common with its driver, whatever engine brought it there.

A worker that is not like the driver is refused before it touches a unit: with other releases, codecs or plug-ins it
would write other bytes, and without the shared folder it would write them to its own disk. The driver compares itself
with what it finds in the output (`output.begin`, `output.join`); so all ranks and restarts of a build are alike, too.

A unit on a cluster that hangs, in GDAL over a dead network disk for one, ends its process after some time. A timer in C
sees to it, so that it works when Python's threads cannot run.
"""

from __future__ import annotations

import faulthandler
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, Self, TypeVar

from rsvqa.rsvqa_builder.tiles.executors import ExecutorError
from rsvqa.rsvqa_builder.tiles.fingerprint import worker_fingerprint
from rsvqa.rsvqa_builder.tiles.shared_work import SharedWork

Item = TypeVar("Item")
Result = TypeVar("Result")


class UnlikeWorkerError(ExecutorError):
    """A worker would write other bytes than the process that drives the build, or elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContract:
    """What workers have to have in common with the process that drives the build; travels with every unit.

    Attributes:
        fingerprint: of the driving process, see `worker_fingerprint`.
        folder: in which it works: relative paths mean the same everywhere.
        places: files and folders that they have to see: that of the build, unless its work lies in an object storage,
            and the sources on disk.
        shared: how they come by files of the work folder where they do not see it.
    """

    fingerprint: tuple[tuple[str, str], ...]
    folder: str
    places: tuple[str, ...]
    shared: SharedWork | None = None

    @classmethod
    def of_this_process(cls, *places: Path) -> Self:
        """Return the contract that this process would fulfil."""
        return cls(
            fingerprint=tuple(worker_fingerprint().items()),
            folder=str(Path.cwd()),
            places=tuple(str(place.absolute()) for place in places),
        )

    def bind(self, function: Callable[[Item], Result]) -> LikeDriver[Item, Result]:
        """Return `function` for the workers of this build; those that do not fulfil the contract refuse it."""
        return LikeDriver(self, function)


@dataclass(frozen=True, slots=True)
class LikeDriver(Generic[Item, Result]):
    """A function that only a worker like the driver calls.

    Attributes:
        contract: to be fulfilled.
        function: of one item.
    """

    contract: WorkerContract
    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result:
        """Return `function(item)`.

        Raises:
            UnlikeWorkerError: this process does not fulfil the contract.
        """
        _fulfil(self.contract)
        shared = self.contract.shared
        if shared is not None:
            shared.reach(item)
        result = self.function(item)
        if shared is not None:
            shared.share(result)
        return result


def run_in_time(function: Callable[[Item], Result], item: Item, seconds: float) -> Result:
    """Return `function(item)`, worked out in the main thread; end this process when it takes longer."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        return function(item)
    finally:
        faulthandler.cancel_dump_traceback_later()


@cache
def _fulfil(contract: WorkerContract) -> None:
    """See once per process that it fulfils a contract, and go to its folder."""
    where = f"the worker on {socket.gethostname()} (process {os.getpid()})"
    if changes := differences(dict(contract.fingerprint), worker_fingerprint()):
        raise UnlikeWorkerError(
            f"{where} would write other bytes: {'; '.join(changes)}. Give all machines the same environment"
        )
    try:
        os.chdir(contract.folder)
        for place in contract.places:
            os.stat(place)  # noqa: PTH116  its error names the path
    except OSError as error:
        raise UnlikeWorkerError(
            f"{where} does not see {error.filename}: scenes and `out` must lie on a disk that all machines share, "
            "under the same path"
        ) from error


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return what a worker has otherwise, a short text each."""
    return [
        f"{name} is {found.get(name, 'not there')}, not {wanted.get(name, 'there')}"
        for name in {**wanted, **found}
        if found.get(name) != wanted.get(name)
    ]
