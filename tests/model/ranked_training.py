"""One rank of a training run: `python -m tests.model.ranked_training DATA OUT`; see `test_two_ranks.py`.

Trains once undisturbed and once stopped by a signal to rank 0 and resumed. Prints the losses of the undisturbed run,
the number of its evaluated questions, and by how much the weights of the two runs differ.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from accelerate import PartialState
from safetensors.torch import load_file

from rsvqa.model.trainer import TrainingStoppedError
from rsvqa.model.training import train
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.model.make_dataset import make_settings


class SignallingReporter(QuietReporter):
    """Sends SIGTERM to its own process when a step is told of."""

    def note(self, kind: str, text: str, **fields: object) -> None:  # noqa: ARG002
        if kind == "step" and fields["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    data, out = map(Path, sys.argv[1:])
    settings = make_settings(data, device_batch_size=1, eval_questions=9)
    report = train(settings, out / "whole")
    try:
        train(settings, out / "stopped", reporter=SignallingReporter())
    except TrainingStoppedError:
        train(settings, out / "stopped", resume=True)
    PartialState().wait_for_everyone()  # rank 0 saves
    weights = [load_file(out / name / "model.safetensors") for name in ("whole", "stopped")]
    difference = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    losses = [entry["loss"] for entry in report["curve"] if "loss" in entry]
    asked = sum(score["num_questions"] for score in report["evaluation"].values())
    print(json.dumps({"losses": losses, "asked": asked, "difference": difference}))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
