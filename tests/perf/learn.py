"""Does a small model learn what it is shown? Example scenes, a tiny model from scratch, accuracy on held-out places.

    python -m tests.perf.learn [--steps 1100] [--methods anchored,pool,random]

Prints one row per task: the share of right replies with each pruning method at the same budget of visual tokens, beside
two baselines that see no image: the most frequent answer, and the choice that was right most often in training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsvqa.annotation.lettering import right_letters
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.data import TrainingSample, list_samples
from rsvqa.model.training import train
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.build import build
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.demo.scenes import make_demo_scenes
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.settings import BuildSettings

DATA: dict[str, Any] = {
    "classes": "demo",
    "tile_size": 128,
    "split": (0.75, 0.25, 0.0),
    # one circle a tile: which of several is meant stands in small digits
    "tasks": ("ECR", "OLUC", "RLUC=0.25"),
}
"""Tiles of about 38 m, on which land use is plain to see and the model's 8 × 8 patches are 4.8 m each."""

MIX = ("ECR=0.5", "RLUC=2")
"""Environmental reasoning is learnt soonest and asked most often."""


def make_data(folder: Path, *, places: int, seed: int) -> Path:
    """Return a data set of example scenes, made if it is not there yet."""
    if not (folder / "set" / "report.json").exists():
        make_demo_scenes(folder / "scenes", seed=seed, size=1024, count=places)
        settings = load_settings(BuildSettings, {"src": str(folder / "scenes"), **DATA})
        build(settings, folder / "set", execution=ExecutionSettings(), reporter=QuietReporter())
    return folder / "set"


def guess_by_choice(train_samples: Sequence[TrainingSample], val_samples: Sequence[TrainingSample]) -> dict[str, float]:
    """Return by task how often the choices that were right most often in training are right: no image is needed."""
    offered, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for sample in train_samples:
        for text in sample.record.option_texts:
            offered[sample.task, text] += 1
            right[sample.task, text] += text in sample.record.right_options

    def share(sample: TrainingSample, text: str) -> float:
        key = (sample.task, text)
        return right[key] / offered[key] if offered[key] else 0.0

    hits, asked = Counter[str](), Counter[str]()
    for sample in val_samples:
        shares = [share(sample, text) for text in sample.record.option_texts]
        best = right_letters(place == shares.index(max(shares)) for place in range(len(shares)))
        several = right_letters(one > 0.5 for one in shares)
        guess = (several or best) if sample.task == "overall_land_use" else best
        asked[sample.task] += 1
        hits[sample.task] += guess == sample.record.answer
    return {task: hits[task] / asked[task] for task in asked}


def run_method(data: Path, out: Path, method: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the report of one run, which goes on where it was stopped."""
    pruning, _, fill = method.partition(":")
    report_path = out / "training_report.json"
    if report_path.exists():
        return dict(json.loads(report_path.read_text()))
    settings = load_settings(
        TrainingSettings,
        {
            "data": [str(data)],
            "init": "tiny",
            "tasks": [entry.partition("=")[0] for entry in DATA["tasks"]],
            "mix": list(MIX),
            "max_steps": arguments.steps,
            "pruning": pruning,
            **({"fill": fill} if fill else {}),
            "tokens_per_cell": arguments.tokens,
            "eval_questions": 400,
            "eval_every": arguments.steps // 2,
            "save_every": arguments.steps,
            "log_every": 50,
            "seed": arguments.seed,
            "tiny": {"reading_steps": arguments.lessons},
        },
    )
    return train(settings, out, resume=True, reporter=QuietReporter())


def print_table(reports: Mapping[str, Mapping[str, Any]], guesses: Mapping[str, float]) -> None:
    """Print a Markdown table, one row per task."""
    methods = list(reports)
    print("| task | questions | most frequent answer | best guess without image | " + " | ".join(methods) + " |")
    print("|---|---:|---:|---:|" + "---:|" * len(methods))
    first = reports[methods[0]]["evaluation"]
    for task, entry in first.items():
        scores = [f"{100 * reports[method]['evaluation'][task]['accuracy']:.1f} %" for method in methods]
        print(
            f"| {TASKS[task].short} | {entry['num_questions']} | {100 * entry['majority']:.1f} % "
            f"| {100 * guesses[task]:.1f} % | " + " | ".join(scores) + " |"
        )


def main() -> None:
    """Make the data, train once a method, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="folder to keep data and runs in (default: a temporary one)")
    parser.add_argument("--places", type=int, default=18, help="example scenes of 1,024 px; a quarter is held out")
    parser.add_argument("--steps", type=int, default=1100, help="optimizer steps of 32 questions")
    parser.add_argument("--lessons", type=int, default=1000, help="steps of lessons without images; 0: none")
    parser.add_argument("--tokens", type=int, default=16, help="visual tokens of the 64 of a tile")
    parser.add_argument(
        "--methods",
        default="anchored,anchors_only,clusters_only,random,uniform,pool",
        help="ways of pruning; anchored:drop has another fill than the default",
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        data = make_data(folder, places=arguments.places, seed=arguments.seed)
        reports = {
            method: run_method(data, folder / f"run_{method}", method, arguments)
            for method in arguments.methods.split(",")
        }
    print_table(reports, guess_by_choice(list_samples([data], split="train"), list_samples([data], split="val")))


if __name__ == "__main__":
    main()
