"""A worker that would write other bytes is refused by name of what differs, whatever engine brought it there."""

from __future__ import annotations

import pickle
import socket
import sys
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.tiles import fingerprint, worker_contract
from rsvqa.rsvqa_builder.tiles.executors import ProcessPool
from rsvqa.rsvqa_builder.tiles.fingerprint import library_versions, machine_traits, worker_fingerprint
from rsvqa.rsvqa_builder.tiles.worker_contract import UnlikeWorkerError, WorkerContract
from tests.make_sources import FARM, make_scene
from tests.run_build import build


def double(number: int) -> int:
    return 2 * number


def claim(monkeypatch: pytest.MonkeyPatch, **traits: str) -> None:
    """Let the driver take itself for another than its workers are."""
    changed = {**worker_fingerprint(), **{name.replace("_", " "): value for name, value in traits.items()}}
    monkeypatch.setattr(worker_contract, "worker_fingerprint", lambda: changed)


def test_a_worker_like_the_driver_works(tmp_path: Path) -> None:
    work = WorkerContract.of_this_process(tmp_path).bind(double)
    with ProcessPool(1) as pool:
        assert sorted(pool.run(work, [5, 6])) == [(0, 10), (1, 12)]


def test_one_with_another_gdal_and_codec_is_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(monkeypatch, gdal="3.4.0", JPEG_encoder="00")
    work = WorkerContract.of_this_process(tmp_path).bind(double)
    with ProcessPool(1) as pool, pytest.raises(UnlikeWorkerError) as refusal:
        list(pool.run(work, [1]))
    message = str(pickle.loads(pickle.dumps(refusal.value)))  # noqa: S301  it comes from a worker
    assert message.startswith(f"the worker on {socket.gethostname()} (process ")
    assert message.endswith(
        f") would write other bytes: gdal is {library_versions()['gdal']}, not 3.4.0; "
        f"JPEG encoder is {machine_traits()['JPEG encoder']}, not 00. Give all machines the same environment"
    )


def test_one_with_other_plug_ins_is_refused_and_other_executors_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = WorkerContract.of_this_process(tmp_path).bind(double)
    install(tmp_path, "executor.odd = odd_tasks:Odd", "x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with ProcessPool(1) as pool:
        assert list(pool.run(work, [1])) == [(0, 2)]
    install(tmp_path, "task.odd = odd_tasks:Odd", "x = 1\n")
    with (
        ProcessPool(1) as pool,
        pytest.raises(UnlikeWorkerError, match=r"plug-in odd-tasks is 1\.0 \(\w+\), not there"),
    ):
        list(pool.run(work, [1]))


def test_the_code_of_a_plug_in_tells_not_only_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for code in ("x = 1\n", "x = 2\n", "x = 1\n"):
        install(tmp_path, "task.odd = odd_tasks:Odd", code)
        found.append(fingerprint._plugin_traits()["plug-in odd-tasks"])
    assert found[0] == found[2] != found[1]
    install(tmp_path, "task.odd = nowhere:Odd", "")
    assert fingerprint._plugin_traits().keys() == {"plug-in odd-tasks"}  # it is told when it is loaded


def install(site: Path, entry_point: str, code: str) -> None:
    """Lay a package into a folder of the path as pip does."""
    (site / "odd_tasks.py").write_text(code)
    metadata = site / "odd_tasks-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-tasks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[rsvqa]\n{entry_point}\n")


def test_one_that_does_not_see_the_folder_of_the_build_is_refused(tmp_path: Path) -> None:
    work = WorkerContract.of_this_process(tmp_path / "not mounted").bind(double)
    with pytest.raises(UnlikeWorkerError, match=r"does not see .*not mounted: .*under the same path"):
        work(1)


def located(name: str) -> str:
    return str(Path(name).absolute())


def test_a_worker_goes_to_the_folder_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    work = WorkerContract.of_this_process(Path()).bind(located)
    monkeypatch.chdir("/")
    assert work("scene.tif") == str(tmp_path / "scene.tif")


@pytest.mark.parametrize("words", [(), ("--shard-of", "0/2")])
def test_a_build_and_a_rank_end_with_one_line_when_a_worker_is_not_like_them(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scene(tmp_path / "scenes", FARM)
    claim(monkeypatch, gdal="3.4.0")
    run = build(tmp_path / "scenes", tmp_path / "set", *words, workers=1)
    assert (run.code, len(run.lines)) == (1, 1)
    assert f"would write other bytes: gdal is {library_versions()['gdal']}, not 3.4.0. " in run.err


def test_traits_are_of_the_machine_and_not_told_by_a_data_set() -> None:
    assert list(machine_traits()) == [
        "processor",
        "JPEG encoder",
        "PNG encoder",
        "code of rsvqa",
        "python",
        "JPEG decoder of GDAL",
    ]
    assert machine_traits()["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
