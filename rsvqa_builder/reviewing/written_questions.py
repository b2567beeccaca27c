"""The questions that people wrote about a data set's tiles: beside its own in the review, and as records after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rsvqa.annotation.authoring.writing_queue import StandingQuestion, standing_of
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.records import Record, Review, TileRecord
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path


def read_written(store: ReviewStore, source: ReviewSource, digests: Mapping[str, str]) -> tuple[StandingQuestion, ...]:
    """Return the written questions that stand on tiles of a data set, in the order of their last changes.

    One that the data set holds already, since it was written into it, is left out, and so is one that two people wrote
    word for word.
    """
    if not (standing := DrawnStore(store).read_all("written")):
        return ()
    tiles = DrawnTiles(source, digests)
    known = tiles.tiles
    found = [standing_of(thing, known[key]) for key in standing.keys() & known.keys() for thing in standing[key].things]
    wanted = {one.question.question_id: one for one in sorted(found, reverse=True)}
    if wanted:
        for question in source.questions():
            wanted.pop(question.question_id, None)
    return tuple(sorted(wanted.values()))


def written_records(src: Path, store: Path | None) -> tuple[Record, ...]:
    """Return the written questions on a data set's tiles as records, in the order of their ids.

    One that somebody would reject or change, while it is not settled who is right, needs a review: it is held back.
    """
    source = ReviewSource(src)
    with ReviewStore(store_path(src, store)) as opened:
        digests = source.image_digests(opened)
        if not (written := [one.question for one in read_written(opened, source, digests)]):
            return ()
        doubted = {decision.question_id for decision in opened.decisions() if decision.verdict in ("rejected", "fixed")}
    tiles = {tile.tile.image_id: tile.tile for tile in source.tiles}
    return tuple(
        _record(question, tiles[_tile_of(question)], "needed" if question.question_id in doubted else "none")
        for question in sorted(written, key=lambda question: question.question_id)
    )


def _tile_of(question: ReviewQuestion) -> str:
    return question.question_id.rpartition("/")[0]


def _record(question: ReviewQuestion, tile: TileRecord, review: Review) -> Record:
    content = question.content
    return Record(
        question_id=question.question_id,
        tile=tile,
        task=question.task,
        language=question.language,
        question=content.question,
        images=("tile",),
        options=content.options,
        answer=content.answer,
        bbox=content.bbox,
        evidence=question.evidence,
        source="human",
        review=review,
    )
