"""An object storage in the place of the output folder: `s3://bucket/prefix`, or one of `gs://` or `az://`.

Finished tiles and shards go to objects below `.rsvqa/`. Labels, tiled copies and documents are on this machine, in a
folder of its own that goes at the end. What is finished gets its final name at the end, `build.toml` last.

A lease keeps two builds apart (`bucket_lease.py`). Not every storage has the conditional writes that it takes, and a
holder may be taken for dead while its machine sleeps; so it must do no harm either when two builds are at work. Those
of the same settings and inputs store the same bytes under the same names. The work of others lies apart, and whoever
finds some refuses to mix in.

What surprises: a process that is killed may leave an empty object on Azure, under the name of what it was about to
write: sizes tell such from whole ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import shutil
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

from pyarrow import ArrowException, fs

from rsvqa.rsvqa_builder.dataset.output import (
    FINGERPRINT_FILE,
    MARKER,
    REPORT,
    WORK,
    Fingerprint,
    OutputState,
    StoredShard,
    describe_changes,
    is_own_file,
    portable,
    seal,
    stored_fingerprint,
)
from rsvqa.rsvqa_builder.files import OutputError, move_file, write_atomically
from rsvqa.rsvqa_builder.locks import FolderHeldError
from rsvqa.rsvqa_builder.storages import open_storage, reason_of
from rsvqa.rsvqa_builder.tiles.bucket_lease import (
    LEASE,
    BucketLease,
    ConditionalObjects,
    NoConditionsError,
    PlaceTakenError,
)

Result = TypeVar("Result")

NUM_TRIES = 5
_FIRST_WAIT_S = 0.2
_NUM_THREADS = 16
_CHUNK = 16 * 2**20
_MOST_COPIED = 5 * 10**9
"""Bytes that S3 copies in one request ("Copying objects", Amazon S3 User Guide); larger ones pass through here."""


@dataclass(frozen=True, slots=True)
class BucketStore:
    """A work store of objects below an address; what fails is tried again.

    Attributes:
        address: "s3://bucket/prefix".
        near: folder of this machine that keeps the small records, which are read several times.
        has_conditions: whether the storage is known to have conditional writes.
    """

    address: str
    near: Path | None = None
    has_conditions: bool = False

    def __str__(self) -> str:
        """Return the address."""
        return self.address

    def put(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Store an object in one request.

        Of several that put with `if_absent` at the same time more than one may store where there are no conditions:
        what is stored under a key never depends on who does it.
        """
        if if_absent and self.has_conditions:
            return self._create(key, content)
        if if_absent and self._info(key).type is fs.FileType.File:
            return False

        def write() -> None:
            stream = open_storage(self.address).open_output_stream(self._path(key))
            stream.write(content)
            stream.close()  # not in a `with`: an exception would finish the upload of a part

        _retried(write)
        if (near := self._near(key)) is not None:
            near.unlink(missing_ok=True)
        return True

    def _create(self, key: str, content: bytes) -> bool:
        try:
            ConditionalObjects(self.address).create(key, content)
        except PlaceTakenError:
            return False
        except NoConditionsError as error:
            raise OSError(f"cannot write {self.address}/{key}: {error}") from error
        return True

    def put_file(self, key: str, path: Path) -> None:
        """Store a file, and see that all of it has arrived.

        Raises:
            OutputError: it has not.
        """

        def write() -> None:
            stream = open_storage(self.address).open_output_stream(self._path(key))
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    stream.write(chunk)
            stream.close()

        _retried(write)
        if (found := self._info(key).size) != (size := path.stat().st_size):
            raise OutputError(f"{self.address}/{key} has {found} bytes after an upload of {size}: repeat the command")

    @contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        """Yield where to write in a folder of this machine; the file is uploaded at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="rsvqa-") as folder:
            path = Path(folder) / PurePosixPath(key).name
            yield path
            self.put_file(key, path)

    def get_file(self, key: str, path: Path) -> None:
        """Write an object's bytes to a file of this machine.

        Raises:
            FileNotFoundError: when there is none.
        """

        def read() -> None:
            with open_storage(self.address).open_input_stream(self._path(key)) as stream, path.open("wb") as file:
                while chunk := stream.read(_CHUNK):
                    file.write(chunk)

        _retried(read)

    def size_of(self, key: str) -> int | None:
        """Return the bytes of an object, None when there is none."""
        size: int | None = self._info(key).size
        return size

    def copy(self, key: str, new_key: str) -> None:
        """Store the content of an object under another key, without its passing through this machine.

        Raises:
            FileNotFoundError: when there is none.
            OutputError: not all of it has arrived.
        """
        if (size := self.size_of(key)) is None:
            raise FileNotFoundError(key)
        _retried(lambda: _copy(open_storage(self.address), self._path(key), self._path(new_key), size))
        if (found := self._info(new_key).size) != size:
            raise OutputError(f"{self.address}/{new_key} has {found} bytes as a copy of {size}: repeat the command")

    def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        near = self._near(key)
        if near is not None and near.exists():
            return near.read_bytes()

        def read() -> bytes:
            with open_storage(self.address).open_input_stream(self._path(key)) as stream:
                return bytes(stream.read())

        content = _retried(read)
        if near is not None:
            near.parent.mkdir(parents=True, exist_ok=True)
            partial = near.with_name(f".{near.name}-{os.getpid()}-{threading.get_ident()}")
            partial.write_bytes(content)
            move_file(partial, near)  # workers of this machine look here, too
        return content

    def list(self, prefix: str) -> Mapping[str, int]:
        """Return the objects below a prefix."""
        selector = fs.FileSelector(self._path(prefix), recursive=True, allow_not_found=True)
        found = _retried(lambda: open_storage(self.address).get_file_info(selector))
        below = len(self._path("")) + 1
        return {info.path[below:]: info.size for info in found if info.type is fs.FileType.File}

    def delete(self, key: str) -> None:
        """Remove an object."""
        _ignore_missing(lambda: open_storage(self.address).delete_file(self._path(key)))

    def delete_all(self, prefix: str) -> None:
        """Remove what is below a prefix."""
        if self._info(prefix).type is fs.FileType.NotFound:
            return
        _ignore_missing(lambda: open_storage(self.address).delete_dir(self._path(prefix)))

    def names(self, prefix: str = "") -> set[str]:
        """Return the first part of every key below a prefix, after the prefix."""
        if self.address.startswith("gs://"):  # Google's knows no folders, and pyarrow looks for none there
            below = f"{prefix}/" if prefix else ""
            return {key.removeprefix(below).partition("/")[0] for key in self.list(prefix)}
        selector = fs.FileSelector(self._path(prefix), allow_not_found=True)
        return {info.base_name for info in _retried(lambda: open_storage(self.address).get_file_info(selector))}

    def _info(self, key: str) -> fs.FileInfo:
        return _retried(lambda: open_storage(self.address).get_file_info(self._path(key)))

    def _near(self, key: str) -> Path | None:
        return self.near / key if self.near is not None and key.endswith(".json") else None

    def _path(self, key: str) -> str:
        return f"{self.address.partition('://')[2]}/{key}".rstrip("/")


def _retried(work: Callable[[], Result]) -> Result:
    """Return what a request returns; one that fails is repeated, with longer and longer waits."""
    for attempt in range(1, NUM_TRIES):
        try:
            return work()
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(_FIRST_WAIT_S * 2**attempt * random.random())
    return work()


def _copy(storage: fs.FileSystem, source: str, target: str, size: int) -> None:
    if size <= _MOST_COPIED:
        storage.copy_file(source, target)
        return
    with storage.open_input_stream(source) as content:
        stream = storage.open_output_stream(target)
        while chunk := content.read(_CHUNK):
            stream.write(chunk)
        stream.close()


def _ignore_missing(work: Callable[[], None]) -> None:
    try:
        _retried(work)
    except FileNotFoundError:
        return


class OutputBucket:
    """The output of one build as `dataset.output.OutputFolder` is, in an object storage.

    Attributes:
        work, ready: folders of this machine, as those of an `OutputFolder`; nothing in them outlives the build.
    """

    def __init__(
        self, address: str, *, shared: bool = False, note: Callable[[str, str], object] = lambda _, __: None
    ) -> None:
        """Touch nothing yet.

        Args:
            address: "s3://bucket/prefix".
            shared: for the ranks of a job array.
            note: hears what a person should know: its kind, and a line.
        """
        self.address = address
        self._shared = shared
        self._note = note
        self._lease: BucketLease | None = None
        self._final = BucketStore(address)
        self._folder = Path()
        self._key = ""
        self._was_finished = False

    def __enter__(self) -> Self:
        """See that the storage can be reached and is not another build's, and make the folders.

        Raises:
            OutputError: it cannot, or it is.
        """
        bucket, *prefix = self.address.partition("://")[2].split("/")
        if not {".", ".."}.isdisjoint(prefix):
            raise OutputError(
                f"cannot use {self.address}: in a storage '..' is a name like any other; give the place itself"
            )
        try:
            found = open_storage(self.address).get_file_info(bucket).type
        except (OSError, ArrowException) as error:
            raise OutputError(f"cannot use {self.address}: {reason_of(error)}") from error
        if found is fs.FileType.NotFound:
            raise OutputError(f"cannot use {self.address}: there is no bucket {bucket!r}, or it is not yours to see")
        self._lease = self._take_lease()
        self._folder = Path(tempfile.mkdtemp(prefix="rsvqa-"))
        self.work.mkdir()
        return self

    def _take_lease(self) -> BucketLease | None:
        """Return the lease; None where the storage knows no such thing, of which a person hears."""
        lease = BucketLease(self.address, shared=self._shared, tell=partial(self._note, "waiting"))
        try:
            return lease.acquire()
        except FolderHeldError as holder:
            raise OutputError(
                f"another build is writing into {self.address} ({holder}): wait for it, or choose another `out`"
            ) from holder
        except NoConditionsError as error:
            why = str(error)
        trial = f"{LEASE}/{secrets.token_hex(8)}"
        try:
            self._final.put(trial, b"trial")
            self._final.delete(trial)
            with suppress(FileNotFoundError):  # some store what they then say they have not
                if lease.is_own(self._final.get(lease.key)):
                    self._final.delete(lease.key)
        except OSError as error:
            raise OutputError(f"cannot write to {self.address}: {reason_of(error)}") from error
        self._note("unlocked", f"{self.address} is not locked, see to it that no other build writes there: {why}")
        return None

    def __exit__(self, *_: object) -> None:
        """Let the address go, and remove this machine's folders."""
        if self._lease is not None:
            self._lease.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def require_held(self) -> None:
        """See that no other build has taken the address over; see `BucketLease.require_held`."""
        if self._lease is not None:
            self._lease.require_held()

    @property
    def work(self) -> Path:
        """Folder for what tiles need."""
        return self._folder / WORK

    @property
    def ready(self) -> Path:
        """Folder for the data set in the making."""
        return self.work / "ready"

    @property
    def store(self) -> BucketStore:
        """Where finished tiles go."""
        return BucketStore(f"{self.address}/{WORK}/{self._key}", self.work / "near", self._lease is not None)

    @property
    def is_free(self) -> bool:
        """Whether nothing would be lost or refused if a build began here."""
        return not self._final.names() - {LEASE}

    @property
    def holds_tiles(self) -> bool:
        """Whether an unfinished build has done a tile."""
        return self._holds_tiles(self._key)

    def begin(self, fingerprint: Fingerprint, *, overwrite: bool) -> OutputState:
        """Prepare for a build with `fingerprint` and return what was found; see `OutputFolder.begin`."""
        state = self._begin(fingerprint, may_replace=overwrite)
        if state is not OutputState.COMPLETE:
            for other in self._others():
                self._final.delete_all(f"{WORK}/{other}")
            self.store.delete(REPORT)
        return state

    def join(self, fingerprint: Fingerprint) -> OutputState:
        """Take part in a build with `fingerprint` beside others; see `OutputFolder.join`."""
        return self._begin(fingerprint, may_replace=False)

    def _begin(self, fingerprint: Fingerprint, *, may_replace: bool) -> OutputState:
        text = json.dumps(fingerprint, sort_keys=True).encode()
        self._key = hashlib.sha256(text).hexdigest()[:16]
        started = FINGERPRINT_FILE in self.store.names()
        write_atomically(self.work / FINGERPRINT_FILE, text)
        others = self._others()
        finished = self._finished()
        self._was_finished = finished is not None
        if not started and not may_replace:
            if finished is not None and portable(fingerprint) == finished:
                return OutputState.COMPLETE
            if finished is not None:
                raise OutputError(self._refusal("a data set", finished, portable(fingerprint)))
            if not others and self._final.names() - {WORK, LEASE}:
                raise OutputError(f"{self.address} is not empty and holds no data set of rsvqa: choose another `out`")
        if not may_replace:
            self._refuse_work_of(others, fingerprint)
        self.store.put(FINGERPRINT_FILE, text)
        if not may_replace:  # whoever began at the same moment sees this, or is seen
            self._refuse_work_of(self._others() - others, fingerprint)
        return OutputState.RESUMED if started else OutputState.NEW

    def _refuse_work_of(self, others: Collection[str], fingerprint: Fingerprint) -> None:
        for other in sorted(others):
            if self._holds_tiles(other):
                old = json.loads(self._final.get(f"{WORK}/{other}/{FINGERPRINT_FILE}"))
                raise OutputError(self._refusal("an unfinished build", old, fingerprint))

    def _others(self) -> set[str]:
        return self._final.names(WORK) - {self._key}

    def _holds_tiles(self, key: str) -> bool:
        names = self._final.names(f"{WORK}/{key}")
        return "tiles" in names and REPORT not in names

    def keep_report(self, report: str) -> str:
        """Keep the report of a build that came to nothing and return where."""
        self.store.put(REPORT, report.encode())
        return f"{self.store}/{REPORT}"

    def read_report(self) -> dict[str, Any]:
        """Return the report of a finished data set."""
        return dict(json.loads(self._final.get(REPORT)))

    def commit(self, shards: Sequence[StoredShard] = ()) -> None:
        """Put the data set in the stead of an older one, `build.toml` last; the storage itself copies the shards.

        Where another build of the same has finished meanwhile, its files stay.

        Raises:
            OutputError: shards are gone, something has not arrived, or another build has taken the address over.
        """
        self.require_held()
        seal(self.ready, shards)
        marker = self._read_marker()
        if not self._was_finished and self._is_ours(marker):
            self._final.delete_all(WORK)
            return
        if marker is not None:
            self._final.delete(MARKER)
        try:
            self._place(shards)
        except FileNotFoundError as error:  # another build of the same has ended, and removed the work
            if self._is_ours(self._read_marker()):
                return
            raise OutputError(f"{self.address}: {error} is gone: repeat the command, alone") from error
        self.require_held()  # copies may have taken hours
        self._final.put_file(MARKER, self.ready / MARKER)
        self._final.delete_all(WORK)

    def _is_ours(self, marker: bytes | None) -> bool:
        return marker == (self.ready / MARKER).read_bytes()

    def _place(self, shards: Sequence[StoredShard]) -> None:
        """Give all files but the last their final names, and remove those of an older data set."""
        own = [file.relative_to(self.ready).as_posix() for file in sorted(self.ready.rglob("*")) if file.is_file()]
        for key in self._own_keys():
            if key not in {*own, *(shard.name for shard in shards)}:
                self._final.delete(key)
        place = f"{WORK}/{self._key}"
        with ThreadPoolExecutor(_NUM_THREADS) as threads:
            others = [name for name in own if name != MARKER]
            list(threads.map(lambda name: self._final.put_file(name, self.ready / name), others))
            list(threads.map(lambda shard: self._final.copy(f"{place}/{shard.key}", shard.name), shards))

    def _own_keys(self) -> list[str]:
        keys = [
            *self._final.names(),
            *(f"{kind}/{name}" for kind in ("data", "tiles", "preview") for name in self._final.names(kind)),
        ]
        return sorted(key for key in keys if is_own_file(key))

    def _finished(self) -> dict[str, Any] | None:
        marker = self._read_marker()
        try:
            return None if marker is None else stored_fingerprint(tomllib.loads(marker.decode()))
        except ValueError as error:
            raise OutputError(f"cannot read {self.address}/{MARKER}: {error}; `overwrite` builds anew") from error

    def _read_marker(self) -> bytes | None:
        try:
            return self._final.get(MARKER) or None
        except FileNotFoundError:
            return None

    def _refusal(self, what: str, old: Fingerprint, new: Fingerprint) -> str:
        changes = "; ".join(describe_changes(old, new))
        return (
            f"{self.address} holds {what} made otherwise: {changes}. Repeat with the old settings and inputs, choose "
            "another `out`, or pass `overwrite` to build anew"
        )
