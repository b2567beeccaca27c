"""`rsvqa train` from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from rsvqa import cli
from rsvqa.rsvqa_builder.config import SettingsError
from tests.model.make_dataset import make_dataset, make_settings
from tests.run_build import rsvqa


@pytest.fixture
def config(tmp_path: Path) -> Path:
    data = make_dataset(tmp_path / "set", tiles=2)
    path = tmp_path / "train.toml"
    path.write_text(tomli_w.dumps(make_settings(data).model_dump(mode="json", exclude_none=True)))
    return path


def test_flags_and_file_make_one_run(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = ["--tasks", "OCL,FVG", "--mix", "FVG=0.5", "--max-steps", "1", "--tokens-per-cell", "all"]
    result = CliRunner().invoke(cli.app, ["train", "--config", str(config), "--out", str(out), *flags, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["steps"] == 1
    assert report["settings"]["tasks"] == ["OCL", "FVG"]
    assert report["settings"]["tokens_per_cell"] == "all"
    assert report["samples"]["left_out"] == {"of other tasks": {"number": 2, "first": ["set/s:0/DIC1", "set/s:1/DIC1"]}}
    assert "2 questions left out: of other tasks" in result.stderr
    assert (out / "model.safetensors").exists()


def test_an_unknown_setting_is_refused_before_anything_is_read(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("epochs", "epoch"))
    result = CliRunner().invoke(cli.app, ["train", "--config", str(config), "--out", str(tmp_path / "run")])
    assert isinstance(result.exception, SettingsError)
    assert "unknown setting 'epoch'" in str(result.exception)
    assert "did you mean 'epochs'?" in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tasks", "RP"), "no question of RP in split train; it has object_colour, detailed_captioning"),
        (("--max-length", "3"), "no question is left to use of 6; left out: 6 longer than 3 tokens"),
        (("--mix", "OCL=0,DIC=0,FVG=0"), "leaves no sample"),
    ],
)
def test_no_question_to_train_on_is_code_2_and_leaves_no_folder(
    config: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    run = rsvqa("train", "--config", config, "--out", tmp_path / "run", *flags)
    assert (run.code, run.out) == (2, "")
    assert message in run.lines[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "val only"])
def test_no_data_to_train_on_is_code_2_and_leaves_no_folder(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    if kind == "empty":
        data.mkdir()
    elif kind == "val only":
        make_dataset(data, tiles=0, val_tiles=1)
    run = rsvqa("train", "--data", data, "--init", "tiny", "--out", tmp_path / "run")
    messages = {"missing": "no such folder", "empty": "no shards of split 'train'", "val only": "it has val"}
    assert (run.code, len(run.lines)) == (2, 1)
    assert messages[kind] in run.err
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_a_val_split_is_not_evaluated_and_that_is_said(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, val_tiles=0)
    config = tmp_path / "train.toml"
    settings = make_settings(data, max_steps=1, eval_questions=4)
    config.write_text(tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True)))
    run = rsvqa("train", "--config", config, "--out", tmp_path / "run")
    assert run.code == 0
    assert "no evaluation: not every data set has questions in split val" in run.lines
    assert run.out.splitlines()[0] == "not evaluated: no questions in split val, or eval_questions is 0"


def test_a_run_whose_images_cannot_be_read_saves_no_model(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=2, val_tiles=0, broken=(0, 1))
    config = tmp_path / "train.toml"
    config.write_text(tomli_w.dumps(make_settings(data).model_dump(mode="json", exclude_none=True)))
    run = rsvqa("train", "--config", config, "--out", tmp_path / "run")
    assert run.code == 2
    assert "questions trained on cannot be read" in run.lines[-1]
    assert "-unreadable allows a share of 0.01" in run.lines[-1]
    run = rsvqa("train", "--config", config, "--out", tmp_path / "all", "--max-unreadable", "1")
    assert run.code == 2
    assert "no image of the 6 questions trained on can be read" in run.lines[-1]
    assert not (tmp_path / "all" / "model.safetensors").exists()


def test_a_signal_to_the_whole_job_ends_it_with_a_checkpoint_and_one_line(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=8, val_tiles=0)
    config = tmp_path / "train.toml"
    settings = make_settings(data, epochs=50, save_every=1000, loader_workers=2)
    config.write_text(tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True)))
    command = [sys.executable, "-m", "rsvqa", "train", "--config", str(config), "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 3/300"):
                break
        os.killpg(process.pid, signal.SIGTERM)  # as SLURM does: the processes that read ahead get it too
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == 143
    assert "stopped by SIGTERM at step" in last
    assert last.endswith("go on with --resume")
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    assert checkpoint.name in last
