"""Where finished work is kept."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.tiles.store import FolderStore


def test_what_is_put_is_there_until_it_is_deleted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.list("tiles") == {}
    assert store.put("tiles/ab/abc.json", b"one")
    assert store.put("tiles/ab/abc.json", b"three")
    assert store.put("labels/x", b"y")
    assert pickle.loads(pickle.dumps(store)).get("tiles/ab/abc.json") == b"three"  # noqa: S301
    assert store.list("tiles") == {"tiles/ab/abc.json": 5}
    store.delete("tiles/ab/abc.json")
    store.delete("tiles/ab/abc.json")
    assert store.list("tiles") == {}
    with pytest.raises(FileNotFoundError):
        store.get("tiles/ab/abc.json")


def test_of_many_that_put_if_absent_at_once_one_stores(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(lambda number: store.put("a/b", b"%d" % number, if_absent=True), range(32)))
    assert sum(stored) == 1
    assert store.get("a/b") == b"%d" % stored.index(True)
    assert store.list("a") == {"a/b": len(b"%d" % stored.index(True))}


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / ".a.json.host-1-0123abcd.partial").write_bytes(b"half")
    assert FolderStore(tmp_path).list("tiles") == {}
