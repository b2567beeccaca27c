"""Small source folders for tests of whole builds: scenes of a few hundred pixels with exact labels, and broken files.

A place is grassland in the west, a residential quarter in the east and water in the south, with a grid of roads,
buildings and cars on land and ships on the water. Everything follows from the name of the place.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

EPSG = 32632
GSD_M = 0.5
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}

_COLOURS = {"red": (190, 40, 40), "blue": (40, 70, 190), "white": (235, 235, 235), "grey": (128, 128, 128)}
_GROUND = {"grassland": (96, 140, 70), "residential": (168, 160, 146), "water": (40, 70, 110)}
_ROAD_COLOUR = (90, 90, 92)


class Thing(NamedTuple):
    """An object of a place: its class, colour and box (x_min, y_min, x_max, y_max) in scene pixels.

    A building is an L: its box without the lower right quarter, so that its label is more than a box.
    """

    class_name: str
    colour: str
    box: tuple[int, int, int, int]

    @property
    def parts(self) -> list[tuple[int, int, int, int]]:
        """Boxes that make up the object."""
        if self.class_name != "building":
            return [self.box]
        x_min, y_min, x_max, y_max = self.box
        x_mid, y_mid = (x_min + x_max) // 2, (y_min + y_max) // 2
        return [(x_min, y_min, x_max, y_mid), (x_min, y_min, x_mid, y_max)]

    @property
    def ring(self) -> list[tuple[int, int]]:
        """Corners of the object, the first one again at the end."""
        if self.class_name != "building":
            return _ring(self.box)
        (x_min, y_min, x_max, y_mid), (_, _, x_mid, y_max) = self.parts
        corners = [(x_min, y_min), (x_max, y_min), (x_max, y_mid), (x_mid, y_mid), (x_mid, y_max), (x_min, y_max)]
        return [*corners, corners[0]]


class Place(NamedTuple):
    """Where a scene lies and how large it is."""

    name: str
    width: int
    height: int
    easting: float
    northing: float

    @property
    def areas(self) -> dict[str, tuple[int, int, int, int]]:
        """Boxes of the land uses; together they cover the scene."""
        shore, quarter = self.height * 4 // 5, self.width * 2 // 5
        return {
            "grassland": (0, 0, quarter, shore),
            "residential": (quarter, 0, self.width, shore),
            "water": (0, shore, self.width, self.height),
        }

    @property
    def road_lines(self) -> list[list[tuple[int, int]]]:
        """Three roads along each axis; they have a vertex wherever they meet."""
        xs = [self.width * part // 8 for part in (1, 4, 7)]
        ys = [self.height * part // 16 for part in (1, 6, 11)]
        return [[(x, y) for x in xs] for y in ys] + [[(x, y) for y in ys] for x in xs]


TOWN = Place("town", 1200, 900, 500_000.0, 5_400_000.0)
FARM = Place("farm", 512, 512, 520_000.0, 5_420_000.0)
SHORE = Place("shore", 700, 520, 540_000.0, 5_440_000.0)


def make_sources(folder: Path) -> Path:
    """Make a folder of four scenes and return it: a labelled town, two dates of a farm, a shore without labels.

    In tiles of 512 px these are 6, 1, 1 and 4 tiles.
    """
    make_scene(folder, TOWN)
    make_pair(folder, FARM)
    make_scene(folder, SHORE, labelled=False)
    return folder


def make_pair(folder: Path, place: Place) -> None:
    """Write two dates of a place; the later one has lost a third of its objects."""
    things = make_things(place)
    make_scene(folder, place, stem=f"{place.name}_t1", things=things, acquired="2019:06:14 10:00:00")
    make_scene(
        folder, place, stem=f"{place.name}_t2", things=things[::3] + things[1::3], acquired="2022:06:20 10:00:00"
    )


def make_scene(
    folder: Path,
    place: Place,
    *,
    stem: str = "",
    things: Sequence[Thing] | None = None,
    labelled: bool = True,
    acquired: str = "",
    **profile: Any,
) -> Path:
    """Write a place as a GeoTIFF, and its labels as GeoJSON beside it, and return the GeoTIFF's path."""
    folder.mkdir(parents=True, exist_ok=True)
    found = make_things(place) if things is None else things
    path = folder / f"{stem or place.name}.tif"
    write_scene(path, paint(place, found), place, acquired=acquired, **profile)
    if labelled:
        path.with_suffix(".geojson").write_text(json.dumps(make_labels(place, found)), encoding="utf-8")
    return path


