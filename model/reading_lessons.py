"""Lessons without images, in which the language model of `init` = tiny learns to read choices.

GeoLLaVA begins from a language model that can read. One from scratch cannot, and images teach it too slowly: which
choice fits, and which letter stands before it, are of use only together. In a lesson, words of the data's own choices
stand where the visual tokens will stand, and the right letters are those of the choices among these words. The words
are drawn at random, so a lesson tells nothing about any image or about which answers are frequent.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from rsvqa.annotation.lettering import right_letters
from rsvqa.annotation.tasks.candidates import shuffled
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.model.conversations import (
    IGNORED_LABEL,
    Chat,
    ChatTemplate,
    chat_messages,
    deal_letters_again,
    label_reply,
    render_chat,
)
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.reply_loss import num_last_positions, reply_loss
from rsvqa.rsvqa_builder.dataset.records import Record

SHORT_SHARE = 0.6
"""Share of the steps, the first ones, whose lessons are words and choices alone: short ones are learnt soonest."""

SHORT_BATCH, WHOLE_BATCH = 64, 32
"""Lessons of a step; whole ones are three times as long."""

LEARNING_RATE = 3e-3
BETAS = (0.9, 0.98)
_WARMUP_STEPS = 50
_DECAY_SHARE = 0.3
"""Share of the steps, the last ones, in which the learning rate falls to nothing."""

_MAX_RIGHT = 3
_NUM_WORDS = 6
"""Words that stand for an image; short lessons name each right choice once instead."""
_MOST_OTHERS = 3


class Lesson(NamedTuple):
    """One lesson as batches take it; the labels are those of the reply alone."""

    input_ids: list[int]
    labels: list[int]


class Lessons:
    """Lessons made of the choices in a data set's questions.

    Args:
        records: of shards; those without two choices are not used.
        template: renders chats.
        tokenizer: of the model.
    """

    def __init__(self, records: Sequence[Record], template: ChatTemplate, tokenizer: PreTrainedTokenizerBase) -> None:
        self._records = [record for record in records if len(record.options) > 1]
        self._words = sorted({word for record in self._records for word in record.option_texts})
        self._template = template
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        """Return the number of questions that lessons are made of."""
        return len(self._records)

    def draw(self, rng: random.Random, *, is_short: bool) -> Lesson:
        """Return a lesson about the choices of a question drawn at random."""
        record = deal_letters_again(rng.choice(self._records), rng)
        choices = record.option_texts
        right = self._draw_right(record, rng)
        record = replace(record, answer=right_letters(place in right for place in range(len(choices))))
        words = [choices[place] for place in right]
        if is_short:
            return self._encode(self._short_chat(record, shuffled(words, rng)))
        return self._encode(self._whole_chat(record, shuffled(self._blur(words, choices, rng), rng)))

    def _whole_chat(self, record: Record, words: Sequence[str]) -> Chat:
        """Return the chat about a record with words in place of its images."""
        user, assistant = chat_messages(record)
        text = "".join(f"{word}\n" for word in words) + user["content"][-1]["text"]
        return render_chat([{**user, "content": [{"type": "text", "text": text}]}, assistant], self._template)

    def _short_chat(self, record: Record, words: Sequence[str]) -> Chat:
        """Return words and choices without the question, and without what stands before the user's text."""
        text = "\n".join([*words, *record.options]) + "\n"
        _, assistant = chat_messages(record)
        chat = render_chat(
            [{"role": "user", "content": [{"type": "text", "text": text}]}, assistant],
            self._template,
        )
        return Chat(text + chat.prompt.rpartition(text)[2], chat.reply)

    def _draw_right(self, record: Record, rng: random.Random) -> list[int]:
        """Return the places of the choices that are right in the lesson, one or as many as the task may have."""
        places = range(len(record.options))
        is_several = record.form is AnswerForm.SEVERAL_OF
        most = min(_MAX_RIGHT, len(places) - 1) if is_several else 1
        return sorted(rng.sample(places, rng.randint(1, most)))

    def _blur(self, words: list[str], choices: Sequence[str], rng: random.Random) -> list[str]:
        """Return `_NUM_WORDS` words or more: the given ones, some that are no choice, and some of both again."""
        others = [word for word in rng.sample(self._words, min(_MOST_OTHERS, len(self._words))) if word not in choices]
        seen = words + others[: rng.randint(0, _MOST_OTHERS)]
        return seen + [rng.choice(seen) for _ in range(_NUM_WORDS - len(seen))]

    def _encode(self, chat: Chat) -> Lesson:
        ids, reply_ids = self._tokenizer([chat.prompt + chat.reply, chat.reply], add_special_tokens=False)["input_ids"]
        return Lesson(ids, label_reply(ids, reply_ids))


def teach_reading(model: GeoLlavaForConditionalGeneration, lessons: Lessons, *, num_steps: int, seed: int) -> float:
    """Train the language model for some steps, on short lessons and then on whole ones; return the loss of the last.

    The tower and the projector stay as they are.
    """
    rng = random.Random(f"{seed}:lessons")
    parameters = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    optimizer = torch.optim.AdamW(list(dict.fromkeys(parameters)), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.0)
    loss = math.nan
    model.train()
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * _rate_share(step, num_steps)
        is_short = step < SHORT_SHARE * num_steps
        size = SHORT_BATCH if is_short else WHOLE_BATCH
        batch = _pad([lessons.draw(rng, is_short=is_short) for _ in range(size)])
        loss = _step(model, optimizer, *batch)
    return loss


def _rate_share(step: int, num_steps: int) -> float:
    """Return the share of the learning rate at a step: it rises, stays, and falls at the end."""
    return min(1.0, (step + 1) / _WARMUP_STEPS, (1 - step / num_steps) / _DECAY_SHARE)


def _pad(lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, mask and labels, each [B, L] int64, padded on the left."""
    length = max(len(lesson.input_ids) for lesson in lessons)
    gaps = [length - len(lesson.input_ids) for lesson in lessons]
    ids = [[0] * gap + lesson.input_ids for gap, lesson in zip(gaps, lessons, strict=True)]
    mask = [[0] * gap + [1] * (length - gap) for gap in gaps]
    labels = [[IGNORED_LABEL] * gap + lesson.labels for gap, lesson in zip(gaps, lessons, strict=True)]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


def _step(
    model: GeoLlavaForConditionalGeneration,
    optimizer: torch.optim.Optimizer,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    outputs = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        logits_to_keep=num_last_positions(labels),
        use_cache=False,
    )
    loss = reply_loss(outputs.logits, labels, num_labels=(labels != IGNORED_LABEL).sum())
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()
