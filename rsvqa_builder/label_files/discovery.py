"""Find the label files of scenes: beside them, in label folders, and where the caller points.

A file that lies right is still only a candidate: whether a CSV, JSON, XML or TXT file holds labels at all is decided
when it is read, and reported. Files belong to scenes by their paths (`identity.py`); a label file that belongs to no
scene is named, not passed over. Every folder is listed once, whatever the number of scenes.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rsvqa.rsvqa_builder.label_files import formats
from rsvqa.rsvqa_builder.label_files.identity import (
    NO_MATCH,
    ImageNames,
    Match,
    Nearness,
    ScenePaths,
    either,
    is_image_name,
)
from rsvqa.rsvqa_builder.label_files.layouts import (
    are_two_dates,
    bare_stem,
    is_bounding_copy,
    is_elevation_raster,
    is_label_folder,
    is_label_raster,
    is_picture_of_labels,
)
from rsvqa.rsvqa_builder.label_files.texts import PLAIN_STEMS
from rsvqa.rsvqa_builder.label_files.voc import counts_from_zero
from rsvqa.rsvqa_builder.labels.raw import LabelError
from rsvqa.rsvqa_builder.scenes.scene_files import LeftOut

MAX_ORPHANS_LISTED = 20
"""Label files of one folder and suffix without a scene that are listed one by one; more are one entry."""

_FOLDERS_FIRST = ("labels", "labelTxt", "masks", "masks_png", "gt")
"""Label folders in the order in which their files are read; others follow by name."""

_SIDECAR_ENDINGS = (".aux.xml", ".shp.xml", ".tif.xml", ".ovr.xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFiles:
    """The label files of one scene, and what their readers must know of the others.

    Attributes:
        files: in reading order.
        refused: files of which it is open whether they are this scene's, with the reason; they are among `files`.
        shared: files given for several scenes that no name ties to one: they cannot be in the pixels of one picture.
        by_image: files that name the images their labels are of.
        rivals: paths of the other scenes with the same stem.
        voc_from_zero: how the VOC files of all scenes count pixels; None when there are none.
    """

    files: tuple[Path, ...] = ()
    refused: Mapping[Path, str] = field(default_factory=dict)
    shared: frozenset[Path] = frozenset()
    by_image: frozenset[Path] = frozenset()
    rivals: tuple[str, ...] = ()
    voc_from_zero: bool | None = None


class FoundLabels(NamedTuple):
    """The label files of all scenes.

    Attributes:
        of_scenes: one entry per scene, in their order.
        orphans: label files that belong to no scene, with what to do.
    """

    of_scenes: tuple[LabelFiles, ...]
    orphans: tuple[LeftOut, ...]


def find_labels(scenes: Sequence[str], extra: Sequence[Path] = (), *, root: Path | None = None) -> FoundLabels:
    """Return the files that may hold labels of each scene: those beside it, in label folders, then the extra.

    The only scene of a folder has all label files there and in the label folders beside it. Of several scenes each has
    the files of its stem, and those that name its image (COCO, tables and layers with an image column); label folders
    also count beside the folders above, up to `root`, and files there that name images.

    Args:
        scenes: paths of the scenes; GDAL's virtual paths have no neighbours, only `extra` counts for them.
        extra: given by the user: a folder is searched, recursively, by stem and image names; a file that names no image
            counts for all scenes, where it can be of more than one picture.
        root: the folder that the scenes were looked for in.
    """
    search = _Search(scenes, root)
    everywhere = frozenset(scenes)
    for folder in search.folders:
        search.look_into(folder)
    for place in extra:
        if place.is_dir():
            for path in _all_folders(place):
                search.look_into(_Folder(path=path, tree=place, reach=everywhere, is_given=True))
        else:
            search.take(place)
    return search.found()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """A folder to look into.

    Attributes:
        path: of the folder.
        tree: the label folder or the folder of scenes that it belongs to.
        reach: scenes that files here may belong to.
        owner: the scene that has all files here; "" where there is none.
        by_stem: files here belong to scenes by their stem, too.
        is_given: by the user for labels: rasters of any name may be masks, arrays and spreadsheets are meant as labels.
    """

    path: Path
    tree: Path
    reach: frozenset[str]
    owner: str = ""
    by_stem: bool = True
    is_given: bool = False


class _Claim(NamedTuple):
    """A file that belongs to a scene by its own path."""

    path: Path
    nearness: Nearness


class _Search:
    """What is found while folders are looked into."""

    def __init__(self, scenes: Sequence[str], root: Path | None) -> None:
        self._scenes = scenes
        self._paths = ScenePaths(scenes)
        self._files: dict[str, dict[Path, None]] = {scene: {} for scene in scenes}
        self._refused: defaultdict[str, dict[Path, str]] = defaultdict(dict)
        self._shared: defaultdict[str, set[Path]] = defaultdict(set)
        self._claims: defaultdict[tuple[str, Path, str], list[_Claim]] = defaultdict(list)
        self._by_image: set[Path] = set()
        self._homeless: dict[Path, str] = {}
        self._listed: dict[tuple[Path, Path, bool], list[Path]] = {}
        self._is_scene = frozenset(map(os.path.abspath, scenes))
        self._spelt: dict[tuple[str, str], Path] = {}
        self.folders = tuple(_folders_of(scenes, root))

    def look_into(self, folder: _Folder) -> None:
        """Give each file of a folder to the scenes that it belongs to."""
        files = self._candidates(folder)
        owned = self._owned(files, folder) if folder.owner else frozenset()
        has_others = len(folder.reach) > bool(folder.owner)
        for path in files:
            match = self._by_stem(path, folder)
            if match.scenes:
                self._claim(path, match, folder.tree)
                continue
            names = _image_names(path) if has_others or path not in owned else None
            named = self._named(names, path, folder.reach) if names else []
            if path in owned and folder.owner not in named:
                named.append(folder.owner)
            for scene in named:
                self._give(path, scene)
            if not named:
                self._homeless.setdefault(path, "")

    def take(self, path: Path) -> None:
        """Give a file that the user names to its scenes, to all where it may be of more than one."""
        path = self._first_spelling(path)
        names = _image_names(path)
        named = self._named(names, path, frozenset(self._scenes)) if names else []
        if named or (names and any(map(is_image_name, names.all()))):
            for scene in named:
                self._give(path, scene)
            if not named:
                self._homeless[path] = "it names images, and none of the scenes"
            return
        match = self._paths.find_labelled(path, _bare_stem(path))
        if len(self._scenes) > 1 and formats.is_of_one_picture(path) and not formats.is_raster(path):
            for scene in match.scenes:
                self._give(path, scene)
            if len(match.scenes) > 1 and not match.is_of_all:
                self._refuse(path, match.scenes)
            if not match.scenes:
                self._homeless[path] = "it is of one picture, and nothing says which: name it as its scene"
            return
        for scene in self._scenes:
            self._give(path, scene)
            if len(self._scenes) > 1 and match.scenes != (scene,):
                self._shared[scene].add(path)

    def found(self) -> FoundLabels:
        """Return what belongs to whom; of files that may be the same scene's, those nearest to it by path."""
        for (scene, *_), claims in self._claims.items():
            best = max(claim.nearness for claim in claims)
            nearest = list(dict.fromkeys(claim.path for claim in claims if claim.nearness == best))
            nearest = [path for path in nearest if not is_bounding_copy(path)] or nearest
            for claim in claims:
                if claim.path not in nearest:
                    self._drop(claim.path, scene)
            if len(nearest) > 1 and any(map(_is_of_one_unnamed_picture, nearest)):
                for path in nearest:
                    self._refused[scene][path] = (
                        f"{' and '.join(sorted(map(str, nearest))[:4])} may each be of the scene {scene}: name the one "
                        "that is, or keep scenes in folders as their labels are"
                    )
        for scene in self._scenes:
            self._files[scene].pop(Path(scene), None)
        given = {path for files in self._files.values() for path in files}
        voc = sorted(path for path in given if path.suffix.casefold() == ".xml")
        from_zero = counts_from_zero(voc) if voc else None
        of_scenes = tuple(
            LabelFiles(
                files=tuple(self._files[scene]),
                refused=self._refused[scene],
                shared=frozenset(self._shared[scene]),
                by_image=frozenset(self._by_image & self._files[scene].keys()),
                rivals=self._paths.rivals(scene),
                voc_from_zero=from_zero,
            )
            for scene in self._scenes
        )
        return FoundLabels(of_scenes, tuple(_orphans(self._homeless, given)))

    def _by_stem(self, path: Path, folder: _Folder) -> Match:
        if not folder.by_stem:
            return NO_MATCH
        match = self._paths.find_labelled(path, _stem(path), among=folder.reach)
        return match if match.scenes else self._paths.find_labelled(path, _bare_stem(path), among=folder.reach)

    def _claim(self, path: Path, match: Match, tree: Path) -> None:
        for scene in match.scenes:
            self._give(path, scene)
            self._claims[scene, tree, path.name].append(_Claim(path, match.nearness))
        if len(match.scenes) > 1 and not match.is_of_all:
            self._refuse(path, match.scenes)

    def _named(self, names: ImageNames, path: Path, reach: frozenset[str]) -> list[str]:
        """Return the scenes in reach whose images a file names."""
        found: dict[str, None] = {}
        for name in names.all():
            found.update(dict.fromkeys(self._paths.find_image(name, path.parent).scenes))
        if found:
            self._by_image.add(path)
        return [scene for scene in found if scene in reach]

    def _owned(self, files: Sequence[Path], folder: _Folder) -> frozenset[Path]:
        """Return the files of a folder that its only scene has, whatever they are called.

        Files of one picture that have the stem of a scene elsewhere are that scene's; several of one kind are of other
        pictures, but for masks beside the scene.
        """
        single = [path for path in files if formats.is_of_one_picture(path)]
        if folder.path == Path(folder.owner).parent:
            single = [path for path in single if not formats.is_raster(path)]
        counts = Counter(path.suffix.casefold() for path in single)
        others = {
            path
            for path in single
            if counts[path.suffix.casefold()] > 1 or self._paths.find_labelled(path, _bare_stem(path)).scenes
        }
        return frozenset(files) - others

    def _give(self, path: Path, scene: str) -> None:
        self._files[scene][path] = None

    def _drop(self, path: Path, scene: str) -> None:
        self._files[scene].pop(path, None)
        self._homeless.setdefault(path, f"other files are nearer to {scene}, or say more")

    def _refuse(self, path: Path, scenes: Sequence[str]) -> None:
        why = f"it may be of {either(scenes)}: put it beside its scene, or in a folder of the same name"
        if are_two_dates(scenes):
            what_to_do = "labels of a change are not read: give each date a mask of its own"
            why = f"it is one file for two dates, {either(scenes)}: {what_to_do}"
        for scene in scenes:
            self._refused[scene][path] = why

    def _first_spelling(self, path: Path) -> Path:
        """Return the path under which a file was met first: one that is found and also named by the user is one file.

        The folder may be spelt in another way or lead through a link; the name is the file's own.
        """
        return self._spelt.setdefault((os.path.realpath(path.parent), path.name), path)

    def _candidates(self, folder: _Folder) -> list[Path]:
        """Return a folder's files that may hold labels, by name."""
        key = (folder.path, folder.tree, folder.is_given)
        is_for_labels = folder.is_given or is_label_folder(folder.tree.name)
        if key not in self._listed:
            self._listed[key] = [
                path
                for path in map(self._first_spelling, _files_in(folder.path))
                if not (formats.is_raster(path) and is_picture_of_labels(path.stem))
                and os.path.abspath(path) not in self._is_scene  # noqa: PTH100 - links stay
                and (_is_label_name(path, is_for_labels=is_for_labels) or _may_be_mask(path, folder))
            ]
        return self._listed[key]


