"""What a build prints at its end: what went wrong first, then a table of tasks, and what a person should know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rsvqa.annotation.choosing import TOO_FREQUENT
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.short import guess_text, guessed_tasks
from rsvqa.rsvqa_builder.build import BuildOutcome, RankOutcome
from rsvqa.rsvqa_builder.dataset.output import OutputState
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.documents.losses import Losses, build_losses, input_losses
from rsvqa.rsvqa_builder.losses import loss_lines
from rsvqa.rsvqa_builder.tiles.ranks import Rank


def print_summary(
    outcome: BuildOutcome,
    out: Path | str,
    *,
    as_json: bool,
    annotation: Mapping[str, Any] | None = None,
    spell: Callable[[str], str] = str,
) -> None:
    """Print what a build ended with to stdout; as JSON it is the whole report, with that of an annotation in it.

    Args:
        outcome: of the build.
        out: folder of the data set.
        as_json: for machines.
        annotation: report of the models that worked on it.
        spell: turns a line into what a person reads, such as names of settings into options.
    """
    if as_json:
        more = {} if annotation is None else {"annotation": annotation}
        print(json.dumps({"state": outcome.state.value, "out": str(out), **outcome.report, **more}, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if outcome.state is OutputState.COMPLETE:
        _print_line(
            console, spell(f"{out} is finished already, with the same settings and inputs; `overwrite` builds it anew")
        )
    for line in first_lines(outcome.report):
        _print_line(console, spell(line))
    console.print(task_table(outcome.report))
    for line in closing_lines(outcome.report):
        _print_line(console, spell(line))
    _print_line(console, f"preview: {out}/preview.html")


def print_rank(
    outcome: RankOutcome, rank: Rank, out: Path | str, *, as_json: bool, spell: Callable[[str], str] = str
) -> None:
    """Print what a rank of a job array ended with; arguments as in `print_summary`."""
    if as_json:
        print(json.dumps({"rank": str(rank), "out": str(out), **outcome._asdict()}, ensure_ascii=False))
        return
    if outcome.state is OutputState.COMPLETE:
        print(spell(f"{out} is finished already, with the same settings and inputs"))
        return
    failed = f", {outcome.failed:,} of them cannot be read" if outcome.failed else ""
    print(
        spell(
            f"rank {rank} has done its {outcome.tiles:,} tiles{failed}; once all ranks have ended, the same command "
            f"without `shard_of` finishes {out}"
        )
    )


def _print_line(console: Console, line: str) -> None:
    """Print one line as it is: a path may hold brackets, and is copied whole only when it is not wrapped."""
    console.print(line, markup=False, soft_wrap=True)


def first_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what went wrong, by reason and with an example each; nothing when all went well."""
    return _loss_lines(build_losses(report))


def input_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what went wrong with scenes and labels, before any tile was made."""
    return _loss_lines(input_losses(report))


def _loss_lines(found: Iterable[Losses]) -> Iterator[str]:
    for losses in found:
        yield losses.title
        yield from (f"  {line}" for line in loss_lines(losses.groups))


def task_table(report: Mapping[str, Any]) -> Table:
    """Return the questions of each task; a task without any says why."""
    table = Table(title=f"{report['questions']:,} questions; {report['tiles']['kept']:,} tile(s)")
    table.add_column("task", no_wrap=True)
    table.add_column("short")
    table.add_column("questions", justify="right")
    if audit := report.get("without_image"):
        table.add_column("guess (chance)", justify="right")
    table.add_column("not asked, mostly because", overflow="fold")
    for name, info in TASKS.items():
        task = report["tasks"][name]
        guess = (guess_text(audit.get(name, ())),) if audit else ()
        table.add_row(name, info.short, f"{task['questions']:,}", *guess, _main_reason(task))
    return table


def closing_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is worth knowing beside the table, a line each."""
    tiles, splits = report["tiles"], report["splits"]
    if audit := report.get("without_image"):
        names = guessed_tasks(audit)
        few = f"{len(names)} of {len(audit)} tasks can be guessed without the image: {', '.join(names)}"
        yield f"{few if names else 'no task can surely be guessed without the image'}; `rsvqa audit` says by what"
    if len(sources := report.get("sources", {})) > 1:
        yield from (f"source {name}: {_source_line(source)}" for name, source in sources.items())
    split_text = ", ".join(f"{name} {count:,}" for name, count in splits["tiles"].items())
    yield f"{splits['places']:,} place(s); tiles by split: {split_text or 'none'}"
    if missing := [name for name in SPLITS if name not in splits["tiles"]]:
        yield f"nothing in {' and '.join(missing)}: places stay whole, and there are too few for every split"
    if surplus := sum(task["not_chosen"].get(TOO_FREQUENT, 0) for task in report["tasks"].values()):
        yield f"{surplus:,} candidates are not asked, to keep answers even (`balance`)"
    if tiles["without_questions"]:
        where = f"{tiles['without_questions']:,} tiles without a question are in tiles/"
        yield f"{where}: `rsvqa review` opens them, to draw what the questions then come from"


def _source_line(source: Mapping[str, Any]) -> str:
    line = f"{source['questions']:,} questions, {source['tiles']['kept']:,} tile(s) of {source['scenes']:,} scene(s)"
    beyond = source["beyond_its_share"]
    return f"{line}; {beyond:,} questions more are beyond its share of {source['share']:g}" if beyond else line


def _main_reason(task: Mapping[str, Any]) -> str:
    if task["questions"]:
        return ""
    if not task["most_per_tile"]:
        return "not asked for"
    return next(iter({**task["not_asked"], **task["rejected"], **task["not_chosen"]}), "")
