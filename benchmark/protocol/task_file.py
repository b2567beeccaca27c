"""A benchmark as a file: its columns, prompts, extraction, scorers and groups, in TOML. A new one needs no code.

Files of other benchmarks lie in `tasks/` beside this module; anybody's own is named by its path. What surprises: a file
says nothing that was not seen at its source. Where a benchmark publishes no scorer, or one that cannot be run here, the
file gives the reason (`official.missing`), and the official score has no value.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from rsvqa.annotation.plugins import has_plugin, load_plugin, plugin_names, require_ours
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.wording.box_units import BoxUnits
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.protocol.official_answers import EXTRACTORS
from rsvqa.benchmark.protocol.official_boxes import BOX_EVALUATIONS
from rsvqa.benchmark.protocol.open_answers import OpenScorer, WordNetScorer, check_wordnet

PLACEHOLDER = re.compile(r"\{([\w.-]+(?: [\w.-]+)*)\}")
"""A column, or `question`, `listed_options` or `letters`, in a prompt; braces round anything else are text."""
_ENDING = ".toml"
_YAML = (".yaml", ".yml")
_FORMS: Mapping[str, AnswerForm] = {
    "choice": AnswerForm.ONE_OF,
    "choices": AnswerForm.SEVERAL_OF,
    "words": AnswerForm.WORDS,
    "caption": AnswerForm.TEXT,
    "box": AnswerForm.BOX,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CellPattern(_Part):
    """A part of a column's text.

    Attributes:
        column: its name.
        pattern: a regular expression; its first group is the value.
        names: other names for values, in lower case.
    """

    column: str
    pattern: str = r"(?s)(.*)"
    names: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        return _with_a_group(pattern)


def _with_a_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if groups < 1:
        raise ValueError(f"{pattern!r} has no group (…) that says which part is meant")
    return pattern


Cell = str | CellPattern
Cells = tuple[Cell, ...]


def _several(value: object) -> object:
    """Return one alternative as a list of them."""
    return [value] if isinstance(value, str | dict) else value


class Columns(_Part):
    """Which columns hold what; of several alternatives the first that a row has counts.

    Attributes:
        id: unique; empty numbers the rows.
        image: bytes, base64, names of files, or lists of these.
        question: a text, or several wordings of one question, each of which is asked.
        answer: a letter, the right words, or a box.
        options: a list, or one text.
        groups: what figures are given for, from large to small; the last is the task, the first its level.
    """

    id: Cells = ()
    image: Annotated[tuple[str, ...], Field(min_length=1)] = ("image",)
    question: Cells = ("question",)
    answer: Cells = ("answer",)
    options: Cells = ()
    groups: tuple[Cells, ...] = ()

    @field_validator("id", "question", "answer", "options", "image", mode="before")
    @classmethod
    def _alternatives(cls, value: object) -> object:
        return _several(value)

    @field_validator("groups", mode="before")
    @classmethod
    def _group_alternatives(cls, value: object) -> object:
        return [_several(one) for one in value] if isinstance(value, list | tuple) else value


class Condition(_Part):
    """A cell and the value that it must have."""

    cell: Cells
    value: str

    @field_validator("cell", mode="before")
    @classmethod
    def _alternatives(cls, value: object) -> object:
        return _several(value)


class AskedAs(_Part):
    """How rows are asked; of several the first counts whose `when` a row meets.

    Attributes:
        when: values of columns; empty for all rows.
        form: what is asked for.
        prompt: with placeholders in braces: a column, `question`, `listed_options` (as in the file, a list one per
            line), or `letters` (those of the options, "A, B, C"); None asks for a box in a wording of ours, with units.
        max_new_tokens: bound of the reply, as published.
        box_units: of the right boxes.
    """

    when: Mapping[str, str] = Field(default_factory=dict)
    form: Literal["choice", "choices", "words", "caption", "box"]
    prompt: Annotated[str, Field(min_length=1)] | None = None
    max_new_tokens: PositiveInt | None = None
    box_units: BoxUnits | None = None

    @property
    def answer_form(self) -> AnswerForm:
        """The form as samples have it."""
        return _FORMS[self.form]

    @model_validator(mode="after")
    def _box_has_units(self) -> Self:
        if (self.form == "box") != (self.box_units is not None):
            raise ValueError('"box_units" belongs to the form box, and only to it')
        if self.prompt is None and self.form != "box":
            raise ValueError('expected "prompt"; only boxes have a wording of ours')
        if self.prompt is not None and not PLACEHOLDER.search(self.prompt):
            raise ValueError('"prompt" is the same for all rows: expected a column in braces, such as {question}')
        return self


class Rules(_Part):
    """How a reply is scored.

    Attributes:
        missing: why there is no such score; then nothing else stands here.
        extract: of the forms choice and choices: a published extraction; None in `strict`, which has its own parser.
        answer: regular expression of what of a reply counts, its first group; None for all of it.
        match: of the form words.
        boxes: of the form box: a published evaluation; None in `strict`, whose IoU is exact.
    """

    missing: str = ""
    extract: str | None = None
    answer: str | None = None
    match: tuple[OpenScorer, ...] = ()
    boxes: str | None = None

    @field_validator("answer")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        return None if pattern is None else _with_a_group(pattern)

    @model_validator(mode="after")
    def _is_missing_or_not(self) -> Self:
        if self.missing and (self.extract or self.answer or self.match or self.boxes):
            raise ValueError('where a score is "missing", nothing else may stand')
        return self

    @field_validator("boxes")
    @classmethod
    def _is_an_evaluation(cls, name: str | None) -> str | None:
        if name is not None and name not in BOX_EVALUATIONS:
            raise ValueError(f"{name!r} is no published evaluation of boxes; expected {', '.join(BOX_EVALUATIONS)}")
        return name

    @field_validator("extract")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in EXTRACTORS:
            raise ValueError(f"{name!r} is no published extraction; expected one of {', '.join(EXTRACTORS)}")
        return name


class PublishedRow(_Part):
    """A published score, per cent; `metric` says of what."""

    model: str
    metric: str
    score: float
    source: str


class TaskFile(_Part):
    """One benchmark.

    Attributes:
        name: short, without spaces or slashes.
        source: where columns, prompt and scorer were read.
        licence: note on data and images.
        language: of the questions.
        files: patterns of the files below the folder of the data.
        image_folders: below that folder, where images that rows name are looked for too.
        only: what rows must meet; others belong to another part of the benchmark, and are counted as such.
        columns, ask: see there.
        official, strict: see `Rules`; a strict score of words is by cleaned equality and numbers unless it says more.
        notes: what a reader of the figures must know.
        published: rows of published scores.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    title: str
    source: str
    licence: str
    language: str = "en"
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    image_folders: tuple[str, ...] = ()
    only: tuple[Condition, ...] = ()
    columns: Columns = Columns()
    ask: Annotated[tuple[AskedAs, ...], Field(min_length=1)]
    official: Rules
    strict: Rules = Rules()
    notes: tuple[str, ...] = ()
    published: tuple[PublishedRow, ...] = ()

    @field_validator("files")
    @classmethod
    def _lie_in_their_folder(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            path = PurePosixPath(pattern)
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{pattern!r} is no pattern of files below the folder of the data")
        return patterns

    @model_validator(mode="after")
    def _official_fits(self) -> Self:
        forms = {case.form for case in self.ask}
        if forms & {"choice", "choices"} and not self.columns.options:
            raise ValueError('the forms choice and choices need "columns.options"')
        if not self.official.missing and "words" in forms and not self.official.match:
            raise ValueError('"official" needs "match" for the form words, or "missing" with the reason')
        if not self.official.missing and forms & {"choice", "choices"} and self.official.extract is None:
            raise ValueError('"official" needs "extract" for options, or "missing" with the reason')
        if not self.official.missing and "box" in forms and self.official.boxes is None:
            raise ValueError('"official" needs "boxes" for the form box, or "missing" with the reason')
        return self

    @property
    def fingerprint(self) -> str:
        """Short hash of what decides prompts and scores."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def check_corpora(self) -> None:
        """Look for the corpora that its scorers need.

        Raises:
            BenchmarkDataError: one is missing; the message says how to fetch it.
        """
        if any(isinstance(scorer, WordNetScorer) for rules in (self.official, self.strict) for scorer in rules.match):
            check_wordnet()


class NamedTaskFile(NamedTuple):
    """A task file and the folder of its data."""

    rules: TaskFile
    folder: Path


def task_file_names() -> list[str]:
    """Return the names of the files that come with rsvqa and with installed packages."""
    return sorted({*_ours(), *plugin_names("benchmark")})


def find_task_file(data: str) -> NamedTaskFile | None:
    """Return the task file that `data` names: NAME:FOLDER, FILE.toml or FILE.toml:FOLDER; None for other data.

    Without a folder the data lie beside FILE.toml. FILE.yaml is read alike.

    Raises:
        BenchmarkDataError: a folder is missing, or the file is not what it should be.
    """
    head, _, folder = data.partition(":")
    if not Path(data).exists() and (shipped := _shipped(head)) is not None:
        rules = _parse(shipped.read_text("utf-8"), head)
        if not folder:
            raise BenchmarkDataError(
                f"{head} is {rules.title}, whose files are not fetched by rsvqa ({rules.source}; {rules.licence}); "
                f"download and unpack them, and name the folder: {head}:FOLDER"
            )
        return NamedTaskFile(rules, _folder(Path(folder)))
    if not head.lower().endswith((_ENDING, *_YAML)):
        return None
    path = Path(head)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkDataError(f"the task file {path} cannot be read: {error}") from error
    return NamedTaskFile(_parse(text, str(path)), _folder(Path(folder) if folder else path.parent))


def _ours() -> Mapping[str, Traversable]:
    files = resources.files("rsvqa.benchmark.protocol").joinpath("tasks").iterdir()
    return {file.name.removesuffix(_ENDING): file for file in files if file.name.endswith(_ENDING)}


def _shipped(name: str) -> Traversable | None:
    """Return the task file of this name; None where neither rsvqa nor an installed package has one."""
    if (file := _ours().get(name)) is not None:
        require_ours("benchmark", name)
        return file
    found: Traversable | None = load_plugin("benchmark", name) if has_plugin("benchmark", name) else None
    return found


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise BenchmarkDataError(f"no folder {path}: expected the folder that the benchmark's files lie in")
    return path


def _parse(text: str, where: str) -> TaskFile:
    try:
        return TaskFile.model_validate(_read_yaml(text) if where.lower().endswith(_YAML) else tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BenchmarkDataError(f"{where} is not TOML: {error}") from error
    except ValidationError as error:
        raise BenchmarkDataError(f"{where}: {_first_fault(error)}") from error


def _read_yaml(text: str) -> object:
    try:
        import yaml
    except ImportError as error:
        raise BenchmarkDataError("a task file in YAML needs `pip install pyyaml`; in TOML it needs nothing") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BenchmarkDataError(f"the task file is not YAML: {' '.join(str(error).split())}") from error


def _first_fault(error: ValidationError) -> str:
    """Return the fault that explains most: an unknown key before what lacks for it, a reason before a type."""
    order = ("extra_forbidden", "value_error")
    first = min(error.errors(), key=lambda one: order.index(one["type"]) if one["type"] in order else len(order))
    place = ".".join(str(part) for part in first["loc"] if part not in ("str", "CellPattern")) or "the file"
    said = "no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}"
