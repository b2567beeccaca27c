"""A real OpenAI-compatible server with a tiny random model: nothing it writes is believed, and no question is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.dataset.shards import read_records
from tests.annotate_data import build_demo
from tests.benchmark.adapters.test_real_endpoint import base_url  # noqa: F401  a fixture
from tests.benchmark.conftest import CheckpointMaker, checkpoint, one_thread  # noqa: F401  fixtures
from tests.run_build import rsvqa


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_random_model_writes_changes_nothing(
    checkpoint: CheckpointMaker,  # noqa: F811
    base_url: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    data = build_demo(tmp_path, words=("--tasks", "OC,OCL,FVG", "--per-task", 1))
    out = tmp_path / "out"
    words = (
        "--model",
        checkpoint("llava"),
        "--base-url",
        base_url,
        "--same-model",
        "--steps",
        "word,verify",
        "--concurrency",
        2,
    )
    done = rsvqa("annotate", "--data", data, "--out", out, *words, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    columns = ["question_id", "question", "answer", "review"]
    before, after = (
        {row["question_id"]: row for row in read_records(folder, columns=columns)} for folder in (data, out)
    )
    assert {name: (row["question"], row["answer"]) for name, row in before.items()} == {
        name: (row["question"], row["answer"]) for name, row in after.items()
    }
    assert {row["review"] for row in after.values()} == {"needed"}
    assert report["passes"]["word"] == {"reply not of the schema": len(before)}
    assert report["bill"][0]["paid"] >= 2 * len(before)  # each was asked again once
