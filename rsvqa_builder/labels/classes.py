"""Class tables: what each class of a label source is for, how it is called, and which source names mean it.

A table is a TOML file; the well-known sets come as presets. What surprises: one source name may stand for two classes
when their geometries differ ("road" is a centreline as a line and a land use as a polygon), so names are resolved
together with the shape of what they name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rsvqa.annotation.errors import RsvqaError, nearest, nearest_word
from rsvqa.annotation.facts import ClassInfo, ClassKind, Role
from rsvqa.annotation.plugins import has_plugin, load_plugin, package_of, require_ours

Shape = Literal["point", "line", "polygon"]
"""The family of a label's geometry."""

SHAPES_OF_ROLE: Mapping[Role, tuple[Shape, ...]] = {
    Role.OBJECT: ("polygon", "point"),
    Role.AREA: ("polygon",),
    Role.ANOMALY: ("polygon",),
    Role.ROAD: ("line",),
    Role.IGNORED: ("polygon", "line", "point"),
}

DEFAULT_CLASS_COLUMNS = ("class", "class_name", "classname", "label", "category", "category_name")
DEFAULT_SCORE_COLUMNS = ("score", "scores", "confidence")
NEGATIVE_TAGS = frozenset({"", "no", "none", "false", "0"})
"""Values that "tag=*" does not match: the tag says that the thing is not there."""

MIN_LIKENESS = 0.75
"""Of an unknown class and a known source name, on difflib's scale: "lory" is like "lorry", "countries" like nothing."""

_PRESET_PACKAGE = "rsvqa.rsvqa_builder.labels.presets"
_Channel = Annotated[int, Field(ge=0, le=255)]


class ClassTableError(RsvqaError):
    """A class table cannot be found or says something that cannot be used."""

    exit_code = 2


class AttributeColumns(BaseModel):
    """Source columns of the attributes that tasks know; the first that a file has is used, case ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    colour: tuple[str, ...] = ("colour", "color")
    moving: tuple[str, ...] = ("moving", "motion", "is_moving")
    damage: tuple[str, ...] = ("damage",)
    name: tuple[str, ...] = ("name", "street", "road_name")
    oneway: tuple[str, ...] = ("oneway", "one_way")
    cause: tuple[str, ...] = ("cause",)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return the source columns of each attribute."""
        return {attribute: getattr(self, attribute) for attribute in type(self).model_fields}


