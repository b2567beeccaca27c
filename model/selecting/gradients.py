"""The gradient of one question's reply with respect to adapters, and what else candidates are compared by.

One question at a time: a batch gives the sum of its gradients, not each one's. The tower and the pruning are frozen, so
an image goes through them once for all its questions, without a graph.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rsvqa.model.checkpoints import StartingPoint, load_checkpoint
from rsvqa.model.conversations import IGNORED_LABEL, deal_letters_again
from rsvqa.model.data import Collator, ImageCache, LoadedSample, TrainingSample
from rsvqa.model.reply_loss import num_last_positions, reply_loss
from rsvqa.model.selecting.settings import Measure
from rsvqa.model.selecting.sketch import CountSketch
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training import ADAPTERS
from rsvqa.rsvqa_builder.dataset.records import Record

SECOND_SEED = 1_000_003
"""Added to the seed for the projection that shows how much of a rank is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """What is computed of one question.

    Attributes:
        name: of the sample.
        rows: [2, m] float32, unit length: by two projections; of similarity [1, D]. None without a direction, and for
            measures that have none.
        norm: of the gradient, or of the feature.
        loss: mean negative log-likelihood of the reply's tokens.
        num_tokens: of the reply.
        fault: why there is no score; "" where there is one.
    """

    name: str
    rows: NDArray[np.float32] | None
    norm: float
    loss: float
    num_tokens: int
    fault: str = ""


def load_adapted(folder: str) -> StartingPoint:
    """Return a run's model with its adapters apart from the weights, and its processor.

    Raises:
        TrainingError: the folder has no adapters, or they have never been trained.
    """
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    adapters = Path(folder) / ADAPTERS
    if not (adapters / "adapter_config.json").is_file():
        raise TrainingError(
            f"{folder} has no trained adapters ({ADAPTERS}/), whose gradients are compared; give a run of `rsvqa "
            "train` with `lora_rank`, or let `warm_up` train some first"
        )
    dtype = torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    start = load_checkpoint(folder, dtype=dtype, converted=None)
    start.agree()
    model = PeftModel.from_pretrained(start.model, str(adapters), is_trainable=True)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    with torch.no_grad():
        if not any(bool(layer.lora_B[name].weight.any()) for layer in layers for name in layer.lora_B):
            raise TrainingError(
                f"the adapters in {adapters} have not been trained: half of every gradient would be zero; train for at "
                "least a step, or give `warm_up`"
            )
        for layer in layers:
            # the model beside them has them added to its weights
            weight = layer.get_base_layer().weight
            weight -= layer.get_delta_weight("default").to(weight.dtype)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return start._replace(model=model.to(device).eval())


