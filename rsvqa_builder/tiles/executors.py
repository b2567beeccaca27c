"""Where the work runs: in this process, on a pool of processes, or where a cluster's executor brings it.

A unit of work is a function of one item, importable by name; its result depends on the item alone. Results come back
as they are done, in any order, with the item's index, so a caller that needs order keeps it by index.

What surprises: a worker process that dies (a broken file can bring GDAL down) does not end the run. The items that were
with it are tried again one at a time, and the one that kills its process again comes back as a `Failure`.

Over concurrent.futures, whose pool ends with the first worker that dies. pebble's tells which item it was, but would
save forty lines only.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self, TypeVar

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.plugins import load_plugin, require_ours
from rsvqa.rsvqa_builder.execution_settings import POOL, RAY, ExecutionSettings
from rsvqa.rsvqa_builder.progress import Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")
Fits = Callable[[int, Collection[int]], bool]

DIED_TWICE = "the process that worked on it died, twice (out of memory, or a file that breaks GDAL)"


class ExecutorError(RsvqaError):
    """An executor cannot go on, for a reason that is not of any item; what is finished is kept."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item cannot be done, and why: bad data, as the work itself returns it, or a worker that died twice on it."""

    reason: str


class Executor(Protocol):
    """Runs functions over many items until it is left as a context.

    The contract of every executor, also of other people's (docs/cluster.md). Functions are named by their module and
    can be pickled, and so can items and results: a few kB each. Processes are fresh ones, never forks.
    """

    def __enter__(self) -> Self:
        """Return the executor, connected."""
        ...

    def __exit__(self, *_: object) -> None:
        """Let its workers go; when this returns no function runs any more, whatever ended the run."""
        ...

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield (index of the item, result) as results arrive, in any order, each index once.

        Items are started in their order. An exception of `function` is raised here. An item that ends its process
        twice is a `Failure`; a machine that is lost costs time only.

        Raises:
            ExecutorError: when the executor itself cannot go on.
        """
        ...


class ExecutorFactory(Protocol):
    """What an entry point `executor.NAME` leads to: most simply a class of executors."""

    def __call__(self, settings: ExecutionSettings, *, out: Path | str, reporter: Reporter) -> Executor:
        """Return an executor.

        Args:
            settings: how many units at a time, and for how long each.
            out: folder of the build, which every worker has to see under the same path; or its address in an object
                storage ("s3://bucket/prefix"), which every worker has to reach by keys of its own.
            reporter: hears what a person should know.
        """
        ...


class InProcessExecutor:
    """One item after the other in this process: for debuggers and small tests; a crash of GDAL ends the run."""

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result | Failure]]:
        """Yield (index of the item, result) in order."""
        for index, item in enumerate(items):
            yield index, function(item)


class ProcessPool:
    """A pool of `num_workers` fresh processes (spawned, not forked: GDAL handles and threads do not survive a fork).

    The processes start with the first item and stay for all runs: importing GDAL and its friends takes each a second.
    """

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes once the items in work are done: nothing is written after this."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, fits: Fits | None = None
    ) -> Iterator[tuple[int, Result | Failure]]:
        """Yield (index of the item, result) as results arrive.

        Args:
            function: of one item.
            items: in the order in which they are started.
            fits: whether an item may be started beside others, all by index; a later one that may goes before it.
        """
        todo = deque(range(len(items)))
        while todo:
            suspects = yield from self._run_until_broken(function, items, todo, fits)
            for index in suspects:
                yield index, _run_alone(function, items[index])

    def _run_until_broken(
        self, function: Callable[[Item], Result], items: Sequence[Item], todo: deque[int], fits: Fits | None
    ) -> Generator[tuple[int, Result], None, list[int]]:
        """Work through `todo` (emptied on the way); return the indices that were in flight when a worker died."""
        if self._pool is None:
            self._pool = _make_pool(self.num_workers)
        in_flight: dict[Future[Result], int] = {}
        try:
            while todo or in_flight:
                # One item beyond the workers keeps them busy; more would only hold results and memory.
                while todo and len(in_flight) < self.num_workers + 1:
                    index = _next(todo, list(in_flight.values()), fits)
                    if index is None:
                        break
                    in_flight[self._pool.submit(function, items[index])] = index
                    todo.remove(index)
                for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield in_flight.pop(future), result
        except BrokenProcessPool:
            self._pool.shutdown(wait=True)
            self._pool = None
            return sorted(in_flight.values())
        return []


def _next(todo: Iterable[int], in_flight: Collection[int], fits: Fits | None) -> int | None:
    """Return the first item that may be started; where none is in flight, any may."""
    if fits is None or not in_flight:
        return next(iter(todo))
    return next((index for index in todo if fits(index, in_flight)), None)


def _run_alone(function: Callable[[Item], Result], item: Item) -> Result | Failure:
    with _make_pool(1) as pool:
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return Failure(DIED_TWICE)


def _make_pool(num_workers: int) -> ProcessPoolExecutor:
    context = _WorkerContext()
    return ProcessPoolExecutor(num_workers, mp_context=context, initializer=_follow_parent, initargs=(os.getpid(),))


_STARTING = threading.Lock()


class _WorkerProcess(SpawnProcess):
    """A spawned process that does not run the program of its parent again.

    Python would: a script that calls `rsvqa.build` outside of `if __name__ == "__main__"` would then build in every
    worker, which ends it, and a notebook or a program from stdin has no file to run. Units of work are named by their
    module, so a worker never needs that program. Which one it is, is read from `sys.modules` while a process starts.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: ANN401, N802  of multiprocessing
        with _STARTING:
            program = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                sys.modules["__main__"] = program


