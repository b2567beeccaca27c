"""`rsvqa build --src s3://…`, `gs://…` and `az://…`: the shards of a folder, with emulators of the three storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from rsvqa.rsvqa_builder.scenes.scene_files import SourceError, find_scenes
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore
from tests.make_sources import FARM, make_scene
from tests.moto_server import moto_bucket
from tests.run_build import build, read_report, tree_digest
from tests.storage_servers import CONTAINER, azure_container, google_bucket
from tests.test_buckets import open_anew


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An address of a bucket to which the environment knows the way, as a tool of its maker and as GDAL."""
    servers: dict[str, AbstractContextManager[Any]] = {
        "s3": moto_bucket(),
        "gs": google_bucket(),
        "az": azure_container(tmp_path_factory.mktemp("azurite")),
    }
    with servers[request.param]:
        open_anew()
        yield f"{request.param}://{CONTAINER}"


def upload(folder: Path, address: str) -> None:
    store = BucketStore(address)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())


def test_a_folder_of_a_storage_gives_the_shards_of_a_folder(place: str, tmp_path: Path) -> None:
    scenes, labels = tmp_path / "scenes", tmp_path / "labels"
    labels.mkdir()
    for number in range(2):
        farm = FARM._replace(name=f"farm{number}", width=600, height=300, easting=FARM.easting + 5000 * number)
        drawn = make_scene(scenes / f"part {number}", farm).with_suffix(".geojson")
        drawn.rename(labels / drawn.name)
    upload(scenes, f"{place}/scenes")
    options = ("--labels", labels, "--complete", "yes", "--tasks", "OC,RC,OCC")
    runs = [build(src, tmp_path / out, *options) for src, out in ((scenes, "near"), (f"{place}/scenes/", "far"))]
    assert [(run.code, run.err) for run in runs] == [(0, "")] * 2
    near, far = (tree_digest(tmp_path / out / "data") for out in ("near", "far"))
    assert near
    assert far == near
    assert read_report(tmp_path / "far")["questions"] > 0


def test_what_lies_below_a_prefix_is_found_with_the_ids_of_a_folder(place: str, tmp_path: Path) -> None:
    for name in ("a.tif", "deep/b c#%20ü.tif", "deep/b_mask.tif", ".hidden/c.tif", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    upload(tmp_path, f"{place}/in")
    upload(tmp_path, f"{place}/inner")
    found = find_scenes(f"{place}/in/", is_label=lambda name, _: name.endswith("_mask.tif"))
    kind = place.partition(":")[0]
    assert [(file.scene_id, file.path) for file in found.candidates] == [
        ("a", f"/vsi{kind}/{CONTAINER}/in/a.tif"),
        ("deep/b c#%20ü", f"/vsi{kind}/{CONTAINER}/in/deep/b c#%20ü.tif"),
    ]
    assert f"below {place}/in/, which has 5 files" in found.searched
    assert find_scenes(f"/vsi{kind}/{CONTAINER}/in", is_label=lambda *_: True).candidates == ()


def test_files_that_may_be_labels_are_told_of(place: str, tmp_path: Path) -> None:
    farm = FARM._replace(name="farm", width=300, height=300)
    labels = make_scene(tmp_path / "scenes", farm).with_suffix(".geojson")
    for name in ("masks/farm.png", "farm.aux.xml", "readme.txt", "shapes.zip", ".hidden/a.geojson", "farm_mask.tif"):
        (tmp_path / "scenes" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "scenes" / name).write_bytes(b"x")
    upload(tmp_path / "scenes", f"{place}/labelled")
    run = build(f"{place}/labelled/", tmp_path / "set", "--tasks", "OC")
    said = (
        f"{place}/labelled/: 3 files that may be labels (farm.geojson the first) are not read from a storage: copy "
        "them into a folder of this machine, and give it as --labels"
    )
    assert (run.code, [line for line in run.lines if "labels" in line]) == (0, [said])
    near = build(f"{place}/labelled/", tmp_path / "near", "--tasks", "OC", "--labels", labels)
    assert (near.code, [line for line in near.lines if "may be labels" in line]) == (0, [])


def test_what_is_not_there_is_refused_in_one_line(place: str) -> None:
    reason = r"(there is no such folder, or it is not yours to see|.*The specified bucket does not exist.*)"
    for src in (f"{place}/nothing/", f"{place.partition(':')[0]}://nobody-has-this/in/"):
        with pytest.raises(SourceError, match=f"^`src` {src}: the folder cannot be listed: {reason}$"):
            find_scenes(src, is_label=lambda *_: False)
