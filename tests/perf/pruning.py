"""Pruning against a plain dense implementation of the released mathematics: `python -m tests.perf.pruning`.

For 36 and 144 cells of 576 tokens of width 1,024, random features, released settings (learned affinity, value
projection, 24 tokens per cell, zeros filled up): the time of either, in turns and the best of several, and the peak of
memory beyond the inputs, each in a process of its own. Both must give the same tokens. The parameter-free affinity is
timed beside them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from rsvqa.model.token_pruning import (
    anchor_scores,
    cluster_means,
    cosine_pointers,
    fill_cells,
    follow_pointers,
    learned_pointers,
    select_tokens,
)
from tests.model.dense_reference import Weights, affinity_head, dense_prune, random_weights

SIDE, DIM, BUDGET = 24, 1024, 24
REPEATS = 5
WANTED_SPEED, WANTED_MEMORY = 2.5, 0.1


class Case(NamedTuple):
    tokens: Tensor  # [C, H, W, D]
    anchors: Tensor  # [C, D]
    weights: Weights


def make_case(num_cells: int) -> Case:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn((num_cells, SIDE, SIDE, DIM), generator=generator)
    return Case(tokens, torch.randn((num_cells, DIM), generator=generator), random_weights(DIM, 1))


def sparse_prune(case: Case, *, cosine: bool = False) -> Tensor:
    tokens, anchors, weights = case
    num_cells, flat = len(tokens), tokens.flatten(1, 2)
    pointers = cosine_pointers(tokens) if cosine else learned_pointers(tokens, affinity_head(weights))
    roots = follow_pointers(pointers)
    queries = functional.linear(anchors, weights.query, weights.query_bias)
    keys = functional.linear(flat, weights.projection, weights.projection_bias)
    scores = cluster_means(anchor_scores(queries, keys), roots)
    kept = select_tokens(flat, roots, scores, fill_cells(scores, BUDGET))
    return kept.features.unflatten(0, (num_cells, BUDGET))


METHODS: dict[str, Callable[[Case], Tensor]] = {
    "dense": lambda case: dense_prune(case.tokens, case.anchors, case.weights, BUDGET),
    "sparse": sparse_prune,
    "sparse, cosine": lambda case: sparse_prune(case, cosine=True),
}


@torch.no_grad()
def time_all(case: Case) -> dict[str, float]:
    """Return the best time of each method in seconds; they take turns, so that a busy machine hits them alike."""
    best = dict.fromkeys(METHODS, float("inf"))
    for _ in range(REPEATS):
        for name, method in METHODS.items():
            start = time.perf_counter()
            method(case)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


@torch.no_grad()
def print_peak(name: str, num_cells: int) -> None:
    """Print by how many MiB a method raises the peak of this process; a small case first warms the libraries up."""
    METHODS[name](make_case(1))
    case = make_case(num_cells)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew; ru_maxrss would begin with the parent's
    before = resident_kib("VmRSS")
    METHODS[name](case)
    print((resident_kib("VmHWM") - before) / 1024)


def resident_kib(field: str) -> int:
    """Return a field of Linux's account of this process in KiB: VmRSS is now, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def peak_of(name: str, num_cells: int) -> float:
    command = [sys.executable, "-m", "tests.perf.pruning", "--peak-of", name, "--cells", str(num_cells)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@torch.no_grad()
def share_of_same_tokens(case: Case) -> float:
    same = torch.isclose(METHODS["dense"](case), METHODS["sparse"](case), atol=1e-5, rtol=0).all(-1)
    return float(same.float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[36, 144])
    parser.add_argument("--threads", type=int, help="of torch; on a busy machine one thread compares best")
    parser.add_argument("--peak-of", choices=METHODS, help="only this method's peak of memory, in this process")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak_of:
        print_peak(arguments.peak_of, arguments.cells[0])
        return
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    met = True
    for num_cells in arguments.cells:
        case = make_case(num_cells)
        seconds, same = time_all(case), share_of_same_tokens(case)
        del case
        mib = {name: peak_of(name, num_cells) for name in METHODS}
        speed, memory = seconds["dense"] / seconds["sparse"], mib["sparse"] / mib["dense"]
        rows = {name: {"seconds": round(seconds[name], 3), "peak_mib": round(mib[name], 1)} for name in METHODS}
        print(f"{num_cells} cells: {json.dumps(rows)}")
        print(f"  {speed:.1f} × faster, {memory:.3f} of the memory, {same:.4%} of the tokens the same")
        met &= speed >= WANTED_SPEED and memory <= WANTED_MEMORY and same == 1
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
