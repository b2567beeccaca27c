"""Several questions of an image in one row: the image first, once, then the rest of each chat as a branch of its own.

A branch sees what all chats begin with and itself, and its positions go on from there. So each question is read and
answered as if it were alone, and the image goes through tower and language model once for all of them. What surprises:
replies no longer end together, so logits are taken at the positions before them, see `predicting_positions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rsvqa.model.conversations import IGNORED_LABEL, Chat, ConversationError, chat_messages, label_reply, render_chat
from rsvqa.model.data import Batch, LoadedSample, SampleDataset, TrainingDataError
from rsvqa.model.ordering import Draw, pass_starts

SHARED = 0
"""Branch of the tokens that every chat of a row begins with; the chats' own are 1, 2, …"""
PADDING = -1
"""Branch of tokens behind a row's end."""


class JoinedChats(NamedTuple):
    """A row of chats without padding; all four are as long as it is."""

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]
    branches: list[int]


def join_chats(shared: Sequence[int], chats: Sequence[tuple[Sequence[int], Sequence[int]]]) -> JoinedChats:
    """Return the row of chats that begin alike.

    Args:
        shared: ids that each begins with; they carry no loss.
        chats: ids and labels of the rest of each.
    """
    row = JoinedChats(list(shared), [IGNORED_LABEL] * len(shared), list(range(len(shared))), [SHARED] * len(shared))
    for branch, (ids, labels) in enumerate(chats, start=SHARED + 1):
        row.input_ids.extend(ids)
        row.labels.extend(labels)
        row.position_ids.extend(range(len(shared), len(shared) + len(ids)))
        row.branches.extend([branch] * len(ids))
    return row


def branch_mask(branches: Tensor) -> Tensor:
    """Return what each token sees, [B, 1, L, L] bool, queries before keys: what is shared, and its own branch so far.

    Padding sees padding, itself at least, as attention to nothing is not defined everywhere.

    Args:
        branches: [B, L] int64.
    """
    length = branches.shape[1]
    seen = branches[:, :, None] == branches[:, None, :]
    seen |= (branches == SHARED)[:, None, :]
    seen &= torch.ones((length, length), dtype=torch.bool, device=branches.device).tril_()
    return seen[:, None]


class PassDataset(Dataset[tuple[LoadedSample, ...]]):
    """The passes of a run in order: the questions of each, which show the same images.

    Args:
        samples: the draws of the run, one by one.
        draws: of the same run.
    """

    def __init__(self, samples: SampleDataset, draws: Sequence[Draw]) -> None:
        self._samples = samples
        self._places = [range(*ends) for ends in pairwise([*pass_starts(draws), len(draws)])]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[LoadedSample, ...]:
        questions = tuple(self._samples[place] for place in self._places[number])
        first = questions[0]
        for other in questions[1:]:
            # an image is prepared once, so the same image is the same object; black ones teach nothing
            if first.is_readable and [*map(id, other.images)] != [*map(id, first.images)]:
                raise TrainingDataError(
                    f"{first.name} and {other.name} name the same images, and hold others; build the data set again, "
                    "or leave questions_per_pass at 1"
                )
        return questions


class PassCollator:
    """Passes → one padded batch with a row each, labels on the replies, `position_ids` and `branches`.

    What takes the place of an attention mask is `branches`, see `branch_mask`, as a mask of pairs would be large to
    send. `sample_names` and `unreadable` are those of `Collator`.
    """

    def __init__(self, processor: Any) -> None:  # noqa: ANN401  a processor of transformers
        self._processor = processor

    def __call__(self, passes: Sequence[Sequence[LoadedSample]]) -> Batch:
        """Return the batch of `passes`.

        Raises:
            ConversationError: the chats of a pass differ before the end of their images.
        """
        chats = [[render_chat(chat_messages(item.record), self._processor) for item in items] for items in passes]
        batch = dict(
            self._processor(
                text=[row[0].prompt + row[0].reply for row in chats],
                images=[list(items[0].images) for items in passes],
            )
        )
        firsts = batch.pop("input_ids")
        del batch["attention_mask"]
        rows = [self._row(*parts) for parts in zip(passes, chats, firsts, strict=True)]
        paddings = (self._processor.tokenizer.pad_token_id, IGNORED_LABEL, 0, PADDING)
        for name, values, padding in zip(JoinedChats._fields, zip(*rows, strict=True), paddings, strict=True):
            batch[name] = _padded(values, padding)
        batch["sample_names"] = [item.name for items in passes for item in items]
        batch["unreadable"] = [item.name for items in passes for item in items if not item.is_readable]
        return batch

    def _row(self, items: Sequence[LoadedSample], chats: Sequence[Chat], first: Sequence[int]) -> JoinedChats:
        """Return the row of a pass.

        Args:
            items: its questions.
            chats: of each.
            first: ids of the first one with its visual tokens; the others have one placeholder per image here.
        """
        tokenizer = self._processor.tokenizer
        whole = tokenizer([chat.prompt + chat.reply for chat in chats])["input_ids"]
        heads, rests = zip(*map(self._cut, whole), strict=True)
        if any(head != heads[0] for head in heads):
            raise ConversationError(
                f"the chats of {', '.join(item.name for item in items)} differ before the end of their images, so they "
                "cannot share them: the chat template must place images before what is asked, or leave "
                "questions_per_pass at 1"
            )
        replies = tokenizer([chat.reply for chat in chats], add_special_tokens=False)["input_ids"]
        labels = [
            label_reply(rest, reply) if item.is_readable else [IGNORED_LABEL] * len(rest)
            for item, rest, reply in zip(items, rests, replies, strict=True)
        ]
        return join_chats(self._cut(first)[0], list(zip(rests, labels, strict=True)))

    def _cut(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the ids up to the last visual token, and those behind it."""
        end = len(ids) - list(reversed(ids)).index(self._processor.image_token_id)
        return list(ids[:end]), list(ids[end:])


def _padded(rows: Sequence[Sequence[int]], padding: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
