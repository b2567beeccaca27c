"""The rooms of the house import downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "annotation": set(),
    "rsvqa_builder": {"annotation"},
    "model": {"annotation", "rsvqa_builder"},
    "benchmark": {"annotation", "rsvqa_builder"},
}
HEAVY = {"torch", "transformers", "openai", "osgeo", "datasets"}


def imported_packages(tree: ast.Module, *, top_level_only: bool = False) -> set[str]:
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_downwards_only(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        ours = imported_packages(ast.parse(path.read_text())) & {*MAY_IMPORT, "cli"}
        assert ours <= MAY_IMPORT[room] | {room}, path


@pytest.mark.parametrize("room", ["annotation", "rsvqa_builder", "benchmark"])
def test_heavy_packages_are_not_imported_at_module_level(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert not imported_packages(ast.parse(path.read_text()), top_level_only=True) & HEAVY, path


def test_annotation_knows_no_raster_and_no_parquet() -> None:
    for path in (ROOT / "annotation").rglob("*.py"):
        assert not imported_packages(ast.parse(path.read_text())) & {"rasterio", "pyarrow", "pyogrio", "torch"}, path
