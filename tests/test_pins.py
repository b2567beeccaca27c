"""What is installed for users is what was tested, and stays light."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~;]", requirement)[0].lower() for requirement in requirements}


def test_the_core_install_is_free_of_torch() -> None:
    assert names(PROJECT["dependencies"]) & {"torch", "transformers", "openai", "datasets", "gdal"} == set()


def test_every_dependency_has_a_pin_and_an_upper_bound() -> None:
    required = [
        *PROJECT["dependencies"],
        *(r for extra in ("model", "llm", "review", "dev") for r in PROJECT["optional-dependencies"][extra]),
    ]
    stubs = {"pandas-stubs", "types-networkx", "types-shapely"}  # named after the release that they describe
    for requirement in required:
        assert names([requirement]) <= PINS.keys(), requirement
        assert ",<" in requirement or names([requirement]) <= stubs, requirement


def test_torch_is_pinned_to_the_tested_build() -> None:
    assert PINS["torch"] == "2.13.0"
