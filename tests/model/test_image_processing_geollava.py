"""Cells are what Pillow would give, whatever the size, the source and the memory at hand."""

from __future__ import annotations

import base64
import io
import json
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from hypothesis import given, settings
from hypothesis import strategies as st

import rsvqa.model.image_processing_geollava as image_processing
from rsvqa.model.image_processing_geollava import (
    GeoLlavaImageProcessor,
    Pixels,
    best_grid,
    cut_cells,
    cut_cells_on_device,
    place,
    read_pixels,
    resize_bicubic,
    resize_bicubic_on_device,
)

MEAN, STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])


def make_pixels(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(pixels: Pixels, kind: str, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **kwargs)
    return buffer.getvalue()


def claiming(side: int, kind: str) -> bytes:
    """Return an image whose header says that it is so large."""
    data = bytearray(encode(make_pixels(4, 4), kind))
    match kind:
        case "JPEG":
            start = data.index(b"\xff\xc0") + 5  # of the frame's height
            data[start : start + 4] = 2 * side.to_bytes(2)
        case "PNG":
            data[16:24] = 2 * side.to_bytes(4)
            data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
        case "BMP":
            data[18:26] = 2 * side.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        # 336 px cells. Both grids of two cells or more show all of it; 1 × 1 shows all of it and wastes least.
        ((336, 336), (1, 1)),
        ((300, 200), (1, 1)),
        # One pixel more than a cell: 1 × 1 would show 336 · 334 of 337 · 335 pixels, 2 × 1 all of them, and 1 × 2 too
        # few, as its height is 336.
        ((337, 335), (2, 1)),
        ((10, 3000), (1, 9)),  # 3,000 / 336 = 8.9 columns
        # Longer than the longest canvas by more than its height: on each grid less than a pixel of the height is left.
        ((1, 10_000), (1, 24)),
        ((10_000, 1), (24, 1)),
        ((1, 1), (1, 1)),
        ((8064, 8064), (24, 24)),
        ((20_000, 20_000), (24, 24)),  # larger than the largest canvas: scaled down
        ((2000, 4000), (6, 12)),  # 5.95 rows, 11.9 columns
    ],
)
def test_the_grid_shows_most_and_wastes_least(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert best_grid(*size, cell_size=336, max_grid=24) == grid


def test_a_limit_of_cells_is_kept_and_ties_go_as_the_released_list_does() -> None:
    # Two cells for a square: 1 column × 2 rows and 2 columns × 1 row are equals; the list has the column first.
    assert best_grid(700, 700, cell_size=336, max_grid=24, max_cells=2) == (1, 1)
    assert best_grid(700, 701, cell_size=336, max_grid=24, max_cells=4) == (2, 2)


def test_the_released_lists_begin_with_two_cells() -> None:
    # LongVA's and GeoLLaVA-8K's lists leave out 1 x 1. Of the grids of two cells, one column stands first.
    assert best_grid(336, 336, cell_size=336, max_grid=24, min_cells=2) == (2, 1)
    assert best_grid(200, 600, cell_size=336, max_grid=24, min_cells=2) == (1, 2)
    assert best_grid(2000, 4000, cell_size=336, max_grid=24, min_cells=2) == (6, 12)
    grids = GeoLlavaImageProcessor(cell_size=28, min_cells=2)(make_pixels(28, 28))["image_grid_thw"]
    assert grids.tolist() == [[1, 2, 1]]
    with pytest.raises(ValueError, match="no grid of at most 1 cells a side has 2 to 1 cells"):
        best_grid(28, 28, cell_size=28, max_grid=1, min_cells=2)


def test_colours_may_stand_before_the_rows() -> None:
    pixels = make_pixels(5, 7)
    planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    assert np.array_equal(read_pixels(planes), pixels)
    assert np.array_equal(read_pixels(planes.numpy()), pixels)
    narrow = make_pixels(3, 3)  # both could be meant: rows first, as everywhere else
    assert np.array_equal(read_pixels(narrow), narrow)
    three_rows = make_pixels(3, 9)
    assert np.array_equal(read_pixels(three_rows), three_rows)


def test_an_image_lies_in_the_middle_of_its_canvas() -> None:
    # 100 × 60 on 3 × 2 cells of 28: the canvas is 84 × 56, the scale min(84 / 100, 56 / 60) = 0.84 along the height;
    # the width becomes ⌈60 · 0.84⌉ = ⌈50.4⌉ = 51, with (56 − 51) // 2 = 2 black columns on the left.
    placement, size = place(100, 60, (3, 2), 28)
    assert size == (84, 51)
    assert (placement.offset_y, placement.offset_x) == (0, 2)
    assert (placement.scale_y, placement.scale_x) == (0.84, 0.85)
    assert placement.box_to_canvas((10, 20, 30, 40)) == pytest.approx((10.5, 16.8, 27.5, 33.6))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 8), st.integers(1, 8))
