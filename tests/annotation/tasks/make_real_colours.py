"""The colours of objects on real scenes, measured again: writes the numbers of real_colours.jsonl.

    RSVQA_DATA=… python -m tests.annotation.tasks.make_real_colours

Each line of that file is one object: its scene and label, the names that somebody who looked at the picture accepts
(none where it has several colours or none to speak of), and a histogram of its pixels in CIE Lab. No pixel is stored.
The names were written down one object at a time, from enlarged crops with the outline drawn, before a rule was tried on
them; "drawn 12" was looked at again when it was called grey, and is half a grey roof. `held_out` marks the scenes that
played no part when the borders between the names were set.
"""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.tasks.colours import pixels_inside, rgb_to_lab

FILE = Path(__file__).parent / "real_colours.jsonl"
DATA = Path(os.environ.get("RSVQA_DATA", Path(__file__).parents[4] / "shared" / "data"))

BIN = 4
"""Width of a histogram's bins along each axis of Lab; a bin is stored as the mean of its pixels."""

MIN_BIN_SHARE = 0.004


def read_objects() -> list[dict[str, Any]]:
    """Return the lines of the file."""
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def lab_of(entry: dict[str, Any]) -> NDArray[np.float64]:
    """Return the (N, 3) Lab values that a stored histogram stands for."""
    bins = np.array(entry["lab"], dtype=np.float64)
    return np.repeat(bins[:, :3], bins[:, 3].astype(int), axis=0)


def histogram(lab: NDArray[np.float64]) -> list[list[float]]:
    """Return [L, a, b, count] per bin that holds some of the pixels, in the order of the bins."""
    _, which, counts = np.unique(np.floor(lab / BIN), axis=0, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(which.ravel(), weights=axis) / counts for axis in lab.T], axis=1)
    return [
        [*(round(float(value), 1) for value in mean), int(count)]
        for mean, count in zip(means, counts, strict=True)
        if count >= max(MIN_BIN_SHARE * len(lab), 1)
    ]


def outlines(scene: str) -> dict[str, BaseGeometry]:
    """Return the outlines of a scene's labels in pixels, by their place in the label file."""
    folder = (DATA / scene).parent
    return {str(key): geometry for key, geometry in _READERS[folder.name](folder)}


def _of_oam(folder: Path) -> Iterator[tuple[object, BaseGeometry]]:
    with rasterio.open(folder / "scene.tif") as dataset:
        a, b, c, d, e, f = tuple(~dataset.transform)[:6]
    to_map = Transformer.from_crs(4326, 3857, always_xy=True)

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_map.transform(*points.T)
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    for key, feature in enumerate(json.loads((folder / "buildings.geojson").read_text("utf-8"))["features"]):
        yield key, shapely.make_valid(shapely.transform(shape(feature["geometry"]), place))


def _of_dubai(folder: Path) -> Iterator[tuple[object, BaseGeometry]]:
    layer = json.loads((folder / "landuse_polygons_pixel.geojson").read_text("utf-8"))
    for key, feature in enumerate(layer["features"]):
        yield key, shapely.make_valid(shape(feature["geometry"]))


def _of_coco(folder: Path) -> Iterator[tuple[object, BaseGeometry]]:
    for label in json.loads((folder / "coco_sample_file.json").read_text("utf-8"))["annotations"]:
        corners = np.array(label["segmentation"], dtype=np.float64).reshape(-1, 2)
        yield label["id"], shapely.make_valid(shapely.Polygon(corners))


def _of_boxes(name: str) -> Callable[[Path], Iterator[tuple[object, BaseGeometry]]]:
    def read(folder: Path) -> Iterator[tuple[object, BaseGeometry]]:
        with (folder / name).open(encoding="utf-8") as lines:
            for key, row in enumerate(csv.DictReader(lines)):
                yield key, shapely.box(float(row["xmin"]), float(row["ymin"]), float(row["xmax"]), float(row["ymax"]))

    return read


def _of_wkt(folder: Path) -> Iterator[tuple[object, BaseGeometry]]:
    with (folder / "2019_BLAN_3_751000_4330000_image_crop_polygon.csv").open(encoding="utf-8") as lines:
        for key, row in enumerate(csv.DictReader(lines)):
            yield key, shapely.from_wkt(row["geometry"])


_READERS: dict[str, Callable[[Path], Iterator[tuple[object, BaseGeometry]]]] = {
    "oam_buildings": _of_oam,
    "dubai_tile8": _of_dubai,
    "dronetrees_coco": _of_coco,
    "neon_osbs_trees": _of_boxes("OSBS_029.csv"),
    "neon_sjer_trees": _of_boxes("2018_SJER_3_252000_4107000_image_477_truth.csv"),
    "neon_blan_polygons": _of_wkt,
}


def pixels_of(scene: str) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of a scene."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some of the scenes have no georeference
        with rasterio.open(DATA / scene) as dataset:
            return np.ascontiguousarray(np.moveaxis(dataset.read([1, 2, 3]), 0, 2))


def main() -> None:
    """Measure all objects again and write the file."""
    entries = read_objects()
    for scene in dict.fromkeys(entry["scene"] for entry in entries):
        pixels = pixels_of(scene)
        of_scene = [entry for entry in entries if entry["scene"] == scene]
        known = {} if all("outline" in entry for entry in of_scene) else outlines(scene)
        for entry in of_scene:
            drawn = entry.get("outline")
            outline = known[entry["label"]] if drawn is None else shapely.Polygon(drawn)
            entry["lab"] = histogram(rgb_to_lab(pixels_inside(pixels, outline)))
    FILE.write_text("".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries), "utf-8")


if __name__ == "__main__":
    main()
