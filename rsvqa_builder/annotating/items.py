"""Records as items of the language-model steps, and back: letters, pixels of boxes, evidence, knowledge of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rsvqa.annotation.facts import BOX_DECIMALS, Box, ClassInfo, as_shares, in_pixels
from rsvqa.annotation.images import ImageError, Pixels, decode_image
from rsvqa.annotation.lettering import lettered
from rsvqa.annotation.llm.items import QuestionItem, ShownImage, TileKnowledge
from rsvqa.annotation.llm.outcomes import QuestionOutcome, QuestionState
from rsvqa.annotation.llm.proposing_step import PROPOSED
from rsvqa.annotation.stored_evidence import decode_evidence, decode_mark, encode_evidence
from rsvqa.rsvqa_builder.dataset.records import Record, Review, TileRecord
from rsvqa.rsvqa_builder.dataset.stored_tiles import StoredTile

EVIDENCE_KEY = "annotation"
"""The key of what the steps have found out, in a record's evidence."""


def is_open(record: Record) -> bool:
    """Return whether models may work on a record: it is not for people alone.

    That is what a person has written or decided about, and what a model has proposed of which nothing is known.
    """
    is_proposal = record.evidence.get("rule") == PROPOSED
    return record.source != "human" and record.review in ("none", "needed") and not is_proposal


class TileImages:
    """Decodes the images of one tile at a time: questions about a tile follow one another."""

    def __init__(self) -> None:
        self._image_id = ""
        self._encoded: Mapping[str, bytes] = {}
        self._decoded: dict[str, Pixels] = {}
        self._views: dict[tuple[str, str], ShownImage] = {}

    def view(self, tile: StoredTile, key: str) -> ShownImage:
        """Return one image of a tile, decoded when it is asked for; the same object for all its questions."""
        image_id = tile.rows.tile.image_id
        return self._views.setdefault((image_id, key), ShownImage(f"{image_id}:{key}", lambda: self._load(tile, key)))

    def _load(self, tile: StoredTile, key: str) -> Pixels:
        if tile.rows.tile.image_id != self._image_id:
            self._image_id, self._encoded, self._decoded = tile.rows.tile.image_id, tile.load_images(), {}
        if key not in self._decoded:
            try:
                self._decoded[key] = decode_image(self._encoded[key])
            except ImageError as error:
                raise ImageError(f"{self._image_id}: image {key!r}: {error}") from error
        return self._decoded[key]


def item_of(record: Record, tile: StoredTile, images: TileImages, knowledge: TileKnowledge) -> QuestionItem:
    """Return a record as an item."""
    window, evidence = record.tile.window, dict(record.evidence)
    mark = decode_mark(evidence)
    return QuestionItem(
        question_id=record.question_id,
        task=record.task,
        form=record.form,
        language=record.language,
        text=record.question,
        options=record.option_texts,
        answer=record.answer,
        box=None if record.bbox is None else in_pixels(record.bbox, window.width, window.height),
        region=None if mark is None else mark.circle,
        region_number=None if mark is None else mark.number,
        evidence=decode_evidence(evidence),
        width=window.width,
        height=window.height,
        views=tuple(images.view(tile, key) for key in record.images),
        knowledge=knowledge,
        source=record.source,
        former=_former(evidence),
        outcome=_outcome_before(record),
    )


def _former(evidence: Mapping[str, Any]) -> dict[str, Any]:
    former = dict(evidence.get(EVIDENCE_KEY, {}).get("former", {}))
    if "options" in former:
        former["options"] = tuple(former["options"])
    return former


def _outcome_before(record: Record) -> QuestionOutcome:
    """Return what an earlier annotation found out."""
    before = record.evidence.get(EVIDENCE_KEY)
    if before is None:
        state = QuestionState.REVIEW if record.review == "needed" else QuestionState.ACCEPTED
        return QuestionOutcome(state=state, reasons=("marked for review before",) if record.review == "needed" else ())
    return QuestionOutcome.from_json(before)


def record_of(item: QuestionItem, record: Record) -> Record:
    """Return `record` with what the steps made of it; untouched when no step has said anything about it."""
    if not item.outcome.notes:
        return record
    annotation = item.outcome.to_json()
    if item.former:
        annotation["former"] = dict(item.former)
    if item.translation_of:
        annotation["translation_of"] = item.translation_of
    review: Review = "needed" if item.outcome.state is QuestionState.REVIEW else "none"
    return replace(
        record,
        question_id=item.question_id,
        language=item.language,
        question=item.text,
        options=lettered(item.options),
        answer=item.answer,
        evidence={**record.evidence, EVIDENCE_KEY: annotation},
        source="llm" if item.source == "llm" else "rule",  # also when a rule's wording was put back: no item is human's
        review=review,
    )


def proposal_of(item: QuestionItem, tile: TileRecord) -> Record:
    """Return a proposal about a tile without questions as a record."""
    box = None if item.box is None else as_shares(item.box, tile.window.width, tile.window.height)
    return Record(
        question_id=item.question_id,
        tile=tile,
        task=item.task,
        language=item.language,
        question=item.text,
        images=("tile",),
        options=lettered(item.options),
        answer=item.answer,
        bbox=None if box is None else Box(*(round(side, BOX_DECIMALS) for side in box)),
        evidence={**encode_evidence(item.evidence, None), EVIDENCE_KEY: item.outcome.to_json()},
        source="llm",
        review="needed",
    )


def knowledge_of(records: Sequence[Record], classes: Mapping[str, ClassInfo]) -> TileKnowledge:
    """Return what the evidence of a tile's questions says of the tile as a whole."""
    counts: dict[str, int] = {}
    present: set[str] = set()
    absent: set[str] = set()
    colours: dict[str, set[str]] = {}
    for record in records:
        rule, values = record.evidence.get("rule"), record.evidence.get("values", {})
        overall = values.get("overall", {})
        if rule == "count_whole":
            counts[values["class"]] = values["count"]
        counts.update({name: count for name, count in overall.get("counts", {}).items() if count is not None})
        present.update(overall.get("counts", {}), overall.get("shares", {}), values.get("shares", {}))
        absent.update(values.get("absent", ()))
        if rule == "fully_labelled_without_member":
            absent.add(values["class"])
        elif rule == "labelled_and_visible":
            present.add(values["class"])
        if "colour" in values and "class" in values:
            colours.setdefault(values["class"], set()).add(values["colour"])
    return TileKnowledge(
        counts=counts,
        present=frozenset(present),
        absent=frozenset(absent),
        colours={name: frozenset(found) for name, found in colours.items()},
        nouns={name: (info.singular, info.plural) for name, info in classes.items()},
    )
