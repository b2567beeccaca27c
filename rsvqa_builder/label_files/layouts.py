"""How published sets name folders and files: the one table that ties labels to the scenes that they are of.

A rule says which part of a scene's path and of a label file's path is the place; files of one place belong together.
Names are compared in lower case, without suffixes. What surprises: a set may ship one place in several renditions
(RGB, near infrared, panchromatic), and its labels are those of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import PurePath, PurePosixPath
from typing import NamedTuple

from rsvqa.annotation.plugins import PluginError, load_plugins, package_of

LAYOUT_WORDS = frozenset({"images", "image", "imgs", "img", "jpegimages", "images_png", "img_dir"})
"""Folders that say that images lie in them, not which place or part of a set those are of."""

SCENE_ENDINGS = ("_sat", "_image", "_img", "_rgb", "_irrg", "_rgbir")
"""Endings of a scene's stem that its labels do not share ("119_sat.jpg", "119_mask.png")."""

MASK_ENDINGS = (
    *("_mask", "_masks", "_label", "_labels", "_gt", "_classes", "_seg", "_target", "_targets", "_instances"),
    "_label_noboundary",  # Potsdam
    "_building_damage",  # BRIGHT
    "_ua2012",  # MiniFrance
)
"""Endings of a raster's stem that make it a class mask."""

_MASK_STARTS = ("msk_",)
_INSTANCES = re.compile(r"(.*[_-])?inst(ance)?s?([_-](masks?|ids?|labels?))?")
_ELEVATION_FOLDER = re.compile(r"(\d+_)?n?d[est]m(_.*)?|.*_dem_elev")
_ELEVATION_ENDINGS = ("_dem", "_dsm", "_dtm", "_ndsm")

LAYER_ENDINGS = ("_buildings", "_roads")
"""Endings that say what a layer of a scene holds ("place_buildings.geojson")."""

_PICTURES_OF_LABELS = ("_instance_id_rgb", "_instance_color_rgb")
"""Endings of rasters that show what another file of the set says (iSAID's COCO file): neither scenes nor labels."""

_LABEL_FOLDERS = (
    *("labels?", "label[12]", "masks?", "masks_png", "msk", "annotations?", "ann_dir", "targets?"),
    *("label(txt|xml).*", "object-?txt", "geojson.*", "ground_?truth", "segmentation(class|object)"),
    "gt|gts_for_participants",
    r"labels_(match|land_cover.*)",  # SpaceNet 7, HRSCD
    "flair.*_labels.*",
    r"\d+_labels.*",  # Potsdam
    "urbanatlas",  # MiniFrance
    ".*_label-(cosia|lpis)",  # FLAIR-HUB
)
_FOLDERS_OF_CHANGE = frozenset({"labels_change"})
"""Folders of rasters that say what has changed between two dates (HRSCD): neither scenes, nor labels of one of them."""

_LABEL_FOLDER = re.compile("|".join(_LABEL_FOLDERS))

_BOUNDING_COPY = re.compile(r".*_hbb|.*reclabeltxt.*|horizontal bounding boxes")
"""Folders with the upright boxes around the oriented boxes of a folder beside it: DOTA 1.0, 1.5 and 2.0, DIOR-R."""

_DATE_FOLDERS = (
    *(frozenset({"A", "B"}), frozenset({"im1", "im2"}), frozenset({"Image1", "Image2"})),
    *(frozenset({"time1", "time2"}), frozenset({"t1", "t2"})),
)
"""Folders of the two dates of a set of changes: LEVIR-CD and WHU-CD, SECOND, S2Looking, SYSU-CD and CLCD, DSIFN."""


class _Rule(NamedTuple):
    """Patterns of the ends of two paths; where all their groups agree, the label file is of the scene's place."""

    scene: re.Pattern[str]
    label: re.Pattern[str]


def _rule(scene: str, label: str) -> _Rule:
    return _Rule(re.compile(f"/{scene}$"), re.compile(f"/{label}$"))


_SPACENET = r"([^/]*?aoi_\d+_[^/_]+)_(?:[^/]*?_)?(img\d+|chip\d+|(?:\d{14}_\d{14}_)?tile_\d+|\d{6}_\d{7})"
"""Prefix and area, then the number of the picture; between them the sensor or the kind of labels."""

_RULES = (
    # FLAIR
    _rule(r"img_(\d+)", r"msk_(\d+)"),
    # SpaceNet 1 to 6, as first published and as it lies in the bucket now
    _rule(
        f"(?:(?:rgb-pansharpen|mul-pansharpen|pan|mul|3band|8band)_)?{_SPACENET}",
        f"(?:(?:buildings|roads|spacenetroads)_)?{_SPACENET}",
    ),
    # SpaceNet 8: outlines are drawn on the earlier date; the later ones lean another way
    _rule(r"([^/]+)/pre-event/[0-9a-f]+_(\d+_\d+_\d+)", r"([^/]+)/annotations/(\d+_\d+_\d+)"),
    # FLAIR-HUB
    _rule(
        r"([^/]+)_aerial_rgbi/([^/]+)/aerial_rgbi_([^/]+)",
        r"([^/]+)_aerial_label-cosia/([^/]+)/aerial_label-cosia_([^/]+)",
    ),
    # BRIGHT: the damage is that of the later date
    _rule(r"([^/]+)_post_disaster", r"([^/]+)_building_damage"),
    # DynamicEarthNet: `…/1311_3077_13/PF-SR/2018-01-01`, `1311_3077_13_10N/Labels/Raster/…/…-2018_01_01`
    _rule(
        r"(\d+_\d+_\d+)[^/]*/(?:.+/)?(\d{4})-(\d\d)-(\d\d)",
        r"(\d+_\d+_\d+)[^/]*/labels/raster/.*[-_](\d{4})[-_](\d\d)[-_](\d\d)",
    ),
)


