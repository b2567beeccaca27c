"""Scenes and label files of tests, small enough to work out every coordinate by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyproj
import pytest

from rsvqa.annotation.facts import Gsd
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients, Scene

DATA = Path(os.environ.get("RSVQA_DATA", Path(__file__).parents[4] / "shared" / "data"))

UTM = AffineCoefficients(0.5, 0, 500_000, 0, -0.5, 4_000_100)
"""Half a metre a pixel; a scene of 200 × 200 px ends at (500100, 4000000) in EPSG:32618."""


def scene(
    name: str = "place.tif", *, width: int = 200, height: int = 200, transform: AffineCoefficients | None = None
) -> Scene:
    """A scene without a georeference, or with one in EPSG:32618."""
    crs = None if transform is None else pyproj.CRS.from_epsg(32618).to_wkt()
    gsd = None if transform is None else Gsd(0.5, 0.5)
    return Scene(
        scene_id="place",
        path=name,
        width=width,
        height=height,
        bands=(1, 2, 3),
        dtype="uint8",
        crs=crs,
        transform=transform,
        gsd_m=gsd,
    )


def table(**columns: Any) -> ClassTable:
    """Cars and trees as objects, water and forest as areas, roads as lines, fire scars; "junk" is ignored."""

    def entry(role: str, **more: Any) -> dict[str, Any]:
        return {"singular": "thing", "plural": "things", "role": role, **more}

    def named(name: str, role: str, **more: Any) -> dict[str, Any]:
        return entry(role, **more) | {"singular": name, "plural": f"{name}s"}

    classes = {
        "car": named("car", "object", kind="vehicle", mask_values=[4], mask_rgb=[[255, 0, 0]]),
        "tree": named("tree", "object", kind="tree", match=["natural=tree"]),
        "water": named("water", "area", kind="water", mask_values=[1], mask_rgb=[[0, 0, 255]]),
        "forest": named("forest", "area", kind="forest", mask_values=[2], mask_rgb=[[0, 255, 0]]),
        "road": named("road", "road", kind="road", match=["highway=*"]),
        "scar": named("scar", "anomaly", kind="burnt"),
        "junk": {"role": "ignored", "mask_values": [9]},
    }
    return ClassTable.model_validate({"classes": classes, **columns})


def geojson(path: Path, features: Sequence[tuple[dict[str, Any], dict[str, Any]]], *, crs: str | None = None) -> Path:
    """Write (geometry, properties) pairs."""
    content: dict[str, Any] = {"type": "FeatureCollection"}
    if crs is not None:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    content["features"] = [
        {"type": "Feature", "properties": properties, "geometry": geometry} for geometry, properties in features
    ]
    path.write_text(json.dumps(content), "utf-8")
    return path


def polygon(*points: tuple[float, float]) -> dict[str, Any]:
    """GeoJSON of a polygon; the ring is closed here."""
    return {"type": "Polygon", "coordinates": [[list(point) for point in (*points, points[0])]]}


def square(x: float, y: float, side: float) -> dict[str, Any]:
    """GeoJSON of an upright square with its least corner at (x, y)."""
    return polygon((x, y), (x + side, y), (x + side, y + side), (x, y + side))


def real_scene(folder: str) -> Path:
    """The folder of a real scene, or the test is skipped."""
    path = DATA / "scenes" / folder
    if not path.is_dir():
        pytest.skip(f"{path} is not there; RSVQA_DATA names the folder of real scenes")
    return path
