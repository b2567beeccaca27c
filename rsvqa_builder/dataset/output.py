"""The output folder of a build: one build at a time, resumed or refused, and nothing half-written under a final name.

While a build works, everything it has is below `.rsvqa/`. The finished data set is made there too, in `ready/`, its
shards in `shards/` where workers write them. It is moved into place at the very end, `build.toml` last, which tells the
size and the SHA-256 of the others. So a folder with a `build.toml` holds a whole data set, and an older data set stays
until a new one is whole. Files that a build did not write are never touched.

How long each step took stays in `.rsvqa/`, the one thing in a finished folder that the next build of the same does not
repeat byte for byte.

A build that comes to nothing, because every tile is dropped, leaves no data set: only its report and its dropped tiles
stay below `.rsvqa/`. They are worth nothing to a build of other settings, which begins anew without being told to.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import tomli_w

from rsvqa.rsvqa_builder.files import (
    OutputError,
    hash_file,
    missing_folders,
    move_file,
    remove_leftovers,
    remove_unused,
    require_local,
    sync,
    sync_tree,
    write_atomically,
    write_once,
)
from rsvqa.rsvqa_builder.locks import LOCK, FolderHeldError, FolderLock

WORK = ".rsvqa"
READY = "ready"
REPORT = "report.json"
TIMINGS = "timings.json"
MARKER = "build.toml"
ANNOTATE_REPORT = "annotate_report.json"

Fingerprint = Mapping[str, Mapping[str, Any]]
"""What decides the result: "settings", "versions", "inputs", "sources" and "machine", each name → value, of JSON types.

