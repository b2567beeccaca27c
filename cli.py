"""The `rsvqa` command: parse, build settings, call one function, print.

Most options are the fields of a settings model: name, type, default and help stand there and nowhere else, see
`_with_settings`. Results go to stdout, progress and problems to stderr. Heavy imports stand inside the commands, so
`rsvqa --help` is quick.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rsvqa import __version__, api
from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.benchmark.settings import AskModelSettings, BenchSettings, ScoreSettings
from rsvqa.model.selecting.settings import SelectionSettings
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, JobSettings
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
from rsvqa.rsvqa_builder.config import FILE_ONLY, is_repeated, load_settings, plain_types
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.files import bucket_address, require_here, require_local
from rsvqa.rsvqa_builder.reviewing.settings import ServerSettings
from rsvqa.rsvqa_builder.settings import BuildSettings

if TYPE_CHECKING:
    from rsvqa.rsvqa_builder.progress import Reporter

app = typer.Typer(
    name="rsvqa",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From GeoTIFF scenes to a remote-sensing VQA data set, a model that reads 8K images, and a score.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"rsvqa {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  read by its callback
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks of known errors.")] = False,
) -> None:
    """Keep what holds for every command."""
    context.obj = {"debug": debug}


# --- options that are settings ----------------------------------------------------------------------------------------

Command = Callable[..., None]


def _with_settings(panels: Mapping[str, str], *, config: str | None = None) -> Callable[[Command], Command]:
    """Give a command an option for each field of the settings that it takes, which are built from what was given.

    A parameter of a settings model stands for all its fields but tables and those of files only, one of
    `Annotated[Model, "a", "b"]` for those that are named.

    Args:
        panels: heading in the help of a field and those after it.
        config: help of `--config`, for commands that take a file for their parameter `settings`.
    """

    def decorate(command: Command) -> Command:
        models: dict[str, tuple[type[BaseModel], list[str]]] = {}
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            model, *names = get_args(parameter.annotation) or (parameter.annotation,)
            if not _is_model(model):
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
                continue
            names = names or [name for name, field in model.model_fields.items() if _is_option(field)]
            models[parameter.name] = model, names
            panel = None
            for name in names:
                panel = panels.get(name, panel)
                parameters.append(_option(name, model.model_fields[name], panel))
        if config is not None:
            parameters.append(_parameter("config", Path, typer.Option(help=config)))

        def run(**values: object) -> None:
            file = cast("Path | None", values.pop("config", None))
            for parameter, (model, names) in models.items():
                given = {name: value for name in names if (value := values.pop(name)) not in (None, [])}
                values[parameter] = load_settings(model, given, config=file if parameter == "settings" else None)
            command(**values)

        run.__name__, run.__doc__, run.__annotations__ = command.__name__, command.__doc__, {}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:  # noqa: ANN401  types and typer's own
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    """Return the option of a setting: a switch, or text that the settings model reads."""
    flag, kinds = _flag(name), plain_types(field.annotation)
    look: dict[str, Any] = {"help": _help(field), "rich_help_panel": panel, "show_default": False}
    if kinds == [bool]:
        return _parameter(name, bool, typer.Option(f"--{flag}/--no-{flag}", **look))
    kind = list[str] if is_repeated(field) else str
    metavar = {(int,): "<int>", (float,): "<float>"}.get(tuple(kinds), "<str>")
    return _parameter(name, kind, typer.Option(f"--{flag}", metavar=metavar, **look))


def _help(field: FieldInfo) -> str:
    """Return the first line of a field's docstring, with its choices and its default."""
    text, _, default = (field.description or "").partition("\n")[0].removesuffix(".").partition(" (default: ")
    choices = [choice for kind in plain_types(field.annotation) for choice in _choices(kind)]
    if not all(choice in text for choice in choices):
        text = f"{text}: {', '.join(choices)}"
    text += "; repeatable." if is_repeated(field) else "."
    default = default.removesuffix(")") or _shown(field)
    return f"{text} (required)" if field.is_required() else f"{text} (default: {default})" if default else text