def test_boxes_go_to_the_canvas_and_back(height: int, width: int, rows: int, columns: int) -> None:
    placement, size = place(height, width, (rows, columns), 28)
    box = (0.0, 0.0, width, height)
    on_canvas = placement.box_to_canvas(box)
    assert placement.box_to_image(on_canvas) == pytest.approx(box)
    assert on_canvas[0] >= 0
    assert on_canvas[2] <= columns * 28 + 1e-6
    assert on_canvas[3] - on_canvas[1] == pytest.approx(size[0])


@pytest.mark.parametrize("strip_pixels", [1, 500, 10**9])
@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90))
def test_resizing_in_strips_gives_the_bytes_of_pillow(
    strip_pixels: int, height: int, width: int, new_height: int, new_width: int
) -> None:
    pixels = make_pixels(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_processing, "ROW_STRIP_PIXELS", strip_pixels)
        patch.setattr(image_processing, "COLUMN_STRIP_PIXELS", strip_pixels)
        resized = resize_bicubic(pixels, new_height, new_width)
        in_place = resize_bicubic(pixels.copy(), new_height, new_width, may_overwrite=True)
    expected = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized, np.asarray(expected))
    np.testing.assert_array_equal(in_place, np.asarray(expected))
    np.testing.assert_array_equal(pixels, make_pixels(height, width))


def cells_by_pillow(pixels: Pixels, grid: tuple[int, int], cell_size: int) -> np.ndarray:
    """Return the cells by Pillow's resize, paste and crop."""
    image = Image.fromarray(pixels)
    canvas = Image.new("RGB", (grid[1] * cell_size, grid[0] * cell_size))
    placement, (new_height, new_width) = place(*pixels.shape[:2], grid, cell_size)
    resized = image.resize((new_width, new_height), Image.Resampling.BICUBIC)
    canvas.paste(resized, (placement.offset_x, placement.offset_y))
    cells = []
    for top in range(0, canvas.height, cell_size):
        for left in range(0, canvas.width, cell_size):
            cell = np.asarray(canvas.crop((left, top, left + cell_size, top + cell_size)))
            cells.append(cell.transpose(2, 0, 1))
    return np.stack(cells)


@pytest.mark.parametrize("strip_pixels", [500, 10**9])
@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.booleans())
def test_a_device_sums_the_integers_of_pillow(
    strip_pixels: int, height: int, width: int, new_height: int, new_width: int, is_harsh: bool
) -> None:
    pixels = make_pixels(height, width)
    if is_harsh:  # black and white overshoot, and are cut off at both ends
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    expected = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(image_processing, "DEVICE_STRIP_PIXELS", strip_pixels)
        got = resize_bicubic_on_device(torch.from_numpy(pixels), new_height, new_width)
    np.testing.assert_array_equal(got.numpy(), np.asarray(expected))


@pytest.mark.parametrize("size", [(28, 28), (50, 90), (100, 60), (7, 113), (1, 1)])
def test_cells_are_cut_on_a_device_as_here(size: tuple[int, int]) -> None:
    grid = best_grid(*size, cell_size=28, max_grid=4)
    placement, new_size = place(*size, grid, 28)
    pixels = make_pixels(*new_size)
    cells = cut_cells_on_device(torch.from_numpy(pixels), placement, 28)
    assert cells.is_contiguous()
    assert torch.equal(cells, cut_cells(pixels, placement, 28))


def test_the_device_is_of_a_machine_and_not_saved(tmp_path: Path) -> None:
    processor = GeoLlavaImageProcessor(cell_size=28)
    processor.device = "cpu"
    processor.save_pretrained(tmp_path)
    assert "device" not in json.loads((tmp_path / "preprocessor_config.json").read_text())
    image = make_pixels(60, 60)
    assert torch.equal(processor(image)["pixel_values"], processor(image, device="cpu")["pixel_values"])
    assert processor(image, device="meta")["pixel_values"].device.type == "meta"  # it is done there


@pytest.mark.parametrize("size", [(28, 28), (50, 90), (100, 60), (7, 113), (400, 300), (1, 1)])
def test_cells_are_those_of_pillow(size: tuple[int, int]) -> None:
    pixels = make_pixels(*size)
    outputs = GeoLlavaImageProcessor(cell_size=28, max_grid=4, do_normalize=False)(pixels)
    grid = tuple(outputs["image_grid_thw"][0].tolist())[1:]
    expected = cells_by_pillow(pixels, grid, 28)
    assert outputs["pixel_values"].dtype == torch.uint8
    np.testing.assert_array_equal(outputs["pixel_values"].numpy(), expected)
    normalised = GeoLlavaImageProcessor(cell_size=28, max_grid=4)(pixels)["pixel_values"]
    assert normalised.dtype == torch.float32
    by_hand = (expected / 255 - MEAN[:, None, None]) / STD[:, None, None]  # in float64
    np.testing.assert_allclose(normalised.numpy(), by_hand, atol=1e-5)


