"""What other people's packages bring: found by entry points, so that every process of a run finds it.

A package names what it has in its `pyproject.toml`, in the one group `rsvqa`, as KIND.NAME:

    [project.entry-points.rsvqa]
    "executor.dask" = "my_package.executor:DaskExecutor"

Nothing of a package is imported before somebody asks for it by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

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
