"""Shards of `rsvqa build` → samples and batches of a training run.

The samples of a run are listed from the shards' text columns before it begins; images stay encoded on disk until a
batch needs them. What surprises: an image that turns out unreadable leaves its sample in the batch with a black image
and no label, so that it teaches nothing, every device still takes the same steps, and the report can name it.
"""

from __future__ import annotations

import random
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
    kept: Mapping[str, bool] | None = None,
) -> SampleList:
    """Return the samples of `tasks` with their lengths, and what is left out for which reason.

    Args:
        samples: see `list_samples`.
        tasks: names of the taxonomy.
        max_length: longest chat, tokens; longer ones are left out, never cut.
        count_tokens: returns the length of each record's chat.
        kept: whether a selection keeps a sample, by name; None for all.

    Raises:
        DataError: when no sample is left.
    """
    wanted = set(tasks)
    left_out: dict[str, list[str]] = {}
    fit: list[TrainingSample] = []
    for sample in samples:
        reason = _why_unfit(sample, wanted)
        if reason is None and kept is not None and not kept[sample.name]:
            reason = "not kept by the selection"
        if reason:
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
    reader.require_images(Column.IMAGE)


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


def number_images(samples: Sequence[TrainingSample]) -> list[int]:
    """Return a number for the images of each sample; samples of one row group that show the same have the same one.

    Images without names are not known to be the same.
    """
    names_of_rows: dict[RowGroup, list[list[str]]] = {}
    numbers: dict[object, int] = {}
    for sample in samples:
        if sample.group not in names_of_rows:
            with TableReader(sample.group.path) as reader:
                names_of_rows[sample.group] = reader.read_image_names(sample.group.number, Column.IMAGE)
    found = []
    for place, sample in enumerate(samples):
        names = tuple(names_of_rows[sample.group][sample.row])
        found.append(numbers.setdefault((sample.group, names) if names and all(names) else place, len(numbers)))
    return found


def _why_unfit(sample: TrainingSample, wanted: set[str]) -> str | None:
    if sample.task not in wanted:
        return "of other tasks"
    record = sample.record
    return HELD_BACK.get(record.review) or exchange_fault(record) or placeholder_fault(record)


# --- images ---


Prepare = Callable[..., Any]
"""Pixels → what a processor takes in their place, such as `GeoLlavaImageProcessor.cut`; `may_overwrite` is True."""


def leave_pixels(pixels: Pixels, *, may_overwrite: bool) -> Pixels:  # noqa: ARG001  as `Prepare` has it
    """Return the pixels as they are."""
    return pixels


class ImageCache:
    """Prepared images of row groups, so that an image is decoded and cut once for all questions about it.

    Args:
        prepare: what is done once per image.
    """

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._readers: dict[Path, TableReader] = {}
        self._encoded: dict[RowGroup, list[list[EncodedImage]]] = {}
        self._prepared: dict[RowGroup, dict[int, Any]] = {}

    def images_of(self, sample: TrainingSample) -> tuple[Any, ...] | None:
        """Return the images of a sample in order, or None when one cannot be read."""
        prepared = self._prepared.setdefault(sample.group, {})
        images = [self._image(image, prepared) for image in self._row(sample)]
        readable = tuple(image for image in images if image is not None)
        return readable if images and len(readable) == len(images) else None

    def keep_only(self, is_needed: Callable[[RowGroup], bool]) -> None:
        """Let go of the images of all other row groups."""
        for group in [group for group in self._encoded if not is_needed(group)]:
            del self._encoded[group], self._prepared[group]

    def _row(self, sample: TrainingSample) -> list[EncodedImage]:
        if sample.group not in self._encoded:
            rows = self._reader(sample.group.path).read_row_group(sample.group.number, [Column.IMAGE])
            self._encoded[sample.group] = [row[Column.IMAGE] for row in rows]
        return self._encoded[sample.group][sample.row]

    def _reader(self, path: Path) -> TableReader:
        """Return the reader of a shard, which stays open: a footer is long."""
        if path not in self._readers:
            self._readers[path] = TableReader(path)
        return self._readers[path]

    def _image(self, image: EncodedImage, prepared: dict[int, Any]) -> Any:  # noqa: ANN401
        key = id(image.data)  # rows share the bytes of an image, and images of other makers may have no names
        if key not in prepared:
            try:
                prepared[key] = self._prepare(decode_image(image.data), may_overwrite=True)
            except ImageError:
                prepared[key] = None  # the caller counts and reports it
        return prepared[key]