class _WorkerContext(SpawnContext):
    Process = _WorkerProcess


def make_executor(num_workers: int) -> ProcessPool | InProcessExecutor:
    """Return the executor for `num_workers` processes on this machine; 0 works in this process."""
    return ProcessPool(num_workers) if num_workers else InProcessExecutor()


def open_executor(settings: ExecutionSettings, *, out: Path | str, reporter: Reporter) -> Executor:
    """Return the executor that the settings name; fields as in `ExecutorFactory`.

    Raises:
        PluginError: nobody knows an executor of this name, or a package brings one of a name of ours.
        MissingExtraError: its packages are not installed.
    """
    if settings.executor in (POOL, RAY):
        require_ours("executor", settings.executor)
    if settings.executor == POOL:
        return make_executor(count_processors() if settings.workers is None else settings.workers)
    factory: ExecutorFactory
    if settings.executor == RAY:
        require_extra("ray", "build")
        from rsvqa.rsvqa_builder.tiles.executors_ray import RayExecutor  # ray is an extra

        factory = RayExecutor
    else:
        factory = load_plugin("executor", settings.executor, ours=(POOL, RAY))
    return factory(settings, out=out, reporter=reporter)


def run_largest_first(
    executor: Executor, function: Callable[[Item], Result], items: Sequence[Item], size: Callable[[Item], int]
) -> Iterator[tuple[int, Result | Failure]]:
    """Yield as `Executor.run` does; the largest items are started first, so that none is left alone at the end."""
    order = _largest_first(items, size)
    for place, result in executor.run(function, [items[index] for index in order]):
        yield order[place], result


def run_within(
    executor: ProcessPool | InProcessExecutor,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    size: Callable[[Item], int],
    *,
    most: int,
) -> Iterator[tuple[int, Result | Failure]]:
    """Yield as `run_largest_first` does, on this machine, whose memory all workers share.

    The sizes of what is in work at the same time add up to `most` at most; an item that is larger is in work alone.
    """
    order = _largest_first(items, size)
    ordered = [items[index] for index in order]
    sizes = [size(item) for item in ordered]

    def fits(index: int, in_flight: Collection[int]) -> bool:
        return sizes[index] + sum(sizes[other] for other in in_flight) <= most

    if isinstance(executor, ProcessPool):
        found = executor.run(function, ordered, fits=fits)
    else:
        found = executor.run(function, ordered)  # one at a time
    for place, result in found:
        yield order[place], result


def _largest_first(items: Sequence[Item], size: Callable[[Item], int]) -> list[int]:
    return sorted(range(len(items)), key=lambda index: -size(items[index]))


def run_all(
    executor: Executor,
    function: Callable[[Item], Result | Failure],
    items: Sequence[Item],
    reporter: Reporter,
    *,
    size: Callable[[Item], int] = lambda _: 0,
) -> list[Result | Failure]:
    """Return the results in the order of the items; the reporter hears of a step over scenes.

    Args:
        executor: that runs them.
        function: of one item.
        items: one per scene.
        reporter: hears of each.
        size: how much work an item is, see `run_largest_first`.
    """
    reporter.start("scenes", len(items))
    results: dict[int, Result | Failure] = {}
    for index, result in run_largest_first(executor, function, items, size):
        results[index] = result
        reporter.advance()
    return [results[index] for index in range(len(items))]


def count_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _follow_parent(parent: int) -> None:
    """End this worker soon after its parent has ended, however that ended: a killed build leaves nobody behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
