"""Which files are labels of which scene."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.label_files.discovery import FoundLabels, find_labels
from rsvqa.rsvqa_builder.label_files.layouts import is_label_raster


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root: Path, extra: tuple[Path, ...] = (), scenes: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The label files of each scene below a folder, by the scenes' and the files' paths below it."""
    paths = scenes or tuple(
        str(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in (".tif", ".png", ".jpg") and not is_label_raster(str(path))
    )
    labels = find_labels(paths, extra, root=root)
    return {
        Path(path).relative_to(root).as_posix(): [file.relative_to(root).as_posix() for file in files.files]
        for path, files in zip(paths, labels.of_scenes, strict=True)
    }


@pytest.mark.parametrize(
    "path",
    [
        "a/place_mask.tif",
        "a/place_GT.png",
        "masks/place.png",
        "x/labels/place.tif",
        "119_classes.tif",
        "Annotations/place.png",
        "ann_dir/place.png",
        "msk/place.tif",
        "msk/MSK_000001.tif",
        "MSK_000001.tif",
        "aachen/1_2_seg.tif",
        "targets/storm_0_pre_disaster_target.png",
        "bata_0_building_damage.tif",
        "labels/1311/Labels/Raster/10N/10N-2018_01_01.tif",
        "train/label/train_1.png",
    ],
)
def test_masks_are_known_by_ending_or_folder(path: str) -> None:
    assert is_label_raster(path)


@pytest.mark.parametrize(
    "path",
    ["a/place.tif", "unmasked/place.tif", "labels.tif", "labelled/place.tif", "gtx/a.tif", "annotations/images/a.tif"],
)
def test_other_rasters_are_scenes(path: str) -> None:
    assert not is_label_raster(path)


def test_the_only_scene_of_a_folder_has_all_its_label_files(tmp_path: Path) -> None:
    make(tmp_path, "scene.tif", "roads.shp", "roads.dbf", "roads.prj", "roads.shx", "roads.shp.xml", "b.geojson")
    make(tmp_path, "landuse_mask.tif", "scene.tif.aux.xml", "README.txt", ".hidden.csv", "labels/x.csv", "notes.md")
    assert found(tmp_path) == {"scene.tif": ["b.geojson", "landuse_mask.tif", "roads.shp", "labels/x.csv"]}


def test_of_several_scenes_each_has_the_files_of_its_stem(tmp_path: Path) -> None:
    make(tmp_path, "place_t1.tif", "place_t1.gpkg", "place_t2.tif", "place_t2.gpkg", "place_t1_mask.png")
    make(tmp_path, "labels/place_t1.osm.pbf", "labels/place_t2.txt", "place_t1_notes.txt")
    assert found(tmp_path) == {
        "place_t1.tif": ["place_t1.gpkg", "place_t1_mask.png", "labels/place_t1.osm.pbf"],
        "place_t2.tif": ["place_t2.gpkg", "labels/place_t2.txt"],
    }


def test_label_folders_beside_the_folder_of_scenes(tmp_path: Path) -> None:
    make(tmp_path, "images/P1.png", "labelTxt/P1.txt", "labelTxt/P2.txt", "masks/P1.png")
    assert found(tmp_path) == {"images/P1.png": ["labelTxt/P1.txt", "masks/P1.png"]}


def test_satellite_and_mask_endings_stand_for_each_other(tmp_path: Path) -> None:
    make(tmp_path, "119_sat.jpg", "119_mask.png", "120_sat.jpg", "120_mask.png")
    assert found(tmp_path) == {"119_sat.jpg": ["119_mask.png"], "120_sat.jpg": ["120_mask.png"]}


def coco(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": []}))
    return path


def test_files_that_name_the_scene_belong_to_it(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "b.tif", "c.tif")
    coco(tmp_path / "set.json", "a.tif", "b.tif")
    (tmp_path / "boxes.csv").write_text("image_path,xmin,ymin,xmax,ymax\nb.tif,0,0,1,1\n")
    assert found(tmp_path) == {"a.tif": ["set.json"], "b.tif": ["boxes.csv", "set.json"], "c.tif": []}


def test_extra_files_always_count_and_extra_folders_by_stem(tmp_path: Path) -> None:
    make(
        tmp_path, "s/place.tif", "s/other.tif", "e/deep/place.geojson", "e/other.geojson", "e/place.png", "all.geojson"
    )
    extra = (tmp_path / "all.geojson", tmp_path / "e")
    scenes = (str(tmp_path / "s/place.tif"), str(tmp_path / "s/other.tif"))
    assert found(tmp_path, extra, scenes) == {
        "s/place.tif": ["all.geojson", "e/place.png", "e/deep/place.geojson"],
        "s/other.tif": ["all.geojson", "e/other.geojson"],
    }


def test_a_file_is_given_once(tmp_path: Path) -> None:
    make(tmp_path, "place.tif", "place.geojson")
    assert found(tmp_path, (tmp_path / "place.geojson", tmp_path)) == {"place.tif": ["place.geojson"]}


@pytest.mark.parametrize("spelling", ["as found", "relative", "through a link"])
def test_a_folder_that_is_found_and_also_named_gives_its_files_once(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "set/images/P0001.png", "set/labelTxt/P0001.txt", "set/labelTxt/P0002.txt")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("set")
    named = {"as found": tmp_path / "set", "relative": Path("set"), "through a link": Path("link")}[spelling]
    scene = str(tmp_path / "set" / "images" / "P0001.png")
    for extra in (named / "labelTxt", named / "labelTxt" / "P0001.txt"):
        (files,) = find_labels((scene,), (extra,), root=tmp_path).of_scenes
        assert files.files == (tmp_path / "set" / "labelTxt" / "P0001.txt",)
        assert files.refused == {}


def test_virtual_paths_have_no_neighbours(tmp_path: Path) -> None:
    make(tmp_path, "place.geojson")
    scene = f"/vsizip/{tmp_path}/scenes.zip/place.tif"
    assert find_labels([scene]).of_scenes[0].files == ()
    assert find_labels([scene], [tmp_path / "place.geojson"]).of_scenes[0].files == (tmp_path / "place.geojson",)


def test_no_scene_has_no_labels() -> None:
    assert find_labels([]) == FoundLabels((), ())


# The place of labels in published sets: the scene, and where its labels lie below the same folder.
@pytest.mark.parametrize(
    ("scenes", "labels"),
    [
        (["images/s.png", "images/t.png"], ["annotations/s.xml"]),
        (["train/images/P1.png", "train/images/P2.png"], ["train/labelTxt-v2.0/DOTA-v2.0_train/P1.txt"]),
        (["train/s.png", "train/t.png"], ["train/object-TXT/s.txt"]),
        (["images/train/s.png", "images/val/s.png"], ["labels/train/s.txt"]),
        (["train/images/s.png", "val/images/s.png"], ["train/labels/s.txt"]),
        (["images/s.tif", "images/t.tif"], ["labelXml/s.xml"]),
        (["img_dir/train/s.png", "img_dir/val/s.png"], ["ann_dir/train/s.png"]),
        (["JPEGImages/s.jpg", "JPEGImages/t.jpg"], ["Annotations/s.xml"]),
        (["Images/train/s.jpg", "Images/train/t.jpg"], ["Annotations/train/s.json"]),
    ],
)
def test_labels_are_found_where_published_sets_keep_them(tmp_path: Path, scenes: list[str], labels: list[str]) -> None:
    make(tmp_path, *scenes, *labels)
    assert found(tmp_path) == {scenes[0]: labels, scenes[1]: []}


def test_equal_stems_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    make(tmp_path, "src/a/0001.png", "src/b/0001.png", "lab/a/0001.txt", "lab/b/0001.txt")
    scenes = (str(tmp_path / "src/a/0001.png"), str(tmp_path / "src/b/0001.png"))
    assert found(tmp_path, (tmp_path / "lab",), scenes) == {
        "src/a/0001.png": ["lab/a/0001.txt"],
        "src/b/0001.png": ["lab/b/0001.txt"],
    }
    # of two files with one name, the one in the scene's folder is the scene's, also when it is alone
    assert found(tmp_path, (tmp_path / "lab",), scenes[:1]) == {"src/a/0001.png": ["lab/a/0001.txt"]}


def test_a_label_file_that_may_be_of_two_scenes_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "a/0001.png", "b/0001.png", "labels/0001.txt")
    paths = [str(tmp_path / name) for name in ("a/0001.png", "b/0001.png")]
    for files in find_labels(paths, root=tmp_path).of_scenes:
        assert files.refused == {
            tmp_path / "labels/0001.txt": f"it may be of {paths[0]} or {paths[1]}: put it beside its scene, or in a "
            "folder of the same name"
        }


def test_two_label_files_that_may_be_one_scenes_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path, "0001.png", "lab/a/0001.txt", "lab/b/0001.txt", "lab/roads/0001.geojson", "lab/sea/0001.geojson")
    (files,) = find_labels([str(tmp_path / "0001.png")], [tmp_path / "lab"]).of_scenes
    assert [path.relative_to(tmp_path / "lab").as_posix() for path in files.refused] == ["a/0001.txt", "b/0001.txt"]
    assert "may each be of the scene" in files.refused[tmp_path / "lab/a/0001.txt"]
    # layers that are tied to the ground may well be several
    assert {path.parent.name for path in files.files if path not in files.refused} == {"roads", "sea"}


