"""Settings from a TOML file and from what the caller gives, checked against a model: the one loader of every stage.

Messages put the names of settings in backticks, as in "`min_valid` = 2: …". A caller in Python reads a keyword there;
the command line makes an option of it.
"""

from __future__ import annotations

import os
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.errors import nearest as nearest  # the loaders find it here
from rsvqa.rsvqa_builder.files import require_here

Settings = TypeVar("Settings", bound=BaseModel)

COMMAS = BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value)
"""Marks a list that may be written as one text, "a,b": on the command line, and in TOML."""

STRIPPED = BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value)
"""Marks a word that may have spaces around it, as in "a, b"."""


PATHS = "a path, or several"
"""Marks a setting whose relative paths a `build.toml` states from its own folder."""

PATH_OR_NAME = "a path, or a name of ours"
"""Marks one that is a path where there is such a file."""

PATHS_KEY, FROM_THIS_FILE = "paths", "relative to this file"
"""What a file says whose relative paths are from its own folder; those of other files are from where a command runs."""

ADDRESSES = "also addresses of object storages"
"""Marks a setting that may name an object storage; all others are refused with such an address."""

FILE_ONLY = "stands in settings files only"
"""Marks a setting that is no option of the command line."""


class StageSettings(BaseModel):
    """Base of the settings of a stage; a field's docstring is the help of its option."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True, defer_build=True
    )

    @model_validator(mode="after")
    def _is_here(self) -> Self:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            for entry in value if isinstance(value, list | tuple) else [value]:
                if isinstance(entry, str | Path) and ADDRESSES not in field.metadata:
                    require_here(entry, name)
        return self


class SettingsError(RsvqaError):
    """A setting is unknown, missing or out of range."""

    exit_code = 2


def load_settings(model: type[Settings], given: Mapping[str, Any], *, config: Path | None = None) -> Settings:
    """Return settings of `config` (a TOML file, or the `build.toml` of a data set) overridden by what is `given`.

    Raises:
        SettingsError: for an unknown setting, naming the nearest known one, a missing one, or a value out of range.
    """
    given = _by_new_names(model, given)
    values = {**(_by_new_names(model, _read_from_here(model, config)) if config else {}), **given}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems, first = _problems(error)
        key = first["loc"][0] if first["loc"] else None
        is_in_file = config is not None and key in values and key not in given
        message = _describe(first, problems, values, model, "" if is_in_file else "`")
        raise SettingsError(f"{config}: {message}" if is_in_file else message) from error


def fill_settings(
    asked: Sequence[tuple[type[BaseModel], BaseModel | None]], given: Mapping[str, Any], *, config: Path | None = None
) -> list[Any]:
    """Return settings of several models from the keywords of one call, which each go to the model that has them.

    Args:
        asked: the models, each with settings that the keywords override, where the caller has some.
        given: keywords; paths may stand for their texts.
        config: file of settings of the first model, which what is given overrides.

    Raises:
        SettingsError: as `load_settings`; also for a keyword that no model has.
    """
    named = [_by_any_name(model) for model, _ in asked]
    fields = {name: field for found in named for name, field in found.items()}
    if unknown := next((name for name in given if name not in fields), None):
        raise SettingsError(f"unknown setting {unknown!r}{nearest(unknown, fields)}")
    plain = {name: _plain(value, fields[name]) for name, value in given.items()}
    filled = []
    for number, (model, settings) in enumerate(asked):
        if settings is not None and not isinstance(settings, model):
            raise SettingsError(f"expected {model.__name__}, found {settings!r}: give single settings as keywords")
        own = {name: value for name, value in plain.items() if name in named[number]}
        file = None if number else config
        if settings is not None and not own and file is None:
            filled.append(settings)
            continue
        known = {} if settings is None else {name: getattr(settings, name) for name in settings.model_fields_set}
        filled.append(load_settings(model, {**known, **own}, config=file))
    return filled


def _plain(value: object, field: FieldInfo) -> object:
    """Return a keyword's value as a settings file would hold it: paths as texts, and one alone as a list of one."""
    if isinstance(value, list | tuple):
        return tuple(os.fspath(entry) if isinstance(entry, os.PathLike) else entry for entry in value)
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return (text,) if isinstance(text, str) and is_repeated(field) else text


