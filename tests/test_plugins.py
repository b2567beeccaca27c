"""The tutorial package of docs/plugins.md, installed: its task, reader, layout, classes, benchmark and model work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.plugins import plugin_versions
from rsvqa.annotation.taxonomy import TASKS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tests" / "plugin_package"
PLOTS = {"oak": "hhhd", "ash": "ddh", "elm": "hd", "fir": ""}
"""The state of each tree of a plot."""
ANSWERS = {
    "oak": "most are healthy",
    "ash": "most are dead",
    "elm": "as many are healthy as dead",
    "fir": "there is no tree",
}


def install(
    site: Path, *, version: str = "1.0", entry_points: str | None = None, name: str = "tree-health", code: str = ""
) -> Path:
    """Lay the package into a folder of the path as pip does, without a network."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["rsvqa"]
    text = entry_points or "\n".join(f"{point} = {target}" for point, target in points.items())
    shutil.copytree(PACKAGE / "tree_health", site / "tree_health", dirs_exist_ok=True)
    if code:
        (site / "odd_plugin.py").write_text(code)
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[rsvqa]\n{text}\n")
    return site


def python(folder: Path, *words: str, site: Path | None) -> subprocess.CompletedProcess[str]:
    """Run Python with the package installed, or without it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def rsvqa(folder: Path, *words: str, site: Path | None) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "rsvqa", *words, site=site)


BUILD = ("build", "--src", "plots", "--labels", "crowns", "--classes", "trees", "--tile-size", "256")
SOME = ("--tasks", "tree_health,OC", "--split-shares", "0.5,0,0.5")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four plots, and the trees of each in a file that only the package can read and find."""
    folder = tmp_path_factory.mktemp("trees")
    (folder / "plots").mkdir()
    (folder / "crowns").mkdir()
    rng = np.random.default_rng(0)
    for number, (plot, states) in enumerate(PLOTS.items()):
        pixels = rng.integers(0, 255, (3, 256, 256), dtype=np.uint8)
        with rasterio.open(
            folder / "plots" / f"{plot}_rgb.tif",
            "w",
            driver="GTiff",
            count=3,
            height=256,
            width=256,
            dtype="uint8",
            crs="EPSG:32632",
            transform=Affine(0.5, 0, 500_000 + 5_000 * number, 0, -0.5, 5_000_000),
        ) as raster:
            raster.write(pixels)
        lines = [f"{40 + 50 * tree} 120 12 {state}" for tree, state in enumerate(states)]
        (folder / "crowns" / f"crowns-of-{plot}.trees").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def built(place: Path, site: Path) -> Path:
    """The data set, built by two worker processes, which are spawned and find the package by themselves."""
    done = rsvqa(place, *BUILD, *SOME, "--out", "set", "--workers", "2", site=site)
    assert done.returncode == 0, done.stderr
    return place / "set"


def test_a_task_is_asked_in_worker_processes_about_labels_that_only_the_package_reads(built: Path, site: Path) -> None:
    show = """
import json, rsvqa
data = rsvqa.read("set").filter(tasks="tree_health")
print(json.dumps({q.record.tile.scene: q.record.right_options[0] for q in data}))
print(json.dumps([q._repr_html_()[:26] for q in data][:1]))
"""
    done = python(built.parent, "-c", show, site=site)
    assert done.returncode == 0, done.stderr
    answers, page = done.stdout.splitlines()
    assert json.loads(answers) == {f"{plot}_rgb": answer for plot, answer in ANSWERS.items()}
    assert json.loads(page) == ['<div class="rsvqa-question']
    report = json.loads((built / "report.json").read_text())
    assert report["tasks"]["tree_health"]["questions"] == 4
    assert report["scenes"]["oak_rgb"]["labels"]["by_class"] == {"healthy_tree": 3, "dead_tree": 1}
    assert "Tree health" in (built / "README.md").read_text()


def test_the_number_of_workers_changes_no_byte(built: Path, place: Path, site: Path) -> None:
    done = rsvqa(place, *BUILD, *SOME, "--out", "alone", "--workers", "0", site=site)
    assert done.returncode == 0, done.stderr
    for shard in sorted((built / "data").iterdir()):
        assert (place / "alone" / "data" / shard.name).read_bytes() == shard.read_bytes()


