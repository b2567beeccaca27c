"""Tiles that repeat each other, and tiles that are in another image set (a benchmark).

Four criteria, the exact ones first. Bytes: the encoded images are the same. Pixels: the decoded ones are, whatever the
format; both find any image again, also one without contrast. Part: one is a crop of the other, or they overlap, pixel
for pixel (see `anchors.py`). Look: the fine structure of the two correlates. That finds
copies that were compressed, resized, brightened or cropped by a few pixels, not rotated ones or other crops.

A look is a grey image of 24 × 24 cells. Each cell is compared with its neighbourhood and weighed by the contrast there,
so that neither slow light over a scene nor one strong edge (a coast, a nodata collar) makes two images alike. Where
most cells are like their neighbours (calm sea, night) there is no look. A difference hash of 16 × 16 cells sees the
light first: it took every two tiles of noise under one light for the same, and missed most copies of plain fields.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.images import ImageError, ImageSize, Pixels, decode_image, read_header
from rsvqa.rsvqa_builder.files import hash_file
from rsvqa.rsvqa_builder.tiles.anchors import Anchors, find_anchors

LOOK_FORM = 2
"""Of what is stored of a tile to compare it; a tile that was done under another one is done again."""

MIN_CORRELATION = 0.85
"""Of looks that are of one image. Made-up copies (JPEG of quality 60 and better, 0.5 to 2 times the size, 4 of 512 px
cropped) reach 0.92 wherever there is more to see than noise; towns whose street grids happen to fit each other 0.75."""

_SIDE = 24
"""Cells per side. The product of two looks is at most 24² · 127², below 2²⁴: exact in float32, so in any order."""
LOOK_CELLS = _SIDE * _SIDE
_RADIUS = 2
"""Of a cell's neighbourhood, cells."""
_MIN_CONTRAST = 0.3
"""Grey levels between a cell and its neighbourhood; below, rounding and compression decide."""
_MIN_TEXTURED = 0.4
"""Share of the cells that must have contrast. Two edges of a collar over a calm sea make 0.3, sparse fields 0.5."""
_EVEN_OUT = 0.3
"""Of the whole look's contrast, added to that of each neighbourhood, so that flat parts stay flat."""
_QUANTUM = 32
"""Of a look's standard deviation; values beyond ± 4 of them are cut off."""
_SHRUNK_PX = 256
"""Of the shorter side, when an image is first averaged in whole squares, which is fast."""
_ENOUGH_PX = 2_048
"""Of the shorter side of a JPEG of which only the look is needed."""
_STRIP_PIXELS = 1 << 20
"""Pixels that are averaged at once."""
_BLOCK = 2_048
"""Looks that are compared with as many others at once."""
_WORTH_A_SEARCH = 1_000_000
"""Pairs of looks from which on it is worth to look for the directions that tell most of them apart."""
_LEARNT, _TRIED = 4_096, 512
"""Looks that directions are learnt from, and on which they are tried, at most."""
_STEP = 8
"""Directions more or less that are tried."""
_WHOLE = 40_000
"""Directions that take as long as it takes to compare a pair of looks whole."""
_ROUNDING = 1e-4
"""More than rounding may take from a bound in float32."""

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
_TABLE_SUFFIXES = {".parquet", ".arrow"}


class ExcludeError(RsvqaError):
    """The image set to exclude cannot be read."""

    exit_code = 2


class Criterion(StrEnum):
    """By what an excluded image is known again, the surest first."""

    BYTES = "bytes"
    PIXELS = "pixels"
    PART = "part"
    LOOK = "look"


