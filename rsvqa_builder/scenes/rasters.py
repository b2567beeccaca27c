"""Open rasters through GDAL, safely: headers are judged first, and damage never turns into grey pixels.

GDAL reports much of the damage in compressed data as a mere warning and hands out pixels all the same; `pixel_errors`
turns those warnings into errors.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import unescape

import numpy as np
import rasterio
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.scenes.tiff_header import TiffHeader, read_tiff_header

Result = TypeVar("Result")

MAX_BANDS = 1024
"""More is a bomb: hyperspectral sensors have a few hundred bands."""

MAX_DECLARED_TO_FILE = 100_000
"""Declared bytes / bytes of the file. Deflate reaches 1,032, and sparse files of one value some ten thousand."""

MAX_BLOCK_BYTES = 2**31
"""A block is decoded whole, so it must fit into memory."""

GDAL_SETTINGS: dict[str, Any] = {
    "GDAL_CACHEMAX": 64_000_000,  # bytes; every block is read once, and GDAL would take 5 % of the memory per worker
    "GDAL_NUM_THREADS": "1",  # the build runs one process per processor
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",  # seconds
}

NETWORK_SETTINGS = {
    # curl alone waits for ever for a connection that says nothing
    "GDAL_HTTP_CONNECTTIMEOUT": "20",  # seconds
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",  # bytes per second
    "GDAL_HTTP_LOW_SPEED_TIME": "60",  # seconds
}
"""Of rasters that are read over a network; the environment goes before them."""

_NETWORKS = ("curl", "s3", "gs", "az", "adls", "oss", "swift", "hdfs", "webhdfs")
_REMOTE = re.compile(rf"/vsi({'|'.join(_NETWORKS)})(_streaming)?/")

WAITS_S = (0.2, 1.0, 3.0)
"""Before the other tries at a raster that is read over a network."""

_SOURCE = re.compile(r"<SourceFilename[^>]*>([^<]+)<")

_DAMAGE = re.compile(
    r"premature|corrupt|truncat|decode:|decoding error|line length mismatch|incorrect count|bad code|read error",
    re.IGNORECASE,
)
_ADVICE = re.compile(r" *\(this (error|warning) can be turned .*\)$")
# Harmless padding that some encoders leave before a marker.
_HARMLESS = re.compile(r"extraneous bytes before marker", re.IGNORECASE)


class SceneError(RsvqaError):
    """A raster cannot be used as a scene; `str()` is the reason without the path."""


class UnreachableError(RsvqaError):
    """A raster that was there before cannot be reached: the network or the keys are at fault, not the raster."""


def read_surely(path: str, read: Callable[[], Result]) -> Result:
    """Return what `read` makes of a raster; where that fails over a network, other tries say what is at fault.

    GDAL has repeated requests by then that a busy storage refused, and remembers what it could not get: each other try
    asks for all of it anew. A scene must not be left out because keys have expired, or connections break.

    Raises:
        SceneError: of `read`; the raster is at fault, as it can be opened and still cannot be read.
        UnreachableError: it cannot be reached at all any more.
    """
    try:
        return read()
    except SceneError as error:
        if not (far := _remote_parts(path)):
            raise
        reason = error
    with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=":".join(f"/vsi{kind}/" for kind in _NETWORKS)):
        for wait in WAITS_S:
            time.sleep(wait)
            for part in far:  # what GDAL remembers of a file goes when it is closed
                with suppress(SceneError), open_raster(part):
                    pass
            try:
                return read()
            except SceneError as error:
                reason = error
                for part in far:
                    _require_reached(part)
    raise reason


def _remote_parts(path: str) -> list[str]:
    """Return what of a raster is read over a network: itself, or sources of a virtual raster."""
    if is_remote(path):
        return [path]
    if not (path.endswith(".vrt") and is_local_file(path)):
        return []
    stated = _SOURCE.findall(Path(path).read_text("utf-8", errors="replace"))
    return [part for part in map(unescape, dict.fromkeys(stated)) if is_remote(part)]


def _require_reached(path: str) -> None:
    try:
        with open_raster(path):
            return
    except SceneError as error:
        raise UnreachableError(
            f"cannot reach {path} any more: it {error}. What is done is kept: repeat the command once it can be read, "
            "or leave the file out of `src`"
        ) from error


def is_remote(path: str) -> bool:
    """Return whether GDAL reads this path over a network."""
    return _REMOTE.search(path) is not None


def is_local_file(path: str) -> bool:
    """Return whether the path names a file of this machine, not one of GDAL's virtual paths."""
    return not path.startswith("/vsi") and Path(path).is_file()


