"""What may change a byte of a data set besides settings and inputs: packages, libraries and codecs of a machine.

A build keeps its own beside its work. Every worker compares its own before it does anything, so a machine of a cluster
that would write other bytes is refused, and so is one that does not see the build's folder at all.
"""

from __future__ import annotations

import hashlib
import json
import platform
import socket
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import metadata

import numpy as np
import pyproj
import rasterio
import shapely
from rasterio.io import MemoryFile

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.dataset.output import FINGERPRINT_FILE, describe_changes
from rsvqa.rsvqa_builder.scenes.rasters import open_raster
from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles.encoding import encode
from rsvqa.rsvqa_builder.tiles.store import WorkStore

_PACKAGES = (
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


class WorkerError(RsvqaError):
    """A machine cannot work for a build."""


@cache
def package_versions() -> Mapping[str, str]:
    """Return the releases of packages and libraries, by name; a data set tells them."""
    return {name: metadata.version(name) for name in _PACKAGES} | {
        "gdal": rasterio.__gdal_version__,
        "geos": ".".join(str(part) for part in shapely.geos_version),
        "proj": pyproj.proj_version_str,
    }


@cache
def machine_traits() -> Mapping[str, str]:
    """Return what packages of one release may still do differently, by name: an image as this machine's codecs see it.

    A package of conda brings other libraries than its wheel does.
    """
    y, x = np.mgrid[:48, :64]
    sample = np.stack([x * 4, (x * y) % 251, 255 - y * 5], axis=-1).astype(np.uint8)
    jpeg = encode(sample, ImageFormat.JPEG, 90)
    with MemoryFile(jpeg) as file, open_raster(file.name) as raster:
        pixels = raster.read()
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "jpeg_bytes": _digest(jpeg),
        "png_bytes": _digest(encode(sample, ImageFormat.PNG, 90)),
        "jpeg_pixels_of_gdal": _digest(pixels.tobytes()),
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@lru_cache(maxsize=4)
def require_same_bytes(store: WorkStore) -> None:
    """See that what this process makes is what the build whose work is in `store` would make; once per process.

    Raises:
        WorkerError: it is not, or nothing of the build is there.
    """
    try:
        build = json.loads(store.get(FINGERPRINT_FILE))
    except FileNotFoundError:
        raise WorkerError(
            f"{socket.gethostname()} does not see the work of this build in {store}: every machine that works for a "
            "build needs its output folder under the same path"
        ) from None
    own = {"versions": package_versions(), "machine": machine_traits()}
    theirs = {part: {name: build[part].get(name) for name in values} for part, values in own.items()}
    if changes := describe_changes(theirs, own):
        raise WorkerError(
            f"{socket.gethostname()} would write other bytes than the machine that began this build: "
            f"{'; '.join(changes)}. Install the same there"
        )
