"""A build that is killed at any moment, and the same command again: the bytes of an undisturbed run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder.dataset import shards as shards_module
from rsvqa.rsvqa_builder.dataset.output import OutputFolder, StoredShard
from rsvqa.rsvqa_builder.tiles import shard_work
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.preparing import PreparedScene, PrepareJob, prepare_scene
from tests.make_sources import FARM, SHORE, make_scene, make_sources
from tests.run_build import RSVQA, build, rsvqa, times_of_change, tree_digest

OPTIONS = ("--complete", "yes", "--tasks", "OC,RC,OCC,RIC,LUC", "--split-shares", "0.6,0.2,0.2")
WORKERS_END_WITHIN_S = 5.0
"""Workers look for their parent twice a second; the rest is for a loaded machine."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

FINAL_NAMES = ("README.md", "report.json", "stats.json", "preview.html", "data", "tiles", "build.toml")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sources(tmp_path_factory.mktemp("sources") / "scenes")


@pytest.fixture(scope="module")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    assert build(sources, out, *OPTIONS).code == 0
    return tree_digest(out)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two labelled places and one without labels, a tile each."""
    folder = tmp_path_factory.mktemp("few") / "scenes"
    for number in range(3):
        place = FARM._replace(name=f"farm{number}", width=400, height=300, easting=FARM.easting + 5000 * number)
        make_scene(folder, place, labelled=number < 2)
    return folder


@pytest.fixture(scope="module")
def few_undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("few undisturbed") / "set"
    assert build(few, out, *OPTIONS).code == 0
    return tree_digest(out)


# --- real kills ---


class RunningBuild(NamedTuple):
    """A build in a process group of its own."""

    pid: int
    has_ended: Callable[[], bool]
    wait: Callable[[], object]


def start(sources: Path, out: Path, *, workers: int) -> RunningBuild:
    """Start `rsvqa build`."""
    words = [RSVQA, *build_words(sources, out, workers)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=quiet, stderr=quiet, start_new_session=True)
    return RunningBuild(process.pid, lambda: process.poll() is not None, process.wait)


def fork(sources: Path, out: Path) -> RunningBuild:
    """Start the same in a fork of a process that has done the imports, which take longer than such a build."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.run_build", "rsvqa.rsvqa_builder.build", "rsvqa.rsvqa_builder.summary"])
    process = context.Process(target=run_in_group, args=build_words(sources, out, workers=0))
    process.start()
    assert process.pid is not None
    return RunningBuild(process.pid, lambda: not process.is_alive(), process.join)


def run_in_group(*words: str) -> None:
    """Run a command in a process group of its own."""
    os.setsid()
    rsvqa(*words)


def build_words(sources: Path, out: Path, workers: int) -> list[str]:
    words = ["build", "--src", str(sources), "--out", str(out), "--tile-size", "512", "--workers", str(workers)]
    return [*words, *OPTIONS]


def wait_until(has_come: Callable[[Path], bool], out: Path, running: RunningBuild) -> None:
    """Wait for a moment of a build, or for its end."""
    deadline = time.monotonic() + 60
    while not has_come(out) and not running.has_ended():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.001)


def kill(running: RunningBuild, *, group: bool) -> None:
    """Kill a build with its workers, or it alone and see that its workers follow."""
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(running.pid, signal.SIGKILL)
        else:
            os.kill(running.pid, signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + WORKERS_END_WITHIN_S
    while members := members_of(running.pid):
        assert time.monotonic() < deadline, f"workers {members} outlive their build"
        time.sleep(0.02)


def members_of(group: int) -> list[int]:
    """Return the living processes of a group."""
    members = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                # "pid (name) state parent group …"; a name may hold spaces and brackets
                state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state != "Z":
                    members.append(int(folder.name))
    return members


def finished_tiles(out: Path) -> dict[Path, int]:
    """Return when each finished tile of an unfinished build was written."""
    return {path: path.stat().st_mtime_ns for path in (out / ".rsvqa" / "tiles").rglob("*.json")}


def assert_nothing_final(out: Path) -> None:
    """Before the end there is nothing under a final name; from then on a list says what belongs there."""
    if not (out / ".rsvqa" / "committing.json").exists() and not (out / "build.toml").exists():
        assert not [name for name in FINAL_NAMES if (out / name).exists()]


def finish(sources: Path, out: Path, expected: dict[str, str]) -> None:
    """Run the build to its end in this process and compare."""
    kept = finished_tiles(out)
    redone: list[str] = []

    class Spy(OutputFolder):
        def commit(self, shards: Sequence[StoredShard] = ()) -> None:
            now = finished_tiles(self.path)
            redone.extend(path.name for path, written in kept.items() if now[path] != written)
            super().commit(shards)

    with mock.patch.object(build_module, "OutputFolder", Spy):
        run = build(sources, out, *OPTIONS)
    assert (run.code, redone) == (0, [])
    assert tree_digest(out) == expected


def tiles_done(number: int) -> Callable[[Path], bool]:
    """Return a moment: so many tiles are finished."""
    return lambda out: len(list((out / ".rsvqa" / "tiles").rglob("*.json"))) >= number


def is_there(name: str) -> Callable[[Path], bool]:
    """Return a moment: a file or folder of that name, or pattern, has appeared."""
    return lambda out: any(out.glob(name))


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "preparing": is_there(".rsvqa/fingerprint.json"),
    "labels stored": is_there(".rsvqa/labels/*.arrow"),
    "first tile": tiles_done(1),
    "some tiles": tiles_done(5),
    "all tiles": tiles_done(12),
    "first shard": is_there(".rsvqa/shards/*.parquet"),
    "documents": is_there(".rsvqa/ready/*.*"),
    "moving into place": is_there(".rsvqa/committing.json"),
}