def refuse_unreadable(names: Collection[str], *, num_questions: int, share: float, split: str) -> None:
    """Refuse a run of which too much teaches or tests nothing.

    The losses of questions that teach nothing are 0, as if they were perfect; those of val are in no accuracy.

    Args:
        names: of the questions found so far whose images cannot be read.
        num_questions: that the run trains on, or that it is tested on.
        share: of them that may be so.
        split: "train" or "val".

    Raises:
        TrainingDataError: there are more, or no other question.
    """
    asked = "trained on" if split == "train" else f"asked of split {split}"
    if names and len(names) >= num_questions:
        meant = (
            "nothing was learnt and no model is saved; build the data set again"
            if split == "train"
            else "nothing is known of what was learnt; build the data set again and go on with `resume`, or with "
            "`eval_questions` 0 too, to go on without this split"
        )
        raise TrainingDataError(
            f"no image of the {num_questions} questions {asked} can be read, the first is that of {min(names)}: {meant}"
        )
    if len(names) > share * num_questions:
        raise TrainingDataError(
            f"the images of {len(names)} of the {num_questions} questions {asked} cannot be read, the first is that "
            f"of {min(names)}; `max_unreadable` allows a share of {share:g}: build the data set again, or allow more "
            "and go on with `resume`"
        )


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """A sample with its images, ready for a batch; the images are black where they cannot be read."""

    name: str
    record: Record
    images: tuple[Any, ...]
    is_readable: bool


class SampleDataset(Dataset[LoadedSample]):
    """The draws of a run in order; an image is kept until the last draw of its row group in an epoch.

    Args:
        samples: of the run.
        draws: see `ordering.plan_order`.
        prepare: what is done once per image.
        deals_again: whether letters are dealt anew in every epoch.
        seed: of the letters.
    """

    def __init__(
        self,
        samples: Sequence[TrainingSample],
        draws: Sequence[Draw],
        *,
        prepare: Prepare = leave_pixels,
        deals_again: bool = False,
        seed: int = 0,
    ) -> None:
        self._samples = samples
        self._draws = draws
        self._deals_again = deals_again
        self._seed = seed
        self._prepare = prepare
        self._images = ImageCache(prepare)
        self._last_uses = {(samples[draw.sample].group, draw.epoch): place for place, draw in enumerate(draws)}

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, position: int) -> LoadedSample:
        number, epoch, _ = self._draws[position]
        sample = self._samples[number]
        record = sample.record
        if self._deals_again:
            # a generator of its own: the letters do not depend on what was drawn before
            record = deal_letters_again(record, random.Random(f"{self._seed}:{epoch}:{sample.name}"))
        self._images.keep_only(lambda group: self._last_uses.get((group, epoch), -1) >= position)
        images = self._images.images_of(sample)
        return LoadedSample(sample.name, record, images or self._black(record), images is not None)

    def _black(self, record: Record) -> tuple[Any, ...]:
        size = (record.tile.window.height, record.tile.window.width, 3)
        return tuple(self._prepare(np.zeros(size, np.uint8), may_overwrite=True) for _ in range(record.num_dates))


# --- batches ---

Batch = dict[str, Any]


class Collator:
    """Items → one padded batch with labels on the replies.

    Beside the model's inputs a batch holds `sample_names` and `unreadable`, the names of samples whose images could not
    be read; their labels are all ignored.
    """

    def __init__(self, processor: Any) -> None:  # noqa: ANN401  a processor of transformers
        self._processor = processor

    @property
    def prepare(self) -> Prepare:
        """Return what may be done once per image, before its batches."""
        prepare: Prepare = self._processor.image_processor.cut
        return prepare

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
