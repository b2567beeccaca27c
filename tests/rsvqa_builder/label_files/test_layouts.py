"""Which label files belong to which scene in published sets, on miniature copies of their folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.label_files.discovery import FoundLabels, find_labels
from rsvqa.rsvqa_builder.label_files.layouts import is_label_raster


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Label files by scene; of files of many pictures also the images that they name; files that are of no scene."""

    name: str
    labels: Mapping[str, tuple[str, ...]]
    coco: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_picture: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()


VEGAS = "AOI_2_Vegas"
L15 = "L15-0331E-1257N_1327_3160_13"

LAYOUTS = (
    Layout(
        name="SpaceNet 2, as first published",
        labels={
            f"{VEGAS}_Train/{folder}/{folder}_{VEGAS}_img{number}.tif": (
                f"{VEGAS}_Train/geojson/buildings/buildings_{VEGAS}_img{number}.geojson",
            )
            for folder in ("RGB-PanSharpen", "PAN")
            for number in (1, 11)
        },
    ),
    Layout(
        name="SpaceNet 2 and 3 as they lie in the bucket",
        labels={
            f"SN2/{VEGAS}/PS-RGB/SN2_buildings_train_{VEGAS}_PS-RGB_img1.tif": (
                f"SN2/{VEGAS}/geojson_buildings/SN2_buildings_train_{VEGAS}_geojson_buildings_img1.geojson",
            ),
            f"SN2/{VEGAS}/PAN/SN2_buildings_train_{VEGAS}_PAN_img1.tif": (
                f"SN2/{VEGAS}/geojson_buildings/SN2_buildings_train_{VEGAS}_geojson_buildings_img1.geojson",
            ),
            f"SN3/{VEGAS}/PS-RGB/SN3_roads_train_{VEGAS}_PS-RGB_img1.tif": (
                f"SN3/{VEGAS}/geojson_roads/SN3_roads_train_{VEGAS}_geojson_roads_img1.geojson",
            ),
        },
    ),
    Layout(
        name="SpaceNet 6",
        labels={
            f"AOI_11_Rotterdam/PS-RGB/SN6_Train_AOI_11_Rotterdam_PS-RGB_{strip}_tile_8679.tif": (
                f"AOI_11_Rotterdam/geojson_buildings/SN6_Train_AOI_11_Rotterdam_Buildings_{strip}_tile_8679.geojson",
            )
            for strip in ("20190804111224_20190804111453", "20190804111851_20190804112030")
        },
    ),
    Layout(
        name="SpaceNet 7",
        labels={
            f"train/{L15}/images/global_monthly_{month}_mosaic_{L15}.tif": (
                f"train/{L15}/labels/global_monthly_{month}_mosaic_{L15}_Buildings.geojson",
                f"train/{L15}/labels_match/global_monthly_{month}_mosaic_{L15}_Buildings.geojson",
            )
            for month in ("2018_01", "2018_02")
        },
        others=(f"train/{L15}/labels/global_monthly_2018_01_mosaic_{L15}_UDM.geojson",),
    ),
    Layout(
        name="SpaceNet 8",
        labels={
            f"{place}/{name}": labels
            for place in ("Germany_Training_Public", "Louisiana-East_Training_Public")
            for name, labels in (
                ("PRE-event/10500500C4DD7000_0_15_63.tif", (f"{place}/annotations/0_15_63.geojson",)),
                ("PRE-event/10500500C4DD7000_0_15_64.tif", (f"{place}/annotations/0_15_64.geojson",)),
                ("POST-event/10500500E6DD3C00_0_15_63.tif", ()),
            )
        },
    ),
    Layout(
        name="FLAIR-HUB",
        labels={
            f"{place}_AERIAL_RGBI/{zone}/AERIAL_RGBI_{place}_{zone}_{patch}.tif": (
                f"{place}_AERIAL_LABEL-COSIA/{zone}/AERIAL_LABEL-COSIA_{place}_{zone}_{patch}.tif",
            )
            for place, zone, patch in (
                ("D004-2021", "AA-S1-32", "1-1"),
                ("D004-2021", "AA-S1-32", "1-2"),
                ("D005-2018", "AA-S1-32", "1-1"),
            )
        },
        others=("D004-2021_ALL_LABEL-LPIS/AA-S1-32/ALL_LABEL-LPIS_D004-2021_AA-S1-32_1-1.tif",),
    ),
    Layout(
        name="FLAIR",
        labels={
            f"flair_aerial_train/{place}/img/IMG_{number}.tif": (f"flair_labels_train/{place}/msk/MSK_{number}.tif",)
            for place, number in (("D032_2019/Z1_UU", "000001"), ("D032_2019/Z1_UU", "000002"), ("D041/Z2", "000003"))
        },
    ),
    Layout(
        name="GeoNRW",
        labels={
            "aachen/280_5630_rgb.jp2": ("aachen/280_5630_seg.tif",),
            "aachen/281_5630_rgb.jp2": ("aachen/281_5630_seg.tif",),
            "bochum/280_5630_rgb.jp2": ("bochum/280_5630_seg.tif",),
        },
    ),
    Layout(
        name="DOTA 2.0",
        labels={
            f"train/images/{name}.png": (f"train/labelTxt-v2.0/DOTA-v2.0_train/{name}.txt",)
            for name in ("P0001", "P0002")
        },
        others=("train/labelTxt-v2.0/DOTA-v2.0_train_hbb/P0001.txt",),
    ),
    Layout(
        name="DOTA 1.0, boxes around alone",
        labels={"train/images/P1.png": ("train/labelTxt/trainset_reclabelTxt/P1.txt",), "train/images/P2.png": ()},
    ),
    Layout(
        name="STAR",
        labels={
            "train/img/0001.png": ("train/object-TXT/0001.txt",),
            "train/img/0002.png": ("train/object-TXT/0002.txt",),
            "val/img/0003.png": ("val/object-TXT/0003.txt",),
        },
    ),
    Layout(
        name="FAIR1M",
        labels={
            f"train/{part}/images/{number}.tif": (f"train/{part}/labelXml/{number}.xml",)
            for part, number in (("part1", 0), ("part1", 1), ("part2", 2))
        },
    ),
    Layout(
        name="SODA-A",
        labels={
            "Images/00001.jpg": ("Annotations/train/00001.json",),
            "Images/00002.jpg": ("Annotations/val/00002.json",),
        },
    ),
    Layout(
        name="YOLO",
        labels={
            "images/train/1.jpg": ("labels/train/1.txt",),
            "images/train/2.jpg": ("labels/train/2.txt",),
            "images/val/1.jpg": ("labels/val/1.txt",),
        },
    ),
    Layout(
        name="YOLO, parts first",
        labels={f"{part}/images/{number}.jpg": (f"{part}/labels/{number}.txt",) for part in "ab" for number in (1, 2)},
    ),
    Layout(
        name="DynamicEarthNet",
        labels={
            f"planet/10N/{grid}/{cube}/PF-SR/{date}.tif": (
                f"labels/{cube}_10N/Labels/Raster/{grid}/{grid}-{date.replace('-', '_')}.tif",
            )
            for grid, cube in (("10N-122W-40N-L3H-SR", "1311_3077_13"), ("10N-121W-40N-L3H-SR", "1417_3281_13"))
            for date in ("2018-01-01", "2018-02-01")
        }
        | {"planet/10N/10N-122W-40N-L3H-SR/1311_3077_13/PF-SR/2018-01-02.tif": ()},
    ),
    Layout(
        name="Potsdam",
        labels={
            f"{folder}/top_potsdam_{tile}_{bands}.tif": (f"5_Labels_all/top_potsdam_{tile}_label.tif",)
            for tile in ("2_10", "2_11")
            for folder, bands in (("2_Ortho_RGB", "RGB"), ("4_Ortho_RGBIR", "RGBIR"))
        },
    ),
    Layout(
        name="Vaihingen",
        labels={
            f"top/top_mosaic_09cm_area{area}.tif": (f"gts_for_participants/top_mosaic_09cm_area{area}.tif",)
            for area in (1, 11)
        },
    ),
    Layout(
        name="BRIGHT",
        labels={
            "pre-event/bata-explosion_00000000_pre_disaster.tif": (),
            "post-event/bata-explosion_00000000_post_disaster.tif": (
                "target/bata-explosion_00000000_building_damage.tif",
            ),
            "post-event/bata-explosion_00000001_post_disaster.tif": (
                "target/bata-explosion_00000001_building_damage.tif",
            ),
        },
    ),
    Layout(
        name="DeepGlobe",
        labels={f"train/{number}_sat.jpg": (f"train/{number}_mask.png",) for number in (119, 606)},
    ),
    Layout(
        name="OpenEarthMap",
        labels={
            f"{region}/images/{region}_{number}.tif": (f"{region}/labels/{region}_{number}.tif",)
            for region in ("aachen", "accra")
            for number in (1, 10)
        },
    ),
    Layout(
        name="LandCover.ai",
        labels={f"images/{sheet}.tif": (f"masks/{sheet}.tif",) for sheet in ("M-33-20-D-c-4-2", "N-33-60-D-c-4-2")},
    ),
    Layout(
        name="xBD",
        labels={
            f"train/images/guatemala-volcano_0000000{number}_{date}_disaster.png": (
                f"train/labels/guatemala-volcano_0000000{number}_{date}_disaster.json",
                f"train/targets/guatemala-volcano_0000000{number}_{date}_disaster_target.png",
            )
            for number in (0, 1)
            for date in ("pre", "post")
        },
    ),
    Layout(
        name="OpenSatMap",
        labels={f"picuse20trainvaltest/Paris_{number}.png": ("annotrainval20.json",) for number in (1, 2)},
        by_picture={"annotrainval20.json": ("Paris_1.png", "Paris_2.png")},
    ),
    Layout(
        name="iSAID",
        labels={f"train/images/P000{number}.png": ("train/Annotations/iSAID_train.json",) for number in (0, 1)},
        coco={"train/Annotations/iSAID_train.json": ("P0000.png", "P0001.png")},
        others=(
            "train/Instance_masks/images/P0000_instance_id_RGB.png",
            "train/Semantic_masks/images/P0000_instance_color_RGB.png",
        ),
    ),
    Layout(
        name="LoveDA",
        labels={
            f"Train/{kind}/images_png/{number}.png": (f"Train/{kind}/masks_png/{number}.png",)
            for kind, number in (("Urban", 1366), ("Urban", 1367), ("Rural", 0))
        },
    ),
    Layout(
        name="Inria",
        labels={
            "AerialImageDataset/train/images/austin1.tif": ("AerialImageDataset/train/gt/austin1.tif",),
            "AerialImageDataset/train/images/austin10.tif": ("AerialImageDataset/train/gt/austin10.tif",),
            "AerialImageDataset/test/images/bellingham1.tif": (),
        },
    ),
    Layout(
        name="HRSCD",
        labels={
            f"images_2006/D35/35-2006-0{number}-LA93.tif": (f"labels_land_cover_2006/D35/35-2006-0{number}-LA93.tif",)
            for number in (310, 311)
        },
        others=("labels_change/D35/35-2006-0310-LA93.tif",),
    ),
    Layout(
        name="MiniFrance",
        labels={
            f"labeled_train/Nice/BDORTHO/06-2014-0{number}-LA93-0M50-E080.tif": (
                f"labeled_train/Nice/UrbanAtlas/06-2014-0{number}-LA93-0M50-E080_UA2012.tif",
            )
            for number in (953, 954)
        },
    ),
    Layout(
        name="DIOR-R",
        labels={
            f"JPEGImages-trainval/{number}.jpg": (f"Annotations/Oriented Bounding Boxes/{number}.xml",)
            for number in ("00001", "00002")
        },
        others=("Annotations/Horizontal Bounding Boxes/00001.xml",),
    ),
)


