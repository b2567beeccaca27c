"""Which images of a benchmark were trained on: compared with a training set, by bytes and by look.

By the same means a build keeps a benchmark's images out (`rsvqa_builder/tiles/dedup.py`). Rotated images and other
crops are not found. An image without contrast has no look; it is found by its bytes and its pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rsvqa.annotation.images import ImageError, ImageSize, decode_image
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.run_record import Contamination, SeenImage
from rsvqa.benchmark.samples import Sample
from rsvqa.rsvqa_builder.tiles.dedup import (
    ExcludeError,
    ImagePrint,
    decode_for_look,
    file_digest,
    find_excluded,
    find_excluded_files,
    look_of,
    pixel_digest,
    read_excluded,
)


def find_trained_on(samples: Sequence[Sample], trained_on: Sequence[str]) -> Contamination:
    """Return which images of the samples are among those of a training set, each read and decoded once.

    Args:
        samples: all that are asked.
        trained_on: folders of images, data sets, parquet or arrow files.

    Raises:
        BenchmarkDataError: the training set cannot be read, or holds no image.
    """
    try:
        find_excluded_files(trained_on)  # what is not there is told before anything is decoded
        prints, plain_sizes = _prints_of(samples)
        known = read_excluded(trained_on, tile_sizes=plain_sizes)
    except ExcludeError as error:
        raise BenchmarkDataError(str(error).replace("`exclude`", "`trained_on`")) from error
    found = find_excluded([[one] for _, one in prints], known)
    reasons = {prints[number][0]: why for number, why in found.items()}
    first = {image.key: sample.sample_id for sample in reversed(samples) for image in sample.images}
    return Contamination(
        trained_on=tuple(trained_on),
        num_trained_on=known.num_images,
        num_unreadable=len(known.unreadable),
        unreadable=next(iter(known.unreadable), ""),
        num_images=len(prints),
        num_plain=sum(one.look is None for _, one in prints),
        num_questions=sum(any(image.key in reasons for image in sample.images) for sample in samples),
        by=dict(Counter(why.criterion.value for why in reasons.values()).most_common()),
        seen=tuple(
            SeenImage(question=first[key], image=why.image, by=why.criterion.value) for key, why in reasons.items()
        ),
    )


def _prints_of(samples: Sequence[Sample]) -> tuple[list[tuple[str, ImagePrint]], set[ImageSize]]:
    """Return what to know each readable image by, with its key, and the sizes of those without contrast."""
    images = {image.key: image for sample in samples for image in sample.images}
    prints: list[tuple[str, ImagePrint]] = []
    plain_sizes: set[ImageSize] = set()
    for key, image in images.items():
        try:
            encoded = image.read()
            look = look_of(decode_for_look(encoded))
            pixels: tuple[str, ...] = ()
            if look is None:
                whole = decode_image(encoded)
                plain_sizes.add(ImageSize(*whole.shape[:2]))
                pixels = (pixel_digest(whole),)
        except (ImageError, OSError):
            continue  # the run tells of it when it asks
        prints.append((key, ImagePrint(encoded=file_digest(encoded), pixels=pixels, look=look)))
    return prints, plain_sizes
