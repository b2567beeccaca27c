"""Habits that a linter does not know, each of which once cost wrong data or an hour: they hold in every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_a_public_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path, node in classes(PRODUCT):
        if not node.name.startswith("_"):
            places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
