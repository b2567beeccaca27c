"""Builds on a Ray cluster of two machines' worth of raylets, real ones: the bytes of a pool, whatever happens.

The tests follow the life of one cluster: first it has no processor, then two machines, then they die.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

ray = pytest.importorskip("ray", reason="needs the extra ray: pip install '.[ray]'")

from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: E402  the skip stands before it
from ray.cluster_utils import Cluster  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from rsvqa.rsvqa_builder import build as build_module  # noqa: E402
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings  # noqa: E402
from rsvqa.rsvqa_builder.progress import QuietReporter  # noqa: E402
from rsvqa.rsvqa_builder.tiles import executors_ray  # noqa: E402
from rsvqa.rsvqa_builder.tiles.executors import DIED_TWICE, Failure  # noqa: E402
from rsvqa.rsvqa_builder.tiles.executors_ray import RayExecutor  # noqa: E402
from rsvqa.rsvqa_builder.tiles.scheduling import Patience  # noqa: E402
from rsvqa.rsvqa_builder.tiles.worker_contract import UnlikeWorkerError, WorkerContract  # noqa: E402
from tests.make_sources import make_sources  # noqa: E402
from tests.moto_server import BUCKET, moto_bucket  # noqa: E402
from tests.run_build import RSVQA, build, tree_digest  # noqa: E402
from tests.scale import units  # noqa: E402
from tests.scale.units import Trial  # noqa: E402
from tests.test_buckets import downloaded  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Ray leaves sockets and log files to the end of the process
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
]

ROOT = Path(__file__).parents[2]
OPTIONS = ("--complete", "yes", "--tasks", "OC,RC,OCC,RIC,LUC", "--split-shares", "0.6,0.2,0.2")
MACHINE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def storage() -> Iterator[bool]:
    """Whether there is a storage, to which the machines know the way from their environment."""
    with ExitStack() as stack:
        is_there = True
        try:
            stack.enter_context(moto_bucket())
        except pytest.skip.Exception:
            is_there = False
        yield is_there


@pytest.fixture(scope="module")
def empty(storage: bool) -> Iterator[Cluster]:
    """A cluster whose only machine offers no processor, as the head of a real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # tests wait for workers
        patch.setenv("PYTHONPATH", str(ROOT))  # units of these tests are modules of it
        cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, "num_cpus": 0, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def cluster(empty: Cluster) -> Iterator[Cluster]:
    """The same with two machines; this process has joined it, so that all tests share the workers."""
    for _ in range(2):
        empty.add_node(**MACHINE)
    ray.init(address=empty.address, log_to_driver=False, logging_level="ERROR")
    yield empty
    ray.shutdown()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sources(tmp_path_factory.mktemp("sources") / "scenes")


