"""What other people's packages bring: found by entry points, so that every process of a run finds it.

A package names what it has in its `pyproject.toml`, in the one group `rsvqa`, as KIND.NAME:

    [project.entry-points.rsvqa]
    "executor.dask" = "my_package.executor:DaskExecutor"

docs/plugins.md shows the whole contract. Of an executor, a class table, a benchmark or a model nothing is imported
before somebody asks for it by name; tasks, readers of labels and layouts count as soon as they are installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from rsvqa.annotation.errors import RsvqaError, nearest

GROUP = "rsvqa"
KINDS = ("task", "labels", "layout", "classes", "benchmark", "model", "executor")
BYTE_MAKERS = ("task", "labels", "layout", "classes")
"""Kinds that may change a byte of a data set."""


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


def has_plugin(kind: str, name: str) -> bool:
    """Tell whether an installed package brings `KIND.NAME`; nothing of it is imported."""
    return name in _plugins(kind)


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
    points = [point for kind in BYTE_MAKERS for named in _plugins(kind).values() for point in named]
    found = {f"plug-in {_package(point)}": point.dist.version for point in points if point.dist is not None}
    return dict(sorted(found.items()))


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
