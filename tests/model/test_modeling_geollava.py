"""Forward, generate, batches, chunks and storage agree with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, CLIPVisionModel, GenerationConfig

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from rsvqa.model.checkpoints import StartingPoint
from rsvqa.model.configuration_geollava import PRUNING_METHODS, RELEASED_PRUNING
from rsvqa.model.modeling_geollava import CACHE_NAME, CACHE_NAMES, GeoLlavaForConditionalGeneration
from rsvqa.model.prompt_expansion import expand_placeholders, pad_left, place_tokens
from rsvqa.rsvqa_builder.documents.token_map import TokenGrid, map_tokens
from tests.model.dense_reference import Weights, dense_prune
from tests.model.make_models import CELL_SIZE, tiny_config, tiny_inputs, tiny_model, tiny_processor

Inputs = dict[str, Any]
SIZES = ((28, 28), (50, 90), (100, 60))  # height, width: grids of 1 × 1, 2 × 4 and 4 × 3 cells
PROMPTS = ["w1 <image> w2 w3", "w4 w5 w6 <image> <image> w7"]


def make_images(sizes: tuple[tuple[int, int], ...] = SIZES) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


def make_inputs(**kwargs: Any) -> Inputs:
    return dict(tiny_processor()(text=PROMPTS, images=make_images(), return_tensors="pt", padding=True, **kwargs))


def alone(index: int) -> Inputs:
    """Return one prompt of `make_inputs` as a batch of one."""
    images = make_images()
    chosen = images[:1] if index == 0 else images[1:]
    return dict(tiny_processor()(text=PROMPTS[index], images=chosen, return_tensors="pt"))


def test_placeholders_become_as_many_as_their_images_have_tokens() -> None:
    prompt = expand_placeholders(
        torch.tensor([[5, 9, 6, 0], [9, 7, 9, 8]]),
        torch.tensor([2, 1, 3]),
        image_token_id=9,
        attention_mask=torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),
        labels=torch.tensor([[-100, -100, 6, -100], [-100, 7, -100, 8]]),
    )
    assert prompt.input_ids.tolist() == [[5, 9, 9, 6, 0, 0], [9, 7, 9, 9, 9, 8]]
    assert prompt.attention_mask.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert prompt.position_ids.tolist() == [[0, 1, 2, 3, 3, 3], [0, 1, 2, 3, 4, 5]]
    assert prompt.labels is not None
    assert prompt.labels.tolist() == [[-100, -100, -100, 6, -100, -100], [-100, 7, -100, -100, -100, 8]]


def test_padding_may_stand_on_the_left() -> None:
    prompt = expand_placeholders(
        torch.tensor([[0, 0, 9, 6], [9, 7, 9, 8]]),
        torch.tensor([1, 2, 2]),
        image_token_id=9,
        attention_mask=torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]),
        padding_side="left",
    )
    assert prompt.input_ids.tolist() == [[0, 0, 0, 0, 9, 6], [9, 9, 7, 9, 9, 8]]
    assert prompt.position_ids.tolist() == [[0, 0, 0, 0, 0, 1], [0, 1, 2, 3, 4, 5]]


def test_a_placeholder_without_image_is_named() -> None:
    with pytest.raises(ValueError, match=r"hold 2 placeholder tokens \(id 9\) for 1 images of 3 visual tokens"):
        place_tokens(torch.tensor([[9, 9]]), torch.tensor([3]), image_token_id=9)


def test_a_prompt_with_every_placeholder_stays_as_it_is() -> None:
    ids, labels = torch.tensor([[0, 5, 9, 9, 6]]), torch.tensor([[-100, 5, 9, 9, 6]])
    mask = torch.tensor([[0, 1, 1, 1, 1]])
    prompt = place_tokens(ids, torch.tensor([2]), image_token_id=9, attention_mask=mask, labels=labels)
    assert prompt.input_ids is ids
    assert prompt.labels is not None
    assert prompt.labels.tolist() == [[-100, 5, -100, -100, 6]]  # visual tokens carry no loss
    assert prompt.attention_mask.tolist() == mask.tolist()
    assert prompt.position_ids.tolist() == [[0, 0, 1, 2, 3]]
    packed = torch.tensor([[0, 0, 1, 0, 1]])
    prompt = place_tokens(ids, torch.tensor([2]), image_token_id=9, position_ids=packed)
    assert prompt.position_ids is packed
    assert prompt.attention_mask is None


def test_all_tokens_are_kept_bit_for_bit() -> None:
    network = tiny_model(tokens_per_cell="all")
    inputs = make_inputs()
    features = network.model.vision_tower(inputs["pixel_values"]).last_hidden_state[:, 1:]
    expected = network.model.multi_modal_projector(features.flatten(0, 1))
    got = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
    assert [len(tokens) for tokens in got] == [16, 8 * 16, 12 * 16]
    assert torch.equal(torch.cat(got), expected)


def test_the_tower_ends_at_the_layer_whose_features_are_used() -> None:
    torch.manual_seed(0)
    network = tiny_model()
    whole = CLIPVisionModel(network.config.vision_config).eval()
    whole.load_state_dict(network.model.vision_tower.state_dict(), strict=False)
    cells = torch.randn((2, 3, 28, 28))
    expected = whole(cells, output_hidden_states=True).hidden_states[-2]
    assert len(network.model.vision_tower.encoder.layers) == 2
    assert torch.equal(network.model.vision_tower(cells).last_hidden_state, expected)


@pytest.mark.parametrize("scope", ["cell", "image"])
@pytest.mark.parametrize("pruning", PRUNING_METHODS)
def test_every_method_keeps_to_its_budget_in_order(pruning: str, scope: str) -> None:
    network = tiny_model(pruning=pruning, scope=scope)
    inputs = make_inputs()
    images = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    for features, cells, positions, grid in zip(
        images.pooler_output, images.cells, images.positions, inputs["image_grid_thw"], strict=True
    ):
        num_cells = int(grid.prod())
        assert 0 < len(features) <= 5 * num_cells
        places = (cells * 16 + positions).tolist()
        assert places == sorted(set(places))
        assert int(cells.max()) < num_cells
        if scope == "cell":
            assert int(torch.bincount(cells).max()) <= 5
        if pruning not in ("anchored", "clusters_only"):
            assert len(features) == 5 * num_cells  # each token is its own cluster, or there are as many as asked for


def test_zeros_fill_up_and_dropping_leaves_the_rest() -> None:
    inputs = make_inputs()
    dropped, filled = (
        tiny_model(fill=fill, tokens_per_cell=12).get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        for fill in ("drop", "zeros")
    )
    empty = tiny_model(tokens_per_cell=12).model.multi_modal_projector(torch.zeros(32))
    assert [len(tokens) for tokens in filled.pooler_output] == [12, 96, 144]
    for image in range(3):
        is_empty = torch.isclose(filled.pooler_output[image], empty, atol=1e-6).all(-1)
        assert bool(is_empty.any())
        assert torch.equal(filled.pooler_output[image][~is_empty], dropped.pooler_output[image])


def known_inputs(text: str | list[str] = PROMPTS, **kwargs: Any) -> Inputs:
    """Return the inputs of `make_inputs` with a placeholder per visual token of a model with 12 tokens per cell."""
    processor = tiny_processor(num_cell_tokens=tiny_config(tokens_per_cell=12).num_cell_tokens)
    return dict(processor(text=text, images=make_images(), return_tensors="pt", padding=True, **kwargs))


@pytest.mark.parametrize("scope", ["cell", "image"])
@pytest.mark.parametrize("pruning", PRUNING_METHODS)
def test_the_number_of_tokens_follows_from_the_size_when_the_next_best_fill_up(pruning: str, scope: str) -> None:
    network = tiny_model(pruning=pruning, scope=scope, tokens_per_cell=12)
    inputs = make_inputs()
    assert network.config.num_cell_tokens == 12
    images = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    assert [len(tokens) for tokens in images.pooler_output] == [12, 96, 144]
    network.config.fill = "drop"
    assert network.config.num_cell_tokens == (None if pruning in ("anchored", "clusters_only") else 12)
    network.config.tokens_per_cell = 99
    assert network.config.num_cell_tokens in (None, 16)
    network.config.tokens_per_cell = "all"
    assert network.config.num_cell_tokens == 16


@torch.no_grad()
def test_the_next_best_tokens_are_those_that_cls_attends_to_most() -> None:
    network = tiny_model(tokens_per_cell=12)
    inputs = make_inputs()
    clusters = tiny_model(tokens_per_cell=12, fill="drop").get_image_features(
        inputs["pixel_values"], inputs["image_grid_thw"]
    )
    filled = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    tower, cell = network.model.vision_tower, 0
    attention = tower.encoder.layers[-1].self_attn
    for image, grid in enumerate(inputs["image_grid_thw"]):
        for number in range(int(grid.prod())):
            features = tower(inputs["pixel_values"][cell : cell + 1]).last_hidden_state[0]
            scores = attention.v_proj(features[1:]) @ attention.q_proj(features[0])
            roots = clusters.positions[image][clusters.cells[image] == number].tolist()
            rest = [token for token in scores.argsort(descending=True).tolist() if token not in roots]
            is_here = filled.cells[image] == number
            assert filled.positions[image][is_here].tolist() == sorted(roots + rest[: 12 - len(roots)])
            found = zip(filled.positions[image][is_here].tolist(), filled.pooler_output[image][is_here], strict=True)
            for token, got in found:
                if token not in roots:
                    wanted = network.model.multi_modal_projector(features[1 + token])
                    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
            cell += 1


@pytest.mark.parametrize("padding_side", ["left", "right"])
@torch.no_grad()
def test_a_placeholder_per_token_and_one_per_image_are_the_same(padding_side: str) -> None:
    network = tiny_model(tokens_per_cell=12)
    one, all_of_them = make_inputs(padding_side=padding_side), known_inputs(padding_side=padding_side)
    assert all_of_them["input_ids"].shape[1] == 4 + 96 + 144
    labels = all_of_them["input_ids"].where(all_of_them["input_ids"] == 16, -100)  # w7
    grown, known = network(**one), network(**all_of_them, labels=labels)
    assert torch.equal(known.attention_mask, all_of_them["attention_mask"])
    assert known.logits.shape[1] == labels.shape[1]
    is_real = known.attention_mask > 0
    torch.testing.assert_close(known.logits[is_real], grown.logits[grown.attention_mask > 0], atol=1e-5, rtol=0)
    assert known.loss.isfinite()
    new = network.generate(**all_of_them, max_new_tokens=4)[:, all_of_them["input_ids"].shape[1] :]
    assert torch.equal(new, network.generate(**one, max_new_tokens=4)[:, one["input_ids"].shape[1] :])


def test_tokens_move_behind_their_padding_to_be_gone_on_from() -> None:
    ids = torch.tensor([[5, 9, 9, 0], [0, 7, 8, 0], [1, 2, 3, 4]])
    padded, mask = pad_left(ids, torch.tensor([[1, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]]))
    assert padded.tolist() == [[0, 5, 9, 9], [0, 0, 7, 8], [1, 2, 3, 4]]
    assert mask is not None
    assert mask.tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    assert pad_left(ids, None) == (ids, None)


@torch.no_grad()
def test_packed_prompts_are_what_they_are_alone() -> None:
    # Two chats in one row: positions begin anew, and so does attention, as trainers pack.
    network = tiny_model(tokens_per_cell=12)
    processor = tiny_processor(num_cell_tokens=12)
    first, second = (
        dict(processor(text=text, images=make_images(((28, 28),)), return_tensors="pt"))
        for text in ("w1 <image> w2 w3", "<image> w4")
    )
    row = torch.cat([first["input_ids"], second["input_ids"]], dim=1)
    positions = torch.cat([torch.arange(inputs["input_ids"].shape[1]) for inputs in (first, second)])[None]
    packed = network(
        row,
        pixel_values=torch.cat([first["pixel_values"], second["pixel_values"]]),
        image_grid_thw=torch.cat([first["image_grid_thw"], second["image_grid_thw"]]),
        position_ids=positions,
        use_cache=False,  # with a cache transformers does not look for packed chats
    )
    alone = torch.cat([network(**first).logits, network(**second).logits], dim=1)
    torch.testing.assert_close(packed.logits, alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_more_budget_than_clusters_gives_the_released_embeddings_and_logits() -> None:
    # As the recordings of the released code do, but with most cells short of clusters: 12 places of 16 tokens.
    network = tiny_model(**RELEASED_PRUNING, tokens_per_cell=12)
    body = network.model
    inputs = dict(tiny_processor()(text=PROMPTS[:1], images=make_images(((50, 90),)), return_tensors="pt"))
    features = body.vision_tower(inputs["pixel_values"]).last_hidden_state
    attention, head = body.vision_tower.encoder.layers[-1].self_attn, body.affinity_head
    weights = Weights(
        head.depthwise.weight,
        head.pointwise.weight,
        head.pointwise.bias,
        attention.q_proj.weight,
        attention.q_proj.bias,
        attention.v_proj.weight,
        attention.v_proj.bias,
    )
    selected = dense_prune(features[:, 1:].unflatten(1, (4, 4)), features[:, 0], weights, 12)
    is_empty = (selected == 0).all(-1)
    assert int((is_empty.sum(1) > 0).sum()) >= 6  # cells that are short of clusters
    assert bool((is_empty[:, :-1] & ~is_empty[:, 1:]).any())  # zeros before tokens
    visual = body.multi_modal_projector(selected.flatten(0, 1))
    before, behind = inputs["input_ids"][0][:1], inputs["input_ids"][0][2:]
    table = network.get_input_embeddings()
    expected = torch.cat([table(before), visual, table(behind)])[None]
    _, embeddings, images = body.merge_inputs(inputs["input_ids"], inputs["pixel_values"], inputs["image_grid_thw"])
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)
    assert images.positions is not None
    assert len(images.positions[0]) == 8 * 12
    logits = network.lm_head(body.language_model(inputs_embeds=expected).last_hidden_state)
    torch.testing.assert_close(network(**inputs).logits, logits, atol=1e-5, rtol=0)


def test_the_affinity_head_is_needed_for_the_learned_affinity() -> None:
    network = tiny_model()
    network.config.affinity = "learned"
    inputs = make_inputs()
    with pytest.raises(ValueError, match="built without the head"):
        network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scope": "image"},
        {"pruning": "random"},
        {"affinity": "learned"},
        {"tokens_per_cell": 12},
        {"tokens_per_cell": 12, "scope": "image"},
        {"tokens_per_cell": 12, "pruning": "clusters_only", "scope": "image"},
        {"fill": "zeros", "tokens_per_cell": 12},
        {"fill": "zeros", "tokens_per_cell": 12, "scope": "image"},
    ],
)
def test_the_chunk_of_the_tower_changes_nothing(settings: dict[str, Any]) -> None:
    network = tiny_model(**settings)
    inputs = make_inputs()
    network.config.vision_chunk = 64
    whole = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    for chunk in (1, 4, 20):
        network.config.vision_chunk = chunk
        got = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        for image in range(3):
            assert torch.equal(got.cells[image], whole.cells[image])
            assert torch.equal(got.positions[image], whole.positions[image])
            torch.testing.assert_close(got.pooler_output[image], whole.pooler_output[image], atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("fill", ["next", "drop", "zeros"])
def test_a_row_of_a_batch_is_what_it_is_alone(padding_side: str, fill: str) -> None:
    network = tiny_model(fill=fill)
    inputs = make_inputs(padding_side=padding_side)
    together = network(**inputs)
    for index in range(2):
        single = network(**alone(index))
        is_real = together.attention_mask[index] > 0
        torch.testing.assert_close(together.logits[index][is_real], single.logits[0], atol=1e-5, rtol=0)


def test_the_loss_counts_the_labelled_tokens_alone() -> None:
    network = tiny_model()
    inputs = make_inputs()
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[0, -3], labels[1, -1] = 40, 41  # the token behind the first image, and the last of the second row
    outputs = network(**inputs, labels=labels)
    assert (outputs.labels != -100).sum() == 2
    losses = []
    for row, label in ((0, 40), (1, 41)):
        place = int((outputs.labels[row] == label).nonzero())
        losses.append(-outputs.logits[row, place - 1].log_softmax(-1)[label])
    torch.testing.assert_close(outputs.loss, torch.stack(losses).mean())


@torch.no_grad()
def test_labels_may_be_those_of_the_kept_logits() -> None:
    network = tiny_model(tokens_per_cell=12)
    inputs = tiny_inputs(cells=(1, 2))
    whole = inputs | {"input_ids": torch.tensor([[10, *[1] * 24, 11, 12, 13, 14]])}
    labels = torch.tensor([[-100] * 25 + [-100, 12, -100, 14]])
    expected = network(**whole, labels=labels).loss
    # as ms-swift cuts them for one row: what predicts a label, and the last one
    found = labels[0] != -100
    predicts = torch.cat([found[1:], torch.tensor([True])])
    chosen = network(**whole, labels=torch.tensor([[-100, 12, 14]]), logits_to_keep=predicts)
    torch.testing.assert_close(chosen.loss, expected)
    assert (chosen.labels.tolist(), chosen.logits.shape[1]) == ([[-100, 12, 14]], 3)
    # and for several: from what predicts the first one; a label that names a placeholder has no loss
    last = network(**whole, labels=torch.tensor([[1, -100, 12, -100, 14]]), logits_to_keep=5)
    torch.testing.assert_close(last.loss, expected)
    with pytest.raises(ValueError, match="there are 29 labels per prompt and 2 logits; expected as many as input_ids"):
        network(**whole, labels=labels, logits_to_keep=2)
    with pytest.raises(ValueError, match="there are 2 labels per prompt and 3 logits"):
        network(**whole, labels=labels[:, -2:], logits_to_keep=3)
    with pytest.raises(ValueError, match=r"there are 2 labels per prompt and 2 logits; .* a placeholder per visual"):
        network(**inputs, labels=labels[:, -2:], logits_to_keep=2)  # whose rows may grow at either side


def test_the_loss_reaches_tower_projector_and_language_model() -> None:
    network = tiny_model().train()
    inputs = make_inputs()
    network(**inputs, labels=inputs["input_ids"]).loss.backward()
    without = {name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None}
    assert without == set()


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for is_checkpointed in (False, True):
        network = tiny_model().train()
        if is_checkpointed:
            network.activation_checkpointing_enable()
        inputs = make_inputs()
        network(**inputs, labels=inputs["input_ids"]).loss.backward()
        gradients.append(network.model.vision_tower.encoder.layers[0].mlp.fc1.weight.grad)
    torch.testing.assert_close(*gradients)


def generate(network: GeoLlavaForConditionalGeneration, inputs: Inputs, **kwargs: Any) -> Tensor:
    generated: Tensor = network.generate(
        **inputs, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0, **kwargs
    )
    return generated[:, inputs["input_ids"].shape[1] :]


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("num_cell_tokens", [None, 5])
@pytest.mark.parametrize("settings", [{}, {"fill": "zeros"}, {"scope": "image"}])
def test_generation_is_the_same_with_and_without_cache_and_in_batches(
    settings: dict[str, Any], num_cell_tokens: int | None, padding_side: str
) -> None:
    network, processor = tiny_model(**settings), tiny_processor(num_cell_tokens=num_cell_tokens)
    images = make_images()
    shown = [images[:1], images[1:]]
    inputs = dict(processor(shown, PROMPTS, return_tensors="pt", padding=True, padding_side=padding_side))
    cached = generate(network, inputs)
    assert torch.equal(cached, generate(network, inputs, use_cache=False))
    beams = generate(network, inputs, num_beams=3)
    for index in range(2):
        single = dict(processor(shown[index], PROMPTS[index], return_tensors="pt"))
        assert torch.equal(cached[index : index + 1], generate(network, single))
        assert torch.equal(beams[index : index + 1], generate(network, single, num_beams=3))


@pytest.mark.parametrize("num_cell_tokens", [None, 5])
def test_generation_is_the_same_with_every_cache_and_with_guesses_from_the_prompt(num_cell_tokens: int | None) -> None:
    network = tiny_model()
    inputs = dict(
        tiny_processor(num_cell_tokens=num_cell_tokens)(make_images()[1:2], "w1 <image> w2", return_tensors="pt")
    )
    plain = generate(network, inputs)
    for way in (
        {"cache_implementation": "static"},
        {"cache_implementation": "dynamic"},
        {"prompt_lookup_num_tokens": 3},
    ):
        assert torch.equal(generate(network, inputs, **way), plain)


@pytest.mark.parametrize("num_cell_tokens", [None, 5])
@pytest.mark.parametrize("prompt", ["w1 w2 <image> w3 w1 w2", "w1 <image>"])  # the end of each has been there before
def test_guesses_may_begin_behind_the_prompt_itself(num_cell_tokens: int | None, prompt: str) -> None:
    network, processor = tiny_model(), tiny_processor(num_cell_tokens=num_cell_tokens)
    for image in make_images():
        inputs = dict(processor(image, prompt, return_tensors="pt"))
        guessed = generate(network, inputs, prompt_lookup_num_tokens=3, max_matching_ngram_size=2)
        assert torch.equal(guessed, generate(network, inputs))


def test_types_of_tokens_may_be_given_to_generation() -> None:
    processor, network = tiny_processor(num_cell_tokens=5), tiny_model()
    for images, prompt in ((make_images()[:1], "w1 <image> w2"), (None, "w1 w2")):
        inputs = dict(processor(images, prompt, return_tensors="pt"))
        typed = dict(processor(images, prompt, return_tensors="pt", return_mm_token_type_ids=True))
        assert "mm_token_type_ids" in typed
        assert torch.equal(generate(network, typed), generate(network, inputs))


@pytest.mark.parametrize("num_cell_tokens", [None, 5])
def test_padding_is_no_word_to_what_looks_at_the_ids(num_cell_tokens: int | None) -> None:
    seen: list[list[int]] = []

    def look(ids: Any, scores: Any) -> Any:
        seen.append([int(row[0]) for row in ids])
        return scores

    inputs = dict(
        tiny_processor(num_cell_tokens=num_cell_tokens)(
            text=["w1 <image>", "w1 w2 <image> <image>"],
            images=make_images(),
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
    )
    inputs["input_ids"][inputs["attention_mask"] == 0] = 63
    tiny_model().generate(**inputs, max_new_tokens=1, pad_token_id=63, logits_processor=[look])
    assert seen == [[63, 10]]  # padding, and w1; 0 would be a word of most language models


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ({"assistant_early_exit": 1}, "assistant_early_exit does not go with images: the layers that guess"),
        ({"prefill_chunk_size": 4}, "prefill_chunk_size does not go with images: transformers cuts token ids"),
        ({"generation_config": GenerationConfig(prefill_chunk_size=4)}, "prefill_chunk_size does not go with images"),
    ],
)
def test_ways_of_generating_that_would_not_see_the_images_are_refused(way: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_model().generate(**alone(0), max_new_tokens=2, **way)


def test_an_assistant_and_continuous_batches_are_refused() -> None:
    network = tiny_model()
    with pytest.raises(ValueError, match="assistant_model does not go with images: the assistant would not see them"):
        network.generate(**alone(0), max_new_tokens=2, assistant_model=tiny_model())
    with pytest.raises(ValueError, match="continuous batching takes token ids and no images; use generate"):
        network.generate_batch(alone(0)["input_ids"].tolist())


def test_a_prompt_of_images_without_them_is_not_replied_to() -> None:
    network = tiny_model()
    ids = alone(1)["input_ids"]
    for given in ({"inputs": ids}, {"input_ids": ids}):
        with pytest.raises(ValueError, match="2 placeholder tokens and there are 0 images"):
            network.generate(**given, max_new_tokens=2)
    text = torch.tensor([[10, 11]])
    assert network.generate(text, max_new_tokens=2, eos_token_id=None, pad_token_id=0).shape == (1, 4)


def test_generation_follows_the_logits_of_forward() -> None:
    network = tiny_model()
    inputs = alone(1)
    new = generate(network, inputs)
    ids = torch.cat([inputs["input_ids"], new], dim=1)
    logits = network(ids, pixel_values=inputs["pixel_values"], image_grid_thw=inputs["image_grid_thw"]).logits
    assert torch.equal(logits[:, -7:-1].argmax(-1), new)


def test_generation_gives_back_the_callers_prompt() -> None:
    inputs = make_inputs(padding_side="left")
    network = tiny_model()
    beams = network.generate(**inputs, max_new_tokens=2, num_beams=3, num_return_sequences=2)
    assert beams.shape == (4, inputs["input_ids"].shape[1] + 2)
    assert torch.equal(beams[::2, :-2], inputs["input_ids"])
    detailed = network.generate(**inputs, max_new_tokens=2, return_dict_in_generate=True, output_logits=True)
    assert torch.equal(detailed.sequences[:, :-2], inputs["input_ids"])


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_decoding_by_hand_goes_on_from_the_cache(name: str) -> None:
    network = tiny_model()
    inputs = alone(0)
    first = network(**inputs, use_cache=True)
    token = first.logits[:, -1:].argmax(-1)
    mask = torch.cat([first.attention_mask, torch.ones_like(token)], dim=1)
    second = network(token, attention_mask=mask, **{name: first[CACHE_NAME]})
    assert [int(token), int(second.logits[:, -1].argmax())] == generate(network, inputs)[0, :2].tolist()


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_generation_goes_on_from_the_cache_of_an_image(name: str) -> None:
    network = tiny_model()
    inputs = alone(0)
    ids = inputs["input_ids"]
    stop = ids[0].tolist().index(network.config.image_token_id) + 1
    head = {**inputs, "input_ids": ids[:, :stop], "attention_mask": inputs["attention_mask"][:, :stop]}
    first = network.generate(**head, max_new_tokens=1, return_dict_in_generate=True, eos_token_id=None, pad_token_id=0)
    cache = first[CACHE_NAME]
    # every visual token in the cache has a place in the ids; the model does not look at what stands there
    seen = ids[:, stop - 1 : stop].expand(1, cache.get_seq_length() - stop)
    whole = torch.cat([ids[:, :stop], seen, ids[:, stop:]], dim=1)
    text = {"input_ids": whole, "attention_mask": torch.ones_like(whole)}
    assert torch.equal(generate(network, text, **{name: cache}), generate(network, inputs))


def test_two_caches_are_refused() -> None:
    network = tiny_model()
    ids = torch.tensor([[10, 11, 12]])
    both = dict.fromkeys(CACHE_NAMES, network(ids, use_cache=True)[CACHE_NAME])
    for call in (network, network.model, network.generate):
        with pytest.raises(ValueError, match="cache and past_key_values are two names of the same argument"):
            call(ids, **both)


def test_without_a_cache_there_is_none_in_the_outputs() -> None:
    outputs = tiny_model()(**alone(0), use_cache=False)
    assert CACHE_NAME not in outputs
    assert getattr(outputs, CACHE_NAME) is None


def test_text_without_images_is_the_language_model() -> None:
    network = tiny_model()
    ids = torch.tensor([[10, 11, 12]])
    expected = network.lm_head(network.model.language_model(ids).last_hidden_state)
    assert torch.equal(network(ids).logits, expected)
    assert network.generate(ids, max_new_tokens=2).shape == (1, 5)


def test_only_the_asked_logits_are_computed() -> None:
    network = tiny_model()
    inputs = alone(0)
    torch.testing.assert_close(network(**inputs, logits_to_keep=1).logits, network(**inputs).logits[:, -1:])


@torch.no_grad()
def test_outputs_come_as_a_tuple_when_asked_for() -> None:
    network, inputs = tiny_model(), make_inputs()
    named = network(**inputs)
    loose = network(**inputs, return_dict=False)
    assert isinstance(loose, tuple)
    assert torch.equal(loose[0], named.logits)
    body = network.model(**inputs, return_dict=False)
    assert isinstance(body, tuple)
    assert torch.equal(body[0], network.model(**inputs).last_hidden_state)
    network.config.return_dict = network.model.config.return_dict = False
    assert torch.equal(network(**inputs)[0], named.logits)


def test_a_mask_of_pairs_gives_what_a_mask_of_tokens_gives() -> None:
    network, inputs = tiny_model(), alone(1)
    prompt = network.model.merge_inputs(**inputs)[0]
    written = {**inputs, "input_ids": prompt.input_ids}
    length = prompt.input_ids.shape[1]
    pairs = torch.ones((1, 1, length, length), dtype=torch.bool).tril()
    positions = torch.arange(length)[None]
    found = network(**{**written, "attention_mask": pairs}, position_ids=positions).logits
    torch.testing.assert_close(found, network(**{**written, "attention_mask": None}).logits)
    with pytest.raises(ValueError, match=r"\[B, 1, L, L\] does not tell where each chat begins: give position_ids too"):
        network(**{**written, "attention_mask": pairs})


def test_wrong_inputs_are_named() -> None:
    network = tiny_model()
    inputs = alone(1)
    with pytest.raises(ValueError, match="2 placeholder tokens and there are 0 images"):
        network(inputs["input_ids"])
    with pytest.raises(ValueError, match="ask for 20 cells, pixel_values hold 19"):
        network(**{**inputs, "pixel_values": inputs["pixel_values"][1:]})
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        network()
    with pytest.raises(ValueError, match="position_ids need prompts with a placeholder per visual token"):
        network(**inputs, position_ids=torch.arange(3)[None])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens_per_cell": 0}, r"'tokens_per_cell'(?s:.)*it is 0; expected 1 or more"),
        ({"image_mean": [0.5]}, r"'image_mean'(?s:.)*it is \[0.5\]; expected three numbers"),
        ({"image_std": [0.2, 0.0, 0.2]}, r"'image_std'(?s:.)*expected numbers above 0, which pixels are divided by"),
        ({"fill": "pad"}, "'fill'"),
        ({"pruning": "best"}, "'pruning'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):  # the class belongs to huggingface_hub
        tiny_config(**settings)
    config = tiny_config()
    for name, value in settings.items():
        with pytest.raises(Exception, match=message):
            setattr(config, name, value)  # as on a loaded model


def test_a_tower_without_the_layer_is_named() -> None:
    with pytest.raises(ValueError, match="vision_feature_layer is -4 and the tower has 3 layers; expected 1 to 3"):
        tiny_model(vision_feature_layer=-4)


@pytest.mark.parametrize("settings", [{}, {"affinity": "learned", "fill": "zeros"}, {"tie_word_embeddings": True}])
def test_a_stored_model_is_the_same_again(settings: dict[str, Any], tmp_path: Path) -> None:
    network = tiny_model(**settings)
    network.save_pretrained(tmp_path)
    tiny_processor(max_cells=9).save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is GeoLlavaForConditionalGeneration
    assert processor.image_processor.max_cells == 9
    assert processor.chat_template == tiny_processor().chat_template
    inputs = make_inputs()
    again_inputs = processor(text=PROMPTS, images=make_images(), return_tensors="pt", padding=True)
    assert torch.equal(again_inputs["input_ids"], inputs["input_ids"])
    assert torch.equal(again(**inputs).logits, network(**inputs).logits)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".py", ".jinja"}


@pytest.mark.parametrize("fill", ["drop", "zeros"])
@pytest.mark.parametrize("pruning", PRUNING_METHODS)
def test_a_token_is_the_mean_of_the_patches_that_it_is_said_to_stand_for(pruning: str, fill: str) -> None:
    network = tiny_model(pruning=pruning, fill=fill, tokens_per_cell=12)
    inputs = make_inputs()
    images = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    patches = network.model.vision_tower(inputs["pixel_values"]).last_hidden_state[:, 1:]
    first = 0
    for number, grid in enumerate(inputs["image_grid_thw"].tolist()):
        cells = patches[first : first + grid[1] * grid[2]]
        first += len(cells)
        tokens = map_tokens(
            TokenGrid(grid[1], grid[2], 4),
            cells=images.cells[number].numpy(),
            positions=images.positions[number].numpy(),
            scores=images.scores[number].numpy(),
            roots=images.roots[number].numpy(),
            fills_with_zeros=fill == "zeros",
        )
        laid_out = cells.reshape(grid[1], grid[2], 4, 4, -1).transpose(1, 2).reshape(4 * grid[1], 4 * grid[2], -1)
        means = torch.zeros((len(tokens.sizes), laid_out.shape[-1]))
        for token, size in enumerate(tokens.sizes.tolist()):
            if size:
                means[token] = laid_out[torch.from_numpy(tokens.owners == token)].mean(0)
        torch.testing.assert_close(images.pooler_output[number], network.model.multi_modal_projector(means))


@torch.no_grad()
def test_cells_of_uint8_are_normalised_in_the_model_bit_for_bit() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2 * CELL_SIZE, 3 * CELL_SIZE, 3), dtype=np.uint8)
    network = tiny_model(image_mean=[0.5, 0.4, 0.3], image_std=[0.25, 0.5, 1.0], vision_chunk=4)
    ours = tiny_processor(do_normalize=False)(images=pixels)
    others = tiny_processor(image_mean=[0.5, 0.4, 0.3], image_std=[0.25, 0.5, 1.0])(images=pixels)
    assert (ours["pixel_values"].dtype, others["pixel_values"].dtype) == (torch.uint8, torch.float32)
    found, expected = (network.get_image_features(**inputs).pooler_output[0] for inputs in (ours, others))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("tokens_per_cell", [5, "all"])
@pytest.mark.parametrize(
    ("shape", "grids", "message"),
    [
        (
            (0, 3, 28, 28),
            [],
            r"pixel_values have the shape \[0, 3, 28, 28\]; expected .* at least one cell, or neither",
        ),
        ((4, 28, 28), [[1, 2, 2]], r"pixel_values have the shape \[4, 28, 28\]; expected \[cells, 3, side, side\]"),
        ((4, 1, 28, 28), [[1, 2, 2]], r"pixel_values have the shape \[4, 1, 28, 28\]"),
        ((4, 3, 28, 28), [[1, 2, 2], [1, 0, 2]], r"image_grid_thw .* holds an image without cells"),
        ((4, 3, 28, 28), [1, 2, 2], r"image_grid_thw has the shape \[3\]; expected \[images, 3\]"),
        ((4, 3, 28, 28), [[2, 2]], r"image_grid_thw has the shape \[1, 2\]"),
    ],
)
def test_images_without_cells_and_other_shapes_are_named(
    tokens_per_cell: int | str, shape: tuple[int, ...], grids: list[Any], message: str
) -> None:
    network = tiny_model(tokens_per_cell=tokens_per_cell)
    inputs = {
        "input_ids": torch.tensor([[5, 6]]),
        "pixel_values": torch.zeros(shape),
        "image_grid_thw": torch.tensor(grids) if grids else torch.zeros((0, 3), dtype=torch.int64),
    }
    for run in (network, network.generate):
        with pytest.raises(ValueError, match=message):
            run(**inputs)


def test_pixels_that_are_neither_bytes_nor_normalised_are_refused() -> None:
    network, inputs = tiny_model(), tiny_inputs(cells=(1, 1))
    cells = torch.full((1, 3, CELL_SIZE, CELL_SIZE), 200)
    with pytest.raises(ValueError, match=r"pixel_values are torch\.int64; expected uint8 cells"):
        network(**{**inputs, "pixel_values": cells})
    with pytest.raises(ValueError, match=r"torch\.bfloat16 up to 200; expected uint8 cells as the"):
        network(**{**inputs, "pixel_values": cells.bfloat16()})


@torch.no_grad()
def test_a_run_from_an_earlier_checkpoint_leaves_its_mean_and_spread_to_the_model() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (CELL_SIZE, CELL_SIZE, 3), dtype=np.uint8)
    start = StartingPoint(tiny_model(), tiny_processor(image_mean=[0.5, 0.4, 0.3], image_std=[0.25, 0.5, 1.0]))
    before = start.processor(images=pixels)
    expected = start.model.get_image_features(**before).pooler_output[0]
    start.agree()
    after = start.processor(images=pixels)
    assert after["pixel_values"].dtype == torch.uint8
    assert torch.equal(start.model.get_image_features(**after).pooler_output[0], expected)
