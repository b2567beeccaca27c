"""A run on two processes: the same steps as on one, every question of val once, and going on after a signal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from rsvqa.model.training import train
from tests.model.make_dataset import make_dataset, make_settings
from tests.model.two_ranks import run_two_ranks


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_ranks_train_evaluate_and_resume_with_unequal_shards(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=5, val_tiles=1)  # 15 questions in batches of 4, and 3 of val
    alone = train(make_settings(data, device_batch_size=1), tmp_path / "alone")
    expected = [entry["loss"] for entry in alone["curve"] if "loss" in entry]
    found = json.loads(run_two_ranks("tests.model.ranked_training", data, tmp_path, timeout=280)[0])
    assert len(expected) == len(found["losses"]) == 4
    # the last batch is filled up on two ranks, so it is another one
    assert found["losses"][:3] == pytest.approx(expected[:3], abs=1e-4)
    assert found["asked"] == 3
    assert found["difference"] == 0
