"""The run: scenes → plan → tiles → selection → shards, card, report and preview.

Every step before the tiles reads headers, labels and small samples; the tiles are the long part, and the only one
that a restart does not repeat.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.choosing import Result, Weighed
from rsvqa.annotation.errors import NothingUsableError, RsvqaError
from rsvqa.annotation.images import ImageSize
from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.config import moved_paths
from rsvqa.rsvqa_builder.dataset.output import Fingerprint, OutputFolder, OutputState, portable
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.documents.losses import dropped_tiles
from rsvqa.rsvqa_builder.documents.overview import Overview, ShardOverview, ShardQuestion
from rsvqa.rsvqa_builder.documents.writing import BuildFacts, read_report, report_text, write_documents
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.files import bucket_address
from rsvqa.rsvqa_builder.label_files.class_rasters import few_values
from rsvqa.rsvqa_builder.losses import loss_lines
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.scenes.pairs import DatePair, alignment
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.anchors import store_anchors
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTiles
from rsvqa.rsvqa_builder.tiles.assembly import choose_questions, read_tiles, select_tiles
from rsvqa.rsvqa_builder.tiles.bucket import OutputBucket
from rsvqa.rsvqa_builder.tiles.dedup import ExcludedImages, find_same_file, read_excluded
from rsvqa.rsvqa_builder.tiles.executors import (
    Executor,
    ExecutorError,
    Failure,
    InProcessExecutor,
    ProcessPool,
    count_processors,
    make_executor,
    open_executor,
    run_all,
    run_largest_first,
    run_within,
)
from rsvqa.rsvqa_builder.tiles.fingerprint import library_versions, machine_traits, package_versions
from rsvqa.rsvqa_builder.tiles.journal import Journal
from rsvqa.rsvqa_builder.tiles.preparing import (
    PreparedScene,
    PrepareJob,
    StageJob,
    plan_preparing,
    prepare_scene,
    stage_scene,
)
from rsvqa.rsvqa_builder.tiles.ranks import Rank, deal
from rsvqa.rsvqa_builder.tiles.shard_work import (
    MadeShard,
    PickJob,
    do_shard,
    pick_records,
    plan_shard_work,
    read_told,
)
from rsvqa.rsvqa_builder.tiles.shared_work import SharedWork
from rsvqa.rsvqa_builder.tiles.sources import Sources, describe, find_sources
from rsvqa.rsvqa_builder.tiles.store import FolderStore, WorkStore
from rsvqa.rsvqa_builder.tiles.tile_work import LaterWork, TileJob, do_tile
from rsvqa.rsvqa_builder.tiles.worker_contract import WorkerContract

Output = OutputFolder | OutputBucket

_ENOUGH_TO_SPREAD = 100_000
"""Candidates, or questions, from which on other processes are worth starting."""
_MOST_IN_WORK = 3_000_000
"""Candidates, or questions, that all processes together work on at a time: up to 0.6 kB of memory each."""


class StrictError(RsvqaError):
    """A scene is left out, and `strict` makes that fatal."""


class MissingTilesError(RsvqaError):
    """What is to be assembled is not whole."""


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """What a build ended with: what it found in the output folder, and what its report says."""

    state: OutputState
    report: Mapping[str, Any]


class RankOutcome(NamedTuple):
    """What a rank of a job array ended with.

    Attributes:
        state: what it found in the output folder; nothing is done when that is a finished data set.
        tiles: that are its to do.
        failed: how many of them cannot be read; the build that finishes tries them again.
    """

    state: OutputState
    tiles: int
    failed: int


def build(
    settings: BuildSettings,
    out: Path | str,
    *,
    execution: ExecutionSettings,
    overwrite: bool = False,
    assemble: bool = False,
    reporter: Reporter,
) -> BuildOutcome:
    """Build the data set of `settings` in `out`, going on where an interrupted build of the same settings stopped.

    Args:
        settings: decide every byte of the result.
        out: folder of the data set, or the address of an object storage, "s3://bucket/prefix".
        execution: where the work runs; changes no byte.
        overwrite: replace a data set or an unfinished build of other settings.
        assemble: make no tile, only finish what ranks have done.
        reporter: hears of progress and of everything left out.

    Raises:
        NothingUsableError: when no scene can be used, or every tile is dropped; the message says where the report is.
        MissingTilesError: with `assemble`, when a tile is not done.
        StrictError: in strict builds, at the first scene that cannot be used.
        OutputError: when `out` cannot be used.
        ExecutorError: when the executor cannot work; the same call goes on where this one stopped.
    """
    with _open_output(out, reporter) as output, open_executor(execution, out=out, reporter=reporter) as executor:
        run = _Run(settings, executor, _contract(settings, out), reporter)
        sources = run.find_sources()
        if not sources.scenes and not (sources.left_out and output.is_free):
            raise NothingUsableError(run.no_scene(sources))  # whatever the folder holds stays as it is
        fingerprint = _fingerprint(settings, sources, output)
        state = output.begin(fingerprint, overwrite=overwrite)
        if state is OutputState.COMPLETE:
            return BuildOutcome(
                state, output.read_report() if isinstance(output, OutputBucket) else read_report(output.path)
            )
        run.assembles = assemble
        report = run.make(sources, fingerprint, output)
        if isinstance(output, OutputFolder):  # of a storage, where the bytes of others count, nothing more is kept
            output.keep_timings(run.seconds)
    return BuildOutcome(state, report)


def build_rank(
    settings: BuildSettings, out: Path | str, rank: Rank, *, execution: ExecutionSettings, reporter: Reporter
) -> RankOutcome:
    """Do one rank's tiles of a job array in `out`; `build` with the same arguments does what is missing and finishes.

    Ranks may run at the same time and in any order, be repeated, or never run at all.

    Args:
        settings: as in `build`.
        out: folder of the data set, which all ranks see, or an object storage.
        rank: which tiles are to be done.
        execution: where the work runs.
        reporter: hears of progress and of everything left out.

    Raises:
        NothingUsableError, StrictError: as in `build`.
        OutputError: when `out` cannot be used, or what this machine makes would not be what another rank's does.
    """
    with (
        _open_output(out, reporter, shared=True) as output,
        open_executor(execution, out=out, reporter=reporter) as executor,
    ):
        run = _Run(settings, executor, _contract(settings, out), reporter)
        sources = run.find_sources()
        if not sources.scenes:
            raise NothingUsableError(run.no_scene(sources))
        state = output.join(_fingerprint(settings, sources, output))
        if state is OutputState.COMPLETE:
            return RankOutcome(state, 0, 0)
        jobs, num_failed = run.do_rank(sources, rank, output)
    return RankOutcome(state, jobs, num_failed)


def _contract(settings: BuildSettings, out: Path | str) -> WorkerContract:
    named = (settings.src,) if isinstance(settings.src, str) else settings.src
    sources = [Path(source) for source in named if Path(source).exists()]
    return WorkerContract.of_this_process(*([] if bucket_address(out) else [Path(out)]), *sources)


class _Plan(NamedTuple):
    """What there is to do.

    Attributes:
        scenes: that tiles are made of, by id, as they are and not as they are copied.
        excluded: what tiles are compared with.
        jobs: the tiles.
        done: digests of those that are done already.
    """

    scenes: Mapping[str, PreparedScene]
    excluded: ExcludedImages
    jobs: tuple[TileJob, ...]
    done: Collection[str]


class _Run:
    """The steps of one build, and what they leave out on the way."""

    def __init__(
        self, settings: BuildSettings, executor: Executor, contract: WorkerContract, reporter: Reporter
    ) -> None:
        self.settings = settings
        self.executor = executor
        self.contract = contract
        self.reporter = reporter
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []
        self.remarks: Sequence[LeftOut] = ()
        self.seconds: dict[str, float] = {}
        self.assembles = False

    @property
    def _is_here(self) -> bool:
        """Whether all work is done on this machine."""
        return isinstance(self.executor, ProcessPool | InProcessExecutor)

    def find_sources(self) -> Sources:
        """Return the scenes with their labels; what cannot be a scene is left out."""
        with self._step("finding scenes"):
            sources = find_sources(
                self.settings,
                lambda jobs: run_all(self.executor, self.contract.bind(describe), jobs, self.reporter),
                lambda scenes: run_all(self.executor, self.contract.bind(few_values), scenes, self.reporter),
            )
            for left_out in sources.left_out:
                self._leave_out(left_out)
        return sources

    def no_scene(self, sources: Sources) -> str:
        """Return the message of a build without a usable scene."""
        found = f"; {len(self.left_out)} found, none usable, for the reasons above" if self.left_out else ""
        return f"no usable scene: looked for {sources.searched}{found}"

    def make(self, sources: Sources, fingerprint: Fingerprint, output: Output) -> Mapping[str, Any]:
        """Make the data set, put it in its place and return its report."""
        holds_tiles = output.holds_tiles
        journal = Journal(_store_of(output))
        scenes, excluded, jobs, done = self._plan_all(sources, output, journal)
        copies = {found.scene.scene_id: find_same_file(Path(found.scene.path), excluded) for found in sources.scenes}
        with self._step("making tiles"):
            failed = self._do_tiles(jobs, done, scenes)
        with self._step("writing shards"):
            excluded_scenes = {scene: name for scene, name in copies.items() if name}
            tiles = read_tiles(jobs, journal, failed, excluded, self._spread)
            selection = select_tiles(jobs, tiles, failed, excluded_scenes, self.settings)
            shares = {member.name: member.share for member in sources.members}
            asked = choose_questions(jobs, tiles, selection, self.settings, shares, self._spread)
            made = AskedTiles(jobs, journal, asked.offered, asked.choices, self.settings, self._spread)
            output.require_held()  # shards of other plans go
            shards = self._write_shards(made, journal)
        with self._step("auditing"):
            overview = Overview(seed=self.settings.seed)
            for told in read_told(shards, journal.store):
                overview.join(told)
            for tile, num_questions in zip(made.tiles(), made.num_questions(), strict=True):
                overview.add_tile(tile, num_questions)
            records = self._pick_records(overview.wanted(), shards, journal.store)
            samples, audit = overview.samples(records), overview.audit(records, made.tiles())
        facts = BuildFacts(
            settings=self.settings,
            place=output.path if isinstance(output, OutputFolder) else None,
            sources=sources.members,
            tables=sources.tables,
            fingerprint=portable(fingerprint),
            scenes=scenes,
            left_out=self.left_out,
            orphans=sources.orphans,
            passed_over=sources.passed_over,
            remarks=self.remarks,
            notes=self.notes,
            jobs=jobs,
            selection=selection,
            asked=asked,
            statistics=overview.statistics(),
            samples=samples,
            shards=[shard.info for shard in shards],
            audit=audit,
        )
        if not shards:
            raise NothingUsableError(self._end_with_nothing(sources, facts, failed, output, holds_tiles=holds_tiles))
        shutil.rmtree(output.ready, ignore_errors=True)  # documents of an interrupted build
        output.ready.mkdir()
        report = write_documents(output.ready, facts, load_image=_image_loader(jobs, journal))
        output.commit([shard.stored for shard in shards])
        return report

    def _write_shards(self, asked: AskedTiles, journal: Journal) -> list[MadeShard]:
        """Return the shards, in order; those that are not there yet are written by the workers."""
        look = partial(ShardOverview, seed=self.settings.seed, has_audit=self.settings.audit)
        planned = plan_shard_work(asked, journal, look, seed=self.settings.seed, language=self.settings.language)
        made = dict(planned.done)
        if made:
            self.reporter.note("resumed_shards", f"{len(made)} of {len(planned.names)} shards are written already")
        self.reporter.start("shards", len(planned.todo))
        work = self.contract.bind(do_shard)
        for index, shard in run_largest_first(self.executor, work, planned.todo, lambda job: job.num_bytes):
            if isinstance(shard, Failure):
                name = planned.todo[index].name
                raise ExecutorError(f"cannot write {name}: {shard.reason}; what is done is kept: repeat the command")
            made[shard.info.name] = shard
            self.reporter.advance()
        return [made[name] for name in planned.names]

    def _pick_records(
        self, wanted: Collection[ShardQuestion], shards: Sequence[MadeShard], store: WorkStore
    ) -> dict[ShardQuestion, Record]:
        """Return the records of questions of the shards."""
        of_shard: dict[int, set[str]] = {}
        for number, question_id in wanted:
            of_shard.setdefault(number, set()).add(question_id)
        jobs = [
            PickJob(digest=shards[number].digest, store=store, question_ids=ids) for number, ids in of_shard.items()
        ]
        return {
            ShardQuestion(number, record.question_id): record
            for number, records in zip(of_shard, self._spread(pick_records, jobs), strict=True)
            for record in records
        }

    def _spread(self, function: Callable[[Weighed], Result], items: Sequence[Weighed]) -> list[Result]:
        """Return what becomes of each item, in order; by several processes where there is much to do.

        A cluster is not bothered: an item may hold a million candidates. How many are in work at a time is bounded,
        because the processes share the memory of this machine.
        """
        if sum(item.weight for item in items) < _ENOUGH_TO_SPREAD:
            return [function(item) for item in items]
        here = self.executor if isinstance(self.executor, ProcessPool | InProcessExecutor) else None
        with make_executor(count_processors()) if here is None else nullcontext(here) as executor:
            found = dict(run_within(executor, function, items, lambda item: item.weight, most=_MOST_IN_WORK))
        done: list[Result] = []
        for index in range(len(items)):
            result = found.pop(index)
            if isinstance(result, Failure):
                raise ExecutorError(f"cannot choose among the candidates of all tiles: {result.reason}")
            done.append(result)
        return done

    def do_rank(self, sources: Sources, rank: Rank, output: Output) -> tuple[int, int]:
        """Do a rank's tiles; return how many there are, and how many cannot be read."""
        journal = Journal(_store_of(output))
        scenes, _, jobs, done = self._plan_all(sources, output, journal, rank)
        failed = self._do_tiles(jobs, done, scenes)
        return len(jobs), sum(job.work.scene.scene_id in failed for job in jobs)

    def _plan_all(self, sources: Sources, output: Output, journal: Journal, rank: Rank | None = None) -> _Plan:
        """Prepare the scenes and return what there is to do of them; of a rank what it needs."""
        shared = None
        if isinstance(output, OutputBucket) and not self._is_here:
            shared = SharedWork(output.work, output.store)
            self.contract = replace(self.contract, shared=shared)
        with self._step("preparing scenes"):
            to_prepare, remarks = plan_preparing(sources, output.work)
            if shared is not None:
                for scene_job in to_prepare:
                    shared.share(scene_job)  # mosaics
            self.remarks = remarks
            for path, reason in (*remarks, *sources.passed_over, *sources.orphans):
                self.reporter.note("note", without_keys(f"{path}: {reason}"))
            dealt = None if rank is None else deal(to_prepare, sources.pairs, rank)
            needed = [job for job in to_prepare if dealt is None or job.scene.scene_id in dealt.scenes]
            scenes = self._prepare(needed)
        with self._step("reading excluded images"):
            excluded = self._read_excluded(scenes)
            anchors = store_anchors(excluded.anchors, output.work / "excluded") if excluded.anchors else None

        def plan(usable: Mapping[str, PreparedScene]) -> tuple[TileJob, ...]:
            jobs = self._plan(usable, sources, excluded.sizes, anchors, journal.store)
            if dealt is None:
                return jobs
            return tuple(job for job in jobs if job.window in dealt.windows.get(job.work.scene.scene_id, ()))

        jobs = plan(scenes)
        if shared is not None:
            for tile_job in jobs[:1]:
                shared.share(tile_job)  # anchors, which are the same for all
        done = journal.done([job.digest for job in jobs])
        if len(done) < len(jobs):
            if self.assembles:
                first = next(job.image_id for job in jobs if job.digest not in done)
                raise MissingTilesError(
                    f"{len(jobs) - len(done):,} of {len(jobs):,} tiles are not done, {first} the first: start the "
                    "ranks again that have not ended well, or leave `assemble` away, and this command does them itself"
                )
            with self._step("copying scenes"):
                staged = self._stage([job for job in jobs if job.digest not in done], scenes, output.work / "staged")
            jobs = plan(staged)
            scenes = {scene_id: scenes[scene_id] for scene_id in staged}
        return _Plan(scenes, excluded, jobs, done)

    def _stage(
        self, todo: Sequence[TileJob], scenes: Mapping[str, PreparedScene], folder: Path
    ) -> dict[str, PreparedScene]:
        """Return the scenes, those that tiles are made of with tiled copies where these save decoding.

        One of which no copy can be made is left out. Scenes whose tiles are done are not looked at: a tile that is done
        is the same whatever it was read from.
        """
        windows: dict[str, list[Window]] = {}
        for job in todo:
            # the dates of a pair have nearly the same windows
            for work in (job.work,) if job.later is None else (job.work, job.later.work):
                windows.setdefault(work.scene.scene_id, []).append(job.window)
        stage_jobs = [
            StageJob(
                scene=scenes[scene_id].work.scene,
                windows=read,
                num_whole_reads=scenes[scene_id].num_whole_reads,
                folder=folder,
            )
            for scene_id, read in windows.items()
        ]
        stage = self.contract.bind(stage_scene)
        results = run_all(
            self.executor, stage, stage_jobs, self.reporter, size=lambda job: job.scene.width * job.scene.height
        )
        staged = dict(scenes)
        for scene_id, result in zip(windows, results, strict=True):
            before = scenes[scene_id].work
            if isinstance(result, Failure):
                self._leave_out(LeftOut(before.scene.path, result.reason))
                del staged[scene_id]
            else:
                staged[scene_id] = replace(scenes[scene_id], work=replace(before, scene=result))
        return staged

    def _read_excluded(self, scenes: Mapping[str, PreparedScene]) -> ExcludedImages:
        """Return what tiles are compared with; images that cannot be are left out by name, and counted."""
        sizes = {ImageSize(window.height, window.width) for scene in scenes.values() for window in scene.windows}
        excluded = read_excluded(self.settings.exclude, tile_sizes=sizes)
        for name, reason in excluded.unreadable.items():
            self._leave_out(LeftOut(name, f"{reason}; tiles are not compared with it"))
        total = f"of {excluded.num_images} images to exclude"
        if excluded.unreadable:
            self._note(f"{len(excluded.unreadable)} {total} cannot be decoded; tiles are not compared with them")
        if names := excluded.without_contrast:
            first = Path(names[0]).name
            self._note(f"{len(names)} {total} have no contrast, e.g. {first}; only identical tiles are left out")
        return excluded

    def _end_with_nothing(
        self, sources: Sources, facts: BuildFacts, failed: Collection[str], output: Output, *, holds_tiles: bool
    ) -> str:
        """Say why no tile is left, keep the report, and return the message."""
        has_scenes = facts.scenes.keys() > set(failed)
        if has_scenes:
            for line in loss_lines(dropped_tiles(facts.dropped_tiles)):
                self.reporter.note("dropped", f"dropped {line}")
        message = f"no tile is left of {len(facts.jobs):,}, for the reasons above"
        message = message if has_scenes else self.no_scene(sources)
        if holds_tiles and self.left_out:
            # what cannot be read now could be read at an earlier start: those tiles are worth keeping
            return f"{message}; the tiles that were done before are kept"
        return f"{message}; report: {output.keep_report(report_text(facts))}"

    def _prepare(self, jobs: Sequence[PrepareJob]) -> dict[str, PreparedScene]:
        """Return the usable scenes by id, mosaics in the place of their sheets."""
        prepare = self.contract.bind(prepare_scene)
        results = run_all(
            self.executor, prepare, jobs, self.reporter, size=lambda job: job.scene.width * job.scene.height
        )
        scenes: dict[str, PreparedScene] = {}
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Failure):
                self._leave_out(LeftOut(job.scene.path, result.reason))
                continue
            scenes[job.scene.scene_id] = result
            for file in result.labels.files:
                if file.error:
                    self._leave_out(LeftOut(file.path, file.error))
        return scenes

    def _plan(
        self,
        scenes: Mapping[str, PreparedScene],
        sources: Sources,
        excluded_sizes: Collection[ImageSize],
        excluded: Path | None,
        store: WorkStore,
    ) -> tuple[TileJob, ...]:
        """Return every tile of every scene, scenes in the order of their ids."""
        settings = self.settings
        ask = AskSettings(settings.task_limits, settings.seed, settings.language)
        classes = {name: table.infos() for name, table in sources.tables.items()}
        licences = {member.name: member.licence for member in sources.members}
        windows = [(scene_id, window) for scene_id, scene in scenes.items() for window in scene.windows]
        partners = _find_partners(scenes, sources.pairs)
        other_date = {pair.earlier.scene_id: pair.later.scene_id for pair in sources.pairs}
        return tuple(
            TileJob(
                position=position,
                image_id=f"{scene_id}/{window.x}_{window.y}",
                work=scenes[scene_id].work,
                source=scenes[scene_id].source,
                licence=licences[scenes[scene_id].source],
                window=window,
                later=partner if isinstance((partner := partners.get(scene_id)), LaterWork) else None,
                other_date=other_date.get(scene_id, ""),
                missing={"later": partner} if isinstance(partner, str) else {},
                classes=classes[scenes[scene_id].source],
                ask=ask,
                min_valid=settings.min_valid,
                image_format=settings.image_format,
                quality=settings.quality,
                may_be_excluded=ImageSize(window.height, window.width) in excluded_sizes,
                excluded=excluded,
                store=store,
            )
            for position, (scene_id, window) in enumerate(windows)
        )

    def _do_tiles(
        self, jobs: Sequence[TileJob], done: Collection[str], scenes: Mapping[str, PreparedScene]
    ) -> dict[str, str]:
        """Do what is not done yet; return the scenes of which a tile cannot be read, with the reason."""
        todo = [job for job in jobs if job.digest not in done]
        if len(todo) < len(jobs):
            self.reporter.note("resumed", f"{len(jobs) - len(todo)} of {len(jobs)} tiles are done already")
        failed: dict[int, str] = {}
        self.reporter.start("tiles", len(todo))
        work = self.contract.bind(do_tile)
        for index, result in run_largest_first(self.executor, work, todo, lambda job: job.num_pixels):
            if isinstance(result, Failure):
                failed[index] = result.reason
            self.reporter.advance(pixels=0 if isinstance(result, Failure) else result)
        reasons: dict[str, str] = {}
        for index in sorted(failed):
            scene_id = todo[index].work.scene.scene_id
            if scene_id not in reasons:
                reasons[scene_id] = failed[index]
                self._leave_out(LeftOut(scenes[scene_id].work.scene.path, failed[index]))
        return reasons

    def _leave_out(self, left_out: LeftOut) -> None:
        """Note what is left out, or end a strict build; a label file of several scenes is noted once a reason."""
        path, reason = left_out
        if left_out in self.left_out:
            return
        if self.settings.strict:
            raise StrictError(f"{path}: {reason} (`strict`: every scene must be usable)")
        self.left_out.append(left_out)
        path, reason = without_keys(path), without_keys(reason)
        self.reporter.note("left_out", f"left out {path}: {reason}", path=path, reason=reason)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.reporter.note("note", text)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def _open_output(out: Path | str, reporter: Reporter, *, shared: bool = False) -> Output:
    if address := bucket_address(out):
        return OutputBucket(address, shared=shared, note=reporter.note)
    return OutputFolder(Path(out), shared=shared, tell=partial(reporter.note, "waiting"))