def test_tables_and_shapes_of_one_name_that_may_be_one_scenes_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "0001.png")
    for folder in ("a", "b"):
        (tmp_path / "lab" / folder).mkdir(parents=True)
        (tmp_path / "lab" / folder / "0001.csv").write_text("xmin,ymin,xmax,ymax\n0,0,1,1\n")
        (tmp_path / "lab" / folder / "0001.json").write_text('{"shapes": [], "imagePath": "0001.png"}')
    (files,) = find_labels([str(tmp_path / "0001.png")], [tmp_path / "lab"]).of_scenes
    assert len(files.refused) == 4


def test_packed_files_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a.geojson.gz", "a.tar.gz", "b.png")
    assert found(tmp_path) == {"a.png": [], "b.png": []}
    assert orphans(tmp_path, "a.png", "b.png") == {
        "a.geojson.gz": "it belongs to no scene: packed files are not read: unpack a.geojson.gz"
    }


def test_names_in_a_file_start_in_its_folder(tmp_path: Path) -> None:
    make(tmp_path, "train/0001.jpg", "val/0001.jpg")
    coco(tmp_path / "train/set.json", "0001.jpg")
    coco(tmp_path / "val/set.json", "0001.jpg")
    assert found(tmp_path) == {"train/0001.jpg": ["train/set.json"], "val/0001.jpg": ["val/set.json"]}


