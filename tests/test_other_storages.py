"""`rsvqa build --out gs://…` and `az://…`: what `test_buckets.py` shows of S3, with emulators of Google and Azure."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.tiles.bucket import BucketStore
from tests.make_sources import FARM, make_scene
from tests.run_build import Run, build, tree_digest
from tests.storage_servers import CONTAINER, azure_container, google_bucket
from tests.test_buckets import OPTIONS, downloaded


@pytest.fixture(scope="module", params=["gs", "az"])
def scheme(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers: dict[str, AbstractContextManager[None]] = {
        "gs": google_bucket(),
        "az": azure_container(tmp_path_factory.mktemp("azurite")),
    }
    with servers[request.param]:
        yield request.param


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "scenes"
    make_scene(folder, FARM._replace(name="farm", width=600, height=300))
    return folder


@pytest.fixture(scope="module")
def undisturbed(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    assert build(sources, out, *OPTIONS).code == 0
    return tree_digest(out)


def into(sources: Path, address: str, *words: object) -> Run:
    return build(sources, address, *OPTIONS, *words)  # type: ignore[arg-type]  # a path would lose a slash


def test_a_store_keeps_what_it_is_given(scheme: str) -> None:
    store = BucketStore(f"{scheme}://{CONTAINER}/store")
    assert store.list("tiles") == {}
    assert store.names() == set()
    assert store.put("tiles/ab/abc.json", b"one")
    assert store.put("tiles/ab/abc.json", b"three")
    assert not store.put("tiles/ab/abc.json", b"other", if_absent=True)
    assert store.put("labels/x", b"")
    assert pickle.loads(pickle.dumps(store)).get("tiles/ab/abc.json") == b"three"  # noqa: S301
    assert store.list("tiles") == {"tiles/ab/abc.json": 5}
    assert store.names() == {"tiles", "labels"}
    assert store.names("tiles") == {"ab"}
    with store.new_file("shards/a.parquet") as path:
        path.write_bytes(b"whole")
    store.copy("shards/a.parquet", "data/b.parquet")
    assert store.get("data/b.parquet") == b"whole"
    for _ in range(2):
        store.delete("labels/x")
        store.delete_all("tiles")
    assert dict(store.list("")) == {"data/b.parquet": 5, "shards/a.parquet": 5}
    with pytest.raises(FileNotFoundError):
        store.get("labels/x")


def test_a_rank_and_a_build_give_the_bytes_of_a_folder(
    scheme: str, sources: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    address = f"{scheme}://{CONTAINER}/set"
    assert into(sources, address, "--shard-of", "0/2").code == 0
    assert BucketStore(address).names() == {".rsvqa"}
    run = into(sources, address)
    unlocked = [line for line in run.lines if line.startswith(f"{address} is not locked, see to it that")]
    assert len(unlocked) == (scheme == "gs")  # its emulator has no conditional writes
    assert (run.code, run.lines) == (0, [*unlocked, "1 of 2 tiles are done already"])
    assert downloaded(address, tmp_path) == undisturbed
    assert "is finished already" in into(sources, address).out
    assert f"{address} holds a data set made otherwise: seed was 0, is 1" in into(sources, address, "--seed", 1).err


def test_a_container_that_is_not_there_is_refused_at_once(scheme: str, sources: Path) -> None:
    run = into(sources, f"{scheme}://nobody-has-this/set")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "there is no bucket 'nobody-has-this', or it is not yours to see" in run.err


def test_without_an_account_azure_is_refused_at_once(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    run = into(sources, "az://box-without-account/set")
    assert (run.code, run.lines) == (
        1,
        [
            "rsvqa: cannot use az://box-without-account: AZURE_STORAGE_ACCOUNT does not say of which account it is",
        ],
    )


def test_a_key_of_azure_that_is_not_whole_is_refused_at_once(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "ours")
    monkeypatch.setenv("AZURE_STORAGE_KEY", "cut-off")
    run = into(sources, "az://box-with-half-a-key/set")
    assert (run.code, len(run.lines)) == (1, 1)
    assert run.err.startswith("rsvqa: cannot use az://box-with-half-a-key: the key of account ours is not whole: ")
