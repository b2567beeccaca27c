"""Several processes on one run: which one this is, as `torchrun` and `accelerate launch` tell in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from rsvqa.benchmark.errors import RunError

_LONGEST_WAIT = timedelta(days=7)
"""For the slowest process; torch's own 30 minutes are less than a share of a benchmark takes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among those of a run; process 0 speaks, and writes what is not a reply."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that speaks."""
        return self.rank == 0

    def share(self, groups: Sequence[T]) -> Sequence[T]:
        """Return this process's part: every `size`-th group, so all get early and late ones."""
        return groups[self.rank :: self.size]

    def wait_for_all(self) -> None:
        """Return when every process has come here; the launcher ends all of them when one fails."""
        if self.size == 1:
            return
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", rank=self.rank, world_size=self.size, timeout=_LONGEST_WAIT)
        # gloo works without GPUs and beside a group that a model may have made
        dist.barrier(group=dist.new_group(backend="gloo", timeout=_LONGEST_WAIT))


ALONE = World()


def read_world(environ: Mapping[str, str] = os.environ) -> World:
    """Return this process's place; alone when the environment names none.

    Raises:
        RunError: the environment contradicts itself.
    """
    rank, size = environ.get("RANK", "0"), environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        raise RunError(f"RANK={rank} and WORLD_SIZE={size} in the environment are no place among processes; unset them")
    return World(int(rank), int(size))
