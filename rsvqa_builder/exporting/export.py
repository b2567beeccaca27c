"""The data set in the formats of other trainers and benchmarks; which there are says `formats.py`.

A released training file of this kind is known for boxes outside their image, boxes whose corners are swapped, and
coordinates of unsaid meaning. So what surprises here is that rows are checked once more on the way out: whatever their
source, a row whose boxes do not fit its image is left out and counted. So are rows that a review has not accepted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rsvqa.annotation.errors import NothingUsableError
from rsvqa.annotation.facts import Box, in_pixels
from rsvqa.annotation.images import ImageError, read_header
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage, TableReader
from rsvqa.rsvqa_builder.dataset.kept import read_kept, require_known
from rsvqa.rsvqa_builder.dataset.output import check_export_folder
from rsvqa.rsvqa_builder.dataset.prompts import exchange_fault
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK, Record
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion, decode_question
from rsvqa.rsvqa_builder.dataset.shards import list_shards, split_of
from rsvqa.rsvqa_builder.exporting.formats import Exporter, ExportError, ExportTarget, choose
from rsvqa.rsvqa_builder.exporting.licences import LicenceList
from rsvqa.rsvqa_builder.files import whole_folder
from rsvqa.rsvqa_builder.shown import Part, ShownResult

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_WRITTEN_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_WRITTEN_SIZE = re.compile(r"(\d+)\s*[x×]\s*(\d+)")


class NothingToExportError(ExportError, NothingUsableError):
    """No question of a data set can be written in a format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult(ShownResult):
    """What an export wrote.

    Attributes:
        folder: of the export.
        num_records: questions in it; for "coco" those whose pictures are in it, for "coco-asked" those whose boxes are.
        num_images: different images in it.
        left_out: number of questions left out, by reason, most frequent first.
    """

    folder: str
    num_records: int
    num_images: int
    left_out: Mapping[str, int]

    def parts(self) -> Iterator[Part]:
        """Yield what was left out, then what was written."""
        yield from (f"left out: {count} x {reason}" for reason, count in self.left_out.items())
        yield f"{self.num_records} questions with {self.num_images} images in {self.folder}"

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def export_dataset(
    src: Path,
    out: Path,
    *,
    format: str,  # noqa: A002 - the word of the command line
    model: str | None = None,
    max_pixels: int | None = None,
    pictures: str = "whole",
    split: str | None = None,
    overwrite: bool = False,
    kept: Path | None = None,
) -> ExportResult:
    """Write the questions of the data set in `src` to the folder `out`, which appears when all is written.

    Holds one row group at a time.

    Args:
        src: a data set's folder.
        out: new or empty, or anything with `overwrite`.
        format: one of `FORMATS`; `docs/exports.md` says what each holds.
        model: for whose boxes the format is written, a family or a checkpoint's name; see `families.py`.
        max_pixels: pictures of more are reduced.
        pictures: which are shown: whole, parts or zoom, see `turns.PICTURE_CHOICES`.
        split: only this one.
        overwrite: replace what `out` holds.
        kept: selection of `rsvqa select`; questions of split train that it does not keep are left out.

    Raises:
        NothingToExportError: when no question can be exported.
        KeptError: when the selection is of other questions.
        ExportError: when the format is unknown, or does not have what is asked for.
        UnknownModelError: when it is not known how the model reads boxes.
        LabelsGoneError: when the format holds labels of the sources, and these are not there.
        OutputError: when `out` is in use or holds the data set itself.
        ShardError: when `src` has no whole set of shards.
    """
    open_exporter = choose(format, ExportTarget(model=model, max_pixels=max_pixels, pictures=pictures))
    shards = list_shards(src, split=split)
    selection = None if kept is None else _Selection(kept, src.resolve().name, read_kept(kept))
    out = out.resolve()
    tally = _Tally()
    licences = LicenceList()
    check_export_folder(src, out, overwrite=overwrite)
    with whole_folder(out, overwrite=overwrite) as working:
        with open_exporter(working) as exporter:
            for shard in shards:
                _export_shard(shard, exporter, tally, selection, licences)
        if not tally.num_records:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in tally.left_out.most_common())
            raise NothingToExportError(
                f"no question of {src} can be exported as {format!r}: {reasons or 'it has none'}"
            )
        licences.write(working, exporter.card())
    left_out = dict(tally.left_out.most_common())
    return ExportResult(folder=str(out), num_records=tally.num_records, num_images=len(tally.images), left_out=left_out)


