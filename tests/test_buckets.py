"""`rsvqa build --out s3://…`: the bytes of a build into a folder, whatever the storage and the network do meanwhile."""

from __future__ import annotations

import contextlib
import pickle
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from PIL import Image

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder import storages
from rsvqa.rsvqa_builder.dataset.output import StoredShard
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.locks import FolderHeldError
from rsvqa.rsvqa_builder.scenes import rasters, staging
from rsvqa.rsvqa_builder.tiles import bucket
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore
from rsvqa.rsvqa_builder.tiles.bucket_lease import BucketLease, ConditionalObjects, NoConditionsError, PlaceTakenError
from rsvqa.rsvqa_builder.tiles.journal import Journal, TileResult
from rsvqa.rsvqa_builder.tiles.store import FolderStore, WorkStore
from tests.make_sources import FARM, GSD_M, make_scene
from tests.moto_server import BUCKET, moto_bucket
from tests.relay import Cutting, OftenBusy, Refusing, Relay, serve
from tests.run_build import RSVQA, Run, build, tree_digest
from tests.test_other_executors import install

OPTIONS = ("--complete", "yes", "--tasks", "OC,RC,OCC", "--split-shares", "0.6,0.2,0.2")

UNLOCKED = "{} is not locked, see to it that no other build writes there: it knows no conditions\n"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with moto_bucket() as port:
        open_anew()
        yield port


