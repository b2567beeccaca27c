"""Two processes of one job on CPU, for what happens between ranks; a job that hangs is ended and its test fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_two_ranks(module: str, *words: object, timeout: float = 240) -> list[str]:
    """Run `python -m MODULE WORDS` as rank 0 and 1 of a job over gloo and return what each wrote to stdout.

    Raises:
        AssertionError: a rank failed, or hung for `timeout` seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        job = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        settings = {"OMP_NUM_THREADS": 1, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", **job}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                env=os.environ | {name: str(value) for name, value in settings.items()},
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{module} hung for {timeout} s on two ranks") from None
    finally:
        for process in processes:
            process.kill()
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, err[-3000:]
    return [out for out, _ in outputs]
