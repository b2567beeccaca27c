"""An executor that somebody else's package brings, and that does everything in an odd way: the bytes stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make_sources import FARM, make_scene
from tests.run_build import build, tree_digest

OPTIONS = ("--complete", "yes", "--tasks", "OC,RC,OCC,RIC,LUC", "--split-shares", "0.6,0.2,0.2")

ODD = '''
import os
import random


class OddExecutor:
    """Does units in any order, each once or twice, and hands the results back in another order."""

    def __init__(self, settings, *, out, reporter):
        self.reporter = reporter
        self.chance = random.Random(os.environ["ODD_SEED"])
        reporter.note("odd", f"odd: {settings.workers} at a time into {str(out).rpartition('/')[2]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, function, items):
        self.reporter.note("odd", f"{function.function.__name__}: {len(items)}")
        sizes = [item.num_pixels for item in items if hasattr(item, "num_pixels")]
        assert sizes == sorted(sizes, reverse=True)
        todo = [index for index in range(len(items)) for _ in range(self.chance.choice([1, 2]))]
        self.chance.shuffle(todo)
        results = {index: function(items[index]) for index in todo}
        for index in self.chance.sample(sorted(results), len(results)):
            yield index, results[index]
'''


def install(site: Path, entry_points: str, name: str = "odd") -> None:
    """Lay a package into a folder of the path as pip does."""
    (site / f"{name}_executor.py").write_text(ODD)
    metadata = site / f"{name}_executor-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-executor\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[rsvqa]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two places with labels and one without, the first of them narrower than a tile."""
    folder = tmp_path_factory.mktemp("few") / "scenes"
    for number in range(3):
        place = FARM._replace(
            name=f"farm{number}", width=(400, 1000, 700)[number], height=700, easting=FARM.easting + 5000 * number
        )
        make_scene(folder, place, labelled=number < 2)
    return folder


@pytest.fixture(scope="module")
def expected(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("in process") / "set"
    assert build(scenes, out, *OPTIONS).code == 0
    return tree_digest(out)


@pytest.mark.parametrize("seed", range(2))
def test_units_done_in_any_order_and_twice_give_the_same_bytes(
    scenes: Path, expected: dict[str, str], site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    install(site, "executor.odd = odd_executor:OddExecutor")
    monkeypatch.setenv("ODD_SEED", str(seed))
    run = build(scenes, tmp_path / "set", *OPTIONS, "--executor", "odd", workers=3)
    assert (run.code, run.lines[0]) == (0, "odd: 3 at a time into set")
    assert tree_digest(tmp_path / "set") == expected
    num_shards = sum(name.endswith(".parquet") for name in expected) - 1  # and the table of the preview
    assert run.lines[1:] == [
        "describe: 3",
        "prepare_scene: 3",
        "stage_scene: 3",
        "do_tile: 10",
        f"do_shard: {num_shards}",
    ]


def test_an_unknown_executor_is_told_with_the_nearest_one(scenes: Path, site: Path, tmp_path: Path) -> None:
    install(site, "executor.odd = odd_executor:OddExecutor\ntask.add = odd_executor:OddExecutor")
    run = build(scenes, tmp_path / "set", "--executor", "od", workers=1)
    assert (run.code, run.lines) == (
        1,
        ["rsvqa: no executor 'od', and no installed package has the entry point executor.od in the group rsvqa; "
        "did you mean 'odd'?"],
    )  # fmt: skip
    run = build(scenes, tmp_path / "set", "--executor", "xyz", workers=1)
    assert run.lines[0].endswith("; known: odd, pool, ray")
    assert not (tmp_path / "set").exists()


def test_two_packages_with_one_name_are_refused(scenes: Path, site: Path, tmp_path: Path) -> None:
    for name in ("odd", "even"):
        install(site, "executor.odd = odd_executor:OddExecutor", name)
    run = build(scenes, tmp_path / "set", "--executor", "odd", workers=1)
    assert run.code == 1
    assert run.lines[0].startswith("rsvqa: executor 'odd' is brought by two packages, ")
    assert {"odd-executor", "even-executor"} <= set(run.lines[0].replace(":", " ").split())


def test_a_package_that_cannot_be_imported_is_named(scenes: Path, site: Path, tmp_path: Path) -> None:
    install(site, "executor.odd = odd_executor:Missing")
    run = build(scenes, tmp_path / "set", "--executor", "odd", workers=1)
    assert run.code == 1
    assert run.lines[0].startswith(
        "rsvqa: executor 'odd' of odd-executor cannot be imported (odd_executor:Missing): AttributeError("
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--executor", "odd", "--workers", "0"),
            "--workers = 0 works in this process, --executor = odd elsewhere: choose one",
        ),
        (("--ray-address", "auto"), "--ray-address needs --executor = ray"),
        (("--unit-timeout", "5"), "--unit-timeout is of clusters, and --executor = pool has none"),
        (("--unit-timeout", "0", "--executor", "odd"), "--unit-timeout = '0': Input should be greater than 0"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(
    scenes: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    run = build(scenes, tmp_path / "set", *words, workers=1)
    assert run.code == 2
    assert run.err.startswith(f"rsvqa: {message}")