@pytest.fixture
def address(server: int, request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/{''.join(letter if letter.isalnum() else '-' for letter in request.node.name)}"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "scenes"
    for number in range(3):
        place = FARM._replace(name=f"farm{number}", width=600, height=300, easting=FARM.easting + 5000 * number)
        make_scene(folder, place, labelled=number < 2)
    return folder


@pytest.fixture(scope="module")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    assert build(sources, out, *OPTIONS).code == 0
    return tree_digest(out)


def into(sources: Path, address: str, *words: object) -> Run:
    # a path of pathlib would lose a slash
    return build(sources, address, *OPTIONS, *words)  # type: ignore[arg-type]


def downloaded(address: str, folder: Path) -> dict[str, str]:
    """Return the digests of all that lies below an address."""
    store = BucketStore(address)
    for key in store.list(""):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(store.get(key))
    return tree_digest(folder)


# --- the store ---


@pytest.fixture(params=["folder", "bucket", "bucket with records near"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> WorkStore:
    if request.param == "folder":
        return FolderStore(tmp_path)
    address: str = request.getfixturevalue("address")
    return BucketStore(address, tmp_path if "near" in request.param else None)


def test_a_folder_and_a_bucket_keep_the_same(store: WorkStore) -> None:
    assert store.list("tiles") == {}
    assert store.put("tiles/ab/abc.json", b"one")
    assert store.get("tiles/ab/abc.json") == b"one"
    assert store.put("tiles/ab/abc.json", b"three")
    assert store.put("labels/x", b"")
    assert not store.put("labels/x", b"other", if_absent=True)
    assert store.put("labels/y", b"y", if_absent=True)
    assert store.get("labels/x") == b""
    assert pickle.loads(pickle.dumps(store)).get("tiles/ab/abc.json") == b"three"  # noqa: S301
    assert store.list("tiles") == {"tiles/ab/abc.json": 5}
    store.delete("tiles/ab/abc.json")
    store.delete("tiles/ab/abc.json")
    assert store.list("tiles") == {}
    with pytest.raises(FileNotFoundError):
        store.get("tiles/ab/abc.tile")
    with contextlib.suppress(KeyError), store.new_file("shards/a.parquet") as path:
        path.write_bytes(b"half")
        raise KeyError
    assert store.list("shards") == {}
    with store.new_file("shards/a.parquet") as path:
        path.write_bytes(b"whole")
    assert store.list("shards") == {"shards/a.parquet": 5}
    assert store.get("shards/a.parquet") == b"whole"


@pytest.mark.parametrize("left", [b"", b"short", b"longer than the record"])
def test_what_a_killed_process_has_left_under_the_name_of_a_record_is_replaced(store: WorkStore, left: bytes) -> None:
    result = TileResult(valid_share=1.0, rejection="dark")
    Journal(store).write("a" * 64, result, {})
    (key,) = store.list("tiles")
    whole = store.get(key)
    store.put(key, left)
    assert Journal(store).done(["a" * 64]) == set()
    Journal(store).write("a" * 64, result, {})
    assert Journal(store).done(["a" * 64]) == {"a" * 64}
    assert store.get(key) == whole


def test_a_record_whose_bytes_are_others_is_named(store: WorkStore) -> None:
    Journal(store).write("a" * 64, TileResult(valid_share=1.0), {})
    (key,) = store.list("tiles")
    store.put(key, bytes(len(store.get(key))))
    journal = Journal(store)
    assert journal.done(["a" * 64]) == {"a" * 64}
    for read in (lambda: journal.read("a" * 64), lambda: list(journal.told(["a" * 64]))):
        with pytest.raises(OutputError, match=f"{re.escape(key)} is damaged: remove it, and repeat the command"):
            read()


# --- builds ---


def test_a_build_into_a_bucket_has_the_bytes_of_one_into_a_folder(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    run = into(sources, address)
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[-1] == f"preview: {address}/preview.html"
    assert downloaded(address, tmp_path) == undisturbed
    again = into(sources, address)
    assert again.code == 0
    assert f"{address} is finished already" in again.out
    other = into(sources, address, "--seed", 1)
    assert (other.code, len(other.lines)) == (1, 1)
    assert f"{address} holds a data set made otherwise: seed was 0, is 1" in other.err


def test_ranks_over_a_bucket_give_the_same_bytes(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    for shard_of in ("1/2", "0/2", "1/2"):
        assert into(sources, address, "--shard-of", shard_of).code == 0
    other = into(sources, address, "--seed", 1, "--shard-of", "0/2")
    assert (other.code, len(other.lines)) == (1, 1)
    assert f"{address} holds an unfinished build made otherwise: seed was 0, is 1" in other.err
    run = into(sources, address)
    assert (run.code, run.err) == (0, "6 of 6 tiles are done already\n")
    assert downloaded(address, tmp_path) == undisturbed


def failing(every: int, original: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a storage of which every so many requests fail."""
    count = iter(range(1, 1_000_000))

    class Storage:
        def __init__(self, address: str) -> None:
            self._inner = original(address)

        def __getattr__(self, name: str) -> Any:
            if next(count) % every == 0:
                raise OSError("AWS Error SLOW_DOWN: reduce your request rate")
            return getattr(self._inner, name)

    return Storage


def test_requests_that_fail_are_repeated(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_FIRST_WAIT_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(bucket, "open_storage", failing(7, storages.open_storage))
        run = into(sources, address)
        assert (run.code, run.err) == (0, "")
    assert downloaded(address, tmp_path) == undisturbed


def test_a_build_that_dies_while_it_uploads_leaves_no_data_set_and_goes_on(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    put_file = BucketStore.put_file

    def dying(self: BucketStore, key: str, path: Path) -> None:
        if key == "build.toml":
            raise Killed
        put_file(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(BucketStore, "put_file", dying)
        with pytest.raises(Killed):
            into(sources, address)
    assert "build.toml" not in BucketStore(address).names()
    run = into(sources, address)
    assert (run.code, run.lines) == (0, ["6 of 6 tiles are done already", "3 of 3 shards are written already"])
    assert downloaded(address, tmp_path) == undisturbed


def test_a_build_that_dies_between_two_shards_writes_the_others_only(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    uploaded: list[str] = []
    put_file = BucketStore.put_file

    def dying(self: BucketStore, key: str, path: Path) -> None:
        if key.startswith("shards/"):
            if uploaded:
                raise Killed
            uploaded.append(key)
        put_file(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(BucketStore, "put_file", dying)
        with pytest.raises(Killed):
            into(sources, address)
    assert BucketStore(address).names() == {".rsvqa"}

    def noting(self: BucketStore, key: str, path: Path) -> None:
        uploaded.append(key)
        put_file(self, key, path)

    monkeypatch.setattr(BucketStore, "put_file", noting)
    run = into(sources, address)
    shards = [name for name in undisturbed if name.startswith(("data/", "tiles/"))]
    assert (run.code, run.lines) == (
        0,
        ["6 of 6 tiles are done already", f"1 of {len(shards)} shards are written already"],
    )
    once = [key for key in uploaded if key.startswith("shards/")]
    assert len(once) == len(set(once)) == len(shards)
    assert not set(shards) & set(uploaded)  # they are copied by the storage
    assert downloaded(address, tmp_path) == undisturbed


def test_a_copy_within_the_storage_is_whole_whatever_its_size(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BucketStore(address)
    store.put("a", bytes(range(256)) * 1000)
    store.copy("a", "b")
    monkeypatch.setattr(bucket, "_MOST_COPIED", 1000)
    monkeypatch.setattr(bucket, "_CHUNK", 100_000)
    store.copy("a", "c")
    assert store.get("b") == store.get("c") == bytes(range(256)) * 1000


@pytest.fixture
def without_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage on which nothing keeps two builds apart."""

    def refuse(_: BucketLease) -> BucketLease:
        raise NoConditionsError("it knows no conditions")

    monkeypatch.setattr(BucketLease, "acquire", refuse)


def test_of_a_storage_without_conditional_writes_a_person_hears(
    without_conditions: None, sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    run = into(sources, address)
    assert (run.code, run.err) == (0, UNLOCKED.format(address))
    assert downloaded(address, tmp_path) == undisturbed


def test_what_another_build_has_finished_meanwhile_stays(
    without_conditions: None,
    sources: Path,
    undisturbed: dict[str, str],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploaded: list[str] = []
    commit, put_file = bucket.OutputBucket.commit, BucketStore.put_file

    def later(self: bucket.OutputBucket, shards: Sequence[StoredShard]) -> None:
        monkeypatch.setattr(bucket.OutputBucket, "commit", commit)
        assert into(sources, address).code == 0
        monkeypatch.setattr(BucketStore, "put_file", lambda _, key, __: uploaded.append(key))
        commit(self, shards)
        monkeypatch.setattr(BucketStore, "put_file", put_file)

    monkeypatch.setattr(bucket.OutputBucket, "commit", later)
    assert into(sources, address).code == 0
    assert uploaded == []
    assert ".rsvqa" not in BucketStore(address).names()
    assert downloaded(address, tmp_path) == undisturbed


def test_a_build_whose_work_another_of_the_same_has_finished_and_removed_leaves_its_files(
    without_conditions: None,
    sources: Path,
    undisturbed: dict[str, str],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = BucketStore.copy

    def after_another(self: BucketStore, key: str, new_key: str) -> None:
        monkeypatch.setattr(BucketStore, "copy", copy)
        assert into(sources, address).code == 0
        copy(self, key, new_key)

    monkeypatch.setattr(bucket, "_NUM_THREADS", 1)
    monkeypatch.setattr(BucketStore, "copy", after_another)
    run = into(sources, address)
    assert (run.code, run.err) == (0, UNLOCKED.format(address))
    assert downloaded(address, tmp_path) == undisturbed


def test_a_copy_of_what_is_gone_leaves_nothing(address: str) -> None:
    with pytest.raises(FileNotFoundError, match="a"):
        BucketStore(address).copy("a", "b")
    assert BucketStore(address).list("") == {}


def test_what_lies_below_an_address_is_not_touched(sources: Path, address: str) -> None:
    store = BucketStore(address)
    store.put("thesis.txt", b"precious")
    run = into(sources, address)
    assert (run.code, len(run.lines)) == (1, 1)
    assert f"{address} is not empty and holds no data set of rsvqa" in run.err
    assert dict(store.list("")) == {"thesis.txt": 8}


def test_an_address_that_goes_back_is_refused_at_once(sources: Path, server: int) -> None:
    run = into(sources, f"s3://{BUCKET}/sets/../set")
    assert (run.code, len(run.lines)) == (1, 1)
    assert f"cannot use s3://{BUCKET}/sets/../set: in a storage '..' is a name like any other" in run.err
    assert BucketStore(f"s3://{BUCKET}/sets").list("") == {}


@pytest.mark.parametrize("prefix", ["a b", "a+b", "a#b", "100%", "p%20q", "ü/日本", "a?b*", "a&b=c", "[z]"])
def test_an_address_may_hold_any_sign(server: int, prefix: str) -> None:
    address = f"s3://{BUCKET}/signs/{prefix}"
    store = BucketStore(address)
    with BucketLease(address).acquire():
        assert store.list("") == {"_rsvqa_lock/writer.json": store.size_of("_rsvqa_lock/writer.json")}
        with pytest.raises(FolderHeldError):
            BucketLease(address).acquire()
    assert store.list("") == {}


@pytest.mark.parametrize("what", ["?list-type=2", "_rsvqa_lock/writer.json"])
def test_a_storage_that_refuses_to_list_or_to_tell_is_one_line(
    server: int, sources: Path, address: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(bucket, "_FIRST_WAIT_S", 0.0)
    BucketStore(address).put("_rsvqa_lock/writer.json", b"{}")
    refusing = Refusing(server, lambda method, path: method == "GET" and what in path, range(EVER), code="AccessDenied")
    with by_way_of(refusing):
        run = into(sources, address)
    assert run.code == 1
    assert len(run.lines) == (2 if "list" in what else 1)
    assert run.lines[-1].startswith("rsvqa: ")


def test_a_bucket_that_is_not_there_is_refused_at_once(sources: Path, server: int) -> None:
    run = into(sources, "s3://nobody-has-this/set")
    assert (run.code, run.lines) == (
        1,
        ["rsvqa: cannot use s3://nobody-has-this/set: there is no bucket 'nobody-has-this', or it is not yours to see"],
    )


def start(sources: Path, address: str, *words: str) -> subprocess.Popen[str]:
    """Start a build in a process of its own."""
    command = [RSVQA, "build", "--src", str(sources), "--out", address, "--tile-size", "512", *OPTIONS, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_builds_at_once_one_stops_and_says_why(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    running = [start(sources, address, "--workers", workers) for workers in ("1", "0")]
    ended = [process.communicate()[1] for process in running]
    codes = [process.returncode for process in running]
    assert sorted(codes) == [0, 1], ended
    winner = running[codes.index(0)].pid
    (line,) = ended[codes.index(1)].splitlines()
    assert re.fullmatch(
        rf"rsvqa: another build is writing into {address} \(process {winner} on .*\): "
        "wait for it, or choose another --out",
        line,
    )
    assert downloaded(address, tmp_path) == undisturbed


def test_a_build_beside_ranks_is_refused_and_ranks_are_beside_each_other(
    sources: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BucketLease(address, shared=True).acquire() as rank:
        assert "another build is writing into" in into(sources, address).err
        assert into(sources, address, "--shard-of", "0/2").code == 0
        rank.require_held()
    with BucketLease(address).acquire():
        assert "another build is writing into" in into(sources, address, "--shard-of", "1/2").err


def test_a_build_that_was_killed_is_followed_at_once(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    first = start(sources, address, "--workers", "0")
    store = BucketStore(address)
    while not any(key.endswith(".json") for key in store.list(".rsvqa") if "/tiles/" in key):
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    first.kill()
    first.communicate()
    assert "_rsvqa_lock/writer.json" in store.list("")
    run = into(sources, address)
    assert run.code == 0
    assert re.fullmatch(r"\d of 6 tiles are done already\n", run.err)
    assert downloaded(address, tmp_path) == undisturbed


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_rank_that_its_scheduler_ends_leaves_no_lock_and_no_temporary_files(
    sources: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    rank = start(sources, address, "--workers", workers, "--shard-of", "0/1")
    store = BucketStore(address)
    while not any("/tiles/" in key for key in store.list(".rsvqa")):
        assert rank.poll() is None, rank.communicate()
        time.sleep(0.01)
    rank.terminate()
    _, said = rank.communicate()
    if rank.returncode != 0:  # else it had done all by then
        assert (rank.returncode, said) == (143, "rsvqa: stopped; the same command goes on from here\n")
    assert store.list("_rsvqa_lock") == {}
    assert list((tmp_path / "temporary").glob("rsvqa-*")) == []


@pytest.mark.parametrize("step", ["choose_questions", "plan_shard_work", "write_documents"])
def test_a_build_that_was_taken_for_dead_touches_nothing_more(
    sources: Path,
    undisturbed: dict[str, str],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    original = getattr(build_module, step)
    there: dict[str, int] = {}

    def asleep(*words: Any, **named: Any) -> Any:
        result = original(*words, **named)
        objects = ConditionalObjects(address)
        with contextlib.suppress(PlaceTakenError):
            objects.update("_rsvqa_lock/writer.json", b"{}", objects.read("_rsvqa_lock/writer.json")[1])
        there.update(BucketStore(address).list(""))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(build_module, step, asleep)
        run = into(sources, address)
    assert (run.code, len(run.lines)) == (1, 1)
    assert f"another build has taken {address} over while this machine could not be heard there" in run.err
    assert "build.toml" not in there
    left = dict(BucketStore(address).list(""))
    # what workers had begun lies apart, under the name of what it holds
    assert {key: size for key, size in left.items() if "/shards/" not in key} == {
        key: size for key, size in there.items() if "/shards/" not in key
    }
    BucketStore(address).delete("_rsvqa_lock/writer.json")
    assert into(sources, address).code == 0
    assert downloaded(address, tmp_path) == undisturbed


def test_a_storage_that_is_too_busy_for_every_seventh_request_costs_time_only(
    server: int, sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path
) -> None:
    busy = OftenBusy(server, 7)
    with serve(busy) as there, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", there)
        open_anew()
        run = into(sources, address)
        patch.undo()
        open_anew()
    assert (run.code, run.err) == (0, "")
    assert busy.refused > 10
    assert downloaded(address, tmp_path) == undisturbed


EVER = 10**9


@contextlib.contextmanager
def by_way_of(relay: Relay) -> Iterator[None]:
    """Let the ways to the storage lead through a relay."""
    with serve(relay) as there, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", there)
        patch.setenv("AWS_S3_ENDPOINT", there.partition("//")[2])
        open_anew()
        yield
    open_anew()


def upload(folder: Path, address: str) -> None:
    for path in folder.rglob("*.tif"):
        BucketStore(address).put(path.relative_to(folder).as_posix(), path.read_bytes())


@pytest.mark.parametrize("first", [6, 8])
def test_keys_that_expire_while_scenes_are_read_end_the_build_and_lose_no_scene(
    server: int, sources: Path, address: str, tmp_path: Path, first: int
) -> None:
    upload(sources, address)
    out = tmp_path / "set"
    scene = re.compile(rf"/{re.escape(address.rpartition('/')[2])}/farm\d\.tif")
    expired = Refusing(server, lambda method, path: method == "GET" and bool(scene.search(path)), range(first, EVER))
    with by_way_of(expired):
        run = build(f"{address}/", out, *OPTIONS)
    assert expired.asked > first
    assert (run.code, len(run.lines)) == (1, 1)
    said = r"rsvqa: cannot reach /vsis3/\S+/farm\d\.tif any more: it cannot be opened: said so\. What is done is kept: "
    assert re.match(said, run.err)
    assert not (out / "build.toml").exists()
    assert build(f"{address}/", out, *OPTIONS).code == 0
    assert build(f"{address}/", tmp_path / "undisturbed", *OPTIONS).code == 0
    assert tree_digest(out) == tree_digest(tmp_path / "undisturbed")


def test_a_scene_that_cannot_be_read_once_is_read_again_and_one_that_is_broken_is_left_out(
    server: int, sources: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasters, "WAITS_S", (0, 0, 0))
    upload(sources, address)
    scene = re.compile(rf"/{re.escape(address.rpartition('/')[2])}/farm\d\.tif")
    runs = []
    for number in (6, 7, 8):
        once = Refusing(
            server, lambda method, path: method == "GET" and bool(scene.search(path)), range(number, number + 1)
        )
        with by_way_of(once):
            runs.append(build(f"{address}/", tmp_path / f"{number}", *OPTIONS))
    assert [(run.code, run.err) for run in runs] == [(0, "")] * 3
    assert tree_digest(tmp_path / "6") == tree_digest(tmp_path / "7") == tree_digest(tmp_path / "8")
    whole = (sources / "farm1.tif").read_bytes()
    BucketStore(address).put("farm1.tif", whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    broken = build(f"{address}/", tmp_path / "broken", *OPTIONS)
    assert broken.code == 0
    assert re.fullmatch(r"left out /vsis3/\S+/farm1\.tif: cannot read .*\n", broken.err)


@pytest.mark.parametrize("hangs", [False, True])
def test_an_object_that_comes_in_part_is_asked_for_again_and_never_taken_for_whole(
    server: int, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(bucket, "_FIRST_WAIT_S", 0.0)
    content = bytes(range(256)) * 4000
    store = BucketStore(address)
    store.put("whole", content)

    def is_meant(method: str, path: str) -> bool:
        return method == "GET" and path.endswith("/whole")

    with by_way_of(Cutting(server, is_meant, range(1, 2), hangs=hangs)):
        assert store.get("whole") == content
    with by_way_of(Cutting(server, is_meant, range(1, 2), hangs=hangs)):
        store.get_file("whole", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    if not hangs:
        with by_way_of(Cutting(server, is_meant, range(EVER))):
            with pytest.raises(OSError, match="partial file"):
                store.get("whole")
            with pytest.raises(OSError, match="partial file"):
                store.get_file("whole", tmp_path / "file")


def test_a_scene_whose_storage_falls_silent_is_read_again(
    server: int, sources: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rasters.NETWORK_SETTINGS, "GDAL_HTTP_LOW_SPEED_TIME", "1")
    monkeypatch.setattr(rasters, "WAITS_S", (0, 0, 0))
    upload(sources, address)
    scene = re.compile(rf"/{re.escape(address.rpartition('/')[2])}/farm\d\.tif")
    for hangs in (True, False):
        silent = Cutting(
            server, lambda method, path: method == "GET" and bool(scene.search(path)), range(7, 9), hangs=hangs
        )
        with by_way_of(silent):
            run = build(f"{address}/", tmp_path / f"set{hangs}", *OPTIONS)
        assert (run.code, run.err) == (0, "")
        assert silent.asked > 9
    build(f"{address}/", tmp_path / "undisturbed", *OPTIONS)
    assert tree_digest(tmp_path / "setTrue") == tree_digest(tmp_path / "undisturbed")
    assert tree_digest(tmp_path / "setFalse") == tree_digest(tmp_path / "undisturbed")


def test_a_profile_of_amazons_tools_opens_the_storage(
    sources: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = "aws_access_key_id = testing\naws_secret_access_key = testing\n"
    (tmp_path / "credentials").write_text(f"[default]\n[work]\n{stated}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    open_anew()
    run = into(sources, address, "--shard-of", "0/2")
    open_anew()
    assert (run.code, run.err) == (0, "")


class Elsewhere:
    """An executor whose every unit runs on a machine of its own, which goes with what the unit has left there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, function: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        shared = function.contract.shared
        for index, item in enumerate(items):
            if shared is None:
                yield index, function(item)
                continue
            drivers = shared.folder.with_name("drivers")
            shared.folder.rename(drivers)
            result = function(item)
            if shared.folder.exists():
                shutil.rmtree(shared.folder)
            drivers.rename(shared.folder)
            yield index, result


@pytest.mark.parametrize("mosaic", [False, True])
def test_machines_that_share_the_storage_alone_give_the_same_bytes(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mosaic: bool
) -> None:
    scenes = tmp_path / "scenes"
    make_scene(scenes, FARM._replace(name="west", width=600, height=300))
    make_scene(scenes, FARM._replace(name="east", width=600, height=300, easting=FARM.easting + 600 * GSD_M))
    noise = np.random.default_rng(0).integers(0, 255, (300, 600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "excluded.png")
    words = ("--exclude", tmp_path / "excluded.png", *(("--mosaic",) if mosaic else ()))
    assert build(scenes, tmp_path / "set", *OPTIONS, *words).code == 0
    monkeypatch.setattr(staging, "needs_staging", lambda *_, **__: True)
    monkeypatch.setattr(build_module, "open_executor", lambda *_, **__: Elsewhere())
    kept: set[str] = set()
    put_file = BucketStore.put_file

    def noting(self: BucketStore, key: str, path: Path) -> None:
        kept.add("/".join(key.split("/")[:2]))
        put_file(self, key, path)

    monkeypatch.setattr(BucketStore, "put_file", noting)
    run = into(scenes, address, *words)
    assert (run.code, run.lines) == (0, [])
    assert downloaded(address, tmp_path / "downloaded") == tree_digest(tmp_path / "set")
    made = {"work/labels", "work/staged", "work/excluded"} | ({"work/mosaics"} if mosaic else set())
    assert {key for key in kept if key.startswith("work/")} == made


def test_an_executor_of_another_package_writes_into_a_storage(
    sources: Path, undisturbed: dict[str, str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("ODD_SEED", "0")
    install(site, "executor.odd = odd_executor:OddExecutor")
    run = build(sources, address, *OPTIONS, "--executor", "odd", workers=2)  # type: ignore[arg-type]
    assert (run.code, run.lines[0]) == (0, f"odd: 2 at a time into {address.rpartition('/')[2]}")
    assert downloaded(address, tmp_path / "downloaded") == undisturbed


def open_anew() -> None:
    """Forget how storages are reached."""
    for opened in (storages.open_storage, storages.open_conditional):
        opened.cache_clear()
