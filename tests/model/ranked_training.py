"""One rank of a run: `python -m tests.model.ranked_training DATA OUT [fsdp] samples|passes`; see `test_two_ranks.py`.

Trains once undisturbed, once stopped by a signal to rank 0 and resumed, and once adapters beside bf16 weights. Prints
the losses of the undisturbed run, the number of its evaluated questions, by how much the weights of the first two runs
differ, the files that were there when `train` returned, how accelerate spread the model, and the weights that adapters
have changed. With `fsdp` it is spread as `docs/accelerate/fsdp.yaml` says, and with `passes` questions share a row.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from rsvqa.model.trainer import TrainingStoppedError
from rsvqa.model.training import train
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.model.accelerate_files import fsdp_environment
from tests.model.make_dataset import make_settings

ROWS_OF = {
    "samples": {"device_batch_size": 1},
    "passes": {"batch_size": 8, "device_batch_size": 4, "questions_per_pass": 2},
}
"""How much a device takes at a time: one question, or two rows of up to two questions of an image."""


class SignallingReporter(QuietReporter):
    """Sends SIGTERM to its own process when a step is told of."""

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002
        if kind == "step" and fields["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def shard_on_cpu(patch: pytest.MonkeyPatch) -> None:
    """Let accelerate shard over processes without a GPU, which it does for the kinds of devices on a list alone."""
    for name, value in fsdp_environment("fsdp").items():
        patch.setenv(name, value)
    begin = PartialState.__init__

    def begin_as_gpu(state: PartialState, *words: Any, **named: Any) -> None:
        begin(state, *words, **named)
        if state._shared_state["distributed_type"] == DistributedType.MULTI_CPU:
            state._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    patch.setattr(PartialState, "__init__", begin_as_gpu)


def main() -> None:
    data, out = map(Path, sys.argv[1:3])
    rows = ROWS_OF[sys.argv[-1]]
    settings = make_settings(data, eval_questions=9, **rows)
    report = train(settings, out / "whole")
    written = sorted(path.name for path in (out / "whole").iterdir() if path.is_file())
    try:
        train(settings, out / "stopped", reporter=SignallingReporter())
    except TrainingStoppedError:
        train(settings, out / "stopped", resume=True)
    adapters = {"init": str(out / "whole"), "lora_rank": 2, "freeze": ["tower", "projector"], "lr_llm": 1e-2}
    train(make_settings(data, max_steps=2, precision="bf16", **rows, **adapters), out / "adapters")
    weights = [load_file(out / name / "model.safetensors") for name in ("whole", "stopped", "adapters")]
    changed = sorted(name for name, after in weights[2].items() if not weights[0][name].to(after).equal(after))
    difference = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    losses = [entry["loss"] for entry in report["curve"] if "loss" in entry]
    asked = sum(score["num_questions"] for score in report["evaluation"].values())
    kind = PartialState().distributed_type
    found = {"losses": losses, "asked": asked, "difference": difference, "written": written, "spread": kind}
    print(json.dumps(found | {"changed": changed}))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as monkeypatch:
        if "fsdp" in sys.argv[3:]:
            shard_on_cpu(monkeypatch)
        main()