class Exclusion(NamedTuple):
    """Why a tile is kept out: the name of the excluded image, and by what it was known again."""

    image: str
    criterion: Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrint:
    """What is kept of an image to know it again.

    Attributes:
        encoded: digest of the encoded bytes; empty where nothing can be equal to the image.
        pixels: digests of the pixels: of a tile as its scene has them, and as its encoded image does.
        part_of: name of an excluded image that it shares pixels with.
        look: see `look_of`; None without contrast.
    """

    encoded: str = ""
    pixels: tuple[str, ...] = ()
    part_of: str | None = None
    look: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedImages:
    """What tiles are compared with; names are those of the images.

    Attributes:
        by_bytes: digest of the encoded bytes → name.
        by_pixels: digest of the pixels → name, of images of a tile's size.
        anchors: names with the anchors of what is not compressed as JPEG.
        by_look: look → name.
        byte_counts: lengths of the encoded images.
        sizes: of images that are as large as some tile.
        num_images: all that were found, also those that cannot be compared.
        unreadable: name → reason, of images that cannot be decoded: only equal bytes are found again.
        without_contrast: names of images that have no look: only equal bytes and pixels are found again.
    """

    by_bytes: Mapping[str, str] = field(default_factory=dict)
    by_pixels: Mapping[str, str] = field(default_factory=dict)
    anchors: Sequence[tuple[str, Anchors]] = ()
    by_look: Mapping[str, str] = field(default_factory=dict)
    byte_counts: frozenset[int] = frozenset()
    sizes: frozenset[ImageSize] = frozenset()
    num_images: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    without_contrast: Sequence[str] = ()


class Alike(NamedTuple):
    """Two tiles of (nearly) the same content; `correlation` is that of their looks, 1 for identical content."""

    first: int
    second: int
    correlation: float


def content_digest(encoded: Sequence[bytes]) -> str:
    """Return the SHA-256 of a tile's encoded images, as hex."""
    digest = hashlib.sha256()
    for image in encoded:
        digest.update(len(image).to_bytes(8, "little"))
        digest.update(image)
    return digest.hexdigest()


def file_digest(encoded: bytes) -> str:
    """Return the SHA-256 of an encoded image, as hex."""
    return hashlib.sha256(encoded).hexdigest()


