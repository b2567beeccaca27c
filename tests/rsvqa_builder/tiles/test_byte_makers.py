"""A worker that would write other bytes is refused by name of what differs."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles.byte_makers import (
    WorkerError,
    machine_traits,
    package_versions,
    require_same_bytes,
)
from rsvqa.rsvqa_builder.tiles.encoding import encode
from rsvqa.rsvqa_builder.tiles.store import FolderStore

NONE: Mapping[str, str] = {}


def begin(folder: Path, *, versions: Mapping[str, str] = NONE, machine: Mapping[str, str] = NONE) -> FolderStore:
    """Leave what a build leaves of the machine that began it."""
    content = {
        "versions": {**package_versions(), "class_table": "0123", **versions},
        "machine": {**machine_traits(), **machine},
    }
    (folder / "fingerprint.json").write_text(json.dumps(content))
    return FolderStore(folder)


def test_a_machine_with_the_same_packages_and_codecs_may_work(tmp_path: Path) -> None:
    require_same_bytes(begin(tmp_path))


def test_one_with_others_is_refused_with_what_differs(tmp_path: Path) -> None:
    store = begin(tmp_path, versions={"gdal": "3.4.0"}, machine={"jpeg_bytes": "00"})
    with pytest.raises(WorkerError) as refusal:
        require_same_bytes(store)
    assert str(pickle.loads(pickle.dumps(refusal.value))) == (  # noqa: S301  it comes from a worker
        f"{socket.gethostname()} would write other bytes than the machine that began this build: "
        f"gdal was 3.4.0, is {package_versions()['gdal']}; jpeg_bytes was 00, is {machine_traits()['jpeg_bytes']}. "
        "Install the same there"
    )


def test_one_that_does_not_see_the_folder_of_the_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"does not see the work of this build in .*under the same path"):
        require_same_bytes(FolderStore(tmp_path / "not mounted"))


def test_a_codec_that_writes_other_bytes_is_another_trait(monkeypatch: pytest.MonkeyPatch) -> None:
    def coarser(pixels: NDArray[np.uint8], image_format: ImageFormat, quality: int) -> bytes:
        return encode(pixels, image_format, quality - 30)  # of JPEG alone

    before = machine_traits()
    monkeypatch.setattr("rsvqa.rsvqa_builder.tiles.byte_makers.encode", coarser)
    after = machine_traits.__wrapped__()
    assert {name for name in before if before[name] != after[name]} == {"jpeg_bytes", "jpeg_pixels_of_gdal"}