def _store_of(output: Output) -> WorkStore:
    return output.store if isinstance(output, OutputBucket) else FolderStore(output.work)


def _image_loader(jobs: Sequence[TileJob], journal: Journal) -> Callable[[TileRecord, str], bytes]:
    """Return what reads one encoded image of a tile."""
    digest_of = {job.image_id: job.digest for job in jobs}
    return lambda tile, key: journal.read_image(digest_of[tile.image_id], key)


def _find_partners(scenes: Mapping[str, PreparedScene], pairs: Sequence[DatePair]) -> dict[str, LaterWork | str]:
    """Return the later date of each scene that has a partner, or why it cannot be used."""
    partners: dict[str, LaterWork | str] = {}
    for pair in pairs:
        later = scenes.get(pair.later.scene_id)
        if later is None:
            partners[pair.earlier.scene_id] = "the later scene is left out"
            continue
        found = alignment(pair.earlier, pair.later)
        partners[pair.earlier.scene_id] = found if isinstance(found, str) else LaterWork(later.work, found.dx, found.dy)
    return partners


def _fingerprint(settings: BuildSettings, sources: Sources, output: Output) -> dict[str, dict[str, Any]]:
    """Return what decides the result, with paths from the data set's folder; see `output.Fingerprint`."""
    stated = settings.model_dump(mode="json", by_alias=True)
    # from a storage there is no way to the sources
    place = output.path if isinstance(output, OutputFolder) else None
    stated = moved_paths(BuildSettings, stated, Path(), place)
    versions = package_versions()
    for member in sources.members:
        table = sources.tables[member.name].to_toml()
        of_which = f" of {member.name}" if member.prefix else ""
        versions[f"class_table{of_which}"] = hashlib.sha256(table.encode()).hexdigest()[:16]
    # a signed address is another one tomorrow, and must not be published
    sources_stated = {
        member.name: _without_keys(member.stated) for member in sources.members if member.prefix or member.file
    }
    return {
        "settings": _without_keys(stated),
        "versions": versions | library_versions(),
        "machine": dict(machine_traits()),
        "inputs": dict(sources.inputs),
        "sources": sources_stated,
    }


def _without_keys(value: Any) -> Any:  # noqa: ANN401  any value of JSON
    if isinstance(value, str):
        return without_keys(value)
    if isinstance(value, Mapping):
        return {name: _without_keys(one) for name, one in value.items()}
    return [_without_keys(one) for one in value] if isinstance(value, list | tuple) else value