def laid_out(root: Path, layout: Layout) -> FoundLabels:
    """Make the files of a layout, empty but for the lists of images, and look for the labels of its scenes."""
    for name in (*layout.labels, *(file for files in layout.labels.values() for file in files), *layout.others):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, images in layout.coco.items():
        records = [{"id": number, "file_name": image} for number, image in enumerate(images)]
        (root / name).write_text(json.dumps({"images": records, "annotations": []}))
    for name, images in layout.by_picture.items():
        (root / name).write_text(json.dumps({image: {"lines": []} for image in images}))
    return find_labels([str(root / name) for name in layout.labels], root=root)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_labels_of_published_sets_are_those_of_their_scenes(tmp_path: Path, layout: Layout) -> None:
    labels = laid_out(tmp_path, layout)
    found = {
        name: tuple(path.relative_to(tmp_path).as_posix() for path in files.files)
        for name, files in zip(layout.labels, labels.of_scenes, strict=True)
    }
    assert found == layout.labels
    assert [dict(files.refused) for files in labels.of_scenes] == [{}] * len(layout.labels)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_rasters_of_labels_are_known_by_their_names(layout: Layout) -> None:
    files = [name for names in layout.labels.values() for name in names] + list(layout.others)
    rasters = [name for name in files if name.endswith((".tif", ".png"))]
    assert all(map(is_label_raster, rasters))
    assert not any(map(is_label_raster, layout.labels))


