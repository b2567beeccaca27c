"""Speed of `rsvqa bench` on 6 images of 4,096² px with 4 questions each: with and without reuse, and beside lmms-eval.

    python -m tests.perf.bench [--side 4096] [--images 6] [--repeats 3]

A tiny LLaVA with random weights (576 visual tokens, width 32, two layers) is asked, so what is measured is the
harness: reading, decoding, processing, prefill, not a large model's arithmetic. All are whole processes that take
turns; the best of the repeats counts. "answering" is from the first question to the last reply, decoding of images
included; "the rest" is interpreter, imports, data, model, and writing of results.

lmms-eval 0.7.3 takes part when RSVQA_LMMS_EVAL_PYTHON names the interpreter of an environment that holds it. It gets
the same parquet file and its own task; its prompts, replies, letters and micro score must then be ours. In its
environment transformers must choose the same image processor: have torchvision in both or in none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg

from tests.benchmark.make_checkpoints import make_llava

LMMS_PYTHON = "RSVQA_LMMS_EVAL_PYTHON"
LMMS = "lmms-eval"
WANTED_FACTOR, WANTED_START_UP_S = 3.0, 5.0
QUESTIONS = (
    ("Object properties/Object color", "Which colour has the ship at the pier?"),
    ("Object properties/Object classification", "What stands beside the runway?"),
    ("Counting/Overall counting", "How many bridges are there?"),
    ("Land use classification/Overall Land use classification", "Which of these cover the ground?"),
)
OPTIONS = ("(A) the first", "(B) the second", "(C) the third", "(D) the fourth")
LETTER_WEIGHT = 2.5
"""Weight of the tiny model's letters A to D, so that replies hold some for the extraction to find."""

_TASK = """\
include: {include}
task: xlrs_perf
dataset_path: {data}
"""


class Asked(NamedTuple):
    """One question: its prompt, the raw reply, and the letters that the official extraction reads from it."""

    prompt: str
    reply: str
    letters: str


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process.

    Attributes:
        seconds: from start to end.
        answering: of these, between the first question and the last reply.
        asked: by question.
        micro: official score, 0 to 1.
    """

    seconds: float
    answering: float
    asked: Mapping[int, Asked]
    micro: float

    @property
    def rest(self) -> float:
        """Seconds that are not spent on questions."""
        return self.seconds - self.answering


def make_data(folder: Path, *, side: int, num_images: int) -> Path:
    """Write a parquet file as XLRS-Bench's rows are: blocks of noise of 8 px, as JPEG."""
    from datasets import Dataset, Features, Image, List, Value

    rows = []
    for number in range(num_images):
        blocks = np.random.default_rng(number).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        pixels = np.ascontiguousarray(blocks.repeat(8, axis=0).repeat(8, axis=1))
        data = simplejpeg.encode_jpeg(pixels, quality=90, colorspace="RGB", colorsubsampling="444")
        rows += [
            make_row(len(QUESTIONS) * number + place, f"{number}.jpg", data, *question)
            for place, question in enumerate(QUESTIONS)
        ]
    text = Value("string")
    columns = {"index": Value("int64"), "image": List(Image()), "multi-choice options": List(text)}
    features = Features({name: columns.get(name, text) for name in rows[0]})
    folder.mkdir()
    Dataset.from_list(rows, features=features).to_parquet(folder / "train.parquet")
    return folder


def make_row(index: int, path: str, image: bytes, category: str, question: str) -> dict[str, Any]:
    """Return one row."""
    return {
        "index": index,
        "path": path,
        "image": [{"bytes": image, "path": path}],
        "question": question,
        "multi-choice options": list(OPTIONS),
        "answer": "ABCD"[index % 4],
        "category": category,
        "l2-category": category.split("/")[0],
    }


def make_model(folder: Path) -> Path:
    """Write the tiny LLaVA, which likes to write A, B, C and D."""
    from safetensors.torch import load_file, save_file

    make_llava(folder, side=336, patch=14)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    weights = load_file(folder / "model.safetensors")
    head = next(name for name in weights if name.endswith("lm_head.weight"))
    weights[head][[vocabulary[letter] for letter in "ABCD"]] *= LETTER_WEIGHT
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def run_process(command: Sequence[str | Path], log: Path) -> float:
    """Run a command and return its seconds.

    Raises:
        SystemExit: it failed; the end of its output is shown.
    """
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        start = time.perf_counter()
        code = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        seconds = time.perf_counter() - start
    if code:
        raise SystemExit(f"{command[0]} ended with {code}:\n{log.read_text()[-3000:]}")
    return seconds


