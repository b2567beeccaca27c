"""Write and read GDAL's virtual rasters (VRT): an XML file that names source rasters and their places.

Format: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import importlib.util
import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from rsvqa.rsvqa_builder.files import whole_file
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, open_raster

_GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}


class PlacedRaster(NamedTuple):
    """A source raster whose pixel (0, 0) is the virtual raster's pixel (x, y)."""

    path: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class VrtPlan:
    """A virtual raster of sources with the same bands, without resampling.

    Attributes:
        width, height: pixels.
        transform: pixel to map.
        placements: the sources in the order in which they are drawn.
        needs_cover_mask: the sources have neither nodata nor a mask, so a mask has to tell where there is one.
    """

    width: int
    height: int
    transform: AffineCoefficients
    placements: tuple[PlacedRaster, ...]
    needs_cover_mask: bool

    @property
    def is_north_up(self) -> bool:
        """True when map axes run along pixel axes, the second one upwards."""
        return self.transform.b == 0 and self.transform.d == 0 and self.transform.e < 0 < self.transform.a


def has_gdal_bindings() -> bool:
    """Return whether GDAL's own Python bindings (the extra "gdal") are installed."""
    return importlib.util.find_spec("osgeo") is not None


def write_vrt_with_gdal(plan: VrtPlan, path: Path) -> None:
    """Write a north-up plan with osgeo.gdal.BuildVRT.

    Raises:
        SceneError: GDAL refuses, or leaves sources out.
    """
    from osgeo import gdal

    gdal.UseExceptions()
    t = plan.transform
    bounds = (t.c, t.f + t.e * plan.height, t.c + t.a * plan.width, t.f)
    sources = [_absolute(placement.path) for placement in plan.placements]
    with whole_file(path, if_absent=True) as partial:
        try:
            built = gdal.BuildVRT(
                str(partial.absolute()),
                sources,
                resolution="user",
                xRes=t.a,
                yRes=-t.e,
                outputBounds=bounds,
                addAlpha=plan.needs_cover_mask,
            )
            if built is None:
                raise SceneError(f"GDAL cannot join {len(sources)} sheets: {gdal.GetLastErrorMsg()}")
            del built  # closing writes the file
        except RuntimeError as error:
            raise SceneError(f"GDAL cannot join {len(sources)} sheets: {error}") from error
        _snap_to_pixels(partial)
        num_built = len(read_vrt_sources(str(partial)))
        if num_built != len(sources):
            raise SceneError(f"GDAL joined {num_built} of {len(sources)} sheets only: {gdal.GetLastErrorMsg()}")


def _snap_to_pixels(path: Path) -> None:
    """Round the places in a VRT: GDAL works them out from coordinates, which leaves tiny fractions of a pixel."""
    tree = ET.parse(path)  # noqa: S314 (written by GDAL a moment ago)
    for name in ("SrcRect", "DstRect"):
        for rectangle in tree.iter(name):
            for key, value in rectangle.attrib.items():
                rectangle.set(key, str(round(float(value))))
    tree.write(path, encoding="utf-8")


