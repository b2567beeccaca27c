"""Language models at work on a finished data set: shards → items → passes → new shards of the same schema.

Restarting is the reply store's business: a job that is started again makes the same requests, finds the replies that
were paid for, and goes on where there is none. So the result is a pure function of data set, settings and replies.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from rsvqa.annotation.errors import NothingUsableError, RsvqaError
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.passes import Ask, ChatResult, Pass, run_pass
from rsvqa.annotation.llm.proposing_step import bare_tile
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, UnaskedFailure
from rsvqa.annotation.llm.translating_step import TranslatePass
from rsvqa.annotation.task_names import parse_task_names
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.annotating.items import (
    EVIDENCE_KEY,
    TileImages,
    is_open,
    item_of,
    knowledge_of,
    proposal_of,
    record_of,
)
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings
from rsvqa.rsvqa_builder.annotating.steps import passes_of, prompt_labels, version_passes
from rsvqa.rsvqa_builder.dataset.output import ANNOTATE_REPORT, MARKER, WORK, OutputFolder
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.shards import NoShardsError, TileRows, list_shards, plan_shards, write_shards
from rsvqa.rsvqa_builder.dataset.stored_tiles import ImageLoader, StoredTile, read_tiles
from rsvqa.rsvqa_builder.documents.rewritten import AnnotatedDataset, marker_of, write_annotated_documents
from rsvqa.rsvqa_builder.labels.classes import load_stored_tables
from rsvqa.rsvqa_builder.locks import FolderHeldError, FolderLock
from rsvqa.rsvqa_builder.losses import group_losses, loss_lines
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.reviewing.serve import decided_questions

REPORT = ANNOTATE_REPORT
REPORT_VERSION = 1


class AnnotateError(RsvqaError):
    """A data set cannot be annotated; the message says what to change."""


class NothingToAnnotateError(AnnotateError, NothingUsableError):
    """A folder holds no data set, a data set no question, or no tile is left after the models' verdicts."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a job ended with.

    Attributes:
        report: as it is written.
        was_complete: the job had been finished before.
        lost: sendings that may have been paid for though no reply arrived.
    """

    report: Mapping[str, Any]
    was_complete: bool = False
    lost: int = 0

    @property
    def content(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {"was_complete": self.was_complete, "lost": self.lost, **self.report}


@dataclass(frozen=True, slots=True)
class _Work:
    """One record with its item, or without one when models may not work on it."""

    record: Record
    item: QuestionItem | None


def annotate(
    settings: AnnotateSettings,
    data: Path,
    out: Path,
    *,
    ask: Ask,
    bill: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    overwrite: bool = False,
    retry_failed: bool = False,
    reporter: Reporter,
) -> Annotated:
    """Annotate the data set in `data` into `out`, which may be `data` itself.

    Nothing of `out` changes before the new data set is complete. Then its files are moved into place, `build.toml`
    last; a kill meanwhile is mended by the next start.

    Args:
        settings: decide every byte of the result, together with the replies.
        data: folder of a finished data set.
        out: folder of the new one.
        ask: of the client.
        bill: what the job has cost, for the report.
        overwrite: replace another data set in `out`.
        retry_failed: a job with refusals or unusable replies is not finished.
        reporter: hears of progress.

    Raises:
        NothingToAnnotateError: when `data` is no finished data set or has no question, or no tile is left.
        AnnotateError: when no request of a pass got through.
        OutputError: when `out` cannot be used.
    """
    is_in_place = out.resolve() == data.resolve()
    if not is_in_place:
        _read_marker(data)  # refused before a folder is made

    folder = OutputFolder(out, tell=partial(reporter.note, "waiting"))
    with nullcontext() if is_in_place else _kept_as_it_is(data), folder as output:
        output.finish_interrupted_move()
        marker = _read_marker(data)
        identity = _identity(settings, marker)
        before = _report_before(out, identity)
        if before is not None and not _is_left_to_ask(before, retry_failed=retry_failed):
            return Annotated(before, was_complete=True)
        if (out / MARKER).exists() and not (is_in_place or overwrite or before is not None):
            raise AnnotateError(f"{out} holds another data set: choose another `out`, or `overwrite` to replace it")
        if output.holds_tiles:
            raise AnnotateError(f"{out} holds an unfinished build: repeat `rsvqa build` to finish it first")
        _require_work(settings, data)
        if is_in_place:
            _require_undecided(settings, data)
        output.begin(
            {"settings": {"annotation": identity}, "versions": {}, "inputs": {}},
            overwrite=overwrite or is_in_place or before is not None,
        )
        report = _make(settings, data, output, ask, bill, {**marker, "annotation": identity}, reporter)
        output.commit()
    return Annotated(report)


@contextmanager
def _kept_as_it_is(data: Path) -> Iterator[None]:
    """Keep a data set from being replaced while it is read: images are read long after the questions."""
    lock = FolderLock(data, shared=True)
    try:
        lock.acquire()
    except FolderHeldError as holder:
        raise AnnotateError(f"{data} is being written by another job ({holder}): wait for it") from None
    try:
        yield
    finally:
        lock.release()


def require_dataset(settings: AnnotateSettings, data: Path) -> None:
    """Refuse what holds nothing to work on before anything is made; a data set whose move was interrupted passes.

    Raises:
        NothingToAnnotateError: there is nothing to annotate.
    """
    if not any((data / name).exists() for name in (MARKER, WORK)):
        _read_marker(data)
    if (data / MARKER).exists() and "annotation" not in _read_marker(data):
        _require_work(settings, data)


def _require_work(settings: AnnotateSettings, data: Path) -> None:
    """Refuse a data set without a question, or for proposals one without a tile that has none."""
    try:
        list_shards(data, kind="tiles" if settings.is_proposing else "data")
    except NoShardsError as error:
        hint = "every tile has questions" if settings.is_proposing else "a model proposes some with `steps` = propose"
        raise NothingToAnnotateError(f"{error}; {hint}") from error


def _require_undecided(settings: AnnotateSettings, data: Path) -> None:
    """Refuse to change questions on which people have decided, for their decisions would no longer be about them."""
    if settings.keep_decided or not (decided := decided_questions(data)):
        return
    records = (record for tile in read_tiles(data) for record in tile.rows.records)
    if touched := sorted(_chosen(settings, records) & decided):
        raise AnnotateError(
            f"{data}: people have decided on {len(touched):,} of the questions that models would change, {touched[0]} "
            "for one; write what they decided first (`rsvqa review apply`), or go on without these: `keep_decided`"
        )


def _read_marker(data: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((data / MARKER).read_text("utf-8"))
    except FileNotFoundError:
        raise NothingToAnnotateError(
            f"{data} holds no finished data set ({MARKER} is missing): build it first"
        ) from None
    except (OSError, ValueError) as error:
        raise AnnotateError(f"cannot read {data / MARKER}: {error}") from error


def _identity(settings: AnnotateSettings, marker: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells this annotation from others: its settings and prompts, and the data set it began from."""
    content = settings.model_dump(mode="json", exclude_none=True)
    if not settings.keep_decided:  # a job of before there was this setting is the same
        del content["keep_decided"]
    identity = {**content, "prompts": prompt_labels(settings), "of": marker.get("digest", "")}
    before = marker.get("annotation", {})
    if before:
        again = {**identity, **({"after": before["after"]} if "after" in before else {})}
        # the same annotation of its own result is finished, any other is one more on top
        if _digest(again) == before["digest"]:
            return {**again, "digest": before["digest"]}
        identity["after"] = before["digest"]
    return {**identity, "digest": _digest(identity)}


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


