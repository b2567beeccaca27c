"""A released checkpoint becomes ours with the released numbers, and loads where this package is not installed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from rsvqa import cli
from rsvqa.model.conversion import ConversionError, NoCheckpointError, convert_checkpoint
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from rsvqa.model.processing_geollava import GeoLlavaProcessor
from rsvqa.model.vision_tower import run_tower
from tests.model.make_models import tiny_tokenizer
from tests.model.plain_python import run_plain


@pytest.fixture(scope="module")
def recording() -> Path:
    root = Path(os.environ.get("RSVQA_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "reference_model"
    if not folder.is_dir():
        pytest.skip(f"no recording of the released code: {folder} does not exist (RSVQA_DATA names the folder)")
    return folder


@pytest.fixture(scope="module")
def expected(recording: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(recording / "expected.safetensors")
    return tensors


@pytest.fixture(scope="module")
def converted(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "model"
    convert_checkpoint(str(recording), out)
    return out


def copy_recording(recording: Path, folder: Path, *, drop: str | None = None, **config: Any) -> Path:
    """Return a checkpoint like the recorded one, without keys that hold `drop`, with other settings."""
    folder.mkdir(exist_ok=True)
    tensors = load_file(recording / "model.safetensors")
    tensors = {key: value for key, value in tensors.items() if drop is None or drop not in key}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(json.loads((recording / "config.json").read_text()) | config))
    (folder / "vision_config.json").write_bytes((recording / "vision_config.json").read_bytes())
    return folder


@torch.no_grad()
def test_the_released_numbers_are_met(converted: Path, expected: dict[str, Tensor]) -> None:
    network = AutoModelForImageTextToText.from_pretrained(converted).eval()
    processor = AutoImageProcessor.from_pretrained(converted)
    inputs = processor(expected["image_rgb"].numpy())
    assert inputs["pixel_values"].dtype == torch.uint8
    body = network.model
    pixels = body._normalised(inputs["pixel_values"])
    # entry 0 is the whole image, which the model does not see
    torch.testing.assert_close(pixels, expected["pixel_values"][1:], atol=1e-4, rtol=0)

    features, attention = run_tower(body.vision_tower, pixels, projection="v_proj")
    torch.testing.assert_close(features, expected["features_cls_patch"], atol=1e-5, rtol=0)
    numbers = torch.arange(12)
    kept, _ = body._select(features[:, 1:], attention, numbers, None)
    torch.testing.assert_close(kept.features, expected["selected"].flatten(0, 1), atol=1e-5, rtol=0)

    ids = expected["input_ids"].masked_fill(expected["input_ids"] == -200, network.config.image_token_id)
    _, embeddings, _ = body.merge_inputs(ids, **inputs)
    torch.testing.assert_close(embeddings, expected["inputs_embeds"], atol=1e-5, rtol=0)
    torch.testing.assert_close(network(ids, **inputs).logits, expected["logits"], atol=1e-4, rtol=0)
    released = {**inputs, "pixel_values": expected["pixel_values"][1:]}  # as others' code normalises
    torch.testing.assert_close(network(ids, **released).logits, expected["logits"], atol=1e-4, rtol=0)


def test_the_released_settings_are_taken_over(converted: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    settings = ("tokens_per_cell", "affinity", "fill", "scope", "anchor_projection", "max_grid", "vision_feature_layer")
    assert [config[name] for name in settings] == [5, "learned", "zeros", "cell", "value", 6, -2]
    assert json.loads((converted / "preprocessor_config.json").read_text())["cell_size"] == 84


def test_a_released_list_without_one_cell_shows_small_images_on_two(recording: Path, tmp_path: Path) -> None:
    pairs = [[84 * columns, 84 * rows] for columns in range(1, 8) for rows in range(1, 8)]
    folder = copy_recording(recording, tmp_path / "in", image_grid_pinpoints=pairs[1:])
    convert_checkpoint(str(folder), tmp_path / "out")
    small = AutoImageProcessor.from_pretrained(tmp_path / "out")(np.zeros((84, 84, 3), np.uint8))
    assert small["image_grid_thw"].tolist() == [[1, 2, 1]]


def test_every_key_is_accounted_for(recording: Path, tmp_path: Path) -> None:
    folder = copy_recording(recording, tmp_path / "in")
    tensors = load_file(folder / "model.safetensors")
    extra = {"model.image_newline": torch.zeros(48), "model.surprise": torch.zeros(1)}
    save_file(tensors | extra, folder / "model.safetensors")
    report = convert_checkpoint(str(folder), tmp_path / "out")
    assert report.mapped.keys() | report.left_out.keys() | set(report.unexpected) == tensors.keys() | extra.keys()
    assert report.unexpected == ["model.surprise"]
    assert report.left_out["model.image_newline"] == "the model uses no newline token"
    behind = {key for key, reason in report.left_out.items() if reason == "behind the features that are used"}
    assert {key.split(".vision_model.")[1].rsplit(".", 2)[0].split(".self_attn")[0] for key in behind} >= {
        "encoder.layers.3"
    }
    assert all("layers.3." in key or "post_layernorm" in key for key in behind)
    assert json.loads((tmp_path / "out" / "conversion_report.json").read_text())["unexpected"] == ["model.surprise"]


def test_the_command_prints_a_summary(recording: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["convert", "--from", str(recording), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    # 105 keys: 16 of layer 3 of the tower and 2 of its last norm are not needed
    assert (summary["mapped"], summary["left_out"], summary["unexpected"]) == (87, 18, [])


def test_shards_are_read_by_their_index(recording: Path, tmp_path: Path) -> None:
    folder = copy_recording(recording, tmp_path / "in")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-1.safetensors": names[:40], "model-2.safetensors": names[40:]}
    for shard, keys in shards.items():
        save_file({key: tensors[key] for key in keys}, folder / shard)
    save_file({"not.listed": torch.zeros(1)}, folder / "optimizer.safetensors")
    index = {"weight_map": {key: shard for shard, keys in shards.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert convert_checkpoint(str(folder), tmp_path / "out").unexpected == []
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"model-2\.safetensors cannot be read"):
        convert_checkpoint(str(folder), tmp_path / "again")


def test_without_the_head_the_affinity_is_cosine(recording: Path, tmp_path: Path) -> None:
    folder = copy_recording(recording, tmp_path / "in", drop="reghead", mm_patch_merge_type="unires")
    report = convert_checkpoint(str(folder), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["affinity"], config["fill"], config["tokens_per_cell"]) == ("cosine", "next", 24)
    assert report.notes[0] == "no affinity head: cosine affinity, and the next-best tokens in empty places"


def test_a_tokenizer_gets_the_placeholder(recording: Path, tmp_path: Path) -> None:
    folder = copy_recording(recording, tmp_path / "in")
    tiny_tokenizer().save_pretrained(folder)
    convert_checkpoint(str(folder), tmp_path / "out")
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert processor.image_token_id == config["image_token_id"] == 1
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (3, 0)


@pytest.mark.parametrize(
    ("drop", "config", "message"),
    [
        ("mm_projector.2", {}, r"lacks 2 of 87 weights: model\.multi_modal_projector\.linear_2\.bias, .* a shard"),
        (None, {"hidden_size": 96}, r"disagree on the shapes of lm_head\.weight \(160, 48\)"),
        (None, {"model_type": "llava_llama"}, "says model_type 'llava_llama'; expected a LongVA or GeoLLaVA"),
    ],
)
def test_wrong_checkpoints_are_named(
    recording: Path, tmp_path: Path, drop: str | None, config: dict[str, Any], message: str
) -> None:
    folder = copy_recording(recording, tmp_path / "in", drop=drop, **config)
    with pytest.raises(ConversionError, match=message):
        convert_checkpoint(str(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_conversion_that_fails_at_the_end_leaves_nothing(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(GeoLlavaImageProcessor, "save_pretrained", refuse)  # after the weights
    monkeypatch.setattr(GeoLlavaProcessor, "save_pretrained", refuse)
    with pytest.raises(OSError, match="No space left"):
        convert_checkpoint(str(recording), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_unpickled_overwritten_or_guessed(recording: Path, tmp_path: Path) -> None:
    folder = copy_recording(recording, tmp_path / "in")
    with pytest.raises(ConversionError, match="not empty; give a new or empty directory"):
        convert_checkpoint(str(folder), folder)
    (folder / "vision_config.json").unlink()
    with pytest.raises(ConversionError, match="sizes of the vision tower 'clip-tiny' are not known"):
        convert_checkpoint(str(folder), tmp_path / "out")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConversionError, match=r"pytorch_model\.bin would have to be unpickled"):
        convert_checkpoint(str(folder), tmp_path / "out")


PLAIN_LOADING = """
import sys, torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText
from safetensors.torch import load_file
converted, expected = sys.argv[1:]
network = AutoModelForImageTextToText.from_pretrained(converted, trust_remote_code=True).eval()
inputs = AutoImageProcessor.from_pretrained(converted, trust_remote_code=True)(load_file(expected)["image_rgb"].numpy())
ids = load_file(expected)["input_ids"]
ids[ids == -200] = network.config.image_token_id
with torch.no_grad():
    logits = network(ids, **inputs).logits
assert type(network).__module__.startswith("transformers_modules"), type(network)
assert "rsvqa" not in sys.modules, sys.path
print(float((logits - load_file(expected)["logits"]).abs().max()))
network.save_pretrained(sys.argv[1] + "-again")
"""


def test_a_checkpoint_loads_where_this_package_is_not_installed(
    converted: Path, recording: Path, tmp_path: Path
) -> None:
    done = run_plain(PLAIN_LOADING, converted, recording / "expected.safetensors", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.strip().splitlines()[-1]) < 1e-4
    again = Path(f"{converted}-again")
    assert {path.name for path in again.glob("*.py")} == {
        "configuration_geollava.py",
        "modeling_geollava.py",
        "prompt_expansion.py",
        "token_pruning.py",
        "vision_tower.py",
    }


@pytest.mark.parametrize(("name", "message"), [("empty", "config.json is missing"), ("none", "there is no folder ")])
def test_without_a_checkpoint_there_is_nothing_to_convert(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoCheckpointError, match=message) as caught:
        convert_checkpoint(str(tmp_path / name), tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()
