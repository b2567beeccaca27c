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
from rsvqa.model.training_memory import MemoryNeed, estimate_memory
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.config import load_settings
from tests.model.make_dataset import TINY, make_dataset, make_settings
from tests.model.make_models import tiny_config, tiny_inputs, tiny_model

BITS = [4, 8]
# peft asks transformers for a property by its old name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


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


def test_the_expected_memory_of_adapters_by_hand() -> None:
    network: Any = as_trainers_do(tiny_model())
    settings = load_settings(
        TrainingSettings, {"data": ["d"], "init": "i", "lora_rank": 2, "freeze": ["tower", "projector"]}
    )
    found = estimate_memory(network, network.config, settings, num_cells=8, num_tokens=43, computes_in_bf16=False)
    # per layer q and o 32 -> 32, k and v 32 -> 16, gate and up 32 -> 48, down 48 -> 32, of rank 2 each
    learning = 2 * 2 * (2 * 64 + 2 * 48 + 3 * 80)
    assert found.gradients == learning * 4
    assert found.optimizer == learning * 8
    assert found.weights == sum(weight.numel() for weight in network.parameters()) * 4
    assert found.tower == 0
    assert found.llm == 2 * 43 * 32 * 4  # the input of two layers
    assert found.work == max(43 * (6 * 48 + 11 * 32), 21 * 43 * 32) * 4
    in_chunks = settings.model_copy(update={"mlp_chunk": 10})
    found = estimate_memory(network, network.config, in_chunks, num_cells=8, num_tokens=43, computes_in_bf16=False)
    assert found.work == max(10 * 6 * 48 + 43 * 11 * 32, 21 * 43 * 32) * 4


def test_questions_that_share_a_pass_add_what_each_token_sees() -> None:
    network, sizes = tiny_model(), {"num_cells": 8, "num_tokens": 86, "computes_in_bf16": False}
    common = {"data": ["d"], "init": "i", "batch_size": 4, "device_batch_size": 4}
    alone, shared = (
        estimate_memory(
            network, network.config, load_settings(TrainingSettings, common | {"questions_per_pass": number}), **sizes
        )
        for number in (1, 2)
    )
    # two rows of 43 tokens: a byte per pair, and a float32 that is added to the scores
    assert shared.work - alone.work == 2 * 43 * 43 * (1 + 4)


def test_the_expected_memory_of_all_parts_by_hand() -> None:
    network = tiny_model()
    settings = load_settings(TrainingSettings, {"data": ["d"], "init": "i", "optimizer": "adamw_8bit"})
    found = estimate_memory(network, network.config, settings, num_cells=8, num_tokens=43, computes_in_bf16=True)
    num_weights = sum(weight.numel() for weight in network.parameters())
    num_learning = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert (found.weights, found.gradients, found.optimizer) == (4 * num_weights, 4 * num_learning, 2 * num_learning)
    assert found.tower == 8 * 17 * 32 * 4 * 2  # float32 inputs of two layers: 16 patches and [CLS] per cell
    assert found.llm == 2 * 43 * 32 * 2
    assert found.work == max(2 * num_learning, 21 * 43 * 32 * 2)  # copies in bf16


def test_the_expected_memory_is_told_in_one_line() -> None:
    need = MemoryNeed(weights=3 << 30, gradients=1 << 20, optimizer=2 << 20, tower=0, llm=4 << 20, work=5 << 20)
    assert str(need) == (
        "3,084 MiB expected per device that holds the whole model: weights 3,072, gradients 1, optimizer 2, tower 0, "
        "llm 4, work 5"
    )


@pytest.mark.parametrize("depth", [2, 5])
def test_checkpointed_layers_keep_their_inputs_as_expected(depth: int) -> None:
    kept = []
    for num_layers in (depth, depth + 1):
        config = tiny_config()
        config.text_config.num_hidden_layers = num_layers
        config.text_config.layer_types = ["full_attention"] * num_layers
        network = as_trainers_do(GeoLlavaForConditionalGeneration(config))
        inputs = tiny_inputs(cells=(2, 4))
        with count_kept(network) as found:
            network(**inputs, labels=inputs["input_ids"])
        kept.append(found.total)
    assert kept[1] - kept[0] == 43 * 32 * 4  # what `estimate_memory` counts per layer


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


@pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("bits", BITS)
def test_adapters_train_beside_weights_of_few_bits(
    data: Path, wide: Path, tmp_path: Path, bits: int, precision: str
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    changes: dict[str, Any] = {"base_bits": bits, "precision": precision, "eval_questions": 4, "mlp_chunk": 8}
    changes |= {"eval_every": 1}  # the weights stay as they are while the model is asked
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
