"""Which images of a benchmark were trained on: compared with a training set, by bytes and by look.

By the same means a build keeps a benchmark's images out (`rsvqa_builder/tiles/dedup.py`). Rotated images and other
crops are not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rsvqa.annotation.images import ImageError
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.run_record import Contamination, SeenImage
from rsvqa.benchmark.samples import Sample
from rsvqa.rsvqa_builder.tiles.dedup import (
    ExcludeError,
    ImagePrint,
    decode_for_look,
    file_digest,
    find_excluded,
    look_of,
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
        known = read_excluded(trained_on)
    except ExcludeError as error:
        raise BenchmarkDataError(str(error).replace("`exclude`", "`trained_on`")) from error
    images = {image.key: image for sample in samples for image in sample.images}
    prints: list[tuple[str, ImagePrint]] = []
    for key, image in images.items():
        try:
            encoded = image.read()
            look = look_of(decode_for_look(encoded))
        except (ImageError, OSError):
            continue  # the run tells of it when it asks
        prints.append((key, ImagePrint(encoded=file_digest(encoded), look=look)))
    found = find_excluded([[one] for _, one in prints], known)
    reasons = {prints[number][0]: why for number, why in found.items()}
    first = {image.key: sample.sample_id for sample in reversed(samples) for image in sample.images}
    return Contamination(
        trained_on=tuple(trained_on),
        num_trained_on=known.num_images,
        num_images=len(prints),
        num_questions=sum(any(image.key in reasons for image in sample.images) for sample in samples),
        by=dict(Counter(why.criterion.value for why in reasons.values()).most_common()),
        seen=tuple(
            SeenImage(question=first[key], image=why.image, by=why.criterion.value) for key, why in reasons.items()
        ),
    )
