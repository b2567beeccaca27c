"""The table of formats: what each is called, which models it is written for, and who writes it.

A format is one entry here and one `Exporter`; nothing else knows its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, Self

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.exporting import catalogue, chat_files, chat_tables, coco, evaluators, tables
from rsvqa.rsvqa_builder.exporting.chats import ChatTarget
from rsvqa.rsvqa_builder.exporting.families import FAMILIES, MIN_SEEN_PIXELS, family_of
from rsvqa.rsvqa_builder.exporting.turns import PICTURE_CHOICES, PictureChoice


class ExportError(RsvqaError):
    """The data set cannot be exported; the message says what to change."""


class Exporter(Protocol):
    """Writes one format into a folder; complete when its context ends."""

    def begin_shard(self, shard: Path) -> None:
        """Say which shard the next rows are from."""

    def unfit(self, question: StoredQuestion) -> str | None:
        """Return why the format cannot hold the question, or None."""

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Write the questions of one row group, of which each has passed the checks and fits."""

    def card(self) -> str:
        """Return what `README.md` says of the format, once all is written; the licences come behind it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """What an export is for, as it was asked; see `export.export_dataset`."""

    model: str | None = None
    max_pixels: int | None = None
    pictures: str = "whole"


class OpensChat(Protocol):
    """The class of a writer of conversations."""

    def __call__(self, folder: Path, target: ChatTarget) -> Exporter:
        """Open it."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A format that knows no model: every picture as it is, boxes in the format's own units."""

    open: Callable[[Path], Exporter]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """A format of conversations, with boxes in the units of one family of models.

    Attributes:
        open: makes its writer.
        families: names of those that the trainer takes.
        default: the family that is meant where no model is given; None where one must be.
        pictures: choices that the format can hold.
    """

    open: OpensChat
    families: Sequence[str] = tuple(FAMILIES)
    default: str | None = None
    pictures: Sequence[PictureChoice] = ("whole", "parts")


_QWEN = tuple(name for name in FAMILIES if name.startswith("qwen"))

FORMATS: Mapping[str, TableFormat | ChatFormat] = {
    "llava": ChatFormat(open=chat_files.LlavaExporter, default="llava"),
    "xlrs": TableFormat(tables.XlrsExporter),
    "coco": TableFormat(coco.CocoExporter),
    "coco-asked": TableFormat(coco.CocoAskedExporter),
    "swift": ChatFormat(open=chat_files.SwiftExporter, pictures=PICTURE_CHOICES),
    "llamafactory": ChatFormat(open=chat_files.LlamaFactoryExporter),
    "qwen": ChatFormat(open=chat_files.QwenExporter, families=_QWEN),
    "internvl": ChatFormat(open=chat_files.InternvlExporter, families=("internvl",), default="internvl"),
    "trl": ChatFormat(open=chat_tables.TrlExporter),
    "verl": ChatFormat(open=chat_tables.VerlExporter),
    "lmms-eval": TableFormat(evaluators.LmmsEvalExporter),
    "vlmevalkit": TableFormat(evaluators.VlmEvalKitExporter),
    "stac": TableFormat(catalogue.StacExporter),
}


def choose(name: str, target: ExportTarget) -> Callable[[Path], Exporter]:
    """Return what opens the writer of a format, for what was asked.

    Raises:
        ExportError: no such format, or it does not have what is asked for.
        UnknownModelError: it is not known how the model reads boxes.
    """
    found = FORMATS.get(name)
    if found is None:
        raise ExportError(f"unknown format {name!r}: expected one of {', '.join(FORMATS)}")
    if target.model is not None and not isinstance(target.model, str):
        raise ExportError(
            f"`for` (in Python model=) = {target.model!r}: expected a family of models, or a checkpoint's name"
        )
    budget = target.max_pixels
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 1):
        raise ExportError(f"`max_pixels` = {budget!r}: expected a whole number above 0")
    if isinstance(found, TableFormat):
        if target != ExportTarget():
            raise ExportError(
                f"the format {name} is the same for every model: leave out `for` (in Python model=), `max_pixels`, "
                "`pictures`"
            )
        return found.open
    return partial(found.open, target=_chat_target(name, found, target))


def _chat_target(name: str, chosen: ChatFormat, target: ExportTarget) -> ChatTarget:
    model = target.model or chosen.default
    if model is None:
        raise ExportError(
            f"the format {name} holds boxes in the units of one model: give it by `for` (in Python model=), one of "
            f"{', '.join(chosen.families)} or a checkpoint of theirs"
        )
    family = family_of(model)
    if family.name not in chosen.families:
        raise ExportError(f"the trainer of {name} trains {', '.join(chosen.families)}, not {model}")
    pictures = next((choice for choice in chosen.pictures if choice == target.pictures), None)
    if pictures is None:
        raise ExportError(
            f"`pictures` = {target.pictures!r}: of the format {name} expected one of {', '.join(chosen.pictures)}"
        )
    if family.side_factor and target.max_pixels is None:
        raise ExportError(
            f"boxes of {family.name} are pixels of the picture as the training resizes it: give by `max_pixels` the "
            "budget that it will run with"
        )
    if family.side_factor and target.max_pixels is not None and target.max_pixels < MIN_SEEN_PIXELS:
        raise ExportError(
            f"`max_pixels` = {target.max_pixels}: {family.name} wants {MIN_SEEN_PIXELS} or more, as its trainers "
            "enlarge smaller pictures"
        )
    checkpoint = family.example if model == family.name else model
    return ChatTarget(family=family, checkpoint=checkpoint, max_pixels=target.max_pixels, pictures=pictures)