def _folders_of(scenes: Sequence[str], root: Path | None) -> Iterator[_Folder]:
    """Yield the folders that labels of scenes may lie in, each once for the scenes that have it in reach.

    In the order of nearness: beside scenes, in label folders beside them, in label folders further up.
    """
    local = [scene for scene in scenes if not scene.startswith("/vsi") and Path(scene).parent.is_dir()]
    of_folder: defaultdict[Path, list[str]] = defaultdict(list)
    for scene in local:
        of_folder[Path(scene).parent].append(scene)
    below: defaultdict[Path, set[str]] = defaultdict(set)
    for folder, members in of_folder.items():
        for parent in _parents(folder, root):
            below[parent].update(members)
    for folder, members in of_folder.items():
        owner = members[0] if len(members) == 1 else ""
        yield _Folder(path=folder, tree=folder, reach=frozenset(members), owner=owner)
        for labels in _label_folders(folder):
            yield _Folder(path=labels, tree=labels, reach=frozenset(members), owner=owner)
            for deeper in _all_folders(labels):
                if deeper != labels:
                    yield _Folder(path=deeper, tree=labels, reach=frozenset(members))
    for parent in sorted(below, key=lambda path: (-len(path.parts), path)):
        reach = frozenset(below[parent])
        for labels in _label_folders(parent):
            for folder in _all_folders(labels):
                yield _Folder(path=folder, tree=labels, reach=reach)
        if root is not None and (parent == root or root in parent.parents):
            yield _Folder(path=parent, tree=parent, reach=reach, by_stem=False)


