"""What a wheel puts into site-packages: one name, nothing of tests; nobody else's modules are taken for ours."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import rsvqa

ROOT = Path(__file__).parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
HOSTILE = "raise SystemExit('a module of somebody else was imported')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, which is left as it is."""
    if find_spec("setuptools") is None:  # imported, it would take the place of distutils in other tests
        pytest.skip("needs setuptools")
    out = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(ROOT)], check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A working directory in which every loose name that a module of ours might have is somebody else's."""
    for name in ("api", "cli", "settings", "files", "build"):
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    for name in ("model", "annotation", "benchmark", "rsvqa_builder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(HOSTILE)
    return tmp_path


def run(folder: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours from the installed wheel, with the working directory before it on the path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([".", str(site)])}
    command = [sys.executable, "-m", "rsvqa", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_wheel_holds_one_name_and_nothing_of_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"rsvqa", f"rsvqa-{rsvqa.__version__}.dist-info"}
    assert [name for name in names if "test" in name or "constraints" in name or "docs" in name] == []
    assert {"rsvqa/py.typed", "rsvqa/api.py", "rsvqa/cli.py", "rsvqa/__main__.py"} <= set(names)
    assert {f"rsvqa/rsvqa_builder/recipes/{name}.toml" for name in ("superrs", "highrs")} <= set(names)


def test_commands_do_not_meet_modules_of_the_working_directory(hostile: Path, site: Path) -> None:
    # two workers: they are spawned, and import everything anew
    for words in (
        ("demo-scenes", "--out", "scenes", "--size", "512", "--count", "2"),
        (
            "build",
            "--src",
            "scenes",
            "--classes",
            "demo",
            "--out",
            "superrs",
            "--workers",
            "2",
            "--split-shares",
            "0.5,0,0.5",
        ),
        ("bench", "--model", "random", "--data", "superrs", "--split", "train", "--out", "run", "--tasks", "OP,OCL"),
        ("browse", "run"),
    ):
        done = run(hostile, site, *words)
        assert done.returncode == 0, done.stderr
    assert (hostile / "superrs" / "build.toml").exists()
    assert (hostile / "run" / "report.html").exists()
    assert (hostile / "run" / "browse" / "browse.js").exists()


def test_what_runs_is_the_installed_wheel(hostile: Path, site: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([".", str(site)])}
    show = [sys.executable, "-c", "import rsvqa.cli; print(rsvqa.cli.__file__)"]
    done = subprocess.run(show, cwd=hostile, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == site / "rsvqa" / "cli.py"


@pytest.mark.parametrize("extra", ["model", "llm", "bench", "review"])
def test_a_missing_extra_is_asked_for_by_the_names_of_its_packages(tmp_path: Path, site: Path, extra: str) -> None:
    # nothing but pip is installed: then all of the extra is missing
    code = f"""
from importlib.metadata import PackageNotFoundError
from rsvqa.annotation import extras

def version(name):
    if name == "pip":
        return "24.0"
    raise PackageNotFoundError(name)

extras.version = version
try:
    extras.require_extra("{extra}", "convert")
except extras.MissingExtraError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    python, *words = shlex.split(done.stdout.split(": ", 1)[1])
    assert (python, words[:3]) == (sys.executable, ["-m", "pip", "install"])
    assert set(map(Requirement, words[3:])) == set(map(Requirement, EXTRAS[extra]))


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import rsvqa; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['rsvqa']"


@pytest.mark.parametrize("start", [["-m", "rsvqa"], ["-m", "rsvqa.cli"]])
def test_the_version_is_told(start: list[str]) -> None:
    done = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"rsvqa {rsvqa.__version__}\n"
