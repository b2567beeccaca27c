"""One question of a shard → the chat that a model is trained on and asked with.

What is asked and replied says `rsvqa_builder.dataset.prompts`, for an exported data set too. What surprises: the loss
covers the reply and the token that ends the turn, nothing after it; the line break that a chat template puts behind the
turn is never generated, so it is not learned either.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.lettering import lettered, moved_letters
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.dataset.prompts import exchange_of
from rsvqa.rsvqa_builder.dataset.records import Record

ChatMessage = dict[str, Any]

IGNORED_LABEL = -100
"""Label of a token without loss, as in PyTorch's cross entropy."""


class ConversationError(RsvqaError):
    """A chat template or a tokenizer does not keep prompt and reply apart."""


class ChatTemplate(Protocol):
    """What renders messages: a tokenizer or a processor of transformers."""

    def apply_chat_template(
        self, conversation: list[ChatMessage], *, tokenize: bool = False, add_generation_prompt: bool = False
    ) -> Any:  # noqa: ANN401  transformers' own type
        """Return the messages as one text."""
        ...


class Chat(NamedTuple):
    """A rendered chat; `prompt` ends where the model begins to speak, `reply` with the end of its turn."""

    prompt: str
    reply: str


def chat_messages(record: Record) -> list[ChatMessage]:
    """Return a record as the user's and the assistant's message, in the form of transformers' chat templates.

    The texts are those of `prompts.exchange_of`; a chat template places images by itself.
    """
    prompt, reply = exchange_of(record)
    images = [{"type": "image"} for _ in range(record.num_dates)]
    return [
        {"role": "user", "content": [*images, {"type": "text", "text": prompt}]},
        {"role": "assistant", "content": [{"type": "text", "text": reply}]},
    ]


def render_chat(messages: Sequence[ChatMessage], template: ChatTemplate) -> Chat:
    """Return prompt and reply of one user's and one assistant's message as text.

    Raises:
        ConversationError: when the rendered chat does not begin with its own prompt.
    """
    prompt = str(template.apply_chat_template(list(messages[:1]), tokenize=False, add_generation_prompt=True))
    whole = str(template.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=False))
    if not whole.startswith(prompt):
        raise ConversationError(
            "the chat template does not keep the prompt as it is once the reply is there, so the reply's tokens cannot "
            f"be told apart; expected the chat to begin with {prompt[-60:]!r}, found {whole[: len(prompt)][-60:]!r}"
        )
    return Chat(prompt, whole.removeprefix(prompt).rstrip("\n"))


def label_reply(input_ids: Sequence[int], reply_ids: Sequence[int]) -> list[int]:
    """Return labels of one chat without padding: the reply's own ids at its end, `IGNORED_LABEL` before.

    Raises:
        ConversationError: when `input_ids` does not end with `reply_ids`: the tokenizer has joined the end of the
            prompt and the start of the reply, and a loss on that token would be a loss on the prompt.
    """
    start = len(input_ids) - len(reply_ids)
    if not reply_ids or start <= 0 or list(input_ids[start:]) != list(reply_ids):
        found = list(input_ids[max(0, start) :])
        raise ConversationError(f"a chat's last tokens are {found}, expected those of its reply {list(reply_ids)}")
    return [IGNORED_LABEL] * start + list(reply_ids)


def deal_letters_again(record: Record, rng: random.Random) -> Record:
    """Return the record with its choices in another order, and the letters of the answer to match.

    Records without choices come back as they are.
    """
    if not record.options:
        return record
    texts = record.option_texts
    order = list(range(len(texts)))
    rng.shuffle(order)
    return replace(record, options=lettered(texts[old] for old in order), answer=moved_letters(record.answer, order))


def is_letter_task(task: str) -> bool:
    """Return whether every answer to the task is one letter or several."""
    return set(TASKS[task].forms) <= {AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF, AnswerForm.YES_NO}