def test_cells_are_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_processing, "ROW_STRIP_PIXELS", 2000)
    monkeypatch.setattr(image_processing, "COLUMN_STRIP_PIXELS", 2000)
    data = encode(make_pixels(301, 260), "PNG")
    found = []
    for number in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        found.append(GeoLlavaImageProcessor(cell_size=28, max_grid=9)(data)["pixel_values"])
    assert torch.equal(*found)


def test_a_processor_saved_before_goes_on_to_normalise(tmp_path: Path) -> None:
    old: dict[str, Any] = {"cell_size": 28, "max_grid": 4, "min_cells": 1, "image_mean": [0.5, 0.5, 0.5]}
    old |= {"image_std": [0.25, 0.5, 1.0], "image_processor_type": "GeoLlavaImageProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    white = np.full((28, 28, 3), 255, np.uint8)
    (cell,) = GeoLlavaImageProcessor.from_pretrained(tmp_path)(white)["pixel_values"]
    # (1 − 0.5) / 0.25, / 0.5 and / 1
    assert cell[:, 0, 0].tolist() == [2.0, 1.0, 0.5]


def test_a_processor_that_leaves_it_to_the_model_is_saved_so(tmp_path: Path) -> None:
    GeoLlavaImageProcessor(cell_size=28, do_normalize=False).save_pretrained(tmp_path)
    again = GeoLlavaImageProcessor.from_pretrained(tmp_path)
    assert again(make_pixels(28, 28))["pixel_values"].dtype == torch.uint8
    with pytest.raises(ValueError, match="the model normalises, by image_mean and image_std of its config"):
        GeoLlavaImageProcessor(image_mean=[0.5, 0.5, 0.5], do_normalize=False)


def test_every_kind_of_source_gives_the_same_cells(tmp_path: Path) -> None:
    processor = GeoLlavaImageProcessor(cell_size=28, max_grid=4)
    pixels = make_pixels(50, 90)
    path = tmp_path / "tile.png"
    path.write_bytes(encode(pixels, "PNG"))
    sources = [pixels, Image.fromarray(pixels), encode(pixels, "PNG"), str(path), path]
    outputs = processor([sources[:2], sources[2:]])  # nested, as prompts with several images are
    assert outputs["image_grid_thw"].tolist() == [[1, 2, 4]] * 5
    for cells in outputs["pixel_values"].split(8)[1:]:
        assert torch.equal(cells, outputs["pixel_values"][:8])


def test_jpeg_is_decoded_by_either_decoder_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(make_pixels(64, 48), "JPEG", quality=90, subsampling=0)
    fast = read_pixels(data).astype(int)
    monkeypatch.setattr(image_processing, "simplejpeg", None)
    assert np.abs(read_pixels(data).astype(int) - fast).max() <= 2  # two builds of the same decoder


@pytest.mark.parametrize("cut", [0, 100])
def test_a_pil_image_whose_file_is_cut_is_named_with_its_place(cut: int) -> None:
    data = encode(make_pixels(64, 64), "JPEG")
    images = [Image.open(io.BytesIO(data[: len(data) - cut])), Image.open(io.BytesIO(data))]
    if cut:
        with pytest.raises(ValueError, match=r"^image 1 of 2: the PIL image given cannot be read: image file is trunc"):
            GeoLlavaImageProcessor(cell_size=28)(images)
    else:
        assert len(GeoLlavaImageProcessor(cell_size=28)(images)["image_grid_thw"]) == 2


def test_a_data_url_may_be_broken_into_lines_and_its_scheme_in_capitals() -> None:
    pixels = make_pixels(50, 90)
    lines = base64.encodebytes(encode(pixels, "PNG")).decode()
    assert lines.count("\n") > 2
    for head in ("data:image/png;base64,", "DATA:image/png;charset=utf-8;base64,\n"):
        assert np.array_equal(read_pixels(head + lines), pixels)


def test_a_kind_of_jpeg_that_simplejpeg_does_not_know_is_left_to_pillow() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 6), (0, 0, 0, 0)).save(buffer, "JPEG")
    assert read_pixels(buffer.getvalue()).shape == (6, 8, 3)