def load_table(model: type[Settings], values: Mapping[str, Any], *, where: str) -> Settings:
    """Return what a table of a settings file says; `where` names the file and the table in messages.

    Raises:
        SettingsError: as `load_settings`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems, first = _problems(error)
        raise SettingsError(f"{where}: {_describe(first, problems, values, model, '')}") from error


def _read_from_here(model: type[BaseModel], config: Path) -> dict[str, Any]:
    """Return the settings in a file with paths from the present folder."""
    settings = read_config(config)
    if _read_toml(config).get(PATHS_KEY) == FROM_THIS_FILE:
        return moved_paths(model, settings, config.parent, Path())
    return settings


def moved_paths(model: type[BaseModel], settings: Mapping[str, Any], start: Path, to: Path | None) -> dict[str, Any]:
    """Return settings whose relative paths, from `start`, are from the folder `to`; absolute ones without it."""
    moved = dict(settings)
    for name, field in model.model_fields.items():
        # a file may call a setting by its alias
        for key in {name, *old_names(field)} & moved.keys():
            if PATHS in field.metadata or (PATH_OR_NAME in field.metadata and (start / str(moved[key])).is_file()):
                value = moved[key]
                many = isinstance(value, list | tuple)
                paths = [moved_path(path, start, to) for path in (value if many else [value])]
                moved[key] = paths if many else paths[0]
    return moved


def moved_path(path: Any, start: Path, to: Path | None) -> Any:  # noqa: ANN401  a wrong type is the model's to refuse
    """Return one path so moved; what is no relative path, an address say, stays."""
    if not isinstance(path, str) or not path or Path(path).is_absolute() or ":/" in path:
        return path
    whole = os.path.abspath(start / path)  # noqa: PTH100  links stay as they are written
    return whole if to is None else os.path.relpath(whole, to)


def read_config(config: Path) -> dict[str, Any]:
    """Return the settings in a TOML file: its table `settings` where it has one, as `build.toml` does, else all of it.

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    content = _read_toml(config)
    settings = content.get("settings", content)
    if not isinstance(settings, dict):
        raise SettingsError(f"{config}: [settings] must be a table")
    return settings


def _read_toml(config: Path) -> dict[str, Any]:
    require_here(config)
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read the settings file {config}: {error}") from error


def old_names(field: FieldInfo) -> list[str]:
    """Return what a setting was called before; files that say so still load."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices[1:]] if isinstance(alias, AliasChoices) else []


def takes_commas(field: FieldInfo) -> bool:
    """Return whether a setting may be written as one text with commas."""
    inside = (mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ()))
    return COMMAS in (*field.metadata, *inside)


def is_repeated(field: FieldInfo) -> bool:
    """Return whether a setting is a list whose entries are given one by one, as paths are."""
    return get_origin(plain_types(field.annotation)[0]) is tuple and not takes_commas(field)


def plain_types(annotation: Any) -> list[Any]:  # noqa: ANN401  any type there is
    """Return the types that a field's annotation allows, without `Annotated` and `Optional`."""
    if hasattr(annotation, "__metadata__"):
        return plain_types(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in plain_types(part) if kind is not type(None)]
    return [annotation]


def _by_any_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the settings of a model by their names, old ones too."""
    return {name: field for key, field in model.model_fields.items() for name in (key, *old_names(field))}


def _by_new_names(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {old: name for name, field in model.model_fields.items() for old in old_names(field)}
    return {renamed.get(key, key): value for key, value in values.items()}


def _problems(error: ValidationError) -> tuple[list[ErrorDetails], ErrorDetails]:
    """Return what is wrong, and what of it is said: an unknown setting before a wrong value."""
    problems = error.errors(include_url=False)
    return problems, next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])


def _describe(
    first: ErrorDetails,
    problems: Iterable[ErrorDetails],
    values: Mapping[str, Any],
    model: type[BaseModel],
    quote: str,
) -> str:
    """Return what is wrong, on one line, from pydantic's problems; `quote` goes around the name of the setting."""
    names, field, model = _field_at(first["loc"], model)
    name = f"{quote}{'.'.join(names)}{quote}"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {first['loc'][-1]!r}{nearest(str(first['loc'][-1]), model.model_fields)}"
    if field is None:  # the table as a whole: its values stand in the message
        return _message(first)
    if first["type"] == "missing" and len(first["loc"]) == len(names):
        return f"{name} is needed"
    here = [_message(problem) for problem in problems if problem["loc"][: len(names)] == tuple(names)]
    found, message = first["input"], " or ".join(dict.fromkeys(here))
    if (count := _length(field)) and first["type"] != "value_error":
        found, message = values[names[0]], f"expected {count} numbers separated by commas"
    return f"{name} = {found!r}: {message}" if field.repr else f"{name}: {message}"


def _field_at(
    place: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[list[str], FieldInfo | None, type[BaseModel]]:
    """Return the names that lead to a place, the field there, and the table that it stands in."""
    names: list[str] = []
    field: FieldInfo | None = None
    for part in place:
        inner = next((kind for kind in plain_types(field.annotation) if _is_model(kind)), None) if field else model
        if inner is None:
            break
        model, field = inner, inner.model_fields.get(str(part))
        if field is None:
            break
        names.append(str(part))
    return names, field, model


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _length(field: FieldInfo) -> int | None:
    """Return of how many values a setting is, where that is fixed."""
    for kind in plain_types(field.annotation):
        if get_origin(kind) is tuple and Ellipsis not in get_args(kind):
            return len(get_args(kind))
    return None


def _message(problem: ErrorDetails) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")
