"""Which scene a name means. Paths are compared from their ends; a stem that several scenes share says nothing alone.

The folder of the label file is put before the names that stand in it, so that "0001.png" in `a/set.json` is
`a/0001.png` before it is `b/0001.png`. What stays open is refused by name, never guessed.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from rsvqa.rsvqa_builder.label_files.layouts import LAYOUT_WORDS, is_label_folder, places_of_labels, places_of_scene
from rsvqa.rsvqa_builder.labels.raw import LabelError
from rsvqa.rsvqa_builder.scenes.scene_files import RASTER_SUFFIXES

_IMAGE_SUFFIXES = RASTER_SUFFIXES | {".webp", ".gif"}
_SHOWN = 4


class Nearness(NamedTuple):
    """How much of two paths agrees: parts from the end, the same without words of layout, then parts from the start."""

    end: int
    end_without_layout: int
    start: int


class Match(NamedTuple):
    """The scenes that a name fits best.

    Attributes:
        scenes: several when the name does not tell them apart, or is of one place that they all show.
        nearness: how well it fits them.
        is_of_all: the scenes are renditions of one place.
    """

    scenes: tuple[str, ...]
    nearness: Nearness
    is_of_all: bool = False


NO_MATCH = Match((), Nearness(0, 0, 0))


class ScenePaths:
    """An index over the paths of scenes; a look-up costs as much as there are scenes of the same stem."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._parts = {path: _parts(path) for path in paths}
        self._exact: defaultdict[str, list[str]] = defaultdict(list)
        self._caseless: defaultdict[str, list[str]] = defaultdict(list)
        self._of_place: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for path, parts in self._parts.items():
            stem = PurePosixPath(parts[-1]).stem
            self._exact[stem].append(path)
            self._caseless[stem.casefold()].append(path)
            for place in places_of_scene(parts):
                self._of_place[place].append(path)

    def rivals(self, path: str) -> tuple[str, ...]:
        """Return the other scenes whose stem is the same, case ignored."""
        same = self._caseless[PurePosixPath(self._parts[path][-1]).stem.casefold()]
        return tuple(other for other in same if other != path)

    def find_image(self, name: str, folder: Path) -> Match:
        """Return the scenes that a label file in `folder` means when it names an image; the suffix does not matter."""
        parts = _parts(name, folder)
        return self._best(self._with_stem(parts[-1]) or self._with_stem(PurePosixPath(parts[-1]).stem), parts)

    def find_labelled(self, path: Path, stem: str, *, among: frozenset[str] | None = None) -> Match:
        """Return the scenes that a label file may be of by its own path.

        Args:
            path: of the label file.
            stem: of its name, without what makes it a label ("_mask").
            among: the scenes that have the file in reach; all by default.
        """
        parts = _parts(str(path))
        same = self._best([scene for scene in self._with_stem(stem) if among is None or scene in among], parts)
        if same.scenes:
            return same
        for place in places_of_labels(parts, stem):
            found = [scene for scene in self._of_place.get(place, ()) if among is None or scene in among]
            if found:
                best = self._best(found, parts)
                stems = {PurePosixPath(self._parts[scene][-1]).stem.casefold() for scene in best.scenes}
                return best._replace(is_of_all=len(stems) == len(best.scenes))
        return NO_MATCH

    def _with_stem(self, stem: str) -> Sequence[str]:
        stem = spelt_alike(stem)
        return self._exact.get(stem) or self._caseless.get(stem.casefold()) or ()

    def _best(self, scenes: Sequence[str], parts: tuple[str, ...]) -> Match:
        if not scenes:
            return NO_MATCH
        ranked = {scene: _nearness(self._parts[scene], parts) for scene in scenes}
        best = max(ranked.values())
        return Match(tuple(scene for scene, nearness in ranked.items() if nearness == best), best)


@dataclass(frozen=True, slots=True)
class ImageNames:
    """The images that a label file names, as it spells them, by lower-case stem."""

    by_stem: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Return the index of names, each once."""
        grouped: defaultdict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            last = _parts(name)[-1].casefold()
            for key in dict.fromkeys((last, PurePosixPath(last).stem)):
                grouped[key].append(name)
        return cls({stem: tuple(found) for stem, found in grouped.items()})

    def all(self) -> tuple[str, ...]:
        """Return the names in the order of the file."""
        return tuple(dict.fromkeys(name for names in self.by_stem.values() for name in names))


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one scene from the others: its path, and the paths of those that share its stem."""

    path: str
    rivals: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The scene's file name without its suffix."""
        return spelt_alike(PurePosixPath(self.path).stem)

    def images(self, names: ImageNames, folder: Path) -> frozenset[str]:
        """Return the names that mean this scene, empty when none does.

        Raises:
            LabelError: a name may mean another scene as well, or two names may mean this one.
        """
        paths = ScenePaths((self.path, *self.rivals))
        found: dict[str, Nearness] = {}
        for name in names.by_stem.get(self.stem.casefold(), ()):
            match = paths.find_image(name, folder)
            if self.path not in match.scenes:
                continue
            if len(match.scenes) > 1:
                raise LabelError(
                    f"its image {name!r} may be {either(match.scenes)}: name images by their path from the folder "
                    "that holds them all"
                )
            found[name] = match.nearness
        best = {name for name, nearness in found.items() if nearness == max(found.values())}
        if len({_parts(name) for name in best}) > 1:
            raise LabelError(
                f"its images {' and '.join(sorted(map(repr, best))[:_SHOWN])} may both be the scene {self.path}: keep "
                "scenes in folders as the names say, or give the file that names this scene only"
            )
        return frozenset(best)


def either(paths: Iterable[str | Path]) -> str:
    """Return "a or b" of paths, the first few."""
    texts = sorted(map(str, paths))
    more = [f"one of {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return " or ".join([*texts[:_SHOWN], *more])


def spelt_alike(text: str) -> str:
    """Return a name in the one Unicode form that names are compared in: macOS takes letters and accents apart."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_image_name(text: str) -> bool:
    """Tell whether a text looks like the file name of an image."""
    return PurePosixPath(text.replace("\\", "/")).suffix.casefold() in _IMAGE_SUFFIXES


def _parts(name: str, folder: Path | None = None) -> tuple[str, ...]:
    """Return the parts of a path, the last one with its suffix; a name is taken to start in `folder`."""
    text = spelt_alike(name.replace("\\", "/"))
    if folder is not None:
        text = f"{spelt_alike(str(folder))}/{text}"
    if not text.startswith("/vsi") and "://" not in text:
        text = os.path.abspath(text)  # noqa: PTH100 - links stay: names and scenes agree as they are spelt
    parts = tuple(part for part in posixpath.normpath(text.replace("\\", "/")).split("/") if part)
    return parts or (name,)


def _nearness(scene: tuple[str, ...], name: tuple[str, ...]) -> Nearness:
    one, other = scene[:-1], name[:-1]
    bare_one, bare_other = _without_layout(one), _without_layout(other)
    return Nearness(
        1 + _common(one[::-1], other[::-1]), 1 + _common(bare_one[::-1], bare_other[::-1]), _common(one, other)
    )


def _without_layout(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part in parts if part.casefold() not in LAYOUT_WORDS and not is_label_folder(part))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
