"""Damaged real files: each is refused with its reason, or is good enough to be used, and none is rendered as grey."""

from __future__ import annotations

import re

import pytest

from rsvqa.rsvqa_builder.scenes.rendering import choose_stretch, open_raster, read_tile
from rsvqa.rsvqa_builder.scenes.scene import SceneError, describe_scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_rasters import find_data

CUT = r"the file is cut short: \d+ of \d+ blocks lie beyond its end"
SMALL = "too small"
NOT_OPENED = "cannot be opened: "

REASONS = {
    "corrupt.tif": CUT,
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": "damaged data in rows .*: Fax4Decode",
    "crash-0e16d3bfb83be87356d026d66919deaefca44dac.tif": CUT,
    "crash-1152ec2d1a1a71395b6f2ce6721c38924d025bf3.tif": CUT,
    "crash-1185209cf7655b5aed8ae5e77784dfdd18ab59e9.tif": CUT,
    "crash-2020-10-test.tif": SMALL,
    "crash-338516dbd2f0e83caddb8ce256c22db3bd6dc40f.tif": CUT,
    "crash-63b1dffefc8c075ddc606c0a2f5fdc15ece78863.tif": SMALL,
    "crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif": "damaged data in rows .*: Fax4Decode",
    "crash-86214e58da443d2b80820cff9677a38a33dcbbca.tif": CUT,
    "crash-f46f5b2f43c370fe65706c11449f567ecc345e74.tif": CUT,
    "oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": NOT_OPENED + "TIFFReadDirectory:Failed to read directory",
    "seek_too_large.tif": NOT_OPENED + "TIFFReadDirectory:Failed to read directory",
    "t_cog_cut.tif": CUT,
    "t_empty.tif": NOT_OPENED + "not recognized",
    "t_header_only.tif": NOT_OPENED + "TIFFReadDirectory:Failed to read directory",
    "t_html_error.tif": NOT_OPENED + "not recognized",
    "t_jpeg_cut.jpg": "cannot read rows .*Premature end of JPEG file",
    "t_last_kb_missing.tif": NOT_OPENED + "TIFFReadDirectory:IO error",
    "t_magic_only.tif": NOT_OPENED + ".*Cannot read TIFF header",
    "tiff_wrong_bits_per_sample_2.tiff": SMALL,
}
"""Why each file cannot be a scene (pattern)."""

USABLE = {
    # a small icon whose directory states wrong byte counts; its plain samples are all there
    "tiff_wrong_bits_per_sample.tiff": (53, 52, 3),
    # a fax page that only numbers its pages wrongly
    "total-pages-zero.tif": (2156, 1728, 3),
}
"""(height, width, 3) of what is malformed in ways that do not touch the pixels."""


def test_the_table_knows_every_file() -> None:
    found = {path.name for path in find_data("corrupt").iterdir()}
    assert found == {*REASONS, *USABLE}


@pytest.mark.parametrize("name", REASONS)
def test_a_damaged_file_is_refused_with_its_reason(name: str) -> None:
    path = find_data("corrupt") / name
    with pytest.raises(SceneError) as raised:
        choose_stretch(describe_scene(str(path), name), "percentile")
    assert re.search(REASONS[name], str(raised.value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", USABLE)
def test_a_file_with_sound_pixels_is_used(name: str) -> None:
    scene = describe_scene(str(find_data("corrupt") / name), name)
    stretch = choose_stretch(scene, "percentile")
    with open_raster(scene.path) as dataset:
        tile = read_tile(dataset, scene, stretch, Window(0, 0, scene.width, scene.height))
    assert tile.rgb.shape == USABLE[name]
    assert tile.rgb.std() > 10