def _parents(folder: Path, root: Path | None) -> Iterator[Path]:
    """Yield the folders above one, up to the root; the first one in any case."""
    parent = folder.parent
    if parent != folder:
        yield parent
    while root is not None and root in parent.parents:
        parent = parent.parent
        yield parent


def _label_folders(parent: Path) -> list[Path]:
    try:
        found = [path for path in parent.iterdir() if is_label_folder(path.name) and path.is_dir()]
    except OSError:
        return []
    first = {name: number for number, name in enumerate(_FOLDERS_FIRST)}
    return sorted(found, key=lambda path: (first.get(path.name, len(first)), path.name))


def _all_folders(root: Path) -> Iterator[Path]:
    yield root
    yield from sorted(path for path in root.rglob("*") if path.is_dir() and not path.name.startswith("."))


def _files_in(folder: Path) -> list[Path]:
    try:
        # a database of ArcGIS is a folder
        return sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and (path.is_file() or path.suffix.casefold() == ".gdb")
        )
    except OSError:
        return []


def _may_be_mask(path: Path, folder: _Folder) -> bool:
    if not formats.is_raster(path):
        return False
    name = path.relative_to(folder.tree.parent)
    return folder.is_given or (is_label_raster(str(name)) and not is_elevation_raster(path.name))


