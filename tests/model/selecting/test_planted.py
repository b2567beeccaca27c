"""What selection finds where the truth is planted: wrong answers, other tasks, nothing. A small model is trained."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rsvqa.model.selecting.selecting import select
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.records import Record
from tests.model.make_dataset import LETTERS
from tests.model.selecting.make_selection import make_colours, make_run
from tests.model.two_ranks import run_two_ranks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

Change = Callable[[int, Record, random.Random], Record]


def wrong(record: Record, rng: random.Random) -> Record:
    return replace(record, answer=rng.choice([letter for letter in LETTERS if letter != record.answer]))


def half_wrong(number: int, record: Record, rng: random.Random) -> Record:
    return wrong(record, rng) if number % 2 == 0 else record


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows the colours, and a clean target."""
    folder = tmp_path_factory.mktemp("planted")
    make_run(folder / "run", make_colours(folder / "clean", train_tiles=256, seed=1))
    make_colours(folder / "target", train_tiles=0, val_tiles=60, seed=3)
    make_colours(folder / "candidates", train_tiles=300, seed=2, change=half_wrong)
    return folder


def settings(place: Path, **changes: Any) -> SelectionSettings:
    values = {
        "data": [str(place / "candidates")],
        "target": [str(place / "target")],
        "model": str(place / "run/adapted"),
        "deals": 4,
        "target_questions": 0,
    }
    return load_settings(SelectionSettings, values | changes)


def scores_of(place: Path, out: Path, **changes: Any) -> tuple[dict[int, float], dict[str, Any], set[int]]:
    """Return scores by the tile's number, the report, and the numbers that are kept."""
    report = select(settings(place, **changes), out)
    rows = pq.read_table(out).to_pylist()
    numbers = [int(row["question_id"].split(":")[1].split("/")[0]) for row in rows]
    scores = {number: row["score"] for number, row in zip(numbers, rows, strict=True)}
    return scores, report, {number for number, row in zip(numbers, rows, strict=True) if row["kept"]}


def auc(scores: dict[int, float]) -> float:
    """Return how often a clean candidate is above a damaged one."""
    clean = np.array([score for number, score in scores.items() if number % 2])
    damaged = np.array([score for number, score in scores.items() if not number % 2])
    return float((clean[:, None] > damaged).mean())


def test_wrong_answers_are_found_and_letters_do_not_decide(place: Path, tmp_path: Path) -> None:
    scores, report, kept = scores_of(place, tmp_path / "kept.parquet")
    assert auc(scores) >= 0.9
    dropped = scores.keys() - kept
    assert np.mean([number % 2 == 0 for number in dropped]) >= 0.8
    assert report["letter_bits"] < 0.05
    assert report["noise"]["rank_correlation"] >= 0.95
    assert report["noise"]["flipped"] <= 0.05


def test_a_target_with_answers_dealt_by_chance_tells_nothing(place: Path, tmp_path: Path) -> None:
    def dealt(_: int, record: Record, rng: random.Random) -> Record:
        return replace(record, answer=rng.choice(LETTERS))

    shuffled = make_colours(tmp_path / "shuffled", train_tiles=0, val_tiles=60, seed=3, change=dealt)
    scores, _, _ = scores_of(place, tmp_path / "kept.parquet", target=[str(shuffled)])
    assert auc(scores) == pytest.approx(0.5, abs=0.1)


def test_questions_of_another_kind_come_last(place: Path, tmp_path: Path) -> None:
    def other(number: int, record: Record, rng: random.Random) -> Record:
        if number % 2:
            return record
        words = " ".join(rng.choice(["tree", "road", "house", "lake", "field", "roof"]) for _ in range(6))
        return replace(record, task="detailed_captioning", question="Describe.", options=(), answer=words)

    mixed = make_colours(tmp_path / "mixed", train_tiles=120, seed=6, change=other)
    scores, _, _ = scores_of(place, tmp_path / "kept.parquet", data=[str(mixed)])
    order = sorted(scores, key=lambda number: scores[number])
    places = [order.index(number) for number in order if number % 2 == 0]
    assert np.median(places) < len(order) / 3


def test_two_processes_write_what_one_writes(place: Path, tmp_path: Path) -> None:
    small = make_colours(tmp_path / "small", train_tiles=20, seed=7)
    changes: dict[str, Any] = {"data": [str(small)], "target_questions": 10, "deals": 2}
    select(settings(place, **changes), tmp_path / "alone.parquet")
    run_two_ranks(
        "tests.model.selecting.ranked_selection",
        str(place / "run/adapted"),
        str(small),
        str(place / "target"),
        str(tmp_path / "ranked.parquet"),
    )
    assert (tmp_path / "ranked.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
