"""A review applied: what people accepted, fixed and rejected becomes a new data set of the same schema.

The result follows from the data set, the decisions and the settings alone, whatever order people worked in; the data
set that was reviewed is only read. Letters are not dealt anew: what a person has seen is what is written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import tomli_w

from rsvqa.annotation.review.agreement import Decision
from rsvqa.annotation.review.binding import Bound
from rsvqa.annotation.review.content import CONTENT, EditableContent
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.output import ANNOTATE_REPORT, MARKER, OutputFolder
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import encode_texts
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.dataset.stored_tiles import ImageLoader, StoredTile, read_tiles
from rsvqa.rsvqa_builder.documents.rewritten import AnnotatedDataset, marker_of, write_annotated_documents
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import AcceptedQuestions, read_drawn
from rsvqa.rsvqa_builder.reviewing.scene_views import TileViews
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, ReviewError, bind
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, data_set_fingerprint, store_path
from rsvqa.rsvqa_builder.reviewing.written_images import WrittenImages, WrittenView
from rsvqa.rsvqa_builder.reviewing.written_questions import WrittenRecords, written_records

REPORT = "review_report.json"
REPORT_VERSION = 1


class Undecided(StrEnum):
    """What becomes of questions without a decision."""

    KEEP = "keep"
    DROP_NEEDED = "drop-needed"
    """Only those go that were marked as needing a review."""
    DROP = "drop"


def parse_undecided(text: str) -> Undecided:
    """Return the choice that `text` names.

    Raises:
        ReviewError: when it names none.
    """
    if text not in [choice.value for choice in Undecided]:
        raise ReviewError(f"`undecided` {text}: expected {', '.join(Undecided)}")
    return Undecided(text)


def apply_review(
    src: Path,
    out: Path,
    *,
    store: Path | None = None,
    undecided: Undecided = Undecided.KEEP,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the reviewed data set to `out` and return its report; the folder is whole or as it was before.

    A question counts as decided when no more opinions are wanted on it. Accepted ones get `review` "accepted", changed
    ones "fixed" and `source` "human"; rejected ones are left out. What people wrote is there too. Tiles without any
    question left go to `tiles/`.

    Args:
        src: the data set that was reviewed.
        out: folder of the new one.
        store: file of the decisions; None for the one in `src`.
        undecided: what becomes of the rest.
        overwrite: replace another data set in `out`.

    Raises:
        ReviewError: when there is no review, or it is that of another data set.
        OutputError: when `out` cannot be used.
    """
    if src.resolve() in (out.resolve(), *out.resolve().parents):
        raise ReviewError(f"`out` {out} is the data set that was reviewed, or lies in it; choose another folder")
    decisions, bound = read_decisions(src, store)
    drawn, written = read_drawn(src, store), written_records(src, store)
    identity = _identity(src, decisions, undecided, (*drawn.records, *written.records))
    with OutputFolder(out) as output:
        output.finish_interrupted_move()
        if done := _finished_report(out, identity):
            return done
        output.begin({"settings": {"review": identity}, "versions": {}, "inputs": {}}, overwrite=overwrite)
        tiles = read_tiles(src)
        with closing(_WrittenLoader(src, tiles, written)) as images:
            report = _write(src, output, tiles, images, decisions, bound, undecided, identity, drawn, written)
        output.commit()
    return report


def read_decisions(src: Path, store: Path | None) -> tuple[dict[str, Decision], Bound]:
    """Return the decisions that stand on a data set as it is now, by question, and what became of the others.

    Raises:
        ReviewError: when there is no review, or it is that of another data set.
    """
    path, source = store_path(src, store), ReviewSource(src)
    if not path.exists():
        raise NothingToReviewError(f"no review in {path}: begin one with `rsvqa review`, or name its file with `store`")
    with ReviewStore(path) as opened:
        _, bound = bind(opened, source)
        if bound.gone and not (bound.kept or bound.changed):
            raise ReviewError(
                f"{path} holds the review of another data set than {src}: none of its {bound.gone:,} decided questions "
                "is there"
            )
        return opened.final_decisions(), bound


def _identity(
    src: Path, decisions: Mapping[str, Decision], undecided: Undecided, new: Sequence[Record]
) -> dict[str, Any]:
    """Return what tells the result from others; who decided and when leaves no trace."""
    digest = hashlib.sha256()
    for question_id, decision in sorted(decisions.items()):
        after = "" if decision.after is None else CONTENT.dump_json(decision.after).decode()
        digest.update(json.dumps([question_id, decision.verdict, after, _reason(decision)]).encode())
    for record in new:
        digest.update(json.dumps(encode_texts(record), sort_keys=True).encode())
    return {"of": data_set_fingerprint(src), "decisions": digest.hexdigest(), "undecided": undecided.value}


def _reason(decision: Decision) -> str:
    return decision.reason if decision.verdict == "rejected" else ""