@dataclass(slots=True)
class _Tally:
    """What was written and what was left out so far."""

    num_records: int = 0
    images: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)


class _Selection(NamedTuple):
    """A selection and the name that the data set has in it."""

    path: Path
    source: str
    kept: Mapping[str, bool]

    def fault(self, question: StoredQuestion, split: str) -> str | None:
        """Return why a question is left out; only those of split train were to be chosen from."""
        if split != "train":
            return None
        name = f"{self.source}/{question.record.question_id}"
        require_known(self.path, self.kept, [name])
        return None if self.kept[name] else "not kept by the selection"


def _export_shard(
    shard: Path, exporter: Exporter, tally: _Tally, selection: _Selection | None, licences: LicenceList
) -> None:
    exporter.begin_shard(shard)
    with TableReader(shard) as reader:
        for number in range(reader.info.num_row_groups):
            fit = []
            for row in reader.read_row_group(number):
                question = decode_question(row, split_of(shard))
                reason = defect(question) or exporter.unfit(question)
                if reason is None and selection is not None:
                    reason = selection.fault(question, split_of(shard))
                if reason:
                    tally.left_out[reason] += 1
                else:
                    fit.append(question)
            exporter.write(fit)
            licences.add(question.record.tile for question in fit)
            tally.num_records += len(fit)
            tally.images.update(image.path for question in fit for image in question.images)


# --- what no export may hold ---


def defect(question: StoredQuestion) -> str | None:
    """Return why a question may be in no export at all, or None when it may."""
    record = question.record
    if record.task not in TASKS:
        return "unknown task"
    if record.review in HELD_BACK:
        return HELD_BACK[record.review]
    if any(_size(image) != question.size for image in question.images):
        return "image broken or not of the row's size"
    if any(not _is_safe(image.path) for image in question.images):
        return "image name leads out of the folder"
    return exchange_fault(record) or _box_defect(record, *question.size)


def _size(image: EncodedImage) -> tuple[int, int] | None:
    try:
        header = read_header(image.data)
    except ImageError:
        return None
    return header.width, header.height


def _is_safe(path: str) -> bool:
    parts = PurePosixPath(path)
    return bool(path) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


def _box_defect(record: Record, width: int, height: int) -> str | None:
    box = record.bbox
    if box is not None and not _is_inside(box, 1, 1):
        return "box outside the image or not ordered"
    if record.form is AnswerForm.BOX:
        return None if box is not None and _written_boxes(record.answer) == [box] else "answer is not the row's box"
    written = _written_boxes(record.question)
    if any(not _is_inside(other, width, height) for other in written):
        return "written box outside the image or not ordered"
    if written and (str(width), str(height)) not in _WRITTEN_SIZE.findall(record.question):
        return "written box without the image's size"
    if box is not None and not any(_is_near(other, in_pixels(box, width, height)) for other in written):
        return "written box is not the row's box"
    return None


def _is_inside(box: Box, width: float, height: float) -> bool:
    return 0 <= box.x_min < box.x_max <= width and 0 <= box.y_min < box.y_max <= height and all(map(math.isfinite, box))


def _written_boxes(text: str) -> list[Box]:
    return [Box(*map(float, numbers)) for numbers in _WRITTEN_BOX.findall(text)]


def _is_near(written: Box, box: Box) -> bool:
    # a pixel for the rounding of the text, and one for that of the normalised box
    return all(abs(one - other) <= 2 for one, other in zip(written, box, strict=True))
