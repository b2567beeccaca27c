"""Deep Zoom pyramids of a data set's images, made on demand in bounded memory.

JPEG knows no windows: to see a corner, all of it is decoded. libjpeg, though, reduces by eighths while it decodes,
which takes little memory. So the coarse levels come from such a reduced copy, at once. When a tile of the three finest
is first asked for, the image is decoded once; what is asked for is cut at once, the rest when nobody waits, and then
the pixels are dropped. What is kept, decoded and encoded, is counted in bytes.

Pyramid libraries write whole pyramids to disk first (libvips' dzsave, deepzoom), or read no plain JPEG (OpenSlide).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.images import ImageSize, Pixels, decode_image, read_header
from rsvqa.annotation.review.pictures import TILE_OVERLAP, TILE_SIDE, NoSuchPictureError, picture_key
from rsvqa.rsvqa_builder.scenes.tiling import Window

OVERVIEW_FACTOR = 8
"""By which libjpeg reduces for the coarse levels; the largest that it offers."""
QUALITY = 80
CACHE_BYTES = 1_000_000_000
"""The most for encoded tiles. One image of 10,000 px has up to 40 MB of them, so 20 reviewers may use 20 images."""
OVERVIEW_BYTES = 200_000_000
"""The most for reduced copies. One image of 10,000 px has 4.7 MB."""
PIXEL_BYTES = 1_200_000_000
"""The most for decoded pixels of images that are not cut to the end; one of 10,000 px has 300 MB."""
NUM_DECODERS = 2
NUM_CUTTERS = 2
MAX_PREPARED = 8
"""Images that wait to be prepared; where more are wished for, the oldest wish is forgotten."""

_IDLE_S = 0.05

Value = TypeVar("Value")


class TileKey(NamedTuple):
    """One tile of a pyramid."""

    level: int
    column: int
    row: int


class Pyramid(NamedTuple):
    """The levels of one image of `width` x `height` pixels."""

    width: int
    height: int

    @property
    def num_bytes(self) -> int:
        """Bytes of the whole image's pixels."""
        return 3 * self.width * self.height

    @property
    def last_level(self) -> int:
        """Level of the whole image at full size."""
        return math.ceil(math.log2(max(self.width, self.height, 1)))

    def factor(self, level: int) -> int:
        """Return how many pixels of the image make one of a level, along each axis."""
        return 1 << (self.last_level - level)

    def size(self, level: int) -> tuple[int, int]:
        """Return (width, height) of a level."""
        factor = self.factor(level)
        return math.ceil(self.width / factor), math.ceil(self.height / factor)

    def window(self, key: TileKey) -> Window:
        """Return what a tile shows, in pixels of its level.

        Raises:
            NoSuchPictureError: when there is no such tile.
        """
        if not 0 <= key.level <= self.last_level:
            raise NoSuchPictureError(f"no level {key.level}")
        width, height = self.size(key.level)
        left, top = key.column * TILE_SIDE, key.row * TILE_SIDE
        if not (0 <= left < width and 0 <= top < height):
            raise NoSuchPictureError(f"no tile {key.column}, {key.row} on level {key.level}")
        x, y = max(0, left - TILE_OVERLAP), max(0, top - TILE_OVERLAP)
        right, bottom = left + TILE_SIDE + TILE_OVERLAP, top + TILE_SIDE + TILE_OVERLAP
        return Window(x, y, min(width, right) - x, min(height, bottom) - y)

    def keys(self, level: int) -> Iterator[TileKey]:
        """Yield the tiles of a level, row by row."""
        width, height = self.size(level)
        for row in range(math.ceil(height / TILE_SIDE)):
            for column in range(math.ceil(width / TILE_SIDE)):
                yield TileKey(level, column, row)


class _Overview(NamedTuple):
    """One image reduced by `overview_factor`."""

    pyramid: Pyramid
    pixels: Pixels


class ByteCache(Generic[Value]):
    """Keeps what was used last, up to a number of bytes; safe to use from many threads.

    Args:
        max_bytes: in all; one value that is larger alone is kept until the next one comes.
        size: returns the bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self._max_bytes, self._size = max_bytes, size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()
        self.num_bytes = 0

    def get(self, key: Hashable) -> Value | None:
        """Return a value and remember that it was used; None when it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, and drop those that were not used for longest."""
        with self._lock:
            if key in self._values:
                self.num_bytes -= self._size(self._values.pop(key))
            self._values[key] = value
            self.num_bytes += self._size(value)
            while self.num_bytes > self._max_bytes and len(self._values) > 1:
                self.num_bytes -= self._size(self._values.popitem(last=False)[1])


class _ClosedError(RuntimeError):
    """The pictures were closed while somebody still waited."""


class _Budget:
    """A number of bytes that work takes before it begins; what is larger than all of it goes alone."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._taken = max_bytes, 0
        self._changed = threading.Condition()

    def take(self, num_bytes: int) -> None:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + num_bytes <= self._max_bytes)
            self._taken += num_bytes

    def give_back(self, num_bytes: int) -> None:
        """Make room for others."""
        with self._changed:
            self._taken -= num_bytes
            self._changed.notify_all()


