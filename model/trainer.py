"""transformers' Trainer with what GeoLLaVA's recipe adds: rates by part, whole checkpoints, a stop at NaN.

The order of the samples is a plan made before the first step (`ordering.py`), so the Trainer runs through it once, in
sequence, as one epoch of its own; going on after a stop leaves out as many samples as have been drawn.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer

from rsvqa.annotation.errors import RsvqaError
from rsvqa.model.conversations import IGNORED_LABEL
from rsvqa.model.joining import branch_mask
from rsvqa.model.reply_loss import num_last_positions, predicting_positions, reply_loss
from rsvqa.model.stopping import StopCallback, StopRequests, begin_worker
from rsvqa.model.training_settings import ModelPart
from rsvqa.rsvqa_builder.files import put_in_place, sync_tree

POSITION_NAME = "data_position.json"
_PARTIAL = ".partial"
_PREFIX = "checkpoint-"
_PART_NAMES = (("vision_tower.", ModelPart.TOWER), ("multi_modal_projector.", ModelPart.PROJECTOR))


class TrainingError(RsvqaError):
    """A run cannot begin, go on or end; the message says what to do."""


class TrainingStoppedError(TrainingError):
    """A run was asked to stop by a signal, and can go on."""

    def __init__(self, message: str, *, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # as shells have it


def part_of(parameter: str) -> ModelPart:
    """Return the part of the model that a parameter belongs to, by its name; embeddings and head are the LLM's."""
    return next((part for name, part in _PART_NAMES if name in parameter), ModelPart.LLM)


