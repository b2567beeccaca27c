"""One writer below an address of an object storage, as `rsvqa_builder.locks` sees to it in a folder.

A holder is an object below `_rsvqa_lock/`, which is made only where there is none and changed only by who saw its last
version: by its holder every few seconds, and by whoever takes it from a dead one. An object that changes while
somebody watches is alive, one that does not for `locks.DEAD_AFTER_S` is dead. So no clocks are compared. A holder on
this machine needs no watching: its process is there or not.

What surprises: the one thing that no condition guards is the removal of an object, as few storages have that. So what
is to be removed is emptied first, by whoever saw its last version. An empty object belongs to nobody, and is not taken
before it, too, has been watched for as long.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rsvqa.rsvqa_builder import locks
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.locks import FolderHeldError, holder_name, kernel, read_holder
from rsvqa.rsvqa_builder.storages import open_conditional, reason_of

LEASE = "_rsvqa_lock"
"""Not a name that begins as that of the work: pyarrow looks for a folder on Azure by the first name that does."""

WRITER_BEAT_S = 5.0
"""Who comes second is to hear of the first in the first seconds. Ranks are slower: there may be a thousand."""
_WRITER = "writer.json"


class NoConditionsError(Exception):
    """The storage has no conditional writes, or none that this machine can ask for; the text says why."""


class PlaceTakenError(Exception):
    """Another process has written there first."""


@dataclass(frozen=True, slots=True)
class ConditionalObjects:
    """Small objects below an address that are written only if nobody else has written meanwhile."""

    address: str

    def create(self, key: str, content: bytes) -> dict[str, str]:
        """Store an object where there is none, and return its version.

        Raises:
            PlaceTakenError: there is one.
            NoConditionsError: the storage does not do that.
        """
        try:
            return self._put(key, content, "create")
        except FileNotFoundError as error:
            raise NoConditionsError(reason_of(error)) from error

    def update(self, key: str, content: bytes, version: dict[str, str]) -> dict[str, str]:
        """Store another content of an object of which `version` is the last, and return the new version.

        Raises:
            PlaceTakenError: it has another by now, or is gone.
            NoConditionsError: the storage does not do that.
        """
        try:
            return self._put(key, content, version)
        except FileNotFoundError as error:  # some say so of one that is gone
            raise PlaceTakenError(key) from error

    def read(self, key: str) -> tuple[bytes, dict[str, str]]:
        """Return an object's content and version.

        Raises:
            FileNotFoundError: there is none.
            NoConditionsError: the storage does not tell.
        """
        with _told():
            from obstore import get

            found = get(open_conditional(self.address), self._path(key))
            return bytes(found.bytes()), _version(found.meta)

    def versions(self, prefix: str) -> dict[str, object]:
        """Return the objects below a prefix, each with something that changes with it.

        Raises:
            NoConditionsError: the storage does not tell.
        """
        below = len(self._path(""))
        with _told():
            from obstore import list as list_objects

            listed = list_objects(open_conditional(self.address), self._path(prefix))
            return {one["path"][below:]: (one["e_tag"], one["last_modified"]) for chunk in listed for one in chunk}

    def remove(self, key: str, version: dict[str, str]) -> None:
        """Remove an object if `version` is still its last one."""
        try:
            self.update(key, b"", version)
        except PlaceTakenError:
            return
        with contextlib.suppress(FileNotFoundError), _told():
            from obstore import delete

            delete(open_conditional(self.address), self._path(key))

    def _put(self, key: str, content: bytes, mode: Any) -> dict[str, str]:  # noqa: ANN401  their type is for type checkers only
        with _told():
            from obstore import exceptions, put

            try:
                return _version(put(open_conditional(self.address), self._path(key), content, mode=mode))
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
                raise PlaceTakenError(key) from error

    def _path(self, key: str) -> str:
        path = self.address.partition("://")[2].partition("/")[2]
        return f"{path}/{key}" if path else key


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell of all that goes wrong in one way, but for what is not there."""
    try:
        from obstore import exceptions
    except ImportError as error:
        raise NoConditionsError(f"{error}: pip install obstore") from error
    try:
        yield
    except FileNotFoundError:
        raise
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise NoConditionsError(reason_of(error)) from error


def _version(found: Any) -> dict[str, str]:  # noqa: ANN401  a mapping of their own
    """Return what tells a version, without what a storage does not say."""
    return {name: found[name] for name in ("e_tag", "version") if found.get(name)}


