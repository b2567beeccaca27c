"""What is installed for users is what was tested, and stays light."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)

EXTRAS = ("model", "llm", "review", "bench", "dev")
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~;]", requirement)[0].lower() for requirement in requirements}


def test_the_core_install_is_free_of_torch() -> None:
    assert names(PROJECT["dependencies"]) & {"torch", "transformers", "openai", "datasets", "gdal"} == set()


def test_every_dependency_has_a_pin_and_an_upper_bound() -> None:
    required = [
        *PROJECT["dependencies"],
        *(r for extra in EXTRAS for r in PROJECT["optional-dependencies"][extra]),
    ]
    stubs = {"pandas-stubs", "types-networkx", "types-shapely"}  # named after the release that they describe
    for requirement in required:
        assert names([requirement]) <= PINS.keys(), requirement
        assert ",<" in requirement or names([requirement]) <= stubs, requirement


def test_torch_is_pinned_to_the_tested_build() -> None:
    assert PINS["torch"] == "2.13.0"


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
    todo = brought([*PROJECT["dependencies"], *(r for e in EXTRAS for r in PROJECT["optional-dependencies"][e])])
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
