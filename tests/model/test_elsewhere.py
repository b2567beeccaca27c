"""The model in other people's programs: transformers' settings, pipeline and Trainer, accelerate, and TRL."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForImageTextToText, EvalPrediction, Trainer, TrainingArguments, pipeline

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from tests.model.make_models import tiny_inputs, tiny_model, tiny_processor

BUDGET = 12


def make_image(width: int = 90) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (50, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def make_rows(number: int) -> list[dict[str, Any]]:
    return [
        {
            "images": [make_image(60 + 10 * index)],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": f"w{index}"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "ABCD"[index % 4]}]},
            ],
        }
        for index in range(number)
    ]


@torch.no_grad()
def test_a_pipeline_of_transformers_replies_as_the_model_does(tmp_path: Path) -> None:
    network, processor = tiny_model(tokens_per_cell=BUDGET), tiny_processor(num_cell_tokens=BUDGET)
    network.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    pipe = pipeline("image-text-to-text", model=str(tmp_path))
    content = [{"type": "image", "image": make_image()}, {"type": "text", "text": "w1"}]
    (reply,) = pipe(text=[{"role": "user", "content": content}], max_new_tokens=4)
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=prompt, images=make_image(), return_tensors="pt")
    ids = network.generate(**inputs, max_new_tokens=4)[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(ids, skip_special_tokens=True)
    assert reply["generated_text"][-1]["content"].strip() == expected.strip()


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        ("eager", ["eager"]),
        ("sdpa", ["sdpa"]),
        ("flex_attention", ["flex_attention"]),
        ({"vision_config": "eager", "text_config": "sdpa"}, ["eager", "sdpa"]),
    ],
    ids=str,
)
@pytest.mark.timeout(600)  # flex attention is compiled, minutes beside other programs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch in torch, by flex attention
@torch.no_grad()
def test_any_attention_of_transformers_computes_the_same(attention: Any, expected: list[str], tmp_path: Path) -> None:
    network, inputs = tiny_model(), tiny_inputs(cells=(2, 2))
    network.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation=attention)
    parts = (loaded.model.vision_tower, loaded.model.language_model)
    assert {part.config._attn_implementation for part in parts} == set(expected)
    torch.testing.assert_close(loaded(**inputs).logits, network(**inputs).logits, atol=1e-4, rtol=0)


def test_flash_attention_that_is_not_installed_is_named(tmp_path: Path) -> None:
    if importlib.util.find_spec("flash_attn"):
        pytest.skip("flash-attn is installed")
    tiny_model().save_pretrained(tmp_path)
    with pytest.raises(ImportError, match=r"FlashAttention2.*installed"):
        AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation="flash_attention_2")


@pytest.mark.parametrize(
    "settings",
    [
        {"device_map": "auto"},
        {"device_map": "auto", "max_memory": {"cpu": "60KB"}},  # most of the tower, and what comes after it, on disk
        {
            "device_map": {
                "model.vision_tower": "cpu",
                "model.multi_modal_projector": "disk",
                "model.language_model": "disk",
                "lm_head": "cpu",
            }
        },
    ],
    ids=["all in memory", "little memory", "by hand"],
)
@torch.no_grad()
def test_accelerate_places_the_parts_and_keeps_weights_on_disk(settings: dict[str, Any], tmp_path: Path) -> None:
    network, inputs = tiny_model(), tiny_inputs(cells=(2, 2))
    network.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, offload_folder=tmp_path / "offloaded", **settings)
    is_offloaded = "disk" in getattr(loaded, "hf_device_map", {}).values()
    assert is_offloaded == (settings != {"device_map": "auto"})
    assert torch.equal(loaded(**inputs).logits, network(**inputs).logits)
    replies = [part.generate(**inputs, max_new_tokens=3, do_sample=False).tolist() for part in (loaded, network)]
    assert replies[0] == replies[1]


def test_no_layer_is_split_between_devices() -> None:
    assert {"CLIPEncoderLayer", "Qwen2DecoderLayer"} <= set(tiny_model()._no_split_modules)


class _Rows(Dataset[dict[str, Any]]):
    def __init__(self, number: int) -> None:
        self._rows = make_rows(number)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Return a batch as a user of transformers makes it: labels on every token that is no padding."""
    processor = tiny_processor(num_cell_tokens=BUDGET)
    texts = [processor.apply_chat_template(row["messages"]) for row in rows]
    batch = dict(processor(text=texts, images=[row["images"] for row in rows], padding=True, return_tensors="pt"))
    return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)}


