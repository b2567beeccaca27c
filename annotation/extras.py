"""Optional parts of the installation: is an extra there, and if not, which command brings it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from rsvqa.annotation.errors import RsvqaError


class MissingExtraError(RsvqaError):
    """A command needs packages that are not installed, or not in a release that it works with."""


def require_extra(extra: str, command: str) -> None:
    """Refuse to go on without an extra; nothing of it is imported.

    What the extra needs is read from the metadata of the installation. The message installs that by its own names: a
    package installed from a checkout or a wheel cannot be asked for as `rsvqa[...]`.

    Args:
        extra: as pyproject.toml names it.
        command: for the message.

    Raises:
        MissingExtraError: a package of the extra is missing, or of a release outside the tested range.
    """
    missing = [needed for needed in _requirements(extra) if not _is_met(needed)]
    if missing:
        names = ", ".join(_name(needed) for needed in missing)
        raise MissingExtraError(f"`rsvqa {command}` needs {names}: {install_command(*map(_specified, missing))}")


def install_command(*requirements: str) -> str:
    """Return the command line that installs packages into the environment that runs now, whatever `pip` is on the path.

    Environments that uv made hold no pip; uv itself fills them.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    # By its metadata: whoever looks for the module `pip` makes setuptools hand out the old distutils from then on, for
    # the rest of the process, and torch's compiler fails on that.
    pip = f"{python} -m pip install" if _installed("pip") else f"uv pip install --python {python}"
    return " ".join((pip, *(f'"{requirement}"' for requirement in requirements)))


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield what an extra adds to the core, on this platform.

    Raises:
        MissingExtraError: rsvqa is found on the path without having been installed.
    """
    try:
        lines = requires("rsvqa") or ()
    except PackageNotFoundError as error:
        raise MissingExtraError(
            f"rsvqa is on the path of Python but not installed: run {install_command('.')} in its checkout"
        ) from error
    for needed in map(Requirement, lines):
        marker = needed.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield needed


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_met(needed: Requirement) -> bool:
    installed = _installed(needed.name)
    return installed is not None and needed.specifier.contains(installed, prereleases=True)


def _name(needed: Requirement) -> str:
    installed = _installed(needed.name)
    return f"{needed.name} ({installed} is installed)" if installed else needed.name


def _specified(needed: Requirement) -> str:
    """Return a requirement without its marker, as the extra is chosen already; its lower bound first."""
    extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
    return f"{needed.name}{extras}{','.join(sorted(map(str, needed.specifier), reverse=True))}"
