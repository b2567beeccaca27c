"""Data sets in an object storage as the input of commands that read folders: copied once, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore
from rsvqa.rsvqa_builder.tiles.bucket_copy import near_copy
from tests.annotate_data import build_demo, endpoint_answer, knowing_model
from tests.moto_server import BUCKET, moto_bucket
from tests.run_build import Run, rsvqa, times_of_change, tree_digest
from tests.scripted_endpoint import ScriptedEndpoint
from tests.test_buckets import open_anew

ADDRESS = f"s3://{BUCKET}/sets/the set"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo(tmp_path_factory.mktemp("demo"), words=("--tasks", "OC,OCL,FVG,RIC", "--per-task", 2))


@pytest.fixture
def store(data: Path) -> Iterator[BucketStore]:
    with moto_bucket():
        open_anew()
        store = BucketStore(ADDRESS)
        for path in data.rglob("*"):
            if path.is_file():
                store.put(path.relative_to(data).as_posix(), path.read_bytes())
        yield store


def copied(folder: Path) -> Path:
    return near_copy(ADDRESS, folder, reporter=QuietReporter())


def test_a_copy_has_all_files_of_the_data_set_and_is_made_once(
    store: BucketStore, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("notes of mine.txt", b"private")
    copy = copied(tmp_path)
    assert copy == tmp_path / "s3" / BUCKET / "sets" / "the set"
    assert tree_digest(copy) == tree_digest(data)
    before = times_of_change(copy)
    assert copied(tmp_path) == copy
    assert times_of_change(copy) == before
    assert near_copy(data, tmp_path / "unused", reporter=QuietReporter()) == data
    assert not (tmp_path / "unused").exists()


def test_a_copy_that_was_stopped_or_spoiled_goes_on(
    store: BucketStore, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    fetched: list[str] = []
    get_file = BucketStore.get_file

    def dying(self: BucketStore, key: str, path: Path) -> None:
        if len(fetched) == 3:
            raise Killed
        fetched.append(key)
        get_file(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(BucketStore, "get_file", dying)
        with pytest.raises(Killed):
            copied(tmp_path)
    copy = tmp_path / "s3" / BUCKET / "sets" / "the set"
    assert not (copy / "build.toml").exists()
    spoiled = copy / fetched[0]
    spoiled.write_bytes(bytes(spoiled.stat().st_size))
    (copy / "data" / "test-00000-of-00001.parquet").write_bytes(b"of an older data set")
    again: list[str] = []

    def noting(self: BucketStore, key: str, path: Path) -> None:
        again.append(key)
        get_file(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(BucketStore, "get_file", noting)
        copied(tmp_path)
    assert tree_digest(copy) == tree_digest(data)
    assert fetched[0] in again
    assert not set(fetched[1:]) & set(again)


def test_what_is_no_whole_data_set_is_refused(store: BucketStore, tmp_path: Path) -> None:
    shard = next(key for key in store.list("data") if key.endswith(".parquet"))
    whole = store.get(shard)
    store.put(shard, bytes(len(whole)))
    with pytest.raises(OutputError, match=rf"{shard} is not the file that build.toml tells of"):
        copied(tmp_path)
    store.delete(shard)
    with pytest.raises(OutputError, match=rf"{shard} is missing, and build.toml names it"):
        copied(tmp_path)
    marker = store.get("build.toml")
    store.put("build.toml", marker.replace(b"stats.json", b"../../x.py"))
    with pytest.raises(OutputError, match=r"build.toml names ../../x.py, which no command of rsvqa writes"):
        copied(tmp_path)
    store.delete("build.toml")
    with pytest.raises(OutputError, match=r"holds no finished data set \(build.toml is missing\): build it first"):
        copied(tmp_path)
    store.put(".rsvqa/abc/fingerprint.json", b"{}")
    with pytest.raises(OutputError, match=r"repeat the command that builds it, which goes on from there"):
        copied(tmp_path)
    assert not list(tmp_path.rglob("build.toml"))
    assert not (tmp_path.parent / "x.py").exists()


def test_a_data_set_in_a_storage_is_annotated_as_one_in_a_folder(
    store: BucketStore, data: Path, tmp_path: Path
) -> None:
    with ScriptedEndpoint(answer=endpoint_answer(knowing_model(data))) as endpoint:

        def annotate(source: object, out: Path, *words: object) -> Run:
            asked = ("--model", "knowing", "--same-model", "--base-url", endpoint.base_url)
            return rsvqa("annotate", "--data", source, "--out", out, *asked, *words)

        assert annotate(data, tmp_path / "near").code == 0
        run = annotate(ADDRESS, tmp_path / "far")
        assert run.code == 0, run.err
        assert run.lines[0].startswith(f"{ADDRESS} is copied to {tmp_path / 'far.data'}/")
        assert tree_digest(tmp_path / "far") == tree_digest(tmp_path / "near")
        num_asked = len(endpoint.bodies)
        again = annotate(ADDRESS, tmp_path / "far")
        assert (again.code, again.err, len(endpoint.bodies)) == (0, "", num_asked)
        assert f"{tmp_path / 'far'} is annotated like this already" in again.out
    in_place = rsvqa("annotate", "--data", ADDRESS, "--in-place", "--model", "a", "--verifier", "b")
    assert (in_place.code, len(in_place.lines)) == (2, 1)
    assert "--in-place replaces a folder of this machine: give --out" in in_place.err
    for word in ("s3://", "s3:///"):
        no_bucket = rsvqa("annotate", "--data", word, "--out", tmp_path / "o", "--model", "a", "--verifier", "b")
        assert no_bucket.lines == ["rsvqa: s3://: it names no bucket; expected an address such as s3://bucket/folder"]
