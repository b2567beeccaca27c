"""What is asked: XLRS-Bench's files, or a data set of `rsvqa build`, as validated samples in the order of the files.

The benchmark's own column names end here. What surprises: nothing is dropped in silence. A row with a defect is left
out, counted by its reason and listed in `run.json`; other harnesses score it as wrong, or stop.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rsvqa.annotation.extras import install_command
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.run_record import DataRecord, UnaskedRow
from rsvqa.benchmark.files.task_rows import is_of_part, read_rows, to_samples
from rsvqa.benchmark.files.xlrs_files import FileRow, read_arrow, read_jsonl, read_parquet, read_shard
from rsvqa.benchmark.files.xlrs_rows import RowError, choose_ids, to_sample
from rsvqa.benchmark.protocol.task_file import NamedTaskFile, TaskFile, find_task_file, task_file_names
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.dataset.image_tables import TableError, TableReader
from rsvqa.rsvqa_builder.dataset.shards import ShardError, list_shards


class HubSet(NamedTuple):
    """A published data set; `split` is a folder of its repository, None when its files lie at the root."""

    repository: str
    split: str | None


HUB_NAMES = {
    "xlrs-lite": HubSet("initiacms/XLRS-Bench-lite", None),
    "xlrs-caption-en": HubSet("initiacms/XLRS-Bench_caption_en", None),
    "xlrs-caption-zh": HubSet("initiacms/XLRS-Bench_caption_zh", None),
    "xlrs-grounding-en": HubSet("initiacms/XLRS-Bench_visual_grounding_en", "test"),
    "xlrs-grounding-zh": HubSet("initiacms/XLRS-Bench_visual_grounding_zh", "test"),
}
"""Names that `data` may be, and where they are published."""

TASK_FILE_LAYOUT = "task file"

_READERS: dict[str, Callable[[Path], Iterator[FileRow]]] = {
    ".arrow": read_arrow,
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
}
_PART_OF = re.compile(r"(?P<name>.+)-(?P<number>\d+)-of-(?P<total>\d+)")
"""Names of files that were written in parts, without their ending."""
_PART = re.compile(r"(?P<name>.*?)[-_.]?part[-_.]?(?P<number>\d+)", re.IGNORECASE)
"""Likewise, of parts that do not say how many there are: `…_part7`, as in VLMEvalKit's copy."""
_SPLITS = ("train", "validation", "val", "test")
_DEFAULT_SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run asks, in the order of the files, and the account of all rows."""

    samples: tuple[Sample, ...]
    record: DataRecord


class _Files(NamedTuple):
    """Files of one layout and split, in reading order."""

    layout: str
    split: str | None
    paths: tuple[Path, ...]
    read: Callable[[Path], Iterator[FileRow]]


def open_dataset(settings: BenchSettings) -> Dataset:
    """Return the samples that the settings choose; their images are not read yet.

    Raises:
        DataError: the data are not there (the message says what to download or name), cannot be read, or hold no
            question of the chosen tasks.
    """
    if task_file := find_task_file(settings.data):
        return _open_task_file(settings, task_file)
    files = _find_files(settings)
    rows = [row for path in files.paths for row in files.read(path)]
    good, left_out = _validate(rows)
    wanted = set(settings.task_names)
    of_tasks = [sample for sample in good if sample.task in wanted]
    chosen = _draw(of_tasks, settings)
    if not chosen:
        raise BenchmarkDataError(_nothing_to_ask(settings, rows, good, left_out))
    others = len(good) - len(of_tasks)
    return _dataset(settings, files.layout, chosen, of_tasks, left_out, split=files.split, num_others=others)


def _open_task_file(settings: BenchSettings, found: NamedTaskFile) -> Dataset:
    """Return the samples of a benchmark that a task file describes."""
    rules = found.rules
    for name, value, default in (("tasks", settings.tasks, ("all",)), ("split", settings.split, None)):
        if value != default:
            raise BenchmarkDataError(f"`{name}` is for XLRS-Bench and data sets of ours; {rules.name} is asked whole")
    if settings.circular or settings.caption_prompt is not None:
        raise BenchmarkDataError(f"{rules.name} has prompts of its own: leave `circular` and `caption_prompt` away")
    rules.check_corpora()
    rows = read_rows(found)
    of_part = [row for row in rows if is_of_part(rules, row)]
    samples: list[Sample] = []
    left_out: list[UnaskedRow] = []
    seen: set[str] = set()
    for row in of_part:
        try:
            made = to_samples(rules, row)
            if double := [sample.sample_id for sample in made if sample.sample_id in seen]:
                raise RowError("question id occurs twice", double[0])
        except RowError as error:
            left_out.append(UnaskedRow(where=row.where, reason=error.reason, detail=error.detail))
        else:
            samples += made
            seen.update(sample.sample_id for sample in made)
    chosen = _draw(samples, settings)
    if rows and not of_part:
        raise BenchmarkDataError(f"{settings.data}: none of {len(rows)} rows meets `only` of {rules.name}")
    if not chosen:
        raise BenchmarkDataError(_nothing_to_ask(settings, of_part, samples, left_out))
    others = len(rows) - len(of_part)
    return _dataset(settings, TASK_FILE_LAYOUT, chosen, samples, left_out, num_others=others, rules=rules)


def _dataset(
    settings: BenchSettings,
    layout: str,
    chosen: Sequence[Sample],
    drawn_from: Sequence[Sample],
    left_out: Sequence[UnaskedRow],
    *,
    num_others: int,
    split: str | None = None,
    rules: TaskFile | None = None,
) -> Dataset:
    record = DataRecord(
        name=rules.name if rules else _short_name(settings.data),
        layout=layout,
        split=split,
        fingerprint=fingerprint(chosen),
        num_rows=len(drawn_from) + len(left_out) + num_others,
        num_other_tasks=num_others,
        num_not_drawn=len(drawn_from) - len(chosen),
        num_samples=len(chosen),
        num_images=len({image.key for sample in chosen for image in sample.images}),
        left_out=dict(Counter(row.reason for row in left_out).most_common()),
        left_out_rows=tuple(left_out),
        rules=rules,
    )
    return Dataset(tuple(chosen), record)


def _short_name(data: str) -> str:
    return data if data in HUB_NAMES else Path(data).resolve().name


def _nothing_to_ask(
    settings: BenchSettings, rows: Sequence[FileRow], good: Sequence[Sample], left_out: Sequence[UnaskedRow]
) -> str:
    if good:
        held = ", ".join(sorted({sample.task for sample in good}))
        return f"{settings.data} holds no question of {','.join(settings.tasks)}; it has {held}"
    if left_out:
        return f"{settings.data}: none of {len(rows)} rows can be used; the first, {left_out[0].where}: " + (
            f"{left_out[0].reason} ({left_out[0].detail})" if left_out[0].detail else left_out[0].reason
        )
    return f"{settings.data} holds no rows"


# --- which files ---


def _find_files(settings: BenchSettings) -> _Files:
    path = Path(settings.data)
    if settings.data in HUB_NAMES and not path.exists():
        hub = HUB_NAMES[settings.data]
        split = hub.split and (settings.split or hub.split)
        return _local_files(_fetch(settings.data, hub, split), settings.split or hub.split)
    if not path.exists():
        raise BenchmarkDataError(
            f"no data at {settings.data}: expected one of {', '.join(HUB_NAMES)}, or a folder with a copy of one, "
            f"or one that `rsvqa build` wrote; or NAME:FOLDER of {', '.join(task_file_names())}, or a task file"
        )
    return _local_files(path, settings.split)


def _fetch(name: str, hub: HubSet, split: str | None) -> Path:
    """Return the folder of a published data set in the hub's cache, downloading what is missing."""
    advice = f"download it with `hf download {hub.repository} --repo-type dataset`, or give a local copy as `data`"
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise BenchmarkDataError(
            f"{name} needs huggingface_hub: {install_command('huggingface_hub')}; or {advice}"
        ) from error
    patterns = None if split is None else [f"{split}/*"]
    try:
        return Path(snapshot_download(hub.repository, repo_type="dataset", allow_patterns=patterns))
    except Exception as error:  # of the hub's transport, which differs from release to release
        raise BenchmarkDataError(
            f"{name} is not on this machine and cannot be fetched ({_cause(error)}); {advice}"
        ) from error