def test_transformers_own_trainer_trains_and_computes_metrics(tmp_path: Path) -> None:
    seen: list[tuple[bool, bool]] = []

    def metrics(found: EvalPrediction) -> dict[str, float]:
        logits, labels = np.asarray(found.predictions), np.asarray(found.label_ids)
        seen.append((logits.shape[:2] == labels.shape, bool((labels == 1).any())))
        return {"right": float((logits[:, :-1].argmax(-1) == labels[:, 1:])[labels[:, 1:] != -100].mean())}

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        max_steps=2,
        learning_rate=1e-2,
        remove_unused_columns=False,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    )
    network = tiny_model(tokens_per_cell=BUDGET)
    before = network.model.multi_modal_projector.linear_1.weight.clone()
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=_Rows(4),
        eval_dataset=_Rows(3),
        data_collator=collate,
        compute_metrics=metrics,
    )
    assert math.isfinite(trainer.train().training_loss)
    assert not torch.equal(network.model.multi_modal_projector.linear_1.weight, before)
    found = trainer.evaluate()
    assert math.isfinite(found["eval_loss"])
    assert 0 <= found["eval_right"] <= 1
    # logits and labels have one length; the caller's labels name placeholders, on which the loss is not
    assert seen == [(True, True)]
    batch = collate(make_rows(2))
    masked = batch["labels"].masked_fill(batch["labels"] == 1, -100)
    with torch.no_grad():
        assert torch.equal(network(**batch).loss, network(**{**batch, "labels": masked}).loss)


def test_the_loss_of_transformers_own_trainer_is_that_of_the_text_whatever_is_labelled(tmp_path: Path) -> None:
    network, rows = tiny_model(tokens_per_cell=BUDGET), make_rows(4)

    def text_alone(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = collate(rows)
        return {**batch, "labels": batch["labels"].masked_fill(batch["labels"] == 1, -100)}

    def trained_loss(name: str, collator: Any, **settings: Any) -> float:
        arguments = TrainingArguments(
            output_dir=str(tmp_path / name),
            max_steps=1,
            learning_rate=0.0,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
            **settings,
        )
        trainer = Trainer(model=network, args=arguments, train_dataset=_Rows(4), data_collator=collator)
        return float(trainer.train().training_loss)

    with torch.no_grad():
        expected = float(network(**collate(rows)).loss)  # mean over the tokens of text
    assert trained_loss("all", collate, per_device_train_batch_size=4) == pytest.approx(expected, rel=1e-5)
    uneven = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}  # three rows, then one
    assert trained_loss("text", text_alone, **uneven) == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL's own settings, of transformers' old names
@pytest.mark.parametrize("only_replies", [False, True])
def test_trl_trains_and_evaluates(tmp_path: Path, only_replies: bool) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=2,
        max_steps=2,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        max_length=None,
        save_strategy="no",
        disable_tqdm=True,
        assistant_only_loss=only_replies,
    )
    trainer = trl.SFTTrainer(
        model=tiny_model(tokens_per_cell=BUDGET),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(make_rows(4)),
        eval_dataset=datasets.Dataset.from_list(make_rows(2)),
        processing_class=tiny_processor(num_cell_tokens=BUDGET),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    evaluated = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    assert math.isfinite(evaluated[0]["eval_loss"])
    assert 0 <= evaluated[0]["eval_mean_token_accuracy"] <= 1
