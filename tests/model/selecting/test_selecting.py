"""A selection from end to end: what is written, computed once, refused, reported, and used by training and export."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from rsvqa.model.data import TrainingDataError, list_samples
from rsvqa.model.selecting import selecting
from rsvqa.model.selecting.gradients import SampleReader, load_adapted
from rsvqa.model.selecting.selecting import select
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training import train
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.kept import KeptError, read_kept
from rsvqa.rsvqa_builder.dataset.output import seal
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.exporting.export import export_dataset
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore
from tests.model.make_dataset import make_settings
from tests.model.selecting.make_selection import make_colours, make_run
from tests.moto_server import BUCKET, moto_bucket
from tests.run_build import rsvqa
from tests.test_buckets import open_anew

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with candidates, a target, and a run of a few steps with adapters."""
    folder = tmp_path_factory.mktemp("selection")
    make_colours(folder / "candidates", train_tiles=10, val_tiles=2, seed=1, broken=(3,))
    make_colours(folder / "target", train_tiles=4, val_tiles=5, seed=2)
    whole = make_colours(folder / "whole", train_tiles=8, seed=4)
    make_run(folder / "run", whole, steps=2, adapter_steps=2, reading_steps=2)
    return folder


def settings(place: Path, **changes: Any) -> SelectionSettings:
    values = {
        "data": [str(place / "candidates")],
        "target": [str(place / "target")],
        "model": str(place / "run/adapted"),
        "dimensions": 256,
    }
    return load_settings(SelectionSettings, values | changes)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


# --- what is written ---


def test_every_candidate_is_ranked_or_said_to_have_no_score(place: Path, tmp_path: Path) -> None:
    report = select(settings(place), tmp_path / "kept.parquet")
    rows = rows_of(tmp_path / "kept.parquet")
    assert [row["rank"] for row in rows] == [*range(1, 10), None]
    assert [row["kept"] for row in rows] == [True] * 7 + [False] * 3  # ⌈0.7 · 9⌉ = 7
    scores = [row["score"] for row in rows[:9]]
    assert scores == sorted(scores, reverse=True)
    assert rows[9]["name"] == "candidates/candidates:0003/OCL1"
    assert rows[9]["left_out"] == "its image cannot be read"
    val = {f"target/{sample.record.question_id}" for sample in list_samples([place / "target"], split="val")}
    assert {row["decided_by"] for row in rows[:9]} <= val
    assert (report["num_candidates"], report["num_kept"], report["num_target"]) == (9, 7, 5)
    assert report["left_out"] == {"its image cannot be read": 1}
    assert json.loads((tmp_path / "kept.json").read_text()) == report
    page = (tmp_path / "kept.html").read_text()
    assert page.count('<div class="pair">') == 8 + 6 + 8
    assert "1 questions have no score: its image cannot be read" in page


def test_a_candidate_that_is_a_question_of_the_target_has_score_one(place: Path, tmp_path: Path) -> None:
    same = settings(place, data=[str(place / "target")], target=[str(place / "candidates")], deals=1)
    # the split train of the target's folder against itself: candidates' val has other images
    twin = make_colours(tmp_path / "twin", train_tiles=0, val_tiles=4, seed=2)
    select(same.model_copy(update={"target": (str(twin),)}), tmp_path / "kept.parquet")
    for row in rows_of(tmp_path / "kept.parquet"):
        assert row["score"] == pytest.approx(1, abs=1e-3)
        assert row["decided_by"].split(":")[1] == row["question_id"].split(":")[1]


def test_gradients_are_those_of_adapters_apart_from_the_weights(place: Path) -> None:
    start = load_adapted(str(place / "run/adapted"))
    whole = load_file(place / "run/whole/model.safetensors")
    apart = dict(start.model.get_base_model().state_dict())
    for name, weight in whole.items():
        other = next(value for key, value in apart.items() if key.replace(".base_layer", "") == name)
        np.testing.assert_allclose(other.detach().numpy(), weight.numpy(), atol=1e-6)
    reader = SampleReader(start, measure="influence", dimensions=64, deals=1, seed=0)
    # rank 4 on seven layers of two blocks: 4 × (4 × (32 + 32) + 3 × (32 + 96)) × 2
    assert reader.num_adapter_weights == 4 * (4 * 64 + 3 * 128) * 2


# --- computed once, and the same ---


