"""What is kept of a scene's labels for its tiles, and what is not."""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array
from rsvqa.rsvqa_builder.tiles import preparing


def some_features() -> Features:
    return Features(
        ids=("a:0", "a:1"),
        class_names=("car", "tree"),
        geometries=object_array([shapely.box(0, 0, 2, 1), shapely.Point(5, 5)]),
        outlines=(Outline.BOX, Outline.POINT),
        is_certain=np.array([True, False]),
        attributes=({"colour": "red"}, {}),
    )


def test_labels_are_stored_under_the_name_of_their_content(tmp_path: Path) -> None:
    path = preparing._store_features(some_features(), tmp_path / "labels", 7)
    content = path.read_bytes()
    assert path.name == f"00007-{hashlib.sha256(content).hexdigest()[:16]}.arrow"
    sink = pa.BufferOutputStream()  # the whole file in memory, as it need not be
    with pa.ipc.new_file(sink, some_features().to_arrow().schema) as writer:
        writer.write_table(some_features().to_arrow())
    assert content == sink.getvalue().to_pybytes()
    found = Features.from_arrow(pa.ipc.open_file(content).read_all())
    assert (found.ids, found.class_names, found.attributes) == (
        ("a:0", "a:1"),
        ("car", "tree"),
        ({"colour": "red"}, {}),
    )
    assert found.geometries.tolist() == some_features().geometries.tolist()


def test_labels_that_are_stored_already_stay(tmp_path: Path) -> None:
    first = preparing._store_features(some_features(), tmp_path, 0)
    written = first.stat()
    assert preparing._store_features(some_features(), tmp_path, 0) == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_memory_is_given_back_where_the_c_library_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=asked.append))
    preparing._give_back_memory()
    assert asked == [0]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())  # macOS, musl
    preparing._give_back_memory()
    assert asked == [0]