class _Urgent:
    """Counts the work that somebody waits for, as a context; other work waits until little of it is left.

    What waits itself, for memory, must not be counted: it waits for the other work.
    """

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()
        self._spare = max(0, (os.cpu_count() or 1) - NUM_CUTTERS)

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until there are processors that nothing urgent needs."""
        with self._changed:
            self._changed.wait_for(lambda: self._count <= self._spare)


class _Details:
    """The finest levels of one image: pixels until every tile is cut, then the encoded tiles alone."""

    def __init__(self, pyramid: Pyramid, pixels: Pixels) -> None:
        self.pyramid = pyramid
        self._pixels: Pixels | None = pixels
        self._tiles: dict[TileKey, bytes] = {}

    @property
    def num_bytes(self) -> int:
        """Bytes of the encoded tiles."""
        return sum(map(len, self._tiles.values()))

    def tile(self, key: TileKey) -> bytes:
        """Return one tile; may be called while `cut` works."""
        pixels = self._pixels
        if key not in self._tiles and pixels is not None:
            window = self.pyramid.window(key)
            self._tiles[key] = encoded(reduced(pixels, window, self.pyramid.factor(key.level)))
        return self._tiles[key]

    def cut(self, give_way: Callable[[], None]) -> None:
        """Make every tile and drop the pixels; `give_way` is called before each tile."""
        for level in range(self.pyramid.last_level, -1, -1):
            if self.pyramid.factor(level) < overview_factor(self.pyramid):
                for key in self.pyramid.keys(level):
                    give_way()
                    self.tile(key)
        self._pixels = None


class ShardPictures:
    """The pyramids of a data set's images, as `annotation.review.pictures.Pictures`.

    Args:
        names: of all images.
        load: returns an image's encoded bytes by its name.
        cache_bytes: of encoded tiles that are kept.
    """

    def __init__(self, names: Iterable[str], load: Callable[[str], bytes], *, cache_bytes: int = CACHE_BYTES) -> None:
        self._names = {picture_key(name): name for name in names}
        self._load = load
        self._overviews = Once(
            self._read_overview, ByteCache[_Overview](OVERVIEW_BYTES, lambda found: found.pixels.nbytes)
        )
        self._details = Once(
            self._read_details, ByteCache[_Details](cache_bytes, lambda details: details.num_bytes), finish=self._cut
        )
        self._budget, self._urgent = _Budget(PIXEL_BYTES), _Urgent()
        self._wishes: deque[str] = deque(maxlen=MAX_PREPARED)
        self._wishing = threading.Lock()
        self._preparer = ThreadPoolExecutor(1)
        self._is_closing = False

    def tile(self, key: str, level: int, column: int, row: int) -> bytes:
        """Return one tile as JPEG; see `Pictures.tile`."""
        if key not in self._names:
            raise NoSuchPictureError(f"no image {key}")
        wanted = TileKey(level, column, row)
        pyramid, overview = self._overviews.get(key)
        window = pyramid.window(wanted)
        factor = pyramid.factor(level) // overview_factor(pyramid)
        details = None if factor else self._details.get(key)
        with self._urgent:
            return encoded(reduced(overview, window, factor)) if details is None else details.tile(wanted)

    def prepare(self, key: str) -> None:
        """Make the tiles of an image when nobody waits for anything; see `Pictures.prepare`."""
        with self._wishing:
            if key in self._names and key not in self._wishes:
                self._wishes.append(key)
                self._preparer.submit(self._prepare_one)

    @property
    def is_cutting(self) -> bool:
        """True while fine tiles of an image are being made."""
        return self._details.is_busy

    def close(self) -> None:
        """End the threads; who still waits for an image gets an error."""
        self._is_closing = True
        self._preparer.shutdown()
        self._overviews.close()
        self._details.close()

    def _prepare_one(self) -> None:
        self._give_way()
        with self._wishing:
            key = self._wishes.popleft() if self._wishes else None
        if key is None:  # its wish was pushed out by a later one
            return
        pyramid, _ = self._overviews.get(key)
        while self.is_cutting and not self._is_closing:
            time.sleep(_IDLE_S)
        self._give_way()
        if overview_factor(pyramid) > 1:
            self._details.get(key)

    def _give_way(self) -> None:
        """Wait while somebody waits for something else."""
        self._urgent.wait()
        self._stop_when_closing()

    def _stop_when_closing(self) -> None:
        if self._is_closing:
            raise _ClosedError("the pictures were closed")

    def _read_overview(self, key: str) -> _Overview:
        self._stop_when_closing()
        with self._urgent:
            data = self._load(self._names[key])
            pyramid = _pyramid(data)
            return _Overview(pyramid, _decoded(data, overview_factor(pyramid)))

    def _read_details(self, key: str) -> _Details:
        self._stop_when_closing()
        data = self._load(self._names[key])
        pyramid = _pyramid(data)
        self._budget.take(pyramid.num_bytes)
        try:
            with self._urgent:
                return _Details(pyramid, _decoded(data, 1))
        except BaseException:
            self._budget.give_back(pyramid.num_bytes)
            raise

    def _cut(self, details: _Details) -> None:
        try:
            details.cut(self._give_way)
        finally:
            self._budget.give_back(details.pyramid.num_bytes)


class Once(Generic[Value]):
    """Makes values by key, each once however many threads ask for it at the same time.

    A value is handed out as soon as it is made; other threads then finish it, and only after that it is kept.

    Args:
        make: returns the value of a key.
        cache: keeps what is finished.
        finish: does what is left to do on a value.
    """

    def __init__(
        self, make: Callable[[str], Value], cache: ByteCache[Value], *, finish: Callable[[Value], None] | None = None
    ) -> None:
        self._make, self._cache, self._finish = make, cache, finish
        self._makers, self._finishers = ThreadPoolExecutor(NUM_DECODERS), ThreadPoolExecutor(NUM_CUTTERS)
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Value]] = {}

    @property
    def is_busy(self) -> bool:
        """True while a value is being made or finished."""
        return bool(self._under_way)

    def get(self, key: str) -> Value:
        """Return the value of a key, made now unless it is kept."""
        with self._lock:
            if (found := self._cache.get(key)) is not None:
                return found
            future = self._under_way.get(key)
            if future is None:
                future = self._under_way[key] = Future()
                self._makers.submit(self._work, key, future)
        return future.result()

    def _work(self, key: str, future: Future[Value]) -> None:
        try:
            value = self._make(key)
        except BaseException as error:  # noqa: BLE001  all who wait are told, whatever it is
            self._forget(key)
            future.set_exception(error)
        else:
            future.set_result(value)
            self._finishers.submit(self._complete, key, value)

    def _complete(self, key: str, value: Value) -> None:
        try:
            if self._finish is not None:
                self._finish(value)
            self._cache.put(key, value)
        finally:
            self._forget(key)

    def _forget(self, key: str) -> None:
        with self._lock:
            del self._under_way[key]

    def close(self) -> None:
        """Wait for what is under way."""
        self._makers.shutdown()
        self._finishers.shutdown()


def _pyramid(data: bytes) -> Pyramid:
    header = read_header(data)
    return Pyramid(header.width, header.height)


def _decoded(data: bytes, factor: int) -> Pixels:
    """Return the pixels of an encoded image, reduced by `factor`, sizes rounded up."""
    if factor == 1:
        return decode_image(data)
    pyramid = _pyramid(data)
    size = ImageSize(height=pyramid.height // factor, width=pyramid.width // factor)
    return decode_image(data, at_least=size)


def overview_factor(pyramid: Pyramid) -> int:
    """Return by how much the overview is reduced: not at all where the whole image is small."""
    return OVERVIEW_FACTOR if max(pyramid.width, pyramid.height) > OVERVIEW_FACTOR * TILE_SIDE // 2 else 1


def reduced(pixels: Pixels, window: Window, factor: int) -> Pixels:
    """Return a window, given in pixels of the level, of an image that is `factor` times as large."""
    left, top = window.x * factor, window.y * factor
    cut = pixels[top : top + window.height * factor, left : left + window.width * factor]
    if factor == 1:
        return cut
    return np.asarray(Image.fromarray(np.ascontiguousarray(cut)).reduce(factor))


def encoded(pixels: Pixels) -> bytes:
    """Return pixels as the JPEG that a page is sent."""
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorsubsampling="444")
    return data