_UNASKED = "not_asked"
_FREE_FAILURES = frozenset({"unreachable", "rejected", "too_large", _UNASKED})
"""Kinds of failures that cost nothing: the next run asks again."""


def _is_left_to_ask(report: Mapping[str, Any], *, retry_failed: bool) -> bool:
    """Return whether a job that was written has requests that the next run asks again."""
    failed = report.get("failed_requests", {})
    return bool(failed) if retry_failed else any(kind in _FREE_FAILURES for kind in failed)


def _report_before(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the report of the same job in `out`; None when it has not been written."""
    if not (out / MARKER).exists():
        return None
    before = _read_marker(out).get("annotation", {})
    if before.get("digest") != identity["digest"]:
        return None
    try:
        return dict(json.loads((out / REPORT).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise AnnotateError(f"cannot read {out / REPORT} of a finished job: {error}") from error


def _make(
    settings: AnnotateSettings,
    data: Path,
    output: OutputFolder,
    ask: Ask,
    bill: Callable[[], Sequence[Mapping[str, Any]]],
    marker: Mapping[str, Any],
    reporter: Reporter,
) -> dict[str, Any]:
    tiles = read_tiles(data)
    works = _works(settings, data, tiles)
    items, notes, failed, unasked = _run_passes(settings, works, ask, reporter)
    if settings.is_proposing:
        items = [item for item in items if (tile_id := item.question_id.rpartition("/")[0]) and tile_id not in unasked]
        works = []
    works = [replace(work, item=None) if work.record.question_id in unasked else work for work in works]
    items = [item for item in items if not {item.question_id, item.original_id} & unasked]
    rows = _rows_with_proposals(tiles, items) if settings.is_proposing else _rows(tiles, works, items)
    if settings.is_proposing and not items:
        raise NothingToAnnotateError(f"{data}: nothing was proposed that can be asked; nothing is written")
    if not rows:
        reasons = "; ".join(loss_lines(group_losses(_rejected(items))))
        raise NothingToAnnotateError(f"{data}: no question is left, and no tile: {reasons}; nothing is written")
    shards = plan_shards(rows, shard_mb=marker.get("settings", {}).get("shard_mb", 1_000))
    output.drop_unplanned({shard.name for shard in shards})
    loader = ImageLoader(tiles)
    infos = write_shards(output.ready, shards, load_images=loader.all)
    report = make_report(settings, [work.record for work in works], items, notes, bill(), failed)
    if settings.is_proposing:
        num_before = sum(len(tile.rows.records) for tile in tiles)
        report["questions"] |= {"before": num_before, "not_open_to_models": num_before}
    if unfinished := {work.record.question_id for work in works} & unasked:
        report["unfinished"] = len(unfinished)
    dataset = AnnotatedDataset(data=data, marker=marker, rows=tuple(rows), shards=infos, report=report)
    write_annotated_documents(output.ready, dataset, load_image=loader.one)
    (output.ready / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (output.ready / MARKER).write_text(tomli_w.dumps(marker_of(marker, data, output.path)), encoding="utf-8")
    return report


def _rejected(items: Iterable[QuestionItem]) -> Iterator[tuple[str, str, int]]:
    return ((item.question_id, item.outcome.reasons[0], 1) for item in items if item.outcome.is_rejected)


def _works(settings: AnnotateSettings, data: Path, tiles: Sequence[StoredTile]) -> list[_Work]:
    """Return every record with its item, in the order of the tiles."""
    table_of = load_stored_tables(data / "classes.toml") if (data / "classes.toml").exists() else None
    images = TileImages()
    if settings.is_proposing:
        return [_bare_work(tile, images) for tile in _bare_tiles(settings, tiles)]
    chosen = _chosen(settings, (record for tile in tiles for record in tile.rows.records))
    chosen -= decided_questions(data) if settings.keep_decided else frozenset()
    works: list[_Work] = []
    for tile in tiles:
        classes = {} if table_of is None else table_of(tile.rows.tile.scene_source).infos()
        knowledge = knowledge_of(tile.rows.records, classes)
        items = {record.question_id: item_of(record, tile, images, knowledge) for record in tile.rows.records}
        works += [
            _Work(
                record,
                _with_original(items[record.question_id], record, items) if record.question_id in chosen else None,
            )
            for record in tile.rows.records
        ]
    return works


def _bare_tiles(settings: AnnotateSettings, tiles: Sequence[StoredTile]) -> list[StoredTile]:
    """Return the tiles without questions; a limit takes those whose hashes come first."""
    bare = [tile for tile in tiles if not tile.rows.records]
    first = sorted((tile.rows.tile.image_id for tile in bare), key=lambda name: hashlib.sha256(name.encode()).digest())
    chosen = frozenset(first[: settings.limit])
    return [tile for tile in bare if tile.rows.tile.image_id in chosen]


def _bare_work(stored: StoredTile, images: TileImages) -> _Work:
    tile = stored.rows.tile
    record = Record(
        question_id=tile.image_id, tile=tile, task="detailed_captioning", language="en", question="", images=("tile",)
    )
    view = images.view(stored, "tile")
    return _Work(record, bare_tile(tile.image_id, view, width=tile.window.width, height=tile.window.height))


def _rows_with_proposals(tiles: Sequence[StoredTile], items: Iterable[QuestionItem]) -> list[TileRows]:
    """Return all tiles, those without questions with what was proposed about them."""
    proposals: dict[str, list[QuestionItem]] = {}
    for item in items:
        proposals.setdefault(item.question_id.rpartition("/")[0], []).append(item)
    return [
        TileRows(
            tile.rows.tile,
            tile.rows.records
            or tuple(proposal_of(item, tile.rows.tile) for item in proposals.get(tile.rows.tile.image_id, ())),
        )
        for tile in tiles
    ]


def _chosen(settings: AnnotateSettings, records: Iterable[Record]) -> frozenset[str]:
    """Return the ids of the questions that models work on; a limit takes those whose hashes come first."""
    tasks = TASKS.keys() if settings.tasks is None else parse_task_names(settings.tasks)
    names = [
        record.question_id
        for record in records
        if is_open(record) and record.task in tasks and (settings.only is None or record.review == settings.only)
    ]
    names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(names[: settings.limit])


def _with_original(item: QuestionItem, record: Record, items: Mapping[str, QuestionItem]) -> QuestionItem:
    """Return a version of an earlier run with the question that it was made of; any other item as it is."""
    original = items.get(record.evidence.get(EVIDENCE_KEY, {}).get("translation_of", ""))
    return item if original is None else replace(item, original=original)


def _run_passes(
    settings: AnnotateSettings, works: Sequence[_Work], ask: Ask, reporter: Reporter
) -> tuple[list[QuestionItem], dict[str, Counter[str]], Counter[str], set[str]]:
    """Return what the items became, how often each pass came to what, failed requests by kind, and ids of unasked ones.

    A question of which one request was not asked is not finished, whatever the later passes make of it.
    """
    items = [work.item for work in works if work.item is not None]
    results: dict[str, Counter[str]] = {}
    failed: Counter[str] = Counter()
    unasked: set[str] = set()
    num_replies, last_failure = 0, ""
    for work in passes_of(settings, translated={work.record.question_id for work in works}):
        reporter.start(work.name, len(items))
        before = {item.question_id: len(item.outcome.notes) for item in items}
        heard = _Heard(ask)
        items = run_pass(work, items, heard.ask, advance=reporter.advance)
        heard.require_any_reply(work.name)
        failed.update(heard.failed)
        unasked |= heard.unasked
        num_replies, last_failure = num_replies + heard.num_replies, heard.last_failure or last_failure
        results[work.name] = Counter(
            note.result for item in items for note in item.outcome.notes[before.get(item.question_id, 0) :]
        )
    if failed and not num_replies:
        raise AnnotateError(
            f"no request got a usable reply, the last failed with: {last_failure}; "
            "nothing is written: mend it and start again"
        )
    return items, results, failed, unasked


class _Heard:
    """Listens to what becomes of one pass's requests; `failed` counts those that failed, by kind.

    A model that does not exist fails every request. Small data sets would otherwise be "annotated" by failures alone.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._is_reached = False
        self.last_failure = ""
        self.num_replies = 0
        self.failed: Counter[str] = Counter()
        self.unasked: set[str] = set()

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
        """Yield what becomes of the requests."""
        for outcome in self._ask(requests):
            if isinstance(outcome, ChatFailure):
                self.failed[_UNASKED if isinstance(outcome, UnaskedFailure) else outcome.kind] += 1
                self.last_failure = outcome.message
            if isinstance(outcome, UnaskedFailure):
                self.unasked.add(outcome.key.rsplit("/", 2)[0])
                self._is_reached = True
            self.num_replies += isinstance(outcome, ChatReply)
            self._is_reached |= isinstance(outcome, ChatReply) or outcome.kind not in ("rejected", "unreachable")
            yield outcome

    def require_any_reply(self, step: str) -> None:
        """Refuse to go on when no request of the pass got through.

        Raises:
            AnnotateError: with the last failure's message.
        """
        if self.last_failure and not self._is_reached:
            raise AnnotateError(
                f"every request of {step!r} failed, the last with: {self.last_failure}; "
                "nothing is written: mend it and start again"
            )


def _rows(tiles: Sequence[StoredTile], works: Sequence[_Work], items: Sequence[QuestionItem]) -> list[TileRows]:
    """Return the tiles with the records that stay; versions in another language follow their original."""
    versions: dict[str, list[QuestionItem]] = {}
    for item in items:
        versions.setdefault(item.original_id, []).append(item)
    by_tile: dict[str, list[Record]] = {tile.rows.tile.image_id: [] for tile in tiles}
    for work in works:
        found = versions.get(work.record.question_id, []) if work.item is not None else []
        kept = [record_of(item, work.record) for item in found if not item.outcome.is_rejected]
        by_tile[work.record.tile.image_id] += kept if work.item is not None else [work.record]
    rows = [_tile_with(tile, by_tile[tile.rows.tile.image_id]) for tile in tiles]
    # a tile that has lost its last question and was only ever shown with circles has no plain view to stay for
    return [entry for entry in rows if entry.records or "tile" in entry.tile.images]


def _tile_with(stored: StoredTile, records: Sequence[Record]) -> TileRows:
    tile = stored.rows.tile
    return TileRows(tile, tuple(replace(record, tile=tile) for record in records))


def planned_requests(settings: AnnotateSettings, data: Path) -> Iterator[ChatRequest]:
    """Yield the requests that a job would make of the data set as it stands, for an estimate of its cost.

    Every pass is shown the questions as they are now; second looks at what a pass would change are not counted.
    """
    _read_marker(data)
    _require_work(settings, data)
    tiles = read_tiles(data)
    works = _works(settings, data, tiles)
    for work in passes_of(settings, translated={entry.record.question_id for entry in works}):
        for entry in works:
            if entry.item is not None:
                yield from work.requests(entry.item)
                yield from _requests_of_version(settings, work, entry.item)


def _requests_of_version(settings: AnnotateSettings, work: Pass, item: QuestionItem) -> Iterator[ChatRequest]:
    """Yield what a version that `work` makes will cost to verify, as if it were as long as its original."""
    if isinstance(work, TranslatePass) and "verify" in settings.steps and work.requests(item):
        version = work.stand_in(item)
        for last in version_passes(settings):
            yield from last.requests(version)


# --- report -----------------------------------------------------------------------------------------------------------


def make_report(
    settings: AnnotateSettings,
    records: Sequence[Record],
    items: Sequence[QuestionItem],
    passes: Mapping[str, Counter[str]],
    bill: Sequence[Mapping[str, Any]],
    failed: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return `annotate_report.json`: where each question ended, why, and what it cost."""
    return {
        "schema_version": REPORT_VERSION,
        "settings": settings.model_dump(mode="json", exclude_none=True),
        "questions": {
            "before": len(records),
            "not_open_to_models": len(records) - len({item.original_id for item in items}),
            **_states(items),
        },
        "tasks": {name: _states([item for item in items if item.task == name]) for name in TASKS},
        "passes": {name: dict(sorted(counts.items(), key=lambda e: (-e[1], e[0]))) for name, counts in passes.items()},
        "review_reasons": _reasons(items, is_rejected=False),
        "rejected_reasons": _reasons(items, is_rejected=True),
        "rejected": [
            {"question_id": item.question_id, "task": item.task, "reason": item.outcome.reasons[0]}
            for item in items
            if item.outcome.is_rejected
        ],
        **({"failed_requests": dict(sorted(failed.items()))} if failed else {}),
        "bill": [dict(line) for line in bill],
    }


def _states(items: Sequence[QuestionItem]) -> dict[str, int]:
    counts = Counter(item.outcome.state.value for item in items)
    return {state: counts[state] for state in ("accepted", "review", "rejected")} | {
        "written_by_models": sum(item.source == "llm" for item in items if not item.outcome.is_rejected)
    }


def _reasons(items: Sequence[QuestionItem], *, is_rejected: bool) -> dict[str, int]:
    counts = Counter(
        reason for item in items if item.outcome.is_rejected == is_rejected for reason in item.outcome.reasons
    )
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