def run_ours(model: Path, data: Path, folder: Path, *options: str) -> Run:
    """Run `rsvqa bench`."""
    program = Path(sys.executable).with_name("rsvqa")
    command: list[str | Path] = [program, "bench", "--model", model, "--data", data, "--device", "cpu"]
    seconds = run_process([*command, "--out", folder / "run", *options], folder / "log.txt")
    from rsvqa.benchmark.protocol.official_answers import official_letters

    rows = [json.loads(line) for line in (folder / "run" / "samples.jsonl").read_text().splitlines()]
    asked = {int(row["sample_id"]): Asked(row["prompt"], row["reply"], official_letters(row["reply"])) for row in rows}
    right = sum(set(asked[int(row["sample_id"])].letters) == set(row["answer"]) for row in rows)
    record = json.loads((folder / "run" / "run.json").read_text())
    return Run(seconds, record["sessions"][-1]["seconds"], asked, right / len(rows))


def run_lmms(python: str, model: Path, data: Path, folder: Path) -> Run:
    """Run lmms-eval in its own environment."""
    task, timing = folder / "tasks" / "xlrs_perf.yaml", folder / "timing.json"
    task.parent.mkdir()
    where = "import importlib.util; print(importlib.util.find_spec('lmms_eval').submodule_search_locations[0])"
    package = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    task.write_text(_TASK.format(include=Path(package) / "tasks" / "xlrs" / "XLRS-lite.yaml", data=data))
    driver = Path(__file__).with_name("lmms_eval_driver.py")
    command: list[str | Path] = [python, driver, timing]
    command += ["--model", "llava_hf", "--model_args", f"pretrained={model},device=cpu"]
    command += ["--tasks", "xlrs_perf", "--include_path", task.parent, "--batch_size", "1", "--log_samples"]
    seconds = run_process([*command, "--output_path", folder / "out"], folder / "log.txt")
    (samples,) = (folder / "out").rglob("*samples*.jsonl")
    (results,) = (folder / "out").rglob("*results.json")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    asked = {row["doc_id"]: _read_lmms_row(row) for row in rows}
    micro = json.loads(results.read_text())["results"]["xlrs_perf"]["xlrs_micro_score,none"]
    return Run(seconds, json.loads(timing.read_text())["seconds"], asked, micro)


def _read_lmms_row(row: Mapping[str, Any]) -> Asked:
    """Return one line of lmms-eval's samples; it leaves `resps` out where its filter has changed nothing."""
    letters = "".join(sorted(row["xlrs_micro_score"]["pred_answer"]))
    return Asked(row["input"], row.get("resps", row["filtered_resps"]), letters)


def compare(folder: Path, *, side: int, num_images: int, repeats: int) -> dict[str, list[Run]]:
    """Return the runs of each contestant, which took turns."""
    data, model = make_data(folder / "data", side=side, num_images=num_images), make_model(folder / "llava")
    options = {"reuse": (), "no reuse": ("--no-reuse",), "no reuse, one by one": ("--no-reuse", "--batch-size", "1")}
    runs: dict[str, list[Run]] = {name: [] for name in options}
    python = os.environ.get(LMMS_PYTHON)
    for turn in range(repeats):
        for name, extra in options.items():
            place = folder / f"{name.replace(' ', '-')}-{turn}"
            place.mkdir()
            runs[name].append(run_ours(model, data, place, *extra))
        if python:
            place = folder / f"lmms-{turn}"
            place.mkdir()
            runs.setdefault(LMMS, []).append(run_lmms(python, model, data, place))
    return runs


def count_differences(run: Run, other: Run) -> dict[str, int]:
    """Return how many prompts, replies and letters differ."""
    assert run.asked.keys() == other.asked.keys()
    pairs = [(asked, other.asked[index]) for index, asked in run.asked.items()]
    return {
        field: sum(getattr(ours, field) != getattr(theirs, field) for ours, theirs in pairs) for field in Asked._fields
    }


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096, help="of the images, pixels, a multiple of 8")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = compare(Path(folder), side=arguments.side, num_images=arguments.images, repeats=arguments.repeats)
    ours, base = runs["reuse"], min(run.answering for run in runs["reuse"])
    print(f"{'':22}{'whole':>9}{'answering':>11}{'the rest':>10}{'answering, × reuse':>20}  differences; micro")
    for name, of_name in runs.items():
        answering, rest = min(run.answering for run in of_name), min(run.rest for run in of_name)
        whole = min(run.seconds for run in of_name)
        differences = count_differences(ours[0], of_name[0])
        print(f"{name:22}{whole:8.2f}s{answering:10.2f}s{rest:9.2f}s{answering / base:20.2f}  {differences}; ", end="")
        print(f"{of_name[0].micro:.4f}")
    if LMMS in runs:
        factor = min(run.answering for run in runs[LMMS]) / base
        rest = min(run.rest for run in ours)
        print(f"wanted: {WANTED_FACTOR:g} × faster than lmms-eval: {factor:.2f}; start-up below ", end="")
        print(f"{WANTED_START_UP_S:g} s: {rest:.2f}")
    else:
        print(f"lmms-eval: set {LMMS_PYTHON} to the interpreter of an environment with lmms-eval 0.7.3")


if __name__ == "__main__":
    main()