class ClassEntry(BaseModel):
    """One class of a table.

    `match` lists source names or ids beside the key, the singular and the plural; "tag=value" and "tag=*" name the
    value of a column, as in OpenStreetMap. `complete` says whether a scene's labels name every instance; "auto" leaves
    it to the rule of `labels/completeness.py`; false of an ignored class says that things in its regions are not
    labelled. `mask_values` and `mask_rgb` are the pixel values of a class mask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    singular: str = ""
    plural: str = ""
    role: Role
    kind: ClassKind = "other"
    broader: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    complete: bool | Literal["auto"] = "auto"
    mask_values: tuple[int, ...] = ()
    mask_rgb: tuple[tuple[_Channel, _Channel, _Channel], ...] = ()

    @field_validator("match", mode="before")
    @classmethod
    def _numbers_are_names(cls, value: object) -> object:
        """Let `match = [73]` stand for `match = ["73"]`."""
        return [str(item) if isinstance(item, int) else item for item in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _display_names_are_there(self) -> Self:
        if self.role is not Role.IGNORED and not (self.singular and self.plural):
            raise ValueError('needs "singular" and "plural": they are what questions say')
        return self


class ClassTable(BaseModel):
    """All classes of one label source, by name; names are stored in data.

    Attributes:
        class_columns: attribute columns that may hold the class, in order of preference, case ignored.
        attributes: source columns of what tasks know beside the class.
        score_columns: columns with the confidence of predicted labels.
        min_score: predicted labels below it are kept as uncertain.
        mask: what the values of rasters are: classes, or numbers of single objects.
        layers: sets of several layers whose class names mean different things: words in the name of a file, layer or
            folder, or names of columns, by layer; its classes are matched as "layer=class".
        left_out: labels to leave out, by column: those whose value holds one of the words.
        finest: column of levels of detail ("max_zoom"); of several levels in a layer, the finest counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "custom"
    class_columns: tuple[str, ...] = DEFAULT_CLASS_COLUMNS
    attributes: AttributeColumns = AttributeColumns()
    score_columns: tuple[str, ...] = DEFAULT_SCORE_COLUMNS
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    mask: Literal["classes", "instances"] = "classes"
    layers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    finest: str = ""
    classes: dict[str, ClassEntry]

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        if not self.classes:
            raise ValueError("has no classes: add tables [classes.<name>]")
        for name, entry in self.classes.items():
            for broader in entry.broader:
                if broader == name or broader not in self.classes:
                    raise ValueError(f"class {name!r}: broader class {broader!r} is not another class of the table")
        self._refuse_shared_names()
        self._refuse_shared_mask_values()
        return self

    def _refuse_shared_names(self) -> None:
        for key, names in self._index.items():
            used = [name for name in names if self.classes[name].role is not Role.IGNORED]
            for position, first in enumerate(used):
                for second in used[position + 1 :]:
                    if set(self.shapes(first)) & set(self.shapes(second)):
                        raise ValueError(f"source name {key!r} means both {first!r} and {second!r}: keep it in one")

    def _refuse_shared_mask_values(self) -> None:
        owner: dict[object, str] = {}
        for name, entry in self.classes.items():
            for value in (*entry.mask_values, *entry.mask_rgb):
                if owner.setdefault(value, name) != name:
                    raise ValueError(f"mask value {value} means both {owner[value]!r} and {name!r}: keep it in one")

    @cached_property
    def _index(self) -> Mapping[str, tuple[str, ...]]:
        """Class names by normalised source name, in table order."""
        index: dict[str, list[str]] = {}
        for name, entry in self.classes.items():
            for text in (name, entry.singular, entry.plural, *entry.match):
                names = index.setdefault(normalised(text), [])
                if text and name not in names:
                    names.append(name)
        return {key: tuple(names) for key, names in index.items()}

    @cached_property
    def tag_columns(self) -> tuple[str, ...]:
        """Columns that "tag=value" matches speak of, in table order, lower case."""
        tags = (text.split("=")[0] for entry in self.classes.values() for text in entry.match if "=" in text)
        return tuple(dict.fromkeys(tag.strip().casefold() for tag in tags if tag not in self.layers))

    def layer_of(self, names: Iterable[str], columns: Iterable[str]) -> str:
        """Return the layer that names or else columns tell, "" when they tell none; longer words tell more."""
        there = {column.casefold() for column in columns}
        words = [(normalised(word), layer) for layer, marks in self.layers.items() for word in marks]
        for name in names:
            spoken = normalised(re.sub(r"[^0-9A-Za-z]+", " ", name))
            named = [(len(word), layer) for word, layer in words if f" {word} " in f" {spoken} "]
            if named:
                return max(named)[1]
        return next((layer for layer, marks in self.layers.items() if there.intersection(marks)), "")

    def shapes(self, name: str) -> tuple[Shape, ...]:
        """Return the shapes of geometry that labels of the class may have."""
        return SHAPES_OF_ROLE[self.classes[name].role]

    def resolve(self, source_name: str, shape: Shape | None = None) -> str | None:
        """Return the class that a source name or id means, None when no class does.

        Args:
            source_name: what the label file says; case, spaces, hyphens and underscores do not matter.
            shape: the label's geometry; of several classes with the name, one that may have this shape is chosen. When
                none may, the first is returned, so that the caller can say what is wrong with the label.
        """
        names = tuple(name for key in _lookup_keys(source_name) for name in self._index.get(key, ()))
        if not names:
            return None
        return next((name for name in names if shape is None or shape in self.shapes(name)), names[0])

    def nearest(self, source_name: str) -> str | None:
        """Return the class with the source name most like an unknown one, None when none is like it."""
        word = nearest_word(normalised(source_name), list(self._index), likeness=MIN_LIKENESS)
        return None if word is None else self._index[word][0]

    def are_related(self, first: str, second: str) -> bool:
        """Tell whether a list of one class may hold the other: they are the same, of one kind, or one is broader."""
        one, other = self.classes[first], self.classes[second]
        of_one_kind = one.kind == other.kind != "other"
        return first == second or of_one_kind or first in other.broader or second in one.broader

    def infos(self) -> dict[str, ClassInfo]:
        """Return what tasks know of the classes, without the ignored ones."""
        return {
            name: ClassInfo(
                name=name,
                singular=entry.singular,
                plural=entry.plural,
                role=entry.role,
                kind=entry.kind,
                broader=entry.broader,
            )
            for name, entry in self.classes.items()
            if entry.role is not Role.IGNORED
        }

    def to_toml(self) -> str:
        """Return the table as a file that `load_class_table` reads back to an equal table."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_defaults=True))


def tables_to_toml(tables: Mapping[str, ClassTable]) -> str:
    """Return the class tables of sources as one file: the table itself where there is one, else a part per source."""
    if len(tables) == 1:
        return next(iter(tables.values())).to_toml()
    parts = {name: table.model_dump(mode="json", exclude_defaults=True) for name, table in tables.items()}
    return tomli_w.dumps({"sources": parts})


def load_stored_tables(path: Path) -> Callable[[str | None], ClassTable]:
    """Return what gives the class table of a source in a file of `tables_to_toml`.

    Raises:
        ClassTableError: the file is not there or not valid, or lacks the source that is asked for.
    """
    parts = _read_toml(path).get("sources")
    if parts is None:
        table = load_class_table(path)
        return lambda _: table
    tables = {name: _validated(part, f"{path}: source {name}", default_name=name) for name, part in parts.items()}

    def of_source(name: str | None) -> ClassTable:
        if name not in tables:
            raise ClassTableError(f"class table {path}: has no part for the source {name!r}")
        return tables[name]

    return of_source


def normalised(text: str) -> str:
    """Return a source name as it is compared: lower case, words separated by one space."""
    return re.sub(r"[\s_\-]+", " ", text.casefold()).strip()


def _lookup_keys(source_name: str) -> Iterator[str]:
    key = normalised(source_name)
    yield key
    tag, equals, value = key.partition("=")
    if equals and value.strip() not in NEGATIVE_TAGS:
        yield f"{tag}=*"


def preset_names() -> tuple[str, ...]:
    """Return the names of the class tables that come with rsvqa, sorted."""
    files = resources.files(_PRESET_PACKAGE).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_class_table(name_or_path: str | Path) -> ClassTable:
    """Return a preset by its name, also one of an installed package, or the class table in a TOML file.

    Raises:
        ClassTableError: there is no such preset or file, or it is not a valid class table.
        PluginError: a package brings a table of a preset's name.
    """
    source = str(name_or_path)
    if source in preset_names():
        require_ours("classes", source)
        text = resources.files(_PRESET_PACKAGE).joinpath(f"{source}.toml").read_text("utf-8")
        return _validated(tomllib.loads(text), source, default_name=source)
    if has_plugin("classes", source):
        try:
            text = load_plugin("classes", source).read_text("utf-8")
            return _validated(tomllib.loads(text), f"{source} of {package_of('classes', source)}", default_name=source)
        except (OSError, ValueError) as error:  # no text, or no TOML
            raise ClassTableError(f"class table {source} of {package_of('classes', source)}: {error}") from error
    path = Path(source)
    if not path.is_file():
        presets = ", ".join(preset_names())
        raise ClassTableError(f"class table {source!r}: no such preset or file; presets are {presets}")
    return _validated(_read_toml(path), source, default_name=path.stem)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ClassTableError(f"class table {path}: cannot be read as UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ClassTableError(f"class table {path}: not valid TOML: {error}") from error


def _validated(content: Mapping[str, Any], source: str, *, default_name: str) -> ClassTable:
    try:
        return ClassTable.model_validate({"name": default_name, **content})
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise ClassTableError(f"class table {source}: {problems}") from error


def _problem(detail: Mapping[str, Any]) -> str:
    """Return one line on one of pydantic's complaints; an unknown key names the nearest known one."""
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        message = str(detail["msg"]).removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    *parents, key = (str(part) for part in detail["loc"])
    known = _known_keys(parents)
    return f"unknown key {place!r}{nearest(key, known)}"


def _known_keys(parents: list[str]) -> list[str]:
    model: type[BaseModel] = ClassTable
    if parents:
        model = AttributeColumns if parents[0] == "attributes" else ClassEntry
    return list(model.model_fields)