def _cause(error: BaseException) -> str:
    """Return the first line of what went wrong at the bottom: the hub's own messages are paragraphs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _local_files(path: Path, split: str | None) -> _Files:
    if is_built(path):
        return _built_files(path, split)
    for suffix, read in _READERS.items():
        found = [path] if path.suffix == suffix else sorted(filter(is_data, path.rglob(f"*{suffix}")))
        if found:
            chosen, paths = _one_split(path, found, split)
            return _Files(suffix.removeprefix("."), chosen, paths, read)
    raise BenchmarkDataError(
        f"{path} holds no data: expected .arrow, .parquet or .jsonl files, or a folder of `rsvqa build`"
    )


def is_data(path: Path) -> bool:
    """Tell data from what `datasets` keeps of its own computations in the same folder."""
    return not path.name.startswith("cache-")


def is_built(path: Path) -> bool:
    """Tell whether a folder, or one file, was written by `rsvqa build` and by no other program since."""
    has_questions = any((path / "data").glob("*.parquet")) or path.is_file()
    try:
        shard = list_shards(path, kind="data" if has_questions else "tiles")[0]
        if shard.suffix != ".parquet":
            return False
        with TableReader(shard) as reader:
            return "rsvqa.format_version" in reader.metadata
    except (ShardError, TableError):
        return False


def _built_files(path: Path, split: str | None) -> _Files:
    try:
        if split is None and path.is_dir():
            splits = sorted({shard.name.split("-")[0] for shard in list_shards(path)})
            split = _default_split(path, splits)
        return _Files("rsvqa build", split, list_shards(path, split=split), read_shard)
    except ShardError as error:
        raise BenchmarkDataError(str(error)) from error


def _one_split(root: Path, paths: Sequence[Path], split: str | None) -> tuple[str | None, tuple[Path, ...]]:
    """Return the files of one split, and its name; None when neither folders nor file names state any."""
    by_split: dict[str | None, list[Path]] = {}
    for path in paths:
        by_split.setdefault(stated_split(root, path), []).append(path)
    if split is None:
        split = None if set(by_split) == {None} else _default_split(root, sorted(filter(None, by_split)))
    if split not in by_split:
        known = ", ".join(sorted(filter(None, by_split))) or "none: leave `split` away"
        raise BenchmarkDataError(f"{root} has no split {split!r}; it has {known}")
    _check_complete(root, by_split[split])
    return split, tuple(by_split[split])


def _check_complete(root: Path, paths: Sequence[Path]) -> None:
    """Refuse a folder in which some of the files that their names count are missing, as after half a download.

    One file that is named itself is what is asked for. Of parts that do not say how many there are, all up to the
    highest number must be there, counted from 0 or from 1.
    """
    if empty := next((path for path in paths if not path.stat().st_size), None):
        raise BenchmarkDataError(f"{empty} is empty: fetch it again")
    numbers: dict[tuple[Path, str, int | None], set[int]] = {}
    for path in paths:
        if path != root and (match := _PART_OF.fullmatch(path.stem) or _PART.fullmatch(path.stem)):
            total = int(match["total"]) if "total" in match.re.groupindex else None
            numbers.setdefault((path.parent, match["name"], total), set()).add(int(match["number"]))
    for (folder, name, total), found in numbers.items():
        expected = range(min(1, *found), max(found) + 1) if total is None else range(total)
        if missing := sorted(set(expected) - found):
            named = f"{name}_part…" if total is None else f"{name}-…"
            raise BenchmarkDataError(
                f"{folder} lacks {len(missing)} of the {len(expected)} files {named}, the first is number {missing[0]}"
                ": fetch them, or name one file with `data`"
            )


def stated_split(root: Path, path: Path) -> str | None:
    """Return the split that a folder or the file's name states."""
    folders = path.relative_to(root).parts[:-1] if path != root else ()
    stated = [name for name in (*folders, path.name.split("-")[0]) if name in _SPLITS]
    return stated[0] if stated else None


