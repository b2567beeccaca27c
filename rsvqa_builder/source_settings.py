"""The sources of a build: what `src` names, what each is read by, and where it comes from.

A source is a root of scenes with a class table, a licence and settings of its own. Several are given one by one, or in
a sources file, which says more of each:

    root = "/data/sets"          # where the roots and labels lie (default: the folder of this file)

    [[source]]
    name = "dota"                # stands in every row
    root = "DOTA/train"
    classes = "dota"             # a preset or a file; labels, complete, bands, stretch, nodata, crs and mosaic likewise
    licence = "academic use only"
    link = "https://captain-whu.github.io/DOTA/"
    gsd_m = 0.3                  # of scenes whose files state none
    share = 0.25                 # the most that it may have of all questions

What surprises: scenes of several sources have the name of their source before their path, so that equal paths in two
sources stay two scenes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from rsvqa.rsvqa_builder.addresses import without_keys
from rsvqa.rsvqa_builder.config import ADDRESSES, SettingsError, StageSettings, load_table, read_config
from rsvqa.rsvqa_builder.settings import Bands, BuildSettings, CompleteLabels, Crs, Nodata, StretchMode

SOURCES_SUFFIX = ".toml"
_RECIPES = "rsvqa.rsvqa_builder.recipes"

_REMOTE = re.compile(r"/vsi|[a-z0-9]+://", re.IGNORECASE)
_GLOB_SIGNS = re.compile(r"[*?\[]")
_OF_READING = ("bands", "stretch", "nodata", "crs", "mosaic", "labels", "classes", "complete")
"""Settings of a build that a source may have its own of."""


class SourceEntry(StageSettings):
    """One `[[source]]`; what it does not say is as the settings of the build say it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Stands in every row, and before the paths of its scenes: letters, digits, ".", "_" and "-"."""
    root: Annotated[str, Field(min_length=1), ADDRESSES]
    """What `src` may be, but for a sources file."""
    classes: str | None = None
    """A preset, or a class table relative to the sources file."""
    labels: tuple[str, ...] | None = None
    """Files and folders of labels, beside those found with the scenes."""
    complete: CompleteLabels | None = None
    """Whether every instance of a class is labelled."""
    bands: Bands | None = None
    """Red, green and blue."""
    stretch: StretchMode | None = None
    """How values become 8 bits."""
    nodata: Nodata | None = None
    """Value of pixels without data."""
    crs: Crs | None = None
    """CRS of scenes that have a transform and state none."""
    mosaic: bool | None = None
    """Join neighbouring sheets."""
    licence: Annotated[str, Field(min_length=1)] | None = None
    """Terms of its images and labels, as every row and the card state them."""
    link: Annotated[str | None, ADDRESSES] = None
    """Where the source and its terms are described."""
    gsd_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Metres per pixel of scenes whose files and labels state none."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """The most that it may have of all questions."""


class _SourcesFile(StageSettings):
    root: str = "."
    source: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source with everything that it is read by.

    Attributes:
        name: unique in the build.
        settings: of the build, with what the source says of its own; `src` is its root.
        prefix: of the ids of its scenes; empty where the build has one source.
        licence, link: of its images and labels.
        gsd_m: metres per pixel of scenes whose files and labels state none.
        share: the most that it may have of all questions.
        stated: what the sources file says of it, or only its root.
        file: the sources file that it stands in; "" where there is none.
    """

    name: str
    settings: BuildSettings
    prefix: str = ""
    licence: str | None = None
    link: str | None = None
    gsd_m: float | None = None
    share: float | None = None
    stated: Mapping[str, Any]
    file: str = ""

    @property
    def root(self) -> str:
        """What its scenes are looked for in."""
        return str(self.settings.src)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An entry with its paths as they are opened; `file` is where it stands, "" on the command line."""

    entry: SourceEntry
    root: str
    classes: str | None
    labels: tuple[str, ...] | None
    file: str


def recipe_names() -> tuple[str, ...]:
    """Return the names of the sources files that come with rsvqa, sorted."""
    files = resources.files(_RECIPES).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def read_recipe(name: str) -> str:
    """Return a sources file that comes with rsvqa: the public sets that a published data set was made of.

    Raises:
        SettingsError: there is none of that name.
    """
    names = recipe_names()
    if name not in names:
        raise SettingsError(f"no recipe is called {name!r}: there are {', '.join(names)}")
    return resources.files(_RECIPES).joinpath(f"{name}.toml").read_text("utf-8")


def load_sources(settings: BuildSettings) -> tuple[Source, ...]:
    """Return the sources of a build, in the order of their scenes' ids.

    Raises:
        SettingsError: a sources file cannot be read or says something wrong, a root in it is not there, two sources
            have one name, or their shares cannot be.
    """
    given = (settings.src,) if isinstance(settings.src, str) else settings.src
    found = [entry for src in given for entry in _entries(src)]
    _refuse_one_name(found)
    if len(found) > 1 and settings.labels:
        raise SettingsError("`labels` would be of every source: with several, say it in a sources file of each")
    _refuse_missing_roots(found)
    _refuse_low_shares(found)
    sources = (_source(entry, settings, is_alone=len(found) == 1) for entry in found)
    return tuple(sorted(sources, key=lambda source: source.prefix))


def _entries(src: str) -> Iterator[_Found]:
    file = Path(src)
    if file.suffix.lower() != SOURCES_SUFFIX or _REMOTE.match(src):
        yield _Found(entry=SourceEntry(name=_name_of(src), root=src), root=src, classes=None, labels=None, file="")
        return
    content = load_table(_SourcesFile, read_config(file), where=src)
    base = file.parent / content.root
    for number, values in enumerate(content.source, start=1):
        name = values.get("name")
        where = f"{src}: source {name!r}" if name else f"{src}: source {number}"
        entry = load_table(SourceEntry, values, where=where)
        yield _Found(
            entry=entry,
            root=_below(base, entry.root),
            classes=None if entry.classes is None else _class_table(entry.classes, file.parent),
            labels=None if entry.labels is None else tuple(_below(base, path) for path in entry.labels),
            file=src,
        )


def _name_of(src: str) -> str:
    """Return what a source without a name is called: as its folder, or its file without suffix."""
    src = without_keys(src)
    path = PurePosixPath(_GLOB_SIGNS.split(src, maxsplit=1)[0] + "x").parent if _GLOB_SIGNS.search(src) else src
    text = str(path) if _REMOTE.match(src) else os.path.abspath(path)  # noqa: PTH100 - links stay
    name = PurePosixPath(text).name if Path(text).is_dir() else PurePosixPath(text).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "scenes"


def _below(base: Path, path: str) -> str:
    return path if _REMOTE.match(path) else str(base / path)


def _class_table(classes: str, folder: Path) -> str:
    path = folder / classes
    return str(path) if path.is_file() else classes


def _refuse_one_name(found: Sequence[_Found]) -> None:
    first_of: dict[str, _Found] = {}
    for entry in found:
        first = first_of.setdefault(entry.entry.name.casefold(), entry)
        if first is not entry:
            names = f"{first.root} and {entry.root} are both called {entry.entry.name!r}"
            raise SettingsError(f"{names}: give each source a name of its own in a sources file")


def _refuse_missing_roots(found: Sequence[_Found]) -> None:
    missing = [entry for entry in found if entry.file and not _may_exist(entry.root)]
    if missing:
        listed = ", ".join(f"{entry.entry.name} ({entry.root})" for entry in missing)
        raise SettingsError(
            f"{missing[0].file}: no such folder or file: {listed}; set root to where the data lie, or take the "
            "[[source]] out"
        )


def _may_exist(root: str) -> bool:
    return bool(_REMOTE.match(root)) or Path(root).exists() or bool(_GLOB_SIGNS.search(root))


def _refuse_low_shares(found: Sequence[_Found]) -> None:
    shares = [entry.entry.share for entry in found]
    total = sum(share for share in shares if share is not None)
    if None not in shares and total < 1 - 1e-6:
        raise SettingsError(
            f"{found[0].file}: the shares sum to {total:g}, and every source has one: as the most that each may have, "
            "they must come to 1 or more"
        )


def _source(found: _Found, settings: BuildSettings, *, is_alone: bool) -> Source:
    entry = found.entry
    own = {name: value for name in _OF_READING if (value := getattr(entry, name)) is not None}
    own |= {name: value for name in ("classes", "labels") if (value := getattr(found, name)) is not None}
    return Source(
        name=entry.name,
        settings=settings.model_copy(update={"src": found.root, **own}),
        prefix="" if is_alone else f"{entry.name}/",
        licence=entry.licence,
        link=entry.link,
        gsd_m=entry.gsd_m,
        share=entry.share,
        stated=entry.model_dump(mode="json", exclude_none=True, exclude={"name"}),
        file=found.file,
    )
