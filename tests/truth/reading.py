"""What the audit rests on: the shards as parquet holds them, and the truth as the example scenes' own files hold it.

Nothing here uses the builder's readers: shards are read with pyarrow, labels with pyogrio, georeference with rasterio.
"""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pyproj
import rasterio
import shapely
from numpy.typing import NDArray
from PIL import Image
from rasterio import features
from rasterio.windows import Window

from tests.truth.measuring import Points, clipped_lines, colour_shares, points_inside

Pixels = NDArray[np.uint8]

TILES_KEPT = 4
"""The rows of a tile stand together, so few tiles are in use at a time."""

COLOUR_STEP = 7
MIXED_PX = 0.5
"""Every n-th sample point of an object is looked at for its colour, from this depth on."""


class WrongError(Exception):
    """An answer is not what the truth says, or a question cannot be read."""


def expect(claim: object, message: str) -> None:
    """Raise `WrongError` unless `claim` is true."""
    if not claim:
        raise WrongError(message)


class Frame(NamedTuple):
    """A tile's place in its scene, pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """One question as a reader of the data set finds it; `images` are (name, encoded bytes)."""

    index: int
    task: str
    question: str
    options: Mapping[str, str]
    answer: str
    bbox: tuple[float, ...] | None
    region: Mapping[str, int] | None
    feature_ids: tuple[str, ...]
    rule: str
    scene: str
    frame: Frame
    size: tuple[int, int]
    images: tuple[tuple[str, bytes], ...]

    def image(self, number: int = 0) -> Pixels:
        """Return the pixels of the first or the second date."""
        return decoded(self.images[number][1])

    def __str__(self) -> str:
        """Return all that a person needs to look the question up."""
        said = f"{self.task} of {self.scene} {tuple(self.frame)}: {self.question!r} {dict(self.options)}"
        return f"{said} → {self.answer!r} {self.region or ''}"


@lru_cache(maxsize=8)
def decoded(encoded: bytes) -> Pixels:
    """Return the (height, width, 3) pixels of an encoded image."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


def read_rows(dataset: Path) -> Iterator[Row]:
    """Yield the questions of all splits, image by image."""
    for path in sorted((dataset / "data").glob("*.parquet")):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group).to_pylist():
                yield _row(row)


def _row(row: dict[str, Any]) -> Row:
    evidence = json.loads(row["evidence"])
    options = {}
    for letter, text in zip("ABCD", row["multi-choice options"], strict=False):
        expect(text.startswith(f"({letter}) "), f"option {text!r} does not begin with its letter")
        options[letter] = text[4:]
    return Row(
        index=row["index"],
        task=row["task"],
        question=row["question"],
        options=options,
        answer=row["answer"],
        bbox=None if row["bbox"] is None else tuple(row["bbox"]),
        region=evidence.get("region"),
        feature_ids=tuple(evidence["feature_ids"]),
        rule=evidence["rule"],
        scene=row["scene"],
        frame=Frame(**row["tile"]),
        size=(row["image_width"], row["image_height"]),
        images=tuple((image["path"], image["bytes"]) for image in row["image"]),
    )


@dataclass(frozen=True)
class ClassWords:
    """One class of the data set's `classes.toml`."""

    name: str
    singular: str
    plural: str
    role: str
    kind: str


def read_classes(dataset: Path) -> dict[str, ClassWords]:
    """Return the class table that the build wrote beside its shards."""
    table = tomllib.loads((dataset / "classes.toml").read_text(encoding="utf-8"))["classes"]
    return {
        name: ClassWords(name, entry["singular"], entry["plural"], entry["role"], entry.get("kind", "other"))
        for name, entry in table.items()
    }


@dataclass(frozen=True)
class Thing:
    """One object of the truth.

    Attributes:
        thing_id: of the truth, the same on both dates.
        label_id: what the builder calls it: file, layer and feature number.
        outline: (n, 2) ring in tile pixels, not cut to the tile.
        inside: sample points of its area, evenly spread, tile pixels.
        visible: share of the sample points on the tile.
    """

    thing_id: str
    label_id: str
    class_name: str
    colour: str | None
    moving: bool | None
    outline: Points
    inside: Points
    visible: float

    @property
    def centre(self) -> Points:
        """Mean of the area, (2,)."""
        centre: Points = self.inside.mean(axis=0)
        return centre

    @property
    def is_whole(self) -> bool:
        """All of it is on the tile, but for a corner that nobody misses."""
        return self.visible > 0.998