@contextmanager
def open_raster(path: str) -> Iterator[DatasetReader]:
    """Open a raster with the project's GDAL settings; they hold until the block ends.

    Raises:
        SceneError: GDAL cannot open it, or its header declares what no real scene has.
    """
    header = read_local_tiff_header(path)
    if header is not None:
        check_tiff_header(header)
    settings = dict(GDAL_SETTINGS)
    if is_remote(path):
        # Listing the folder of a remote file can take minutes. Sidecar files are then not seen.
        settings["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
        settings |= {name: os.environ.get(name, value) for name, value in NETWORK_SETTINGS.items()}
        if key := os.environ.get("AZURE_STORAGE_KEY"):  # as Azure's own tools call what GDAL does not know by that name
            settings["AZURE_STORAGE_ACCESS_KEY"] = os.environ.get("AZURE_STORAGE_ACCESS_KEY", key)
    with rasterio.Env(**settings), _open_quietly(path) as dataset:
        _check_dataset(dataset, path)
        yield dataset


def read_local_tiff_header(path: str) -> TiffHeader | None:
    """Return the header of a local TIFF, None for anything else.

    Raises:
        SceneError: the file cannot be read at all.
    """
    if not is_local_file(path):
        return None
    try:
        return read_tiff_header(path)
    except OSError as error:
        raise SceneError(f"cannot be read: {error.strerror or error}") from error


def check_tiff_header(header: TiffHeader) -> None:
    """Refuse a TIFF that declares what no real scene has, or that was cut short.

    Raises:
        SceneError: with the reason.
    """
    _check_bands(header.num_bands)
    _check_declared_bytes(header.declared_bytes, header.file_bytes)
    _check_block_bytes(header.block_bytes, header.block_shape)
    num_cut = header.count_cut_blocks()
    if num_cut:
        raise SceneError(
            f"the file is cut short: {num_cut} of {header.offsets.size} blocks lie beyond its end at "
            f"{header.file_bytes} bytes; copy it again"
        )


@contextmanager
def pixel_errors(what: str) -> Iterator[None]:
    """Turn every error and every warning of damage that GDAL reports while pixels are read into a SceneError.

    Args:
        what: names the pixels in the message, e.g. "rows 0 to 511".

    Raises:
        SceneError: with GDAL's own reason.
    """
    with _collect_damage() as damage:
        try:
            yield
        except RasterioError as error:
            reason = _ADVICE.sub("", str(error.__cause__ or error))
            raise SceneError(f"cannot read {what}: {reason}") from error
    if damage:
        raise SceneError(f"damaged data in {what}: {damage[0]}")


@contextmanager
def _open_quietly(path: str) -> Iterator[DatasetReader]:
    try:
        with warnings.catch_warnings():
            # whether there is a georeference is asked afterwards
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # not shared: a handle from elsewhere in the process would bring its own cache and settings
            dataset = rasterio.open(path, sharing=False)
    except RasterioError as error:
        reason = str(error).removeprefix(f"'{path}' ").removeprefix(f"{path}: ").removeprefix(f"{Path(path).name}: ")
        raise SceneError(f"cannot be opened: {reason}") from error
    with dataset:
        yield dataset


def _check_dataset(dataset: DatasetReader, path: str) -> None:
    if dataset.count == 0:
        raise SceneError("holds no raster bands of its own; name one of its subdatasets")
    _check_bands(dataset.count)
    sample_bytes = max(_sample_bytes(name) for name in dataset.dtypes)
    height, width = max(dataset.block_shapes, key=lambda shape: shape[0] * shape[1])
    bands = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    _check_block_bytes(height * width * bands * sample_bytes, (height, width))
    if is_local_file(path) and dataset.driver != "VRT":
        _check_declared_bytes(dataset.width * dataset.height * dataset.count * sample_bytes, Path(path).stat().st_size)


def _sample_bytes(dtype: str) -> int:
    # the two complex integer types of GDAL have no numpy twin
    return {"complex_int16": 4, "complex_int32": 8}.get(dtype) or np.dtype(dtype).itemsize


def _check_bands(num_bands: int) -> None:
    if num_bands > MAX_BANDS:
        raise SceneError(f"declares {num_bands:,} bands; more than {MAX_BANDS:,} are refused")


def _check_declared_bytes(declared: int, file_bytes: int) -> None:
    if declared > MAX_DECLARED_TO_FILE * file_bytes:
        raise SceneError(
            f"declares {declared:,} bytes of pixels in a file of {file_bytes:,} bytes; more than "
            f"{MAX_DECLARED_TO_FILE:,} times the file's size is refused"
        )


def _check_block_bytes(block_bytes: int, block_shape: tuple[int, int]) -> None:
    if block_bytes > MAX_BLOCK_BYTES:
        raise SceneError(
            f"one block of {block_shape[1]:,} × {block_shape[0]:,} px takes {block_bytes:,} bytes, more than "
            f"{MAX_BLOCK_BYTES:,}; write it as a tiled file (gdal_translate -co TILED=YES)"
        )


@contextmanager
def _collect_damage() -> Iterator[list[str]]:
    """Collect what GDAL warns of in this thread and means damaged pixels; other warnings are dropped."""
    # rasterio hands GDAL's warnings to this logger while it reads
    logger = logging.getLogger("rasterio._err")
    collector = _DamageCollector()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(collector)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield collector.messages
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
        logger.propagate = propagate


class _DamageCollector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self.thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.thread == self.thread and _DAMAGE.search(message) and not _HARMLESS.search(message):
            self.messages.append(_ADVICE.sub("", message.partition(":")[2] or message))
