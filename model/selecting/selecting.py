"""`rsvqa select`: data sets, a target and a trained run → which questions to keep, a report and a page.

Rows are computed once per question and kept in a folder beside the selection. So a run that was stopped goes on where
it was, several processes share the row groups, and another share or another way to aggregate costs seconds.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from rsvqa.annotation.images import ImageError
from rsvqa.model.checkpoints import StartingPoint
from rsvqa.model.data import SampleList, TrainingDataError, TrainingSample, list_samples, select_samples
from rsvqa.model.selecting.gradients import SampleReader, SampleRow, load_adapted
from rsvqa.model.selecting.ranking import Scored, Scorer, choose, rank
from rsvqa.model.selecting.rows import RowStore
from rsvqa.model.selecting.selection_page import write_selection_page
from rsvqa.model.selecting.selection_report import RankedCandidates, RankedSample, make_report
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training import ADAPTERS, count_tokens, train
from rsvqa.model.training_settings import ModelPart, TrainingSettings
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader
from rsvqa.rsvqa_builder.dataset.kept import write_kept
from rsvqa.rsvqa_builder.dataset.rows import Column
from rsvqa.rsvqa_builder.dataset.shards import NoShardsError
from rsvqa.rsvqa_builder.files import hash_folder, write_atomically
from rsvqa.rsvqa_builder.progress import QuietReporter, Reporter, SilentReporter
from rsvqa.rsvqa_builder.tiles.bucket_copy import near_copy
from rsvqa.rsvqa_builder.tiles.dedup import (
    ExcludedImages,
    ImagePrint,
    decode_for_look,
    file_digest,
    find_excluded,
    look_of,
    read_excluded,
)

WARM_UP_RATE = 1e-4
"""Learning rate of adapters in a warm-up; a usual one, not tuned."""
_ROW_BYTES = 2
_TIMED = 4
"""Questions that a dry run takes the time of."""
_BLOCK = 4096
"""Candidates whose rows are in memory at a time."""
_BENCHMARKS = (
    "xlrs",
    "lrs-vqa",
    "lrs_vqa",
    "mme-realworld",
    "mme_realworld",
    "vrsbench",
    "geobench",
    "omniearth",
    "lrs-gro",
)
"""Names of benchmarks, as they occur in those of sources and scenes."""


class _Questions(NamedTuple):
    """Questions whose rows are needed, and those that are left out, by reason."""

    samples: tuple[TrainingSample, ...]
    left_out: Mapping[str, Sequence[str]]


def select(
    settings: SelectionSettings, out: Path, *, dry_run: bool = False, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Rank the candidates, write the selection and its report, and return the report.

    Args:
        settings: of the selection.
        out: Parquet file to write; report, page and work lie beside it.
        dry_run: only count passes, time and disk, from a few questions.
        reporter: hears of progress.

    Raises:
        TrainingError: the model is no run with trained adapters.
        TrainingDataError: candidates or target hold no question, or the target is a benchmark.
    """
    reporter = reporter or QuietReporter()
    world = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if not world.is_main_process:
        reporter = SilentReporter()  # one process speaks
    work = out.with_name(f"{out.name}.work")
    with world.local_main_process_first():
        near = _near(settings, work / "data", reporter)
    folders, target_folders = near.folders
    listed = list_samples(folders, split="train")
    target_listed = _target_samples(target_folders)
    _refuse_benchmarks(settings, target_listed)
    if dry_run and settings.warm_up:
        raise TrainingError(
            "`dry_run` trains nothing, so there are no adapters to time: leave `warm_up` away, or run it"
        )
    folder = _warmed_up(near, work, reporter) if settings.warm_up else settings.model
    start = load_adapted(folder)
    candidates = _fitting(listed, settings, start)
    target = _fitting(_draw(target_listed, settings), settings, start)
    reader = SampleReader(
        start, measure=settings.by, dimensions=settings.dimensions, deals=settings.deals, seed=settings.seed
    )
    store = RowStore(work / "rows", _key_of_rows(settings, folder))
    groups = [*_groups(candidates.samples), *_groups(target.samples)]
    if dry_run:
        missing = [group for group in groups if not store.has(group)]
        return _estimate(missing, candidates, target, reader, settings)
    # dealt before any is looked for: processes that begin at different times would find different ones missing
    own = groups[world.process_index :: world.num_processes]
    _compute([group for group in own if not store.has(group)], store, reader, reporter)
    world.wait_for_everyone()
    if not world.is_main_process:
        return {}
    selection = _rank_all(candidates, target, listed, store, settings)
    report = make_report(selection, settings, folder=folder)
    write_kept(out, selection.table(), about={"rsvqa.selection": json.dumps(settings.model_dump(mode="json"))})
    write_atomically(out.with_suffix(".json"), (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    write_selection_page(out.with_suffix(".html"), selection, report)
    return report


def _near(settings: SelectionSettings, folder: Path, reporter: Reporter) -> SelectionSettings:
    """Return the settings with data sets of object storages copied to this machine."""
    places = {
        name: tuple(str(near_copy(one, folder, reporter=reporter)) for one in getattr(settings, name))
        for name in ("data", "target")
    }
    return settings.model_copy(update=places)


# --- what is compared with what ---


def _target_samples(folders: Sequence[Path]) -> list[TrainingSample]:
    """Return the questions of the split val of each data set, or of train where it has none; never those of test."""
    found: list[TrainingSample] = []
    for folder in folders:
        for split in ("val", "train"):
            try:
                found += list_samples([folder], split=split)
            except NoShardsError:
                continue
            break
    if not found:
        names = ", ".join(map(str, folders))
        raise TrainingDataError(
            f"`target` {names}: no question in the splits val and train; the split test is not used"
        )
    return found


def _fitting(samples: Sequence[TrainingSample], settings: SelectionSettings, start: StartingPoint) -> _Questions:
    base = start._replace(model=start.model.get_base_model())
    found: SampleList = select_samples(
        samples,
        tasks=settings.task_names,
        max_length=settings.max_length,
        count_tokens=partial(count_tokens, checkpoint=base),
    )
    return _Questions(found.samples, found.left_out)


def _draw(samples: Sequence[TrainingSample], settings: SelectionSettings) -> list[TrainingSample]:
    """Return at most so many questions per task, drawn by the seed; in reading order."""
    most = settings.target_questions
    chosen: set[str] = set()
    for task in dict.fromkeys(sample.task for sample in samples):
        own = sorted(sample.name for sample in samples if sample.task == task)
        if most and len(own) > most:
            own = random.Random(f"{settings.seed}:{task}").sample(own, most)
        chosen.update(own)
    return [sample for sample in samples if sample.name in chosen]


def _refuse_benchmarks(settings: SelectionSettings, target: Sequence[TrainingSample]) -> None:
    """Refuse a target that is a benchmark, by names and by images: to select by it is to train on the test.

    Raises:
        TrainingDataError: says which.
    """
    for sample in target:
        tile = sample.record.tile
        said = f"{sample.source} {tile.scene_source or ''} {tile.scene}".casefold()
        if found := next((name for name in _BENCHMARKS if name in said), None):
            raise TrainingDataError(
                f"`target`: question {sample.name} is of the scene {tile.scene!r}, which the benchmark {found} names: "
                "a selection must not look at what the model is scored on; take other questions of the same kind"
            )
    if not settings.benchmarks:
        return
    known = read_excluded(settings.benchmarks)
    for group in _groups(target):
        _refuse_images(group, known)


def _refuse_images(group: Sequence[TrainingSample], known: ExcludedImages) -> None:
    with TableReader(group[0].group.path) as table:
        rows = table.read_row_group(group[0].group.number, [Column.IMAGE])
    for sample in group:
        prints = []
        for image in rows[sample.row][Column.IMAGE]:
            try:
                prints.append(ImagePrint(encoded=file_digest(image.data), look=look_of(decode_for_look(image.data))))
            except ImageError:
                continue  # it is reported when its row is computed
        if found := find_excluded([prints], known):
            raise TrainingDataError(
                f"`target`: question {sample.name} shows an image of a benchmark, {found[0].image}: a selection must "
                "not look at what the model is scored on; leave it out of the target"
            )


def _groups(samples: Sequence[TrainingSample]) -> list[list[TrainingSample]]:
    """Return the samples by row group: what is read, and decoded, once."""
    return [list(own) for _, own in groupby(samples, key=lambda sample: sample.group)]


# --- rows ---


def _warmed_up(settings: SelectionSettings, work: Path, reporter: Reporter) -> str:
    """Return the folder of a run that trains adapters on a share of the candidates; it is made once."""
    if (Path(settings.model) / ADAPTERS).is_dir():
        raise TrainingError(f"{settings.model} has trained adapters already; leave `warm_up` away")
    out = work / "warm_up"
    if not (out / ADAPTERS).is_dir():
        run = TrainingSettings(
            data=settings.data,
            init=settings.model,
            epochs=settings.warm_up,
            lora_rank=settings.lora_rank,
            lr_llm=WARM_UP_RATE,
            warmup=0.0,  # a rate that rises is 0 in the first step, which may be the only one
            freeze=(ModelPart.TOWER, ModelPart.PROJECTOR),
            tasks=settings.tasks,
            max_length=settings.max_length,
            max_grid="checkpoint",
            deal_again=True,
            eval_questions=0,
            seed=settings.seed,
        )
        train(run, out, resume=True, reporter=reporter)
    return str(out)


def _key_of_rows(settings: SelectionSettings, folder: str) -> str:
    """Return a digest of all that a row follows from, beside its question."""
    bearing: dict[str, Any] = {
        "by": settings.by,
        "deals": settings.deals,
        "seed": settings.seed,
        "dimensions": settings.dimensions,
    }
    if settings.by not in ("influence", "similarity", "loss"):
        bearing = {"by": "tokens", "deals": 1, "seed": 0, "dimensions": 0}
    run = Path(folder)
    # reports and selections that lie beside the weights are no part of the model
    content = [bearing, hash_folder(run, (".safetensors", ".jinja")), hash_folder(run / ADAPTERS)]
    content += [
        (run / name).read_text()
        for name in ("config.json", "processor_config.json", "tokenizer.json")
        if (run / name).is_file()
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _compute(
    groups: Sequence[Sequence[TrainingSample]], store: RowStore, reader: SampleReader, reporter: Reporter
) -> None:
    reporter.start("questions", sum(map(len, groups)))
    for group in groups:
        store.write(group, list(reader.read(group)))
        for _ in group:
            reporter.advance()


def _estimate(
    missing: Sequence[Sequence[TrainingSample]],
    candidates: _Questions,
    target: _Questions,
    reader: SampleReader,
    settings: SelectionSettings,
) -> dict[str, Any]:
    """Return what a run costs: passes counted, seconds from a timed handful, disk."""
    timed = [sample for group in missing for sample in group][:_TIMED]
    start = time.perf_counter()
    for group in _groups(timed):
        list(reader.read(group))
    seconds = time.perf_counter() - start
    num_missing = sum(map(len, missing))
    width = {"influence": 2 * settings.dimensions}.get(settings.by, 0)
    return {
        "num_candidates": len(candidates.samples),
        "num_target": len(target.samples),
        "num_missing": num_missing,
        "num_passes": num_missing * settings.deals,
        "num_adapter_weights": reader.num_adapter_weights,
        "seconds": round(seconds / len(timed) * num_missing, 1) if timed else 0.0,
        "num_timed": len(timed),
        "disk_mb": round(num_missing * width * _ROW_BYTES / 1e6, 1),
    }


# --- ranks ---


def _rank_all(
    candidates: _Questions,
    target: _Questions,
    listed: Sequence[TrainingSample],
    store: RowStore,
    settings: SelectionSettings,
) -> RankedCandidates:
    """Return all candidates with scores, ranks and what is kept."""
    wanted = [
        (sample, row)
        for group in _groups(target.samples)
        for sample, row in zip(group, store.read(group), strict=True)
        if not row.fault
    ]
    if not wanted:
        raise TrainingDataError("no question of the target has a finite gradient, so nothing can be compared with it")
    scorer = Scorer(
        [row for _, row in wanted],
        [sample.task for sample, _ in wanted],
        measure=settings.by,
        by_task=settings.aggregate == "task-mean-max",
        seed=settings.seed,
    )
    scored: list[tuple[TrainingSample, SampleRow, Scored]] = []
    faults: dict[str, str] = {}
    for samples, rows in _blocks(candidates.samples, store):
        whole = [(sample, row) for sample, row in zip(samples, rows, strict=True) if not row.fault]
        faults |= {sample.name: row.fault for sample, row in zip(samples, rows, strict=True) if row.fault}
        scores = scorer.score([row for _, row in whole])
        # the rows themselves are not kept
        scored += [
            (sample, SampleRow(name=row.name, rows=None, norm=row.norm, loss=row.loss, num_tokens=row.num_tokens), one)
            for (sample, row), one in zip(whole, scores, strict=True)
        ]
    if not scored:
        raise TrainingDataError(
            f"no candidate has a score, of {len(candidates.samples):,}: {next(iter(faults.values()))}"
        )
    names = [sample.name for sample, _, _ in scored]
    order = rank(names, [one.score for _, _, one in scored])
    tasks = [sample.task for sample, _, _ in scored]
    kept = choose(order, tasks, share=settings.keep, per_task=settings.per_task)
    flipped: set[int] | None = None
    if scored and scored[0][2].again is not None:
        second = rank(names, [one.again or 0.0 for _, _, one in scored])
        flipped = kept ^ choose(second, tasks, share=settings.keep, per_task=settings.per_task)
    ranked = [
        RankedSample(
            sample=scored[place][0],
            row=scored[place][1],
            scored=scored[place][2],
            rank=number,
            kept=place in kept,
            decided_by=wanted[scored[place][2].decided_by][0] if scored[place][2].decided_by >= 0 else None,
        )
        for number, place in enumerate(order, start=1)
    ]
    by_name = {sample.name: sample for sample in listed}
    reasons = {name: reason for reason, own in candidates.left_out.items() for name in own} | faults
    return RankedCandidates(
        ranked=ranked,
        left_out=[(by_name[name], reason) for name, reason in sorted(reasons.items())],
        num_flipped=None if flipped is None else len(flipped),
        num_target=len(wanted),
        target_left_out=len(target.samples) - len(wanted),
    )


def _blocks(
    samples: Sequence[TrainingSample], store: RowStore
) -> Iterator[tuple[list[TrainingSample], list[SampleRow]]]:
    """Yield samples with their rows, some thousand at a time."""
    held: list[TrainingSample] = []
    rows: list[SampleRow] = []
    for group in _groups(samples):
        held += group
        rows += store.read(group)
        if len(held) >= _BLOCK:
            yield held, rows
            held, rows = [], []
    if held:
        yield held, rows
