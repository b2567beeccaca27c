"""What the step `verify` catches of planted errors, and how many good questions it sends to people.

    python -m tests.perf.annotate [--places 8] [--size 1024]

builds a data set of example scenes, damages a part of it, and verifies it with a model that knows the answers of the
sound data set but errs in a given share of its replies. What surprises: damage to a key whose evidence is left alone is
found by rule; damage that reaches the evidence too can only be found by the model.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsvqa.annotation.facts import BOX_DECIMALS, Box
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.annotating.annotate import annotate
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.shards import plan_shards, read_records, write_shards
from rsvqa.rsvqa_builder.dataset.stored_tiles import read_tiles
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.annotate_data import build_demo, knowing_model

PLANTED_SHARE = 0.35
ERROR_RATES = (0.0, 0.1, 0.3)

Damage = Callable[[Record, random.Random], Record | None]
"""Returns the damaged record, or None where this kind of damage does not fit."""


def wrong_key(record: Record, rng: random.Random) -> Record | None:
    """Return the record with another letter; its evidence still says what is right."""
    if record.form not in (AnswerForm.ONE_OF, AnswerForm.YES_NO):
        return None
    letters = "ABCD"[: len(record.options)]
    return replace(record, answer=rng.choice([letter for letter in letters if letter != record.answer]))


def wrong_key_and_evidence(record: Record, rng: random.Random) -> Record | None:
    """Return the record with another letter and evidence that agrees with it, or says nothing."""
    damaged = wrong_key(record, rng)
    if damaged is None or record.task == "environmental_reasoning":
        return None
    values = dict(record.evidence["values"])
    chosen = damaged.options["ABCD".index(damaged.answer)][4:]
    if "count" in values:
        return replace(damaged, evidence={**record.evidence, "values": {**values, "count": int(chosen)}})
    return replace(damaged, evidence={**record.evidence, "rule": "lost"})


def moved_answer_box(record: Record, rng: random.Random) -> Record | None:
    """Return a grounding question whose answer is a box elsewhere."""
    if record.form is not AnswerForm.BOX or record.bbox is None:
        return None
    box = _moved(record.bbox, rng)
    return replace(record, bbox=box, answer=str(list(box)))


def moved_text_box(record: Record, rng: random.Random) -> Record | None:
    """Return a question about an object in a box with a box elsewhere, in its text as well."""
    if not record.options or record.bbox is None:
        return None
    width, height = record.tile.window.width, record.tile.window.height
    moved = _moved(record.bbox, rng)
    pixels = [round(value * side) for value, side in zip(moved, (width, height) * 2, strict=True)]
    exact = Box(*(round(p / side, BOX_DECIMALS) for p, side in zip(pixels, (width, height) * 2, strict=True)))
    text = re.sub(r"\[\d+, \d+, \d+, \d+\]", str(pixels), record.question)
    return replace(record, bbox=exact, question=text)


def _moved(box: Box, rng: random.Random) -> Box:
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    while True:
        x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        if abs(x - box.x_min) > width or abs(y - box.y_min) > height:
            return Box(*(round(value, BOX_DECIMALS) for value in (x, y, x + width, y + height)))


def wrong_count_in_caption(record: Record, rng: random.Random) -> Record | None:
    """Return a caption in which one number of objects is another one."""
    if record.form is not AnswerForm.TEXT:
        return None
    numbers = [
        found
        for found in re.finditer(r"(?<![\w.])(\d+) (?!%|m |m\b)", record.answer)
        if "circle " not in record.answer[max(0, found.start() - 7) : found.start()]
    ]
    if not numbers:
        return None
    chosen = rng.choice(numbers)
    other = int(chosen[1]) + rng.choice((1, 2, 3))
    answer = f"{record.answer[: chosen.start(1)]}{other}{record.answer[chosen.end(1) :]}"
    return replace(record, answer=answer)


DAMAGES: Mapping[str, Damage] = {
    "wrong key": wrong_key,
    "wrong key, evidence too": wrong_key_and_evidence,
    "moved box to be found": moved_answer_box,
    "moved box in the text": moved_text_box,
    "wrong count in a caption": wrong_count_in_caption,
}


def plant(data: Path, out: Path, *, seed: int = 0) -> dict[str, str]:
    """Write a damaged copy of a data set; return the kind of damage of each damaged question."""
    rng = random.Random(seed)
    planted: dict[str, str] = {}
    tiles = {tile.rows.tile.image_id: tile for tile in read_tiles(data)}
    rows = []
    for tile in tiles.values():
        records = tuple(_planted(record, rng, planted) for record in tile.rows.records)
        rows.append(replace(tile.rows, records=records))
    write_shards(out, plan_shards(rows), load_images=lambda tile: tiles[tile.image_id].load_images())
    for name in ("build.toml", "classes.toml", "report.json"):
        shutil.copyfile(data / name, out / name)
    return planted


def _planted(record: Record, rng: random.Random, planted: dict[str, str]) -> Record:
    fitting = {name: found for name, damage in DAMAGES.items() if (found := damage(record, rng)) is not None}
    # captions are few, so every second one
    share = 0.5 if AnswerForm.TEXT in TASKS[record.task].forms else PLANTED_SHARE
    if not fitting or rng.random() >= share:
        return record
    name = rng.choice(list(fitting))
    planted[record.question_id] = name
    return fitting[name]


def flagged(data: Path, out: Path) -> tuple[set[str], set[str]]:
    """Return the questions that are not accepted, and those of them that the rule check alone has found."""
    kept = {row["question_id"]: row for row in read_records(out, columns=["question_id", "review", "evidence"])}
    everything = {row["question_id"] for row in read_records(data, columns=["question_id"])}
    found = {name for name in everything if name not in kept or kept[name]["review"] == "needed"}
    return found, {name for name in found & kept.keys() if _by_rule(kept[name]["evidence"])}


def _by_rule(evidence: str) -> bool:
    notes: list[dict[str, Any]] = json.loads(evidence)["annotation"]["notes"]
    return any(note["step"] == "rule_check" and note["result"] != "accepted" for note in notes)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--size", type=int, default=1_024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = build_demo(folder, count=options.places, size=options.size)
        planted = plant(data, folder / "planted")
        counts = Counter(planted.values())
        num_good = sum(1 for _ in read_records(data, columns=["question_id"])) - len(planted)
        print("| model's errors | damage | planted | caught by rule | caught in all |\n|---|---|---|---|---|")
        for rate in ERROR_RATES:
            out = folder / f"verified_{rate}"
            model = knowing_model(data, error_rate=rate, seed=1)
            settings = AnnotateSettings(model="knowing", steps=("verify",))
            annotate(settings, folder / "planted", out, ask=model.ask, reporter=QuietReporter())
            found, by_rule = flagged(folder / "planted", out)
            for kind in DAMAGES:
                names = {name for name, of in planted.items() if of == kind}
                print(f"| {rate:.0%} | {kind} | {counts[kind]} | {len(names & by_rule)} | {len(names & found)} |")
            bad = planted.keys()
            print(f"| {rate:.0%} | all | {len(bad)} | {len(bad & by_rule)} | {len(bad & found)} |")
            good = len(found - bad)
            print(f"| {rate:.0%} | none ({num_good} good questions) | – | {len(by_rule - bad)} | {good} flagged |")


if __name__ == "__main__":
    main()
