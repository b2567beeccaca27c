"""The accelerate files of the documentation are understood, and name what the model has."""

from __future__ import annotations

from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

from tests.model.accelerate_files import FOLDER, fsdp_environment, launch_arguments
from tests.model.make_models import tiny_model


def test_no_file_is_left_untried() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == ["fsdp.yaml", "zero2.yaml"]


def test_fsdp_shards_each_layer_of_tower_and_language_model() -> None:
    variables = fsdp_environment("fsdp")
    assert variables["ACCELERATE_USE_FSDP"] == "true"
    assert variables["FSDP_VERSION"] == "2"
    assert variables["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"  # checkpoints that any number of devices loads
    assert (
        variables["FSDP_RESHARD_AFTER_FORWARD"] == "false"
    )  # as ZeRO-2 of the paper: weights are not sharded in a step
    layers = {type(module).__name__ for module in tiny_model().modules()}
    assert set(variables["FSDP_TRANSFORMER_CLS_TO_WRAP"].split(",")) <= layers
    assert launch_arguments("fsdp").mixed_precision == "bf16"


def test_zero_2_is_the_papers_and_takes_its_numbers_from_the_run() -> None:
    config = load_config_from_file(str(FOLDER / "zero2.yaml"))
    assert config.distributed_type == DistributedType.DEEPSPEED
    assert config.mixed_precision == "bf16"
    given = config.deepspeed_config
    assert given["zero_stage"] == 2
    assert (given["offload_optimizer_device"], given["offload_param_device"]) == ("none", "none")
    arguments = launch_arguments("zero2")
    assert arguments.use_deepspeed
    # every key is one that `accelerate launch` has an argument for: others would be passed over
    assert {key for key in given if not hasattr(arguments, key)} == set()
