"""What this process would write a tile's bytes with: releases, libraries, code, and encoders as they behave."""

from __future__ import annotations

import hashlib
import io
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import shapely
import simplejpeg
from PIL import Image

from rsvqa.annotation.plugins import plugin_versions

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
def worker_fingerprint() -> dict[str, str]:
    """Return what has to be the same in all processes of one build, by name.

    Releases alone do not tell: builds of one release may carry other codecs, and a checkout that was not updated has
    the same number. So encoders are tried on a fixed picture, and our own files are read. Takes about 0.1 s, once per
    process.
    """
    y, x = np.mgrid[:64, :64]
    picture = np.stack([x * 4, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", compress_level=3)
    jpeg = simplejpeg.encode_jpeg(picture, quality=90, colorspace="RGB", colorsubsampling="444")
    behaviour = {
        "processor": platform.machine(),
        "JPEG encoder": _digest(bytes(jpeg)),
        "PNG encoder": _digest(png.getvalue()),
        "code of rsvqa": _code_digest(),
    }
    return package_versions() | library_versions() | behaviour


def _code_digest() -> str:
    root = Path(__file__).parents[2]
    files = (path for floor in _CODE for path in (root / floor).rglob("*") if path.is_file() and path.suffix != ".pyc")
    facts = sorted((path.relative_to(root).as_posix(), _digest(path.read_bytes())) for path in files)
    return _digest(repr(facts).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
