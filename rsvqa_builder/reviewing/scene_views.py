"""The scenes behind a data set's tiles, as `annotation.review.looks.SceneViews`: bands, surroundings, other dates.

Scenes are found as the build found them, by the settings in `build.toml`; no path ever comes from a page. A file that
has not the size that the build's report states is another one, and not shown. Windows are read, never whole scenes;
what is kept is counted in bytes. Mosaics, and scenes of one file per band, have no single file: their images are shown
as they are stored.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.images import Pixels
from rsvqa.annotation.review.looks import AS_BUILT, LookError, OtherScene, SceneLook, SceneView
from rsvqa.annotation.review.pictures import NoSuchPictureError, picture_key
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.output import MARKER, REPORT
from rsvqa.rsvqa_builder.reviewing.images import ByteCache, Once, Pyramid, TileKey, encoded, overview_factor
from rsvqa.rsvqa_builder.reviewing.source import SourceTile
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, open_raster, pixel_errors
from rsvqa.rsvqa_builder.scenes.scene_files import find_scenes
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.source_settings import load_sources

AROUND_SHARE = 0.5
"""Of the tile's longer side: how far its surroundings reach on each side."""
AROUND_SIDE = 1024
"""Pixels of the longer side of what is shown around a tile."""
CACHE_BYTES = 200_000_000
OVERVIEW_BYTES = 200_000_000
"""The most for values of reduced tiles. One of 10,000 px has 9.4 MB in 16 bits."""
NUM_READERS = 2
_SAMPLE_SIDE = 1024
_NUM_QUANTILES = 1001
MAX_OTHERS = 8
_EDGE_PX = 1
"""The last corner of a tile that ends with its scene lies beside the last pixel."""

Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A scene's raster.

    Attributes:
        path: what GDAL opens.
        scene: its id.
        width, height: pixels, as the report states.
        bands: names of the bands.
        shown: those of the build's images, 1-based.
        ends: of the build's stretch per shown band; None where values of 8 bits are shown as they are.
        date: ISO day.
        crs: of the transform.
        transform: pixel to map; None where the report states none.
    """

    path: str
    scene: str
    width: int
    height: int
    bands: tuple[str, ...]
    shown: tuple[int, ...]
    ends: tuple[tuple[float, float], ...] | None
    date: str | None
    crs: str | None
    transform: AffineCoefficients | None


class _Place(NamedTuple):
    """Where an image lies: its scene, and the window there."""

    scene: str
    window: Window


class TileViews:
    """What is behind the plain images of tiles, by the keys of the images.

    Args:
        folder: of the data set.
        tiles: of the data set; their plain images are asked for.
    """

    def __init__(self, folder: Path, tiles: Iterable[SourceTile]) -> None:
        self._folder = folder
        self._places = {
            picture_key(tile.image): _Place(tile.tile.scene, tile.tile.window) for tile in tiles if tile.image
        }
        self._encoded = ByteCache[bytes](CACHE_BYTES, len)
        self._overviews = Once(self._read_overview, ByteCache[Values](OVERVIEW_BYTES, lambda values: values.nbytes))
        self._quantiles = Once(self._read_quantiles, ByteCache[Values](OVERVIEW_BYTES, lambda values: values.nbytes))
        self._readers = threading.Semaphore(NUM_READERS)
        self._opening = threading.Lock()
        self._files: dict[str, _File | None] = {}

    def close(self) -> None:
        """End the threads."""
        self._overviews.close()
        self._quantiles.close()

    def view(self, key: str) -> SceneView:
        """Return what can be seen of the scene of an image; see `SceneViews.view`."""
        place = self._places.get(key)
        file = None if place is None else self._file(place.scene)
        if place is None or file is None:
            return SceneView()
        x, y, right, bottom = _around(place.window, file)
        others = tuple(
            OtherScene(number, other.scene, other.date, other.bands)
            for number, other in enumerate(self._others(place), start=1)
        )
        return SceneView(
            bands=file.bands,
            shown=file.shown,
            around=(x - place.window.x, y - place.window.y, right - x, bottom - y),
            others=others,
        )

    def tile(self, key: str, number: int, look: str, level: int, column: int, row: int) -> bytes:
        """Return a tile of an image's pyramid, made anew from a scene; see `SceneViews.tile`."""
        place, file = self._found(key, number)
        wanted = TileKey(level, column, row)
        pyramid = Pyramid(place.window.width, place.window.height)
        window = pyramid.window(wanted)
        name = (key, number, look, wanted)
        if (known := self._encoded.get(name)) is None:
            bands = _bands(look, file)
            factor, coarse = pyramid.factor(level), overview_factor(pyramid)
            if coarse > 1 and factor >= coarse:
                step = factor // coarse
                whole = self._overviews.get("/".join(map(str, (key, number, *bands))))
                cut = whole[
                    :,
                    window.y * step : (window.y + window.height) * step,
                    window.x * step : (window.x + window.width) * step,
                ]
                values = cut[:, step // 2 :: step, step // 2 :: step] if step > 1 else cut
            else:
                x, y = window.x * factor, window.y * factor
                right, bottom = x + window.width * factor, y + window.height * factor
                area = Window(x, y, min(right, pyramid.width) - x, min(bottom, pyramid.height) - y)
                values = self._read(place, file, number, bands, area, (window.height, window.width))
            known = encoded(self._painted(file, look, values))
            self._encoded.put(name, known)
        return known

    def around(self, key: str, look: str) -> bytes:
        """Return what lies around a tile; see `SceneViews.around`."""
        place, file = self._found(key, 0)
        name = (key, "around", look)
        if (known := self._encoded.get(name)) is None:
            x, y, right, bottom = _around(place.window, file)
            area = Window(x - place.window.x, y - place.window.y, right - x, bottom - y)
            scale = min(1.0, AROUND_SIDE / max(area.width, area.height))
            shape = max(1, round(area.height * scale)), max(1, round(area.width * scale))
            known = encoded(self._painted(file, look, self._read(place, file, 0, _bands(look, file), area, shape)))
            self._encoded.put(name, known)
        return known

    def later(self, key: str) -> OtherScene | None:
        """Return the scene of the nearest later date that covers the whole tile of an image; None without one."""
        place = self._places.get(key)
        own = None if place is None else self._file(place.scene)
        if place is None or own is None or own.date is None:
            return None
        for number, other in enumerate(self._others(place), start=1):
            if other.date is not None and other.date > own.date and _covers(other, own, place.window):
                return OtherScene(number, other.scene, other.date, other.bands)
        return None

    def whole(self, key: str, number: int) -> Pixels:
        """Return an image made anew from a scene, as it is built, at full size.

        Raises:
            NoSuchPictureError: there is none.
        """
        place, file = self._found(key, number)
        area = Window(0, 0, place.window.width, place.window.height)
        values = self._read(place, file, number, file.shown, area, (area.height, area.width))
        return self._painted(file, AS_BUILT, values)

    # --- files ------------------------------------------------------------------------------------------------------

    @cached_property
    def _report(self) -> Mapping[str, Any]:
        path = self._folder / REPORT
        return dict(json.loads(path.read_text("utf-8")).get("scenes", {})) if path.exists() else {}

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        """What GDAL opens of each scene that the build's source still names; nothing where that cannot be told."""
        if not (self._folder / MARKER).exists():
            return {}
        try:
            members = load_sources(load_settings(BuildSettings, {}, config=self._folder / MARKER))
            return {
                f"{member.prefix}{file.scene_id}": file.path
                for member in members
                for file in find_scenes(member.root, is_label=lambda *_: False).candidates
            }
        except (RsvqaError, OSError):
            return {}

    def _found(self, key: str, number: int) -> tuple[_Place, _File]:
        place = self._places.get(key)
        file = None if place is None else self._file(place.scene)
        if place is None or file is None:
            raise NoSuchPictureError(f"no scene behind {key}")
        if number == 0:
            return place, file
        others = self._others(place)
        if number > len(others):
            raise NoSuchPictureError(f"no scene {number} of {key}")
        return place, others[number - 1]

    def _file(self, scene: str) -> _File | None:
        with self._opening:
            if scene not in self._files:
                self._files[scene] = self._described(scene)
            return self._files[scene]

    def _described(self, scene: str) -> _File | None:
        stated, path = self._report.get(scene), self._paths.get(scene)
        if stated is None or path is None:
            return None
        try:
            with open_raster(path) as dataset:
                is_same = (dataset.width, dataset.height) == (stated["width"], stated["height"])
                is_inverted = "MINISWHITE" in dataset.tags(ns="IMAGE_STRUCTURE")
                if not is_same or is_inverted or dataset.colorinterp[0] == ColorInterp.palette:
                    return None
                if max(stated["bands"]) > dataset.count:
                    return None
                names = [text or f"band {number}" for number, text in enumerate(dataset.descriptions, start=1)]
        except SceneError:
            return None
        stretch, transform = stated["stretch"], stated["transform"]
        return _File(
            path=path,
            scene=scene,
            width=stated["width"],
            height=stated["height"],
            bands=tuple(names),
            shown=tuple(stated["bands"]),
            ends=None if stretch is None else tuple(zip(stretch["low"], stretch["high"], strict=True)),
            date=None if stated["acquired"] is None else stated["acquired"][:10],
            crs=stated["crs"],
            transform=None if transform is None else AffineCoefficients(*transform),
        )

    def _others(self, place: _Place) -> list[_File]:
        """Return other scenes that hold the middle of a tile, in the order of their dates."""
        own, window = self._file(place.scene), place.window
        if own is None or own.transform is None or own.crs is None:
            return []
        middle = own.transform.to_map(*_as_arrays(window.x + window.width / 2, window.y + window.height / 2))
        middles = {own.crs: (float(middle[0]), float(middle[1]))}
        there = [
            self._file(scene)
            for scene, stated in self._report.items()
            if scene != place.scene and _holds(stated, middles, own.crs)
        ]
        found = [file for file in there if file is not None]
        return sorted(found, key=lambda file: (file.date or "", file.scene))[:MAX_OTHERS]

    # --- pixels -----------------------------------------------------------------------------------------------------

    def _read_overview(self, name: str) -> Values:
        key, number, *bands = name.split("/")
        place, file = self._found(key, int(number))
        pyramid = Pyramid(place.window.width, place.window.height)
        factor = overview_factor(pyramid)
        shape = -(-pyramid.height // factor), -(-pyramid.width // factor)
        area = Window(0, 0, pyramid.width, pyramid.height)
        return self._read(place, file, int(number), tuple(map(int, bands)), area, shape)

    def _read(
        self, place: _Place, file: _File, number: int, bands: tuple[int, ...], area: Window, shape: tuple[int, int]
    ) -> Values:
        """Return values of an area of a tile, (bands, height, width)."""
        own = self._file(place.scene)
        assert own is not None  # it was found
        x, y = place.window.x + area.x, place.window.y + area.y
        with self._reading(file) as dataset:
            if number == 0:
                return _values(dataset, bands, RasterioWindow(x, y, area.width, area.height), shape)
            assert own.transform is not None  # of a scene that has others
            a, b, _, d, e, _ = own.transform
            across, down = area.width / shape[1], area.height / shape[0]
            left, top = own.transform.to_map(*_as_arrays(x, y))
            grid = rasterio.Affine(a * across, b * down, float(left), d * across, e * down, float(top))
            method = Resampling.bilinear if max(across, down) <= 1 else Resampling.average
            size = {"width": shape[1], "height": shape[0]}
            with WarpedVRT(dataset, crs=own.crs, transform=grid, resampling=method, **size) as warped:
                return _values(warped, bands, None, shape)

    @contextmanager
    def _reading(self, file: _File) -> Iterator[DatasetReader]:
        """Yield a scene's raster; few are read at the same time."""
        try:
            with self._readers, open_raster(file.path) as dataset, pixel_errors("pixels"):
                yield dataset
        except SceneError as error:
            raise NoSuchPictureError(f"{file.scene}: {error}") from error

    def _read_quantiles(self, name: str) -> Values:
        """Return thousandths of a band's values over its scene, by "band scene"."""
        band, _, scene = name.partition(" ")
        file = self._file(scene)
        assert file is not None  # it was found
        scale = min(1.0, _SAMPLE_SIDE / max(file.width, file.height))
        shape = max(1, round(file.height * scale)), max(1, round(file.width * scale))
        with self._reading(file) as dataset:
            values = dataset.read(int(band), out_shape=shape, resampling=Resampling.nearest)
            nodata = dataset.nodata
        valid = values[np.isfinite(values) & (True if nodata is None else values != nodata)]
        return np.quantile(valid if valid.size else np.zeros(1), np.linspace(0, 1, _NUM_QUANTILES))

    def _painted(self, file: _File, look: str, values: Values) -> Pixels:
        """Return values as they are shown, (height, width, 3)."""
        chosen = _parsed(look, file)
        if chosen is None and file.ends is None:
            return _interleaved(np.clip(values, 0, 255).astype(np.uint8))
        if chosen is None:
            assert file.ends is not None
            ends, gamma = file.ends, 1.0
        else:
            tables = [self._quantiles.get(f"{band} {file.scene}") for band in chosen.bands]
            ends = tuple((float(table[chosen.low]), float(table[chosen.high])) for table in tables)
            gamma = chosen.gamma
        out = np.empty(values.shape, np.uint8)
        for band, (low, high) in enumerate(ends):
            share = (np.nan_to_num(values[band].astype(np.float32), nan=low) - low) / max(high - low, 1e-12)
            out[band] = np.rint(np.clip(share, 0, 1) ** (1 / gamma) * 255)
        return _interleaved(out)


def _values(
    dataset: DatasetReader, bands: tuple[int, ...], region: RasterioWindow | None, shape: tuple[int, int]
) -> Values:
    read: Values = dataset.read(
        list(bands), window=region, out_shape=(len(bands), *shape), resampling=Resampling.average
    )
    if dataset.nodata is not None:
        read[:, (read == dataset.nodata).all(axis=0)] = 0
    return read


def _interleaved(pixels: NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(np.moveaxis(pixels if len(pixels) == 3 else pixels[[0, 0, 0]], 0, -1))


def _parsed(look: str, file: _File) -> SceneLook | None:
    try:
        return SceneLook.parse(look, num_bands=len(file.bands))
    except LookError as error:
        raise NoSuchPictureError(str(error)) from error


def _bands(look: str, file: _File) -> tuple[int, ...]:
    chosen = _parsed(look, file)
    return file.shown if chosen is None else chosen.bands


def _around(window: Window, file: _File) -> tuple[int, int, int, int]:
    """Return what is shown around a tile, inside its scene: left, top, right, bottom, scene pixels."""
    margin = round(AROUND_SHARE * max(window.width, window.height))
    return (
        max(0, window.x - margin),
        max(0, window.y - margin),
        min(file.width, window.x + window.width + margin),
        min(file.height, window.y + window.height + margin),
    )


def _holds(stated: Mapping[str, Any], middles: dict[str, tuple[float, float]], crs: str) -> bool:
    """Return whether a place lies on a scene as the report states it.

    Args:
        stated: of the scene.
        middles: the place in each CRS that was needed so far; at first in `crs`.
        crs: of the place.
    """
    if stated["transform"] is None or stated["crs"] is None:
        return False
    if stated["crs"] not in middles:
        moved = pyproj.Transformer.from_crs(crs, stated["crs"], always_xy=True).transform(*middles[crs])
        middles[stated["crs"]] = float(moved[0]), float(moved[1])
    column, row = AffineCoefficients(*stated["transform"]).to_pixels(*_as_arrays(*middles[stated["crs"]]))
    return bool(0 <= column < stated["width"] and 0 <= row < stated["height"])


def _covers(other: _File, own: _File, window: Window) -> bool:
    """Return whether the corners of a window of one scene all lie on another."""
    assert own.transform is not None  # of a scene that has others
    assert own.crs is not None
    stated = {
        "transform": other.transform,
        "crs": other.crs,
        "width": other.width + _EDGE_PX,
        "height": other.height + _EDGE_PX,
    }
    corners = [(window.x + dx, window.y + dy) for dx in (0, window.width) for dy in (0, window.height)]
    for corner in corners:
        x, y = own.transform.to_map(*_as_arrays(*corner))
        if not _holds(stated, {own.crs: (float(x), float(y))}, own.crs):
            return False
    return True


def _as_arrays(x: float, y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.float64(x), np.float64(y)  # type: ignore[return-value]  # a transform takes numbers too
