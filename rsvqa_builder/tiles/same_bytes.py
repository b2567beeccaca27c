"""Whether a process would write a build's bytes: its packages and codecs are those of the machine that began it.

A build keeps its own beside its work. Every worker compares itself before it does anything, so a machine of a cluster
that would write other bytes is refused, and so is one that does not see the build's work at all.
"""

from __future__ import annotations

import hashlib
import json
import platform
import socket
from collections.abc import Mapping
from functools import cache, lru_cache

import numpy as np
import simplejpeg
from rasterio.io import MemoryFile

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.dataset.output import FINGERPRINT_FILE, describe_changes
from rsvqa.rsvqa_builder.scenes.rasters import open_raster
from rsvqa.rsvqa_builder.tiles.fingerprint import library_versions, package_versions, worker_fingerprint
from rsvqa.rsvqa_builder.tiles.store import WorkStore


class WorkerError(RsvqaError):
    """A machine cannot work for a build."""


@cache
def machine_traits() -> Mapping[str, str]:
    """Return what may differ between machines with the same releases, by name; a data set does not tell of it."""
    told = {*package_versions(), *library_versions()}
    return {
        **{name: trait for name, trait in worker_fingerprint().items() if name not in told},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "JPEG decoder of GDAL": _decoded_digest(),
    }


def _decoded_digest() -> str:
    """Return the digest of a JPEG's pixels as GDAL decodes it; conda's GDAL has another decoder than its wheels."""
    y, x = np.mgrid[:48, :64]
    picture = np.stack([x * 4, (x * y) % 251, 255 - y * 5], axis=-1).astype(np.uint8)
    encoded = bytes(simplejpeg.encode_jpeg(picture, quality=90, colorspace="RGB", colorsubsampling="420"))
    with MemoryFile(encoded) as file, open_raster(file.name) as raster:
        return hashlib.sha256(raster.read().tobytes()).hexdigest()[:16]


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
    own = {"versions": package_versions() | library_versions(), "machine": machine_traits()}
    theirs = {part: {name: build[part].get(name) for name in values} for part, values in own.items()}
    if changes := describe_changes(theirs, own):
        raise WorkerError(
            f"{socket.gethostname()} would write other bytes than the machine that began this build: "
            f"{'; '.join(changes)}. Install the same there"
        )