def test_one_file_for_many_scenes_is_found_above_them_by_the_names_in_it(tmp_path: Path) -> None:
    make(tmp_path, "tiles/a/1.tif", "tiles/b/1.tif", "tiles/b/2.tif")
    coco(tmp_path / "set.json", "a/1.tif", "b/2.tif")
    assert found(tmp_path) == {"tiles/a/1.tif": ["set.json"], "tiles/b/1.tif": [], "tiles/b/2.tif": ["set.json"]}


def test_files_of_other_pictures_are_not_those_of_a_folders_only_scene(tmp_path: Path) -> None:
    make(tmp_path, "a/s.png", "a/notes.txt", "b/s1.png", "b/t1.txt", "b/t2.txt", "c/t1.png")
    (tmp_path / "b/t2.txt").write_text("0 0 4 0 4 4 0 4 ship 0\n")
    # one text in a folder may be the picture's own; t1 is a scene elsewhere, so t1.txt is not s1's
    assert found(tmp_path) == {"a/s.png": ["a/notes.txt"], "b/s1.png": [], "c/t1.png": []}


def orphans(root: Path, *scenes: str, extra: tuple[str, ...] = ()) -> dict[str, str]:
    labels = find_labels([str(root / name) for name in scenes], [root / name for name in extra], root=root)
    return {Path(path).relative_to(root).as_posix(): reason for path, reason in labels.orphans}


