"""Everything that reads an encoded image sees the same pixels, and says when it cannot: one table for all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsvqa.annotation.images import ImageError, Pixels, decode_image, read_header
from rsvqa.annotation.llm.crops import CropSettings, CropWindow, picture_of
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.benchmark.files.reply_store import ReplyKey
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.models import Prompt
from rsvqa.benchmark.run.loading import Loader, Request
from rsvqa.benchmark.run.plan import PlannedGroup
from rsvqa.benchmark.samples import ImageSource
from rsvqa.rsvqa_builder.annotating.items import TileImages
from rsvqa.rsvqa_builder.dataset.image_tables import IMAGES, EncodedImage, TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.shards import RowGroup
from rsvqa.rsvqa_builder.documents.preview_images import read_details, read_reduced
from rsvqa.rsvqa_builder.reviewing.images import Pyramid, ShardPictures
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.dedup import ExcludeError, pixel_digest, read_excluded
from tests.benchmark.make_prompts import make_sample
from tests.odd_images import BROKEN, HEIGHT, TABLE, WIDTH, BrokenImage, OddImage, encode
from tests.rsvqa_builder.make_records import make_record, make_tile

WHOLE = Window(0, 0, WIDTH, HEIGHT)
SHOWN_SLACK = 8
"""What encoding as JPEG for a page or a model may add."""


class Ledger:
    """Nothing is stored; failures are kept."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def find(self, key: ReplyKey, fingerprint: str) -> StoredReply | None:  # noqa: ARG002
        return None

    def keep(self, request: Request, reply: StoredReply) -> None:
        raise AssertionError(request, reply)

    def fail(self, request: Request, reason: str) -> None:  # noqa: ARG002
        self.failures.append(reason)


def by_train(data: bytes, folder: Path) -> Pixels | None:
    data_module = pytest.importorskip("rsvqa.model.data")
    path = folder / "shard.parquet"
    with TableWriter(path, table_schema({"image": IMAGES})) as writer:
        writer.write_row_group([{"image": [EncodedImage("a", data)]}])
    sample = data_module.TrainingSample(source="", group=RowGroup(path, 0), row=0, record=make_record(make_tile()))
    found = data_module.ImageCache(lambda pixels, **_: pixels).images_of(sample)
    return None if found is None else found[0]


def load_for_bench(data: bytes, folder: Path) -> tuple[Pixels | None, list[str]]:
    group = PlannedGroup(
        (ImageSource("a", lambda: data),), (Prompt(key="a", sample=make_sample(), text="?", max_new_tokens=1),)
    )
    ledger = Ledger()
    loaded = list(Loader([group], fingerprint="", ledger=ledger, shows_images=True, run=folder))
    return (loaded[0].images[0].rgb if loaded else None), ledger.failures


def by_bench(data: bytes, folder: Path) -> Pixels | None:
    return load_for_bench(data, folder)[0]


def by_annotate(data: bytes, _: Path) -> Pixels:
    tile: Any = SimpleNamespace(
        rows=SimpleNamespace(tile=SimpleNamespace(image_id="scene/0_0")), load_images=lambda: {"tile": data}
    )
    return TileImages().view(tile, "tile").load()


def by_crops(data: bytes, folder: Path) -> Pixels:
    frame = CropWindow(0, 0, WIDTH, HEIGHT)
    picture = picture_of(by_annotate(data, folder), frame, WIDTH, CropSettings(jpeg_quality=95))
    return decode_image(picture.data)


def by_review(data: bytes, _: Path) -> Pixels:
    pictures = ShardPictures(["a"], lambda _: data)
    try:
        return decode_image(pictures.tile(picture_key("a"), Pyramid(WIDTH, HEIGHT).last_level, 0, 0))
    finally:
        pictures.close()


def by_details(data: bytes, _: Path) -> Pixels:
    return read_details(data, [WHOLE], WIDTH)[0]


def by_preview(data: bytes, _: Path) -> Pixels:
    return read_reduced(data, WIDTH)