def _shown(field: FieldInfo) -> str:
    """Return a default as the command line spells it; nothing for None, the empty list, and what is made anew."""
    if field.default_factory is not None:
        return ""  # of the environment: a secret
    value = field.get_default()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(str(entry) for entry in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _choices(kind: Any) -> Sequence[str]:  # noqa: ANN401  any type there is
    if get_origin(kind) is tuple:
        return _choices(plain_types(get_args(kind)[0])[0])
    if get_origin(kind) is Literal:
        return get_args(kind)
    return [str(choice) for choice in kind] if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _is_option(field: FieldInfo) -> bool:
    return FILE_ONLY not in field.metadata and not any(_is_model(kind) for kind in plain_types(field.annotation))


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _target(help_text: str) -> Any:  # noqa: ANN401  typer's own
    """Return the option of a folder or file that is written, refused at once when this machine cannot."""
    return typer.Option(help=help_text, callback=_require_local)


def _require_local(path: Path | None) -> Path | None:
    if path is not None:
        require_local(path)
    return path


def _require_local_or_bucket(path: Path) -> Path:
    return path if bucket_address(path) else _require_local(path) or path


DataSet = Annotated[Path, typer.Option(help="A data set that `rsvqa build` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes; 0 works in this one. (default: the processors)")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")]

# --- commands ---------------------------------------------------------------------------------------------------------


@app.command()
@_with_settings(
    {"src": "Scenes", "labels": "Labels", "profile": "Tiles", "split_shares": "Data set", "tasks": "Questions"}
    | {"image_format": "Data set"}
    | {"base_url": "Questions", "executor": "Workers"},
    config="Settings (TOML), such as a data set's build.toml; options override them.",
)
def build(
    settings: BuildSettings,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the data set, or s3://bucket/prefix (gs, az).", callback=_require_local_or_bucket),
    ],
    job: Annotated[JobSettings, "base_url", "max_cost"],
    execution: ExecutionSettings,
    annotator: Annotated[
        str,
        typer.Option(
            rich_help_panel="Questions", help="rules, or openai:MODEL,VERIFIER: models that word, draft and verify."
        ),
    ] = "rules",
    shard_of: Annotated[
        str | None,
        typer.Option(help="Do the tiles of rank I of N, as 0/4: a job array; the command without it then finishes."),
    ] = None,
    assemble: Annotated[
        bool, typer.Option("--assemble", help="Finish what the ranks of a job array have done; make no tile.")
    ] = False,
    overwrite: Overwrite = False,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Turn scenes and their labels into VQA shards of 22 tasks."""
    if shard_of is not None:
        if assemble:
            raise typer.BadParameter("a rank makes tiles and --assemble makes none: give it once all ranks have ended")
        _build_rank(settings, out, shard_of, execution, overwrite=overwrite, log_json=log_json, as_json=as_json)
        return
    with _goes_on_later(), _reporter(log_json) as reporter:
        done = api.build(
            settings,
            out=out,
            execution=execution,
            annotator=annotator,
            job=job,
            overwrite=overwrite,
            assemble=assemble,
            progress=reporter,
        )
    done.print(as_json=as_json, spell=with_flags)


def _build_rank(
    settings: BuildSettings,
    out: Path,
    shard_of: str,
    execution: ExecutionSettings,
    *,
    overwrite: bool,
    log_json: bool,
    as_json: bool,
) -> None:
    """Do what a rank of a job array does of a build; models are asked by the build that finishes."""
    from rsvqa.rsvqa_builder.build import build_rank
    from rsvqa.rsvqa_builder.summary import RankResult
    from rsvqa.rsvqa_builder.tiles.ranks import parse_rank

    rank, place = parse_rank(shard_of), api.place_of(out)
    if overwrite:
        raise typer.BadParameter("a rank removes nothing, as others may work beside it: give --overwrite no --shard-of")
    with _goes_on_later(), _reporter(log_json) as reporter:
        outcome = build_rank(settings, place, rank, execution=execution, reporter=reporter)
    RankResult(outcome, rank, place).print(as_json=as_json, spell=with_flags)


@app.command()
@_with_settings(
    {"src": "Scenes", "labels": "Labels"},
    config="Settings (TOML), such as a data set's build.toml; options override them.",
)
def labels(
    settings: Annotated[
        BuildSettings, "src", "bands", "stretch", "nodata", "crs", "mosaic", "labels", "classes", "complete"
    ],
    out: Annotated[Path | None, _target("Folder for labels.html: each scene with its labels drawn.")] = None,
    workers: Workers = None,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Tell what a build would make of scenes and their labels; builds nothing."""
    from rsvqa.rsvqa_builder.progress import open_reporter

    with open_reporter(as_json=log_json) as reporter:
        done = api.labels(settings, out=out, workers=workers, progress=reporter)
    done.print(as_json=as_json)


@app.command()
def recipe(name: Annotated[str, typer.Argument(help="Name of the recipe: superrs or highrs.")]) -> None:
    """Print the sources file of a published data set; `--src` takes it once the sets lie beside it."""
    from rsvqa.rsvqa_builder.source_settings import read_recipe

    print(read_recipe(name), end="")


@app.command()
@_with_settings({"model": "Models", "concurrency": "Endpoint", "max_cost": "Cost"})
def annotate(
    data: Annotated[Path, typer.Option(help="A data set that `rsvqa build` wrote, also in s3:// (gs, az).")],
    settings: AnnotateSettings,
    job: Annotated[
        JobSettings,
        *("concurrency", "requests_per_minute", "tokens_per_minute", "base_url"),
        *("max_cost", "max_requests", "prices", "batch_api", "replies", "retry_failed", "finish"),
    ],
    out: Annotated[Path | None, _target("Folder of the new data set.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace --data, once the new data set is complete.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate requests, tokens and cost; send nothing.")
    ] = False,
    overwrite: Overwrite = False,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Word, draft, verify and translate questions with language models."""
    if dry_run:
        api.estimate(data, settings, out=out, in_place=in_place, job=job).print(as_json=as_json)
        return
    with _goes_on_later(), _reporter(log_json) as reporter:
        done = api.annotate(data, settings, out=out, in_place=in_place, job=job, overwrite=overwrite, progress=reporter)
    done.print(as_json=as_json)
    if done.has_done_nothing:
        raise typer.Exit(2)


@app.command()
@_with_settings({})
def audit(
    data: Annotated[Path, typer.Argument(help="A data set: its folder or one file.")],
    settings: AuditSettings,
    out: Annotated[Path | None, _target("Folder for audit.html and audit.json.")] = None,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Tell what is wrong with a data set: answers that can be guessed without the image, and defects."""
    with _reporter(log_json) as reporter:
        done = api.audit(data, settings, out=out, progress=reporter)
    done.print(as_json=as_json)
    if done.failures:
        raise typer.Exit(3)


@app.command("demo-scenes")
def demo_scenes(
    out: Annotated[Path, _target("Folder for the scenes and their labels.")],
    seed: Annotated[int, typer.Option(help="Another seed gives other places.")] = 0,
    size: Annotated[int, typer.Option(help="Side of a scene, pixels.", min=512)] = 4096,
    count: Annotated[int, typer.Option(help="Number of places; every other one has two dates.", min=1)] = 3,
) -> None:
    """Make example scenes with exact labels."""
    from rsvqa.rsvqa_builder.demo.scenes import make_demo_scenes

    for path in make_demo_scenes(out, seed=seed, size=size, count=count):
        print(path)


@app.command()
def export(
    data: DataSet,
    out: Annotated[Path, _target("Folder to write.")],
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(help="swift, llamafactory, qwen, internvl, trl, verl, llava, xlrs, coco, lmms-eval, stac …"),
    ],
    model: Annotated[
        str | None, typer.Option("--for", help="Model whose boxes are written: a family or a checkpoint's name.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Most pixels of a picture; larger ones are reduced. (default: as they are)")
    ] = None,
    pictures: Annotated[
        str, typer.Option(help="whole, parts (and what a question names), zoom (and a call for the evidence).")
    ] = "whole",
    split: Annotated[str | None, typer.Option(help="Split to export: train, val or test. (default: all)")] = None,
    kept: Annotated[
        Path | None, typer.Option(help="Selection of `rsvqa select`: its questions alone are written of split train.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a data set in another trainer's format."""
    result = api.export(
        data,
        out,
        format=format,
        model=model,
        max_pixels=max_pixels,
        pictures=pictures,
        split=split,
        overwrite=overwrite,
        kept=kept,
    )
    result.print(as_json=as_json)


@app.command()
def push(
    data: Annotated[Path, typer.Argument(help="A data set that `rsvqa build` wrote.")],
    repo: Annotated[str, typer.Argument(help="Its name on the Hub, as org/name.")],
    private: Annotated[bool, typer.Option("--private", help="Only members of org see it.")] = False,
    gated: Annotated[bool, typer.Option("--gated", help="People ask for access, and org grants it by hand.")] = False,
    as_json: Json = False,
) -> None:
    """Put a data set on the Hugging Face Hub, whole in one commit."""
    with _goes_on_later():
        result = api.push(data, repo, private=private, gated=gated, progress=True)
    result.print(as_json=as_json)


@app.command()
def convert(
    source: Annotated[str, typer.Option("--from", help="Directory or hub id in the LongVA / GeoLLaVA-8K layout.")],
    out: Annotated[Path, _target("Folder of the checkpoint to write; must be new or empty.")],
    as_json: Json = False,
) -> None:
    """Turn a released checkpoint into one that transformers loads."""
    _require_extra("model", "convert")
    from rsvqa.model.conversion import convert_checkpoint

    report = convert_checkpoint(source, out)
    print(json.dumps(report.summary()) if as_json else report)


@app.command()
@_with_settings(
    {"data": "Data", "init": "Recipe", "tasks": "Data", "tokens_per_cell": "Recipe", "seed": "Run"},
    config="Settings (TOML), such as a run's train.toml; options override them.",
)
def train(
    out: Annotated[Path, _target("Folder of the run and of the trained model.")],
    settings: TrainingSettings,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Train GeoLLaVA on VQA shards."""
    with _reporter(log_json) as reporter:
        done = api.train(settings, out=out, resume=resume, progress=reporter)
    done.print(as_json=as_json)


@app.command()
@_with_settings(
    {"data": "Data", "model": "What is compared", "keep": "What is kept", "tasks": "Data"},
    config="Settings (TOML); options override them.",
)
def select(
    settings: SelectionSettings,
    out: Annotated[Path, _target("Selection to write (.parquet); report, page and work lie beside it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count passes, time and disk only.")] = False,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Choose training questions by their influence on questions of a target."""
    with _goes_on_later(), _reporter(log_json) as reporter:
        done = api.select(settings, out=out, dry_run=dry_run, progress=reporter)
    done.print(as_json=as_json)


@app.command("object-recall")
def object_recall(
    model: Annotated[str, typer.Option(help="A GeoLLaVA checkpoint: folder or hub id.")],
    data: DataSet,
    split: Annotated[str, typer.Option(help="Split of the data.")] = "val",
    tokens_per_cell: Annotated[
        int | None, typer.Option(min=1, help="Visual tokens kept per cell. (default: the checkpoint's)")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most tiles, drawn by chance. (default: all)")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Draw the weights anew, to see what training adds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell which labelled objects have a kept token on them, for each way of pruning."""
    _require_extra("model", "object-recall")
    from rsvqa.model.object_recall import object_recall as measure
    from rsvqa.model.object_recall import print_recall

    report = measure(
        model, data, split=split, tokens_per_cell=tokens_per_cell, limit=limit, random_weights=random_weights
    )
    print_recall(report, as_json=as_json)


@app.command("show-tokens")
def show_tokens(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    out: Annotated[Path | None, _target("Page (HTML) to write. (default: tokens.html in the run's folder)")] = None,
    split: Annotated[str, typer.Option(help="Split of the run's data.")] = "val",
    limit: Annotated[int, typer.Option(min=1, help="Most samples, drawn by chance.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Show on a page which visual tokens a trained model keeps of samples, and what it replies to them."""
    _require_extra("model", "show-tokens")
    from rsvqa.model.sample_tokens import show_samples

    page = out or run / "tokens.html"
    for name in show_samples(run, page, split=split, limit=limit, seed=seed):
        print(name)
    print(f"page: {page}")


@app.command()
@_with_settings(
    {"model": "Model", "base_url": "Endpoint", "trust_remote_code": "Model", "data": "What is asked"}
    | {"max_new_tokens": "Protocol"},
    config="Settings (TOML); options override them.",
)
def bench(
    settings: BenchSettings,
    out: Annotated[
        Path | None,
        _target("Folder of the run, or of several; goes on where it was. (default: runs/MODEL-DATA)"),
    ] = None,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Score a model on XLRS-Bench, or on a data set of ours."""
    from rsvqa.benchmark.bench import runs_of

    folders = ", ".join(str(folder) for _, folder in runs_of(settings, out))
    with _goes_on_later(f"the replies so far are in {folders}, "), _reporter(log_json) as reporter:
        done = api.bench(settings, out=out, progress=reporter)
    done.print(as_json=as_json)


@app.command()
@_with_settings({"model": "Model", "base_url": "Endpoint", "trust_remote_code": "Model", "bands": "Image"})
def ask(
    settings: AskModelSettings,
    image: Annotated[Path, typer.Argument(help="A GeoTIFF or a picture.")],
    questions: Annotated[list[str], typer.Argument(help="Each put to the model by itself.")],
    later: Annotated[Path | None, typer.Option(help="A second image, shown after the first.")] = None,
    show: Annotated[
        Path | None, _target("Page (HTML) to write of the visual tokens that a GeoLLaVA checkpoint keeps.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model questions of your own about an image."""
    done = api.ask(image, questions, settings, later=later, show=show)
    for fault in done.faults:
        print(fault, file=sys.stderr)
    done.print(as_json=as_json)
    if None in done.texts:
        raise typer.Exit(1)


@app.command()
@_with_settings({"judge": "Judge", "base_url": "Judge"})
def score(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `rsvqa bench`.")],
    settings: ScoreSettings,
    job: Annotated[
        JobSettings, "base_url", "concurrency", "max_cost", "max_requests", "prices", "batch_api", "retry_failed"
    ],
    replies_out: Annotated[
        Path | None, _target("File for the replies: .jsonl as lmms-eval, .xlsx, .tsv or .csv as VLMEvalKit has them.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate what the judge costs; send nothing.")] = False,
    log_json: LogJson = False,
    as_json: Json = False,
) -> None:
    """Score the stored replies of a run anew, without its model, and write its reports."""
    from rsvqa.benchmark.reports.summary import BenchResult
    from rsvqa.benchmark.reports.writing import write_reports

    if settings.judge is not None:
        from rsvqa.benchmark.run.judging import estimate_judging, judge_run
        from rsvqa.rsvqa_builder.annotating.job import EstimateResult, bill_line

        if dry_run:
            EstimateResult(estimate_judging(run, settings, job)).print(as_json=as_json)
            return
        with _goes_on_later(), _reporter(log_json) as reporter:
            judged = judge_run(run, settings, job, reporter=reporter)
        if not as_json:
            for line in judged.bill:
                print(bill_line(asdict(line)))
    if replies_out is not None:
        from rsvqa.benchmark.reports.foreign_outputs import write_foreign

        write_foreign(run, replies_out)
    BenchResult(((write_reports(run), run),), settings.protocol).print(as_json=as_json)


@app.command()
def browse(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `rsvqa bench`.")],
    other: Annotated[
        Path | None, typer.Argument(help="Folder of another run over the same data, to show beside.")
    ] = None,
) -> None:
    """Write a page with every question of a run and the replies to it, for the browser."""
    from rsvqa.benchmark.reports.browsing import write_browser
    from rsvqa.benchmark.reports.printing import print_pages

    print_pages(write_browser(run, other))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Folder of another run over the same questions.")],
    shared: Annotated[
        bool, typer.Option("--shared", help="Compare what both asked when that is not the same.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell whether one run is better than another, question by question."""
    api.compare(first, second, shared=shared).print(as_json=as_json)


@app.command()
def leaderboard(runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")], as_json: Json = False) -> None:
    """Put runs and published scores into one table."""
    from rsvqa.benchmark.reports.leaderboard import rank_runs
    from rsvqa.benchmark.reports.printing import print_leaderboard

    print_leaderboard(rank_runs(runs), as_json=as_json)


Share = Annotated[float, typer.Option(min=0.1, max=100, help="Per cent of questions that one model alone gets right.")]


@app.command()
def power(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders of two runs over the same questions, to measure on.")
    ] = None,
    difference: Annotated[float, typer.Option(min=0.01, max=100, help="Points of difference to be seen.")] = 3.0,
    chance: Annotated[float, typer.Option(min=1, max=99.9, help="Per cent of chance to see it.")] = 80.0,
    differing: Share = 30.0,
    correlation: Annotated[float, typer.Option(min=0, max=1, help="Correlation within an image, without runs.")] = 0.1,
    per_image: Annotated[float, typer.Option(min=1, max=1e6, help="Questions per image, without runs.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Tell how many images and questions show a difference between two models."""
    from rsvqa.benchmark.reports.comparison import plan_from_runs
    from rsvqa.benchmark.reports.printing import print_power
    from rsvqa.benchmark.scores.power import Assumptions, plan_power

    seen, sure = difference / 100, chance / 100
    if runs:
        if len(runs) != 2:
            raise typer.BadParameter("expected the folders of two runs, or none", param_hint="RUNS")
        print_power(plan_from_runs(runs[0], runs[1], difference=seen, power=sure), as_json=as_json)
        return
    known = Assumptions(
        disagreement=differing / 100, correlation=correlation, questions_per_image=per_image, source="assumed"
    )
    print_power(plan_power(known, difference=seen, power=sure), as_json=as_json)


review_app = typer.Typer(no_args_is_help=True, help="Accept, fix and reject questions in the browser.")
app.add_typer(review_app, name="review")

Tiles = Annotated[bool, typer.Option("--tiles", help="Tiles and the objects on them, instead of questions.")]
Store = Annotated[Path | None, _target("File of the decisions. (default: review.sqlite in the data set)")]


@review_app.command("serve")
@_with_settings({})
def review_serve(data: DataSet, queue: QueueSettings, server: ServerSettings, store: Store = None) -> None:
    """Open the review in the browser; `rsvqa review --data FOLDER` is short for it."""
    _require_extra("review", "review")
    from rsvqa.rsvqa_builder.reviewing.serve import announce, serve_review

    serve_review(data, queue, server, store=store, announce=lambda url: announce(url, server))


@review_app.command("people")
def review_people(
    data: DataSet,
    people: Annotated[Path, typer.Option(help="TOML file with one table per person. (required)")],
    renew: Annotated[list[str] | None, typer.Option(help="Name of a person whose link is replaced.")] = None,
    address: Annotated[
        str, typer.Option(help="Address under which the review is reached, for the links.")
    ] = "http://127.0.0.1:8417",
    store: Store = None,
) -> None:
    """Give each person a link of his own, with a role and a part of the work; new links are printed once."""
    from rsvqa.rsvqa_builder.reviewing.people import invitation_lines, invite, read_people

    found = read_people(people)
    tokens = invite(data, found, store=store, renew=renew or ())
    print("\n".join(invitation_lines(found, tokens, address)))


@review_app.command("apply")
def review_apply(
    data: DataSet,
    out: Annotated[Path, _target("Folder of the reviewed data set.")],
    undecided: Annotated[
        str, typer.Option(help="Questions without a decision: keep, drop-needed (those that need one), drop.")
    ] = "keep",
    store: Store = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write what people decided as a new data set; the reviewed one is not touched."""
    from rsvqa.rsvqa_builder.reviewing.apply import apply_review, parse_undecided, summary_lines

    report = apply_review(data, out, store=store, undecided=parse_undecided(undecided), overwrite=overwrite)
    print(json.dumps(report) if as_json else "\n".join(summary_lines(report, out)))


@review_app.command("labels")
def review_labels(
    data: DataSet,
    out: Annotated[Path, _target("Folder of the label files.")],
    format: Annotated[str, typer.Option(help="gpkg, or geojson: longitude and latitude.")] = "gpkg",  # noqa: A002  the option's name
    store: Store = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write what people drew as label files that the next build reads."""
    from rsvqa.rsvqa_builder.reviewing.drawn_labels import label_lines, parse_label_format, write_labels

    written = write_labels(data, out, label_format=parse_label_format(format), store=store, overwrite=overwrite)
    print(json.dumps(written._asdict()) if as_json else "\n".join(label_lines(written, out)))


@review_app.command("export")
@_with_settings({})
def review_export(
    data: DataSet,
    out: Annotated[Path, _target("Folder to write.")],
    queue: Annotated[QueueSettings, "sample", "seed"],
    format: Annotated[str, typer.Option(help="label-studio; for tiles also cvat and qgis.")] = "label-studio",  # noqa: A002  the option's name
    tiles: Tiles = False,
    store: Store = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write questions, images and decisions for another annotation tool, or tiles to draw on."""
    from rsvqa.rsvqa_builder.reviewing.label_studio import check_format, export_tasks
    from rsvqa.rsvqa_builder.reviewing.tile_export import export_tiles, parse_tile_tool

    if tiles:
        written = export_tiles(data, out, parse_tile_tool(format), store=store, overwrite=overwrite)
        print(json.dumps(written._asdict()) if as_json else written)
        return
    check_format(format)
    counts = export_tasks(data, out, queue, store=store, overwrite=overwrite)
    print(json.dumps(counts._asdict()) if as_json else counts)


@review_app.command("import")
def review_import(
    data: DataSet,
    source: Annotated[Path, typer.Option("--from", help="What the annotation tool exported; for QGIS a folder.")],
    format: Annotated[str, typer.Option(help="label-studio; for tiles also cvat and qgis.")] = "label-studio",  # noqa: A002  the option's name
    tiles: Tiles = False,
    reviewer: Annotated[str, typer.Option(help="In whose name objects on tiles are drawn.")] = "import",
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Take decisions from another annotation tool into the review, or objects drawn on tiles."""
    from rsvqa.rsvqa_builder.reviewing.label_studio import check_format, import_tasks
    from rsvqa.rsvqa_builder.reviewing.tile_export import parse_tile_tool
    from rsvqa.rsvqa_builder.reviewing.tile_import import import_tiles

    if tiles:
        taken = import_tiles(data, source, parse_tile_tool(format), reviewer=reviewer, store=store)
        print(json.dumps(taken._asdict()) if as_json else taken)
        return
    check_format(format)
    counts = import_tasks(data, source, store=store)
    print(json.dumps(counts._asdict()) if as_json else counts)


# --- around a command -------------------------------------------------------------------------------------------------


def _require_extra(extra: str, command: str) -> None:
    from rsvqa.annotation.extras import require_extra

    require_extra(extra, command)


def _reporter(as_json: bool) -> AbstractContextManager[Reporter]:
    from rsvqa.rsvqa_builder.progress import open_reporter

    return open_reporter(as_json=as_json, spell=with_flags)


@contextmanager
def _goes_on_later(kept: str = "") -> Iterator[None]:
    """Say that a stopped job can go on, as typer would end without a word.

    SIGTERM, which schedulers send some time before they kill, stops it as Ctrl-C does: locks and temporary files go.
    """
    codes = [130]

    def stop(number: int, _: object) -> None:
        codes.append(128 + number)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    former = signal.signal(signal.SIGTERM, stop) if is_main else None
    try:
        yield
    except KeyboardInterrupt:
        print(f"rsvqa: stopped; {kept}the same command goes on from here", file=sys.stderr)
        raise typer.Exit(codes[-1]) from None
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, former)


OLD_SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "build": {"--split": "--split-shares"},
    "export": {"DATA": "--data", "--no-overwrite": ""},
    "train": {"--lora": "--lora-rank", "--keep": "--keep-checkpoints"},
    "bench": {"--sample": "--per-task", "--keep-boxes": "--no-rewrite-boxes"},
    "review serve": {"DATA": "--data", "--overlap": "--double"},
    "review apply": {"DATA": "--data"},
    "review labels": {"DATA": "--data"},
    "review export": {"DATA": "--data"},
    "review import": {"DATA": "--data", "FILE": "--from"},
}
"""What each command took before, and takes with a warning for one release; in capitals what had no dashes."""


def main() -> None:
    """Run the command line; a known error is one line on stderr and its exit code."""
    atexit.register(gc.freeze)  # a process that ends need not look for garbage, which takes a second with torch
    words, notes = in_new_words(with_serve(sys.argv[1:]))
    for note in notes:
        print(f"rsvqa: {note}", file=sys.stderr)
    try:
        _require_here(words)
        root_command()(words)
    except (RsvqaError, OSError) as error:
        if "--debug" in words:
            raise
        print(f"rsvqa: {_one_line(error)}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


_MAY_BE_ELSEWHERE = ("--src", "--out", "--show", "--store", "--replies-out")
"""Options that take addresses of storages, or refuse them themselves, as what is written."""
_COPIED = {"annotate": ("--data",), "select": ("--data", "--target")}
"""Options of single commands that take addresses of storages."""


def _require_here(words: Sequence[str]) -> None:
    """Refuse what is to be read from an object storage, before a command gets to work."""
    command = next((word for word in words if not word.startswith("-")), "")
    may_be_elsewhere = (*_MAY_BE_ELSEWHERE, *_COPIED.get(command, ()))
    flag = ""
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            name, value = flag, word
        if name not in may_be_elsewhere and not any(letter.isspace() for letter in value):
            require_here(value)
        flag = "" if equals else word if word.startswith("-") else ""


@cache
def root_command() -> Any:  # noqa: ANN401  its class is click's or typer's own, by typer's version
    """Return `rsvqa` with all commands below it; reading their signatures takes a while."""
    return typer.main.get_command(app)


_REVIEW_COMMANDS = ("serve", "people", "apply", "labels", "export", "import")


def with_serve(words: list[str]) -> list[str]:
    """Return the words with `rsvqa review …` spelt out as `rsvqa review serve …`."""
    at = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    rest = words[at + 1 :]
    if words[at : at + 1] != ["review"] or not rest or rest[0] in (*_REVIEW_COMMANDS, "--help"):
        return words
    return [*words[: at + 1], "serve", *rest]


def in_new_words(words: list[str]) -> tuple[list[str], list[str]]:
    """Return a command's words without old spellings, and a note on each that was there."""
    command = root_command()
    name: list[str] = []
    done, rest = [], list(words)
    while rest and (rest[0] == "--debug" or rest[0] in getattr(command, "commands", {})):
        done.append(rest.pop(0))
        if done[-1] != "--debug":
            name.append(done[-1])
            command = command.commands[done[-1]]
    old = OLD_SPELLINGS.get(" ".join(name), {})
    given = {word.partition("=")[0] for word in rest}
    unnamed = [new for key, new in old.items() if not key.startswith("--") and new not in given]
    switches = {"--help"}
    for option in command.params:
        switches |= {*option.opts, *option.secondary_opts} if getattr(option, "is_flag", False) else set()
    notes = []
    while rest:
        flag, equals, value = (word := rest.pop(0)).partition("=")
        if not word.startswith("-"):
            new = f"{unnamed.pop(0)} {word}" if unnamed else word
            done += new.split(" ", 1) if new != word else [word]
            notes += [f"{word} is now {new}"] if new != word else []
            continue
        new = old.get(flag, flag)
        notes += [f"{flag} is now {new or 'the default: leave it out'}"] if new != flag else []
        done += [f"{new}{equals}{value}"] if new else []
        if new and not equals and new not in switches:
            done += rest[:1]
            del rest[:1]
    return done, notes


def _one_line(error: RsvqaError | OSError) -> str:
    """Return the message; errors of the file system (no space, no permission) get what to do."""
    if isinstance(error, RsvqaError):
        return without_keys(with_flags(str(error)))
    where = f" ({error.filename})" if error.filename else ""
    reason = without_keys(f"{error.strerror or error}{where}")
    return f"{reason}; mend it and repeat the command, what is finished is kept"


def with_flags(message: str) -> str:
    """Return a message of the library with the settings that it names in backticks spelt as options."""
    commands = [root_command()]
    flags: dict[str, str] = {}
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        names = [name for option in command.params for name in option.opts if name.startswith("--")]
        flags |= {name.removeprefix("--").replace("-", "_"): name for name in names}
    return re.sub(r"`(\w+)`", lambda found: flags.get(found[1], found[0]), message)


if __name__ == "__main__":
    main()
