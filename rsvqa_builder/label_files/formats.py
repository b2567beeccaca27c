"""Which format a label file is of: by its suffix, and by its head where a suffix stands for several.

What is of no known format is named, with what to do about it; it is never handed to a reader by guess.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, get_args

from rsvqa.annotation.plugins import PluginError, load_plugin, load_plugins, package_of
from rsvqa.rsvqa_builder.label_files import (
    coco,
    csv_boxes,
    cvat,
    dota,
    dota_results,
    labelme,
    opensatmap,
    vector,
    xbd,
    yolo,
)
from rsvqa.rsvqa_builder.label_files.identity import ImageNames
from rsvqa.rsvqa_builder.label_files.texts import first_beside, is_blank, opened
from rsvqa.rsvqa_builder.labels.classes import ClassTable, Shape
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.scene_files import RASTER_SUFFIXES

LabelFamily = str
"""Name of a family of formats; PLUGIN and a name for that of an installed package."""
PLUGIN = "plug-in "

HINT = "name it as its scene, or give it with `labels`"

_FAMILIES: Mapping[str, LabelFamily] = {
    ".txt": "dota",  # or another one, by the content
    ".xml": "voc",
    ".csv": "csv",
    **dict.fromkeys(vector.SUFFIXES, "vector"),
    **dict.fromkeys(sorted(RASTER_SUFFIXES), "mask"),
}
_CONVERTIBLE = (".gpx", ".dxf", ".dgn", ".dwg", ".topojson", ".sqlite", ".gdb", ".osm", ".e00")
"""Formats of labels that GDAL's tools turn into one that is read."""
_PACKED = (".gz", ".zip", ".bz2", ".zst")

_OF_OTHER_TOOLS = (".npy", ".npz", ".mat", ".pkl", ".h5", ".hdf5", ".tfrecord", ".xlsx", ".xls")
"""Formats of data that may be labels where the user says that labels are."""

_OF_ONE_LAYER = (
    ".geojson",
    ".geojsonl",
    ".geojsons",
    ".geojsonseq",
    ".ndjson",
    ".jsonl",
    ".shp",
    ".fgb",
    ".parquet",
    ".geoparquet",
    ".csv",
)
"""Formats of one list of labels, which a file's name may be the class of."""

_WITHOUT_LINES = frozenset({"coco", "dota", "mask", "voc", "yolo"})

_HEAD_BYTES = 4096


def family(path: Path) -> LabelFamily:
    """Return the reader of a file.

    Raises:
        NotLabelsError: a JSON file of no known kind: settings and metadata lie beside scenes too.
        LabelError: the format is not supported; the message says what to do.
    """
    suffix = path.suffix.casefold()
    if suffix in (brought := suffixes_of_packages()):
        return f"{PLUGIN}{brought[suffix]}"
    if suffix == ".json":
        return _json_family(path)
    if dota_results.looks_like_results(path):
        return "dota_results"
    if suffix == ".txt":
        return _text_family(path)
    if suffix == ".xml" and cvat.looks_like_cvat(_head(path)):
        return "cvat"
    found = _FAMILIES.get(suffix)
    if _is_table(path):
        # Microsoft publishes footprints as lines of GeoJSON in files *.csv.gz
        return "vector" if _head(path).lstrip().startswith(b"{") else "csv"
    is_unread = suffix in vector.ARCHIVE_SUFFIXES and not vector.holds_shapefile(path)
    if found is None or is_unread:
        raise LabelError(unsupported(path))
    return found


@cache
def suffixes_of_packages() -> Mapping[str, str]:
    """Return the suffixes that readers of installed packages read, and the name of each one's reader.

    Raises:
        PluginError: a suffix is read already.
    """
    taken: dict[str, str] = {}
    for name, reader in load_plugins("labels").items():
        for suffix in map(str.casefold, reader.suffixes):
            where = f"labels {name!r} of {package_of('labels', name)}: the suffix {suffix}"
            if suffix in _FAMILIES or suffix in RASTER_SUFFIXES or suffix in (".json", *vector.ARCHIVE_SUFFIXES):
                raise PluginError(f"{where} is read by rsvqa")
            if suffix in taken:
                raise PluginError(f"{where} is read by {package_of('labels', taken[suffix])} already")
            taken[suffix] = name
    return MappingProxyType(taken)


class LabelReader(Protocol):
    """What an entry point `labels.NAME` leads to: a reader of label files with a suffix of its own."""

    @property
    def suffixes(self) -> Sequence[str]:
        """With their dot, such as ".trees"; none that is read already."""
        ...

    @property
    def shapes(self) -> Sequence[Shape]:
        """Of geometry that a file may hold."""
        ...

    @property
    def is_of_one_picture(self) -> bool:
        """Whether the coordinates are pixels of one picture; else the file is tied to the ground or names its image."""
        ...

    def read(self, path: Path, scene: Scene, table: ClassTable) -> RawLabels:
        """Return the labels of a file, in scene pixels.

        Raises:
            LabelError: the file cannot be read; its text is the reason without the path.
        """
        ...


def reader_of(family: LabelFamily) -> LabelReader:
    """Return the reader of a family of an installed package."""
    reader: LabelReader = load_plugin("labels", family.removeprefix(PLUGIN))
    return reader


def _text_family(path: Path) -> LabelFamily:
    """Return the reader of a text; an empty one is of the family of the others in its folder."""
    speaking = first_beside(path) if is_blank(path) else path
    return "yolo" if speaking and yolo.looks_like_yolo(_head(speaking)) else "dota"


def _is_table(path: Path) -> bool:
    """Tell by its name whether a file is a CSV table, packed or not."""
    return path.name.casefold().endswith((".csv", ".csv.gz"))