def _finished_report(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    if not (out / MARKER).exists() or not (out / REPORT).exists():
        return None
    if tomllib.loads((out / MARKER).read_text("utf-8")).get("review") != identity:
        return None
    return dict(json.loads((out / REPORT).read_text("utf-8")))


def _write(
    src: Path,
    output: OutputFolder,
    tiles: Sequence[StoredTile],
    images: _WrittenLoader,
    decisions: Mapping[str, Decision],
    bound: Bound,
    undecided: Undecided,
    identity: Mapping[str, Any],
    drawn: AcceptedQuestions,
    written: WrittenRecords,
) -> dict[str, Any]:
    marker = tomllib.loads((src / MARKER).read_text("utf-8")) if (src / MARKER).exists() else {}
    marker["review"] = dict(identity)
    tally = _Tally()
    reviewed = (_reviewed(_with_new(tile.rows, written.records), decisions, undecided, tally) for tile in tiles)
    rows = tally.tiles(images.with_images(_with_new(rows, drawn.records)) for rows in reviewed)
    if not rows:
        reasons = "; ".join(lost_lines(tally.report(undecided)))
        raise NothingToReviewError(f"no question of {src} is left, and no tile: {reasons}; nothing is written")
    shards = plan_shards(rows, shard_mb=marker.get("settings", {}).get("shard_mb", 1_000))
    output.drop_unplanned({shard.name for shard in shards})
    infos = write_shards(output.ready, shards, load_images=images.all)
    report = tally.report(undecided)
    if drawn.records or drawn.outdated:
        report["drawn"] = {"questions": len(drawn.records), "outdated": list(drawn.outdated)}
    if written.records or written.undated:
        report["written"] = {"questions": len(written.records)}
    if written.undated:
        report["written"]["without_second_date"] = list(written.undated)
    if bound.changed:
        report["changed_since_decided"] = list(bound.changed)
    annotated = src / ANNOTATE_REPORT
    models = json.loads(annotated.read_text("utf-8")) if annotated.exists() else {}
    dataset = AnnotatedDataset(data=src, marker=marker, rows=tuple(rows), shards=infos, report=models, review=report)
    write_annotated_documents(output.ready, dataset, load_image=images.one)
    if models:
        shutil.copyfile(annotated, output.ready / ANNOTATE_REPORT)
    (output.ready / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (output.ready / MARKER).write_text(tomli_w.dumps(marker_of(marker, src, output.path)), encoding="utf-8")
    return report


class _WrittenLoader:
    """The images of stored tiles together with those that written questions show.

    What is made is made once for its size and again to be written: it follows from what is stored, and a data set's
    copies of large tiles fit no memory.
    """

    def __init__(self, src: Path, tiles: Sequence[StoredTile], written: WrittenRecords) -> None:
        self._stored, self._written = ImageLoader(tiles), written
        source = ReviewSource(src)
        self._tiles = {tile.tile.image_id: tile for tile in source.tiles}
        self._views = TileViews(src, source.tiles)
        self._images = WrittenImages(source, self._views)

    def close(self) -> None:
        """Let go of the scenes."""
        self._views.close()

    def with_images(self, rows: TileRows) -> TileRows:
        """Return a tile that knows all images that its questions show, and their second date."""
        shown = {key for record in rows.records for key in record.images}
        if not (wanted := self._wanted(rows.tile, shown - rows.tile.images.keys())):
            return rows
        tile = self._tiles[rows.tile.image_id]
        sizes = {key: len(data) for key, data in self._images.make(tile, wanted).items()}
        later = self._images.second_date(tile) if any(view.is_later for view in wanted) else None
        known = replace(
            rows.tile,
            images={**rows.tile.images, **sizes},
            later_date=rows.tile.later_date if later is None else later.date,
        )
        return TileRows(known, tuple(replace(record, tile=known) for record in rows.records))

    def _wanted(self, tile: TileRecord, keys: Set[str]) -> list[WrittenView]:
        return [view for view in self._written.views.get(tile.image_id, ()) if view.key in keys]

    def all(self, tile: TileRecord) -> Mapping[str, bytes]:
        """Return all images of a tile, by key."""
        stored = self._stored.all(tile)
        wanted = self._wanted(tile, tile.images.keys() - stored.keys())
        return {**stored, **self._images.make(self._tiles[tile.image_id], wanted)} if wanted else stored

    def one(self, tile: TileRecord, key: str) -> bytes:
        """Return one image of a tile."""
        wanted = self._wanted(tile, {key} - self._stored.all(tile).keys())
        return self._images.make(self._tiles[tile.image_id], wanted)[key] if wanted else self._stored.one(tile, key)


# --- records --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    """What became of the questions, by task."""

    fates: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    def count(self, record: Record, fate: str, reason: str = "") -> None:
        """Count one question."""
        self.fates.setdefault(record.task, Counter())[fate] += 1
        if fate == "rejected":
            self.reasons[reason] += 1

    def tiles(self, tiles: Iterable[TileRows]) -> list[TileRows]:
        """Return the tiles that can be written, and count them all.

        A tile is in the data set with the images that its questions show; when the last question about a marked copy
        goes, there may be no plain image left to show.
        """
        kept = []
        for rows in tiles:
            has_image = bool(rows.records) or "tile" in rows.tile.images
            self.places["with_questions" if rows.records else "without_questions" if has_image else "left_out"] += 1
            if has_image:
                kept.append(rows)
        return kept

    def report(self, undecided: Undecided) -> dict[str, Any]:
        """Return `review_report.json`."""
        return {
            "schema_version": REPORT_VERSION,
            "undecided": undecided.value,
            "questions": _fates(self.fates.values()),
            "tiles": {place: self.places[place] for place in ("with_questions", "without_questions", "left_out")},
            "rejected_reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
            "tasks": {task: _fates([self.fates[task]]) for task in TASKS if task in self.fates},
        }


FATES = ("accepted", "fixed", "rejected", "undecided", "dropped")
"""What becomes of a question; "undecided" ones stay as they were, "dropped" ones are undecided and left out."""


def _fates(counts: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = sum(counts, Counter())
    return {fate: total[fate] for fate in FATES}


def _reviewed(rows: TileRows, decisions: Mapping[str, Decision], undecided: Undecided, tally: _Tally) -> TileRows:
    """Return a tile with the records that stay."""
    kept = [_decided(record, decisions.get(record.question_id), undecided, tally) for record in rows.records]
    return TileRows(rows.tile, tuple(record for record in kept if record is not None))


def _with_new(rows: TileRows, new: Sequence[Record]) -> TileRows:
    """Return a tile with those of the new questions that are about it, after its own."""
    own = [replace(record, tile=rows.tile) for record in new if record.tile.image_id == rows.tile.image_id]
    return TileRows(rows.tile, (*rows.records, *own))


def _decided(record: Record, decision: Decision | None, undecided: Undecided, tally: _Tally) -> Record | None:
    """Return a record as it was decided; None when it is left out."""
    if decision is None:
        is_dropped = undecided is Undecided.DROP or (undecided is Undecided.DROP_NEEDED and record.review == "needed")
        is_dropped = is_dropped and record.review not in ("accepted", "fixed")  # decided in a review before this one
        tally.count(record, "dropped" if is_dropped else "undecided")
        return None if is_dropped else record
    tally.count(record, decision.verdict, decision.reason)
    if decision.after is None:
        return None
    if decision.verdict == "accepted":
        return replace(record, review="accepted")
    return replace(_with_content(record, decision.after), review="fixed", source="human")


def _with_content(record: Record, content: EditableContent) -> Record:
    return replace(record, question=content.question, options=content.options, answer=content.answer, bbox=content.bbox)


# --- what is printed ------------------------------------------------------------------------------------------------


def summary_lines(report: Mapping[str, Any], out: Path) -> Sequence[str]:
    """Return the report in a few lines, what was lost first."""
    counts = report["questions"]
    stay = counts["accepted"] + counts["fixed"] + counts["undecided"]
    drawn = report.get("drawn", {}).get("questions", 0)
    written = report.get("written", {}).get("questions", 0)
    kept = (
        f"{stay + drawn:,} questions in {out}: {counts['accepted']:,} accepted, {counts['fixed']:,} fixed, "
        f"{counts['undecided']:,} undecided"
    ) + (f", {drawn:,} from what was drawn" if drawn else "")
    kept += f"; people wrote {written:,} questions" if written else ""
    return [*lost_lines(report), kept]


def lost_lines(report: Mapping[str, Any]) -> Sequence[str]:
    """Return what is not in the new data set, and that nobody has decided anything."""
    counts = report["questions"]
    drawn = report.get("drawn", {"questions": 0, "outdated": []})
    new = drawn["questions"] + report.get("written", {"questions": 0})["questions"]
    has_decided = counts["accepted"] + counts["fixed"] + counts["rejected"] + new
    undated = report.get("written", {}).get("without_second_date", [])
    lines = [] if has_decided else ["nothing has been decided yet"]
    if outdated := drawn["outdated"]:
        lines.append(
            f"accepted, but what is drawn has changed since: {len(outdated):,} questions, e.g. {outdated[0]}; accept "
            "what the rules ask now"
        )
    if undated:
        lines.append(
            f"left out, since the scene of the second date that they are about is not at hand: {len(undated):,} "
            f"questions, e.g. {undated[0]}; bring the scene back to where the build found it"
        )
    lines += [f"rejected: {count:,} x {reason}" for reason, count in report["rejected_reasons"].items()]
    if changed := report.get("changed_since_decided"):
        lines.append(f"changed since the decision, so undecided: {len(changed):,}; review them again: {changed[0]} …")
    return [*lines, f"dropped: {counts['dropped']:,} x undecided"] if counts["dropped"] else lines
