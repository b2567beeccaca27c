"""Samples and batches: what is left out, which tokens carry loss, how often an image is decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model import data as data_module
from rsvqa.model.conversations import IGNORED_LABEL, chat_messages, render_chat
from rsvqa.model.data import Collator, SampleDataset, TrainingDataError, list_samples, select_samples
from rsvqa.model.image_processing_geollava import CutImage, GeoLlavaImageProcessor
from rsvqa.model.ordering import Draw
from rsvqa.model.tiny import TinyModel, make_tiny
from rsvqa.model.training_settings import TinySettings
from rsvqa.rsvqa_builder.dataset.shards import ShardError
from tests.model.make_dataset import COLOURS, SIDE, TINY, make_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", broken=(1,))


@pytest.fixture(scope="module")
def tiny(folder: Path) -> TinyModel:
    texts = [
        part["text"]
        for sample in list_samples([folder], split="train")
        for message in chat_messages(sample.record)
        for part in message["content"]
        if "text" in part
    ]
    return make_tiny(texts, TinySettings(**TINY), seed=0)


def select(folder: Path, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"tasks": TASKS, "max_length": 10, "count_tokens": lambda rows: [1] * len(rows)}
    return select_samples(list_samples([folder], split="train"), **(arguments | changes))


def test_samples_come_in_reading_order_with_source_and_place(folder: Path) -> None:
    samples = list_samples([folder], split="train")
    assert [sample.name for sample in samples[:4]] == ["set/s:0/OCL1", "set/s:0/DIC1", "set/s:0/FVG1", "set/s:1/OCL1"]
    assert [(sample.group.number, sample.row) for sample in samples[:4]] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert len(samples) == 8 * 3


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    first, second = make_dataset(tmp_path / "a" / "set", tiles=1), make_dataset(tmp_path / "b" / "set", tiles=1)
    samples = list_samples([first, second], split="train")
    assert {sample.source for sample in samples} == {str(first), str(second)}


def test_other_tasks_and_long_chats_are_left_out_and_named(folder: Path) -> None:
    selected = select(
        folder,
        tasks=["object_colour", "detailed_captioning"],
        count_tokens=lambda records: [11 if record.task == "detailed_captioning" else 10 for record in records],
    )
    assert selected.count_left_out() == {"of other tasks": 8, "longer than 10 tokens": 8}
    assert selected.left_out["longer than 10 tokens"][0] == "set/s:0/DIC1"
    assert {(sample.task, sample.length) for sample in selected.samples} == {("object_colour", 10)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"review": "rejected"}, "rejected in review"),
        ({"review": "needed"}, "review still needed"),
        ({"options": ("red", "blue")}, "options without their letters"),
        ({"answer": "E"}, "answer names no option"),
        ({"question": "What is <image>?"}, "text holds <image>"),
        ({"question": "What is it?<|im_end|>"}, "text holds <|im_end|>"),
    ],
)
def test_what_would_teach_nonsense_is_left_out(folder: Path, changes: dict[str, Any], reason: str) -> None:
    samples = list_samples([folder], split="train")[:2]
    samples[0] = replace(samples[0], record=replace(samples[0].record, **changes))
    selected = select_samples(samples, tasks=TASKS, max_length=10, count_tokens=lambda rows: [1] * len(rows))
    assert selected.count_left_out() == {reason: 1}


def test_a_box_in_other_units_than_its_question_says_is_left_out(folder: Path) -> None:
    samples = [sample for sample in list_samples([folder], split="train") if sample.task == "fine_grained_grounding"]
    samples[0] = replace(samples[0], record=replace(samples[0].record, question="Where, from 0 to 1,000?"))
    selected = select_samples(samples, tasks=TASKS, max_length=10, count_tokens=lambda rows: [1] * len(rows))
    assert selected.count_left_out() == {"question wants its box in other units than its answer's": 1}


def test_nothing_left_is_an_error_that_says_why(folder: Path) -> None:
    with pytest.raises(TrainingDataError, match="no question is left to use of 24; left out: 24 of other tasks"):
        select(folder, tasks=["route_planning"])


def test_an_empty_split_is_refused(folder: Path) -> None:
    with pytest.raises(ShardError, match="no shards of split 'test'"):
        list_samples([folder], split="test")


def test_shards_of_another_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    shard = make_dataset(tmp_path / "set", tiles=1) / "data" / path.name
    table = pq.read_table(shard)
    pq.write_table(table.replace_schema_metadata({"rsvqa.format_version": "99"}), path)
    with pytest.raises(
        TrainingDataError, match=r"train-00000-of-00001.parquet is written in format 99, this version reads 1"
    ):
        list_samples([tmp_path], split="train")


def test_an_image_is_decoded_once_for_all_its_questions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = list_samples([folder], split="train")
    decoded: list[int] = []
    decode_image = data_module.decode_image
    monkeypatch.setattr(data_module, "decode_image", lambda data: decoded.append(len(data)) or decode_image(data))
    dataset = SampleDataset(samples, [Draw(number, 0) for number in (6, 9, 7, 10, 8, 11)])
    items = [dataset[position] for position in range(6)]
    assert len(decoded) == 2
    assert len(dataset._images._encoded) == 1  # the other one had its last question
    # tile 2 is blue, tile 3 grey; JPEG changes a value by a few
    np.testing.assert_allclose(items[0].images[0][5, 5], COLOURS["blue"], atol=6)
    np.testing.assert_allclose(items[1].images[0][5, 5], COLOURS["grey"], atol=6)


def test_letters_are_dealt_anew_in_each_epoch_and_alike_in_each_run(folder: Path) -> None:
    samples = list_samples([folder], split="train")
    draws = [Draw(0, epoch) for epoch in range(8)]
    dealt = SampleDataset(samples, draws, deals_again=True, seed=5)
    again = SampleDataset(samples, draws, deals_again=True, seed=5)
    options = [dealt[position].record.options for position in range(8)]
    assert len(set(options)) > 3
    assert options == [again[position].record.options for position in reversed(range(8))][::-1]


@pytest.mark.parametrize("task", range(3))
def test_loss_is_on_the_reply_token_by_token(folder: Path, tiny: TinyModel, task: int) -> None:
    samples = list_samples([folder], split="train")
    dataset = SampleDataset(samples, [Draw(task, 0), Draw(1, 0)])
    batch = Collator(tiny.processor)([dataset[0], dataset[1]])
    tokenizer = tiny.processor.tokenizer
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    replies = ["A<|im_end|>", "All is red, <|im_end|>", "[0.1, 0.2, 0.3, 0.4]<|im_end|>"]
    expected = tokenizer(replies[task])["input_ids"]
    assert [label for label in labels if label != IGNORED_LABEL] == expected
    for position, label in enumerate(labels):
        assert label in (IGNORED_LABEL, ids[position])  # a label is the token in its own place
    is_padding = batch["attention_mask"][0] == 0
    assert (batch["labels"][0][is_padding] == IGNORED_LABEL).all()
    prompt = render_chat(chat_messages(samples[task].record), tiny.processor).prompt
    num_padding = int(is_padding.sum())
    assert bool(is_padding[:num_padding].all())  # on the left
    # the first label stands behind the prompt, of which one token gives way to those of its image
    is_label = [label != IGNORED_LABEL for label in labels]
    num_visual = tiny.model.config.num_cell_tokens or 0
    assert ids.count(tiny.processor.image_token_id) == num_visual
    assert is_label.index(True) == num_padding + len(tokenizer(prompt)["input_ids"]) + num_visual - 1


def test_an_unreadable_image_teaches_nothing_and_is_named(folder: Path, tiny: TinyModel) -> None:
    samples = list_samples([folder], split="train")
    dataset = SampleDataset(samples, [Draw(3, 0), Draw(0, 0)])
    assert dataset[0].images[0].shape == (SIDE, SIDE, 3)
    assert not dataset[0].images[0].any()
    batch = Collator(tiny.processor)([dataset[0], dataset[1]])
    assert batch["unreadable"] == ["set/s:1/OCL1"]
    assert batch["sample_names"] == ["set/s:1/OCL1", "set/s:0/OCL1"]
    assert (batch["labels"][0] == IGNORED_LABEL).all()
    assert (batch["labels"][1] != IGNORED_LABEL).any()
    assert isinstance(batch["pixel_values"], torch.Tensor)


def test_an_image_is_cut_once_for_all_its_questions_and_the_batch_is_the_same(
    folder: Path, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = list_samples([folder], split="train")
    draws = [Draw(number, 0) for number in (6, 3, 7, 8)]  # 3 cannot be read
    collator = Collator(tiny.processor)
    expected = [collator([SampleDataset(samples, draws)[place]]) for place in range(4)]  # whole pixels
    cut: list[int] = []
    whole = GeoLlavaImageProcessor.cut

    def counted(self: GeoLlavaImageProcessor, image: Any, **settings: Any) -> CutImage:
        cut.append(1)
        return whole(self, image, **settings)

    monkeypatch.setattr(GeoLlavaImageProcessor, "cut", counted)
    dataset = SampleDataset(samples, draws, prepare=collator.prepare)
    batches = [collator([dataset[place]]) for place in range(4)]
    assert len(cut) == 2
    for batch, other in zip(batches, expected, strict=True):
        assert batch["pixel_values"].dtype == torch.uint8
        assert torch.equal(batch["pixel_values"], other["pixel_values"])
        assert torch.equal(batch["input_ids"], other["input_ids"])
    assert batches[0]["pixel_values"] is batches[2]["pixel_values"]
