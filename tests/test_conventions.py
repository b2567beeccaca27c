"""Habits that a linter does not know, each of which once cost wrong data or an hour: they hold in every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from rsvqa.cli import app

ROOT = Path(__file__).parent.parent
FLOORS = ("annotation", "benchmark", "model", "rsvqa_builder")
PRODUCT = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
EVERYWHERE = [*PRODUCT, *sorted((ROOT / "tests").rglob("*.py"))]
MANY_FIELDS = 4


def classes(paths: list[Path]) -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield path, node


def fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [line for line in node.body if isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line)]


def is_filled_by_position(node: ast.ClassDef) -> bool:
    """Return whether a class with many fields, some of them with a default, takes them by position.

    A result built by position broke when a field was put in the middle, and no type checker could tell.
    """
    found = fields(node)
    if len(found) < MANY_FIELDS or not any(line.value for line in found):
        return False
    dataclasses = [ast.unparse(decorator) for decorator in node.decorator_list if "dataclass" in ast.unparse(decorator)]
    is_tuple = any(ast.unparse(base) == "NamedTuple" for base in node.bases)
    return is_tuple or any("kw_only=True" not in decorator for decorator in dataclasses)


def test_classes_of_many_fields_with_defaults_are_filled_by_keyword() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {node.name}" for path, node in classes(EVERYWHERE) if is_filled_by_position(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("@dataclass\nclass A:\n a: int\n b: int\n c: int\n d: int = 0", True),
        ("@dataclass(frozen=True)\nclass A:\n a: int\n b: int\n c: int\n d: int = field(default=0)", True),
        ("class A(NamedTuple):\n a: int\n b: int\n c: int\n d: int = 0", True),
        ("@dataclass(kw_only=True)\nclass A:\n a: int\n b: int\n c: int\n d: int = 0", False),
        ("@dataclass\nclass A:\n a: int\n b: int\n c: int\n d: int", False),
        ("@dataclass\nclass A:\n a: int\n b: int\n c: int = 0", False),
        ("class A(BaseModel):\n a: int\n b: int\n c: int\n d: int = 0", False),
    ],
)
def test_a_class_filled_by_position_would_be_found(source: str, is_found: bool) -> None:
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    assert is_filled_by_position(node) == is_found


MAY_SYNC_OR_RENAME = {
    "rsvqa_builder/files.py": "the family of writers itself",
    "benchmark/files/reply_store.py": "a log that is appended to, each line on the disk before the next question",
    "rsvqa_builder/exporting/tables.py": "numbers shards in a folder that has no name yet",
}
"""Files that may sync or rename, each with its reason."""


def renames_or_syncs(tree: ast.Module) -> set[str]:
    """Return the calls by which a file is put in the place of another, or brought to the disk, by hand."""
    found = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = ast.unparse(node.func)
        # text has `replace(old, new)`, dates and dataclasses have keywords only
        is_of_path = node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords
        if is_of_path or name in ("os.replace", "os.rename", "os.renames", "os.fsync", "os.fdatasync", "shutil.move"):
            found.add(name)
    return found


def test_files_are_written_aside_in_one_place_only() -> None:
    found = {
        str(path.relative_to(ROOT)): calls
        for path in PRODUCT
        if (calls := renames_or_syncs(ast.parse(path.read_text())))
    }
    assert {path: calls for path, calls in found.items() if path not in MAY_SYNC_OR_RENAME} == {}
    assert found.keys() == MAY_SYNC_OR_RENAME.keys()  # a reason without its call is out of date


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("partial.replace(path)", True),
        ("(out / name).rename(out / 'b')", True),
        ("os.replace(a, b)", True),
        ("shutil.move(a, b)", True),
        ("os.fsync(file.fileno())", True),
        ("text.replace('a', 'b')", False),
        ("replace(scene, path='a')", False),
        ("moment.replace(tzinfo=UTC)", False),
    ],
)
def test_a_file_written_aside_by_hand_would_be_found(source: str, is_found: bool) -> None:
    assert bool(renames_or_syncs(ast.parse(source))) == is_found


def test_a_public_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path, node in classes(PRODUCT):
        if not node.name.startswith("_"):
            places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*(?![\w:-])")
FLAGS_OF_OTHERS = {
    "rsvqa_builder/exporting/evaluators.py": "--output_path",  # of lmms-eval, in the line that runs an exported task
    "annotation/extras.py": "--python",  # of uv, in environments without pip
    "benchmark/files/datasets.py": "--repo-type",  # of the command of Hugging Face that downloads what is missing
    "benchmark/protocol/official_answers.py": "--reasoning_tags",  # of lmms-eval, whose parser is reproduced
    # of the trainers, in the line of command that stands beside an export
    "rsvqa_builder/exporting/chat_files.py": "--max_pixels",
    "rsvqa_builder/exporting/chat_tables.py": "--output_dir",
    "rsvqa_builder/exporting/reward_file.py": "--reward_funcs",
}


def texts(path: Path, kind: type[ast.AST] = ast.AST) -> Iterator[str]:
    """Yield the texts of a file, docstrings and parts of f-strings too, that stand inside nodes of this kind."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, kind):
            for part in ast.walk(node) if kind is not ast.AST else [node]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def options_of(command: object) -> set[str]:
    """Return the names of the options of a command and of those below it, as settings are spelt."""
    own = {name for option in getattr(command, "params", ()) for name in option.opts if name.startswith("--")}
    below = [options_of(one) for one in getattr(command, "commands", {}).values()]
    return {name.removeprefix("--").replace("-", "_") for name in own}.union(*below)


def test_the_library_speaks_of_settings_and_the_command_line_of_flags() -> None:
    found = {
        str(path.relative_to(ROOT)): flag for path in PRODUCT for text in texts(path) for flag in FLAG.findall(text)
    }
    assert found == FLAGS_OF_OTHERS


def test_a_setting_that_an_error_names_is_an_option() -> None:
    known = options_of(typer.main.get_command(app))
    named = {
        name: str(path.relative_to(ROOT))
        for path in PRODUCT
        for text in texts(path, ast.Raise)
        for name in re.findall(r"`(\w+)`", text)
    }
    assert {"out", "overwrite", "src"} <= set(named)
    assert {name: path for name, path in named.items() if name not in known} == {}


def test_a_flag_would_be_found() -> None:
    assert FLAG.findall("give --overwrite, or --max-cost 5") == ["--overwrite", "--max-cost"]
    assert FLAG.findall('style="--s:5%", a--b, 3 -- 4') == []