def test_a_stopped_selection_goes_on_and_writes_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(settings(place), tmp_path / "whole.parquet")
    calls = []

    class Stop(SampleReader):
        def read(self, samples: Any) -> Any:
            calls.append(len(samples))
            if len(calls) == 6:
                raise KeyboardInterrupt
            return super().read(samples)

    with monkeypatch.context() as patched:
        patched.setattr(selecting, "SampleReader", Stop)
        with pytest.raises(KeyboardInterrupt):
            select(settings(place), tmp_path / "stopped.parquet")
    assert not (tmp_path / "stopped.parquet").exists()
    assert len(list((tmp_path / "stopped.parquet.work/rows").iterdir())) == 5
    read: list[str] = []

    class Counted(SampleReader):
        def read(self, samples: Any) -> Any:
            read.extend(sample.name for sample in samples)
            return super().read(samples)

    monkeypatch.setattr(selecting, "SampleReader", Counted)
    select(settings(place), tmp_path / "stopped.parquet")
    assert len(read) == 10 + 5 - 5
    for suffix in (".parquet", ".json"):
        assert (tmp_path / f"stopped{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    read.clear()
    select(settings(place, keep=0.5, aggregate="task-mean-max"), tmp_path / "stopped.parquet")
    assert read == []  # another share of the same rows
    select(settings(place, seed=1), tmp_path / "stopped.parquet")
    assert len(read) == 15


def test_the_order_of_data_sets_changes_no_score(place: Path, tmp_path: Path) -> None:
    more = make_colours(tmp_path / "more", train_tiles=4, seed=5)
    folders = [str(place / "candidates"), str(more)]
    for name, order in (("a", folders), ("b", folders[::-1])):
        select(settings(place, data=order), tmp_path / f"{name}.parquet")
    first, second = (rows_of(tmp_path / f"{name}.parquet") for name in "ab")
    assert first == second


def test_rows_are_computed_again_when_a_question_or_the_model_changes(place: Path, tmp_path: Path) -> None:
    def changed(number: int, record: Record, _: random.Random) -> Record:
        return replace(record, answer=record.options[0][1]) if number == 0 else record

    out = tmp_path / "kept.parquet"
    select(settings(place, data=[str(make_colours(tmp_path / "x", train_tiles=4, seed=5))]), out)
    before = {path.name for path in (tmp_path / "kept.parquet.work/rows").iterdir()}
    for path in (tmp_path / "x").glob("*.parquet"):
        path.unlink()
    make_colours(tmp_path / "x", train_tiles=4, seed=5, change=changed)
    select(settings(place, data=[str(tmp_path / "x")]), out)
    assert {path.name for path in (tmp_path / "kept.parquet.work/rows").iterdir()} - before


def test_a_dry_run_counts_and_writes_nothing(place: Path, tmp_path: Path) -> None:
    found = select(settings(place, deals=3), tmp_path / "kept.parquet", dry_run=True)
    assert (found["num_candidates"], found["num_target"], found["num_missing"]) == (10, 5, 15)
    assert (found["num_passes"], found["num_timed"]) == (45, 4)
    assert found["disk_mb"] == 0.0  # 15 × 2 × 256 × 2 bytes
    assert found["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_data_sets_in_a_storage_give_the_selection_of_folders(place: Path, tmp_path: Path) -> None:
    with moto_bucket():
        open_anew()
        for name in ("candidates", "target"):
            store, folder = BucketStore(f"s3://{BUCKET}/sets/{name}"), tmp_path / "sets" / name
            shutil.copytree(place / name / "data", folder / "data")
            (folder / "build.toml").touch()
            seal(folder)
            for path in folder.rglob("*.*"):
                store.put(path.relative_to(folder).as_posix(), path.read_bytes())
        far = {
            name: [f"s3://{BUCKET}/sets/{folder}"] for name, folder in (("data", "candidates"), ("target", "target"))
        }
        select(settings(place, **far, by="length"), tmp_path / "far.parquet")
        report = json.loads((tmp_path / "far.json").read_text())
    assert report["settings"]["data"] == far["data"]
    select(settings(place, by="length"), tmp_path / "near.parquet")
    assert rows_of(tmp_path / "far.parquet") == rows_of(tmp_path / "near.parquet")
    assert read_kept(tmp_path / "far.parquet") == read_kept(tmp_path / "near.parquet")


# --- other measures ---


@pytest.mark.parametrize("measure", ["similarity", "loss", "length", "random"])
def test_other_measures_stand_behind_the_same_command(place: Path, tmp_path: Path, measure: str) -> None:
    report = select(settings(place, by=measure), tmp_path / "kept.parquet")
    assert report["num_kept"] == 7
    assert report["noise"] is None
    rows = rows_of(tmp_path / "kept.parquet")[:9]
    assert all((row["decided_by"] is not None) == (measure == "similarity") for row in rows)
    if measure == "loss":
        assert [row["loss"] for row in rows] == sorted(row["loss"] for row in rows)


# --- refused ---


def test_a_run_without_adapters_or_with_untrained_ones_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no trained adapters"):
        select(settings(place, model=str(place / "run/whole")), tmp_path / "kept.parquet")
    import shutil

    shutil.copytree(place / "run/adapted", tmp_path / "untrained")
    path = tmp_path / "untrained/adapters/adapter_model.safetensors"
    save_file({key: weight * (".lora_A." in key) for key, weight in load_file(path).items()}, path)
    with pytest.raises(TrainingError, match="have not been trained: half of every gradient would be zero"):
        select(settings(place, model=str(tmp_path / "untrained")), tmp_path / "kept.parquet")


def test_a_warm_up_trains_adapters_first(place: Path, tmp_path: Path) -> None:
    warm = settings(place, model=str(place / "run/whole"), warm_up=0.5, lora_rank=2, target_questions=2)
    report = select(warm, tmp_path / "kept.parquet")
    assert report["num_target"] == 2
    assert (tmp_path / "kept.parquet.work/warm_up/adapters/adapter_model.safetensors").is_file()
    with pytest.raises(TrainingError, match="has trained adapters already; leave `warm_up` away"):
        select(settings(place, warm_up=0.5), tmp_path / "other.parquet")


def test_a_benchmark_is_no_target(place: Path, tmp_path: Path) -> None:
    named = make_colours(tmp_path / "XLRS-Bench-lite", train_tiles=0, val_tiles=4)
    with pytest.raises(TrainingDataError, match="which the benchmark xlrs names"):
        select(settings(place, target=[str(named)]), tmp_path / "kept.parquet")
    with pytest.raises(TrainingDataError, match="shows an image of a benchmark"):
        select(settings(place, benchmarks=[str(place / "target")]), tmp_path / "kept.parquet")


def test_the_split_test_is_no_target(place: Path, tmp_path: Path) -> None:
    target = make_colours(tmp_path / "target", train_tiles=0, val_tiles=4)
    for path in target.rglob("val-*.parquet"):
        path.rename(path.with_name(path.name.replace("val-", "test-")))
    with pytest.raises(TrainingDataError, match="no question in the splits val and train"):
        select(settings(place, target=[str(target)]), tmp_path / "kept.parquet")


def test_numbers_that_are_not_finite_are_reported(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SampleReader._vector

    def broken(self: SampleReader, batch: dict[str, Any]) -> Any:
        name = batch["sample_names"][0]
        vector, loss, num_tokens = whole(self, batch)
        assert vector is not None
        return (vector * np.nan if name.endswith(":0001/OCL1") else vector), loss, num_tokens

    monkeypatch.setattr(SampleReader, "_vector", broken)
    report = select(settings(place), tmp_path / "kept.parquet")
    # one of the candidates; the target's numbers go on from 4
    assert report["left_out"]["its gradient is not a finite number"] == 1
    assert all(row["score"] is None or np.isfinite(row["score"]) for row in rows_of(tmp_path / "kept.parquet"))


def test_candidates_without_any_score_are_no_selection(place: Path, tmp_path: Path) -> None:
    broken = make_colours(tmp_path / "broken", train_tiles=2, broken=(0, 1))
    with pytest.raises(TrainingDataError, match="no candidate has a score, of 2: its image cannot be read"):
        select(settings(place, data=[str(broken)]), tmp_path / "kept.parquet")
    assert not (tmp_path / "kept.parquet").exists()


def test_a_dry_run_trains_nothing(place: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="`dry_run` trains nothing"):
        select(settings(place, warm_up=0.5), tmp_path / "kept.parquet", dry_run=True)
    assert list(tmp_path.iterdir()) == []


# --- used ---


def test_training_uses_what_is_kept_and_refuses_a_selection_of_other_data(place: Path, tmp_path: Path) -> None:
    select(settings(place, keep=0.5), tmp_path / "kept.parquet")
    report = train(
        make_settings(place / "candidates", kept=str(tmp_path / "kept.parquet"), max_steps=1), tmp_path / "run"
    )
    assert report["samples"]["left_out"]["not kept by the selection"]["number"] == 5  # 4 of 9, and the unreadable one
    with pytest.raises(KeptError, match="knows nothing of 4 of 4 questions, the first is target/target:0000/OCL1"):
        train(make_settings(place / "target", kept=str(tmp_path / "kept.parquet"), max_steps=1), tmp_path / "other")
    with pytest.raises(KeptError, match="is no selection, expected the file that `rsvqa select` writes"):
        train(make_settings(place / "target", kept=str(tmp_path / "none.parquet"), max_steps=1), tmp_path / "third")


def test_an_export_holds_what_is_kept_of_the_split_that_was_chosen_from(place: Path, tmp_path: Path) -> None:
    select(settings(place, keep=0.5), tmp_path / "kept.parquet")
    kept = read_kept(tmp_path / "kept.parquet")
    result = export_dataset(place / "candidates", tmp_path / "out", format="llava", kept=tmp_path / "kept.parquet")
    assert result.num_records == 5 + 2  # those of val stay
    assert result.left_out["not kept by the selection"] == 5  # 4 of 9, and the one without a score
    written = {entry["id"] for entry in json.loads((tmp_path / "out/train.json").read_text())}
    assert written == {name.removeprefix("candidates/") for name, is_kept in kept.items() if is_kept}


def test_the_command_prints_losses_first(place: Path, tmp_path: Path) -> None:
    data = ("--data", place / "candidates", "--target", place / "target", "--model", place / "run/adapted")
    words = ("select", *data, "--out", tmp_path / "kept.parquet", "--by", "loss")
    done = rsvqa(*words)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "1 questions have no score: its image cannot be read"
    assert lines[1] == "7 of 9 questions kept by loss, compared with 5 of the target"
    assert lines[-2:] == [f"Selection: {tmp_path}/kept.parquet", f"Page: {tmp_path}/kept.html"]
    assert rsvqa(*words, "--dry-run").out.startswith(
        "10 candidates, 5 questions of the target; 0 to compute in 0 passes"
    )
