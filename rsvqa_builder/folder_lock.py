"""A lock on a folder itself: the kernel drops it when the process ends, however it ends, so none is left behind."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_folder(folder: Path, *, shared: bool = False) -> int:
    """Return a descriptor that holds the lock until it is closed; `shared` ones keep only the others away.

    Raises:
        OSError: another process holds the lock, or there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
