"""What `import rsvqa` gives: a function for each command, which the command itself calls.

Settings are keywords, `tile_size=512` for `--tile-size 512`, or objects of the settings models, which type checkers
know; keywords override objects. A function says nothing, raises an `RsvqaError` of one line when something outside our
control is wrong, and returns a result that shows itself in a notebook. With `progress=True` it tells on stderr what it
does.

What heavy packages a function needs is imported when it is called.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsvqa.annotation.extras import require_extra
from rsvqa.rsvqa_builder.config import SettingsError, fill_settings
from rsvqa.rsvqa_builder.files import bucket_address, require_here, require_local
from rsvqa.rsvqa_builder.progress import Reporter, reporter_of

if TYPE_CHECKING:
    from rsvqa.benchmark.reports.printing import AskResult, CompareResult
    from rsvqa.benchmark.reports.summary import BenchResult
    from rsvqa.benchmark.settings import AskModelSettings, BenchSettings
    from rsvqa.model.selecting.selection_report import SelectResult
    from rsvqa.model.selecting.settings import SelectionSettings
    from rsvqa.model.training_report import TrainResult
    from rsvqa.model.training_settings import TrainingSettings
    from rsvqa.rsvqa_builder.annotating.job import AnnotateResult, EstimateResult
    from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, JobSettings
    from rsvqa.rsvqa_builder.auditing.printing import AuditResult
    from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
    from rsvqa.rsvqa_builder.dataset.pushing import PushResult
    from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
    from rsvqa.rsvqa_builder.exporting.export import ExportResult
    from rsvqa.rsvqa_builder.label_summary import LabelsResult
    from rsvqa.rsvqa_builder.opened.data_set import DataSet
    from rsvqa.rsvqa_builder.settings import BuildSettings
    from rsvqa.rsvqa_builder.summary import BuildResult

StrPath = str | Path


def build(
    settings: BuildSettings | None = None,
    *,
    out: StrPath,
    config: StrPath | None = None,
    execution: ExecutionSettings | None = None,
    annotator: str = "rules",
    job: JobSettings | None = None,
    overwrite: bool = False,
    assemble: bool = False,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> BuildResult:
    """Turn scenes and their labels into a data set in `out`, going on where an interrupted build stopped.

    Args:
        settings: what decides every byte; or as keywords, such as `src`, `classes`, `tile_size`.
        out: folder of the data set, or an address such as s3://bucket/prefix (gs://, az://).
        config: settings file (TOML), such as a data set's `build.toml`.
        execution: where the work runs; or as keywords, such as `workers`.
        annotator: rules, or openai:MODEL,VERIFIER: models that word, draft and verify.
        job: how these models are asked; or as keywords, such as `max_cost`.
        overwrite: replace a data set or an unfinished build of other settings.
        assemble: make no tile, only finish what the ranks of a job array have done.
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        SettingsError: a setting is unknown, missing or out of range.
        NothingUsableError: no scene can be used, or no tile is left.
        OutputError: `out` cannot be used.
    """
    from rsvqa.rsvqa_builder.annotating.settings import JobSettings as Job
    from rsvqa.rsvqa_builder.build import build as run_build
    from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings as Execution
    from rsvqa.rsvqa_builder.settings import BuildSettings as Build
    from rsvqa.rsvqa_builder.summary import BuildResult as Result

    settings, execution, job = fill_settings(
        [(Build, settings), (Execution, execution), (Job, job)], keywords, config=_path(config)
    )
    assert settings is not None
    assert execution is not None
    assert job is not None
    place = place_of(out)
    if assemble and overwrite:
        raise SettingsError("`assemble` finishes what is there, and `overwrite` removes it: choose one")
    models = None
    if annotator != "rules":
        require_extra("llm", "build")
        require_local(_as_path(out))
        from rsvqa.rsvqa_builder.annotating.job import open_annotator

        models = open_annotator(annotator, job)
    annotated = None
    with reporter_of(progress) as reporter:
        outcome = run_build(
            settings, place, execution=execution, overwrite=overwrite, assemble=assemble, reporter=reporter
        )
        if models is not None:
            annotated = models.annotate_in_place(Path(out), reporter)
    return Result(out=place, state=outcome.state, report=outcome.report, annotated=annotated)


def place_of(out: StrPath) -> Path | str:
    """Return the folder of a data set, or its address in an object storage.

    Raises:
        OutputError: this machine cannot write there.
    """
    if address := bucket_address(out):
        return address
    return _local(out)


def read(path: StrPath) -> DataSet:
    """Open a data set that `build` wrote: its questions by number, by id or one after the other, as tables, by task.

    Raises:
        ShardError: there is no whole set of shards.
    """
    from rsvqa.rsvqa_builder.opened.data_set import open_data_set

    return open_data_set(_here(path))


def labels(
    settings: BuildSettings | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | None = None,
    workers: int | None = None,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> LabelsResult:
    """Tell what a build would make of scenes and their labels; builds nothing.

    Args:
        settings: of the build; or as keywords.
        out: folder for a page, `labels.html`, on which each scene's labels are drawn.
        config: settings file (TOML).
        workers: processes; 0 works in this one; None for the processors.
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        SettingsError: a setting is unknown, missing or out of range.
        NothingUsableError: there is not even a file to look at.
    """
    from rsvqa.rsvqa_builder.label_check import check_labels
    from rsvqa.rsvqa_builder.label_summary import LabelsResult as Result
    from rsvqa.rsvqa_builder.settings import BuildSettings as Build
    from rsvqa.rsvqa_builder.tiles.executors import count_processors

    (settings,) = fill_settings([(Build, settings)], keywords, config=_path(config))
    assert settings is not None
    num_workers = count_processors() if workers is None else workers
    if not isinstance(num_workers, int) or num_workers < 0:
        raise SettingsError(f"`workers` = {workers!r}: expected a whole number from 0")
    with reporter_of(progress) as reporter:
        return Result(check_labels(settings, num_workers=num_workers, reporter=reporter, out=_target(out)))


def audit(
    data: StrPath,
    settings: AuditSettings | None = None,
    *,
    out: StrPath | None = None,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> AuditResult:
    """Tell what is wrong with a data set: answers that can be guessed without the image, and defects.

    Args:
        data: its folder, or one file of it.
        settings: what is looked for; or as keywords, such as `against`.
        out: folder for `audit.html` and `audit.json`.
        progress: tell on stderr.
        keywords: settings by name.
    """
    from rsvqa.benchmark.auditing.auditing import audit_data
    from rsvqa.rsvqa_builder.auditing.printing import AuditResult as Result
    from rsvqa.rsvqa_builder.auditing.settings import AuditSettings as Audit
    from rsvqa.rsvqa_builder.documents.audit_page import save_audit

    (settings,) = fill_settings([(Audit, settings)], keywords)
    assert settings is not None
    target = _target(out)
    with reporter_of(progress) as reporter:
        report = audit_data(_here(data), settings, reporter=reporter)
    if target is not None:
        save_audit(report, target)
    return Result(report=report, fail_over=settings.fail_over, out=target)


def annotate(
    data: StrPath,
    settings: AnnotateSettings | None = None,
    *,
    out: StrPath | None = None,
    in_place: bool = False,
    job: JobSettings | None = None,
    overwrite: bool = False,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> AnnotateResult:
    """Word, draft, verify and translate the questions of a data set with language models.

    Args:
        data: the data set, also one in an object storage, which is copied beside `out` first (`OUT.data`).
        settings: which models do which work; or as keywords, such as `model` and `verifier`.
        out: folder of the new data set.
        in_place: replace `data`, once the new data set is complete.
        job: how the models are asked, and what that may cost; or as keywords, such as `base_url` and `max_cost`.
        overwrite: replace what is in `out`.
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        SettingsError: a setting is unknown, missing or out of range.
        MissingExtraError: the extra `llm` is not installed.
    """
    require_extra("llm", "annotate")
    from rsvqa.rsvqa_builder.annotating.job import run_job

    settings, job, target = _annotation(Path(data), settings, job, keywords, out=_target(out), in_place=in_place)
    with reporter_of(progress) as reporter:
        folder = _copied(data, target, reporter)
        return run_job(settings, job, folder, target, overwrite=overwrite, reporter=reporter)


def estimate(
    data: StrPath,
    settings: AnnotateSettings | None = None,
    *,
    out: StrPath | None = None,
    in_place: bool = False,
    job: JobSettings | None = None,
    **keywords: Any,
) -> EstimateResult:
    """Return what `annotate` with the same arguments will ask and cost at most; nothing is sent, nothing written."""
    require_extra("llm", "annotate")
    from rsvqa.rsvqa_builder.annotating.job import EstimateResult as Result
    from rsvqa.rsvqa_builder.annotating.job import estimate_job

    settings, job, target = _annotation(Path(data), settings, job, keywords, out=_target(out), in_place=in_place)
    with reporter_of(False) as reporter:
        return Result(estimate_job(settings, job, _copied(data, target, reporter), target))


def _copied(data: StrPath, target: Path, reporter: Reporter) -> Path:
    """Return the folder of a data set; one in an object storage is copied beside what is made of it."""
    from rsvqa.rsvqa_builder.tiles.bucket_copy import near_copy

    return near_copy(data, target.resolve().with_name(f"{target.resolve().name}.data"), reporter=reporter)


def _annotation(
    data: Path,
    settings: AnnotateSettings | None,
    job: JobSettings | None,
    keywords: dict[str, Any],
    *,
    out: Path | None,
    in_place: bool,
) -> tuple[AnnotateSettings, JobSettings, Path]:
    """Return the settings of an annotation, and the folder of the new data set."""
    from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings as Annotate
    from rsvqa.rsvqa_builder.annotating.settings import JobSettings as Job

    annotation, asked = fill_settings([(Annotate, settings), (Job, job)], keywords)
    if in_place == (out is not None):
        raise SettingsError("give either `out` or `in_place`")
    if in_place and bucket_address(data):
        raise SettingsError("`in_place` replaces a folder of this machine: give `out`, and copy that to the storage")
    if out is not None and out.resolve() == data.resolve():
        raise SettingsError("`out` is `data`: to replace it say `in_place`")
    if asked.finish and in_place:
        raise SettingsError("`finish` leaves `data` as it is, so that the job can go on: give `out`")
    return annotation, asked, out or data


def select(
    settings: SelectionSettings | None = None,
    *,
    out: StrPath,
    config: StrPath | None = None,
    dry_run: bool = False,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> SelectResult:
    """Choose training questions by their influence on questions of a target.

    Args:
        settings: what is compared and kept; or as keywords, such as `data`, `target`, `model`.
        out: selection to write (.parquet); report, page and work lie beside it.
        config: settings file (TOML).
        dry_run: count passes, time and disk only.
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        MissingExtraError: the extra `model` is not installed.
    """
    require_extra("model", "select")
    from rsvqa.model.selecting.selecting import select as run_selection
    from rsvqa.model.selecting.selection_report import SelectResult as Result
    from rsvqa.model.selecting.settings import SelectionSettings as Selection

    (settings,) = fill_settings([(Selection, settings)], keywords, config=_path(config))
    assert settings is not None
    target = _local(out)
    with reporter_of(progress) as reporter:
        return Result(run_selection(settings, target, dry_run=dry_run, reporter=reporter), target)


def train(
    settings: TrainingSettings | None = None,
    *,
    out: StrPath,
    config: StrPath | None = None,
    resume: bool = False,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> TrainResult:
    """Train GeoLLaVA on data sets.

    Args:
        settings: of the run; or as keywords, such as `data`, `init`, `max_steps`.
        out: folder of the run and of the trained model.
        config: settings file (TOML), such as a run's `train.toml`.
        resume: go on from the last checkpoint in `out`.
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        MissingExtraError: the extra `model` is not installed.
        TrainingError: `out` holds another run, or the run cannot go on.
    """
    require_extra("model", "train")
    from rsvqa.model.training import train as run_training
    from rsvqa.model.training_report import TrainResult as Result
    from rsvqa.model.training_settings import TrainingSettings as Training

    (settings,) = fill_settings([(Training, settings)], keywords, config=_path(config))
    assert settings is not None
    target = _local(out)
    with reporter_of(progress) as reporter:
        return Result(run_training(settings, target, resume=resume, reporter=reporter), target)


def bench(
    settings: BenchSettings | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | None = None,
    progress: bool | Reporter = False,
    **keywords: Any,
) -> BenchResult:
    """Score a model on XLRS-Bench, or on a data set of ours.

    Args:
        settings: what is asked of which model; or as keywords, such as `model`, `data`, `split`.
        out: folder of the run, or of several; goes on where it was; None for runs/MODEL-DATA.
        config: settings file (TOML).
        progress: tell on stderr.
        keywords: settings by name.

    Raises:
        DataError: the data are not there, or hold nothing to ask.
        ModelError: the model cannot be loaded or has stopped answering; the replies so far are kept.
        RunError: `out` holds another run.
    """
    from rsvqa.benchmark.bench import bench_each, runs_of
    from rsvqa.benchmark.reports.summary import BenchResult as Result
    from rsvqa.benchmark.settings import BenchSettings as Bench

    (settings,) = fill_settings([(Bench, settings)], keywords, config=_path(config))
    assert settings is not None
    runs = runs_of(settings, _target(out))
    known = _know_our_checkpoints(settings, "bench")  # meanwhile the data are opened
    with reporter_of(progress) as reporter:
        done = list(bench_each(runs, reporter=reporter, before_model=known))
    return Result(tuple((results, folder) for folder, results in done if results is not None))


def ask(
    image: StrPath,
    questions: str | Sequence[str],
    settings: AskModelSettings | None = None,
    *,
    later: StrPath | None = None,
    show: StrPath | None = None,
    **keywords: Any,
) -> AskResult:
    """Ask a model questions of your own about an image.

    Args:
        image: a GeoTIFF or a picture.
        questions: one, or several that are each put to the model by itself.
        settings: which model is asked; or as keywords, such as `model`, `base_url`.
        later: a second image, shown after the first.
        show: page (HTML) to write of the visual tokens that a GeoLLaVA checkpoint keeps.
        keywords: settings by name.
    """
    from rsvqa.benchmark.ask import ask as ask_model
    from rsvqa.benchmark.reports.printing import AskResult as Result
    from rsvqa.benchmark.settings import AskModelSettings as Asked

    (settings,) = fill_settings([(Asked, settings)], keywords)
    assert settings is not None
    _know_our_checkpoints(settings, "ask")()
    asked = (questions,) if isinstance(questions, str) else tuple(questions)
    return Result(asked, tuple(ask_model(settings, _here(image), asked, later=_path(later), show=_target(show))))


def compare(first: StrPath, second: StrPath, *, shared: bool = False) -> CompareResult:
    """Tell whether one run of `bench` is better than another, question by question.

    Args:
        first: folder of a run.
        second: folder of another run over the same questions.
        shared: compare what both asked when that is not the same.
    """
    from rsvqa.benchmark.reports.comparison import compare_runs
    from rsvqa.benchmark.reports.printing import CompareResult as Result

    return Result(compare_runs(_here(first), _here(second), shared=shared))


def export(
    data: StrPath,
    out: StrPath,
    *,
    format: str,  # noqa: A002  the option's name
    model: str | None = None,
    max_pixels: int | None = None,
    pictures: str = "whole",
    split: str | None = None,
    overwrite: bool = False,
    kept: StrPath | None = None,
) -> ExportResult:
    """Write a data set in another trainer's format.

    Args:
        data: the data set.
        out: folder to write.
        format: of the trainer, such as swift; docs/exports.md lists them.
        model: whose boxes are written: a family or a checkpoint's name.
        max_pixels: larger pictures are reduced.
        pictures: whole, parts or zoom.
        split: train, val or test; None for all.
        overwrite: replace what is in `out`.
        kept: selection of `select`: its questions alone are written of split train.

    Raises:
        ExportError: the format is unknown, or does not have what is asked for.
        NothingToExportError: no question can be written.
    """
    from rsvqa.rsvqa_builder.exporting.export import export_dataset

    return export_dataset(
        _here(data),
        _local(out),
        format=format,
        model=model,
        max_pixels=max_pixels,
        pictures=pictures,
        split=split,
        overwrite=overwrite,
        kept=_path(kept),
    )


def push(data: StrPath, repo: str, *, private: bool = False, gated: bool = False, progress: bool = False) -> PushResult:
    """Put a data set on the Hugging Face Hub, whole in one commit.

    Args:
        data: the data set.
        repo: its name there, org/name.
        private: only members of org see it.
        gated: people ask for access, and org grants it by hand.
        progress: tell on stderr.

    Raises:
        OutputError: `data` holds no finished data set, or a file is not the one that was built.
        PushError: the Hub cannot be reached, or refuses.
        MissingExtraError: the extra `hub` is not installed.
    """
    from rsvqa.rsvqa_builder.dataset.pushing import push_dataset

    return push_dataset(_here(data), repo, private=private, gated=gated, progress=progress)


def _know_our_checkpoints(settings: BenchSettings | AskModelSettings, command: str) -> Callable[[], object]:
    """Let transformers load checkpoints of ours without their code; it is known once what is returned was called.

    The import takes four seconds, most of them torch's and transformers', and goes on in a thread.
    """
    if not (settings.is_checkpoint or settings.is_vllm):
        return lambda: None
    require_extra("model", command)
    from huggingface_hub import snapshot_download  # noqa: F401  both threads need it, and two must not import it at once

    pool = ThreadPoolExecutor(1, thread_name_prefix="import")
    known = pool.submit(_import_to_keep, "rsvqa.model.registration")
    pool.shutdown(wait=False)
    return known.result


def _import_to_keep(name: str) -> None:
    """Import a module without looking for garbage meanwhile: it stays, and looking takes a sixth longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import_module(name)
    finally:
        if was_enabled:
            gc.enable()


def _path(path: StrPath | None) -> Path | None:
    return None if path is None else _here(path)


def _target(out: StrPath | None) -> Path | None:
    return None if out is None else _local(out)


def _local(out: StrPath) -> Path:
    """Return a folder or file that is written; refused at once when this machine cannot."""
    path = _as_path(out)
    require_local(path)
    return path


def _here(path: StrPath) -> Path:
    """Return a folder or file that is read; refused at once when it lies in an object storage."""
    require_here(path)
    return _as_path(path)


def _as_path(path: StrPath) -> Path:
    try:
        return Path(path)
    except TypeError as error:
        raise SettingsError(f"expected a path, found {path!r}") from error