def test_label_files_that_belong_to_no_scene_are_named(tmp_path: Path) -> None:
    make(tmp_path, "t0.tif", "t1.tif", "buildings.geojson", "notes.txt", "flights.csv", "meta.json", "t0.gpkg", "x.dxf")
    (tmp_path / "cars.csv").write_text("xmin,ymin,xmax,ymax\n0,0,1,1\n")
    assert orphans(tmp_path, "t0.tif", "t1.tif") == {
        "buildings.geojson": "it belongs to no scene: name it as its scene, or give it with `labels`",
        "cars.csv": "it belongs to no scene: name it as its scene, or give it with `labels`",
        "x.dxf": "it belongs to no scene: the format .dxf is not read: convert it, ogr2ogr -f GPKG x.gpkg x.dxf",
    }


def test_long_lists_of_orphans_are_one_entry(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", *(f"masks/{number:02d}.png" for number in range(30)))
    assert orphans(tmp_path, "images/a.png", "images/b.png") == {
        "masks": "30 label files *.png belong to no scene, 00.png the first: name it as its scene, or give it with "
        "`labels`"
    }


def test_a_text_of_one_picture_is_not_given_to_all_scenes(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "b.tif", "e/b.txt", "e/c.txt")
    for name in ("e/b.txt", "e/c.txt"):
        (tmp_path / name).write_text("0 0 4 0 4 4 0 4 ship 0\n")
    extra = (tmp_path / "e/b.txt", tmp_path / "e/c.txt")
    assert found(tmp_path, extra) == {"a.tif": [], "b.tif": ["e/b.txt"]}
    assert orphans(tmp_path, "a.tif", "b.tif", extra=("e/c.txt",)) == {
        "e/c.txt": "it belongs to no scene: it is of one picture, and nothing says which: name it as its scene"
    }


def test_formats_of_other_tools_are_named_where_labels_are_given(tmp_path: Path) -> None:
    make(tmp_path, "s/a.tif", "s/b.tif", "s/a.npy", "lab/a.npy", "lab/c.mat", "lab/notes.md")
    scenes = (str(tmp_path / "s/a.tif"), str(tmp_path / "s/b.tif"))
    assert found(tmp_path, (tmp_path / "lab",), scenes) == {"s/a.tif": ["lab/a.npy"], "s/b.tif": []}
    reasons = orphans(tmp_path, "s/a.tif", "s/b.tif", extra=("lab",))
    assert list(reasons) == ["lab/c.mat"]
    assert reasons["lab/c.mat"].startswith("it belongs to no scene: the format .mat is not read: labels are .csv, ")


def test_a_file_that_names_none_of_the_scenes_is_no_scenes(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "b.tif")
    coco(tmp_path / "e/set.json", "c.tif")
    assert orphans(tmp_path, "a.tif", "b.tif", extra=("e/set.json",)) == {
        "e/set.json": "it belongs to no scene: it names images, and none of the scenes"
    }


def test_scenes_in_a_folder_of_labels_are_no_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "s/a/1.png", "s/b/1.png", "s/a/1.txt")
    monkeypatch.chdir(tmp_path)
    found = find_labels(["s/a/1.png", "s/b/1.png"], [tmp_path / "s"], root=Path("s"))
    assert [[path.name for path in files.files if path.suffix == ".png"] for files in found.of_scenes] == [[], []]


@pytest.mark.timeout(60)  # half a second; with a listing per scene it took minutes
def test_discovery_is_linear_in_scenes_and_names(tmp_path: Path) -> None:
    names = [f"{folder}/{number:04d}.png" for folder in ("a", "b") for number in range(1000)]
    make(tmp_path, *names)
    coco(tmp_path / "set.json", *names)
    files = find_labels([str(tmp_path / name) for name in names], root=tmp_path).of_scenes
    assert {len(entry.files) for entry in files} == {1}
    assert {len(entry.rivals) for entry in files} == {1}
