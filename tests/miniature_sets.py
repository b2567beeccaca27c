"""Miniature copies of the public sets that the recipes name: their folders, names and label formats, in small pictures.

The layouts are those of `tests/rsvqa_builder/label_files/test_layouts.py`; every picture shows other ground.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

SIDE = 192
BOXES = ((10, 20, 50, 44), (90, 30, 130, 52), (30, 120, 66, 150))
"""Objects of each picture of a set of boxes, (x_min, y_min, x_max, y_max)."""

LAMBERT93 = "EPSG:2154"


def make_miniatures(folder: Path) -> Path:
    """Make all nine sets below a folder and return it."""
    _deepglobe(folder / "DeepGlobe")
    for part in ("train", "val"):
        names = {"train": ("0001", "0002"), "val": ("0003",)}[part]
        for name in names:
            _picture(folder / f"STAR/{part}/img/{name}.png")
            _dota_lines(folder / f"STAR/{part}/object-TXT/{name}.txt", ("airplane", "tank", "airplane"))
    for part, number in (("part1", 0), ("part1", 1), ("part2", 2)):
        base = folder / f"FAIR1M2.0/train/{part}"
        _picture(base / f"images/{number}.tif")
        _fair1m_xml(base / f"labelXml/{number}.xml", ("Boeing737", "Small Car", "Small Car"))
    for kind, number in (("Urban", 1366), ("Urban", 1367), ("Rural", 0)):
        base = folder / f"LoveDA/Train/{kind}"
        _picture(base / f"images_png/{number}.png")
        _mask(base / f"masks_png/{number}.png", (2, 4, 6, 7))
    for number in (1, 10):
        base = folder / "AerialImageDataset"
        at = (600_000 + 1_000 * number, 3_350_000)
        _picture(base / f"train/images/austin{number}.tif", at=at, crs="EPSG:32614")
        _mask(base / f"train/gt/austin{number}.tif", (0, 255, 0, 0), at=at, crs="EPSG:32614")
        _picture(base / f"test/images/bellingham{number}.tif")
    _opensatmap(folder / "OpenSatMap")
    _hrscd(folder / "HRSCD")
    for number in (953, 954):
        base, name = folder / "MiniFrance", f"06-2014-0{number}-LA93-0M50-E080"
        at = (1_000_000 + 1_000 * number, 6_300_000)
        _picture(base / f"labeled_train/Nice/BDORTHO/{name}.tif", at=at, crs=LAMBERT93)
        _mask(base / f"labeled_train/Nice/UrbanAtlas/{name}_UA2012.tif", (1, 5, 10, 14), at=at)
        _picture(base / f"unlabeled_train/Brest/29-2015-0{number}-LA93-0M50-E080.tif", at=at, crs=LAMBERT93)
    for name in ("P0001", "P0002"):
        _picture(folder / f"DOTA/train/images/{name}.png")
        lines = folder / f"DOTA/train/labelTxt-v2.0/DOTA-v2.0_train/{name}.txt"
        _dota_lines(lines, ("plane", "ship", "plane"), head="imagesource:GoogleEarth\ngsd:0.146\n")
        _dota_lines(folder / f"DOTA/train/labelTxt-v2.0/DOTA-v2.0_train_hbb/{name}.txt", ("plane", "ship", "plane"))
    return folder


LABELS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "deepglobe-landcover": {
        name: {"urban_land": 1, "agriculture_land": 1, "forest_land": 1, "water": 1} for name in ("119_sat", "606_sat")
    },
    "deepglobe-roads": {"104_sat": {"road": 1}},
    "star": {name: {"airplane": 2, "tank": 1} for name in ("train/img/0001", "train/img/0002", "val/img/0003")},
    "fair1m": {
        f"train/{name}": {"boeing737": 1, "small_car": 2}
        for name in ("part1/images/0", "part1/images/1", "part2/images/2")
    },
    "loveda": {
        f"Train/{name}": {"building": 1, "water": 1, "forest": 1, "agriculture": 1}
        for name in ("Urban/images_png/1366", "Urban/images_png/1367", "Rural/images_png/0")
    },
    "inria": {f"images/austin{number}": {"building": 1} for number in (1, 10)},
    "opensatmap-20": {"Paris_1": {}, "Paris_2": {}},
    "opensatmap-19": {"Beijing_1": {}},
    "hrscd": {
        name: {"artificial_surfaces": 1, "agricultural_areas": 1, "forests": 1, "water": 1}
        for name in (
            *("images_2006/D35/35-2005-0310-LA93", "images_2006/D35/35-2005-0311-LA93"),
            *("images_2012/D35/35-2012-0310-LA93", "images_2012/D35/35-2012-0311-LA93"),
        )
    },
    "minifrance": {
        f"Nice/BDORTHO/06-2014-0{number}-LA93-0M50-E080": {
            "urban_fabric": 1,
            "arable_land": 1,
            "forests": 1,
            "water": 1,
        }
        for number in (953, 954)
    },
    "dota": {f"train/images/{name}": {"plane": 2, "ship": 1} for name in ("P0001", "P0002")},
}
"""How many labels of each class each scene has, by source of the recipes."""


def _deepglobe(folder: Path) -> None:
    colours = np.array([(0, 255, 255), (255, 255, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
    for number in (119, 606):
        _picture(folder / f"land-train/{number}_sat.jpg")
        Image.fromarray(colours[_quarters((0, 1, 2, 3))]).save(folder / f"land-train/{number}_mask.png")
    _picture(folder / "road/train/104_sat.jpg")
    road = np.zeros((SIDE, SIDE, 3), np.uint8)
    road[60:130] = 255
    Image.fromarray(road).save(folder / "road/train/104_mask.png")


def _opensatmap(folder: Path) -> None:
    for zoom, names in (("20", ("Paris_1", "Paris_2")), ("19", ("Beijing_1",))):
        lines = [
            {"points": [[10, 10], [90, 120], [150, 180]], "category": category, "color": "White", "line_type": "Solid"}
            for category in ("Lane line", "Lane line", "Curb")
        ]
        for name in names:
            _picture(folder / f"{zoom}picstrainvaltest/{name}.png")
        content = {f"{name}.png": {"image_width": SIDE, "image_height": SIDE, "lines": lines} for name in names}
        (folder / f"annotrainval{zoom}.json").write_text(json.dumps(content))


def _hrscd(folder: Path) -> None:
    for number in (310, 311):
        at = (350_000 + 10_000 * (number - 310), 6_800_000)
        for year, name in (("2006", f"35-2005-0{number}-LA93"), ("2012", f"35-2012-0{number}-LA93")):
            _picture(folder / f"images_{year}/D35/{name}.tif", at=at, crs=LAMBERT93)
            _mask(folder / f"labels_land_cover_{year}/D35/{name}.tif", (1, 2, 3, 5), at=at)
        _mask(folder / f"labels_change/D35/35-2012-0{number}-LA93.tif", (0, 1, 0, 0), at=at)


def _picture(path: Path, *, at: tuple[float, float] | None = None, crs: str | None = None) -> None:
    """Write a picture of ground that no other file shows."""
    rng = np.random.default_rng(list(path.as_posix().split("/sets/")[-1].encode()))
    coarse = rng.integers(40, 200, (SIDE // 16, SIDE // 16, 3)).repeat(16, axis=0).repeat(16, axis=1)
    pixels = np.clip(coarse + rng.integers(-12, 13, coarse.shape), 0, 255).astype(np.uint8)
    if path.suffix == ".tif":
        _write_tif(path, pixels.transpose(2, 0, 1), at, crs)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _mask(path: Path, values: Sequence[int], *, at: tuple[float, float] | None = None, crs: str = LAMBERT93) -> None:
    """Write a class mask of four quarters."""
    mask = np.array(values, np.uint8)[_quarters((0, 1, 2, 3))]
    if path.suffix == ".tif":
        _write_tif(path, mask[None], at, crs if at else None)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)


def _quarters(values: Sequence[int]) -> NDArray[np.intp]:
    half = SIDE // 2
    return np.array(values).reshape(2, 2).repeat(half, axis=0).repeat(half, axis=1)


def _write_tif(path: Path, pixels: NDArray[np.uint8], at: tuple[float, float] | None, crs: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": crs, "transform": Affine(0.5, 0, at[0], 0, -0.5, at[1])} if at else {}
    profile = {"count": len(pixels), "height": SIDE, "width": SIDE, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **profile, **place) as dataset:
            dataset.write(pixels)


def _dota_lines(path: Path, names: Sequence[str], *, head: str = "") -> None:
    lines = [
        f"{x_min} {y_min} {x_max} {y_min} {x_max} {y_max} {x_min} {y_max} {name} 0"
        for name, (x_min, y_min, x_max, y_max) in zip(names, BOXES, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "\n".join(lines))


def _fair1m_xml(path: Path, names: Sequence[str]) -> None:
    objects = "".join(
        f"<object><coordinate>pixel</coordinate><type>rectangle</type><description>None</description>"
        f"<possibleresult><name>{name}</name></possibleresult><points>"
        + "".join(f"<point>{x:.6f},{y:.6f}</point>" for x, y in _corners(box))
        + "</points></object>"
        for name, box in zip(names, BOXES, strict=True)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?><annotation><source><filename>{path.stem}.tif</filename></source>'
        f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size><objects>{objects}</objects></annotation>"
    )


def _corners(box: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    x_min, y_min, x_max, y_max = box
    return [(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max), (x_min, y_min)]
