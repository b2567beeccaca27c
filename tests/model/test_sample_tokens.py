"""The page of the tokens that a trained model keeps of its run's samples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from rsvqa.model.data import TrainingDataError
from rsvqa.model.sample_tokens import show_samples
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training import train
from rsvqa.rsvqa_builder.dataset.shards import NoShardsError
from rsvqa.rsvqa_builder.progress import SilentReporter
from tests.model.make_dataset import SIDE, make_dataset, make_settings
from tests.run_build import rsvqa


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    data = make_dataset(folder / "set", broken=(9,))  # of val, which is 8 to 11
    train(make_settings(data, max_steps=1), folder / "run", reporter=SilentReporter())
    return folder / "run"


def pictures_on(page: Path) -> list[dict[str, Any]]:
    [data] = re.findall(r'id="pictures">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    found: list[dict[str, Any]] = json.loads(data)
    return found


def test_samples_are_of_all_tasks_and_of_images_that_can_be_read(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "tokens.html"
    names = show_samples(run, page)
    assert {name.split(":")[1].split("/")[0] for name in names} == {"8", "10", "11"}
    assert {name[-4:-1] for name in names} == {"OCL", "DIC", "FVG"}
    pictures = pictures_on(page)
    # one cell of 16 patches, of which 4 tokens are kept
    assert [(one["width"], one["height"], one["grid"], len(one["rows"])) for one in pictures] == [
        (SIDE, SIDE, [4, 4], 4)
    ] * 3
    text = page.read_text("utf-8")
    assert "Samples of split val, seen by run" in text
    assert text.count("(right: ") == 3
    assert "Describe." in text
    again = tmp_path / "again.html"
    assert (show_samples(run, again), again.read_bytes()) == (names, page.read_bytes())


def test_the_command_writes_into_the_folder_of_the_run(run: Path) -> None:
    done = rsvqa("show-tokens", run, "--split", "train", "--limit", 2)
    assert done.code == 0, done.err
    *names, last = done.out.splitlines()
    assert last == f"page: {run / 'tokens.html'}"
    assert [name.split("/")[0] for name in names] == ["set"] * 2
    assert len(pictures_on(run / "tokens.html")) == 2


def test_what_cannot_be_shown_is_named(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "tokens.html"
    with pytest.raises(TrainingError, match=r"holds no trained model and its settings; expected a folder that `rsvqa"):
        show_samples(tmp_path, page)
    with pytest.raises(NoShardsError, match=r"no shards of split 'test' in .*: it has train, val"):
        show_samples(run, page, split="test")
    broken = tmp_path / "broken"
    broken.mkdir()
    data = make_dataset(tmp_path / "set", tiles=1, val_tiles=1, broken=(1,))
    (broken / "train.toml").write_text((run / "train.toml").read_text().replace(str(run.parent / "set"), str(data)))
    (broken / "config.json").write_text("{}")
    with pytest.raises(TrainingDataError, match="none of the images of split val can be read"):
        show_samples(broken, page)
    assert not page.exists()