@pytest.fixture(scope="module")
def expected(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the pool makes of the sources."""
    out = tmp_path_factory.mktemp("pool") / "set"
    assert build(sources, out, *OPTIONS, workers=2).code == 0
    return tree_digest(out)


@pytest.fixture(scope="module")
def crashed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the pool makes of the sources when one of the tiles crashes."""
    out = tmp_path_factory.mktemp("crashed") / "set"
    with mock.patch.object(build_module, "do_tile", units.do_tile_or_crash):
        run = build(sources, out, *OPTIONS, workers=2)
    assert run.code == 0
    assert DIED_TWICE in run.err
    return tree_digest(out)


def open_ray(cluster: Cluster, out: Path, *, patience: Patience | None = None, **settings: Any) -> RayExecutor:
    execution = ExecutionSettings(executor="ray", ray_address=cluster.address, **settings)
    return RayExecutor(execution, out=out, reporter=QuietReporter(), patience=patience)


def trials(folder: Path, count: int = 6) -> list[Trial]:
    return [Trial(number, folder) for number in range(count)]


def on(cluster: Cluster) -> tuple[object, ...]:
    """Return the options of a build on a cluster."""
    return (*OPTIONS, "--executor", "ray", "--ray-address", cluster.address)


def test_the_file_for_ray_up_is_one_that_ray_takes() -> None:
    content = yaml.safe_load((ROOT / "docs" / "cluster" / "ray-up-aws.yaml").read_text())
    validate_config(prepare_config(content))
    content["available_node_types"]["worker"]["min_wokers"] = 1
    with pytest.raises(Exception, match="min_wokers"):
        validate_config(prepare_config(content))


# --- no cluster, and an empty one ---


def test_an_address_where_nobody_answers_is_one_line(tmp_path: Path, sources: Path) -> None:
    run = build(sources, tmp_path / "set", "--executor", "ray", "--ray-address", "127.0.0.1:9", workers=1)
    assert run.code == 1
    (line,) = run.lines
    assert line.startswith("rsvqa: no Ray cluster answers at 127.0.0.1:9: ")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("said", [b"", b"220 mail.example.org\r\n"])
def test_what_answers_and_is_no_cluster_is_one_line(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(executors_ray, "_CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(said)
            ended.wait(60)
            connection.close()

        ended = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        run = build(sources, tmp_path / "set", "--executor", "ray", "--ray-address", address, workers=1)
        ended.set()
        thread.join()
    reason = (
        f"what answers at {address} is no Ray cluster: " if said else f"no Ray cluster answers at {address}: timed out"
    )
    assert (run.code, len(run.lines)) == (1, 1)
    assert run.err.startswith(f"rsvqa: {reason}")


def test_the_address_of_a_ray_client_is_refused(tmp_path: Path, sources: Path) -> None:
    run = build(sources, tmp_path / "set", "--executor", "ray", "--ray-address", "ray://head:10001", workers=1)
    assert run.lines == [
        "rsvqa: expected the address of a Ray cluster as HOST:PORT or auto, not ray://head:10001: the build has to run "
        "on a machine of the cluster; `ray job submit` brings it there"
    ]


def test_a_cluster_without_processors_is_refused(empty: Cluster, tmp_path: Path, sources: Path) -> None:
    run = build(sources, tmp_path / "set", *on(empty), workers=1)
    assert run.code == 1
    assert "no machine with a free processor" in run.lines[-1]
    assert not (tmp_path / "set").exists()


# --- units ---


def test_every_item_comes_back_with_its_index(cluster: Cluster, tmp_path: Path) -> None:
    with open_ray(cluster, tmp_path) as executor:
        assert sorted(executor.run(units.square, trials(tmp_path))) == [(n, n**2) for n in range(6)]
        assert list(executor.run(units.square, [])) == []


def test_an_exception_of_the_work_is_raised_to_the_caller(cluster: Cluster, tmp_path: Path) -> None:
    with open_ray(cluster, tmp_path) as executor, pytest.raises(ValueError, match=r"^three is refused$"):
        list(executor.run(units.square_or_refuse, trials(tmp_path)))


def test_a_unit_that_crashes_is_tried_twice_and_named(cluster: Cluster, tmp_path: Path) -> None:
    with open_ray(cluster, tmp_path) as executor:
        results = dict(executor.run(units.square_or_crash, trials(tmp_path)))
    assert results == {0: 0, 1: 1, 2: Failure(DIED_TWICE), 3: 9, 4: 16, 5: 25}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_unit_that_hangs_is_ended_and_named(cluster: Cluster, tmp_path: Path) -> None:
    with open_ray(cluster, tmp_path, unit_timeout=2) as executor:
        results = dict(executor.run(units.square_or_hang, trials(tmp_path)))
    assert results == {0: 0, 1: 1, 2: Failure("it was not done after 2 s, twice"), 3: 9, 4: 16, 5: 25}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_slow_unit_is_overtaken_by_a_second_attempt_at_it(cluster: Cluster, tmp_path: Path) -> None:
    patience = Patience(slow_factor=1, slow_seconds=0.5)
    with open_ray(cluster, tmp_path, patience=patience) as executor:
        assert dict(executor.run(units.square_or_hang_once, trials(tmp_path))) == {n: n**2 for n in range(6)}


def test_units_have_ended_once_a_run_is_left(cluster: Cluster, tmp_path: Path) -> None:
    def processes(pattern: str) -> set[str]:
        return {path.name.split("-")[1] for path in tmp_path.glob(pattern)}

    with open_ray(cluster, tmp_path) as executor:
        for index, _ in executor.run(units.sleep_unless_first, trials(tmp_path)):
            assert index == 0
            wait_for(lambda: len(processes("[1-5]-*")) == 2)
            break
    assert processes("ended-*") == processes("[1-5]-*")


def test_a_worker_that_does_not_see_the_folder_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    work = WorkerContract.of_this_process(tmp_path / "local").bind(units.square)
    with (
        open_ray(cluster, tmp_path) as executor,
        pytest.raises(UnlikeWorkerError, match=f"does not see {tmp_path}/local"),
    ):
        list(executor.run(work, trials(tmp_path)))


# --- builds ---


def test_a_build_on_two_machines_has_the_bytes_of_a_pool(
    cluster: Cluster, sources: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    run = build(sources, tmp_path / "set", *on(cluster), workers=2)
    assert (run.code, run.err) == (0, "")
    assert tree_digest(tmp_path / "set") == expected


def test_a_build_into_a_storage_has_the_bytes_of_a_pool(
    storage: bool, cluster: Cluster, sources: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    if not storage:
        pytest.skip("no moto_server on PATH")
    address = f"s3://{BUCKET}/set"
    run = build(sources, address, *on(cluster), workers=2)  # type: ignore[arg-type]  # a path would lose a slash
    assert (run.code, run.err) == (0, "")
    assert downloaded(address, tmp_path) == expected


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_build_whose_driver_is_ended_goes_on(
    cluster: Cluster, sources: Path, expected: dict[str, str], tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "set"
    words = [RSVQA, "build", "--src", sources, "--out", out, "--tile-size", 512, *on(cluster)]
    driver = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: num_done(out) >= 2 or driver.poll() is not None)
    driver.send_signal(how)
    _, err = driver.communicate()
    assert driver.returncode in ((130,) if how is signal.SIGINT else (-9,)), err
    assert not (out / "build.toml").exists()
    if how is signal.SIGINT:
        assert not list(out.rglob("*.partial"))
    assert build(sources, out, *on(cluster), workers=2).code == 0
    assert tree_digest(out) == expected


def test_a_build_that_loses_a_machine_has_the_bytes_of_a_pool(
    cluster: Cluster, sources: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"

    spare = cluster.add_node(**MACHINE)
    joined = ray.get_runtime_context().get_node_id()  # the raylet through which this process has joined
    doomed = next(node for node in cluster.worker_nodes if node.node_id != joined and node is not spare)

    def lose_one() -> None:
        wait_for(lambda: num_done(out) >= 2)
        cluster.remove_node(doomed, allow_graceful=False)

    thread = threading.Thread(target=lose_one)
    with mock.patch.object(build_module, "do_tile", units.do_tile_slowly):
        thread.start()
        run = build(sources, out, *on(cluster), workers=3)
    thread.join()
    # whether a unit was on it at that moment is chance; test_scheduling.py tells what becomes of one that was
    wait_for(lambda: doomed.node_id not in {node["NodeID"] for node in ray.nodes() if node["Alive"]})
    assert run.code == 0
    assert tree_digest(out) == expected


CODEC = """
import importlib.util, sys
from pathlib import Path

def real():
    here = str(Path(__file__).parent)
    for place in sys.path:
        found = importlib.util.spec_from_file_location("simplejpeg", Path(place) / "simplejpeg" / "__init__.py")
        if place != here and (Path(place) / "simplejpeg" / "__init__.py").exists():
            return found
spec = real()
module = importlib.util.module_from_spec(spec)
module.__path__ = [str(Path(spec.origin).parent)]
sys.modules["simplejpeg"] = module
spec.loader.exec_module(module)
encode = module.encode_jpeg
module.encode_jpeg = lambda *args, **options: encode(*args, **{**options, "quality": options["quality"] - 1})
"""


def test_a_worker_with_another_codec_is_refused(
    cluster: Cluster, sources: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "simplejpeg.py").write_text(CODEC)
    path = os.pathsep.join([str(tmp_path / "other"), str(ROOT)])
    other = cluster.add_node(**MACHINE, env_vars={"PYTHONPATH": path})
    try:
        wait_for_a_worker_on(other.node_id)
        with mock.patch.object(build_module, "do_tile", units.do_tile_slowly):  # each machine gets some
            run = build(sources, tmp_path / "set", *on(cluster), workers=6)
    finally:
        cluster.remove_node(other)
    assert run.code == 1
    assert "would write other bytes: JPEG encoder is " in run.lines[-1]
    # the others have done what they could, and the build goes on without the odd one
    assert build(sources, tmp_path / "set", *on(cluster), workers=2).code == 0
    assert tree_digest(tmp_path / "set") == expected


def test_a_build_with_a_tile_that_crashes_on_a_cluster_of_its_own_has_the_bytes_of_a_pool(
    sources: Path, crashed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ray.shutdown()  # what this process has joined
    with mock.patch.object(build_module, "do_tile", units.do_tile_or_crash):
        run = build(sources, tmp_path / "set", *OPTIONS, "--executor", "ray", "--json", workers=2)
    assert run.code == 0
    assert DIED_TWICE in run.err
    assert json.loads(run.out)["left_out"]  # nothing that Ray prints stands before it
    assert tree_digest(tmp_path / "set") == crashed
    assert not ray.is_initialized()


def wait_for_a_worker_on(node_id: str) -> None:
    """Wait until a machine has a process that takes work: starting one lasts longer than a small build."""
    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    ray.get(ray.remote(num_cpus=1, scheduling_strategy=there)(lambda: None).remote(), timeout=120)


def num_done(out: Path) -> int:
    return len(list((out / ".rsvqa" / "tiles").rglob("*.json")))


def wait_for(has_come: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not has_come():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)