def _is_label_name(path: Path, *, is_for_labels: bool) -> bool:
    name = path.name.casefold()
    if name.endswith(_SIDECAR_ENDINGS) or _stem(path).casefold() in PLAIN_STEMS:
        return False
    return formats.is_label_suffix(path, in_folder_of_labels=is_for_labels)


def may_be_labels(name: str) -> bool:
    """Tell by its name alone, from the source folder on, whether a file may hold labels."""
    path = Path(name)
    if any(part.startswith(".") for part in path.parts):
        return False
    is_for_labels = any(map(is_label_folder, path.parts[:-1]))
    return _is_label_name(path, is_for_labels=is_for_labels) or (
        formats.is_raster(path) and is_label_raster(name) and not is_picture_of_labels(path.stem)
    )


def _stem(path: Path) -> str:
    """Return the stem; "place.osm.pbf" is "place"."""
    return formats.stem(path)


def _bare_stem(path: Path) -> str:
    """Return a label file's stem without the ending that makes it one."""
    return bare_stem(_stem(path), is_raster=formats.is_raster(path))


def _is_of_one_unnamed_picture(path: Path) -> bool:
    is_table = path.suffix.casefold() == ".csv"
    return formats.is_of_one_picture(path) or (is_table and _image_names(path) is None)


def _image_names(path: Path) -> ImageNames | None:
    """Return the images that a file names; None where it names none, or cannot be read."""
    try:
        return formats.image_names(path)
    except (LabelError, OSError):
        return None


def _orphans(homeless: Mapping[Path, str], given: Iterable[Path]) -> Iterator[LeftOut]:
    """Yield the label files that no scene has got, long lists of one kind as one entry."""
    taken = set(given)
    by_kind: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in sorted(homeless.keys() - taken):
        if formats.looks_like_labels(path):
            by_kind[path.parent, path.suffix.casefold()].append(path)
    for (folder, suffix), paths in by_kind.items():
        if len(paths) > MAX_ORPHANS_LISTED:
            reason = f"{len(paths)} label files *{suffix} belong to no scene, {paths[0].name} the first: {formats.HINT}"
            yield LeftOut(str(folder), reason)
            continue
        for path in paths:
            why = homeless[path] or formats.what_to_do(path)
            yield LeftOut(str(path), f"it belongs to no scene: {why}")
