"""What units of a build need besides the tiles' own results, where machines share a storage and no disk.

Labels, virtual rasters, anchors and tiled copies are files of the build's work folder, which each machine has to itself
then, under the same path. Whoever makes one stores it, and whoever needs one that is not there fetches it. Their names
follow from their content, so it does not matter who has made one, or how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from rsvqa.rsvqa_builder.files import whole_file
from rsvqa.rsvqa_builder.tiles.bucket import BucketStore

_PREFIX = "work"


@runtime_checkable
class NamesFiles(Protocol):
    """An item or a result that names files of the work folder, and maybe others, which are passed over."""

    @property
    def files(self) -> Iterable[str | Path]:
        """The paths."""
        ...


@dataclass(frozen=True, slots=True)
class SharedWork:
    """The work folder of a build on machines that share no disk.

    Attributes:
        folder: on each of them.
        store: through which they share it.
    """

    folder: Path
    store: BucketStore

    def share(self, made: object) -> None:
        """Store the files that a result names, those that are not stored yet."""
        for path, key in self._own(made):
            if path.is_file() and self.store.size_of(key) != path.stat().st_size:
                self.store.put_file(key, path)

    def reach(self, needed: object) -> None:
        """Fetch the files that an item names, those that are not on this machine."""
        for path, key in self._own(needed):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(path, if_absent=True) as partial:
                    self.store.get_file(key, partial)

    def _own(self, one: object) -> Iterable[tuple[Path, str]]:
        for file in one.files if isinstance(one, NamesFiles) else ():
            if (path := Path(file)).is_relative_to(self.folder):
                yield path, f"{_PREFIX}/{path.relative_to(self.folder).as_posix()}"
