"""A GeoTIFF and the extract that `overturemaps download --type=building` writes of its place, made of a demo scene.

Columns and metadata are those of Overture's releases (docs.overturemaps.org/schema/reference/buildings/building):
GeoParquet 1.1 with a `bbox` column as its covering.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import mapping

from rsvqa.rsvqa_builder.demo.scenes import make_demo_scenes

CLASSES = {
    "house": ("residential", "house"),
    "warehouse": ("industrial", "warehouse"),
    "office_building": ("commercial", "office"),
}
"""Subtype and class in Overture's words; the buildings that no volunteer has described have neither."""

_SIDES = ("xmin", "xmax", "ymin", "ymax")
_TEXT = (*("facade_color", "facade_material", "roof_material", "roof_shape", "roof_orientation", "roof_color"),)
_NUMBERS = ("height", "min_height", "roof_direction", "roof_height")
_COUNTS = ("num_floors", "num_floors_underground", "min_floor")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(side, pa.float32()) for side in _SIDES])),
        ("version", pa.int32()),
        (
            "sources",
            pa.list_(
                pa.struct(
                    [
                        *(
                            (name, pa.string())
                            for name in ("property", "dataset", "license", "record_id", "update_time")
                        ),
                        ("confidence", pa.float64()),
                        ("between", pa.list_(pa.float64())),
                    ]
                )
            ),
        ),
        ("level", pa.int32()),
        ("subtype", pa.string()),
        ("class", pa.string()),
        ("names", pa.struct([("primary", pa.string()), ("common", pa.map_(pa.string(), pa.string()))])),
        ("has_parts", pa.bool_()),
        ("is_underground", pa.bool_()),
        *((name, pa.float64()) for name in _NUMBERS),
        *((name, pa.int32()) for name in _COUNTS),
        *((name, pa.string()) for name in _TEXT),
    ]
)
"""Of type `building`."""


def make_scene_and_extract(folder: Path, name: str, *, size: int = 1024, seed: int = 0) -> int:
    """Write `name`.tif and building.parquet to `folder`; return how many buildings the extract holds."""
    (scene, *_) = make_demo_scenes(folder / "made", seed=seed, size=size, count=1)
    scene.rename(folder / f"{name}.tif")
    meta, _, geometries, columns = pyogrio.raw.read(scene.with_suffix(".gpkg"), layer="objects")
    classes = dict(zip(meta["fields"], columns, strict=True))["class"]
    to_degrees = Transformer.from_crs(meta["crs"], 4326, always_xy=True)

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(to_degrees.transform(*points.T), axis=1)

    outlines = shapely.transform(shapely.from_wkb(geometries), place)
    rows = [
        _row(number, outline, *(CLASSES[found] if number % 5 else (None, None)))
        for number, (outline, found) in enumerate(zip(outlines, classes, strict=True))
        if found in CLASSES
    ]
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
            }
        },
    }
    table = pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata({"geo": json.dumps(geo)})
    pq.write_table(table, folder / "building.parquet")
    for left in sorted((folder / "made").iterdir()):
        left.unlink()
    (folder / "made").rmdir()
    return len(rows)


def _row(number: int, outline: shapely.Polygon, subtype: str | None, found: str | None) -> dict[str, object]:
    x_min, y_min, x_max, y_max = outline.bounds
    return {
        "id": f"08b2a1072b4a{number:04x}0200{number:012x}",
        "geometry": outline.wkb,
        "bbox": dict(zip(_SIDES, (x_min, x_max, y_min, y_max), strict=True)),
        "version": 1,
        "sources": [{"property": "", "dataset": "OpenStreetMap", "license": "ODbL-1.0", "record_id": f"w{number}@1"}],
        "subtype": subtype,
        "class": found,
        "has_parts": False,
        "is_underground": False,
        "num_floors": 2,
    }


def as_geojson(parquet: Path) -> Path:
    """Write the extract once more, as `-f geojson` does; return its path."""
    features = [
        {
            "type": "Feature",
            "id": row["id"],
            "geometry": mapping(shapely.from_wkb(row.pop("geometry"))),
            "properties": {name: value for name, value in row.items() if value is not None},
        }
        for row in pq.read_table(parquet).to_pylist()
    ]
    path = parquet.with_suffix(".geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path
