"""A run on two processes: the same steps as on one, every question of val once, and going on after a signal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from rsvqa.model.training import train
from tests.model.make_dataset import make_dataset, make_settings
from tests.model.ranked_training import ROWS_OF
from tests.model.two_ranks import run_two_ranks

WRITTEN = {"config.json", "model.safetensors", "train.toml", "training_report.json", "curves.svg"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # 15 questions in batches of 4, and 3 of val: two for one rank, one for the other
    return make_dataset(tmp_path_factory.mktemp("data") / "set", tiles=5, val_tiles=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("words", "spread"), [((), "MULTI_CPU"), (("fsdp",), "FSDP")], ids=["whole", "sharded"])
@pytest.mark.parametrize(("rows", "num_steps"), [("samples", 4), ("passes", 3)])  # of 4 questions; of 10 rows, 4 each
def test_two_ranks_train_evaluate_and_resume_with_unequal_shards(
    data: Path, tmp_path: Path, words: tuple[str, ...], spread: str, rows: str, num_steps: int
) -> None:
    alone = train(make_settings(data, **ROWS_OF[rows]), tmp_path / "alone")
    losses_alone = [entry["loss"] for entry in alone["curve"] if "loss" in entry]
    found: list[dict[str, Any]] = [
        json.loads(line)
        for line in run_two_ranks("tests.model.ranked_training", data, tmp_path, *words, rows, timeout=580)
    ]
    assert len(losses_alone) == len(found[0]["losses"]) == num_steps
    # the last batch is filled up on two ranks, so it is another one
    assert found[0]["losses"][:-1] == pytest.approx(losses_alone[:-1], abs=1e-4)
    for rank in found:
        assert rank["spread"] == spread
        assert rank["asked"] == 3
        assert rank["difference"] == 0
        assert set(rank["written"]) >= WRITTEN  # also where another rank writes them
        assert rank["changed"]
        assert all("language_model" in name and name.endswith("_proj.weight") for name in rank["changed"])