class Tile:
    """The truth of one tile at one date; pixels are those of the tile, x to the right and y down."""

    def __init__(self, scene: Path, frame: Frame, classes: Mapping[str, ClassWords]) -> None:
        self.scene = scene
        self.frame = frame
        self.classes = classes
        with rasterio.open(scene) as raster:
            to_map = np.array(raster.transform).reshape(3, 3)
            self._crs = raster.crs.to_wkt()
        self.width, self.height = frame.width, frame.height
        self._frame = shapely.box(0, 0, frame.width, frame.height)
        # Points are rows: (x, y, 1) @ matrix is a place on the map.
        self._to_map = (to_map @ np.array([[1, 0, frame.x], [0, 1, frame.y], [0, 0, 1]])).T
        self.metres = float(to_map[0, 0])  # the example scenes' pixels are square and in metres
        self._colours: dict[str, dict[str, float]] = {}

    @cached_property
    def pixels(self) -> Pixels:
        """The GeoTIFF's own pixels, (height, width, 3)."""
        with rasterio.open(self.scene) as raster:
            return np.moveaxis(raster.read(window=Window(*self.frame)), 0, -1)

    @cached_property
    def things(self) -> list[Thing]:
        """The objects of which something is on the tile."""
        rows = [row for row in self._layer("objects") if self._frame.intersects(row["geometry"])]
        found = [self._thing(row) for row in rows]
        return [thing for thing in found if thing.visible > 0]

    def colours(self, thing: Thing) -> dict[str, float]:
        """Return the share of each colour word among the pixels of what is visible of an object.

        Pixels on its outline also show what lies beside it: of a small object they would be most of all.
        """
        if thing.thing_id not in self._colours:
            inside = thing.inside[::COLOUR_STEP]
            core = shapely.contains_xy(shapely.Polygon(thing.outline).buffer(-MIXED_PX), inside)
            inside = inside[core] if core.any() else inside
            columns, rows = np.floor(inside).astype(int).T
            on_tile = (columns >= 0) & (columns < self.width) & (rows >= 0) & (rows < self.height)
            self._colours[thing.thing_id] = colour_shares(self.pixels[rows[on_tile], columns[on_tile]])
        return self._colours[thing.thing_id]

    def bounds(self, thing: Thing) -> tuple[float, float, float, float]:
        """Return the smallest and greatest x and y of what is visible: (x_min, y_min, x_max, y_max)."""
        cut = [thing.outline] if thing.visible == 1.0 else clipped_lines([thing.outline], self.width, self.height)
        points = np.concatenate(cut)
        low, high = points.min(axis=0), points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @cached_property
    def roads(self) -> list[Points]:
        """The centre lines, cut to the tile; (n, 2) each."""
        lines = [np.array(row["geometry"].coords) for row in self._layer("roads")]
        return clipped_lines(lines, self.width, self.height)

    @cached_property
    def ground(self) -> NDArray[np.int16]:
        """For each pixel the number of its land-use class in `ground_classes`; −1 for none."""
        rows = self._layer("areas")
        shapes = [(row["geometry"], self.ground_classes.index(row["class"])) for row in rows]
        return self._burnt(shapes)

    @cached_property
    def ground_classes(self) -> list[str]:
        """The land-use classes of the class table."""
        return [info.name for info in self.classes.values() if info.role == "area"]

    @cached_property
    def shares(self) -> dict[str, float]:
        """The share of the tile's pixels that each land-use class has; zeros included."""
        counts = np.bincount(self.ground.ravel() + 1, minlength=len(self.ground_classes) + 1)[1:]
        return dict(zip(self.ground_classes, (counts / self.ground.size).tolist(), strict=True))

    def ground_of(self, names: set[str]) -> NDArray[np.bool_]:
        """Return the (height, width) mask of some land-use classes."""
        numbers = [self.ground_classes.index(name) for name in sorted(names)]
        return np.isin(self.ground, numbers)

    @cached_property
    def anomalies(self) -> dict[str, NDArray[np.bool_]]:
        """The (height, width) mask of each anomaly class that has a pixel on the tile."""
        masks = {}
        rows = self._layer("anomalies")
        for name in sorted({row["class"] for row in rows}):
            mask = self._burnt([(row["geometry"], 0) for row in rows if row["class"] == name]) == 0
            if mask.any():
                masks[name] = mask
        return masks

    @cached_property
    def causes(self) -> dict[str, str]:
        """What each anomaly class comes from."""
        return {row["class"]: row["cause"] for row in self._layer("anomalies")}

    def lon_lat(self, points: Points) -> Points:
        """Return (n, 2) longitudes and latitudes of tile pixels."""
        return np.stack(self._to_lon_lat.transform(*_moved(points, self._to_map).T), axis=1)

    def bearing(self, start: Points, end: Points) -> float:
        """Return the geodesic azimuth from one pixel to another, degrees clockwise from true north."""
        (from_lon, from_lat), (to_lon, to_lat) = self.lon_lat(np.stack([start, end]))
        return float(GEOD.inv(from_lon, from_lat, to_lon, to_lat)[0]) % 360

    def distance_m(self, start: Points, end: Points) -> float:
        """Return the geodesic distance between two pixels."""
        (from_lon, from_lat), (to_lon, to_lat) = self.lon_lat(np.stack([start, end]))
        return float(GEOD.inv(from_lon, from_lat, to_lon, to_lat)[2])

    @cached_property
    def _to_lon_lat(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(self._crs, "EPSG:4326", always_xy=True)

    def _layer(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a layer of the GeoPackage, geometry in tile pixels, with their feature numbers."""
        path = self.scene.with_suffix(".gpkg")
        meta, numbers, shapes, columns = pyogrio.raw.read(path, layer=name, return_fids=True)
        to_pixel = np.linalg.inv(self._to_map)
        geometries = shapely.transform(shapely.from_wkb(shapes), lambda points: _moved(points, to_pixel))
        rows = []
        for position, number in enumerate(numbers):
            row = {field: column[position] for field, column in zip(meta["fields"], columns, strict=True)}
            rows.append({**row, "geometry": geometries[position], "label_id": f"{path.stem}:{name}:{number}"})
        return rows

    def _thing(self, row: dict[str, Any]) -> Thing:
        outline = np.array(row["geometry"].exterior.coords)
        inside = points_inside(outline)
        on_tile = ((inside >= 0) & (inside <= (self.width, self.height))).all(axis=1)
        is_within = bool(((outline >= 0) & (outline <= (self.width, self.height))).all())
        moving = row["moving"]
        return Thing(
            thing_id=row["object_id"],
            label_id=row["label_id"],
            class_name=row["class"],
            colour=row["colour"],
            moving=None if moving is None or np.isnan(moving) else bool(moving),
            outline=outline,
            inside=inside,
            visible=1.0 if is_within else min(float(on_tile.mean()), 0.9999),
        )

    def _burnt(self, shapes: list[tuple[shapely.Geometry, int]]) -> NDArray[np.int16]:
        if not shapes:
            return np.full((self.height, self.width), -1, dtype=np.int16)
        return np.asarray(
            features.rasterize(shapes, out_shape=(self.height, self.width), fill=-1, dtype="int16"), dtype=np.int16
        )


def _moved(points: Points, matrix: Points) -> Points:
    """Return (n, 2) points times a 3 × 3 matrix."""
    moved: Points = (np.column_stack([points, np.ones(len(points))]) @ matrix)[:, :2]
    return moved


GEOD = pyproj.Geod(ellps="WGS84")


class Truth:
    """The scenes of one folder, and the class table of the data set built from it; the last few tiles are kept."""

    def __init__(self, scenes: Path, dataset: Path) -> None:
        self._scenes = scenes
        self.classes = read_classes(dataset)
        self._tiles: dict[tuple[str, Frame], Tile] = {}

    def tile(self, row: Row) -> Tile:
        """Return the truth of the tile, of the earlier date, that a question is about."""
        return self._tile(row.scene, row.frame)

    def later(self, row: Row) -> Tile:
        """Return the truth at the later date."""
        expect(row.scene.endswith("_t1") and len(row.images) == 2, "no pair of dates")
        return self._tile(row.scene.removesuffix("_t1") + "_t2", row.frame)

    def _tile(self, scene: str, frame: Frame) -> Tile:
        key = (scene, frame)
        if key not in self._tiles:
            while len(self._tiles) >= TILES_KEPT:
                del self._tiles[next(iter(self._tiles))]
            self._tiles[key] = Tile(self._scenes / f"{scene}.tif", frame, self.classes)
        return self._tiles[key]
