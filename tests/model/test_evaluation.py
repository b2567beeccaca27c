"""Accuracy on the val split: equal to greedy decoding, and summed up by task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsvqa.model.conversations import chat_messages, render_chat
from rsvqa.model.data import Collator, SampleDataset, TrainingSample, list_samples
from rsvqa.model.evaluation import ChosenReply, TaskScore, choose_questions, flatten_scores, score_replies, score_tasks
from rsvqa.model.image_processing_geollava import Pixels
from rsvqa.model.ordering import Draw
from rsvqa.model.tiny import TinyModel, make_tiny
from rsvqa.model.training_settings import TinySettings
from tests.model.make_dataset import TINY, make_dataset
from tests.model.two_ranks import run_two_ranks


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSample]:
    return list_samples([make_dataset(tmp_path_factory.mktemp("data") / "set", broken=(2,))], split="train")


@pytest.fixture(scope="module")
def tiny(samples: list[TrainingSample]) -> TinyModel:
    """A model that has learnt the captions of two of the four colours by heart."""
    texts = [
        part["text"]
        for sample in samples
        for message in chat_messages(sample.record)
        for part in message["content"]
        if "text" in part
    ]
    made = make_tiny(texts, TinySettings(**TINY), seed=3)
    made.model.config.tokens_per_cell = made.processor.num_cell_tokens = 4
    known = [Draw(number, 0) for number, sample in enumerate(samples[:6]) if sample.task == "detailed_captioning"]
    dataset = SampleDataset(samples, known)
    batch = Collator(made.processor)([dataset[number] for number in range(len(known))])
    inputs = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=1e-2)
    for _ in range(100):
        made.model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return made


def greedy_reply(tiny: TinyModel, sample: TrainingSample, image: Pixels, num_tokens: int) -> list[int]:
    prompt = render_chat(chat_messages(sample.record), tiny.processor).prompt
    inputs = tiny.processor(text=[prompt], images=[image], return_tensors="pt")
    generated = tiny.model.generate(**inputs, max_new_tokens=num_tokens, do_sample=False)
    return [int(token) for token in generated[0, inputs["input_ids"].shape[1] :]]


def test_right_is_what_greedy_decoding_gives(samples: list[TrainingSample], tiny: TinyModel) -> None:
    asked = [sample for sample in samples if sample.task == "detailed_captioning" and ":2/" not in sample.name]
    replies = score_replies(tiny.model, asked, Collator(tiny.processor), batch_size=3)
    for number, (sample, reply) in enumerate(zip(asked, replies, strict=True)):
        text = render_chat(chat_messages(sample.record), tiny.processor).reply
        wanted = tiny.processor.tokenizer(text)["input_ids"]
        image = SampleDataset(asked, [Draw(number, 0)])[0].images[0]
        assert reply.num_tokens == len(wanted)
        assert reply.is_right == (greedy_reply(tiny, sample, image, len(wanted)) == wanted)
    assert {reply.is_right for reply in replies} == {True, False}


def test_unreadable_images_are_not_scored(samples: list[TrainingSample], tiny: TinyModel) -> None:
    replies = score_replies(tiny.model, samples[6:12], Collator(tiny.processor), batch_size=6)
    assert len(replies) == 3  # tile 2 cannot be read, tile 3 can


def test_ranks_share_the_questions(samples: list[TrainingSample], tiny: TinyModel) -> None:
    collator = Collator(tiny.processor)
    first, second = (
        score_replies(tiny.model, samples[:6], collator, batch_size=2, rank=rank, num_ranks=2) for rank in (0, 1)
    )
    assert [reply.task for reply in first] == [sample.task for sample in samples[:3]]
    assert [reply.task for reply in second] == [sample.task for sample in samples[3:6]]


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "num_ranks"), [(3, 1, 2), (5, 2, 2), (1, 1, 3), (4, 2, 2), (0, 1, 2)]
)
def test_every_rank_does_the_same_number_of_passes(
    samples: list[TrainingSample], tiny: TinyModel, num_samples: int, batch_size: int, num_ranks: int
) -> None:
    passes: list[int] = []
    tasks: list[str] = []
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    hook = tiny.model.register_forward_hook(counted)
    for rank in range(num_ranks):
        count = 0
        replies = score_replies(
            tiny.model,
            samples[:num_samples],
            Collator(tiny.processor),
            batch_size=batch_size,
            rank=rank,
            num_ranks=num_ranks,
        )
        passes.append(count)
        tasks += [reply.task for reply in replies]
    hook.remove()
    assert len(set(passes)) == 1
    assert sorted(tasks) == sorted(sample.task for sample in samples[:num_samples])


def test_sharded_ranks_with_unequal_questions_and_images_do_not_wait_for_each_other(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", tiles=1, val_tiles=0)  # three questions
    for line in run_two_ranks("tests.model.sharded_evaluation", data, timeout=120):
        num_replies, difference, gradient_difference = line.split()
        assert num_replies == "3"
        assert float(difference) < 1e-4
        assert float(gradient_difference) < 1e-5


def test_the_mode_of_the_model_is_restored(samples: list[TrainingSample], tiny: TinyModel) -> None:
    tiny.model.train()
    score_replies(tiny.model, samples[:1], Collator(tiny.processor), batch_size=1)
    assert tiny.model.training


def test_scores_by_task_with_the_most_frequent_answer(samples: list[TrainingSample]) -> None:
    # answers of the tiles 0 to 3: red, green, blue, grey among choices that begin at 0, 1, 2, 0: A, A, A, D
    asked = [sample for sample in samples[:12] if sample.task == "object_colour"]
    replies = [
        ChosenReply("set/s:0/a", "object_colour", is_right=True, loss=1.0, num_tokens=2),
        ChosenReply("set/s:0/b", "object_colour", is_right=False, loss=2.0, num_tokens=1),
        ChosenReply("set/s:0/c", "detailed_captioning", is_right=False, loss=6.0, num_tokens=4),
    ]
    scores = score_tasks(replies, asked)
    assert scores == {
        "object_colour": TaskScore(num_questions=2, accuracy=0.5, majority=0.75, loss=1.0),
        "detailed_captioning": TaskScore(num_questions=1, accuracy=None, majority=None, loss=1.5),
    }
    assert flatten_scores(scores) == {"loss": 1.25, "accuracy": 0.5, "accuracy_OCL": 0.5, "loss_DIC": 1.5}
    assert flatten_scores({}) == {}


def test_questions_are_chosen_a_task_and_by_seed(samples: list[TrainingSample]) -> None:
    chosen = choose_questions(samples, most=2, seed=1)
    assert [sample.task for sample in chosen].count("object_colour") == 2
    assert len(chosen) == 6
    assert chosen == choose_questions(samples, most=2, seed=1)
    assert chosen != choose_questions(samples, most=2, seed=2)
    assert choose_questions(samples, most=99, seed=1) == samples
