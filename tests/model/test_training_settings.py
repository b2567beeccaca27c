"""Settings of a run: the recipe, files, flags and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.training_settings import ModelPart, TrainingSettings
from rsvqa.rsvqa_builder.config import SettingsError, load_settings


def make(**changes: Any) -> TrainingSettings:
    return load_settings(TrainingSettings, {"data": ["superrs", "sets/highrs"], "init": "somewhere"} | changes)


def test_the_default_is_the_published_recipe() -> None:
    settings = make()
    assert settings.learning_rates == {ModelPart.TOWER: 1e-6, ModelPart.PROJECTOR: 5e-6, ModelPart.LLM: 5e-6}
    assert (settings.epochs, settings.warmup, settings.weight_decay, settings.max_length) == (1, 0.1, 0, 32768)
    assert settings.gradient_checkpointing
    assert settings.freeze == ()
    assert settings.task_names == tuple(TASKS)


def test_tiny_begins_from_its_own_recipe_and_flags_go_before_it() -> None:
    settings = make(init="tiny", lr_llm=2e-3)
    assert settings.lr_tower == 2e-3
    assert settings.lr_llm == 2e-3
    assert settings.deal_again


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    config = tmp_path / "train.toml"
    config.write_text("seed = 3\nepochs = 2.0\n[tiny]\nwidth = 64\n")
    settings = load_settings(TrainingSettings, {"data": ["d"], "init": "tiny", "seed": 4}, config=config)
    assert (settings.seed, settings.epochs, settings.tiny.width) == (4, 2.0, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 1}, "unknown setting 'epoch'; did you mean 'epochs'?"),
        ({"tiny": {"widht": 64}}, "unknown setting 'widht'; did you mean 'width'?"),
        ({"tasks": ["objct_colour"]}, "tasks.*did you mean 'object_colour'"),
        ({"tasks": [" "]}, "unknown task ''"),
        ({"mix": ["highr=2"]}, "unknown task or data set 'highr'; did you mean 'highrs'"),
        ({"seed": -1}, "seed.*greater than or equal to 0"),
        ({"seed": 2**32}, "seed.*less than 4294967296"),
        ({"mix": ["OCL"]}, "expected a weight of 0 or more after '='"),
        ({"mix": ["OCL=-1"]}, "expected a weight of 0 or more after '='"),
        ({"batch_size": 10, "device_batch_size": 4}, "batch_size 10 must be a multiple of device_batch_size 4"),
        ({"freeze": ["tower", "projector", "llm"]}, "every part is frozen"),
        ({"lora_rank": 8, "freeze": ["tower"]}, "with lora_rank adapters alone train: freeze tower,projector too"),
        ({"lora_rank": 8, "freeze": ["tower", "projector"], "init": "tiny"}, "init = tiny has nothing to keep"),
        ({"base_bits": 4}, "weights of 4 bits do not train, adapters beside them do: give lora_rank"),
        ({"base_bits": 5}, "`base_bits` = 5.*4, 8 or 16"),
        ({"optimizer": "adamw_8bits"}, "`optimizer` = 'adamw_8bits'.*'adamw_8bit'"),
        ({"freeze": ["head"]}, "`freeze` = 'head'.*tower"),
        ({"lr_llm": -1.0}, "`lr_llm` = -1.0"),
        ({"data": []}, "data"),
        ({"tiny": {"cell_size": 100}}, "cell_size 100 px must be a multiple of patch_size 16 px"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        make(**changes)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="`data` is needed"):
        load_settings(TrainingSettings, {"init": "x"})


def test_unknown_keys_of_a_file_name_it(tmp_path: Path) -> None:
    config = tmp_path / "train.toml"
    config.write_text("lr_towr = 1e-6\n")
    with pytest.raises(SettingsError, match=r"train.toml: unknown setting 'lr_towr'; did you mean 'lr_tower'"):
        load_settings(TrainingSettings, {"data": ["d"], "init": "x"}, config=config)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "train.toml"
    config.write_text("seed = = 1\n")
    with pytest.raises(SettingsError, match=r"cannot read the settings file .*train.toml"):
        load_settings(TrainingSettings, {"data": ["d"], "init": "x"}, config=config)


def test_mix_names_tasks_and_data_sets() -> None:
    assert make(mix=["OCL=0.5", "highrs=2"]).weights == ({"object_colour": 0.5}, {"highrs": 2.0})


def test_data_sets_that_are_named_alike_go_by_their_paths() -> None:
    alike = {"data": ["a/set", "b/set"]}
    assert make(**alike, mix=["b/set=2"]).weights.others == {"b/set": 2.0}
    with pytest.raises(SettingsError, match=r"mix: unknown task or data set 'set'; did you mean '[ab]/set'"):
        make(**alike, mix=["set=2"])


def test_bits_come_from_a_flag_as_text() -> None:
    adapters: dict[str, Any] = {"lora_rank": 8, "freeze": ["tower", "projector"]}
    assert make(**adapters, base_bits="4").base_bits == 4


def test_all_parts_may_be_frozen_beside_adapters() -> None:
    assert make(freeze=["tower", "projector", "llm"], lora_rank=8).lora_rank == 8
