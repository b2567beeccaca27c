"""`rsvqa train` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from rsvqa import cli
from rsvqa.rsvqa_builder.config import SettingsError
from tests.model.make_dataset import make_dataset, make_settings


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
