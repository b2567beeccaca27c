"""Names of checkpoints, which are folders here or ids on the Hugging Face hub, and what is said of broken ones.

What surprises: left alone, transformers asks the hub for each of a dozen files again and again, for half a minute a
file, also where the name can only be a folder's, and where all of them are in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsvqa.annotation.errors import RsvqaError

_HUB_SECONDS = 10.0
_LONGEST_MESSAGE = 240
# the last is torch's for a device that its build lacks
_LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, AssertionError)
NAMES_OF_REMOTE_CODE = ("trust_remote_code", "custom code")
"""What of transformers' messages tells that a checkpoint brings its own code."""


def folder_fault(name: str) -> str | None:
    """Return why a checkpoint of this name cannot be here; None for a folder, and for what may be an id on the hub."""
    path = Path(name)
    if not name.strip():
        return "a checkpoint is expected: a folder, or an id on the hub"
    if path.is_dir():
        return None
    if path.exists():
        return f"{name} is a file; name the folder of a checkpoint"
    if name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        return f"there is no folder {name}; name the folder of a checkpoint, or an id on the hub (OWNER/NAME)"
    return None


def hub_fault(name: str, cause: str) -> str:
    """Return what is wrong with a name that is no folder, and that the hub and its cache do not have either."""
    path = Path(name)
    where = f"the model {name!r} is neither a folder here nor in the Hugging Face cache,"
    if len(path.parts) > 1 and path.parent.is_dir():
        where = f"the folder {path.parent} has no {path.name}, and {name!r} is not in the Hugging Face cache,"
    return (
        f"{where} nor reachable on the hub ({cause}); name a folder, or fetch it where there is a network: "
        f"hf download {name}"
    )


@contextmanager
def cache_alone_where_the_hub_is_gone(name: str) -> Iterator[None]:
    """Look for an id in the cache alone when one short request finds no hub."""
    if Path(name).is_dir():
        yield
        return
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    was_offline = constants.HF_HUB_OFFLINE
    try:
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except HfHubHTTPError:
        pass  # it is there, and says no; the loaders' words are clearer
    except Exception:  # noqa: BLE001  of the hub's transport, which differs from release to release
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


@contextmanager
def one_line(what: str, kind: type[RsvqaError]) -> Iterator[None]:
    """Turn what transformers raises for a broken checkpoint into one line of an error of ours, which begins as told."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:
        raise kind(f"{what}: a package is missing: {in_one_line(error)}") from error
    except (*_LOADING_ERRORS, SafetensorError, StrictDataclassError) as error:
        if any(word in str(error) for word in NAMES_OF_REMOTE_CODE):
            raise kind(f"{what}: it brings its own code; read it, then allow it with `trust_remote_code`") from error
        raise kind(f"{what}: {in_one_line(error)}") from error


def in_one_line(error: BaseException) -> str:
    """Return the beginning of a message, which may have many lines."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "…"
