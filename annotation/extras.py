"""Optional parts of the installation: is an extra there, and if not, which command brings it."""

from __future__ import annotations

from importlib.util import find_spec

from rsvqa.annotation.errors import RsvqaError

PACKAGES_OF = {
    "model": ("torch", "transformers", "safetensors", "accelerate", "peft"),
    "llm": ("openai", "tenacity"),
    "bench": ("sacrebleu", "nltk"),
    "review": ("fastapi", "uvicorn"),
}
"""What an extra is known by: packages that its commands import."""


class MissingExtraError(RsvqaError):
    """A command needs packages that are not installed."""


def require_extra(extra: str, command: str) -> None:
    """Refuse to go on without an extra; nothing is imported.

    Args:
        extra: a key of `PACKAGES_OF`.
        command: for the message.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    missing = [name for name in PACKAGES_OF[extra] if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"`rsvqa {command}` needs {', '.join(missing)}: pip install 'rsvqa[{extra}]'")
