"""A finished data set of an object storage, copied into a folder of this machine for those that read folders alone.

`build.toml` says which files there are, and comes last here, too: a copy that was stopped goes on, and one of which the
data set has been replaced meanwhile is no copy.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from rsvqa.rsvqa_builder.dataset.output import ANNOTATE_REPORT, MARKER, TIMINGS, WORK, is_own_file
from rsvqa.rsvqa_builder.files import OutputError, bucket_address, hash_file, require_here, whole_file, write_atomically
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore


def near_copy(data: Path | str, folder: Path, *, reporter: Reporter) -> Path:
    """Return the folder of a data set: a path as it is, of an address that of its copy.

    Args:
        data: the data set, a folder or "s3://bucket/prefix".
        folder: for copies, which lie there as in their storages; made when needed.
        reporter: hears of a copy that is made.

    Raises:
        OutputError: no finished data set lies there, or it is not what its `build.toml` says.
    """
    if (address := bucket_address(data)) is None:
        require_here(data)
        return Path(data)
    target = folder / PurePosixPath(address.replace("://", "/", 1))
    store = BucketStore(address)
    marker = _marker_of(store)
    if (target / MARKER).is_file() and (target / MARKER).read_bytes() == marker:
        return target
    digests = _stated(address, marker)
    target.mkdir(parents=True, exist_ok=True)
    (target / MARKER).unlink(missing_ok=True)
    for old in [path for path in target.rglob("*") if path.is_file()]:
        if is_own_file(name := old.relative_to(target).as_posix()) and name not in digests:
            old.unlink()
    reporter.note("copying", f"{address} is copied to {target}: {len(digests):,} files")
    for name, digest in digests.items():
        if not ((target / name).is_file() and hash_file(target / name) == digest):
            _copy(store, name, target / name, digest)
    if _marker_of(store) != marker:
        raise OutputError(f"{address} has been replaced while it was copied: repeat the command")
    write_atomically(target / MARKER, marker)
    return target


def _marker_of(store: BucketStore) -> bytes:
    try:
        return store.get(MARKER)
    except FileNotFoundError:
        is_begun = store.names(WORK) - {TIMINGS}
        what_to_do = "repeat the command that builds it, which goes on from there" if is_begun else "build it first"
        raise OutputError(f"{store} holds no finished data set ({MARKER} is missing): {what_to_do}") from None


def _stated(address: str, marker: bytes) -> dict[str, str | None]:
    """Return the digests of the files that a `build.toml` states; the bill of models has none."""
    try:
        content: dict[str, Any] = tomllib.loads(marker.decode())
        digests: dict[str, str | None] = {
            name: str(about["sha256"]) for name, about in content.get("files", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"cannot read {address}/{MARKER}: {error}") from error
    if not digests:
        raise OutputError(f"{address}/{MARKER} does not say which files there are: build the data set again")
    if foreign := [name for name in digests if not is_own_file(name)]:
        raise OutputError(f"{address}/{MARKER} names {foreign[0]}, which no command of rsvqa writes")
    return {**digests, ANNOTATE_REPORT: None} if "annotation" in content else digests


def _copy(store: BucketStore, name: str, path: Path, digest: str | None) -> None:
    path.parent.mkdir(exist_ok=True)
    try:
        with whole_file(path) as partial:
            store.get_file(name, partial)
            if digest is not None and hash_file(partial) != digest:
                raise OutputError(f"{store}/{name} is not the file that {MARKER} tells of: upload the data set again")
    except FileNotFoundError:
        if digest is not None:
            raise OutputError(f"{store}/{name} is missing, and {MARKER} names it: upload the data set again") from None
