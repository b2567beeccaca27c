"""Shards of `rsvqa build` → samples and batches of a training run.

The samples of a run are listed from the shards' text columns before it begins; images stay encoded on disk until a
batch needs them. What surprises: an image that turns out unreadable leaves its sample in the batch with a black image
and no label, so that it teaches nothing, every device still takes the same steps, and the report can name it.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from rsvqa.annotation.errors import NothingUsableError
from rsvqa.annotation.images import ImageError, Pixels, decode_image
from rsvqa.model.conversations import IGNORED_LABEL, Chat, chat_messages, deal_letters_again, label_reply, render_chat
from rsvqa.model.ordering import Draw
from rsvqa.model.training_settings import source_names
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage, TableReader
from rsvqa.rsvqa_builder.dataset.prompts import exchange_fault, placeholder_fault
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK, Record
from rsvqa.rsvqa_builder.dataset.rows import TEXT_COLUMNS, Column, decode, decode_tile
from rsvqa.rsvqa_builder.dataset.shards import FORMAT_VERSION, RowGroup, list_shards


class TrainingDataError(NothingUsableError):
    """Shards cannot be trained on, or hold no question that can; the message names the folder, file or reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSample:
    """One question and where its row stands; images are not held.

    Attributes:
        source: name of the data set's folder.
        group, row: row group and row number in it.
        record: the row's texts, without evidence.
        length: tokens of the chat with its visual tokens, at most; 0 until it is known.
    """

    source: str
    group: RowGroup
    row: int
    record: Record
    length: int = 0

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.record.task

    @property
    def name(self) -> str:
        """What names the sample in reports."""
        return f"{self.source}/{self.record.question_id}"


@dataclass(frozen=True, slots=True)
class SampleList:
    """The samples of a run and, by reason, the names of the questions left out."""

    samples: tuple[TrainingSample, ...]
    left_out: Mapping[str, Sequence[str]]

    def count_left_out(self) -> dict[str, int]:
        """Return the number of questions left out by reason."""
        return {reason: len(names) for reason, names in self.left_out.items()}


def list_samples(folders: Sequence[Path], *, split: str) -> list[TrainingSample]:
    """Return the questions in one split of all `folders`, in reading order; their lengths are not known yet.

    Raises:
        DataError: when a shard was written in another format.
    """
    return [
        TrainingSample(source=source, group=group, row=number, record=record)
        for folder, source in zip(folders, source_names(folders), strict=True)
        for group, records in read_texts(folder, split=split)
        for number, record in enumerate(records)
    ]


def select_samples(
    samples: Sequence[TrainingSample],
    *,
    tasks: Iterable[str],
    max_length: int,
    count_tokens: Callable[[Sequence[Record]], list[int]],
) -> SampleList:
    """Return the samples of `tasks` with their lengths, and what is left out for which reason.

    Args:
        samples: see `list_samples`.
        tasks: names of the taxonomy.
        max_length: longest chat, tokens; longer ones are left out, never cut.
        count_tokens: returns the length of each record's chat.

    Raises:
        DataError: when no sample is left.
    """
    wanted = set(tasks)
    left_out: dict[str, list[str]] = {}
    fit: list[TrainingSample] = []
    for sample in samples:
        if reason := _why_unfit(sample, wanted):
            left_out.setdefault(reason, []).append(sample.name)
        else:
            fit.append(sample)
    chosen: list[TrainingSample] = []
    for sample, length in zip(fit, count_tokens([sample.record for sample in fit]), strict=True):
        if length > max_length:
            left_out.setdefault(f"longer than {max_length} tokens", []).append(sample.name)
        else:
            chosen.append(replace(sample, length=length))
    if not chosen:
        counts = ", ".join(f"{len(names)} {reason}" for reason, names in left_out.items()) or "no questions"
        raise TrainingDataError(f"no question is left to use of {len(samples)}; left out: {counts}")
    return SampleList(tuple(chosen), left_out)


def _check_format(reader: TableReader) -> None:
    found = reader.metadata.get("rsvqa.format_version")
    if found != str(FORMAT_VERSION):
        raise TrainingDataError(
            f"{reader.path} is written in format {found or 'unknown'}, this version reads {FORMAT_VERSION}; "
            "build the data set again"
        )


def read_texts(folder: Path, *, split: str) -> Iterator[tuple[RowGroup, list[Record]]]:
    """Yield each row group of a split with its records, without evidence and images.

    A shard is opened once: its footer names every column of every row group, and grows with them.

    Raises:
        DataError: when a shard was written in another format.
    """
    for path in list_shards(folder, split=split):
        with TableReader(path) as reader:
            _check_format(reader)
            for number in range(reader.info.num_row_groups):
                rows = reader.read_row_group(number, TEXT_COLUMNS)
                yield RowGroup(path, number), [decode(row, decode_tile(row, split)) for row in rows]


def _why_unfit(sample: TrainingSample, wanted: set[str]) -> str | None:
    if sample.task not in wanted:
        return "of other tasks"
    record = sample.record
    return HELD_BACK.get(record.review) or exchange_fault(record) or placeholder_fault(record)


# --- images ---


