"""On a CUDA device the model gives what it gives on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from tests.model.make_models import tiny_model
from tests.model.test_modeling_geollava import generate, make_inputs
from tests.perf.eight_k import make_rig, measure_inference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@torch.no_grad()
def test_single_precision_is_the_cpus() -> None:
    inputs = make_inputs()
    network = tiny_model()
    expected = network(**inputs)
    got = network.cuda()(**{name: value.cuda() for name, value in inputs.items()})
    torch.testing.assert_close(got.logits.cpu(), expected.logits, atol=1e-3, rtol=0)


@torch.no_grad()
def test_bfloat16_is_near_single_precision() -> None:
    inputs = make_inputs()
    network = tiny_model(tokens_per_cell="all").cuda()  # no ranks, which rounding may change
    inputs = {name: value.cuda() for name, value in inputs.items()}
    expected = network(**inputs).logits
    got = network.bfloat16()(**inputs).logits.float()
    assert float((got - expected).norm() / expected.norm()) < 0.05


@pytest.mark.parametrize("size", [(50, 90), (700, 300), (300, 700), (2000, 1500)])
def test_images_are_cut_on_the_device_as_on_the_cpu(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    processor = GeoLlavaImageProcessor(cell_size=336, max_grid=4, do_normalize=False)
    there = processor(image, device="cuda")["pixel_values"]
    assert there.device.type == "cuda"
    assert torch.equal(there.cpu(), processor(image)["pixel_values"])


def test_a_compiled_tower_gives_nearly_the_same_features() -> None:
    network = tiny_model(tokens_per_cell="all").cuda()
    inputs = {name: value.cuda() for name, value in make_inputs().items()}
    with torch.no_grad():
        expected = network(**inputs).logits
        network.model.compile_tower(backend="aot_eager")
        torch.testing.assert_close(network(**inputs).logits, expected, atol=1e-4, rtol=0)


def test_generation_is_the_same_with_and_without_cache() -> None:
    network = tiny_model().cuda()
    inputs = {name: value.cuda() for name, value in make_inputs(padding_side="left").items()}
    assert torch.equal(generate(network, inputs), generate(network, inputs, use_cache=False))


def test_an_8k_image_goes_through_the_7b_model() -> None:
    if torch.cuda.mem_get_info()[0] < 40 * 2**30:
        pytest.skip("needs 40 GiB of free device memory")
    found = measure_inference(make_rig(is_toy=False), "cosine")
    assert found["visual_tokens"] == 24 * 24 * 24  # cells times tokens per cell
    assert found["pruning"] < found["tower"]
    assert found["peak_gib"] < 40
