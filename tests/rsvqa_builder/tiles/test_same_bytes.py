"""A worker that would write other bytes is refused by name of what differs."""

from __future__ import annotations

import json
import pickle
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.tiles.fingerprint import library_versions, package_versions
from rsvqa.rsvqa_builder.tiles.same_bytes import (
    WorkerError,
    machine_traits,
    require_same_bytes,
)
from rsvqa.rsvqa_builder.tiles.store import FolderStore

NONE: Mapping[str, str] = {}


def begin(folder: Path, *, versions: Mapping[str, str] = NONE, machine: Mapping[str, str] = NONE) -> FolderStore:
    """Leave what a build leaves of the machine that began it."""
    content = {
        "versions": {**package_versions(), **library_versions(), "class_table": "0123", **versions},
        "machine": {**machine_traits(), **machine},
    }
    (folder / "fingerprint.json").write_text(json.dumps(content))
    return FolderStore(folder)


def test_a_machine_with_the_same_packages_and_codecs_may_work(tmp_path: Path) -> None:
    require_same_bytes(begin(tmp_path))


def test_one_with_others_is_refused_with_what_differs(tmp_path: Path) -> None:
    store = begin(tmp_path, versions={"gdal": "3.4.0"}, machine={"JPEG encoder": "00"})
    with pytest.raises(WorkerError) as refusal:
        require_same_bytes(store)
    assert str(pickle.loads(pickle.dumps(refusal.value))) == (  # noqa: S301  it comes from a worker
        f"{socket.gethostname()} would write other bytes than the machine that began this build: "
        f"gdal was 3.4.0, is {library_versions()['gdal']}; JPEG encoder was 00, is {machine_traits()['JPEG encoder']}. "
        "Install the same there"
    )


def test_one_that_does_not_see_the_folder_of_the_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"does not see the work of this build in .*under the same path"):
        require_same_bytes(FolderStore(tmp_path / "not mounted"))


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
