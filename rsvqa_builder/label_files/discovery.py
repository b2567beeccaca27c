"""Find the label files of a scene: beside it, in label folders, and where the caller points.

A file that lies right is still only a candidate: whether a CSV, JSON, XML or TXT file holds labels at all is decided
when it is read, and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from rsvqa.rsvqa_builder.label_files import coco, csv_boxes
from rsvqa.rsvqa_builder.label_files.columns import IMAGE_SUFFIXES
from rsvqa.rsvqa_builder.label_files.vector import SUFFIXES as VECTOR_SUFFIXES

LABEL_FOLDERS = ("labels", "labelTxt", "masks", "masks_png", "gt")
"""Names of folders that hold labels, beside a scene or beside its folder."""

MASK_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_classes")
"""Endings of a raster's stem that make it a class mask."""

SCENE_ENDINGS = ("_sat", "_image", "_img", "_rgb")
"""Endings of a scene's stem that its labels do not share ("119_sat.jpg", "119_mask.png")."""

_LABEL_SUFFIXES = frozenset({*VECTOR_SUFFIXES, ".json", ".csv", ".xml", ".txt"})
_SIDECAR_ENDINGS = (".aux.xml", ".shp.xml", ".tif.xml", ".ovr.xml")
_PLAIN_TEXTS = frozenset({"readme", "license", "licence", "sources", "requirements"})


def is_label_raster(path: str) -> bool:
    """Tell by its name whether a raster is a class mask and not a scene: by its ending or its folder."""
    name = PurePosixPath(path.replace("\\", "/"))
    return name.stem.casefold().endswith(MASK_ENDINGS) or name.parent.name in LABEL_FOLDERS


def find_labels(scene_path: str | Path, scenes_in_same_folder: int, extra: Sequence[Path] = ()) -> list[Path]:
    """Return the files that may hold labels of a scene, each once: those beside it, in label folders, then the extra.

    Args:
        scene_path: of the scene; GDAL's virtual paths have no neighbours, only `extra` counts for them.
        scenes_in_same_folder: all label files of a folder are those of its only scene; where a folder holds several,
            a file belongs to the scene whose stem it has, or whose image it names (COCO, CSV with an image column).
        extra: given by the user: a file always counts, a folder is searched, recursively, by stem and image names.
    """
    found: dict[Path, None] = {}
    scene = Path(scene_path)
    if not str(scene_path).startswith("/vsi") and scene.parent.is_dir():
        for folder in (scene.parent, *_label_folders(scene.parent)):
            takes_all = scenes_in_same_folder == 1
            found.update(dict.fromkeys(_belonging(_candidates(folder), scene, takes_all=takes_all)))
        for folder in _label_folders(scene.parent.parent):
            found.update(dict.fromkeys(_belonging(_candidates(folder), scene, takes_all=False)))
    for place in extra:
        if place.is_dir():
            candidates = (path for folder in _all_folders(place) for path in _candidates(folder, any_raster=True))
            found.update(dict.fromkeys(_belonging(candidates, scene, takes_all=False)))
        else:
            found[place] = None
    found.pop(scene, None)
    return list(found)


def _label_folders(parent: Path) -> list[Path]:
    return [folder for name in LABEL_FOLDERS if (folder := parent / name).is_dir()]


def _all_folders(root: Path) -> Iterator[Path]:
    yield root
    yield from sorted(path for path in root.rglob("*") if path.is_dir())


def _candidates(folder: Path, *, any_raster: bool = False) -> list[Path]:
    """Return a folder's files that may hold labels, by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [
        path
        for path in files
        if _is_label_name(path) or (_is_raster(path) and (any_raster or is_label_raster(str(path))))
    ]


def _is_label_name(path: Path) -> bool:
    name = path.name.casefold()
    if name.endswith(_SIDECAR_ENDINGS) or _stem(path) in _PLAIN_TEXTS:
        return False
    return path.suffix.casefold() in _LABEL_SUFFIXES


def _is_raster(path: Path) -> bool:
    return path.suffix.casefold() in IMAGE_SUFFIXES


def _belonging(candidates: Iterable[Path], scene: Path, *, takes_all: bool) -> Iterator[Path]:
    stems = _label_stems(scene)
    for path in candidates:
        if takes_all or _bare_stem(path) in stems or _names_scene(path, scene.stem):
            yield path


def _label_stems(scene: Path) -> set[str]:
    """Return the stems that labels of the scene may have, lower case."""
    stem = scene.stem.casefold()
    return {stem, *(stem.removesuffix(ending) for ending in SCENE_ENDINGS)}


def _bare_stem(path: Path) -> str:
    """Return a label file's stem without the ending that makes a raster a mask."""
    stem = _stem(path)
    ending = next((ending for ending in MASK_ENDINGS if stem.endswith(ending)), "") if _is_raster(path) else ""
    return stem.removesuffix(ending)


def _stem(path: Path) -> str:
    """Return the lower-case stem; "place.osm.pbf" is "place"."""
    return path.stem.casefold().removesuffix(".osm")


def _names_scene(path: Path, scene_stem: str) -> bool:
    suffix = path.suffix.casefold()
    if suffix == ".json":
        return coco.looks_like_coco(path) and coco.names_scene(path, scene_stem)
    return suffix == ".csv" and csv_boxes.names_scene(path, scene_stem)
