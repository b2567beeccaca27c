"""Tiny checkpoints, made once a session, and one thread a test: tiny tensors lose by waiting for other threads."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.benchmark.make_checkpoints import MAKERS, UNLISTED

CheckpointMaker = Callable[[str], Path]


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Skip without torch."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> CheckpointMaker:
    """Return the folder of a checkpoint by its type."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = {**MAKERS, **UNLISTED}[kind](tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return make
