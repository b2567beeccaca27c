"""The floors and rooms of the house: arrows run downwards, and no circle runs between rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "annotation": set(),
    "rsvqa_builder": {"annotation"},
    "model": {"annotation", "rsvqa_builder"},
    "benchmark": {"annotation", "rsvqa_builder"},
}
DOOR = "at the door"
"""The files of a floor that lie in none of its rooms."""
DOOR_OF_THE_RUN = {
    "annotation": {"asking"},
    "rsvqa_builder": {"build", "label_check", "label_summary", "summary"},
    "benchmark": {"ask", "bench"},
}
"""Files at the door that use the rooms; every other file there is used by rooms, and uses none."""
HEAVY = {"torch", "transformers", "openai", "osgeo", "datasets"}
LARGEST_ROOM = 32
"""Files of a room; a new one of this size is a warehouse."""


def imported_modules(tree: ast.Module, *, top_level_only: bool = False) -> Iterator[str]:
    """Yield what a module imports, by its full name; ours without the leading `rsvqa.`."""
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("rsvqa.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            module = node.module.removeprefix("rsvqa").removeprefix(".")
            # `from rsvqa.rsvqa_builder import build` names a file as well as `import rsvqa.rsvqa_builder.build`
            yield from (f"{module}.{alias.name}".removeprefix(".") for alias in node.names)


def packages(tree: ast.Module, *, top_level_only: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imported_modules(tree, top_level_only=top_level_only)}


def files_of(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the room of a file: the folder below its floor, or where a file at the door belongs."""
    floor, *rest = path.relative_to(ROOT).parts
    if len(rest) > 1:
        return rest[0]
    return "the run" if rest[0].removesuffix(".py") in DOOR_OF_THE_RUN.get(floor, ()) else DOOR


def arrows_between_rooms(floor: str) -> dict[tuple[str, str], list[str]]:
    """Return the imports of a floor that cross from one of its rooms into another, by the two rooms."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for path in files_of(floor):
        for module in imported_modules(ast.parse(path.read_text())):
            parts = module.split(".")
            if parts[0] != floor or len(parts) < 2:
                continue
            target = ROOT / floor / parts[1]
            there = parts[1] if target.is_dir() else room_of(target.with_suffix(".py"))
            if there != (here := room_of(path)):
                arrows.setdefault((here, there), []).append(f"{path.relative_to(ROOT)} imports {module}")
    return arrows


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_floors_import_downwards_only(floor: str) -> None:
    for path in files_of(floor):
        ours = packages(ast.parse(path.read_text())) & {*MAY_IMPORT, "api", "cli"}
        assert ours <= MAY_IMPORT[floor] | {floor}, path


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_no_circle_runs_between_rooms(floor: str) -> None:
    arrows = arrows_between_rooms(floor)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_edges_from(arrows)
    circles = list(networkx.simple_cycles(graph))
    assert [[arrows.get(pair, []) for pair in zip(c, [*c[1:], c[0]], strict=True)] for c in circles] == []


@pytest.mark.parametrize("floor", ["annotation", "rsvqa_builder", "benchmark"])
def test_the_door_knows_no_room(floor: str) -> None:
    assert [found for (here, _), found in arrows_between_rooms(floor).items() if here == DOOR] == []


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_no_room_is_a_warehouse(floor: str) -> None:
    rooms = [room_of(path) for path in files_of(floor)]
    assert {room: rooms.count(room) for room in set(rooms) if rooms.count(room) > LARGEST_ROOM} == {}


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_ours_is_imported_by_its_installed_name(floor: str) -> None:
    # a loose `import annotation` finds somebody else's folder of that name, or ours twice
    for path in files_of(floor):
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0}
        assert not {name.split(".")[0] for name in names} & {*MAY_IMPORT, "api", "cli"}, path


@pytest.mark.parametrize("floor", ["annotation", "rsvqa_builder", "benchmark"])
def test_heavy_packages_are_not_imported_at_module_level(floor: str) -> None:
    for path in files_of(floor):
        assert not packages(ast.parse(path.read_text()), top_level_only=True) & HEAVY, path


def test_annotation_knows_no_raster_and_no_parquet() -> None:
    for path in files_of("annotation"):
        assert not packages(ast.parse(path.read_text())) & {"rasterio", "pyarrow", "pyogrio", "torch"}, path
