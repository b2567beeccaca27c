"""`rsvqa bench`: ask a model, score its replies, write the reports."""

from __future__ import annotations

from pathlib import Path

from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.reports.writing import write_reports
from rsvqa.benchmark.run.ranks import read_world
from rsvqa.benchmark.run.runner import run_benchmark
from rsvqa.benchmark.scores.results import Results
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.progress import QuietReporter, Reporter


def bench(settings: BenchSettings, out: Path, *, reporter: Reporter) -> Results | None:
    """Run a benchmark into the folder `out` and return its figures; None in all processes of a run but the first.

    Raises:
        DataError: the data are not there, or hold nothing to ask.
        ModelError: the model cannot be loaded or has stopped answering; the replies so far are kept.
        RunError: `out` holds another run, or another process works on it.
    """
    world = read_world()
    run_benchmark(
        settings, out, open_model=open_model, reporter=reporter if world.is_first else QuietReporter(), world=world
    )
    return write_reports(out) if world.is_first else None
