"""The accelerate files of the documentation, read as `accelerate launch` reads them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from accelerate.commands import launch
from accelerate.utils.launch import prepare_multi_gpu_env

FOLDER = Path(__file__).parents[2] / "docs" / "accelerate"


def launch_arguments(name: str) -> argparse.Namespace:
    """Return what `accelerate launch --config_file docs/accelerate/NAME.yaml` goes by."""
    words = ["--config_file", str(FOLDER / f"{name}.yaml"), "script.py"]
    arguments: argparse.Namespace = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))[0]
    return arguments


def fsdp_environment(name: str) -> dict[str, str]:
    """Return the variables by which each process of such a launch learns how to shard."""
    variables: dict[str, str] = prepare_multi_gpu_env(launch_arguments(name))
    return {key: value for key, value in variables.items() if "FSDP" in key and os.environ.get(key) != value}