@cache
def _rules() -> tuple[_Rule, ...]:
    """Return our rules, then those of installed packages.

    Raises:
        PluginError: a package's layout is not made of pairs of regular expressions with the same groups.
    """
    brought = []
    for name, pairs in load_plugins("layout").items():
        try:
            rules = [_rule(scene, label) for scene, label in pairs]
        except (TypeError, ValueError, re.error) as error:
            raise PluginError(
                f"layout {name!r} of {package_of('layout', name)}: expected pairs of regular expressions: {error}"
            ) from error
        if any(rule.scene.groups != rule.label.groups or not rule.scene.groups for rule in rules):
            raise PluginError(f"layout {name!r} of {package_of('layout', name)}: both patterns need the same groups")
        brought += rules
    return (*_RULES, *brought)


def places_of_scene(parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the places that a scene is of, by the parts of its path: one for each rule that fits it."""
    yield (_without(SCENE_ENDINGS, PurePosixPath(parts[-1]).stem.casefold()),)
    yield from _places(parts, [rule.scene for rule in _rules()])


def places_of_labels(parts: Sequence[str], stem: str) -> Iterator[tuple[str, ...]]:
    """Yield the places that a label file may be of, by the parts of its path and its stem, the surest first."""
    yield (stem.casefold(),)
    yield from _places(parts, [rule.label for rule in _rules()])


def _places(parts: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> Iterator[tuple[str, ...]]:
    path = "/".join(("", *parts[:-1], PurePosixPath(parts[-1]).stem)).casefold()
    for number, pattern in enumerate(patterns):
        if found := pattern.search(path):
            yield (str(number), *found.groups())


def bare_stem(stem: str, *, is_raster: bool) -> str:
    """Return a label file's stem without the ending that says what it is: a mask, or a layer of some class."""
    return _without(MASK_ENDINGS if is_raster else LAYER_ENDINGS, stem)


def _without(endings: Sequence[str], stem: str) -> str:
    ending = max((ending for ending in endings if stem.casefold().endswith(ending)), key=len, default="")
    return stem[: len(stem) - len(ending)] or stem


def is_label_folder(name: str) -> bool:
    """Tell by its name whether a folder holds labels, as published sets call it ("labelTxt-v2.0", "Annotations")."""
    return _LABEL_FOLDER.fullmatch(name.casefold()) is not None


def is_label_raster(path: str) -> bool:
    """Tell by its name whether a raster is made of labels and not a scene.

    It is by the ends of its stem, or where the nearest of its folders that says anything is one of labels:
    `Labels/Raster/x.tif` is, `annotations/images/x.tif` is not.

    Args:
        path: from the source folder on; folders further up are not the data set's.
    """
    name = PurePosixPath(path.replace("\\", "/"))
    stem = name.stem.casefold()
    if stem.endswith(MASK_ENDINGS) or stem.startswith(_MASK_STARTS) or is_picture_of_labels(stem):
        return True
    for folder in reversed(name.parts[:-1]):
        # outlines are no rasters: those of a folder "geojson_2020" are scenes
        if (
            is_label_folder(folder) and not folder.casefold().startswith("geojson")
        ) or folder.casefold() in _FOLDERS_OF_CHANGE:
            return True
        if folder.casefold() in LAYOUT_WORDS:
            return False
    return False


def preset_of(path: PurePath) -> str:
    """Return the preset that the name of a label raster speaks of; "" where it speaks of none."""
    return "flair_hub" if path.name.casefold().startswith("aerial_label-cosia") else ""


def is_elevation_raster(path: str) -> bool:
    """Tell by its name whether a raster holds heights: it is neither a scene nor a class mask.

    Args:
        path: from the source folder on, whose own name says nothing.
    """
    name = PurePosixPath(path.replace("\\", "/"))
    in_folder = any(_ELEVATION_FOLDER.fullmatch(part.casefold()) for part in name.parts[1:-1])
    return in_folder or name.stem.casefold().endswith(_ELEVATION_ENDINGS)


def is_instance_raster(path: PurePath) -> bool:
    """Tell by its name, or its folder's, whether the values of a label raster are numbers of single objects."""
    return any(_INSTANCES.fullmatch(name.casefold()) for name in (path.stem, path.parent.name))


def is_picture_of_labels(stem: str) -> bool:
    """Tell by its stem whether a raster shows what another file of its set says."""
    return stem.casefold().endswith(_PICTURES_OF_LABELS)


def is_bounding_copy(path: PurePath) -> bool:
    """Tell by its folder whether a file repeats the oriented boxes of another one as upright boxes."""
    return _BOUNDING_COPY.fullmatch(path.parent.name.casefold()) is not None


def are_two_dates(scenes: Sequence[str]) -> bool:
    """Tell whether scenes are the two dates of one place of a set of changes, by their folders ("A/", "B/")."""
    return frozenset(PurePosixPath(scene).parent.name for scene in scenes) in _DATE_FOLDERS