def make_things(place: Place) -> list[Thing]:
    """Return the objects of a place, on a grid with a random shift, so that none overlap."""
    rng = random.Random(place.name)
    things = []
    for left in range(20, place.width - 60, 100):
        for top in range(20, place.height - 60, 70):
            on_water = top > place.height * 4 // 5
            names = ["ship"] if on_water else ["building", "building", "car", "truck"]
            name = rng.choice(names)
            width, height = {"building": (36, 28), "car": (12, 8), "truck": (24, 10), "ship": (30, 14)}[name]
            x, y = left + rng.randrange(24), top + rng.randrange(24)
            things.append(Thing(name, rng.choice(list(_COLOURS)), (x, y, x + width, y + height)))
    return things


def paint(place: Place, things: Sequence[Thing]) -> NDArray[np.uint8]:
    """Return the picture of a place, (3, height, width), with noise on the ground."""
    pixels = np.empty((place.height, place.width, 3), np.int16)
    for name, box in place.areas.items():
        _fill(pixels, box, _GROUND[name])
    for line in place.road_lines:
        (x_min, y_min), (x_max, y_max) = line[0], line[-1]
        _fill(pixels, (x_min - 3, y_min - 3, x_max + 4, y_max + 4), _ROAD_COLOUR)
    noise = np.random.default_rng(len(place.name) + place.width).integers(-14, 15, pixels.shape)
    pixels += noise.astype(np.int16)
    for thing in things:
        for box in thing.parts:
            _fill(pixels, box, _COLOURS[thing.colour])
    return np.moveaxis(np.clip(pixels, 0, 255).astype(np.uint8), 2, 0)


def write_scene(path: Path, pixels: NDArray[Any], place: Place, *, acquired: str = "", **profile: Any) -> None:
    """Write (bands, height, width) pixels at a place; without a profile as a tiled DEFLATE GeoTIFF."""
    bands, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=bands,
        dtype=pixels.dtype.name,
        crs=f"EPSG:{EPSG}",
        transform=Affine(GSD_M, 0, place.easting, 0, -GSD_M, place.northing),
        **{"photometric": "rgb" if bands == 3 else "minisblack", **(profile or TILED)},
    ) as raster:
        raster.write(pixels)
        if acquired:
            raster.update_tags(TIFFTAG_DATETIME=acquired)


def make_labels(place: Place, things: Sequence[Thing]) -> dict[str, Any]:
    """Return everything of a place as GeoJSON in its own CRS."""
    features = [
        *(_feature(place, "Polygon", [_ring(box)], {"class": name}) for name, box in place.areas.items()),
        *(_feature(place, "LineString", line, {"class": "road"}) for line in place.road_lines),
        *(_object_feature(place, thing) for thing in things),
    ]
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{EPSG}"}}
    return {"type": "FeatureCollection", "crs": crs, "features": features}


def make_broken_files(folder: Path) -> dict[str, str]:
    """Write a file of every kind that cannot be a scene and return a word of the reason for each, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.tif").write_text("This is not a GeoTIFF.\n" * 20)
    whole = make_scene(folder, FARM, stem="truncated", labelled=False).read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    write_scene(folder / "nodata.tif", np.zeros((3, 128, 128), np.uint8), FARM, nodata=0)
    write_scene(folder / "constant.tif", np.full((3, 128, 128), 77, np.uint8), FARM)
    write_scene(folder / "tiny.tif", paint(FARM, [])[:, :8, :8], FARM, compress="deflate")
    damage(make_scene(folder, FARM, stem="damaged", labelled=False))
    return {
        "constant.tif": "zero variance",
        "damaged.tif": "rows",
        "empty.tif": "cannot be opened",
        "nodata.tif": "empty",
        "text.tif": "cannot be opened",
        "tiny.tif": "too small",
        "truncated.tif": "cut short",
    }


def damage(path: Path) -> Path:
    """Overwrite the second half of a GeoTIFF, which holds whole blocks, and return its path; the header stays."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + b"\xff" * (len(content) - half))
    return path


def _fill(pixels: NDArray[np.int16], box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    x_min, y_min, x_max, y_max = box
    pixels[y_min:y_max, x_min:x_max] = colour


def _ring(box: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    x_min, y_min, x_max, y_max = box
    return [(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max), (x_min, y_min)]


def _object_feature(place: Place, thing: Thing) -> dict[str, Any]:
    properties: dict[str, Any] = {"class": thing.class_name, "colour": thing.colour}
    if thing.class_name != "building":
        properties["moving"] = thing.box[0] % 2 == 0
    return _feature(place, "Polygon", [thing.ring], properties)


def _feature(place: Place, kind: str, coordinates: Any, properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": list(_on_map(place, coordinates))}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _on_map(place: Place, coordinates: Sequence[Any]) -> Iterator[Any]:
    """Yield coordinates, nested as GeoJSON nests them, with pixels turned into metres."""
    for item in coordinates:
        if isinstance(item, list):
            yield list(_on_map(place, item))
        else:
            yield [place.easting + item[0] * GSD_M, place.northing - item[1] * GSD_M]
