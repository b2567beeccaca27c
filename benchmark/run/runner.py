"""One benchmark run: data and model in, replies on disk, `run.json` beside them.

Started again on the same folder it goes on where it was: what is stored is not asked again, failures are.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from rsvqa.benchmark.errors import ModelError, RunError
from rsvqa.benchmark.files.datasets import Dataset, open_dataset
from rsvqa.benchmark.files.reply_store import RANKS_FOLDER, RunReplies, key_of, rank_folder
from rsvqa.benchmark.files.run_record import (
    RUN_FILE,
    SAMPLES_FILE,
    RunRecord,
    RunState,
    Session,
    read_run_record,
    write_run_record,
)
from rsvqa.benchmark.models import BenchModel
from rsvqa.benchmark.run.loading import Loader, group_bytes
from rsvqa.benchmark.run.plan import Plan, make_plan
from rsvqa.benchmark.run.prefetch import Prefetcher
from rsvqa.benchmark.run.ranks import ALONE, World
from rsvqa.benchmark.run.recording import Recorder
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.dataset.output import describe_changes
from rsvqa.rsvqa_builder.files import is_partial
from rsvqa.rsvqa_builder.locks import LOCK
from rsvqa.rsvqa_builder.progress import QuietReporter, Reporter

MAX_WAITING_BYTES = 256_000_000
"""The most for decoded images that wait for the model: one of 10,000 × 10,000 px, or many small ones."""

_PACKAGES = (
    "rsvqa",
    "numpy",
    "pillow",
    "simplejpeg",
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "openai",
    "vllm",
)
_SESSIONS_FILE = "sessions.jsonl"

OpenModel = Callable[[BenchSettings, Sequence[Sample]], BenchModel]


def run_benchmark(
    settings: BenchSettings,
    out: Path,
    *,
    open_model: OpenModel,
    reporter: Reporter | None = None,
    world: World = ALONE,
) -> RunRecord:
    """Ask a model all that the settings choose, and return the run's record as it is in `out`.

    Raises:
        DataError: the data are not there, or hold nothing to ask.
        ModelError: the model cannot be loaded or has stopped answering; the replies so far are kept.
        RunError: `out` holds another run, or another process works on it.
    """
    reporter = reporter or QuietReporter()
    start = time.monotonic()
    _refuse_foreign_folder(out)
    with RunReplies(out, rank=world.rank, tell=partial(reporter.note, "waiting")) as store:
        dataset = open_dataset(settings)
        model = open_model(settings, dataset.samples)
        plan = make_plan(dataset.samples, settings, model, rules=dataset.record.rules)
        run = _Run(settings, out, dataset, model, plan, world)
        if world.is_first:
            run.check_folder(store)
            run.compare_with_training(dataset.samples, reporter)
            run.write_record("running")
        world.wait_for_all()  # nobody writes before the first has found the folder to be this run's
        run.ask(store, reporter, started=start)
        world.wait_for_all()
        if world.is_first:
            run.collect_sessions()
            store.merge(plan.order)
            run.write_record("complete")
    return run.record


def _refuse_foreign_folder(out: Path) -> None:
    """Leave folders of other programs alone; what a run writes would lie among their files."""
    # the first process may be writing the record of this very run
    names = {entry.name for entry in out.iterdir() if not is_partial(entry)} if out.is_dir() else set()
    if not names & {RUN_FILE, SAMPLES_FILE} and names - {RANKS_FOLDER, LOCK}:
        raise RunError(f"{out} is not empty and holds no run of rsvqa bench: choose an empty or new folder for `out`")


class _Run:
    """What one process of a run holds while it works."""

    def __init__(
        self, settings: BenchSettings, out: Path, dataset: Dataset, model: BenchModel, plan: Plan, world: World
    ) -> None:
        self._out = out
        self._model = model
        self._plan = plan
        self._world = world
        self._shows_images = settings.shows_images
        self.record = RunRecord(
            state="running",
            settings=settings,
            model_name=model.name,
            model=dict(model.describe()),
            prompts=dict(plan.prompt_names),
            fingerprint=plan.fingerprint,
            versions=installed_versions(),
            data=dataset.record,
            num_prompts=len(plan.order),
        )

    def check_folder(self, store: RunReplies) -> None:
        """Refuse a folder of another run, or of one that holds more than is asked now.

        Raises:
            RunError: says what differs.
        """
        if (self._out / RUN_FILE).exists():
            old = read_run_record(self._out)
            if old.fingerprint != self.record.fingerprint:
                raise RunError(f"{self._out} holds a run made otherwise: {_changes(old, self.record)}. {_ELSEWHERE}")
            self.record = self.record.model_copy(update={"sessions": old.sessions, "contamination": old.contamination})
        elif store.replies:
            raise RunError(f"{self._out} holds replies but no {RUN_FILE}, so nobody knows whose. {_ELSEWHERE}")
        planned = set(self._plan.order)
        if others := [reply.sample_id for reply in store.replies if key_of(reply) not in planned]:
            raise RunError(
                f"{self._out} holds {len(others)} replies to questions that are not asked now, e.g. {others[0]}: "
                f"`tasks`, `limit` and `per_task` may only ask more. {_ELSEWHERE}"
            )

    def compare_with_training(self, samples: Sequence[Sample], reporter: Reporter) -> None:
        """Tell which images were trained on, before anything is asked, where the settings name a training set."""
        trained_on = self.record.settings.trained_on
        if trained_on:
            from rsvqa.benchmark.files.contamination import find_trained_on  # a run without it starts sooner

            found = find_trained_on(samples, trained_on)
            self.record = self.record.model_copy(update={"contamination": found})
            reporter.note("trained on", found.sentence)

    def write_record(self, state: RunState) -> None:
        """Write `run.json`."""
        self.record = self.record.model_copy(update={"state": state})
        write_run_record(self._out, self.record)

    def collect_sessions(self) -> None:
        """Take over what the other processes wrote of theirs, before the merge removes it."""
        lines = [
            line
            for path in sorted(self._out.glob(f"{RANKS_FOLDER}/*/{_SESSIONS_FILE}"))
            for line in path.read_bytes().splitlines()
        ]
        ended = sorted(map(Session.model_validate_json, lines), key=lambda session: session.rank)
        self.record = self.record.model_copy(update={"sessions": (*self.record.sessions, *ended)})

    def ask(self, store: RunReplies, reporter: Reporter, *, started: float) -> None:
        """Ask this process's part; whatever ends it, its replies and its session are kept."""
        groups = self._world.share(self._plan.groups)
        num_prompts = sum(len(group.prompts) for group in groups)
        recorder = Recorder(store, reporter, self.record.data.rules)
        loader = Loader(
            groups,
            fingerprint=self._plan.fingerprint,
            ledger=recorder,
            shows_images=self._shows_images,
            run=self._out,
        )
        reporter.start("questions", num_prompts)
        begun = time.monotonic()
        is_whole = False
        try:
            self._ask_all(loader, recorder)
            is_whole = True
        except ModelError as error:
            kept = f"{recorder.num_done} of {num_prompts} questions have a result in {self._out}"
            raise ModelError(f"{error}; {kept}, the same command goes on from there") from error
        finally:
            self._end_session(recorder, begun - started, time.monotonic() - begun, is_whole=is_whole)

    def _ask_all(self, loader: Loader, recorder: Recorder) -> None:
        prefetched = Prefetcher(loader, cost=group_bytes, max_waiting_cost=MAX_WAITING_BYTES)
        with prefetched as ready:
            for result in self._model.reply(ready):
                request = loader.requests.pop(result.key, None)
                if request is None:
                    raise ModelError(f"{self._model.name} replied to {result.key!r}, which was not asked")
                recorder.record(request, result)
        if loader.requests:
            raise ModelError(f"{self._model.name} gave no result for {len(loader.requests)} prompts")

    def _end_session(self, recorder: Recorder, start_up: float, seconds: float, *, is_whole: bool) -> None:
        session = Session(
            rank=self._world.rank,
            num_replies=recorder.num_replies,
            num_images=recorder.num_images,
            start_up_seconds=round(start_up, 3),
            seconds=round(seconds, 3),
            peak_memory_mb=_peak_memory_mb(),
            peak_device_memory_mb=_peak_device_memory_mb(),
        )
        if not self._world.is_first:
            with (rank_folder(self._out, self._world.rank) / _SESSIONS_FILE).open("a", encoding="utf-8") as file:
                file.write(session.model_dump_json() + "\n")
            return
        self.record = self.record.model_copy(update={"sessions": (*self.record.sessions, session)})
        if not is_whole:
            self.write_record("stopped")


_ELSEWHERE = "Repeat with the old settings and data, or choose another `out`"


def _changes(old: RunRecord, new: RunRecord) -> str:
    def parts(record: RunRecord) -> dict[str, dict[str, object]]:
        bearing = record.settings.bearing_on_replies()
        return {"settings": {**record.prompts, **record.model, **bearing}}

    return "; ".join(describe_changes(parts(old), parts(new))) or "its fingerprint differs"


def installed_versions() -> dict[str, str]:
    """Return the versions of python and the packages that bear on replies, as far as they are installed."""
    found = {"python": python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def _peak_device_memory_mb() -> float | None:
    torch = sys.modules.get("torch")  # not imported for this: a run with an endpoint does without
    if torch is None or not torch.cuda.is_available():
        return None
    return round(float(torch.cuda.max_memory_allocated()) / 1e6, 1)
