"""The directory of a TIFF read by hand, against headers made by hand and against GDAL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rasterio

from rsvqa.rsvqa_builder.scenes.tiff_header import read_tiff_header
from tests.rsvqa_builder.make_rasters import make_pixels, make_tiff_bytes, write_raster


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
def test_both_byte_orders_and_bigtiff_are_read(tmp_path: Path, byte_order: str, is_big: bool) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(make_tiff_bytes(width=65535, height=900, bands=65535, byte_order=byte_order, is_big=is_big))
    header = read_tiff_header(str(path))
    assert header is not None
    assert (header.width, header.height, header.num_bands, header.bits) == (65535, 900, 65535, 8)
    # 65535 px × 900 px × 65535 bands × 1 byte
    assert header.declared_bytes == 65535 * 900 * 65535
    assert header.block_shape == (900, 65535)
    assert header.offsets.tolist() == [8]
    assert header.byte_counts.tolist() == [100]


@pytest.mark.parametrize(
    ("profile", "block_shape"),
    [
        ({"blockysize": 7}, (7, 50)),
        ({"blockysize": 60, "compress": "deflate"}, (60, 50)),
        ({"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "lzw"}, (32, 16)),
        ({"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": "band", "BIGTIFF": "YES"}, (16, 16)),
        ({"blockysize": 5, "ENDIANNESS": "BIG"}, (5, 50)),
    ],
)
def test_gdal_and_the_header_agree_on_every_block(
    tmp_path: Path, profile: dict[str, Any], block_shape: tuple[int, int]
) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(3, 60, 50), **profile)
    header = read_tiff_header(str(path))
    assert header is not None
    assert header.block_shape == block_shape
    assert header.count_cut_blocks() == 0
    assert header.missing_blocks() is None
    down, across = header.grid_shape
    with rasterio.open(path) as dataset:
        sizes = [
            int(dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band))
            for band in (dataset.indexes if header.is_planar else [1])
            for y in range(down)
            for x in range(across)
        ]
    assert header.byte_counts.tolist() == sizes


def test_blocks_beyond_the_end_are_counted(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", make_pixels(1, 64, 64), blockysize=16, compress="deflate")
    whole = read_tiff_header(str(path))
    assert whole is not None
    # cut within the third of four strips: the third is damaged and the fourth is gone
    with path.open("r+b") as file:
        file.truncate(int(whole.offsets[2]) + 5)
    cut = read_tiff_header(str(path))
    assert cut is not None
    assert cut.count_cut_blocks() == 2


def test_blocks_that_are_not_stored_are_found(tmp_path: Path) -> None:
    pixels = make_pixels(1, 32, 48)
    pixels[0, 16:, 16:32] = 0
    path = write_raster(
        tmp_path / "a.tif", pixels, tiled=True, blockxsize=16, blockysize=16, compress="deflate", SPARSE_OK="TRUE"
    )
    header = read_tiff_header(str(path))
    assert header is not None
    missing = header.missing_blocks()
    assert missing is not None
    assert missing.tolist() == [[False, False, False], [False, True, False]]


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0", b"<html></html>", b"II*\0\xff\xff\xff\xff"])
def test_what_is_no_tiff_is_left_to_gdal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert read_tiff_header(str(path)) is None
