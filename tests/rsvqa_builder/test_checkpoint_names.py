"""Names of checkpoints: what can only be a folder is told at once, and what may be an id is asked for on the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.checkpoint_names import folder_fault, hub_fault


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one checkpoint, `runs/first`, and a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/first").mkdir(parents=True)
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize("name", ["runs/first", "./runs/first", "runs/first/", "org/name", "runs/second", "gpt2"])
def test_a_folder_and_what_may_be_an_id_have_no_fault(name: str) -> None:
    assert folder_fault(name) is None


@pytest.mark.parametrize("name", ["./second", "../runs", "/nowhere", "~/nowhere", "runs/first/weights", "second/"])
def test_what_can_only_be_a_folder_is_told(name: str) -> None:
    assert folder_fault(name) == (
        f"there is no folder {name}; name the folder of a checkpoint, or an id on the hub (OWNER/NAME)"
    )


def test_a_file_and_nothing_are_no_checkpoint() -> None:
    assert folder_fault("file") == "file is a file; name the folder of a checkpoint"
    assert folder_fault(" ") == "a checkpoint is expected: a folder, or an id on the hub"


def test_a_folder_that_lacks_the_checkpoint_is_named_where_the_hub_has_none_either() -> None:
    ending = (
        "nor reachable on the hub (no connection); name a folder, or fetch it where there is a network: hf download"
    )
    assert hub_fault("runs/second", "no connection") == (
        f"the folder runs has no second, and 'runs/second' is not in the Hugging Face cache, {ending} runs/second"
    )
    assert hub_fault("org/name", "no connection") == (
        f"the model 'org/name' is neither a folder here nor in the Hugging Face cache, {ending} org/name"
    )
