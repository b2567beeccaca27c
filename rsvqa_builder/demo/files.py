"""Write example scenes: tiled GeoTIFFs painted window by window, and GeoPackages with the same bytes every time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.demo.ground import Layout
from rsvqa.rsvqa_builder.demo.objects import Contents
from rsvqa.rsvqa_builder.scenes.tiling import Window

BLOCK = 1024
"""Pixels painted and written at a time along each axis; a multiple of the file's blocks."""

DEFLATE: Mapping[str, Any] = MappingProxyType(
    {"compress": "DEFLATE", "predictor": 2, "zlevel": 3, "photometric": "RGB", "bigtiff": "IF_SAFER"}
)
JPEG: Mapping[str, Any] = MappingProxyType({"compress": "JPEG", "jpeg_quality": 95, "photometric": "YCBCR"})

LAYER_DATE = "2024-01-01T00:00:00.000Z"
"""Time of change written into GeoPackages: the clock would make every file differ."""


class MapCorner(NamedTuple):
    """EPSG code of a projected CRS in metres, the map position of the upper left corner, and metres per pixel."""

    epsg: int
    easting: float
    northing: float
    gsd_m: float

    @property
    def transform(self) -> Affine:
        """Pixel to map."""
        return Affine(self.gsd_m, 0.0, self.easting, 0.0, -self.gsd_m, self.northing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a label file.

    Attributes:
        name: of the layer.
        geometry_type: in OGR's words.
        geometries: shapely geometries in scene pixels.
        columns: equally long arrays of object; None is "no value". The first holds the features' ids.
        is_cut_to_scene: features end at the scene's border.
    """

    name: str
    geometry_type: str
    geometries: NDArray[np.object_]
    columns: Mapping[str, NDArray[np.object_]]
    is_cut_to_scene: bool = True

    def taken(self, geometries: NDArray[np.object_], rows: NDArray[np.intp], suffixes: Sequence[str]) -> Layer:
        """Return a layer of `geometries` with the columns of `rows`, ids made unique by `suffixes`."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        ids = next(iter(columns))
        columns[ids] = _objects([f"{name}{suffix}" for name, suffix in zip(columns[ids], suffixes, strict=True)])
        return Layer(
            name=self.name,
            geometry_type=self.geometry_type,
            geometries=geometries,
            columns=columns,
            is_cut_to_scene=self.is_cut_to_scene,
        )

    def scaled(self, factor: float) -> Layer:
        """Return the layer with every coordinate multiplied."""
        return replace(self, geometries=shapely.transform(self.geometries, lambda points: points * factor))


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def label_layers(layout: Layout, contents: Contents, date: int, *, scale: float = 1.0) -> list[Layer]:
    """Return the layers objects, areas, roads and anomalies of one date, in scene pixels of `scale` drawn ones."""
    objects = [item for item in contents.objects if item.dates[date]]
    areas = layout.areas(date)
    anomalies = layout.anomalies if date else ()
    object_columns: dict[str, list[Any]] = {
        "object_id": [item.object_id for item in objects],
        "class": [item.class_name for item in objects],
        "colour": [item.look.colour for item in objects],
        "moving": [item.look.moving for item in objects],
        "damage": [item.look.damage for item in objects],
    }
    area_columns = {
        "area_id": [f"area-{number}" for number in range(len(areas))],
        "class": [layout.styles[style].class_name for style, _ in areas],
    }
    road_columns = {
        "road_id": [road.road_id for road in layout.roads],
        "class": [road.class_name for road in layout.roads],
        "name": [road.name for road in layout.roads],
    }
    anomaly_columns: dict[str, list[Any]] = {
        "anomaly_id": [f"anomaly-{number}" for number in range(len(anomalies))],
        "class": [anomaly.class_name for anomaly in anomalies],
        "cause": [anomaly.cause for anomaly in anomalies],
    }
    layers = [
        _layer("objects", "Polygon", [item.polygon for item in objects], object_columns, is_cut_to_scene=False),
        _layer("areas", "Polygon", [polygon for _, polygon in areas], area_columns),
        _layer("roads", "LineString", [road.line for road in layout.roads], road_columns),
        _layer("anomalies", "Polygon", [anomaly.polygon for anomaly in anomalies], anomaly_columns),
    ]
    return [layer.scaled(1 / scale) for layer in layers] if scale != 1 else layers


def _layer(
    name: str,
    geometry_type: str,
    geometries: Sequence[BaseGeometry],
    columns: Mapping[str, Sequence[Any]],
    *,
    is_cut_to_scene: bool = True,
) -> Layer:
    arrays = {key: _objects(values) for key, values in columns.items()}
    return Layer(
        name=name,
        geometry_type=geometry_type,
        geometries=_objects(geometries),
        columns=arrays,
        is_cut_to_scene=is_cut_to_scene,
    )


def write_raster(
    path: Path,
    size: int,
    georeference: MapCorner,
    profile: Mapping[str, Any],
    acquired: str,
    paint: Callable[[Window], NDArray[np.uint8]],
) -> None:
    """Write a square tiled 8-bit RGB GeoTIFF, painting and holding one block at a time.

    Args:
        path: replaced when it exists.
        size: pixels along both axes.
        georeference: where it lies.
        profile: creation options: `DEFLATE` or `JPEG`.
        acquired: time for TIFFTAG_DATETIME, "2019:06:14 10:42:07".
        paint: returns the (height, width, 3) pixels of a window.
    """
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=size,
        height=size,
        count=3,
        dtype="uint8",
        crs=f"EPSG:{georeference.epsg}",
        transform=georeference.transform,
        tiled=True,
        blockxsize=512,
        blockysize=512,
        interleave="pixel",
        num_threads="ALL_CPUS",
        **profile,
    ) as raster:
        raster.update_tags(TIFFTAG_DATETIME=acquired)
        for y in range(0, size, BLOCK):
            for x in range(0, size, BLOCK):
                window = Window(x, y, min(BLOCK, size - x), min(BLOCK, size - y))
                pixels = paint(window)
                raster.write(np.moveaxis(pixels, 2, 0), window=RasterWindow(*window))


def write_labels(path: Path, layers: Sequence[Layer], georeference: MapCorner) -> None:
    """Write a GeoPackage; layers without a feature are written too, with their columns."""
    path.unlink(missing_ok=True)
    a, b, c, d, e, f, *_ = georeference.transform
    with _fixed_date():
        for number, layer in enumerate(layers):
            on_map = shapely.transform(layer.geometries, lambda points: points @ [[a, d], [b, e]] + [c, f])
            arrays = [_typed(name, values) for name, values in layer.columns.items()]
            pyogrio.raw.write(
                str(path),
                shapely.to_wkb(on_map),
                [values for values, _ in arrays],
                list(layer.columns),
                field_mask=[mask for _, mask in arrays],
                layer=layer.name,
                driver="GPKG",
                geometry_type=layer.geometry_type,
                crs=f"EPSG:{georeference.epsg}",
                append=number > 0,
            )


def _typed(name: str, values: NDArray[np.object_]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a column as pyogrio takes it, and where it has no value."""
    is_missing = np.array([value is None for value in values], dtype=bool)
    if name == "moving":
        return np.where(is_missing, False, values).astype(bool), is_missing
    return values, is_missing


@contextlib.contextmanager
def _fixed_date() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": LAYER_DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
