"""Find the rasters that a source names: a folder, a file, a glob, a text list, STAC, or one of GDAL's virtual paths.

Only names are looked at; whether a file is a usable scene is found out when it is described.
"""

from __future__ import annotations

import glob
import os
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.scenes.remote_folders import ListingError, list_folder
from rsvqa.rsvqa_builder.scenes.stac import StacScene, is_stac, read_stac

RASTER_SUFFIXES = frozenset(
    {".tif", ".tiff", ".gtiff", ".vrt", ".jp2", ".j2k", ".jpg", ".jpeg", ".png", ".img", ".bmp", ".ntf", ".nitf"}
)
"""Files of a folder, glob or archive that are taken for rasters; a file named by itself may have any suffix."""

_GDAL_FORMATS = frozenset(
    {".asc", ".avif", ".bil", ".bip", ".bsq", ".dng", ".ecw", ".gif", ".grb", ".grib", ".grd", ".h5", ".hdf", ".hdf5"}
    | {".he5", ".heic", ".mbtiles", ".nc", ".nc4", ".rst", ".sid", ".webp"}
)
_ARRAY_SUFFIXES = frozenset({".mat", ".npy", ".npz"})
_ARCHIVE_SUFFIXES = frozenset({".7z", ".rar", ".tar", ".tgz", ".zip"})
_PACKED_SUFFIXES = frozenset({".bz2", ".gz", ".xz", ".zst"})
_LIST_SUFFIXES = frozenset({".txt", ".lst", ".list"})
_SCHEMES = {
    "s3://": "/vsis3/",
    "gs://": "/vsigs/",
    "az://": "/vsiaz/",
    "http://": "/vsicurl/http://",
    "https://": "/vsicurl/https://",
}
_ARCHIVE = re.compile(r"^/vsizip/(?P<archive>.+?\.zip)(?:/(?P<inside>.*))?$", re.IGNORECASE)
_REMOTE_FOLDER = re.compile(r"/vsi(s3|gs|az)/|/vsicurl/.*/$")
"""Where a path without a raster's suffix is a folder; an address of the web may be a raster by any name."""
_NO_BUCKET = re.compile(r"/vsi(s3|gs|az)/(?:/|$)")
_GLOB_SIGNS = re.compile(r"[*?\[]")


class SourceError(RsvqaError):
    """The source names nothing that can be used; the message says what was looked for and where."""

    exit_code = 2


class SceneFile(NamedTuple):
    """A raster that may be a scene, and what a catalogue says of it."""

    path: str
    scene_id: str
    stated: StacScene | None = None


