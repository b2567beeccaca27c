"""A release: two builds give the same bytes, an index would take it, and it holds all of the package and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import rsvqa
from tests.make_dist import ROOT, make_dist

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("twine") is None, reason="needs the extra dev"),
]
EPOCH = 1_700_000_000
FLOORS = ("annotation", "benchmark", "model", "rsvqa_builder")
AT_THE_ROOT = {"__init__.py", "__main__.py", "api.py", "cli.py", "py.typed"}
OF_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}


def held_by_git() -> list[str]:
    """Return the paths in the checkout that git holds, or would."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).exists()})


def copy_out(folder: Path, mask: int) -> Path:
    """Copy the checkout as somebody with another umask would have cloned it, now."""
    for name in held_by_git():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
        copy.chmod(0o666 & ~mask)
    return folder


@pytest.fixture
def set_umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_a_release(tmp_path: Path, set_umask: Callable[[int], int]) -> None:
    releases = []
    for name, mask in (("one", 0o022), ("two", 0o077)):
        set_umask(mask)
        releases.append(make_dist(copy_out(tmp_path / name, mask), tmp_path / f"{name}-dist", EPOCH))
        time.sleep(2)  # files in a zip have times of two seconds
    (sdist, wheel), others = releases
    assert [file.name for file in others] == [sdist.name, wheel.name]
    assert [file.read_bytes() for file in others] == [sdist.read_bytes(), wheel.read_bytes()]

    version = rsvqa.__version__
    code = {name for name in held_by_git() if name.split("/")[0] in FLOORS} | AT_THE_ROOT
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
        assert {info.date_time for info in archive.infolist()} == {time.gmtime(EPOCH)[:6]}
    about = {name for name in packed if name.startswith(f"rsvqa-{version}.dist-info/")}
    assert packed.keys() - about == {f"rsvqa/{name}" for name in code}
    assert {name: packed[f"rsvqa/{name}"] for name in code} == {name: (ROOT / name).read_bytes() for name in code}
    metadata = packed[f"rsvqa-{version}.dist-info/METADATA"].decode()
    assert f"\nVersion: {version}\n" in metadata
    # an index shows the README by itself: nothing in it leads to a file beside it
    assert "\n## Status\n" in metadata
    assert [to for to in re.findall(r"\]\(([^)]*)\)", metadata) if not to.startswith("https://")] == []
    assert "docs/python-api.md" in metadata

    with tarfile.open(sdist) as source:
        members = source.getmembers()
    assert {(m.mtime, m.uname, m.mode & 0o077) for m in members} <= {(EPOCH, "", 0o055), (EPOCH, "", 0o044)}
    names = {m.name.removeprefix(f"rsvqa-{version}/") for m in members if m.isfile()}
    ours = {name for name in names if not name.startswith("rsvqa.egg-info/")}
    assert ours - OF_SETUPTOOLS == code | {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"}


def test_an_installation_leaves_the_checkout_as_it_was_and_installs_nothing_that_has_gone(tmp_path: Path) -> None:
    checkout = copy_out(tmp_path / "checkout", 0o022)
    gone = checkout / "annotation" / "gone.py"
    for number, is_there in enumerate((True, False)):
        gone.write_text("") if is_there else gone.unlink()
        before = sorted(checkout.rglob("*"))
        to = tmp_path / str(number)
        words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(to)]
        subprocess.run([*words, str(checkout)], check=True)
        assert sorted(checkout.rglob("*")) == before
        (wheel,) = to.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            assert ("rsvqa/annotation/gone.py" in archive.namelist()) == is_there
