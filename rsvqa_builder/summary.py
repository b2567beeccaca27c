"""What a build prints at its end: what went wrong first, then a table of tasks, and what a person should know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from rsvqa.annotation.choosing import TOO_FREQUENT
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.auditing.short import guess_text, guessed_tasks
from rsvqa.rsvqa_builder.build import RankOutcome
from rsvqa.rsvqa_builder.dataset.output import OutputState
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.documents.losses import Losses, build_losses, input_losses
from rsvqa.rsvqa_builder.losses import loss_lines
from rsvqa.rsvqa_builder.shown import ShownResult
from rsvqa.rsvqa_builder.tiles.ranks import Rank

if TYPE_CHECKING:
    from rsvqa.rsvqa_builder.annotating.job import AnnotateResult


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult(ShownResult):
    """What `rsvqa.build` ends with.

    Attributes:
        out: folder of the data set, or its address in an object storage.
        state: what was found in it; a finished one was left as it is.
        report: the content of `report.json`.
        annotated: what models did with it afterwards; None when none was asked, or there was nothing for them.
    """

    out: Path | str
    state: OutputState
    report: Mapping[str, Any]
    annotated: AnnotateResult | None = None

    def parts(self) -> Iterator[str | Table]:
        """Yield what went wrong first, then the tasks, and what is worth knowing."""
        if self.state is OutputState.COMPLETE:
            yield f"{self.out} is finished already, with the same settings and inputs; `overwrite` builds it anew"
        yield from first_lines(self.report)
        yield task_table(self.report)
        yield from closing_lines(self.report)
        yield f"preview: {self.out}/preview.html"
        if self.annotated is not None:
            yield from self.annotated.parts()

    def as_json(self) -> dict[str, Any]:
        """Return the whole report, with that of an annotation in it."""
        more = {} if self.annotated is None else {"annotation": self.annotated.content}
        return {"state": self.state.value, "out": str(self.out), **self.report, **more}


@dataclass(frozen=True, slots=True)
class RankResult(ShownResult):
    """What a rank of a job array ended with in the folder or storage `out`."""

    outcome: RankOutcome
    rank: Rank
    out: Path | str

    def parts(self) -> Iterator[str]:
        """Yield what was done, and what is left to do."""
        if self.outcome.state is OutputState.COMPLETE:
            yield f"{self.out} is finished already, with the same settings and inputs"
            return
        failed = f", {self.outcome.failed:,} of them cannot be read" if self.outcome.failed else ""
        yield (
            f"rank {self.rank} has done its {self.outcome.tiles:,} tiles{failed}; once all ranks have ended, the same "
            f"command without `shard_of` finishes {self.out}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return rank, place and outcome."""
        return {"rank": str(self.rank), "out": str(self.out), **self.outcome._asdict()}


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