def _json_family(path: Path) -> LabelFamily:
    if coco.looks_like_coco(path):
        return "coco"
    head = _head(path)
    if b'"stac_version"' in head:
        raise NotLabelsError("a STAC document, whose outline is that of a scene")
    if b'"Feature' in head or b'"esriGeometry' in head:
        return "vector"
    if labelme.looks_like_labelme(head):
        return "labelme"
    if xbd.looks_like_xbd(head):
        return "xbd"
    if opensatmap.looks_like_opensatmap(head):
        return "opensatmap"
    raise NotLabelsError("JSON that is neither COCO nor GeoJSON nor labelme's nor xBD's nor OpenSatMap's")


def is_label_suffix(path: Path, *, in_folder_of_labels: bool = False) -> bool:
    """Tell by its suffix whether a file may hold labels, in a format that is read or not; rasters are not meant."""
    suffix = path.suffix.casefold()
    if suffix in suffixes_of_packages() or (suffix in vector.ARCHIVE_SUFFIXES and vector.holds_shapefile(path)):
        return True
    if suffix in _PACKED:
        return path.with_suffix("").suffix != "" and is_label_suffix(path.with_suffix(""))
    if in_folder_of_labels and suffix in _OF_OTHER_TOOLS:
        return True
    return suffix == ".json" or suffix in _CONVERTIBLE or (suffix in _FAMILIES and suffix not in RASTER_SUFFIXES)


def unsupported(path: Path) -> str:
    """Return what to do about a file of a format that is not read."""
    if path.suffix.casefold() in _CONVERTIBLE:
        return f"the format {path.suffix} is not read: convert it, ogr2ogr -f GPKG {path.stem}.gpkg {path.name}"
    if path.suffix.casefold() in (*_PACKED, *vector.ARCHIVE_SUFFIXES):
        return f"packed files are not read: unpack {path.name}"
    known = ", ".join(sorted({".json", *_FAMILIES, *suffixes_of_packages()} - RASTER_SUFFIXES))
    return f"the format {path.suffix or '(no suffix)'} is not read: labels are {known}, or a raster"


def is_raster(path: Path) -> bool:
    """Tell by its suffix whether a file is a raster."""
    return path.suffix.casefold() in RASTER_SUFFIXES


def is_of_one_picture(path: Path) -> bool:
    """Tell whether a file's format is one of labels in the pixels of one picture."""
    suffix = path.suffix.casefold()
    if suffix in suffixes_of_packages():
        return reader_of(family(path)).is_of_one_picture
    if suffix == ".xml":
        return not cvat.looks_like_cvat(_head(path))
    if suffix == ".json":
        return family_or_none(path) in ("labelme", "xbd")
    return suffix in RASTER_SUFFIXES or (suffix == ".txt" and not dota_results.looks_like_results(path))


def is_of_one_layer(path: Path) -> bool:
    """Tell by its suffix whether a file holds one list of labels; a GeoPackage or an archive may hold several."""
    return path.suffix.casefold() in _OF_ONE_LAYER


def shapes(path: Path) -> frozenset[Shape]:
    """Return the shapes of labels that a file of its format may hold; all where the format is not known."""
    drawn: frozenset[Shape] = frozenset(get_args(Shape))
    kind = family_or_none(path)
    if kind is not None and kind.startswith(PLUGIN):
        return frozenset(reader_of(kind).shapes)
    return drawn - {"line"} if kind in _WITHOUT_LINES else drawn


def image_names(path: Path) -> ImageNames | None:
    """Return the images that a file names, None where its format or its content names none.

    Raises:
        LabelError: the file cannot be read.
    """
    kind = family(path)
    if kind == "coco":
        return coco.image_names(path)
    if kind == "csv":
        return csv_boxes.image_names(path)
    if kind == "labelme":
        return labelme.image_names(path)
    if kind == "cvat":
        return cvat.image_names(path)
    if kind == "opensatmap":
        return opensatmap.image_names(path)
    if kind == "dota_results":
        return dota_results.image_names(path)
    return vector.image_names(path) if kind == "vector" else None


def companions(path: Path) -> tuple[Path, ...]:
    """Return the files beside a label file that say what it means."""
    if family_or_none(path) != "yolo":
        return ()
    names = yolo.names_file(path)
    return () if names is None else (names,)


def family_or_none(path: Path) -> LabelFamily | None:
    """Return the reader of a file; None where it is of no format that is read."""
    try:
        return family(path)
    except LabelError:
        return None


def looks_like_labels(path: Path) -> bool:
    """Tell from the first bytes whether a file holds labels, and not notes or metadata."""
    suffix = path.suffix.casefold()
    if _is_table(path) and not _head(path).lstrip().startswith(b"{"):
        return csv_boxes.looks_like_table(path)
    if suffix == ".txt":
        head = _head(path)
        return dota_results.looks_like_results(path) or dota.looks_like_dota(head) or yolo.looks_like_yolo(head)
    if suffix == ".xml":
        return b"<annotation" in _head(path)
    if suffix == ".json":
        return family_or_none(path) is not None
    return True


def what_to_do(path: Path) -> str:
    """Return how a label file without a scene gets one."""
    is_unread = path.suffix.casefold() in (*_CONVERTIBLE, *_PACKED, *_OF_OTHER_TOOLS) and not _is_table(path)
    return unsupported(path) if is_unread else HINT


def stem(path: Path) -> str:
    """Return the name without what tells the format; "place.osm.pbf" is "place"."""
    return path.stem.removesuffix(".osm").removesuffix(".csv")


def _head(path: Path) -> bytes:
    try:
        with opened(path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
