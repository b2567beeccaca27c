"""SIGTERM and SIGINT end a run behind the step, the pass of an evaluation or the saving that it is in.

SLURM and spot machines send SIGTERM some time before they kill. What surprises: a second signal ends the process at
once, as if this file were not there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequests:
    """Takes down the first signal that asks this process to stop, while it is entered.

    Attributes:
        asked: the signal, or None.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def agree(self, device: torch.device) -> signal.Signals | None:
        """Return the signal that any process got: all save together, or each would wait for the others.

        Every process must ask as often.
        """
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            number = torch.tensor(int(self.asked or 0), device=device)
            distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
            self.asked = signal.Signals(int(number)) if int(number) else None
        return self.asked

    def _take(self, number: int, _: FrameType | None) -> None:
        self.asked = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


class StopCallback(TrainerCallback):
    """Saves and ends a run behind a step, or a checkpoint, when any of its processes was asked to stop."""

    def __init__(self, requests: StopRequests) -> None:
        self._requests = requests

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401  transformers' own
    ) -> TrainerControl:
        """Ask the Trainer to save and stop."""
        asked = self._requests.agree(args.device)
        if asked is not None and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False  # whoever asked does not wait for long
        return control

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401  transformers' own
    ) -> TrainerControl:
        """Ask the Trainer to stop: all up to here is saved."""
        if self._requests.agree(args.device) is not None and state.global_step < state.max_steps:
            control.should_training_stop = True
        return control


def begin_worker(begin: Callable[[int], None] | None, number: int) -> None:
    """Begin a process that reads ahead, which leaves signals to the run that it belongs to.

    A signal to the whole job, as of Ctrl-C or SLURM, would end it before the run has saved.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if begin is not None:
        begin(number)