class LeftOut(NamedTuple):
    """Something that was named but cannot be used."""

    path: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return its entry in a report; a reason that repeats the path, as GDAL's do, has the file's name there."""
        name = PurePosixPath(self.path).name
        reason = self.reason.replace(self.path, name) if name else self.reason
        return {"path": without_keys(self.path), "reason": without_keys(reason)}


class FoundScenes(NamedTuple):
    """What a source names.

    Attributes:
        candidates: rasters in the order of their ids.
        left_out: entries of a list that do not exist, and folders that cannot be read.
        searched: what was looked for and where, for a message when there is nothing.
        catalogues: the files that say where the rasters are.
        unread: files that may be images, in formats that are not looked for, an entry per folder and format.
        beside: names of the other files of a folder in a storage, which nobody looks into.
    """

    candidates: tuple[SceneFile, ...]
    left_out: tuple[LeftOut, ...]
    searched: str
    catalogues: tuple[str, ...]
    unread: tuple[LeftOut, ...]
    beside: tuple[str, ...]


class _Named(NamedTuple):
    """A path for GDAL and the same path relative to the source."""

    path: str
    name: str


IsLabel = Callable[[str, str], bool]
"""Tells label rasters (class masks) from scenes, by name from the source folder on, its own name first, and by path."""


def find_scenes(src: str, *, is_label: IsLabel) -> FoundScenes:
    """Return the rasters that a source names, sorted by scene id; a file named twice is used once.

    A folder is searched with all below it. Hidden files and folders, sidecar files (.ovr, .msk, .aux.xml) and label
    rasters are passed over there, in globs and in archives. A list holds one path a line, relative to its own folder;
    lines that start with "#" are comments. What a file or list names is taken as it is.

    Args:
        src: folder, file, glob, text list, STAC document, `/vsi…` path, or an address (`s3://`, `gs://`, `az://`, `https://`).
        is_label: tells rasters that are no scenes from those that are.

    Raises:
        SourceError: nothing by that name exists, or the list or archive cannot be read.
    """
    path = to_gdal_path(src)
    archive = _ARCHIVE.match(path)
    if archive and PurePosixPath(path).suffix.lower() not in RASTER_SUFFIXES and Path(archive["archive"]).is_file():
        return _from_archive(archive["archive"], archive["inside"] or "", is_label)
    if found := _NO_BUCKET.match(path):
        raise SourceError(f"`src` {src}: it names no bucket; expected an address such as {found[1]}://bucket/folder/")
    if _REMOTE_FOLDER.match(path) and not _is_raster_name(PurePosixPath(path).name):
        return _from_store(src, path, is_label)
    if path.startswith("/vsi"):
        known = without_keys(path)
        return FoundScenes((SceneFile(path, _stem(PurePosixPath(known).name)),), (), f"the raster {known}", (), (), ())
    local = Path(path)
    if local.is_dir():
        return _from_folder(local, is_label)
    if local.is_file():
        if local.suffix.lower() in _LIST_SUFFIXES:
            return _from_list(local)
        if is_stac(local):
            return _from_stac(local)
        return FoundScenes((SceneFile(path, local.stem),), (), f"the raster {path}", (), (), ())
    if _GLOB_SIGNS.search(path):
        return _from_glob(path, is_label)
    raise SourceError(f"`src` {src}: no such file or folder (looked in {local.absolute().parent})")


def to_gdal_path(text: str) -> str:
    """Return what GDAL opens for an address or a path; a local .zip archive becomes `/vsizip/…`."""
    for scheme, prefix in _SCHEMES.items():
        if text.lower().startswith(scheme):
            return prefix + text[len(scheme) :]
    if not text.startswith("/vsi") and text.lower().endswith(".zip") and Path(text).is_file():
        return f"/vsizip/{text}"
    return text


def scene_ids(names: Sequence[str]) -> list[str]:
    """Return unique ids for distinct relative paths: the path without suffix, and with it where two would be the same.

    >>> scene_ids(["a/x.tif", "a/x.jpg", "b.tif"])
    ['a/x.tif', 'a/x.jpg', 'b']
    """
    stems = [_stem(name) for name in names]
    taken = Counter([*stems, *names])
    return [name if taken[stem] > 1 else stem for name, stem in zip(names, stems, strict=True)]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix else name


def _found(
    named: Iterable[_Named], left_out: Iterable[LeftOut], searched: str, others: Iterable[_Named] = ()
) -> FoundScenes:
    ordered = sorted(dict.fromkeys(named), key=lambda entry: (entry.name, entry.path))
    ids = scene_ids([entry.name for entry in ordered])
    candidates = (SceneFile(entry.path, scene_id) for entry, scene_id in zip(ordered, ids, strict=True))
    unread = tuple(_unread(others))
    if unread and not ordered:
        searched = "; ".join([searched, *(f"in {path}, {reason}" for path, reason in unread)])
    by_id = tuple(sorted(candidates, key=lambda file: file.scene_id))
    return FoundScenes(by_id, tuple(left_out), searched, (), unread, ())


def _others(named: Iterable[_Named], root: str, is_label: IsLabel) -> list[_Named]:
    """Return the files that may be images in a format that is not looked for."""
    return [
        one
        for one in named
        if _advice(*one) and not _is_raster_name(one.name) and not is_label(f"{root}/{one.name}", one.path)
    ]


def _unread(others: Iterable[_Named]) -> Iterator[LeftOut]:
    """Yield what to do about files that may be images and are in a format that is not looked for."""
    of_kind: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for path, name in others:
        if advice := _advice(path, name):
            of_kind[str(PurePosixPath(path).parent), PurePosixPath(name).suffix.lower(), advice].append(path)
    for (folder, suffix, advice), paths in sorted(of_kind.items()):
        first = PurePosixPath(min(paths)).name
        what = (
            f"{first} is not read"
            if len(paths) == 1
            else f"{len(paths):,} files *{suffix} are not read ({first} the first)"
        )
        yield LeftOut(folder, f"{what}: {advice}")


def _advice(path: str, name: str) -> str:
    """Return what to do about a file of a format that is not looked for; "" where it is not meant as an image."""
    if _is_hidden(name):
        return ""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _GDAL_FORMATS:
        return f"name it in a text list as a source, or convert it, gdal_translate -of COG IN{suffix} OUT.tif"
    if suffix in _ARRAY_SUFFIXES:
        return "an array says neither where it lies nor what its values are: save it as a GeoTIFF"
    inner = PurePosixPath(name).with_suffix("").suffix.lower()
    is_packed = suffix in _PACKED_SUFFIXES and inner in RASTER_SUFFIXES | {".tar"}
    if suffix == ".zip" and Path(path).is_file():
        return "give the archive as a source of its own, or unpack it" if _holds_raster(path) else ""
    return "unpack it" if is_packed or suffix in _ARCHIVE_SUFFIXES else ""


def _holds_raster(archive: str) -> bool:
    try:
        with zipfile.ZipFile(archive) as opened:
            return any(_is_raster_name(name) for name in opened.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _is_raster_name(name: str) -> bool:
    return not _is_hidden(name) and PurePosixPath(name).suffix.lower() in RASTER_SUFFIXES


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _suffixes() -> str:
    return ", ".join(sorted(RASTER_SUFFIXES))


def _from_folder(folder: Path, is_label: IsLabel) -> FoundScenes:
    named: list[_Named] = []
    left_out: list[LeftOut] = []

    def note_unreadable(error: OSError) -> None:
        left_out.append(LeftOut(str(error.filename), f"the folder cannot be read: {error.strerror}"))

    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=note_unreadable, followlinks=True):
        # a link may lead back up; a folder that two links lead to is searched once
        true_path = os.path.realpath(parent)
        if true_path in seen:
            folders.clear()
            continue
        seen.add(true_path)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            path = Path(parent, file)
            name = path.relative_to(folder).as_posix()
            named.append(_Named(str(path), name))
    rasters = [
        entry
        for entry in named
        if _is_raster_name(entry.name) and not is_label(f"{folder.name}/{entry.name}", entry.path)
    ]
    searched = f"rasters ({_suffixes()}) in {folder.absolute()} and the folders below it"
    return _found(rasters, left_out, searched, _others(named, folder.name, is_label))


def _from_glob(pattern: str, is_label: IsLabel) -> FoundScenes:
    root = PurePosixPath(_GLOB_SIGNS.split(pattern, maxsplit=1)[0] + "x").parent
    # pathlib's own glob wants the pattern apart from its root
    paths = [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]  # noqa: PTH207
    named = [_Named(path, PurePosixPath(path).relative_to(root).as_posix()) for path in paths]
    rasters = [
        entry
        for entry in named
        if _is_raster_name(entry.name) and not is_label(f"{root.name}/{entry.name}", entry.path)
    ]
    return _found(rasters, (), f"rasters ({_suffixes()}) that match {pattern}", _others(named, root.name, is_label))


def _from_archive(archive: str, inside: str, is_label: IsLabel) -> FoundScenes:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"`src` {archive}: the archive cannot be read: {error}") from error
    folder = f"{inside.rstrip('/')}/" if inside else ""
    own_name = PurePosixPath(folder).name
    named = [
        _Named(f"/vsizip/{archive}/{name}", name.removeprefix(folder)) for name in names if name.startswith(folder)
    ]
    rasters = [
        entry for entry in named if _is_raster_name(entry.name) and not is_label(f"{own_name}/{entry.name}", entry.path)
    ]
    others = _others(named, own_name, is_label)
    return _found(rasters, (), f"rasters ({_suffixes()}) in {archive}, folder '{folder}'", others)


def _from_store(src: str, path: str, is_label: IsLabel) -> FoundScenes:
    """Return the rasters below a prefix of a bucket; folders of the web cannot be listed."""
    kind, _, place = path.removeprefix("/vsi").partition("/")
    prefix = place.partition("/")[2]
    if kind == "curl":
        raise SourceError(
            f"`src` {src}: it names no raster ({_suffixes()}), and folders are listed on s3://, gs:// and az:// only; "
            "give a text list of addresses"
        )
    if "?" in prefix or "*" in prefix:
        raise SourceError(f"`src` {src}: patterns are not looked for in a bucket; give the folder, or a text list")
    try:
        names = list_folder(kind, place)
    except ListingError as error:
        raise SourceError(f"`src` {src}: the folder cannot be listed: {error}") from error
    root = f"/vsi{kind}/{place}".rstrip("/")
    own_name = PurePosixPath(root).name
    every = [_Named(f"{root}/{name}", name) for name in names]
    named = [entry for entry in every if _is_path(entry.name)]
    left_out = [
        LeftOut(entry.path, "its key has an empty part (`//`), as no path has: copy it to another key")
        for entry in every
        if not _is_path(entry.name) and _is_raster_name(entry.name)
    ]
    rasters = [
        entry for entry in named if _is_raster_name(entry.name) and not is_label(f"{own_name}/{entry.name}", entry.path)
    ]
    searched = f"rasters ({_suffixes()}) below {src}, which has {len(names):,} files"
    found = _found(rasters, left_out, searched, _others(named, own_name, is_label))
    return found._replace(beside=tuple(entry.name for entry in named if entry not in set(rasters)))


def _is_path(key: str) -> bool:
    """Return whether a key of an object is a path, too: ids of scenes are paths below a data set."""
    return "" not in key.split("/")


def _from_list(file: Path) -> FoundScenes:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"`src` {file}: the list cannot be read as UTF-8 text: {error}") from error
    inside: list[_Named] = []
    elsewhere: list[str] = []
    left_out: list[LeftOut] = []
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        path = to_gdal_path(line)
        if path.startswith("/vsi"):
            elsewhere.append(path)
            continue
        local = file.parent / path
        if not local.is_file():
            left_out.append(LeftOut(str(local), f"named in {file.name}, but there is no such file"))
        elif local.resolve().is_relative_to(file.parent.resolve()):
            name = local.resolve().relative_to(file.parent.resolve()).as_posix()
            inside.append(_Named(str(local), name))
        else:
            elsewhere.append(str(local))
    known: dict[str, str] = {}
    for path in dict.fromkeys(elsewhere):
        if known.setdefault(without_keys(path), path) != path:
            left_out.append(LeftOut(path, f"it differs only by its keys from an entry before it in {file.name}"))
    others = _shortest_names(known, {entry.name for entry in inside})
    named = [*inside, *(entry._replace(path=known[entry.path]) for entry in others)]
    return _found(named, left_out, f"paths in the list {file.absolute()}")


def _from_stac(file: Path) -> FoundScenes:
    content = read_stac(file)
    left_out = [LeftOut(*entry) for entry in content.left_out]
    candidates: list[SceneFile] = []
    for scene in content.scenes:
        hrefs = scene.stack or (scene.path,)
        paths = tuple(to_gdal_path(href) for href in hrefs)
        unknown = next((href for href, path in zip(hrefs, paths, strict=True) if "://" in href and href == path), None)
        missing = next((path for path in paths if not path.startswith("/vsi") and not Path(path).is_file()), None)
        if unknown or missing:
            why = f"cannot be opened by this kind of address: {unknown}" if unknown else f"is not there: {missing}"
            left_out.append(LeftOut(f"{file}: {scene.scene_id}", f"its raster {why}"))
            continue
        far = [label for label in scene.labels if "://" in label or not Path(label).is_file()]
        left_out += [
            LeftOut(label, f"labels of {scene.scene_id} are read from disk only: download them") for label in far
        ]
        stated = scene._replace(
            path=paths[0],
            stack=paths if scene.stack else (),
            labels=tuple(label for label in scene.labels if label not in far),
        )
        candidates.append(SceneFile(paths[0], scene.scene_id, stated))
    return FoundScenes(
        tuple(sorted(candidates, key=lambda found: found.scene_id)),
        tuple(left_out),
        f"rasters of the STAC items of {file.absolute()}",
        content.files,
        (),
        (),
    )


def _shortest_names(paths: Iterable[str], taken: set[str]) -> list[_Named]:
    """Name files from anywhere by the fewest last parts of their paths that tell them apart."""
    parts = {path: PurePosixPath(path).parts for path in paths}
    named = []
    for path in parts:
        length = 1
        while length < len(parts[path]) and (
            "/".join(parts[path][-length:]) in taken
            or any(other != path and parts[other][-length:] == parts[path][-length:] for other in parts)
        ):
            length += 1
        named.append(_Named(path, "/".join(parts[path][-length:]).lstrip("/")))
    return named
