"""What other people's packages bring: found by entry points, so that every process of a run finds it.

A package names what it has in its `pyproject.toml`, in the one group `rsvqa`, as KIND.NAME:

    [project.entry-points.rsvqa]
    "executor.dask" = "my_package.executor:DaskExecutor"

Nothing of a package is imported before somebody asks for it by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from rsvqa.annotation.errors import RsvqaError, nearest

GROUP = "rsvqa"


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
        return points[0].load()
    except Exception as error:  # whatever an import of somebody else's code may raise
        raise PluginError(
            f"{kind} {name!r} of {_package(points[0])} cannot be imported ({points[0].value}): {error!r}"
        ) from error


class PluginPackage(NamedTuple):
    """A package that brings something: its release, and where its modules lie, files or folders in one folder."""

    name: str
    version: str
    folder: Path
    modules: tuple[str, ...]


def plugin_packages(*, without: Collection[str] = ()) -> list[PluginPackage]:
    """Return the packages that bring anything of another kind than `without`, by name; none of them is imported."""
    found: dict[tuple[str, str, Path], set[str]] = {}
    for point in entry_points(group=GROUP):
        if point.name.partition(".")[0] in without:
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
        if its_kind == kind:
            found.setdefault(name, []).append(point)
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "a package without metadata"
