"""`rsvqa bench`: ask a model, score its replies, write the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rsvqa.benchmark.adapters.open_model import needs_samples, open_model
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.datasets import open_dataset
from rsvqa.benchmark.models import BenchModel
from rsvqa.benchmark.run.ranks import read_world
from rsvqa.benchmark.run.runner import OpenModel, run_benchmark
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.scores.results import Results
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.progress import QuietReporter, Reporter


def bench(
    settings: BenchSettings, out: Path, *, reporter: Reporter, open_model: OpenModel = open_model
) -> Results | None:
    """Run a benchmark into the folder `out` and return its figures; None in all processes of a run but the first.

    Args:
        settings: one data set is asked.
        out: folder of the run.
        reporter: hears of progress.
        open_model: returns the model that the settings name.

    Raises:
        DataError: the data are not there, or hold nothing to ask.
        ModelError: the model cannot be loaded or has stopped answering; the replies so far are kept.
        RunError: `out` holds another run, or another process works on it.
    """
    world = read_world()
    run_benchmark(
        settings, out, open_model=open_model, reporter=reporter if world.is_first else QuietReporter(), world=world
    )
    if not world.is_first:
        return None
    from rsvqa.benchmark.reports.writing import write_reports  # the first question does not wait for it

    return write_reports(out)


def runs_of(settings: BenchSettings, out: Path | None) -> list[tuple[BenchSettings, Path]]:
    """Return the settings and the folder of each run: one for each data set that is named, with commas between them.

    Args:
        settings: whose `data` names one or several; a path that exists is one, commas in it or not.
        out: folder of the only run, or of those of several; None for `BenchSettings.run_folder`.

    Raises:
        DataError: two data sets would share a folder, or a name is empty.
    """
    names = [settings.data] if Path(settings.data).exists() else [name.strip() for name in settings.data.split(",")]
    each = [settings.model_copy(update={"data": name}) for name in names]
    labels = [one.data_label for one in each]
    if not all(names) or len(set(labels)) < len(labels):
        raise BenchmarkDataError(f"`data` {settings.data!r}: expected names that differ, with commas between them")
    if out is None:
        return [(one, one.run_folder) for one in each]
    return [(one, out if len(each) == 1 else out / one.data_label) for one in each]


def bench_each(
    runs: Sequence[tuple[BenchSettings, Path]], *, reporter: Reporter, before_model: Callable[[], object] = lambda: None
) -> Iterator[tuple[Path, Results | None]]:
    """Run several benchmarks with one model, which is opened once, and yield each run's folder and figures as it ends.

    Args:
        runs: settings that differ in `data` alone, each with its folder.
        reporter: hears of progress.
        before_model: called when the data are open and the model is needed.

    Raises:
        DataError: one of the data sets cannot be asked; nothing was asked then.
        ModelError, RunError: as `bench`; what was asked before is kept.
    """
    if len(runs) > 1:
        for settings, _ in runs:
            open_dataset(settings)  # better told now than when the others are asked
    opened: list[BenchModel] = []

    def open_once(settings: BenchSettings, samples: Sequence[Sample]) -> BenchModel:
        if not opened or needs_samples(settings):
            before_model()
            opened[:] = [open_model(settings, samples)]
        return opened[0]

    for settings, out in runs:
        yield out, bench(settings, out, reporter=reporter, open_model=open_once)