def test_a_data_set_records_the_versions_of_packages(built: Path) -> None:
    settings = tomllib.loads((built / "build.toml").read_text())
    assert settings["versions"]["plug-in tree-health"] == "1.0"


def test_without_the_package_the_data_set_still_reads_and_its_questions_are_named(built: Path) -> None:
    show = """
import rsvqa
data = rsvqa.read("set")
print(data.unknown_tasks, len([q for q in data if q.task == "tree_health"]), data["oak_rgb/0_0/TH1"].question[-1])
print(str(data).splitlines()[0])
print(data.filter(tasks="OC").to_pandas(["task"])["task"].unique().tolist())
print(data["oak_rgb/0_0/TH1"]._repr_html_()[:15])
"""
    done = python(built.parent, "-c", show, site=None)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "('tree_health',) 4 ?",
        "tasks of a package that is not installed here: tree_health",
        "['overall_counting']",
        "<p>&lt;tree_hea",
    ]


def test_without_the_package_an_export_leaves_its_questions_out_and_counts_them(built: Path) -> None:
    done = rsvqa(built.parent, "export", "--data", "set", "--out", "llava", "--format", "llava", "--json", site=None)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["left_out"] == {"unknown task": 4}


def test_a_task_that_is_not_known_is_one_line() -> None:
    with pytest.raises(RsvqaError) as caught:
        TASKS["tree_health"]
    assert str(caught.value) == (
        "the task 'tree_health' is not known here: it is of a package that is not installed, or of a later release"
    )
    assert "tree_health" not in TASKS
    assert TASKS.get("tree_health") is None


def test_another_version_of_a_package_does_not_go_on_with_a_build(place: Path, site: Path, tmp_path: Path) -> None:
    first = rsvqa(place, *BUILD, *SOME, "--out", "ranks", "--workers", "0", "--shard-of", "0/2", site=site)
    assert first.returncode == 0, first.stderr
    later = install(tmp_path, version="2.0")
    second = rsvqa(place, *BUILD, *SOME, "--out", "ranks", "--workers", "0", "--shard-of", "1/2", site=later)
    assert second.returncode != 0
    assert "plug-in tree-health" in second.stderr
    assert re.search(r"1\.0.*2\.0", second.stderr)


def write_benchmark(folder: Path) -> None:
    """Write files of the benchmark `trees` with one question."""
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "p.png")
    row = {"image": "p.png", "question": "Are they?", "options": ["yes", "no"], "answer": "A", "kind": "trees"}
    (folder / "trees.jsonl").write_text(json.dumps(row) + "\n")


def test_a_model_and_a_benchmark_of_a_package_are_asked(built: Path, site: Path) -> None:
    words = ("bench", "--model", "trees:A", "--data", "set", "--split", "train", "--tasks", "TH", "--out", "run-a")
    done = rsvqa(built.parent, *words, site=site)
    assert done.returncode == 0, done.stderr
    assert "Tree health" in done.stdout
    write_benchmark(built.parent / "bench")
    done = rsvqa(built.parent, "bench", "--model", "trees:A", "--data", "trees:bench", "--out", "run-b", site=site)
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout


WORDS = """
name = "anagrams"
title = "Anagrams"
source = "this test"
licence = "CC0"
files = ["anagrams.jsonl"]

[[ask]]
form = "words"
prompt = "{question}"

[official]
match = [{ scorer = "same_letters", most_extra = MOST }]
"""