def group_parameters(
    model: nn.Module, learning_rates: Mapping[ModelPart, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Return the trainable parameters as groups of an optimizer, one per part that has any.

    Norms, biases and single vectors are spared from weight decay, as in transformers.
    """
    members: dict[tuple[ModelPart, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members.setdefault((part_of(name), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members[part, decays], "lr": learning_rates[part], "weight_decay": weight_decay if decays else 0.0}
        for part in ModelPart
        for decays in (True, False)
        if (part, decays) in members
    ]


class VqaTrainer(Trainer):
    """A Trainer of the batches of `Collator`, or of `PassCollator`.

    Args:
        learning_rates: of each part.
        fingerprint: of the order of samples, kept in each checkpoint.
        keep: checkpoints that stay; older ones are removed once a new one is whole.
        stops: the signals that end the run early.
        check_unreadable: hears of the questions whose images cannot be read whenever there are more; may raise.
        evaluate_model: returns the figures of the val split at a step, or None when a signal has cut it; None without
            one.
        on_progress: hears of every logged step.
        kwargs: the Trainer's own.
    """

    def __init__(
        self,
        *,
        learning_rates: Mapping[ModelPart, float],
        fingerprint: str,
        keep: int,
        stops: StopRequests,
        check_unreadable: Callable[[list[str]], None],
        evaluate_model: Callable[[nn.Module, int], dict[str, float] | None] | None = None,
        on_progress: Callable[[Mapping[str, float]], None] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.unreadable: list[str] = []
        self._learning_rates = learning_rates
        self._fingerprint = fingerprint
        self._keep = keep
        self._check_unreadable = check_unreadable
        self._evaluate_model = evaluate_model
        self._on_progress = on_progress
        self._num_images = 0
        self._num_labels = 0
        self._num_visual_tokens = 0
        self._since = time.monotonic()
        self._is_saving_partial = False
        self._is_evaluation_cut = False
        self._stops = stops
        self.add_callback(StopCallback(stops))
        self.remove_callback(PrinterCallback)

    def refuse_stopped(self) -> None:
        """Raise `TrainingStoppedError` when a signal has ended the run before its last step, or its evaluation."""
        step, steps = self.state.global_step, self.state.max_steps
        if self._stops.asked is not None and (step < steps or self._is_evaluation_cut):
            out = Path(self.args.output_dir)
            raise TrainingStoppedError(
                f"stopped by {self._stops.asked.name} at step {step} of {steps}; {out / _PREFIX}{step} is whole: "
                "go on with `resume`",
                number=self._stops.asked,
            )

    def get_train_dataloader(self) -> Any:  # noqa: ANN401  accelerate's own
        """Return the batches; the processes that read ahead leave signals to this one."""
        loader = super().get_train_dataloader()
        own = getattr(loader, "base_dataloader", loader)  # accelerate wraps it
        own.worker_init_fn = partial(begin_worker, own.worker_init_fn)
        return loader

    # --- the step ---

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the optimizer with a learning rate for each part."""
        if self.optimizer is None:
            model = self.model if model is None else model
            kind, arguments = self.get_optimizer_cls_and_kwargs(self.args, model)
            groups = group_parameters(model, self._learning_rates, self.args.weight_decay)
            self.optimizer: Any = kind(groups, **arguments)  # accelerate wraps it later
        optimizer: torch.optim.Optimizer = self.optimizer
        return optimizer

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """Return the batches of one step and the number of their labels, at least 1.

        Zero happens when no image of a step can be read: its loss is then 0, not 0 / 0, and is not logged.
        """
        batches, num_labels = super().get_batch_samples(epoch_iterator, num_batches, device)
        if isinstance(num_labels, Tensor):
            self._num_labels += int(num_labels)
            num_labels = num_labels.clamp(min=1)
        return batches, num_labels

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401  as the Trainer's
        """Return the loss.

        Raises:
            TrainingError: when it is not finite, before it can reach the weights; names the batch.
        """
        names = inputs.pop("sample_names")
        # a batch of a long run may hold a question more than once
        if fresh := [name for name in dict.fromkeys(inputs.pop("unreadable")) if name not in self.unreadable]:
            self.unreadable += fresh
            self._check_unreadable(self.unreadable)
        labels, branches = inputs["labels"], inputs.pop("branches", None)
        positions = None
        if branches is not None:
            inputs["attention_mask"] = branch_mask(branches)
            positions = predicting_positions(labels)
        outputs = model(
            **{name: value for name, value in inputs.items() if name != "labels"},
            logits_to_keep=num_last_positions(labels) if positions is None else positions,
            use_cache=False,
        )
        if num_items_in_batch is None:
            num_items_in_batch = (labels != IGNORED_LABEL).sum().clamp(min=1)
        # the number is that of all devices, whose gradients are averaged
        loss = reply_loss(outputs.logits, labels, num_labels=num_items_in_batch, positions=positions)
        loss = loss * self.accelerator.num_processes
        # this waits for the device; a step takes so long that it does not matter, and NaN weights would
        if not math.isfinite(value := loss.item()):
            raise TrainingError(
                f"the loss is {value} at step {self.state.global_step + 1}, on the samples {', '.join(names)}; "
                "the weights have not been touched by it: go on with `resume` and a lower learning rate, or fp32"
            )
        self._num_images += len(outputs.image_hidden_states or ())
        self._num_visual_tokens += sum(len(tokens) for tokens in outputs.image_hidden_states or ())
        return (loss, outputs) if return_outputs else loss

    # --- what is said ---

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add speed and memory to the figures of a step."""
        if "loss" in logs:
            seconds = max(time.monotonic() - self._since, 1e-9)
            world = self.accelerator.num_processes
            logs["images_per_s"] = round(world * self._num_images / seconds, 3)
            logs["visual_tokens_per_s"] = round(world * self._num_visual_tokens / seconds, 1)
            logs["peak_memory_mib"] = peak_memory_mib()
            if not self._num_labels:
                del logs["loss"]
            self._num_images, self._num_visual_tokens, self._since = 0, 0, time.monotonic()
            self._num_labels = 0
        super().log(logs, start_time)
        if self._on_progress and self.is_world_process_zero():
            self._on_progress({**logs, "step": self.state.global_step, "max_steps": self.state.max_steps})

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # noqa: ANN401  the Trainer's arguments are not needed
        """Return the metrics of the val split and log them; whoever asked to stop gets a checkpoint instead."""
        if self._evaluate_model is None:
            return {}
        started = time.monotonic()
        figures = self._evaluate_model(self.model, self.state.global_step)
        if figures is None:
            self._is_evaluation_cut = True
            self.control.should_save = self.control.should_training_stop = True
            self.control.should_evaluate = False  # once asked for, it stays so until one is done
            return {}
        metrics = {f"eval_{name}": value for name, value in figures.items()}
        self._since += time.monotonic() - started  # no time of training
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # --- checkpoints ---

    def _get_output_dir(self, trial: Any) -> str:  # noqa: ANN401
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder) / _PARTIAL) if self._is_saving_partial else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:  # noqa: ANN401
        """Write a checkpoint beside its place, and rename it when all of it is on disk.

        All processes write into one folder, so its name cannot be one of `files.whole_folder`; what a killed run has
        left in it is removed first.
        """
        out = Path(self.args.output_dir)
        name = f"{_PREFIX}{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(out / _PARTIAL, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            self._is_saving_partial = True
            super()._save_checkpoint(model, trial)
            if self.args.should_save:
                self._write_position(out / _PARTIAL / name)
        # torch and safetensors have their own words for a full disk
        except (OSError, RuntimeError, _safetensors_error()) as error:
            shutil.rmtree(out / _PARTIAL, ignore_errors=True)
            last = last_checkpoint(out)
            whole = f"{last.name} is whole" if last else "there is none before it"
            raise TrainingError(
                f"the checkpoint of step {self.state.global_step} cannot be written below {out}: {error}; {whole}. "
                "Free some space and go on with `resume`"
            ) from error
        finally:
            self._is_saving_partial = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            shutil.rmtree(out / name, ignore_errors=True)
            put_in_place(out / _PARTIAL / name, out / name)
            (out / _PARTIAL).rmdir()
            for old in list_checkpoints(out)[: -self._keep]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()  # whoever goes on finds the checkpoint under its name

    def _issue_warnings_after_load(self, load_result: Any) -> None:  # noqa: ANN401  torch's own type
        """Refuse a checkpoint that lacks weights of the model, or has others; tied ones are stored under one name."""
        missing = set(load_result.missing_keys)
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        loaded = {id(parameter) for name, parameter in parameters.items() if name not in missing}
        differ = [name for name in missing if name not in parameters or id(parameters[name]) not in loaded]
        differ += load_result.unexpected_keys
        if differ:
            raise TrainingError(
                f"the last checkpoint below {self.args.output_dir} and the model differ in {len(differ)} weights, the "
                f"first is {min(differ)}; remove that checkpoint, and `resume` goes on from the one before"
            )

    def _write_position(self, folder: Path) -> None:
        position = {"steps": self.state.global_step, "order": self._fingerprint, "unreadable": self.unreadable}
        (folder / POSITION_NAME).write_text(json.dumps(position, indent=2) + "\n", encoding="utf-8")
        sync_tree(folder)  # where a disk is full, here is where it shows


def _safetensors_error() -> type[Exception]:
    from safetensors import SafetensorError

    kind: type[Exception] = SafetensorError
    return kind


def list_checkpoints(out: Path) -> list[Path]:
    """Return the whole checkpoints below a run's folder, oldest first."""
    found = [path for path in out.glob(f"{_PREFIX}*") if (path / POSITION_NAME).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def last_checkpoint(out: Path) -> Path | None:
    """Return the last whole checkpoint below a run's folder."""
    return next(reversed(list_checkpoints(out)), None)


def read_position(checkpoint: Path) -> dict[str, Any]:
    """Return how far a checkpoint is: `steps`, the fingerprint of the `order`, and names that were `unreadable`."""
    return dict(json.loads((checkpoint / POSITION_NAME).read_text("utf-8")))


def peak_memory_mib() -> float:
    """Return the most memory used so far in MiB: of the device where there is CUDA, else of the process."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    import resource

    # kilobytes on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)
