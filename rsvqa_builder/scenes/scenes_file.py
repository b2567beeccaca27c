"""The `scenes.toml` beside scenes: which of them are two dates of one ground, and which are bands of one picture."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rsvqa.annotation.errors import RsvqaError, nearest

SCENES_FILE = "scenes.toml"


class ScenesFileError(RsvqaError):
    """A `scenes.toml` is wrong; the message names the file and the entry."""


class PairEntry(BaseModel):
    """One `[[pair]]` of a `scenes.toml`; paths are relative to the file."""

    model_config = ConfigDict(extra="forbid")

    earlier: str
    later: str
    earlier_date: dt.date | None = None
    later_date: dt.date | None = None


class StackEntry(BaseModel):
    """One `[[stack]]` of a `scenes.toml`: files of one band that are one picture; paths are relative to the file."""

    model_config = ConfigDict(extra="forbid")

    red: str
    green: str
    blue: str


class ScenesFile(BaseModel):
    """A whole `scenes.toml`."""

    model_config = ConfigDict(extra="forbid")

    pairs: list[PairEntry] = Field(default=[], alias="pair")
    stacks: list[StackEntry] = Field(default=[], alias="stack")


def find_scenes_files(paths: Iterable[str], src: str) -> list[Path]:
    """Return every `scenes.toml` in the source folder and in the folders of scenes.

    Args:
        paths: of scenes, as GDAL opens them; only local ones have a folder to look at.
        src: the source as given.
    """
    source = Path(src)
    folders = {Path(path).resolve().parent for path in paths if not path.startswith("/vsi")}
    if not src.startswith("/vsi"):
        folders.add((source if source.is_dir() else source.parent).resolve())
    return [folder / SCENES_FILE for folder in sorted(folders) if (folder / SCENES_FILE).is_file()]


def read_scenes_file(file: Path) -> ScenesFile:
    """Return what a `scenes.toml` says.

    Raises:
        ScenesFileError: it cannot be read, or has unknown or missing keys.
    """
    try:
        return ScenesFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenesFileError(f"{file}: not a readable TOML file: {error}") from error
    except ValidationError as error:
        raise ScenesFileError(f"{file}: {_first_problem(error)}") from error


def named_path(file: Path, name: str) -> str:
    """Return the absolute path that a `scenes.toml` names.

    Raises:
        ScenesFileError: there is no such file.
    """
    path = file.parent / name
    if not path.is_file():
        raise ScenesFileError(f"{file}: '{name}' does not exist; paths are relative to this file")
    return str(path.resolve())


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{where}: {problem['msg'].lower()}"
    entries: dict[str, type[BaseModel]] = {"pair": PairEntry, "stack": StackEntry}
    is_inside = len(problem["loc"]) > 1
    known = [*entries[str(problem["loc"][0])].model_fields] if is_inside else [*entries]
    return f"unknown key {where}{nearest(str(problem['loc'][-1]), known)}"