def test_a_scorer_of_a_package_scores_words(place: Path, site: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    rows = [{"image": "p.png", "question": "Which?", "answer": right} for right in ("TAKO", "ok", "oaks")]
    (tmp_path / "anagrams.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "anagrams.toml").write_text(WORDS.replace("MOST", "1"))
    words = ("bench", "--model", "trees:oakt", "--data", "anagrams.toml", "--out", "run", "--json")
    done = rsvqa(tmp_path, *words, site=site)
    assert done.returncode == 0, done.stderr
    # of "oakt" all letters are in TAKO; two are more than in "ok", where one may be; "oaks" has an s
    averages = json.loads((tmp_path / "run" / "results.json").read_text())["averages"]
    micro = averages[0]
    assert micro["official"]["value"] == pytest.approx(1 / 3)
    rules = json.loads((tmp_path / "run" / "run.json").read_text())["data"]["rules"]
    assert rules["official"]["match"] == [{"scorer": "same_letters", "most_extra": 1, "package": "tree-health 1.0"}]
    assert rsvqa(tmp_path, "score", "run", site=site).returncode == 0
    other = rsvqa(tmp_path, "score", "run", site=install(tmp_path / "other", version="2.0"))
    assert other.returncode == 1
    assert (
        "the scorer 'same_letters' was that of tree-health 1.0, and here it is that of tree-health 2.0" in other.stderr
    )
    without = rsvqa(tmp_path, *words[:-3], "--out", "run-b", site=None)
    assert without.returncode != 0
    assert "no scorer 'same_letters'; expected one of exact, contains, numeric, wordnet, or one of" in without.stderr
    (tmp_path / "anagrams.toml").write_text(WORDS.replace("MOST", '"a"'))
    broken = rsvqa(tmp_path, *words[:-3], "--out", "run-c", site=site)
    assert broken.returncode == 2
    assert "the scorer 'same_letters' of tree-health 1.0 failed on the reply 'oakt': TypeError" in broken.stderr


ODD = """
from dataclasses import replace
from tree_health.task import TREE_HEALTH
CLASH = replace(TREE_HEALTH, info=replace(TREE_HEALTH.info, name="clash", short="OC"))
def changed(name, **changes):
    return replace(TREE_HEALTH, info=replace(TREE_HEALTH.info, name=name, short=changes.pop("short", "X"), **changes))
NUMBER = 1
SAME = changed("same", category="Counting/Overall counting")
FORMLESS = changed("formless", forms="one_of")
NUMBERED = changed("numbered", short="T1")
UNCHECKED = replace(changed("unchecked"), checks=("trees",))
class Reader:
    suffixes, shapes, is_of_one_picture, read = (".csv",), ("polygon",), True, None
def fails(settings):
    raise ValueError("no weights")
def nothing(settings):
    return None
"""


@pytest.mark.parametrize(
    ("entry_points", "message"),
    [
        (
            "task.tree_health = tree_health.nothing:X",
            r"task 'tree_health' of odd cannot be imported \(tree_health\.nothing:X\): ModuleNotFoundError",
        ),
        (
            "task.overall_counting = tree_health.task:TREE_HEALTH",
            "task 'overall_counting' of odd 3.1: expected a TaskPlugin whose info.name is 'overall_counting'$",
        ),
        (
            "task.clash = odd_plugin:CLASH",
            "task 'clash' of odd 3.1: its name or short name 'OC' is that of the task 'overall_counting'$",
        ),
        (
            "task.number = odd_plugin:NUMBER",
            "odd_plugin:NUMBER is no TaskPlugin: it has no info, ask, wording, checks$",
        ),
        ("task.same = odd_plugin:SAME", "its category 'Counting/Overall counting' is that of the task 'overall_count"),
        ("task.formless = odd_plugin:FORMLESS", r"info\.forms = 'one_of': expected a tuple of AnswerForm$"),
        ("task.numbered = odd_plugin:NUMBERED", r"info\.short = 'T1': expected letters"),
        (
            "task.unchecked = odd_plugin:UNCHECKED",
            "checks: expected pairs of a reason and a function of a question, found",
        ),
        ("task.leaves = leaving_plugin:X", r"task 'leaves' of odd cannot be imported .*: SystemExit\(3\)$"),
        ("labels.number = odd_plugin:NUMBER", "odd_plugin:NUMBER is no LabelReader: it has no suffixes, shapes"),
        ("labels.odd = odd_plugin:Reader", r"labels 'odd' of odd 3\.1: the suffix \.csv is read by rsvqa$"),
        ("layout.odd = odd_plugin:ODD", "layout 'odd' of odd cannot be imported"),
        ("taks.odd = odd_plugin:X", r"the entry point 'taks\.odd' of odd in the group rsvqa is not KIND\.NAME"),
    ],
)
def test_a_package_that_cannot_be_used_is_one_line_that_names_it(
    place: Path, tmp_path: Path, entry_points: str, message: str
) -> None:
    install(tmp_path, version="3.1", name="odd", entry_points=entry_points, code=ODD)
    (tmp_path / "leaving_plugin.py").write_text("raise SystemExit(3)\n")
    words = ("build", "--src", "plots", "--labels", "crowns", "--tile-size", "256", "--workers", "0")
    done = rsvqa(place, *words, "--out", str(tmp_path / "set"), site=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(message, line), line
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"the model 'odd' of odd 3\.1 cannot be opened: ValueError\('no weights'\)$"),
        ("nothing", "the model 'odd' of odd 3.1 opened None, which is no BenchModel: it has no name, box_convention, "),
        ("NUMBER", r"model 'odd' of odd 3\.1: odd_plugin:NUMBER is no function: it has no call$"),
    ],
)
def test_a_model_that_cannot_be_opened_is_one_line_that_names_its_package(
    built: Path, tmp_path: Path, function: str, message: str
) -> None:
    points = f"task.tree_health = tree_health.task:TREE_HEALTH\nmodel.odd = odd_plugin:{function}"
    install(tmp_path, version="3.1", name="odd", entry_points=points, code=ODD)
    words = ("bench", "--model", "odd:A", "--data", str(built.parent / "set"), "--split", "train")
    done = rsvqa(tmp_path, *words, "--tasks", "TH", "--out", "run", site=tmp_path)
    assert done.returncode == 1
    assert re.search(message, done.stderr.splitlines()[-1]), done.stderr


