"""The settings of where a build's work runs: none of them changes a byte of the result."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from rsvqa.rsvqa_builder.config import StageSettings

POOL = "pool"
RAY = "ray"

_TIMEOUT_S = 3600.0


class ExecutionSettings(StageSettings):
    """Where units of work run, and how many at the same time."""

    executor: Annotated[str, Field(min_length=1)] = POOL
    """Where units of work run: pool (processes here), ray, or what a package brings."""
    workers: NonNegativeInt | None = None
    """Processes; 0 works in this one (default: the processors)."""
    ray_address: Annotated[str, Field(min_length=1)] | None = None
    """Ray cluster, HOST:PORT or auto (default: RAY_ADDRESS, else a new one here)."""
    unit_timeout: PositiveFloat = _TIMEOUT_S
    """Seconds after which a cluster ends the process of a unit of work."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        if self.executor != POOL and self.workers == 0:
            raise ValueError(f"`workers` = 0 works in this process, `executor` = {self.executor} elsewhere: choose one")
        if self.executor != "ray" and self.ray_address is not None:
            raise ValueError("`ray_address` needs `executor` = ray")
        if self.executor == POOL and self.unit_timeout != _TIMEOUT_S:
            raise ValueError("`unit_timeout` is of clusters, and `executor` = pool has none")
        return self