@pytest.mark.parametrize(
    ("name", "dates", "folder"),
    [
        ("LEVIR-CD and WHU-CD", ("A", "B"), "label"),
        ("SECOND", ("im1", "im2"), "label1"),
        ("S2Looking", ("Image1", "Image2"), "label2"),
        ("SYSU-CD and CLCD", ("time1", "time2"), "label"),
        ("DSIFN", ("t1", "t2"), "mask"),
    ],
)
def test_one_mask_of_two_dates_is_refused(tmp_path: Path, name: str, dates: tuple[str, str], folder: str) -> None:
    layout = Layout(name=name, labels={f"train/{date}/train_1.png": () for date in dates})
    mask = tmp_path / f"train/{folder}/train_1.png"
    assert is_label_raster(f"set/train/{folder}/train_1.png")
    mask.parent.mkdir(parents=True)
    mask.touch()
    paths = [tmp_path / name for name in layout.labels]
    for files in laid_out(tmp_path, layout).of_scenes:
        assert files.files == (mask,)
        assert files.refused == {
            mask: f"it is one file for two dates, {paths[0]} or {paths[1]}: labels of a change are not read: give each "
            "date a mask of its own"
        }


def test_pictures_of_one_number_in_two_sets_keep_their_own_labels(tmp_path: Path) -> None:
    # SpaceNet 2 and 3 both have an img1 of Vegas, of different places
    layout = next(layout for layout in LAYOUTS if layout.name == "SpaceNet 2 and 3 as they lie in the bucket")
    labels = laid_out(tmp_path, layout)
    assert [path.name for path in labels.of_scenes[2].files] == [f"SN3_roads_train_{VEGAS}_geojson_roads_img1.geojson"]


def test_no_file_is_no_layout(tmp_path: Path) -> None:
    assert laid_out(tmp_path, Layout(name="empty", labels={})) == FoundLabels((), ())