def test_images_beyond_the_guard_of_pillow_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encode(make_pixels(40, 40), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_pixels(data).shape == (40, 40, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 of shape \(4, 4\); expected uint8 \(height, width, 3\)"),
        (np.zeros((4, 4, 3), np.float32), "is float32 of shape"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ("https://example.org/a.png", "https://example.org/a.png is not fetched; expected a path"),
        ("file:///data/a.png", "file:///data/a.png is not fetched; expected a path"),
        ("iVBO" * 2000, r"^'(iVBO){20}…' cannot be read as a file: File name too long; base64 is read as a data URL"),
        ("iVBORw0KGgo=", "'iVBORw0KGgo=' cannot be read as a file: No such file or directory; base64 is read as a"),
        ("", "'' cannot be read as a file: Is a directory"),
        ("a\0b.png", "cannot be read as a file: embedded null byte"),
        (
            torch.zeros((4, 4, 3), dtype=torch.uint8, device="meta"),
            r"a tensor of torch.uint8 .* on meta, of shape \(4,",
        ),
        (torch.zeros((4, 4, 3), dtype=torch.uint8).to_sparse(), r"\(torch.sparse_coo\) on cpu"),
        (None, "an image is of type NoneType; expected a path, encoded bytes, a data URL"),
        ({"bytes": b"", "path": None}, "an image is of type dict; expected a path"),
        (torch.zeros((3, 5, 7), requires_grad=True), r"of torch.float32 .* of shape \(3, 5, 7\); expected uint8"),
        (torch.zeros((3, 5, 7), dtype=torch.bfloat16), r"of torch.bfloat16 .* of shape \(3, 5, 7\); expected uint8"),
        (np.ma.masked_equal(make_pixels(5, 7), 0), "a masked array, whose masked pixels have no colour"),
        ("data:image/png;base64,%%", r"the data URL given \(data:image/png…\) is not base64"),
        ("data:image/png,abc", "the data URL given cannot be read as an image"),
        (
            b"no image",
            "the bytes given cannot be read as an image: expected JPEG, .* found bytes that begin with 6e 6f",
        ),
        (b"", "the bytes given cannot be read as an image: expected JPEG, .* found bytes that begin with nothing"),
        (claiming(65_500, "JPEG"), "65500 x 65500 px are more than 400000000 px"),
        (claiming(2**31 - 1, "PNG"), "2147483647 x 2147483647 px are more than 400000000 px"),
        (claiming(100_000, "BMP"), "100000 x 100000 px are more than 400000000 px"),
        (encode(make_pixels(64, 64), "JPEG")[:900], "cannot be read as an image"),
    ],
)
def test_what_is_no_image_is_named(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeoLlavaImageProcessor(cell_size=28)(image)


def test_which_of_several_images_is_wrong_is_named() -> None:
    good = make_pixels(5, 7)
    with pytest.raises(ValueError, match=r"^image 2 of 3: the bytes given cannot be read as an image"):
        GeoLlavaImageProcessor(cell_size=28)([good, [b"no image", good]])


def test_settings_of_a_call_override_and_unknown_ones_are_named() -> None:
    processor = GeoLlavaImageProcessor(cell_size=28, max_grid=4)
    assert processor(make_pixels(100, 100), max_cells=4)["image_grid_thw"].tolist() == [[1, 2, 2]]
    assert processor(make_pixels(100, 100))["image_grid_thw"].tolist() == [[1, 4, 4]]
    with pytest.raises(ValueError, match=r"unknown image settings \['max_cell'\]; known are"):
        processor(make_pixels(4, 4), max_cell=4)
    for name, value in {"max_cells": 2.5, "max_grid": 0, "cell_size": "28", "min_cells": None}.items():
        with pytest.raises(ValueError, match=f"{name} is {value!r}; expected a whole number, 1 or more"):
            processor(make_pixels(4, 4), **{name: value})
    assert processor(make_pixels(100, 100), max_cells=np.int64(4))["image_grid_thw"].tolist() == [[1, 2, 2]]
    with pytest.raises(ValueError, match="expected at least one image"):
        processor([])
    with pytest.raises(ValueError, match="cell_size is 0"):
        GeoLlavaImageProcessor(cell_size=0)


def test_an_image_that_was_cut_before_stands_for_itself() -> None:
    processor = GeoLlavaImageProcessor(cell_size=28, max_grid=4, do_normalize=False)
    pixels = make_pixels(50, 90)
    cut = processor.cut(pixels)
    assert np.array_equal(pixels, make_pixels(50, 90))
    outputs, expected = (processor([image, make_pixels(9, 9)], return_placements=True) for image in (cut, pixels))
    assert torch.equal(outputs["pixel_values"], expected["pixel_values"])
    assert outputs["image_grid_thw"].tolist() == expected["image_grid_thw"].tolist() == [[1, 2, 4], [1, 1, 1]]
    assert outputs["image_placements"] == expected["image_placements"]
    with pytest.raises(ValueError, match=r"an image is cut already; \['max_cells'\] would change nothing"):
        processor(cut, max_cells=2)
    with pytest.raises(ValueError, match=r"unknown image settings \['max_cell'\]"):
        processor.cut(pixels, max_cell=2)