class ImageCache:
    """Decoded images of the row groups used last, so that the questions about an image decode it once."""

    def __init__(self, max_groups: int) -> None:
        self._max_groups = max_groups
        self._readers: dict[Path, TableReader] = {}
        self._encoded: OrderedDict[RowGroup, list[list[EncodedImage]]] = OrderedDict()
        self._decoded: dict[RowGroup, dict[int, Pixels | None]] = {}

    def images_of(self, sample: TrainingSample) -> tuple[Pixels, ...] | None:
        """Return the images of a sample in order, or None when one cannot be read."""
        decoded = self._decoded.setdefault(sample.group, {})
        images = [self._decode(image, decoded) for image in self._row(sample)]
        readable = tuple(image for image in images if image is not None)
        return readable if images and len(readable) == len(images) else None

    def _row(self, sample: TrainingSample) -> list[EncodedImage]:
        if sample.group not in self._encoded:
            rows = self._reader(sample.group.path).read_row_group(sample.group.number, [Column.IMAGE])
            self._encoded[sample.group] = [row[Column.IMAGE] for row in rows]
            if len(self._encoded) > self._max_groups:
                oldest, _ = self._encoded.popitem(last=False)
                self._decoded.pop(oldest, None)
        self._encoded.move_to_end(sample.group)
        return self._encoded[sample.group][sample.row]

    def _reader(self, path: Path) -> TableReader:
        """Return the reader of a shard, which stays open: a footer is long."""
        if path not in self._readers:
            self._readers[path] = TableReader(path)
        return self._readers[path]

    def _decode(self, image: EncodedImage, decoded: dict[int, Pixels | None]) -> Pixels | None:
        key = id(image.data)  # rows share the bytes of an image, and images of other makers may have no names
        if key not in decoded:
            try:
                decoded[key] = decode_image(image.data)
            except ImageError:
                decoded[key] = None  # the caller counts and reports it
        return decoded[key]


def refuse_unreadable(names: Collection[str], *, num_questions: int, share: float) -> None:
    """Refuse a run of which too much teaches nothing: the losses of such questions are 0, as if they were perfect.

    Args:
        names: of the questions found so far whose images cannot be read.
        num_questions: that the run trains on.
        share: of them that may be so.

    Raises:
        TrainingDataError: there are more, or no other question.
    """
    if names and len(names) >= num_questions:
        raise TrainingDataError(
            f"no image of the {num_questions} questions trained on can be read, the first is that of {min(names)}: "
            "nothing was learnt and no model is saved; build the data set again"
        )
    if len(names) > share * num_questions:
        raise TrainingDataError(
            f"the images of {len(names)} of the {num_questions} questions trained on cannot be read, the first is that "
            f"of {min(names)}; `max_unreadable` allows a share of {share:g}: build the data set again, or allow more "
            "and go on with `resume`"
        )


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """A sample with its images, ready for a batch; the images are black where they cannot be read."""

    name: str
    record: Record
    images: tuple[Pixels, ...]
    is_readable: bool


class SampleDataset(Dataset[LoadedSample]):
    """The draws of a run in order.

    Args:
        samples: of the run.
        draws: see `ordering.plan_order`.
        mixed_groups: row groups whose images are kept decoded.
        deals_again: whether letters are dealt anew in every epoch.
        seed: of the letters.
    """

    def __init__(
        self,
        samples: Sequence[TrainingSample],
        draws: Sequence[Draw],
        *,
        mixed_groups: int,
        deals_again: bool = False,
        seed: int = 0,
    ) -> None:
        self._samples = samples
        self._draws = draws
        self._deals_again = deals_again
        self._seed = seed
        # what did not fill a batch comes from the groups before
        self._images = ImageCache(2 * mixed_groups)

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, position: int) -> LoadedSample:
        number, epoch = self._draws[position]
        sample = self._samples[number]
        record = sample.record
        if self._deals_again:
            # a generator of its own: the letters do not depend on what was drawn before
            record = deal_letters_again(record, random.Random(f"{self._seed}:{epoch}:{sample.name}"))
        images = self._images.images_of(sample)
        return LoadedSample(sample.name, record, images or _black(record), images is not None)


def _black(record: Record) -> tuple[Pixels, ...]:
    size = (record.tile.window.height, record.tile.window.width, 3)
    return tuple(np.zeros(size, np.uint8) for _ in range(record.num_dates))


# --- batches ---

Batch = dict[str, Any]


class Collator:
    """Items → one padded batch with labels on the replies.

    Beside the model's inputs a batch holds `sample_names` and `unreadable`, the names of samples whose images could not
    be read; their labels are all ignored.
    """

    def __init__(self, processor: Any) -> None:  # noqa: ANN401  a processor of transformers
        self._processor = processor

    def __call__(self, items: Sequence[LoadedSample]) -> Batch:
        """Return the batch of `items`."""
        chats = [render_chat(chat_messages(item.record), self._processor) for item in items]
        batch = dict(
            self._processor(
                text=[chat.prompt + chat.reply for chat in chats],
                images=[list(item.images) for item in items],
                padding=True,
                padding_side="left",  # replies end together, see `reply_loss`
                return_tensors="pt",
            )
        )
        batch["labels"] = self._labels(batch, chats, items)
        batch["sample_names"] = [item.name for item in items]
        batch["unreadable"] = [item.name for item in items if not item.is_readable]
        return batch

    def _labels(self, batch: Batch, chats: Sequence[Chat], items: Sequence[LoadedSample]) -> torch.Tensor:
        labels = torch.full_like(batch["input_ids"], IGNORED_LABEL)
        tokenizer = self._processor.tokenizer
        for number, (chat, item) in enumerate(zip(chats, items, strict=True)):
            if not item.is_readable:
                continue
            is_real = batch["attention_mask"][number].bool()
            reply_ids = tokenizer(chat.reply, add_special_tokens=False)["input_ids"]
            chat_labels = label_reply(batch["input_ids"][number][is_real].tolist(), reply_ids)
            labels[number, is_real] = torch.tensor(chat_labels)
        return labels
