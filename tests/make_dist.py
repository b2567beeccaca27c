"""Make the sdist and the wheel of a release, the same bytes wherever that is done: `make dist`. Needs the extra `dev`.

`python -m build` alone writes the times and rights of the files at hand into the sdist, and packs what an earlier build
has left in the checkout. Here what git holds of HEAD is packed, and the wheel is made from the sdist.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make_dist(source: Path, out: Path, epoch: int) -> tuple[Path, Path]:
    """Write a release of a folder to `out`, checked as an index would; return its sdist and its wheel.

    Args:
        source: a copy of the checkout, in which the build leaves its own files.
        out: gets the two files.
        epoch: the time of every file in them, in seconds since 1970.
    """

    def build(what: str, folder: Path, to: Path) -> None:
        words = [sys.executable, "-m", "build", "--no-isolation", what, "--outdir", str(to), str(folder)]
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
        # a wheel holds the rights that files are written with
        subprocess.run(words, check=True, env=environment, umask=0o022, stdout=subprocess.DEVNULL)

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        build("--sdist", source, Path(scratch))
        (raw,) = Path(scratch).glob("*.tar.gz")
        sdist = out / raw.name
        _even(raw, sdist, epoch)
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        unpacked = Path(scratch) / raw.name.removesuffix(".tar.gz")
        build("--wheel", unpacked, out)
    (wheel,) = out.glob(f"{unpacked.name}-*.whl")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)], check=True)
    return sdist, wheel


def _even(raw: Path, even: Path, epoch: int) -> None:
    """Pack an archive again: sorted, and without what tells where and when it was made."""
    with (
        tarfile.open(raw) as old,
        even.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() else 0o644, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)


def main() -> None:
    """Write `dist/` from HEAD; its time is the commit's, unless SOURCE_DATE_EPOCH says another."""
    committed = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "head.tar"
        subprocess.run(["git", "archive", "--output", str(archive), "HEAD"], cwd=ROOT, check=True)
        source = Path(scratch) / "head"
        with tarfile.open(archive) as held:
            held.extractall(source, filter="data")
        make_dist(source, ROOT / "dist", int(os.environ.get("SOURCE_DATE_EPOCH", committed)))


if __name__ == "__main__":
    main()
