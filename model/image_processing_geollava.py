"""An image of any size → cells of one size, and where its pixels went.

The image is resized (aspect kept, bicubic), centred on black on the best grid of cells, and cut row by row. Images may
be PIL images, uint8 arrays or tensors (height, width, 3) or (3, height, width), encoded bytes, or paths.

What surprises: Pillow's own resize of a large image makes two more copies of it. Here the two passes that it consists
of are asked for one at a time, in strips, over the image where it was decoded here, which gives the same bytes. The
strips go to as many threads as torch has (`torch.set_num_threads`; one in the workers of a DataLoader). On a GPU
Pillow's arithmetic is done anew, in the same integers. JPEG is decoded by simplejpeg where that is installed, straight
into an array. A checkpoint carries this file, so it cannot import the decoder of rsvqa; a test holds that both give the
same pixels.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from transformers import AutoImageProcessor
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.utils import logging

try:
    import simplejpeg
except ImportError:  # an optional accelerator
    simplejpeg = None

logger = logging.get_logger(__name__)

Pixels = npt.NDArray[np.uint8]
ROW_STRIP_PIXELS, COLUMN_STRIP_PIXELS = 2**18, 2**20
"""Pixels that are handed to Pillow at once: few, so that its copies stay in a cache; columns are gathered from rows."""
DEVICE_STRIP_PIXELS = 2**24
"""Pixels that a device works on at once; their sums take 12 bytes each."""
PRECISION_BITS = 22
"""Bits behind the point of Pillow's weights (`PRECISION_BITS` in its Resample.c)."""
JPEG_START = b"\xff\xd8\xff"
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
MAX_PIXELS = 400_000_000
"""Of an encoded image, as of all that rsvqa decodes; beyond this a file is damaged or hostile, and takes the memory."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DATA_URL = re.compile("data:", re.IGNORECASE)
_LONGEST_NAME = 80  # characters of what was given, in a message
_OTHER_SOURCES = "encoded bytes, a data URL, a PIL image, or an array or tensor of uint8"
_EXPECTED_ARRAY = "expected uint8 (height, width, 3) or (3, height, width), a PIL image, encoded bytes or a path"
_GRID_SETTINGS = ("max_grid", "max_cells", "min_cells")
CALL_SETTINGS = ("cell_size", *_GRID_SETTINGS, "device")
"""Settings of an image processor that a call may name."""

_PILLOW_LIMIT = threading.Lock()


class Placement(NamedTuple):
    """Where an image lies on its canvas of cells: `x_canvas = x · scale_x + offset_x`, in pixels."""

    height: int
    """Height of the image, pixels."""
    width: int
    canvas_height: int
    canvas_width: int
    scale_y: float
    scale_x: float
    offset_y: int
    offset_x: int

    def box_to_canvas(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return (x_min, y_min, x_max, y_max) of the image on the canvas."""
        x_min, y_min, x_max, y_max = box
        return (
            x_min * self.scale_x + self.offset_x,
            y_min * self.scale_y + self.offset_y,
            x_max * self.scale_x + self.offset_x,
            y_max * self.scale_y + self.offset_y,
        )

    def box_to_image(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return (x_min, y_min, x_max, y_max) of the canvas in the image; the inverse of `box_to_canvas`."""
        x_min, y_min, x_max, y_max = box
        return (
            (x_min - self.offset_x) / self.scale_x,
            (y_min - self.offset_y) / self.scale_y,
            (x_max - self.offset_x) / self.scale_x,
            (y_max - self.offset_y) / self.scale_y,
        )


@dataclass(frozen=True, slots=True)
class CutImage:
    """An image as its cells, [C, 3, S, S]; `grid` is their (rows, columns)."""

    cells: torch.Tensor
    grid: tuple[int, int]
    placement: Placement


@lru_cache(maxsize=4096)
def best_grid(
    height: int, width: int, *, cell_size: int, max_grid: int, max_cells: int | None = None, min_cells: int = 1
) -> tuple[int, int]:
    """Return the grid (rows, columns) that shows most of the image with the least empty area.

    The largest effective resolution wins: min(area after scaling to fit, area of the image); then the least area of
    the canvas that it leaves empty; then fewer columns, then fewer rows, as the released list of grids is ordered.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        cell_size: side of a cell, pixels.
        max_grid: most cells along a side.
        max_cells: most cells in all; None sets no limit.
        min_cells: fewest cells in all; the released lists begin with two, so their smallest image has two cells.

    Raises:
        ValueError: no grid has so few and so many cells.
    """
    best, best_effective, least_wasted = (0, 0), -1, 0
    for columns in range(1, max_grid + 1):
        for rows in range(1, max_grid + 1):
            if max_cells is not None and rows * columns > max_cells:
                break
            if rows * columns < min_cells:
                continue
            canvas_height, canvas_width = rows * cell_size, columns * cell_size
            scale = min(canvas_width / width, canvas_height / height)
            # a side of less than a pixel shows one all the same, see `place`: a line goes on the longest grid
            effective = min(max(int(width * scale), 1) * max(int(height * scale), 1), width * height)
            wasted = canvas_width * canvas_height - effective
            if effective > best_effective or (effective == best_effective and wasted < least_wasted):
                best, best_effective, least_wasted = (rows, columns), effective, wasted
    if best == (0, 0):
        most = max_grid**2 if max_cells is None else max_cells
        raise ValueError(f"no grid of at most {max_grid} cells a side has {min_cells} to {most} cells")
    return best


def place(height: int, width: int, grid: tuple[int, int], cell_size: int) -> tuple[Placement, tuple[int, int]]:
    """Return where an image lies on the canvas of a grid, and its size there (height, width) in pixels."""
    canvas_height, canvas_width = grid[0] * cell_size, grid[1] * cell_size
    scale_x, scale_y = canvas_width / width, canvas_height / height
    if scale_x < scale_y:
        new_height, new_width = min(math.ceil(height * scale_x), canvas_height), canvas_width
    else:
        new_height, new_width = canvas_height, min(math.ceil(width * scale_y), canvas_width)
    placement = Placement(
        height,
        width,
        canvas_height,
        canvas_width,
        scale_y=new_height / height,
        scale_x=new_width / width,
        offset_y=(canvas_height - new_height) // 2,
        offset_x=(canvas_width - new_width) // 2,
    )
    return placement, (new_height, new_width)


def read_pixels(image: Any) -> Pixels:  # noqa: ANN401  many kinds
    """Return the pixels (height, width, 3) of a PIL image, an array, a tensor, encoded bytes, a path or a data URL.

    An array (3, height, width), as torchvision has it, is told by its first side; one that is 3 pixels wide as well
    is taken as (height, width, 3).

    Raises:
        ValueError: no image, an array of another shape or type, or an address on the net, which is not fetched.
    """
    if isinstance(image, str) and _DATA_URL.match(image):
        return _decode(_bytes_of(image), "the data URL given")
    if isinstance(image, str) and _ADDRESS.match(image):
        raise ValueError(f"{image} is not fetched; expected a path, {_OTHER_SOURCES}")
    if isinstance(image, str | Path):
        return _decode(_read(image), str(image))
    if isinstance(image, bytes):
        return _decode(image, "the bytes given")
    if isinstance(image, Image.Image):
        try:
            return _to_rgb(image)
        except OSError as error:  # a file is read when its pixels are asked for
            raise ValueError(f"the PIL image given cannot be read: {error}") from error
    if isinstance(image, np.ma.MaskedArray):
        raise ValueError('an image is a masked array, whose masked pixels have no colour; give "image.filled(0)"')
    if isinstance(image, torch.Tensor):
        if image.is_meta or image.layout != torch.strided or image.dtype != torch.uint8:
            raise ValueError(
                f"an image is a tensor of {image.dtype} ({image.layout}) on {image.device}, of shape "
                f"{tuple(image.shape)}; {_EXPECTED_ARRAY}"
            )
        pixels: npt.NDArray[Any] = image.detach().cpu().numpy()
    elif isinstance(image, np.ndarray):
        pixels = image
    else:
        raise ValueError(f"an image is of type {type(image).__name__}; expected a path, {_OTHER_SOURCES}")
    if pixels.ndim == 3 and pixels.shape[0] == 3 != pixels.shape[2]:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"an image is {image.dtype} of shape {tuple(image.shape)}; {_EXPECTED_ARRAY}")
    return pixels


def resize_bicubic(pixels: Pixels, height: int, width: int, *, may_overwrite: bool = False) -> Pixels:
    """Return the pixels resized as `PIL.Image.resize` would, byte for byte, in strips.

    Pillow resizes in two passes, one along rows and one along columns, with 8 bits between them. The first treats rows
    apart and the second columns, so either may be done in strips; which goes first changes the last bit.

    Args:
        pixels: (height, width, 3).
        height: wanted.
        width: wanted.
        may_overwrite: let a pass that shrinks write over its input, so that a large image is not held twice.
    """
    removed_rows, removed_columns = pixels.shape[0] - height, pixels.shape[1] - width
    if removed_rows > 2 * max(removed_columns, 0) and _pillow_may_begin_with_columns():
        pixels = _resize_along_columns(pixels, height, may_overwrite=may_overwrite)
        return _resize_along_rows(pixels, width, may_overwrite=may_overwrite)
    pixels = _resize_along_rows(pixels, width, may_overwrite=may_overwrite)
    return _resize_along_columns(pixels, height, may_overwrite=may_overwrite)


def _resize_along_rows(pixels: Pixels, width: int, *, may_overwrite: bool) -> Pixels:
    num_rows, old_width = pixels.shape[:2]
    if old_width == width:
        return pixels
    is_in_place = may_overwrite and width < old_width
    resized = pixels[:, :width] if is_in_place else np.empty((num_rows, width, 3), np.uint8)

    def resize(rows: slice) -> None:
        strip = Image.fromarray(np.ascontiguousarray(pixels[rows]))
        resized[rows] = np.asarray(strip.resize((width, strip.height), Image.Resampling.BICUBIC))

    _in_threads(resize, _strips(num_rows, max(old_width, width), ROW_STRIP_PIXELS))
    return resized


def _resize_along_columns(pixels: Pixels, height: int, *, may_overwrite: bool) -> Pixels:
    old_height, num_columns = pixels.shape[:2]
    if old_height == height:
        return pixels
    is_in_place = may_overwrite and height < old_height
    resized = pixels[:height] if is_in_place else np.empty((height, num_columns, 3), np.uint8)

    def resize(columns: slice) -> None:
        strip = Image.fromarray(np.ascontiguousarray(pixels[:, columns]))
        resized[:, columns] = np.asarray(strip.resize((strip.width, height), Image.Resampling.BICUBIC))

    _in_threads(resize, _strips(num_columns, max(old_height, height), COLUMN_STRIP_PIXELS))
    return resized


def resize_bicubic_on_device(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return pixels [H, W, 3] uint8 resized as by `resize_bicubic`, byte for byte, where they are."""
    removed_rows, removed_columns = pixels.shape[0] - height, pixels.shape[1] - width
    begins_with_columns = removed_rows > 2 * max(removed_columns, 0) and _pillow_may_begin_with_columns()
    for axis in (0, 1) if begins_with_columns else (1, 0):
        pixels = _resample(pixels, (height, width)[axis], axis)
    return pixels


def _resample(pixels: torch.Tensor, size: int, axis: int) -> torch.Tensor:
    """Return one pass of the resize, along an axis, in the integers that Pillow sums."""
    if pixels.shape[axis] == size:
        return pixels
    places, weights = (
        torch.from_numpy(part).to(pixels.device) for part in _bicubic_weights(pixels.shape[axis], size)
    )  # [K, size]
    shape = (size, pixels.shape[1]) if axis == 0 else (pixels.shape[0], size)
    resized = pixels.new_empty((*shape, 3))
    along = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    for lines in _strips(shape[0], max(pixels.shape[1], shape[1]), DEVICE_STRIP_PIXELS):
        sums = torch.full_like(resized[lines], 1 << (PRECISION_BITS - 1), dtype=torch.int32)  # half, to round
        for place, weight in zip(places, weights, strict=True):
            if axis == 0:
                taken, factor = pixels[place[lines]], weight[lines]
            else:
                taken, factor = pixels[lines].index_select(1, place), weight
            sums.addcmul_(taken.int(), factor.view(along))
        resized[lines] = (sums >> PRECISION_BITS).clamp_(0, 255).to(torch.uint8)
    return resized


@lru_cache(maxsize=8)
def _bicubic_weights(old_size: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return which pixels of a line make each of the new ones and with what weights, [K, size] each.

    Source: `precompute_coeffs`, `normalize_coeffs_8bpc` and `bicubic_filter` in Pillow's Resample.c, in the order of
    their operations, in float64.
    """
    scale = old_size / size
    filter_scale = max(scale, 1.0)  # an image that grows is sampled, not averaged
    support = 2.0 * filter_scale
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), old_size)
    taps = np.arange(math.ceil(support) * 2 + 1)[:, None]
    distance = np.abs((taps + first - centres + 0.5) * (1.0 / filter_scale))
    near = ((-0.5 + 2.0) * distance - (-0.5 + 3.0)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * -0.5
    weights = np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))
    weights[first + taps >= last] = 0.0
    total = np.zeros(size)
    for tap in weights:  # one after the other: another order rounds otherwise
        total += tap
    weights = np.divide(weights, total, out=weights, where=total != 0.0)
    whole = np.trunc(weights * (1 << PRECISION_BITS) + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    return np.minimum(first + taps, old_size - 1), whole


def _in_threads(work: Callable[[slice], None], strips: list[slice]) -> None:
    """Do some work on each strip; Pillow and numpy let other threads run meanwhile."""
    with ThreadPoolExecutor(max(1, min(len(strips), torch.get_num_threads()))) as threads:
        list(threads.map(work, strips))  # raises what a thread has raised


def cut_cells(pixels: Pixels, placement: Placement, cell_size: int) -> torch.Tensor:
    """Return the cells of a canvas row by row, uint8 [C, 3, S, S], black around the resized image that is put on it."""
    height, width = pixels.shape[:2]
    rows, columns = placement.canvas_height // cell_size, placement.canvas_width // cell_size
    cells = torch.empty((rows, columns, 3, cell_size, cell_size), dtype=torch.uint8)

    def cut(numbers: slice) -> None:
        for row in range(numbers.start, numbers.stop):
            strip = np.zeros((cell_size, columns, cell_size, 3), np.uint8)
            start = row * cell_size - placement.offset_y  # of the image that its first line shows
            shown = slice(max(start, 0), max(min(start + cell_size, height), 0))
            lines = strip.reshape(cell_size, -1, 3)[shown.start - start : shown.stop - start]
            lines[:, placement.offset_x : placement.offset_x + width] = pixels[shown]
            cells[row].numpy()[:] = strip.transpose(1, 3, 0, 2)

    _in_threads(cut, _strips(rows, 1, 1))
    return cells.flatten(0, 1)


def cut_cells_on_device(pixels: torch.Tensor, placement: Placement, cell_size: int) -> torch.Tensor:
    """Return what `cut_cells` does of pixels [H, W, 3] uint8, where they are."""
    height, width = pixels.shape[:2]
    canvas = pixels.new_zeros((placement.canvas_height, placement.canvas_width, 3))
    top, left = placement.offset_y, placement.offset_x
    canvas[top : top + height, left : left + width] = pixels
    rows = canvas.reshape(-1, cell_size, placement.canvas_width // cell_size, cell_size, 3)
    return rows.permute(0, 2, 4, 1, 3).flatten(0, 1).contiguous()  # of [rows, S, columns, S, 3]


@cache
def _pillow_may_begin_with_columns() -> bool:
    """Return whether this Pillow resizes along columns first when that takes away more than twice as many lines.

    Pillow 13 does (found by comparing both orders on thousands of sizes), older ones begin with rows. It is asked, not
    looked up, so that another build cannot be mistaken for either.
    """
    noise = np.random.default_rng(0).integers(0, 256, (96, 8, 3), dtype=np.uint8)
    rows_first = _resize_along_rows(noise, 24, may_overwrite=False)
    rows_first = _resize_along_columns(rows_first, 12, may_overwrite=False)
    whole = Image.fromarray(noise).resize((24, 12), Image.Resampling.BICUBIC)
    return not np.array_equal(rows_first, np.asarray(whole))


class GeoLlavaImageProcessor(BaseImageProcessor):
    """Images → `pixel_values` [C, 3, S, S] and `image_grid_thw` [I, 3] int64: 1, rows, columns of cells.

    With `do_normalize = False` the pixels stay uint8, and the model normalises them on its device by its configuration:
    a quarter of the memory, and less to do here. Otherwise they are normalised here, float32, as by the processors that
    earlier versions have saved, which do not name this setting.

    Attributes:
        cell_size: S, side of a cell, pixels; the tower's image size.
        max_grid: most cells along a side of an image.
        max_cells: most cells of an image, or None; a larger image is scaled down.
        min_cells: fewest cells of an image; 2 as released, where a small image is seen on two cells.
        do_normalize: whether pixels are normalised here.
        image_mean: of red, green, blue, of values from 0 to 1, CLIP's where none is given; None where the model knows.
        image_std: of the same.
        device: where images are resized and cut, and their cells are left, unless a call names another; None and "cpu"
            do it with threads here. It is not saved.
    """

    model_input_names = ("pixel_values", "image_grid_thw")

    def __init__(
        self,
        cell_size: int = 336,
        max_grid: int = 24,
        max_cells: int | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        min_cells: int = 1,
        do_normalize: bool = True,
        **kwargs: Any,  # noqa: ANN401  what transformers stores beside them
    ) -> None:
        super().__init__(**kwargs)
        _check_sizes(cell_size=cell_size, max_grid=max_grid, max_cells=max_cells, min_cells=min_cells)
        self.cell_size = cell_size
        self.max_grid = max_grid
        self.max_cells = max_cells
        self.min_cells = min_cells
        if not do_normalize and (image_mean or image_std):
            raise ValueError(
                "with do_normalize = False the model normalises, by image_mean and image_std of its config"
            )
        self.do_normalize = do_normalize
        self.image_mean = list(image_mean or OPENAI_CLIP_MEAN) if do_normalize else None
        self.image_std = list(image_std or OPENAI_CLIP_STD) if do_normalize else None
        for name, values in (("image_mean", self.image_mean), ("image_std", self.image_std)):
            if values is not None and (len(values) != 3 or (name == "image_std" and min(values) <= 0)):
                raise ValueError(f"{name} is {values}; expected three numbers, and above 0 where pixels are divided")
        self.device: torch.device | str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is saved: all but the device, which is of this machine."""
        return {name: value for name, value in super().to_dict().items() if name != "device"}

    def place(
        self,
        height: int,
        width: int,
        **settings: Any,  # noqa: ANN401
    ) -> tuple[tuple[int, int], Placement]:
        """Return the grid (rows, columns) of an image of this size in pixels, and where the image lies on it.

        Args:
            height: of the image.
            width: of the image.
            settings: overrides of this processor's settings.
        """
        chosen = {name: value for name, value in self._settings(settings).items() if name != "device"}
        grid = best_grid(height, width, **chosen)
        return grid, place(height, width, grid, chosen["cell_size"])[0]

    def preprocess(
        self,
        images: Any,  # noqa: ANN401  one or a (nested) list
        return_tensors: str | None = "pt",
        *,
        return_placements: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> BatchFeature:
        """Return `pixel_values` [C, 3, S, S], image after image, each row by row, and `image_grid_thw` [I, 3].

        Args:
            images: an image, or a list, which may be nested; see `read_pixels` and `cut`.
            return_tensors: "pt" or None (the same tensors).
            return_placements: add `image_placements`, a `Placement` an image (which the model does not take).
            kwargs: overrides of this processor's settings, `device` too.

        Raises:
            ValueError: an unknown setting, no image, or another kind of tensor.
        """
        if return_tensors not in ("pt", None):
            raise ValueError(f"return_tensors is {return_tensors!r}; this processor gives 'pt'")
        self._settings(kwargs)  # before anything is decoded
        flat = flatten_images(images)
        if not flat:
            raise ValueError("expected at least one image")
        if kwargs and any(isinstance(image, CutImage) for image in flat):
            raise ValueError(f"an image is cut already; {sorted(kwargs)} would change nothing: set them before")
        cut = [self._cut_one(flat, place, kwargs) for place in range(len(flat))]
        cells = [image.cells for image in cut]
        data: dict[str, Any] = {
            # a large image is not copied once more
            "pixel_values": cells[0] if len(cells) == 1 else torch.cat(cells),
            "image_grid_thw": torch.tensor([(1, *image.grid) for image in cut]),
        }
        if return_placements:
            data["image_placements"] = [image.placement for image in cut]
        return BatchFeature(data)

    def _cut_one(self, images: list[Any], place: int, settings: dict[str, Any]) -> CutImage:
        """Return one of some images as its cells; what is wrong with it is said with its place among them."""
        image = images[place]
        if isinstance(image, CutImage):
            return image
        try:
            return self.cut(image, **settings)
        except ValueError as error:
            if len(images) == 1:
                raise
            raise ValueError(f"image {place + 1} of {len(images)}: {error}") from error

    def _settings(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Return this processor's settings with the changes of a call."""
        settings = {name: getattr(self, name) for name in CALL_SETTINGS}
        if unknown := changes.keys() - settings.keys():
            raise ValueError(f"unknown image settings {sorted(unknown)}; known are {sorted(settings)}")
        _check_sizes(**{name: value for name, value in changes.items() if name != "device"})
        return settings | changes

    def cut(
        self,
        image: Any,  # noqa: ANN401
        *,
        may_overwrite: bool = False,
        **settings: Any,  # noqa: ANN401
    ) -> CutImage:
        """Return an image as its cells, which a call takes in its place: for images that are used more than once.

        Args:
            image: see `read_pixels`.
            may_overwrite: let an array be written over, which saves memory.
            settings: overrides of this processor's settings.
        """
        chosen = self._settings(settings)
        cell_size, max_cells, device = chosen["cell_size"], chosen.pop("max_cells"), chosen.pop("device")
        pixels = read_pixels(image)
        height, width = pixels.shape[:2]
        grid = best_grid(height, width, max_cells=max_cells, **chosen)
        if max_cells is not None and grid != best_grid(height, width, **chosen):
            logger.warning_once(f"images of more than {max_cells} cells (max_cells) are scaled down")
        placement, (new_height, new_width) = place(height, width, grid, cell_size)
        if device is None or torch.device(device).type == "cpu":
            is_free = (may_overwrite or isinstance(image, str | Path | bytes)) and pixels.flags.writeable
            resized = resize_bicubic(pixels, new_height, new_width, may_overwrite=is_free)
            cells = cut_cells(resized, placement, cell_size)
            del resized
        else:
            there = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).to(device)
            there = resize_bicubic_on_device(there, new_height, new_width)
            cells = cut_cells_on_device(there, placement, cell_size)
        if self.image_mean is None or self.image_std is None:
            return CutImage(cells, grid, placement)
        del pixels  # before the cells take four times their memory
        mean, std = (
            torch.tensor(values, device=cells.device)[:, None, None] for values in (self.image_mean, self.image_std)
        )
        return CutImage(cells.float().div_(255).sub_(mean).div_(std), grid, placement)


def _check_sizes(**sizes: Any) -> None:  # noqa: ANN401  what a file or a caller may hold
    """Refuse sizes that are no counts; `max_cells` may be None."""
    for name, value in sizes.items():
        if value is None and name == "max_cells":
            continue
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} is {value!r}; expected a whole number, 1 or more")


def flatten_images(images: Any) -> list[Any]:  # noqa: ANN401  one or a (nested) list
    """Return images in a flat list, in order."""
    if not isinstance(images, list | tuple):
        return [images]
    return [image for part in images for image in flatten_images(part)]


def _read(path: str | Path) -> bytes:
    """Return what is in a file."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # the latter of a zero byte
        name = str(path)
        shown = repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f'{shown} cannot be read as a file: {reason}; base64 is read as a data URL: "data:image/png;base64,…"'
        ) from error


def _bytes_of(url: str) -> bytes:
    """Return the bytes that a data URL holds ("data:image/png;base64,…", as OpenAI's messages have them)."""
    head, separator, text = url.partition(";base64,")
    try:
        return base64.b64decode("".join(text.split()) if separator else "", validate=True)  # lines may be broken
    except binascii.Error as error:
        raise ValueError(f"the data URL given ({head[:40]}…) is not base64: {error}") from error


def _decode(data: bytes, name: str) -> Pixels:
    """Return the pixels of an encoded image."""
    try:
        if simplejpeg is not None and data[:3] == JPEG_START:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
            # of CMYK releases make different colours; what is too large is refused below
            if colours not in ("CMYK", "YCCK") and height * width <= MAX_PIXELS:
                # an array of numpy's lies on huge pages, which the system hands out faster
                buffer = np.empty((height, width, 3), np.uint8)
                return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", buffer=buffer))
    except (ValueError, KeyError):
        pass  # arithmetic coding, a cut file: Pillow knows more kinds, and says what is wrong
    try:
        with _any_size(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.height * image.width > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} px are more than {MAX_PIXELS} px")
            image.load()
            return _to_rgb(image)
    except Exception as error:  # whatever a damaged file makes Pillow raise
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            begin = data[:8].hex(" ") or "nothing"
            reason = f"expected {', '.join(FORMATS)}, found bytes that begin with {begin}"
        raise ValueError(f"{name} cannot be read as an image: {reason}") from error


def _to_rgb(image: Image.Image) -> Pixels:
    """Return RGB: of 16 bits the upper byte, transparency dropped; an orientation in EXIF is not applied."""
    has_16_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")  # in older releases
    if has_16_bits:  # Pillow's own conversion cuts off at 255, and all is white
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError("an image has values of 32 bits; nothing says which is white, expected 8 or 16 bits a band")
    if "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]  # `convert` would warn that it drops it
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


@contextmanager
def _any_size() -> Iterator[None]:
    """Let Pillow open images beyond its guard of 89 million pixels, which large scenes exceed."""
    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _strips(size: int, other_size: int, num_pixels: int) -> list[slice]:
    """Return slices of `range(size)` that hold about `num_pixels` with the other side."""
    step = max(1, num_pixels // other_size)
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


GeoLlavaImageProcessor.register_for_auto_class(AutoImageProcessor)

__all__ = ["GeoLlavaImageProcessor", "Placement"]