class SampleReader:
    """Computes the rows of samples, one at a time.

    Args:
        start: as `load_adapted` returns it.
        measure: what samples are compared by.
        dimensions: of a projected gradient.
        deals: times that letters are dealt anew; 1 leaves them.
        seed: of projections and letters.
    """

    def __init__(self, start: StartingPoint, *, measure: Measure, dimensions: int, deals: int, seed: int) -> None:
        self._model = start.model
        self._body: nn.Module = start.model.get_base_model().model
        self._collate = Collator(start.processor)
        self._measure = measure
        self._deals = deals
        self._seed = seed
        adapters = sorted((name, weight) for name, weight in start.model.named_parameters() if "lora_" in name)
        for _, weight in start.model.named_parameters():
            weight.requires_grad_(requires_grad=False)
        self._weights = [weight for _, weight in adapters]
        for weight in self._weights:
            weight.requires_grad_(requires_grad=measure == "influence")
        length = sum(weight.numel() for weight in self._weights)
        self.num_adapter_weights = length
        seeds = (seed, seed + SECOND_SEED) if measure == "influence" else ()
        self._sketches = [CountSketch(length, dimensions=dimensions, seed=one) for one in seeds]

    def read(self, samples: Sequence[TrainingSample]) -> Iterator[SampleRow]:
        """Yield the rows of samples of one row group, in order."""
        images = ImageCache(self._collate.prepare)
        with _features_once(self._body) as features:
            for sample in samples:
                shown = images.images_of(sample)
                if shown is None:
                    yield SampleRow(
                        name=sample.name, rows=None, norm=0.0, loss=0.0, num_tokens=0, fault="its image cannot be read"
                    )
                    continue
                features.shown = tuple(map(id, shown))
                yield self._row(sample, shown)

    def _row(self, sample: TrainingSample, images: tuple[Any, ...]) -> SampleRow:
        total: NDArray[np.float32] | None = None
        losses = []
        num_tokens = 0
        for record in self._dealt(sample):
            batch = self._collate([LoadedSample(sample.name, record, images, is_readable=True)])
            vector, loss, num_tokens = self._vector(batch)
            losses.append(loss)
            if vector is not None:
                total = vector if total is None else total + vector
        loss = float(np.mean(losses))
        if total is None:
            fault = "" if np.isfinite(loss) else "its loss is not a finite number"
            loss = 0.0 if fault else loss
            return SampleRow(name=sample.name, rows=None, norm=0.0, loss=loss, num_tokens=num_tokens, fault=fault)
        norm = float(np.linalg.norm(total.astype(np.float64)))
        fault = "" if np.isfinite(norm) and np.isfinite(loss) else "its gradient is not a finite number"
        fault = fault or ("" if norm else "its gradient is zero")
        return SampleRow(
            name=sample.name,
            rows=None if fault else self._projected(total),
            norm=norm if not fault else 0.0,
            loss=loss if np.isfinite(loss) else 0.0,
            num_tokens=num_tokens,
            fault=fault,
        )

    def _projected(self, total: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows of unit length, [k, m]: cosines need nothing else, and small numbers do not run over."""
        rows = np.stack([one.project(total) for one in self._sketches]) if self._sketches else total[None].astype(float)
        unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def _dealt(self, sample: TrainingSample) -> Iterator[Record]:
        """Yield the record with its letters dealt as often as asked; once where there are none."""
        if self._deals == 1 or not sample.record.options:
            yield sample.record
            return
        for deal in range(self._deals):
            # a generator of its own: letters do not depend on what was read before
            yield deal_letters_again(sample.record, random.Random(f"{self._seed}:{deal}:{sample.name}"))

    def _vector(self, batch: dict[str, Any]) -> tuple[NDArray[np.float32] | None, float, int]:
        """Return what a sample is compared by, [n] float32 or None; the loss of its reply; and the reply's tokens."""
        labels = batch.pop("labels")
        for name in ("sample_names", "unreadable"):
            batch.pop(name)
        device = self._weights[0].device
        inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
        labels = labels.to(device)
        num_labels = int((labels != IGNORED_LABEL).sum())
        with torch.set_grad_enabled(self._measure == "influence"):
            outputs = self._model(
                **inputs,
                logits_to_keep=num_last_positions(labels),
                use_cache=False,
                output_hidden_states=self._measure == "similarity",
            )
            loss = reply_loss(outputs.logits, labels, num_labels=max(1, num_labels))
            if self._measure == "influence":
                gradients = torch.autograd.grad(loss, self._weights)
                flat = np.concatenate([gradient.float().flatten().cpu().numpy() for gradient in gradients])
                return flat, float(loss.detach()), num_labels
        if self._measure == "similarity":
            hidden = outputs.hidden_states[-1][0]
            end = hidden.shape[0] - num_labels  # what is asked and shown, not what is replied
            return hidden[:end].float().mean(0).cpu().numpy(), float(loss.detach()), num_labels
        return None, float(loss.detach()), num_labels


class _SharedFeatures:
    """Visual tokens by the images that are shown; in place of a model's own `get_image_features`."""

    def __init__(self, compute: Any) -> None:  # noqa: ANN401  a method of the model
        self.shown: tuple[int, ...] = ()
        self._compute = compute
        self._known: dict[tuple[int, ...], Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if self.shown not in self._known:
            with torch.no_grad():
                self._known[self.shown] = self._compute(*args, **kwargs)
        return self._known[self.shown]


@contextmanager
def _features_once(body: Any) -> Iterator[_SharedFeatures]:  # noqa: ANN401  `GeoLlavaModel`
    """Compute the visual tokens of an image once while the context is open."""
    shared = _SharedFeatures(body.get_image_features)
    body.get_image_features = shared
    try:
        yield shared
    finally:
        del body.get_image_features