@needs_proc
def test_killed_at_every_stage_and_resumed_gives_the_same_bytes(
    sources: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    rng = random.Random("stages")
    out = tmp_path / "set"
    for name, has_come in MOMENTS.items():
        kept = finished_tiles(out)
        running = fork(sources, out)
        wait_until(has_come, out, running)
        time.sleep(rng.random() * 0.02)
        kill(running, group=True)
        assert_nothing_final(out)
        now = finished_tiles(out)
        assert not [path for path, written in kept.items() if now.get(path, written) != written], f"redone: {name}"
    finish(sources, out, undisturbed)


@needs_proc
def test_the_worker_of_a_killed_build_ends_by_itself(
    sources: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    running = start(sources, out, workers=1)
    wait_until(tiles_done(3), out, running)
    assert len(members_of(running.pid)) >= 2, "the build and its worker"
    kill(running, group=False)
    assert_nothing_final(out)
    finish(sources, out, undisturbed)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_many_random_moments_and_resumed_gives_the_same_bytes(
    sources: Path, undisturbed: dict[str, str], tmp_path: Path, seed: int
) -> None:
    rng = random.Random(f"kills/{seed}")
    out = tmp_path / "set"
    for _ in range(25):
        running = start(sources, out, workers=rng.randrange(3))
        wait_until(is_there(".rsvqa"), out, running)
        time.sleep(rng.random() * rng.choice([0.2, 1.0, 6.0]))
        kill(running, group=rng.random() < 0.5)
        assert_nothing_final(out)
        if (out / "build.toml").exists() and not (out / ".rsvqa" / "fingerprint.json").exists():
            assert tree_digest(out) == undisturbed
            shutil.rmtree(out)
    finish(sources, out, undisturbed)


# --- stops at exact places ---


class Killed(BaseException):
    """Stands for a kill: nobody catches it, and nothing cleans up after it."""


def stop_before(target: Any, name: str, *, call: int = 1) -> contextlib.AbstractContextManager[Any]:
    """Return a patch under which the given call of a function ends the build before it does anything."""
    original = getattr(target, name)
    calls = iter(range(1, 1_000_000))

    def stopping(*args: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise Killed
        return original(*args, **options)

    return mock.patch.object(target, name, stopping)


STOPS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "before the second scene is prepared": lambda: stop_before(build_module, "prepare_scene", call=2),
    "before the third tile": lambda: stop_before(build_module, "do_tile", call=3),
    "before tiles are chosen": lambda: stop_before(build_module, "select_tiles"),
    "before the first shard": lambda: stop_before(build_module, "do_shard"),
    "before the second shard": lambda: stop_before(build_module, "do_shard", call=2),
    "before the second row group": lambda: stop_before(shards_module, "_named_images", call=2),
    "before a shard has its receipt": lambda: stop_before(shard_work, "MadeShard"),
    "before the documents": lambda: stop_before(build_module, "write_documents"),
    "before the move": lambda: stop_before(OutputFolder, "commit"),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_stopped_at_an_exact_place_and_resumed_gives_the_same_bytes(
    few: Path, few_undisturbed: dict[str, str], tmp_path: Path, stop: Callable[[], Any]
) -> None:
    with stop(), pytest.raises(Killed):
        build(few, tmp_path / "set", *OPTIONS)
    assert_nothing_final(tmp_path / "set")
    finish(few, tmp_path / "set", few_undisturbed)


@pytest.mark.parametrize("call", [1, 2, 4, 9])
def test_stopped_while_files_are_moved_into_place(
    few: Path, few_undisturbed: dict[str, str], tmp_path: Path, call: int
) -> None:
    out = tmp_path / "set"
    with stop_in_move(Path, "replace", call=call), pytest.raises(Killed):
        build(few, out, *OPTIONS)
    assert not (out / "build.toml").exists()
    assert_recognised(few, out)
    assert tree_digest(out) == few_undisturbed


@pytest.mark.parametrize("call", [1, 2, 4])
def test_stopped_while_cleaning_up_leaves_a_finished_data_set(
    few: Path, few_undisturbed: dict[str, str], tmp_path: Path, call: int
) -> None:
    out = tmp_path / "set"
    # folders labels, ready and tiles, then the work folder itself
    with stop_in_move(shutil, "rmtree", call=call), pytest.raises(Killed):
        build(few, out, *OPTIONS)
    assert (out / "build.toml").exists()
    before = times_of_change(out / "data")
    assert_recognised(few, out)
    assert times_of_change(out / "data") == before
    assert tree_digest(out) == few_undisturbed


@contextlib.contextmanager
def stop_in_move(target: Any, name: str, *, call: int) -> Iterator[None]:
    """End the build at a call of a function while files are moved into place."""
    move = OutputFolder._move_into_place

    def moving(self: OutputFolder) -> None:
        with stop_before(target, name, call=call):
            move(self)

    with mock.patch.object(OutputFolder, "_move_into_place", moving):
        yield


def assert_recognised(sources: Path, out: Path) -> None:
    run = build(sources, out, *OPTIONS)
    assert (run.code, run.err) == (0, "")
    assert "is finished already" in run.out


# --- what may change between two attempts ---


def test_a_scene_that_is_usable_again_after_a_restart_does_not_shift_the_tiles(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    make_scene(scenes, FARM)
    make_scene(scenes, SHORE, labelled=False)
    assert build(scenes, tmp_path / "undisturbed").code == 0

    def fail_on_the_farm(job: PrepareJob) -> PreparedScene | Failure:
        return Failure("no room for a copy") if job.scene.scene_id == "farm" else prepare_scene(job)

    # without the farm, the shore's four tiles stand in the places 0 to 3 of the plan, with it in 1 to 4
    with (
        mock.patch.object(build_module, "prepare_scene", fail_on_the_farm),
        stop_before(build_module, "write_documents"),
        pytest.raises(Killed),
    ):
        build(scenes, tmp_path / "set")
    assert build(scenes, tmp_path / "set").code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(tmp_path / "undisturbed")


def test_shards_of_another_plan_do_not_stop_a_restart(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    for number in range(3):
        place = FARM._replace(name=f"farm{number}", easting=FARM.easting + 5000 * number)
        make_scene(scenes, place, labelled=False)
    options = ("--image-format", "png", "--shard-mb", "1")  # a noisy picture of 512 px takes more than half of that
    assert build(scenes, tmp_path / "undisturbed", *options).code == 0

    def fail_on_the_first(job: PrepareJob) -> PreparedScene | Failure:
        return Failure("no room for a copy") if job.number == 0 else prepare_scene(job)

    with (
        mock.patch.object(build_module, "prepare_scene", fail_on_the_first),
        stop_before(build_module, "write_documents"),
        pytest.raises(Killed),
    ):
        build(scenes, tmp_path / "set", *options)
    assert build(scenes, tmp_path / "set", *options).code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(tmp_path / "undisturbed")


def test_other_settings_are_refused_while_a_build_is_unfinished(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    with stop_before(build_module, "do_tile", call=3), pytest.raises(Killed):
        build(few, out, *OPTIONS)
    kept = finished_tiles(out)
    run = build(few, out, *OPTIONS, "--per-task", "2")
    assert (run.code, len(run.lines)) == (1, 1)
    assert f"{out} holds an unfinished build made otherwise: per_task was 4, is 2" in run.err
    assert len(kept) == 2
    assert finished_tiles(out) == kept


def test_an_overwritten_data_set_stays_until_the_new_one_is_whole(
    few: Path, few_undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    assert build(few, out, *OPTIONS).code == 0
    with stop_before(build_module, "write_documents"), pytest.raises(Killed):
        build(few, out, "--tasks", "none", "--overwrite")
    shutil.rmtree(out / ".rsvqa")
    assert tree_digest(out) == few_undisturbed


# --- two builds at once ---


def test_a_second_build_into_the_folder_is_refused_while_the_first_runs(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    running = fork(sources, out)
    try:
        wait_until(is_there(".rsvqa/fingerprint.json"), out, running)
        os.kill(running.pid, signal.SIGSTOP)
        run = build(sources, out, *OPTIONS)
    finally:
        kill(running, group=True)
    assert (run.code, len(run.lines)) == (1, 1)
    assert run.err.startswith(f"rsvqa: another build is writing into {out} (process {running.pid} on ")
