"""Small rasters made in code, and the hand-built TIFF headers that no library would write."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients

UTM18 = "EPSG:32618"
NORTH_UP_1M = AffineCoefficients(1.0, 0.0, 500_000.0, 0.0, -1.0, 4_000_000.0)


def make_pixels(bands: int, height: int, width: int, *, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    """Return (bands, height, width) values that differ from pixel to pixel: 1 to 250 for any data type."""
    values = np.random.default_rng(seed).integers(1, 251, (bands, height, width))
    return values.astype(dtype)


def write_raster(
    path: Path,
    pixels: NDArray[Any],
    *,
    crs: str | None = UTM18,
    transform: AffineCoefficients | None = NORTH_UP_1M,
    mask: NDArray[np.bool_] | None = None,
    colormap: dict[int, tuple[int, ...]] | None = None,
    tags: dict[str, str] | None = None,
    driver: str = "GTiff",
    **profile: Any,
) -> Path:
    """Write (bands, height, width) pixels and return the path; three 8-bit bands are red, green, blue."""
    bands, height, width = pixels.shape
    if driver == "GTiff" and bands in (3, 4) and pixels.dtype == np.uint8:
        profile = {"photometric": "rgb", **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path,
                "w",
                driver=driver,
                width=width,
                height=height,
                count=bands,
                dtype=pixels.dtype.name,
                **({"crs": crs} if crs else {}),
                **({"transform": Affine(*transform)} if transform else {}),
                **profile,
            ) as dataset,
        ):
            if colormap:
                dataset.write_colormap(1, colormap)
            dataset.write(pixels)
            if mask is not None:
                dataset.write_mask(mask)
            if tags:
                dataset.update_tags(**tags)
    return path


def make_tiff_bytes(
    *,
    width: int,
    height: int,
    bands: int = 1,
    byte_order: str = "<",
    is_big: bool = False,
    tile: tuple[int, int] | None = None,
    compression: int = 8,
    offset: int = 8,
    byte_count: int = 100,
    size: int = 262,
) -> bytes:
    """Return a TIFF of one block that is all header: the directory declares, and next to no data follows.

    Tags and types are those of TIFF 6.0, section 2; BigTIFF has 8-byte counts and offsets.
    """
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1)]
    if tile is None:
        entries += [(273, 4, offset), (277, 3, bands), (278, 4, height), (279, 4, byte_count), (284, 3, 1)]
    else:
        entries += [(277, 3, bands), (284, 3, 1), (322, 4, tile[1]), (323, 4, tile[0]), (324, 4, offset)]
        entries += [(325, 4, byte_count)]
    magic = b"II" if byte_order == "<" else b"MM"
    if is_big:
        data = magic + struct.pack(byte_order + "HHHQ", 43, 8, 0, 16) + struct.pack(byte_order + "Q", len(entries))
    else:
        data = magic + struct.pack(byte_order + "HI", 42, 8) + struct.pack(byte_order + "H", len(entries))
    for tag, type_code, value in entries:
        data += struct.pack(byte_order + ("HHQ" if is_big else "HHI"), tag, type_code, 1)
        packed = struct.pack(byte_order + ("H" if type_code == 3 else "I"), value)
        data += packed.ljust(8 if is_big else 4, b"\0")
    data += bytes(8 if is_big else 4)
    return data.ljust(size, b"\0")


def find_data(folder: str) -> Path:
    """Return a folder of the real test rasters, or skip the test when they are not there."""
    root = Path(os.environ.get("RSVQA_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / folder).is_dir():
        pytest.skip(f"no real rasters: {root / folder} does not exist (RSVQA_DATA names the folder)")
    return root / folder