class BucketLease:
    """An address that this process alone writes below, or with others that share it, until it is released.

    Attributes:
        address: that is held.
        key: of the object that says so.
    """

    def __init__(self, address: str, *, shared: bool = False, tell: Callable[[str], object] | None = None) -> None:
        """Hold nothing yet; arguments as of `FolderLock`."""
        self.address = address
        self._objects = ConditionalObjects(address)
        self._shared = shared
        self._tell = tell
        name = f"reader-{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self.key = f"{LEASE}/{name if shared else _WRITER}"
        self._identity = _identity()
        self._version: dict[str, str] = {}
        self._num_beats = 0
        self._beating = threading.Lock()
        self._ended = threading.Event()

    def acquire(self) -> Self:
        """Hold the address, and return this lease.

        Raises:
            FolderHeldError: another process that is alive holds it.
            NoConditionsError: the storage has no conditional writes.
        """
        while not self._version:
            try:
                self._version = self._objects.create(self.key, self._content())
            except PlaceTakenError:
                if not self._adopt():  # else the answer to an earlier try was lost
                    self._require_dead([self.key])
        try:
            self._see_that_conditions_hold()
            self._require_dead(self._others())
        except BaseException:
            self.release()
            raise
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __enter__(self) -> Self:
        """Return the lease, which is held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the address go."""
        self.release()

    def release(self) -> None:
        """Let the address go; what was never held may be released, too."""
        self._ended.set()
        with self._beating:
            if self._version:
                with contextlib.suppress(NoConditionsError, OSError):
                    self._objects.remove(self.key, self._version)
                self._version = {}

    def require_held(self) -> None:
        """See that the address is still this process's: it is not when others had to take it for dead.

        Raises:
            OutputError: it is not, or the storage does not say so.
        """
        try:
            held = self._renew()
        except NoConditionsError as error:
            raise OutputError(
                f"cannot reach {self.address}: {error}; what is done is kept: repeat the command"
            ) from error
        if not held:
            raise OutputError(
                f"another build has taken {self.address} over while this machine could not be heard there: repeat the "
                "command once that build has ended"
            )

    def _see_that_conditions_hold(self) -> None:
        """Raise where a storage says yes to everything."""
        try:
            self._objects.create(self.key, self._content())
        except PlaceTakenError:
            return
        raise NoConditionsError("the storage overwrites what it is asked not to")

    def _content(self) -> bytes:
        return json.dumps({**self._identity, "beat": self._num_beats}).encode()

    def is_own(self, content: bytes) -> bool:
        """Return whether an object is this lease's."""
        return read_holder(content).get("token") == self._identity["token"]

    def _adopt(self) -> bool:
        """Return whether the object is this process's own, and take its version for the last."""
        try:
            content, version = self._objects.read(self.key)
        except FileNotFoundError:
            return False
        if not self.is_own(content):
            return False
        self._version = version
        return True

    def _renew(self) -> bool:
        """Give a sign of life, and return whether the address is still held."""
        with self._beating:
            if not self._version:
                return False
            self._num_beats += 1
            for _ in range(2):
                try:
                    self._version = self._objects.update(self.key, self._content(), self._version)
                except PlaceTakenError:
                    if not self._adopt():  # else the answer to the last sign was lost
                        self._version = {}
                        return False
                else:
                    return True
            return True

    def _beat(self) -> None:
        while not self._ended.wait(locks.BEAT_S if self._shared else WRITER_BEAT_S):
            with contextlib.suppress(NoConditionsError, OSError):
                self._renew()

    def _others(self) -> list[str]:
        """Return the objects of those that keep this process away, or would."""
        found = self._objects.versions(LEASE).keys() - {self.key}
        return sorted(key for key in found if not self._shared or key.endswith(f"/{_WRITER}"))

    def _require_dead(self, holders: Collection[str]) -> None:
        """Return once all holders are known to be dead, and remove their objects.

        Raises:
            FolderHeldError: one is alive.
        """
        found: dict[str, dict[str, str]] = {}
        to_watch: dict[str, str] = {}
        for holder in holders:
            with contextlib.suppress(FileNotFoundError):  # released meanwhile
                content, found[holder] = self._objects.read(holder)
                is_alive = _is_alive(read_holder(content))
                if is_alive:
                    raise FolderHeldError(holder_name(content))
                if is_alive is None:
                    to_watch[holder] = holder_name(content)
        if to_watch:
            self._watch(to_watch, found)
        for holder, version in found.items():
            self._objects.remove(holder, version)

    def _watch(self, names: dict[str, str], found: dict[str, dict[str, str]]) -> None:
        """Return when no holder has changed for `DEAD_AFTER_S`, or all are gone; all are watched at once.

        Args:
            names: of the holders, by key.
            found: the version of each that is to be removed; one that is gone is taken out.
        """
        end = time.monotonic() + locks.DEAD_AFTER_S
        first = self._objects.versions(LEASE)
        if self._tell is not None:
            name, *rest = names.values()
            told = f"{name} and {len(rest)} more were" if rest else f"{name} was"
            self._tell(f"{told} here: waiting for a sign of life, {locks.DEAD_AFTER_S:.0f} s at most")
        while names and time.monotonic() < end:
            time.sleep(locks.LOOK_S)
            now = self._objects.versions(LEASE)
            for holder in list(names):
                if holder not in now:
                    del names[holder], found[holder]
                elif now[holder] != first.get(holder):
                    raise FolderHeldError(names[holder])


def _identity() -> dict[str, object]:
    """Return what tells this process from all others, and where its number means something."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "place": _place(),
        "started": _start_of(os.getpid()),
        "token": secrets.token_hex(8),
    }


def _place() -> str:
    """Return the kernel, and the space of process numbers in it: containers have one each."""
    try:
        return f"{kernel()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """Return when a process was started, as the kernel counts; "" when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()  # the name of a program may hold anything
    return "" if state == "Z" else fields[18]


def _is_alive(holder: dict[str, object]) -> bool | None:
    """Return whether a holder's process is there; None where that cannot be seen from here."""
    if not holder.get("place") or holder["place"] != _place() or not isinstance(pid := holder.get("pid"), int):
        return None
    return _start_of(pid) == holder.get("started")
