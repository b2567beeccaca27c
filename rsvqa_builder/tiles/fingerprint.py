"""What this process would write a tile's bytes with: releases, libraries, code, plug-ins, and codecs as they behave."""

from __future__ import annotations

import hashlib
import io
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import shapely
import simplejpeg
from PIL import Image
from rasterio.io import MemoryFile

from rsvqa.annotation.plugins import BYTE_MAKERS, plugin_packages, plugin_versions
from rsvqa.rsvqa_builder.scenes.rasters import open_raster

_BYTE_MAKERS = (
    "rsvqa",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pyogrio",
    "pyproj",
    "rasterio",
    "shapely",
    "simplejpeg",
)
"""Packages whose release may change a byte of the result."""

_CODE = ("annotation", "rsvqa_builder")
"""Floors whose files decide what a unit of work writes."""


def package_versions() -> dict[str, str]:
    """Return the releases of the packages that may change a byte, by name; those of plug-ins too."""
    return {name: metadata.version(name) for name in _BYTE_MAKERS} | plugin_versions()


def library_versions() -> dict[str, str]:
    """Return the releases of the libraries that came with those packages, by name."""
    return {
        "gdal": rasterio.__gdal_version__,
        "geos": ".".join(str(part) for part in shapely.geos_version),
        "proj": pyproj.proj_version_str,
    }


@cache
def machine_traits() -> Mapping[str, str]:
    """Return what may differ between machines with the same releases, by name; a data set does not tell of it.

    Builds of one release may carry other codecs, and a checkout that was not updated has the same number. So codecs are
    tried on fixed pictures, and the files of rsvqa and of its plug-ins are read: about 0.1 s, once per process.
    """
    y, x = np.mgrid[:64, :64]
    picture = np.stack([x * 4, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", compress_level=3)
    jpeg = simplejpeg.encode_jpeg(picture, quality=90, colorspace="RGB", colorsubsampling="444")
    return {
        "processor": platform.machine(),
        "JPEG encoder": _digest(bytes(jpeg)),
        "PNG encoder": _digest(png.getvalue()),
        "code of rsvqa": _code_digest(Path(__file__).parents[2], _CODE),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "JPEG decoder of GDAL": _decoded_digest(),
        **_plugin_traits(),
    }


def worker_fingerprint() -> dict[str, str]:
    """Return what has to be the same in all processes of one build, by name."""
    return {**package_versions(), **library_versions(), **machine_traits()}


def _decoded_digest() -> str:
    """Return the digest of a JPEG's pixels as GDAL decodes it; conda's GDAL has another decoder than its wheels."""
    y, x = np.mgrid[:48, :64]
    picture = np.stack([x * 4, (x * y) % 251, 255 - y * 5], axis=-1).astype(np.uint8)
    encoded = bytes(simplejpeg.encode_jpeg(picture, quality=90, colorspace="RGB", colorsubsampling="420"))
    with MemoryFile(encoded) as file, open_raster(file.name) as raster:
        return _digest(raster.read().tobytes())


def _plugin_traits() -> dict[str, str]:
    """Return release and code of what other packages bring; what only decides where units run writes no byte."""
    return {
        f"plug-in {package.name}": f"{package.version} ({_code_digest(package.folder, package.modules)})"
        for package in plugin_packages(BYTE_MAKERS)
    }


def _code_digest(root: Path, names: Sequence[str]) -> str:
    """Return the digest of files and folders below `root`, by their paths there."""
    tops = (root / name for name in names)
    files = (path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file())
    facts = sorted(
        (path.relative_to(root).as_posix(), _digest(path.read_bytes())) for path in files if path.suffix != ".pyc"
    )
    return _digest(repr(facts).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
