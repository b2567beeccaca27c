"""The review of a data set on disk: where its store is, its queue, and the server that shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from rsvqa.annotation.authoring.writing_queue import enter
from rsvqa.annotation.errors import NothingUsableError, RsvqaError
from rsvqa.annotation.review.access import Access, is_loopback
from rsvqa.annotation.review.binding import Bound
from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.people import People
from rsvqa.annotation.review.pictures import PicturePlace, picture_key
from rsvqa.annotation.review.queue import QueueSettings, plan_queue
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.files import write_atomically
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles
from rsvqa.rsvqa_builder.reviewing.images import CACHE_BYTES, ShardPictures
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.settings import ServerSettings
from rsvqa.rsvqa_builder.reviewing.source import STORE, ReviewSource, data_set_fingerprint, store_path
from rsvqa.rsvqa_builder.reviewing.written_images import WrittenImages
from rsvqa.rsvqa_builder.reviewing.written_questions import read_written

GUIDELINES = "guidelines.md"
"""What people are to heed, in the data set's folder: for all tasks at the top, per task below its name as a heading."""
STORES = "review_stores.txt"
"""Names the stores that a data set has elsewhere, one path per line, so that nobody changes what is decided there."""
_SLASHES_OF_A_HOST = 3  # of http://host:port/
MAX_LISTED = 10
"""Ids of changed questions that are printed; the report of an applied review has all."""


class ReviewError(RsvqaError):
    """A review cannot be opened, applied or exchanged; the message says what to change."""


class NothingToReviewError(ReviewError, NothingUsableError):
    """There is no question to review or to exchange, or no tile is left after the review."""


def announce(url: str, server: ServerSettings) -> None:
    """Print the address to stdout, and to stderr what an address beyond loopback opens."""
    print(url, flush=True)
    if url.count("/") == _SLASHES_OF_A_HOST:
        print("each person opens the link that `rsvqa review people` printed for him", file=sys.stderr)
    if not is_loopback(server.host):
        print(
            f"open to the network on {server.host}: whoever has this address and the password sees all images and "
            "questions of the data set and decides on them. Traffic is not encrypted; prefer an SSH tunnel "
            "(ssh -L) to a server on 127.0.0.1",
            file=sys.stderr,
        )
    print("Ctrl-C stops the server; every decision shown as saved is on disk", file=sys.stderr)


def read_guidelines(folder: Path) -> str:
    """Return the Markdown that stands beside the questions; empty where a data set has none.

    Raises:
        ReviewError: the file is no text.
    """
    path = folder / GUIDELINES
    try:
        return path.read_text("utf-8") if path.exists() else ""
    except UnicodeDecodeError as error:
        raise ReviewError(f"{path}: expected Markdown in UTF-8, found byte {error.object[error.start]:#x}") from error


def bind(store: ReviewStore, source: ReviewSource) -> tuple[Mapping[str, str], Bound]:
    """Hold a store against a data set as it is now; return the digests of its images, and what became of decisions."""
    digests = source.image_digests(store)
    written = (one.question for one in read_written(store, source, digests))
    return digests, store.bind(data_set_fingerprint(source.folder), chain(source.questions(digests), written))


def note_store(folder: Path, store: Path | None) -> None:
    """Write into a data set's folder where else its decisions are kept; a folder that cannot be written is told."""
    if store is None or store.resolve() == (folder / STORE).resolve():
        return
    path, known = str(store.resolve()), _stores_elsewhere(folder)
    if path in known:
        return
    try:
        write_atomically(folder / STORES, "".join(f"{line}\n" for line in (*known, path)).encode())
    except OSError as error:
        print(
            f"cannot note in {folder} that decisions on it are in {store} ({error.strerror}): models that "
            "work on it in place will not know of them",
            file=sys.stderr,
        )


def _stores_elsewhere(folder: Path) -> tuple[str, ...]:
    path = folder / STORES
    return tuple(path.read_text("utf-8").splitlines()) if path.exists() else ()


def decided_questions(folder: Path) -> frozenset[str]:
    """Return the ids of the questions of a data set, as it is now, on which somebody has decided in a review of it.

    Raises:
        ReviewError: a store that the data set has elsewhere is not there.
    """
    stores = [folder / STORE] if (folder / STORE).exists() else []
    for path in map(Path, _stores_elsewhere(folder)):
        if not path.exists():
            raise ReviewError(
                f"{folder} is reviewed with {path}, which is not there, so nobody knows which questions are decided: "
                f"bring it back, or remove its line from {folder / STORES}"
            )
        stores.append(path)
    return frozenset(question_id for path in stores for question_id in _decided_in(path, folder))


def _decided_in(path: Path, folder: Path) -> Iterator[str]:
    with ReviewStore(path) as store:
        bind(store, ReviewSource(folder))
        yield from (decision.question_id for decision in store.decisions() if decision.verdict != "skipped")