@pytest.mark.parametrize(
    ("entry_point", "words"),
    [
        ("classes.demo", ("build", "--src", "plots", "--classes", "demo", "--workers", "0")),
        ("executor.pool", ("build", "--src", "plots", "--labels", "crowns", "--tile-size", "256")),
        ("executor.ray", ("build", "--src", "plots", "--labels", "crowns", "--executor", "ray")),
        ("benchmark.lrs-vqa", ("bench", "--model", "random", "--data", "lrs-vqa:plots")),
        ("model.random", ("bench", "--model", "random", "--data", "trees:bench")),
        ("model.replies", ("bench", "--model", "replies:r.jsonl", "--data", "trees:bench")),
    ],
)
def test_a_name_of_ours_is_refused_where_it_is_asked_for(
    place: Path, tmp_path: Path, entry_point: str, words: tuple[str, ...]
) -> None:
    # the package's would otherwise be passed over, or take the place of ours, without a word
    kind, _, name = entry_point.partition(".")
    points = f"{entry_point} = tree_health:CLASSES"
    if kind == "model":
        points += "\nbenchmark.trees = tree_health:BENCHMARK"
        write_benchmark(tmp_path / "bench")
    install(tmp_path / "site", version="3.1", name="odd", entry_points=points)
    for shared in ("plots", "crowns"):
        (tmp_path / shared).symlink_to(place / shared)
    done = rsvqa(tmp_path, *words, "--out", "set", site=tmp_path / "site")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"rsvqa: {kind} '{name}' of odd 3.1: rsvqa has one of this name; rename that, or uninstall it"
    ]
    assert not (tmp_path / "set").exists()


def test_a_benchmark_that_cannot_be_imported_stands_in_the_way_of_no_other(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "bench")
    points = "benchmark.trees = tree_health:BENCHMARK\nbenchmark.gone = tree_health.nowhere:BENCHMARK"
    site = install(tmp_path / "site", version="3.1", name="odd", entry_points=points)
    words = ("bench", "--model", "random")
    assert rsvqa(tmp_path, *words, "--data", "trees:bench", "--out", "run", site=site).returncode == 0
    broken = rsvqa(tmp_path, *words, "--data", "gone:bench", "--out", "other", site=site)
    assert broken.returncode == 1
    assert "'gone'" in broken.stderr
    assert "tree_health.nowhere" in broken.stderr


def test_installing_nothing_changes_nothing() -> None:
    assert plugin_versions() == {}
    assert len(TASKS) == 22
