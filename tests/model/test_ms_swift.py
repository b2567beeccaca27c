"""ms-swift trains the model by the plug-in in docs/ms-swift."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
swift_model = pytest.importorskip("swift.model", reason="ms-swift is not installed")
swift_template = pytest.importorskip("swift.template", reason="ms-swift is not installed")

from PIL import Image

from tests.model.make_models import tiny_model, tiny_processor

BUDGET = 12
PLUGIN = Path(__file__).parents[2] / "docs/ms-swift/geollava.py"


@pytest.fixture(scope="module")
def plugin() -> None:
    """The model as ms-swift knows it by the plug-in, which registers it once."""
    runpy.run_path(str(PLUGIN))


@pytest.mark.usefixtures("plugin")
def test_chats_with_and_without_images_have_the_loss_of_the_model(tmp_path: Path) -> None:
    tiny_model(tokens_per_cell=BUDGET).save_pretrained(tmp_path)
    tiny_processor(num_cell_tokens=BUDGET, do_normalize=False).save_pretrained(tmp_path)
    network, processor = swift_model.get_model_processor(str(tmp_path), torch_dtype=torch.float32)
    template = swift_template.get_template(processor)
    template.set_mode("train")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8))  # 2 × 4 cells
    reply = [{"role": "assistant", "content": "A"}]
    rows: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "<image>w1 w2"}, *reply], "images": [image]},
        {"messages": [{"role": "user", "content": "w3"}, *reply]},
    ]
    encoded = [template.encode(row) for row in rows]
    assert encoded[0]["input_ids"].count(1) == 8 * BUDGET
    assert [label for label in encoded[0]["labels"] if label != -100] == [5, 3]  # "A", <|im_end|>
    batch = template.data_collator(encoded)
    assert batch["image_grid_thw"].tolist() == [[1, 2, 4]]
    assert batch["pixel_values"].dtype == torch.uint8
    loss = network(**batch).loss
    # encoded anew: a collator takes its rows apart
    alone = [network(**template.data_collator([template.encode(row)])).loss for row in rows]
    torch.testing.assert_close(loss, sum(alone) / 2)  # of two labels each


@pytest.mark.usefixtures("plugin")
def test_a_checkpoint_whose_numbers_of_tokens_are_not_known_is_refused(tmp_path: Path) -> None:
    tiny_model(fill="drop").save_pretrained(tmp_path)
    tiny_processor(do_normalize=False).save_pretrained(tmp_path)
    _, processor = swift_model.get_model_processor(str(tmp_path), torch_dtype=torch.float32)
    with pytest.raises(ValueError, match=r"fill = 'drop': .* set fill = 'next' in its config.json and num_cell_tokens"):
        swift_template.get_template(processor)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of ms-swift and what it brings
# labels are cut to the logits that are wanted: of one row to some, of several to the last
@pytest.mark.parametrize(("tuner", "batch_size"), [("full", 1), ("lora", 2)])
def test_a_whole_run_trains_evaluates_and_saves(tmp_path: Path, tuner: str, batch_size: int) -> None:
    pipelines = pytest.importorskip("swift.pipelines", reason="ms-swift is not installed")
    tiny_model(tokens_per_cell=BUDGET).save_pretrained(tmp_path / "ckpt")
    tiny_processor(num_cell_tokens=BUDGET, do_normalize=False).save_pretrained(tmp_path / "ckpt")
    lines = []
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (50, 60 + 10 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        asked = {"role": "user", "content": f"<image>w{number}"}
        reply = {"role": "assistant", "content": "ABCD"[number % 4]}
        lines.append(json.dumps({"messages": [asked, reply], "images": [str(tmp_path / f"{number}.png")]}))
    (tmp_path / "chats.jsonl").write_text("\n".join(lines))
    settings = {
        "external_plugins": PLUGIN,
        "model": tmp_path / "ckpt",
        "model_type": "geollava",
        "dataset": tmp_path / "chats.jsonl",
        "split_dataset_ratio": 0.34,
        "tuner_type": tuner,
        "torch_dtype": "float32",
        "bf16": "false",
        "max_steps": 2,
        "eval_steps": 2,
        "save_steps": 2,
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": 1,
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "report_to": "none",
        "output_dir": tmp_path / "out",
    }
    found = pipelines.sft_main([word for name, value in settings.items() for word in (f"--{name}", str(value))])
    history = found["log_history"]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert losses
    assert all(np.isfinite(losses))
    assert any("eval_loss" in entry for entry in history)
    saved = "adapter_model.safetensors" if tuner == "lora" else "model.safetensors"
    assert (Path(found["last_model_checkpoint"]) / saved).exists()
