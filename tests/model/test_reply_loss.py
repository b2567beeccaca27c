"""The loss from the last positions equals the model's own loss over all of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from rsvqa.model.conversations import IGNORED_LABEL
from rsvqa.model.data import Collator, SampleDataset, list_samples
from rsvqa.model.ordering import Draw
from rsvqa.model.reply_loss import align, num_last_positions, predicting_positions, reply_loss
from rsvqa.model.tiny import make_tiny
from rsvqa.model.training_settings import TinySettings
from tests.model.make_dataset import TINY, make_dataset

X = IGNORED_LABEL


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[X, X, X, 5], [X, X, X, 6]], 2),  # one token, and the position that predicts it
        ([[X, X, X, 5], [X, 7, 8, 6]], 4),
        ([[X, X, X, X]], 2),
        ([[X]], 1),
    ],
)
def test_positions_that_predict_every_label(labels: list[list[int]], expected: int) -> None:
    assert num_last_positions(torch.tensor(labels)) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[X, X, 5, X, X, 6, 7], [X, X, X, X, X, 8, X]], [1, 4, 5]),
        ([[X, X, X]], [0]),  # no loss, but something to compute it from
    ],
)
def test_positions_before_labels_wherever_they_stand(labels: list[list[int]], expected: list[int]) -> None:
    assert predicting_positions(torch.tensor(labels)).tolist() == expected


def test_logits_of_chosen_positions_by_hand() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0]]])  # of the positions 0 and 3
    labels = torch.tensor([[X, 1, X, X, 0]])
    loss = reply_loss(logits, labels, num_labels=4, positions=torch.tensor([0, 3]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 4)


def test_logits_stand_beside_the_labels_that_they_predict() -> None:
    logits = torch.arange(3.0).reshape(1, 3, 1)  # of the positions 2, 3, 4
    predictions, wanted = align(logits, torch.tensor([[10, 11, 12, 13, 14]]))
    assert predictions[0, :, 0].tolist() == [0.0, 1.0]
    assert wanted.tolist() == [[13, 14]]


def test_loss_by_hand() -> None:
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0], [9.0, 9.0]]])
    # the first label is right with 1/2, the second with 3/4: (ln 2 + ln 4/3) / 4
    loss = reply_loss(logits, torch.tensor([[X, 1, 0]]), num_labels=4)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 4)
    assert reply_loss(logits, torch.tensor([[X, X, X]]), num_labels=1).item() == 0.0


def test_loss_and_gradient_equal_the_models_own(tmp_path: Path) -> None:
    samples = list_samples([make_dataset(tmp_path / "set", tiles=3)], split="train")
    tiny = make_tiny(["Describe. All is red, green"], TinySettings(**TINY), seed=0)
    tiny.model.config.tokens_per_cell = tiny.processor.num_cell_tokens = 5
    dataset = SampleDataset(samples, [Draw(number, 0) for number in range(9)])
    batch = Collator(tiny.processor)([dataset[number] for number in range(9)])
    inputs = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
    whole = tiny.model(**inputs).loss
    whole.backward()
    gradients = {
        name: weights.grad.clone() for name, weights in tiny.model.named_parameters() if weights.grad is not None
    }
    tiny.model.zero_grad()
    labels = inputs.pop("labels")
    logits = tiny.model(**inputs, logits_to_keep=num_last_positions(labels)).logits
    loss = reply_loss(logits, labels, num_labels=(labels != X).sum())
    loss.backward()
    torch.testing.assert_close(loss, whole)
    for name, weights in tiny.model.named_parameters():
        if weights.grad is not None:
            torch.testing.assert_close(weights.grad, gradients[name], msg=name)