def _default_split(root: Path, splits: Sequence[str]) -> str:
    if len(splits) == 1:
        return splits[0]
    if _DEFAULT_SPLIT in splits:
        return _DEFAULT_SPLIT
    raise BenchmarkDataError(f"{root} has the splits {', '.join(splits)}; choose one with `split`")


# --- which questions ---


def _validate(rows: Sequence[FileRow]) -> tuple[list[Sample], list[UnaskedRow]]:
    samples: list[Sample] = []
    left_out: list[UnaskedRow] = []
    seen: set[str] = set()
    for row, sample_id in zip(rows, choose_ids(rows), strict=True):
        try:
            if sample_id in seen:
                raise RowError("question id occurs twice", sample_id)
            samples.append(to_sample(row, sample_id))
            seen.add(sample_id)
        except RowError as error:
            left_out.append(UnaskedRow(where=row.where, reason=error.reason, detail=error.detail))
    return samples, left_out


def _draw(samples: Sequence[Sample], settings: BenchSettings) -> list[Sample]:
    """Return at most `sample` questions per task, drawn by the seed, then the first `limit`; the order stays."""
    drawn = list(samples)
    if settings.per_task is not None:
        places: dict[str, list[int]] = {}
        for place, sample in enumerate(samples):
            places.setdefault(sample.task, []).append(place)
        kept = {place for task in places for place in _draw_places(places[task], task, settings)}
        drawn = [sample for place, sample in enumerate(samples) if place in kept]
    return drawn[: settings.limit]


def _draw_places(places: Sequence[int], task: str, settings: BenchSettings) -> Sequence[int]:
    """Draw for each task by itself, so that a task's questions do not depend on which other tasks are asked."""
    most = settings.per_task or len(places)
    return places if len(places) <= most else random.Random(f"{settings.seed}:{task}").sample(places, most)


def fingerprint(samples: Iterable[Sample]) -> str:
    """Return a SHA-256 of what is asked and what is right, images by their keys."""
    digest = hashlib.sha256()
    for sample in samples:
        content = [
            sample.sample_id,
            sample.task,
            sample.question,
            sample.options,
            sample.answer,
            sample.references,
            sample.box,
            [image.key for image in sample.images],
        ]
        digest.update(json.dumps(content, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()
