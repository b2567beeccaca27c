"""Which rasters a source names, and under which ids."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.scenes.scene_files import (
    FoundScenes,
    LeftOut,
    SceneFile,
    SourceError,
    find_scenes,
    scene_ids,
    to_gdal_path,
)


def never(name: str, path: str) -> bool:
    return False


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def ids(found: FoundScenes) -> list[str]:
    return [file.scene_id for file in found.candidates]


def test_a_folder_is_searched_with_all_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "b.TIF", "a/x.tif", "a/deep/er/y.jp2", "c.png", "d.vrt")
    found = find_scenes(str(tmp_path), is_label=never)
    assert ids(found) == ["a/deep/er/y", "a/x", "b", "c", "d"]
    assert found.candidates[1].path == str(tmp_path / "a/x.tif")
    assert found.left_out == ()
    assert str(tmp_path) in found.searched


def test_sidecars_hidden_files_and_labels_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "a.tif.ovr", "a.tif.msk", "a.tif.aux.xml", "a.geojson", "a.tfw", "notes.txt")
    touch(tmp_path, ".hidden.tif", ".cache/b.tif", "__MACOSX/a.tif", "labels/a.tif")
    found = find_scenes(str(tmp_path), is_label=lambda name, _: "labels" in Path(name).parts)
    assert ids(found) == ["a"]


def test_images_in_formats_that_are_not_looked_for_are_named_with_what_to_do(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "b.ecw", "c.ECW", "d/e.npy", "f.tif.gz", "g.tar", "table.xlsx", "labels/h.npy", ".i.nc")
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as archive:
        archive.writestr("t/j.tif", b"")
        archive.writestr("t/j.npy", b"")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("notes.txt", b"")
    found = find_scenes(str(tmp_path), is_label=lambda name, _: "labels" in Path(name).parts)
    convert = "name it in a text list as a source, or convert it, gdal_translate -of COG IN.ecw OUT.tif"
    array = "an array says neither where it lies nor what its values are: save it as a GeoTIFF"
    assert found.unread == (
        LeftOut(str(tmp_path), f"2 files *.ecw are not read (b.ecw the first): {convert}"),
        LeftOut(str(tmp_path), "f.tif.gz is not read: unpack it"),
        LeftOut(str(tmp_path), "g.tar is not read: unpack it"),
        LeftOut(str(tmp_path), "tiles.zip is not read: give the archive as a source of its own, or unpack it"),
        LeftOut(str(tmp_path / "d"), f"e.npy is not read: {array}"),
    )
    assert "not read" not in found.searched
    inside = find_scenes(str(tmp_path / "tiles.zip"), is_label=never)
    assert [reason for _, reason in inside.unread] == [f"j.npy is not read: {array}"]
    nothing = find_scenes(f"{tmp_path}/*.ecw", is_label=never)
    assert nothing.searched.endswith(f"in {tmp_path}, b.ecw is not read: {convert}")


def test_a_linked_folder_is_searched_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "src/a.tif", "elsewhere/b.tif")
    (tmp_path / "src/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "src")
    assert ids(find_scenes(str(tmp_path / "src"), is_label=never)) == ["a", "link/b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser can read every folder")
def test_a_folder_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "closed/b.tif")
    (tmp_path / "closed").chmod(0)
    try:
        found = find_scenes(str(tmp_path), is_label=never)
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert found.left_out == (LeftOut(str(tmp_path / "closed"), "the folder cannot be read: Permission denied"),)


def test_one_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "scene.dat")
    found = find_scenes(str(tmp_path / "scene.dat"), is_label=lambda *_: True)
    assert found.candidates == (SceneFile(str(tmp_path / "scene.dat"), "scene"),)


def test_a_glob_gives_ids_below_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "x/2019/a.tif", "x/2020/a.tif", "x/2020/a.txt", "y/a.tif")
    assert ids(find_scenes(f"{tmp_path}/x/20*/*", is_label=never)) == ["2019/a", "2020/a"]
    assert ids(find_scenes(f"{tmp_path}/**/a.tif", is_label=never)) == ["x/2019/a", "x/2020/a", "y/a"]


def test_a_glob_that_matches_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    found = find_scenes(f"{tmp_path}/*.tif", is_label=never)
    assert found.candidates == ()
    assert f"match {tmp_path}/*.tif" in found.searched


def test_a_list_is_relative_to_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "lists/in/a.tif", "far/b.tif", "far/2/b.tif")
    (tmp_path / "lists/all.txt").write_text(
        f"# scenes\nin/a.tif\n\nin/a.tif\nmissing.tif\n{tmp_path}/far/b.tif\n../far/2/b.tif\ns3://bucket/k/c.tif\n"
    )
    found = find_scenes(str(tmp_path / "lists/all.txt"), is_label=lambda *_: True)
    # two files "b.tif" from elsewhere: their last two parts tell them apart
    assert ids(found) == ["2/b", "c", "far/b", "in/a"]
    assert {file.scene_id: file.path for file in found.candidates}["c"] == "/vsis3/bucket/k/c.tif"
    assert found.left_out == (
        LeftOut(str(tmp_path / "lists/missing.tif"), "named in all.txt, but there is no such file"),
    )


def test_an_archive_is_looked_into(tmp_path: Path) -> None:
    archive = tmp_path / "scenes.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("b/y.tif", "b/.z.tif", "a.tif", "readme.txt", "b/"):
            opened.writestr(name, b"")
    for src in (str(archive), f"/vsizip/{archive}"):
        found = find_scenes(src, is_label=never)
        assert ids(found) == ["a", "b/y"]
        assert found.candidates[1].path == f"/vsizip/{archive}/b/y.tif"
    assert ids(find_scenes(f"/vsizip/{archive}/b", is_label=never)) == ["y"]
    assert ids(find_scenes(f"/vsizip/{archive}/b/y.tif", is_label=never)) == ["y"]


def test_a_broken_archive_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "scenes.zip")
    with pytest.raises(SourceError, match=r"scenes\.zip: the archive cannot be read: File is not a zip file"):
        find_scenes(str(tmp_path / "scenes.zip"), is_label=never)


def test_a_name_that_does_not_exist_is_an_error_of_use(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"`src` {tmp_path}/no: no such file or folder") as raised:
        find_scenes(f"{tmp_path}/no", is_label=never)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("s3://bucket/a.tif", "/vsis3/bucket/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("https://host/a.tif?x=1", "/vsicurl/https://host/a.tif?x=1"),
        ("/vsicurl/https://host/a.tif", "/vsicurl/https://host/a.tif"),
        ("some/a.tif", "some/a.tif"),
    ],
)
def test_addresses_become_virtual_paths(address: str, path: str) -> None:
    assert to_gdal_path(address) == path


ENDINGS = ("", ".tif", ".jpg", ".tif.jpg", ".tif.jpg.tif")


@settings(max_examples=100)
@given(st.sets(st.sampled_from([f"{stem}{end}" for stem in ("a", "b", "a/b") for end in ENDINGS])))
def test_ids_are_unique(names: set[str]) -> None:
    given_ids = scene_ids(sorted(names))
    assert len(set(given_ids)) == len(names)
