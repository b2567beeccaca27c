"""The model as one graph: `torch.compile` without breaks, and `torch.export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from torch import Tensor, nn

from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.vision_tower import tower_layers
from tests.model.make_models import CELL_SIZE, tiny_inputs, tiny_model

# every way of pruning that gives each cell as many tokens, whatever it shows
SETTINGS: list[dict[str, Any]] = [
    {"tokens_per_cell": "all"},
    {"affinity": "cosine", "fill": "next", "tokens_per_cell": 12},
    {"affinity": "learned", "fill": "zeros", "tokens_per_cell": 12},
    {"pruning": "clusters_only"},
    {"pruning": "pool"},
]


@pytest.fixture(autouse=True)
def forget_graphs() -> None:
    torch.compiler.reset()


def make_cells(number: int) -> Tensor:
    shape = (number, 3, CELL_SIZE, CELL_SIZE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(number))


def of_images(network: GeoLlavaForConditionalGeneration, cells: Tensor) -> Tensor:
    """Return what the model makes of the cells as one image, [C, R, D_text]."""
    features = network.get_image_features(cells, torch.tensor([[1, 1, len(cells)]])).pooler_output
    return features[0].unflatten(0, (len(cells), -1))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@torch.no_grad()
def test_cells_become_tokens_in_one_graph(settings: dict[str, Any]) -> None:
    network = tiny_model(**settings)
    compiled = torch.compile(network.model.get_cell_features, backend="eager", fullgraph=True)
    for number in (3, 5):  # another number of cells is the same graph with another size, or a second one
        assert torch.equal(compiled(make_cells(number)), of_images(network, make_cells(number)))


def test_the_graph_has_the_same_gradients() -> None:
    plain, traced = (tiny_model(tokens_per_cell=12) for _ in range(2))
    of_images(plain, make_cells(3)).square().sum().backward()
    compiled = torch.compile(traced.model.get_cell_features, backend="aot_eager", fullgraph=True)
    compiled(make_cells(3)).square().sum().backward()
    for (name, wanted), (_, got) in zip(plain.named_parameters(), traced.named_parameters(), strict=True):
        assert (wanted.grad is None) == (got.grad is None), name
        if wanted.grad is not None:
            torch.testing.assert_close(got.grad, wanted.grad, atol=1e-4, rtol=1e-4, msg=name)


class CellEncoder(nn.Module):
    """What docs/model.md exports."""

    def __init__(self, network: GeoLlavaForConditionalGeneration) -> None:
        super().__init__()
        self.model = network.model

    def forward(self, cells: Tensor) -> Tensor:
        return self.model.get_cell_features(cells)


@pytest.mark.parametrize("settings", SETTINGS[1:3], ids=str)
@torch.no_grad()
def test_cells_are_exported_for_any_number_of_them(settings: dict[str, Any], tmp_path: Path) -> None:
    network = tiny_model(**settings)
    sizes = {"cells": {0: torch.export.Dim("num_cells", min=2, max=576)}}
    torch.export.save(torch.export.export(CellEncoder(network), (make_cells(4),), dynamic_shapes=sizes), tmp_path / "e")
    loaded = torch.export.load(tmp_path / "e").module()
    for number in (2, 4, 7):
        assert torch.equal(loaded(make_cells(number)), of_images(network, make_cells(number)))


@pytest.mark.parametrize(
    "settings",
    [{"fill": "drop"}, {"scope": "image"}, {"pruning": "random"}],
    ids=str,
)
def test_cells_that_do_not_give_the_same_number_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="do not give each cell its own tokens, always as many; expected scope 'cell'"):
        tiny_model(**settings).model.get_cell_features(make_cells(2))


@torch.no_grad()
def test_a_tower_is_compiled_but_for_its_last_layer() -> None:
    network, inputs = tiny_model(pruning="anchored"), tiny_inputs(cells=(2, 2))
    cells, grids = inputs["pixel_values"], inputs["image_grid_thw"]
    layers = tower_layers(network.model.vision_tower)
    expected = network.get_image_features(cells, grids)
    network.model.compile_tower(backend="aot_eager")
    got = network.get_image_features(cells, grids)
    assert [layer._compiled_call_impl is not None for layer in layers] == [*[True] * (len(layers) - 1), False]
    assert torch.equal(got.positions[0], expected.positions[0])
    torch.testing.assert_close(got.pooler_output[0], expected.pooler_output[0])


@torch.no_grad()
def test_more_chunks_of_cells_break_the_graph_no_more_often() -> None:
    network = tiny_model(vision_chunk=2)
    breaks = []
    for columns in (1, 3):  # 1 chunk and 3
        torch.compiler.reset()
        inputs = tiny_inputs(cells=(2, columns))
        found = torch._dynamo.explain(network.get_image_features)(inputs["pixel_values"], inputs["image_grid_thw"])
        breaks.append(found.graph_break_count)
    assert breaks[0] == breaks[1] <= 1


@torch.no_grad()
def test_a_prompt_with_images_replies_the_same_when_compiled() -> None:
    network, inputs = tiny_model(), tiny_inputs(cells=(2, 2))
    logits = network(**inputs).logits
    torch.testing.assert_close(torch.compile(network, backend="aot_eager")(**inputs).logits, logits)


@pytest.mark.parametrize("use_cache", [False, True])
@torch.no_grad()
def test_the_language_part_is_one_graph(use_cache: bool) -> None:
    network = tiny_model()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    prompt = {"inputs_embeds": torch.randn((2, 9, 32)), "attention_mask": torch.ones((2, 9), dtype=torch.int64)}
    prompt["attention_mask"][0, :4] = 0
    assert torch.equal(compiled(**prompt, use_cache=use_cache).logits, network(**prompt, use_cache=use_cache).logits)
    ids = torch.tensor([[10, 11, 12]])
    assert torch.equal(compiled(input_ids=ids).logits, network(input_ids=ids).logits)


@torch.no_grad()
def test_the_language_part_is_exported() -> None:
    network = tiny_model()
    prompt = {"inputs_embeds": torch.randn((1, 9, 32)), "attention_mask": torch.ones((1, 9), dtype=torch.int64)}
    length = torch.export.Dim("length", min=2, max=512)
    exported = torch.export.export(
        network,
        (),
        {**prompt, "use_cache": False},
        dynamic_shapes={name: {1: length} for name in prompt} | {"use_cache": None},
    )
    longer = {"inputs_embeds": torch.randn((1, 20, 32)), "attention_mask": torch.ones((1, 20), dtype=torch.int64)}
    got = exported.module()(**longer, use_cache=False).logits
    torch.testing.assert_close(got, network(**longer, use_cache=False).logits)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of compilers about a CPU
def test_generation_with_a_static_cache_compiles_its_steps_and_says_the_same() -> None:
    from transformers import CompileConfig

    network, inputs = tiny_model(), tiny_inputs(cells=(2, 2))
    settings = CompileConfig(fullgraph=True, backend="eager", mode=None)
    settings._compile_all_devices = True  # transformers compiles on a CPU in tests only
    wanted = network.generate(**inputs, max_new_tokens=6, do_sample=False)
    got = network.generate(
        **inputs, max_new_tokens=6, do_sample=False, cache_implementation="static", compile_config=settings
    )
    assert torch.equal(got, wanted)
    assert hasattr(network, "_compiled_call")
