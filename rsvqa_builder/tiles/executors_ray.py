"""Units of work as tasks of a Ray cluster.

Ray runs processes on machines and tells when one is gone; nothing else is left to it. What is started, tried again or
given up is decided by `scheduling.Schedule`, what is finished stands in the work store, and what travels back is a
receipt of a few bytes. So a build gives the bytes of a pool, whatever happens to machines.

Tasks, not Ray Data: that would write the shards itself, in row groups of its own.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.tiles.executors import DIED_TWICE, ExecutorError, Failure
from rsvqa.rsvqa_builder.tiles.scheduling import Capacity, Ending, Patience, Schedule, UnitOutcome
from rsvqa.rsvqa_builder.tiles.worker_contract import run_in_time

Item = TypeVar("Item")
Result = TypeVar("Result")

_UNITS_PER_PROCESS = 200
"""Then a fresh one takes its place: what GDAL leaks is gone, and starting costs 2 s in some minutes."""
_OBJECT_STORE_BYTES = 200 * 2**20
"""Of a cluster of our own: receipts are small, the memory is GDAL's."""
_CONNECT_S = 10.0
_SETTINGS = b"\x04"
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + bytes(5)
"""How a client of gRPC begins; a server answers by a frame of settings at once (RFC 9113, 3.4)."""
_EMPTY_S = 20.0
"""A cluster that has no processor for so long is refused at the start."""
_DESERTED_S = 600.0
"""A cluster that has lost all its machines may get others for so long."""
_LOOK_S = 5.0
"""Seconds between two looks at what the cluster has."""
_TICK_S = 1.0
_LEAVE_S = 5.0
"""Seconds that cancelled tasks have to end by themselves."""


class _Attempt(NamedTuple):
    """A task in flight: the unit, and when it was submitted."""

    unit: int
    start: float


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a task ended, and what it returned."""

    ending: Ending
    result: Any = None


class RayExecutor:
    """Runs units on a Ray cluster: the one at an address, or one of this machine that ends with the build."""

    def __init__(
        self,
        settings: ExecutionSettings,
        *,
        out: Path | str,
        reporter: Reporter,
        patience: Patience | None = None,
    ) -> None:
        self.settings = settings
        self.out = out
        self.reporter = reporter
        self.patience = patience
        self._in_flight: dict[Any, _Attempt] = {}
        self._is_ours = False
        self._streams = ExitStack()
        self._seen = 0.0
        self._capacity = Capacity(0, 0)

    def __enter__(self) -> Self:
        """Return the executor, connected to a cluster that has processors.

        Raises:
            ExecutorError: there is none.
        """
        try:
            if not ray.is_initialized():  # else who called has joined a cluster
                self._is_ours = True
                # a thread of Ray's prints what happens to machines on stdout, which is for the result
                self._streams.enter_context(redirect_stdout(sys.stderr))
                _connect(self.settings)
            self._wait_for_processors(_EMPTY_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what runs, and leave the cluster; one of our own ends."""
        self._cancel()
        if self._is_ours:
            ray.shutdown()
        self._streams.close()

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield (index of the item, result) as results arrive.

        Raises:
            ExecutorError: when the cluster cannot go on.
        """
        schedule = Schedule(len(items), self.patience)
        # max_retries: Ray would repeat a unit that kills its process as it repeats one whose machine is gone
        task = ray.remote(num_cpus=1, max_retries=0, max_calls=_UNITS_PER_PROCESS)(_run_unit)
        work = pickle.dumps((function, self.settings.unit_timeout))
        try:
            while not schedule.is_over:
                self._look()
                while (unit := schedule.start(self._capacity, now := time.monotonic())) is not None:
                    reference = task.remote(work, items[unit])
                    self._in_flight[reference] = _Attempt(unit, now)
                yield from self._ended(schedule)
        finally:
            self._cancel()

    def _ended(self, schedule: Schedule) -> Iterator[tuple[int, Any]]:
        """Wait a moment for tasks to end, and yield what is decided by them."""
        num_lost = 0
        for reference in _wait(list(self._in_flight)):
            attempt, ended = self._in_flight.pop(reference), _result(reference)
            now = time.monotonic()
            outcome = schedule.end(attempt.unit, ended.ending, start=attempt.start, now=now)
            if outcome is not UnitOutcome.NOTHING and schedule.num_attempts(attempt.unit):
                for other, its_attempt in self._in_flight.items():
                    if its_attempt.unit == attempt.unit:
                        ray.cancel(other, force=False)
            if outcome is UnitOutcome.FINISHED:
                yield attempt.unit, ended.result
            elif outcome is UnitOutcome.GIVEN_UP:
                yield attempt.unit, Failure(self._why(now - attempt.start))
            elif outcome is UnitOutcome.LOST_TOO_OFTEN:
                raise ExecutorError(
                    f"unit {attempt.unit} has lost its machine too often: see why machines of the cluster "
                    "end, and start the build again, which goes on where it was"
                )
            num_lost += ended.ending is Ending.LOST and outcome is UnitOutcome.NOTHING
        if num_lost:
            self.reporter.note("lost_units", f"{num_lost} units were lost with their machine and are started again")

    def _why(self, seconds: float) -> str:
        """Return why a unit was given up, whose last attempt took so many seconds."""
        timeout = self.settings.unit_timeout
        return DIED_TWICE if seconds < timeout else f"it was not done after {timeout:g} s, twice"

    def _cancel(self) -> None:
        """End all tasks and wait until none runs any more: by an interrupt, which lets them clean up, else by force."""
        references = list(self._in_flight)
        self._in_flight.clear()
        for force in (False, True):
            for reference in references:
                ray.cancel(reference, force=force)
            if references:
                _, references = ray.wait(references, num_returns=len(references), timeout=_LEAVE_S)

    # --- what the cluster has ---

    def _look(self) -> None:
        """Take note of what the cluster has, now and then: machines come and go."""
        if time.monotonic() - self._seen > _LOOK_S:
            self._wait_for_processors(_DESERTED_S)

    def _wait_for_processors(self, seconds: float) -> None:
        """Take note of what the cluster has, once it has any processor.

        Raises:
            ExecutorError: it has none for so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not (capacity := _capacity(self.settings.workers)).units:
            if time.monotonic() > deadline:
                raise ExecutorError(
                    f"the Ray cluster has had no machine with a free processor to offer for {seconds:.0f} s: start "
                    "one by `ray start`, or keep one worker of an autoscaling cluster alive"
                )
            time.sleep(_TICK_S)
        self._capacity, self._seen = capacity, time.monotonic()


