"""What a step keeps for its backward pass, and runs that keep less: chunked MLPs, weights of few bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from rsvqa.model import training as training_module
from rsvqa.model.checkpoints import with_adapters
from rsvqa.model.chunked_mlp import chunk_mlps
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training import train
from tests.model.make_dataset import TINY, make_dataset, make_settings
from tests.model.make_models import tiny_inputs, tiny_model

BITS = [4, 8]


class Kept:
    """Bytes of the tensors that are kept for a backward pass; a storage is counted once, and weights are not."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
        self.sizes: dict[int, int] = {}

    def take(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.weights:
            self.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


@contextmanager
def count_kept(network: torch.nn.Module) -> Iterator[Kept]:
    kept = Kept(network)
    with torch.autograd.graph.saved_tensors_hooks(kept.take, lambda tensor: tensor):
        yield kept


def as_trainers_do(network: Any) -> Any:
    """Return the model with adapters, checkpointed, and its embeddings and patches told to require gradients."""
    for name, parameter in network.named_parameters():
        if "language_model" not in name:
            parameter.requires_grad_(requires_grad=False)
    adapted = with_adapters(network.train(), rank=2, computes_in_bf16=False)
    adapted.get_base_model().activation_checkpointing_enable({"use_reentrant": False})
    adapted.enable_input_require_grads()
    return adapted


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_frozen_tower_keeps_nothing_for_the_backward_pass() -> None:
    totals = []
    for chunk in (1, 8):  # one tower's pass per cell would keep the inputs of its layers each
        network = as_trainers_do(tiny_model(vision_chunk=chunk))
        inputs = tiny_inputs(cells=(2, 4))
        with count_kept(network) as kept:
            images = network.get_base_model().get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        totals.append(kept.total)
        assert not images.pooler_output[0].requires_grad
        loss = network(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        assert any(weight.grad is not None and weight.grad.any() for weight in network.parameters())
    assert totals == [0, 0]


def test_a_tower_that_trains_still_gets_its_gradient() -> None:
    network = tiny_model().train()
    inputs = tiny_inputs(cells=(1, 2))
    network(**inputs, labels=inputs["input_ids"]).loss.backward()
    weight = network.model.vision_tower.encoder.layers[0].mlp.fc1.weight
    assert weight.grad is not None
    assert weight.grad.any()


def test_pixels_get_their_gradient_through_a_frozen_tower() -> None:
    network = tiny_model().requires_grad_(requires_grad=False)
    inputs = tiny_inputs(cells=(1, 2))
    pixels = inputs["pixel_values"].requires_grad_()
    network(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert pixels.grad is not None
    assert pixels.grad.any()


def step(network: GeoLlavaForConditionalGeneration) -> tuple[float, dict[str, Tensor], int]:
    inputs = tiny_inputs(cells=(2, 4))
    with count_kept(network) as kept:
        loss = network(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    loss = loss.detach()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return loss.item(), gradients, kept.total


@pytest.mark.parametrize("size", [1, 16, 1000])
def test_chunked_mlps_give_the_same_loss_and_gradients_and_keep_less(size: int) -> None:
    whole, chunked = tiny_model().train(), tiny_model().train()
    chunk_mlps(chunked.model.language_model, size)
    expected, found = step(whole), step(chunked)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6)
    # 43 tokens; gate, its activation, up and their product are 4 x 43 x 48 floats per layer, of two
    assert expected[2] - found[2] == (2 * 4 * 43 * 48 * 4 if size < 43 else 0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_chunks_within_checkpointed_layers_give_the_same_gradients() -> None:
    whole, chunked = (as_trainers_do(tiny_model()) for _ in range(2))
    chunk_mlps(chunked.get_base_model().model.language_model, 10)
    for adapted in (whole, chunked):
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.constant_(weight, 0.1)
    expected, found = step(whole), step(chunked)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", tiles=4, val_tiles=1)


@pytest.fixture(scope="module")
def wide(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of width 64: bitsandbytes packs weights in blocks of so many."""
    out = tmp_path_factory.mktemp("runs") / "wide"
    train(make_settings(data, max_steps=1, tiny=TINY | {"width": 64}), out)
    return out


def adapter_settings(data: Path, init: Path, **changes: Any) -> Any:
    wanted = {"init": str(init), "lora_rank": 2, "freeze": ["tower", "projector"], "lr_llm": 1e-2, "max_steps": 3}
    return make_settings(data, **wanted | changes)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("bits", BITS)
def test_adapters_train_beside_weights_of_few_bits(
    data: Path, wide: Path, tmp_path: Path, bits: int, precision: str
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    changes: dict[str, Any] = {"base_bits": bits, "precision": precision, "eval_questions": 4, "mlp_chunk": 8}
    report = train(adapter_settings(data, wide, **changes), tmp_path / "run")
    losses = [entry["loss"] for entry in report["curve"] if "loss" in entry]
    assert len(losses) == 3
    assert losses[2] < losses[0]
    before, after = (load_file(folder / "model.safetensors") for folder in (wide, tmp_path / "run"))
    assert before.keys() == after.keys()  # whole again, not in few bits
    changed = {name for name in before if not torch.equal(before[name].to(after[name].dtype), after[name])}
    assert changed
    assert all(name.endswith("_proj.weight") and "language_model" in name for name in changed)
    assert "quantization_config" not in (tmp_path / "run" / "config.json").read_text()
    AutoModelForImageTextToText.from_pretrained(tmp_path / "run")
    resumed = train(adapter_settings(data, wide, **changes), tmp_path / "run", resume=True)
    assert resumed["steps"] == 3
    again = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(again[name], after[name]) for name in after)


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_weights_of_few_bits_are_not_spread_over_devices(
    data: Path, wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: DistributedType
) -> None:
    monkeypatch.setattr(training_module, "PartialState", lambda: type("State", (), {"distributed_type": kind})())
    with pytest.raises(TrainingError, match=f"weights of 4 bits are not spread over devices .{kind}.; launch"):
        training_module._refuse_sharded_bits(adapter_settings(data, wide, base_bits=4))
    training_module._refuse_sharded_bits(adapter_settings(data, wide))


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU:UserWarning")
def test_optimizers_of_8_bits_train_and_resume(data: Path, tmp_path: Path, optimizer: str) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    settings = make_settings(data, optimizer=optimizer, max_steps=4, save_every=2)
    report = train(settings, tmp_path / "run")
    losses = [entry["loss"] for entry in report["curve"] if "loss" in entry]
    assert losses[-1] < losses[0]
    plain = train(settings.model_copy(update={"optimizer": "adamw"}), tmp_path / "plain")
    assert losses == pytest.approx([entry["loss"] for entry in plain["curve"] if "loss" in entry], rel=0.05)
