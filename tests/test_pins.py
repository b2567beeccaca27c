"""What is installed for users is what was tested, and stays light."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


PINS, OLDEST = read_pins("constraints.txt"), read_pins("constraints-oldest.txt")

EXTRAS = ("model", "llm", "review", "bench", "audit", "hub", "ray", "test", "dev")
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def required(*extras: str) -> list[Requirement]:
    """Return what the project itself asks for, without extras that ask for other extras."""
    listed = [*PROJECT["dependencies"], *(r for extra in extras for r in PROJECT["optional-dependencies"][extra])]
    return [found for found in map(Requirement, listed) if found.name != PROJECT["name"]]


def lower_bound(requirement: Requirement) -> Version:
    (bound,) = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
    return bound


def test_the_core_install_is_free_of_torch() -> None:
    names = {requirement.name for requirement in required()}
    assert names & {"torch", "transformers", "openai", "datasets", "gdal", "ray"} == set()


def test_every_dependency_has_a_pin_and_an_upper_bound() -> None:
    stubs = {"pandas-stubs", "types-networkx", "types-shapely"}  # named after the release that they describe
    for requirement in required(*EXTRAS):
        assert requirement.specifier.contains(PINS[requirement.name]), requirement
        assert requirement.name in stubs or "<" in {part.operator for part in requirement.specifier}, requirement


def test_every_lower_bound_is_a_version_that_the_tests_run_with() -> None:
    bounds = {
        r.name: lower_bound(r) for r in required("model", "llm", "review", "bench", "audit", "hub", "ray", "test")
    }
    assert bounds == {name: Version(OLDEST[name]) for name in bounds}
    assert len(bounds) > 25


def test_torch_is_pinned_to_the_tested_build() -> None:
    assert (PINS["torch"], OLDEST["torch"]) == ("2.13.0", "2.13.0")


def test_the_continuous_integration_runs_the_sets_that_the_bounds_speak_of() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set_up oldest constraints-oldest.txt all,test\n" in script
    (unpinned,) = re.findall(r"grep -vE '\^\((.*)\)==' constraints\.txt", script)
    assert {"transformers"} <= set(unpinned.split("|")) <= PINS.keys()


def brought(requirements: Iterable[str], extras: frozenset[str] = frozenset()) -> set[tuple[str, frozenset[str]]]:
    """Return what requirements ask for here, by name and extras, without what they pin themselves (`pydantic-core`)."""
    asked = map(Requirement, requirements)
    here = [r for r in asked if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in {"", *extras})]
    return {
        (canonicalize_name(r.name), frozenset(r.extras))
        for r in here
        if not any(part.operator == "==" and "*" not in part.version for part in r.specifier)
    }


def test_what_dependencies_bring_has_a_pin_too() -> None:
    todo = brought(map(str, required(*EXTRAS)))
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo - seen:
        name, extras = min(todo - seen, key=lambda item: (item[0], sorted(item[1])))
        seen.add((name, extras))
        try:
            todo |= brought(requires(name) or (), extras)
        except PackageNotFoundError:
            continue  # of another platform, or not installed
    assert len(seen) > 60  # all of them were looked through, not only the ones named above
    assert {name for name, _ in seen} - PINS.keys() == set()


def test_every_folder_of_code_and_every_data_file_is_packaged() -> None:
    floors = {package.split(".")[1] for package in PACKAGES["packages"] if "." in package}
    files = [file for floor in floors for file in (ROOT / floor).rglob("*") if file.is_file() and file.suffix != ".pyc"]
    code = {".".join(("rsvqa", *file.parent.relative_to(ROOT).parts)) for file in files if file.suffix == ".py"}
    assert {"rsvqa", *code} == set(PACKAGES["packages"])
    packaged = {
        file
        for package, patterns in PACKAGES["package-data"].items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    assert {file for file in files if file.suffix != ".py"} - packaged == set()