def bound_lines(bound: Bound) -> Iterator[str]:
    """Yield what became of decisions that were made on an earlier state of the data set; nothing where all stand."""
    if bound.changed:
        shown = ", ".join(bound.changed[:MAX_LISTED])
        rest = f" and {len(bound.changed) - MAX_LISTED:,} more" if len(bound.changed) > MAX_LISTED else ""
        verb = "question has" if len(bound.changed) == 1 else "questions have"
        yield f"{len(bound.changed):,} {verb} changed since the decision and come to review again: {shown}{rest}"
    if bound.gone:
        yield f"{bound.gone:,} decided questions are not in the data set any more; their decisions are kept"
    if bound.changed or bound.gone:
        yield f"{bound.kept:,} decided questions are as they were: their decisions stand"


def _lost_drawings(store: DrawnStore, drawings: DrawnTiles) -> Iterator[str]:
    """Yield that there is something drawn on tiles that the data set does not hold as they were."""
    if lost := store.read_all().keys() - drawings.tiles.keys():
        yield (
            f"{len(lost):,} tiles that somebody has drawn on are not in the data set as they were, or show another "
            "image; what is drawn on them is kept"
        )


class OpenReview(NamedTuple):
    """A review at work: its decisions, its images, the tiles that people may draw on, and the scenes behind them.

    `places` says of which tile each image is, by the image's key.
    """

    store: ReviewStore
    pictures: ShardPictures
    drawings: DrawnTiles
    views: TileViews
    places: Mapping[str, PicturePlace]


@contextmanager
def open_review(
    folder: Path, queue: QueueSettings, *, store: Path | None = None, cache_bytes: int = CACHE_BYTES
) -> Iterator[OpenReview]:
    """Yield the store of a data set's review, its queue filled, the pictures of its questions, and its tiles.

    Args:
        folder: of the data set.
        queue: what is reviewed.
        store: file of the decisions; None for the one in the data set's folder.
        cache_bytes: of encoded tiles kept in memory.

    Raises:
        NothingToReviewError: when no question is to be reviewed, and no tile can be drawn on; no store is then made.
        ShardError: when the folder has no whole set of shards.
        StoreError: when the store cannot be used.
    """
    source, path = ReviewSource(folder), store_path(folder, store)
    nothing = f"nothing to review in {folder}: no question needs it; raise `sample` for some of the rest"
    can_draw = bool(source.tiles)  # and write
    if not path.exists() and not can_draw and next(plan_queue(source.questions(), queue), None) is None:
        raise NothingToReviewError(nothing)
    note_store(folder, store)
    with ReviewStore(path) as opened:
        digests, bound = bind(opened, source)
        for line in bound_lines(bound):
            print(line, file=sys.stderr)
        opened.fill(plan_queue(source.questions(digests), queue), blind=queue.blind, gold=queue.gold, seed=queue.seed)
        enter(opened, read_written(opened, source, digests))
        if not opened.num_queued():
            if not can_draw:
                raise NothingToReviewError(nothing)
            if any(tile.num_questions for tile in source.tiles):
                print(f"{nothing}. The page opens to draw objects and to write questions", file=sys.stderr)
        views = TileViews(folder, source.tiles)
        drawings = DrawnTiles(source, digests, views)
        for line in _lost_drawings(DrawnStore(opened), drawings):
            print(line, file=sys.stderr)
        images = WrittenImages(source, views)
        names = (*source.image_names, *images.later_names)
        pictures = ShardPictures(names, images.load, cache_bytes=cache_bytes)
        places = {picture_key(name): place for name, place in {**source.image_places, **images.later_places}.items()}
        try:
            yield OpenReview(opened, pictures, drawings, views, places)
        finally:
            pictures.close()
            views.close()


def serve_review(
    folder: Path,
    queue: QueueSettings,
    server: ServerSettings,
    *,
    store: Path | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve the review of a data set until SIGINT or SIGTERM.

    Args:
        folder: of the data set.
        queue: what is reviewed.
        server: how it is served.
        store: file of the decisions; None for the one in the data set's folder.
        announce: is told the address, which holds the token, when it can be opened.

    Raises:
        AccessError: when the server may not or cannot listen there.
        ReviewError: see `open_review`.
    """
    from rsvqa.annotation.authoring.parts import authoring_parts
    from rsvqa.annotation.review.running import open_socket, serve
    from rsvqa.annotation.review.server import create_app

    Access(host=server.host, port=0, password=server.password)  # refused before anything is read
    with open_review(folder, queue, store=store, cache_bytes=server.cache_mb * 1_000_000) as review:
        listening = open_socket(server.host, server.port)
        people = People(review.store.database)
        access = Access(
            host=server.host,
            port=listening.getsockname()[1],
            password=server.password,
            people=people if people.all() else None,
        )
        app = create_app(
            review.store,
            review.pictures,
            name=folder.resolve().name,
            guidelines=read_guidelines(folder),
            drawings=review.drawings,
            views=review.views,
            places=review.places,
            parts=authoring_parts(review.store, review.drawings),
        )
        serve(app, access, listening, announce=announce)
