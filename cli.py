"""The `rsvqa` command: parse, build settings, call one function, print.

Results go to stdout, progress and problems to stderr. Heavy imports stand inside the commands, so `rsvqa --help` is
quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsvqa import __version__
from rsvqa.annotation.errors import RsvqaError

if TYPE_CHECKING:
    from rsvqa.rsvqa_builder.annotating.job import Annotator

app = typer.Typer(
    name="rsvqa",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From GeoTIFF scenes to a remote-sensing VQA data set, a model that reads 8K images, and a score.",
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


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


def _option(panel: str, text: str, *names: str) -> Any:  # noqa: ANN401  typer's own type
    """Return an option of `rsvqa build` that is listed under `panel`."""
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)


_SCENES, _LABELS, _TILES, _QUESTIONS, _DATA_SET = "Scenes", "Labels", "Tiles", "Questions", "Data set"


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    src: Annotated[
        str | None, _option(_SCENES, "Folder (searched with all below it), file, glob, text list or GDAL /vsi… path.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML), such as a data set's own build.toml; options override them.")
    ] = None,
    bands: Annotated[
        str | None, _option(_SCENES, "Red, green and blue, e.g. 3,2,1. (default: colour interpretation)")
    ] = None,
    stretch: Annotated[
        str | None, _option(_SCENES, "To 8 bits: percentile (2 to 98), minmax, none. (default: percentile)")
    ] = None,
    mosaic: Annotated[
        bool | None, _option(_SCENES, "Join neighbouring sheets. (default: no-mosaic)", "--mosaic/--no-mosaic")
    ] = None,
    strict: Annotated[
        bool | None, _option(_SCENES, "A scene that cannot be used is fatal.", "--strict/--no-strict")
    ] = None,
    labels: Annotated[
        list[str] | None, _option(_LABELS, "File or folder, beside those found with the scenes; repeatable.")
    ] = None,
    classes: Annotated[str | None, _option(_LABELS, "Class table: a preset or a TOML file. (default: auto)")] = None,
    complete: Annotated[
        str | None, _option(_LABELS, "Every instance of a class is labelled: auto, yes, no. (default: auto)")
    ] = None,
    profile: Annotated[str | None, _option(_TILES, "superrs: 8,192 px; highrs: 2,048 px. (default: superrs)")] = None,
    tile_size: Annotated[int | None, _option(_TILES, "Side, pixels. (default: the profile's)")] = None,
    overlap: Annotated[int | None, _option(_TILES, "Pixels that neighbours share. (default: 0)")] = None,
    min_valid: Annotated[float | None, _option(_TILES, "Smallest share of valid pixels. (default: 0.6)")] = None,
    dedup: Annotated[
        str | None, _option(_TILES, "Repeated tiles to drop: identical, near, off. (default: identical)")
    ] = None,
    exclude: Annotated[
        list[str] | None, _option(_TILES, "Images to keep out (folder, parquet, arrow); repeatable.")
    ] = None,
    tasks: Annotated[
        str | None,
        _option(_QUESTIONS, "Names, short names or levels, weights too: all,OCL=0.5. (default: all)"),
    ] = None,
    per_task: Annotated[int | None, _option(_QUESTIONS, "Most of a task on a tile. (default: 4)")] = None,
    annotator: Annotated[
        str, _option(_QUESTIONS, "rules, or openai:MODEL, which then words, drafts and verifies. (default: rules)")
    ] = "rules",
    base_url: Annotated[str | None, _option(_QUESTIONS, "Of --annotator openai:MODEL; see `rsvqa annotate`.")] = None,
    max_cost: Annotated[float | None, _option(_QUESTIONS, "US dollars that --annotator may cost.")] = None,
    split: Annotated[
        str | None, _option(_DATA_SET, "Shares of train,val,test, by place. (default: 0.9,0.05,0.05)")
    ] = None,
    image_format: Annotated[str | None, _option(_DATA_SET, "jpeg or png. (default: jpeg)")] = None,
    quality: Annotated[int | None, _option(_DATA_SET, "Of JPEG, 1 to 100. (default: 90)")] = None,
    shard_mb: Annotated[int | None, _option(_DATA_SET, "Size of a shard, 10⁶ bytes. (default: 1000)")] = None,
    seed: Annotated[int | None, _option(_DATA_SET, "Of everything random. (default: 0)")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 works in this one. (default: the processors)")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what another build left in --out.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")] = False,
    as_json: Json = False,
) -> None:
    """Turn scenes and their labels into VQA shards of 22 tasks."""
    from rsvqa.rsvqa_builder.build import build as run_build
    from rsvqa.rsvqa_builder.progress import open_reporter
    from rsvqa.rsvqa_builder.settings import make_settings
    from rsvqa.rsvqa_builder.summary import print_summary
    from rsvqa.rsvqa_builder.tiles.executors import count_processors

    given = {
        "src": src,
        "labels": labels,
        "classes": classes,
        "complete": complete,
        "profile": profile,
        "tile_size": tile_size,
        "overlap": overlap,
        "min_valid": min_valid,
        "bands": _numbers("bands", bands),
        "stretch": stretch,
        "mosaic": mosaic,
        "tasks": None if tasks is None else tasks.split(","),
        "per_task": per_task,
        "split": _numbers("split", split),
        "dedup": dedup,
        "exclude": exclude,
        "image_format": image_format,
        "quality": quality,
        "shard_mb": shard_mb,
        "seed": seed,
        "strict": strict,
    }
    settings = make_settings({key: value for key, value in given.items() if value is not None}, config=config)
    num_workers = count_processors() if workers is None else workers
    models = _model_job(annotator, base_url, max_cost)
    done = None
    with _goes_on_later(), open_reporter(as_json=log_json) as reporter:
        outcome = run_build(settings, out, num_workers=num_workers, overwrite=overwrite, reporter=reporter)
        if models is not None:
            done = models.annotate_in_place(out, reporter)
    print_summary(outcome, out, as_json=as_json, annotation=None if done is None else done.content)
    if models is not None and done is not None and not as_json:
        models.print(done, out)


@contextmanager
def _goes_on_later() -> Iterator[None]:
    """Say that a stopped job can go on, as typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        print("rsvqa: stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None


def _model_job(annotator: str, base_url: str | None, max_cost: float | None) -> Annotator | None:
    """Return what `--annotator` asks for, ready to be done; None for rules alone."""
    if annotator == "rules":
        return None
    from rsvqa.annotation.extras import require_extra

    require_extra("llm", "build --annotator")
    from rsvqa.rsvqa_builder.annotating.job import open_annotator

    return open_annotator(annotator, base_url=base_url, max_cost=max_cost)


_MODELS, _LIMITS = "Models", "Limits"


@app.command()
def annotate(
    data: Annotated[Path, typer.Option(help="A data set that `rsvqa build` wrote.")],
    model: Annotated[str, _option(_MODELS, "Words, drafts and translates; as the endpoint calls it.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the new data set.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace --data, once the new data set is complete.")
    ] = False,
    steps: Annotated[str, _option(_MODELS, "word, draft, verify, translate. (default: word,draft,verify)")] = (
        "word,draft,verify"
    ),
    verifier: Annotated[str | None, _option(_MODELS, "Answers blind to the key. (default: --model)")] = None,
    base_url: Annotated[
        str | None, _option(_MODELS, "OpenAI-compatible endpoint; its key is in OPENAI_API_KEY. (default: OpenAI's)")
    ] = None,
    overview_px: Annotated[int | None, _option(_MODELS, "Longer side of the reduced tile. (default: 1024)")] = None,
    part_px: Annotated[int | None, _option(_MODELS, "Longer side of each of its nine parts. (default: 768)")] = None,
    crop_px: Annotated[int | None, _option(_MODELS, "Longer side of the part in question. (default: 1024)")] = None,
    max_cost: Annotated[float | None, _option(_LIMITS, "US dollars that the job may cost.")] = None,
    max_requests: Annotated[int | None, _option(_LIMITS, "Replies that the job may take.")] = None,
    prices: Annotated[
        Path | None, _option(_LIMITS, "Table of prices (TOML). (default: the one that comes along)")
    ] = None,
    concurrency: Annotated[int, _option(_LIMITS, "Requests in flight. (default: 8)")] = 8,
    requests_per_minute: Annotated[float | None, _option(_LIMITS, "Limit kept on this side.")] = None,
    tokens_per_minute: Annotated[float | None, _option(_LIMITS, "Limit kept on this side.")] = None,
    batch_api: Annotated[
        bool, _option(_LIMITS, "Send through OpenAI's batch files: half the price, a day at most.", "--batch-api")
    ] = False,
    replies: Annotated[
        Path | None, _option(_LIMITS, "Where replies are kept. (default: beside the new data set)")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate requests, tokens and cost; send nothing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another data set in --out.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")] = False,
    as_json: Json = False,
) -> None:
    """Word, draft, verify and translate questions with language models."""
    from rsvqa.annotation.extras import require_extra

    require_extra("llm", "annotate")
    from rsvqa.rsvqa_builder.annotating import job as jobs
    from rsvqa.rsvqa_builder.annotating.settings import make_annotate_settings
    from rsvqa.rsvqa_builder.progress import open_reporter

    if in_place == (out is not None):
        raise typer.BadParameter("give either --out or --in-place")
    if out is not None and out.resolve() == data.resolve():
        raise typer.BadParameter("--out is --data: to replace it say --in-place")
    given = {"model": model, "verifier": verifier, "steps": [step.strip() for step in steps.split(",")]}
    pictures = {"overview_px": overview_px, "part_px": part_px, "crop_px": crop_px}
    settings = make_annotate_settings(given | pictures)
    limits = {
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
    }
    job = jobs.make_job(
        base_url, limits, max_cost=max_cost, max_requests=max_requests, replies=replies, prices=prices, batch=batch_api
    )
    target = out or data
    if dry_run:
        jobs.print_estimate(jobs.estimate_job(settings, job, data, target), as_json=as_json)
        return
    with _goes_on_later(), open_reporter(as_json=log_json) as reporter:
        done = jobs.run_job(settings, job, data, target, overwrite=overwrite, reporter=reporter)
    jobs.print_annotated(done, target, as_json=as_json)


@app.command("demo-scenes")
def demo_scenes(
    out: Annotated[Path, typer.Option(help="Folder for the scenes and their labels.")],
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
    src: Annotated[Path, typer.Argument(help="A data set that `rsvqa build` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    format: Annotated[str, typer.Option(help="llava, xlrs or coco.")],  # noqa: A002  the option's name
    split: Annotated[str | None, typer.Option(help="train, val or test. (default: all)")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what is in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Write a data set in another trainer's format."""
    from rsvqa.rsvqa_builder.dataset.export import export_dataset

    result = export_dataset(src, out, format=format, split=split, overwrite=overwrite)
    print(json.dumps(result._asdict()) if as_json else result)


@app.command()
def convert(
    source: Annotated[str, typer.Option("--from", help="Directory or hub id in the LongVA / GeoLLaVA-8K layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint to write; must be new or empty.")],
    as_json: Json = False,
) -> None:
    """Turn a released checkpoint into one that transformers loads."""
    from rsvqa.annotation.extras import require_extra

    require_extra("model", "convert")
    from rsvqa.model.conversion import convert_checkpoint

    report = convert_checkpoint(source, out)
    print(json.dumps(report.summary()) if as_json else report)


_DATA, _RECIPE, _RUN = "Data", "Recipe", "Run"


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run: settings, checkpoints, trained model, report.")],
    data: Annotated[list[Path] | None, _option(_DATA, "A data set that `rsvqa build` wrote; repeatable.")] = None,
    init: Annotated[
        str | None, _option(_RECIPE, "Checkpoint to begin from: folder, hub id, or tiny (from scratch).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML), such as a run's own train.toml; options override them.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    tasks: Annotated[str | None, _option(_DATA, "Names, short names or levels: OCL,Counting. (default: all)")] = None,
    mix: Annotated[
        str | None, _option(_DATA, "Uses an epoch of a task's or data set's questions: OCL=0.5,highrs=2. (default: 1)")
    ] = None,
    deal_again: Annotated[
        bool | None, _option(_DATA, "Deal the choices' letters anew in every epoch.", "--deal-again/--no-deal-again")
    ] = None,
    epochs: Annotated[float | None, _option(_RECIPE, "Passes over the data. (default: 1)")] = None,
    max_steps: Annotated[int | None, _option(_RECIPE, "Optimizer steps, instead of epochs.")] = None,
    batch_size: Annotated[int | None, _option(_RECIPE, "Samples a step, all devices. (default: 16)")] = None,
    device_batch_size: Annotated[int | None, _option(_RECIPE, "Samples at once on a device. (default: 1)")] = None,
    lr_tower: Annotated[float | None, _option(_RECIPE, "Learning rate of the tower. (default: 1e-6)")] = None,
    lr_projector: Annotated[float | None, _option(_RECIPE, "Of the projector. (default: 5e-6)")] = None,
    lr_llm: Annotated[float | None, _option(_RECIPE, "Of the language model. (default: 5e-6)")] = None,
    freeze: Annotated[str | None, _option(_RECIPE, "Parts to leave as they are: tower,projector,llm.")] = None,
    lora: Annotated[
        int | None,
        _option(_RECIPE, "Rank of adapters that train instead of the LLM's weights; with --freeze tower,projector."),
    ] = None,
    max_length: Annotated[
        int | None, _option(_RECIPE, "Tokens; longer questions are left out and counted. (default: 32768)")
    ] = None,
    precision: Annotated[str | None, _option(_RECIPE, "auto, bf16 or fp32. (default: auto)")] = None,
    pruning: Annotated[
        str | None, _option(_RECIPE, "How visual tokens are chosen. (default: the checkpoint's)")
    ] = None,
    tokens_per_cell: Annotated[
        str | None, _option(_RECIPE, "Visual tokens kept a cell, or all. (default: the checkpoint's)")
    ] = None,
    eval_every: Annotated[int | None, _option(_RUN, "Steps between evaluations on val. (default: 500)")] = None,
    save_every: Annotated[int | None, _option(_RUN, "Steps between checkpoints. (default: 500)")] = None,
    keep: Annotated[int | None, _option(_RUN, "Checkpoints that stay. (default: 3)")] = None,
    loader_workers: Annotated[int | None, _option(_RUN, "Processes that read ahead. (default: 1)")] = None,
    tensorboard: Annotated[bool | None, _option(_RUN, "Write curves for TensorBoard.", "--tensorboard")] = None,
    seed: Annotated[int | None, _option(_RUN, "Of everything random. (default: 0)")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")] = False,
    as_json: Json = False,
) -> None:
    """Train GeoLLaVA on VQA shards."""
    from rsvqa.annotation.extras import require_extra

    require_extra("model", "train")
    from rsvqa.model.training import train as run_training
    from rsvqa.model.training_report import print_outcome
    from rsvqa.model.training_settings import make_training_settings
    from rsvqa.rsvqa_builder.progress import open_reporter

    given = {
        "data": None if data is None else [str(folder) for folder in data],
        "init": init,
        "tasks": _words(tasks),
        "mix": _words(mix),
        "deal_again": deal_again,
        "epochs": epochs,
        "max_steps": max_steps,
        "batch_size": batch_size,
        "device_batch_size": device_batch_size,
        "lr_tower": lr_tower,
        "lr_projector": lr_projector,
        "lr_llm": lr_llm,
        "freeze": _words(freeze),
        "lora_rank": lora,
        "max_length": max_length,
        "precision": precision,
        "pruning": pruning,
        "tokens_per_cell": tokens_per_cell,
        "eval_every": eval_every,
        "save_every": save_every,
        "keep": keep,
        "loader_workers": loader_workers,
        "tensorboard": tensorboard,
        "seed": seed,
    }
    settings = make_training_settings({key: value for key, value in given.items() if value is not None}, config=config)
    with open_reporter(as_json=log_json) as reporter:
        report = run_training(settings, out, resume=resume, reporter=reporter)
    print_outcome(report, out, as_json=as_json)


_ASKED, _MODEL, _ENDPOINT, _PROTOCOL = "What is asked", "Model", "Endpoint", "Protocol"


@app.command()
def bench(
    model: Annotated[
        str | None,
        _option(_MODEL, "Folder or hub id, openai:NAME, random, majority, blind:MODEL (no images), fake:FILE."),
    ] = None,
    data: Annotated[
        str | None,
        _option(
            _ASKED,
            "xlrs-lite, xlrs-caption-en|zh, xlrs-grounding-en|zh, a local copy, or a folder of `rsvqa build`. "
            "(default: xlrs-lite)",
        ),
    ] = None,
    split: Annotated[str | None, _option(_ASKED, "Of the data. (default: test, or the only one)")] = None,
    tasks: Annotated[
        str | None, _option(_ASKED, "Names, short names or levels: OCL,Counting,Reasoning. (default: all)")
    ] = None,
    limit: Annotated[int | None, _option(_ASKED, "The first questions only.")] = None,
    sample: Annotated[int | None, _option(_ASKED, "Questions a task, drawn by --seed.")] = None,
    seed: Annotated[int | None, _option(_ASKED, "Of everything random. (default: 0)")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run: replies, figures, report; goes on where it was. (default: runs/MODEL-DATA)"
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML); options override them.")] = None,
    trust_remote_code: Annotated[
        bool | None, _option(_MODEL, "Run code that comes with the checkpoint.", "--trust-remote-code")
    ] = None,
    max_pixels: Annotated[int | None, _option(_MODEL, "Of an image as the model sees it. (default: its own)")] = None,
    rewrite_boxes: Annotated[
        bool | None,
        _option(
            _MODEL,
            "Put boxes in a question into what the model sees. (default: rewrite)",
            "--rewrite-boxes/--keep-boxes",
        ),
    ] = None,
    dtype: Annotated[str | None, _option(_MODEL, "auto, float32, bfloat16 or float16. (default: auto)")] = None,
    device: Annotated[str | None, _option(_MODEL, "auto, cpu, cuda, cuda:1 … (default: auto)")] = None,
    batch_size: Annotated[int | None, _option(_MODEL, "Questions at once. (default: 8)")] = None,
    reuse: Annotated[
        bool | None, _option(_MODEL, "Encode an image once for its questions. (default: reuse)", "--reuse/--no-reuse")
    ] = None,
    base_url: Annotated[
        str | None, _option(_ENDPOINT, "OpenAI-compatible; its key is in OPENAI_API_KEY. (default: OpenAI's)")
    ] = None,
    concurrency: Annotated[int | None, _option(_ENDPOINT, "Requests in flight. (default: 8)")] = None,
    image_detail: Annotated[str | None, _option(_ENDPOINT, "auto, low or high. (default: auto)")] = None,
    circular: Annotated[
        bool | None, _option(_PROTOCOL, "Ask with the options in every rotation.", "--circular/--no-circular")
    ] = None,
    max_new_tokens: Annotated[int | None, _option(_PROTOCOL, "Of a reply with options. (default: 64)")] = None,
    max_new_tokens_box: Annotated[int | None, _option(_PROTOCOL, "Of a box. (default: 128)")] = None,
    max_new_tokens_caption: Annotated[int | None, _option(_PROTOCOL, "Of a caption. (default: 1024)")] = None,
    caption_prompt: Annotated[
        Path | None, _option(_PROTOCOL, "File with the text that asks for a caption. (default: our own)")
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")] = False,
    as_json: Json = False,
) -> None:
    """Score a model on XLRS-Bench, or on a data set of ours."""
    from rsvqa.benchmark.bench import bench as run_bench
    from rsvqa.benchmark.reports.summary import print_results
    from rsvqa.benchmark.settings import make_bench_settings
    from rsvqa.rsvqa_builder.progress import open_reporter

    given = {
        "model": model,
        "data": data,
        "split": split,
        "tasks": _words(tasks),
        "limit": limit,
        "sample": sample,
        "seed": seed,
        "trust_remote_code": trust_remote_code,
        "max_pixels": max_pixels,
        "rewrite_boxes": rewrite_boxes,
        "dtype": dtype,
        "device": device,
        "batch_size": batch_size,
        "reuse": reuse,
        "base_url": base_url,
        "concurrency": concurrency,
        "image_detail": image_detail,
        "circular": circular,
        "max_new_tokens": max_new_tokens,
        "max_new_tokens_box": max_new_tokens_box,
        "max_new_tokens_caption": max_new_tokens_caption,
        "caption_prompt": None if caption_prompt is None else str(caption_prompt),
    }
    settings = make_bench_settings({key: value for key, value in given.items() if value is not None}, config=config)
    if settings.is_checkpoint:
        _know_own_models()
    out = out or settings.run_folder
    try:
        with open_reporter(as_json=log_json) as reporter:
            results = run_bench(settings, out, reporter=reporter)
    except KeyboardInterrupt:
        print(f"rsvqa: stopped; the replies so far are in {out}, the same command goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None
    if results is not None:
        print_results(results, out, as_json=as_json)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `rsvqa bench`.")],
    as_json: Json = False,
) -> None:
    """Score the stored replies of a run anew, without its model, and write its reports."""
    from rsvqa.benchmark.reports.summary import print_results
    from rsvqa.benchmark.reports.writing import write_reports

    print_results(write_reports(run), run, as_json=as_json)


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
    from rsvqa.benchmark.reports.comparison import compare_runs
    from rsvqa.benchmark.reports.printing import print_comparison

    print_comparison(compare_runs(first, second, shared_only=shared), as_json=as_json)


@app.command()
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    as_json: Json = False,
) -> None:
    """Put runs and published scores into one table."""
    from rsvqa.benchmark.reports.leaderboard import rank_runs
    from rsvqa.benchmark.reports.printing import print_leaderboard

    print_leaderboard(rank_runs(runs), as_json=as_json)


def _know_own_models() -> None:
    """Let transformers load checkpoints of ours without code that comes with them."""
    from rsvqa.annotation.extras import require_extra

    require_extra("model", "bench")
    import rsvqa.model.registration  # noqa: F401


review_app = typer.Typer(no_args_is_help=True, help="Accept, fix and reject questions in the browser.")
app.add_typer(review_app, name="review")

DataSet = Annotated[Path, typer.Argument(help="A data set that `rsvqa build` wrote.")]
Store = Annotated[Path | None, typer.Option(help="File of the decisions. (default: review.sqlite in the data set)")]


@review_app.command("serve")
def review_serve(
    src: DataSet,
    sample: Annotated[float, typer.Option(help="Share of the questions that need no review, reviewed too.")] = 0.05,
    overlap: Annotated[float, typer.Option(help="Share of the queue that two people review.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of sample and overlap.")] = 0,
    store: Store = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with a password.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int | None, typer.Option(help="(default: 8417, or the next that is free)")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="RSVQA_REVIEW_PASSWORD", help="Asked for besides the token in the address.")
    ] = None,
    cache_mb: Annotated[int, typer.Option(min=1, help="Of image tiles kept in memory, 10⁶ bytes.")] = 1_000,
) -> None:
    """Open the review in the browser; `rsvqa review FOLDER` is short for it."""
    from rsvqa.annotation.extras import require_extra

    require_extra("review", "review")
    from rsvqa.rsvqa_builder.reviewing.serve import ServerSettings, announce, make_queue_settings, serve_review

    queue = make_queue_settings(sample=sample, overlap=overlap, seed=seed)
    server = ServerSettings(host=host, port=port, password=password, cache_bytes=cache_mb * 1_000_000)
    serve_review(src, queue, server, store=store, announce=lambda url: announce(url, server))


@review_app.command("apply")
def review_apply(
    src: DataSet,
    out: Annotated[Path, typer.Option(help="Folder of the reviewed data set.")],
    undecided: Annotated[
        str, typer.Option(help="Questions without a decision: keep, drop-needed (those that need one), drop.")
    ] = "keep",
    store: Store = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another data set in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Write what people decided as a new data set; the reviewed one is not touched."""
    from rsvqa.rsvqa_builder.reviewing.apply import apply_review, parse_undecided, summary_lines

    report = apply_review(src, out, store=store, undecided=parse_undecided(undecided), overwrite=overwrite)
    print(json.dumps(report) if as_json else "\n".join(summary_lines(report, out)))


@review_app.command("export")
def review_export(
    src: DataSet,
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    format: Annotated[str, typer.Option(help="label-studio.")] = "label-studio",  # noqa: A002  the option's name
    sample: Annotated[float, typer.Option(help="Share of the questions that need no review, exported too.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    store: Store = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")] = False,
    as_json: Json = False,
) -> None:
    """Write questions, images and decisions for another annotation tool."""
    from rsvqa.rsvqa_builder.reviewing.label_studio import check_format, export_tasks
    from rsvqa.rsvqa_builder.reviewing.serve import make_queue_settings

    check_format(format)
    queue = make_queue_settings(sample=sample, overlap=0, seed=seed)
    counts = export_tasks(src, out, queue, store=store, overwrite=overwrite)
    print(json.dumps(counts._asdict()) if as_json else counts)


@review_app.command("import")
def review_import(
    src: DataSet,
    file: Annotated[Path, typer.Argument(help="JSON of the annotation tool.")],
    format: Annotated[str, typer.Option(help="label-studio.")] = "label-studio",  # noqa: A002  the option's name
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Take decisions from another annotation tool into the review."""
    from rsvqa.rsvqa_builder.reviewing.label_studio import check_format, import_tasks

    check_format(format)
    counts = import_tasks(src, file, store=store)
    print(json.dumps(counts._asdict()) if as_json else counts)


def _words(text: str | None) -> list[str] | None:
    """Return comma-separated words."""
    return None if text is None else text.split(",")


def _numbers(name: str, text: str | None) -> list[float] | None:
    """Return comma-separated numbers."""
    if text is None:
        return None
    from rsvqa.rsvqa_builder.config import SettingsError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--{name} {text}: expected numbers separated by commas") from None


def main() -> None:
    """Run the command line; a known error is one line on stderr and its exit code."""
    try:
        app(with_serve(sys.argv[1:]), standalone_mode=True)
    except (RsvqaError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"rsvqa: {_one_line(error)}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


def with_serve(arguments: list[str]) -> list[str]:
    """Return the arguments with `rsvqa review FOLDER` spelt out as `rsvqa review serve FOLDER`."""
    at = next((i for i, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    rest = arguments[at + 1 :]
    if arguments[at : at + 1] != ["review"] or not rest or rest[0] in (*_REVIEW_COMMANDS, "--help"):
        return arguments
    return [*arguments[: at + 1], "serve", *rest]


_REVIEW_COMMANDS = ("serve", "apply", "export", "import")


def _one_line(error: RsvqaError | OSError) -> str:
    """Return the message; errors of the file system (no space, no permission) get what to do."""
    if isinstance(error, RsvqaError):
        return str(error)
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}; mend it and repeat the command, what is finished is kept"


if __name__ == "__main__":
    main()