def by_processor(data: bytes, _: Path) -> Pixels:
    return pytest.importorskip("rsvqa.model.image_processing_geollava").read_pixels(data)  # type: ignore[no-any-return]


def by_processor_from_path(data: bytes, folder: Path) -> Pixels:
    (folder / "image").write_bytes(data)
    module = pytest.importorskip("rsvqa.model.image_processing_geollava")
    return module.read_pixels(folder / "image")  # type: ignore[no-any-return]


def by_processor_from_pillow(data: bytes, _: Path) -> Pixels:
    module = pytest.importorskip("rsvqa.model.image_processing_geollava")
    with Image.open(io.BytesIO(data)) as image:
        return module.read_pixels(image)  # type: ignore[no-any-return]


Reader = Callable[[bytes, Path], Pixels | None]
READERS: list[Reader] = [
    by_train,
    by_bench,
    by_annotate,
    by_details,
    by_preview,
    by_processor,
    by_processor_from_path,
    by_processor_from_pillow,
]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.name)
def test_pixels_are_the_same_for_all(odd: OddImage, read: Reader, tmp_path: Path) -> None:
    pixels = read(odd.data, tmp_path)
    assert pixels is not None
    assert pixels.shape == odd.pixels.shape
    assert np.abs(pixels.astype(int) - odd.pixels).max() <= odd.slack
    # not only close to what it should be, but the very pixels that everybody else sees
    assert (pixels == decode_image(odd.data)).all()


@pytest.mark.parametrize("show", [by_crops, by_review], ids=lambda show: show.__name__)
@pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.name)
def test_what_is_shown_is_what_is_read(odd: OddImage, show: Reader, tmp_path: Path) -> None:
    pixels = show(odd.data, tmp_path)
    assert pixels is not None
    assert pixels.shape == odd.pixels.shape
    difference = np.abs(pixels.astype(int) - odd.pixels)
    if odd.name == "png-1-bit" or "palette" in odd.name:
        assert difference.mean() <= SHOWN_SLACK  # JPEG blurs edges
    else:
        assert difference.max() <= odd.slack + SHOWN_SLACK


@pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.name)
def test_an_image_to_exclude_has_the_digest_of_its_pixels(odd: OddImage, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(odd.data)  # the bytes tell, not the name
    excluded = read_excluded([str(tmp_path)], tile_sizes={read_header(odd.data).size})
    assert list(excluded.by_pixels) == [pixel_digest(decode_image(odd.data))]
    assert (excluded.num_images, excluded.unreadable) == (1, {})


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_nobody_sees_anything_in_a_broken_image(broken: BrokenImage, tmp_path: Path) -> None:
    assert by_train(broken.data, tmp_path) is None  # reported as unreadable, without a label
    pixels, failures = load_for_bench(broken.data, tmp_path)
    assert pixels is None
    assert [failure[:7] for failure in failures] == ["image: "]
    for read in (by_review, by_details, by_preview):
        with pytest.raises(ImageError, match=broken.reason):
            read(broken.data, tmp_path)
    with pytest.raises(ImageError, match=f"scene/0_0: image 'tile': .*({broken.reason})"):
        by_annotate(broken.data, tmp_path)
    with pytest.raises(ValueError, match=r"cannot be read as an image|32 bits"):
        by_processor(broken.data, tmp_path)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_image_to_exclude_is_counted_and_named(broken: BrokenImage, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(broken.data)
    with pytest.raises(ExcludeError, match=rf"cannot decode .*broken\.tif: .*({broken.reason}).*nor any other"):
        read_excluded([str(tmp_path)])
    (tmp_path / "flat.png").write_bytes(encode(np.full((20, 20, 3), 90, np.uint8), "PNG"))
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3)).astype(np.uint8)
    (tmp_path / "good.png").write_bytes(encode(noise, "PNG"))
    excluded = read_excluded([str(tmp_path)])
    assert list(excluded.by_look.values()) == [str(tmp_path / "good.png")]
    assert excluded.num_images == 3
    assert list(excluded.unreadable) == [str(tmp_path / "broken.tif")]
    assert excluded.without_contrast == (str(tmp_path / "flat.png"),)
