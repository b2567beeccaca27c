"""Does training on what is selected help? Kept questions against as many random ones, at equal steps.

    python -m tests.perf.selection [--seeds 3] [--steps 150]

A question for a tile's colour; of the candidates 30 % have wrong answers. A model that has begun to learn selects 70 %
of them, by influence and by the measures it is compared with. From the same checkpoint a model is then trained on what
is kept, and asked about tiles that it has not seen. Prints a table; figures belong into docs/selection.md.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from rsvqa.model.selecting.selecting import select
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.model.training import train
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.records import Record
from tests.model.make_dataset import LETTERS, make_settings
from tests.model.selecting.make_selection import make_colours, make_run

NUM_CANDIDATES = 400
DAMAGED = 0.3
WAYS: dict[str, dict[str, Any]] = {
    "influence, max": {"by": "influence"},
    "influence, task-mean-max": {"by": "influence", "aggregate": "task-mean-max"},
    "loss": {"by": "loss"},
    "similarity": {"by": "similarity"},
    "random 1": {"by": "random", "seed": 1},
    "random 2": {"by": "random", "seed": 2},
    "random 3": {"by": "random", "seed": 3},
}


def damage(number: int, record: Record, rng: random.Random) -> Record:
    """Return the record with a wrong answer, where its number is among the damaged ones; those of val are whole."""
    if number >= NUM_CANDIDATES or number % 10 >= round(10 * DAMAGED):
        return record
    return replace(record, answer=rng.choice([letter for letter in LETTERS if letter != record.answer]))


def accuracy(folder: Path, init: Path, data: Path, kept: Path | None, *, steps: int, seed: int) -> float:
    """Train from `init` on what is kept and return the accuracy on the split val of `data`, per cent."""
    settings = make_settings(
        data,
        init=str(init),
        kept=None if kept is None else str(kept),
        max_steps=steps,
        batch_size=16,
        device_batch_size=16,
        mixed_groups=64,
        lr_tower=1e-3,
        lr_projector=1e-3,
        lr_llm=5e-4,
        max_grid="checkpoint",
        deal_again=True,
        eval_questions=400,
        save_every=10_000,
        log_every=1000,
        seed=seed,
    )
    report = train(settings, folder)
    return 100 * float(report["evaluation"]["object_colour"]["accuracy"])


def main() -> None:
    """Print a row per way of selecting: damaged questions kept, and accuracies over the seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--first-steps", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            begun = make_colours(place / "begun", train_tiles=128, seed=100 + seed)
            run = make_run(place / "run", begun, steps=options.first_steps)
            data = make_colours(
                place / "data", train_tiles=NUM_CANDIDATES, val_tiles=200, seed=200 + seed, change=damage
            )
            target = make_colours(place / "target", train_tiles=0, val_tiles=60, seed=300 + seed)
            for name, way in WAYS.items():
                start = time.process_time()
                out = place / f"{name}.parquet"
                values = {"data": [str(data)], "target": [str(target)], "model": str(run), **way}
                select(load_settings(SelectionSettings, values), out)
                seconds = time.process_time() - start
                kept = [row["question_id"] for row in pq.read_table(out).to_pylist() if row["kept"]]
                numbers = [int(name.split(":")[1].split("/")[0]) for name in kept]
                share = 100 * sum(number % 10 < round(10 * DAMAGED) for number in numbers) / len(numbers)
                score = accuracy(place / f"run {name}", place / "run/whole", data, out, steps=options.steps, seed=seed)
                found.setdefault(name, []).append((share, score, seconds))
            score = accuracy(place / "all", place / "run/whole", data, None, steps=options.steps, seed=seed)
            found.setdefault("all candidates", []).append((100 * DAMAGED, score, 0.0))
    print("| selected by | damaged among the kept, % | accuracy after training, % (per seed) | CPU s to select |")
    print("|---|---|---|---|")
    for name, rows in found.items():
        shares, scores, times = zip(*rows, strict=True)
        each = ", ".join(f"{score:.1f}" for score in scores)
        print(f"| {name} | {statistics.mean(shares):.1f} | {statistics.mean(scores):.1f} ({each}) | {max(times):.0f} |")


if __name__ == "__main__":
    main()
