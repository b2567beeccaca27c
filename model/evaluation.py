"""Accuracy by task on the val split while a model is trained; the benchmark has its own, full protocol.

A reply is right when greedy decoding would give exactly it and end the turn. That is known from one forward pass over
prompt and reply: greedy decoding gives the reply if and only if each of its tokens is the likeliest after those before
it. No text is parsed, so this is strict: a right letter with a word more is wrong.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.conversations import IGNORED_LABEL, is_letter_task
from rsvqa.model.data import Batch, Collator, LoadedSample, SampleDataset, TrainingSample
from rsvqa.model.ordering import Draw
from rsvqa.model.reply_loss import align, num_last_positions


class TaskScore(NamedTuple):
    """What a model reached on one task.

    Attributes:
        num_questions: that were asked.
        accuracy: share of right replies, for tasks answered by letters; else None.
        majority: share that the most frequent answer would reach; None without accuracy.
        loss: mean over the replies' tokens.
    """

    num_questions: int
    accuracy: float | None
    majority: float | None
    loss: float


class ChosenReply(NamedTuple):
    """How a model would reply to one question.

    Attributes:
        name: of the question, see `TrainingSample.name`.
        task: of the question.
        is_right: whether greedy decoding gives the reply, and ends there.
        loss: sum over the reply's tokens.
        num_tokens: of the reply.
    """

    name: str
    task: str
    is_right: bool
    loss: float
    num_tokens: int


def choose_questions(samples: Sequence[TrainingSample], *, most: int, seed: int) -> list[TrainingSample]:
    """Return at most `most` samples of each task, chosen at random, in reading order."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        by_task[sample.task].append(number)
    chosen: list[int] = []
    for task, numbers in by_task.items():
        chosen += random.Random(f"{seed}:{task}").sample(numbers, min(most, len(numbers)))
    return [samples[number] for number in sorted(chosen)]


def score_replies(
    model: nn.Module,
    samples: Sequence[TrainingSample],
    collator: Collator,
    *,
    batch_size: int,
    rank: int = 0,
    num_ranks: int = 1,
    is_cut: Callable[[], bool] = lambda: False,
) -> list[ChosenReply] | None:
    """Return how the model replies to the samples whose images can be read; each rank scores a stretch of them.

    So the questions about an image are with one rank. Every rank does the same number of passes, since weights that are
    spread over ranks are gathered by all of them in each. A rank that has no question left goes on with the first, and
    what comes of it is left out.

    `is_cut` is asked before each pass whether to give up, and says the same on every rank; None is then returned.
    """
    most = math.ceil(len(samples) / num_ranks)
    places = range(len(samples))[rank * most : (rank + 1) * most]
    draws = [Draw(number, 0) for number in (*places, 0)] if samples else []
    dataset = SampleDataset(samples, draws, prepare=collator.prepare)
    num_passes = math.ceil(most / batch_size)
    replies: list[ChosenReply] = []
    was_training = model.training
    model.eval()
    try:
        for start in range(0, num_passes * batch_size, batch_size):
            if is_cut():
                return None
            mine = [dataset[number] for number in range(start, min(start + batch_size, len(places)))]
            items = mine or [dataset[len(places)]]
            scored = _score_batch(model, collator(items), items)
            replies += scored if mine else []
    finally:
        model.train(was_training)
    return replies


@torch.inference_mode()
def _score_batch(model: nn.Module, batch: Batch, items: Sequence[LoadedSample]) -> list[ChosenReply]:
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, Tensor) and name != "labels"}
    num_kept = num_last_positions(batch["labels"])
    logits, labels = align(model(**inputs, logits_to_keep=num_kept).logits, batch["labels"].to(device))
    replies = []
    for item, row_logits, row_labels in zip(items, logits, labels, strict=True):
        is_reply = row_labels != IGNORED_LABEL
        if not is_reply.any():
            continue  # its image cannot be read
        wanted, found = row_labels[is_reply], row_logits[is_reply].float()
        loss = nn.functional.cross_entropy(found, wanted, reduction="sum")
        is_right = bool((found.argmax(-1) == wanted).all())
        replies.append(ChosenReply(item.name, item.record.task, is_right, float(loss), len(wanted)))
    return replies


def score_tasks(replies: Sequence[ChosenReply], samples: Sequence[TrainingSample]) -> dict[str, TaskScore]:
    """Return the score of each task in the order of the taxonomy; `samples` are all that were asked."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        answers[sample.task][sample.record.answer] += 1
    by_task: dict[str, list[ChosenReply]] = defaultdict(list)
    for reply in replies:
        by_task[reply.task].append(reply)
    return {task: _score_task(task, by_task[task], answers[task]) for task in TASKS if task in by_task}


def _score_task(task: str, replies: Sequence[ChosenReply], answers: Counter[str]) -> TaskScore:
    loss = sum(reply.loss for reply in replies) / sum(reply.num_tokens for reply in replies)
    if not is_letter_task(task):
        return TaskScore(len(replies), None, None, loss)
    accuracy = sum(reply.is_right for reply in replies) / len(replies)
    return TaskScore(len(replies), accuracy, answers.most_common(1)[0][1] / answers.total(), loss)


def flatten_scores(scores: Mapping[str, TaskScore]) -> dict[str, float]:
    """Return scores as the figures of a log: mean loss and accuracy of the tasks, and of each its accuracy or loss."""
    accuracies = {task: score.accuracy for task, score in scores.items() if score.accuracy is not None}
    figures = {f"accuracy_{TASKS[task].short}": round(value, 4) for task, value in accuracies.items()}
    if accuracies:
        figures = {"accuracy": round(sum(accuracies.values()) / len(accuracies), 4)} | figures
    without = {task: score.loss for task, score in scores.items() if score.accuracy is None}
    figures |= {f"loss_{TASKS[task].short}": round(value, 4) for task, value in without.items()}
    return {"loss": round(sum(score.loss for score in scores.values()) / len(scores), 4)} | figures if scores else {}
