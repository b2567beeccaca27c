"""What other people's packages bring: found by entry points, so that every process of a run finds it.

A package names what it has in its `pyproject.toml`, in the one group `rsvqa`, as KIND.NAME:

    [project.entry-points.rsvqa]
    "executor.dask" = "my_package.executor:DaskExecutor"

docs/plugins.md shows the whole contract. Of an executor, a class table, a benchmark, a scorer or a model nothing is
imported before somebody asks for it by name. Tasks, readers of labels and layouts count as soon as they are installed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from rsvqa.annotation.errors import RsvqaError, nearest

GROUP = "rsvqa"
KINDS = ("task", "labels", "layout", "classes", "benchmark", "scorer", "model", "executor")
BYTE_MAKERS = ("task", "labels", "layout", "classes")
"""Kinds that may change a byte of a data set."""


_TEXT_FILE = ("text file, as `importlib.resources.files` gives it", ("read_text",))
_FUNCTION = ("function", ("__call__",))
_EXPECTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "task": ("TaskPlugin", ("info", "ask", "wording", "checks")),
    "labels": ("LabelReader", ("suffixes", "shapes", "is_of_one_picture", "read")),
    "classes": _TEXT_FILE,
    "benchmark": _TEXT_FILE,
    "scorer": _FUNCTION,
    "model": _FUNCTION,
    "executor": _FUNCTION,
}
"""What an entry point of a kind leads to, and what that has at least."""


class PluginError(RsvqaError):
    """What was asked for by name is not there, is there twice, or cannot be imported."""


def load_plugin(kind: str, name: str, *, ours: Iterable[str] = ()) -> Any:  # noqa: ANN401  the kind says what it is
    """Return what an installed package brings under `KIND.NAME`.

    Args:
        kind: such as "executor".
        name: as people type it.
        ours: names of this kind that rsvqa has itself, for the message.

    Raises:
        PluginError: no package brings it, two do, or it cannot be imported.
    """
    found = _plugins(kind)
    points = found.get(name, [])
    if not points:
        known = sorted({*ours, *found})
        raise PluginError(
            f"no {kind} {name!r}, and no installed package has the entry point {kind}.{name} in the group {GROUP}"
            f"{nearest(name, known)}"
        )
    if len(points) > 1:
        raise PluginError(
            f"{kind} {name!r} is brought by two packages, {' and '.join(map(_package, points))}: uninstall one"
        )
    try:
        found_there = points[0].load()
    except (Exception, SystemExit) as error:  # whatever an import of somebody else's code may raise
        raise PluginError(
            f"{kind} {name!r} of {_package(points[0])} cannot be imported ({points[0].value}): {error!r}"
        ) from error
    expected, parts = _EXPECTED.get(kind, ("", ()))
    if missing := [part for part in parts if not hasattr(found_there, part)]:
        raise PluginError(
            f"{kind} {name!r} of {package_of(kind, name)}: {points[0].value} is no {expected}: it has no "
            f"{', '.join(missing).replace('__call__', 'call')}"
        )
    return found_there


def has_plugin(kind: str, name: str) -> bool:
    """Tell whether an installed package brings `KIND.NAME`; nothing of it is imported."""
    return name in _plugins(kind)


def plugin_names(kind: str) -> list[str]:
    """Return the names of a kind that installed packages bring; nothing of them is imported."""
    return sorted(_plugins(kind))


def require_ours(kind: str, name: str) -> None:
    """Make sure that a name which rsvqa has itself means nothing else: a package's would be passed over in silence.

    Raises:
        PluginError: an installed package brings `KIND.NAME` too.
    """
    if has_plugin(kind, name):
        raise PluginError(
            f"{kind} {name!r} of {package_of(kind, name)}: rsvqa has one of this name; rename that, or uninstall it"
        )


@cache
def load_plugins(kind: str) -> Mapping[str, Any]:
    """Return all that installed packages bring of a kind, by name, sorted; for kinds that nobody asks for by name.

    Raises:
        PluginError: one cannot be imported, or two packages bring one name.
    """
    return MappingProxyType({name: load_plugin(kind, name) for name in sorted(_plugins(kind))})


def package_of(kind: str, name: str) -> str:
    """Return the package and the version that bring `KIND.NAME`, for messages."""
    return " and ".join(map(_package_version, _plugins(kind)[name]))


def plugin_versions() -> dict[str, str]:
    """Return the versions of the packages that bring what may change a byte of a data set, by "plug-in NAME"."""
    return {f"plug-in {package.name}": package.version for package in plugin_packages(BYTE_MAKERS)}


class PluginPackage(NamedTuple):
    """A package that brings something: its release, and where its modules lie, files or folders in one folder."""

    name: str
    version: str
    folder: Path
    modules: tuple[str, ...]


def plugin_packages(kinds: Collection[str]) -> list[PluginPackage]:
    """Return the packages that bring anything of some kinds, by name; none of them is imported."""
    found: dict[tuple[str, str, Path], set[str]] = {}
    for point in entry_points(group=GROUP):
        if point.name.partition(".")[0] not in kinds:
            continue
        place = _place(point.module.partition(".")[0])
        version = point.dist.version if point.dist is not None else "0"
        found.setdefault((_package(point), version, place.parent), set()).add(place.name)
    return [PluginPackage(*key, tuple(sorted(modules))) for key, modules in sorted(found.items())]


def _place(module: str) -> Path:
    """Return a top-level module's file, or the folder of a package; of one that is not there, just its name."""
    spec = find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if folders:
        return Path(folders[0])
    return Path(module if spec is None or spec.origin is None else spec.origin)


def _plugins(kind: str) -> dict[str, list[EntryPoint]]:
    """Return what all packages bring of a kind, by name."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        its_kind, _, name = point.name.partition(".")
        if its_kind not in KINDS or not name:
            raise PluginError(
                f"the entry point {point.name!r} of {_package(point)} in the group {GROUP} is not KIND.NAME"
                f"{nearest(its_kind, KINDS)}"
            )
        if its_kind == kind:
            found.setdefault(name, []).append(point)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "a package without metadata"


def _package_version(point: EntryPoint) -> str:
    return _package(point) if point.dist is None else f"{point.dist.name} {point.dist.version}"
