"""What became of every label of every file of a scene: kept, repaired, left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_UNKNOWN_LISTED = 50
"""Different unknown names listed of one file; the rest is counted under one entry."""

OTHER_NAMES = "(other names)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one label file.

    Attributes:
        path: of the file.
        family: the reader ("vector", "coco", "mask", …); "" when none fits.
        num_read: labels that belong to this scene's image, parts of multi-part lines and points as labels of their own.
        num_kept: labels that went into the features. `num_read` is `num_kept` and all that is counted in `rejected`,
            `unknown_classes` (but for values of a mask, which are pixels) and `ignored`.
        num_uncertain: kept labels that are difficult, crowd, truncated, of low score or not single objects.
        num_other_image: labels of other images in the same file.
        num_of_no_image: labels in the file that name no image, or none that the file knows: they are nobody's, and the
            same number stands in the report of each scene that the file serves.
        rejected: labels left out, by reason.
        repaired: labels kept after a repair, by reason.
        unknown_classes: labels of classes that the class table does not know, by their source name.
        ignored: labels of classes that the class table ignores, by class.
        dropped_attributes: attribute values that no task knows.
        notes: what a person should know about how the file was read.
        skipped: why the file is not taken for a label file; "" when it is.
        error: why the file could not be read; "" when it could.
    """

    path: str
    family: str = ""
    num_read: int = 0
    num_kept: int = 0
    num_uncertain: int = 0
    num_other_image: int = 0
    num_of_no_image: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    unknown_classes: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    dropped_attributes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What became of the label files of one scene.

    Attributes:
        files: one entry per file, in reading order.
        gsd_m: ground sampling distance that a DOTA header states, metres per pixel; a hint, None without one.
    """

    files: tuple[FileReport, ...] = ()
    gsd_m: float | None = None

    @property
    def has_labels(self) -> bool:
        """True when a file says what is in the scene: it gave labels, or was read and holds none at all.

        A file whose labels all lie elsewhere, or are all of unknown classes, says nothing of what is not here.
        """
        read = [file for file in self.files if not (file.error or file.skipped)]
        return any(file.num_kept or not file.num_read for file in read)

    def total(self, name: str) -> dict[str, int]:
        """Return one of the counts by reason or name ("rejected", "unknown_classes", …) over all files."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(getattr(file, name))
        return dict(sorted(total.items()))

    def to_json(self) -> dict[str, Any]:
        """Return the report in JSON types."""
        return asdict(self)


def counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, most frequent first, with the rare ones of a long list together."""
    return shortened(Counter(names))


def shortened(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts, largest first, with the smallest of a long list under one entry."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed, rest = dict(ordered[:MAX_UNKNOWN_LISTED]), ordered[MAX_UNKNOWN_LISTED:]
    if rest:
        listed[OTHER_NAMES] = sum(count for _, count in rest)
    return listed