Sources are there where the build has several, or a sources file: name → what is said of each. What is said of the
machine does not go into the data set: it is compared while a build is unfinished.
"""

_COMMITTING = "committing.json"
FINGERPRINT_FILE = "fingerprint.json"
_STORED_PARTS = ("settings", "versions", "inputs", "sources")
_PARTS = (*_STORED_PARTS, "machine")
_SHARD = re.compile(r"(train|val|test)-\d{5}-of-\d{5}\.parquet")
_DOCUMENTS = (
    "README.md",
    "croissant.json",
    REPORT,
    "stats.json",
    "classes.toml",
    "preview.html",
    "preview/preview.parquet",
    ANNOTATE_REPORT,
    "review_report.json",
)


_UNSEALED = (MARKER, ANNOTATE_REPORT)


class StoredShard(NamedTuple):
    """A shard of a data set in the making, which lies elsewhere in the work until it is committed.

    Attributes:
        name: that it will have, below the data set's folder.
        key: where it lies, below the work folder.
        num_bytes, sha256: of the file.
    """

    name: str
    key: str
    num_bytes: int
    sha256: str


class OutputState(StrEnum):
    """What was found in the output folder."""

    NEW = "new"
    RESUMED = "resumed"
    COMPLETE = "complete"


class OutputFolder:
    """The output of one build, locked as long as the object is used as a context."""

    def __init__(self, path: Path, *, shared: bool = False, tell: Callable[[str], object] | None = None) -> None:
        """Touch nothing yet.

        Args:
            path: of the folder.
            shared: for the ranks of a job array, which add to the work of one build at the same time.
            tell: hears one line while it must be waited for a lost machine.
        """
        self.path = path
        self.work = path / WORK
        self.ready = self.work / READY
        self._shared = shared
        self._tell = tell
        self._lock: FolderLock | None = None
        self._made: list[Path] = []

    def __enter__(self) -> OutputFolder:
        """Make the folder and lock it.

        Raises:
            OutputError: when another build holds the lock, or the path is not a folder.
        """
        require_local(self.path)
        self._made = missing_folders(self.path)
        lock = FolderLock(self.path, shared=self._shared, tell=self._tell)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock.acquire()
        except FolderHeldError as holder:
            raise OutputError(
                f"another build is writing into {self.path} ({holder}): wait for it, or choose another `out`"
            ) from holder
        except OSError as error:
            raise OutputError(f"cannot make the output folder {self.path}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder; where nothing has been done in it, none is left behind."""
        if self._lock is None:
            return
        if not self._shared and {file.name for file in self.work.rglob("*") if file.is_file()} <= {FINGERPRINT_FILE}:
            shutil.rmtree(self.work, ignore_errors=True)
        self._lock.release()
        remove_unused(self._made)

    @property
    def is_free(self) -> bool:
        """Whether nothing would be lost or refused if a build began here."""
        return not (self._holds_other_things or self.holds_tiles or (self.work / _COMMITTING).exists())

    @property
    def _holds_other_things(self) -> bool:
        return any(entry.name not in (WORK, LOCK) for entry in self.path.iterdir())

    @property
    def holds_tiles(self) -> bool:
        """Whether an unfinished build has done a tile: without any, there is nothing to lose."""
        has_ended = (self.work / REPORT).exists()  # with nothing
        return not has_ended and any((self.work / "tiles").rglob("*.json"))

    def keep_report(self, report: str) -> Path:
        """Keep the report of a build that came to nothing and return where; the work that it tells of may be lost."""
        path = self.work / REPORT
        write_atomically(path, report.encode())
        return path

    def keep_timings(self, seconds: Mapping[str, float]) -> None:
        """Keep how long the steps of a finished build took, out of the data set's own files."""
        self.work.mkdir(exist_ok=True)
        write_atomically(self.work / TIMINGS, (json.dumps({"seconds": dict(seconds)}, indent=2) + "\n").encode())

    def finish_interrupted_move(self) -> None:
        """Complete what a kill in the middle of `commit` has left."""
        if (self.work / _COMMITTING).exists():
            self._move_into_place()

    def begin(self, fingerprint: Fingerprint, *, overwrite: bool) -> OutputState:
        """Prepare the folder for a build with `fingerprint` and return what was found.

        Raises:
            OutputError: when the folder holds something else, or a build with another fingerprint and `overwrite` is
                false.
        """
        self.finish_interrupted_move()
        started = self._started()
        if started == fingerprint:
            remove_leftovers(self.work)
            (self.work / REPORT).unlink(missing_ok=True)
            return OutputState.RESUMED
        if started is not None and not overwrite and self.holds_tiles:
            raise OutputError(self._refusal("an unfinished build", started, fingerprint))
        finished = self._finished()
        if finished is not None and not overwrite:
            if portable(fingerprint) == finished:
                return OutputState.COMPLETE
            raise OutputError(self._refusal("a data set", finished, portable(fingerprint)))
        if finished is None and started is None and self._holds_other_things:
            raise OutputError(
                f"{self.path} is not empty and holds no data set of rsvqa: choose an empty or new folder for `out`"
            )
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        write_atomically(self.work / FINGERPRINT_FILE, json.dumps(fingerprint, sort_keys=True).encode())
        return OutputState.NEW

    def join(self, fingerprint: Fingerprint) -> OutputState:
        """Take part in a build with `fingerprint`, beside others that do; return what was found.

        Nothing is removed: what lies here may be another rank's.

        Raises:
            OutputError: when the folder holds something else.
        """
        if (self.work / _COMMITTING).exists():
            raise OutputError(f"{self.path} is being finished: repeat the command without `shard_of` to complete it")
        finished = self._finished()
        if self._started() is None and finished is not None:
            if portable(fingerprint) == finished:
                return OutputState.COMPLETE
            raise OutputError(self._refusal("a data set", finished, portable(fingerprint), "choose another `out`"))
        if self._started() is None and self._holds_other_things:
            raise OutputError(
                f"{self.path} is not empty and holds no data set of rsvqa: choose an empty or new folder for `out`"
            )
        self.work.mkdir(exist_ok=True)
        is_first = write_once(self.work / FINGERPRINT_FILE, json.dumps(fingerprint, sort_keys=True).encode())
        started = self._started()
        if started != fingerprint:
            what_to_do = f"choose another `out`, or remove {self.work} to begin anew"
            raise OutputError(self._refusal("an unfinished build", started or {}, fingerprint, what_to_do))
        return OutputState.NEW if is_first else OutputState.RESUMED

    def drop_unplanned(self, planned: Collection[str]) -> None:
        """Remove shards that an interrupted build made ready by another plan: other scenes may be usable now."""
        for shard in sorted(self.ready.rglob("*.parquet")):
            if shard.relative_to(self.ready).as_posix() not in planned:
                shard.unlink()

    def require_held(self) -> None:
        """See that the folder is still this build's.

        Raises:
            OutputError: this machine could not be heard for so long that another build has taken the folder.
        """
        if self._lock is not None and not self._lock.is_held:
            raise OutputError(
                f"another build has taken {self.path} over while this machine could not be reached from there: "
                "repeat the command once that build has ended"
            )

    def commit(self, shards: Sequence[StoredShard] = ()) -> None:
        """Move the data set in `ready/` into place, in the stead of an older one, and with it `shards`.

        Raises:
            OutputError: this machine could not be heard for so long that another build has taken the folder.
        """
        self.require_held()
        seal(self.ready, shards)
        ready = [file.relative_to(self.ready).as_posix() for file in self.ready.rglob("*") if file.is_file()]
        places = {**{name: f"{READY}/{name}" for name in ready}, **{shard.name: shard.key for shard in shards}}
        sync_tree(self.ready)
        write_atomically(self.work / _COMMITTING, json.dumps(places, sort_keys=True).encode())
        self._move_into_place()

    def _move_into_place(self) -> None:
        """Move what is ready; after a kill at any point, doing it again completes it."""
        places: dict[str, str] = json.loads((self.work / _COMMITTING).read_bytes())
        if (self.ready / MARKER).exists():
            (self.path / MARKER).unlink(missing_ok=True)
        for file in self._own_files():
            if file.relative_to(self.path).as_posix() not in places:
                file.unlink()
        for name, place in sorted(places.items(), key=lambda entry: (entry[0] == MARKER, entry[0])):
            if name == MARKER:  # a power cut must not leave it without the rest
                for folder in sorted({(self.path / other).parent for other in places}):
                    sync(folder)
            if (self.work / place).exists():
                (self.path / name).parent.mkdir(exist_ok=True)
                move_file(self.work / place, self.path / name)
        sync(self.path)
        # the list of what to move goes last, so that a kill meanwhile is not taken for an unfinished build
        for entry in sorted(self.work.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _COMMITTING:
                entry.unlink()
        shutil.rmtree(self.work)

    def _own_files(self) -> Iterator[Path]:
        """Yield the files of a finished data set that a build has written."""
        yield from (self.path / name for name in _DOCUMENTS if (self.path / name).exists())
        for folder in ("data", "tiles"):
            yield from (file for file in sorted((self.path / folder).glob("*")) if _SHARD.fullmatch(file.name))

    def _started(self) -> dict[str, Any] | None:
        """Return the fingerprint of an unfinished build, or None when there is none."""
        try:
            return dict(json.loads((self.work / FINGERPRINT_FILE).read_bytes()))
        except (OSError, ValueError):
            return None

    def _finished(self) -> dict[str, Any] | None:
        """Return the fingerprint of a finished data set as its `build.toml` tells it, or None when there is none."""
        try:
            content = tomllib.loads((self.path / MARKER).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot read {self.path / MARKER}: {error}; `overwrite` builds anew") from error
        return stored_fingerprint(content)

    def _refusal(
        self,
        what: str,
        old: Fingerprint,
        new: Fingerprint,
        what_to_do: str = "choose another `out`, or pass `overwrite` to build anew",
    ) -> str:
        changes = "; ".join(describe_changes(old, new))
        return (
            f"{self.path} holds {what} made otherwise: {changes}. Repeat with the old settings and inputs, {what_to_do}"
        )


def check_export_folder(src: Path, out: Path, *, overwrite: bool) -> None:
    """See that the data set in `src` may be exported to `out`.

    Raises:
        OutputError: when `out` is a file, holds something and `overwrite` is false, or holds the data set or lies among
            its shards.
    """
    src, out = src.resolve(), out.resolve()
    if out == src or out in src.parents:
        raise OutputError(f"`out` {out} holds the data set itself; choose another folder")
    if any(folder in (out, *out.parents) for folder in (src / "data", src / "tiles")):
        raise OutputError(f"`out` {out} lies among the data set's shards; choose another folder")
    if out.exists() and not out.is_dir():
        raise OutputError(f"`out` {out} is a file; expected a folder")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise OutputError(f"`out` {out} is not empty; choose another folder, or `overwrite` to replace it")


def seal(folder: Path, shards: Sequence[StoredShard] = ()) -> None:
    """Write into what is the last file of a data set which others there are; the bill of models is none of them.

    Args:
        folder: with all other files.
        shards: that come from elsewhere, and were hashed when they were made.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name not in _UNSEALED]
    with ThreadPoolExecutor() as threads:  # hashing lets other threads work
        digests = list(threads.map(hash_file, files))
    marker = tomllib.loads((folder / MARKER).read_text("utf-8"))
    stated = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": digest}
        for file, digest in zip(files, digests, strict=True)
    }
    stated |= {shard.name: {"bytes": shard.num_bytes, "sha256": shard.sha256} for shard in shards}
    marker["files"] = {name: stated[name] for name in sorted(stated, key=PurePosixPath)}
    (folder / MARKER).write_text(tomli_w.dumps(marker), encoding="utf-8", newline="\n")


def is_own_file(name: str) -> bool:
    """Return whether a build writes a file of this name, below the data set's folder."""
    folder, _, base = name.rpartition("/")
    return name in _DOCUMENTS or (folder in ("data", "tiles") and _SHARD.fullmatch(base) is not None)


def stored_fingerprint(marker: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of a finished data set, as its `build.toml` tells it."""
    return _with_sources({part: marker.get(part, {}) for part in _STORED_PARTS})


def stored_name(folder: Path) -> str:
    """Return what the data set in a folder is called, as its `build.toml` tells it; as the folder where it does not."""
    marker = folder / MARKER
    told = tomllib.loads(marker.read_text("utf-8")).get("name") if marker.exists() else None
    return str(told or folder.resolve().name)


def why_unfinished(folder: Path, names: Collection[str]) -> str | None:
    """Return why files of a data set are not to be read yet; None when they may be, or nothing is known of them.

    Args:
        folder: of the data set.
        names: of the files, below it.
    """
    try:
        marker = tomllib.loads((folder / MARKER).read_text("utf-8"))
    except FileNotFoundError:
        if (folder / WORK).exists() and not (folder / WORK / REPORT).exists():  # of a build that came to nothing
            return f"{folder} is not finished: repeat the command that writes it, which goes on from here"
        return None
    except (OSError, ValueError) as error:
        return f"cannot read {folder / MARKER}: {error}"
    sizes = {name: stated["bytes"] for name, stated in marker.get("files", {}).items()}
    for name in names:
        found = (folder / name).stat().st_size
        if name in sizes and found != sizes[name]:
            return f"{folder / name} has {found:,} bytes, and {MARKER} says {sizes[name]:,}: copy the data set again"
    return None


def verified_files(folder: Path) -> dict[str, str | None]:
    """Return the files of a finished data set, name → SHA-256, each read and found to be what `build.toml` says.

    `build.toml` itself and the bill of models are among them, without a digest.

    Raises:
        OutputError: when there is no finished data set, or a file of it is missing or has other bytes.
    """
    if not (folder / MARKER).is_file():
        raise OutputError(
            why_unfinished(folder, ()) or f"{folder} holds no finished data set of rsvqa ({MARKER} is missing)"
        )
    try:
        stated: dict[str, Any] = tomllib.loads((folder / MARKER).read_text("utf-8")).get("files", {})
        digests = {name: str(about["sha256"]) for name, about in stated.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"cannot read {folder / MARKER}: {error}") from error
    if not digests:
        raise OutputError(f"{folder / MARKER} does not say which files there are: build the data set again")
    foreign = [name for name in digests if not is_own_file(name)]
    if foreign:
        raise OutputError(f"{folder / MARKER} names {foreign[0]}, which no command of rsvqa writes")
    missing = [name for name in digests if not (folder / name).is_file()]
    if missing:
        raise OutputError(f"{folder / missing[0]} is missing, and {MARKER} names it: copy the data set again")
    with ThreadPoolExecutor() as threads:
        found = threads.map(hash_file, [folder / name for name in digests])
        for (name, digest), now in zip(digests.items(), found, strict=True):
            if now != digest:
                raise OutputError(f"{folder / name} is not the file that {MARKER} tells of: copy the data set again")
    return {**digests, **{name: None for name in _UNSEALED if (folder / name).is_file()}}


def portable(fingerprint: Fingerprint) -> dict[str, dict[str, Any]]:
    """Return what a finished data set keeps of its fingerprint: all but unset settings, inputs' times and the machine.

    Copies of the same inputs then give the same bytes; while a build is unfinished, a touched input is refused.
    """
    kept = {
        "settings": {key: value for key, value in fingerprint["settings"].items() if value is not None},
        "versions": dict(fingerprint["versions"]),
        "inputs": {name: size for name, (size, _) in fingerprint["inputs"].items()},
        "sources": dict(fingerprint.get("sources", {})),
    }
    return _with_sources(kept)


def _with_sources(fingerprint: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a fingerprint without the sources where there are none: a build of one folder says nothing of them."""
    return {part: values for part, values in fingerprint.items() if values or part != "sources"}


def describe_changes(old: Fingerprint, new: Fingerprint, *, most: int = 6) -> list[str]:
    """Return what differs between two fingerprints, a short text each, at most `most` and a count of the rest."""
    changes = []
    for part in _PARTS:
        before, after = old.get(part, {}), new.get(part, {})
        for key in sorted({*before, *after}):
            if before.get(key) == after.get(key):
                continue
            if part == "inputs":
                verb = "is new" if key not in before else "is gone" if key not in after else "has changed"
                changes.append(f"input {key} {verb}")
            else:
                what = f"source {key}" if part == "sources" else key
                changes.append(f"{what} was {before.get(key)}, is {after.get(key)}")
    rest = len(changes) - most
    return changes if rest <= 0 else [*changes[:most], f"and {rest} more"]
