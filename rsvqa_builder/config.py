"""Settings from a TOML file and from what the caller gives, checked against a model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.errors import nearest as nearest  # the loaders find it here


class SettingsError(RsvqaError):
    """A setting is unknown or out of range."""

    exit_code = 2


def read_config(config: Path) -> dict[str, Any]:
    """Return the settings in a TOML file: its table `settings` where it has one, as `build.toml` does, else all of it.

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    try:
        content = tomllib.loads(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read the settings file {config}: {error}") from error
    settings = content.get("settings", content)
    if not isinstance(settings, dict):
        raise SettingsError(f"{config}: [settings] must be a table")
    return settings