def _run_unit(work: bytes, item: Any) -> Any:  # noqa: ANN401  any unit there is
    function, seconds = _unpickled(work)
    return run_in_time(function, item, seconds)


@lru_cache(maxsize=8)
def _unpickled(work: bytes) -> tuple[Callable[[Any], Any], float]:
    function, seconds = pickle.loads(work)  # noqa: S301  our own, from the process that drives the build
    return function, seconds


def _wait(references: list[Any]) -> list[Any]:
    """Return those that have ended, after a moment at most."""
    if not references:
        time.sleep(_TICK_S)
        return []
    # all at once where many have ended: the driver of a large cluster has no time to wait for each
    ended: list[Any] = ray.wait(references, num_returns=len(references), timeout=0)[0]
    return ended or list(ray.wait(references, num_returns=1, timeout=_TICK_S)[0])


def _result(reference: Any) -> _Ended:  # noqa: ANN401  ray's references have no type of ours
    """Return how a task ended.

    Raises:
        Exception: whatever the unit's function raised.
        ExecutorError: something of the cluster that trying again does not mend.
    """
    try:
        return _Ended(Ending.DONE, ray.get(reference))
    except (WorkerCrashedError, OutOfMemoryError):
        return _Ended(Ending.DIED)
    except (NodeDiedError, LocalRayletDiedError, ObjectLostError, TaskCancelledError):
        return _Ended(Ending.LOST)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise ExecutorError(f"Ray cannot run units of work: {_first_line(error)}") from error


def _capacity(most_units: int | None) -> Capacity:
    """Return what the cluster has."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return Capacity(min(sum(nodes), most_units or sum(nodes)), sum(count > 0 for count in nodes))


# --- the way to a cluster ---


def _connect(settings: ExecutionSettings) -> None:
    """Connect to the cluster at the address, or start one on this machine.

    Raises:
        ExecutorError: there is no cluster, or one that this process cannot join.
    """
    address = settings.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet |= {
            "num_cpus": settings.workers,
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    else:
        _see_that_somebody_listens(address)
    try:
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise ExecutorError(f"cannot join the Ray cluster at {address}: {_first_line(error)}") from error


def _see_that_somebody_listens(address: str) -> None:
    """Refuse an address at which nobody answers: Ray itself would try for a minute and more."""
    if "://" in address:
        raise ExecutorError(
            f"expected the address of a Ray cluster as HOST:PORT or auto, not {address}: the build has to run on a "
            "machine of the cluster; `ray job submit` brings it there"
        )
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S) as connection:
            connection.sendall(_HELLO)
            answer = connection.recv(len(_HELLO))
    except (OSError, OverflowError) as error:
        raise ExecutorError(f"no Ray cluster answers at {address}: {error}") from error
    if answer[3:4] != _SETTINGS and os.environ.get("RAY_USE_TLS", "0") == "0":
        raise ExecutorError(
            f"what answers at {address} is no Ray cluster: expected the port that its head was started with"
        )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