def pixel_digest(pixels: Pixels) -> str:
    """Return the SHA-256 of an (H, W, 3) image's size and pixels, as hex."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def look_of(pixels: Pixels) -> str | None:
    """Return the fine structure of an (H, W, 3) image as 24 × 24 signed bytes in base 64, or None without contrast."""
    cells = _cells(pixels)
    fine = cells - _mean_around(cells, reflect_type="odd")  # odd: a slope goes on beyond the edge
    if np.count_nonzero(np.abs(fine) >= _MIN_CONTRAST) < _MIN_TEXTURED * fine.size:
        return None
    around = np.sqrt(_mean_around(fine * fine, reflect_type="even"))
    evened = fine / (around + _EVEN_OUT * fine.std())
    values = np.clip(np.rint(evened / evened.std() * _QUANTUM), -127, 127).astype(np.int8)
    return base64.b64encode(values.tobytes()).decode("ascii")


def looks_of(looks: Sequence[str | None]) -> NDArray[np.int8]:
    """Return looks as `look_of` gives them in rows of numbers; a row of zeros where there is none."""
    rows = np.zeros((len(looks), LOOK_CELLS), np.int8)
    there = [place for place, look in enumerate(looks) if look is not None]
    rows[there] = np.frombuffer(base64.b64decode("".join(looks[place] or "" for place in there)), np.int8).reshape(
        -1, LOOK_CELLS
    )
    return rows


def find_alike(digests: Sequence[str], looks: NDArray[np.int8]) -> list[Alike]:
    """Return pairs of tiles with identical content or looks that correlate, by first and second tile.

    Each of several identical tiles is paired with the first only.

    Args:
        digests: of the contents.
        looks: see `looks_of`.
    """
    first_of: dict[str, int] = {}
    found = [
        Alike(first, index, 1.0)
        for index, key in enumerate(digests)
        if (first := first_of.setdefault(key, index)) < index
    ]
    is_compared: NDArray[np.bool_] = np.any(looks, axis=1)
    is_compared[[pair.second for pair in found]] = False
    indices = np.flatnonzero(is_compared).tolist()
    values = looks[is_compared]
    found.extend(
        Alike(indices[first], indices[second], correlation)
        for first, second, correlation in _correlated(values, values, is_symmetric=True)
    )
    return sorted(found)


def find_excluded(prints: Sequence[Collection[ImagePrint]], excluded: ExcludedImages) -> dict[int, Exclusion]:
    """Return, by index of the tile, the excluded image that one of its images is; the surest criterion counts.

    Args:
        prints: of the images of each tile.
        excluded: what to compare with.
    """
    found: dict[int, Exclusion] = {}
    looks: list[tuple[int, str]] = []
    for index, images in enumerate(prints):
        for image in images:
            if exact := _find_equal(image, excluded):
                found[index] = min(exact, found.get(index, exact), key=lambda why: list(Criterion).index(why.criterion))
        looks += [(index, image.look) for image in images if image.look is not None and index not in found]
    names = list(excluded.by_look.values())
    best: dict[int, tuple[float, str]] = {}
    pairs = _correlated(looks_of([look for _, look in looks]), looks_of(list(excluded.by_look)))
    for tile, image_index, correlation in pairs:
        index = looks[tile][0]
        if correlation > best.get(index, (0.0, ""))[0]:
            best[index] = (correlation, names[image_index])
    found |= {index: Exclusion(name, Criterion.LOOK) for index, (_, name) in best.items()}
    return dict(sorted(found.items()))


def _find_equal(image: ImagePrint, excluded: ExcludedImages) -> Exclusion | None:
    if name := excluded.by_bytes.get(image.encoded):
        return Exclusion(name, Criterion.BYTES)
    names = [excluded.by_pixels[digest] for digest in image.pixels if digest in excluded.by_pixels]
    if names:
        return Exclusion(names[0], Criterion.PIXELS)
    return Exclusion(image.part_of, Criterion.PART) if image.part_of else None


def find_same_file(path: Path, excluded: ExcludedImages) -> str | None:
    """Return the name of the excluded image of the same bytes as a file; read only where one has its length."""
    if not path.is_file() or path.stat().st_size not in excluded.byte_counts:
        return None
    return excluded.by_bytes.get(hash_file(path))


def find_excluded_files(sources: Sequence[str]) -> list[Path]:
    """Return the files that `read_excluded` reads, by name only.

    Raises:
        ExcludeError: when a source is not there, holds no such file, or is of no known kind.
    """
    found: list[Path] = []
    for source in sources:
        files = _files_of(Path(source))
        if not files:
            raise _no_image(source)
        found += files
    return found


def _no_image(source: str) -> ExcludeError:
    return ExcludeError(f"`exclude` {source}: no image found; expected a folder of images, or parquet or arrow files")


def read_excluded(sources: Sequence[str], *, tile_sizes: Collection[ImageSize] = ()) -> ExcludedImages:
    """Return what to know every image in folders of images, parquet shards or arrow files by.

    Nothing of an image is kept but its digests, its anchors and its look.

    Args:
        sources: folders and files.
        tile_sizes: sizes that a tile may have; images of another size have no digest of their pixels.

    Raises:
        ExcludeError: when a source is not there, holds no image, or none that can be decoded.
    """
    found = _Collected()
    for source in sources:
        num_before, num_unreadable = found.num_images, len(found.unreadable)
        for name, encoded in _iter_images(Path(source)):
            found.add(name, encoded, tile_sizes)
        num_new = found.num_images - num_before
        if not num_new:
            raise _no_image(source)
        if len(found.unreadable) - num_unreadable == num_new:
            name = next(reversed(found.unreadable))
            raise ExcludeError(
                f"`exclude` {source}: cannot decode {name}: {found.unreadable[name]}; nor any other image"
            )
    return ExcludedImages(
        by_bytes=found.by_bytes,
        by_pixels=found.by_pixels,
        anchors=tuple(found.anchors),
        by_look=found.by_look,
        byte_counts=frozenset(found.byte_counts),
        sizes=frozenset(found.sizes),
        num_images=found.num_images,
        unreadable=found.unreadable,
        without_contrast=tuple(found.without_contrast),
    )


class _Collected:
    """The excluded images so far; of equal ones the first gives the name."""

    def __init__(self) -> None:
        self.by_bytes: dict[str, str] = {}
        self.by_pixels: dict[str, str] = {}
        self.anchors: list[tuple[str, Anchors]] = []
        self.by_look: dict[str, str] = {}
        self.byte_counts: set[int] = set()
        self.sizes: set[ImageSize] = set()
        self.num_images = 0
        self.unreadable: dict[str, str] = {}
        self.without_contrast: list[str] = []

    def add(self, name: str, encoded: bytes, tile_sizes: Collection[ImageSize]) -> None:
        self.num_images += 1
        self.by_bytes.setdefault(file_digest(encoded), name)
        self.byte_counts.add(len(encoded))
        try:
            header = read_header(encoded)
            pixels = decode_image(encoded) if header.size in tile_sizes else decode_for_look(encoded)
        except ImageError as error:
            self.unreadable.setdefault(name, str(error))
            return
        if header.size in tile_sizes:
            self.sizes.add(header.size)
            self.by_pixels.setdefault(pixel_digest(pixels), name)
        if header.suffix != ".jpg":  # a crop that was compressed shares no pixel
            self.anchors.append((name, find_anchors(pixels)))
        look = look_of(pixels)
        if look is None:
            self.without_contrast.append(name)
        else:
            self.by_look.setdefault(look, name)


def _files_of(source: Path) -> list[Path]:
    known = _IMAGE_SUFFIXES | _TABLE_SUFFIXES
    if source.is_dir():
        return [file for file in sorted(source.rglob("*")) if file.suffix.lower() in known]
    if not source.is_file():
        raise ExcludeError(f"`exclude` {source}: no such file or folder")
    if source.suffix.lower() not in known:
        raise ExcludeError(f"`exclude` {source}: not a folder, image, parquet or arrow file")
    return [source]


def _iter_images(source: Path) -> Iterator[tuple[str, bytes]]:
    from rsvqa.rsvqa_builder.dataset.shards import iter_images  # pyarrow takes a while to import

    for file in _files_of(source):
        if file.suffix.lower() in _IMAGE_SUFFIXES:
            yield str(file), file.read_bytes()
        else:
            for name, encoded in iter_images(file):
                yield f"{file}: {name}", encoded


def decode_for_look(encoded: bytes) -> Pixels:
    """Return an image's pixels; of a large JPEG a half, a quarter or an eighth, which libjpeg decodes fastest."""
    header = read_header(encoded)
    if header.suffix != ".jpg":
        return decode_image(encoded)
    factor = next((f for f in (8, 4, 2) if min(header.size) // f >= _ENOUGH_PX), 1)
    return decode_image(encoded, at_least=ImageSize(*(math.ceil(side / factor) for side in header.size)))


def _cells(pixels: Pixels) -> NDArray[np.float64]:
    """Return the mean grey of 24 × 24 cells."""
    height, width = pixels.shape[:2]
    factor = max(1, min(height, width) // _SHRUNK_PX)
    # By strips: Pillow's copy of a whole tile takes four bytes a pixel, and more time.
    rows = max(1, _STRIP_PIXELS // width // factor) * factor
    strips = [Image.fromarray(pixels[top : top + rows]).reduce(factor) for top in range(0, height, rows)]
    shrunk = np.concatenate([np.asarray(strip, dtype=np.float32) for strip in strips])
    grey = shrunk @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 luma
    cells = Image.fromarray(grey).resize(
        (_SIDE, _SIDE), Image.Resampling.BOX, box=(0, 0, width / factor, height / factor)
    )
    return np.asarray(cells, dtype=np.float64)


def _mean_around(cells: NDArray[np.float64], *, reflect_type: Literal["even", "odd"]) -> NDArray[np.float64]:
    """Return the mean of each cell's neighbourhood, summed in one order on every machine."""
    padded = np.pad(cells, _RADIUS, mode="reflect", reflect_type=reflect_type)
    steps = range(2 * _RADIUS + 1)
    total = np.zeros_like(cells)
    for y in steps:
        for x in steps:
            total += padded[y : y + _SIDE, x : x + _SIDE]
    return total / len(steps) ** 2


def _correlated(
    first: NDArray[np.int8], second: NDArray[np.int8], *, is_symmetric: bool = False
) -> Iterator[tuple[int, int, float]]:
    """Yield (index, index, correlation) of looks that are of one image.

    All pairs are bounded by what of them lies along some directions, and the length of the rest: no two rests correlate
    more than lengths allow. Few of looks that differ come near enough to be compared whole.

    Args:
        first: looks.
        second: others.
        is_symmetric: both are the same, and each pair is wanted once, the smaller index first.
    """
    norms, other_norms = _norms(first), _norms(second)
    directions = _directions(first, second)
    bounds = _bounding(first, norms, directions)
    other_bounds = bounds if is_symmetric else _bounding(second, other_norms, directions)
    for top in range(0, len(first), _BLOCK):
        for left in range(top if is_symmetric else 0, len(second), _BLOCK):
            most = bounds[top : top + _BLOCK] @ other_bounds[left : left + _BLOCK].T
            places = np.flatnonzero(most.ravel() >= MIN_CORRELATION - _ROUNDING)
            rows, columns = np.divmod(places, most.shape[1])
            for start in range(0, len(rows), _BLOCK):
                of_first, of_second = rows[start : start + _BLOCK] + top, columns[start : start + _BLOCK] + left
                products = np.einsum("ij,ij->i", first[of_first], second[of_second], dtype=np.float32)
                correlation = products / (norms[of_first] * other_norms[of_second])
                is_found = correlation >= MIN_CORRELATION
                if is_symmetric:
                    is_found &= of_first < of_second
                for number in np.flatnonzero(is_found):
                    yield int(of_first[number]), int(of_second[number]), float(correlation[number])


def _norms(looks: NDArray[np.int8]) -> NDArray[np.float64]:
    squares = np.einsum("ij,ij->i", looks, looks, dtype=np.float32)  # whole numbers below 2²⁴: exact
    norms: NDArray[np.float64] = np.sqrt(squares, dtype=np.float64)
    return norms


def _directions(first: NDArray[np.int8], second: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return orthonormal directions, in columns, along which all looks are compared: any do, these are the fastest.

    They are those along which looks reach farthest, as some of them show, and as many of them as take the least time.
    Looks of real scenes need half as many as noise does.
    """
    if len(first) * len(second) < _WORTH_A_SEARCH:
        return np.eye(LOOK_CELLS)
    learnt, tried = (np.concatenate([_some(looks, start) for looks in (first, second)]) for start in (0, 1))
    directions: NDArray[np.float64] = np.linalg.eigh(learnt.T @ learnt)[1][:, ::-1]
    along = tried[:: -(-len(tried) // _TRIED)] @ directions  # of others: along what they show, some reach too far
    times = {}
    for num in range(_STEP, LOOK_CELLS // 2, _STEP):
        rest = np.sqrt(np.maximum(1 - np.square(along[:, :num]).sum(axis=1), 0))
        most = along[:, :num] @ along[:, :num].T + np.outer(rest, rest)
        times[num] = num + _WHOLE * float(np.mean(most >= MIN_CORRELATION))
    return directions[:, : min(times, key=times.__getitem__)]


def _some(looks: NDArray[np.int8], start: int) -> NDArray[np.float64]:
    """Return evenly spaced looks, of length 1; none is among those of another start."""
    some = looks[start :: 2 * -(-len(looks) // (2 * _LEARNT))].astype(np.float64)
    return np.asarray(some / np.linalg.norm(some, axis=1, keepdims=True))


def _bounding(
    looks: NDArray[np.int8], norms: NDArray[np.float64], directions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return vectors whose products are at least the correlations of looks: along some directions, and of the rest."""
    bounding = np.empty((len(looks), directions.shape[1] + 1), np.float32)
    for start in range(0, len(looks), _BLOCK):
        part = slice(start, start + _BLOCK)
        along = looks[part] @ directions / norms[part, None]
        bounding[part, :-1] = along
        bounding[part, -1] = np.sqrt(np.maximum(1 - np.square(along).sum(axis=1), 0))
    return bounding
