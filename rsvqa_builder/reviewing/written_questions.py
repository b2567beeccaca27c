"""The questions that people wrote about a data set's tiles: beside its own in the review, and as records after it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rsvqa.annotation.authoring.writing_queue import StandingQuestion, standing_of
from rsvqa.annotation.review.content import ReviewQuestion
from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.looks import OtherScene
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.records import Record, Review, TileRecord
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path
from rsvqa.rsvqa_builder.reviewing.written_images import WrittenImages, WrittenView, views_of


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


class WrittenRecords(NamedTuple):
    """The written questions of a data set as records.

    Attributes:
        records: in the order of their ids.
        views: the images that they show beside those of the data set, by the tile's id.
        undated: ids of those whose second date is not the one at hand any more, or none is: they are left out.
    """

    records: tuple[Record, ...] = ()
    views: Mapping[str, tuple[WrittenView, ...]] = MappingProxyType({})
    undated: tuple[str, ...] = ()


def written_records(src: Path, store: Path | None) -> WrittenRecords:
    """Return the written questions on a data set's tiles.

    One that somebody would reject or change, while it is not settled who is right, needs a review: it is held back.
    """
    source = ReviewSource(src)
    with ReviewStore(store_path(src, store)) as opened:
        digests = source.image_digests(opened)
        if not (written := [one.question for one in read_written(opened, source, digests)]):
            return WrittenRecords()
        doubted = {decision.question_id for decision in opened.decisions() if decision.verdict in ("rejected", "fixed")}
    tiles = {tile.tile.image_id: tile for tile in source.tiles}
    records: list[Record] = []
    shown: dict[str, tuple[WrittenView, ...]] = {}
    undated: list[str] = []
    with closing(TileViews(src, source.tiles)) as views:
        images = WrittenImages(source, views)
        for question in sorted(written, key=lambda question: question.question_id):
            tile = tiles[_tile_of(question)]
            if not _has_its_dates(question, images.second_date(tile) if len(question.images) > 1 else None):
                undated.append(question.question_id)
                continue
            own = views_of(question)
            review: Review = "needed" if question.question_id in doubted else "none"
            records.append(_record(question, tile.tile, tuple(view.key for view in own), review))
            shown[tile.tile.image_id] = (*shown.get(tile.tile.image_id, ()), *own)
    return WrittenRecords(tuple(records), shown, tuple(undated))


def _has_its_dates(question: ReviewQuestion, later: OtherScene | None) -> bool:
    """Return whether a question shows the scene that its author saw; one of one date shows what is stored."""
    if len(question.images) == 1:
        return True
    stated = question.evidence["values"].get("later_scene")
    return later is not None and (later.scene, later.date) == (stated, question.dates[1])


def _tile_of(question: ReviewQuestion) -> str:
    return question.question_id.rpartition("/")[0]


def _record(question: ReviewQuestion, tile: TileRecord, images: tuple[str, ...], review: Review) -> Record:
    content = question.content
    return Record(
        question_id=question.question_id,
        tile=tile,
        task=question.task,
        language=question.language,
        question=content.question,
        images=images,
        options=content.options,
        answer=content.answer,
        bbox=content.bbox,
        evidence=question.evidence,
        source="human",
        review=review,
    )