def write_vrt(plan: VrtPlan, path: Path) -> None:
    """Write a plan as a VRT file, without GDAL's bindings.

    Raises:
        SceneError: a source cannot be opened.
    """
    root = ET.Element("VRTDataset", rasterXSize=str(plan.width), rasterYSize=str(plan.height))
    with open_raster(plan.placements[0].path) as first:
        ET.SubElement(root, "SRS").text = first.crs.to_wkt() if first.crs else ""
        t = plan.transform
        ET.SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in (t.c, t.a, t.b, t.f, t.d, t.e))
        uses_mask = ColorInterp.alpha in first.colorinterp or MaskFlags.per_dataset in first.mask_flag_enums[0]
        bands = [_add_band(root, first, number) for number in first.indexes]
        nodata_values = first.nodatavals
        has_alpha = ColorInterp.alpha in first.colorinterp
    mask = None
    if plan.needs_cover_mask or (uses_mask and not has_alpha):
        mask = ET.SubElement(ET.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
    for placement in plan.placements:
        with open_raster(placement.path) as dataset:
            size = (dataset.width, dataset.height)
        for number, (band, nodata) in enumerate(zip(bands, nodata_values, strict=True), 1):
            source = _add_source(band, placement, size, str(number), is_complex=uses_mask or nodata is not None)
            if nodata is not None:
                ET.SubElement(source, "NODATA").text = _number(nodata)
            if uses_mask:
                ET.SubElement(source, "UseMaskBand").text = "true"
        if mask is not None:
            # "complex" with its own mask: where a later sheet is masked, the earlier one shows
            source = _add_source(mask, placement, size, "mask,1", is_complex=True)
            if uses_mask:
                ET.SubElement(source, "NODATA").text = "0"
    with whole_file(path, if_absent=True) as partial:
        ET.ElementTree(root).write(partial, encoding="utf-8")


def write_stack_vrt(paths: Sequence[str], path: Path) -> None:
    """Write a VRT whose red, green and blue are the first bands of three rasters of one grid.

    Raises:
        SceneError: a raster cannot be opened.
    """
    with open_raster(paths[0]) as first:
        size = (first.width, first.height)
        root = ET.Element("VRTDataset", rasterXSize=str(size[0]), rasterYSize=str(size[1]))
        uses_mask = MaskFlags.per_dataset in first.mask_flag_enums[0]
        data_type, nodata = _GDAL_TYPES[first.dtypes[0]], first.nodatavals[0]
    for number, (colour, source) in enumerate(zip(("Red", "Green", "Blue"), paths, strict=True), 1):
        band = ET.SubElement(root, "VRTRasterBand", dataType=data_type, band=str(number))
        if nodata is not None:
            ET.SubElement(band, "NoDataValue").text = _number(nodata)
        ET.SubElement(band, "ColorInterp").text = colour
        _add_source(band, PlacedRaster(source, 0, 0), size, "1", is_complex=False)
    if uses_mask:
        mask = ET.SubElement(ET.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _add_source(mask, PlacedRaster(paths[0], 0, 0), size, "mask,1", is_complex=False)
    with whole_file(path, if_absent=True) as partial:
        ET.ElementTree(root).write(partial, encoding="utf-8")


def _add_band(root: ET.Element, first: DatasetReader, number: int) -> ET.Element:
    colour = first.colorinterp[number - 1]
    nodata = first.nodatavals[number - 1]
    band = ET.SubElement(root, "VRTRasterBand", dataType=_GDAL_TYPES[first.dtypes[number - 1]], band=str(number))
    if nodata is not None:
        ET.SubElement(band, "NoDataValue").text = _number(nodata)
    ET.SubElement(band, "ColorInterp").text = colour.name.capitalize()
    if colour == ColorInterp.palette:
        table = ET.SubElement(band, "ColorTable")
        for _, (red, green, blue, alpha) in sorted(first.colormap(number).items()):
            ET.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4=str(alpha))
    return band


def _add_source(
    band: ET.Element, placement: PlacedRaster, size: tuple[int, int], source_band: str, *, is_complex: bool
) -> ET.Element:
    source = ET.SubElement(band, "ComplexSource" if is_complex else "SimpleSource")
    ET.SubElement(source, "SourceFilename", relativeToVRT="0").text = _absolute(placement.path)
    ET.SubElement(source, "SourceBand").text = source_band
    width, height = map(str, size)
    ET.SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
    ET.SubElement(source, "DstRect", xOff=str(placement.x), yOff=str(placement.y), xSize=width, ySize=height)
    return source


def _number(value: float) -> str:
    return "nan" if math.isnan(value) else repr(float(value))


def _absolute(path: str) -> str:
    return path if path.startswith("/vsi") else os.path.abspath(path)  # noqa: PTH100 (links stay as they are)


def read_vrt_sources(path: str) -> list[PlacedRaster]:
    """Return the sources of a local VRT's first band that are drawn pixel for pixel; [] for any other kind of VRT."""
    if path.startswith("/vsi") or not Path(path).is_file():
        return []
    try:
        root = ET.parse(path).getroot()  # noqa: S314 (GDAL has opened it; expat bounds entities)
    except ET.ParseError:
        return []
    band = root.find("VRTRasterBand")
    if band is None:
        return []
    placements = (_placement_of(source, Path(path).parent) for source in band if source.tag.endswith("Source"))
    return [placement for placement in placements if placement is not None]


def _placement_of(source: ET.Element, folder: Path) -> PlacedRaster | None:
    name, src, dst = source.find("SourceFilename"), source.find("SrcRect"), source.find("DstRect")
    if name is None or not name.text or src is None or dst is None:
        return None
    if any(float(src.get(key, 0)) != float(dst.get(key, 0)) for key in ("xSize", "ySize")):
        return None
    path = str(folder / name.text) if name.get("relativeToVRT") == "1" else name.text
    x, y = (round(float(dst.get(key, 0)) - float(src.get(key, 0))) for key in ("xOff", "yOff"))
    return PlacedRaster(path, x, y)
